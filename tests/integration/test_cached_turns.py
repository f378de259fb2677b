"""What an instance has of a conversation is not read again, and nothing that changed is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs
from psycopg.types.json import Jsonb

from roleplay_chat import turn_store
from roleplay_chat.rows import MessageRow
from roleplay_chat.turn_cache import CachedTurn, complete
from tests.support.answers import reply, text
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User
from tests.support.talk import Talk


class Refused(Exception):
    """A turn was not begun."""


class Instance:
    """An instance of the function with a copy of one conversation."""

    def __init__(self, stack: Stack, user: User, conversation: UUID) -> None:
        self._stack = stack
        self._user = user
        self._conversation = conversation
        self._copy = CachedTurn()
        self.read: list[str] = []
        """The messages that the last turn read."""
        self.bytes = 0
        """What the database sent for it."""

    def begin(self, message: str | None = "And now?", **more: Any) -> dict[str, Any]:
        """Begin a turn; its rows with the whole history, compared with what it would be without the
        copy."""
        parameters = {"p_action": "send", "p_message": message} | more
        fresh = self._fresh(parameters)
        begun = self._call(parameters | {"p_known": Jsonb(self._copy.known)})
        assert begun["outcome"] == "started", begun
        self.bytes = len(json.dumps(begun, ensure_ascii=False).encode())
        self.read = begun["history"]["content"]
        self._copy = complete(begun, self._copy)
        same: tuple[str, ...] = (
            "history",
            "is_cut",
            "preceding",
            "recalled",
            "character",
            "persona",
            "others",
            "lorebooks",
        )
        same += ("templates", "models", "moderation_models", "embedding_models")
        same += ("facts", "settings", "variables", "workers", "cooldowns")
        assert {name: begun[name] for name in same} == {name: fresh[name] for name in same}
        is_cut = (begun["copy"] or begun)["is_cut"]
        assert is_cut == (fresh["copy"] or fresh)["is_cut"]
        (memory, backlog), (fresh_memory, fresh_backlog) = _memory(begun), _memory(fresh)
        assert memory == fresh_memory
        cast, fresh_cast = (sorted(map(str, one["cast"])) for one in (begun, fresh))
        if is_cut:
            # Those count who wrote what the instance has, although it has no room any more.
            assert set(cast) >= set(fresh_cast)
        else:
            assert cast == fresh_cast
        # What was said since may come later.
        assert (bool(backlog), backlog) == (bool(fresh_backlog), fresh_backlog[: len(backlog)])
        return begun

    def turn(
        self,
        message: str | None = "And now?",
        reply: str = "Now this.",
        end: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """A whole turn. `end` are further arguments of finish_turn."""
        begun = self.begin(message, **more)
        given = {"p_turn_id": UUID(begun["turn"]["id"]), "p_status": "complete", "p_reply": reply}
        given |= {name: Jsonb(value) for name, value in (end or {}).items()}
        arguments = ", ".join(f"{name} => %s" for name in given)
        self._stack.one(f"select finish_turn({arguments})", *given.values())

    def asked_by(self, user: User) -> dict[str, Any]:
        """The outcome of a turn of somebody, told what this instance knows."""
        parameters = {"p_action": "send", "p_message": "And I?", "p_user_id": user.id}
        return self._call(parameters | {"p_known": Jsonb(self._copy.known)})

    def _fresh(self, parameters: dict[str, Any]) -> dict[str, Any]:
        begun: dict[str, Any] = {}
        with self._stack.db.transaction(force_rollback=True):
            begun |= self._call(parameters)
            if begun["outcome"] != "started":
                raise Refused(begun["outcome"])
            complete(begun, CachedTurn())
        return begun

    def _call(self, parameters: dict[str, Any]) -> dict[str, Any]:
        given = {
            "p_turn_id": uuid4(),
            "p_user_id": self._user.id,
            "p_task": "roleplay",
            "p_conversation_id": self._conversation,
        } | parameters
        arguments = ", ".join(f"{name} => %s" for name in given)
        return dict(
            self._stack.one(f"select begin_turn({arguments}) as begun", *given.values())["begun"]
        )

    def all(self) -> list[UUID]:
        """The ids of the messages, oldest first."""
        rows = self._stack.all(
            "select id from messages where conversation_id = %s and is_active order by position",
            self._conversation,
        )
        return [row["id"] for row in rows]


def _memory(begun: dict[str, Any]) -> tuple[dict[str, Any] | None, list[MessageRow]]:
    """The memory of a turn, and the messages that are in no summary. The position of the turn's own
    message differs from call to call."""
    memory, own = begun["memory"], begun["turn"]["position"]
    if memory is None:
        return None, []
    backlog = [
        replace(row, position=-1) if row.position == own else row for row in memory["backlog"]
    ]
    return {**memory, "backlog": None}, backlog


SAID = [f"word{number} is message {number}." for number in range(12)]


@pytest.fixture
def user(stack: Stack) -> User:
    stack.configure(limits={"default": {}})
    return stack.user("Ada")


@pytest.fixture
def conversation(stack: Stack, user: User) -> UUID:
    return stack.conversation(user, *SAID)


@pytest.fixture
def instance(stack: Stack, user: User, conversation: UUID) -> Instance:
    """One that has answered a turn of the conversation."""
    # An entry that counts messages, so that those before the history are counted.
    waits = Jsonb({"entries": [{"keys": [], "content": "x", "extensions": {"delay": 5}}]})
    stack.insert("lorebooks", user_id=str(user.id), content=waits)
    instance = Instance(stack, user, conversation)
    instance.turn()
    return instance


@pytest.mark.installations
def test_no_statement_of_a_turn_is_planned_in_every_call(
    postgres: Postgres, instance: Instance, user: User, conversation: UUID
) -> None:
    """Before its version 18, Postgres plans the statements of a function in SQL each time it is
    called, unless they become part of the statement that calls it."""
    called = (
        "select s.funcname as name from pg_stat_xact_user_functions s"
        " join pg_proc p on p.oid = s.funcid join pg_language l on l.oid = p.prolang"
        " where l.lanname = 'sql'"
    )
    turn = {"turn": uuid4(), "user": user.id, "conversation": conversation}
    with postgres.connect("app", OWNER) as db, db.transaction(force_rollback=True):
        db.execute("set local track_functions = 'all'")
        begun = db.execute(
            "select begin_turn(%(turn)s, %(user)s, 'roleplay', 'send', %(conversation)s,"
            " p_message => 'Where did Andreas hide the old lamp?') ->> 'outcome' as outcome",
            turn,
        ).fetchone()
        assert begun == {"outcome": "started"}
        usage = [{"provider": "x", "model_key": "x", "outcome": "ok", "duration_ms": 1}]
        ended = db.execute(
            "select finish_turn(%(turn)s, 'complete', 'In the well.', p_usage => %(usage)s,"
            " p_prompt => '{}') ->> 'outcome' as outcome",
            turn | {"usage": Jsonb(usage)},
        ).fetchone()
        assert ended == {"outcome": "saved"}
        assert {row["name"] for row in db.execute(called)} == {"most_history_bytes"}


def test_the_next_turn_reads_only_the_last_one(instance: Instance) -> None:
    assert instance.read == SAID
    for _ in range(3):
        instance.turn()
        assert instance.read == ["And now?", "Now this."]


def test_turns_of_another_instance_are_read(
    stack: Stack, user: User, conversation: UUID, instance: Instance
) -> None:
    for _ in range(20):
        Instance(stack, user, conversation).turn("And elsewhere?", "Elsewhere that.")
    instance.turn()
    assert instance.read == ["And now?", "Now this.", *["And elsewhere?", "Elsewhere that."] * 20]


def test_the_function_reads_only_what_is_new_and_models_read_everything(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []

    def spied(begun: dict[str, Any], copy: CachedTurn) -> CachedTurn:
        read.append(begun["history"]["content"])
        return complete(begun, copy)

    monkeypatch.setattr(turn_store, "complete", spied)
    talk.stack.upstream.always(text("Aye."))
    for said in ("One.", "Two.", "Three."):
        talk.reply(said)
    assert read == [[], ["One.", "Aye."], ["Two.", "Aye."]]
    prompt = [row["content"] for row in talk.stack.upstream.calls[-1].json["messages"]]
    assert prompt[1:] == ["One.", "Aye.", "Two.", "Aye.", "Three."]


def test_turn_that_does_not_fit_the_copy_is_closed(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(begun: dict[str, Any], copy: CachedTurn) -> CachedTurn:
        raise KeyError("position")

    talk.stack.upstream.always(text("Aye."))
    talk.reply("One.")
    talk.reply("Two.")
    with monkeypatch.context() as patched:
        patched.setattr(turn_store, "complete", broken)
        assert talk.say("Three.").status_code == 500
    assert talk.reply("Four.")["response"] == "Aye."
    turns = talk.stack.all("select status from turns order by created_at")
    assert [row["status"] for row in turns] == ["complete", "complete", "failed", "complete"]


def test_copy_that_the_database_refuses_is_used_only_once(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(begun: dict[str, Any], copy: CachedTurn) -> CachedTurn:
        kept = complete(begun, copy)
        return structs.replace(kept, stamp={**kept.stamp, "upto": "nowhere"})

    talk.stack.upstream.always(text("Aye."))
    talk.reply("One.")
    with monkeypatch.context() as patched:
        patched.setattr(turn_store, "complete", broken)
        talk.reply("Two.")
    assert talk.say("Three.").status_code == 500
    assert talk.reply("Four.")["response"] == "Aye."


# Whose it is -----------------------------------------------------------------------------------


def test_somebody_else_gets_nothing(stack: Stack, instance: Instance) -> None:
    assert instance.asked_by(stack.user("Ben")) == {"outcome": "conversation_not_found"}


def test_a_suspended_account_gets_nothing(stack: Stack, user: User, instance: Instance) -> None:
    suspend = "update auth.users set banned_until = now() + interval '1 day' where id = %s"
    stack.db.execute(suspend, [user.id])
    assert instance.asked_by(user) == {"outcome": "banned_user"}


def test_another_conversation_of_the_same_id_is_another(
    stack: Stack, user: User, conversation: UUID, instance: Instance
) -> None:
    stack.db.execute("delete from public.conversations where id = %s", [conversation])
    stack.conversation(user, *["Something else."] * 12, id=conversation)
    instance.turn()
    assert instance.read == ["Something else."] * 12


def test_a_branch_is_another_conversation(stack: Stack, user: User, instance: Instance) -> None:
    branched = stack.one(
        "select branch_conversation(%s, %s, 'a') as made", user.id, instance.all()[6]
    )["made"]
    branch = Instance(stack, user, UUID(branched["conversation_id"]))
    branch.turn()
    assert branch.read == SAID[:7]
    branch.turn()
    instance.turn()
    assert branch.read == instance.read == ["And now?", "Now this."]


# What changed ---------------------------------------------------------------------------------


def edit(stack: Stack, user: User, message: UUID) -> None:
    stack.one("select edit_message(%s, %s, 'Edited.', 1000)", user.id, message)


def delete(stack: Stack, user: User, message: UUID) -> None:
    stack.one("select delete_messages(%s, %s, false)", user.id, message)


def take_back(stack: Stack, user: User, message: UUID) -> None:
    stack.one("select delete_messages(%s, %s, true)", user.id, message)


def hide(stack: Stack, user: User, message: UUID) -> None:
    stack.one("select hide_message(%s, %s, true)", user.id, message)


def show(stack: Stack, user: User, message: UUID) -> None:
    stack.one("select hide_message(%s, %s, false)", user.id, message)


def overwrite(stack: Stack, user: User, message: UUID) -> None:
    """Another program changes it."""
    stack.db.execute("update public.messages set content = 'Other.' where id = %s", [message])


def remove(stack: Stack, user: User, message: UUID) -> None:
    """Another program deletes it."""
    stack.db.execute("delete from public.messages where id = %s", [message])


def insert_before(stack: Stack, user: User, message: UUID) -> None:
    """Another program writes a message, which was given its place long ago."""
    stack.db.execute(
        "insert into public.messages (conversation_id, sender, content, position)"
        " overriding system value"
        " select m.conversation_id, 'user', 'Late.', m.position - 1 from public.messages m"
        " where m.id = %s and not exists (select from public.messages o"
        "  where o.conversation_id = m.conversation_id and o.position = m.position - 1)",
        [message],
    )


def correct(stack: Stack, user: User, message: UUID) -> None:
    """An operator changes it while most triggers are off, as when a dump is loaded."""
    with stack.db.transaction():
        stack.db.execute("set local session_replication_role = replica")
        overwrite(stack, user, message)


def summarise(stack: Stack, user: User, message: UUID) -> None:
    stack.db.execute(
        "insert into conversation_summaries (conversation_id, content, covers_position)"
        " select conversation_id, 'They met.', position from messages where id = %s"
        " on conflict (conversation_id) do update"
        " set covers_position = excluded.covers_position",
        [message],
    )


Change = Callable[[Stack, User, UUID], None]
CHANGES: list[Change] = [
    *(edit, delete, take_back, hide, show, overwrite, remove, insert_before, correct, summarise),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", [0, 5, 10, 13])
def test_a_change_is_seen(
    stack: Stack, user: User, instance: Instance, change: Change, place: int
) -> None:
    instance.turn()
    change(stack, user, instance.all()[place])
    instance.turn()  # compares with what the database has
    instance.turn()


@pytest.mark.parametrize("table", ["messages", "hidden_messages"])
def test_everything_is_removed_at_once(
    stack: Stack, user: User, instance: Instance, table: str
) -> None:
    hide(stack, user, instance.all()[5])
    instance.turn()
    with stack.db.transaction(force_rollback=True):
        # Others refer to it, in a new installation also the conversations.
        stack.db.execute("set local session_replication_role = replica")
        stack.db.execute(f"truncate public.{table} cascade".encode())
        known = stack.all("select from private.conversation_versions")
    assert known == []
    stack.db.execute(f"delete from public.{table}".encode())  # noqa: S608
    instance.turn()


@pytest.mark.installations
def test_hidden_message_is_exchanged_for_another(
    stack: Stack, user: User, conversation: UUID, instance: Instance
) -> None:
    """Another program moves the row."""
    hide(stack, user, instance.all()[4])
    instance.turn()
    for place in (8, 2):
        other = stack.all("select position from messages order by position")[place]["position"]
        stack.db.execute("update public.hidden_messages set position = %s", [other])
        instance.turn()


@pytest.fixture
def triggers(stack: Stack) -> Iterator[None]:
    """The triggers are as they were after the test."""
    yield
    for table in ("messages", "hidden_messages"):
        stack.db.execute(f"alter table public.{table} enable trigger user".encode())
    stack.db.execute("select private.watch_messages()")


OFF = "alter table public.messages disable trigger user"
ON = "alter table public.messages enable trigger user"
WATCH = "select private.watch_messages()"


@pytest.mark.installations
@pytest.mark.usefixtures("triggers")
class TestTriggersThatWereOff:
    """As in large corrections. Whatever is corrected, no turn uses the old text."""

    @pytest.mark.parametrize("afterwards", [[ON], [ON, WATCH]])
    def test_change_meanwhile_is_seen(
        self, stack: Stack, user: User, instance: Instance, afterwards: list[str]
    ) -> None:
        with stack.db.transaction():
            stack.db.execute(OFF)
            overwrite(stack, user, instance.all()[4])
            for statement in afterwards:
                stack.db.execute(statement.encode())
        instance.turn()
        instance.turn()

    def test_change_by_a_replica_afterwards_is_seen(
        self, stack: Stack, user: User, instance: Instance
    ) -> None:
        """Once off and on again, they do not run always."""
        stack.db.execute(OFF)
        stack.db.execute(ON)
        instance.turn()
        correct(stack, user, instance.all()[4])
        instance.turn()

    @pytest.mark.parametrize(
        ("table", "trigger"),
        [
            ("messages", "a_note_changed"),
            ("messages", "a_note_moved"),
            ("hidden_messages", "hidden_messages_note_added"),
        ],
    )
    def test_turns_meanwhile_keep_nothing(
        self, stack: Stack, user: User, instance: Instance, table: str, trigger: str
    ) -> None:
        stack.db.execute(f"alter table public.{table} disable trigger {trigger}".encode())
        instance.turn()
        hide(stack, user, instance.all()[3])
        overwrite(stack, user, instance.all()[4])
        instance.turn()
        stack.db.execute(WATCH)
        instance.turn()

    def test_histories_are_kept_again(self, stack: Stack, instance: Instance) -> None:
        stack.db.execute(OFF)
        stack.db.execute(ON)
        for _ in range(2):
            instance.turn()
            assert len(instance.read) > len(SAID)
        stack.db.execute(WATCH)
        instance.turn()
        instance.turn()
        assert instance.read == ["And now?", "Now this."]

    def test_trigger_that_was_made_again_is_another(
        self, stack: Stack, user: User, instance: Instance
    ) -> None:
        made = stack.one(
            "select pg_get_triggerdef(oid) as made from pg_trigger where tgname = 'a_note_changed'"
        )["made"]
        with stack.db.transaction():
            stack.db.execute("drop trigger a_note_changed on public.messages")
            overwrite(stack, user, instance.all()[4])
            stack.db.execute(made.encode())
            stack.db.execute(WATCH)
        instance.turn()


def back_up(stack: Stack, conversation: UUID) -> Callable[[], None]:
    """A function that sets a conversation, and the positions of messages, back to how they are."""
    texts = stack.all(
        "select id, content from public.messages where conversation_id = %s", conversation
    )
    version = stack.one(
        "select newest, changes, changed from private.conversation_versions"
        " where conversation_id = %s",
        conversation,
    )
    positions = stack.positions
    last = stack.one(f"select last_value from {positions}")["last_value"]  # noqa: S608

    def restore() -> None:
        with stack.db.transaction():
            stack.db.execute(
                "delete from public.messages where conversation_id = %s and id <> all (%s)",
                [conversation, [row["id"] for row in texts]],
            )
            for row in texts:
                stack.db.execute(
                    "update public.messages set content = %s where id = %s and content <> %s",
                    [row["content"], row["id"], row["content"]],
                )
            stack.db.execute(
                "update private.conversation_versions set newest = %s, changes = %s, changed = %s"
                " where conversation_id = %s",
                [*version.values(), conversation],
            )
            stack.db.execute("select setval(%s, %s)", [positions, last])

    return restore


@pytest.mark.installations
def test_database_that_was_set_back_is_read_again(
    stack: Stack, conversation: UUID, instance: Instance
) -> None:
    restore = back_up(stack, conversation)
    instance.turn("I confess.", "You did what?")
    instance.turn()
    restore()
    instance.turn()


@pytest.mark.installations
@pytest.mark.parametrize("turns", [1, 2, 3, 4])
def test_database_that_was_set_back_and_went_on_is_read_again(
    stack: Stack, user: User, conversation: UUID, instance: Instance, turns: int
) -> None:
    restore = back_up(stack, conversation)
    instance.turn("I confess.", "You did what?")
    instance.turn()
    restore()
    other = Instance(stack, user, conversation)
    for number in range(turns):
        other.turn(f"Instead {number}?", "Instead that.")
    instance.turn()


@pytest.mark.installations
def test_what_others_said_in_the_place_of_what_is_lost_is_read(
    stack: Stack, user: User, conversation: UUID, instance: Instance
) -> None:
    """In positions that were another conversation's before."""
    restore = back_up(stack, conversation)
    stack.conversation(user, *SAID)
    instance.turn("I confess.", "You did what?")
    restore()
    Instance(stack, user, conversation).turn("Instead?", "Instead that.")
    instance.turn()


