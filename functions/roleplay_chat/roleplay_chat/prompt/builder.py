"""Builds the messages for a model and divides its token budget among their parts.

Order: one system message (template, character, persona, scene, memory), as much of the history as
fits, the author's post-history instructions, and the person's message. Activated lorebook entries
are placed around the description, or among the messages if the entry says so.

If not everything fits, example dialogue is dropped first, then the lorebook, then the ends of the
character's long texts: see `SHARES`.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.lorebook.entries import Entry, Position
from roleplay_chat.lorebook.keys import escaped
from roleplay_chat.lorebook.matching import match_entries, select_entries
from roleplay_chat.lorebook.sources import books_of, conversation_of
from roleplay_chat.messages import Message, Role, Roles
from roleplay_chat.prompt import recall
from roleplay_chat.prompt.composition import Ingredients, Section
from roleplay_chat.prompt.group_chat import as_heard, introduction
from roleplay_chat.prompt.macro_variables import NO_VARIABLES, Variables
from roleplay_chat.prompt.macros import (
    Macros,
    build_macros,
    expand,
    expanded,
    names_in,
    owner,
    without_placeholders,
    written,
)
from roleplay_chat.prompt.outlets import (
    entries_in_outlets,
    named_entries,
    sent_entries,
    texts_by_outlet,
    wanted_entries,
)
from roleplay_chat.prompt.passages import NO_WORDS, Piece, build_passages, joined
from roleplay_chat.prompt.roles import PromptMessage, arranged, extra_tokens
from roleplay_chat.rows import (
    BegunTurn,
    CharacterRow,
    FactRow,
    MessageRow,
    RecalledRow,
    TemplateRow,
)
from roleplay_chat.screening.decision import Part, Passage
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED, Tokens

CUT_SHARE, CUT_TOKENS = 0.3, 3_000
"""How much more than necessary is cut off a history that is too long: a share of its room, and
tokens. See `_first_kept`."""
LONG_SHARE, MAX_LONG_SHARE = 0.25, 0.6
"""The share of the budget for a message of a history that is too long, and the most of the
history's room for it: see `longest_shown`."""
HISTORY_SHARE = 0.25
"""The minimum share of the budget for the history; the system message yields to it."""
LORE_SHARE = 0.25
"""The maximum share for the lorebook, which also gets no more than the system message leaves."""
MEMORY_SHARE = 0.25
"""The maximum share for summary and facts together; pinned and important facts get at most half of
it before the summary."""
KEPT_IMPORTANCE = 4
"""Facts of this importance are kept before the summary."""
CLOSING_SHARE = 0.75
"""The maximum share for the closing messages: post-history instructions and the person's message.
The middle of a longer message is cut out, because it would displace everything else."""
INSTRUCTIONS_SHARE = 0.2
"""The maximum share for the post-history instructions."""
NOTE_SHARE = 0.1
"""The maximum share for the character's note, and for the person's. Both are among the closing
messages' costs."""
RECALL_SHARE = 0.25
"""The maximum share of the history's room that is left for recalled messages, if the history is too
long."""
STEP_SHARE = 1 / 16
"""Lengths that change every turn are rounded up to multiples of this share before they decide how
much of a long card is cut. Otherwise prompts would change every turn and never be cached."""

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
"""The guaranteed share of the system message's room for each section. The remainder goes to
sections that need more, in this order, so the last ones are cut first."""
HOUSE_RULES: dict[Tier, str] = {
    "sfw": "Keep everything suitable for a general audience: affection may be warm, but never"
    " explicit.",
    "nsfw": "Everyone in this story is an adult and willing.",
}
"""Part of every prompt, even if the author replaced the template."""

_Fitted = tuple[PromptMessage, PromptMessage]
"""A message, uncut and as sent."""
_SEARCHED = {"depth_prompt": "chardepthprompt"}
"""The macros for what `lorebook.entries.Searched` calls otherwise."""
_BEFORE, _AFTER = "The world", "More of the world"
_AFTER_HISTORY = "[More of the world, as far as it bears on the next message:]"
_MEMORY = "What is remembered"
_SENTENCE_BEGINNING = re.compile(r"""[.!?…]["'”’»)*_]*\s+|[。！？][”’」』]*\s*|\n\s*""")
_WORD_BEGINNING = re.compile(r"\s+")
_FALLBACK_TEMPLATE = (
    "You are {{char}} in a fictional conversation with {{user}}. Stay in character."
)


