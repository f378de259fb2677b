"""Every request of the existing product is answered as it always was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.existing.database import contents, create, signature
from tests.existing.installation import adopt, move_in_and_out
from tests.existing.requests import REQUESTS, Answer, DataApi, expected, running_data_api
from tests.support.keys import Keys
from tests.support.postgres import Postgres

# What happens to a database of theirs before the requests come.
PREPARATIONS: dict[str, Callable[[Postgres, str], None]] = {
    "untouched": lambda server, database: None,
    "adopted": adopt,
    "undone": move_in_and_out,
}
# All that a request may find in addition while the database is adopted: two columns of messages,
# and another guess at what was meant by a name that is in no table.
ADDED = {"position", "edited_at", "hint"}


@pytest.fixture(scope="module", params=PREPARATIONS)
def preparation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def prepared(postgres: Postgres, keys: Keys, preparation: str, state: str) -> Iterator[DataApi]:
    """With the rows that the file counts."""
    database = f"requests_{state}_{preparation}"
    create(postgres, database, state)
    PREPARATIONS[preparation](postgres, database)
    with running_data_api(postgres, database, keys) as api:
        yield api


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"{r['page']} {r['method']}")
def test_a_request_is_answered_as_in_the_file(
    prepared: DataApi, state: str, request_: dict[str, Any]
) -> None:
    answer = prepared.answer(request_)
    assert answer.summary == expected(request_, state), answer.body


def test_with_every_kind_of_row_the_answers_are_the_same_word_for_word(
    postgres: Postgres, keys: Keys, preparation: str, state: str
) -> None:
    database = f"answers_{state}_{preparation}"
    create(postgres, database, state, ("rows", "more_rows"))
    with running_data_api(postgres, database, keys) as api:
        before = api.answers()
        PREPARATIONS[preparation](postgres, database)
        api.reload()
        added = ADDED if preparation == "adopted" else set()
        after = api.answers()
        assert words(after, added) == words(before, added)
        assert [answer.summary for answer in after] == [answer.summary for answer in before]


def words(answers: list[Answer], added: set[str]) -> list[Any]:
    """The bodies. Of any one row that is asked for, whichever it is, the names of its columns."""
    bodies = [without(added, answer.body) for answer in answers]
    return [
        [sorted(row) for row in body] if _is_any_row(request["path"]) else body
        for request, body in zip(REQUESTS, bodies, strict=True)
    ]


def _is_any_row(path: str) -> bool:
    return "limit=" in path and "order=" not in path


def without(columns: set[str], body: Any) -> Any:
    """A body, and what is embedded in it, without these columns.

    Its rows in an order of their own: that of equal ones changes whenever a row is written.
    """
    if isinstance(body, list):
        return sorted((without(columns, row) for row in body), key=json.dumps)
    if isinstance(body, dict):
        return {name: without(columns, of) for name, of in body.items() if name not in columns}
    return body


def test_no_request_leaves_anything_behind(prepared: DataApi) -> None:
    before = signature(prepared.owner), contents(prepared.owner)
    prepared.answers()
    assert (signature(prepared.owner), contents(prepared.owner)) == before