@pytest.mark.installations
def test_edit_that_was_lost_is_not_taken_for_another_one(
    stack: Stack, user: User, conversation: UUID, instance: Instance
) -> None:
    restore = back_up(stack, conversation)
    messages = instance.all()
    edit(stack, user, messages[4])
    instance.turn()
    restore()
    edit(stack, user, messages[8])
    Instance(stack, user, conversation).turn()
    instance.turn()


@pytest.mark.installations
def test_database_that_was_set_back_to_the_present_is_not_read_again(
    stack: Stack, conversation: UUID, instance: Instance
) -> None:
    back_up(stack, conversation)()
    instance.turn()
    assert instance.read == ["And now?", "Now this."]


def test_message_that_was_never_answered_is_asked_again(
    stack: Stack, user: User, conversation: UUID, instance: Instance
) -> None:
    """Its own words are not recalled from the copy, although a message beside it has them."""
    for number in range(30):
        instance.turn(f"Filler {number}. {'lorem ' * 60}", f"So be it, {number}.")
    asked = "Where is the zeppelin moored tonight?"
    for said in (asked, f"I mean the zeppelin with the red tail. {asked}"):
        stack.insert("messages", conversation_id=conversation, sender="user", content=said)
    instance.turn(f"I mean the zeppelin with the red tail. {asked}", "The zeppelin is moored.")
    instance.turn(asked, "As I said.")


