"""Lorebooks: entries that enter the prompt when the conversation names them."""
