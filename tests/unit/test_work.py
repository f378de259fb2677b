"""Untrusted text is read in linear time. Work is counted, not timed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.generation.error_classifier import UpstreamError
from roleplay_chat.generation.providers.event_stream import BodyDecoder
from roleplay_chat.generation.providers.openai_compatible import ReplyReader
from roleplay_chat.lorebook import keys
from roleplay_chat.lorebook.entries import parse_entries, without_decorators
from roleplay_chat.lorebook.keys import Scope
from roleplay_chat.memory.answer import parse
from roleplay_chat.memory.changes import resolve
from roleplay_chat.memory.importance import LASTING
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.request import most_relevant
from roleplay_chat.memory.result import used_ids
from roleplay_chat.messages import Cast
from roleplay_chat.prompt.macros import Macros, expand, unexpanded, without_placeholders
from roleplay_chat.prompt.passages import Piece
from roleplay_chat.prompt.roles import PromptMessage, arranged
from roleplay_chat.reply.filters import Reply
from roleplay_chat.reply.model_refusals import is_model_refusal, may_become_model_refusal
from roleplay_chat.reply.truncation import trim_unfinished_sentence
from roleplay_chat.rows import FactRow
from roleplay_chat.screening.decision import Part, Passage, in_context
from roleplay_chat.screening.normalize import MAX_MARKS, fold, stream_safe
from roleplay_chat.screening.rules import detect
from roleplay_chat.screening.word_classes import CODE, encode
from tests.support.work import is_linear, work

ODD: dict[str, Callable[[int], str]] = {
    "marks-of-one-kind": lambda n: "a" + "\u0300" * n,
    "marks-that-have-to-be-put-in-order": lambda n: "a" + "\u0301\u0323" * (n // 2),
    "marks-without-a-letter": lambda n: "\u0301\u0323\u0327\u0315" * (n // 4),
    "marks-that-make-another-syllable": lambda n: "か" + "\u3099\u0300" * (n // 2),
    "marks-with-spaces": lambda n: "\u0301 \u0323 " * (n // 4),
    "marks-that-become-two": lambda n: "a" + "\u0f73" * n,
    "phrases-in-one-character": lambda n: "\ufdfa" * n,
    "one-letter": lambda n: "a" * n,
    "signs-alone": lambda n: "-" * n,
    "numbers": lambda n: "1." * (n // 2),
    "apostrophes": lambda n: "l'" * (n // 2),
    "contractions": lambda n: "x" + "'d" * (n // 2),
    "letters-that-stand-alone": lambda n: "a " * (n // 2),
    "spaces": lambda n: "a" + " " * n + "b",
    "lines": lambda n: "\n" * n,
    "without-spaces": lambda n: "学校" * (n // 2),
    "without-spaces-strewn": lambda n: "学-" * (n // 2),
    "tags": lambda n: "<think></think>" * (n // 15),
    "tags-that-may-go-on": lambda n: "<think a" * (n // 8),
    "tags-with-attributes": lambda n: "<think a = " * (n // 11),
    "tag-that-goes-on": lambda n: "<think " + "a" * n,
    "tokens": lambda n: "<|im_start|>assistant" * (n // 21),
    "channels": lambda n: "<|channel|>analysis" * (n // 19),
    "beginnings-of-tokens": lambda n: "<[<|[|" * (n // 6),
    "reasoning-in-reasoning": lambda n: "<think><analysis></analysis>" * (n // 28),
    "answers": lambda n: "</think><answer>" * (n // 16),
    "names": lambda n: "Ann:\n" * (n // 5),
    "quotes": lambda n: '."*' * (n // 3),
    "stars": lambda n: "*a" * (n // 2),
    "macros": lambda n: "{{reverse:{{pick::a::b}}}}" * (n // 26),
    "macros-that-never-end": lambda n: "{{reverse:{{if a}}" * (n // 18),
    "macros-in-macros": lambda n: "{{reverse:" * (n // 12) + "}}" * (n // 12),
    "macros-without-a-beginning": lambda n: "{{/if}}}}" * (n // 9),
    "blocks": lambda n: "{{if a}}" * (n // 16) + "{{/if}}" * (n // 16),
    "blocks-one-after-the-other": lambda n: "{{if user}}a{{else}}b{{/if}}" * (n // 28),
    "trims": lambda n: "\n{{trim}}" * (n // 9),
    "options": lambda n: "{{random:" + "a," * (n // 2) + "}}",
    "arguments": lambda n: "{{random" + "::a" * (n // 3) + "}}",
    "flags": lambda n: "{{" + "#/" * (n // 2) + "}}",
    "variables": lambda n: "{{incvar::a}}{{addvar::b::c}}" * (n // 29),
    "texts-of-the-card": lambda n: "{{description}}" * (n // 15),
    "keys-without-quotes": lambda n: '{tier:"a",text:"' * (n // 16),
    "keys-without-quotes-that-are-none": lambda n: '", topic : ' * (n // 11),
    "braces": lambda n: '{"tier":"a","text":"' * (n // 20),
}


def _reply(text: str) -> None:
    reply = Reply(Cast("Mara", ["Ann"]))
    reply.feed(text)
    reply.flush()


def _typed(text: str) -> None:
    for thinking in ("tagged", "leading"):
        reply = Reply(Cast("Mara", ["Ann"]), thinking=thinking)
        for char in text:
            reply.feed(char)
        reply.flush()


def _said(text: str) -> None:
    scope = Scope([text])
    for whole_words in (True, False):
        scope.has("key", depth=1, case_sensitive=False, whole_words=whole_words, as_pattern=False)


def _noted(text: str) -> None:
    """Facts from a message, beside known ones."""
    known = [FactRow(id=UUID(int=1), content=text, topic="home", subject="Ada", written_by="model")]
    material = Material(known=known, messages=[(1, text)], person="Ada", character="Mara")
    resolve([Fact("conversation", f"{text} now")], material, [f"{text}."])
    lasting = [row.model_copy(update={"importance": LASTING}) for row in known]
    material = Material(lasting, [(1, f"{text} no longer. {text}")], "Ada", "Mara")
    resolve([Fact("conversation", f"Not {text}", "replace", 1)], material)
    used_ids(material)
    most_relevant(known, [text])


def _expanded(text: str) -> None:
    expand(text, Macros({"user": "Ada", "char": "Mara"}, {"description": "x" * 100}))


READERS: dict[str, Callable[[str], object]] = {
    "screening": detect,
    "reply": _reply,
    "reply-letter-by-letter": _typed,
    "length-limit": trim_unfinished_sentence,
    "model-refusal": lambda text: may_become_model_refusal(text) or is_model_refusal(text),
    "entry": without_decorators,
    "messages-for-keys": _said,
    "notes": lambda text: parse('{"summary":"' + text, reach="profile"),
    "notes-with-slips": lambda text: parse(
        '{"summary":"They met.","facts":[' + text, reach="profile"
    ),
    "notes-without-quotes": lambda text: parse("{summary:" + text, reach="profile"),
    "notes-with-keys-without-quotes": lambda text: parse(
        '{summary:"They met.",facts:[{text:"' + text, reach="profile"
    ),
    "facts": _noted,
    "macros": _expanded,
    "macros-to-name": unexpanded,
    "macros-of-an-older-product": lambda text: without_placeholders(text, Macros()),
}


SIZES = {
    "reply": 1_000,
    "reply-letter-by-letter": 400,
    "notes-with-slips": 1_000,
    "notes-without-quotes": 1_000,
}
"""Characters, where 200 are too few. A filter of replies looks 600 ahead, and for the end of a
text without quotes 500 are read, which is less work where fewer are left."""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_read_in_linear_time(reader: str, text: str) -> None:
    # The shorter a text is, the less of its work would be quadratic.
    assert is_linear(READERS[reader], ODD[text], SIZES.get(reader, 200), most=12.5)


BODIES: dict[str, Callable[[int], bytes]] = {
    "events": lambda n: b'data: {"a":1}\n\n' * (n // 15),
    "events-with-one-newline": lambda n: b'data: {"a":1}\n' * (n // 14),
    "events-on-one-line": lambda n: b"data: " + b'{"a":1}data: ' * (n // 13),
    "event-of-many-lines": lambda n: b"data: [\n" + b"data: 1,\n" * (n // 9),
    "line": lambda n: b"data: " + b"a" * n,
    "document": lambda n: b"[" + b"1," * (n // 2),
    "halves": lambda n: b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n' * (n // 50),
    "bytes-that-are-no-text": lambda n: (
        b'data: {"choices":[{"delta":{"content":"\xf0\x9f"}}]}\n\n' * (n // 46)
    ),
    "parts": lambda n: (
        b'data: {"choices":[{"delta":{"content":['
        + b'{"type":"thinking"},' * (n // 20)
        + b"0]}}]}\n\n"
    ),
}


def _stream(body: bytes) -> None:
    for size in (7, len(body)):
        decoder, reader = BodyDecoder(), ReplyReader()
        events = [decoder.decode(body[at : at + size]) for at in range(0, len(body), size)]
        for event in [*chain(*events), *decoder.flush()]:
            with suppress(UpstreamError):
                reader.feed(event)
            reader.take()


@pytest.mark.parametrize("body", BODIES)
def test_odd_stream_is_read_in_linear_time(body: str) -> None:
    assert is_linear(_stream, BODIES[body], 1_000)


def test_entry_that_begins_with_blank_lines() -> None:
    def book(lines: int) -> dict[str, object]:
        return {"entries": [{"keys": ["a"], "content": "\n" * lines + "@@depth 4\n" + "x"}]}

    assert is_linear(lambda lines: parse_entries(book(lines)), lambda n: n, 500)


@pytest.mark.parametrize("text", ["", "a", "a word"])
@pytest.mark.parametrize("parts", [("history",), ("history", "scene")], ids=len)
def test_context_of_many_short_messages(text: str, parts: tuple[Part, ...]) -> None:
    def talk(count: int) -> list[Passage]:
        return [Passage(part, text) for _ in range(count) for part in parts]

    assert is_linear(in_context, talk, 100)


def test_many_messages_in_a_row_of_one_speaker() -> None:
    def row(count: int) -> list[PromptMessage]:
        return [PromptMessage("user", Piece.from_text("history", "a"))] * count

    assert is_linear(lambda messages: arranged(messages, "as_is"), row, 100)


def test_work_that_is_not_linear_is_seen() -> None:
    def taken_from_the_front(n: int) -> None:
        items = list(range(n))
        while items:
            items.pop(0)

    def cut_again_and_again(text: str) -> None:
        while text:
            text = text.lstrip("a")[1:]

    assert not is_linear(taken_from_the_front, lambda n: n, 100)
    assert not is_linear(cut_again_and_again, lambda n: "b" * n, 100)
    assert work(len, "abc") < 10


def runs(text: str) -> int:
    """The longest run of marks that has to be sorted."""
    longest = run = 0
    for char in unicodedata.normalize("NFKD", text):
        run = run + 1 if unicodedata.combining(char) else 0
        longest = max(longest, run)
    return longest


def letters_and_marks() -> st.SearchStrategy[str]:
    chars = map(chr, chain(range(0xD800), range(0xE000, 0x110000)))
    return st.sampled_from([*"an", *filter(runs, chars)])


# Deferred: finding all marks takes a second.
@given(st.lists(st.deferred(letters_and_marks), min_size=1), st.integers(1, 200))
def test_no_text_has_more_marks_in_a_row_than_can_be_put_in_order(
    chars: list[str], times: int
) -> None:
    assert runs(stream_safe("".join(chars) * times)) <= 4 * (MAX_MARKS + 4)


@pytest.mark.parametrize("mark", ["\u0301", "\u0323\u0301", "\u0f73", "\u034f", "\u20dd"])
@pytest.mark.parametrize("times", [1, MAX_MARKS, MAX_MARKS + 1, 10_000])
def test_letter_with_any_number_of_marks_is_that_letter(mark: str, times: int) -> None:
    assert fold("".join(letter + mark * times for letter in "child")) == "child"
    assert encode(f"a c{mark * times}hild!") == encode("a child!")


@pytest.mark.parametrize("word", ["ninã", "が", "パ"])
def test_marks_that_make_another_letter_are_never_left_out(word: str) -> None:
    apart = unicodedata.normalize("NFD", word)
    assert fold(apart[:-1] + "\u0316" * 1_000 + apart[-1]) == fold(word)


def test_syllable_that_is_marked_again_and_again_is_marked() -> None:
    assert fold("か" + "\u3099" * 500) == "が"


@given(st.text(max_size=80))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert runs(text) > MAX_MARKS or stream_safe(text) == text


@pytest.mark.parametrize("at", [0, 40, 60, 64, 70, 200, 5_000])
def test_long_words_are_read_to_their_end(at: int) -> None:
    word = "x" * at + "yearold" + "x" * 200
    assert set(encode("yearold")) <= set(encode(word))


@pytest.mark.parametrize("at", [0, 1_990, 2_000, 9_000])
def test_rows_of_letters_are_read_to_their_end(at: int) -> None:
    row = " ".join("z" * at + "12yo" + "z" * 50)
    assert CODE["YO"] in encode(row)


@pytest.mark.parametrize("filler", ["学", "ab", "\u0e01", "."])
def test_what_stands_in_text_without_spaces_is_found_wherever_it_stands(filler: str) -> None:
    found = encode("十二歳の")[0]
    for before in (0, 500, 4_096, 20_000):
        assert found in encode(filler * before + "十二歳の" + filler * 100)


def test_pieces_of_a_text_are_joined_without_being_read_again() -> None:
    depths = [work(_searched, depth) for depth in (10, 100)]
    assert depths[1] < 15 * depths[0]


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are split into words."""
    texts: list[str] = []
    tokens = keys._tokens

    def noted(marked: str) -> list[str]:
        texts.append(marked)
        return tokens(marked)

    monkeypatch.setattr(keys, "_tokens", noted)
    return texts


