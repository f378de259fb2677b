"""The picture of a character in its card's file, and in the file that is written of it."""

import base64
from typing import Any

from roleplay_chat.cards import charx_file, png_file
from roleplay_chat.cards.assets import MISSING_FILES, is_main_icon
from roleplay_chat.cards.versions import Object, find_fields
from roleplay_chat.portraits.redraw import MAX_BYTES

IN_ARCHIVE = "assets/icon/image/main.png"
"""The path of the picture in a CHARX file."""
THE_PICTURE_ITSELF = "ccdefault:"
"""In a PNG file, the picture that has the card in it."""
_JPEG = b"\xff\xd8\xff"
_DATA = "data:"
_ELSEWHERE = ("http:", "https:", "//")


def find_picture(raw: bytes, card: Object) -> bytes | None:
    """The character's picture in a file of any format, not decoded; None if there is none.

    `raw` is the file, empty for a card that is JSON already.
    """
    if raw.startswith(png_file.SIGNATURE):
        return raw
    uri = _icon(find_fields(card))
    if uri.startswith(_DATA):
        return _decoded(uri)
    archive = raw.find(charx_file.SIGNATURE) if raw.startswith(_JPEG) else 0
    if archive < 0 or not raw.startswith(charx_file.SIGNATURE, archive):
        return None
    for beginning in MISSING_FILES:
        if uri.startswith(beginning):
            return charx_file.read_file(raw, uri.removeprefix(beginning), MAX_BYTES)
    return raw[:archive] or None  # RisuAI puts the archive behind the picture.


def is_elsewhere(card: Object) -> bool:
    """Whether the picture is a link to another server. None is ever followed."""
    return _icon(find_fields(card)).lower().startswith(_ELSEWHERE)


def has_inline_picture(card: Object) -> bool:
    """Whether the card's JSON has a picture in it."""
    return _icon(find_fields(card)).startswith(_DATA)


def with_picture(card: Object, uri: str) -> Object:
    """The card with `uri` as its main icon, a PNG picture, instead of those that it has."""
    fields = find_fields(card)
    others = [asset for asset in _listed(fields.get("assets")) if not _is_shown(asset)]
    icon = {"type": "icon", "uri": uri, "name": "main", "ext": "png"}
    return _changed(card, fields, {"assets": [icon, *others]})


def with_inline_picture(card: Object, picture: bytes) -> Object:
    """The card with a PNG picture in place of the one that its JSON has."""
    fields = find_fields(card)
    uri = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    if not any(map(_is_icon, _listed(fields.get("assets")))):
        return _changed(card, fields, {"avatar": uri})
    return with_picture(card, uri)


def _changed(card: Object, fields: Object, changes: Object) -> Object:
    changed = {name: value for name, value in fields.items() if not _is_inline_avatar(name, value)}
    changed |= changes
    return changed if fields is card else card | {"data": changed}


def _is_inline_avatar(name: str, value: Any) -> bool:
    return name == "avatar" and isinstance(value, str) and value.startswith(_DATA)


def _is_shown(asset: Any) -> bool:
    """Whether an asset is the character's picture, or one in its stead."""
    return is_main_icon(asset) or (_is_icon(asset) and asset["uri"].startswith(_DATA))


def _icon(fields: Object) -> str:
    """The URI of the main icon, or of the first if none is called so; "" if there is none."""
    icons = [asset for asset in _listed(fields.get("assets")) if _is_icon(asset)]
    icons.sort(key=lambda asset: asset.get("name") != "main")
    uri = icons[0]["uri"] if icons else fields.get("avatar")
    return uri if isinstance(uri, str) else ""


def _is_icon(asset: Any) -> bool:
    is_icon = isinstance(asset, dict) and asset.get("type") == "icon"
    return is_icon and isinstance(asset.get("uri"), str)


def _listed(assets: Any) -> list[Any]:
    return assets if isinstance(assets, list) else []


def _decoded(uri: str) -> bytes | None:
    """The bytes of a data URI; None if it has none. What they are is seen when they are decoded."""
    head, _, body = uri.partition(",")
    if not head.lower().endswith(";base64"):
        return None
    try:
        return base64.b64decode(body) or None
    except ValueError:
        return None
