"""Repeatable rolls: the same place in a conversation gives the same number."""

from hashlib import blake2b

from msgspec import Struct


class Moment(Struct, frozen=True):
    """A place in a conversation where a reply is written."""

    conversation: str = ""
    """The conversation's id, or another text that is unique to it."""
    messages: int = 0
    """How many messages it has before the reply."""
    replies: int = 0
    """How many of these messages are replies."""
    place: int = 0
    """The position of the last of them, which stays the same however many are loaded."""

    def roll(self, *names: object) -> float:
        """A number from 0 to below 1 for the given names. Every version of a reply gets the
        same."""
        source = "\0".join([self.conversation, str(self.place), *map(str, names)])
        digest = blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64
