"""Unpacks messages as begin_turn returns them: as one list per column."""

from collections.abc import Mapping
from typing import Any

MAX_HISTORY_MESSAGES = 2_000
"""As many as `private.history` returns, with those that the instance has."""

DELETED = "Somebody"
"""Who wrote what a character said that is deleted."""
_SENDERS = {"u": "user", "c": "character"}


def byte_length(text: str) -> int:
    """The length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def bytes_used(total: int, longest: int) -> int:
    """How much of the bytes that `private.history` reads is used by messages that have `total`
    bytes, the longest of them `longest`.

    Twice what the others have, if that is less: the longest one takes half of the room at most.
    """
    return min(total, 2 * (total - longest))


def message_rows(
    columns: Mapping[str, Any] | None, names: Mapping[str, str], first_character_id: str | None
) -> list[dict[str, Any]]:
    """A row for each message, with "speaker" and "character_id" if a character wrote it.

    `columns` are `messages` of `private.history` or `private.recall`; None and {} stand for no
    messages. `names` are the names of those who exist, by id. A character's message without an id
    belongs to `first_character_id`.
    """
    rows = []
    columns = columns or {}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        character_id = row.pop("character_id")
        if row["sender"] == "c":
            character_id = character_id or first_character_id
            if (name := speaker_name(character_id, names)) is not None:
                row |= {"character_id": character_id, "speaker": name}
        row["sender"] = _SENDERS[row["sender"]]
        rows.append(row)
    return rows


def speaker_name(character_id: str | None, names: Mapping[str, str]) -> str | None:
    """The name of the character who wrote a message; None for none."""
    return names.get(character_id, DELETED) if character_id else None
