"""Builds the messages for a model.

Order: one system message (template, character, persona, scene, memory), as much of the history as
fits, what comes and goes (lorebook entries without a place of their own, new facts, what is
recalled), the author's post-history instructions, and the person's message. Other activated entries
stand where they say, by default around the description.

Each part has its module. Here they get their tokens in turn: first what always has room (notes,
closing messages, new facts), then the system message with the lorebook, then the history.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.messages import Message, Roles
from roleplay_chat.prompt import lore, recall
from roleplay_chat.prompt.author_notes import (
    among_messages,
    character_note,
    fit_notes,
    person_note,
    with_notes,
)
from roleplay_chat.prompt.budget import (
    LORE_SHARE,
    MEMORY_SHARE,
    SHARES,
    divide_budget,
    rounded_up,
    system_room,
)
from roleplay_chat.prompt.closing import closing_messages, fit_closing
from roleplay_chat.prompt.composition import Ingredients, Section
from roleplay_chat.prompt.group_chat import as_heard
from roleplay_chat.prompt.history import cost_at_most, kept_messages, longest_shown
from roleplay_chat.prompt.macro_variables import NO_VARIABLES, Variables
from roleplay_chat.prompt.macros import Macros, build_macros, own_text
from roleplay_chat.prompt.memory_section import (
    PromptMemory,
    build_memory,
    new_facts,
    shortened_memory,
    without_facts,
)
from roleplay_chat.prompt.outlets import (
    entries_in_outlets,
    named_entries,
    sent_entries,
    texts_by_outlet,
    wanted_entries,
)
from roleplay_chat.prompt.passages import Piece, build_passages, joined
from roleplay_chat.prompt.roles import PromptMessage, arranged, extra_tokens
from roleplay_chat.prompt.system_message import (
    build_sections,
    find_template,
    opening_section,
    own_prompt,
    section_cost,
    shortened,
    system_message,
)
from roleplay_chat.rows import BegunTurn, FactRow, MessageRow, RecalledRow
from roleplay_chat.screening.decision import Passage
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED, Tokens


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


class PromptSpec(Struct, frozen=True, dict=True):
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
    """The maximum tokens of the prompt, even if the reply leaves more; None for no limit."""
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

    @cached_property
    def budget(self) -> int:
        """The tokens that its parts may have."""
        rule = self.tokens.count(f"\n\n{self.rule}") if self.rule else 0
        return self.limit - rule - extra_tokens(self.roles, self.tokens)


def build(spec: PromptSpec) -> Prompt:
    """The messages to send, within the budget."""
    frame = _frame(spec)
    cost = cost_at_most(frame.history, spec.tokens)
    kept = _kept(spec, frame, cost)
    if frame.texts.macros.steps_used and kept and kept[0].position > frame.history[0].position:
        # No summary was written, so only the cut decides where the history begins.
        frame = _frame(spec, step=kept[0].position)
        kept = _kept(spec, frame, cost)
    recalled = _recalled(spec, kept, frame)
    spoken = [
        *map(_message, kept),
        *frame.entries.after_history,
        *recalled.messages,
        *frame.reserved.closing,
    ]
    rule = Piece.from_text(None, spec.rule)
    system = PromptMessage("system", joined("\n\n", [frame.system.message.content, rule]))
    messages = [system, *with_notes(spoken, frame.entries.among)]
    return Prompt.from_messages(
        arranged(messages, spec.roles),
        _ingredients(spec, frame, kept, recalled, cost),
        frame.texts.macros.variables,
    )


def history_room(spec: PromptSpec) -> int:
    """The tokens that `build` has for the history in this turn and the next ones. An unusually long
    message of the person takes its room only once, so it counts as `longest_shown`, which is what
    it takes later as part of the history."""
    frame = _frame(spec)
    said = spec.tokens.message_cost(frame.reserved.closing[-1].content.text)
    room = frame.room + said
    last = next((row for row in reversed(frame.history) if row.sender == "user"), None)
    usual = 0 if last is None else spec.tokens.message_cost(last.content)
    return room - min(said, max(usual, longest_shown(spec.budget, room)))


# --- everything but the history ----------------------------------------------------------------


class _Texts(Struct, frozen=True):
    """What the authors and the person wrote, with macros expanded, and the activated entries."""

    macros: Macros
    """With the variables after all texts."""
    found: Sequence[Entry]
    """The activated entries."""
    named: Sequence[Entry]
    """Those for outlets that a text names."""
    in_outlets: Sequence[Entry]
    """Those of them that fit."""
    house: Piece
    """The template."""
    own: Piece
    """The author's replacement for it."""
    sections: Mapping[Section, Piece]
    """Of the system message, between template and memory."""
    character_note: Sequence[PromptMessage]
    person_note: Sequence[PromptMessage]
    closing: Sequence[PromptMessage]
    history: Sequence[MessageRow]
    """From the speaker's point of view."""


