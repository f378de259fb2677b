"""Reads and writes SillyTavern's chat files: JSON objects, one on each line. Pure.

The first line is a header with the names and the author's note, the others are messages. Chats that
other programs write as one JSON value are first converted to such lines (`formats`). Files are read
leniently: a value of another type is converted or dropped, a line that cannot be read is left out,
and a warning names the line and the field. Texts are data: nothing in them is expanded.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from edge.errors import ApiError
from edge.json_text import loads, value_count_bound
from edge.json_values import flag_or_text, whole
from roleplay_chat.api import MAX_CONTENT_CHARS, NO_TEXT, Object
from roleplay_chat.chats.dates import in_order, parse_time
from roleplay_chat.chats.formats import PEOPLE, Chat, chat_of

MAX_BYTES = 8 * 2**20
MAX_LINES = 10_000
MAX_LINE_BYTES = 2 * 2**20
MAX_LINE_VALUES = 100_000
MAX_VALUES = 300_000
"""The limit for values in a file that is one JSON value."""
MAX_VERSIONS = 50
"""The limit for versions of one reply."""
MAX_ROWS = 10_000
"""Messages and versions together. Further versions are left out."""
MAX_NAME_CHARS = 200
MAX_NAMES = 50
"""The most characters, and the most personas, that are distinguished in one file."""
MAX_NOTE_CHARS = 8_000
MAX_DEPTH = 1_000
MAX_WARNINGS = 40

NOTE_ROLES = ("system", "user", "assistant")
"""Roles by their numbers in files."""
IN_CHAT = 1
"""The number of the position among the messages."""
_NOT_KEPT = ("variables", "world_info", "scenario", "mes_example", "system_prompt")
"""Fields of a header that conversations here do not have."""
_MEDIA = ("image", "image_swipes", "video", "file", "files", "media")


class Said(Struct, frozen=True):
    """A message, with the versions of a reply."""

    sender: Literal["user", "character"]
    name: str | None
    """Of a character: its name, if it is not the conversation's character. Of the person: whom they
    played, if that changed."""
    is_hidden: bool
    said_at: datetime | None
    versions: Sequence[str]
    active: int = 0

    def row(self) -> Object:
        """The message as import_chat takes it."""
        return {
            "sender": self.sender,
            "name": self.name,
            "is_hidden": self.is_hidden,
            "said_at": self.said_at.isoformat() if self.said_at else None,
            "versions": list(self.versions),
            "active": self.active,
        }


class ChatFile(Struct, frozen=True):
    """The contents of a file."""

    messages: Sequence[Said]
    settings: Object | None
    """Columns of conversation_settings, if there is an author's note."""
    warnings: Sequence[str]


class _Warnings(Struct):
    """Sentences for the person; further ones are only counted."""

    sentences: list[str] = field(default_factory=list)
    more: int = 0
    parts: str = "Line"
    """The names of the parts of the file."""

    def add(self, number: int, name: str, sentence: str) -> None:
        part = f"{self.parts} {number}" if number else "Header"
        where = f"{part}, {name}" if name else part
        if len(self.sentences) < MAX_WARNINGS:
            self.sentences.append(f"{where}: {sentence}")
        else:
            self.more += 1

    def all(self) -> list[str]:
        return [*self.sentences, *([f"{self.more} more of these."] if self.more else [])]


def invalid(sentence: str) -> ApiError:
    """The error for a file that is not a chat."""
    return ApiError(400, "invalid_chat", sentence)


def too_large(sentence: str) -> ApiError:
    """The error for a chat that exceeds a limit."""
    return ApiError(413, "chat_too_large", sentence)


def read(raw: bytes, now: datetime) -> ChatFile:
    """Read a file. Raises `ApiError` 400 if it has no messages, 413 if it is too large."""
    if len(raw) > MAX_BYTES:
        raise too_large(f"The chat is too large: at most {MAX_BYTES:,} bytes.")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    value = _whole_value(raw.strip())
    chat = chat_of(value)
    warnings = _Warnings([*_said_of(chat)], parts="Message" if chat else "Line")
    lines = list(_numbered(chat.lines, warnings) if chat else _lines(raw, warnings))
    if len(lines) > MAX_LINES:
        raise too_large(f"The chat has too many lines: at most {MAX_LINES:,} messages.")
    header = lines.pop(0) if lines and _is_header(lines[0][1]) else None
    messages = [said for number, row in lines if (said := _message(number, row, warnings))]
    if not messages:
        raise invalid(_no_messages(value, chat))
    main = _name(header[1].get("character_name")) if header else ""
    named = _with_names_of_several_personas(_without_main_name(messages, main))
    dated = zip(named, in_order([said.said_at for said in named], now), strict=True)
    return ChatFile(
        messages=_within_rows([replace(said, said_at=time) for said, time in dated], warnings),
        settings=_settings(*header, warnings) if header else None,
        warnings=warnings.all(),
    )


