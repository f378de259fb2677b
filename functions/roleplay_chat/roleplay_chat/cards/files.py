"""Detects the format of a card file and reads it."""

from http import HTTPStatus
from typing import Any

from msgspec import Struct

from edge.errors import ApiError
from edge.json_text import decoder_for, value_count_bound
from roleplay_chat.cards import backyard, charx_file, json_file, png_file, yaml_file
from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.formats import CONVERTED, advice_for, no_character, what_it_is
from roleplay_chat.cards.lorebooks import with_entries
from roleplay_chat.cards.portrait import find_picture, has_inline_picture, to_store
from roleplay_chat.cards.versions import (
    card_inside,
    declares_card,
    describes_character,
    find_fields,
)
from roleplay_chat.portraits.redraw import MAX_BYTES

OTHERS_NOT_KEPT = "The archive's other files (pictures, sounds; {count}) are not stored."
MODULE_NOT_READ = "RisuAI's module in the archive (`module.risum`: {holds}) is not read."
V3_DAMAGED = (
    "The picture's card of version 3 (`ccv3`) is damaged; the older one (`chara`) was read."
)
NESTED = "`data` is a whole card; that card was read."
MODULE = (
    "This is a module of RisuAI, not a character. Export its lorebook in RisuAI as JSON, and import"
    " that file."
)
_MODULE_BEGINS = b"o\0"
_JPEG = b"\xff\xd8\xff"
_PICTURES = (_JPEG, b"GIF8", b"RIFF", b"BM")
_SPACE = b"\xef\xbb\xbf \t\r\n"
MAX_BACKYARD_BYTES = 8 * 2**20
"""Of a character and its scenarios together. These contain chats, which are not read."""
MAX_LINE_BYTES = 64 * 2**10
"""The part of a file that is read to recognise it."""


class CardFile(Struct, frozen=True):
    """The card in a file, and warnings about what is not imported."""

    card: dict[str, Any]
    """The card to store: without the picture that its JSON may contain."""
    warnings: tuple[str, ...] = ()
    picture: bytes | None = None
    """The character's picture, not decoded."""


def read(raw: bytes) -> CardFile:
    """The card in a file of any format. Raises `ApiError` 400 or 413."""
    if raw.startswith(png_file.SIGNATURE):
        noted: list[str] = []
        card = _inside(json_file.checked(_in_picture(raw, noted), noted), noted)
        return CardFile(to_store(card), tuple(noted), picture=raw)
    if raw.startswith(charx_file.SIGNATURE) or _has_archive(raw):
        return _read_charx(raw)
    if raw.lstrip(_SPACE).startswith(b"{"):
        _check_is_one_object(raw)
        return with_picture(json_file.parse(raw))
    if raw.lstrip(_SPACE).startswith(b"[") and (book := _bare_lorebook(raw)):
        return book
    if raw.startswith(_MODULE_BEGINS):
        raise invalid(MODULE)
    if yaml_file.is_yaml(raw):
        return with_picture(yaml_file.read(raw))
    found = _what_lines_are(raw.lstrip(_SPACE).removeprefix(b"["))
    raise invalid(
        f"This is not a character card: it is neither JSON, PNG nor CHARX{_hint(raw, found)}."
        f"{advice_for(found)}"
    )


def _in_picture(raw: bytes, noted: list[str]) -> dict[str, Any]:
    """The card in a picture, not checked: V3, or V2 if V3 is missing or damaged."""
    newest, *older = png_file.read(raw)
    try:
        return json_file.parse_object(png_file.decoded(newest))
    except ApiError as error:
        if not older or error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
    noted.append(V3_DAMAGED)
    return json_file.parse_object(png_file.decoded(older[0]))


def _bare_lorebook(raw: bytes) -> CardFile | None:
    """The lorebook in a file that is only a list of its entries; None if it is another list."""
    try:
        found = with_entries(json_file.parse(raw))
    except ApiError as error:
        if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        return None
    if not isinstance(found, dict):
        return None
    noted: list[str] = []
    return CardFile(json_file.checked(found, noted), tuple(noted))


def _module_not_read(card: dict[str, Any]) -> str:
    """A warning about what is lost with a module. RisuAI writes the lorebook into the card as
    well."""
    has_book = bool(find_fields(card).get("character_book"))
    return MODULE_NOT_READ.format(holds="scripts" if has_book else "scripts, perhaps a lorebook")


def with_picture(card: Any) -> CardFile:
    """Read a JSON card. A picture in it counts as a picture, not as text. Raises `ApiError` 400 or
    413."""
    noted: list[str] = []
    card = _inside(json_file.an_object(with_entries(card)), noted)
    stored = json_file.checked(to_store(card), noted)
    return CardFile(stored, tuple(noted), find_picture(b"", card))


def _read_charx(raw: bytes) -> CardFile:
    charx = charx_file.read(raw)
    if charx.is_backyard:
        return _read_backyard(raw, charx)
    noted: list[str] = []
    card = _inside(json_file.read(charx.card, noted), noted)
    picture = find_picture(raw, card)
    is_file = picture is not None and not raw.startswith(picture) and not has_inline_picture(card)
    count = charx.others - is_file
    lost = [OTHERS_NOT_KEPT.format(count=count)] if count else []
    lost += [_module_not_read(card)] if charx.has_module else []
    return CardFile(to_store(card), (*noted, *lost), picture)


def _read_backyard(raw: bytes, charx: charx_file.Charx) -> CardFile:
    left = MAX_BACKYARD_BYTES

    def load(path: str) -> dict[str, Any]:
        nonlocal left
        found = charx_file.read_file(raw, path, left)
        left -= len(found or b"")
        if left < 0:
            raise too_large("The character's files in the archive are too large.")
        return json_file.an_object(json_file.parse(found)) if found else {}

    card, path, noted = backyard.read(json_file.parse_object(charx.card), load)
    picture = charx_file.read_file(raw, path, MAX_BYTES) if path else None
    converted = CONVERTED.format(program=backyard.PROGRAM)
    return CardFile(json_file.checked(card, noted), (converted, *noted), picture)


def _inside(card: dict[str, Any], noted: list[str]) -> dict[str, Any]:
    inner = card_inside(card)
    noted += [NESTED] if inner is not card else []
    return inner


def _has_archive(raw: bytes) -> bool:
    """Whether an archive follows a picture, as RisuAI writes it."""
    return raw.startswith(_JPEG) and charx_file.SIGNATURE in raw


def _hint(raw: bytes, found: str | None) -> str:
    """What the file is instead, as far as its beginning shows it."""
    if raw.startswith(_PICTURES):
        return "; a picture has its card only as the original PNG"
    return f"; it is {found}" if found else ", nor a character in YAML"


def _check_is_one_object(raw: bytes) -> None:
    """Raises `ApiError` 400 for several objects, one per line, the format of chats."""
    start = raw.lstrip(_SPACE)
    line, _, rest = start[: MAX_LINE_BYTES + 1].partition(b"\n")
    if line.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{"):
        found = _what_lines_are(start) or "a list of objects"
        raise no_character(f"This is {found}", advice_for(found))


def _what_lines_are(start: bytes) -> str | None:
    """What a list of objects is, judged by the first one."""
    if value_count_bound(start[:MAX_LINE_BYTES]) > json_file.MAX_VALUES:
        return None
    try:
        text = start[:MAX_LINE_BYTES].decode(errors="ignore").lstrip()
        first, _ = decoder_for(text).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(first, dict):
        return None
    is_card = declares_card(first) or describes_character(first)
    return what_it_is(first) or ("a list of characters" if is_card else None)
