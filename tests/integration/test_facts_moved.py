"""Facts that a person moves to another tier."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.support.facts import (
    LONDON,
    MOVED,
    OSLO,
    PARIS,
    STORY,
    act,
    current,
    forget,
    move,
    patch,
    say,
    step,
    texts,
)
from tests.support.notes import prompts
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import Talk

pytestmark = pytest.mark.installations


def narrow_home(told: Talk, others: int = 1, **noted: Any) -> list[UUID]:
    """Ada's home is noted for all her conversations, and she moves it into this one. Returns other
    conversations of hers."""
    step(told, {"text": PARIS, "said": STORY[2], "tier": "profile", **noted})
    found = [told.stack.conversation(told.user, character_id=DEMO_CHARACTER) for _ in range(others)]
    move(told, PARIS, "conversation")
    return found


class TestMoved:
    """Facts that a person moves to another tier or story, over the Data API."""

    def test_fact_moves_to_another_tier_and_reaches_new_conversations(self, told: Talk) -> None:
        step(told, {"text": "Ada fears gulls."})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        assert texts(told, other) == set()
        row = {"user_id": str(told.user.id), "tier": "character"}
        row["character_id"] = str(DEMO_CHARACTER)
        with told.stack.data_api(told.user) as api:
            api.headers["Prefer"] = "return=representation"
            memory = api.post("/memories", json=row).json()[0]["id"]
            moved = api.patch(
                "/memory_facts",
                params={"content": "eq.Ada fears gulls."},
                json={"memory_id": memory, "importance": 5},
            )
        assert moved.is_success
        assert texts(told, other) == {"Ada fears gulls."}
        assert current(told, other, tier="conversation") == []
        told.stack.chat(
            told.user, conversation_id=str(other), message="Hello", memory_tier="character"
        )
        assert "- Ada fears gulls." in prompts(told.stack.upstream)[-1][0]["content"]

    @pytest.mark.parametrize("again", [PARIS, "Ada lives in the Paris.", "Ada lives in Paris now."])
    def test_fact_that_a_person_moved_is_not_lifted_into_a_wider_tier(
        self, told: Talk, again: str
    ) -> None:
        (other,) = narrow_home(told)
        assert texts(told, other) == set()
        for number in range(2):
            said = f"As I said, I live in Paris. {number}"
            say(told, said)
            step(told, {"text": again, "tier": "profile", "said": said})
        assert (len(texts(told)), texts(told, other)) == (1, set())

    @pytest.mark.parametrize("again", [PARIS, "Ada lives in the Paris."])
    def test_fact_that_a_person_moved_comes_back_after_its_message_as_they_had_it(
        self, told: Talk, again: str
    ) -> None:
        (other,) = narrow_home(told, importance=4)
        patch(told, importance=1)
        said = "I am Ada, and I live in Paris!"
        act(told, "edit", STORY[2], message=said)
        assert texts(told) == set()
        step(told, {"text": again, "said": said, "tier": "profile", "importance": 4})
        assert (texts(told), texts(told, other)) == ({again}, set())
        assert [fact["importance"] for fact in current(told)] == [1]

    @pytest.mark.parametrize("tier", ["character", "profile"])
    def test_fact_that_a_person_moved_to_a_wider_tier_comes_back_there(
        self, told: Talk, tier: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = told.stack.insert(
            "memories",
            user_id=told.user.id,
            tier=tier,
            character_id=DEMO_CHARACTER if tier == "character" else None,
        )
        patch(told, memory_id=str(memory))
        said = "I am Ada. I live in Paris!"
        act(told, "edit", STORY[2], message=said)
        assert texts(told) == set()
        step(told, {"text": PARIS, "said": said})
        assert [fact["tier"] for fact in current(told)] == [tier]

    @pytest.mark.parametrize("is_own", [False, True])
    def test_fact_that_a_person_moves_to_the_same_one_takes_its_place(
        self, told: Talk, is_own: bool
    ) -> None:
        """With what that replaced, hid and was said by."""
        rome = "Ada lives in Rome."
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"}, upto=STORY[3])
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        third = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, "Let us play that I live in Rome.", conversation=third)
        play = {"text": rome, "said": "Let us play that I live in Rome."}
        step(told, play, conversation=third)
        assert texts(told, third) == {rome}
        if is_own:
            written = "update memory_facts set written_by = 'person' where content = %s"
            told.stack.db.execute(written, [OSLO])
        again = "I live in Oslo, you know."
        say(told, again, "I do.")
        step(told, {"text": OSLO, "said": again}, reach="conversation")
        rows = told.stack.all("select id from memory_facts where content = %s", OSLO)
        assert len(rows) == 2
        profile = told.stack.one("select id from memories where tier = 'profile'")["id"]
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{OSLO}", "memory_id": f"neq.{profile}"}
            moved = api.patch("/memory_facts", params=its, json={"memory_id": str(profile)})
        assert moved.is_success, moved.text
        (fact,) = current(told)
        assert (fact["content"], fact["tier"]) == (OSLO, "profile")
        assert fact["written_by"] == ("person" if is_own else "model")
        assert texts(told, third) == ({rome, OSLO} if is_own else {rome})
        assert told.stack.all("select from private.forgotten_facts") == []
        act(told, "delete", again)
        assert texts(told) == {OSLO}
        act(told, "delete", MOVED)
        assert texts(told) == ({OSLO} if is_own else {PARIS})
        assert texts(told, third) == ({rome, OSLO} if is_own else {rome})

    @pytest.mark.parametrize("own", ["none", "first", "second"])
    @pytest.mark.parametrize("tier", ["conversation", "profile", "character"])
    @pytest.mark.parametrize("first", ["conversation", "profile"])
    def test_facts_that_a_person_moves_together_to_one_place_become_one(
        self, told: Talk, first: str, tier: str, own: str
    ) -> None:
        """In whatever order the database comes to them."""
        second = "conversation" if first == "profile" else "profile"
        bound = {"conversation": {"conversation_id": told.conversation}, "profile": {}}
        bound["character"] = {"character_id": DEMO_CHARACTER}
        memories = {
            name: told.stack.insert("memories", user_id=told.user.id, tier=name, **columns)
            for name, columns in bound.items()
        }
        step(told, {"text": PARIS, "said": STORY[2], "tier": first}, upto=STORY[3])
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": first})
        again = told.stack.insert(
            "memory_facts",
            **{"memory_id": memories[second], "content": OSLO, "pinned": own == "none"},
            **{"written_by": "person" if own == "second" else "model"},
        )
        if own == "first":
            mine = "update memory_facts set written_by = 'person' where content = %s and id <> %s"
            told.stack.db.execute(mine, [OSLO, again])
        patch(told, OSLO, memory_id=str(memories[tier]))
        rows = told.stack.all(
            "select content, written_by, pinned, memory_id from memory_facts where content = %s",
            OSLO,
        )
        assert rows == [
            {
                **{"content": OSLO, "written_by": "model" if own == "none" else "person"},
                **{"pinned": own == "none", "memory_id": memories[tier]},
            }
        ]
        assert told.stack.all("select from private.forgotten_facts") == []
        forget(told, OSLO)
        # Where it was moved out of a wider tier, it replaces nothing there.
        assert texts(told) == ({PARIS} if first == "profile" != tier else set())

    def test_history_with_the_words_of_what_holds_stays_history_when_both_move(
        self, told: Talk
    ) -> None:
        profile = told.stack.insert("memories", user_id=told.user.id, tier="profile")
        step(told, {"text": OSLO, "said": STORY[2]})
        holds = told.stack.one("select id, memory_id from memory_facts")
        earlier = told.stack.insert(
            "memory_facts",
            **{"memory_id": holds["memory_id"], "content": OSLO, "replaced_by": holds["id"]},
        )
        patch(told, OSLO, memory_id=str(profile))
        rows = told.stack.all("select id, replaced_by, memory_id from memory_facts")
        assert {row["id"]: row["replaced_by"] for row in rows} == {
            holds["id"]: None,
            earlier: holds["id"],
        }
        assert {row["memory_id"] for row in rows} == {profile}

    def test_fact_that_a_person_narrows_leaves_others_what_it_had_replaced(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        assert texts(told, other) == {OSLO}
        move(told, OSLO, "conversation")
        assert (texts(told), texts(told, other)) == ({OSLO}, {PARIS})

    def test_fact_that_a_person_narrows_does_not_bring_back_what_is_over(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        patch(told, OSLO, pinned=True)
        once_more = "I have moved to London."
        say(told, once_more, "Far away.")
        step(told, {"text": LONDON, "said": once_more, "tier": "profile"})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        assert texts(told, other) == {OSLO, LONDON}
        move(told, OSLO, "conversation")
        assert (texts(told), texts(told, other)) == ({OSLO, LONDON}, {LONDON})

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    def test_fact_that_a_person_moves_into_another_story_leaves_what_it_had_replaced(
        self, told: Talk, tier: str
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": tier})
        memory = told.stack.insert(
            "memories", user_id=told.user.id, tier="conversation", conversation_id=other
        )
        patch(told, OSLO, memory_id=str(memory))
        assert (texts(told), texts(told, other)) == ({PARIS}, {OSLO})

    def test_facts_that_a_person_moves_at_once_stay_what_they_are(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        told.stack.insert(
            "memories", user_id=told.user.id, tier="conversation", conversation_id=told.conversation
        )
        rows = told.stack.all("select id, tier from memories")
        ids = {row["tier"]: str(row["id"]) for row in rows}
        with told.stack.data_api(told.user) as api:
            its = {"memory_id": f"eq.{ids['profile']}"}
            new = {"memory_id": ids["conversation"]}
            assert api.patch("/memory_facts", params=its, json=new).is_success
        assert texts(told) == {OSLO}
        kept = told.stack.one("select count(*) from memory_facts where replaced_by is not null")
        assert kept == {"count": 1}

    def test_fact_that_a_person_moved_stays_narrow_after_a_model_reworded_it(
        self, told: Talk
    ) -> None:
        other, third = narrow_home(told, 2)
        said = "As I said, I live in Paris."
        say(told, said)
        step(told, {"text": "Ada lives in the Paris.", "said": said})
        say(told, said, conversation=other)
        step(told, {"text": PARIS, "said": said, "tier": "profile"}, conversation=other)
        assert texts(told, third) == set()

    def test_fact_that_a_person_moved_stays_narrow_where_it_says_more(self, told: Talk) -> None:
        more = "Ada lives in Paris with her sister."
        (other,) = narrow_home(told)
        said = "I live in Paris with my sister."
        say(told, said)
        step(told, {"text": more, "tier": "profile", "said": said})
        assert (texts(told), texts(told, other)) == ({more}, set())

    def test_fact_that_a_person_moved_and_that_another_story_tells_stays_in_both(
        self, told: Talk
    ) -> None:
        other, third = narrow_home(told, 2)
        say(told, "I live in Paris.", conversation=other)
        noted = {"text": PARIS, "said": "I live in Paris.", "tier": "profile"}
        step(told, noted, conversation=other)
        known = [texts(told, conversation) for conversation in (told.conversation, other, third)]
        assert known == [{PARIS}, {PARIS}, set()]

    def test_fact_moves_to_no_memory_of_others(self, told: Talk) -> None:
        step(told, {"text": "Ada fears gulls."})
        memory = told.stack.insert("memories", user_id=told.stack.user().id, tier="profile")
        with told.stack.data_api(told.user) as api:
            its = {"content": "eq.Ada fears gulls."}
            answer = api.patch("/memory_facts", params=its, json={"memory_id": str(memory)})
        assert answer.status_code == 403
        assert texts(told) == {"Ada fears gulls."}