def rename(stack: Stack, character: UUID) -> None:
    stack.db.execute("update public.characters set name = 'New Name' where id = %s", [character])


def delete_character(stack: Stack, character: UUID) -> None:
    stack.db.execute("delete from public.characters where id = %s", [character])


def replace_character(stack: Stack, character: UUID) -> None:
    """Messages without a character are now those of another one."""
    stack.db.execute(
        "update public.conversations set character_id = %s where character_id = %s",
        [DEMO_CHARACTER, character],
    )


@pytest.mark.installations
@pytest.mark.parametrize(
    ("which", "change"),
    [("first", rename), ("first", replace_character), ("bo", rename), ("bo", delete_character)],
)
def test_messages_without_a_summary_are_those_of_today_s_characters(
    stack: Stack, user: User, which: str, change: Callable[[Stack, UUID], None]
) -> None:
    first, bo = (
        stack.insert("characters", user_id=user.id, name=name, description="d")
        for name in ("Mara", "Bo")
    )
    conversation = stack.conversation(user, "Hello.", character_id=first)
    spoken = {"conversation_id": conversation, "sender": "character"}
    stack.insert("messages", **spoken, character_id=bo, content="I am Bo.")
    for number in range(70):
        stack.insert("messages", **spoken, content=f"{number}. {'lorem ipsum ' * 400}")
    instance = Instance(stack, user, conversation)
    instance.turn()
    speakers = [row.speaker for row in instance.begin()["memory"]["backlog"]]
    assert speakers == [None, "Bo", *["Mara"] * 62]
    stack.db.execute(
        "update turns set status = 'failed', finished_at = now() where status = 'running'"
    )
    change(stack, first if which == "first" else bo)
    instance.turn()


