"""A scripted world: what somebody told long ago, and whether a prompt still knows it.

Over 300 turns a person tells 60 facts of different weight, some of which change later, and much
that is none. They delete and edit messages and branch the conversation. After turns 100, 200
and 300 they ask about each fact, and about those that they deleted.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from uuid import UUID

from bench.memory.function import (
    Begun,
    Function,
    let_a_minute_pass,
    make_conversation,
    make_person,
    prepare,
    undone,
)
from bench.memory.note_taker import Mistakes, NoteTaker, Statement
from bench.memory.prompts import Prompt, common_beginning, prompt_tokens
from bench.memory.prose import SmallTalk, seeded
from tests.support.stack import DEMO_CHARACTER

CONTEXTS = (4_096, 8_192, 32_768)
TURNS = 300
CHECKS = (100, 200, 300)
"""The turns after which questions are asked."""
BRANCHES = (150, 199)
"""The turns after which the conversation is branched: the first time at the reply before the last,
so that a turn is left behind."""
IMPORTANT = 5
"""The weight of names, family, promises, and limits that somebody set."""
DISTRACTIONS = 40
DELETED, EDITED = 4, 3
FACTS = Path(__file__).with_name("facts.jsonl")

NEWEST, SUMMARY, MEMORY = "the newest messages alone", "a rolling summary alone", "memory"
SHOWN: Mapping[str, Callable[[Begun], Begun]] = {
    NEWEST: lambda begun: begun | {"memory": None, "facts": [], "recalled": None},
    SUMMARY: lambda begun: begun | {"facts": [], "recalled": None},
    MEMORY: lambda begun: begun,
}
"""What a prompt is made of, by the name in the tables."""


@dataclass(frozen=True)
class Fact:
    """A fact of the world. `values` are what holds one after the other; most have only one."""

    weight: int
    subject: str
    topic: str
    said: str
    noted: str
    asks: str
    values: Sequence[str]
    changed: str = ""

    def statement(self, place: int) -> Statement:
        """What the person says when the value at this place begins to hold."""
        return Statement(
            said=(self.changed if place else self.said).format(v=self.values[place]),
            noted=self.noted.format(v=self.values[place]),
            weight=self.weight,
            subject=self.subject,
            topic=self.topic,
            replaces=tuple(self.noted.format(v=value) for value in self.values[:place]),
        )


@dataclass
class Script:
    """What happens in which turn, from 1 on."""

    said: dict[int, tuple[Fact, int]]
    """A fact, and the place of the value that begins to hold."""
    distractions: dict[int, Statement]
    deleted: dict[int, Fact]
    """The message that told it is deleted after the turn."""
    edited: dict[int, Fact]
    """The message that told it is edited after the turn, to the fact's second value."""

    def statements(self) -> list[Statement]:
        """Everything that may be noted."""
        told = [fact.statement(place) for fact, place in self.said.values()]
        corrected = [corrected_statement(fact) for fact in self.edited.values()]
        return [*told, *corrected, *self.distractions.values()]


def corrected_statement(fact: Fact) -> Statement:
    """What an edited message says: the second value, as if it had never been another."""
    noted = fact.noted.format(v=fact.values[1])
    said = fact.said.format(v=fact.values[1])
    return Statement(said, noted, fact.weight, fact.subject, fact.topic)


def read_facts() -> list[Fact]:
    """The facts of the world."""
    return [Fact(**json.loads(line)) for line in FACTS.read_text().splitlines()]


