"""What opens and closes the adult tier, and what users without a verified age see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support.answers import text
from tests.support.data_api import is_refused
from tests.support.postgres import Connection, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.talk import Talk
from tests.support.waiting import wait_until

PLAIN = "Good evening."
OPENING = "The author's opening."
ADULT: dict[str, Any] = {"age": 40, "content_rating": "nsfw"}
CLOSED: dict[str, dict[str, Any]] = {
    "minor": {"age": 15},
    "age-not-declared": {"age": None},
    "for-everybody": {"content_rating": "sfw"},
}
TASKS = ("roleplay", "storytelling", "prompt_enhancement")


@dataclass
class Cast:
    """A conversation between adults, for a user with a verified age: the adult tier is open."""

    talk: Talk

    @property
    def conversation(self) -> UUID:
        return self.talk.conversation

    def character(self, **columns: Any) -> UUID:
        """A character of the user."""
        row = {"user_id": self.talk.user.id, "name": f"Vera {uuid4().hex[:6]}"} | ADULT | columns
        return self.talk.stack.insert("characters", **row)

    def api(self) -> httpx.Client:
        """The Data API as the user."""
        return self.talk.stack.data_api(self.talk.user)

    def join(self, character: UUID, position: int = 1) -> None:
        """Adds a character, like a client."""
        row = {"conversation_id": str(self.conversation), "character_id": str(character)}
        with self.api() as api:
            assert api.post(
                "/conversation_characters", json=row | {"position": position}
            ).is_success

    def leave(self, character: UUID) -> None:
        """Removes a character, like a client."""
        member = {"character_id": f"eq.{character}"}
        with self.api() as api:
            assert api.delete("/conversation_characters", params=member).is_success

    def change(self, character: UUID, **columns: Any) -> None:
        """Changes a character, like its author. A product has no column for the age."""
        if self.talk.stack.is_adopted:
            for name, value in columns.items():
                change = f"update characters set {name} = %s where id = %s"  # noqa: S608
                self.talk.stack.db.execute(change.encode(), (value, character))
            return
        with self.api() as api:
            its = {"id": f"eq.{character}"}
            assert api.patch("/characters", params=its, json=columns).is_success

    def delete(self, character: UUID) -> None:
        """Deletes a character, like its author. A product keeps those in conversations."""
        with self.api() as api:
            answer = api.delete("/characters", params={"id": f"eq.{character}"})
        assert answer.is_success or (self.talk.stack.is_adopted and answer.status_code == 409)

    def meet(self) -> None:
        """A turn with whom is there now: where conversations are a product's, turns mark them."""
        if self.talk.stack.is_adopted:
            self.tier()

    def set(self, **columns: Any) -> None:
        """Changes the conversation with the secret key."""
        for name, value in columns.items():
            self.talk.stack.db.execute(
                f"update conversations set {name} = %s where id = %s".encode(),  # noqa: S608
                (value, self.conversation),
            )

    def tier(self, task: str = "roleplay", **body: Any) -> str:
        """The tier of a turn that requests the adult tier."""
        self.talk.stack.upstream.enqueue(text(PLAIN))
        return str(
            self.talk.reply("Go on.", task=task, content_tier="nsfw", **body)["content_tier"]
        )

    def first(self) -> UUID:
        """The conversation's first character."""
        row = self.talk.stack.one(
            "select character_id from conversations where id = %s", self.conversation
        )
        return UUID(str(row["character_id"]))


@pytest.fixture
def cast(talk: Talk) -> Cast:
    talk.stack.db.execute("update profiles set age_verified = true where id = %s", (talk.user.id,))
    cast = Cast(talk)
    cast.set(character_id=cast.character())
    return cast


