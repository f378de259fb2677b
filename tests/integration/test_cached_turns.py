"""What an instance has of a conversation is not read again, and nothing that changed is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import Rollback
from psycopg.types.json import Jsonb

from roleplay_chat import turn_store
from roleplay_chat.turn_cache import CachedTurn, complete
from tests.support.answers import text
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

    def begin(self, message: str = "And now?", **more: Any) -> dict[str, Any]:
        """Begin a turn; its rows with the whole history, compared with what it would be without the
        copy."""
        parameters = {"p_action": "send", "p_message": message} | more
        fresh = self._fresh(parameters)
        begun = self._call(parameters | {"p_known": Jsonb(self._copy.known)})
        assert begun["outcome"] == "started", begun
        self.read = begun["history"]["content"]
        self._copy = complete(begun, self._copy)
        same = (
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

    def turn(self, message: str = "And now?", reply: str = "Now this.", **more: Any) -> None:
        """A whole turn."""
        begun = self.begin(message, **more)
        self._stack.one("select finish_turn(%s, 'complete', %s)", UUID(begun["turn"]["id"]), reply)

    def asked_by(self, user: User) -> dict[str, Any]:
        """The outcome of a turn of somebody, told what this instance knows."""
        parameters = {"p_action": "send", "p_message": "And I?", "p_user_id": user.id}
        return self._call(parameters | {"p_known": Jsonb(self._copy.known)})

    def _fresh(self, parameters: dict[str, Any]) -> dict[str, Any]:
        begun: dict[str, Any] = {}
        with self._stack.db.transaction():
            begun |= self._call(parameters)
            if begun["outcome"] != "started":
                raise Refused(begun["outcome"])
            complete(begun, CachedTurn())
            raise Rollback
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


def _memory(begun: dict[str, Any]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The memory of a turn, and the messages that are in no summary. The position of the turn's own
    message differs from call to call."""
    memory, own = begun["memory"], begun["turn"]["position"]
    if memory is None:
        return None, []
    backlog = [
        {**row, "position": "own"} if row["position"] == own else row for row in memory["backlog"]
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
        return replace(kept, stamp={**kept.stamp, "upto": "nowhere"})

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
    positions = "private.message_positions"
    if not stack.is_adopted:
        serial = "select pg_get_serial_sequence('public.messages', 'position') as name"
        positions = stack.one(serial)["name"]
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
    speakers = [row.get("speaker") for row in instance.begin()["memory"]["backlog"]]
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
