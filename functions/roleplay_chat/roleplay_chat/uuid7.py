"""Ids that grow with time."""

import os
import time
from uuid import UUID

_VERSION_AND_VARIANT = 0xF000 << 64 | 0xC000 << 48
_OF_VERSION_7 = 0x7000 << 64 | 0x8000 << 48


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562, 5.7): milliseconds since 1970 in 48 bits, and 74 random bits.

    New rows are then adjacent at the end of an index. Random ids would be anywhere in it: in a
    large table, each insert would read and write a page of its own.
    """
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(os.urandom(10))
    return UUID(int=bits & ~_VERSION_AND_VARIANT | _OF_VERSION_7)
