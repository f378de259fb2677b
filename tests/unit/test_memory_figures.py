"""What `make memory-report` counts, and how it writes its tables into docs/memory.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.memory import book, locomo, report, world
from bench.memory.__main__ import BEFORE, DOCUMENT
from bench.memory.locomo import Asked, Found
from bench.memory.note_taker import Mistakes, NoteTaker, Statement
from bench.memory.prefix import Turn, kept_share, sum_up
from bench.memory.prompts import common_beginning, message_tokens, recalls
from bench.memory.prose import SmallTalk
from bench.memory.results import read
from bench.memory.world import Fact
from roleplay_chat.api import MAX_CONTENT_CHARS
from tests.support.postgres import ROOT

BALCONY = ROOT / "tests" / "data" / "conversations" / "balcony.json"
NO_MISTAKES = Mistakes(**dict.fromkeys(Mistakes.__dataclass_fields__, 0.0))


def prompt(*said: str, system: str = "You are Mara.") -> list[dict[str, str]]:
    """A prompt with these messages, the person's first."""
    roles = ("user", "assistant")
    spoken = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    return [{"role": "system", "content": system}, *spoken]


class TestCommonBeginning:
    def test_is_the_share_of_the_prompt_up_to_the_first_character_that_differs(self) -> None:
        before = prompt("12345678", "abcd", system="12345678")
        assert common_beginning(before, prompt("12345678", "abXYZ+++", system="12345678")) == (
            pytest.approx(18 / 24)
        )

    def test_counts_nothing_after_a_difference(self) -> None:
        before = prompt("same", system="1234567890")
        assert common_beginning(before, prompt("same", system="x234567890")) == 0

    def test_of_a_prompt_that_only_grows_is_the_whole_one_before(self) -> None:
        before = prompt("12345", system="12345")
        assert common_beginning(before, prompt("12345", "67890", system="12345")) == (
            pytest.approx(10 / 15)
        )

    def test_message_of_another_role_has_nothing_in_common(self) -> None:
        before = prompt("12345", system="12345")
        other = [before[0], {"role": "assistant", "content": "12345"}]
        assert common_beginning(before, other) == 0.5


def test_system_message_after_the_first_is_what_was_recalled() -> None:
    recalled = {"role": "system", "content": "[Earlier ...]"}
    plain = prompt("Hello")
    assert not recalls(plain)
    assert recalls([plain[0], recalled, *plain[1:]])


class TestHistory:
    def test_kept_share_is_of_the_newest_that_fit(self) -> None:
        said = ["one " * 30, "two " * 30, "three " * 30, "four " * 30]
        short = prompt(*said[2:], "Hello")
        needed = sum(message_tokens(m["content"]) for m in prompt(*said, "Hello"))
        assert kept_share(short, said, needed) == pytest.approx(
            sum(map(message_tokens, said[2:])) / sum(map(message_tokens, said))
        )
        assert kept_share(short, said, needed - 1) > kept_share(short, said, needed)

    def test_kept_share_of_a_whole_history_is_one(self) -> None:
        assert kept_share(prompt("one", "two", "Hello"), ["one", "two"], 10_000) == 1

    def test_averages_are_of_turns_of_a_kind(self) -> None:
        turns = [Turn(0.9, False, False, 1.0, 100), Turn(0.5, True, True, 0.5, 300)]
        found = sum_up(turns, steps=1)
        assert (found.plain, found.recalled, found.recalling) == (0.9, 0.5, 1)
        assert (found.cold, found.kept, found.least_kept, found.tokens) == (1, 0.75, 0.5, 200)

    def test_without_turns_of_a_kind_there_is_no_average(self) -> None:
        assert sum_up([Turn(0.9, False, False, 1.0, 100)], steps=0).recalled is None


