"""The local stack: its parts and their supervisor."""
