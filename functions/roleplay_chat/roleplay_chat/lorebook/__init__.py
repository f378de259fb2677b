"""Lorebooks: entries that enter the prompt when the conversation mentions them."""
