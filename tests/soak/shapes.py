"""All ways in which a model answers or fails, chosen at random but reproducibly."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.support.answers import (
    DONE,
    KEEP_ALIVE,
    abort,
    chunk,
    completion,
    event,
    half_close,
    hang_up,
    html,
    raw,
    raw_sse,
    reasoning,
    reply,
    stall,
    stream,
    text,
    whitespace,
    worker_chat,
    worker_error,
)
from tests.support.servers import ERRORS, ServerError
from tests.support.servers_streams import FAILURES, REASONING, SPOKEN, THINKING, chunks, framed
from tests.support.talk import CANARY, failing
from tests.support.upstream import Answer, Exchange

Shape = Callable[[Random, str], Answer]
GOOD_SHARE = 0.45
TAG = re.compile(r"c\d+t\d+")
"""The tag that identifies a turn in the user's message and in the reply."""


def words(tag: str) -> str:
    """The complete reply to the message with this tag."""
    return f"For {tag}: " + "la " * 12 + "end."


class Weather:
    """Answers every call, well or badly. The nth call of a turn always gets the same response."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    async def answer(self, exchange: Exchange) -> None:
        """Answers one call."""
        said = [message["content"] for message in exchange.call.json["messages"]]
        tag = TAG.findall("\n".join(said))[-1]
        self._calls[tag] += 1
        random = Random(f"{self._seed} {tag} {self._calls[tag]}")  # noqa: S311
        good, bad = WORKER if exchange.call.path.endswith("/chat") else MODEL
        shape = random.choice(good if random.random() < GOOD_SHARE else bad)
        self.sent[shape.__name__] += 1
        await shape(random, tag)(exchange)


def _named(name: str, shape: Shape) -> Shape:
    shape.__name__ = name
    return shape


def _fixed(name: str, answer: Answer) -> Shape:
    return _named(name, lambda _random, _tag: answer)


# Successful responses


def _streamed(random: Random, tag: str) -> Answer:
    return text(words(tag))


def _in_one_body(random: Random, tag: str) -> Answer:
    return reply(200, completion("m", words(tag), None, "stop"))


def _thoughtful(random: Random, tag: str) -> Answer:
    return stream([KEEP_ALIVE, reasoning(f"Hm. {CANARY}"), words(tag)])


def _slowly(random: Random, tag: str) -> Answer:
    return stream(re.findall(r"\S+\s*", words(tag)), gap=0.05)


def _in_small_pieces(random: Random, tag: str) -> Answer:
    end = random.choice(["\n\n", "\r\n\r\n", "\r\r"]).encode()
    events = [chunk("m", {"content": piece}) for piece in re.findall(r"\S+\s*", words(tag))]
    events.append(chunk("m", {"content": ""}, "stop"))
    body = b"".join(b"data: " + json.dumps(data).encode() + end for data in events)
    return raw_sse(body + DONE, split=random.randint(1, 40))


def _of_another_server(random: Random, tag: str) -> Answer:
    pieces = re.findall(r"\S+\s*", words(tag))
    opening, closing = random.choice([*REASONING.values(), *SPOKEN.values()])
    body = random.choice(
        [
            framed(*chunks(pieces), "[DONE]", between="\n"),
            framed(*chunks(pieces), end="data: [DONE]\n\n"),
            framed(*chunks(pieces), end=""),
            framed(*chunks(pieces, each="null"), "[DONE]"),
            framed(*chunks([THINKING, *pieces], last="eos_token"), "[DONE]"),
            framed(*chunks([*opening, f"Hm. {CANARY}", *closing, *pieces]), "[DONE]"),
            framed(*chunks([*pieces, "<|im_", "end|>\n", CANARY]), "[DONE]"),
            framed(*chunks([[{"type": "text", "text": piece}] for piece in pieces]), "[DONE]"),
            framed(*chunks([[piece] for piece in pieces]), "[DONE]"),
            framed(*chunks(pieces), "[DONE]", between="\r\n"),
            framed(*chunks(pieces)).replace(b"}\n\ndata: {", b"}data: {", 2),
            "\n".join(chunks(pieces)).encode(),
        ]
    )
    kind = random.choice(
        ["text/event-stream", "text/plain", "application/json", "Text/Event-Stream"]
    )
    return raw_sse(body, split=random.randint(1, 60), headers={"Content-Type": kind})


# Replies that are cut off

_ERROR = {"code": 502, "message": f"Upstream error from {CANARY}"}
_ENDS: tuple[Any, ...] = (
    stall(),
    stall(comment_every=0.05),
    abort(),
    hang_up(),
    half_close(),
    chunk("m", {"content": ""}, "error", error=_ERROR),
    {"choices": [], "error": _ERROR},
    {"choices": [{"delta": {}, "finish_reason": "error", "error": _ERROR}]},
    {"error": _ERROR, "user_id": CANARY},
    b"data: [DONE]\n\n",
    b'data: {"choices": [{"del\n\n',
    b"",
)


def _cut(random: Random, tag: str) -> Answer:
    pieces: list[Any] = re.findall(r"\S+\s*", words(tag))
    kept = pieces[: random.randint(0, len(pieces) - 1)]
    if random.random() < 0.2:
        return stream(kept, finish=random.choice(["abort", "network_error", "null", "cancelled"]))
    return stream([*kept, random.choice(_ENDS)], finish=None, usage=None, done=False)


def _any_status(random: Random, tag: str) -> Answer:
    return failing(random.choice([400, 404, 409, 418, 422, 500, 501, 502, 503, 520, 529, 599]))


def _error_of_a_server(random: Random, tag: str) -> Answer:
    """One of the documented errors: as a response, in a stream, or after text."""
    error: ServerError = random.choice(ERRORS)
    if error.status == 200 or isinstance(error.body, str) or random.random() < 0.5:
        return reply(error.status, error.body)
    pieces: list[Any] = re.findall(r"\S+\s*", words(tag))
    kept = random.choice([[], pieces[:5]])
    return stream([*kept, event(error.body)], finish=None, usage=None, done=False)


def _failing_stream(random: Random, tag: str) -> Answer:
    shape, _ = random.choice(list(FAILURES.values()))
    return raw_sse(shape.body, split=random.randint(1, 60), headers=dict(shape.headers))


def _garbage(random: Random, tag: str) -> Answer:
    return raw_sse(random.randbytes(200))


def _limited(random: Random, tag: str) -> Answer:
    seconds = random.choice(["0", "1", "26", "3600"])
    message = random.choice(["Rate limit exceeded", "Rate limit exceeded: free-models-per-min."])
    return failing(429, message, headers={"Retry-After": seconds})


def _samples() -> list[Shape]:
    """Captured failures of OpenRouter."""
    file = Path(__file__).parents[1] / "data" / "openrouter_samples.json"
    found = []
    for sample in json.loads(file.read_text()):
        if not sample["endpoint"].endswith("/chat/completions") or sample["id"][:3] == "ok_":
            continue
        if "sse_raw" in sample:
            answer = raw_sse(sample["sse_raw"].replace("Once upon", "la la").encode())
        else:
            answer = reply(sample["status"], sample["body"], sample["headers"])
        found.append(_fixed(sample["id"], answer))
    return found


MODEL: tuple[list[Shape], list[Shape]] = (
    [_streamed, _slowly, _in_one_body, _thoughtful, _in_small_pieces, *[_of_another_server] * 2],
    [
        *_samples(),
        *[_cut] * 8,
        *[_limited] * 3,
        *[_any_status] * 3,
        *[_error_of_a_server] * 12,
        *[_failing_stream] * 3,
        _garbage,
        _fixed("page", html(503, CANARY)),
        _fixed("page_200", html(200, CANARY)),
        _fixed("blank_lines", whitespace()),
        _fixed("json_broken_off", reply(200, '{"choices": [{"mess')),
        _fixed("nothing", reply(200, "")),
        _fixed("silence", stall()),
        _fixed("comments_alone", stall(comment_every=0.05)),
        _fixed("reset", abort()),
        _fixed("hang_up", hang_up()),
        _fixed("half_close", half_close(event(chunk("m", {"role": "assistant"})))),
        _fixed("no_http", raw(b"garbage\r\n\r\n")),
        _fixed("empty", text("")),
        _fixed("all_reasoning", stream([reasoning(CANARY)], finish="length")),
        _fixed("filtered", stream([], finish="content_filter")),
        _fixed("in_flight", failing(402, limit_source="openrouter_in_flight_budget")),
        _fixed("too_long", failing(400, "This endpoint's maximum context length is 900 tokens.")),
    ],
)
WORKER: tuple[list[Shape], list[Shape]] = (
    [_named("worker", lambda _random, tag: worker_chat(words(tag)))],
    [
        _fixed("worker_tensor_error", worker_error()),
        _fixed("worker_out_of_memory", worker_error(500, f"CUDA out of memory {CANARY}")),
        _fixed("worker_503", worker_error(503, CANARY)),
        _fixed("worker_polite", worker_error(200, CANARY)),
        _fixed("worker_silence", stall()),
        _fixed("worker_reset", abort()),
        _fixed("worker_page", html(502, CANARY)),
        _fixed("worker_empty", worker_chat(" ")),
    ],
)
