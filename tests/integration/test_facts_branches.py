"""What a branch of a conversation remembers."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.support.answers import text
from tests.support.facts import (
    DAY,
    FLUTE,
    HARP,
    LATER,
    MOVED,
    OSLO,
    PARIS,
    SAID_FLUTE,
    SAID_HARP,
    STORY,
    act,
    add,
    forget,
    live_in_oslo,
    message,
    move,
    say,
    shown,
    step,
    summary,
    texts,
    write_summary,
)
from tests.support.notes import prompts
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import Talk

pytestmark = pytest.mark.installations


def play_the_harp(talk: Talk) -> None:
    """Ada practises the harp now, in all her conversations."""
    say(talk, SAID_FLUTE, "Nice.")
    step(talk, {"text": FLUTE, "said": SAID_FLUTE, "tier": "profile"})
    say(talk, SAID_HARP, "Nice, too.", "Go on.", "Aye, aye.")
    harp = {"action": "replace", "of": FLUTE, "text": HARP, "said": SAID_HARP}
    step(talk, harp | {"tier": "profile"})
    assert texts(talk) == {HARP}


class TestBranch:
    def test_takes_along_what_was_noted_up_to_its_point(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3], retold="One.")
        say(told, *LATER, MOVED)
        step(told, {"text": OSLO, "said": MOVED}, {"text": "A dog.", "said": STORY[4]})
        mine = told.stack.one("select memory_id from memory_facts limit 1")["memory_id"]
        told.stack.insert("memory_facts", memory_id=mine, content="By hand.")

        branch = act(told, "branch", LATER[3])["conversation_id"]
        assert texts(told, branch) == {PARIS, "A dog.", "By hand."}
        assert summary(told, branch) == ("One.", message(told, STORY[3])["position"])
        assert texts(told) == {OSLO, "A dog.", "By hand."}
        told.stack.chat(told.user, conversation_id=branch, message="And?")
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (PARIS in system, OSLO in system) == (True, False)

    def test_of_an_adult_conversation_stays_adult_without_its_summary(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, retold="One.")
        told.stack.db.execute("update conversation_summaries set content_tier = 'nsfw'")
        say(told, *LATER)
        branch = act(told, "branch", LATER[3])["conversation_id"]
        assert summary(told, branch)[0] == "One."
        with told.stack.data_api(told.user) as api:
            where = {"conversation_id": f"eq.{branch}"}
            assert api.delete("/conversation_summaries", params=where).is_success
        assert summary(told, branch) == ("", 0)
        step(told, {"text": "Something else."}, conversation=branch)
        noted = told.stack.one(
            "select content_tier from memory_facts where content = 'Something else.'"
        )
        assert noted["content_tier"] == "nsfw"
        with told.stack.data_api(told.user) as api:
            assert api.delete("/conversations", params={"id": f"eq.{branch}"}).is_success
        kept = "select from conversation_summaries where conversation_id = %s"
        assert told.stack.all(kept, branch) == []

    def test_history_of_facts_comes_along(self, told: Talk) -> None:
        live_in_oslo(told)
        branch = act(told, "branch", MOVED)["conversation_id"]
        assert texts(told, branch) == {OSLO}
        act(told, "delete", MOVED, within=branch)
        assert (texts(told, branch), texts(told)) == ({PARIS}, {OSLO})

    def test_there_and_back_again_is_there_where_it_begins_in_between(self, told: Talk) -> None:
        back = "I live in Paris again."
        say(told, MOVED, "Far away.", back, "Aye.")
        paris, oslo = {"text": PARIS, "said": STORY[2]}, {"text": OSLO, "said": MOVED}
        again = {"text": PARIS, "said": back}
        step(told, dict(paris), again, retold="Ada lives in Paris.")
        act(told, "edit", STORY[0], message="Good evening.")
        step(told, paris, oslo, upto="Far away.")
        assert texts(told) == {PARIS}
        branch = act(told, "branch", "Far away.")["conversation_id"]
        assert (texts(told, branch), texts(told)) == ({OSLO}, {PARIS})

    def test_sources_are_its_own_messages(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        row = told.stack.one(
            "select source_message_id as id from memory_facts where source_conversation_id = %s",
            branch,
        )
        assert row["id"] == message(told, STORY[2], branch)["id"]
        act(told, "delete", STORY[2])
        assert (texts(told), texts(told, branch)) == (set(), {PARIS})

    def test_fact_of_a_step_that_goes_on_after_the_point_is_left(self, told: Talk) -> None:
        step(told, {"text": "They sat down."})
        branch = act(told, "branch", STORY[2])["conversation_id"]
        assert (texts(told, branch), summary(told, branch)) == (set(), ("", 0))

    def test_branch_of_a_branch(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3], retold="One.")
        say(told, *LATER)
        first = act(told, "branch", LATER[3])["conversation_id"]
        second = act(told, "branch", LATER[2], within=first)["conversation_id"]
        assert texts(told, second) == {PARIS}
        assert summary(told, second)[0] == "One."

    def test_hides_what_its_facts_hid_up_to_its_point(self, told: Talk) -> None:
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED})
        before, after = (act(told, "branch", at)["conversation_id"] for at in (STORY[5], MOVED))
        assert (texts(told, before), texts(told, after)) == ({PARIS}, {OSLO})

    @pytest.mark.parametrize("how", ["noted", "moved"])
    def test_knows_what_a_fact_of_a_wider_tier_replaced_as_long_as_that_is_known(
        self, told: Talk, how: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        tier = "profile" if how == "noted" else "conversation"
        step(told, {"text": OSLO, "said": MOVED, "tier": tier})
        if how == "moved":
            move(told, OSLO, "profile")
        branch = act(told, "branch", "Far away.")["conversation_id"]
        assert texts(told, branch) == {OSLO}
        forget(told, OSLO)
        assert (texts(told), texts(told, branch)) == (set(), set())

    @pytest.mark.parametrize("tier", ["profile", "conversation"])
    def test_its_messages_do_not_bring_back_what_was_replaced_later(
        self, told: Talk, tier: str
    ) -> None:
        play_the_harp(told)
        branch = act(told, "branch", SAID_FLUTE)["conversation_id"]
        noted = {"text": FLUTE, "said": SAID_FLUTE, "tier": tier}
        step(told, noted, conversation=branch)
        assert texts(told) == texts(told, branch) == {HARP}

    def test_place_decides_where_an_older_message_of_it_is_changed(self, told: Talk) -> None:
        say(told, MOVED, "Far away.")
        told.stack.db.execute("update messages set created_at = %s", [DAY])
        moved = {"text": OSLO, "said": MOVED, "tier": "profile"}
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"}, moved)
        branch = act(told, "branch", MOVED)["conversation_id"]
        rome = "I am Ada. I live in Rome."
        act(told, "edit", STORY[2], within=branch, message=rome)
        noted = {"text": "Ada lives in Rome.", "said": rome, "tier": "profile"}
        step(told, noted, upto=STORY[5], conversation=branch)
        assert texts(told) == texts(told, branch) == {OSLO}

    def test_place_decides_where_an_older_reply_was_written_again_before(self, talk: Talk) -> None:
        bergen, oslo = "Mara lives in Bergen.", "Mara lives in Oslo."
        say(talk, "Where do you live?", "I live in Bergen.", "And now?", "I have moved to Oslo.")
        moved = {"text": oslo, "said": "I have moved to Oslo.", "tier": "profile"}
        step(talk, {"text": bergen, "said": "I live in Bergen.", "tier": "profile"}, moved)
        again = "My home is Bergen, where I live."
        talk.stack.upstream.always(text(again))
        before = str(message(talk, "I live in Bergen.")["id"])
        talk.reply(action="regenerate", message_id=before)
        branch = act(talk, "branch", "I have moved to Oslo.")["conversation_id"]
        noted = {"text": bergen, "said": again, "tier": "profile"}
        step(talk, noted, upto=again, conversation=branch)
        assert texts(talk) == texts(talk, branch) == {oslo}

    @pytest.mark.parametrize("where", ["parent", "branch"])
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("conversation", "conversation"),
            ("conversation", "profile"),
            ("character", "character"),
            ("profile", "profile"),
        ],
    )
    def test_older_reply_that_is_written_again_knows_what_was_replaced_after_it(
        self, told: Talk, before: str, after: str, where: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": before})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": after})
        conversation: object = told.conversation
        if where == "branch":
            conversation = act(told, "branch", "Far away.")["conversation_id"]
        for reply, home in (("Far away.", OSLO), (STORY[3], PARIS)):
            whose = {"conversation_id": str(conversation), "memory_tier": "profile"}
            act(told, "regenerate", reply, within=conversation, **whose)
            system = prompts(told.stack.upstream)[-1][0]["content"]
            assert {fact for fact in (PARIS, OSLO) if fact in system} == {home}

    def test_older_reply_does_not_know_what_another_conversation_says_otherwise(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        for conversation, content in ((None, MOVED), (other, "I live in Oslo.")):
            say(told, content, "Far away.", conversation=conversation or told.conversation)
            home = {"text": PARIS, "said": STORY[2], "tier": "profile"}
            noted = [{"text": OSLO, "said": content, "tier": "profile"}]
            step(told, *([] if conversation else [home]), *noted, conversation=conversation)
        act(
            told,
            *("regenerate", STORY[3]),
            conversation_id=str(told.conversation),
            memory_tier="profile",
        )
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (OSLO in system, PARIS in system) == (True, False)

    def test_time_decides_where_another_conversation_said_it_again(self, told: Talk) -> None:
        told.stack.db.execute("update messages set created_at = '2026-01-01'")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        say(told, MOVED, conversation=branch, created_at="2026-02-01")
        again = "I live in Paris again."
        say(told, again, created_at="2026-03-01")
        step(told, {"text": PARIS, "said": again, "tier": "profile"})
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"}, conversation=branch)
        assert texts(told) == texts(told, branch) == {PARIS}

    def test_fact_of_the_person_stays_until_the_message_is_gone_from_the_branch_too(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, "I fear gulls.")
        step(told, {"text": "Ada fears gulls.", "said": "I fear gulls.", "tier": "profile"})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        act(told, "delete", STORY[2], onwards=True)
        assert (texts(told), texts(told, branch)) == ({PARIS}, {PARIS})
        act(told, "delete", STORY[2], within=branch)
        assert texts(told) == set()

    def test_fact_of_the_person_is_told_by_every_branch(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        first = act(told, "branch", STORY[5])["conversation_id"]
        of_it = act(told, "branch", STORY[4], within=first)["conversation_id"]
        second = act(told, "branch", STORY[4])["conversation_id"]
        before = act(told, "branch", STORY[1])["conversation_id"]
        for conversation in (told.conversation, first, second):
            act(told, "delete", STORY[2], within=conversation)
            assert texts(told, before) == {PARIS}
        act(told, "delete", STORY[2], within=of_it)
        assert texts(told, before) == set()

    def test_has_what_its_messages_said_again(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for content in (self.SAID, "I live in Paris, you know."):
            say(told, content, "Aye.")
            step(told, {"text": PARIS, "said": content, "tier": "profile"})
        branch = act(told, "branch", self.SAID)["conversation_id"]
        act(told, "delete", STORY[2], onwards=True)
        assert texts(told, branch) == {PARIS}
        act(told, "delete", STORY[2], within=branch)
        assert texts(told, branch) == {PARIS}
        act(told, "delete", self.SAID, within=branch)
        assert texts(told, branch) == set()

    SAID: ClassVar = "As I said, I live in Paris."

    @pytest.mark.parametrize("is_rated", [False, True])
    @pytest.mark.parametrize("is_repeated", [False, True])
    def test_has_the_persons_own_fact_rather_than_the_same_of_a_model(
        self, told: Talk, is_rated: bool, is_repeated: bool
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        if is_repeated:
            other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
            say(told, self.SAID, conversation=other)
            noted = {"text": PARIS, "said": self.SAID, "tier": "profile"}
            step(told, noted, conversation=other)
        move(told, PARIS, "conversation")
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED})
        add(told, PARIS, pinned=True)
        if is_rated:
            models = {"content": f"eq.{PARIS}", "written_by": "eq.model"}
            with told.stack.data_api(told.user) as api:
                assert api.patch("/memory_facts", params=models, json={"importance": 4}).is_success
        branch = act(told, "branch", STORY[5])["conversation_id"]
        rows = told.stack.all(
            "select f.written_by, f.pinned, f.replaced_by from memory_facts f"
            " join memories m on m.id = f.memory_id where m.conversation_id = %s",
            branch,
        )
        assert rows == [{"written_by": "person", "pinned": True, "replaced_by": None}]

    def test_repeats_of_a_fact_are_limited_however_many_branches_there_are(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        fact = told.stack.one("select id from memory_facts")["id"]
        repeat = "insert into private.fact_repeats values (%s, %s, 1)"
        for _ in range(20):
            other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
            told.stack.db.execute(repeat, (fact, other))
        act(told, "branch", STORY[5])
        assert told.stack.one("select count(*) from private.fact_repeats") == {"count": 20}

    def test_knows_what_other_conversations_said_and_its_own_part_of_it(self, told: Talk) -> None:
        gulls = "Ada fears gulls."
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, "I fear gulls.", conversation=other)
        step(told, {"text": gulls, "said": "I fear gulls."}, conversation=other)
        move(told, gulls, "conversation")
        say(told, "Those gulls again.", "Aye.")
        step(told, {"text": gulls, "said": "Those gulls again."})
        before, after = (
            act(told, "branch", at)["conversation_id"] for at in (STORY[4], "Those gulls again.")
        )
        act(told, "delete", "I fear gulls.", within=other)
        assert [texts(told, one) for one in (told.conversation, before, after)] == [
            {gulls},
            set(),
            {gulls},
        ]
        act(told, "delete", "Those gulls again.")
        assert [texts(told, one) for one in (told.conversation, after)] == [set(), {gulls}]

    def test_takes_along_what_was_moved_in_from_another_conversation(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, "I fear gulls.", conversation=other)
        fact = {"text": "Ada fears gulls.", "said": "I fear gulls."}
        step(told, fact, conversation=other)
        move(told, "Ada fears gulls.", "conversation")
        branch = act(told, "branch", STORY[5])["conversation_id"]
        assert texts(told, branch) == {"Ada fears gulls."}
        rows = told.stack.all("select source_conversation_id, source_message_id from memory_facts")
        source = message(told, "I fear gulls.", other)["id"]
        assert rows == [{"source_conversation_id": other, "source_message_id": source}] * 2
        act(told, "delete", "I fear gulls.", within=other)
        assert (texts(told), texts(told, branch)) == (set(), set())

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    @pytest.mark.parametrize("how", ["deleted", "reworded"])
    def test_fact_that_a_person_does_not_want_in_one_is_noted_again_in_the_other(
        self, told: Talk, how: str, tier: str
    ) -> None:
        """Only there, whatever the tier. What a character says does not bring it back."""
        step(told, {"text": PARIS, "said": STORY[2]})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        memory = told.stack.one("select id from memories where conversation_id = %s", branch)
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}", "memory_id": f"eq.{memory['id']}"}
            done = (
                api.delete("/memory_facts", params=its)
                if how == "deleted"
                else api.patch("/memory_facts", params=its, json={"content": "Ada is here."})
            )
            assert done.is_success, done.text
        said = "I am Ada, and I live in Paris."
        act(told, "edit", STORY[2], message=said)
        assert texts(told) == set()
        step(told, {"text": PARIS, "said": said, "tier": tier})
        once_more = act(told, "branch", STORY[5], within=branch)["conversation_id"]
        for conversation in (branch, once_more):
            say(told, "Who am I?", said, conversation=conversation)
            step(told, {"text": PARIS, "said": said, "tier": tier}, conversation=conversation)
        own = {"Ada is here."} if how == "reworded" else set()
        assert texts(told) == {PARIS}
        assert (texts(told, branch), texts(told, once_more)) == (own, own)

    @pytest.mark.parametrize("version", ["set aside", "active"])
    def test_from_a_version_tells_of_no_other_version(self, told: Talk, version: str) -> None:
        step(told, upto=STORY[1], retold="She came in.")
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[4], retold="She has a dog.")
        replaced, angry = message(told, STORY[5]), "Get out of my house."
        told.stack.upstream.always(text(angry))
        told.reply(action="regenerate", message_id=str(replaced["id"]))
        noted = {"text": "Mara threw Ada out of the house.", "said": angry}
        step(told, noted, upto=angry, retold="Mara threw her out.")
        chosen = replaced if version == "set aside" else message(told, angry)
        answer = told.stack.chat(
            told.user, action="branch", message_id=str(chosen["id"]), client_message_id="b"
        )
        assert answer.status_code == 200, answer.text
        branch = answer.json()["conversation_id"]
        assert message(told, chosen["content"], branch)
        assert summary(told, branch)[0] == "She came in."
        known = {"set aside": {PARIS}, "active": {PARIS, noted["text"]}}
        assert texts(told, branch) == known[version]

    def test_words_of_a_person_come_along_with_what_goes_on_after_them(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        write_summary(told, "Mine.")
        assert step(told, memory={"person_summary": "Mine."}, retold="Two.")
        say(told, "More.", "Aye, more.", "Last.", "Aye, last.")
        written = {"person_summary": "Mine.", "summary": "Two."}
        assert step(told, memory=written, retold="Three.")
        found = {
            content: act(told, "branch", content)["conversation_id"]
            for content in (STORY[0], STORY[5], "Aye, last.")
        }
        assert {content: shown(told, branch) for content, branch in found.items()} == {
            **{STORY[0]: ("", ""), STORY[5]: ("Mine.", ""), "Aye, last.": ("Mine.", "Two.")}
        }
        covered = [0, *(message(told, STORY[n])["position"] for n in (1, 5))]
        assert [summary(told, branch)[1] for branch in found.values()] == covered

    def test_words_of_a_person_come_along_where_they_tell_of_nothing_later(
        self, told: Talk
    ) -> None:
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        write_summary(told, "Mine.")
        later, earlier = (act(told, "branch", STORY[n])["conversation_id"] for n in (4, 2))
        assert [shown(told, branch) for branch in (later, earlier)] == [("Mine.", ""), ("", "")]
        assert summary(told, earlier)[1] == 0

    def test_words_of_a_person_stay_what_they_tell_when_an_older_message_changes(
        self, told: Talk
    ) -> None:
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        write_summary(told, "Mine.")
        act(told, "edit", STORY[0], message="Good evening.")
        assert step(told, memory={"person_summary": "Mine."}, retold="Three.")
        write_summary(told, "Mine, again.")
        act(told, "edit", STORY[1], message="Who is there?")
        later, earlier = (act(told, "branch", STORY[n])["conversation_id"] for n in (5, 4))
        assert [shown(told, branch) for branch in (later, earlier)] == [
            ("Mine, again.", ""),
            ("", ""),
        ]
        again = act(told, "branch", STORY[4], within=later)["conversation_id"]
        assert shown(told, again) == ("", "")
