"""Rows become messages for a model, within its context.

Order: one system message (template, character, persona, scene, memory), the history as far as
it fits, what the character's author wants said after the history, and the person's message.
What the character's book says about what is talked of stands around the description, or among
the messages where an entry says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.ensemble import as_heard, introduction
from roleplay_chat.lorebook import matched
from roleplay_chat.lorebook_entries import Entry
from roleplay_chat.macros import expand, macros_of, names_in
from roleplay_chat.rows import BegunTurn, CharacterRow, FactRow, MessageRow, TemplateRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED, Tokens

STEP_MESSAGES = 16
"""How far an anchor is looked for; there is one about every eighth message."""
HISTORY_SHARE = 0.25
"""The least part of the context that is kept for what was said; the system message yields."""
LORE_SHARE = 0.25
"""The most that the character's book gets; and no more than the rest of the system message, but
for the history, leaves."""
MEMORY_SHARE = 0.25
"""The most that what is remembered gets; half of that for pinned facts."""
CLOSING_SHARE = 0.75
"""The most that the person's message gets, with what the author wants said before it. Where it
is longer than that its middle is left out, or it would push out all else."""
INSTRUCTIONS_SHARE = 0.2
"""The most that the author's instructions of these may take."""
HOUSE_RULES: dict[Tier, str] = {
    "sfw": "Keep everything suitable for a general audience: affection may be warm, but never"
    " explicit.",
    "nsfw": "Everyone in this story is an adult and willing.",
}
"""What stands in every prompt, whoever wrote the rest."""

_FALLBACK_TEMPLATE = (
    "You are {{char}} in a fictional conversation with {{user}}. Stay in character."
)


class Message(TypedDict):
    """A chat message as models take it."""

    role: Literal["system", "user", "assistant"]
    content: str


def build(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    *,
    family: str | None,
    context_tokens: int,
    max_tokens: int,
    tokens: Tokens = UNCALIBRATED,
) -> list[Message]:
    """The messages to send: at most `context_tokens - max_tokens` tokens as `tokens` counts."""
    frame = _frame(begun, request, tier, family, context_tokens - max_tokens, tokens)
    spoken = [*_recent(frame.history, frame.room, tokens), *frame.closing]
    return [frame.system, *_merge(_with_notes(spoken, frame.lore))]


def history_room(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    *,
    family: str | None,
    context_tokens: int,
    max_tokens: int,
    tokens: Tokens = UNCALIBRATED,
) -> int:
    """How many tokens `build` has for the history."""
    return _frame(begun, request, tier, family, context_tokens - max_tokens, tokens).room


def least_history_room(context_tokens: int, max_tokens: int) -> int:
    """How many of these tokens the history has at least, whatever stands around it."""
    budget = context_tokens - max_tokens
    left = budget - int(budget * CLOSING_SHARE)
    return int(min(budget * HISTORY_SHARE, left / 2))


@dataclass(frozen=True)
class _Frame:
    """What stands around the history."""

    system: Message
    closing: list[Message]
    lore: list[Entry]
    history: Sequence[MessageRow]
    """As the speaker hears it, not yet cut."""
    room: int
    """Tokens that are left for it."""


def _frame(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    family: str | None,
    budget: int,
    tokens: Tokens,
) -> _Frame:
    macros = macros_of(begun, request)
    heard = as_heard(begun, macros["user"])
    closing = _fitted(_closing(heard, request, macros), budget, tokens)
    left = budget - sum(_cost(message, tokens) for message in closing)
    room = left - int(min(budget * HISTORY_SHARE, left / 2))
    memory = _memory(begun, int(budget * MEMORY_SHARE), tokens)
    unused = room - _cost(_system(begun, request, tier, family, macros, (), memory), tokens)
    lore = _lore(begun, macros, min(unused, int(budget * LORE_SHARE)), tokens)
    system = _cut(_system(begun, request, tier, family, macros, lore, memory), room, tokens)
    left -= sum(_cost(message, tokens) for message in [system, *_notes(lore)])
    return _Frame(system, closing, lore, heard.history, left)


