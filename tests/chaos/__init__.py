"""Users chat while processes are killed: `python -m tests.chaos`."""