@pytest.mark.parametrize("key", ["walk to the sea", "сестра"])
@pytest.mark.parametrize("also", [(), ("description",)])
def test_each_message_is_split_once_for_all_depths(
    key: str, also: tuple[str, ...], split: list[str]
) -> None:
    scope = Scope([f"a few words {number}" for number in range(100)], describe=lambda _: "x")
    for depth in (*range(1, 100, 2), *range(50)):
        assert not _has(scope, key, depth=depth, also=also)
    of_messages = [text for text in split if "few" in text]
    assert len(of_messages) == len(set(of_messages)) == 99


def test_only_messages_that_are_searched_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def noted(text: str, form: keys.Form) -> str:
        texts.append(text)
        return text

    monkeypatch.setattr(keys, "_ready", noted)
    scope = Scope([f"a few words {number}" for number in range(100)])
    assert not _has(scope, "a long walk to the sea where nobody has been for a year or more")
    assert {text for text in texts if "few" in text} == {f"a few words {n}" for n in range(4)}


def test_phrase_of_one_common_word_is_looked_for_at_few_places() -> None:
    def searched(words: int) -> Callable[[str], bool]:
        scope = Scope([f", {'a ' * words}"])
        assert _has(scope, "b a") is False
        return lambda key: _has(scope, key)

    few, many = (work(searched(words), "a a a, a a a") for words in (1_000, 8_000))
    assert many < 2 * few


def _has(scope: Scope, key: str, *, depth: int = 4, also: tuple[str, ...] = ()) -> bool:
    return scope.has(
        key, depth=depth, case_sensitive=False, whole_words=True, as_pattern=False, also=also
    )


def _searched(depths: int) -> None:
    scope = Scope(["a few words"] * 100)
    for depth in range(depths):
        scope.has("key", depth=depth, case_sensitive=False, whole_words=True, as_pattern=False)
