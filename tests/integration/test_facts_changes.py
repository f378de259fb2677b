"""What notes change: facts that are new, replaced, said again or withdrawn."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar

import pytest

from roleplay_chat.memory.comparison import Words
from tests.support.answers import text
from tests.support.facts import (
    DAY,
    FLUTE,
    HARP,
    LATER,
    LONDON,
    MOVED,
    OSLO,
    PARIS,
    SAID_FLUTE,
    SAID_HARP,
    STORY,
    act,
    current,
    forget,
    live_in_oslo,
    message,
    move,
    noted_by_model,
    patch,
    remember,
    saved_by_hand,
    say,
    step,
    summary,
    texts,
)
from tests.support.memory import MESSAGES, PARAGRAPH, fill, shorten_prompts, take_turn
from tests.support.notes import asked_for_notes, prompts
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


class TestNoting:
    def test_fact_has_a_source_a_time_an_importance_a_subject_and_its_last_use(
        self, told: Talk
    ) -> None:
        told.stack.db.execute("update messages set created_at = %s", [DAY])
        noted = {"text": "Ada has a dog.", "importance": 4, "subject": "Ada", "said": STORY[4]}
        step(told, noted)
        row = told.stack.one("select * from memory_facts")
        source = message(told, STORY[4])
        assert row["source_conversation_id"] == told.conversation
        assert row["source_message_id"] == source["id"]
        assert (row["source_from"], row["source_to"]) == (source["position"], source["position"])
        assert (row["importance"], row["subject"]) == (4, "Ada")
        assert row["said_at"] == datetime.fromisoformat(DAY)
        assert row["last_used_at"] > row["said_at"]
        assert row["since"] is None

    def test_fact_without_a_message_comes_from_all_of_the_step(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog."}, upto=STORY[3])
        row = told.stack.one("select * from memory_facts")
        first, last = message(told, STORY[0])["position"], message(told, STORY[3])["position"]
        assert (row["source_from"], row["source_to"]) == (first, last)
        assert row["source_message_id"] is None

    def test_newer_of_two_that_contradict_wins_and_says_since_when(self, told: Talk) -> None:
        told.stack.db.execute("update messages set created_at = '2026-01-01'")
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, created_at=DAY)
        step(told, {"text": OSLO, "said": MOVED})

        told.reply("Where do I live?")
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert f"- {OSLO} (since 3 May 2026)" in system
        assert PARIS not in system
        assert current(told)[0]["since"].startswith("2026-05-03T10:00:00")

    def test_what_was_replaced_is_kept_as_history(self, told: Talk) -> None:
        live_in_oslo(told)
        with told.stack.data_api(told.user) as api:
            rows = api.get("/memory_facts", params={"order": "created_at"}).json()
        assert [row["content"] for row in rows] == [PARIS, OSLO]
        assert rows[0]["replaced_by"] == rows[1]["id"]
        assert rows[1]["replaced_by"] is None

    def test_there_and_back_again(self, told: Talk) -> None:
        live_in_oslo(told)
        say(told, "I live in Paris again.")
        step(told, {"text": PARIS, "said": "I live in Paris again."})
        assert texts(told) == {PARIS}
        act(told, "delete", "I live in Paris again.")
        assert texts(told) == {OSLO}
        act(told, "delete", MOVED)
        assert texts(told) == {PARIS}

    @pytest.mark.parametrize("source", [STORY[4], STORY[2]])
    def test_withdrawn_fact_does_not_come_back_when_older_messages_are_read_again(
        self, told: Talk, source: str
    ) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4]})
        say(told, "The dog is gone.")
        step(told, {"action": "withdraw", "of": "Ada has a dog.", "said": "The dog is gone."})
        act(told, "edit", STORY[0], message="Good evening.")
        if source == STORY[2]:
            source = "I am Ada. This is my dog."
            act(told, "edit", STORY[2], message=source)
        step(told, {"text": "Ada has the dog.", "said": source}, upto=STORY[5])
        assert texts(told) == set()
        say(told, "The dog has come back.")
        step(told, {"text": "Ada has a dog.", "said": "The dog has come back."})
        assert texts(told) == {"Ada has a dog."}

    def test_fact_goes_with_the_message_that_has_its_words(self, told: Talk) -> None:
        boat, word = "I keep a red boat at the pier.", "My safe word is Marigold, keep it in mind."
        say(told, boat, "Aye.", word, "I will.")
        step(told, {"text": "Ada's safe word is Marigold, keep it.", "said": boat})
        act(told, "delete", word)
        assert texts(told) == set()

    def test_opposite_of_a_deleted_fact_is_noted(self, told: Talk) -> None:
        step(told, {"text": "Ada eats meat and fish.", "said": STORY[2]})
        forget(told, "Ada eats meat and fish.")
        said = "I eat no meat and no fish."
        say(told, said, "Aye, aye.")
        step(told, {"text": "Ada eats no meat and no fish.", "said": said})
        assert texts(told) == {"Ada eats no meat and no fish."}

    def test_withdrawn_fact_is_history(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4]})
        say(told, "The dog is gone.")
        step(told, {"action": "withdraw", "of": "Ada has a dog.", "said": "The dog is gone."})
        assert texts(told) == set()
        act(told, "delete", "The dog is gone.")
        assert texts(told) == {"Ada has a dog."}

    def test_near_duplicates_are_one_fact(self, told: Talk) -> None:
        step(told, {"text": "Ada likes the tea."}, upto=STORY[3])
        step(told, {"text": "ADA likes tea"})
        assert texts(told) == {"ADA likes tea"}
        assert told.stack.one("select count(*) as n from memory_facts")["n"] == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Ada writes code in C++.", "Ada writes code in C#."),
            ("Ada writes code in C.", "Ada writes code in C#."),
            ("Ada's mood is 😀.", "Ada's mood is 😡."),
            ("Ada ❤ Tom.", "Ada 💔 Tom."),
            ("It is -5 degrees in Narvik.", "It is 5 degrees in Narvik."),
            ("Ada owes Tom $5.", "Ada owes Tom €5."),
            ("Ada pays 5 %.", "Ada pays 5."),
            ("राम का बेटा है", "राम की बेटी है"),
        ],
    )
    def test_facts_that_differ_in_a_sign_are_two(self, told: Talk, one: str, other: str) -> None:
        step(told, {"text": one, "said": STORY[2]})
        say(told, "Hm.", "Hm?")
        step(told, {"text": other, "said": "Hm."})
        assert texts(told) == {one, other}
        memory = str(told.stack.one("select id from memories")["id"])
        with told.stack.data_api(told.user) as api:
            rows = [{"memory_id": memory, "content": f"{text} Indeed."} for text in (one, other)]
            assert api.post("/memory_facts", json=rows).is_success
        gists = told.stack.one("select count(distinct gist) from memory_facts")
        assert gists == {"count": 4}

    def test_words_of_a_new_fact_are_read_as_often_however_many_there_are(self, told: Talk) -> None:
        step(told, {"text": "Ada likes tea.", "said": STORY[2]})
        memory, db = told.stack.one("select id from memories")["id"], told.stack.db
        add = "insert into memory_facts (memory_id, content) values (%s, %s)"
        several = add.replace("values (%s, %s)", "select %s, 'Ada likes ' || n from {} n")
        with db.transaction(force_rollback=True):
            words = "select prosrc from pg_proc where oid = 'private.plain_words'::regproc"
            source = told.stack.one(words)["prosrc"].strip()
            db.execute("create sequence public.readings")
            db.execute("grant usage on sequence public.readings to public")
            db.execute(
                "create or replace function private.plain_words(p_content text) returns text"
                " language plpgsql immutable set search_path = '' as $$ begin"
                f" perform nextval('public.readings'); return ({source}); end $$".encode()
            )
            # A plan that is kept, as one of a connection that is used again and again.
            db.execute("set local plan_cache_mode = force_generic_plan")
            claims = json.dumps({"sub": str(told.user.id), "role": "authenticated"})
            db.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
            counts = []
            for there in (0, 2, 50):
                db.execute(several.format(f"generate_series({there}, {2 * there})"), [memory])
                before = told.stack.one("select nextval('public.readings')")["nextval"]
                db.execute("set local role authenticated")
                db.execute(add, [memory, f"Ada lives in house {there}."])
                db.execute("reset role")
                counts.append(
                    told.stack.one("select nextval('public.readings')")["nextval"] - before
                )
        assert len(set(counts)) == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Ada said: “I like tea”.", 'Ada said "I like tea"'),
            ("It is -5 degrees (in Narvik).", "It is \u22125 degrees in Narvik"),
            ("Ada is twenty-two!", "Ada is twenty two"),
            ("Ada, Tom and *Jon*…", "Ada Tom and Jon"),
            ("灯台守は犬を飼っている。", "灯台守は犬を飼っている"),
        ],
    )
    def test_punctuation_makes_no_other_fact(self, told: Talk, one: str, other: str) -> None:
        plain = "private.plain_words(%s) = private.plain_words(%s)"
        same = f"select {plain} and private.plain_gist(%s) = private.plain_gist(%s) as is_same"
        assert told.stack.one(same, one, other, one, other) == {"is_same": True}
        assert Words(one).gist == Words(other).gist

    def test_fact_that_says_more_takes_the_place_of_the_other(self, told: Talk) -> None:
        step(told, {"text": "Ada likes tea.", "said": STORY[2]})
        say(told, "With milk, please.")
        step(told, {"text": "Ada likes tea with milk.", "said": "With milk, please."})
        (fact,) = current(told)
        assert fact["content"] == "Ada likes tea with milk."
        assert "since" not in fact
        act(told, "delete", "With milk, please.")
        assert texts(told) == {"Ada likes tea."}

    def test_older_message_that_is_noted_again_does_not_win(self, told: Talk) -> None:
        live_in_oslo(told)
        act(told, "edit", "Who are you?", message="And who are you?")
        assert (summary(told)[1], texts(told)) == (0, {OSLO})
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[5])
        assert texts(told) == {OSLO}
        step(told, {"text": OSLO, "said": MOVED})
        assert texts(told) == {OSLO}
        assert told.stack.one("select count(*) as n from memory_facts")["n"] == 2

    def test_summary_of_messages_that_are_read_again_does_not_say_what_was_replaced(
        self, told: Talk
    ) -> None:
        first, second = (f"Ada wants to walk to {where} next year." for where in ("Rome", "Oslo"))
        said = "Next year I want to walk to Rome."
        changed = "I have changed my plan: next year I want to walk to Oslo."
        say(told, said, changed)
        step(told, {"text": first, "said": said}, upto=said, retold=f"They met. {first}")
        assert summary(told)[0] == f"They met. {first}"
        step(told, {"text": second, "said": changed})
        assert texts(told) == {second}
        act(told, "edit", "Who are you?", message="And who are you?")
        step(told, {"text": first, "said": said}, upto=said, retold=f"They met. {first} It rained!")
        assert summary(told)[0] == "They met. It rained!"
        again = "I have changed my mind: next year I want to walk to Rome."
        say(told, again)
        step(told, {"text": first, "said": again}, retold=f"They met. {first}")
        assert (texts(told), summary(told)[0]) == ({first}, f"They met. {first}")

    def test_older_summary_that_takes_the_place_of_a_newer_one_does_not_say_what_was_replaced(
        self, told: Talk
    ) -> None:
        said, changed = "I work as a cook.", "I have left the kitchen. I work as a baker now."
        first, second = "Ada works as a cook.", "Ada works as a baker."
        say(told, said, "Nice.", "The sea is calm.", "It is.", changed, "Good.", *LATER)
        step(told, {"text": first, "said": said}, upto=said, retold=f"They met. {first}")
        new = {"action": "replace", "of": first, "text": second, "said": changed}
        step(told, new, upto=changed, retold=f"They met. {second}")
        # The last four messages of a branch are in no summary.
        branch = act(told, "branch", "Good.")["conversation_id"]
        assert (texts(told, branch), summary(told, branch)[0]) == ({second}, "They met.")
        act(told, "edit", "The sea is calm.", message="The sea is rough.")
        assert (texts(told), summary(told)[0]) == ({second}, "They met.")
        # What replaced it is gone.
        act(told, "edit", changed, message="I like bread.")
        assert (texts(told), summary(told)[0]) == ({first}, "They met.")

    def test_topic_that_a_model_names_later_tells_what_replaces_a_fact(self, told: Talk) -> None:
        said, again, changed = "Cardamom tea, please.", "More cardamom tea!", "Honey tea today."
        cardamom, honey = "Ada takes her tea with cardamom.", "Ada takes her tea with honey."
        topic = {"subject": "Ada", "topic": "tea"}
        say(told, said, "Here.", again, "Here.", changed, "Here.", *LATER)
        step(told, {"text": cardamom, "said": said}, upto=said)
        step(told, {"text": cardamom, "said": again, **topic}, upto=again)
        step(told, {"text": honey, "said": changed, **topic})
        assert texts(told) == {honey}

    def test_older_summary_says_what_holds_again(self, told: Talk) -> None:
        said, changed = "I work as a cook.", "I have left the kitchen. I work as a baker now."
        first, second = "Ada works as a cook.", "Ada works as a baker."
        say(told, said, "Nice.", changed, "Good.", *LATER)
        step(told, {"text": first, "said": said}, upto=said, retold=f"They met. {first}")
        new = {"action": "replace", "of": first, "text": second, "said": changed}
        step(told, new, upto=changed, retold=f"They met. {second}")
        act(told, "edit", changed, message="I like bread.")
        assert (texts(told), summary(told)[0]) == ({first}, f"They met. {first}")

    def test_place_in_the_conversation_decides_and_not_when_a_version_was_written(
        self, talk: Talk
    ) -> None:
        bergen, oslo = "Mara lives in Bergen.", "Mara lives in Oslo."
        say(talk, "Where do you live?", "I live in Bergen.", "And now?", "I have moved to Oslo.")
        moved = {"text": oslo, "said": "I have moved to Oslo."}
        step(talk, {"text": bergen, "said": "I live in Bergen."}, dict(moved))
        again = "My home is Bergen, where I live."
        talk.stack.upstream.always(text(again))
        before = str(message(talk, "I live in Bergen.")["id"])
        talk.reply(action="regenerate", message_id=before)
        step(talk, {"text": bergen, "said": again}, dict(moved))
        assert texts(talk) == {oslo}

    def test_later_one_wins_where_all_messages_have_one_time(self, told: Talk) -> None:
        say(told, MOVED, "Far away.")
        told.stack.db.execute("update messages set created_at = %s", [DAY])
        step(told, {"text": OSLO, "said": MOVED}, {"text": PARIS, "said": STORY[2]})
        assert texts(told) == {OSLO}
        rome = "I am Ada. I live in Rome."
        act(told, "edit", STORY[2], message=rome)
        step(told, {"text": "Ada lives in Rome.", "said": rome}, upto=STORY[5])
        assert texts(told) == {OSLO}
        step(told, {"text": OSLO, "said": MOVED})
        assert texts(told) == {OSLO}

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    def test_what_is_said_between_two_facts_stands_between_them(
        self, told: Talk, tier: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.", "And on to Rome.", "Farther still.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"}, upto="Far away.")
        rome = {"text": "Ada lives in Rome.", "said": "And on to Rome.", "tier": "profile"}
        step(told, rome)
        new = "I have moved to London, and I have a dog."
        act(told, "edit", STORY[4], message=new)
        step(told, {"text": LONDON, "said": new, "tier": tier})
        assert texts(told) == {"Ada lives in Rome."}
        # As a new version of the reply to it knows them, and a branch.
        assert self._before(told, MOVED) == {LONDON}
        if tier == "conversation":
            branch = act(told, "branch", new)["conversation_id"]
            assert LONDON in texts(told, branch)
        act(told, "delete", "And on to Rome.")
        assert texts(told) == {OSLO}
        act(told, "delete", MOVED)
        assert texts(told) == {LONDON}
        act(told, "delete", new)
        assert texts(told) == {PARIS}

    @staticmethod
    def _before(talk: Talk, content: str) -> set[str]:
        """What was known before this message."""
        row = talk.stack.one(
            "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
            *(talk.user.id, talk.conversation, DEMO_CHARACTER, message(talk, content)["position"]),
        )
        return {fact["content"] for fact in row["facts"]}

    def test_older_one_stays_history_without_its_withdrawal_if_another_came_after_it(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        gone = "I no longer live in Paris."
        say(told, gone, "Oh.")
        step(told, {"action": "withdraw", "of": PARIS, "said": gone})
        new = "I have moved to London, and I have a dog."
        act(told, "edit", STORY[4], message=new)
        step(told, {"text": LONDON, "said": new})
        assert texts(told) == {LONDON}
        act(told, "delete", gone)
        assert texts(told) == {LONDON}
        act(told, "delete", new)
        assert texts(told) == {PARIS}

    @pytest.mark.parametrize("more", ["", " with Tom"])
    def test_withdrawal_of_a_fact_that_is_gone_takes_along_only_what_has_its_words(
        self, told: Talk, more: str
    ) -> None:
        paris = f"I live in Paris{more}."
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.", paris, "I see.")
        said = {"text": f"Ada lives in Paris{more}.", "said": paris}
        if not more:
            said = {"text": OSLO, "said": MOVED}
        step(told, dict(said))
        gone = "I no longer live there, in Oslo or in Paris with Tom."
        say(told, gone, "Oh.")
        step(told, {"action": "withdraw", "of": said["text"], "said": gone})
        assert texts(told) == set()
        act(told, "delete", said["said"])
        assert texts(told) == (set() if more else {PARIS})

    def test_fact_that_a_wider_one_has_too_is_no_change(self, told: Talk) -> None:
        told.stack.db.execute("update messages set created_at = '2020-01-01'")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"}, upto=STORY[3])
        again = "I still live in Paris."
        say(told, again, "Aye.")
        # A turn that knows nothing of the profile.
        step(told, {"text": PARIS, "said": again}, reach="conversation")
        (fact,) = current(told)
        assert (fact["tier"], "since" in fact) == ("conversation", False)

    def test_time_decides_between_two_conversations(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, MOVED, conversation=other, created_at="2026-02-01")
        told.stack.db.execute(
            "update messages set created_at = '2026-01-01' where conversation_id = %s",
            [told.conversation],
        )
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"}, conversation=other)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        assert texts(told) == {OSLO}

    def test_messages_of_another_conversation_that_are_read_again_bring_back_nothing(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, "Hi.", "Hi!", self.FLUTE_THERE, "Aha.", conversation=other)
        say(told, SAID_FLUTE)
        noted = {"text": FLUTE, "said": SAID_FLUTE, "tier": "profile"}
        there = noted | {"said": self.FLUTE_THERE}
        step(told, noted)
        step(told, dict(there), conversation=other)
        say(told, SAID_HARP)
        harp = {"action": "replace", "of": FLUTE, "text": HARP, "said": SAID_HARP}
        step(told, harp | {"tier": "profile"})
        act(told, "edit", "Hi.", within=other, message="Hello!")
        step(told, dict(there), conversation=other)
        assert texts(told) == {HARP}

    FLUTE_THERE: ClassVar = "Well, I practise the flute at dawn."

    @pytest.mark.parametrize("at", ["infinity", "20000-01-01", "0044-03-15 BC"])
    def test_message_of_an_impossible_time_stops_no_turn(self, told: Talk, at: str) -> None:
        told.stack.db.execute("update messages set created_at = %s", [at])
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, created_at=at)
        step(told, {"text": OSLO, "said": MOVED})
        told.stack.db.execute("update messages set created_at = now()")
        assert texts(told) == {OSLO}
        told.reply("Where do I live?")
        assert OSLO in prompts(told.stack.upstream)[-1][0]["content"]

    @pytest.mark.parametrize("tiers", [("conversation",) * 2, ("profile", "conversation")])
    @pytest.mark.parametrize("order", [1, -1])
    def test_near_duplicates_of_one_answer_are_one_fact(
        self, told: Talk, tiers: tuple[str, str], order: int
    ) -> None:
        say(told, "I like tea.", "Nice.", "The tea, I like it.", "Aye, aye.")
        noted = [
            {"text": "Ada likes tea.", "said": "I like tea.", "tier": tiers[0]},
            {"text": "Ada likes the tea.", "said": "The tea, I like it.", "tier": tiers[1]},
        ]
        step(told, *noted[::order])
        (fact,) = current(told)
        assert fact["tier"] == tiers[0]
        assert told.stack.one("select count(*) from memory_facts") == {"count": 1}
        act(told, "delete", "The tea, I like it.")
        assert len(texts(told)) == 1

    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize(
        ("earlier", "later", "said"),
        [
            (PARIS, "Ada no longer lives in Paris.", "I no longer live in Paris."),
            (FLUTE, HARP, SAID_HARP),
        ],
    )
    def test_later_one_of_two_in_one_answer_that_contradict_wins(
        self, told: Talk, earlier: str, later: str, said: str, order: int
    ) -> None:
        say(told, SAID_FLUTE, "Nice.", said, "Aye, aye.")
        first = STORY[2] if earlier == PARIS else SAID_FLUTE
        noted = [{"text": earlier, "said": first}, {"text": later, "said": said}]
        step(told, *noted[::order])
        assert texts(told) == {later}
        assert "since" in current(told)[0]
        act(told, "delete", said)
        assert texts(told) == {earlier}

    def test_fact_of_one_answer_that_says_more_takes_the_place_of_the_other(
        self, told: Talk
    ) -> None:
        say(told, "I like tea.", "Nice.", "With milk, please.", "Aye, aye.")
        more = {"text": "Ada likes tea with milk.", "said": "With milk, please."}
        step(told, {"text": "Ada likes tea.", "said": "I like tea."}, more)
        (fact,) = current(told)
        assert fact["content"] == "Ada likes tea with milk."
        assert "since" not in fact

    def test_there_and_back_again_in_one_answer(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        back = "I live in Paris again."
        say(told, MOVED, "Far away.", back)
        step(told, {"text": OSLO, "said": MOVED}, {"text": PARIS, "said": back})
        assert texts(told) == {PARIS}

    def test_all_of_there_and_back_again_in_one_answer(self, told: Talk) -> None:
        back = "I live in Paris again."
        say(told, MOVED, "Far away.", back)
        at_first, moved = {"text": PARIS, "said": STORY[2]}, {"text": OSLO, "said": MOVED}
        step(told, at_first, moved, {"text": PARIS, "said": back})
        assert texts(told) == {PARIS}
        act(told, "delete", back)
        assert texts(told) == {OSLO}

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    def test_there_and_back_again_is_in_its_order_without_a_topic(
        self, told: Talk, tier: str
    ) -> None:
        once, then, back = "I like tea.", "I hate tea.", "I like tea, after all."
        say(told, once, "Nice.", then, "Oh.", back, "Good.")
        likes, hates = "Ada likes tea.", "Ada hates tea."
        noted = [{"text": hates, "said": then}, {"text": likes, "said": back}]
        noted = [fact | {"tier": tier} for fact in noted]
        step(told, *map(dict, noted))
        # All is noted again, and for the first time what she liked at first.
        act(told, "edit", STORY[0], message="Good evening.")
        step(told, {"text": likes, "said": once}, *noted)
        told_of = told.stack.all("select content, source_from from memory_facts order by 2")
        assert [fact["content"] for fact in told_of] == [likes, hates, likes]
        assert texts(told) == {likes}
        act(told, "delete", back)
        assert texts(told) == {hates}
        act(told, "delete", then)
        assert texts(told) == {likes}

    BACK: ClassVar = "I have moved back: I live in Paris again."

    def test_fact_that_is_said_again_is_as_new_as_what_says_it(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        say(told, MOVED, "Far away.", self.BACK)
        step(told, {"text": PARIS, "said": self.BACK}, retold="Ada lives in Paris.")
        act(told, "edit", STORY[4], message="I have a cat.")
        assert texts(told) == {PARIS}
        step(told, {"text": OSLO, "said": MOVED})
        assert texts(told) == {PARIS}

    def test_message_that_said_a_fact_again_takes_that_along(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        say(told, MOVED, "Far away.", self.BACK)
        step(told, {"text": PARIS, "said": self.BACK})
        act(told, "delete", self.BACK)
        assert texts(told) == {PARIS}
        act(told, "edit", STORY[4], message="I have a cat.")
        step(told, {"text": OSLO, "said": MOVED})
        assert texts(told) == {OSLO}

    def test_fact_that_no_message_says_again_is_no_newer(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.", "Well.")
        step(told, {"text": PARIS}, {"text": OSLO, "said": MOVED})
        assert texts(told) == {OSLO}

    def test_branch_knows_what_was_said_again_only_up_to_its_point(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        say(told, self.BACK)
        step(told, {"text": PARIS, "said": self.BACK})
        branches = (act(told, "branch", said)["conversation_id"] for said in (STORY[4], self.BACK))
        rows = [
            told.stack.one(
                "select repeated_to from memory_facts where source_conversation_id = %s", branch
            )
            for branch in branches
        ]
        at = message(told, self.BACK)["position"]
        assert [row["repeated_to"] for row in rows] == [None, at]

    def test_later_one_of_the_same_answer_wins(self, told: Talk) -> None:
        say(told, MOVED)
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": OSLO, "said": MOVED})
        assert texts(told) == {OSLO}

    def test_contradiction_reaches_over_tiers(self, told: Talk) -> None:
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "tier": "conversation", "said": MOVED})
        assert texts(told) == {OSLO}

    def test_fact_of_one_story_leaves_a_wider_one_as_it_is_elsewhere(self, told: Talk) -> None:
        story, other = (
            told.stack.conversation(told.user, character_id=DEMO_CHARACTER) for _ in range(2)
        )
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED, conversation=story)
        step(told, {"text": OSLO, "said": MOVED}, conversation=story, reach="conversation")
        known = [texts(told, conversation) for conversation in (story, other, told.conversation)]
        assert known == [{OSLO}, {PARIS}, {PARIS}]
        assert "since" in current(told, story)[0]
        act(told, "delete", MOVED, within=story)
        assert texts(told, story) == {PARIS}

    def test_older_fact_of_a_wider_tier_holds_elsewhere(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, MOVED)
        step(
            told,
            {"text": OSLO, "said": MOVED},
            {"text": PARIS, "said": STORY[2], "tier": "profile"},
        )
        assert (texts(told), texts(told, other)) == ({OSLO}, {PARIS})

    def test_wider_fact_is_hidden_by_the_newest_one_of_a_story(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": "Ada plays the flute.", "tier": "profile", "said": STORY[2]})
        for new in ("the harp", "the drum"):
            said = f"I play {new} now."
            say(told, said)
            (old,) = texts(told)
            noted = {"action": "replace", "of": old, "text": f"Ada plays {new}.", "said": said}
            step(told, noted)
            assert texts(told) == {f"Ada plays {new}."}
        assert texts(told, other) == {"Ada plays the flute."}
        act(told, "delete", "I play the drum now.")
        assert texts(told) == {"Ada plays the harp."}

    def test_wider_fact_that_is_said_again_replaces_that_of_the_story(self, told: Talk) -> None:
        back = "I have moved back: I live in Paris again."
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED})
        say(told, back)
        step(told, {"text": PARIS, "tier": "profile", "said": back})
        assert texts(told) == {PARIS}

    def test_wider_fact_that_a_person_pins_is_shown_beside_that_of_a_story(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED})
        patch(told, pinned=True)
        assert texts(told) == {PARIS, OSLO}

    @pytest.mark.parametrize("how", ["deleted", "narrowed"])
    def test_what_a_story_hides_stays_hidden_when_an_older_one_holds_again(
        self, told: Talk, how: str
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        london = "Let us play that I live in London."
        say(told, london, "Let us.", conversation=other)
        step(told, {"text": LONDON, "said": london}, conversation=other)
        assert texts(told, other) == {LONDON}
        if how == "deleted":
            act(told, "delete", MOVED)
        else:
            move(told, OSLO, "conversation")
        assert texts(told, other) == {LONDON}
        assert texts(told) == ({PARIS} if how == "deleted" else {OSLO})

    def test_fact_that_takes_the_place_of_a_hidden_one_is_shown(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        saved = noted_by_model(told, {"text": OSLO, "said": MOVED, "tier": "character"})
        # The model named no topic, and no words told it.
        del saved["facts"][0]["topic"]
        remember(told, saved)
        rome, london = "Now I live in Rome.", "Now I live in London."
        say(told, rome, "Aye.", london)
        step(told, {"text": "Ada lives in Rome.", "said": rome}, upto=rome)
        step(told, {"text": LONDON, "said": london, "tier": "profile"})
        assert texts(told) == {LONDON}

    @pytest.mark.parametrize("said", ["I live in Paris, France.", "I have moved to Rome."])
    def test_what_a_story_hides_stays_hidden_when_it_changes_elsewhere(
        self, told: Talk, said: str
    ) -> None:
        new = said.replace("I live", "Ada lives").replace("I have moved to", "Ada lives in")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, said, "Oh.", conversation=other)
        step(told, {"text": new, "said": said, "tier": "profile"}, conversation=other)
        assert (texts(told), texts(told, other)) == ({OSLO}, {new})

    def test_what_a_story_hides_stays_hidden_when_a_repetition_of_it_goes(self, told: Talk) -> None:
        back = "I live in Paris again."
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.", back, "Near.")
        step(
            told,
            {"text": PARIS, "said": back, "tier": "profile"},
            {"text": OSLO, "said": MOVED, "tier": "profile"},
        )
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        london = "Let us play that I live in London."
        say(told, london, "Let us.", conversation=other)
        step(told, {"text": LONDON, "said": london}, conversation=other)
        assert (texts(told), texts(told, other)) == ({PARIS}, {LONDON})
        act(told, "delete", back)
        assert (texts(told), texts(told, other)) == ({OSLO}, {LONDON})

    def test_story_that_agrees_with_a_fact_hides_nothing_that_takes_its_place(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, "I live in Paris.", "Oh.")
        step(told, {"text": PARIS, "said": "I live in Paris."}, reach="conversation")
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, MOVED, "Far away.", conversation=other)
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"}, conversation=other)
        assert OSLO in texts(told)

    def test_fact_that_is_off_hides_none(self, told: Talk) -> None:
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED})
        patch(told, OSLO, is_active=False)
        assert texts(told) == {PARIS}

    def test_fact_of_a_character_leaves_that_of_the_user_to_others(self, told: Talk) -> None:
        stranger = told.stack.conversation(told.user)
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "tier": "character", "said": MOVED})
        row = told.stack.one(
            "select private.remembered(%s, 'profile', %s, null) as facts", told.user.id, stranger
        )
        assert (texts(told), [fact["content"] for fact in row["facts"]]) == ({OSLO}, [PARIS])

    @pytest.mark.parametrize("fixed", ["pinned = true", "written_by = 'person'"])
    def test_pinned_facts_and_those_of_a_person_are_not_replaced(
        self, told: Talk, fixed: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        told.stack.db.execute(f"update memory_facts set {fixed}")  # noqa: S608
        say(told, MOVED)
        step(
            told,
            {"action": "replace", "of": PARIS, "text": OSLO, "said": MOVED},
            {"action": "withdraw", "of": PARIS, "said": MOVED},
        )
        assert texts(told) == {PARIS, OSLO}

    @pytest.mark.parametrize("action", ["replace", "withdraw"])
    def test_limit_and_name_outlive_a_wrong_number(self, told: Talk, action: str) -> None:
        limit, name = "Ada does not want her scar touched.", "Ada's sister is called Imke."
        say(told, "Never touch my scar.", "Aye.", "My sister is called Imke.", "Aye, aye.")
        step(told, {"text": limit, "importance": 5}, {"text": name, "importance": 1})
        knife, violins = "My scar is from a knife.", "Imke repairs violins."
        say(told, knife, "Oh.", violins, "Nice.")
        step(
            told,
            {"action": action, "of": limit, "text": "Ada's scar is from a knife.", "said": knife},
            {"action": action, "of": name, "text": violins, "said": violins},
        )
        assert {limit, name} <= texts(told)
        over = "You may touch it: I no longer want my scar not touched."
        say(told, over, "Are you sure?", "My sister has renamed herself: Imke is Ilse now.")
        withdrawn = {"action": "withdraw", "of": limit, "text": limit, "said": over}
        renamed = {"action": "replace", "of": name, "text": "Ada's sister is called Ilse."}
        step(told, withdrawn, renamed)
        assert not {limit, name} & texts(told)

    def test_value_that_nobody_said_replaces_no_safe_word(self, told: Talk) -> None:
        word, wrong = "Ada's safe word is Marigold.", "Ada's safe word is Thunder."
        topic = {"subject": "Ada", "topic": "safe word"}
        say(told, "My safe word is Marigold.", "Aye.")
        step(told, {"text": word, **topic, "said": "My safe word is Marigold."})
        say(told, "The sea is calm.", "I hear thunder.")
        step(told, retold=f"They met. {wrong}")
        assert texts(told) == {word}
        say(told, "It rains.", "Aye, aye.")
        step(told, {"text": wrong, **topic})
        assert texts(told) == {word, wrong}
        told.stack.db.execute("delete from memory_facts where content = %s", [wrong])
        change = "My safe word is Thunder from now on."
        say(told, change, "I will keep it in mind.")
        step(told, retold=f"They met. {wrong}")
        assert texts(told) == {wrong}

    def test_ids_of_facts_of_others_change_nothing(self, told: Talk) -> None:
        stranger = told.stack.user()
        memory = told.stack.insert("memories", user_id=stranger.id, tier="profile")
        theirs = told.stack.insert(
            "memory_facts", memory_id=memory, content="Theirs.", written_by="model"
        )
        span = {"tier": "profile", "importance": 3, "from": 1, "to": 1}
        facts = [
            span | {"content": "Mine.", "replaces": [str(theirs)]},
            span | {"content": "Same.", "same_as": str(theirs)},
            span | {"content": "More.", "extends": str(theirs)},
        ]
        saved = saved_by_hand(told, facts) | {"used": [str(theirs)]}
        before = told.stack.one("select * from memory_facts where id = %s", theirs)
        assert remember(told, saved)
        assert told.stack.one("select * from memory_facts where id = %s", theirs) == before
        assert texts(told) == {"Mine.", "Same.", "More."}

    def test_facts_that_messages_speak_of_are_of_use(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog."}, {"text": "Ada fears thunder."})
        told.stack.db.execute("update memory_facts set last_used_at = '2026-01-01'")
        say(told, "Where is the dog?")
        step(told)
        assert current(told)[0]["content"] == "Ada has a dog."
        recent = "select content from memory_facts where last_used_at > '2026-01-02'"
        assert [row["content"] for row in told.stack.all(recent)] == ["Ada has a dog."]

    def test_fact_about_a_long_name_stops_no_other(self, told: Talk) -> None:
        long = "Ada's " + "a" * 90 + " is Tom."
        assert step(told, {"text": "Ada has a dog."}, {"text": long})
        assert texts(told) == {"Ada has a dog.", long}

    def test_person_of_a_long_name_has_facts(self, told: Talk) -> None:
        noted = {"text": "They live by the sea.", "subject": "user", "topic": "home"}
        assert step(told, noted, person="Ada " * 25)
        assert texts(told) == {"They live by the sea."}

    @pytest.mark.parametrize(
        "wrong",
        [{"importance": 9}, {"content": ""}, {"content": "x" * 2001}, {"tier": "other"}],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_fact_that_cannot_be_saved_takes_neither_the_summary_nor_others_along(
        self, told: Talk, wrong: dict[str, Any]
    ) -> None:
        note = {"tier": "profile", "importance": 3, "from": 1, "to": 1}
        facts = [note | {"content": "Bad."} | wrong, note | {"content": "Good."}]
        assert remember(told, saved_by_hand(told, facts))
        assert (texts(told), summary(told)[0]) == ({"Good."}, "S.")

    def test_subject_and_topic_that_are_too_long_are_cut_to_what_the_table_takes(
        self, told: Talk
    ) -> None:
        note = {"tier": "profile", "importance": 3, "from": 1, "to": 1, "content": "Good."}
        assert remember(told, saved_by_hand(told, [note | {"subject": "x" * 99, "topic": " "}]))
        row = told.stack.one("select subject, topic from memory_facts")
        assert row == {"subject": "x" * 80, "topic": None}


def test_turn_that_changes_facts_is_two_calls(talk: Talk) -> None:
    talk.have_only(VENICE)
    shorten_prompts(talk)
    fill(talk, MESSAGES)
    step(talk, {"text": PARIS, "message": 1}, upto=f"0{PARAGRAPH}")
    assert texts(talk) == {PARIS}
    change = {"action": "replace", "fact": 1, "text": OSLO, "message": 2}
    answer = text(json.dumps({"summary": "She moved.", "facts": [change]}))

    assert take_turn(talk, answer)["memory_updated"] is True

    assert texts(talk) == {OSLO}
    (material,) = asked_for_notes(talk.stack.upstream)
    assert material["facts"] == [
        {"number": 1, "text": PARIS, "subject": "Ada", "topic": "home"},
    ]
    assert talk.stack.gateway.calls == [
        "POST /rest/v1/rpc/begin_turn",
        "POST /rest/v1/rpc/finish_turn",
    ]
