"""What is left of a person's limits and budget, and what a message cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.answers import text
from tests.support.limits import add_turn, limit, pay
from tests.support.stack import Stack, User


def read(stack: Stack, user: User) -> dict[str, Any]:
    with stack.data_api(user) as api:
        answer = api.post("/rpc/read_limits", json={})
        assert answer.is_success, answer.text
        return dict(answer.json())


def limits(stack: Stack, user: User) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in read(stack, user)["limits"]}


def used(stack: Stack, user: User, name: str) -> tuple[float, float, float]:
    one = limits(stack, user)[name]
    return one["limit"], one["used"], one["left"]


@pytest.mark.installations
@pytest.mark.usefixtures("one_day")
class TestLimits:
    def test_turns_that_began_count(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=20, turns_per_day=500, running=3)
        user, other = stack.user(), stack.user()
        stack.upstream.always(text("Yes."))
        stack.chat(user, conversation_id=str(stack.conversation(user)), message="Hello")
        add_turn(stack, user, "now() - interval '2 days'")
        add_turn(stack, other, "now()")
        assert used(stack, user, "turns_per_minute") == (20, 1, 19)
        assert used(stack, user, "turns_per_day") == (500, 1, 499)
        assert used(stack, user, "running") == (3, 0, 3)

    def test_minute_is_over_when_the_next_one_is_let_through(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=2)
        user = stack.user()
        for age in (50, 30, 10):
            add_turn(stack, user, f"now() - interval '{age} seconds'")
        row = stack.one(
            "select created_at from turns where user_id = %s order by created_at offset 1 limit 1",
            user.id,
        )
        one = limits(stack, user)["turns_per_minute"]
        assert (one["used"], one["left"]) == (3, 0)
        assert datetime.fromisoformat(one["resets_at"]) == row["created_at"] + timedelta(minutes=1)

    def test_limit_of_nothing_is_no_error(self, stack: Stack) -> None:
        limit(stack, turns_per_minute=0, actions_per_minute=0.5, imports_per_minute=1e9)
        assert used(stack, stack.user(), "turns_per_minute") == (0, 0, 0)
        assert used(stack, stack.user(), "imports_per_minute") == (1e9, 0, 1e9)

    def test_day_ends_at_midnight_in_utc(self, stack: Stack) -> None:
        limit(stack, turns_per_day=5)
        answer = read(stack, stack.user())
        (day,) = [one for one in answer["limits"] if one["name"] == "turns_per_day"]
        now, ends = (datetime.fromisoformat(at) for at in (answer["now"], day["resets_at"]))
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        assert ends == midnight + timedelta(days=1)

    def test_actions_count_as_they_are_limited(self, stack: Stack) -> None:
        limit(stack, actions_per_minute=60)
        user = stack.user()
        conversation = stack.conversation(user, "Hello", "Good evening.")
        message = stack.one(
            "select id from messages where conversation_id = %s and sender = 'user'", conversation
        )
        edited = {"action": "edit", "message_id": str(message["id"]), "message": "Hi"}
        assert stack.chat(user, **edited).status_code == 200
        assert used(stack, user, "actions_per_minute") == (60, 1, 59)
        assert "actions_per_day" not in limits(stack, user)

    def test_role_and_default_are_one(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"turns_per_day": 5}, "admin": {"turns_per_day": None}})
        user, admin = stack.user(), stack.user()
        stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (admin.id,))
        assert used(stack, user, "turns_per_day") == (5, 0, 5)
        assert "turns_per_day" not in limits(stack, admin)

    def test_budget_of_a_day_is_what_was_spent(self, stack: Stack) -> None:
        limit(stack, usd_per_day=0.5)
        user = stack.user()
        pay(stack, user, 0.2)
        pay(stack, user, 5, "date_trunc('day', now(), 'UTC') - interval '1 second'")
        pay(stack, stack.user(), 3)
        answer = read(stack, user)
        assert used(stack, user, "usd_per_day") == (0.5, 0.2, 0.3)
        assert answer["free_only"] is False
        assert answer["tokens_today"] == {"prompt": 70, "completion": 7}
        pay(stack, user, 0.3)
        assert read(stack, user)["free_only"] is True

    def test_spent_budget_of_the_project_is_told_without_its_sum(self, stack: Stack) -> None:
        stack.configure(limits={"default": {}, "project": {"usd_per_day": 1}})
        pay(stack, stack.user(), 1)
        answer = read(stack, stack.user())
        assert answer["free_only"] is True
        assert "usd_per_day" not in {one["name"] for one in answer["limits"]}

    def test_says_nothing_to_a_blocked_account_or_nobody(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute(
            "update auth.users set banned_until = 'infinity' where id = %s", (user.id,)
        )
        with stack.data_api(user) as api, stack.data_api() as nobody:
            assert api.post("/rpc/read_limits", json={}).json() is None
            assert nobody.post("/rpc/read_limits", json={}).status_code == 401

    def test_reading_them_counts_as_nothing(self, stack: Stack) -> None:
        user = stack.user()
        before = limits(stack, user)
        after = limits(stack, user)
        assert {name: one["used"] for name, one in before.items()} == {
            name: one["used"] for name, one in after.items()
        }


@pytest.mark.installations
def test_details_of_a_reply_are_its_turn(stack: Stack) -> None:
    """When, by which model, how long, how many tokens, at what cost: of each version its own."""
    user, other = stack.user(), stack.user()
    conversation = stack.conversation(user)
    stack.upstream.always(text("Yes."))
    asked = {"conversation_id": str(conversation)}
    first = stack.chat(user, **asked, message="Hello").json()
    again = stack.chat(user, **asked, action="regenerate").json()
    columns = "model_used,duration_ms,prompt_tokens,completion_tokens,cost_usd,created_at"
    for answer in (first, again):
        of = {"reply_message_id": f"eq.{answer['message_id']}", "select": columns}
        with stack.data_api(user) as api, stack.data_api(other) as not_theirs:
            (details,) = api.get("/turns", params=of).json()
            assert not_theirs.get("/turns", params=of).json() == []
        assert details["model_used"] == answer["model_used"]
        assert details["duration_ms"] >= 0
        assert details["prompt_tokens"] > 0
        assert details["completion_tokens"] > 0
        assert details["created_at"]
