"""Rows become the messages that a model reads."""
