"""The local stack: database, model and both functions on this machine. See `make help`."""