def write_script(facts: Sequence[Fact], seed: int = 0) -> Script:
    """Spread the facts over the turns."""
    chance = seeded(seed)
    free = [turn for turn in range(2, TURNS - 4) if turn not in BRANCHES]
    chance.shuffle(free)
    lost = BRANCHES[0] - 1
    free.remove(lost)
    changing = [fact for fact in facts if len(fact.values) > 1]
    edited = chance.sample([fact for fact in changing if len(fact.values) == 2], EDITED)
    steady = [fact for fact in facts if len(fact.values) == 1]
    deleted = chance.sample(steady, DELETED)
    script = Script({}, {}, {}, {})
    # One fact is told in the turn that the first branch leaves behind.
    left_behind = next(f for f in steady if f not in deleted and f.weight < IMPORTANT)
    for fact in facts:
        turn = lost if fact is left_behind else _take(free, 1, TURNS - 60, chance)
        script.said[turn] = fact, 0
        if fact in deleted:
            script.deleted[_take(free, turn + 25, TURNS - 5, chance)] = fact
        elif fact in edited:
            script.edited[_take(free, turn + 25, TURNS - 5, chance)] = fact
        else:
            for place in range(1, len(fact.values)):
                turn = _take(free, turn + 12, TURNS - 5, chance)
                script.said[turn] = fact, place
    for number in range(DISTRACTIONS):
        script.distractions[free.pop()] = _distraction(number)
    return script


def _take(free: list[int], first: int, last: int, chance: random.Random) -> int:
    """Take one of the free turns between two, or the nearest after them."""
    turn = chance.choice([t for t in free if first <= t <= last] or [min(free)])
    free.remove(turn)
    return turn


_OTHERS = ("the baker", "a sailor", "the miller", "my tailor", "an old priest", "the postman")
_LIKE = (
    "They say {who} moved to Porto and then to Basel.",
    "I read of {who} who was married three times.",
    "In the play, {who} works as a spy.",
    "I dreamt that {who} had a dog called Rex.",
    "Imagine {who} promised you a castle.",
    "Somebody told me {who} is afraid of cats.",
    "I met {who}, whose sister is called Anna.",
)


def _distraction(number: int) -> Statement:
    """A sentence like those of the facts that says nothing of the person."""
    who = _OTHERS[number % len(_OTHERS)]
    said = _LIKE[number % len(_LIKE)].format(who=who)
    return Statement(said, said, 0, who, "")


# --- living through it -----------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What prompts knew after some turns. Each pair is (how many, of how many)."""

    important: tuple[int, int]
    """Important facts that were in the prompt of the question about them."""
    others: tuple[int, int]
    unasked: tuple[int, int]
    """Important facts that are in the prompt of a message that asks for nothing."""
    superseded: tuple[int, int]
    """Facts that were shown as they were before they changed, where the notes say that they did."""
    unsaid: tuple[int, int]
    """The same of those whose change the notes do not say: the note-taker's mistakes."""
    deleted: tuple[int, int]
    """Facts of deleted messages and of turns left behind that were still shown."""
    wrong: Sequence[str] = ()
    """What is behind the figures: lost important facts, and the lines that should not be there."""


@dataclass(frozen=True)
class Life:
    """The results of one variant with one context."""

    checks: dict[int, Check]
    tokens: float
    """Average tokens of a prompt."""
    common: float
    """Average common beginning of consecutive prompts."""
    steps: int


@dataclass
class _Person:
    function: Function
    notes: NoteTaker
    script: Script
    user: UUID
    conversation: UUID
    current: dict[str, tuple[Fact, int]] = field(default_factory=dict)
    """The facts that hold, by their first note, each with the place of its value."""
    gone: dict[str, tuple[Fact, int]] = field(default_factory=dict)
    """The same of deleted messages and of turns left behind."""
    prompts: list[Prompt] = field(default_factory=list)


async def live_all(
    function: Function, say: Callable[[str], None], seed: int = 0
) -> dict[str, dict[int, Life]]:
    """Live through the script with every variant and context."""
    script = write_script(read_facts(), seed)
    results: dict[str, dict[int, Life]] = {}
    for name, shown in SHOWN.items():
        function.shown = shown
        for context in CONTEXTS:
            life = await live(function, context, script, seed)
            results.setdefault(name, {})[context] = life
            known, asked = life.checks[TURNS].important
            say(f"{name}, context {context:,}: {known} of {asked} important facts at the end")
    function.shown = SHOWN[MEMORY]
    return results


