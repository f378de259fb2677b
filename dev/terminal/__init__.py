"""Talking with characters in the terminal."""