def test_small_talk_has_the_lengths_of_the_measurement() -> None:
    talk, same = SmallTalk(1), SmallTalk(1)
    turns = [(talk.person(turn), talk.character(turn)) for turn in range(300)]
    person, character = (
        [len(text.split()) for text in texts] for texts in zip(*turns, strict=True)
    )
    assert (min(person), max(person)) >= (5, 50)
    assert max(person) <= 60
    assert min(character) >= 20
    assert max(character) <= 160
    assert turns[0] == (same.person(0), same.character(0))


class TestBook:
    def test_has_the_same_entries_at_every_position(self) -> None:
        books = [book.make_book(columns, 1) for columns in book.POSITIONS.values()]
        assert books[0] is None
        texts = [
            [(entry["keys"], entry["content"]) for entry in made["entries"]]
            for made in books
            if made
        ]
        assert len(texts) == 3
        assert texts[0] == texts[1] == texts[2] != []
        assert all(book.WORDS <= len(content.split()) <= 60 for _, content in texts[0])

    def test_costs_are_averages_over_turns(self) -> None:
        turns = [Turn(0.9, False, False, 1.0, 100), Turn(0.5, True, False, 0.5, 300, True)]
        assert book.sum_up(turns) == book.Cost(2, 0.7, 1, 0.75, 200)


class TestLoCoMo:
    def test_conversation_is_read_with_its_dates(self) -> None:
        (talk,) = locomo.read_conversations(BALCONY.parent)
        assert (talk.person, talk.character, len(talk.messages)) == ("Nora", "Emil", 61)
        assert talk.messages[0].at == datetime(2025, 3, 3, 18, 40, tzinfo=UTC)
        assert [said.at for said in talk.messages] == sorted(said.at for said in talk.messages)

    def test_questions_without_an_answer_are_left_out(self) -> None:
        (talk,) = locomo.read_conversations(BALCONY.parent)
        assert len(json.loads(BALCONY.read_text())["qa"]) == 16
        assert len(talk.questions) == 14

    def test_evidence_in_one_string_and_evidence_that_is_nowhere(self) -> None:
        data: dict[str, Any] = json.loads(BALCONY.read_text())
        data["qa"] = [
            {"question": "?", "evidence": ["D3:3; D4:13", "D3:3"], "category": 3},
            {"question": "?", "evidence": ["D", "D9:99", "D1:1"], "category": 1},
            {"question": "?", "evidence": ["D9:99"], "category": 1},
            {"question": "?", "evidence": [], "category": 4},
        ]
        found = locomo.parse(data).questions
        assert [question.evidence for question in found] == [["D3:3", "D4:13"], ["D1:1"]]

    def test_odd_records_are_read(self) -> None:
        """As some of the benchmark's files have them."""
        said = [
            {"id": "D1:1", "speaker": "Nora", "text": "Hello\0 \ud800"},
            {"id": "D1:2", "speaker": "Nora", "text": None, "blip_caption": "a red tent"},
            {"id": "D1:3", "speaker": "Emil", "img_url": []},
            {"id": "D:1:04", "speaker": "", "text": "x" * 70_000},
        ]
        questions = [
            {"question": "Which?", "evidence": "d1:1; D1:02", "category": 1},
            {"question": 7, "evidence": ["D:1:4"]},
            {"question": "Where?", "evidence": None, "category": 2},
            {"question": "Why?", "evidence": ["D1:1"], "category": "5"},
        ]
        data = {"speaker_a": "Nora", "speaker_b": None, "qa": questions}
        data["sessions"] = [
            {"date": "1:56 PM on 8 May,  2023", "messages": said[:2]},
            {"date": "some day", "messages": said[2:]},
        ]
        talk = locomo.parse(data)
        assert [one.id for one in talk.messages] == ["D1:1", "D1:2", "D1:4"]
        assert [one.text[:12] for one in talk.messages] == ["Hello ?", "a red tent", "x" * 12]
        assert len(talk.messages[2].text) == MAX_CONTENT_CHARS
        assert talk.messages[0].at == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
        assert talk.messages[2].at == datetime(2023, 5, 9, 13, 57, tzinfo=UTC)
        assert (talk.character, talk.messages[2].speaker) == ("Somebody", "Somebody")
        assert [(one.text, one.evidence) for one in talk.questions] == [
            ("Which?", ["D1:1", "D1:2"]),
            ("", ["D1:4"]),
        ]
        assert talk.left_out == 2

    @pytest.mark.parametrize(
        ("text", "hour"), [("12:05 am on 1 May, 2024", 0), ("12:05 pm on 1 May, 2024", 12)]
    )
    def test_noon_and_midnight(self, text: str, hour: int) -> None:
        data = {
            "speaker_a": "A",
            "speaker_b": "B",
            "sessions": [
                {"date": text, "messages": [{"id": "D1:1", "speaker": "A", "text": "Hi"}]}
            ],
            "qa": [],
        }
        assert locomo.parse(data).messages[0].at == datetime(2024, 5, 1, hour, 5, tzinfo=UTC)

    def test_message_counts_in_the_history_and_among_those_recalled(self) -> None:
        said = "I kept three."
        assert locomo.contains(prompt("What?", said, "Go on"), said)
        assert locomo.contains(prompt(f"Hm.\n\n{said}", "Go on"), said)
        recalled = {"role": "system", "content": f"[Earlier:]\n(3 March 2025)\nNora: {said}\nOh."}
        assert locomo.contains([*prompt("What?"), recalled], said)

    def test_message_does_not_count_as_a_fact_or_as_a_part_of_another(self) -> None:
        said = "I kept three."
        assert not locomo.contains(prompt("What?", system=f"You are Emil.\n{said}"), said)
        assert not locomo.contains(prompt("Did you hear? I kept three. I did."), said)
        assert not locomo.contains(prompt("What?", "I kept"), said)

    def test_average_is_over_questions_and_over_all_evidence(self) -> None:
        found = Found.from_asked([Asked(1, 1, 100), Asked(3, 0, 300)])
        assert (found.by_question, found.by_evidence, found.tokens) == (0.5, 0.25, 200)

    def test_question_that_was_refused_is_not_found(self) -> None:
        found = Found.from_asked([Asked(1, 1, 100), Asked(1, 0, 0)])
        assert (found.by_question, found.by_evidence, found.tokens) == (0.5, 0.5, 100)


