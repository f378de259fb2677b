"""Shows and changes the memory of the conversation in the terminal."""

from typing import Any

from dev.terminal.client import Chat, CommandFailed
from dev.terminal.output import tell

USAGE = (
    "Use /memory, /memory add TEXT, /memory pin N, /memory change N TEXT, /memory move N TIER,"
    " /memory rate N 1-5, /memory off N, /memory on N, /memory forget N, /memory summary TEXT,"
    " /memory on or /memory off."
)
TIERS = ("conversation", "character", "profile")


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
    path = f"memory_facts?id=eq.{fact['id']}"
    if order == "forget":
        chat.data("DELETE", path)
    elif order == "pin":
        chat.data("PATCH", path, {"pinned": not fact["pinned"]})
    elif order in ("on", "off"):
        chat.data("PATCH", path, {"is_active": order == "on"})
    elif order == "rate":
        chat.data("PATCH", path, {"importance": int(more)})
    elif order == "change":
        chat.data("PATCH", path, {"content": more})
    elif more in TIERS:
        chat.data("PATCH", path, {"memory_id": _memory(chat, more)})
    else:
        raise CommandFailed(f"There is no tier {more}. Use {', '.join(TIERS)}.")
    _show(chat)


def _show(chat: Chat) -> None:
    columns = "person_content,content"
    query = f"conversation_summaries?select={columns}&conversation_id=eq.{chat.conversation_id}"
    for row in chat.data("GET", query):
        for part in filter(None, row.values()):
            tell(part)
    facts = _facts(chat)
    for number, fact in enumerate(facts, 1):
        pin = " (pinned)" if fact["pinned"] else ""
        off = "" if fact["is_active"] else " (off)"
        since = f" (since {fact['since'][:10]})" if fact["since"] else ""
        tier = fact["memories"]["tier"]
        tell(f"{number:3} {fact['content']}{since}{pin}{off}  [{tier}]")
    if not facts:
        tell("There are no facts.", "dim")


def _facts(chat: Chat) -> list[dict[str, Any]]:
    """The facts that hold now and may reach this conversation, in a stable order."""
    reach = (
        f"(conversation_id.eq.{chat.conversation_id},character_id.eq.{chat.character_id},"
        "tier.eq.profile)"
    )
    query = (
        "memory_facts?select=id,content,pinned,is_active,since,memories!inner(tier)"
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
    """Replace the summary; without words, a model rewrites it."""
    row = {"conversation_id": chat.conversation_id, "person_content": words}
    path = f"conversation_summaries?conversation_id=eq.{chat.conversation_id}"
    if not chat.data("PATCH", path, {"person_content": words}):
        chat.data("POST", "conversation_summaries", row)
    tell("Saved.", "dim")


def _switch(chat: Chat, *, is_on: bool) -> None:
    path = f"conversation_memory?conversation_id=eq.{chat.conversation_id}"
    chat.data("PATCH", path, {"remembers": is_on})
    tell("New notes are taken." if is_on else "No new notes are taken.", "dim")
