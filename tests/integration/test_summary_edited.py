"""A person's own words in the summary of a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from roleplay_chat.memory.answer import MAX_SUMMARY_CHARS
from tests.support.facts import (
    BLANK,
    LATER,
    MERGE,
    STORY,
    act,
    message,
    prompted,
    say,
    shown,
    step,
    summary,
    write_summary,
)
from tests.support.notes import prompts
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


class TestSummary:
    """Words that a person writes, over the Data API."""

    def test_words_of_a_person_replace_the_summary_and_no_model_changes_them(
        self, told: Talk
    ) -> None:
        step(told, upto=STORY[1], retold="One.")
        write_summary(told, "Ada came by boat.")
        position = message(told, STORY[1])["position"]
        assert (shown(told), summary(told)[1]) == (("Ada came by boat.", ""), position)
        person = {"person_summary": "Ada came by boat."}
        assert step(told, memory=person, retold="Then she stayed.")
        assert shown(told) == ("Ada came by boat.", "Then she stayed.")

        told.reply("Hello")
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert "Ada came by boat.\nThen she stayed." in system

    def test_words_come_before_any_summary(self, told: Talk) -> None:
        write_summary(told, "Ada came by boat.")
        assert (shown(told), summary(told)[1]) == (("Ada came by boat.", ""), 0)

    def test_same_words_again_keep_what_a_model_wrote_after_them(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        write_summary(told, "Ada came by boat.")
        person = {"person_summary": "Ada came by boat."}
        assert step(told, memory=person, retold="Then she stayed.")
        covered = summary(told)
        write_summary(told, "Ada came by boat.")
        assert shown(told) == ("Ada came by boat.", "Then she stayed.")
        assert summary(told) == covered
        write_summary(told, "Ada came by ship.")
        assert shown(told) == ("Ada came by ship.", "")

    def test_summary_that_did_not_know_the_words_is_refused(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        write_summary(told, "Ada came by boat.")
        assert step(told, retold="Written meanwhile.") is False
        assert shown(told) == ("Ada came by boat.", "")

    def test_words_outlive_a_message(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        write_summary(told, "Ada came by boat.")
        say(told, *LATER)
        act(told, "delete", STORY[2])
        # What is retold again is what stands there now, and not what a model once wrote.
        assert shown(told) == ("Ada came by boat.", "")
        assert summary(told)[1] == message(told, STORY[1])["position"]

    def test_without_words_the_summary_is_written_anew(self, told: Talk) -> None:
        step(told, retold="One.")
        write_summary(told, "Mine.")
        write_summary(told, "")
        assert (shown(told), summary(told)[1]) == (("", ""), 0)

    @pytest.mark.parametrize(
        "columns", [{"content": "x"}, {"covers_position": 9}, {"content_tier": "sfw"}]
    )
    def test_a_person_writes_nothing_in_a_models_name(
        self, told: Talk, columns: dict[str, Any]
    ) -> None:
        step(told, retold="One.")
        with told.stack.data_api(told.user) as api:
            mine = {"conversation_id": f"eq.{told.conversation}"}
            answer = api.patch("/conversation_summaries", params=mine, json=columns)
        assert answer.status_code == 403
        assert shown(told) == ("", "One.")

    def test_strangers_words_are_not_taken(self, told: Talk) -> None:
        step(told, retold="One.")
        with told.stack.data_api(told.stack.user()) as api:
            mine = {"conversation_id": f"eq.{told.conversation}"}
            api.patch("/conversation_summaries", params=mine, json={"person_content": "x"})
            row = {"conversation_id": str(told.conversation), "person_content": "x"}
            assert api.post("/conversation_summaries", json=row).status_code in (403, 409)
        assert shown(told) == ("", "One.")

    def test_words_are_changed_only_as_they_were_read(self, told: Talk) -> None:
        write_summary(told, "Ada came by boat.")
        with told.stack.data_api(told.user) as api:
            api.headers["Prefer"] = "return=representation"
            columns = {"select": "conversation_id,person_digest"}
            [read] = api.get("/conversation_summaries", params=columns).json()
            seen = {name: f"eq.{value}" for name, value in read.items()}
            path = "/conversation_summaries"
            first = api.patch(path, params=seen, json={"person_content": "Ada came on foot."})
            second = api.patch(path, params=seen, json={"person_content": "Ada swam."})
        assert (len(first.json()), second.json()) == (1, [])
        assert shown(told) == ("Ada came on foot.", "")

    @pytest.mark.parametrize("newer", ["Ada came on foot.", "ADA CAME BY BOAT!"])
    def test_words_are_deleted_only_as_they_were_read(self, told: Talk, newer: str) -> None:
        write_summary(told, "Ada came by boat.")
        path, columns = "/conversation_summaries", {"select": "conversation_id,person_digest"}
        with told.stack.data_api(told.user) as api:
            api.headers["Prefer"] = "return=representation"

            def read() -> dict[str, str]:
                [row] = api.get(path, params=columns).json()
                return {name: f"eq.{value}" for name, value in row.items()}

            seen = read()
            write_summary(told, newer)
            assert api.delete(path, params=seen).json() == []
            assert shown(told) == (newer, "")
            assert len(api.delete(path, params=read()).json()) == 1
        assert not told.stack.all("select from conversation_summaries")

    def test_deleted_row_of_an_adult_conversation_is_in_the_answer(self, told: Talk) -> None:
        """And its conversation stays adult."""
        step(told, retold="One.")
        told.stack.db.execute("update conversation_summaries set content_tier = 'nsfw'")
        path = "/conversation_summaries"
        with told.stack.data_api(told.user) as api:
            api.headers["Prefer"] = "return=representation"
            [read] = api.get(path, params={"select": "conversation_id,person_digest"}).json()
            seen = {name: f"eq.{value}" for name, value in read.items()}
            assert [row["content"] for row in api.delete(path, params=seen).json()] == ["One."]
        row = told.stack.one("select * from conversation_summaries")
        assert (row["content"], row["covers_position"], row["content_tier"]) == ("", 0, "nsfw")
        assert not told.stack.all("select from private.summary_versions")

    def test_words_have_room_for_those_before_and_what_a_model_added(self, told: Talk) -> None:
        write_summary(told, "x" * 4000)
        assert step(told, memory={"person_summary": "x" * 4000}, retold="y" * MAX_SUMMARY_CHARS)
        write_summary(told, whole := "\n".join(shown(told)))
        assert shown(told) == (whole, "")

    def test_words_are_bounded(self, told: Talk) -> None:
        write_summary(told, "x" * 8000)
        with told.stack.data_api(told.user) as api:
            mine = {"conversation_id": f"eq.{told.conversation}"}
            row = {"person_content": "x" * 8001}
            assert api.patch("/conversation_summaries", params=mine, json=row).status_code == 400

    def test_no_words_at_all_are_no_summary(self, told: Talk) -> None:
        step(told, retold="One.")
        write_summary(told, None)
        assert shown(told) == ("", "")

    @pytest.mark.parametrize("blank", BLANK, ids=ascii)
    def test_blank_words_are_no_summary(self, told: Talk, blank: str) -> None:
        write_summary(told, blank)
        assert shown(told) == ("", "")
        step(told, retold="One.")
        write_summary(told, blank)
        assert (shown(told), summary(told)[1]) == (("", ""), 0)


class TestSummaryMeanwhile:
    def test_what_a_model_wrote_since_is_summarised_again(self, told: Talk) -> None:
        told.have_only(VENICE)
        step(told, retold="They met.", upto=STORY[1])
        _, seen = summary(told)
        step(told, retold="They met. Ada told of her dog.", upto=STORY[5])
        say(told, "More.", "Yes.")
        self.write(told, "They met in fog.", seen)
        row = "select person_content, content, covers_position, person_covers, seen_position"
        assert told.stack.one(f"{row} from conversation_summaries") == {
            **{"person_content": "They met in fog.", "content": "", "covers_position": seen},
            **{"person_covers": seen, "seen_position": None},
        }
        prompt = prompted(told)
        assert all(said in prompt for said in ("They met in fog.", *STORY[2:], "More."))
        assert STORY[0] not in prompt

    def test_words_for_all_of_it_cover_all_of_it(self, told: Talk) -> None:
        step(told, retold="They met.", upto=STORY[3])
        _, seen = summary(told)
        self.write(told, "They met in fog.", seen)
        assert (shown(told), summary(told)[1]) == (("They met in fog.", ""), seen)

    def test_first_words_and_their_position_are_not_kept_for_later(self, told: Talk) -> None:
        self.write(told, "They met in fog.", 0)
        step(told, retold="Ada told of her dog.", upto=STORY[3])
        _, covered = summary(told)
        write_summary(told, "They met in rain.")
        assert (shown(told), summary(told)[1]) == (("They met in rain.", ""), covered)

    def test_branch_from_before_has_what_covers_its_messages(self, told: Talk) -> None:
        step(told, retold="They met.", upto=STORY[1])
        _, seen = summary(told)
        step(told, retold="They met. Ada told of her dog.", upto=STORY[5])
        self.write(told, "They met in fog.", seen)
        branch = act(told, "branch", STORY[5])["conversation_id"]
        assert (shown(told, branch), summary(told, branch)[1]) == (("They met in fog.", ""), seen)

    def write(self, told: Talk, words: str, seen: int) -> None:
        """As the page does."""
        row = {"conversation_id": str(told.conversation), "person_content": words}
        with told.stack.data_api(told.user) as api:
            answer = api.post(
                "/conversation_summaries", json=row | {"seen_position": seen}, headers=MERGE
            )
        assert answer.is_success, answer.text
