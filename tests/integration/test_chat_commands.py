"""The commands of `make chat`, against the real function and database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from dev.terminal.chat import COMMANDS
from dev.terminal.client import OUTDATED, WRONG_VALUE, CommandFailed
from tests.support.answers import text
from tests.support.notes import prompts
from tests.support.signed_in_chat import SignedIn, addresses
from tests.support.stack import DEMO_CHARACTER, Stack
from tests.support.waiting import PATIENCE


class Terminal:
    """The terminal: typed lines, printed output, and the messages of the conversation."""

    def __init__(
        self, stack: Stack, http: httpx.Client, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.stack = stack
        user = stack.user("Ada")
        conversation = stack.conversation(user, "One", "Two", "Three", "Four")
        self.chat = SignedIn(http, addresses(stack, user, conversation))
        self._captured = captured

    def type(self, line: str, *replies: str) -> tuple[str, str]:
        """Standard output and standard error."""
        self.stack.upstream.enqueue(*map(text, replies))
        self._captured.readouterr()
        word, _, rest = line.partition(" ")
        COMMANDS[word](self.chat, rest)
        out, err = self._captured.readouterr()
        return "\n".join(line for line in out.splitlines() if not line.startswith("{")), err

    def said(self) -> list[str]:
        rows = self.stack.all(
            "select content from messages where conversation_id = %s and is_active"
            " order by position",
            self.chat.conversation_id,
        )
        return [row["content"] for row in rows]


@pytest.fixture
def terminal(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    with httpx.Client(timeout=PATIENCE) as http:
        yield Terminal(stack, http, capsys)


def test_again_makes_a_variant_that_can_be_chosen(terminal: Terminal) -> None:
    assert terminal.type("/again", "Four again")[0] == "Four again"
    assert terminal.type("/variants")[1] == "  1  Four\n* 2  Four again\n"
    assert terminal.type("/variants 1")[0] == "Four"
    assert terminal.type("/variants")[1] == "* 1  Four\n  2  Four again\n"
    assert terminal.said() == ["One", "Two", "Three", "Four"]


def test_go_on_continues_the_last_reply(terminal: Terminal) -> None:
    terminal.type("/go on", "and more.")
    assert terminal.said() == ["One", "Two", "Three", "Four and more."]


def test_edit_says_it_otherwise_and_has_it_answered(terminal: Terminal) -> None:
    terminal.type("/delete")
    out, _ = terminal.type("/edit Tre", "Quattro")
    assert out == "Quattro"
    assert terminal.said() == ["One", "Two", "Tre", "Quattro"]


def test_edit_of_a_message_that_was_answered(terminal: Terminal) -> None:
    terminal.type("/delete")
    terminal.type("/again", "Four")
    terminal.type("/edit Tre", "Quattro")
    assert terminal.said() == ["One", "Two", "Tre", "Quattro"]


def test_branch_continues_in_a_copy(terminal: Terminal) -> None:
    parent = terminal.chat.conversation_id
    terminal.type("/branch")
    terminal.type("/delete")
    assert terminal.said() == ["One", "Two", "Three"]
    terminal.chat.conversation_id = parent
    assert terminal.said() == ["One", "Two", "Three", "Four"]


def test_draft_is_printed_and_not_sent(terminal: Terminal) -> None:
    assert terminal.type("/draft", "I put the kettle on.")[0] == "I put the kettle on."
    assert terminal.said() == ["One", "Two", "Three", "Four"]


@pytest.mark.parametrize("line", ["/variants", "/edit Hm", "/delete", "/branch"])
def test_where_nothing_was_said_there_is_nothing_to_change(terminal: Terminal, line: str) -> None:
    terminal.type("/new")
    with pytest.raises(CommandFailed, match="nothing here yet"):
        terminal.type(line)


def test_why_says_what_the_prompt_was_made_of(terminal: Terminal) -> None:
    book = {"entries": [{"id": 3, "keys": ["fog", "harbour"], "content": "The harbour is shut."}]}
    terminal.stack.db.execute(
        "update shared.characters set character_book = %s where id = %s",
        (Jsonb(book), DEMO_CHARACTER),
    )
    terminal.type("/memory add Ada has a dog.")
    terminal.type("/edit What is in the harbour?", "Ice.")
    told = terminal.type("/why")[1]
    assert "Messages: 3; 0 more did not fit." in told
    assert "Lorebook:\n  - [harbour] The harbour is shut.\n" in told
    assert "Recalled:\n  - Ada has a dog.\n" in told
    terminal.type("/memory forget 1")
    assert "Recalled:\n  - (deleted since)\n" in terminal.type("/why")[1]


def test_memory_says_what_holds_only_elsewhere_and_what_is_gone(terminal: Terminal) -> None:
    db = terminal.stack.db
    terminal.type("/memory add Lives in Oslo.")
    memory = (
        "with m as (insert into memories (user_id, tier)"
        " select m.user_id, 'profile' from memories m limit 1 returning id)"
        " insert into memory_facts (memory_id, content, written_by)"
        " select id, 'Lives in Paris.', 'model' from m returning id"
    )
    paris = db.execute(memory).fetchone()
    assert paris is not None
    hiding = "update memory_facts set hides = %s where content = 'Lives in Oslo.'"
    db.execute(hiding, ([paris["id"]],))
    told = "\n".join(terminal.type("/memory"))
    assert "Lives in Paris. (not here: replaced by Lives in Oslo.)  [profile]" in told
    assert "Lives in Oslo.  [conversation]" in told


def test_fact_is_used_in_whatever_tier_it_is(terminal: Terminal) -> None:
    terminal.type("/memory add Ada has a dog.")
    for tier in ("character", "profile"):
        terminal.type(f"/memory move 1 {tier}")
        terminal.type("/again", "Four.")
        assert "Ada has a dog." in str(prompts(terminal.stack.upstream)[-1])


def test_summary_that_is_written_leaves_what_a_model_wrote_since(terminal: Terminal) -> None:
    db = terminal.stack.db
    terminal.type("/memory")
    db.execute(
        "insert into conversation_summaries (conversation_id, content, covers_position)"
        " select distinct conversation_id, 'More.', 2 from messages"
    )
    terminal.type("/memory summary Much happened.")
    row = terminal.stack.one(
        "select person_content, covers_position from conversation_summaries"
        " where person_content <> ''"
    )
    assert row == {"person_content": "Much happened.", "covers_position": 0}
    terminal.type("/memory")
    db.execute("update conversation_summaries set content = 'More.', covers_position = 2")
    terminal.type("/memory")
    terminal.type("/memory summary All of it.")
    row = terminal.stack.one("select covers_position from conversation_summaries")
    assert row == {"covers_position": 2}


@pytest.mark.parametrize("command", ["/memory summary Nothing happened.", "/memory summary"])
def test_summary_that_was_changed_elsewhere_is_not_replaced(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    terminal.type("/memory summary Much happened.")
    terminal.type("/memory summary Very much happened.")
    written = "update conversation_summaries set person_content = 'Written elsewhere.'"
    terminal.stack.db.execute(written)
    with pytest.raises(CommandFailed, match="changed elsewhere"):
        terminal.type(command)
    assert "Written elsewhere." in capsys.readouterr().err
    terminal.type(command)
    kept = terminal.stack.one("select person_content from conversation_summaries")
    assert kept == {"person_content": command.removeprefix("/memory summary").strip()}


def test_first_summary_does_not_replace_one_that_was_written_elsewhere(terminal: Terminal) -> None:
    terminal.type("/memory")
    terminal.stack.db.execute(
        "insert into conversation_summaries (conversation_id, person_content)"
        " select distinct conversation_id, 'Written elsewhere.' from messages"
    )
    with pytest.raises(CommandFailed, match="changed elsewhere"):
        terminal.type("/memory summary Nothing happened.")


@pytest.mark.parametrize("newer", ["Ada likes coffee.", "Ada likes TEA!"])
@pytest.mark.parametrize("command", ["change 1 Ada likes milk.", "forget 1"])
def test_fact_that_was_changed_elsewhere_stays_as_it_is(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], command: str, newer: str
) -> None:
    terminal.type("/memory add Ada likes tea.")
    terminal.type("/memory")
    terminal.stack.db.execute("update memory_facts set content = %s", (newer,))
    with pytest.raises(CommandFailed, match="Fact 1 was changed elsewhere"):
        terminal.type(f"/memory {command}")
    assert f"  1 {newer}" in capsys.readouterr().err
    terminal.type(f"/memory {command}")
    assert not terminal.stack.all("select from memory_facts where content = %s", newer)


@pytest.mark.parametrize("command", ["change 1 Ada likes milk.", "forget 1"])
def test_fact_that_changes_while_a_command_runs_stays_as_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    terminal.type("/memory add Ada likes tea.")
    terminal.type("/memory")
    send = terminal.chat.data

    def change_first(method: str, path: str, body: Any = None) -> Any:
        if method != "GET":
            terminal.stack.db.execute("update memory_facts set content = 'Ada likes TEA!'")
        return send(method, path, body)

    monkeypatch.setattr(terminal.chat, "data", change_first)
    with pytest.raises(CommandFailed, match="Fact 1 was changed elsewhere"):
        terminal.type(f"/memory {command}")
    assert terminal.stack.one("select content from memory_facts")["content"] == "Ada likes TEA!"


def test_number_of_a_fact_that_is_gone_stands_for_no_other(terminal: Terminal) -> None:
    for fact in ("Ada likes tea.", "Ada has a boat."):
        terminal.type(f"/memory add {fact}")
    terminal.type("/memory")
    terminal.stack.db.execute("delete from memory_facts where content = 'Ada likes tea.'")
    with pytest.raises(CommandFailed, match="changed elsewhere"):
        terminal.type("/memory forget 1")
    assert terminal.stack.one("select content from memory_facts")["content"] == "Ada has a boat."


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        pytest.param("GET", "memory_facts?id=eq.canary", None, WRONG_VALUE, id="uuid"),
        pytest.param("GET", "memory_facts?said_at=gt.canary", None, WRONG_VALUE, id="time"),
        pytest.param("POST", "memory_facts", {"importance": "canary"}, WRONG_VALUE, id="text"),
        pytest.param("POST", "memory_facts", {"importance": 10**12}, WRONG_VALUE, id="large"),
        pytest.param("POST", "rpc/revoke_api_key", {"p_id": "canary"}, WRONG_VALUE, id="rpc"),
        pytest.param("GET", "memory_facts?id=canary", None, OUTDATED, id="filter"),
        pytest.param("POST", "memory_facts", {"canary": 1}, OUTDATED, id="column"),
        pytest.param("POST", "rpc/canary", {}, OUTDATED, id="function"),
    ],
)
def test_value_that_is_refused_before_our_code_runs_is_a_sentence(
    terminal: Terminal, method: str, path: str, body: Any, sentence: str
) -> None:
    with pytest.raises(CommandFailed) as failed:
        terminal.chat.data(method, path, body)
    assert str(failed.value) == sentence


def test_why_is_not_known_of_what_no_model_wrote(terminal: Terminal) -> None:
    with pytest.raises(CommandFailed, match="not known"):
        terminal.type("/why")


def test_why_prints_no_codes_of_the_terminal(terminal: Terminal) -> None:
    hostile = "\x1b[2J\x1b[31m" + "x" * 500
    book: dict[str, Any] = {
        "entries": [{"keys": ["harbour", hostile], "name": 5}, {"keys": [hostile]}]
    }
    for entry in book["entries"]:
        entry |= {"constant": True, "content": hostile}
    terminal.stack.db.execute(
        "update shared.characters set character_book = %s where id = %s",
        (Jsonb(book), DEMO_CHARACTER),
    )
    terminal.type("/again", "Ice.")
    told = terminal.type("/why")[1]
    assert "[always] 5" in told
    assert "[31mxxx" in told
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) < 200


def test_chat_is_written_and_read(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "Storm.jsonl"
    before = terminal.chat.conversation_id
    terminal.type("/hide")
    out, _ = terminal.type(f"/export {file}")
    assert out == f"Written to {file}."
    out, _ = terminal.type(f"/import {file}")
    assert out == "Messages: 4, hidden: 1, versions: 0."
    assert terminal.chat.conversation_id != before
    assert terminal.said() == ["One", "Two", "Three", "Four"]


def test_newest_message_is_hidden_and_shown(terminal: Terminal) -> None:
    assert "Hidden" in terminal.type("/hide")[1]
    assert len(terminal.stack.all("select from hidden_messages")) == 1
    assert "again" in terminal.type("/hide off")[1]
    assert terminal.stack.all("select from hidden_messages") == []


@pytest.mark.parametrize(
    "line", ["/import nowhere.jsonl", "/import", "/export", "/export pyproject.toml"]
)
def test_file_that_cannot_be_used_is_named(terminal: Terminal, line: str) -> None:
    with pytest.raises(CommandFailed):
        terminal.type(line)
