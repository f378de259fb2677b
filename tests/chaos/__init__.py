"""People talk while processes are killed: `python -m tests.chaos`."""
