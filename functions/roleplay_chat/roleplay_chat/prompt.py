"""Rows become messages for a model, within its context.

Order: one system message (template, character, persona, scene, memory), the history as far as
it fits, what the character's author wants said after the history, and the person's message.
What the character's book says about what is talked of stands around the description, or among
the messages where an entry says so.

Where not everything fits, examples of dialogue go first, then the book, then the ends of the
character's long texts: `SHARES`.
"""

import math
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
STEP_SHARE = 1 / 16
"""What is another length every turn counts for the next multiple of this where it decides how
much of a long card there is; else prompt caches would not know the prompt again."""

Part = Literal[
    "template", "others", "description", "vitals", "personality", "scenario", "lore", "examples",
    "persona", "role", "scene", "directions", "memory",
]  # fmt: skip
SHARES: Mapping[Part, float] = {
    "template": 0.25,
    "vitals": 0.05,
    "others": 0.05,
    "directions": 0.05,
    "scene": 0.1,
    "role": 0.05,
    "persona": 0.1,
    "memory": 0.15,
    "scenario": 0.04,
    "personality": 0.06,
    "description": 0.1,
    "lore": 0.0,
    "examples": 0.0,
}
"""Of the system message's room: what each part of it keeps whatever the others need. What is left
then goes to those that need more, in this order; so the last ones are the first to be cut."""
HOUSE_RULES: dict[Tier, str] = {
    "sfw": "Keep everything suitable for a general audience: affection may be warm, but never"
    " explicit.",
    "nsfw": "Everyone in this story is an adult and willing.",
}
"""What stands in every prompt, whoever wrote the rest."""

_BEFORE, _AFTER = "The world", "More of the world"
_MEMORY = "What is remembered"
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


def with_rule(messages: Sequence[Message], rule: str) -> list[Message]:
    """The same messages with one more rule of the house."""
    system, *spoken = messages
    return [Message(role="system", content=f"{system['content']}\n\n{rule}"), *spoken]


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
    spent = sum(_cost(message, tokens) for message in closing)
    room = _system_room(budget, spent)
    template = _house(begun, tier, family, macros, int(room * SHARES["template"]), tokens)
    memory = _memory(begun, int(budget * MEMORY_SHARE), tokens)
    parts = _parts(begun, request, macros, template, memory)
    whole = {name: _need(part, tokens) for name, part in parts.items()}
    needs = whole | {"memory": _stepped(whole["memory"], budget)}

    unused = room - sum(needs.values()) + needs.get("examples", 0)
    titles = tokens.count(f"## {_BEFORE}\n## {_AFTER}\n")
    lore = _lore(begun, macros, min(unused - titles, int(budget * LORE_SHARE)), tokens)
    notes = _notes(lore)
    world = {
        "description": _entries(_BEFORE, lore, "before_char"),
        "examples": _entries(_AFTER, lore, "after_char"),
    }
    told = sum(_need(part, tokens) for part in world.values())
    needs["lore"] = _stepped(told + sum(_cost(note, tokens) for note in notes), budget)

    given = _given(needs, room)
    sections: list[str] = []
    for name, part in parts.items():
        sections.append(world.get(name, ""))
        is_whole = whole[name] <= given[name]
        sections.append(part if is_whole else _shortened(name, part, given[name], begun, tokens))
    system = Message(role="system", content="\n\n".join(filter(None, sections)))
    left = budget - spent - sum(_cost(message, tokens) for message in [system, *notes])
    return _Frame(system, closing, lore, heard.history, left)


def _system_room(budget: int, closing: int) -> int:
    """Tokens for the system message's text and for the book's notes among the messages."""
    left = max(budget - _stepped(closing, budget), 0)
    return max(left - int(min(budget * HISTORY_SHARE, left / 2)) - TOKENS_PER_MESSAGE, 0)


def _stepped(tokens: int, budget: int) -> int:
    """The next multiple of the step."""
    step = max(int(budget * STEP_SHARE), 1)
    return math.ceil(tokens / step) * step


def _given(needs: Mapping[Part, int], room: int) -> dict[Part, int]:
    """How many of `room` tokens each part gets: first its share is reserved, as far as it needs
    it, then what is left is given out."""
    ordered = [(name, needs.get(name, 0)) for name in SHARES]
    given = {name: min(need, int(room * SHARES[name])) for name, need in ordered}
    left = room - sum(given.values())
    for name, need in ordered:
        more = min(need - given[name], left)
        given[name] += more
        left -= more
    return given


