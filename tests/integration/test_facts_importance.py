"""How much a fact matters: what a person chose, what the words tell, and ratings by a model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.answers import text
from tests.support.facts import (
    LONDON,
    MERGE,
    MOVED,
    OSLO,
    PARIS,
    STORY,
    add,
    current,
    live_in_oslo,
    memory_of,
    move,
    noted_by_model,
    patch,
    prompted,
    remember,
    say,
    step,
)
from tests.support.memory import MESSAGES, fill, shorten_prompts, take_turn
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations

NUTS = "Ada is allergic to nuts."


def rated(talk: Talk) -> list[tuple[str, int]]:
    return [(fact["content"], fact["importance"]) for fact in current(talk)]


class TestImportance:
    """How much facts matter that a person wrote or rated."""

    def gulls(self, told: Talk, number: int, importance: int) -> None:
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by, importance, last_used_at)"
            " select %s, format('The gull number %%s sat on rock %%s all evening.', n, n),"
            " 'model', %s, now() + interval '1 minute' from generate_series(1, %s) n",
            [memory_of(told), importance, number],
        )

    @pytest.mark.parametrize("again", [PARIS, "Ada lives in Paris with her sister."])
    def test_importance_that_a_person_lowered_is_not_raised_by_a_note(
        self, told: Talk, again: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "importance": 4})
        patch(told, importance=1)
        say(told, "As I said, I live in Paris with my sister.")
        step(told, {"text": again, "importance": 4})
        (fact,) = current(told)
        assert (fact["content"], fact["importance"]) == (again, 1)

    def test_importance_that_a_person_chose_decides_what_is_shown_first(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "importance": 4}, {"text": PARIS})
        patch(told, importance=5)
        assert [fact["content"] for fact in current(told)] == [PARIS, "Ada has a dog."]

    @pytest.mark.parametrize("importance", [3, 4])
    def test_limit_that_a_person_writes_is_in_a_crowded_prompt(
        self, told: Talk, importance: int
    ) -> None:
        told.have_only(VENICE)
        told.describe(VENICE, context_tokens=4096)
        self.gulls(told, 119, importance)
        add(told, NUTS)
        add(told, "Red line: never describe spiders.")
        prompt = prompted(told, "What shall we eat?")
        assert NUTS in prompt
        assert "spiders" in prompt
        assert prompt.count("gull number") < 119

    def test_limit_that_a_person_makes_of_another_fact_is_in_it(self, told: Talk) -> None:
        told.have_only(VENICE)
        told.describe(VENICE, context_tokens=4096)
        step(told, {"text": "Ada likes nuts.", "said": STORY[4], "importance": 1})
        self.gulls(told, 119, 4)
        patch(told, "Ada likes nuts.", content=NUTS)
        assert NUTS in prompted(told)

    def test_next_notes_store_the_importance_of_what_a_person_wrote(self, told: Talk) -> None:
        step(told, {"text": "Ada likes nuts.", "said": STORY[4], "importance": 1})
        patch(told, "Ada likes nuts.", content=NUTS)
        add(told, "Ada likes tea.")
        add(told, "Ada is allergic to bees.", importance=2)
        self.take_notes(told)
        assert sorted(rated(told)) == [
            ("Ada is allergic to bees.", 2),
            (NUTS, 5),
            ("Ada likes tea.", 3),
        ]
        assert not any("is_unread" in fact for fact in current(told))

    def take_notes(self, told: Talk) -> None:
        """In a real turn: the function tells the importance."""
        told.have_only(VENICE)
        shorten_prompts(told)
        fill(told, MESSAGES)
        assert take_turn(told, text(json.dumps({"summary": "They met.", "facts": []})))[
            "memory_updated"
        ]

    def test_of_equal_ones_those_of_the_person_come_first(self, told: Talk) -> None:
        self.gulls(told, 119, 3)
        add(told, "Ada has a boat.", importance=3)
        assert current(told)[0]["content"] == "Ada has a boat."

    @pytest.mark.parametrize("given", [{"importance": None}, {}])
    def test_none_that_is_chosen_is_told_by_the_words(
        self, told: Talk, given: dict[str, Any]
    ) -> None:
        add(told, "Ada has a dog.", **given)
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 4})
        assert rated(told) == [("Ada has a dog.", 4)]

    @pytest.mark.parametrize("chosen", [1, 3])
    def test_one_that_is_chosen_at_once_stays(self, told: Talk, chosen: int) -> None:
        add(told, "Ada has a dog.", importance=chosen)
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 4})
        assert rated(told) == [("Ada has a dog.", chosen)]

    def test_choice_is_taken_back(self, told: Talk) -> None:
        add(told, "Ada has a dog.", importance=1)
        patch(told, "Ada has a dog.", importance=None)
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 4})
        assert rated(told) == [("Ada has a dog.", 4)]

    def test_same_importance_is_chosen_if_nothing_else_changes(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 2})
        patch(told, "Ada has a dog.", importance=2, pinned=True)
        row = "select is_rated from memory_facts"
        assert told.stack.one(row) == {"is_rated": False}
        patch(told, "Ada has a dog.", importance=2)
        assert told.stack.one(row) == {"is_rated": True}
        patch(told, "Ada has a dog.", importance=None, pinned=True)
        assert told.stack.one(row) == {"is_rated": False}

    @pytest.mark.parametrize("more", [(), ("importance",), ("importance", "pinned", "is_active")])
    def test_row_that_is_sent_again_chooses_no_importance(
        self, told: Talk, more: tuple[str, ...]
    ) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 2})
        row = told.stack.one("select * from memory_facts")
        sent = {name: row[name] for name in ("content", *more)}
        sent |= {name: str(row[name]) for name in ("id", "memory_id")}
        with told.stack.data_api(told.user) as api:
            answer = api.post("/memory_facts", json=sent, headers=MERGE)
        assert answer.is_success, answer.text
        assert told.stack.one("select * from memory_facts") == row

    def test_person_who_writes_what_a_model_noted_keeps_what_is_known_of_it(
        self, told: Talk
    ) -> None:
        live_in_oslo(told)
        told.stack.db.execute("update memory_facts set importance = 4 where content = %s", [OSLO])
        (noted,) = current(told)
        add(told, OSLO)
        (own,) = current(told)
        assert own["written_by"] == "person"
        kept = ("importance", "subject", "topic", "since")
        assert {name: own[name] for name in kept} == {name: noted[name] for name in kept}

    def test_chosen_importance_outlives_writing_and_moving_the_same(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "tier": "profile"})
        patch(told, "Ada has a dog.", importance=1)
        add(told, "Ada has a dog!", "profile")
        assert rated(told) == [("Ada has a dog!", 1)]
        add(told, "Ada has a dog?", importance=5)
        move(told, "Ada has a dog?", "profile")
        assert rated(told) == [("Ada has a dog?", 5)]

    def test_rating_does_not_keep_a_fact_in_its_tier(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, PARIS, importance=4)
        say(told, "As I said, I live in Paris.", "Yes.")
        step(told, {"text": PARIS, "said": "As I said, I live in Paris.", "tier": "profile"})
        assert [(fact["tier"], fact["importance"]) for fact in current(told)] == [("profile", 4)]

    def test_what_replaces_a_fact_that_was_rated_matters_as_much(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, PARIS, importance=5)
        for said, fact in ((MOVED, OSLO), ("I live in London now.", LONDON)):
            say(told, said, "Far.")
            step(told, {"text": fact, "said": said, "importance": 2})
        assert rated(told) == [(LONDON, 5)]


class TestMeanwhile:
    """A step of notes, and what the person does while it runs."""

    def test_text_that_the_model_did_not_see_is_not_rated(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 2})
        say(told, "I still have a dog.", "Good.")
        saved = noted_by_model(told, {"text": "Ada has a dog.", "message": 1, "importance": 4})
        patch(told, "Ada has a dog.", content="Ada has a boat.")
        last_used = (
            "select last_used_at, importance from memory_facts where content like '%%boat%%'"
        )
        before = told.stack.one(last_used)
        assert remember(told, saved)
        assert told.stack.one(last_used) == before

    def test_text_that_the_person_wrote_and_reworded_is_not_rated(self, told: Talk) -> None:
        add(told, "Ada has a dog.")
        noted = {"text": "Ada has a dog.", "said": STORY[4], "importance": 4}
        saved = noted_by_model(told, noted)
        patch(told, "Ada has a dog.", content="Ada has a boat.")
        assert remember(told, saved)
        assert rated(told) == [("Ada has a boat.", 3)]
