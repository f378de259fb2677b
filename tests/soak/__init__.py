"""Thousands of turns while models fail in every way: `python -m tests.soak --help`."""
