"""What a model would read in a turn, part by part, for the screening.

More than any single prompt holds: every entry of the character's book that is called for, and
the history as far as the longest context reaches. The house's own templates are left out.
"""

from collections.abc import Iterator, Mapping

from roleplay_chat.api import ChatRequest
from roleplay_chat.ensemble import as_heard, written_of
from roleplay_chat.lorebook import matched
from roleplay_chat.macros import expand, macros_of, names_in
from roleplay_chat.rows import BegunTurn, CharacterRow
from roleplay_chat.screening import Passage

LEAD_CHARS = 300
"""Of what was said last: a message that answers it is read together with it."""


def passages_of(begun: BegunTurn, request: ChatRequest, *, history_bytes: int) -> list[Passage]:
    """The passages, macros expanded; `history_bytes` is the most that a prompt could hold."""
    macros = macros_of(begun, request)
    history = _history(as_heard(begun, macros["user"]), history_bytes)
    scene = [
        *(request.scene_name, request.scene_description, request.scene_context),
        *(request.scene_system_prompt, *(request.scene_starters or [])),
    ]
    said = begun.turn.message
    return [
        *_character(begun, macros),
        *(Passage("character", text, other.age) for other, text in written_of(begun, macros)),
        _persona(begun, request, macros),
        Passage("scene", expand(_lines(*scene), macros)),
        Passage("memory", _memory(begun)),
        Passage("history", history),
        Passage("message", _lines(history[-LEAD_CHARS:], said) if said else ""),
    ]


def _character(begun: BegunTurn, macros: Mapping[str, str]) -> Iterator[Passage]:
    character = begun.character
    if character is None:
        return
    greetings = character.greetings if begun.turn.message is None else []
    written = [
        *(character.name, character.nickname, *_written(character), *greetings),
        *(character.post_history_instructions, *_lore(begun, macros)),
    ]
    yield Passage("character", expand(_lines(*written), macros), character.age)


def _written(character: CharacterRow) -> list[str]:
    return [
        character.description,
        character.personality,
        character.scenario,
        character.example_messages,
        character.system_prompt,
    ]


def _lore(begun: BegunTurn, macros: Mapping[str, str]) -> list[str]:
    """What the character's book says in this turn, had a prompt room for all of it."""
    if begun.character is None or not begun.character.character_book:
        return []
    names = names_in(macros)
    entries = matched(
        begun.character.character_book,
        [*(row.content for row in begun.history), begun.turn.message or ""],
        budget_tokens=1_000_000,
        count=lambda _: 0,
        expand=lambda text: expand(text, names),
    )
    return [entry.content for entry in entries]


def _persona(begun: BegunTurn, request: ChatRequest, macros: Mapping[str, str]) -> Passage:
    persona = begun.persona
    if persona is None:
        return Passage("persona", _lines(begun.user.name, request.user_role))
    written = expand(_lines(*_written(persona)), macros)
    text = _lines(persona.name, persona.nickname, written, request.user_role)
    return Passage("persona", text, persona.age)


def _memory(begun: BegunTurn) -> str:
    summary = begun.memory.summary if begun.memory else ""
    return _lines(summary, *(fact.content for fact in begun.facts))


def _history(begun: BegunTurn, most_bytes: int) -> str:
    """What was said, the newest of it, as far as it could be sent."""
    kept: list[str] = []
    for row in reversed(begun.history):
        most_bytes -= len(row.content.encode())
        if kept and most_bytes < 0:
            break
        kept.append(row.content)
    return "\n".join(reversed(kept))


def _lines(*texts: str | None) -> str:
    return "\n".join(text for text in texts if text)
