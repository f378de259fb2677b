"""A scripted note-taker that knows what matters and makes mistakes, the same for the same seed.

Its mistakes are those of small models: it misses things, notes them twice, says that a fact replaces
another one than it does, forgets to say that it replaces anything, misjudges how much it matters,
and breaks its JSON.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_FACTS = 8
"""Facts of an answer, as asked for."""
MAX_SUMMARY_WORDS = 240
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
    unsaid_change: float = 0.4
    """A changed fact is added instead of replacing the old one."""
    no_topic: float = 0.3
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

    def __call__(self, material: Mapping[str, Any]) -> str:
        """The answer to a request for notes."""
        # The same messages lead to the same mistakes, whatever was measured before.
        newest = material["messages"][-1]["text"]
        chance = random.Random(f"{self._seed} {len(material['messages'])} {newest}")  # noqa: S311
        found = list(self._find(material["messages"]))
        summary = self._summary(str(material["summary"]), [one for one, _ in found], chance)
        answer = write(summary, self._facts(found, material["facts"], chance))
        if chance.random() < self._mistakes.broken:
            return answer[: chance.randrange(len(answer) // 2)]
        return answer

    def _find(self, messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Statement, int]]:
        """The statements in the messages, and the number of the message."""
        for number, message in enumerate(messages, 1):
            for statement in self._statements:
                if statement.said in message["text"]:
                    yield statement, number

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

    def _facts(
        self,
        found: Sequence[tuple[Statement, int]],
        known: Sequence[Any],
        chance: random.Random,
    ) -> list[dict[str, Any]]:
        facts = []
        texts = [fact["text"] if isinstance(fact, Mapping) else fact for fact in known]
        numbers = [
            fact.get("number", place) if isinstance(fact, Mapping) else place
            for place, fact in enumerate(known, 1)
        ]
        for statement, message in sorted(found, key=lambda pair: -pair[0].weight):
            wrong = self._mistakes
            if statement.weight == 0 and chance.random() > wrong.trifle:
                continue
            if statement.weight and chance.random() < wrong.missed:
                continue
            fact = self._fact(statement, message, chance)
            replaced = [
                number
                for number, text in zip(numbers, texts, strict=True)
                if text in statement.replaces
            ]
            if replaced and chance.random() > wrong.unsaid_change:
                fact |= {"action": "replace", "fact": replaced[0]}
            elif numbers and chance.random() < wrong.wrong_number:
                fact |= {"action": "replace", "fact": chance.choice(numbers)}
            facts.append(fact)
        again = [text for text in texts if text in self._by_note]
        if again and chance.random() < wrong_again(self._mistakes, len(found)):
            statement = self._by_note[chance.choice(again)]
            facts.append(self._fact(statement, 1, chance) | {"text": reworded(statement.noted)})
        return facts[:MAX_FACTS]

    def _fact(self, statement: Statement, message: int, chance: random.Random) -> dict[str, Any]:
        wrong = self._mistakes
        importance = max(statement.weight, 1)
        if chance.random() < wrong.misjudged:
            importance = min(max(importance + chance.choice((-1, 1)), 1), 5)
        fact: dict[str, Any] = {
            "action": "add",
            "tier": "conversation",
            "text": statement.noted,
            "importance": importance,
            "subject": statement.subject,
        }
        if chance.random() > wrong.no_topic:
            fact["topic"] = statement.topic
        if chance.random() > wrong.no_message:
            fact["message"] = message
        return fact


def wrong_again(mistakes: Mistakes, found: int) -> float:
    """How likely a known fact is noted again in a step with so many new ones."""
    return 1 - (1 - mistakes.noted_twice) ** max(found, 1)


def reworded(note: str) -> str:
    """The note in slightly other words."""
    return note.removesuffix(".") + ", as was said."


def write(summary: str, facts: Sequence[Mapping[str, Any]]) -> str:
    """The notes as a model writes them."""
    return json.dumps({"summary": summary, "facts": list(facts)}, ensure_ascii=False)
