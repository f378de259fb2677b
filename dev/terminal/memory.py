"""Shows and changes the memory of the conversation in the terminal."""

from typing import Any

from dev.terminal.client import Chat, CommandFailed
from dev.terminal.output import tell

USAGE = (
    "Use /memory, /memory add TEXT, /memory pin N, /memory change N TEXT, /memory move N TIER,"
    " /memory rate N 1-5, /memory off N, /memory on N, /memory forget N, /memory summary TEXT,"
    " /memory on or /memory off."
)


def run(chat: Chat, words: str) -> None:
    """Run a /memory command, with the words after it: see `USAGE`."""
    order, _, rest = words.partition(" ")
    rest = rest.strip()
    if not order:
        _show(chat)
    elif order == "add" and rest:
        _add(chat, rest)
    elif order == "summary":
        _write_summary(chat, rest)
    elif order in ("on", "off") and not rest:
        _switch(chat, is_on=order == "on")
    else:
        number, _, more = rest.partition(" ")
        _change(chat, order, number, more.strip())


def _change(chat: Chat, order: str, number: str, more: str) -> None:
    """Run a command for the fact with this number in the list."""
    is_known = order in ("pin", "forget", "on", "off") and not more
    is_rating = order == "rate" and more in ("1", "2", "3", "4", "5")
    takes_more = order in ("change", "move") and more
    if not number.isdecimal() or not (is_known or is_rating or takes_more):
        raise CommandFailed(USAGE)
    facts = _facts(chat)
    if not 0 < int(number) <= len(facts):
        raise CommandFailed(f"There is no fact {number}. /memory lists them.")
    fact = facts[int(number) - 1]
    conversation_id, seen = chat.seen_facts
    listed = seen[int(number) - 1 :][:1] if conversation_id == chat.conversation_id else []
    if listed and listed != _versions([fact]):
        raise _changed_elsewhere(chat, f"Fact {number}")
    path = f"memory_facts?id=eq.{fact['id']}&digest=eq.{fact['digest']}"
    if order == "move":
        _check_tier(more)
    if order == "forget":
        written = chat.data("DELETE", path)
    else:
        written = chat.data("PATCH", path, _changes(chat, order, fact, more))
    if not written:
        raise _changed_elsewhere(chat, f"Fact {number}")
    _show(chat)


def _changed_elsewhere(chat: Chat, what: str) -> CommandFailed:
    """Shows the memory as it is now, and returns the error."""
    _show(chat)
    return CommandFailed(
        f"{what} was changed elsewhere. The newer text is shown; repeat the command to replace it."
    )


def _check_tier(name: str) -> None:
    from roleplay_chat.api import MEMORY_TIERS  # Slow to import, and for this command alone.

    if name not in MEMORY_TIERS:
        raise CommandFailed(f"There is no tier {name}. Use {', '.join(MEMORY_TIERS)}.")


def _changes(chat: Chat, order: str, fact: dict[str, Any], more: str) -> dict[str, Any]:
    """The columns of a fact that a command changes."""
    if order == "pin":
        return {"pinned": not fact["pinned"]}
    if order in ("on", "off"):
        return {"is_active": order == "on"}
    if order == "rate":
        return {"importance": int(more)}
    return {"content": more} if order == "change" else {"memory_id": _memory(chat, more)}


def _show(chat: Chat) -> None:
    columns = "person_content,person_digest,content,covers_position"
    query = f"conversation_summaries?select={columns}&conversation_id=eq.{chat.conversation_id}"
    rows = chat.data("GET", query)
    for row in rows:
        for part in filter(None, (row["person_content"], row["content"])):
            tell(part)
    chat.seen_summary = (chat.conversation_id, rows[0] if rows else None)
    facts = _facts(chat)
    chat.seen_facts = (chat.conversation_id, _versions(facts))
    hidden = {one: fact["content"] for fact in facts if fact["is_active"] for one in fact["hides"]}
    for number, fact in enumerate(facts, 1):
        pin = " (pinned)" if fact["pinned"] else ""
        off = "" if fact["is_active"] else " (off)"
        since = f" (since {fact['since'][:10]})" if fact["since"] else ""
        tier = fact["memories"]["tier"]
        is_fixed = fact["pinned"] or fact["written_by"] == "person"
        newer = None if is_fixed else hidden.get(fact["id"])
        here = f" (not here: replaced by {newer})" if newer else ""
        tell(f"{number:3} {fact['content']}{since}{pin}{off}{here}  [{tier}]")
    if not facts:
        tell("There are no facts.", "dim")


def _versions(facts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(fact["id"], fact["digest"]) for fact in facts]


def _facts(chat: Chat) -> list[dict[str, Any]]:
    """The facts that hold now and may reach this conversation, in a stable order."""
    reach = (
        f"(conversation_id.eq.{chat.conversation_id},character_id.eq.{chat.character_id},"
        "tier.eq.profile)"
    )
    query = (
        "memory_facts?select=id,content,digest,pinned,is_active,since,written_by,hides"
        ",memories!inner(tier)"
        "&replaced_by=is.null&is_withdrawal=is.false"
    )
    found: list[dict[str, Any]] = chat.data(
        "GET", f"{query}&memories.or={reach}&order=created_at,id"
    )
    return found


def _add(chat: Chat, content: str) -> None:
    memory_id = _memory(chat, "conversation")
    chat.data("POST", "memory_facts", {"memory_id": memory_id, "content": content})
    tell("Saved.", "dim")


def _memory(chat: Chat, tier: str) -> str:
    """The id of this memory. Creates it if needed."""
    row = chat.memory_row(tier)
    which = "&".join(f"{name}=eq.{value}" for name, value in row.items())
    found = chat.data("GET", f"memories?select=id&{which}")
    return str((found or chat.data("POST", "memories?select=id", row))[0]["id"])


def _write_summary(chat: Chat, words: str) -> None:
    """Replace the summary, as it was shown last; without words, a model rewrites it."""
    conversation_id, row = chat.seen_summary
    changes: dict[str, Any] = {"person_content": words}
    path = f"conversation_summaries?conversation_id=eq.{chat.conversation_id}"
    seen = ""
    if conversation_id == chat.conversation_id:
        changes["seen_position"] = row["covers_position"] if row else 0
        seen = f"&person_digest=eq.{row['person_digest']}" if row else "&person_content=eq."
    written = chat.data("PATCH", path + seen, changes)
    if not written:
        if chat.data("GET", path):
            raise _changed_elsewhere(chat, "The summary")
        new = {"conversation_id": chat.conversation_id} | changes
        written = chat.data("POST", "conversation_summaries", new)
    chat.seen_summary = (chat.conversation_id, written[0])
    tell("Saved.", "dim")


def _switch(chat: Chat, *, is_on: bool) -> None:
    path = f"conversation_memory?conversation_id=eq.{chat.conversation_id}"
    chat.data("PATCH", path, {"remembers": is_on})
    tell("New notes are taken." if is_on else "No new notes are taken.", "dim")
