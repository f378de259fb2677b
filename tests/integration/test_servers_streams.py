"""Streams of every server, through a whole turn: what is shown is what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from roleplay_chat.generation.error_policies import ERROR_POLICIES
from tests.support.answers import completion, raw, reply, stream, text, worker_chat
from tests.support.servers_streams import (
    END_TOKENS,
    FAILURES,
    HEADERS,
    REASONING,
    REASONS,
    REPLY,
    SHAPES,
    SPOKEN,
    Reason,
    chunk,
    framed,
)
from tests.support.talk import DOLPHIN_R1, VENICE, Talk
from tests.support.upstream import Answer

SAID = "She nods and turns to the sea. Then she waits"
CUT = [reason for reason in REASONS if reason.meaning in ("cut_off", "unfinished")]


def body(content: bytes, headers: Mapping[str, str]) -> Answer:
    """A body with exactly these headers, none about its type where there is none here."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["HTTP/1.1 200 OK", *lines, f"Content-Length: {len(content)}"])
    return raw(f"{head}\r\nConnection: close\r\n\r\n".encode() + content)


def streamed(events: list[Any]) -> str:
    return "".join(event.data["text"] for event in events if event.name == "delta")


@pytest.mark.parametrize("name", SHAPES)
def test_stream_of_any_shape_is_a_whole_reply(talk: Talk, name: str) -> None:
    shape = SHAPES[name]
    talk.have_worker(protocol="openai")
    talk.stack.upstream.enqueue(body(shape.body, shape.headers), body(shape.body, shape.headers))

    answer = talk.reply()
    events = talk.stream(model_provider="chat_worker")

    assert (answer["response"], answer["incomplete"]) == (REPLY, False)
    assert answer["finish_reason"] == "stop"
    assert (events[-1].name, streamed(events)) == ("done", REPLY)
    assert talk.said() == ["Hello", f"> {REPLY}"] * 2
    assert talk.turn() == ("complete", None)
    assert talk.cooldowns() == {}


@pytest.mark.parametrize("name", FAILURES)
def test_stream_that_fails_says_why(talk: Talk, name: str) -> None:
    shape, policy = FAILURES[name]
    talk.have_only(VENICE)
    talk.stack.upstream.enqueue(body(shape.body, shape.headers))
    talk.stack.upstream.always(text("Good evening."))

    answer = talk.say()

    tried = next(line for line in talk.log if line["message"] == "turn finished")["targets"]
    assert tried[0]["outcome"] == policy
    if policy == "context_too_long":
        assert answer.json()["response"] == "Good evening."
    assert talk.alerts() == [policy] * ERROR_POLICIES[policy].alert


@pytest.mark.parametrize("name", [name for name in FAILURES if "document" not in name])
def test_stream_that_fails_after_text_keeps_it(talk: Talk, name: str) -> None:
    shape, policy = FAILURES[name]
    before = framed(json.dumps(chunk("Good evening")))
    talk.stack.upstream.enqueue(body(before + shape.body, shape.headers))

    answer = talk.reply()

    assert talk.asked() == [VENICE]
    assert (answer["response"], answer["incomplete"]) == ("Good evening", True)
    assert talk.turn() == ("incomplete", policy)


@pytest.mark.parametrize("family", SPOKEN)
def test_reasoning_in_words_is_neither_shown_nor_stored(talk: Talk, family: str) -> None:
    opening, closing = SPOKEN[family]
    written = f"{opening}They are late.{closing}{SAID}."
    talk.stack.upstream.enqueue(stream(list(written)), stream([written]))

    events = talk.stream()
    at_once = talk.reply()

    assert streamed(events) == at_once["response"] == f"{SAID}."
    assert talk.said() == ["Hello", f"> {SAID}."] * 2


def test_words_of_a_story_that_begin_like_reasoning_stay(talk: Talk) -> None:
    said = "Here is my thought process: tea first."
    talk.stack.upstream.enqueue(text(said))
    assert talk.reply()["response"] == said


def test_reasoning_without_tokens_that_does_not_end_is_not_shown(talk: Talk) -> None:
    talk.stack.upstream.enqueue(stream(["analysis", "They are late."]), text("Sit."))
    assert talk.reply()["response"] == "Sit."


def ended(known: Reason) -> Answer:
    return stream([f"{word} " for word in SAID.split()], finish=known.word)