@pytest.mark.installations
@pytest.mark.parametrize("change", [remove, delete])
def test_who_is_not_in_the_conversation_any_more_is_not_there(
    stack: Stack, user: User, conversation: UUID, change: Change
) -> None:
    """Their age does not close the adult tier, which would be for good."""
    bo = stack.insert("characters", user_id=user.id, name="Bo", description="d", age=30)
    stack.insert(
        "messages",
        conversation_id=conversation,
        sender="character",
        character_id=bo,
        content="I am Bo.",
    )
    instance = Instance(stack, user, conversation)
    for _ in range(2):
        instance.turn()
    change(stack, user, instance.all()[len(SAID)])
    stack.db.execute("update shared.characters set age = 16 where id = %s", [bo])
    instance.turn()
    closed = "select always_sfw from shared.conversations where id = %s"
    assert not stack.one(closed, conversation)["always_sfw"]


@pytest.mark.installations
@pytest.mark.parametrize(
    "said", [[f"{number}. {'lorem ' * 1600}" for number in range(12)], ["The dragon sleeps."] * 4]
)
def test_history_of_a_suggestion_has_the_message_that_is_answered_then(
    stack: Stack, user: User, said: list[str]
) -> None:
    """It takes no room from others in the history of its own answer. A conversation that is short
    without it recalls nothing."""
    conversation = stack.conversation(user, *said, "Where is the dragon? " * 2800)
    instance = Instance(stack, user, conversation)
    instance.turn(p_action="impersonate", p_message=None)
    instance.turn(p_action="regenerate", p_message=None)
    instance.turn()


