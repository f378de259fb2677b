"""The picture of a character in its card's file, and in the exported file."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from roleplay_chat.cards import charx_file, png_file
from roleplay_chat.cards.assets import MISSING_FILES, is_icon, is_main_icon
from roleplay_chat.cards.versions import Object, find_fields
from roleplay_chat.portraits.redraw import MAX_BYTES

IN_ARCHIVE = "assets/icon/image/main.png"
"""The path of the picture in a CHARX file."""
THE_PICTURE_ITSELF = "ccdefault:"
"""The picture of a PNG file: the file itself, which contains the card."""
_JPEG = b"\xff\xd8\xff"
_DATA = "data:"
_TAKEN_OUT = "data:,"
"""Replaces a picture in a stored card: a data URI without data."""
_AVATARS = ("avatar", "avatar_url", "image", "picture")
"""The fields in which programs put the picture if there are no assets."""
_ELSEWHERE = ("http:", "https:", "//")
_OF_URLS = bytes.maketrans(b"-_", b"+/")
"""The two characters in which base64 for URLs differs."""
MAX_ESCAPES = 200_000
"""The most percent-encoded characters in a data URI; each takes some memory for a moment."""


def find_picture(raw: bytes, card: Object) -> bytes | None:
    """The character's picture in a file of any format, not decoded; None if there is none. `raw` is
    the file; it is empty for a card that was sent as JSON.
    """
    if raw.startswith(png_file.SIGNATURE):
        return raw
    uri = _picture_uri(card)
    if _is_inline(uri):
        return _decoded(uri)
    archive = raw.find(charx_file.SIGNATURE) if raw.startswith(_JPEG) else 0
    if archive < 0 or not raw.startswith(charx_file.SIGNATURE, archive):
        return None
    for beginning in MISSING_FILES:
        if uri.startswith(beginning):
            return charx_file.read_file(raw, uri.removeprefix(beginning), MAX_BYTES)
    return raw[:archive] or None  # RisuAI puts the archive after the picture.


def is_elsewhere(card: Object) -> bool:
    """Whether the picture is a link to another server. Links are never followed."""
    return _picture_uri(card).lower().startswith(_ELSEWHERE)


def has_inline_picture(card: Object) -> bool:
    """Whether the card's JSON contains a picture, or did before it was stored."""
    return _is_inline(_picture_uri(card))


def to_store(card: Object) -> Object:
    """The card without the picture in its JSON, which has a stranger's metadata. Its place stays
    recognisable. Other assets stay."""
    return _each_object(card, lambda fields: _replaced(fields, _TAKEN_OUT))


def without_picture(card: Object) -> Object:
    """The card without the places where its JSON had a picture."""
    return _each_object(card, _without)


def with_picture(card: Object, uri: str) -> Object:
    """The card with `uri`, a PNG picture, as its only main icon."""
    card = without_picture(card)
    icon = {"type": "icon", "uri": uri, "name": "main", "ext": "png"}
    listed = _listed(find_fields(card).get("assets"))
    others = [asset for asset in listed if not is_main_icon(asset)]
    return _changed(card, {"assets": [icon, *others]})


def with_inline_picture(card: Object, picture: bytes) -> Object:
    """The card with a PNG picture in place of the one that its JSON contained."""
    uri = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    if _main_icons(find_fields(card)):
        return with_picture(card, uri)
    return _changed(without_picture(card), {"avatar": uri})


def _changed(card: Object, changes: Object) -> Object:
    fields = find_fields(card)
    return card | (changes if fields is card else {"data": fields | changes})


def _each_object(card: Object, change: Callable[[Object], Object]) -> Object:
    """The card with a change applied to its fields, and to those that some tools write beside
    `data`."""
    data = card.get("data")
    return change(card) | ({"data": change(data)} if isinstance(data, dict) else {})


def _replaced(fields: Object, uri: str) -> Object:
    """The fields with `uri` in place of each picture in them."""
    found = {name: uri if _is_avatar(name, value) else value for name, value in fields.items()}
    if inline := _inline_icons(fields):
        assets = _listed(fields["assets"])
        found["assets"] = [one | {"uri": uri} if id(one) in inline else one for one in assets]
    return found


def _without(fields: Object) -> Object:
    found = {name: value for name, value in fields.items() if not _is_avatar(name, value)}
    if inline := _inline_icons(fields):
        found["assets"] = [one for one in _listed(fields["assets"]) if id(one) not in inline]
        if not found["assets"]:
            del found["assets"]
    return found


def _is_avatar(name: str, value: Any) -> bool:
    """Whether a field of a card is a picture."""
    return name in _AVATARS and _is_inline(value)


def _picture_uri(card: Object) -> str:
    """The URI of the icon called main, else of the first icon, else the picture in another field;
    "" if there is none."""
    fields = find_fields(card)
    icons = sorted(_main_icons(fields), key=lambda asset: asset.get("name") != "main")
    if icons:
        return str(icons[0]["uri"])
    values = [where.get(name) for where in (fields, card) for name in _AVATARS]
    texts = [value for value in values if isinstance(value, str)]
    return next(filter(_is_inline, texts), next(filter(None, texts), ""))


def _main_icons(fields: Object) -> list[Object]:
    """The icons that are the character's picture: those called main, else the first."""
    icons = [asset for asset in _listed(fields.get("assets")) if _is_icon(asset)]
    return [icon for icon in icons if is_main_icon(icon)] or icons[:1]


def _inline_icons(fields: Object) -> set[int]:
    """The ids of the icons whose picture is in the card's JSON."""
    return {id(icon) for icon in _main_icons(fields) if _is_inline(icon["uri"])}


def _is_icon(asset: Any) -> bool:
    return is_icon(asset) and isinstance(asset.get("uri"), str)


def _is_inline(uri: Any) -> bool:
    return isinstance(uri, str) and uri.lstrip()[: len(_DATA)].lower() == _DATA


def _listed(assets: Any) -> list[Any]:
    if isinstance(assets, dict):  # Some tools number them.
        return list(assets.values())
    return assets if isinstance(assets, list) else []


def _decoded(uri: str) -> bytes | None:
    """The bytes of a data URI; None if it has none. Their format is checked when they are
    decoded."""
    head, _, body = uri.partition(",")
    if body.count("%") > MAX_ESCAPES:
        return body[:1].encode()
    content = unquote_to_bytes(body.encode(errors="ignore"))
    if not head.rstrip().lower().endswith("base64"):
        return content or None
    # Some omit the padding; characters that are not base64 are skipped.
    padded = content.translate(_OF_URLS).rstrip(b"= \r\n\t") + b"=="
    try:
        return base64.b64decode(padded) or content or None
    except ValueError:
        return content