def _whole_value(raw: bytes) -> Any:
    """The file as one JSON value; None if it is not exactly one."""
    first, _, rest = raw.partition(b"\n")
    if raw[:1] not in (b"[", b"{") or (rest and _is_object(first)):
        return None
    if value_count_bound(raw) > MAX_VALUES:
        raise too_large(f"The chat has too many values: at most {MAX_VALUES:,}.")
    return _parsed(raw)


def _is_object(line: bytes) -> bool:
    is_small = len(line) <= MAX_LINE_BYTES and value_count_bound(line) <= MAX_LINE_VALUES
    return is_small and isinstance(_parsed(line), dict)


def _parsed(raw: bytes) -> Any:
    try:
        return loads(raw)
    except (ValueError, RecursionError):
        return None


def _said_of(chat: Chat | None) -> Iterator[str]:
    if chat and chat.program and chat.program != "SillyTavern":
        yield f"The chat was converted from the format of {chat.program}."
    yield from chat.warnings if chat else ()


def _no_messages(value: object, chat: Chat | None) -> str:
    """The sentence for a file without messages."""
    if isinstance(value, dict) and not chat and (found := _what_it_is(value)):
        return f"There are no messages in this file: it is {found}. Import it as a character is."
    return (
        "There are no messages in this file. A chat of SillyTavern is a .jsonl file with one"
        " message on each line."
    )


def _what_it_is(value: Object) -> str | None:
    # Imported here: chats have no other need of cards.
    from roleplay_chat.cards.formats import what_it_is
    from roleplay_chat.cards.versions import declares_card, describes_character

    if declares_card(value) or describes_character(value):
        return "a character"
    found = what_it_is(value)
    return None if found and found.startswith("a chat") else found


def _numbered(rows: Sequence[Any], warnings: _Warnings) -> Iterator[tuple[int, Object]]:
    """The messages of a chat with their numbers, after its header, if there is one, with 0."""
    has_header = bool(rows) and isinstance(rows[0], dict) and _is_header(rows[0])
    for number, row in enumerate(rows, 0 if has_header else 1):
        if isinstance(row, dict):
            yield number, row
        else:
            warnings.add(number, "", "it is not a JSON object and was left out.")


def _lines(raw: bytes, warnings: _Warnings) -> Iterator[tuple[int, Object]]:
    """The objects of the lines, with their numbers."""
    if raw.count(b"\n") > 2 * MAX_LINES:
        raise too_large(f"The chat has too many lines: at most {MAX_LINES:,} messages.")
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES or value_count_bound(line) > MAX_LINE_VALUES:
            warnings.add(number, "", "it is too large and was left out.")
        elif isinstance(row := _parsed(line), dict):
            yield number, row
        else:
            warnings.add(number, "", "it is not a JSON object and was left out.")


def _is_header(row: Mapping[str, Any]) -> bool:
    return "mes" not in row and "swipes" not in row and "is_user" not in row


# --- messages -------------------------------------------------------------------------------


def _message(number: int, row: Mapping[str, Any], warnings: _Warnings) -> Said | None:
    """The message of a line; None if it has no text."""
    sender: Literal["user", "character"] = (
        "user" if _flag(number, "is_user", row, warnings) else "character"
    )
    versions, active = _versions(number, row, sender, warnings)
    if not versions:
        warnings.add(number, "mes", "there is no text, so the message was left out.")
        return None
    time = parse_time(row.get("send_date"))
    if time is None and row.get("send_date") is not None:
        warnings.add(number, "send_date", "this is no time that we can read; it was dropped.")
    extra = row.get("extra")
    if isinstance(extra, dict) and any(extra.get(name) for name in _MEDIA):
        warnings.add(number, "extra", "pictures and files were left out.")
    name = _name(row.get("name"))
    if sender == "user" and name.lower() in PEOPLE:
        name = ""
    is_hidden = _flag(number, "is_system", row, warnings)
    return Said(sender, name or None, is_hidden, time, versions, active)