class Prompt(list[Message]):
    """The messages to send, their passages for the screening, their ingredients for the
    composition, and the variables after their macros."""

    def __init__(
        self,
        messages: Iterable[Message] = (),
        passages: Sequence[Passage] = (),
        ingredients: Ingredients | None = None,
        variables: Mapping[str, str] = NO_VARIABLES,
    ) -> None:
        super().__init__(messages)
        self.passages = passages
        self.ingredients = ingredients
        self.variables = variables

    @classmethod
    def from_messages(
        cls,
        said: Sequence[PromptMessage],
        ingredients: Ingredients | None = None,
        variables: Mapping[str, str] = NO_VARIABLES,
    ) -> "Prompt":
        """Convert messages whose texts know from which parts they come."""
        messages: list[Message] = [
            {"role": message.role, "content": message.content.text} for message in said
        ]
        passages = build_passages([message.content for message in said])
        return cls(messages, passages, ingredients, variables)


@dataclass(frozen=True)
class PromptSpec:
    """A turn, and the limits of the target that its prompt is for."""

    begun: BegunTurn
    request: ChatRequest
    tier: Tier
    family: str | None
    """The target's model family, which chooses the template."""
    context_tokens: int
    max_tokens: int
    """The tokens of the context that are reserved for the reply."""
    prompt_tokens: int | None = None
    """The most tokens of the prompt, if the reply leaves so many; None for no limit."""
    tokens: Tokens = UNCALIBRATED
    """Counts tokens for the target."""
    lore: Sequence[Entry] | None = None
    """The result of `activated_entries`; None to search the book."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The variables after `activated_entries`; ignored while the book is searched."""
    roles: Roles = "as_is"
    """The form of the messages."""
    rule: str = ""
    """Another rule for the end of the system message."""

    @property
    def limit(self) -> int:
        """The tokens that the prompt may have."""
        left = self.context_tokens - self.max_tokens
        return left if self.prompt_tokens is None else min(left, self.prompt_tokens)

    @property
    def budget(self) -> int:
        """The tokens that its parts may have."""
        rule = self.tokens.count(f"\n\n{self.rule}") if self.rule else 0
        return self.limit - rule - extra_tokens(self.roles, self.tokens)


def build(spec: PromptSpec) -> Prompt:
    """The messages to send, within the budget."""
    frame = _frame(spec)
    cost = cost_at_most(frame.history, spec.tokens)
    kept = _kept(spec, frame, cost)
    if frame.macros.steps_used and kept and kept[0].position > frame.history[0].position:
        # No summary was written, so only the cut says where the history begins.
        frame = _frame(spec, step=kept[0].position)
        cost = cost_at_most(frame.history, spec.tokens)
        kept = _kept(spec, frame, cost)
    recalled = _recalled(spec, kept, frame)
    spoken = [*map(_message, kept), *frame.after_history, *recalled.messages, *frame.closing]
    rule = Piece.from_text(None, spec.rule)
    system = PromptMessage("system", joined("\n\n", [frame.system.content, rule]))
    messages = [system, *_with_notes(spoken, frame.among)]
    ingredients = Ingredients(
        spec.begun,
        spec.tokens,
        sections=frame.needs,
        cut=frame.cut,
        rule=spec.rule,
        asked=frame.asked,
        closing=[*frame.notes, *frame.closing],
        found=frame.found,
        lore=frame.lore,
        facts_left_out=[*frame.memory.left_out, *frame.new_facts],
        summary=frame.memory.summary,
        history=frame.history,
        history_cost=cost,
        kept=kept,
        recalled_facts=[*recalled.facts, *frame.new_facts],
        recalled=recalled.rows,
        recalled_messages=recalled.messages,
        others=spec.budget - frame.room - frame.new_cost,
        room=frame.room,
    )
    return Prompt.from_messages(arranged(messages, spec.roles), ingredients, frame.macros.variables)


def activated_entries(begun: BegunTurn, request: ChatRequest, variables: Variables) -> list[Entry]:
    """The entries of the turn's books that the newest messages activate, before any limit. Their
    macros change `variables`.
    """
    if not (books := books_of(begun)):
        return []
    macros = build_macros(begun, request).keeping(variables).standing_still(_summarised(begun))
    names = names_in(macros)
    in_patterns = names.having(**{name: escaped(value) for name, value in names.values.items()})
    return match_entries(
        books,
        conversation_of(
            begun,
            macros.values,
            generation=macros["lastgenerationtype"],
            describe=lambda name: _searched_text(name, macros),
        ),
        expand=lambda text: expand(text, macros),
        expand_pattern=lambda text: expand(text, in_patterns),
    )


def _summarised(begun: BegunTurn) -> int:
    """The last position that the summary covers; 0 if there is none."""
    return begun.memory.covers_position if begun.memory else 0


def _searched_text(name: str, macros: Macros) -> str:
    """A text of the character or the persona for the lorebook. Only the prompt sets variables."""
    text = macros.texts.get(_SEARCHED.get(name, name)) or macros.values.get(name, "")
    return expand(text, names_in(macros).keeping(Variables()))