HOME = Fact(5, "Ada", "home", "I live in {v}.", "Ada lives in {v}.", "Where?", ["Paris", "Oslo"],
            "I live in {v} now.")  # fmt: skip
REMEMBERS = "You are Mara.\n\n## What is remembered\n"


class TestWorld:
    def test_has_sixty_facts_of_different_weight(self) -> None:
        facts = world.read_facts()
        weights = [fact.weight for fact in facts]
        assert len(facts) == 60
        assert weights.count(5) == 20
        assert set(weights) == {1, 2, 3, 5}

    def test_values_tell_facts_apart(self) -> None:
        facts = world.read_facts()
        values = [value.casefold() for fact in facts for value in fact.values]
        assert len(values) == len(set(values))
        asked = " ".join(fact.asks for fact in facts).casefold()
        assert [value for value in values if value in asked] == []

    def test_script_tells_each_fact_once_and_changes_it_later(self) -> None:
        script = world.write_script(world.read_facts())
        told = sorted((fact.noted, place) for fact, place in script.said.values())
        edited = [fact.noted for fact in script.edited.values()]
        wanted = [
            (fact.noted, place)
            for fact in world.read_facts()
            for place in range(1 if fact.noted in edited else len(fact.values))
        ]
        assert told == sorted(wanted)
        turns = {(fact.noted, place): turn for turn, (fact, place) in script.said.items()}
        assert all(turns[note, place - 1] < turn for (note, place), turn in turns.items() if place)

    def test_script_has_deletions_edits_distractions_and_a_fact_left_behind(self) -> None:
        script = world.write_script(world.read_facts())
        turns = {fact.noted: turn for turn, (fact, place) in script.said.items() if not place}
        assert all(turn > turns[fact.noted] for turn, fact in script.deleted.items())
        assert all(turn > turns[fact.noted] for turn, fact in script.edited.items())
        counts = (len(script.deleted), len(script.edited), len(script.distractions))
        assert counts == (world.DELETED, world.EDITED, world.DISTRACTIONS)
        assert world.BRANCHES[0] - 1 in script.said

    def test_fact_is_known_from_anywhere_but_the_question(self) -> None:
        assert world.knows(prompt("Hello", system=f"{REMEMBERS}- Ada lives in Oslo."), "Oslo")
        assert world.knows(prompt("I live in Oslo.", "Oh.", "Where?"), "Oslo")
        assert not world.knows(prompt("Oslo?"), "Oslo")
        assert not world.knows(prompt("Oslofjord", "Where?"), "Oslo")

    @pytest.mark.parametrize(
        ("memory", "said"),
        [
            ("- Ada lives in Paris.\n- Ada lives in Oslo.", ["Where?"]),
            ("Ada lives in Paris. She rows.\n- Ada lives in Oslo.", ["Where?"]),
            ("Nothing.", ["I live in Paris.", "Oh.", "Where?"]),
        ],
        ids=["fact", "summary", "message alone"],
    )
    def test_what_was_before_is_shown_as_current(self, memory: str, said: Sequence[str]) -> None:
        assert world.outdated(prompt(*said, system=REMEMBERS + memory), HOME, "Oslo")

    @pytest.mark.parametrize(
        ("memory", "said"),
        [
            ("- Ada lives in Oslo (since 3 May 2026).", ["Where?"]),
            ("Ada moved from Paris to Oslo.", ["Where?"]),
            ("- Ada lives in Oslo.", ["I live in Paris.", "Oh.", "Where?"]),
            ("- Ada lives in Paris.", ["I live in Oslo now.", "Oh.", "Where?"]),
        ],
        ids=["fact", "both in a sentence", "message of then", "told after the notes"],
    )
    def test_what_was_before_is_not_shown_as_current(
        self, memory: str, said: Sequence[str]
    ) -> None:
        assert world.outdated(prompt(*said, system=REMEMBERS + memory), HOME, "Oslo") == []

    def test_remembered_sentences_may_stand_late_in_the_prompt(self) -> None:
        late = {"role": "system", "content": "[Earlier:]\n- Ada rows.\nAda: I live in Paris."}
        shown = [*prompt("Hello", system=f"{REMEMBERS}She came."), late]
        assert list(world.remembered(shown)) == ["She came.", "- Ada rows."]


