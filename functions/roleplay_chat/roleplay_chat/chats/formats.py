"""Converts chats that other programs write as one JSON value to SillyTavern's lines. Pure.

Values are moved as they are; `sillytavern` looks at their types.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from roleplay_chat.api import Object

SILLYTAVERN = "SillyTavern"
PEOPLE = ("user", "human", "you")
"""What programs call the person who has no name."""
_NOT_SPEECH = ("system", "developer", "tool")
_BEGINS = "<|BEGIN-VISIBLE-CHAT|>"
"""What text-generation-webui writes for the person before a greeting."""
_KOBOLD_TURNS = re.compile(r"\{\{\[(INPUT|OUTPUT)(?:_END)?\]\}\}")
ONE_OF_SEVERAL = "The file has {count} chats; the first one was imported."
NO_GREETING = "RisuAI keeps the greeting in the character, so the chat begins without it."


class Chat(Struct, frozen=True):
    """A chat as lines: a header, if there is one, then the messages."""

    lines: Sequence[Any]
    program: str | None = None
    """The program that wrote it, if that is known."""
    warnings: tuple[str, ...] = ()


def chat_of(value: Any) -> Chat | None:
    """The chat in a JSON value; None if it is something else."""
    if isinstance(value, list):
        return _list(value)
    if not isinstance(value, dict):
        return None
    return next(filter(None, (read(value) for read in _READERS)), None)


def _list(rows: Sequence[Any]) -> Chat | None:
    if any(isinstance(row, dict) and ("mes" in row or "swipes" in row) for row in rows):
        return Chat(rows, SILLYTAVERN)
    if any(isinstance(row, dict) and row.keys() >= _ROLE for row in rows):
        return Chat([_of_role(row) for row in rows])
    if rows and all(_is_pair(row) for row in rows):
        return Chat(_of_pairs(rows))
    return None


_ROLE = {"role", "content"}


def _of_role(row: Any) -> Any:
    """A message as APIs of models have it."""
    if not isinstance(row, dict):
        return row
    role, content = str(row.get("role")).lower(), row.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "\n".join(part for part in parts if isinstance(part, str))
    return {
        "mes": content,
        "is_user": role in PEOPLE,
        "is_system": role in _NOT_SPEECH,
        "name": row.get("name"),
    }


def _is_pair(row: Any) -> bool:
    is_two = isinstance(row, list) and len(row) == 2
    return is_two and all(isinstance(text, str | None) for text in row)


def _of_pairs(
    pairs: Iterable[Sequence[Any]], times: Mapping[str, Any] | None = None
) -> list[Object]:
    """Messages in pairs of the person's and the character's. `times` has their times and
    versions."""
    lines: list[Object] = []
    for number, (said, reply) in enumerate(pairs):
        if said and said != _BEGINS:
            lines.append({"mes": said, "is_user": True} | _more(times, f"user_{number}"))
        if reply:
            lines.append({"mes": reply, "is_user": False} | _more(times, f"assistant_{number}"))
    return lines


def _more(times: Mapping[str, Any] | None, name: str) -> Object:
    found = times.get(name) if times else None
    if not isinstance(found, dict):
        return {}
    more: Object = {"send_date": found.get("timestamp")}
    versions = found.get("versions")
    if isinstance(versions, list) and versions:
        texts = [one.get("content") if isinstance(one, dict) else one for one in versions]
        more |= {"swipes": texts, "swipe_id": found.get("current_version_index")}
    return more


def _webui(value: Object) -> Chat | None:
    """A history of text-generation-webui: pairs, as the model saw them if that is stored."""
    for name in ("internal", "data", "visible", "data_visible", "history"):
        pairs = value.get(name)
        if isinstance(pairs, list) and pairs and all(map(_is_pair, pairs)):
            metadata = value.get("metadata")
            times = metadata if isinstance(metadata, dict) else None
            return Chat(_of_pairs(pairs, times), "text-generation-webui")
    return None


def _messages(value: Object) -> Chat | None:
    """Messages of Agnai, of an API, or lines of SillyTavern in an object."""
    for name in ("messages", "chat", "history"):
        rows = value.get(name)
        if not isinstance(rows, list):
            continue
        if any(isinstance(row, dict) and "msg" in row for row in rows):
            return Chat([_of_agnai(row) for row in rows], "Agnai")
        if found := _list(rows):
            return found
    return None


def _of_agnai(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    is_user = bool(row.get("userId"))
    retries = row.get("retries")
    versions = [row.get("msg"), *retries] if isinstance(retries, list) and retries else []
    return {
        "mes": row.get("msg"),
        "is_user": is_user,
        "is_system": row.get("system") is True,
        "name": row.get("name") or (None if is_user else row.get("handle")),
        "send_date": row.get("createdAt"),
        "swipes": versions,
        "swipe_id": 0 if versions else None,
    }


def _risuai(value: Object) -> Chat | None:
    data: Any = value.get("data") if value.get("type") in ("risuChat", "risuAllChats") else value
    chats = data if isinstance(data, list) else [data]
    chats = [chat for chat in chats if isinstance(chat, dict)]
    chats = [chat for chat in chats if isinstance(chat.get("message"), list)]
    if not chats:
        return None
    note = {"chat_metadata": {"note_prompt": chats[0].get("note")}}
    said = chats[0]["message"]
    hidden = _hidden_by_later(said)
    rows = [_of_risuai(row, number < hidden) for number, row in enumerate(said)]
    warnings = (*_several(chats), *_without_greeting(chats[0]))
    return Chat([note, *rows], "RisuAI", warnings)


def _hidden_by_later(rows: Sequence[Any]) -> int:
    """How many messages are hidden because one of them says so for all before it."""
    places = range(len(rows), 0, -1)
    return next((place for place in places if _is_hiding_all(rows[place - 1])), 0)


def _is_hiding_all(row: Any) -> bool:
    return isinstance(row, dict) and row.get("disabled") == "allBefore"


def _without_greeting(chat: Object) -> tuple[str, ...]:
    """A warning if the chat begins with a greeting that is not in the file."""
    first = next((row for row in chat["message"] if isinstance(row, dict)), {})
    return (NO_GREETING,) if "fmIndex" in chat and first.get("role") == "user" else ()


def _of_risuai(row: Any, is_hidden: bool) -> Any:
    if not isinstance(row, dict):
        return row
    return {
        "mes": row.get("data"),
        "is_user": row.get("role") == "user",
        "is_system": is_hidden or bool(row.get("disabled") or row.get("isComment")),
        "name": row.get("name"),
        "send_date": row.get("time"),
    }


def _character_ai(value: Object) -> Chat | None:
    """A history that CAI Tools saved."""
    kept = value.get("histories")
    listed = kept.get("histories") if isinstance(kept, dict) else kept
    chats = [chat for chat in listed if isinstance(chat, dict)] if isinstance(listed, list) else []
    chats = [chat for chat in chats if isinstance(chat.get("msgs"), list)]
    if not chats:
        return None
    rows = [_of_character_ai(row) for row in chats[0]["msgs"]]
    return Chat(rows, "CAI Tools", _several(chats))


def _of_character_ai(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    source: Any = row.get("src")
    source = source if isinstance(source, dict) else {}
    return {
        "mes": row.get("text"),
        "is_user": source.get("is_human"),
        "name": source.get("name"),
        "send_date": row.get("created"),
    }


def _kobold(value: Object) -> Chat | None:
    """A story of KoboldAI Lite, whose texts have marks where the speaker changes."""
    actions, settings = value.get("actions"), value.get("savedsettings")
    if not isinstance(actions, list) or not isinstance(settings, dict):
        return None
    opponents = str(settings.get("chatopponent") or "").split("||$||")
    header = {"user_name": settings.get("chatname"), "character_name": opponents[0]}
    texts = [text for text in (value.get("prompt"), *actions) if isinstance(text, str)]
    return Chat([header, *(line for text in texts for line in _of_kobold(text))], "KoboldAI Lite")


def _of_kobold(text: str) -> Iterable[Object]:
    before, *marked = _KOBOLD_TURNS.split(text)
    turns = [("OUTPUT", before), *zip(marked[::2], marked[1::2], strict=True)]
    for mark, said in turns:
        if said.strip():
            yield {"mes": said.strip(), "is_user": mark == "INPUT"}


def _several(chats: Sequence[Any]) -> tuple[str, ...]:
    return (ONE_OF_SEVERAL.format(count=len(chats)),) if len(chats) > 1 else ()


_READERS: Sequence[Callable[[Object], Chat | None]] = (
    _risuai,
    _character_ai,
    _kobold,
    _webui,
    _messages,
)
