"""A character's lorebook: entries that enter the prompt when the conversation names them."""
