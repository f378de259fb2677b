"""Reading and writing JSON: what only the standard parser accepts."""

import json
from collections.abc import Callable

import pytest

from edge import json_text
from edge.json_text import (
    MAX_DIGITS,
    MAX_PARSED_VALUES,
    SHORT_TEXT,
    dumps,
    loads,
    loads_bounded,
    value_count_bound,
)

HALF = "\\ud83d"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'{{"text": "a{HALF}b"}}', id="half of a surrogate pair"),
        pytest.param("[" * 300 + "]" * 300, id="deeply nested"),
        pytest.param('{"cost": 1e999, "seed": 12345678901234567890123}', id="large numbers"),
        pytest.param('{"a": 1, "a": 2}', id="a name twice"),
    ],
)
def test_reads_what_the_standard_parser_reads(text: str) -> None:
    assert loads(text) == json.loads(text)
    assert loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", '{"a": 01}', "nothing", '{"a": 1} and more'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        loads(text)


def test_nesting_that_no_parser_takes_is_refused() -> None:
    with pytest.raises((ValueError, RecursionError)):
        loads("[" * 200_000)


@pytest.mark.parametrize("no_text", [b"\xff", b"\xed\xa0\xbd", b"\xed\xa0\xbd\xed\xb8\x80"])
def test_bytes_that_are_no_utf_8_are_refused(no_text: bytes) -> None:
    """Surrogates as bytes, too: Python's parser would read them, a million in half a second."""
    with pytest.raises(UnicodeDecodeError):
        loads(b'{"a": "%s"}' % no_text)


def test_writes_utf_8_as_it_is() -> None:
    assert dumps({"text": "灯台守 🌊\n"}) == '{"text":"灯台守 🌊\\n"}'.encode()


def test_half_of_a_surrogate_pair_is_not_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        dumps({"text": "\ud83d"})


@pytest.mark.parametrize("digits", [MAX_DIGITS, 4_000, 5_000, 500_000])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("kind", [str, str.encode, lambda text: text.encode("utf-16")])
def test_integer_of_many_digits_is_infinite(
    kind: Callable[[str], str | bytes], sign: str, digits: int
) -> None:
    text = kind(f'{{"price": {sign}1{"0" * digits}, "text": "{"a" * SHORT_TEXT}", "other": 1}}')
    assert loads(text)["price"] == float(f"{sign}inf")
    assert loads(text)["other"] == 1


def test_no_integer_of_many_digits_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def parsed(digits: str) -> int | float:
        lengths.append(len(digits))
        return 0

    monkeypatch.setattr(json_text, "from_json", lambda _: pytest.fail("parses any integer"))
    monkeypatch.setattr(json_text, "_whole", parsed)
    loads(f"[{','.join(['7' * 3_999] * 100)}, {'8' * MAX_DIGITS}]")
    assert lengths == [*[3_999] * 100, MAX_DIGITS]


@pytest.mark.parametrize("number", ["9" * MAX_DIGITS, f"0.{'1' * 5_000}", '"' + "1" * 5_000 + '"'])
def test_other_digits_are_read_as_they_are(number: str) -> None:
    text = f'[{number}, "{"a" * SHORT_TEXT}"]'
    assert loads(text) == json.loads(text)


def test_integers_of_short_texts_are_read_as_they_are() -> None:
    assert loads("1" + "0" * 400) == 10**400


@pytest.mark.parametrize("kind", [str, str.encode], ids=["event", "body"])
@pytest.mark.parametrize("value", ["{}", "[]", '""', "[[[[]]]]"])
def test_number_of_values_of_others_is_limited(
    kind: Callable[[str], str | bytes], value: str
) -> None:
    def listed(values: int) -> str | bytes:
        each = value_count_bound(f"{value},".encode()) - 1
        return kind(f"[{','.join([value] * (values // each))}]")

    assert loads_bounded(listed(MAX_PARSED_VALUES - 10))
    with pytest.raises(ValueError, match="too many values"):
        loads_bounded(listed(MAX_PARSED_VALUES + 10))


def test_long_texts_of_others_are_read() -> None:
    text = "word " * MAX_PARSED_VALUES
    assert loads_bounded(dumps([text])) == [text]
