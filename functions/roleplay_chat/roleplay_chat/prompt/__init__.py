"""Builds the messages that a model reads."""
