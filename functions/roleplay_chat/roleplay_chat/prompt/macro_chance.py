"""Repeatable chance: the same turn gives the same numbers."""

import hashlib


def draw(sides: int, *key: object) -> int:
    """A number from 0 to `sides` - 1, always the same for a key."""
    text = "\0".join(map(str, key)).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % sides


def digest(text: str) -> str:
    """A short name of a text, for keys."""
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