async def live(
    function: Function,
    context: int,
    script: Script,
    seed: int = 0,
    *,
    turns: int = TURNS,
    checks: Sequence[int] = CHECKS,
) -> Life:
    """Live through the script in a new conversation."""
    prepare(function.db, context)
    notes = NoteTaker(script.statements(), Mistakes(), seed)
    function.take_notes, function.steps = notes, 0
    user = make_person(function.db, "Ada")
    person = _Person(
        function, notes, script, user, make_conversation(function.db, user, DEMO_CHARACTER)
    )
    talk, found = SmallTalk(seed), {}
    for turn in range(1, turns + 1):
        message, reply = talk.person(turn), talk.character(turn)
        await _turn(person, turn, message, reply)
        if turn in checks:
            found[turn] = await _check(person)
    pairs = zip(person.prompts, person.prompts[1:], strict=False)
    return Life(
        checks=found,
        tokens=fmean(map(prompt_tokens, person.prompts)),
        common=fmean(common_beginning(before, prompt) for before, prompt in pairs),
        steps=function.steps,
    )


async def _turn(person: _Person, turn: int, message: str, reply: str) -> None:
    """A turn, and what the person does after it."""
    function, script = person.function, person.script
    if told := script.said.get(turn):
        fact, place = told
        message = f"{fact.statement(place).said} {message}"
        person.current[fact.noted] = told
    elif distraction := script.distractions.get(turn):
        message = f"{distraction.said} {message}"
    prompt = await function.say(person.user, person.conversation, message, reply)
    person.prompts.append(prompt)
    let_a_minute_pass(function.db)
    if fact_to_delete := script.deleted.get(turn):
        await _delete(person, fact_to_delete)
    if fact_to_edit := script.edited.get(turn):
        await _edit(person, fact_to_edit)
    if turn in BRANCHES:
        await _branch(person, 2 if turn == BRANCHES[0] else 0)


async def _delete(person: _Person, fact: Fact) -> None:
    message_id, _ = _message_with(person, fact.statement(0).said)
    await person.function.ask(person.user, action="delete", message_id=message_id)
    person.gone[fact.noted] = person.current.pop(fact.noted)


async def _edit(person: _Person, fact: Fact) -> None:
    said = fact.statement(0).said
    message_id, content = _message_with(person, said)
    corrected = content.replace(said, corrected_statement(fact).said)
    await person.function.ask(person.user, action="edit", message_id=message_id, message=corrected)
    person.current[fact.noted] = fact, 1


def _message_with(person: _Person, said: str) -> tuple[str, str]:
    row = person.function.db.execute(
        "select id, content from messages where conversation_id = %s and is_active"
        " and content like %s || '%%'",
        [person.conversation, said],
    ).fetchall()[0]
    return str(row["id"]), str(row["content"])


async def _branch(person: _Person, left_behind: int) -> None:
    """Go on in a branch without the newest messages."""
    rows = person.function.db.execute(
        "select id, content from messages where conversation_id = %s and is_active"
        " order by position desc limit %s",
        [person.conversation, left_behind + 1],
    ).fetchall()
    for noted, (fact, place) in list(person.current.items()):
        said = fact.statement(place).said
        if any(row["content"].startswith(said) for row in rows[:-1]):
            person.gone[noted] = person.current.pop(noted)
    answer = await person.function.ask(person.user, action="branch", message_id=str(rows[-1]["id"]))
    person.conversation = UUID(answer["conversation_id"])


# --- asking ----------------------------------------------------------------------------------