def _system(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    family: str | None,
    macros: Mapping[str, str],
    lore: Sequence[Entry],
    memory: str,
) -> Message:
    original = _template(begun.templates, tier, family)
    house = expand(original, macros)
    sections = [house]
    if begun.character and begun.character.system_prompt:
        own = expand(begun.character.system_prompt, {**macros, "original": house})
        # An author may do without the template, but not without what it says of the tier. First,
        # so that nothing cuts it off.
        sections = [own] if house in own else [HOUSE_RULES[tier], own]
    if begun.character:
        # Before what a long card may cut off.
        sections.append(_section("Who else is there", introduction(begun, macros)))
        sections += _character_sections(begun.character, macros, lore)
    if begun.persona:
        about = expand(begun.persona.description, macros)
        sections.append(_section(f"About {begun.persona.name}, played by the user", about))
    sections.append(_section("The user plays", request.user_role))
    sections += _scene_sections(request, macros)
    sections.append(_section("What is remembered", memory))
    return {"role": "system", "content": "\n\n".join(filter(None, sections))}


def _memory(begun: BegunTurn, budget: int, tokens: Tokens) -> str:
    """The summary and the facts: where there is too much, pinned facts stay, others go first."""
    pinned = _fact_lines([fact for fact in begun.facts if fact.pinned], budget // 2, tokens)
    budget -= tokens.count(f"{pinned}\n")
    summary = tokens.beginning(begun.memory.summary if begun.memory else "", max(budget, 0))
    budget -= tokens.count(f"{summary}\n")
    others = _fact_lines([fact for fact in begun.facts if not fact.pinned], budget, tokens)
    return "\n".join(filter(None, [summary, pinned, others]))


def _fact_lines(facts: Sequence[FactRow], budget: int, tokens: Tokens) -> str:
    """The first of the facts, as far as they fit."""
    lines: list[str] = []
    for fact in facts:
        line = f"- {fact.content}"
        budget -= tokens.count(f"{line}\n")
        if budget < 0:
            break
        lines.append(line)
    return "\n".join(lines)


def _character_sections(
    character: CharacterRow, macros: Mapping[str, str], lore: Sequence[Entry]
) -> list[str]:
    name = character.name
    facts = [f"{name} is {character.age} years old." if character.age is not None else ""]
    facts.append(f"{name}'s pronouns: {character.pronouns}." if character.pronouns else "")
    before = [entry.content for entry in lore if entry.position == "before_char"]
    after = [entry.content for entry in lore if entry.position == "after_char"]
    return [
        _section("The world", "\n\n".join(before)),
        _section(f"About {name}", expand(character.description, macros)),
        " ".join(filter(None, facts)),
        _section(f"{name}'s personality", expand(character.personality, macros)),
        _section("Scenario", expand(character.scenario, macros)),
        _section("More of the world", "\n\n".join(after)),
        _section(f"How {name} speaks", expand(character.example_messages, macros)),
    ]


def _scene_sections(request: ChatRequest, macros: Mapping[str, str]) -> list[str]:
    scene = "\n".join(filter(None, [request.scene_description, request.scene_context]))
    title = f"The scene: {request.scene_name}" if request.scene_name else "The scene"
    return [
        _section(title, expand(scene, macros)),
        _section("Directions for the scene", expand(request.scene_system_prompt or "", macros)),
    ]


def _closing(begun: BegunTurn, request: ChatRequest, macros: Mapping[str, str]) -> list[Message]:
    closing: list[Message] = []
    instructions = begun.character.post_history_instructions if begun.character else ""
    # {{original}} is what the house says at this place, which is nothing.
    instructions = expand(instructions, {**macros, "original": ""}).strip()
    # They are for the character, who does not speak in a draft of the person's.
    if instructions and request.action != "impersonate":
        closing.append({"role": "system", "content": instructions})
    said = begun.turn.message
    if said is not None:
        closing.append({"role": "user", "content": said})
    else:
        closing.append({"role": "user", "content": expand(_opening(begun, request), macros)})
    return closing


def _fitted(closing: Sequence[Message], budget: int, tokens: Tokens) -> list[Message]:
    """The closing messages, cut where they would leave no room for anything else."""
    left, fitted = int(budget * CLOSING_SHARE), []
    for message in closing:
        most = int(budget * INSTRUCTIONS_SHARE) if message["role"] == "system" else left
        content = tokens.both_ends(message["content"], most - TOKENS_PER_MESSAGE)
        fitted.append(Message(role=message["role"], content=content))
        left -= _cost(fitted[-1], tokens)
    return fitted


def _opening(begun: BegunTurn, request: ChatRequest) -> str:
    """What stands for a message when nobody spoke; it is never stored."""
    if request.action == "impersonate":
        return (
            "[Write what {{user}} says and does next, as {{user}} would, in the style of {{user}}'s"
            " messages so far. Write nothing for {{char}}.]"
        )
    if begun.turn.continues is not None:
        return "[Go on with your last message exactly where it stops. Do not repeat any of it.]"
    if begun.history:
        return (
            "[Continue the scene as {{char}} from where it stands, without introducing yourself.]"
        )
    starters = [starter for starter in request.scene_starters or [] if starter]
    example = f" Something like: {starters[0]}" if starters else ""
    return "[Open the scene as {{char}}: set the moment and speak first.]" + example


def _template(templates: Sequence[TemplateRow], tier: Tier, family: str | None) -> str:
    fitting = [row for row in templates if row.content_tier == tier]
    exact = [row for row in fitting if family is not None and row.model_family == family]
    general = [row for row in fitting if row.model_family is None]
    return next((row.system_prompt for row in [*exact, *general]), _FALLBACK_TEMPLATE)


def _section(title: str, text: str | None) -> str:
    return f"## {title}\n{text.strip()}" if text and text.strip() else ""


def _recent(history: Sequence[MessageRow], budget: int, tokens: Tokens) -> list[Message]:
    """The newest messages that fit, oldest first, without a gap.

    What does not fit is dropped in steps: the first message kept is an anchor where one is near,
    so that most turns only add to the prompt of the turn before.
    """
    first = len(history)
    while first > 0 and (budget := budget - _cost(_message(history[first - 1]), tokens)) >= 0:
        first -= 1
    if first > 0:
        near = range(first, min(first + STEP_MESSAGES, len(history)))
        first = next((index for index in near if history[index].anchor), first)
    return [_message(row) for row in history[first:]]


def _message(row: MessageRow) -> Message:
    return {"role": "user" if row.sender == "user" else "assistant", "content": row.content}


def _lore(begun: BegunTurn, macros: Mapping[str, str], budget: int, tokens: Tokens) -> list[Entry]:
    """What the character's book says about the newest messages."""
    if begun.character is None or not begun.character.character_book:
        return []
    names = names_in(macros)
    return matched(
        begun.character.character_book,
        [*(row.content for row in begun.history), begun.turn.message or ""],
        budget_tokens=budget,
        count=lambda text: tokens.count(f"{text}\n\n") + TOKENS_PER_MESSAGE,
        expand=lambda text: expand(text, names),
    )


def _notes(lore: Sequence[Entry]) -> list[Message]:
    """The entries that stand among the messages."""
    return [_note(entry) for entry in lore if entry.position == "in_chat"]


def _note(entry: Entry) -> Message:
    # At the very end a model would take it for the beginning of its own reply.
    role = "system" if entry.role == "assistant" and entry.depth == 0 else entry.role
    return {"role": role, "content": entry.content}


def _with_notes(messages: Sequence[Message], lore: Sequence[Entry]) -> list[Message]:
    """The messages with the book's notes among them, each with `depth` messages after it."""
    spoken = [place for place, message in enumerate(messages) if message["role"] != "system"]
    places = [*spoken, len(messages)]
    noted: list[Message] = []
    for place in range(len(messages) + 1):
        noted += [
            _note(entry)
            for entry in lore
            if entry.position == "in_chat" and places[max(-1 - entry.depth, -len(places))] == place
        ]
        noted += messages[place : place + 1]
    return noted


def _merge(messages: Sequence[Message]) -> list[Message]:
    """Join neighbours of the same role: many chat templates demand that roles alternate."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            joined = f"{merged[-1]['content']}\n\n{message['content']}"
            merged[-1] = {"role": message["role"], "content": joined}
        else:
            merged.append(message)
    return merged


def _cut(message: Message, budget: int, tokens: Tokens) -> Message:
    """The message with its end cut off so that it costs at most `budget` tokens."""
    content = tokens.beginning(message["content"], budget - TOKENS_PER_MESSAGE)
    return (
        message
        if content == message["content"]
        else Message(role=message["role"], content=content.rstrip())
    )


def _cost(message: Message, tokens: Tokens) -> int:
    return tokens.count(message["content"]) + TOKENS_PER_MESSAGE
