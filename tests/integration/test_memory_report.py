"""`make memory-report` on a real database, with a small world and a short conversation."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner

from bench.memory import book, locomo, prefix, world
from bench.memory.__main__ import main
from bench.memory.function import Function, make_conversation, make_person, prepare, undone
from bench.memory.world import Fact, Script
from tests.support.installations import NEW, connect, install
from tests.support.postgres import ROOT, Connection, Postgres
from tests.support.stack import DEMO_CHARACTER

T = TypeVar("T")
DATABASE = "memory_report"
CONVERSATIONS = ROOT / "tests" / "data" / "conversations"
LARGE = 32_768

pytestmark = pytest.mark.own_tables("the report has a database of its own")


@pytest.fixture(scope="module")
def db(postgres: Postgres) -> Iterator[Connection]:
    install(postgres, DATABASE, NEW)
    with connect(postgres, DATABASE) as connection:
        yield connection


def run(db: Connection, measuring: Callable[[Function], Awaitable[T]]) -> T:
    """Measure with a function of its own, on its own event loop."""

    async def measure() -> T:
        function = Function(db)
        try:
            return await measuring(function)
        finally:
            await function.aclose()

    return asyncio.run(measure())


def count(db: Connection, table: str) -> int:
    return len(db.execute(f"select from {table}".encode()).fetchall())


def newest_two(begun: dict[str, Any]) -> dict[str, Any]:
    """The history of a result of begin_turn without all but its newest two messages."""
    return {name: values[-2:] for name, values in begun["history"].items()}


class TestFunction:
    def test_prompt_is_what_the_model_receives(self, db: Connection) -> None:
        async def talk(function: Function) -> list[str]:
            prepare(db, LARGE)
            user = make_person(db, "Ada")
            conversation = make_conversation(db, user, DEMO_CHARACTER)
            await function.say(user, conversation, "Hello", "Good evening.")
            prompt = await function.say(user, conversation, "Who are you?", "Mara.")
            assert function.calls == ["begin_turn", "finish_turn"]
            return [message["content"] for message in prompt[1:]]

        assert run(db, talk) == ["Hello", "Good evening.", "Who are you?"]

    def test_undone_turn_leaves_nothing(self, db: Connection) -> None:
        async def talk(function: Function) -> None:
            prepare(db, LARGE)
            user = make_person(db, "Ada")
            conversation = make_conversation(db, user, DEMO_CHARACTER)
            before = count(db, "messages"), count(db, "turns")
            with undone(function):
                assert await function.say(user, conversation, "Hello", "Good evening.")
                assert count(db, "messages") == before[0] + 2
            assert (count(db, "messages"), count(db, "turns")) == before

        run(db, talk)

    def test_failed_request_is_not_measured(self, db: Connection) -> None:
        async def talk(function: Function) -> None:
            user = make_person(db, "Ada")
            await function.say(user, user, "Hello", "Good evening.")

        with pytest.raises(RuntimeError, match="404"):
            run(db, talk)


class TestLoCoMo:
    def test_counts_all_evidence_where_the_whole_conversation_fits(self, db: Connection) -> None:
        talks = locomo.read_conversations(CONVERSATIONS)
        messages = count(db, "messages")

        plain, _ = run(db, lambda f: locomo.compare(f, talks, lambda _: None, contexts=[LARGE]))

        assert (plain[LARGE].questions, plain[LARGE].evidence) == (14, 18)
        assert (plain[LARGE].by_question, plain[LARGE].by_evidence) == (1, 1)
        assert count(db, "messages") == messages + 61

    def test_counts_what_is_in_the_prompt_and_nothing_else(self, db: Connection) -> None:
        """Of a history cut to two messages, only their evidence is found."""
        (talk,) = locomo.read_conversations(CONVERSATIONS)
        newest = [said.id for said in talk.messages[-2:]]
        assert newest == ["D4:13", "D4:14"]

        async def measure(function: Function) -> locomo.Found:
            function.shown = lambda begun: (
                begun
                | {
                    "history": newest_two(begun),
                    "memory": None,
                    "recalled": None,
                }
            )
            plain, _ = await locomo.compare(function, [talk], lambda _: None, contexts=[LARGE])
            return plain[LARGE]

        found = run(db, measure)
        # One of two messages of one of fourteen questions.
        assert found.by_question == pytest.approx(0.5 / 14)
        assert found.by_evidence == pytest.approx(1 / 18)

    def test_question_that_cannot_be_asked_is_not_found(self, db: Connection) -> None:
        (talk,) = locomo.read_conversations(CONVERSATIONS)
        asked = [locomo.Question("", ["D1:1"]), locomo.Question("Tea?", ["D1:1"])]
        talks = [replace(talk, questions=asked)]
        plain, _ = run(db, lambda f: locomo.compare(f, talks, lambda _: None, contexts=[LARGE]))
        assert (plain[LARGE].questions, plain[LARGE].by_question) == (2, 0.5)

    def test_stored_conversation_has_its_people_and_dates(self, db: Connection) -> None:
        (talk,) = locomo.read_conversations(CONVERSATIONS)
        _, conversation = locomo.replay(db, talk)
        rows = db.execute(
            "select sender, content, created_at from messages where conversation_id = %s"
            " order by position",
            [conversation],
        ).fetchall()
        assert [row["content"] for row in rows] == [said.text for said in talk.messages]
        assert [row["created_at"] for row in rows] == [said.at for said in talk.messages]
        assert {row["sender"] for row in rows[::2]} == {"user", "character"}
        assert rows[0]["sender"] == "user"


NAME = Fact(5, "sister", "name", "My sister is {v}.", "Ada's sister is {v}.", "Who?", ["Ilse"])
COAT = Fact(1, "Ada", "coat", "My coat is {v}.", "Ada's coat is {v}.", "What?", ["tweed"])
HOME = Fact(3, "Ada", "home", "I live in {v}.", "Ada lives in {v}.", "Where?", ["Paris", "Oslo"],
            "I live in {v} now.")  # fmt: skip


class TestWorld:
    def live(self, db: Connection, script: Script, turns: int) -> world.Check:
        checks = run(
            db, lambda function: world.live(function, LARGE, script, turns=turns, checks=[turns])
        ).checks
        return checks[turns]

    def test_counts_facts_that_the_history_still_has(self, db: Connection) -> None:
        script = Script({1: (NAME, 0), 2: (COAT, 0), 3: (HOME, 0), 4: (HOME, 1)}, {}, {}, {})
        check = self.live(db, script, 5)
        assert (check.important, check.others, check.unasked) == ((1, 1), (2, 2), (1, 1))
        # Nothing was noted, so the notes do not say that one of them has changed.
        assert (check.superseded, check.unsaid) == ((0, 0), (0, 1))

    def test_deleted_message_is_asked_about_and_not_found(self, db: Connection) -> None:
        script = Script({1: (NAME, 0), 2: (COAT, 0)}, {}, {3: COAT}, {})
        check = self.live(db, script, 4)
        assert (check.others, check.deleted) == ((0, 0), (0, 1))

    def test_edited_message_says_what_it_says_now(self, db: Connection) -> None:
        check = self.live(db, Script({1: (HOME, 0)}, {}, {}, {3: HOME}), 4)
        assert (check.others, check.superseded) == ((1, 1), (0, 1))

    def test_branch_goes_on_without_the_turn_left_behind(
        self, db: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world, "BRANCHES", (3, 5))
        script = Script({1: (NAME, 0), 3: (COAT, 0), 5: (HOME, 0)}, {}, {}, {})
        check = self.live(db, script, 6)
        assert (check.important, check.others, check.deleted) == ((1, 1), (1, 1), (0, 1))

    def test_without_memory_only_the_newest_messages_are_known(self, db: Connection) -> None:
        async def measure(function: Function) -> tuple[int, int]:
            function.shown = lambda begun: (
                world.SHOWN[world.NEWEST](begun) | {"history": newest_two(begun)}
            )
            script = Script({1: (NAME, 0)}, {}, {}, {})
            life = await world.live(function, LARGE, script, turns=5, checks=[5])
            return life.checks[5].important

        assert run(db, measure) == (0, 1)


def test_prompts_that_only_grow_are_as_before_but_for_the_last_turn(db: Connection) -> None:
    turns = run(db, lambda function: prefix.converse(function, LARGE, turns=6))
    assert len(turns) == 5
    assert all(turn.kept == 1 and not turn.is_cold and not turn.recalls for turn in turns)
    assert all(0.5 < turn.common < 1 for turn in turns)


def test_book_whose_entries_come_and_go_costs_the_history_where_they_stand_before_it(
    db: Connection,
) -> None:
    found = run(
        db,
        lambda function: book.compare(function, lambda _: None, contexts=[LARGE], turns=12),
    )
    costs = {position: cost[LARGE] for position, cost in found.items()}
    assert costs["no book"].reads_all_again == costs["no position"].reads_all_again == 0
    assert costs["depth 4"].reads_all_again == 0
    assert costs["after the character"].reads_all_again > costs["after the character"].turns / 3
    by_cost = sorted(costs, key=lambda position: costs[position].common)
    assert by_cost == ["after the character", "depth 4", "no position", "no book"]


def test_command_says_what_it_can_do() -> None:
    command = [sys.executable, "-m", "bench.memory"]
    said = subprocess.run(
        [*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--conversations" in said.stdout
    assert "--write" in said.stdout
    asked = subprocess.run(
        [*command, "--only", "locomo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 2
    assert "--conversations" in asked.stderr


class TestOptions:
    """Wrong ones are refused with a sentence, before anything is measured."""

    @pytest.fixture(autouse=True)
    def measures_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("measured")

        monkeypatch.setattr("bench.memory.__main__.measure", fail)

    def refused(self, *options: object) -> str:
        done = CliRunner().invoke(main, list(map(str, options)))
        assert done.exit_code == 2, done.exception
        return done.output

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (None, "no JSON file"),
            ('{"a":', "is no conversation"),
            ('{"a": 1}', "is no conversation"),
            ("[1]", "is no conversation"),
            ("[" * 100_000, "is no conversation"),
            ("5", "is no conversation"),
            ('{"sessions": [], "qa": [], "speaker_a": "A", "speaker_b": "B"}', "no JSON file"),
            ('{"sessions": [{"date": "May", "messages": []}], "qa": []}', "is no conversation"),
        ],
    )
    @pytest.mark.parametrize("only", [["--only", "locomo"], []])
    def test_folder_without_conversations(
        self, tmp_path: Path, content: str | None, sentence: str, only: list[str]
    ) -> None:
        if content is not None:
            (tmp_path / "1.json").write_text(content)
        assert sentence in self.refused(*only, "--conversations", tmp_path)

    @pytest.mark.parametrize("path", ["/nowhere", __file__])
    def test_path_that_is_no_folder(self, path: str) -> None:
        assert "--conversations" in self.refused("--only", "locomo", "--conversations", path)

    def test_folder_is_needed(self) -> None:
        assert "needs --conversations" in self.refused("--only", "locomo")
        assert "add --conversations" in self.refused("--embeddings", "http://127.0.0.1:9/v1")

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1/embeddings", "nonsense", "http://["])
    def test_address_where_no_model_answers(self, url: str) -> None:
        options = ("--only", "locomo", "--conversations", CONVERSATIONS, "--embeddings", url)
        assert "make embeddings" in self.refused(*options)

    def test_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for raw in (tmp_path, tmp_path / "file" / "raw.json"):
            assert "file" in self.refused("--only", "prefix", "--raw", raw).casefold()

    def test_help_names_all(self) -> None:
        shown = CliRunner().invoke(main, ["--help"]).output
        for option in main.params:
            assert option.opts[0] in shown
