"""API keys: what they open, who makes them, and what is kept of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest

from roleplay_chat.openai_api import keys
from tests.support import patient
from tests.support.answers import text
from tests.support.openai_api import MARA, Program, make_key, revoke_key
from tests.support.stack import Stack, User

pytestmark = pytest.mark.installations


@pytest.fixture
def user(stack: Stack) -> User:
    return stack.user("Ann")


def listed(stack: Stack, user: User) -> list[dict[str, object]]:
    with stack.data_api(user) as api:
        return list(api.get("/api_keys?order=created_at").json())


class TestUse:
    def test_key_talks_as_its_owner(self, stack: Stack, user: User) -> None:
        stack.upstream.enqueue(text("Good evening."))
        program = Program(stack, make_key(stack, user)["key"])
        assert program.models(MARA).status_code == 200
        answer = program.complete()
        assert answer.json()["choices"][0]["message"]["content"] == "Good evening."
        assert stack.one("select user_id from turns")["user_id"] == user.id
        assert stack.one("select user_id from usage_events")["user_id"] == user.id

    @pytest.mark.parametrize("streamed", [False, True])
    def test_turn_with_a_key_makes_two_database_calls(
        self, stack: Stack, user: User, streamed: bool
    ) -> None:
        key = make_key(stack, user)["key"]
        conversation = {"X-Conversation-Id": str(stack.conversation(user))}
        stack.upstream.enqueue(text("Good evening."))
        stack.gateway.calls.clear()
        Program(stack, key).complete(headers=conversation, stream=streamed)
        assert stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn_with_key",
            "POST /rest/v1/rpc/finish_turn",
        ]

    def test_nothing_else_takes_a_key(self, stack: Stack, user: User) -> None:
        key = make_key(stack, user)["key"]
        conversation = str(stack.conversation(user, "Hello"))
        for body in (
            {"conversation_id": conversation, "message": "Hello"},
            {"action": "delete_account", "confirmation": "delete my account"},
        ):
            answer = patient.post(
                stack.function_url("roleplay_chat"),
                headers={"Authorization": f"Bearer {key}"},
                json=body,
            )
            assert answer.status_code == 401
        with stack.data_api(user) as api:
            refused = api.get("/messages", headers={"Authorization": f"Bearer {key}"})
        # The database of a product may let strangers ask, and then shows them nothing.
        assert refused.status_code == 401 or refused.json() == []

    def test_conversation_of_somebody_else_stays_closed(self, stack: Stack, user: User) -> None:
        conversation = {"X-Conversation-Id": str(stack.conversation(stack.user()))}
        answer = Program(stack, make_key(stack, user)["key"]).complete(headers=conversation)
        assert answer.status_code == 404

    def test_last_use_is_known(self, stack: Stack, user: User) -> None:
        key = make_key(stack, user)["key"]
        assert listed(stack, user)[0]["last_used_at"] is None
        Program(stack, key).models()
        assert listed(stack, user)[0]["last_used_at"] is not None

    def test_banned_owner_is_refused(self, stack: Stack, user: User) -> None:
        program = Program(stack, make_key(stack, user)["key"])
        until = datetime.now(UTC) + timedelta(days=1)
        stack.db.execute("update auth.users set banned_until = %s where id = %s", (until, user.id))
        for answer in (program.complete(), program.models()):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "banned_user")

    def test_key_goes_with_its_owner(self, stack: Stack, user: User) -> None:
        program = Program(stack, make_key(stack, user)["key"])
        assert stack.delete_user(str(user.id)) == 200
        assert program.complete().status_code == 401
        assert stack.all("select from private.api_keys") == []


class TestEnd:
    def test_revoked_key_is_void_at_once(self, stack: Stack, user: User) -> None:
        made = make_key(stack, user)
        program = Program(stack, made["key"])
        assert program.models().status_code == 200
        assert revoke_key(stack, user, made["id"])
        for answer in (program.models(), program.complete()):
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert not revoke_key(stack, user, made["id"])
        assert listed(stack, user) == []

    def test_expired_key_is_void(self, stack: Stack, user: User) -> None:
        program = Program(stack, make_key(stack, user, p_days=1)["key"])
        assert program.models().status_code == 200
        stack.db.execute("update private.api_keys set expires_at = now() - interval '1 second'")
        assert program.models().status_code == 401

    def test_nobody_revokes_the_key_of_somebody_else(self, stack: Stack, user: User) -> None:
        made = make_key(stack, user)
        assert not revoke_key(stack, stack.user(), made["id"])
        assert Program(stack, made["key"]).models().status_code == 200


class TestMaking:
    def test_only_the_hash_is_kept(self, stack: Stack, user: User) -> None:
        made = make_key(stack, user)
        row = stack.one("select * from private.api_keys")
        assert row["key_hash"] == sha256(made["key"].encode()).hexdigest()
        assert made["key"] not in str(row)
        assert made["key"].startswith(str(row["prefix"]))
        assert len(made["key"]) - len(row["prefix"]) >= 48

    def test_no_two_are_the_same(self, stack: Stack, user: User) -> None:
        assert len({make_key(stack, user)["key"] for _ in range(5)}) == 5

    def test_list_shows_nothing_that_opens(self, stack: Stack, user: User) -> None:
        made = make_key(stack, user, " My\n notebook ", p_days=30, p_turns_per_day=5)
        (row,) = listed(stack, user)
        assert set(row) == {
            *("id", "name", "prefix", "turns_per_day", "created_at", "expires_at", "last_used_at"),
        }
        assert (row["name"], row["turns_per_day"]) == ("My notebook", 5)
        assert UUID(str(row["id"])) == UUID(made["id"])
        assert row["expires_at"] is not None
        assert listed(stack, stack.user()) == []

    def test_there_is_a_maximum(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"api_keys": 2}})
        ids = [make_key(stack, user)["id"] for _ in range(2)]
        with stack.data_api(user) as api:
            refused = api.post("/rpc/create_api_key", json={"p_name": "Third"})
        assert (refused.status_code, refused.json()["code"]) == (409, "PT409")
        revoke_key(stack, user, ids[0])
        make_key(stack, user)

    @pytest.mark.parametrize(
        "body",
        [
            {"p_name": ""},
            {"p_name": " \n"},
            {"p_name": None},
            {"p_name": "A", "p_days": 0},
            {"p_name": "A", "p_days": 100_000},
            {"p_name": "A", "p_turns_per_day": 0},
        ],
        ids=str,
    )
    def test_what_is_no_key_is_refused(
        self, stack: Stack, user: User, body: dict[str, object]
    ) -> None:
        with stack.data_api(user) as api:
            refused = api.post("/rpc/create_api_key", json=body)
        assert (refused.status_code, listed(stack, user)) == (400, [])

    def test_long_name_is_shortened(self, stack: Stack, user: User) -> None:
        make_key(stack, user, "x" * 500)
        assert len(str(listed(stack, user)[0]["name"])) <= 80

    def test_banned_person_makes_none(self, stack: Stack, user: User) -> None:
        until = datetime.now(UTC) + timedelta(days=1)
        stack.db.execute("update auth.users set banned_until = %s where id = %s", (until, user.id))
        with stack.data_api(user) as api:
            assert api.post("/rpc/create_api_key", json={"p_name": "A"}).status_code == 403

    def test_nobody_without_an_account_makes_one(self, stack: Stack) -> None:
        with stack.data_api() as api:
            assert not api.post("/rpc/create_api_key", json={"p_name": "A"}).is_success


class TestLimits:
    def test_its_own_limit_per_day(self, stack: Stack, user: User) -> None:
        stack.upstream.always(text("Good evening."))
        one = Program(stack, make_key(stack, user, p_turns_per_day=1)["key"])
        two = Program(stack, make_key(stack, user)["key"])
        assert one.complete().status_code == 200
        refused = one.complete()
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        assert two.complete().status_code == 200
        stack.db.execute("update private.api_keys set day = day - 1")
        assert one.complete().status_code == 200

    def test_answer_that_was_lost_counts_once(self, stack: Stack, user: User) -> None:
        stack.upstream.enqueue(text("Good evening."))
        program = Program(stack, make_key(stack, user, p_turns_per_day=1)["key"])
        stack.gateway.drop("/rest/v1/rpc/begin_turn_with_key", after=True)
        assert program.complete().status_code == 200
        assert program.complete().status_code == 429

    def test_request_that_begins_no_turn_does_not_count(self, stack: Stack, user: User) -> None:
        stack.upstream.enqueue(text("Good evening."))
        program = Program(stack, make_key(stack, user, p_turns_per_day=1)["key"])
        strange = {"X-Conversation-Id": str(uuid4())}
        assert [program.complete(headers=strange).status_code for _ in range(2)] == [404, 404]
        assert program.complete().status_code == 200
        assert program.complete().status_code == 429

    def test_turns_of_all_keys_together(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"api_turns_per_minute": 1}})
        stack.upstream.always(text("Good evening."))
        made = make_key(stack, user)
        assert Program(stack, made["key"]).complete().status_code == 200
        revoke_key(stack, user, made["id"])
        another = Program(stack, make_key(stack, user)["key"])
        assert another.complete().status_code == 429
        assert Program(stack, user.token).complete().status_code == 200

    def test_limits_of_the_person_hold_for_their_keys(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"turns_per_day": 1}})
        stack.upstream.always(text("Good evening."))
        assert Program(stack, user.token).complete().status_code == 200
        assert Program(stack, make_key(stack, user)["key"]).complete().status_code == 429

    def test_lists_are_limited(self, stack: Stack, user: User) -> None:
        stack.configure(limits={"default": {"api_lists_per_minute": 1}})
        program = Program(stack, make_key(stack, user)["key"])
        assert [program.models().status_code for _ in range(2)] == [200, 429]

    def test_flood_of_invented_keys_does_not_reach_the_database(
        self, stack: Stack, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keys, "MAX_WRONG_KEYS", 3)
        with stack.serving() as url:
            known = Program(stack, make_key(stack, user)["key"], url)
            assert known.models().status_code == 200
            stack.gateway.calls.clear()
            invented = [Program(stack, f"rpk_{uuid4().hex * 2}", url) for _ in range(6)]
            statuses = [program.models().status_code for program in invented]
            assert statuses == [401] * 3 + [429] * 3
            assert len(stack.gateway.calls) == 3
            assert known.models().status_code == 200
