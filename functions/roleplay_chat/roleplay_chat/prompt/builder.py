"""Rows become messages for a model, within its context.

Order: one system message (template, character, persona, scene, memory), the history as far as
it fits, what the character's author wants said after the history, and the person's message.
What the character's book says about what is talked of stands around the description, or among
the messages where an entry says so.

Where not everything fits, examples of dialogue go first, then the book, then the ends of the
character's long texts: `SHARES`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.lorebook.matching import fitting, matched
from roleplay_chat.messages import Message, Role
from roleplay_chat.prompt.group_chat import as_heard, introduction
from roleplay_chat.prompt.macros import build_macros, expand, expanded, names_in, owner
from roleplay_chat.prompt.passages import NO_WORDS, Piece, build_passages, joined
from roleplay_chat.rows import BegunTurn, CharacterRow, FactRow, MessageRow, TemplateRow
from roleplay_chat.screening.decision import Part, Passage
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

Section = Literal[
    "template", "others", "description", "vitals", "personality", "scenario", "lore", "examples",
    "persona", "role", "scene", "directions", "memory",
]  # fmt: skip
SHARES: Mapping[Section, float] = {
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


class _Said(NamedTuple):
    """A message whose words are known by the part they come from."""

    role: Role
    content: Piece


class Prompt(list[Message]):
    """The messages to send, and the passages they were made of, for the screening."""

    def __init__(self, messages: Iterable[Message] = (), passages: Sequence[Passage] = ()) -> None:
        super().__init__(messages)
        self.passages = passages

    @classmethod
    def from_messages(cls, said: Sequence[_Said]) -> "Prompt":
        """From messages that know whose words they are made of."""
        messages: list[Message] = [
            {"role": role, "content": content.text} for role, content in said
        ]
        return cls(messages, build_passages([content for _, content in said]))


def build(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    *,
    family: str | None,
    context_tokens: int,
    max_tokens: int,
    tokens: Tokens = UNCALIBRATED,
    lore: Sequence[Entry] | None = None,
) -> Prompt:
    """The messages to send: at most `context_tokens - max_tokens` tokens as `tokens` counts.

    `lore` is what `entries_called_for` found; left out, it is looked for.
    """
    frame = _frame(begun, request, tier, family, context_tokens - max_tokens, tokens, lore)
    spoken = [*_recent(frame.history, frame.room, tokens), *frame.closing]
    return Prompt.from_messages([frame.system, *_merge(_with_notes(spoken, frame.lore))])


def entries_called_for(begun: BegunTurn, request: ChatRequest) -> list[Entry]:
    """What the character's book says about the newest messages, had every prompt room for it."""
    if begun.character is None or not begun.character.character_book:
        return []
    names = names_in(build_macros(begun, request))
    return matched(
        begun.character.character_book,
        [*(row.content for row in begun.history), begun.turn.message or ""],
        expand=lambda text: expand(text, names),
    )


def with_rule(prompt: Prompt, rule: str) -> Prompt:
    """The same prompt with one more rule of the house."""
    system, *spoken = prompt
    ruled: Message = {"role": "system", "content": f"{system['content']}\n\n{rule}"}
    return Prompt([ruled, *spoken], prompt.passages)


def history_room(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    *,
    family: str | None,
    context_tokens: int,
    max_tokens: int,
    tokens: Tokens = UNCALIBRATED,
    lore: Sequence[Entry] | None = None,
) -> int:
    """How many tokens `build` has for the history."""
    return _frame(begun, request, tier, family, context_tokens - max_tokens, tokens, lore).room


def least_history_room(context_tokens: int, max_tokens: int) -> int:
    """How many of these tokens the history has at least, whatever stands around it."""
    budget = context_tokens - max_tokens
    left = budget - int(budget * CLOSING_SHARE)
    return int(min(budget * HISTORY_SHARE, left / 2))


@dataclass(frozen=True)
class _Frame:
    """What stands around the history."""

    system: _Said
    closing: list[_Said]
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
    found: Sequence[Entry] | None,
) -> _Frame:
    macros = build_macros(begun, request)
    heard = as_heard(begun, macros["user"])
    closing = _fitted(_closing(heard, request, macros), budget, tokens)
    spent = sum(_cost(message, tokens) for message in closing)
    room = _system_room(budget, spent)
    house = _own_words(_template(begun.templates, tier, family), request, macros)
    template = _framed(begun, tier, house, macros, int(room * SHARES["template"]), tokens)
    memory = _memory(begun, int(budget * MEMORY_SHARE), tokens)
    parts = _parts(begun, request, macros, template, memory)
    whole = {name: _need(part, tokens) for name, part in parts.items()}
    needs = whole | {"memory": _stepped(whole["memory"], budget)}

    unused = room - sum(needs.values()) + needs.get("examples", 0)
    found = entries_called_for(begun, request) if found is None else found
    titles = tokens.count(f"## {_BEFORE}\n## {_AFTER}\n") if found else 0
    lore = _lore(begun, found, min(unused - titles, int(budget * LORE_SHARE)), tokens)
    notes = _notes(lore)
    world: dict[Section, Piece] = {
        "description": _entries(_BEFORE, lore, "before_char"),
        "examples": _entries(_AFTER, lore, "after_char"),
    }
    told = sum(_need(part, tokens) for part in world.values())
    needs["lore"] = _stepped(told + sum(_cost(note, tokens) for note in notes), budget)

    given = _given(needs, room)
    sections: list[Piece] = []
    for name, part in parts.items():
        sections.append(world.get(name, NO_WORDS))
        is_whole = whole[name] <= given[name]
        sections.append(part if is_whole else _shortened(name, part, given[name], begun, tokens))
    system = _Said("system", joined("\n\n", sections))
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


