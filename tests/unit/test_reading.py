"""A reply is read the same, however the network splits it."""

import asyncio
import gzip
import json
import re
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bodies import MAX_ERROR_BYTES
from edge.clients import NETWORK_ERRORS
from edge.connections import READ_BYTES
from edge.json_text import loads_bounded
from roleplay_chat.api import Usage
from roleplay_chat.generation import error_classifier
from roleplay_chat.generation.error_classifier import UpstreamError
from roleplay_chat.generation.finish_reasons import meaning_of
from roleplay_chat.generation.providers import (
    MAX_BODY_BYTES,
    MAX_COUNT,
    MAX_REPLY_CHARS,
    MAX_USD,
    PIECE_CHARS,
    STEPS_OF_OTHERS,
    Call,
    End,
    Text,
    chat_worker,
    event_stream,
    in_pieces,
    openai_compatible,
)
from roleplay_chat.generation.providers.event_stream import MAX_DOCUMENTS, BodyDecoder
from roleplay_chat.generation.providers.openai_compatible import generate
from roleplay_chat.generation.targets import Target
from tests.support.servers_streams import REASONS, REPLY, SHAPES, Reason

EVENT_STREAM = "text/event-stream"
TARGET = Target("openrouter", "some/model:free", "Some model", "openai", "http://upstream/")
Read = list[str | End]
"""The texts ("" is only a sign of life), then the end or the name of the failure."""


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: Sequence[bytes], *, ends: bool = True) -> None:
        self._pieces = pieces
        self._ends = ends
        self.read_to_the_end = self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if not self._ends:
            await asyncio.get_running_loop().create_future()
        self.read_to_the_end = True

    async def aclose(self) -> None:
        self.closed = True


async def read(
    http: httpx.AsyncClient, answers: list[httpx.Response], answer: httpx.Response
) -> Read:
    call = Call(TARGET, [], {}, {}, "sfw", httpx.Timeout(5))
    answers.append(answer)
    events: Read = []
    try:
        async for event in generate(http, call):
            last = events[-1] if events else None
            if isinstance(event, End) and isinstance(last, End):
                events[-1] = event
            elif isinstance(event, Text) and isinstance(last, str):
                events[-1] = last + event.text
            else:
                events.append(event.text if isinstance(event, Text) else event)
    except UpstreamError as error:
        events.append(f"! {error.failure.policy.name}")
    return events


def read_bodies(
    bodies: Sequence[httpx.AsyncByteStream],
    *,
    status: int = 200,
    content_type: str = EVENT_STREAM,
    headers: Mapping[str, str] = {},
) -> list[Read]:
    async def all_of_them() -> list[Read]:
        answers: list[httpx.Response] = []
        transport = httpx.MockTransport(lambda _: answers.pop())
        all_headers = {"Content-Type": content_type, **headers}
        async with httpx.AsyncClient(transport=transport) as http:
            return [
                await read(http, answers, httpx.Response(status, headers=all_headers, stream=body))
                for body in bodies
            ]

    return asyncio.run(all_of_them())


def read_cut(
    body: bytes,
    cuts: Sequence[Sequence[int]],
    *,
    status: int = 200,
    content_type: str = EVENT_STREAM,
) -> list[Read]:
    """The results of reading a body in the pieces that each of `cuts` makes."""
    pieces = [
        Pieces([body[a:b] for a, b in zip([0, *cut], [*cut, len(body)], strict=True)])
        for cut in cuts
    ]
    return read_bodies(pieces, status=status, content_type=content_type)


def read_whole(body: bytes, *, status: int = 200, content_type: str = EVENT_STREAM) -> Read:
    return read_cut(body, [[]], status=status, content_type=content_type)[0]


def every_cut(body: bytes) -> list[Sequence[int]]:
    """A single cut at each byte, then cuts at all bytes."""
    return [*([at] for at in range(len(body) + 1)), range(1, len(body))]


def chunk(content: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}, "finish_reason": finish}]} | more


def sse(*events: Any, end: str = "\n\n") -> bytes:
    return "".join(
        f"data: {event if isinstance(event, str) else json.dumps(event)}{end}" for event in events
    ).encode()


def mixed(*parts: bytes) -> bytes:
    return b"".join(parts)


HI, STOP, DONE = chunk("Hi"), chunk("", "stop"), "[DONE]"
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "cost": 0.5}
WHOLE = End("stop")
PAID = End("stop", Usage(10, 4, 0.5))
THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
OVERLOADED = {"code": 502, "message": "Internal server error"}

