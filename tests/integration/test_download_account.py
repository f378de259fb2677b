"""A person downloads everything that is kept about them, in pages, and nothing of others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.accounts import everything, lived, page, section, sections
from tests.support.stack import Stack

ELSEWHERE = {
    "leaving_users": "in profile",
    "conversation_characters": "in conversations",
    "conversation_details": "in conversations",
    "conversation_personas": "in conversations",
    "conversation_entries": "in conversations",
    "conversation_settings": "in conversations",
    "hidden_messages": "in conversations",
    "conversation_versions": "counts changes of messages, which are in messages",
    "character_portraits": "in characters",
    "character_tags": "in characters",
    "turn_replies": "in turns",
    "profiles": "in profile",
    "user_roles": "in profile",
    "conversation_summaries": "in summaries",
    "summary_versions": "in summaries",
    "message_variables": "in variables",
    "memory_facts": "in facts",
    "fact_repeats": "in facts",
    "memory_locks": "has nothing but the user",
    "turn_prompts": "in prompts",
    "usage_events": "in usage",
    "spent_by_person": "sums of usage, which is kept longer",
    "character_reports": "in reports",
}
"""Tables that are no section of their own name."""


@pytest.mark.installations
class TestDownload:
    def test_has_everything_that_is_kept(self, stack: Stack) -> None:
        user = stack.user("Ann quince", age_verified=True)
        lived(stack, user, "quince")
        found = everything(stack, user)
        texts = json.dumps(found)
        for word in (
            *("Ann", "Vera", "tag", "Message", "Reply", "Version", "Draft", "Book", "Note"),
            *("Summary", "Fact", "Report", "Take-down", "Card", "Key"),
        ):
            assert f"{word} quince" in texts, word
        (profile,) = found["profile"]
        assert profile["email"] == user.email
        assert profile["age_verified"] is True
        assert [row["character_name"] for row in found["blocked_authors"]] == ["Vera"]
        assert {row["action"] for row in found["turns"]} == {"send", "regenerate", "impersonate"}
        empty = {name for name, rows in found.items() if not rows}
        assert empty <= {"variables", "forgotten_facts"}

    def test_has_nothing_of_others(self, stack: Stack) -> None:
        ann, bob = stack.user("Ann quince"), stack.user("Bob vellum")
        lived(stack, ann, "quince")
        lived(stack, bob, "vellum")
        texts = json.dumps(everything(stack, bob))
        assert "vellum" in texts
        assert "quince" not in texts
        assert str(ann.id) not in texts
        assert "closed_by" not in texts
        assert "taken_down_by" not in texts

    def test_has_messages_of_any_time_and_of_none(self, stack: Stack) -> None:
        """As a product may have them."""
        user = stack.user()
        talk = stack.conversation(user)
        times = ("-infinity", "0044-03-15 BC", "2026-05-03", "infinity", None, None)
        found: list[str | None] = []
        page = (
            "select m.key, m.content ->> 'created_at' as at"
            " from private.account_messages(%s, %s, 1) m"
        )
        with stack.db.transaction(force_rollback=True):
            stack.db.execute("alter table public.messages alter created_at drop not null")
            for at in times:
                message = stack.insert(
                    "messages", conversation_id=talk, content="Hm.", sender="user"
                )
                stack.db.execute(
                    "update public.messages set created_at = %s where id = %s", (at, message)
                )
            after = None
            while rows := stack.all(page, user.id, after and Jsonb(after)):
                found += [row["at"] for row in rows]
                after = rows[-1]["key"]
        assert len(found) == len(times)
        assert found[0] == "-infinity"
        assert (found[2] or "").startswith("2026-05-0")
        assert sorted(found[3:], key=str) == [None, None, "infinity"]

    def test_pages_have_each_message_once_and_in_order(self, stack: Stack) -> None:
        user = stack.user()
        said = {}
        for number in range(3):
            conversation = stack.conversation(user)
            said[str(conversation)] = [f"{number} {line}" for line in range(230)]
            # All at the same time: the id decides.
            stack.db.execute(
                "insert into shared.messages (conversation_id, sender, content, created_at)"
                " select %s, 'user', line, '2026-01-01' from unnest(%s::text[]) line",
                (conversation, said[str(conversation)]),
            )
        stack.conversation(user)
        rows = section(stack, user, "messages")
        got: dict[str, list[str]] = {}
        for row in rows:
            got.setdefault(row["conversation_id"], []).append(row["content"])
        assert {key: sorted(lines) for key, lines in got.items()} == {
            key: sorted(lines) for key, lines in said.items()
        }
        assert list(got) == sorted(got)

    def test_page_has_at_most_a_megabyte(self, stack: Stack) -> None:
        user = stack.user()
        conversation = stack.conversation(user)
        for _ in range(60):
            stack.insert(
                "messages", conversation_id=conversation, sender="user", content="x" * 60_000
            )
        first = page(stack, user, p_section="messages")
        assert len(first.content) < 1_300_000
        assert first.json()["next"]
        assert len(section(stack, user, "messages")) == 60

    def test_row_larger_than_a_page_is_one(self, stack: Stack) -> None:
        user = stack.user()
        for _ in range(3):
            character = stack.insert("characters", user_id=user.id, name="Mina")
            stack.db.execute(
                "insert into character_cards (character_id, card) values (%s, %s::jsonb)",
                (character, json.dumps({"text": "x" * 2_000_000})),
            )
        assert len(section(stack, user, "character_cards")) == 3

    def test_odd_questions_get_a_sentence(self, stack: Stack) -> None:
        user = stack.user()
        assert page(stack, None).status_code == 401
        unknown = page(stack, user, p_section="passwords")
        assert (unknown.status_code, unknown.json()["code"]) == (400, "PT400")
        odd: list[Any] = [["x"], {}, "x", 5, [], [None], [{}], [["x"]], ["-infinity", "y"]]
        for after in odd:
            for name in sections(stack, user):
                assert page(stack, user, p_section=name, p_after=after).status_code in (200, 400)

    def test_person_without_anything_downloads_a_profile(self, stack: Stack) -> None:
        user = stack.user()
        found = everything(stack, user)
        assert [name for name, rows in found.items() if rows] == ["profile"]


@pytest.mark.own_tables("names the tables of a new installation")
def test_every_table_about_people_is_in_it(stack: Stack) -> None:
    """All tables that refer to people, directly or by way of others."""
    rows = stack.all("""
        with recursive about (id) as (
          select 'auth.users'::regclass::oid
          union
          select c.conrelid from pg_constraint c join about a on a.id = c.confrelid
          where c.contype = 'f' and c.confdeltype = 'c')
        select c.relname as name from about a join pg_class c on c.oid = a.id
        where c.relnamespace::regnamespace::text in ('public', 'private')""")
    about = {row["name"] for row in rows} | {"usage_events"}
    assert about - set(sections(stack, stack.user())) - set(ELSEWHERE) == set()