def _given(needs: Mapping[Section, int], room: int) -> dict[Section, int]:
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


def _need(part: Piece, tokens: Tokens) -> int:
    return tokens.count(f"{part.text}\n\n") if part.runs else 0


def _shortened(name: Section, part: Piece, most: int, begun: BegunTurn, tokens: Tokens) -> Piece:
    """The part in at most `most` tokens; empty where hardly its title would be left."""
    text = part.text
    most -= tokens.count("\n\n")
    title, is_titled, _ = text.partition("\n") if text.startswith("## ") else ("", "", "")
    if name == "memory":
        room = most - tokens.count(f"{title}\n")
        return _section("memory", _MEMORY, _memory(begun, room, tokens))
    cut = tokens.beginning(text, most)
    if name == "examples":  # Whole lines.
        cut = cut.rpartition("\n")[0].rstrip().removesuffix("<START>")
    cut = cut.rstrip()
    return NO_WORDS if is_titled and len(cut) <= len(title) else part.beginning(len(cut))


def _own_words(text: str, request: ChatRequest, macros: Mapping[str, str]) -> Piece:
    """Words of the house, and what macros put into them."""
    return expanded(text, macros, lambda name: owner(name, request) if name else None)


def _framed(
    begun: BegunTurn,
    tier: Tier,
    house: Piece,
    macros: Mapping[str, str],
    least: int,
    tokens: Tokens,
) -> Piece:
    """What the system message begins with: the template, or what the author put in its place."""
    if not begun.character or not begun.character.system_prompt:
        return house
    written = begun.character.system_prompt
    own = expanded(written, macros, lambda _: "character", original=house)
    # An author may do without the template, but not without what it says of the tier: nor by
    # writing so much before it that it is cut off.
    if house.text in tokens.beginning(own.text, least):
        return own
    return joined("\n\n", [Piece.from_text(None, HOUSE_RULES[tier]), own])


def _parts(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Mapping[str, str],
    template: Piece,
    memory: str,
) -> dict[Section, Piece]:
    """The system message's parts but for the book, whole, in the order of the message."""
    scene = "\n".join(filter(None, [request.scene_description, request.scene_context]))
    scene_title = f"The scene: {request.scene_name}" if request.scene_name else "The scene"
    directions = expand(request.scene_system_prompt or "", macros)
    parts: dict[Section, Piece] = {
        "template": template,
        "others": _section("character", "Who else is there", introduction(begun, macros)),
    }
    if begun.character:
        parts |= _character_parts(begun.character, macros)
    if begun.persona:
        about = expand(begun.persona.description, macros)
        title = f"About {begun.persona.name}, played by the user"
        parts["persona"] = _section("persona", title, about)
    return parts | {
        "role": _section("persona", "The user plays", request.user_role),
        "scene": _section("scene", scene_title, expand(scene, macros)),
        "directions": _section("scene", "Directions for the scene", directions),
        "memory": _section("memory", _MEMORY, memory),
    }


def _character_parts(character: CharacterRow, macros: Mapping[str, str]) -> dict[Section, Piece]:
    name = character.name
    vitals = [f"{name} is {character.age} years old." if character.age is not None else ""]
    vitals.append(f"{name}'s pronouns: {character.pronouns}." if character.pronouns else "")

    def section(title: str, text: str) -> Piece:
        return _section("character", title, expand(text, macros))

    return {
        "description": section(f"About {name}", character.description),
        "vitals": Piece.from_text("character", " ".join(filter(None, vitals))),
        "personality": section(f"{name}'s personality", character.personality),
        "scenario": section("Scenario", character.scenario),
        "examples": section(f"How {name} speaks", character.example_messages),
    }


def _entries(title: str, lore: Sequence[Entry], position: str) -> Piece:
    """The book's entries at one place around the description."""
    texts = (entry.content for entry in lore if entry.position == position)
    return _section("character", title, "\n\n".join(texts))


def _memory(begun: BegunTurn, budget: int, tokens: Tokens) -> str:
    """The summary and the facts: where there is too much, pinned facts stay, others go first."""
    if not begun.facts and not (begun.memory and begun.memory.summary):
        return ""
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