def history_room(spec: PromptSpec) -> int:
    """The tokens that `build` has for the history in this turn and the next ones: a message of the
    person that is as long only once counts as `longest_shown`, as it does in the next ones."""
    frame = _frame(spec)
    said = spec.tokens.message_cost(frame.closing[-1].content.text)
    room = frame.room + said
    last = next((row for row in reversed(frame.history) if row.sender == "user"), None)
    usual = 0 if last is None else spec.tokens.message_cost(last.content)
    return room - min(said, max(usual, longest_shown(spec.budget, room)))


def min_history_room(budget: int) -> int:
    """The tokens that the history has in any prompt of this size, in tokens."""
    left = budget - int(budget * CLOSING_SHARE)
    return int(min(budget * HISTORY_SHARE, left / 2))


def longest_shown(budget: int, room: int) -> int:
    """The tokens that a message has in a history that is too long for `room` tokens. A longer one
    loses its middle, so that it neither pushes out all others nor is pushed out by the next ones.

    A fixed share of the budget, because the prompts of several turns begin with it; if the room is
    small, half of this, a quarter and so on.
    """
    longest = int(budget * LONG_SHARE)
    while longest > max(room, 0) * MAX_LONG_SHARE:
        longest //= 2
    return longest


@dataclass(frozen=True)
class _Memory:
    """The summary and the facts that fit, and the facts that do not."""

    text: str = ""
    left_out: Sequence[FactRow] = ()
    summary: str = ""
    """The beginning that fits."""


@dataclass(frozen=True)
class _Frame:
    """Everything in a prompt but the history."""

    system: PromptMessage
    closing: list[PromptMessage]
    lore: list[Entry]
    history: Sequence[MessageRow]
    """From the speaker's point of view, not cut yet."""
    room: int
    """The tokens left for the history."""
    needs: Mapping[Section, int]
    """The tokens of the sections of the system message, uncut, in order."""
    cut: Mapping[Section, Piece]
    """Those that are shortened."""
    notes: Sequence[PromptMessage]
    """The character's note and the person's, as far as there are any."""
    among: Sequence[PromptMessage]
    """The notes and the entries that are placed among the messages, in their order at the same
    depth."""
    after_history: Sequence[PromptMessage]
    """The message with the entries that come and go and have no place of their own, so that the
    prompt before it stays the same; a list of one or none."""
    asked: Sequence[PromptMessage]
    """The notes and the closing messages, uncut."""
    found: Sequence[Entry]
    """The activated entries that have a place in the prompt, of which `lore` are those that fit."""
    memory: _Memory
    new_facts: Sequence[FactRow]
    """Facts that stand with what is recalled, so that the prompt before it stays the same."""
    new_cost: int
    """Their tokens."""
    macros: Macros
    """With the variables after all texts of authors."""


