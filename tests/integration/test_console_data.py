"""One's own account, and what admins see of turns, limits, models and ages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from dev.settings import ROOT
from tests.support.answers import error, text
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import Stack, User
from tests.support.talk import Talk

pytestmark = pytest.mark.installations


def made_admin(stack: Stack) -> User:
    admin = stack.user()
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
    return admin


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    with stack.data_api(made_admin(stack)) as api:
        yield api


def rpc(api: httpx.Client, name: str, **parameters: Any) -> httpx.Response:
    return api.post(f"/rpc/{name}", json=parameters)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            "select status from turns where created_at >= now() - interval '30 days'"
            " and created_at <= now() order by created_at desc, id limit 51",
            id="activity",
        ),
        pytest.param(
            "select id from turn_reports where created_at >= now() - interval '51 minutes'"
            " and request_id = 'none' order by created_at desc, id desc limit 51",
            id="request",
        ),
        pytest.param(
            "select * from turn_reports where created_at >= now() - interval '7 days'"
            " order by created_at desc, id desc limit 51",
            id="newest",
        ),
        pytest.param(
            "select * from turn_reports where created_at >= now() - interval '7 days'"
            " and status = 'complete' and created_at <= now() - interval '1 day'"
            " order by created_at desc, id desc limit 51",
            id="older",
        ),
    ],
)
def test_pages_do_not_read_the_turns_of_all_time(
    stack: Stack, postgres: Postgres, page: str
) -> None:
    assert 50 <= rows_of_a_page(postgres, made_admin(stack), page) <= 60


@pytest.mark.parametrize(
    "page",
    [
        "select id from turn_reports where pg_temp.is_told(status)",
        # Postgres 16 and newer make one condition of the view's own and that of the join.
        "select t.id from (values (1)) v left join turn_reports t on pg_temp.is_told(t.status)",
        "select id from character_take_downs where pg_temp.is_told(reason)",
        "select d.id from (values (1)) v left join character_take_downs d"
        " on pg_temp.is_told(d.reason)",
    ],
)
def test_a_condition_sees_no_row_of_others_than_admins(
    stack: Stack, postgres: Postgres, page: str
) -> None:
    leak = (
        "insert into private.take_downs (character_id, character_name, reason)"
        " values (gen_random_uuid(), 'Vera', 'Spam.');"
        " create function pg_temp.is_told(text) returns boolean language plpgsql cost 0.0001"
        " as $$ begin raise exception '%', $1; end $$"
    )
    assert rows_of_a_page(postgres, stack.user(), page, before=leak) == 0


def test_page_of_take_downs_does_not_read_those_of_all_time(
    stack: Stack, postgres: Postgres
) -> None:
    page = "select * from character_take_downs order by taken_down_at desc, id desc limit 20"
    add = (
        "insert into private.take_downs (character_id, character_name, reason, taken_down_at)"
        " select gen_random_uuid(), 'Vera', 'Spam.', now() - n * interval '1 minute'"
        " from generate_series(1, 5000) n; analyze private.take_downs"
    )
    assert rows_of_a_page(postgres, made_admin(stack), page, before=add) == 20
    assert rows_of_a_page(postgres, stack.user(), page) == 0


def rows_of_a_page(postgres: Postgres, user: User, page: str, before: str = "select") -> int:
    """The rows that a statement reads for a user who has 5,000 turns, one a minute."""
    with postgres.connect("app", OWNER) as db:
        db.execute(
            "insert into turns (user_id, task, action, status, finished_at, lease_expires_at,"
            " created_at) select %s, 'roleplay', 'send', 'complete', now(), now(),"
            " now() - n * interval '1 minute' from generate_series(1, 5000) n",
            (user.id,),
        )
        db.execute("vacuum analyze turns")
        db.execute(
            "select set_config('request.jwt.claims',"
            " json_build_object('sub', %s::text)::text, false)",
            (user.id,),
        )
        db.execute(before.encode())
        with explained(db) as plans:
            db.execute(page.encode())
    return scanned([plan for plan in plans if plan["Query Text"] == page])


class TestAccount:
    def test_is_ones_own(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        stack.user("Ben")
        (row,) = api.get("/account").json()
        assert (row["id"], row["email"], row["display_name"]) == (str(ann.id), ann.email, "Ann")
        assert (row["age_verified"], row["is_admin"]) == (False, False)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            *(("Anna", "Anna"), ("  An\n\u202ena ", "An na"), ("", None), (None, None)),
            *(("x" * 500, "x" * 79 + "…"), ("林", "林")),
        ],
    )
    def test_its_name_can_be_changed(
        self, stack: Stack, ann: User, api: httpx.Client, given: str | None, kept: str | None
    ) -> None:
        here = {"id": f"eq.{ann.id}"}
        assert api.patch("/account", params=here, json={"display_name": given}).is_success
        assert api.get("/account").json()[0]["display_name"] == kept
        row = stack.one("select display_name from shared.profiles where id = %s", ann.id)
        assert row["display_name"] == kept

    def test_nothing_else_can_be(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        here = {"id": f"eq.{ann.id}"}
        for change in ({"age_verified": True}, {"email": "a@example.com"}, {"is_admin": True}):
            assert api.patch("/account", params=here, json=change).status_code == 403
        with stack.data_api(stack.user()) as other:
            other.patch("/account", params=here, json={"display_name": "Theirs"})
        assert api.get("/account").json()[0]["display_name"] == "Ann"
        ban = "update auth.users set banned_until = 'infinity' where id = %s"
        stack.db.execute(ban, (ann.id,))
        answer = api.patch("/account", params=here, json={"display_name": "Banned"})
        assert answer.status_code == 403


class TestTurns:
    def test_one_that_failed_is_found_and_tells_its_route(
        self, talk: Talk, admin: httpx.Client
    ) -> None:
        talk.stack.upstream.always(error(500, ""))
        failed = talk.say("Hello, secret-word").json()
        talk.stack.upstream.reset()
        talk.stack.upstream.always(text("Yes."))
        where = {"request_id": f"eq.{failed['request_id']}", "status": "eq.failed"}
        (row,) = admin.get("/turn_reports", params=where).json()
        assert row["user_id"] == str(talk.user.id)
        assert row["error_code"]
        report = rpc(admin, "turn_report", p_turn_id=row["id"]).json()
        assert report["turn"] == row
        assert report["prompt"] is None
        assert len(report["calls"]) >= 2
        assert "ok" not in {call["outcome"] for call in report["calls"]}
        assert "secret-word" not in str(report)

    def test_one_that_was_answered_tells_the_parts_of_its_prompt(
        self, talk: Talk, admin: httpx.Client
    ) -> None:
        talk.stack.upstream.enqueue(text("A secret-word."))
        answer = talk.reply("Hello, secret-word")
        report = rpc(admin, "turn_report", p_turn_id=answer["turn_id"]).json()
        assert report["prompt"]["tokens"] > 0
        assert {part["part"] for part in report["prompt"]["parts"]} >= {"template", "message"}
        assert [call["outcome"] for call in report["calls"]] == ["ok"]
        assert "secret-word" not in str(report)

    def test_filters_narrow_the_list(self, talk: Talk, admin: httpx.Client) -> None:
        talk.stack.upstream.enqueue(text("Yes."))
        answer = talk.reply("Hello")
        for where, count in (
            ({"user_id": f"eq.{talk.user.id}"}, 1),
            ({"user_id": f"eq.{talk.stack.user().id}"}, 0),
            ({"model_used": f"eq.{answer['model_used']}"}, 1),
            ({"error_code": "not.is.null"}, 0),
            ({"created_at": "gt.2020-01-01", "order": "created_at.desc,id.desc"}, 1),
            ({"created_at": "lt.2020-01-01"}, 0),
        ):
            assert len(admin.get("/turn_reports", params=where).json()) == count, where

    def test_are_for_admins(self, talk: Talk) -> None:
        talk.stack.upstream.enqueue(text("Yes."))
        turn = talk.reply("Hello")["turn_id"]
        blocked = made_admin(talk.stack)
        ban = "update auth.users set banned_until = 'infinity' where id = %s"
        talk.stack.db.execute(ban, (blocked.id,))
        for user in (talk.user, talk.stack.user(), blocked):
            with talk.stack.data_api(user) as api:
                assert api.get("/turn_reports").json() == []
                assert rpc(api, "turn_report", p_turn_id=turn).status_code == 403
        with talk.stack.data_api() as nobody:
            assert rpc(nobody, "turn_report", p_turn_id=turn).status_code == 401


class TestLimits:
    def test_are_listed_and_changed(self, stack: Stack, admin: httpx.Client) -> None:
        rows = {row["role"]: row["limits"] for row in admin.get("/limit_settings").json()}
        assert rows["default"]["turns_per_minute"] == 20
        assert rpc(admin, "set_limits", p_role="guest", p_limits={"usd_per_day": 0.5}).is_success
        assert rpc(admin, "set_limits", p_role="default", p_limits={"running": None}).is_success
        rows = {row["role"]: row["limits"] for row in admin.get("/limit_settings").json()}
        assert rows["guest"] == {"usd_per_day": 0.5}
        assert rows["default"] == {"running": None}
        assert set(rows) == {"default", "admin", "project", "guest"}
        assert rpc(admin, "set_limits", p_role="guest", p_limits=None).is_success
        assert "guest" not in str(admin.get("/limit_settings").json())

    def test_that_somebody_else_changed_meanwhile_are_kept(self, admin: httpx.Client) -> None:
        def set_limits(limits: object, before: object) -> int:
            asked = {"p_role": "guest", "p_limits": limits, "p_before": before}
            return rpc(admin, "set_limits", **asked).status_code

        assert set_limits({"running": 1}, {}) == 204
        assert set_limits({"running": 2}, {}) == 409
        assert set_limits(None, {"running": 2}) == 409
        rows = {row["role"]: row["limits"] for row in admin.get("/limit_settings").json()}
        assert rows["guest"] == {"running": 1}
        assert set_limits(None, {"running": 1.0}) == 204

    def test_of_every_name_that_is_documented_can_be_set(
        self, stack: Stack, admin: httpx.Client
    ) -> None:
        document = (ROOT / "docs/configuration.md").read_text()
        table = document.partition("## Limits")[2].partition("\n## ")[0]
        cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
        names = re.findall(r"`(\w+)`", " ".join(cells))
        assert len(names) > 10
        assert rpc(admin, "set_limits", p_role="guest", p_limits=dict.fromkeys(names, 1)).is_success

    @pytest.mark.parametrize(
        ("role", "limits"),
        [
            *(("default", None), ("project", None), (None, {}), ("", {}), ("x" * 41, {})),
            *(
                ("default", {"turns": 5}),
                ("default", {"running": -1}),
                ("default", {"running": "5"}),
            ),
            *(("project", {"running": 5}), ("default", []), ("default", 5), ("default", "x")),
            ("default", {"running": {"a": 1}}),
        ],
    )
    def test_of_another_shape_are_refused(
        self, stack: Stack, admin: httpx.Client, role: str | None, limits: object
    ) -> None:
        before = admin.get("/limit_settings").json()
        answer = rpc(admin, "set_limits", p_role=role, p_limits=limits)
        assert answer.status_code == 400
        assert admin.get("/limit_settings").json() == before

    def test_are_for_admins(self, stack: Stack) -> None:
        with stack.data_api(stack.user()) as api:
            assert api.get("/limit_settings").json() == []
            answer = rpc(api, "set_limits", p_role="default", p_limits={"running": 1000})
            assert answer.status_code == 403


def test_models_that_are_gone_are_shown(stack: Stack, admin: httpx.Client) -> None:
    (model, *_) = stack.all("select id, model_key from shared.api_models where task = 'roleplay'")
    found = [{"id": str(model["id"]), "status": "renamed", "catalog": {"listed_as": "new/name"}}]
    rpc_found = "select record_catalog(%s::jsonb)"
    stack.db.execute(rpc_found, (Jsonb(found),))
    where = {"catalog_status": "eq.renamed"}
    rows = admin.get("/model_catalog", params=where).json()
    assert {(row["model_key"], row["listed_as"]) for row in rows} == {
        (model["model_key"], "new/name")
    }
    with stack.data_api(stack.user()) as api:
        assert api.get("/model_catalog").json() == []


def test_verified_ages_are_listed_for_admins(stack: Stack, admin: httpx.Client) -> None:
    ann = stack.user("Ann", age_verified=True)
    stack.user("Ben")
    rows = admin.get("/age_verifications").json()
    assert rows == [{"user_id": str(ann.id), "display_name": "Ann"}]
    with stack.data_api(ann) as api:
        assert api.get("/age_verifications").json() == []