async def _check(person: _Person) -> Check:
    asked = [
        (fact, fact.values[place], await _ask(person, fact.asks))
        for fact, place in person.current.values()
    ]
    gone = [
        (fact, fact.values[place], await _ask(person, fact.asks))
        for fact, place in person.gone.values()
    ]
    plain = await _ask(person, "Go on.")
    important = [one for one in asked if one[0].weight == IMPORTANT]
    others = [one for one in asked if one[0].weight < IMPORTANT]
    changed = [one for one in asked if one[1] != one[0].values[0]]
    superseded = [
        (
            _is_said(person, fact, value),
            _outdated(plain, prompt, fact, value),
        )
        for fact, value, prompt in changed
    ]
    shown = [lines_with(prompt, value) for _, value, prompt in gone]
    lost = [f"lost: {value}" for _, value, prompt in important if not knows(prompt, value)]
    return Check(
        important=_count([knows(prompt, value) for _, value, prompt in important]),
        others=_count([knows(prompt, value) for _, value, prompt in others]),
        unasked=_count([knows(plain, value) for _, value, _ in important]),
        superseded=_count([bool(lines) for said, lines in superseded if said]),
        unsaid=_count([bool(lines) for said, lines in superseded if not said]),
        deleted=_count([bool(lines) for lines in shown]),
        wrong=[
            *lost,
            *(
                f"superseded{'' if said else ' (unsaid)'}: {line}"
                for said, lines in superseded
                for line in lines
            ),
            *(f"deleted: {line}" for lines in shown for line in lines),
        ],
    )


def _is_said(person: _Person, fact: Fact, value: str) -> bool:
    """Whether the notes say that the fact has changed. Of an edited message they need not."""
    is_edited = fact in person.script.edited.values()
    return is_edited or person.notes.says_change(fact.noted.format(v=value))


def _outdated(plain: Prompt, prompt: Prompt, fact: Fact, current: str) -> list[str]:
    found = [*outdated(plain, fact, current), *outdated(prompt, fact, current)]
    return list(dict.fromkeys(found))


def _count(found: Sequence[bool]) -> tuple[int, int]:
    return sum(found), len(found)


async def _ask(person: _Person, message: str) -> Prompt:
    with undone(person.function):
        return await person.function.say(person.user, person.conversation, message, "I see.")


def knows(prompt: Prompt, value: str) -> bool:
    """Whether a value stands anywhere in the prompt but in the person's message."""
    return bool(lines_with(prompt, value))


def lines_with(prompt: Prompt, value: str) -> list[str]:
    """The lines of the prompt that have the value, but for the person's message."""
    lines = [line for message in prompt[:-1] for line in message["content"].splitlines()]
    return [line for line in lines if _has(line, value)]


def outdated(prompt: Prompt, fact: Fact, current: str) -> list[str]:
    """The sentences that show an earlier value of the fact as if it were the current one.

    Those are sentences of the summary and facts without the current value, unless it is said after
    them, in the history; and all sentences if the prompt has the current value nowhere.
    """
    earlier = fact.values[: fact.values.index(current)]
    if not knows(prompt, current):
        return [line for value in earlier for line in lines_with(prompt, value)]
    if any(_has(m["content"], current) for m in prompt[:-1] if m["role"] != "system"):
        return []
    return [
        sentence
        for value in earlier
        for sentence in remembered(prompt)
        if _has(sentence, value) and not _has(sentence, current)
    ]


def remembered(prompt: Prompt) -> Iterator[str]:
    """The sentences of the summary and the facts, wherever they stand in the prompt."""
    system, *others = (m["content"] for m in prompt if m["role"] == "system")
    _, _, memory = system.partition("\n## What is remembered\n")
    listed = [line for text in others for line in text.splitlines() if line.startswith("- ")]
    for line in [*memory.splitlines(), *listed]:
        yield from re.findall(r"[^.!?]+[.!?]*", line)


def _has(text: str, value: str) -> bool:
    return re.search(rf"\b{re.escape(value)}\b", text) is not None
