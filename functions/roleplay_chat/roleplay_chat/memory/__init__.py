"""Memory: a summary of, and facts from, messages that no longer fit the prompt."""
