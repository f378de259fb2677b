"""Which facts are kept and shown where there are too many."""

from __future__ import annotations

import pytest

from tests.support.answers import text
from tests.support.facts import (
    MOVED,
    OSLO,
    PARIS,
    STORY,
    current,
    live_in_oslo,
    memory_of,
    patch,
    say,
    step,
    texts,
)
from tests.support.memory import shorten_prompts
from tests.support.notes import prompts
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


class TestLasting:
    def test_what_matters_least_goes_first(self, told: Talk) -> None:
        step(told, {"text": "Her sister is called Tilda.", "said": STORY[2]})
        memory = told.stack.one("select memory_id from memory_facts")["memory_id"]
        told.stack.db.execute(
            "update memory_facts set last_used_at = '2020-01-01', created_at = '2020-01-01'"
        )
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by, importance, last_used_at)"
            " select %s, 'Small thing ' || n || '.', 'model', case when n <= 150 then 1 else 2 end,"
            " timestamptz '2026-01-01' + n %% 150 * interval '1 minute'"
            " from generate_series(1, 300) n",
            [memory],
        )
        say(told, "And then?", "Nothing.")
        step(told, {"text": "Ada came by boat.", "importance": 3})

        rows = told.stack.all("select content, importance from memory_facts")
        kept = {row["content"] for row in rows}
        assert len(kept) == 300
        assert {"Her sister is called Tilda.", "Ada came by boat.", "Small thing 151."} <= kept
        # Of the least importance, those that were not of use for the longest time.
        assert not {"Small thing 150.", "Small thing 1."} & kept
        assert current(told)[0]["content"] == "Her sister is called Tilda."

    def test_facts_of_ones_own_leave_room_for_others(self, told: Talk) -> None:
        step(told, {"text": "Her sister is called Tilda.", "said": STORY[2]})
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by)"
            " select f.memory_id, 'My own ' || n || '.', 'person'"
            " from memory_facts f, generate_series(1, 300) n"
        )
        say(told, "And then?", "Nothing.")
        step(told, {"text": "Ada came by boat."})
        noted = {row["content"] for row in told.stack.all("select content from memory_facts")}
        assert {"Her sister is called Tilda.", "Ada came by boat."} <= noted
        assert "Her sister is called Tilda." in texts(told)

    def test_what_was_replaced_does_not_come_back_when_room_is_made(self, told: Talk) -> None:
        live_in_oslo(told)
        memory = told.stack.one("select memory_id from memory_facts limit 1")["memory_id"]
        told.stack.db.execute("update memory_facts set importance = 1, last_used_at = '2020-01-01'")
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by)"
            " select %s, 'Thing ' || n || '.', 'model' from generate_series(1, 300) n",
            [memory],
        )
        say(told, "And then?", "Nothing.")
        step(told, {"text": "Ada came by boat."})
        content = {row["content"] for row in told.stack.all("select content from memory_facts")}
        assert not {PARIS, OSLO} & content

    def test_what_hides_a_fact_counts_as_much_as_that(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile", "importance": 4})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "importance": 2})
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by, importance)"
            " select id, 'Thing ' || n || ' is here.', 'model', 3"
            " from memories, generate_series(1, 300) n where tier = 'conversation'"
        )
        say(told, "Go on.", "Aye, aye.")
        step(told)
        counted = told.stack.one("select count(*) from memory_facts where content like 'Thing %'")
        assert counted == {"count": 299}
        assert PARIS not in texts(told)

    def test_history_is_bounded(self, told: Talk) -> None:
        for number in range(130):
            say(told, f"I am {number} years old.")
            step(told, {"text": f"Ada is {number} years old.", "message": 1})
        assert texts(told) == {"Ada is 129 years old."}
        assert told.stack.one("select count(*) as n from memory_facts")["n"] == 101

    def test_early_and_important_facts_are_in_a_small_prompt_after_many_others(
        self, talk: Talk
    ) -> None:
        talk.have_only(VENICE)
        shorten_prompts(talk)
        talk.stack.configure(limits={})
        early = ["Ada's sister is called Tilda.", "Mara promised to wait for Ada."]
        say(talk, "Hello.")
        step(talk, *({"text": fact, "message": 1} for fact in early))
        for turn in range(40):
            say(talk, f"Turn {turn}.")
            step(
                talk,
                *({"text": f"On day {turn} they saw thing {n}.", "message": 1} for n in range(8)),
                retold="They talked. " * 150,
            )
        talk.stack.upstream.always(text("Yes."))
        talk.reply("Hello")
        system = prompts(talk.stack.upstream)[-1][0]["content"]
        assert [fact for fact in early if fact not in system] == []

    def test_long_pinned_fact_hides_no_other_from_the_prompt(self, talk: Talk) -> None:
        talk.have_only(VENICE)
        talk.describe(VENICE, context_tokens=8192)
        memory = talk.stack.insert("memories", user_id=talk.user.id, tier="profile")
        for fact in (
            {"content": "我住在巴黎的河边。" * 220, "pinned": True},
            {"content": "Ada has a sister Tilda.", "importance": 5},
            {"content": "Ada promised to come back.", "pinned": True},
        ):
            talk.stack.insert("memory_facts", memory_id=memory, **fact)
        talk.stack.upstream.always(text("Yes."))
        talk.reply("Hello", memory_tier="profile")
        system = prompts(talk.stack.upstream)[-1][0]["content"]
        assert [word for word in ("promised", "Tilda") if word not in system] == []


class TestManyFacts:
    def fill(self, told: Talk, number: int, tier: str = "conversation") -> None:
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content)"
            " select %s, format('Thing %%s of %%s.', n, %s::text) from generate_series(1, %s) n",
            [memory_of(told, tier), tier, number],
        )

    @pytest.mark.parametrize(("there", "status"), [(1000, 204), (1001, 409)])
    def test_many_facts_move_at_once_where_there_is_room(
        self, told: Talk, there: int, status: int
    ) -> None:
        self.fill(told, 1000)
        self.fill(told, there, "profile")
        its = {"memory_id": f"eq.{memory_of(told)}"}
        target = {"memory_id": memory_of(told, "profile")}
        with told.stack.data_api(told.user) as api:
            answer = api.patch("/memory_facts", params=its, json=target)
        assert answer.status_code == status, answer.text
        counted = told.stack.all("select count(*) from memory_facts group by memory_id")
        if status == 204:
            assert counted == [{"count": 2000}]
        else:
            assert answer.json()["hint"] == "The maximum is 2000 facts."

    def test_memory_is_full_at_some_point(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        memory = told.stack.insert(
            "memories", user_id=told.user.id, tier="character", character_id=DEMO_CHARACTER
        )
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content)"
            " select %s, 'Fact ' || n from generate_series(1, 1999) n",
            (memory,),
        )
        row = {"memory_id": str(memory), "content": "One more."}
        with told.stack.data_api(told.user) as api:
            assert api.post("/memory_facts", json=row).status_code == 201
            refused = [
                api.post("/memory_facts", json=row | {"content": "And another."}),
                api.patch(
                    "/memory_facts",
                    params={"content": f"eq.{PARIS}"},
                    json={"memory_id": str(memory)},
                ),
            ]
        assert [answer.status_code for answer in refused] == [409, 409]
        assert "delete one first" in refused[0].json()["message"]

    def test_fact_of_a_memory_that_has_too_many_is_still_changed(self, told: Talk) -> None:
        self.fill(told, 2001)
        patch(told, "Thing 7 of conversation.", pinned=True)
        patch(told, "Thing 7 of conversation.", content="Ada has a boat.")
        assert current(told)[0]["content"] == "Ada has a boat."
