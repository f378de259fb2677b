"""Two hundred turns in one conversation: the last turn still knows the third."""

from __future__ import annotations

import re
from collections.abc import Sequence
from queue import Queue
from typing import Any

import pytest

from roleplay_chat.memory import summarizer
from roleplay_chat.memory.batches import Batch, may_be_due, next_batches
from roleplay_chat.prompt import recall
from roleplay_chat.tokens import UNCALIBRATED
from tests.support.answers import stream
from tests.support.notes import asked_for_notes, asks_for_notes, prompts, written
from tests.support.talk import VENICE, Talk
from tests.support.upstream import Exchange
from tests.support.waiting import PATIENCE, Gate, wait_until

TURNS = 200
FACTS = {3: "My sister Ilse keeps bees in Bergen.", 4: "I left the blue trunk on the pier."}
CONTEXT_TOKENS, MAX_TOKENS = 4096, 400
NUMBER = re.compile(r"\((\d+)\)")
"""Every message contains the number of its turn."""


def said(turn: int) -> str:
    """The user's message."""
    return f"({turn}) {FACTS.get(turn, 'And what does the sea do now?')}"


class Scribe:
    """Answers with prose, or with a summary of all turns summarised so far.

    The last word of a reply waits at the gate.
    """

    def __init__(self) -> None:
        self.turn = 0
        self.gate = Gate()

    async def __call__(self, exchange: Exchange) -> None:
        if not asks_for_notes(exchange.call):
            words = f"({self.turn}) " + "She trims the lamp and listens to the wind. " * 4
            await stream([words, self.gate, "Aye."], usage=None)(exchange)
            return
        material = exchange.call.json["messages"][1]["content"]
        turns = sorted({int(number) for number in NUMBER.findall(material)})
        facts = [fact for fact in FACTS.values() if fact in material]
        noted = "Noted: " + " ".join(f"({turn})" for turn in turns)
        await written(noted, *facts, usage=None)(exchange)


class Decisions:
    """Records the decision about each turn's batches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._decisions: Queue[Sequence[Batch]] = Queue()

        def spy(*arguments: Any, **more: Any) -> Sequence[Batch]:
            self._decisions.put(next_batches(*arguments, **more))
            return next_batches(*arguments, **more)

        def glance(*arguments: Any, **more: Any) -> bool:
            if may_be_due(*arguments, **more):
                return True
            self._decisions.put([])
            return False

        monkeypatch.setattr(summarizer, "next_batches", spy)
        monkeypatch.setattr(summarizer, "may_be_due", glance)

    def next(self) -> Sequence[Batch]:
        return self._decisions.get(timeout=PATIENCE)


def take_turn(talk: Talk, scribe: Scribe, decisions: Decisions) -> int:
    """One turn that ends after its summary, if one is due. Returns the number of its batches."""
    scribe.turn, scribe.gate = scribe.turn + 1, Gate()
    before = len(talk.log)
    with talk.streaming(said(scribe.turn)) as events:
        events.until("delta")
        batches = len(decisions.next())
        if batches:
            wait_until(
                lambda: "memory written" in [line["message"] for line in talk.log[before:]],
                f"the notes of turn {scribe.turn}",
            )
        scribe.gate.open()
        done = events.until("done")[-1].data
    assert done["memory_updated"] is (batches > 0)
    return batches


def test_two_hundred_turns_keep_summary_history_and_cache_intact(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, scribe, decisions = talk.stack, Scribe(), Decisions(monkeypatch)
    talk.have_only(VENICE)
    talk.describe(VENICE, context_tokens=CONTEXT_TOKENS)
    stack.configure(limits={})
    stack.upstream.always(scribe)

    steps: list[int] = []
    for turn in range(1, TURNS + 1):
        stack.gateway.calls.clear()
        steps.append(take_turn(talk, scribe, decisions))
        assert stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ], f"turn {turn}"

    built = prompts(stack.upstream)
    assert len(built) == TURNS
    last = built[-1][0]["content"]
    assert [fact for fact in FACTS.values() if fact not in last] == []
    beginnings = set()
    for turn, messages in enumerate(built, 1):
        spent = sum(UNCALIBRATED.count(message["content"]) for message in messages)
        assert spent <= CONTEXT_TOKENS - MAX_TOKENS, f"turn {turn}"
        summary, facts = remembered(messages[0]["content"])
        # Every turn so far is in the summary or in the messages: no gap, no overlap.
        whole = in_messages(messages)
        retold = [int(number) for number in NUMBER.findall(summary)]
        assert sorted(set(retold) | set(whole)) == list(range(1, turn + 1)), f"turn {turn}"
        assert set(retold[:-1]).isdisjoint(whole), f"turn {turn}"
        assert len(facts) == len(set(facts)) <= len(FACTS)
        beginnings.add((messages[0]["content"], messages[1]["content"]))
    # The beginning of the prompt, which providers cache, changes only in the turn after a summary.
    assert 5 <= sum(map(bool, steps)) <= TURNS / 6
    assert len(beginnings) == sum(map(bool, steps[:-1])) + 1
    assert len(asked_for_notes(stack.upstream)) == sum(steps)
    assert stack.one("select count(*) as n from memory_facts")["n"] == len(FACTS)


def remembered(system: str) -> tuple[str, list[str]]:
    """The summary and the facts in a system message."""
    lines = system.partition("## What is remembered\n")[2].splitlines()
    facts = [line for line in lines if line.startswith("- ")]
    return "\n".join(line for line in lines if line not in facts), facts


def in_messages(messages: Sequence[dict[str, str]]) -> list[int]:
    """The turns whose messages are in a prompt's history, in order."""
    history = [
        one["content"] for one in messages[1:] if not one["content"].startswith(recall.TITLE)
    ]
    return [int(number) for content in history for number in NUMBER.findall(content)]