def _need(part: str, tokens: Tokens) -> int:
    return tokens.count(f"{part}\n\n") if part else 0


def _shortened(name: Part, part: str, most: int, begun: BegunTurn, tokens: Tokens) -> str:
    """The part in at most `most` tokens; empty where hardly its title would be left."""
    most -= tokens.count("\n\n")
    title, is_titled, _ = part.partition("\n") if part.startswith("## ") else ("", "", "")
    if name == "memory":
        return _section(_MEMORY, _memory(begun, most - tokens.count(f"{title}\n"), tokens))
    cut = tokens.beginning(part, most)
    if name == "examples":  # Whole lines.
        cut = cut.rpartition("\n")[0].rstrip().removesuffix("<START>")
    cut = cut.rstrip()
    return "" if is_titled and len(cut) <= len(title) else cut


def _house(
    begun: BegunTurn,
    tier: Tier,
    family: str | None,
    macros: Mapping[str, str],
    least: int,
    tokens: Tokens,
) -> str:
    """What the system message begins with: the template, or what the author put in its place."""
    house = expand(_template(begun.templates, tier, family), macros)
    if not begun.character or not begun.character.system_prompt:
        return house
    own = expand(begun.character.system_prompt, {**macros, "original": house})
    # An author may do without the template, but not without what it says of the tier: nor by
    # writing so much before it that it is cut off.
    return own if house in tokens.beginning(own, least) else f"{HOUSE_RULES[tier]}\n\n{own}"


def _parts(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Mapping[str, str],
    template: str,
    memory: str,
) -> dict[Part, str]:
    """The system message's parts but for the book, whole, in the order of the message."""
    scene = "\n".join(filter(None, [request.scene_description, request.scene_context]))
    scene_title = f"The scene: {request.scene_name}" if request.scene_name else "The scene"
    directions = expand(request.scene_system_prompt or "", macros)
    parts: dict[Part, str] = {
        "template": template,
        "others": _section("Who else is there", introduction(begun, macros)),
    }
    if begun.character:
        parts |= _character_parts(begun.character, macros)
    if begun.persona:
        about = expand(begun.persona.description, macros)
        parts["persona"] = _section(f"About {begun.persona.name}, played by the user", about)
    return parts | {
        "role": _section("The user plays", request.user_role),
        "scene": _section(scene_title, expand(scene, macros)),
        "directions": _section("Directions for the scene", directions),
        "memory": _section(_MEMORY, memory),
    }


def _character_parts(character: CharacterRow, macros: Mapping[str, str]) -> dict[Part, str]:
    name = character.name
    vitals = [f"{name} is {character.age} years old." if character.age is not None else ""]
    vitals.append(f"{name}'s pronouns: {character.pronouns}." if character.pronouns else "")
    return {
        "description": _section(f"About {name}", expand(character.description, macros)),
        "vitals": " ".join(filter(None, vitals)),
        "personality": _section(f"{name}'s personality", expand(character.personality, macros)),
        "scenario": _section("Scenario", expand(character.scenario, macros)),
        "examples": _section(f"How {name} speaks", expand(character.example_messages, macros)),
    }


def _entries(title: str, lore: Sequence[Entry], position: str) -> str:
    """The book's entries at one place around the description."""
    return _section(title, "\n\n".join(e.content for e in lore if e.position == position))


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
    messages = [_message(row) for row in history]
    if _cost_at_most(messages, tokens) <= budget:
        return messages
    first = len(history)
    while first > 0 and (budget := budget - _cost(messages[first - 1], tokens)) >= 0:
        first -= 1
    if first > 0:
        near = range(first, min(first + STEP_MESSAGES, len(history)))
        first = next((index for index in near if history[index].anchor), first)
    return messages[first:]


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


def _cost_at_most(messages: Sequence[Message], tokens: Tokens) -> int:
    """No less than they cost one by one, counted in one go; each is rounded up by itself."""
    whole = tokens.count("".join(message["content"] for message in messages))
    return whole + (TOKENS_PER_MESSAGE + 1) * len(messages)


def _cost(message: Message, tokens: Tokens) -> int:
    return tokens.count(message["content"]) + TOKENS_PER_MESSAGE