TOO_LONG = "😀" * 40_000
"""More than a turn reads of messages: 160,000 bytes of 131,072."""


@pytest.mark.installations
@pytest.mark.parametrize("place", [0, 5, 11])
def test_message_longer_than_all_that_is_read_hides_nothing_before_it(
    stack: Stack, user: User, place: int
) -> None:
    """Nor does the instance lose anything that it has."""
    said = [*SAID[:place], TOO_LONG, *SAID[place:]]
    instance = Instance(stack, user, stack.conversation(user, *said))
    instance.turn()
    assert instance.read == said
    instance.turn(reply=TOO_LONG)
    instance.turn()
    instance.turn(p_action="regenerate", p_message=None)
    instance.turn("dolor " * 5_000)
    instance.turn("sit " * 10_000)
    instance.turn()


def test_prompt_has_what_was_said_before_a_message_that_is_too_long(talk: Talk) -> None:
    talk.stack.upstream.always(text("Aye."))
    talk.conversation = talk.stack.conversation(talk.user, "Wake the dragon.", TOO_LONG)
    talk.reply("And now?")
    prompt = [row["content"] for row in talk.stack.upstream.calls[-1].json["messages"]]
    first, long, last = prompt[-3:]
    assert (first, last) == ("Wake the dragon.", "And now?")
    assert TOO_LONG.startswith(long[:100])
    assert len(long) < len(TOO_LONG)


@pytest.mark.installations
def test_what_is_read_beside_the_longest_message_is_half_of_the_bound(
    stack: Stack, user: User
) -> None:
    long = "lorem " * 5_000
    instance = Instance(stack, user, stack.conversation(user, *[long] * 4, TOO_LONG, long, long))
    begun = instance.begin()
    assert instance.read == [TOO_LONG, long, long]
    assert begun["is_cut"]


@pytest.mark.installations
def test_history_that_was_cut_is_whole_once_a_summary_covers_the_rest(
    stack: Stack, user: User
) -> None:
    said = [f"{number}. {'lorem ' * 1600}" for number in range(20)]
    conversation = stack.conversation(user, *said)
    instance = Instance(stack, user, conversation)
    instance.turn()
    assert len(instance.read) < len(said)
    summarise(stack, user, instance.all()[len(said) - len(instance.read) - 1])
    instance.turn()
    assert instance.read == ["And now?", "Now this."]
    instance.turn()


def test_what_stands_before_a_change_is_not_read_again(
    stack: Stack, user: User, instance: Instance
) -> None:
    edit(stack, user, instance.all()[8])
    instance.turn()
    assert instance.read == ["Edited.", *SAID[9:], "And now?", "Now this."]


ABOUT_DRAGONS = "Tell me of the dragon. " + "lorem ipsum " * 80


@pytest.mark.installations
@pytest.mark.parametrize("change", [show, edit, overwrite, remove])
def test_change_before_all_that_was_read(stack: Stack, user: User, change: Change) -> None:
    """The first message that was read does not follow the hidden ones: others wrote meanwhile."""
    conversation = stack.conversation(user, *[ABOUT_DRAGONS] * 4)
    stack.conversation(user, *SAID)
    for _ in range(20):
        stack.insert("messages", conversation_id=conversation, sender="user", content=ABOUT_DRAGONS)
    instance = Instance(stack, user, conversation)
    hidden = instance.all()[:4]
    for message in hidden:
        hide(stack, user, message)
    instance.turn("And the dragon?")
    change(stack, user, hidden[0])
    instance.turn("And the dragon?")
    instance.turn("And the dragon?")


@pytest.mark.installations
def test_first_messages_are_hidden_and_shown_while_people_talk(talk: Talk) -> None:
    talk.stack.configure(limits={"default": {}})
    talk.stack.conversation(talk.user, *SAID)
    talk.stack.upstream.always(text("Aye, the dragon sleeps."))
    for number in range(20):
        talk.reply(f"{number}. {ABOUT_DRAGONS}")
    messages = Instance(talk.stack, talk.user, talk.conversation).all()
    for message in messages[:4]:
        hide(talk.stack, talk.user, message)
    talk.reply("And the dragon?")
    show(talk.stack, talk.user, messages[0])
    talk.reply("And which dragon?")