STREAMS: dict[str, tuple[bytes, Read]] = {
    # Formats of events
    "lf": (sse(HI, STOP, DONE), ["Hi", WHOLE]),
    "crlf": (sse(HI, STOP, DONE, end="\r\n\r\n"), ["Hi", WHOLE]),
    "lone-cr": (sse(HI, STOP, DONE, end="\r\r"), ["Hi", WHOLE]),
    "line-ends-mixed": (
        mixed(sse(HI, end="\r\n\n"), sse(STOP, end="\r\r\n"), sse(DONE)),
        ["Hi", WHOLE],
    ),
    "byte-order-mark": (b"\xef\xbb\xbf" + sse(HI, STOP, DONE), ["Hi", WHOLE]),
    "no-space-after-the-colon": (sse(HI, STOP, DONE).replace(b"data: ", b"data:"), ["Hi", WHOLE]),
    "keep-alives-before-and-between": (
        mixed(b": OPENROUTER PROCESSING\n\n" * 2, sse(HI), b": \n\n:\n\n", sse(STOP, DONE)),
        ["Hi", WHOLE],
    ),
    "comment-inside-an-event": (
        b'data: {"choices": [{"delta":\n: data: no\ndata: {"content": "Hi"}}]}\n\n' + sse(STOP),
        ["Hi", WHOLE],
    ),
    "data-on-several-lines": (
        mixed(b'data: {"choices":\ndata\ndata:  [{"delta": {"content": "Hi"},\n')
        + mixed(b'data: "finish_reason": "stop"}]}\n\n'),
        ["Hi", WHOLE],
    ),
    "fields-that-do-not-matter": (
        mixed(b"retry: 5\nid: 1\x00\nevent: message\nwhat: ever\n", sse(HI, STOP, DONE)),
        ["Hi", WHOLE],
    ),
    "blank-lines": (b"\n\n\n" + sse(HI, STOP, DONE, end="\n\n\n\n"), ["Hi", WHOLE]),
    "events-without-data": (
        mixed(b"event: ping\n\n", sse(HI, STOP), b"data:\n\n", sse(DONE)),
        ["Hi", WHOLE],
    ),
    "code-points-of-every-length": (
        sse(*map(json.loads, ['{"choices":[{"delta":{"content":"aé你😀"}}]}']), STOP).replace(
            b"a\\u00e9\\u4f60\\ud83d\\ude00", "aé你😀".encode()
        ),
        ["aé你😀", WHOLE],
    ),
    "escaped-surrogate-pair": (sse(chunk("😀"), STOP), ["😀", WHOLE]),
    "line-ends-of-unicode-are-no-line-ends": (
        sse('{"choices":[{"delta":{"content":"a\u2028b\u0085c"}}]}', STOP),
        ["a\u2028b\u0085c", WHOLE],
    ),
    "bytes-that-are-no-text": (
        mixed(b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n', sse(STOP)),
        ["a\ufffdb", WHOLE],
    ),
    "last-event-not-terminated": (sse(HI, STOP) + b"data: [DONE]", ["Hi", WHOLE]),
    # How a reply ends
    "done-missing": (sse(HI, STOP), ["Hi", WHOLE]),
    "nothing-is-read-after-done": (sse(HI, STOP, DONE, chunk("!")), ["Hi", WHOLE]),
    "finish-reason-missing": (sse(HI, DONE), ["Hi", "! cut_off"]),
    "finish-reason-with-the-text": (sse(chunk("Hi", "stop")), ["Hi", WHOLE]),
    "finish-reason-length": (sse(HI, chunk(None, "length")), ["Hi", End("length")]),
    "finish-reason-null-as-text-and-no-other": (
        sse(chunk("Hi", "null"), DONE),
        ["Hi", "! cut_off"],
    ),
    "finish-reason-content-filter-after-text": (
        sse(HI, chunk(None, "content_filter"), DONE),
        ["Hi", "! moderated"],
    ),
    "cut-off-in-the-last-event": (sse(HI) + b'data: {"choices": [{"delta"', ["Hi", "! cut_off"]),
    "cut-off-in-an-event-glued-to-another": (
        sse(HI, end='data: {"choices": [{"delta": {}'),
        ["Hi", "! cut_off"],
    ),
    "error-in-the-last-event-without-its-blank-line": (
        sse(HI) + sse({"error": OVERLOADED}, end=""),
        ["Hi", "! overloaded"],
    ),
    "error-glued-to-the-event-before": (
        sse(HI, end="") + sse({"error": OVERLOADED}),
        ["Hi", "! overloaded"],
    ),
    "rubbish-glued-to-the-event-before": (sse(HI, end="<html>\n\n"), ["Hi", "! unreadable"]),
    "half-of-an-emoji-alone": (
        sse('{"choices":[{"delta":{"content":"a\\ud83d"}}]}', STOP),
        ["a", WHOLE],
    ),
    "half-of-an-emoji-before-other-text": (
        sse('{"choices":[{"delta":{"content":"a\\ud83d"}}]}', chunk("é"), STOP),
        ["a\ud83dé", WHOLE],
    ),
    "halves-whose-second-could-be-bytes": (
        sse(
            '{"choices":[{"delta":{"content":"\\ud83d"}}]}',
            '{"choices":[{"delta":{"content":"\\udce0"}}]}',
            STOP,
        ),
        ["\U0001f4e0", WHOLE],
    ),
    "finish-reason-blank": (sse(HI, chunk(None, "")), ["Hi", "! cut_off"]),
    "nothing-at-all": (b"", ["! unreadable"]),
    "comments-alone": (b": OPENROUTER PROCESSING\n\n" * 3, ["! unreadable"]),
    "done-alone": (sse(DONE), ["! unreadable"]),
    "finished-without-a-word": (sse(STOP, DONE), [WHOLE]),
    # Usage and cost
    "usage-beside-the-finish-reason-again": (
        sse(HI, STOP, chunk("", "stop", usage=USAGE), DONE),
        ["Hi", PAID],
    ),
    "usage-without-choices": (sse(HI, STOP, {"choices": [], "usage": USAGE}, DONE), ["Hi", PAID]),
    "usage-beside-no-finish-reason": (sse(HI, STOP, chunk("", usage=USAGE), DONE), ["Hi", PAID]),
    "usage-null-until-it-is-known": (
        sse(chunk("Hi", usage=None), chunk("", "stop", usage=USAGE), chunk(usage=None)),
        ["Hi", PAID],
    ),
    "usage-as-text": (
        sse(HI, chunk("", "stop", usage={name: str(n) for name, n in USAGE.items()})),
        ["Hi", PAID],
    ),
    "usage-that-is-none": (
        sse(
            HI,
            chunk(
                "",
                "stop",
                usage={"prompt_tokens": -1, "completion_tokens": True, "cost": "free"},
            ),
        ),
        ["Hi", WHOLE],
    ),
    "usage-with-numbers-that-are-none": (
        sse(HI, STOP, '{"usage":{"prompt_tokens":NaN,"completion_tokens":1e999,"cost":"inf"}}'),
        ["Hi", WHOLE],
    ),
    "usage-beyond-any-column": (
        sse(HI, STOP, '{"usage":{"prompt_tokens":1e12,"completion_tokens":"1e12","cost":1e300}}'),
        ["Hi", End("stop", Usage(MAX_COUNT, MAX_COUNT, MAX_USD))],
    ),
    "usage-of-hundreds-of-digits": (
        sse(HI, STOP, f'{{"usage":{{"prompt_tokens":1{"0" * 400},"cost":-1{"0" * 400}}}}}'),
        ["Hi", WHOLE],
    ),
    "finish-reason-that-nobody-knows": (sse(HI, chunk("", "x" * 100)), ["Hi", "! cut_off"]),
    "finish-reason-that-is-no-text": (sse(HI, chunk("", "a\x00\ud800")), ["Hi", "! cut_off"]),
    "finish-reason-of-another-type": (sse(HI, chunk("", 5)), ["Hi", "! cut_off"]),  # type: ignore[arg-type]
    "finish-reason-unknown-before-the-real-one": (
        sse(chunk("Hi", "working"), chunk(" you"), STOP, DONE),
        ["Hi you", WHOLE],
    ),
    "usage-that-is-no-object": (sse(HI, chunk("", "stop", usage=[3])), ["Hi", WHOLE]),
    # Chunks in odd shapes
    "choices-missing": (sse({"id": "gen-1"}, HI, {}, STOP), ["Hi", WHOLE]),
    "choices-null": (sse({"choices": None}, HI, STOP), ["Hi", WHOLE]),
    "choices-no-list": (sse({"choices": {"0": HI}}, HI, STOP), ["Hi", WHOLE]),
    "choices-of-nothing": (sse({"choices": [None, 1, "x", [], {}]}, HI, STOP), ["Hi", WHOLE]),
    "delta-null": (sse({"choices": [{"delta": None}]}, HI, STOP), ["Hi", WHOLE]),
    "delta-text": (sse({"choices": [{"delta": "Ho"}]}, HI, STOP), ["Hi", WHOLE]),
    "role-alone": (sse({"choices": [{"delta": {"role": "assistant"}}]}, HI, STOP), ["Hi", WHOLE]),
    "content-null": (sse(chunk(None), HI, STOP), ["Hi", WHOLE]),
    "content-as-parts": (
        sse(chunk([{"type": "text", "text": "H"}, {"type": "image"}, None, {"text": "i"}]), STOP),
        ["Hi", WHOLE],
    ),
    "content-a-number": (sse(chunk(7), HI, STOP), ["Hi", WHOLE]),
    "message-instead-of-delta": (
        sse({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}),
        ["Hi", WHOLE],
    ),
    "debug-chunk-first": (sse({"choices": [], "debug": {}}, HI, STOP), ["Hi", WHOLE]),
    "chunk-that-is-a-list": (sse(HI, "[]"), ["Hi", "! unreadable"]),
    "chunk-that-is-a-number": (sse("3"), ["! unreadable"]),
    "chunk-that-is-broken": (sse(HI, '{"choices": [{"delta"'), ["Hi", "! unreadable"]),
    "chunk-that-is-a-page": (sse("<!DOCTYPE html>"), ["! unreadable"]),
    # Reasoning: a sign of life, never part of the reply
    "reasoning": (
        sse({"choices": [{"delta": {"content": "", "reasoning": "Hm."}}]}, HI, STOP),
        ["Hi", WHOLE],
    ),
    "reasoning-by-its-other-name": (
        sse({"choices": [{"delta": {"reasoning_content": "Hm."}}]}, HI, STOP),
        ["Hi", WHOLE],
    ),
    "reasoning-that-is-encrypted": (
        sse(
            {"choices": [{"delta": {"reasoning_details": [{"type": "reasoning.encrypted"}]}}]},
            HI,
            STOP,
        ),
        ["Hi", WHOLE],
    ),
    "reasoning-beside-text": (
        sse({"choices": [{"delta": {"content": "Hi", "reasoning": "Hm."}}]}, STOP),
        ["Hi", WHOLE],
    ),
    "reasoning-until-the-tokens-are-spent": (
        sse({"choices": [{"delta": {"reasoning": "Hm."}}]}, chunk("", "length")),
        ["", "! all_reasoning"],
    ),
    "blank-lines-and-reasoning-until-the-tokens-are-spent": (
        sse({"choices": [{"delta": {"content": "\n\n", "reasoning": "Hm."}}]}, chunk("", "length")),
        ["\n\n", "! all_reasoning"],
    ),
    "reasoning-and-then-nothing": (
        sse({"choices": [{"delta": {"reasoning": "Hm."}}]}),
        ["", "! cut_off"],
    ),
    "thinking-in-parts-until-the-tokens-are-spent": (
        sse(chunk(THINKING), chunk("", "length")),
        ["", "! all_reasoning"],
    ),
    "thinking-in-parts-without-text": (
        sse(chunk([{"type": "redacted_thinking", "data": "x"}]), HI, STOP),
        ["Hi", WHOLE],
    ),
    "reasoning-in-parts-beside-text": (
        sse(
            chunk([{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Hi"}]),
            chunk([{"text": "Hm.", "thought": True}]),
            STOP,
        ),
        ["Hi", WHOLE],
    ),
    # Errors in the stream: the four known formats, and others
    "error-beside-finish-reason": (
        sse(HI, chunk("", "error", error=OVERLOADED)),
        ["Hi", "! overloaded"],
    ),
    "error-beside-empty-choices": (
        sse(HI, {"choices": [], "error": OVERLOADED}, DONE),
        ["Hi", "! overloaded"],
    ),
    "error-inside-the-choice": (
        sse(HI, {"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 429}}]}),
        ["Hi", "! rate_limited"],
    ),
    "error-alone": (
        sse(HI, {"error": {"code": 401, "message": "User not found."}, "user_id": "user_1"}),
        ["Hi", "! bad_key"],
    ),
    "error-first-and-only": (sse({"choices": [], "error": OVERLOADED}), ["! overloaded"]),
    "error-as-an-event": (b"event: error\n" + sse({"error": OVERLOADED}), ["! overloaded"]),
    "error-with-a-code-in-words": (
        sse({"error": {"code": "server_error", "message": "Oops"}}),
        ["! overloaded"],
    ),
    "error-with-a-code-as-text": (sse({"error": {"code": "429"}}), ["! rate_limited"]),
    "error-without-a-code": (sse({"error": {"code": None, "message": None}}), ["! overloaded"]),
    "error-that-is-text": (sse({"error": "it failed"}), ["! overloaded"]),
    "error-null-is-none": (sse(chunk("Hi", error=None), STOP), ["Hi", WHOLE]),
    "finish-reason-error-alone": (sse(HI, chunk("", "error")), ["Hi", "! overloaded"]),
    "error-after-the-finish-reason": (
        sse(HI, STOP, {"choices": [], "error": OVERLOADED}),
        ["Hi", WHOLE, "! overloaded"],
    ),
    "refused-without-a-word": (sse(chunk(None, "content_filter")), ["! moderated"]),
    "done-after-an-error": (sse({"error": OVERLOADED}, DONE), ["! overloaded"]),
}


def samples() -> dict[str, dict[str, Any]]:
    file = Path(__file__).parents[1] / "data" / "openrouter_samples.json"
    listed = json.loads(file.read_text())
    return {s["id"]: s for s in listed if s["endpoint"].endswith("/chat/completions")}


SAMPLES = samples()


def sample_body(sample: dict[str, Any]) -> bytes:
    return str(sample.get("sse_raw") or json.dumps(sample["body"])).encode()


@pytest.mark.parametrize("name", STREAMS)
def test_stream_is_read_the_same_wherever_it_is_cut(name: str) -> None:
    body, expected = STREAMS[name]
    for cut, events in zip(every_cut(body), read_cut(body, every_cut(body)), strict=True):
        assert events == expected, f"cut at {cut}"


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_read_the_same_wherever_it_is_cut(name: str) -> None:
    sample, body = SAMPLES[name], sample_body(SAMPLES[name])
    how = {"status": sample["status"], "content_type": sample["headers"]["Content-Type"]}
    whole = read_whole(body, **how)

    assert all(events == whole for events in read_cut(body, every_cut(body), **how))
    shown = "".join(event for event in whole if isinstance(event, str) and event[:1] != "!")
    assert shown == sample["expect"].get("text", "")


@pytest.mark.parametrize("name", SHAPES)
def test_stream_of_a_server_is_read_whole_wherever_it_is_cut(name: str) -> None:
    shape = SHAPES[name]
    ends = [shape.body.rfind(b"}") + after for after in range(-3, 16)]
    cuts = [
        *([at] for at in sorted({*range(0, len(shape.body), 29), *ends})),
        range(1, len(shape.body)),
    ]
    kind = next(iter(shape.headers.values()), "")

    for cut, (text, end) in zip(cuts, read_cut(shape.body, cuts, content_type=kind), strict=True):
        assert isinstance(end, End), f"cut at {cut}"
        assert (text, end.finish_reason) == (REPLY, "stop"), f"cut at {cut}"


@given(st.sampled_from(sorted(SHAPES)), st.lists(st.integers(0, 2_000), max_size=30))
def test_stream_of_a_server_is_read_the_same_in_any_pieces(name: str, places: list[int]) -> None:
    body = SHAPES[name].body
    cut = sorted(min(place, len(body)) for place in places)
    whole, cut_up = read_cut(body, [[], cut])
    assert cut_up == whole


@pytest.mark.parametrize("name", [name for name in SHAPES if "document" not in name])
def test_event_of_a_server_is_passed_on_before_the_next_but_one(name: str) -> None:
    before, tide, after = SHAPES[name].body.partition(b" The tide")
    decoder = BodyDecoder()
    if name in ("lines-of-json", "two-events-on-one-line"):
        assert decoder.decode(before) == []  # It could be one document.
    else:
        assert "Sit" in "".join(decoder.decode(before))
    assert " are you." in "".join([*decoder.decode(tide + after), *decoder.flush()])


@pytest.mark.parametrize("known", REASONS, ids=lambda known: known.word)
def test_finish_reason_means_what_the_server_means(known: Reason) -> None:
    own = known.word in ("tool_calls", "function_call")
    ends = {
        "whole": End(known.word if own else "stop"),
        "length": End("length"),
        "refused": "! moderated",
        "failed": "! overloaded",
        "unfinished": "! cut_off",
        "cut_off": "! cut_off",
    }
    assert read_whole(sse(HI, chunk("", known.word), DONE)) == ["Hi", ends[known.meaning]]
    body = as_json({"content": "Hi"}, known.word)
    assert read_whole(body, content_type="application/json")[-1] == ends[known.meaning]


@pytest.mark.parametrize("known", REASONS, ids=lambda known: known.word)
def test_finish_reason_may_be_spelled_in_another_way(known: Reason) -> None:
    words = re.sub("(?<=[a-z])(?=[A-Z])", "_", known.word)
    for spelled in (words.upper(), words.lower(), words.replace("_", "-"), words.title()):
        assert meaning_of(spelled) == known.meaning


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[str, list[int]]:
    name = draw(st.sampled_from(sorted(STREAMS)))
    at = st.integers(0, len(STREAMS[name][0]))
    return name, sorted(draw(st.lists(at, max_size=40)))


@given(cut_streams())
@settings(max_examples=300)
def test_stream_is_read_the_same_in_any_pieces(cut: tuple[str, list[int]]) -> None:
    body, expected = STREAMS[cut[0]]
    assert read_cut(body, [cut[1]]) == [expected]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/event-stream; charset=utf-8",
        "text/event-stream;charset=iso-8859-1",
    ],
)
def test_stream_is_utf_8_whatever_its_header_says(content_type: str) -> None:
    body = 'data: {"choices":[{"delta":{"content":"你好"},"finish_reason":"stop"}]}\n\n'.encode()
    assert read_whole(body, content_type=content_type) == ["你好", WHOLE]


def as_json(message: Any, finish: Any = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"choices": [choice]} | more).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(as_json({"content": "Hi"}, usage=USAGE), ["Hi", PAID], id="reply"),
        pytest.param(
            b"\n \n" * 9 + as_json({"content": "Hi"}), ["Hi", WHOLE], id="blank-lines-first"
        ),
        pytest.param(as_json({"content": [{"text": "Hi"}]}), ["Hi", WHOLE], id="content-as-parts"),
        pytest.param(
            as_json({"content": "Hi", "reasoning": "Hm."}), ["Hi", WHOLE], id="reasoning-apart"
        ),
        pytest.param(as_json({"content": None}), [WHOLE], id="content-null"),
        pytest.param(
            as_json({"content": None, "reasoning": "Hm."}, "length"),
            ["", "! all_reasoning"],
            id="all-reasoning",
        ),
        pytest.param(as_json({"content": "Hi"}, None), ["Hi", "! cut_off"], id="no-finish-reason"),
        pytest.param(as_json(None), [WHOLE], id="message-null"),
        pytest.param(
            json.dumps({"error": {"code": 500}, "user_id": "org_1"}).encode(),
            ["! server_error"],
            id="error-alone",
        ),
        pytest.param(
            json.dumps({"choices": [], "error": OVERLOADED}).encode(),
            ["! overloaded"],
            id="error-beside-empty-choices",
        ),
        pytest.param(
            json.dumps(
                {
                    "choices": [
                        {
                            "message": {"content": "partial"},
                            "finish_reason": "error",
                            "error": OVERLOADED,
                        }
                    ]
                }
            ).encode(),
            ["! overloaded"],
            id="error-inside-the-choice",
        ),
        pytest.param(b"\n \n" * 60, ["! unreadable"], id="blank-lines"),
        pytest.param(b"", ["! unreadable"], id="nothing"),
        pytest.param(b"<!DOCTYPE html><html>", ["! unreadable"], id="page"),
        pytest.param(b'{"choices": [{"mess', ["! unreadable"], id="broken-off"),
        pytest.param(b"[" * 5_000, ["! unreadable"], id="nested-without-end"),
        pytest.param(b'{"choices": []}', ["! unreadable"], id="choices-empty"),
        pytest.param(b"null", ["! unreadable"], id="null"),
    ],
)
def test_body_that_is_no_stream_is_read_the_same_wherever_it_is_cut(
    body: bytes, expected: Read
) -> None:
    cuts = every_cut(body) if len(body) < 1000 else [[], [1]]
    for events in read_cut(body, cuts, content_type="application/json"):
        assert events == expected


def test_reply_that_does_not_end_is_ended() -> None:
    body = sse(*[chunk("a" * 10_000)] * 7)
    events = read_whole(body)
    assert events[-1] == "! cut_off"
    assert len("".join(map(str, events[:-1]))) <= MAX_REPLY_CHARS + 10_000


class Endless(httpx.AsyncByteStream):
    """An endless body."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.bytes_read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.bytes_read += len(self._piece)
            yield self._piece


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"x" * 16_384, id="line"),
        pytest.param(b"data: " + b"x" * 16_384, id="data"),
        pytest.param(b"data: x\n" * 2_048, id="event-of-many-lines"),
        pytest.param(b"id: x\nretry: 5\nevent: x\n" * 500, id="event-without-data"),
        pytest.param(b": ping\n" * 2_048, id="comments"),
        pytest.param(b"\xff" * 16_384, id="bytes-that-are-no-text"),
    ],
)
def test_what_does_not_become_an_event_is_not_gathered_without_end(piece: bytes) -> None:
    body = Endless(piece)
    assert read_bodies([body]) == [["! unreadable"]]
    assert body.bytes_read <= MAX_BODY_BYTES + len(piece)


def test_body_that_is_no_stream_is_read_as_far_as_it_is_worth() -> None:
    for status in (200, 500):
        body = Endless(b"x" * 16_384)
        read_bodies([body], status=status, content_type="")
        assert body.bytes_read <= MAX_BODY_BYTES + 16_384


def test_events_that_say_nothing_end_with_the_bytes_of_a_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_compatible, "MAX_STREAM_BYTES", 200_000)
    body = Endless(b"data: {}\n\n" * 1_000)
    assert read_bodies([body]) == [["! unreadable"]]
    assert body.bytes_read <= 220_000


def test_documents_of_one_event_are_limited() -> None:
    hi, end = json.dumps(HI), json.dumps(STOP)
    assert read_whole(sse(hi * (MAX_DOCUMENTS - 1) + end))[-1] == WHOLE
    assert read_whole(sse(hi * MAX_DOCUMENTS + end))[-1] == "! unreadable"


@pytest.mark.parametrize(
    "body", [sse(json.dumps(HI) * 50), b"\n".join([json.dumps(HI).encode()] * 50)]
)
def test_documents_of_one_event_are_parsed_once(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    parsed: list[str] = []

    def loads_bounded(text: str) -> Any:
        parsed.append(text)
        raise ValueError

    def noted(found: dict[str, Any]) -> dict[str, Any]:
        parsed.append("an object")
        return found

    def decoder_for(_: str) -> json.JSONDecoder:
        return json.JSONDecoder(object_hook=noted)

    monkeypatch.setattr(openai_compatible, "loads_bounded", loads_bounded)
    monkeypatch.setattr(event_stream, "decoder_for", decoder_for)
    assert "".join(map(str, read_whole(body)[:-1])) == "Hi" * 50
    assert len(parsed) == 1 + 50 * json.dumps(HI).count("{")


@pytest.mark.parametrize("protocol", [openai_compatible, chat_worker])
@pytest.mark.parametrize("status", [400, 429, 502])
@pytest.mark.parametrize("chars", [1, 1_000_000])
def test_body_of_an_error_is_limited_and_parsed_once(
    monkeypatch: pytest.MonkeyPatch, protocol: Any, status: int, chars: int
) -> None:
    lengths: list[int] = []

    def loads(text: bytes) -> Any:
        lengths.append(len(text))
        return loads_bounded(text)

    for module in (openai_compatible, error_classifier):
        monkeypatch.setattr(module, "loads_bounded", loads)
    body = json.dumps({"error": {"message": "a" * chars}}).encode()
    pieces = [body[at : at + READ_BYTES] for at in range(0, len(body), READ_BYTES)]
    answer = httpx.Response(status, stream=Pieces(pieces))

    async def call() -> None:
        asked = Call(TARGET, [], {}, {}, "sfw", httpx.Timeout(5))
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
            async for _ in protocol.generate(http, asked):
                pass

    with pytest.raises(UpstreamError):
        asyncio.run(call())
    assert lengths == [min(len(body), MAX_ERROR_BYTES)]


def test_text_of_one_event_is_limited_to_the_longest_reply() -> None:
    *texts, failure = read_whole(sse(chunk("<think></think>" * 25_000)))
    assert failure == "! cut_off"
    assert len("".join(map(str, texts))) == MAX_REPLY_CHARS + 1


def test_long_text_is_passed_on_in_pieces() -> None:
    pieces = in_pieces("a" * (2 * PIECE_CHARS + 1))
    assert [len(piece.text) for piece in pieces] == [PIECE_CHARS, PIECE_CHARS, 1]
    assert in_pieces("") == [Text("")]


FAST = sse(*[chunk("a" * 10) | {"id": "x" * 300}] * 200, STOP, DONE)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([sse(chunk("a" * 5 * PIECE_CHARS), STOP, DONE)], id="one-event"),
        pytest.param(
            [FAST[at : at + READ_BYTES] for at in range(0, len(FAST), READ_BYTES)],
            id="many-events-that-have-arrived",
        ),
    ],
)
async def test_others_go_on_between_the_pieces_of_a_long_text(parts: list[bytes]) -> None:
    """The steps of a request of somebody else, of which each is one of the event loop."""
    answer = httpx.Response(200, headers={"Content-Type": EVENT_STREAM}, stream=Pieces(parts))
    call = Call(TARGET, [], {}, {}, "sfw", httpx.Timeout(5))
    steps = 0

    async def others() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    seen: list[int] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
        async for event in generate(http, call):
            if isinstance(event, Text):
                seen.append(steps)
    running.cancel()
    passed = [after - before for before, after in pairwise(seen)]
    assert len(passed) >= 2
    assert min(passed) >= STEPS_OF_OTHERS


class TestCompressed:
    """Responses that a provider compresses although it was asked not to."""

    def read(self, body: bytes, encoding: str) -> Read:
        headers = {"Content-Encoding": encoding}
        cuts = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
        return read_bodies([Pieces(cuts)], headers=headers)[0]

    @pytest.mark.parametrize(
        ("encoding", "packed"),
        [
            pytest.param("gzip", gzip.compress, id="gzip"),
            pytest.param(" X-GZIP ", gzip.compress, id="by-its-old-name"),
            pytest.param("deflate", zlib.compress, id="deflate"),
            pytest.param("identity", bytes, id="not-at-all"),
        ],
    )
    def test_reply_is_read(self, encoding: str, packed: Callable[[bytes], bytes]) -> None:
        assert self.read(packed(sse(HI, STOP, DONE)), encoding) == ["Hi", WHOLE]

    @pytest.mark.parametrize(
        "content",
        [b"x", b"data: x\n", sse(chunk("a")), b"\n"],
        ids=["line", "data", "reply", "blank"],
    )
    def test_gigabytes_are_not_unpacked(self, content: bytes) -> None:
        size = 64 * 2**20 // len(content)
        packed = gzip.compress(content * size, 1)
        tracemalloc.start()
        try:
            end = self.read(packed, "gzip")[-1]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert end in ("! unreadable", "! cut_off")
        assert peak < 8 * 2**20

    @pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
    def test_other_ways_are_not_taken(self, encoding: str) -> None:
        with pytest.raises(httpx.DecodingError):
            self.read(sse(HI, STOP), encoding)

    @pytest.mark.parametrize("status", [200, 502])
    def test_damaged_bytes_are_an_error_of_the_network(self, status: int) -> None:
        assert issubclass(httpx.DecodingError, NETWORK_ERRORS)
        with pytest.raises(httpx.DecodingError):
            read_bodies(
                [Pieces([b"not gzip"])], status=status, headers={"Content-Encoding": "gzip"}
            )


@given(st.binary(), st.sampled_from([EVENT_STREAM, "application/json", ""]))
def test_any_bytes_are_read_to_an_end(body: bytes, content_type: str) -> None:
    end = read_whole(body, content_type=content_type)[-1]
    assert isinstance(end, End) or end.startswith("! ")


def used(body: Pieces, *, status: int = 200, content_type: str = EVENT_STREAM) -> list[Usage]:
    """The usage that was reported for a call, each time."""
    said: list[Usage] = []

    async def call() -> None:
        answer = httpx.Response(status, headers={"Content-Type": content_type}, stream=body)
        asked = Call(TARGET, [], {}, {}, "sfw", httpx.Timeout(5), said.append)
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
            with suppress(UpstreamError, httpx.HTTPError):
                async for _ in generate(http, asked):
                    pass

    asyncio.run(call())
    return said


FAILS = {"error": OVERLOADED}
COST = {"usage": USAGE}


class TestUsage:
    """Usage is reported however a call ends."""

    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([sse(HI, STOP | COST, DONE)], id="with-the-end"),
            pytest.param([sse(HI, STOP), sse({"choices": []} | COST, DONE)], id="after-the-end"),
            pytest.param([sse(HI | COST)], id="cut-off"),
            pytest.param([sse(HI | COST, FAILS)], id="before-the-error"),
            pytest.param([sse(HI, FAILS | COST)], id="in-the-error"),
            pytest.param([sse(FAILS | COST | {"choices": []})], id="in-an-error-alone"),
            pytest.param([sse(HI, FAILS, {"choices": []} | COST, DONE)], id="beside-the-error"),
            pytest.param([sse(HI, FAILS), sse({"choices": []} | COST)], id="after-the-error"),
            pytest.param([sse(HI, FAILS, FAILS, "{", FAILS | COST)], id="after-more-errors"),
            pytest.param([sse(HI, chunk("", "error") | COST)], id="finish-reason-error"),
            pytest.param([sse(chunk("", "stop") | COST, DONE)], id="empty-reply"),
            pytest.param([sse(chunk("", "length") | COST, DONE)], id="nothing-but-length"),
            pytest.param([sse(chunk("", "content_filter") | COST)], id="filtered"),
            pytest.param([sse(*[chunk("a" * 10_000) | COST] * 7)], id="without-end"),
        ],
    )
    def test_usage_of_a_stream_is_reported(self, pieces: list[bytes]) -> None:
        assert used(Pieces(pieces))[-1] == Usage(10, 4, 0.5)

    @pytest.mark.parametrize("status", [200, 400, 429, 502])
    def test_usage_beside_an_error_is_reported(self, status: int) -> None:
        body = Pieces([json.dumps(FAILS | COST).encode()])
        assert used(body, status=status, content_type="application/json") == [Usage(10, 4, 0.5)]

    def test_late_usage_after_an_error_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(openai_compatible, "LINGER_SECONDS", 0)
        body = Pieces([sse(HI, FAILS)], ends=False)
        assert used(body) == []
        assert body.closed

    def test_missing_usage_is_not_reported(self) -> None:
        assert used(Pieces([sse(HI, FAILS, DONE)])) == []

    def test_after_the_last_event_does_not_count(self) -> None:
        assert used(Pieces([sse(HI, STOP, DONE), sse({"choices": []} | COST)])) == []

    @pytest.mark.parametrize("usage", [None, [], "many", {"cost": "a lot"}, {"prompt_tokens": {}}])
    def test_usage_of_any_shape_is_no_fault(self, usage: object) -> None:
        said = used(Pieces([sse(HI, FAILS | {"usage": usage})]))
        assert set(said) <= {Usage()}


def cached(of_usage: object = None, **more: Any) -> list[int | None]:
    """What is reported of the cache, for a prompt of 10 tokens."""
    usage = {"prompt_tokens": 10} | of_usage if isinstance(of_usage, dict) else of_usage
    said = used(Pieces([sse(HI, STOP | {"usage": usage} | more, DONE)]))
    return [usage.cached_tokens for usage in said]


class TestGroq:
    """Usage in a stream of Groq, which has it in an object of its own."""

    def test_is_read(self) -> None:
        details = {"prompt_tokens_details": {"cached_tokens": 7}}
        usage = {"prompt_tokens": 10, "completion_tokens": 4} | details
        said = used(Pieces([sse(HI, STOP | {"x_groq": {"id": "req_1", "usage": usage}}, DONE)]))
        assert said == [Usage(10, 4, cached_tokens=7)]

    def test_usage_of_the_chunk_comes_first(self) -> None:
        both = {"usage": {"prompt_tokens": 10}, "x_groq": {"usage": {"prompt_tokens": 11}}}
        assert used(Pieces([sse(HI, STOP | both, DONE)])) == [Usage(10)]

    @pytest.mark.parametrize("value", [None, [], "many", {"id": "req_1"}, {"usage": None}])
    def test_object_of_any_shape_is_no_fault(self, value: object) -> None:
        assert used(Pieces([sse(HI | {"x_groq": value}, STOP, DONE)])) == []


class TestCachedTokens:
    """The part of a prompt that a server had in its cache."""

    @pytest.mark.parametrize(
        "usage",
        [
            pytest.param({"prompt_tokens_details": {"cached_tokens": 7}}, id="openai"),
            pytest.param(
                {"prompt_tokens_details": {"cached_tokens": 7}, "cache_discount": 0.001},
                id="openrouter",
            ),
            pytest.param({"cached_tokens": 7}, id="flat"),
            pytest.param({"num_cached_tokens": 7}, id="numbered"),
            pytest.param({"input_tokens_details": {"cached_tokens": 7}}, id="of-the-input"),
            pytest.param(
                {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 7},
                id="zero-beside-a-number",
            ),
            pytest.param({"prompt_cache_hit_tokens": 7}, id="deepseek"),
            pytest.param({"cache_read_input_tokens": 7}, id="anthropic"),
            pytest.param({"prompt_tokens_details": {"cached_tokens": "7"}}, id="as-text"),
            pytest.param({"prompt_tokens_details": None, "cached_tokens": 7}, id="details-null"),
        ],
    )
    def test_usage_of_a_provider_names_them(self, usage: dict[str, Any]) -> None:
        assert cached(usage) == [7]

    def test_llama_cpp_names_them_beside_the_usage(self) -> None:
        assert cached({}, timings={"cache_n": 7, "prompt_n": 3}) == [7]
        assert cached({}, tokens_cached=7) == [7]

    def test_llama_cpp_names_them_without_any_usage(self) -> None:
        assert cached(timings={"cache_n": 7}) == [7]

    @pytest.mark.parametrize("tokens", [0, 6])
    def test_larger_number_counts_wherever_it_is(self, tokens: int) -> None:
        usage = {"prompt_tokens_details": {"cached_tokens": tokens}}
        assert cached(usage, timings={"cache_n": 7}) == [7]
        assert cached({"cached_tokens": 7}, timings={"cache_n": tokens}) == [7]

    def test_number_that_may_include_new_tokens_counts_only_alone(self) -> None:
        assert cached({"cached_tokens": 0}, tokens_cached=7) == [0]

    def test_cold_cache_is_a_known_zero(self) -> None:
        assert cached({"prompt_tokens_details": {"cached_tokens": 0}}) == [0]

    @pytest.mark.parametrize(
        "tokens", [-1, "many", True, None, [], {}, 1e999, float("nan"), "\0", "1" * 5_000]
    )
    @pytest.mark.parametrize("by", ["usage", "timings"])
    def test_impossible_count_is_none(self, tokens: object, by: str) -> None:
        details = {"prompt_tokens_details": {"cached_tokens": tokens}}
        said = cached(details) if by == "usage" else cached({}, timings={"cache_n": tokens})
        assert said == [None]

    @pytest.mark.parametrize("details", [None, [], "many", 7, {"cached_tokens": {}}])
    def test_details_of_any_shape_are_no_fault(self, details: object) -> None:
        assert cached({"prompt_tokens_details": details}, timings=details) == [None]

    @pytest.mark.parametrize("tokens", [11, 2**40, "1e300"])
    def test_no_more_are_cached_than_were_sent(self, tokens: object) -> None:
        assert cached({"prompt_tokens_details": {"cached_tokens": tokens}}) == [10]

    def test_prompt_that_is_told_later_bounds_them_too(self) -> None:
        first = {"usage": {"cached_tokens": 50}}
        said = used(Pieces([sse(HI | first, STOP | {"usage": {"prompt_tokens": 10}}, DONE)]))
        assert [usage.cached_tokens for usage in said] == [50, 10]

    def test_later_report_without_them_keeps_what_was_said(self) -> None:
        first = {"usage": {"prompt_tokens": 10, "cached_tokens": 5}}
        said = used(Pieces([sse(HI | first, STOP | {"usage": {"completion_tokens": 4}}, DONE)]))
        assert said[-1] == Usage(10, 4, cached_tokens=5)


class TestBody:
    """Data after the provider's end of the stream."""

    def test_is_read_to_its_end_so_that_the_connection_can_be_used_again(self) -> None:
        body = Pieces([sse(HI, STOP), sse(DONE), b"\n"])
        assert read_bodies([body]) == [["Hi", End("stop")]]
        assert (body.read_to_the_end, body.closed) == (True, True)

    def test_body_that_does_not_end_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(openai_compatible, "LINGER_SECONDS", 0)
        body = Pieces([sse(HI, STOP), sse(DONE)], ends=False)
        assert read_bodies([body]) == [["Hi", End("stop")]]
        assert (body.read_to_the_end, body.closed) == (False, True)

    def test_anything_may_follow_the_end_of_a_stream(self) -> None:
        body = Pieces([sse(HI, STOP, DONE), sse(HI), b"data: {\n\n"])
        assert read_bodies([body]) == [["Hi", End("stop")]]