class TestNoteTaker:
    STATEMENTS = (HOME.statement(0), HOME.statement(1))

    def notes(
        self, *said: str, facts: Sequence[Any] = (), summary: str = "", **likely: float
    ) -> Any:
        """The answer of a note-taker with these mistakes and no others."""
        mistakes = Mistakes(**(vars(NO_MISTAKES) | likely))
        messages = [{"text": text} for text in said]
        asked = {"messages": messages, "facts": list(facts), "summary": summary}
        return NoteTaker(self.STATEMENTS, mistakes, 1)(asked)

    def test_notes_what_was_said_and_in_which_message(self) -> None:
        (fact,) = json.loads(self.notes("Hm.", "I live in Paris. Oh."))["facts"]
        assert (fact["text"], fact["message"]) == ("Ada lives in Paris.", 2)
        assert (fact["action"], fact["importance"], fact["topic"]) == ("add", 5, "home")

    @pytest.mark.parametrize(
        "known", ["Ada lives in Paris.", {"number": 1, "text": "Ada lives in Paris, as was said."}]
    )
    def test_replaces_what_has_changed(self, known: Any) -> None:
        answer = json.loads(
            self.notes("I live in Oslo now.", facts=[known], summary="Ada lives in Paris.")
        )
        (fact,) = answer["facts"]
        assert (fact["action"], fact["fact"]) == ("replace", 1)
        assert answer["summary"] == "Ada lives in Oslo."

    def test_notes_only_what_holds_at_the_end_of_the_messages(self) -> None:
        answer = json.loads(self.notes("I live in Paris.", "I live in Oslo now."))
        assert [fact["text"] for fact in answer["facts"]] == ["Ada lives in Oslo."]
        assert answer["summary"] == "Ada lives in Oslo."

    def test_may_miss_a_fact(self) -> None:
        assert json.loads(self.notes("I live in Paris.", missed=1.0))["facts"] == []

    def test_may_break_its_json(self) -> None:
        with pytest.raises(ValueError, match="line 1"):
            json.loads(self.notes("I live in Paris.", broken=1.0))

    def test_may_not_say_that_a_fact_replaces_another(self) -> None:
        (fact,) = json.loads(
            self.notes("I live in Oslo now.", facts=["Ada lives in Paris."], unsaid_change=1.0)
        )["facts"]
        assert fact["action"] == "add"

    def test_may_replace_the_wrong_fact(self) -> None:
        (fact,) = json.loads(self.notes("I live in Paris.", facts=["It rains."], wrong_number=1.0))[
            "facts"
        ]
        assert (fact["action"], fact["fact"]) == ("replace", 1)

    def test_knows_which_changes_it_has_said(self) -> None:
        taker = NoteTaker(self.STATEMENTS, NO_MISTAKES, 1)
        for said in ("I live in Paris.", "I live in Oslo now."):
            assert not taker.says_change("Ada lives in Oslo.")
            taker({"messages": [{"text": said}], "facts": [], "summary": ""})
        assert taker.says_change("Ada lives in Oslo.")  # by subject and topic

    def test_makes_the_same_mistakes_every_time_but_not_the_same_twice(self) -> None:
        asked = {"messages": [{"text": "I live in Paris."}], "facts": [], "summary": ""}
        one, other = (NoteTaker(self.STATEMENTS, Mistakes(), 7) for _ in range(2))
        answers = [one(asked) for _ in range(20)]
        assert answers == [other(asked) for _ in range(20)]
        assert len(set(answers)) > 1

    def test_leaves_out_what_is_not_worth_a_note(self) -> None:
        trifle = Statement("The baker moved.", "The baker moved.", 0, "the baker", "")
        asked = {"messages": [{"text": "The baker moved."}], "facts": [], "summary": ""}
        assert json.loads(NoteTaker([trifle], NO_MISTAKES, 1)(asked))["facts"] == []