@pytest.mark.parametrize("task", TASKS)
class TestEverybodyThere:
    """The conditions apply to every task and every participant."""

    def test_adults_alone_open_the_tier(self, cast: Cast, task: str) -> None:
        cast.join(cast.character())

        assert cast.tier(task, user_character_id=str(cast.character())) == "nsfw"

    @pytest.mark.parametrize("columns", CLOSED.values(), ids=CLOSED)
    def test_minor_as_first_character_closes_the_tier(
        self, cast: Cast, task: str, columns: dict[str, Any]
    ) -> None:
        cast.set(character_id=cast.character(**columns))

        assert cast.tier(task) == "sfw"

    @pytest.mark.parametrize("columns", CLOSED.values(), ids=CLOSED)
    def test_minor_as_further_character_closes_the_tier(
        self, cast: Cast, task: str, columns: dict[str, Any]
    ) -> None:
        cast.join(cast.character(**columns))

        assert cast.tier(task) == "sfw"

    @pytest.mark.parametrize("age", [15, None])
    def test_minor_as_persona_closes_the_tier(self, cast: Cast, task: str, age: int | None) -> None:
        cast.set(user_character_id=cast.character(age=age))

        assert cast.tier(task) == "sfw"

    @pytest.mark.parametrize("age", [15, None])
    def test_persona_of_one_request_closes_it(self, cast: Cast, task: str, age: int | None) -> None:
        assert cast.tier(task, user_character_id=str(cast.character(age=age))) == "sfw"

    @pytest.mark.parametrize("columns", CLOSED.values(), ids=CLOSED)
    def test_who_spoke_before_closes_it(
        self, cast: Cast, task: str, columns: dict[str, Any]
    ) -> None:
        gone = cast.character()
        cast.talk.stack.insert(
            "messages",
            conversation_id=cast.conversation,
            sender="character",
            character_id=gone,
            content="Hello.",
        )
        assert cast.tier(task) == "nsfw"
        cast.change(gone, **columns)

        assert cast.tier(task) == "sfw"

    def test_who_is_not_given_it_is_told_why(self, cast: Cast, task: str) -> None:
        cast.talk.stack.upstream.enqueue(text(PLAIN))
        given = cast.talk.reply("Go on.", task=task, content_tier="nsfw")
        assert (given["content_tier"], given["notice"]) == ("nsfw", None)
        cast.set(content_tier="sfw")
        cast.talk.stack.upstream.enqueue(text(PLAIN))
        lowered = cast.talk.reply("Go on.", task=task, content_tier="nsfw")
        assert lowered["content_tier"] == "sfw"
        assert lowered["notice"].startswith("This conversation is not for adult content")

    def test_setting_of_the_conversation_closes_it(self, cast: Cast, task: str) -> None:
        cast.set(content_tier="sfw")

        assert cast.tier(task) == "sfw"


@pytest.mark.parametrize("task", ["storytelling", "prompt_enhancement"])
class TestNamedInTheRequest:
    """Tasks without a speaker name the characters they are about."""

    @pytest.mark.parametrize("in_conversation", [True, False])
    @pytest.mark.parametrize("columns", CLOSED.values(), ids=CLOSED)
    def test_minor_named_in_the_request_closes_the_tier(
        self, cast: Cast, task: str, columns: dict[str, Any], in_conversation: bool
    ) -> None:
        body = {} if in_conversation else {"conversation_id": None}

        named = str(cast.character(**columns))

        assert cast.tier(task, character_id=named, **body) == "sfw"
        assert cast.tier(task, character_id=str(cast.character()), **body) == (
            "sfw" if in_conversation and columns.get("age") == 15 else "nsfw"
        )

    def test_nobody_knows_the_age_of_one_who_does_not_exist(self, cast: Cast, task: str) -> None:
        assert cast.tier(task, character_id=str(uuid4())) == "sfw"


def take_age_back(cast: Cast, minor: UUID) -> None:
    cast.change(minor, age=None)
    cast.change(minor, age=30)


def grow_and_go(cast: Cast, minor: UUID) -> None:
    cast.change(minor, age=30)
    cast.delete(minor)


