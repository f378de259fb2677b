"""Shows and changes the memory of the conversation in the terminal."""

from typing import Any

from dev.terminal.client import Chat, CommandFailed, notes


def run(chat: Chat, words: str) -> None:
    """Run a /memory command: "", "pin N", "forget N" or "add TEXT"."""
    order, _, rest = words.partition(" ")
    rest = rest.strip()
    if not order:
        _show(chat)
    elif order == "add" and rest:
        _add(chat, rest)
    elif order in ("pin", "forget") and rest.isdecimal():
        facts = _facts(chat)
        if not 0 < int(rest) <= len(facts):
            raise CommandFailed(f"There is no fact {rest}. /memory lists them.")
        fact = facts[int(rest) - 1]
        if order == "pin":
            chat.data("PATCH", f"memory_facts?id=eq.{fact['id']}", {"pinned": not fact["pinned"]})
        else:
            chat.data("DELETE", f"memory_facts?id=eq.{fact['id']}")
        _show(chat)
    else:
        raise CommandFailed("Use /memory, /memory pin N, /memory forget N or /memory add TEXT.")


def _show(chat: Chat) -> None:
    query = f"conversation_summaries?select=content&conversation_id=eq.{chat.conversation_id}"
    for row in chat.data("GET", query):
        if row["content"]:
            notes.print(row["content"], markup=False)
    facts = _facts(chat)
    for number, fact in enumerate(facts, 1):
        pin = " (pinned)" if fact["pinned"] else ""
        tier = fact["memories"]["tier"]
        notes.print(f"{number:3} {fact['content']}{pin}  [{tier}]", markup=False)
    if not facts:
        notes.print("There are no facts.", style="dim")


def _facts(chat: Chat) -> list[dict[str, Any]]:
    """The facts that may reach this conversation, in a stable order."""
    reach = (
        f"(conversation_id.eq.{chat.conversation_id},character_id.eq.{chat.character_id},"
        "tier.eq.profile)"
    )
    query = "memory_facts?select=id,content,pinned,memories!inner(tier)"
    found: list[dict[str, Any]] = chat.data(
        "GET", f"{query}&memories.or={reach}&order=created_at,id"
    )
    return found


def _add(chat: Chat, content: str) -> None:
    of_this = f"memories?select=id&tier=eq.conversation&conversation_id=eq.{chat.conversation_id}"
    found = chat.data("GET", of_this) or chat.data("POST", "memories?select=id", chat.memory_row())
    chat.data("POST", "memory_facts", {"memory_id": found[0]["id"], "content": content})
    notes.print("Saved.", style="dim")
