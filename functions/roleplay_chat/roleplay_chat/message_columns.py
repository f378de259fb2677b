"""Unpacks messages as begin_turn returns them: as one list per column."""

from collections.abc import Mapping
from typing import Any

MAX_HISTORY_MESSAGES = 2_000
"""The most that `private.history` returns, including those that the instance already has."""

DELETED = "Somebody"
"""The speaker of messages whose character was deleted."""
_SENDERS = {"u": "user", "c": "character"}


def byte_length(text: str) -> int:
    """The length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def bytes_used(total: int, longest: int) -> int:
    """How many of the bytes that `private.history` may read are used by messages of `total` bytes,
    of which the longest has `longest`.

    Twice the bytes of the others, if that is less: the longest message takes at most half of the
    room.
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
