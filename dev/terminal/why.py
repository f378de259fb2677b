"""Shows the composition of the last reply's prompt in the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dev.terminal.client import Chat, CommandFailed
from dev.terminal.output import tell

GONE = "(deleted since)"
MAX_CHARS = 120


def explain(chat: Chat) -> None:
    """Print the parts of the prompt, and what was in them."""
    reply = chat.newest("character")
    columns = "character_id,turn_prompts(composition)"
    query = f"turns?select={columns}&reply_message_id=eq.{reply['id']}&order=created_at.desc"
    turns = chat.data("GET", f"{query}&limit=1")
    if not turns or not turns[0]["turn_prompts"]:
        raise CommandFailed(
            "It is not known why: a model wrote it days ago or in another branch, or none did."
        )
    composition = turns[0]["turn_prompts"]["composition"]
    for line in lines(composition, _texts(chat, composition, turns[0]["character_id"])):
        tell(line)


def _texts(
    chat: Chat, composition: Mapping[str, Any], character_id: str | None
) -> dict[str, Mapping[Any, Any]]:
    """The texts that a composition refers to, as they are now: facts by id, messages by position,
    and the entries of books."""
    recalled, left_out = composition["recalled"], composition["left_out"]
    facts = ",".join([*composition["facts"], *recalled["facts"], *left_out["facts"]])
    positions = ",".join(map(str, recalled["messages"]))
    here = f"conversation_id=eq.{chat.conversation_id}&is_active=is.true"
    return {
        "facts": {
            row["id"]: row["content"]
            for row in chat.data("GET", f"memory_facts?select=id,content&id=in.({facts})")
        },
        "messages": {
            row["position"]: row["content"]
            for row in chat.data("GET", f"messages?{here}&position=in.({positions})")
        },
        "entries": _entries(chat, character_id, composition),
    }


def _entries(
    chat: Chat, character_id: str | None, composition: Mapping[str, Any]
) -> Mapping[str | None, Sequence[Any]]:
    """The entries of the character's book, and of others by their ids."""
    query = f"characters?select=content:character_book&id=eq.{character_id}"
    own = chat.data("GET", query) if character_id else []
    listed = [*composition["entries"], *composition["left_out"]["entries"]]
    ids = ",".join({entry["book"] for entry in listed if "book" in entry})
    others = chat.data("GET", f"lorebooks?select=id,content&id=in.({ids})") if ids else []
    found = {row.get("id"): (row["content"] or {}).get("entries") for row in [*own, *others]}
    return {book: entries for book, entries in found.items() if isinstance(entries, list)}


def lines(composition: Mapping[str, Any], texts: Mapping[str, Any]) -> Iterator[str]:
    """The lines to print."""
    recalled, left_out, more = (composition[name] for name in ("recalled", "left_out", "more"))
    yield f"The prompt had about {composition['tokens']} tokens:"
    for part in composition["parts"]:
        cut = f"  (of {part['of']})" if "of" in part else ""
        yield f"{part['tokens']:7}  {part['part']}{cut}"
    history = composition["history"]
    yield f"Messages: {history['messages']}; {history['left_out']} more did not fit."
    if left_out.get("summary"):
        yield "The end of the summary was cut."
    facts, messages, entries = texts["facts"], texts["messages"], texts["entries"]
    listed = (
        ("Lorebook", "entries", [_told(entry, entries) for entry in composition["entries"]]),
        ("No room", "left_out_entries", [_told(entry, entries) for entry in left_out["entries"]]),
        ("Facts", "facts", [facts.get(one, GONE) for one in composition["facts"]]),
        ("Recalled", "recalled_facts", [facts.get(one, GONE) for one in recalled["facts"]]),
        ("No room", "left_out_facts", [facts.get(one, GONE) for one in left_out["facts"]]),
        ("Said", "recalled_messages", [messages.get(one, GONE) for one in recalled["messages"]]),
    )
    for title, name, rows in listed:
        if rows:
            yield f"{title}:"
            yield from (f"  - {_line(row)}" for row in rows)
        if name in more:
            yield f"  and {more[name]} more"


def _told(entry: Mapping[str, Any], books: Mapping[str | None, Sequence[Any]]) -> str:
    found = _find(entry, books.get(entry.get("book"), ()))
    if found is None:
        return GONE
    where = ", here or in another entry" if entry.get("indirect") else ""
    if entry.get("stays"):
        where = ", from an earlier reply"
    keys = [
        _key(found.get(name), entry[which])
        for which, name in (("key", "keys"), ("secondary", "secondary_keys"))
        if which in entry
    ]
    why = " and ".join(filter(None, keys)) if keys else "always"
    return f"[{why}{where}] {found.get('name') or found.get('comment') or found.get('content')}"


def _find(entry: Mapping[str, Any], entries: Sequence[Any]) -> Mapping[str, Any] | None:
    """The entry that is meant: books are edited, so an id counts more than a place."""
    rows = [row if isinstance(row, dict) else {} for row in entries]
    if "id" not in entry:
        return rows[entry["place"]] if entry["place"] < len(rows) else None
    there = rows[entry["place"] : entry["place"] + 1]
    return next((row for row in [*there, *rows] if row.get("id") == entry["id"]), None)


def _key(keys: object, place: int) -> str:
    texts = keys.split(",") if isinstance(keys, str) else keys
    if not isinstance(texts, list) or place >= len(texts):
        return "a key that was changed since"
    return str(texts[place]).strip()


def _line(text: str) -> str:
    """The beginning of a text as one line, without control characters."""
    told = "".join(char if char.isprintable() else " " for char in text[:MAX_CHARS])
    return told + ("…" if len(text) > MAX_CHARS else "")
