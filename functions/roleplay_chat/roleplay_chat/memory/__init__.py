"""Memory: a summary of messages that no longer fit the prompt, and facts from them."""
