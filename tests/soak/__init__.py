"""Thousands of turns while the models fail in every way: `python -m tests.soak --help`."""
