"""What the pages say of errors of the Data API. The module runs in Node.js."""

from __future__ import annotations

import pytest

from tests.support.node import evaluate

RAW = 'invalid input syntax for type uuid: "canary"'
VALUE = "A value has the wrong form, or is too large. Correct it and try again."
OUTDATED = "This page does not fit the service any more."
FAILED = "That did not work. Try again in a moment, or reload the page."


def sentence(code: str | None, message: str = RAW, worded: bool = False) -> str:
    given = [code, message, worded]
    return str(evaluate("data-errors.js", "module.sentenceOf(...given)", given))


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        ("22P02", VALUE),
        ("22003", VALUE),
        ("22007", VALUE),
        ("22001", VALUE),
        ("22021", VALUE),
        ("23502", "Something is missing."),
        ("23505", "This name already exists."),
        ("42501", "You do not have permission"),
        ("PGRST116", "This is gone."),
        ("PGRST100", OUTDATED),
        ("PGRST202", OUTDATED),
        ("PGRST204", OUTDATED),
        ("42703", OUTDATED),
        ("PGRST002", FAILED),
        ("XX000", FAILED),
        ("2200", FAILED),
        (None, FAILED),
        ("", FAILED),
    ],
)
def test_error_of_the_database_is_a_sentence_that_says_what_to_do(
    code: str | None, begins: str
) -> None:
    said = sentence(code)
    assert said.startswith(begins)
    assert "canary" not in said


@pytest.mark.parametrize(("code", "worded"), [("PT400", False), ("weak_password", True)])
def test_what_was_written_for_people_is_shown(code: str, worded: bool) -> None:
    assert sentence(code, "A fact is a text", worded) == "A fact is a text."