@pytest.mark.parametrize(
    "known", [one for one in REASONS if one.meaning == "whole"], ids=lambda known: known.word
)
def test_reason_that_means_whole_is_whole(talk: Talk, known: Reason) -> None:
    talk.stack.upstream.enqueue(ended(known))
    answer = talk.reply()
    own = known.word in ("tool_calls", "function_call")
    assert (answer["response"], answer["finish_reason"]) == (SAID, known.word if own else "stop")
    assert talk.turn() == ("complete", None)


@pytest.mark.parametrize(
    "known", [one for one in REASONS if one.meaning == "length"], ids=lambda known: known.word
)
def test_reason_that_means_length_ends_after_a_sentence(talk: Talk, known: Reason) -> None:
    talk.stack.upstream.enqueue(ended(known))
    answer = talk.reply()
    assert (answer["response"], answer["finish_reason"]) == (
        "She nods and turns to the sea.",
        "length",
    )
    assert talk.turn() == ("complete", None)


@pytest.mark.parametrize("known", CUT, ids=lambda known: known.word)
def test_any_other_reason_is_a_reply_cut_off_that_can_be_continued(
    talk: Talk, known: Reason
) -> None:
    talk.stack.upstream.enqueue(ended(known), text("for you."))

    cut = talk.reply()
    turn = talk.turn()
    whole = talk.reply(action="continue")

    given = known.word if known.meaning == "cut_off" else None
    assert (cut["response"], cut["incomplete"], cut["finish_reason"]) == (SAID, True, given)
    assert turn == ("incomplete", "cut_off")
    assert (whole["response"], whole["incomplete"]) == (f"{SAID} for you.", False)
    assert talk.asked() == [VENICE, VENICE]


@pytest.mark.parametrize("known", CUT, ids=lambda known: known.word)
def test_any_other_reason_before_the_first_word_is_hidden(talk: Talk, known: Reason) -> None:
    talk.stack.upstream.enqueue(stream([], finish=known.word), text("Good evening."))
    answer = talk.reply()
    assert (answer["response"], answer["incomplete"]) == ("Good evening.", False)
    assert talk.asked() == [VENICE, DOLPHIN_R1]


@pytest.mark.parametrize("known", CUT[:2], ids=lambda known: known.word)
def test_document_that_was_cut_off_is_kept(talk: Talk, known: Reason) -> None:
    talk.stack.upstream.enqueue(reply(200, completion("x", SAID, None, known.word)))
    assert talk.reply()["incomplete"] is True
    assert talk.turn() == ("incomplete", "cut_off")


@pytest.mark.parametrize("family", REASONING)
def test_reasoning_is_neither_shown_nor_stored(talk: Talk, family: str) -> None:
    opening, closing = REASONING[family]
    written = f"{opening}They are late. User: no.{closing}{SAID}."
    talk.stack.upstream.enqueue(stream(list(written)), stream([opening, "They are"]), text("Sit."))

    events = talk.stream()
    unterminated = talk.reply()

    assert streamed(events) == f"{SAID}."
    assert unterminated["response"] == "Sit."
    assert talk.said() == ["Hello", f"> {SAID}.", "Hello", "> Sit."]


@pytest.mark.parametrize("family", ["Mistral", "GPT-OSS", "DeepSeek R1, Qwen 3, GLM, MiniMax"])
def test_reasoning_that_spends_all_tokens_gets_more(talk: Talk, family: str) -> None:
    opening, closing = REASONING[family]
    talk.stack.upstream.enqueue(
        stream([opening, "They are"], finish="length"), text(f"{opening}They are.{closing}Sit.")
    )
    assert talk.reply()["response"] == "Sit."
    assert talk.asked() == [VENICE, VENICE]
    first, second = (call.json["max_tokens"] for call in talk.stack.upstream.calls)
    assert second == 2 * first


@pytest.mark.parametrize("family", END_TOKENS)
def test_end_of_a_turn_ends_the_reply(talk: Talk, family: str) -> None:
    header = HEADERS.get(family, "")
    for token in END_TOKENS[family].split():
        talk.stack.upstream.enqueue(stream([header, "Sit.", *token, "\nHello", "?"]))
        assert talk.reply()["response"] == "Sit.", token
        assert talk.turn() == ("complete", None), token


@pytest.mark.parametrize("family", ["Mistral", "GPT-OSS", "Cohere", "Gemma 4"])
def test_reply_of_the_worker_with_its_own_protocol_is_cleaned_too(talk: Talk, family: str) -> None:
    opening, closing = REASONING[family]
    talk.have_worker()
    talk.stack.upstream.enqueue(
        worker_chat(f"{opening}They are.{closing}Sit.<end_of_turn>\nHello?")
    )
    assert talk.reply(model_provider="chat_worker")["response"] == "Sit."
