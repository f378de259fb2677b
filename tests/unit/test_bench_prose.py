"""The replies of the benchmark's provider pass all filters as they are."""

from __future__ import annotations

from bench.plan import Plan
from roleplay_chat.reply.repetition import LoopFilter
from tests.support.node import evaluate

PROSE = "../../bench/node/prose.mjs"


def reply(tokens: int, number: int = 0) -> list[str]:
    expression = "Array.from({ length: given[0] }, (_, n) => module.token(n, given[1]))"
    words: list[str] = evaluate(PROSE, expression, [tokens, number])
    return words


def test_the_longest_reply_is_not_cut_as_a_loop() -> None:
    text = "".join(reply(Plan().stream_tokens * 2))
    loops = LoopFilter()
    assert loops.feed(text) + loops.flush() == text
    assert not loops.found


def test_consecutive_replies_differ_but_have_tokens_of_the_same_length() -> None:
    one, other = reply(100, 7), reply(100, 8)
    assert one != other
    lengths: list[int] = evaluate(PROSE, "module.lengths(given)", 100)
    for words in (one, other):
        assert [len("".join(words[: n + 1])) for n in range(100)] == lengths
