"""Characters as YAML, the format of text-generation-webui.

Every scalar is text, and anchors, tags and merges are refused: no file can run code or expand.
"""

import re
from typing import Any

import yaml  # type: ignore[import-untyped]

from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.json_file import MAX_DEPTH

MAX_YAML_BYTES = 256 * 2**10
"""More than a character's texts; these files have no pictures and no lorebooks."""
MAX_EVENTS = 10_000
_NULLS = ("", "~", "null", "Null", "NULL")
_KEY = re.compile(rb"^[\"']?(?:char_name|char_persona|name|context|greeting)[\"']? ?:", re.M)
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def is_yaml(raw: bytes) -> bool:
    """Whether the bytes look like a character in YAML: a line begins with one of its fields."""
    return len(raw) <= MAX_YAML_BYTES and _KEY.search(raw) is not None


def read(raw: bytes) -> Any:
    """The content of a YAML file, not checked. Raises `ApiError` 400 or 413."""
    try:
        return _parsed(raw.decode("utf-8-sig"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise invalid("The character is not valid YAML.") from error


def _parsed(text: str) -> Any:
    """The document. Built from events, so that its depth cannot exhaust the stack."""
    root: list[Any] = []
    open_: list[list[Any]] = [root]
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if number >= MAX_EVENTS:
            raise too_large(f"The YAML has more than {MAX_EVENTS:,} parts.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise invalid("The YAML has anchors or aliases, which characters do not need.")
        if isinstance(event, yaml.ScalarEvent):
            open_[-1].append(_scalar(event))
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            if len(open_) > MAX_DEPTH:
                raise invalid(f"The YAML is nested more than {MAX_DEPTH} levels deep.")
            open_.append([])
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            items = open_.pop()
            is_mapping = isinstance(event, yaml.MappingEndEvent)
            open_[-1].append(_mapping(items) if is_mapping else items)
    return root[0] if len(root) == 1 else None


def _scalar(event: Any) -> str | None:
    is_null = not event.style and event.value in _NULLS  # Plain, neither quoted nor a block.
    return None if is_null else str(event.value)


def _mapping(items: list[Any]) -> dict[str, Any]:
    if not all(isinstance(name, str) for name in items[::2]):
        raise invalid("The YAML has a key that is not text.")
    return dict(zip(items[::2], items[1::2], strict=True))