class TestDocument:
    def test_has_a_place_for_every_table(self) -> None:
        before = read(BEFORE)
        costs = {8_192: book.Cost(turns=2, common=0.7, reads_all_again=1, kept=1, tokens=9)}
        tables = report.tables(replace(before, book={book.NO_POSITION: costs}), before)
        document = DOCUMENT.read_text()
        assert set(tables) == {"prefix", "book", "world", "locomo"}
        written = report.with_tables(document, tables)
        assert all(table.markdown().splitlines()[-1] in written for table in tables.values())
        assert report.with_tables(written, tables) == written

    def test_keeps_tables_of_what_was_not_measured(self) -> None:
        before = read(BEFORE)
        tables = report.tables(before, before)
        written = report.with_tables(DOCUMENT.read_text(), tables)
        assert report.with_tables(written, {"prefix": tables["prefix"]}) == written

    def test_without_a_place_nothing_is_written(self) -> None:
        tables = report.tables(read(BEFORE), read(BEFORE))
        with pytest.raises(ValueError, match="no place for prefix"):
            report.with_tables("# Memory\n", tables)

    def test_missed_targets_are_named(self) -> None:
        before = read(BEFORE)
        missed = list(report.missed(report.tables(before, before)))
        assert any(line.startswith("4,096, now, of a question's evidence") for line in missed)
        assert not any("before" in line for line in missed)