def _closing(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Mapping[str, str],
) -> list[_Said]:
    closing: list[_Said] = []
    instructions = begun.character.post_history_instructions if begun.character else ""
    # {{original}} is what the house says at this place, which is nothing.
    instructions = expand(instructions, {**macros, "original": ""}).strip()
    # They are for the character, who does not speak in a draft of the person's.
    if instructions and request.action != "impersonate":
        closing.append(_Said("system", Piece.from_text("character", instructions)))
    said = begun.turn.message
    if said is not None:
        return [*closing, _Said("user", Piece.from_text("message", said))]
    opening = _own_words(_opening(begun, request), request, macros)
    opening = joined(" Something like: ", [opening, *_example(begun, request, macros)])
    return [*closing, _Said("user", opening)]


def _example(begun: BegunTurn, request: ChatRequest, macros: Mapping[str, str]) -> list[Piece]:
    """How a scene may open, where nobody spoke yet."""
    if request.action == "impersonate" or begun.turn.continues is not None or begun.history:
        return []
    starters = [starter for starter in request.scene_starters or [] if starter]
    return [Piece.from_text("scene", expand(starter, macros)) for starter in starters[:1]]


def _fitted(closing: Sequence[_Said], budget: int, tokens: Tokens) -> list[_Said]:
    """The closing messages, cut where they would leave no room for anything else."""
    left, fitted = int(budget * CLOSING_SHARE), []
    for message in closing:
        most = int(budget * INSTRUCTIONS_SHARE) if message.role == "system" else left
        most -= TOKENS_PER_MESSAGE
        fitted.append(_Said(message.role, _without_middle(message.content, most, tokens)))
        left -= _cost(fitted[-1], tokens)
    return fitted


def _without_middle(piece: Piece, most: int, tokens: Tokens) -> Piece:
    """The text without its middle, where it has more than so many tokens."""
    if (ends := tokens.both_ends(piece.text, most)) is None:
        return piece
    beginning, gap, end = ends
    length = len(piece.text)
    return Piece.from_runs(
        [
            *piece.between(0, len(beginning)).runs,
            (None, gap),
            *piece.between(length - len(end), length).runs,
        ]
    )


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
    return "[Open the scene as {{char}}: set the moment and speak first.]"


def _template(templates: Sequence[TemplateRow], tier: Tier, family: str | None) -> str:
    fitting = [row for row in templates if row.content_tier == tier]
    exact = [row for row in fitting if family is not None and row.model_family == family]
    general = [row for row in fitting if row.model_family is None]
    return next((row.system_prompt for row in [*exact, *general]), _FALLBACK_TEMPLATE)


def _section(part: Part, title: str, text: str | None) -> Piece:
    """A titled part, the title read with what stands below it: most have a name in them."""
    text = text.strip() if text else ""
    return Piece.from_text(part, f"## {title}\n{text}") if text else NO_WORDS


def _recent(history: Sequence[MessageRow], budget: int, tokens: Tokens) -> list[_Said]:
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


def _message(row: MessageRow) -> _Said:
    return _Said(
        "user" if row.sender == "user" else "assistant", Piece.from_text("history", row.content)
    )


def _lore(begun: BegunTurn, found: Sequence[Entry], budget: int, tokens: Tokens) -> list[Entry]:
    """What there is room for of what the character's book says."""
    if begun.character is None or not begun.character.character_book:
        return []
    return fitting(
        found,
        begun.character.character_book,
        budget_tokens=budget,
        count=lambda text: tokens.count(f"{text}\n\n") + TOKENS_PER_MESSAGE,
    )


def _notes(lore: Sequence[Entry]) -> list[_Said]:
    """The entries that stand among the messages."""
    return [_note(entry) for entry in lore if entry.position == "in_chat"]


def _note(entry: Entry) -> _Said:
    # At the very end a model would take it for the beginning of its own reply.
    role = "system" if entry.role == "assistant" and entry.depth == 0 else entry.role
    return _Said(role, Piece.from_text("character", entry.content))


def _with_notes(messages: Sequence[_Said], lore: Sequence[Entry]) -> list[_Said]:
    """The messages with the book's notes among them, each with `depth` messages after it."""
    if not _notes(lore):
        return list(messages)
    spoken = [place for place, message in enumerate(messages) if message.role != "system"]
    places = [*spoken, len(messages)]
    noted: list[_Said] = []
    for place in range(len(messages) + 1):
        noted += [
            _note(entry)
            for entry in lore
            if entry.position == "in_chat" and places[max(-1 - entry.depth, -len(places))] == place
        ]
        noted += messages[place : place + 1]
    return noted


def _merge(messages: Sequence[_Said]) -> list[_Said]:
    """Join neighbours of the same role: many chat templates demand that roles alternate."""
    merged: list[_Said] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            content = joined("\n\n", [merged[-1].content, message.content])
            merged[-1] = _Said(message.role, content)
        else:
            merged.append(message)
    return merged


def _cost_at_most(messages: Sequence[_Said], tokens: Tokens) -> int:
    """No less than they cost one by one, counted in one go; each is rounded up by itself."""
    whole = tokens.count("".join(message.content.text for message in messages))
    return whole + (TOKENS_PER_MESSAGE + 1) * len(messages)


def _cost(message: _Said, tokens: Tokens) -> int:
    return tokens.count(message.content.text) + TOKENS_PER_MESSAGE
