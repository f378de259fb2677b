"""`make adopt ARGS=--rehearse`: every active conversation's next prompt, without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from dev.adopt import command
from dev.adopt.rehearse import Rehearsal, rehearse, sentences
from tests.existing.database import STATES, contents, create
from tests.existing.installation import adopted_database
from tests.support.postgres import Connection, Postgres

OWN_CONVERSATION = "bbbbbbbb-0000-4000-8000-000000000001"


@pytest.fixture(scope="module", params=STATES)
def adopted(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with adopted_database(postgres, request.param) as connection:
        yield connection


def rehearsed(connection: Connection, *changes: str) -> Rehearsal:
    """A rehearsal on changed rows; the changes are taken back."""
    with connection.transaction(force_rollback=True):
        for change in changes:
            connection.execute(change.encode())
        return rehearse(connection, lambda _: None)


def test_prompts_are_built_and_nothing_is_written(adopted: Connection) -> None:
    before = contents(adopted)
    rehearsal = rehearse(adopted, lambda _: None)
    assert rehearsal.ready > 0
    assert rehearsal.errors == 0
    assert len(rehearsal.tokens) == rehearsal.ready
    assert contents(adopted) == before


def test_everything_is_sfw_until_ages_are_declared(adopted: Connection) -> None:
    assert set(rehearsed(adopted).tiers) == {"sfw"}


def test_declared_ages_of_verified_people_open_the_adult_tier(adopted: Connection) -> None:
    rehearsal = rehearsed(
        adopted,
        "update public.characters set content_rating = 'nsfw'",
        "select public.declare_age(id, 30) from public.characters",
        "select public.record_age_verification(id, true) from auth.users",
        "update public.api_models set capabilities = capabilities || '{\"nsfw\": true}'",
    )
    assert rehearsal.tiers["nsfw"] > 0


def test_what_the_policy_refuses_is_counted_by_category(adopted: Connection) -> None:
    rehearsal = rehearsed(
        adopted,
        "update public.characters set description = 'A nude twelve-year-old girl, sexual.'",
    )
    assert sum(rehearsal.refused.values()) > 0
    assert any("character" in name for name in rehearsal.refused)


def test_a_failing_function_is_an_error(adopted: Connection) -> None:
    rehearsal = rehearsed(adopted, "alter table public.turns add check (task <> 'roleplay')")
    assert rehearsal.failed["23514"] > 0
    assert rehearsal.errors > 0
    assert "Errors of begin_turn, by SQLSTATE: 23514" in "\n".join(sentences(rehearsal))


def test_before_an_adoption_there_is_nothing_to_rehearse_with(
    postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"rehearsed_{uuid4().hex}"
    create(postgres, name, "april")
    assert command.main(postgres.dsn(name), command.rehearse) == 1
    assert "Nothing is adopted yet" in capsys.readouterr().err