def _versions(
    number: int, row: Mapping[str, Any], sender: str, warnings: _Warnings
) -> tuple[list[str], int]:
    """The texts of a message without blank ones, and the place of the active one. `mes` is the
    active text, even if it was edited after the versions were stored."""
    said = _text(number, "mes", row.get("mes"), warnings)
    swipes = row.get("swipes")
    if isinstance(swipes, str):
        swipes = [swipes]
    if swipes is not None and not isinstance(swipes, list):
        warnings.add(number, "swipes", "this is no list; it was dropped.")
    if not isinstance(swipes, list) or not swipes:
        return ([said], 0) if said.strip() else ([], 0)
    texts = [
        _text(number, f"swipes[{place}]", swipe, warnings)
        for place, swipe in enumerate(swipes[:MAX_LINE_VALUES])
    ]
    chosen = _place(number, row.get("swipe_id"), texts, said, warnings)
    if said.strip():
        texts[chosen : chosen + 1] = [said]
    texts[:] = [text if text.strip() else "" for text in texts]
    if not any(texts):
        return [], 0
    if not texts[chosen]:
        chosen = next(place for place, text in enumerate(texts) if text)
    if sender == "user" and sum(map(bool, texts)) > 1:
        warnings.add(number, "swipes", "only replies have versions; the others were left out.")
        return [texts[chosen]], 0
    kept = [place for place, text in enumerate(texts) if text]
    if len(kept) > MAX_VERSIONS:
        warnings.add(number, "swipes", f"only {MAX_VERSIONS} versions were kept.")
        others = [place for place in kept if place != chosen]
        kept = sorted([chosen, *others[: MAX_VERSIONS - 1]])
    return [texts[place] for place in kept], kept.index(chosen)


def _place(
    number: int, swipe_id: object, texts: Sequence[str], said: str, warnings: _Warnings
) -> int:
    """The place of the active version; the end of the list for a text that is not among them."""
    if isinstance(swipe_id, str) and swipe_id.strip().isdecimal():
        swipe_id = int(swipe_id.strip()[:9])
    if isinstance(swipe_id, float) and swipe_id.is_integer():
        swipe_id = int(swipe_id)
    if isinstance(swipe_id, int) and not isinstance(swipe_id, bool) and 0 <= swipe_id < len(texts):
        return swipe_id
    if swipe_id is not None:
        warnings.add(number, "swipe_id", "there is no such version; the shown text was kept.")
    if said in texts:
        return texts.index(said)
    return len(texts) if said.strip() else len(texts) - 1


def _text(number: int, name: str, value: object, warnings: _Warnings) -> str:
    """The text of a value; "" if it is not a text."""
    if isinstance(value, dict) and "message" in value:  # Chub wraps a text in an object.
        value = value["message"]
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        warnings.add(number, name, "a value that is no text was converted.")
        value = json.dumps(value)
    if not isinstance(value, str):
        warnings.add(number, name, "this is no text; it was dropped.")
        return ""
    if NO_TEXT.search(value):
        warnings.add(number, name, "characters that are no text were removed.")
        value = NO_TEXT.sub("", value)
    if len(value) > MAX_CONTENT_CHARS:
        warnings.add(number, name, f"the text was cut to {MAX_CONTENT_CHARS:,} characters.")
    return value[:MAX_CONTENT_CHARS]


def _flag(number: int, name: str, row: Mapping[str, Any], warnings: _Warnings) -> bool:
    value = row.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return False
    found = flag_or_text(value)
    if found is None:
        warnings.add(number, name, "this is neither true nor false; it counts as false.")
    return bool(found)


