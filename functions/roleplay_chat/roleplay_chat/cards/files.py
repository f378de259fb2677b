"""Detects the format of a card file and reads it."""

from dataclasses import dataclass
from typing import Any

from roleplay_chat.cards import charx_file, json_file, png_file
from roleplay_chat.cards.errors import invalid

PICTURE_NOT_KEPT = "The picture is not stored, only the card in it."
OTHERS_NOT_KEPT = "The archive's other files (pictures, sounds; {count}) are not stored."


@dataclass(frozen=True)
class CardFile:
    """The card in a file, and warnings about what is not imported."""

    card: dict[str, Any]
    warnings: tuple[str, ...] = ()


def read(raw: bytes) -> CardFile:
    """The card in a file of any format. Raises `ApiError` 400 or 413."""
    if raw.startswith(png_file.SIGNATURE):
        return CardFile(json_file.read(png_file.read(raw)), (PICTURE_NOT_KEPT,))
    if raw.startswith(charx_file.SIGNATURE):
        charx = charx_file.read(raw)
        lost = (OTHERS_NOT_KEPT.format(count=charx.others),) if charx.others else ()
        return CardFile(json_file.read(charx.card), lost)
    if not raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        raise invalid("This is not a character card: it is neither JSON, PNG nor CHARX.")
    return CardFile(json_file.read(raw))
