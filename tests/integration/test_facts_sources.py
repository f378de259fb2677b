"""Facts and summaries change and go with the messages that they come from."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from psycopg import errors

from tests.support.answers import text
from tests.support.facts import (
    LATER,
    MOVED,
    OSLO,
    PARIS,
    STORY,
    act,
    current,
    live_in_oslo,
    message,
    patch,
    say,
    step,
    summary,
    texts,
    told_thrice,
    use,
)
from tests.support.notes import prompts
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import Talk
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.installations


class TestProvenance:
    """What was drawn from a message goes with it."""

    @pytest.mark.parametrize(
        ("action", "body"),
        [
            ("edit", {"message": "I am Ada. I live here."}),
            ("delete", {}),
            ("delete", {"onwards": True}),
        ],
    )
    def test_of_a_message_that_is_changed_or_deleted(
        self, told: Talk, action: str, body: dict[str, Any]
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "They met.", "said": STORY[0]})
        act(told, action, STORY[2], **body)
        assert texts(told) == {"They met."}

    CHANGES: ClassVar = [
        "delete from public.messages where id = %s",
        "update public.messages set content = 'I am Ada.' where id = %s",
    ]

    @pytest.mark.parametrize("change", CHANGES)
    def test_of_a_message_that_another_program_deletes_or_edits(
        self, told: Talk, change: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "A dog.", "said": STORY[4]})
        told.stack.db.execute(change, (message(told, STORY[2])["id"],))
        assert texts(told) == {"A dog."}
        assert summary(told) == ("", 0)
        step(told, {"text": PARIS, "said": STORY[1]})
        assert texts(told) == {"A dog.", PARIS}

    @pytest.mark.parametrize("change", CHANGES)
    def test_change_of_a_message_by_a_client_is_no_wish_to_forget_the_fact_for_ever(
        self, told: Talk, change: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        said, db = message(told, STORY[2])["id"], told.stack.db
        with db.transaction(force_rollback=True):  # As some product allows it.
            db.execute("grant delete, update (content) on public.messages to authenticated")
            db.execute("create policy theirs on public.messages to authenticated using (true)")
            claims = json.dumps({"sub": str(told.user.id), "role": "authenticated"})
            db.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
            db.execute("set local role authenticated")
            db.execute(change, (said,))
            db.execute("reset role")
            assert told.stack.all("select from public.memory_facts") == []
            assert told.stack.all("select from private.forgotten_facts") == []

    def test_conversation_that_is_deleted_leaves_the_facts_of_its_character(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
        left = told.stack.all("select content from memory_facts")
        assert left == [{"content": PARIS}]

    SAID: ClassVar = "As I said, I live in Paris."

    def tell_elsewhere(self, told: Talk, *conversations: object) -> None:
        for conversation in conversations:
            say(told, self.SAID, conversation=conversation)
            noted = {"text": PARIS, "said": self.SAID, "tier": "profile"}
            step(told, noted, conversation=conversation)

    def test_fact_that_another_conversation_tells_stays_until_that_is_gone_too(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, other)
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS}
        row = told.stack.one("select * from memory_facts")
        source = message(told, self.SAID, other)
        assert (row["source_conversation_id"], row["source_message_id"]) == (other, source["id"])
        assert row["source_from"] == row["source_to"] == source["position"]
        act(told, "delete", self.SAID, within=other)
        assert texts(told) == set()

    def test_fact_that_several_conversations_tell_stays_until_the_last_is_gone_too(
        self, told: Talk
    ) -> None:
        others = [told.stack.conversation(told.user, character_id=DEMO_CHARACTER) for _ in range(3)]
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, *others)
        act(told, "delete", self.SAID, within=others[1])
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS}
        act(told, "delete", self.SAID, within=others[0])
        assert texts(told) == {PARIS}
        act(told, "edit", self.SAID, within=others[2], message="Never mind.")
        assert texts(told) == set()

    AGAIN: ClassVar = "I told you that I live in Paris."

    def tell_again(self, told: Talk, content: str, conversation: object = None) -> None:
        """One more message that says the fact, and an answer."""
        say(told, content, "Aye.", conversation=conversation or told.conversation)
        step(told, {"text": PARIS, "said": content, "tier": "profile"}, conversation=conversation)

    def test_every_message_that_says_it_counts(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for content in (self.SAID, self.AGAIN):
            self.tell_again(told, content, other)
        act(told, "delete", self.AGAIN, within=other)
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS}
        act(told, "delete", self.SAID, within=other)
        assert texts(told) == set()

    def test_last_message_that_says_it_is_the_one_before_if_that_goes(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for content in (self.SAID, self.AGAIN):
            self.tell_again(told, content)
        act(told, "delete", self.AGAIN)
        [fact] = current(told)
        assert fact["position"] == message(told, self.SAID)["position"]
        act(told, "edit", STORY[2], message="I am cold.")
        assert texts(told) == set()
        step(told, {"text": PARIS, "said": self.SAID, "tier": "profile"})
        assert texts(told) == {PARIS}

    def test_repeats_are_limited_and_the_newest_stay(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        said = [f"{self.AGAIN} {'Again. ' * number}" for number in range(22)]
        for content in said:
            self.tell_again(told, content)
        kept = told.stack.all("select position from private.fact_repeats order by position")
        assert [row["position"] for row in kept] == [
            message(told, content)["position"] for content in said[2:]
        ]

    @pytest.mark.parametrize("noted", ["before", "since"])
    def test_a_newer_fact_wins_once_the_newest_message_of_the_other_is_gone(
        self, told: Talk, noted: str
    ) -> None:
        told.stack.db.execute("update messages set created_at = '2026-01-01'")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, self.SAID, "Aha.", created_at="2026-03-01")
        step(told, {"text": PARIS, "said": self.SAID, "tier": "profile"})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, MOVED, "Far away.", conversation=other, created_at="2026-02-01")
        moved = {"text": OSLO, "said": MOVED, "tier": "profile"}
        if noted == "before":
            step(told, moved, conversation=other)
            assert texts(told) == {PARIS}
        act(told, "edit", self.SAID, message="Never mind.")
        if noted == "since":
            step(told, moved, conversation=other)
        assert texts(told) == {OSLO}
        [fact] = current(told)
        assert fact["since"].startswith("2026-02-01")

    def test_time_is_that_of_the_message_which_is_left(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        told.stack.db.execute("update messages set created_at = '2026-03-01'")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, self.SAID, "Aha.", conversation=other, created_at="2026-01-01")
        step(told, {"text": PARIS, "said": self.SAID, "tier": "profile"}, conversation=other)
        act(told, "delete", STORY[2])
        [fact] = current(told)
        assert fact["said_at"].startswith("2026-01-01")

    def test_fact_that_an_earlier_message_says_too_outlives_the_later_one(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        say(told, "Hm.", "Hm?")
        step(told, {"text": "Ada has a dog.", "said": STORY[4]}, retold="Two.")
        earlier = "I am Ada and I have a dog."
        act(told, "edit", STORY[2], message=earlier)
        step(told, {"text": "Ada has a dog.", "said": earlier}, upto=STORY[3], retold="Two.")
        step(told, retold="Three.")
        [fact] = current(told)
        assert fact["position"] == message(told, STORY[4])["position"]
        branch = act(told, "branch", STORY[3])["conversation_id"]
        act(told, "delete", STORY[4])
        assert (texts(told), texts(told, branch)) == ({"Ada has a dog."}, {"Ada has a dog."})
        [fact] = current(told)
        assert fact["position"] == message(told, earlier)["position"]
        act(told, "delete", earlier)
        assert (texts(told), texts(told, branch)) == (set(), {"Ada has a dog."})

    def test_older_reply_of_a_branch_does_not_know_what_its_copies_say_later(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        known = []
        for place in (1, 3):
            row = told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, branch, DEMO_CHARACTER),
                message(told, STORY[place], branch)["position"],
            )
            known.append({fact["content"] for fact in row["facts"]})
        assert known == [set(), {PARIS}]

    def test_older_reply_does_not_know_more_because_there_is_a_branch(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        act(told, "branch", STORY[5])
        row = told.stack.one(
            "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
            *(told.user.id, told.conversation, DEMO_CHARACTER),
            message(told, STORY[1])["position"],
        )
        assert row["facts"] == []

    def test_older_reply_that_is_written_again_knows_what_another_conversation_told(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for expected in (set(), {PARIS}):
            row = told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, told.conversation, DEMO_CHARACTER),
                message(told, STORY[1])["position"],
            )
            assert {fact["content"] for fact in row["facts"]} == expected
            if not expected:
                self.tell_elsewhere(told, other)

    @pytest.mark.parametrize("place", [None, 3])
    def test_facts_of_other_conversations_are_not_read(
        self, told: Talk, postgres: Postgres, place: int | None
    ) -> None:
        with postgres.connect("app", OWNER) as db:
            for _ in range(20):
                other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
                db.execute(
                    "with m as (insert into public.memories (user_id, tier, conversation_id)"
                    " values (%s, 'conversation', %s) returning id)"
                    " insert into public.memory_facts (memory_id, content, importance)"
                    " select m.id, 'Fact ' || n, 3 from m, generate_series(1, 20) n",
                    (told.user.id, other),
                )
            db.execute("vacuum analyze public.memory_facts")
            before = None if place is None else message(told, STORY[place])["position"]
            with explained(db) as plans:
                db.execute(
                    "select private.remembered(%s, 'profile', %s, %s, %s)",
                    (told.user.id, told.conversation, DEMO_CHARACTER, before),
                )
        assert 0 < scanned(plans) < 100

    def test_fact_goes_with_its_message_if_the_other_conversation_took_it_back(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, other)
        act(told, "edit", self.SAID, within=other, message="Never mind.")
        assert texts(told) == {PARIS}
        act(told, "delete", STORY[2])
        assert texts(told) == set()

    def test_fact_goes_with_its_message_if_the_other_conversation_is_gone(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, other)
        told.stack.db.execute("delete from conversations where id = %s", (other,))
        act(told, "delete", STORY[2])
        assert texts(told) == set()

    def test_fact_stays_with_another_conversation_if_the_first_one_is_gone(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        mine = [{"text": text, "said": STORY[2], "tier": "profile"} for text in (PARIS, "A river.")]
        step(told, *mine)
        again = "Paris it is, I live there."
        say(told, again, "Aye.")
        step(told, {"text": PARIS, "said": again, "tier": "profile"})
        self.tell_elsewhere(told, other)
        told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
        assert texts(told, other) == {PARIS, "A river."}
        source = "select source_message_id as id, repeated_to from memory_facts where content = %s"
        assert told.stack.one(source, PARIS) == {
            "id": message(told, self.SAID, other)["id"],
            "repeated_to": None,
        }
        act(told, "edit", self.SAID, within=other, message="I live in Rome.")
        # What no other conversation says stays, as nobody took it back.
        assert texts(told, other) == {"A river."}

    def test_fact_stays_with_a_branch_if_the_first_one_is_gone(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
        assert texts(told, branch) == {PARIS}
        act(told, "edit", STORY[2], within=branch, message="I am Ada.")
        assert texts(told, branch) == set()

    @pytest.mark.parametrize("change", CHANGES)
    def test_message_is_changed_by_another_program_while_a_turn_ends(
        self, told: Talk, postgres: Postgres, change: str
    ) -> None:
        """Both wait for each other's rows in the same order."""
        step(told, {"text": PARIS, "said": STORY[2]})
        gone = message(told, STORY[2])["id"]
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                # As finish_turn, before it saves the reply.
                told.stack.db.execute("select shared.hold_conversation(%s)", (told.conversation,))
                changed = pool.submit(elsewhere.execute, change, (gone,))
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: changed.done() or told.stack.all(waiting), "the change")
                told.stack.db.execute(
                    "insert into shared.messages (conversation_id, sender, content)"
                    " values (%s, 'character', 'Yes.')",
                    (told.conversation,),
                )
            changed.result(timeout=PATIENCE)
        assert (texts(told), message(told, "Yes.")["sender"]) == (set(), "character")

    def test_message_that_comes_back_is_retold(self, told: Talk) -> None:
        """One that was refused, and is answered later."""
        back = message(told, STORY[4])
        shown = "update shared.messages set is_active = %s where id = %s"
        told.stack.db.execute(shown, (False, back["id"]))
        step(told, upto=STORY[1], retold="One.")
        step(told, {"text": "Gulls cried outside."}, retold="Two.")
        told.stack.db.execute(shown, (True, back["id"]))
        assert summary(told) == ("One.", message(told, STORY[1])["position"])
        assert texts(told) == set()

    @pytest.mark.parametrize("before", [[], [STORY[0]]])
    def test_of_a_message_that_goes_while_they_are_saved(
        self, told: Talk, postgres: Postgres, before: list[str]
    ) -> None:
        for content in before:
            step(told, upto=content)
        kept = summary(told)
        gone = message(told, STORY[2])["id"]
        delete = "delete from public.messages where id = %s"
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                step(told, {"text": PARIS, "said": STORY[2]})
                deleted = pool.submit(elsewhere.execute, delete, (gone,))
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: deleted.done() or told.stack.all(waiting), "the deletion")
            deleted.result(timeout=PATIENCE)
        assert (texts(told), summary(told)) == (set(), kept)

    @pytest.mark.parametrize("within", ["another conversation", "one of theirs"])
    def test_of_messages_that_go_while_other_facts_are_used(
        self, told: Talk, postgres: Postgres, within: str
    ) -> None:
        """Whoever changes facts waits for whoever does before touching any, whatever the order."""
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, *STORY, conversation=other)
        ids = told_thrice(told)
        gone = [message(told, said)["id"] for said in (STORY[0], STORY[2], STORY[4])]
        if within == "one of theirs":
            gone.append(message(told, STORY[5], other)["id"])
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                saved = [use(told, other, ids[1])]
                delete = "delete from public.messages where id = any (%s)"
                deleted = pool.submit(elsewhere.execute, delete, (gone,))
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: deleted.done() or told.stack.all(waiting), "the deletion")
                saved.append(use(told, other, ids[0], ids[2]))
            deleted.result(timeout=PATIENCE)
        assert (saved, texts(told)) == ([True, True], set())

    def test_of_a_message_whose_memory_is_locked_for_too_long(
        self, told: Talk, postgres: Postgres
    ) -> None:
        """It is not deleted then, rather than without its facts."""
        step(told, {"text": PARIS, "said": STORY[2]})
        gone = message(told, STORY[2])["id"]
        with postgres.connect("app") as elsewhere, told.stack.db.transaction():
            told.stack.db.execute("select from memory_facts for update")
            elsewhere.execute("set lock_timeout = '20ms'")
            with pytest.raises(errors.LockNotAvailable):
                elsewhere.execute("delete from public.messages where id = %s", (gone,))
            with pytest.raises(errors.LockNotAvailable):
                elsewhere.execute("delete from conversations where id = %s", (told.conversation,))
        assert texts(told) == {PARIS}
        told.stack.db.execute("delete from public.messages where id = %s", (gone,))
        assert texts(told) == set()

    def test_that_cannot_be_saved_for_a_lock_are_an_error_of_the_call(
        self, told: Talk, postgres: Postgres
    ) -> None:
        """Which is then repeated."""
        ids = told_thrice(told)
        with postgres.connect("app") as elsewhere, elsewhere.transaction():
            elsewhere.execute("select from memory_facts for update")
            told.stack.db.execute("set lock_timeout = '20ms'")
            with pytest.raises(errors.LockNotAvailable):
                use(told, told.conversation, *ids)
            told.stack.db.execute("reset lock_timeout")
        assert use(told, told.conversation, *ids)

    def test_fact_that_a_person_makes_their_own_while_notes_are_saved_stays(
        self, told: Talk, postgres: Postgres
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        mine = "Ada lives in Paris, in the rue Mouffetard."
        own = "update public.memory_facts set content = %s, written_by = 'person' returning id"
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with elsewhere.transaction():
                elsewhere.execute(own, (mine,))
                noted = pool.submit(step, told, {"text": OSLO, "said": MOVED})
                waiting = "select from pg_locks where not granted"
                wait_until(
                    lambda: noted.done() or elsewhere.execute(waiting).fetchall(), "the notes"
                )
            assert noted.result(timeout=PATIENCE)
        assert texts(told) == {mine, OSLO}

    def test_change_of_a_version_that_is_set_aside_forgets_nothing(self, told: Talk) -> None:
        first = told.reply("Where?")
        told.stack.upstream.always(text("You live in Paris."))
        told.reply(action="regenerate", message_id=first["message_id"])
        say(told, "True.", "Aye.")
        step(told, {"text": PARIS, "said": "You live in Paris."})
        kept = summary(told)
        answer = told.stack.chat(
            told.user, action="edit", message_id=first["message_id"], message="No!"
        )
        assert answer.status_code == 200, answer.text
        assert (texts(told), summary(told)) == ({PARIS}, kept)

    def test_change_of_another_column_of_a_message_forgets_nothing(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        told.stack.db.execute(
            "update messages set edited_at = now(), content = content where id = %s",
            (message(told, STORY[2])["id"],),
        )
        assert texts(told) == {PARIS}

    def test_deletion_onwards_takes_the_facts_of_later_messages(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "A dog.", "said": STORY[4]})
        act(told, "delete", STORY[3], onwards=True)
        assert texts(told) == {PARIS}

    def test_fact_of_a_whole_step_goes_with_any_of_its_messages(self, told: Talk) -> None:
        step(told, {"text": "One."}, upto=STORY[2])
        step(told, {"text": "Two."})
        act(told, "edit", STORY[1], message="What?")
        assert texts(told) == {"Two."}

    def test_version_that_is_chosen_or_written_again(self, told: Talk) -> None:
        step(told, {"text": "Ada may sit.", "said": STORY[3]})
        replaced = message(told, STORY[3])
        told.reply(action="regenerate", message_id=str(replaced["id"]))
        assert texts(told) == set()
        step(told, {"text": "Mara agreed.", "said": "Yes."})
        answer = told.stack.chat(told.user, action="choose", message_id=str(replaced["id"]))
        assert answer.status_code == 200
        assert texts(told) == set()

    def test_older_reply_that_is_written_again_knows_nothing_of_what_came_later(
        self, told: Talk
    ) -> None:
        live_in_oslo(told)
        first = str(message(told, STORY[5])["id"])
        told.reply(action="regenerate", message_id=first)
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (PARIS in system, OSLO in system) == (True, False)
        told.reply("And where do I live?")
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (PARIS in system, OSLO in system) == (False, True)

    def test_older_reply_that_is_written_again_knows_what_a_story_hid_later(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED})
        known = [
            told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, told.conversation, DEMO_CHARACTER, before),
            )["facts"]
            for before in (message(told, MOVED)["position"], message(told, MOVED)["position"] + 1)
        ]
        assert [[fact["content"] for fact in facts] for facts in known] == [[PARIS], [OSLO]]

    def test_older_reply_between_there_and_back_again_knows_where_that_was(
        self, told: Talk
    ) -> None:
        back = "I live in Paris again."
        say(told, MOVED, "Far away.", back, "Good.")
        paris, oslo = {"text": PARIS, "said": STORY[2]}, {"text": OSLO, "said": MOVED}
        step(told, dict(oslo), {"text": PARIS, "said": back})
        # All is noted again, and for the first time where she lived at first.
        act(told, "edit", STORY[0], message="Good evening.")
        step(told, paris, oslo, {"text": PARIS, "said": back})
        known = []
        for before in (message(told, MOVED), message(told, back), message(told, "Good.")):
            row = told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, told.conversation, DEMO_CHARACTER, before["position"]),
            )
            known.append([fact["content"] for fact in row["facts"]])
        assert known == [[PARIS], [OSLO], [PARIS]]

    def test_newest_reply_that_is_written_again_knows_all(self, told: Talk) -> None:
        live_in_oslo(told)
        told.reply("And where do I live?")
        told.reply(action="regenerate")
        assert OSLO in prompts(told.stack.upstream)[-1][0]["content"]

    def test_pinned_facts_and_those_of_a_person_stay(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "A name.", "said": STORY[2]})
        patch(told, pinned=True)
        patch(told, "A name.", content="Ada.")
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS, "Ada."}

    def test_drawn_again_from_what_stands_there_now(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        act(told, "edit", STORY[2], message="I am Ada. I live in Rome.")
        step(told, {"text": "Ada lives in Rome.", "said": "I am Ada. I live in Rome."})
        assert texts(told) == {"Ada lives in Rome."}

    def test_edit_that_changes_nothing_forgets_nothing(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        act(told, "edit", STORY[2], message=STORY[2])
        assert (texts(told), summary(told)[0]) == ({PARIS}, "They met.")

    def test_same_position_in_another_conversation_is_another_message(self, told: Talk) -> None:
        branch = act(told, "branch", STORY[5])["conversation_id"]
        step(told, {"text": PARIS, "said": STORY[2]})
        act(told, "delete", STORY[2], within=branch)
        assert texts(told) == {PARIS}

    def test_summary_goes_back_to_the_newest_that_tells_nothing_of_it(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        step(told, upto=STORY[5], retold="Three.")
        act(told, "edit", STORY[4], message="I have a cat.")
        assert summary(told) == ("Two.", message(told, STORY[3])["position"])
        act(told, "delete", STORY[0])
        assert summary(told) == ("", 0)

    @pytest.mark.parametrize("how", ["delete", "hide", "by another program"])
    def test_newest_messages_are_in_no_summary(self, told: Talk, how: str) -> None:
        """Somebody may go on from the last one."""
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        say(told, *LATER)
        step(told, upto=STORY[5], retold="Three.")
        match how:
            case "delete":
                act(told, "delete", LATER[2], onwards=True)
            case "hide":
                act(told, "hide", LATER[0])
                act(told, "hide", LATER[3])
            case _:
                for gone in LATER[2:]:
                    told.stack.db.execute(
                        "delete from public.messages where id = %s", [message(told, gone)["id"]]
                    )
        assert summary(told) == ("Two.", message(told, STORY[3])["position"])

    @pytest.mark.parametrize("action", ["regenerate", "continue"])
    def test_other_version_of_the_newest_one_leaves_the_summary(
        self, told: Talk, action: str
    ) -> None:
        say(told, *LATER)
        step(told, upto=STORY[5], retold="One.")
        told.reply(action=action)
        assert summary(told) == ("One.", message(told, STORY[5])["position"])

    @pytest.mark.parametrize("is_known", [False, True])
    def test_reply_that_goes_on_is_in_the_prompt_although_a_summary_ends_with_it(
        self, told: Talk, is_known: bool
    ) -> None:
        if is_known:  # The instance has these messages from an earlier turn.
            told.reply("Well?")
        step(told, retold="They met at the pier.")
        told.reply(action="continue")
        system, *sent = (row["content"] for row in prompts(told.stack.upstream)[-1])
        assert "They met at the pier." not in system
        said = [STORY[4], STORY[5], *(("Well?", "Yes.") if is_known else ())]
        assert [content for content in sent if content in said] == said

    def test_versions_are_few_and_dense_near_the_end(self, told: Talk) -> None:
        positions = []
        for number in range(40):
            say(told, f"Message {number}.")
            step(told, retold=f"Version {number}.")
            positions.append(summary(told)[1])
        rows = told.stack.all(
            "select covers_position as at from private.summary_versions order by covers_position"
        )
        kept = [positions.index(row["at"]) for row in rows]
        assert len(kept) == 12
        assert kept[-3:] == [37, 38, 39]
        gaps = [later - earlier for earlier, later in pairwise(kept)]
        assert kept[0] <= 15
        assert max(gaps) <= 20