def _name(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return NO_TEXT.sub("", str(value)[: 2 * MAX_NAME_CHARS]).strip()[:MAX_NAME_CHARS]


def _without_main_name(messages: Sequence[Said], main: str) -> list[Said]:
    """The messages, without the name of the conversation's character. That is the one in the
    header, or the only one that speaks.
    """
    replies = [said for said in messages if said.sender == "character"]
    spoke = dict.fromkeys(said.name for said in replies if said.name and not said.is_hidden)
    only = next(iter(spoke)) if len(spoke) == 1 else ""
    mains = {name.lower() for name in (main, only) if name}
    named = dict.fromkeys(
        said.name for said in replies if said.name and said.name.lower() not in mains
    )
    return _with_names(messages, "character", list(named)[:MAX_NAMES])


def _with_names_of_several_personas(messages: Sequence[Said]) -> list[Said]:
    """The messages, with the names of whom the person played only if they played several."""
    newest = reversed([said for said in messages if said.sender == "user"])
    named = dict.fromkeys(said.name for said in newest if said.name)
    is_one = len({name.lower() for name in named}) <= 1
    return _with_names(messages, "user", [] if is_one else list(named)[:MAX_NAMES])


def _with_names(messages: Sequence[Said], sender: str, names: Iterable[str]) -> list[Said]:
    """The messages, those of the sender without other names than these."""
    kept = set(names)
    return [
        said if said.sender != sender or said.name in kept else replace(said, name=None)
        for said in messages
    ]


def _within_rows(messages: Sequence[Said], warnings: _Warnings) -> list[Said]:
    """The messages, with as many versions as there is room for."""
    room = MAX_ROWS - len(messages)
    kept: list[Said] = []
    for said in messages:
        further = len(said.versions) - 1
        if further <= max(room, 0):
            kept.append(said)
            room -= further
        else:
            kept.append(replace(said, versions=[said.versions[said.active]], active=0))
            room = -1
    if room < 0:
        warnings.sentences.append(
            f"Only {MAX_ROWS:,} messages and versions fit, so later versions were left out."
        )
    return kept


# --- the header -----------------------------------------------------------------------------


def _settings(number: int, header: Mapping[str, Any], warnings: _Warnings) -> Object | None:
    """The author's note of a header as columns of conversation_settings."""
    data = header.get("chat_metadata")
    if not isinstance(data, dict):
        if data is not None:
            warnings.add(number, "chat_metadata", "this is no object; it was dropped.")
        return None
    for name in _NOT_KEPT:
        if data.get(name):
            warnings.add(number, f"chat_metadata.{name}", "it is not used here and was left out.")
    note = _text(number, "chat_metadata.note_prompt", data.get("note_prompt"), warnings).strip()
    if not note:
        return None
    interval = _whole(data.get("note_interval"), 1)
    if interval == 0:
        warnings.add(number, "chat_metadata.note_interval", "the author's note was turned off.")
        return None
    if interval != 1:
        warnings.add(number, "chat_metadata.note_interval", "the note will be in every prompt.")
    if _whole(data.get("note_position"), IN_CHAT) != IN_CHAT:
        warnings.add(number, "chat_metadata.note_position", "the note will be among the messages.")
    if len(note) > MAX_NOTE_CHARS:
        warnings.add(number, "chat_metadata.note_prompt", f"cut to {MAX_NOTE_CHARS:,} characters.")
    return {
        "note": note[:MAX_NOTE_CHARS],
        "note_depth": min(max(_whole(data.get("note_depth"), 4), 0), MAX_DEPTH),
        "note_role": _role(data.get("note_role")),
    }


def _role(value: object) -> str:
    if value in NOTE_ROLES:
        return str(value)
    number = _whole(value, 0)
    return NOTE_ROLES[number] if 0 <= number < len(NOTE_ROLES) else NOTE_ROLES[0]


def _whole(value: object, default: int) -> int:
    """A whole number, which may be written as text; the default for other values."""
    if isinstance(value, str) and value.strip()[:9].isdecimal():
        return int(value.strip()[:9])
    found = whole(value, minimum=-MAX_ROWS, maximum=MAX_ROWS)
    return default if found is None else found


# --- writing --------------------------------------------------------------------------------


def write(found: Mapping[str, Any]) -> str:
    """The file of a conversation, from the result of export_chat."""
    user, character = found["user"] or "User", found["character"] or "Character"
    header = {
        "user_name": user,
        "character_name": character,
        "create_date": _time(found["created_at"]),
        "chat_metadata": _metadata(found["settings"]),
    }
    messages = (_line(rows, user, character) for rows in _by_position(found["messages"]))
    return "".join(
        json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *messages) if line
    )


def _metadata(settings: Mapping[str, Any] | None) -> Object:
    if not settings or not settings["note"]:
        return {}
    return {
        "note_prompt": settings["note"],
        "note_interval": 1,
        "note_position": IN_CHAT,
        "note_depth": settings["note_depth"],
        "note_role": NOTE_ROLES.index(settings["note_role"]),
    }


def _dated(name: str, written: str | None) -> Object:
    """A field with a time; without the field where none is known, as of messages of a product."""
    return {name: _time(written)} if written else {}


def _time(written: str) -> str:
    time = datetime.fromisoformat(written).astimezone(UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _by_position(rows: Iterable[Object]) -> list[list[Object]]:
    places: dict[int, list[Object]] = {}
    for row in rows:
        places.setdefault(row["position"], []).append(row)
    return list(places.values())


def _line(versions: Sequence[Object], user: str, character: str) -> Object:
    """One message with its versions."""
    active = next((place for place, row in enumerate(versions) if row["is_active"]), 0)
    shown = versions[active]
    is_user = shown["sender"] == "user"
    line = {
        "name": shown["name"] or (user if is_user else character),
        "is_user": is_user,
        "is_system": shown["is_hidden"],
        **_dated("send_date", shown["said_at"]),
        "mes": shown["content"],
        "extra": {},
    }
    if is_user:
        return line
    return line | {
        "swipe_id": active,
        "swipes": [row["content"] for row in versions],
        "swipe_info": [{**_dated("send_date", row["said_at"]), "extra": {}} for row in versions],
    }