class _Reserved(Struct, frozen=True):
    """The parts that always have room, each cut to its share."""

    character_note: Sequence[PromptMessage]
    person_note: Sequence[PromptMessage]
    closing: Sequence[PromptMessage]
    asked: Sequence[PromptMessage]
    """The notes and the closing messages, uncut."""
    sent: Sequence[PromptMessage]
    """The same, cut."""
    new_facts: Sequence[FactRow]
    """Facts that stand with what is recalled, so that the prompt before it stays the same."""
    new_text: Piece
    new_cost: int
    """The tokens of the new facts."""
    notes_cost: int
    cost: int
    """The tokens of them all."""


class _Entries(Struct, frozen=True):
    """The lorebook entries that fit, without those in outlets, and where they stand."""

    fitting: Sequence[Entry]
    world: Mapping[Section, tuple[Piece, Piece]]
    """The texts before and after the sections of the system message."""
    among: Sequence[PromptMessage]
    """The notes and the entries that are placed among the messages, in their order at the same
    depth."""
    after_history: Sequence[PromptMessage]
    """See `lore.after_history`."""
    messages_cost: int
    """The tokens of those that are messages."""
    cost: int
    """The tokens of them all."""


class _System(Struct, frozen=True):
    """The system message."""

    message: PromptMessage
    needs: Mapping[Section, int]
    """The tokens of its sections, uncut, in order, and of the entries."""
    cut: Mapping[Section, Piece]
    """Those that are shortened."""
    memory: PromptMemory


class _Frame(Struct, frozen=True):
    """Everything in a prompt but the history."""

    texts: _Texts
    reserved: _Reserved
    entries: _Entries
    system: _System
    room: int
    """The tokens left for the history."""

    @property
    def history(self) -> Sequence[MessageRow]:
        """From the speaker's point of view, not cut yet."""
        return self.texts.history


def _frame(spec: PromptSpec, step: int | None = None) -> _Frame:
    """`step` is the position where the history begins, by default where the summary ends."""
    texts = _texts(spec, step)
    reserved = _reserved(spec, texts)
    entries, system = _system(spec, texts, reserved)
    used = reserved.cost + entries.messages_cost
    room = spec.budget - used - spec.tokens.message_cost(system.message.content.text)
    return _Frame(texts, reserved, entries, system, room)


def _texts(spec: PromptSpec, step: int | None) -> _Texts:
    """As `_frame`."""
    begun, request = spec.begun, spec.request
    variables = Variables(spec.variables)
    if (found := spec.lore) is None:
        variables = Variables.from_json(begun.variables)
        found = lore.activated_entries(begun, request, variables)
    named = named_entries(begun, found)
    in_outlets = entries_in_outlets(begun, named, int(spec.budget * LORE_SHARE), spec.tokens)
    macros = _macros(spec).keeping(variables).filling(texts_by_outlet(in_outlets))
    heard = as_heard(begun, macros["user"])
    still = macros.standing_still(begun.summarised_position if step is None else step)
    # In the order of the prompt, for the variables that texts set and read.
    house = own_text(find_template(begun.templates, spec.tier, spec.family), request, still)
    return _Texts(
        macros,
        found,
        named,
        in_outlets,
        house,
        own=own_prompt(begun, house, still),
        sections=build_sections(begun, request, still),
        character_note=character_note(begun, macros),
        person_note=person_note(begun, macros),
        closing=closing_messages(heard, request, macros),
        history=heard.history,
    )


