"""The list of one's conversations: titles, pins, deletion that can be undone, pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support.answers import text
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User

pytestmark = pytest.mark.installations

UPSERT = {"Prefer": "resolution=merge-duplicates"}


def page(api: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = api.post("/rpc/list_conversations", json=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def listed(api: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    return list(page(api, **parameters)["conversations"])


def keep(api: httpx.Client, conversation: UUID, **entry: Any) -> httpx.Response:
    row = {"conversation_id": str(conversation)} | entry
    return api.post("/conversation_entries", json=row, headers=UPSERT)


def long_ago(stack: Stack, conversation: UUID, days: int = 40) -> None:
    """As if it had been deleted so many days ago."""
    stack.db.execute(
        "update conversation_entries set deleted_at = deleted_at - make_interval(days => %s)"
        " where conversation_id = %s",
        (days, conversation),
    )
    for table in ("messages", "turns"):
        stack.db.execute(
            f"update public.{table} set created_at = created_at - make_interval(days => %s)"  # noqa: S608
            " where conversation_id = %s".encode(),
            (days + 1, conversation),
        )


def purge(stack: Stack) -> int:
    return int(stack.one("select purge_conversations() as n")["n"])


class TestTitle:
    @pytest.mark.parametrize(
        ("said", "title"),
        [
            (["Which coast is it?"], "Which coast is it?"),
            (["Hi", "Hello.", "Tell me about the lighthouse."], "Tell me about the lighthouse."),
            (["Hi", "Hello there, and welcome to the island."], "Hi"),
            (["*I knock.*\n\n`Is`   anybody there?"], "I knock. Is anybody there?"),
            (["\u202egnihtyna\u2066 <b>bold</b>"], "gnihtyna <b>bold</b>"),
            (["你还记得小提琴吗？"], "你还记得小提琴吗？"),
            (["# The harbour\n\nIt rains."], "The harbour It rains."),
            (["> Hello\n> there"], "Hello there"),
            (["~~Never~~ mind, Mara"], "Never mind, Mara"),
            (['*"Who goes there?"*'], "Who goes there?"),
            (["„Wer geht da?“"], "Wer geht da?"),
            (["「你还记得吗？」"], "你还记得吗？"),
            (['"Yes," he says, "no."'], '"Yes," he says, "no."'),
            (["Is 3 > 2, or #1 of them?"], "Is 3 > 2, or #1 of them?"),
            (["word " * 40], "word word word word word word word word word word word…"),
            (["x" * 8000], "x" * 59 + "…"),
            (["灯" * 300], "灯" * 59 + "…"),
        ],
    )
    def test_is_what_was_said_first(
        self, stack: Stack, ann: User, api: httpx.Client, said: list[str], title: str
    ) -> None:
        stack.conversation(ann, *said)
        (row,) = listed(api)
        assert row["title"] == title

    def test_is_missing_until_something_was_said(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        stack.conversation(ann)
        (row,) = listed(api)
        assert (row["title"], row["last_line"], row["character_name"]) == (None, None, "Mara Voss")

    def test_can_be_given_and_taken_back(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        here = stack.conversation(ann, "Which coast is it?")
        assert keep(api, here, title="  The\n\u202eGrey  Skerry ").status_code == 201
        assert listed(api)[0]["title"] == "The Grey Skerry"
        assert keep(api, here, title="").is_success
        assert listed(api)[0]["title"] == "Which coast is it?"

    def test_follows_an_edit_of_what_it_is_made_of(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        here = stack.conversation(ann, "Which coast is it?")
        stack.upstream.enqueue(text("The northern one."))
        stack.chat(ann, conversation_id=str(here), message="And the town?")
        message = stack.one(
            "select id from messages where conversation_id = %s and content = 'Which coast is it?'",
            here,
        )
        edit = {"action": "edit", "message_id": str(message["id"])}
        assert stack.chat(ann, **edit, message="What harbour is it?").status_code == 200
        assert listed(api)[0]["title"] == "What harbour is it?"


class TestList:
    def test_shows_the_last_line_of_a_turn(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        here = stack.conversation(ann)
        stack.upstream.enqueue(text("*She nods.*\n\nThe northern one."))
        stack.chat(ann, conversation_id=str(here), message="Which coast is it?")
        (row,) = listed(api)
        assert row["id"] == str(here)
        assert row["last_sender"] == "character"
        assert row["last_line"] == "She nods. The northern one."
        assert (row["character_name"], row["other_names"]) == ("Mara Voss", [])
        assert not row["is_pinned"]
        assert not row["is_branch"]

    def test_names_further_characters_in_their_order(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        here = stack.conversation(ann, "Which coast is it?")
        secret = stack.insert("characters", user_id=stack.user().id, name="Secret")
        others = [stack.insert("characters", user_id=ann.id, name=name) for name in ("Tom", "Ina")]
        for place, character in enumerate([secret, *reversed(others)]):
            stack.db.execute(
                "insert into conversation_characters (conversation_id, character_id, position)"
                " values (%s, %s, %s)",
                (here, character, place),
            )
        assert listed(api)[0]["other_names"] == ["Ina", "Tom"]

    def test_says_which_ones_are_branches(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        here = stack.conversation(ann, "Which coast is it?")
        message = stack.one("select id from messages where conversation_id = %s", here)
        body = {"action": "branch", "message_id": str(message["id"])}
        assert stack.chat(ann, **body).status_code == 200
        marks = {row["id"]: row["is_branch"] for row in listed(api)}
        assert marks.pop(str(here)) is False
        assert list(marks.values()) == [True]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100])
    def test_pages_have_each_conversation_once(
        self, stack: Stack, ann: User, api: httpx.Client, size: int
    ) -> None:
        made = [stack.conversation(ann, f"Number {number}") for number in range(7)]
        stack.db.execute(
            "update conversations set updated_at = now() where user_id = %s", (ann.id,)
        )
        for conversation in (made[1], made[4]):  # at the same time as the others
            keep(api, conversation, is_pinned=True)
        found, after = [], None
        while True:
            answer = page(api, p_limit=size, p_after=after)
            found += answer["conversations"]
            assert len(answer["conversations"]) <= size
            if (after := answer["next"]) is None:
                break
        assert [row["is_pinned"] for row in found] == [True] * 2 + [False] * 5
        assert {row["id"] for row in found} == {str(one) for one in made}
        assert len(found) == 7

    def test_the_newest_comes_first(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        made = [stack.conversation(ann) for _ in range(3)]
        stack.upstream.enqueue(text("Yes."))
        stack.chat(ann, conversation_id=str(made[0]), message="Hello")
        assert next(row["id"] for row in listed(api)) == str(made[0])

    def test_pins_end_at_a_hundred(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        stack.configure(limits={"default": {"rows_per_minute": 1000}})
        for _ in range(100):
            assert keep(api, stack.conversation(ann), is_pinned=True).status_code == 201
        one_more = stack.conversation(ann)
        answer = keep(api, one_more, is_pinned=True)
        assert (answer.status_code, answer.json()["hint"]) == (
            409,
            "The maximum is 100 pinned conversations.",
        )
        first = listed(api)[0]["id"]
        assert keep(api, UUID(first), is_pinned=False).is_success
        assert keep(api, one_more, is_pinned=True).is_success


class TestDeletion:
    def test_hides_it_and_can_be_undone(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        gone, left = stack.conversation(ann, "Gone"), stack.conversation(ann, "Left")
        keep(api, gone, title="Titled", is_pinned=True)
        assert keep(api, gone, is_deleted=True).is_success
        assert [row["id"] for row in listed(api)] == [str(left)]
        (trash,) = listed(api, p_deleted=True)
        assert (trash["id"], trash["title"]) == (str(gone), "Titled")
        assert trash["deleted_at"]
        assert keep(api, gone, is_deleted=False).is_success
        assert [row["id"] for row in listed(api)] == [str(gone), str(left)]
        assert listed(api, p_deleted=True) == []
        assert stack.said(gone) == [("user", "Gone")]

    def test_is_final_after_its_days(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        gone, recent = stack.conversation(ann, "Gone"), stack.conversation(ann, "Recent")
        keep(api, gone, is_deleted=True)
        keep(api, recent, is_deleted=True)
        long_ago(stack, gone)
        assert purge(stack) == 1
        assert [row["id"] for row in listed(api, p_deleted=True)] == [str(recent)]
        assert stack.all("select id from conversations where id = %s", gone) == []
        assert stack.said(gone) == []
        assert purge(stack) == 0

    def test_health_check_makes_it_final(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        made = [stack.conversation(ann, "Gone") for _ in range(25)]  # more than one batch
        for conversation in made:
            keep(api, conversation, is_deleted=True)
            long_ago(stack, conversation)
        assert stack.health_check().status_code == 200
        found = stack.one("select found from health_check_steps where step = 'purge'")["found"]
        assert found["conversations"] == 25
        assert stack.all("select id from conversations where user_id = %s", ann.id) == []

    def test_long_ones_are_purged_by_several_calls(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        """One call that took longer than a statement may would be undone, and repeated for ever."""
        for _ in range(3):
            gone = stack.conversation(ann, "Gone", "Indeed.")
            keep(api, gone, is_deleted=True)
            long_ago(stack, gone)
        query = "select purge_conversations(p_messages => 3) as n"
        assert [stack.one(query)["n"] for _ in range(3)] == [2, 1, 0]

    @pytest.mark.parametrize("days", [None, 60])
    def test_settings_say_when(
        self, stack: Stack, ann: User, api: httpx.Client, days: int | None
    ) -> None:
        stack.configure(retention={"deleted_days": days})
        gone = stack.conversation(ann, "Gone")
        keep(api, gone, is_deleted=True)
        long_ago(stack, gone, 50)
        assert purge(stack) == 0

    def test_who_writes_in_it_again_has_it_back(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        here = stack.conversation(ann, "Hello")
        keep(api, here, is_deleted=True)
        stack.upstream.enqueue(text("Yes."))
        assert stack.chat(ann, conversation_id=str(here), message="Still there?").status_code == 200
        assert [row["id"] for row in listed(api)] == [str(here)]
        stack.db.execute(
            "update conversation_entries set deleted_at = deleted_at - interval '40 days'"
        )
        assert purge(stack) == 1
        assert len(stack.said(here)) == 3
        assert [row["id"] for row in listed(api)] == [str(here)]

    def test_a_reply_on_its_way_does_not_bring_it_back(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        here = stack.conversation(ann)
        turn = uuid4()
        stack.db.execute(
            "select begin_turn(%s, %s, 'roleplay', 'send', %s, p_message => 'Hello')",
            (turn, ann.id, here),
        )
        keep(api, here, is_deleted=True)
        stack.db.execute("select finish_turn(%s, 'complete', 'Yes.')", (turn,))
        assert listed(api) == []
        assert keep(api, here, is_deleted=False).is_success
        assert listed(api)[0]["last_line"] == "Yes."

    def test_people_do_not_choose_the_time(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        here = stack.conversation(ann)
        assert keep(api, here, is_deleted=True, deleted_at="2020-01-01").status_code == 403


class TestOthers:
    def test_see_and_change_nothing(self, stack: Stack, ann: User, api: httpx.Client) -> None:
        here = stack.conversation(ann, "Mine")
        keep(api, here, title="Mine")
        with stack.data_api(stack.user()) as other:
            assert listed(other) == []
            assert listed(other, p_deleted=True) == []
            assert other.get("/conversation_entries").json() == []
            assert keep(other, here, title="Theirs").status_code == 403
            assert keep(other, here, is_deleted=True).status_code == 403
        with stack.data_api() as nobody:
            assert nobody.post("/rpc/list_conversations", json={}).status_code == 401
        assert listed(api)[0]["title"] == "Mine"

    @pytest.mark.parametrize(("banned", "status"), [(True, 403), (False, 401)])
    def test_blocked_accounts_read_nothing(
        self, stack: Stack, ann: User, api: httpx.Client, banned: bool, status: int
    ) -> None:
        here = stack.conversation(ann, "Mine")
        change = "banned_until = now() + interval '1 day'" if banned else "deleted_at = now()"
        stack.db.execute(f"update auth.users set {change} where id = %s".encode(), (ann.id,))  # noqa: S608
        assert api.post("/rpc/list_conversations", json={}).status_code == status
        assert keep(api, here, title="New").status_code == status

    def test_a_hidden_characters_name_is_not_shown(
        self, stack: Stack, ann: User, api: httpx.Client
    ) -> None:
        secret = stack.insert("characters", user_id=stack.user().id, name="Secret")
        stack.conversation(ann, "Hello", character_id=secret)
        assert listed(api)[0]["character_name"] is None


def test_a_page_reads_as_much_of_many_conversations_as_of_few(
    stack: Stack, ann: User, postgres: Postgres
) -> None:
    bob = stack.user()

    def work(count: int) -> int:
        """The rows read for a page of so many conversations of hers, and more of somebody else."""
        with postgres.connect("app", OWNER) as db:
            db.execute("set search_path = shared, public")
            for person, more in ((ann, count), (bob, 5_000)):
                db.execute(
                    "with made as (insert into conversations (user_id, character_id, updated_at)"
                    " select %s, %s, now() - n * interval '1 minute'"
                    " from generate_series(1, %s) n returning id)"
                    " insert into messages (conversation_id, sender, content)"
                    " select made.id, 'user', 'Hello there, keeper' from made",
                    (person.id, DEMO_CHARACTER, more),
                )
            db.execute("vacuum analyze")
            db.execute("select set_config('request.jwt.claim.sub', %s, false)", (str(ann.id),))
            with explained(db) as plans:
                found = db.execute("select public.list_conversations(20) as page").fetchall()
            assert len(found[0]["page"]["conversations"]) == 20
            return scanned(plans)

    few = work(100)
    assert work(2_000) < 2 * few