Leaving = Callable[[Cast, UUID], None]
LEAVINGS: dict[str, Leaving] = {
    "stays": lambda cast, minor: None,
    "removed": lambda cast, minor: cast.leave(minor),
    "deleted": lambda cast, minor: cast.delete(minor),
    "grown": lambda cast, minor: cast.change(minor, age=30),
    "age-taken-back": take_age_back,
    "grown-and-deleted": grow_and_go,
}


@pytest.mark.installations
@pytest.mark.parametrize("leave", LEAVINGS.values(), ids=LEAVINGS)
class TestMinorOnce:
    """A declared age below 18 keeps the conversation `sfw`, whatever happens later."""

    def test_minor_who_joined_and_left_keeps_it_sfw(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character(age=15)
        cast.join(minor)
        leave(cast, minor)

        assert {cast.tier(task) for task in TASKS} == {"sfw"}

    def test_minor_who_was_first_and_left_keeps_it_sfw(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character(age=15)
        cast.set(character_id=minor)
        cast.meet()
        leave(cast, minor)
        cast.set(character_id=cast.character())

        assert cast.tier() == "sfw"

    def test_minor_who_was_played_keeps_it_sfw(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character(age=15)
        with cast.api() as api:
            its = {"id": f"eq.{cast.conversation}"}
            for persona in (str(minor), None):
                assert api.patch(
                    "/conversations", params=its, json={"user_character_id": persona}
                ).is_success
                cast.meet()
        leave(cast, minor)

        assert cast.tier() == "sfw"

    def test_who_was_played_in_one_request(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character(age=15)
        cast.tier(user_character_id=str(minor))
        leave(cast, minor)

        assert cast.tier() == "sfw"

    def test_whose_age_was_declared_afterwards(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character()
        cast.join(minor)
        cast.change(minor, age=15)
        leave(cast, minor)

        assert cast.tier() == "sfw"

    def test_who_had_been_played_by_then(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character()
        assert cast.tier(user_character_id=str(minor)) == "nsfw"
        cast.change(minor, age=15)
        leave(cast, minor)

        assert cast.tier() == "sfw"

    def test_who_had_spoken_and_left_by_then(self, cast: Cast, leave: Leaving) -> None:
        minor = cast.character()
        cast.join(minor)
        assert cast.tier(character_id=str(minor)) == "nsfw"
        cast.leave(minor)
        cast.change(minor, age=15)
        leave(cast, minor)

        assert cast.tier() == "sfw"

    def test_conversation_that_began_with_a_minor_stays_sfw(
        self, cast: Cast, leave: Leaving
    ) -> None:
        minor = cast.character(age=15)
        row = {"user_id": str(cast.talk.user.id), "character_id": str(minor)}
        with cast.api() as api:
            api.headers["Prefer"] = "return=representation"
            (conversation,) = api.post("/conversations", json=row).json()
        cast.talk.conversation = UUID(conversation["id"])
        cast.meet()
        leave(cast, minor)
        cast.set(character_id=cast.character())

        assert cast.tier() == "sfw"


class TestMark:
    def test_branch_inherits_the_mark(self, cast: Cast) -> None:
        assert cast.tier() == "nsfw"
        minor = cast.character(age=15)
        cast.join(minor)
        cast.leave(minor)
        newest = cast.talk.stack.one("select id from messages order by position desc limit 1")["id"]
        answer = cast.talk.stack.chat(
            cast.talk.user, action="branch", message_id=str(newest), client_message_id="b"
        )
        cast.talk.conversation = UUID(answer.json()["conversation_id"])

        assert cast.tier() == "sfw"

    @pytest.mark.own_tables("there it is in a table of ours that nobody sees")
    def test_people_do_not_write_it(self, cast: Cast) -> None:
        its = {"id": f"eq.{cast.conversation}"}
        with cast.api() as api:
            assert is_refused(api.patch("/conversations", params=its, json={"always_sfw": False}))
            row = {"user_id": str(cast.talk.user.id), "always_sfw": False}
            assert is_refused(api.post("/conversations", json=row))

    def test_conversations_of_others_with_the_character_have_it_too(self, cast: Cast) -> None:
        shared = cast.character(is_public=True)
        stack, other = cast.talk.stack, cast.talk.stack.user(age_verified=True)
        elsewhere = stack.conversation(other, character_id=shared)
        cast.change(shared, age=15)
        cast.change(shared, age=30)

        rows = stack.all("select id from conversations where always_sfw")
        assert [row["id"] for row in rows] == [elsewhere]

    def test_conversations_of_others_stay_where_they_are_in_the_list(self, cast: Cast) -> None:
        shared = cast.character(is_public=True)
        stack, other = cast.talk.stack, cast.talk.stack.user(age_verified=True)
        elsewhere = stack.conversation(other, "Hello.", character_id=shared)
        query = "select updated_at from conversations where id = %s"
        before = stack.one(query, elsewhere)
        cast.change(shared, age=15)
        marked = "select always_sfw from shared.conversations where id = %s"
        assert stack.one(marked, elsewhere) == {"always_sfw": True}
        assert stack.one(query, elsewhere) == before
        cast.delete(shared)
        assert stack.one(query, elsewhere) == before

    @pytest.mark.own_tables(
        "there any speaker who is deleted closes it: nobody knows what they were"
    )
    def test_adults_who_change_or_go_leave_none(self, cast: Cast) -> None:
        adult = cast.character()
        cast.join(adult)
        assert cast.tier(character_id=str(adult)) == "nsfw"
        cast.change(adult, age=41)
        cast.delete(adult)

        assert cast.tier() == "nsfw"

    @pytest.mark.parametrize("columns", [{"age": None}, {"content_rating": "sfw"}])
    def test_one_who_spoke_and_closed_the_tier_closes_it_when_deleted(
        self, cast: Cast, columns: dict[str, Any]
    ) -> None:
        unknown = cast.character(**columns)
        cast.join(unknown)
        assert cast.tier(character_id=str(unknown)) == "sfw"
        cast.leave(unknown)
        cast.delete(unknown)

        assert cast.tier() == "sfw"

    def test_one_who_never_spoke_does_not(self, cast: Cast) -> None:
        unknown = cast.character(age=None)
        cast.join(unknown)
        assert cast.tier() == "sfw"
        cast.delete(unknown)

        assert cast.tier() == "nsfw"

    @pytest.mark.own_tables("there an account stays whose characters are in conversations")
    def test_account_that_goes_takes_its_characters_along(self, cast: Cast) -> None:
        stack, author = cast.talk.stack, cast.talk.stack.user()
        shared = stack.insert("characters", user_id=author.id, name="Nina", is_public=True)
        own = stack.conversation(author, "Hello.", "Welcome.", character_id=shared)
        cast.set(character_id=shared)
        assert cast.tier() == "sfw"
        stack.db.execute("delete from auth.users where id = %s", (author.id,))

        assert stack.all("select id from conversations where id = %s", own) == []
        cast.set(character_id=cast.character())
        assert cast.tier() == "sfw"

    @pytest.mark.own_tables("there a turn marks a conversation, and not its beginning")
    def test_age_that_changes_while_a_conversation_begins_is_not_missed(
        self, cast: Cast, postgres: Postgres
    ) -> None:
        shared = cast.character()
        with postgres.connect("app") as beginning, ThreadPoolExecutor(1) as elsewhere:
            with beginning.transaction():
                beginning.execute(
                    "insert into conversations (user_id, character_id) values (%s, %s)",
                    (cast.talk.user.id, shared),
                )
                changed = elsewhere.submit(cast.change, shared, age=15)
                wait_until(lambda: _waits(cast.talk.stack.db), "the change to wait")
            changed.result()

        assert cast.talk.stack.all("select from conversations where always_sfw")


def _waits(db: Connection) -> bool:
    query = "select from pg_stat_activity where wait_event_type = 'Lock'"
    return bool(db.execute(query.encode()).fetchall())


# --- who sees what ----------------------------------------------------------------------------


@dataclass
class Meeting:
    """Another user's public character rated nsfw, and a user without a verified age."""

    stack: Stack
    author: User
    person: User
    character: UUID

    def running(self, user: User | None = None, *said: str) -> UUID:
        """A conversation with the character that started earlier."""
        return self.stack.conversation(user or self.person, *said, character_id=self.character)


@pytest.fixture
def meeting(stack: Stack) -> Meeting:
    author, person = stack.user(), stack.user()
    texts = {"description": "What adults read.", "first_message": OPENING}
    character = stack.insert(
        "characters", user_id=author.id, name="Vera", is_public=True, **ADULT, **texts
    )
    return Meeting(stack, author, person, character)


class TestNotVerified:
    """Such users cannot find or use these characters."""

    @pytest.fixture
    def api(self, meeting: Meeting) -> Iterator[httpx.Client]:
        with meeting.stack.data_api(meeting.person) as api:
            yield api

    def test_data_api_hides_nsfw_characters(self, meeting: Meeting, api: httpx.Client) -> None:
        found = api.get("/characters", params={"select": "id"}).json()
        assert [row["id"] for row in found] == [str(DEMO_CHARACTER)]

    def test_reads_no_text_by_way_of_a_conversation(
        self, meeting: Meeting, api: httpx.Client
    ) -> None:
        meeting.running()
        embedded = "id,characters!conversations_character_id_fkey(description)"
        (row,) = api.get("/conversations", params={"select": embedded}).json()
        assert row["characters"] is None

    @pytest.mark.own_tables("its policies let a conversation name any character")
    def test_no_turn_begins_with_an_nsfw_character(
        self, meeting: Meeting, api: httpx.Client
    ) -> None:
        mine = {"user_id": str(meeting.person.id)}
        vera = str(meeting.character)
        conversation = str(meeting.stack.conversation(meeting.person))
        member = {"conversation_id": conversation, "character_id": vera, "position": 1}
        assert is_refused(api.post("/conversations", json=mine | {"character_id": vera}))
        assert is_refused(api.post("/conversations", json=mine | {"user_character_id": vera}))
        assert is_refused(api.post("/conversation_characters", json=member))
        its = {"id": f"eq.{conversation}"}
        assert is_refused(api.patch("/conversations", params=its, json={"user_character_id": vera}))
        assert is_refused(
            api.post("/memories", json=mine | {"tier": "character", "character_id": vera})
        )

    @pytest.mark.parametrize(
        ("named", "code"),
        [("character_id", "character_not_found"), ("user_character_id", "persona_not_found")],
    )
    def test_unverified_user_has_no_turn_with_them(
        self, meeting: Meeting, named: str, code: str
    ) -> None:
        conversation = meeting.stack.insert("conversations", user_id=meeting.person.id)
        body = {"character_id": str(DEMO_CHARACTER), named: str(meeting.character)}
        answer = meeting.stack.chat(
            meeting.person, conversation_id=str(conversation), message="Hello", **body
        )
        assert (answer.status_code, answer.json()["code"]) == (404, code)

    def test_exports_no_card_of_theirs(self, meeting: Meeting) -> None:
        export = {"action": "export_card", "character_id": str(meeting.character)}
        answers = [
            meeting.stack.chat(user, **export).status_code
            for user in (meeting.person, meeting.author, meeting.stack.user(age_verified=True))
        ]
        assert answers == [404, 200, 200]

    @pytest.mark.own_tables("its policies and columns are its own")
    def test_verified_person_and_author_find_them(self, meeting: Meeting) -> None:
        for user in (meeting.author, meeting.stack.user(age_verified=True)):
            with meeting.stack.data_api(user) as api:
                its = {"id": f"eq.{meeting.character}"}
                (row,) = api.get("/characters", params=its).json()
                assert row["first_message"] == OPENING
                begun = {"user_id": str(user.id), "character_id": str(meeting.character)}
                assert api.post("/conversations", json=begun).is_success


@pytest.mark.installations
class TestRunningConversation:
    """Running conversations continue as `sfw`."""

    def turn(self, meeting: Meeting, conversation: UUID, **body: Any) -> httpx.Response:
        meeting.stack.upstream.enqueue(text(PLAIN))
        user = body.pop("user", meeting.person)
        return meeting.stack.chat(user, conversation_id=str(conversation), **body)

    def test_running_conversation_continues_as_sfw(self, meeting: Meeting) -> None:
        conversation = meeting.running(None, "Hello.", "Welcome.")
        answer = self.turn(meeting, conversation, message="Go on.", content_tier="nsfw").json()
        assert (answer["response"], answer["content_tier"]) == (PLAIN, "sfw")

    def test_model_opens_it_and_not_the_author(self, meeting: Meeting) -> None:
        answer = self.turn(meeting, meeting.running(), kickoff=True)
        assert answer.json()["response"] == PLAIN

    def test_greeting_that_is_chosen_is_refused_with_a_sentence(self, meeting: Meeting) -> None:
        answer = self.turn(meeting, meeting.running(), kickoff=True, greeting=0)
        assert (answer.status_code, answer.json()["code"]) == (403, "age_verification_required")
        assert answer.json()["error"].startswith("This greeting requires a verified age.")

    def test_author_is_greeted(self, meeting: Meeting) -> None:
        conversation = meeting.running(meeting.author)
        answer = self.turn(meeting, conversation, user=meeting.author, kickoff=True)
        assert (answer.json()["response"], answer.json()["content_tier"]) == (OPENING, "sfw")

    def test_verified_person_is_greeted(self, meeting: Meeting) -> None:
        user = meeting.stack.user(age_verified=True)
        answer = self.turn(meeting, meeting.running(user), user=user, kickoff=True)
        assert answer.json()["response"] == OPENING

    def test_settings_can_be_changed(self, meeting: Meeting) -> None:
        conversation = meeting.stack.conversation(
            meeting.person, user_character_id=meeting.character
        )
        meeting.stack.db.execute(
            "insert into conversation_characters values (%s, %s, 1)",
            (conversation, meeting.character),
        )
        with meeting.stack.data_api(meeting.person) as api:
            its = {"id": f"eq.{conversation}"}
            assert api.patch("/conversations", params=its, json={"title": "Fog"}).is_success
            member = {"conversation_id": f"eq.{conversation}"}
            moved = api.patch("/conversation_characters", params=member, json={"position": 2})
            assert moved.is_success
            row = meeting.stack.one("select title from conversations where id = %s", conversation)
            assert row == {"title": "Fog"}

    def test_persona_of_a_running_conversation_stays(self, meeting: Meeting) -> None:
        conversation = meeting.stack.conversation(
            meeting.person, user_character_id=meeting.character
        )
        assert self.turn(meeting, conversation, message="Hello.").status_code == 200

    def test_name_is_all_that_is_seen(self, meeting: Meeting) -> None:
        conversation = meeting.running()
        assert self.turn(meeting, conversation, message="Hello.").status_code == 200
        with meeting.stack.data_api(meeting.person) as api:
            assert api.get("/companions").json() == [
                {
                    "conversation_id": str(conversation),
                    "character_id": str(meeting.character),
                    "name": "Vera",
                }
            ]
        with meeting.stack.data_api(meeting.stack.user()) as api:
            assert api.get("/companions").json() == []
