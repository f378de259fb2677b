"""A scripted note-taker that knows what matters and makes mistakes, the same for the same seed.

Its mistakes are those of small models: it misses things, notes them twice, says that a fact
replaces another one than it does, forgets to say that it replaces anything, misjudges how much it
matters, and breaks its JSON.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.memory.prose import seeded

MAX_FACTS = 8
"""Facts of an answer, as asked for."""
MAX_SUMMARY_WORDS = 240
_REWORDED = ", as was said."
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")


@dataclass(frozen=True)
class Statement:
    """Something that somebody says and that is worth a note."""

    said: str
    noted: str
    weight: int
    """1 to 5; 0 for what is not worth it and may be noted by mistake."""
    subject: str
    topic: str
    replaces: tuple[str, ...] = ()
    """The notes that it makes obsolete."""


@dataclass(frozen=True)
class Mistakes:
    """How likely each mistake is."""

    missed: float = 0.1
    """A fact is left out."""
    noted_twice: float = 0.1
    """A fact is noted again in other words."""
    wrong_number: float = 0.04
    """A new fact is said to replace some other one."""
    unsaid_change: float = 0.3
    """A changed fact is added instead of replacing the old one."""
    no_topic: float = 0.15
    no_message: float = 0.3
    misjudged: float = 0.25
    """The importance is one too high or too low."""
    trifle: float = 0.2
    """Something about somebody else is noted as a fact."""
    broken: float = 0.08
    """The answer is cut off, or is no JSON at all."""
    forgotten: float = 0.06
    """A sentence of the old summary is dropped when it is rewritten, and half as often an important
    one."""


class NoteTaker:
    """Takes notes of the statements that it knows."""

    def __init__(self, statements: Sequence[Statement], mistakes: Mistakes, seed: int) -> None:
        self._statements = statements
        self._by_note = {statement.noted: statement for statement in statements}
        self._mistakes = mistakes
        self._seed = seed
        self._tries = Counter[str]()
        self._topics: set[str] = set()
        """The notes that were given with their topic."""
        self._replaced: set[str] = set()
        """The notes that were said to replace the right one."""

    def __call__(self, material: Mapping[str, Any]) -> str:
        """The answer to a request for notes."""
        # The same messages lead to the same mistakes, but for those that are read once more.
        newest = material["messages"][-1]["text"]
        self._tries[newest] += 1
        chance = seeded(f"{self._seed} {self._tries[newest]} {newest}")
        found = self._find(material["messages"])
        summary = self._summary(str(material["summary"]), [one for one, _ in found], chance)
        numbers = dict(_numbered(material["facts"]))
        facts = self._facts(found, numbers, chance)
        answer = write(summary, facts)
        if chance.random() < self._mistakes.broken:
            return answer[: chance.randrange(len(answer) // 2)]
        self._record(facts, numbers)
        return answer

    def _find(self, messages: Sequence[Mapping[str, Any]]) -> list[tuple[Statement, int]]:
        """The statements that hold after the messages, and the number of the message of each."""
        found = [
            (statement, number)
            for number, message in enumerate(messages, 1)
            for statement in self._statements
            if statement.said in message["text"]
        ]
        obsolete = {note for statement, _ in found for note in statement.replaces}
        return [(one, number) for one, number in found if one.noted not in obsolete]

    def _summary(self, old: str, new: Sequence[Statement], chance: random.Random) -> str:
        """The old summary and the statements, as long as it may be."""
        obsolete = {note for statement in new for note in statement.replaces}
        kept = [
            sentence.strip()
            for sentence in _SENTENCE.findall(old)
            if sentence.strip() not in obsolete and not self._forgets(sentence.strip(), chance)
        ]
        kept += [one.noted for one in new if one.weight and one.noted not in kept]
        kept = kept or ["They talked."]
        while len(" ".join(kept).split()) > MAX_SUMMARY_WORDS:
            kept.remove(min(kept, key=lambda note: self._weight(note) + 2 * chance.random()))
        return " ".join(kept)

    def _forgets(self, note: str, chance: random.Random) -> bool:
        share = 0.5 if self._weight(note) == 5 else 1
        return chance.random() < share * self._mistakes.forgotten

    def _weight(self, note: str) -> int:
        statement = self._by_note.get(note)
        return statement.weight if statement else 0

    def says_change(self, note: str) -> bool:
        """Whether the notes say that this one takes the place of another: by its number, or by the
        same subject and topic."""
        statement = self._by_note[note]
        with_topic = self._topics.intersection(statement.replaces) and note in self._topics
        return note in self._replaced or bool(with_topic)

    def _facts(
        self,
        found: Sequence[tuple[Statement, int]],
        numbers: Mapping[str, int],
        chance: random.Random,
    ) -> list[dict[str, Any]]:
        facts = [
            self._new(statement, message, numbers, chance)
            for statement, message in sorted(found, key=lambda pair: -pair[0].weight)
            if not self._misses(statement, chance)
        ]
        again = [note for note in numbers if note in self._by_note]
        if again and chance.random() < self._mistakes.noted_twice * len(found):
            statement = self._by_note[chance.choice(again)]
            facts.append(self._fact(statement, chance) | {"text": reworded(statement.noted)})
        return facts[:MAX_FACTS]

    def _record(self, facts: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> None:
        for fact in facts:
            note = fact["text"].replace(_REWORDED, ".")
            if "topic" in fact:
                self._topics.add(note)
            right = [numbers[old] for old in self._by_note[note].replaces if old in numbers]
            if fact.get("fact") in right:
                self._replaced.add(note)

    def _misses(self, statement: Statement, chance: random.Random) -> bool:
        wrong = self._mistakes
        return chance.random() < (wrong.missed if statement.weight else 1 - wrong.trifle)

    def _new(
        self,
        statement: Statement,
        message: int,
        numbers: Mapping[str, int],
        chance: random.Random,
    ) -> dict[str, Any]:
        fact = self._fact(statement, chance)
        if chance.random() > self._mistakes.no_message:
            fact["message"] = message
        replaced = [numbers[note] for note in statement.replaces if note in numbers]
        if replaced and chance.random() > self._mistakes.unsaid_change:
            return fact | {"action": "replace", "fact": replaced[-1]}
        if numbers and chance.random() < self._mistakes.wrong_number:
            return fact | {"action": "replace", "fact": chance.choice([*numbers.values()])}
        return fact

    def _fact(self, statement: Statement, chance: random.Random) -> dict[str, Any]:
        importance = max(statement.weight, 1)
        if chance.random() < self._mistakes.misjudged:
            importance = min(max(importance + chance.choice((-1, 1)), 1), 5)
        fact: dict[str, Any] = {
            "action": "add",
            "tier": "conversation",
            "text": statement.noted,
            "importance": importance,
            "subject": statement.subject,
        }
        if statement.topic and chance.random() > self._mistakes.no_topic:
            fact["topic"] = statement.topic
        return fact


def _numbered(known: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """The known facts as they were noted first, and their numbers."""
    for place, fact in enumerate(known, 1):
        text, number = (
            (fact["text"], fact["number"]) if isinstance(fact, Mapping) else (fact, place)
        )
        yield text.replace(_REWORDED, "."), number


def reworded(note: str) -> str:
    """The note in slightly other words."""
    return note.removesuffix(".") + _REWORDED


def write(summary: str, facts: Sequence[Mapping[str, Any]]) -> str:
    """The notes as a model writes them."""
    return json.dumps({"summary": summary, "facts": list(facts)}, ensure_ascii=False)
