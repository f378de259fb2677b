"""The pictures and sounds that a card refers to. Only the main icon is stored."""

import copy
from typing import Any

from roleplay_chat.cards.versions import Object, find_fields

MISSING_FILES = ("embeded://", "embedded://", "__asset:")
"""References to files beside the card, which our exports do not have."""
_RISUAI_LISTS = ("emotions", "additionalAssets")


def without_missing_files(card: Object) -> Object:
    """The card without references to files that are missing from its export; some programs refuse
    cards with such references."""
    card = copy.deepcopy(card)
    fields = find_fields(card)
    assets = fields.get("assets")
    if isinstance(assets, list):
        fields["assets"] = [asset for asset in assets if not _is_missing(asset)]
        if not fields["assets"]:  # Then the file's own picture counts.
            del fields["assets"]
    own = _risuai(fields)
    for name in _RISUAI_LISTS:
        if isinstance(own.get(name), list):
            own[name] = [asset for asset in own[name] if not _is_missing(asset)]
    return card


def count_assets(fields: Object) -> int:
    """The number of pictures and sounds in a card, besides its portrait."""
    assets = fields.get("assets")
    listed = [*(assets if isinstance(assets, list) else [])]
    number = sum(isinstance(asset, dict) and not is_main_icon(asset) for asset in listed)
    lists = (_risuai(fields).get(name) for name in _RISUAI_LISTS)
    return number + sum(len(found) for found in lists if isinstance(found, list))


def is_main_icon(asset: Any) -> bool:
    """Whether an asset is the character's picture."""
    if not isinstance(asset, dict):
        return False
    name = asset.get("name")
    is_main = name is None or (isinstance(name, str) and name.lower() in ("main", "iconx"))
    return (is_icon(asset) and is_main) or asset.get("uri") == "ccdefault:"


def is_icon(asset: Any) -> bool:
    """Whether an asset is a picture of the character."""
    kind = asset.get("type") if isinstance(asset, dict) else None
    return isinstance(kind, str) and kind.lower() == "icon"


def _risuai(fields: Object) -> Object:
    extensions = fields.get("extensions")
    own = extensions.get("risuai") if isinstance(extensions, dict) else None
    return own if isinstance(own, dict) else {}


def _is_missing(asset: Any) -> bool:
    """Whether an asset, or one of its parts if it is a list, is a file beside the card."""
    parts = [asset.get("uri")] if isinstance(asset, dict) else asset
    if not isinstance(parts, list):
        return False
    return any(isinstance(part, str) and part.startswith(MISSING_FILES) for part in parts)