def _reserved(spec: PromptSpec, texts: _Texts) -> _Reserved:
    budget, tokens = spec.budget, spec.tokens
    character_notes = fit_notes(texts.character_note, budget, tokens)
    person_notes = fit_notes(texts.person_note, budget, tokens)
    notes = [*character_notes, *person_notes]
    notes_cost = sum(tokens.message_cost(sent.content.text) for _, sent in notes)
    closing = fit_closing(texts.closing, budget, notes_cost, tokens)
    closing_cost = sum(tokens.message_cost(message.content.text) for message in closing)
    new = new_facts(spec.begun, recall.budget(budget) // 2, tokens)
    told = recall.written_facts(new, recall.NEW_FACTS_TITLE)
    new_cost = tokens.message_cost(f"{told.text}\n\n") if new else 0
    return _Reserved(
        [sent for _, sent in character_notes],
        [sent for _, sent in person_notes],
        closing,
        asked=[*(note for note, _ in notes), *texts.closing],
        sent=[*(sent for _, sent in notes), *closing],
        new_facts=new,
        new_text=told,
        new_cost=new_cost,
        notes_cost=notes_cost,
        cost=notes_cost + closing_cost + new_cost,
    )


def _system(spec: PromptSpec, texts: _Texts, reserved: _Reserved) -> tuple[_Entries, _System]:
    """The system message in the room that the reserved parts leave it, and the lorebook in what the
    sections leave, except example dialogue."""
    budget, tokens = spec.budget, spec.tokens
    begun = without_facts(spec.begun, reserved.new_facts)
    room = system_room(budget, reserved.cost)
    share = int(room * SHARES["template"])
    memory = build_memory(begun, int(budget * MEMORY_SHARE), tokens)
    parts: dict[Section, Piece] = {
        "template": opening_section(spec.tier, texts.house, texts.own, share, tokens),
        **texts.sections,
        "memory": memory.section,
    }
    whole = {name: section_cost(part, tokens) for name, part in parts.items()}
    needs = whole | {"memory": rounded_up(whole["memory"], budget)}
    unused = room - sum(needs.values()) + needs.get("examples", 0)
    entries = _entries(spec, texts, reserved, parts, unused)
    given = divide_budget(needs | {"lore": rounded_up(entries.cost, budget)}, room)
    cut: dict[Section, Piece] = {
        name: shortened(name, part, given[name], tokens)
        for name, part in parts.items()
        if name != "memory" and whole[name] > given[name]
    }
    if whole["memory"] > given["memory"]:
        memory = shortened_memory(begun, given["memory"], tokens)
        cut["memory"] = memory.section
    message = system_message({**parts, **cut}, entries.world)
    return entries, _System(message, {**whole, "lore": entries.cost}, cut, memory)


def _entries(
    spec: PromptSpec,
    texts: _Texts,
    reserved: _Reserved,
    parts: Mapping[Section, Piece],
    unused: int,
) -> _Entries:
    """`parts` are the sections of the system message, which leave `unused` tokens."""
    begun, tokens = spec.begun, spec.tokens
    unused -= tokens.count(lore.titles(begun)) if texts.found else 0
    limit = min(unused, int(spec.budget * LORE_SHARE))
    fitting = lore.fitting_entries(begun, texts.found, limit, tokens)
    among = among_messages(reserved.character_note, reserved.person_note, fitting)
    after = lore.after_history(fitting)
    messages_cost = sum(tokens.message_cost(note.content.text) for note in (*among, *after))
    messages_cost -= reserved.notes_cost
    world = lore.entries_around(begun, fitting, parts)
    world_cost = sum(section_cost(part, tokens) for pair in world.values() for part in pair)
    return _Entries(fitting, world, among, after, messages_cost, messages_cost + world_cost)


def _macros(spec: PromptSpec) -> Macros:
    return build_macros(spec.begun, spec.request).having(
        maxprompt=str(spec.limit),
        maxcontext=str(spec.context_tokens),
        maxresponse=str(spec.max_tokens),
    )


# --- the history, and what is recalled ---------------------------------------------------------


def _kept(spec: PromptSpec, frame: _Frame, cost: int) -> Sequence[MessageRow]:
    return kept_messages(
        spec.begun,
        frame.history,
        cost=cost,
        room=frame.room,
        budget=spec.budget,
        tokens=spec.tokens,
    )


class _Recalled(Struct, frozen=True):
    """The chosen facts and earlier messages, and the message that contains them and the new
    facts."""

    facts: Sequence[FactRow] = ()
    rows: Sequence[RecalledRow] = ()
    messages: Sequence[PromptMessage] = ()


def _recalled(spec: PromptSpec, history: Sequence[MessageRow], frame: _Frame) -> _Recalled:
    """Earlier messages, and facts that do not fit the system message, if they relate to the
    person's message. They use the room that the history leaves."""
    before = history[0].position if history else None
    is_any_earlier = any(before is None or row.position < before for row in spec.begun.recalled)
    new = frame.reserved.new_text
    if not is_any_earlier and not frame.system.memory.left_out:
        return _Recalled(messages=[PromptMessage("system", new)] if new.runs else [])
    said, tokens = spec.begun.turn.message or "", spec.tokens
    macros = frame.texts.macros
    names = {"user": macros["user"], "character": macros["char"]}
    spent = sum(tokens.message_cost(row.content) for row in history)
    left = min(frame.room - spent - TOKENS_PER_MESSAGE, recall.budget(spec.budget))
    facts = recall.choose_facts(
        frame.system.memory.left_out,
        spec.begun.shown_facts,
        said=said,
        budget=left // 2,
        tokens=tokens,
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


def _ingredients(
    spec: PromptSpec, frame: _Frame, kept: Sequence[MessageRow], recalled: _Recalled, cost: int
) -> Ingredients:
    texts, reserved, system = frame.texts, frame.reserved, frame.system
    unused = texts.macros.outlets
    is_cut = bool(system.cut) or reserved.sent != reserved.asked
    sent = [system.message, *reserved.sent] if is_cut else None
    return Ingredients(
        spec.begun,
        spec.tokens,
        sections=system.needs,
        cut=system.cut,
        rule=spec.rule,
        asked=reserved.asked,
        closing=reserved.sent,
        found=wanted_entries(texts.found, texts.named, unused),
        lore=[*frame.entries.fitting, *sent_entries(texts.in_outlets, unused, sent)],
        facts_left_out=[*system.memory.left_out, *reserved.new_facts],
        summary=system.memory.summary,
        history=frame.history,
        history_cost=cost,
        kept=kept,
        recalled_facts=[*recalled.facts, *reserved.new_facts],
        recalled=recalled.rows,
        recalled_messages=recalled.messages,
        others=spec.budget - frame.room - reserved.new_cost,
        room=frame.room,
    )