def _frame(spec: PromptSpec, step: int | None = None) -> _Frame:
    """`step` is the position where the history begins, by default where the summary ends."""
    begun, request, budget, tokens = spec.begun, spec.request, spec.budget, spec.tokens
    variables = Variables(spec.variables)
    if (found := spec.lore) is None:
        variables = Variables.from_json(begun.variables)
        found = activated_entries(begun, request, variables)
    named = named_entries(begun, found)
    in_outlets = entries_in_outlets(begun, named, int(budget * LORE_SHARE), tokens)
    macros = _macros(spec).keeping(variables).filling(texts_by_outlet(in_outlets))
    heard = as_heard(begun, macros["user"])
    # In the order of the prompt, for the variables that texts set and read.
    texts = macros.standing_still(_summarised(begun) if step is None else step)
    house = _own_text(_template(begun.templates, spec.tier, spec.family), request, texts)
    own = _own_prompt(begun, house, texts)
    parts = _parts(begun, request, texts)
    character_notes = _fit_notes(_character_note(begun, macros), budget, tokens)
    person_notes = _fit_notes(_person_note(begun, macros), budget, tokens)
    fitted = [*character_notes, *person_notes]
    spent = note_tokens = sum(tokens.message_cost(sent.content.text) for _, sent in fitted)
    asked = _closing(heard, request, macros)
    closing = _fit_closing(asked, budget, spent, tokens)
    spent += sum(tokens.message_cost(message.content.text) for message in closing)
    new_facts = _new_facts(begun, recall.budget(budget) // 2, tokens)
    new_cost = tokens.count(f"{recall.written_facts(new_facts, recall.NEW_FACTS_TITLE).text}\n\n")
    new_cost = new_cost + TOKENS_PER_MESSAGE if new_facts else 0
    spent += new_cost
    begun = _without_facts(begun, new_facts)
    room = _system_room(budget, spent)
    template = _opening_section(spec.tier, house, own, int(room * SHARES["template"]), tokens)
    memory = _memory(begun, int(budget * MEMORY_SHARE), tokens)
    parts = {
        "template": template,
        **parts,
        "memory": _section("memory", _MEMORY, memory.text),
    }
    whole = {name: _need(part, tokens) for name, part in parts.items()}
    needs = whole | {"memory": _round_up(whole["memory"], budget)}

    unused = room - sum(needs.values()) + needs.get("examples", 0)
    examples = f"## {_examples_title(begun)}\n"
    titles = f"## {_BEFORE}\n## {_AFTER}\n{examples}{_AFTER_HISTORY}\n"
    unused -= tokens.count(titles) if found else 0
    lore = _lore(begun, found, min(unused, int(budget * LORE_SHARE)), tokens)
    among = _among_messages(character_notes, person_notes, lore)
    after_history = _after_history(lore)
    entry_tokens = (
        sum(tokens.message_cost(note.content.text) for note in (*among, *after_history))
        - note_tokens
    )
    world = _world(begun, lore, parts)
    world_tokens = sum(_need(part, tokens) for pair in world.values() for part in pair)
    lore_tokens = world_tokens + entry_tokens
    needs["lore"] = _round_up(lore_tokens, budget)

    given = _divide_budget(needs, room)
    cut: dict[Section, Piece] = {
        name: _shortened(name, part, given[name], tokens)
        for name, part in parts.items()
        if name != "memory" and whole[name] > given[name]
    }
    if whole["memory"] > given["memory"]:
        limit = given["memory"] - tokens.count("\n\n") - tokens.count(f"## {_MEMORY}\n")
        memory = _memory(begun, limit, tokens)
        cut["memory"] = _section("memory", _MEMORY, memory.text)
    system = _system_message({**parts, **cut}, world)
    left = budget - spent - entry_tokens - tokens.message_cost(system.content.text)
    notes = [sent for _, sent in fitted]
    uncut = [*(note for note, _ in fitted), *asked]
    is_cut = bool(cut) or [*notes, *closing] != uncut
    sent = [system, *notes, *closing] if is_cut else None
    return _Frame(
        system,
        closing,
        [*lore, *sent_entries(in_outlets, macros.outlets, sent)],
        heard.history,
        left,
        needs={**whole, "lore": lore_tokens},
        cut=cut,
        notes=notes,
        among=among,
        after_history=after_history,
        asked=uncut,
        found=wanted_entries(found, named, macros.outlets),
        memory=memory,
        new_facts=new_facts,
        new_cost=new_cost,
        macros=macros,
    )


def _system_message(
    parts: Mapping[Section, Piece], world: Mapping[Section, tuple[Piece, Piece]]
) -> PromptMessage:
    """The sections in order, each between its lorebook entries."""
    sections: list[Piece] = []
    for name, part in parts.items():
        before, after = world.get(name, (NO_WORDS, NO_WORDS))
        sections += [before, part, after]
    return PromptMessage("system", joined("\n\n", sections))


def _macros(spec: PromptSpec) -> Macros:
    return build_macros(spec.begun, spec.request).having(
        maxprompt=str(spec.limit),
        maxcontext=str(spec.context_tokens),
        maxresponse=str(spec.max_tokens),
    )


def _system_room(budget: int, closing: int) -> int:
    """Tokens for the system message's text and the lorebook entries among the messages."""
    left = max(budget - _round_up(closing, budget), 0)
    return max(left - int(min(budget * HISTORY_SHARE, left / 2)) - TOKENS_PER_MESSAGE, 0)


def _round_up(tokens: int, budget: int) -> int:
    """`tokens` rounded up to a multiple of the step."""
    step = max(int(budget * STEP_SHARE), 1)
    return math.ceil(tokens / step) * step


def _divide_budget(needs: Mapping[Section, int], room: int) -> dict[Section, int]:
    """Divide `room` tokens among the sections: first each gets what it needs up to its share, then
    the remainder is distributed in order."""
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


def _shortened(name: Section, part: Piece, limit: int, tokens: Tokens) -> Piece:
    """The section, cut to `limit` tokens; empty if little more than its title would be left."""
    text = part.text
    limit -= tokens.count("\n\n")
    title, is_titled, _ = text.partition("\n") if text.startswith("## ") else ("", "", "")
    cut = tokens.beginning(text, limit)
    if name == "examples":  # Whole lines.
        cut = cut.rpartition("\n")[0].rstrip().removesuffix("<START>")
    cut = cut.rstrip()
    return NO_WORDS if is_titled and len(cut) <= len(title) else part.beginning(len(cut))


def _own_text(text: str, request: ChatRequest, macros: Macros) -> Piece:
    """A text of ours, with macros expanded."""
    return expanded(text, macros, lambda name: owner(name, request) if name else None)


def _own_prompt(begun: BegunTurn, house: Piece, macros: Macros) -> Piece:
    """The author's replacement for the template; empty if there is none."""
    text = begun.character.system_prompt if begun.character else ""
    return written(text, macros, "character", original=house)


def _opening_section(tier: Tier, house: Piece, own: Piece, limit: int, tokens: Tokens) -> Piece:
    """The beginning of the system message: the template, or the author's replacement for it."""
    if not own.text.strip():
        return house
    # An author may replace the template, but neither drop the tier's rules nor push them out with a
    # long text before them.
    if house.text in tokens.beginning(own.text, limit):
        return own
    return joined("\n\n", [Piece.from_text(None, HOUSE_RULES[tier]), own])


def _parts(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Macros,
) -> dict[Section, Piece]:
    """The sections of the system message between template and memory, without the lorebook, uncut,
    in order."""
    scene = "\n".join(filter(None, [request.scene_description, request.scene_context]))
    scene_name = without_placeholders(request.scene_name or "", macros)
    scene_title = f"The scene: {scene_name}" if scene_name else "The scene"
    role = without_placeholders(request.user_role or "", macros)
    parts: dict[Section, Piece] = {
        "others": _section("character", "Who else is there", introduction(begun, macros)),
    }
    if begun.character:
        parts |= _character_parts(begun.character, macros)
    else:  # There may be entries around them.
        parts |= {"description": NO_WORDS, "examples": NO_WORDS}
    if begun.persona:
        title = f"About {begun.persona.name}, played by the user"
        parts["persona"] = _author_section("persona", title, begun.persona.description, macros)
    return parts | {
        "role": _section("persona", "The user plays", role),
        "scene": _author_section("scene", scene_title, scene, macros),
        "directions": _author_section(
            "scene", "Directions for the scene", request.scene_system_prompt or "", macros
        ),
    }


def _character_parts(character: CharacterRow, macros: Macros) -> dict[Section, Piece]:
    name = character.name
    vitals = [f"{name} is {character.age} years old." if character.age is not None else ""]
    vitals.append(f"{name}'s pronouns: {character.pronouns}." if character.pronouns else "")

    def section(title: str, text: str) -> Piece:
        return _author_section("character", title, text, macros)

    return {
        "description": section(f"About {name}", character.description),
        "vitals": Piece.from_text("character", " ".join(filter(None, vitals))),
        "personality": section(f"{name}'s personality", character.personality),
        "scenario": section("Scenario", character.scenario),
        "examples": section(f"How {name} speaks", character.example_messages),
    }


def _examples_title(begun: BegunTurn) -> str:
    return f"How {begun.character.name} speaks" if begun.character else "Examples"


def _world(
    begun: BegunTurn, lore: Sequence[Entry], parts: Mapping[Section, Piece]
) -> dict[Section, tuple[Piece, Piece]]:
    """The entries before and after the sections of the system message."""
    entries: dict[Position, list[Entry]] = {}
    for entry in lore:
        position = entry.position
        if position in ("personality", "scenario") and not parts.get(position, NO_WORDS).runs:
            position = "after_char"
        entries.setdefault(position, []).append(entry)
    title = _examples_title(begun)
    has_title = bool(entries.get("examples_top") or parts["examples"].runs)
    return {
        "description": (_entries(_BEFORE, entries.get("before_char", ())), NO_WORDS),
        "personality": (NO_WORDS, _entries("", entries.get("personality", ()))),
        "scenario": (NO_WORDS, _entries("", entries.get("scenario", ()))),
        "examples": (
            joined(
                "\n\n",
                [
                    _entries(_AFTER, entries.get("after_char", ())),
                    _entries(title, entries.get("examples_top", ())),
                ],
            ),
            _entries("" if has_title else title, entries.get("examples_bottom", ())),
        ),
    }


def _entries(title: str, entries: Sequence[Entry]) -> Piece:
    """The entries of one position, under a title."""
    texts = [(entry.part, entry.content.strip()) for entry in entries]
    texts = [(part, text) for part, text in texts if text]
    if texts and title:
        texts[0] = texts[0][0], f"## {title}\n{texts[0][1]}"
    return joined("\n\n", [Piece.from_text(part, text) for part, text in texts])


def _memory(begun: BegunTurn, budget: int, tokens: Tokens) -> _Memory:
    """The summary and the facts within `budget`.

    Pinned and important facts are kept, in at most half of it. Others are dropped first, the least
    important before the rest.
    """
    summary = begun.memory.text if begun.memory else ""
    facts = begun.shown_facts
    if not facts and not summary:
        return _Memory()
    kept = [fact for fact in facts if _is_kept(fact)]
    first, rest = _fact_lines(kept, budget // 2, tokens)
    budget -= tokens.count("\n".join([*first, ""]))
    fitting = tokens.beginning(summary, max(budget, 0))
    budget -= tokens.count(f"{fitting}\n")
    others = rest + [fact for fact in facts if not _is_kept(fact)]
    more, left_out = _fact_lines(others, budget, tokens)
    text = "\n".join(filter(None, [fitting, *first, *more]))
    return _Memory(text, left_out, fitting)


def _new_facts(begun: BegunTurn, budget: int, tokens: Tokens) -> list[FactRow]:
    """The facts that the person wrote since the beginning of the prompt last changed, within
    `budget` tokens. They move there when it changes anyway."""
    new = [fact for fact in begun.shown_facts if fact.is_new]
    title = tokens.count(f"{recall.NEW_FACTS_TITLE}\n")
    _, left_out = _fact_lines(new, budget - title, tokens)
    return _without(new, left_out)


def _without_facts(begun: BegunTurn, facts: Sequence[FactRow]) -> BegunTurn:
    left = _without(begun.facts, facts)
    return begun.model_copy(update={"facts": left}) if facts else begun


def _without(facts: Sequence[FactRow], others: Sequence[FactRow]) -> list[FactRow]:
    known = {id(fact) for fact in others}
    return [fact for fact in facts if id(fact) not in known]


def _is_kept(fact: FactRow) -> bool:
    return fact.pinned or fact.importance >= KEPT_IMPORTANCE


def _fact_lines(
    facts: Sequence[FactRow], budget: int, tokens: Tokens
) -> tuple[list[str], list[FactRow]]:
    """The lines of the facts that fit, and the other facts. A long one does not block those after
    it."""
    lines: list[str] = []
    left_out: list[FactRow] = []
    for fact in facts:
        line = f"- {fact.line}"
        cost = tokens.count(f"{line}\n")
        if cost > budget:
            left_out.append(fact)
        else:
            budget -= cost
            lines.append(line)
    return lines, left_out


def _closing(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Macros,
) -> list[PromptMessage]:
    closing: list[PromptMessage] = []
    text = begun.character.post_history_instructions if begun.character else ""
    # {{original}} stands for our own instructions, and we have none here.
    instructions = written(text, macros, "character").stripped()
    # They instruct the character, who does not speak in an impersonation.
    if instructions.runs and request.action != "impersonate":
        closing.append(PromptMessage("system", instructions))
    said = begun.turn.message
    if said is not None:
        return [*closing, PromptMessage("user", Piece.from_text("message", said))]
    opening = _own_text(_opening(begun, request), request, macros)
    opening = joined(" Something like: ", [opening, *_example(begun, request, macros)])
    return [*closing, PromptMessage("user", opening)]


def _example(begun: BegunTurn, request: ChatRequest, macros: Macros) -> list[Piece]:
    """A scene starter as an example, if nobody has spoken yet."""
    if request.action == "impersonate" or begun.turn.continues is not None or begun.history:
        return []
    starters = [starter for starter in request.scene_starters or [] if starter]
    return [written(starter, macros, "scene") for starter in starters[:1]]


def _fit_closing(
    closing: Sequence[PromptMessage], budget: int, spent: int, tokens: Tokens
) -> list[PromptMessage]:
    """The closing messages, cut to their shares, of which `spent` tokens are already used."""
    left, fitted = int(budget * CLOSING_SHARE) - spent, []
    for message in closing:
        limit = int(budget * INSTRUCTIONS_SHARE) if message.role == "system" else left
        limit -= TOKENS_PER_MESSAGE
        fitted.append(PromptMessage(message.role, _without_middle(message.content, limit, tokens)))
        left -= tokens.message_cost(fitted[-1].content.text)
    return fitted


def _without_middle(piece: Piece, limit: int, tokens: Tokens) -> Piece:
    """The text, with its middle cut out if it has more than `limit` tokens."""
    if (ends := tokens.both_ends(piece.text, limit)) is None:
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
    """The instruction that replaces a missing message; it is never stored."""
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
    """A section with a title. The title is screened with the text, since most contain a name."""
    text = text.strip() if text else ""
    return Piece.from_text(part, f"## {title}\n{text}") if text else NO_WORDS


def _author_section(part: Part, title: str, text: str, macros: Macros) -> Piece:
    """As `_section`, for a text in which macros are expanded."""
    piece = written(text, macros, part).stripped()
    return Piece.from_runs([(part, f"## {title}\n"), *piece.runs]) if piece.runs else NO_WORDS


def _kept(spec: PromptSpec, frame: _Frame, cost: int) -> Sequence[MessageRow]:
    """The messages of the history that are sent, oldest first: at least the newest one. If not all
    of them fit, long ones lose their middle. The whole history costs at most `cost` tokens."""
    history, room, tokens = frame.history, frame.room, spec.tokens
    is_cut = spec.begun.is_cut
    if not history or (not is_cut and cost <= room):
        return history
    longest = longest_shown(spec.budget, room)
    reserve = min(recall.budget(spec.budget), int(room * RECALL_SHARE))
    first = _first_kept(history, room, reserve, longest, tokens, is_cut=is_cut)
    *others, newest = history[first:]
    shown = [_without_its_middle(row, longest, tokens) for row in others]
    limit = _longest_newest(longest, room)
    if spec.begun.turn.continues is None:
        last = _without_its_middle(newest, limit, tokens)
    else:
        last = _with_its_end(newest, spec.begun.history[-1].content, limit, tokens)
    return [*shown, last] if last.content else shown


def _longest_newest(longest: int, room: int) -> int:
    """As `longest_shown`, for the newest message. It may be longer, because no beginning of a
    prompt depends on it."""
    return min(2 * longest, max(room, 0))


def _without_its_middle(row: MessageRow, limit: int, tokens: Tokens) -> MessageRow:
    """The message within `limit` tokens, with its beginning and its end."""
    limit -= TOKENS_PER_MESSAGE
    if (ends := tokens.both_ends(row.content, limit)) is None:
        return row
    shown = "".join(ends)
    return replace(row, content=shown if tokens.count(shown) <= limit else "")


def _with_its_end(row: MessageRow, said: str, limit: int, tokens: Tokens) -> MessageRow:
    """The message within `limit` tokens with the end of what was `said`, from which a model can go
    on."""
    limit -= TOKENS_PER_MESSAGE
    if tokens.count(row.content) <= limit:
        return row
    # With several people, a name stands before what was said.
    name = row.content.removesuffix(said)
    end = _end(said, limit - tokens.count(name), tokens)
    return replace(row, content=name + end if end else "")


def _end(text: str, limit: int, tokens: Tokens) -> str:
    """The end of a text within `limit` tokens, from the beginning of a sentence, or of a word if
    half of the end would be lost."""
    start = len(text) - len(tokens.end(text, limit))
    latest = (start + len(text)) // 2
    for beginning in (_SENTENCE_BEGINNING, _WORD_BEGINNING):
        # The mark and the space before the first whole sentence may stand before `start`.
        for match in beginning.finditer(text, max(start - 4, 0)):
            if start <= match.end() <= latest:
                return text[match.end() :]
    return text[start:]


def _first_kept(
    history: Sequence[MessageRow],
    room: int,
    reserve: int,
    longest: int,
    tokens: Tokens,
    *,
    is_cut: bool = False,
) -> int:
    """Where to cut a history that is too long for `room` tokens; 0 if all of it fits when long
    messages have lost their middle: see `longest_shown`. Otherwise `reserve` tokens are left for
    recalled messages. A history that the database has cut (`is_cut`) begins with another message in
    every turn, so it is cut here even if it fits.

    Of the cuts that keep nearly as much as fits, the one with the highest grade, which stays the
    highest for as long as it is among them. So most turns only append to the prompt of the turn
    before, which stays cached.
    """
    costs: list[int] = []
    spent = 0
    while len(costs) < len(history) and spent <= room:
        limit = longest if costs else _longest_newest(longest, room)
        costs.append(min(tokens.message_cost(history[-1 - len(costs)].content), limit))
        spent += costs[-1]
    if spent <= room and not is_cut:
        return 0
    room = min(room - reserve, spent)
    least = room - min(CUT_SHARE * room, CUT_TOKENS)
    first = latest = len(history)
    spent = 0
    for cost in costs:
        if (spent := spent + cost) > room:
            break
        first -= 1
        if spent <= least:
            latest = first
    last = len(history) - 1
    places = range(min(first, last), min(latest, last) + 1)
    return max(places, key=lambda place: (_grade(history[place].position), -place))


def _grade(position: int) -> int:
    """How rarely a history may begin at this position: 0 for half of them, 1 for a quarter, ..."""
    mixed = position * 0x9E3779B97F4A7C15 >> 16 & 0xFFFFFFFF
    return (mixed & -mixed).bit_length()


@dataclass(frozen=True)
class _Recalled:
    """The chosen facts and earlier messages, and the message that contains them."""

    facts: Sequence[FactRow] = ()
    rows: Sequence[RecalledRow] = ()
    messages: Sequence[PromptMessage] = ()


def _recalled(spec: PromptSpec, history: Sequence[MessageRow], frame: _Frame) -> _Recalled:
    """Earlier messages, and facts that do not fit the system message, if they relate to the
    person's message. They use the room that the history leaves."""
    before = history[0].position if history else None
    is_any_earlier = any(before is None or row.position < before for row in spec.begun.recalled)
    new = recall.written_facts(frame.new_facts, recall.NEW_FACTS_TITLE)
    if not is_any_earlier and not frame.memory.left_out:
        return _Recalled(messages=[PromptMessage("system", new)] if new.runs else [])
    said, tokens = spec.begun.turn.message or "", spec.tokens
    names = {"user": frame.macros["user"], "character": frame.macros["char"]}
    left = (
        frame.room - sum(tokens.message_cost(row.content) for row in history) - TOKENS_PER_MESSAGE
    )
    left = min(left, recall.budget(spec.budget))
    facts = recall.choose_facts(
        frame.memory.left_out, spec.begun.shown_facts, said=said, budget=left // 2, tokens=tokens
    )
    written = recall.written_facts(facts)
    rows = recall.choose(
        spec.begun.recalled,
        before=before,
        said=said,
        names=names,
        budget=left - tokens.count(f"{written.text}\n\n") if facts else left,
        tokens=tokens,
        tier=spec.tier,
    )
    recalled = joined("\n\n", [new, written, recall.written(rows, names)])
    return _Recalled(facts, rows, [PromptMessage("system", recalled)] if recalled.runs else [])


def _message(row: MessageRow) -> PromptMessage:
    return PromptMessage(
        "user" if row.sender == "user" else "assistant", Piece.from_text("history", row.content)
    )


def _lore(begun: BegunTurn, found: Sequence[Entry], budget: int, tokens: Tokens) -> list[Entry]:
    """The found entries that fit, without those in outlets."""
    return select_entries(
        [entry for entry in found if entry.position != "outlet"],
        books_of(begun),
        budget_tokens=budget,
        count=lambda text: tokens.message_cost(f"{text}\n\n"),
    )


def _character_note(begun: BegunTurn, macros: Macros) -> list[PromptMessage]:
    """The author's note among the messages, uncut; a list of one or none."""
    if begun.character is None or not begun.character.depth_prompt:
        return []
    text = expand(begun.character.depth_prompt, macros).strip()
    role, depth = begun.character.depth_prompt_role, begun.character.depth_prompt_depth
    return [_note("character", text, role, depth)] if text else []


def _person_note(begun: BegunTurn, macros: Macros) -> list[PromptMessage]:
    """The person's note in the conversation, which is text about the story like a scene; as
    `_character_note`."""
    settings = begun.settings
    text = expand(settings.note, macros).strip() if settings else ""
    if not settings or not text:
        return []
    return [_note("scene", text, settings.note_role, settings.note_depth)]


def _fit_notes(notes: Sequence[PromptMessage], budget: int, tokens: Tokens) -> list[_Fitted]:
    """Each note that fits, as a pair: uncut, and cut to its share."""
    limit = int(budget * NOTE_SHARE)
    fitted = []
    for message in notes:
        text = message.content.text
        kept = tokens.beginning(text, limit - TOKENS_PER_MESSAGE).rstrip()
        content = (
            message.content if len(kept) == len(text) else message.content.beginning(len(kept))
        )
        fitted += [(message, replace(message, content=content))] if kept else []
    return fitted


def _entries_at(position: Position, lore: Sequence[Entry]) -> list[PromptMessage]:
    """The entries of a position among the messages."""
    return [
        _note(entry.part, entry.content, entry.role, entry.depth)
        for entry in lore
        if entry.position == position
    ]


def _after_history(lore: Sequence[Entry]) -> list[PromptMessage]:
    texts = [entry for entry in lore if entry.position == "after_history"]
    pieces = [Piece.from_text(entry.part, entry.content.strip()) for entry in texts]
    if not (said := joined("\n\n", pieces)).runs:
        return []
    title = (None, f"{_AFTER_HISTORY}\n")
    return [PromptMessage("system", Piece.from_runs([title, *said.runs]))]


def _among_messages(
    character_notes: Sequence[_Fitted], person_notes: Sequence[_Fitted], lore: Sequence[Entry]
) -> list[PromptMessage]:
    """The notes and the entries that are placed among the messages."""
    return [
        *_entries_at("in_chat", lore),
        *(sent for _, sent in character_notes),
        *_around([sent for _, sent in person_notes], lore),
    ]


def _around(notes: Sequence[PromptMessage], lore: Sequence[Entry]) -> list[PromptMessage]:
    """The person's note (a list of one or none) between the entries for its top and bottom, which
    get its depth and role."""
    top, bottom = _entries_at("note_top", lore), _entries_at("note_bottom", lore)
    for note in notes:
        for entry in (*top, *bottom):
            entry.role, entry.depth = note.role, note.depth
    return [*top, *notes, *bottom]


def _note(part: Part, text: str, role: Role, depth: int) -> PromptMessage:
    # As the last message, a model would take it for the beginning of its own reply.
    role = "system" if role == "assistant" and depth == 0 else role
    return PromptMessage(role, Piece.from_text(part, text), depth)


def _with_notes(
    messages: Sequence[PromptMessage], notes: Sequence[PromptMessage]
) -> list[PromptMessage]:
    """The messages with the notes among them, each with `depth` messages after it."""
    if not notes:
        return list(messages)
    spoken = [place for place, message in enumerate(messages) if message.role != "system"]
    places = [*spoken, len(messages)]
    noted: list[PromptMessage] = []
    for place in range(len(messages) + 1):
        noted += [
            note for note in notes if places[max(-1 - (note.depth or 0), -len(places))] == place
        ]
        noted += messages[place : place + 1]
    return noted


def cost_at_most(rows: Sequence[MessageRow], tokens: Tokens) -> int:
    """An upper bound for the sum of `Tokens.message_cost`, in a single count."""
    whole = tokens.count("".join([row.content for row in rows]))
    return whole + (TOKENS_PER_MESSAGE + 1) * len(rows)