def test_replies_that_are_written_again_are_not_read(stack: Stack, instance: Instance) -> None:
    for _ in range(3):
        instance.turn(reply="Or that.", p_action="regenerate", p_message=None)
        assert instance.read == []
    instance.turn()
    assert instance.read == ["And now?", "Or that."]
    instance.turn(reply="And on.", p_action="continue", p_message=None)


def test_an_older_reply_that_is_written_again_sees_nothing_later(instance: Instance) -> None:
    reply = str(instance.all()[5])
    instance.turn(reply="Or that.", p_action="regenerate", p_message=None, p_message_id=reply)
    assert instance.read == []
    instance.turn()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_the_history_is_the_database_s(
    stack: Stack, user: User, conversation: UUID, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311 - nothing secret
    instances = [Instance(stack, user, conversation) for _ in range(2)]
    for _ in range(25):
        instance = chance.choice(instances)
        messages = instance.all()
        if chance.random() < 0.5 and messages:
            chance.choice(CHANGES)(stack, user, chance.choice(messages))
        elif chance.random() < 0.3 and len(messages) > 3:
            reply = stack.all(
                "select id from messages where conversation_id = %s and is_active"
                " and sender = 'character'",
                conversation,
            )
            action = chance.choice(["regenerate", "continue"])
            named = str(chance.choice(reply)["id"]) if reply else None
            instance.turn(p_action=action, p_message=None, p_message_id=named)
        else:
            instance.turn(f"And {chance.random()}?")


# What stands beside the history -----------------------------------------------------------------

MOST_BYTES = 4_000
"""Of a turn whose instance has answered the last one."""


def remember(stack: Stack, user: User, conversation: UUID, *facts: str) -> None:
    """Another program writes facts."""
    memory = stack.one(
        "insert into memories (user_id, tier, conversation_id) values (%s, 'conversation', %s)"
        " on conflict (user_id, tier, conversation_id, character_id)"
        " do update set tier = excluded.tier returning id",
        user.id,
        conversation,
    )
    for fact in facts:
        stack.insert("memory_facts", memory_id=memory["id"], content=fact)


def forget(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute("delete from memory_facts")


def use_the_last_fact(stack: Stack, user: User, conversation: UUID) -> None:
    """The facts are the same in another order."""
    stack.db.execute(
        "update memory_facts set last_used_at = now() + interval '1 hour' where id ="
        " (select id from memory_facts order by last_used_at, created_at desc limit 1)"
    )


def retell(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute(
        "insert into conversation_summaries (conversation_id, content) values (%s, 'They met.')"
        " on conflict (conversation_id) do update"
        " set content = conversation_summaries.content || ' And again.'",
        [conversation],
    )


def move_a_sentence(stack: Stack, user: User, conversation: UUID) -> None:
    """From the model's part of the summary to the person's: the texts together are the same."""
    stack.db.execute(
        "insert into conversation_summaries (conversation_id, person_content, content)"
        " values (%s, 'A', E'B\nC') on conflict (conversation_id) do update"
        " set person_content = E'A\nB', content = 'C'",
        [conversation],
    )


def set_note(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute(
        "insert into conversation_settings (conversation_id, note) values (%s, 'Be brief.')"
        " on conflict (conversation_id) do update set note = conversation_settings.note || ' Now.'",
        [conversation],
    )


def drop_note(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute("delete from conversation_settings")


def set_variable(stack: Stack, user: User, conversation: UUID) -> None:
    """Another program writes them, of the newest reply."""
    stack.db.execute(
        "insert into private.message_variables (message_id, conversation_id, position, variables)"
        " select m.id, m.conversation_id, m.position, jsonb_build_object('a', gen_random_uuid())"
        " from shared.messages m where m.conversation_id = %s and m.sender = 'character'"
        " order by m.position desc limit 1"
        " on conflict (message_id) do update set variables = excluded.variables",
        [conversation],
    )


def write_fact_as_a_client(stack: Stack, user: User, conversation: UUID) -> None:
    remember(stack, user, conversation)
    memory = stack.one("select id from memories where tier = 'conversation'")["id"]
    with stack.data_api(user) as api:
        row = {"memory_id": str(memory), "content": f"Ada sails {uuid4()}."}
        assert api.post("/memory_facts", json=row).is_success


def change_facts_as_a_client(stack: Stack, user: User, conversation: UUID) -> None:
    with stack.data_api(user) as api:
        which = {"content": "neq."}
        assert api.patch("/memory_facts", params=which, json={"pinned": True}).is_success


def delete_facts_as_a_client(stack: Stack, user: User, conversation: UUID) -> None:
    with stack.data_api(user) as api:
        assert api.delete("/memory_facts", params={"content": "neq."}).is_success


def summarise_as_a_client(stack: Stack, user: User, conversation: UUID) -> None:
    row, said = {"conversation_id": str(conversation)}, {"person_content": f"I say {uuid4()}."}
    with stack.data_api(user) as api:
        if not stack.all("select from conversation_summaries"):
            assert api.post("/conversation_summaries", json=row).is_success
        which = {"conversation_id": f"eq.{conversation}"}
        assert api.patch("/conversation_summaries", params=which, json=said).is_success


def set_note_as_a_client(stack: Stack, user: User, conversation: UUID) -> None:
    row = {"conversation_id": str(conversation), "note": "It rains.", "sampling": {"top_p": 0.5}}
    with stack.data_api(user) as api:
        assert api.post("/conversation_settings", json=row, headers=UPSERT).is_success


def note_elsewhere(stack: Stack, user: User, conversation: UUID) -> None:
    """Another instance takes notes of the first message that no summary covers."""
    covered = stack.all("select covers_position from conversation_summaries")
    after = covered[0]["covers_position"] if covered else 0
    first = stack.one(
        "select position, content from shared.messages m where conversation_id = %s"
        " and is_active and is_speech and position > %s order by position limit 1",
        conversation,
        after,
    )
    written = stack.all("select person_content from conversation_summaries")
    person = written[0]["person_content"] if written else ""
    fact = {"tier": "conversation", "importance": 3, "gist": f"g{uuid4()}", "in_full": True}
    place = {"from": first["position"], "to": first["position"]}
    memory = {
        "summary": f"They met at {uuid4()}.",
        "from": after,
        "to": first["position"],
        "digest": hashlib.sha256(first["content"].encode()).hexdigest(),
        "person_digest": hashlib.sha256(person.encode()).hexdigest(),
        "facts": [fact | place | {"content": f"Ada met {uuid4()}."}],
        "used": [],
    }
    other = Instance(stack, user, conversation)
    other.turn("And elsewhere?", "Elsewhere that.", end={"p_memory": memory})
    told = stack.one("select content from conversation_summaries")["content"]
    assert told == memory["summary"]


def set_variable_elsewhere(stack: Stack, user: User, conversation: UUID) -> None:
    end = {"p_turn": {"variables": {"a": str(uuid4())}}}
    Instance(stack, user, conversation).turn("And elsewhere?", "Elsewhere that.", end=end)


def cool(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason)"
        " values ('provider', 'openrouter', now() + interval '1 hour', 'rate_limited')"
        " on conflict (scope, key) do update set until = model_cooldowns.until + interval '1 hour'"
    )


def cool_elsewhere(stack: Stack, user: User, conversation: UUID) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    row = {"scope": "model", "key": "chat_worker:gpu-0", "until": until, "reason": "r"}
    other = Instance(stack, user, conversation)
    other.turn("And elsewhere?", "Elsewhere that.", end={"p_cooldowns": [row]})


def warm(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute("delete from model_cooldowns")


def register(stack: Stack, user: User, conversation: UUID) -> None:
    number = stack.one("select count(*) as number from private.workers")["number"]
    stack.add_worker(f"gpu-{number}", slots=2)


def reconfigure(stack: Stack, user: User, conversation: UUID) -> None:
    """A worker has another model, and needs another key."""
    stack.db.execute(
        "update private.workers set model = 'm' || gen_random_uuid(), secret_name = 'A_API_KEY'"
        " where name = 'gpu-0'"
    )


def let_it_fail(stack: Stack, user: User, conversation: UUID) -> None:
    stack.worker_health("gpu-0", healthy=False)


def move(stack: Stack, user: User, conversation: UUID) -> None:
    """Its health is that of its former address."""
    stack.db.execute("update private.workers set url = 'https://b.example' where name = 'gpu-0'")


def drain(stack: Stack, user: User, conversation: UUID) -> None:
    stack.one("select drain_worker('gpu-0', true)")


def occupy(stack: Stack, user: User, conversation: UUID) -> None:
    stack.db.execute(
        "update private.workers set reported_at = now(), slots = 2,"
        " reported_running = coalesce(reported_running, 0) + 1"
    )


def learn(stack: Stack, user: User, conversation: UUID) -> None:
    """The tokens of a worker's model are counted otherwise."""
    call = {"provider": "chat_worker", "outcome": "ok", "is_estimated": False}
    estimate = {"prompt_tokens": 2000, "estimate": {"latin": 1000, "other": 0}}
    model = stack.all("select coalesce(model, '') as model from private.workers limit 1")
    for row in model:
        calls = Jsonb([call | estimate | {"model_key": row["model"]}])
        stack.db.execute("select private.calibrate(%s)", [calls])


def check_health(stack: Stack, user: User, conversation: UUID) -> None:
    stack.worker.always(reply(200, {"status": "ok"}))
    assert stack.health_check().status_code == 200


UPSERT = {"Prefer": "resolution=merge-duplicates"}
AROUND: list[Change] = [
    *(forget, use_the_last_fact, retell, move_a_sentence, set_note, drop_note, set_variable),
    *(write_fact_as_a_client, change_facts_as_a_client, delete_facts_as_a_client),
    *(summarise_as_a_client, set_note_as_a_client, note_elsewhere, set_variable_elsewhere),
    *(cool, cool_elsewhere, warm, register, reconfigure, let_it_fail, move, drain, occupy, learn),
    check_health,
]


@pytest.mark.installations
@pytest.mark.parametrize("change", AROUND)
def test_a_change_of_what_stands_beside_the_history_is_seen(
    stack: Stack, user: User, conversation: UUID, change: Change
) -> None:
    instance = Instance(stack, user, conversation)
    remember(stack, user, conversation, *FACTS[:3])
    register(stack, user, conversation)
    for _ in range(2):
        instance.turn()
    for _ in range(2):
        change(stack, user, conversation)
        instance.turn()  # compares with what the database has
        instance.turn()


@pytest.mark.installations
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_happens_beside_the_history_is_seen(
    stack: Stack, user: User, conversation: UUID, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311 - nothing secret
    instances = [Instance(stack, user, conversation) for _ in range(2)]
    remember(stack, user, conversation, *FACTS[:3])
    register(stack, user, conversation)
    for _ in range(40):
        instance = chance.choice(instances)
        if chance.random() < 0.5:
            chance.choice(AROUND)(stack, user, conversation)
        elif chance.random() < 0.3:
            action = chance.choice(["regenerate", "continue"])
            instance.turn(p_action=action, p_message=None)
        else:
            instance.turn(f"And {chance.random()}?", end={"p_turn": {"variables": {"b": "1"}}})


FACTS = [f"{number}. Ada keeps a lighthouse and writes to her sister." for number in range(120)]


def many_facts(stack: Stack, user: User, conversation: UUID) -> None:
    remember(stack, user, conversation, *[(fact * 20)[:1000] for fact in FACTS])


def a_long_summary(stack: Stack, user: User, conversation: UUID) -> None:
    retell(stack, user, conversation)
    text = "They met in the storm. " * 250
    stack.db.execute("update conversation_summaries set content = %s", [text])


def a_long_note(stack: Stack, user: User, conversation: UUID) -> None:
    set_note(stack, user, conversation)
    stack.db.execute("update conversation_settings set note = %s", ["Write briefly. " * 400])


def many_variables(stack: Stack, user: User, conversation: UUID) -> None:
    set_variable(stack, user, conversation)
    variables = Jsonb({f"name {number}": "lorem ipsum " * 10 for number in range(100)})
    stack.db.execute("update private.message_variables set variables = %s", [variables])


def many_workers(stack: Stack, user: User, conversation: UUID) -> None:
    for number in range(30):
        stack.add_worker(
            f"gpu-{number}", slots=4, options={"note": "lorem ipsum " * 100}, healthy=None
        )
        stack.worker_health(f"gpu-{number}", history=[100] * 30, deepError="lorem " * 20)


def many_cooldowns(stack: Stack, user: User, conversation: UUID) -> None:
    """Of other tasks' models."""
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason)"
        " select 'model', 'openrouter:some/model-' || i, now() + interval '1 hour', 'rate limited'"
        " from generate_series(1, 40) i"
    )


@pytest.mark.installations
@pytest.mark.parametrize(
    "beside",
    [many_facts, a_long_summary, a_long_note, many_variables, many_workers, many_cooldowns],
)
def test_what_an_instance_knows_is_not_sent_again(
    stack: Stack, user: User, conversation: UUID, beside: Change
) -> None:
    instance = Instance(stack, user, conversation)
    beside(stack, user, conversation)
    for number in range(3):
        instance.turn()
        assert number == 0 or instance.bytes < MOST_BYTES


def say(stack: Stack, conversation: UUID, character: UUID | None, content: str) -> None:
    """Another program writes a message; the user does without a character."""
    sender = "character" if character else "user"
    message = {"conversation_id": conversation, "sender": sender, "content": content}
    stack.insert("messages", **message, **({"character_id": character} if character else {}))


@pytest.mark.installations
@pytest.mark.parametrize("seed", [2, 5, 7, 24])
def test_whatever_happens_where_several_speak_and_there_is_little_room(
    stack: Stack, user: User, seed: int
) -> None:
    """Each of these seeds has found an error that the others did not."""
    chance = Random(seed)  # noqa: S311 - nothing secret
    mara, guest = (
        stack.insert("characters", user_id=user.id, name=name, description="d")
        for name in ("Mara", "Guest")
    )
    conversation = stack.conversation(user, "Hello.", character_id=mara)
    instances = [Instance(stack, user, conversation) for _ in range(2)]
    turns = 0

    def something() -> str:
        about = chance.choice(["the dragon", "the castle", "the moon", "the river"])
        return f"{chance.random()} of {about}. " + chance.choice(
            [
                "",
                "",
                "lorem ipsum " * 100,
                "lorem ipsum " * 600,
                "日本語のテキスト" * 400,
                "😀" * 9000,
            ]
        )

    def turn() -> None:
        nonlocal turns
        instance = chance.choice(instances)
        action = chance.choice(["send"] * 4 + ["regenerate"] * 2 + ["continue", "impersonate"])
        message = something() if action == "send" else None
        replies = stack.all(
            "select id from shared.messages where conversation_id = %s and sender = 'character'"
            " order by position, created_at",
            conversation,
        )
        named = None
        if action in ("regenerate", "continue") and replies and chance.random() < 0.4:
            named = chance.choice(replies)["id"]
        with suppress(Refused):
            instance.turn(
                message, something(), p_action=action, p_message=message, p_message_id=named
            )
            turns += 1

    def write() -> None:
        say(stack, conversation, chance.choice([None, mara, guest]), something())

    def write_elsewhere() -> None:
        stack.conversation(user, "Something else.")

    def hide_the_oldest() -> None:
        for message in instances[0].all()[: chance.randrange(2, 5)]:
            hide(stack, user, message)

    def change() -> None:
        if messages := instances[0].all():
            message = chance.choice(messages[:4] if chance.random() < 0.4 else messages)
            chance.choice(CHANGES)(stack, user, message)

    def forget_summary() -> None:
        stack.db.execute(
            "delete from conversation_summaries where conversation_id = %s", [conversation]
        )

    def rename_one() -> None:
        name = f"Name {chance.random()}"
        which = chance.choice([mara, guest])
        stack.db.execute("update public.characters set name = %s where id = %s", [name, which])

    def become_another() -> None:
        which = chance.choice([mara, DEMO_CHARACTER])
        change = "update public.conversations set character_id = %s where id = %s"
        stack.db.execute(change, [which, conversation])

    def replace_guest() -> None:
        nonlocal guest
        delete_character(stack, guest)
        guest = stack.insert("characters", user_id=user.id, name="Guest", description="d")

    def resize() -> None:
        size = chance.choice([8192, 8192, 16384, 40000])
        sizes = Jsonb({"context_tokens": size, "prompt_tokens": size})
        stack.db.execute(
            "update api_models set capabilities = capabilities || %s where task = 'roleplay'",
            [sizes],
        )

    resize()
    steps: list[Callable[[], None]] = [
        *([turn] * 12 + [write] * 4 + [change] * 3 + [write_elsewhere, hide_the_oldest]),
        *(forget_summary, rename_one, become_another, replace_guest, resize),
    ]
    for _ in range(70):
        chance.choice(steps)()
    assert turns > 10
