"""Facts that a person writes, rewords or pins, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.support.facts import (
    BLANK,
    DAY,
    FLUTE,
    HARP,
    LONDON,
    MERGE,
    MOVED,
    OSLO,
    PARIS,
    SAID_FLUTE,
    SAID_HARP,
    STORY,
    act,
    add,
    current,
    forget,
    live_in_oslo,
    memory_of,
    move,
    noted_by_model,
    patch,
    prompted,
    remember,
    say,
    shown,
    step,
    summary,
    texts,
    told_thrice,
    use,
    write_summary,
)
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.installations


class TestPerson:
    """A memory that a person shapes, over the Data API."""

    @pytest.mark.parametrize("newer", [OSLO, PARIS.upper(), PARIS.replace(".", "?"), f"{PARIS} "])
    @pytest.mark.parametrize("how", ["changed", "deleted"])
    def test_fact_is_changed_or_deleted_only_as_it_was_read(
        self, told: Talk, newer: str, how: str
    ) -> None:
        add(told, PARIS)
        with told.stack.data_api(told.user) as api:
            api.headers["Prefer"] = "return=representation"

            def read() -> dict[str, str]:
                [fact] = api.get("/memory_facts", params={"select": "id,digest"}).json()
                return {name: f"eq.{value}" for name, value in fact.items()}

            def write(seen: dict[str, str]) -> int:
                if how == "deleted":
                    return len(api.delete("/memory_facts", params=seen).json())
                return len(api.patch("/memory_facts", params=seen, json={"content": LONDON}).json())

            seen = read()
            patch(told, content=newer)
            assert write(seen) == 0
            assert texts(told) == {newer}
            assert write(read()) == 1
        assert texts(told) == ({LONDON} if how == "changed" else set())

    @pytest.mark.parametrize("has_summary", [False, True])
    def test_fact_stays_new_when_no_model_can_take_notes(
        self, told: Talk, has_summary: bool
    ) -> None:
        """It would move to the beginning of the prompt, which then is in no cache."""
        if has_summary:
            step(told, upto=STORY[1])
        add(told, PARIS)
        tried = noted_by_model(told) | {"summary": None, "wait_seconds": 300, "failures": 1}
        assert not remember(told, tried)
        [fact] = current(told)
        assert fact["is_new"]
        step(told)
        [fact] = current(told)
        assert "is_new" not in fact

    @pytest.mark.parametrize("blank", BLANK, ids=ascii)
    def test_blank_fact_is_refused(self, told: Talk, blank: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = str(told.stack.one("select id from memories")["id"])
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}"}
            answers = [
                api.post("/memory_facts", json={"memory_id": memory, "content": blank}),
                api.patch("/memory_facts", params=its, json={"content": blank}),
            ]
        assert [answer.status_code for answer in answers] == [400, 400]
        refused = "A fact needs a text of at most 2000 characters."
        assert [answer.json()["message"] for answer in answers] == [refused] * 2
        assert texts(told) == {PARIS}

    @pytest.mark.parametrize(
        ("table", "row", "column"),
        [
            ("memory_facts", {"content": "x" * 2001}, "content"),
            ("memory_facts", {"content": None}, "content"),
            ("memory_facts", {"importance": 9}, "importance"),
            ("memory_facts", {"content": ["Ada"]}, "content"),
            ("memory_facts", {"content": {"text": "Ada"}}, "content"),
            ("conversation_summaries", {"person_content": ["Ada"]}, "person_content"),
            ("memory_facts", {"pinned": None}, "pinned"),
            ("memory_facts", {"is_active": None}, "is_active"),
            ("memories", {"tier": "forever"}, "tier"),
            ("memories", {"tier": "conversation"}, "tier"),
            ("memories", {"character_id": str(DEMO_CHARACTER)}, "tier"),
            ("conversation_summaries", {"person_content": "x" * 8001}, "person_content"),
            ("conversation_memory", {"remembers": None}, "remembers"),
        ],
    )
    def test_value_that_is_refused_is_named_in_a_sentence(
        self, told: Talk, table: str, row: dict[str, Any], column: str
    ) -> None:
        """Not with the rules of the tables, or the row."""
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        told.stack.db.execute("delete from conversation_summaries")
        whose = {
            "memory_facts": {"content": "Ada is here."},
            "memories": {"user_id": str(told.user.id), "tier": "profile"},
            "conversation_summaries": {"conversation_id": str(told.conversation)},
        }
        whose["memory_facts"]["memory_id"] = str(told.stack.one("select id from memories")["id"])
        changed = {
            "memory_facts": {"content": f"eq.{PARIS}"},
            "conversation_memory": {"conversation_id": f"eq.{told.conversation}"},
        }
        with told.stack.data_api(told.user) as api:
            answers = []
            if table in whose:
                answers.append(api.post(f"/{table}", json=whose[table] | row))
            if table in changed:
                answers.append(api.patch(f"/{table}", params=changed[table], json=row))
        assert answers
        for answer in answers:
            error = answer.json()
            assert (answer.status_code, error["code"], error["details"]) == (400, "PT400", column)
            assert error["message"].endswith(".")

    @pytest.mark.parametrize("visible", ["7", "+", "♥", "❤\ufe0f", "愛", "\u200fא"])
    def test_fact_of_one_sign_is_none_of_these(self, told: Talk, visible: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, content=visible)
        assert texts(told) == {visible}

    def test_fact_that_a_person_adds_replaces_what_a_model_noted_before(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        add(told, OSLO)
        say(told, "And then?")
        step(told)
        assert texts(told) == {OSLO}

    def test_fact_that_a_person_deleted_and_then_added_replaces_what_a_model_noted_before(
        self, told: Talk
    ) -> None:
        step(told, {"text": OSLO, "said": STORY[2]}, upto=STORY[3])
        forget(told, OSLO)
        step(told, {"text": PARIS, "said": STORY[4]})
        add(told, OSLO)
        say(told, "And then?")
        step(told)
        assert texts(told) == {OSLO}

    def test_fact_that_contradicts_a_persons_stands_beside_it_and_says_since_when(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, pinned=True)
        say(told, MOVED, created_at=DAY)
        step(told, {"text": OSLO, "said": MOVED})
        since = {fact["content"]: fact.get("since") for fact in current(told)}
        assert since[PARIS] is None
        assert str(since[OSLO]).startswith("2026-05-03")

    def test_fact_that_is_said_again_stands_beside_what_a_person_wrote_meanwhile(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        add(told, OSLO)
        back = "I have moved back: I live in Paris again."
        say(told, back)
        step(told, {"text": PARIS, "said": back})
        assert {fact["content"]: "since" in fact for fact in current(told)} == {
            PARIS: True,
            OSLO: False,
        }
        say(told, "Go on.", "Aye, aye.")
        step(told)
        assert texts(told) == {PARIS, OSLO}

    def test_what_a_person_wrote_replaces_a_models_fact_once_a_message_says_it_again(
        self, told: Talk
    ) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4]})
        add(told, OSLO)
        for text_, said in ((PARIS, "I live in Paris again."), (OSLO, "I live in Oslo after all.")):
            say(told, said)
            step(told, {"text": text_, "said": said})
            left = {OSLO} if text_ == OSLO else {OSLO, PARIS}
            assert texts(told) == {"Ada has a dog.", *left}

    def test_fact_that_a_person_reworded_to_say_something_else_replaces_nothing(
        self, told: Talk
    ) -> None:
        born = "Ada was born in Paris."
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        patch(told, content=born)
        step(told, {"text": OSLO, "said": MOVED}, retold=OSLO)
        since = {fact["content"]: fact.get("since") for fact in current(told)}
        assert since == {born: None, OSLO: None}
        say(told, "Go on.", "Aye, aye.")
        step(told, retold=OSLO)
        assert (texts(told), summary(told)[0]) == ({born, OSLO}, OSLO)

    def test_fact_that_a_person_reworded_still_replaces_what_contradicts_it(
        self, told: Talk
    ) -> None:
        step(told, {"text": "Ada lives in Rome.", "said": STORY[2]}, upto=STORY[3])
        patch(told, "Ada lives in Rome.", content=OSLO)
        told.stack.db.execute("update messages set created_at = %s", [DAY])
        step(told, {"text": PARIS, "said": STORY[4]})
        say(told, "Go on.", "Aye, aye.")
        step(told)
        assert texts(told) == {OSLO}

    @pytest.mark.parametrize(
        ("new", "shown", "later"),
        [
            ("Ada has a sister in Oslo.", {PARIS}, {PARIS}),
            ("Ada lives in Bergen.", {PARIS}, set()),
        ],
    )
    def test_fact_that_a_person_reworded_hides_only_what_it_contradicts_and_has_a_new_time(
        self, told: Talk, new: str, shown: set[str], later: set[str]
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED})
        patch(told, OSLO, content=new)
        assert texts(told) == {new, *shown}
        assert not any("since" in fact for fact in current(told))
        say(told, "Go on.", "Aye, aye.")
        step(told)
        assert texts(told) == {new, *later}

    def test_history_that_a_person_rewords_as_what_holds_takes_its_place(self, told: Talk) -> None:
        live_in_oslo(told)
        patch(told, content=OSLO)
        rows = told.stack.all("select content, written_by, replaced_by from memory_facts")
        assert rows == [{"content": OSLO, "written_by": "person", "replaced_by": None}]

    @pytest.mark.parametrize("first", [PARIS, OSLO])
    def test_facts_that_a_person_rewords_alike_become_one(self, told: Talk, first: str) -> None:
        memory = told.stack.insert("memories", user_id=told.user.id, tier="profile")
        for content in dict.fromkeys([first, PARIS, OSLO, LONDON]):
            told.stack.insert(
                "memory_facts",
                **{"memory_id": memory, "content": content, "written_by": "model"},
            )
        with told.stack.data_api(told.user) as api:
            mine = {"memory_id": f"eq.{memory}"}
            assert api.patch("/memory_facts", params=mine, json={"content": OSLO}).is_success
        rows = told.stack.all("select content, written_by, replaced_by from memory_facts")
        assert rows == [{"content": OSLO, "written_by": "person", "replaced_by": None}]
        gone = told.stack.all("select from private.forgotten_facts")
        assert len(gone) == 2

    @pytest.mark.parametrize("how", ["added", "reworded"])
    def test_own_fact_takes_the_place_of_the_same_of_a_model(self, told: Talk, how: str) -> None:
        live_in_oslo(told)
        own = "Ada lives in Oslo!"
        if how == "added":
            add(told, own)
        else:
            add(told, "Ada is here.")
            patch(told, "Ada is here.", content=own)
        row = {"memory_id": memory_of(told), "content": OSLO}
        with told.stack.data_api(told.user) as api:
            again = api.post("/memory_facts", json=row)
        assert (again.status_code, again.json()["message"]) == (409, "This fact is already there.")
        assert texts(told) == {own}
        act(told, "delete", MOVED)
        assert texts(told) == {own}

    def test_facts_that_a_person_rewords_alike_at_once_become_one(self, told: Talk) -> None:
        memory = told.stack.insert("memories", user_id=told.user.id, tier="profile")

        def reword(fact: UUID, content: str) -> set[int]:
            with told.stack.data_api(told.user) as api:
                its = {"id": f"eq.{fact}"}
                answers = [
                    api.patch("/memory_facts", params=its, json={"content": content})
                    for _ in range(4)
                ]
            return {answer.status_code // 100 for answer in answers}

        for attempt in range(6):
            ids = [
                told.stack.insert(
                    "memory_facts",
                    **{"memory_id": memory, "content": f"Ada has boat {number}."},
                    written_by="model",
                )
                for number in range(4)
            ]
            with ThreadPoolExecutor(4) as pool:
                done = list(pool.map(reword, ids, [f"Ada has no boat {attempt} times."] * 4))
            assert done == [{2}] * 4
            told.stack.db.execute("delete from private.counters")  # They have a limit.
        assert len(texts(told)) == 6

    @pytest.mark.parametrize(
        "change", [{"pinned": True}, {"importance": 5}, {"is_active": False}, {}]
    )
    def test_facts_that_a_person_changes_while_notes_are_saved(
        self, told: Talk, change: dict[str, Any]
    ) -> None:
        """All at once, or deletes with their memory: they wait for the notes first."""
        told_thrice(told)
        # In the order in which the change comes to them.
        ids = [row["id"] for row in told.stack.all("select id from memory_facts order by ctid")]

        def write() -> bool:
            with told.stack.data_api(told.user) as api:
                if not change:
                    return api.delete("/memories", params={"tier": "eq.profile"}).is_success
                its = {"content": "like.Ada*"}
                return api.patch("/memory_facts", params=its, json=change).is_success

        with ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                saved = [use(told, told.conversation, ids[1])]
                written = pool.submit(write)
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: written.done() or told.stack.all(waiting), "the change")
                saved.append(use(told, told.conversation, ids[0], ids[2]))
            assert (saved, written.result(timeout=PATIENCE)) == ([True, True], True)

    def test_what_a_person_writes_in_a_conversation_with_adult_turns_is_marked(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        told.stack.db.execute("delete from conversation_summaries")
        profile = str(told.stack.one("select id from memories")["id"])
        own = {"user_id": str(told.user.id), "tier": "conversation"}
        own["conversation_id"] = str(told.conversation)
        with told.stack.data_api(told.user) as api:

            def add(content: str, memory: str) -> str:
                row = {"memory_id": memory, "content": content}
                its = {"Prefer": "return=representation"}
                (fact,) = api.post("/memory_facts", json=row, headers=its).json()
                return str(fact["content_tier"])

            def reword(fact: str, content: str) -> str:
                patch(told, fact, content=content)
                query = "select content_tier from memory_facts where content = %s"
                return str(told.stack.one(query, content)["content_tier"])

            def write(words: str) -> str:
                write_summary(told, words)
                query = "select content_tier from conversation_summaries where person_content = %s"
                return str(told.stack.one(query, words)["content_tier"])

            assert api.post("/memories", json=own).is_success
            memory = str(
                told.stack.one("select id from memories where tier = 'conversation'")["id"]
            )
            assert (add("One.", memory), write("One.")) == ("sfw", "sfw")
            told.stack.db.execute("update turns set content_tier = 'nsfw'")
            assert (add("Two.", memory), reword("One.", "Three.")) == ("nsfw", "nsfw")
            assert write("Two.") == "nsfw"
            told.stack.db.execute("delete from conversation_summaries")
            assert write("Three.") == "nsfw"
            # Elsewhere it may have nothing to do with that; but this is of a message from there.
            assert (add("Four.", profile), reword(PARIS, "Five.")) == ("sfw", "nsfw")

    @pytest.mark.parametrize(
        ("whose", "again"),
        [
            ("the person's", FLUTE),
            ("pinned", "Ada now practises the flute at dawn."),
            ("a model's", FLUTE),
            ("a model's", "Ada now practises the flute at dawn."),
        ],
    )
    def test_fact_that_an_adult_conversation_repeats_stays_for_everybody_as_it_was(
        self, told: Talk, whose: str, again: str
    ) -> None:
        if whose == "the person's":
            add(told, FLUTE, "profile")
        else:
            say(told, SAID_FLUTE, "Nice.")
            step(told, {"text": FLUTE, "said": SAID_FLUTE, "tier": "profile"})
            patch(told, FLUTE, pinned=whose == "pinned")
        step(told, {"text": again, "tier": "profile"}, conversation=adult(told, SAID_FLUTE))
        assert told.stack.one("select count(*) from memory_facts") == {"count": 1}
        assert FLUTE in prompted(told, memory_tier="profile")

    @pytest.mark.parametrize("tier", ["profile", "conversation"])
    def test_what_a_person_writes_is_for_everybody_though_a_model_noted_it_of_an_adult_conversation(
        self, told: Talk, tier: str
    ) -> None:
        note = {"text": FLUTE, "said": SAID_FLUTE, "tier": "profile"}
        step(told, note, conversation=adult(told, SAID_FLUTE))
        assert FLUTE not in prompted(told, memory_tier="profile")
        add(told, FLUTE, tier)
        if tier == "conversation":
            move(told, FLUTE, "profile")
        assert FLUTE in prompted(told, memory_tier="profile")

    def test_whether_others_have_a_fact_is_not_told(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = str(told.stack.one("select id from memories")["id"])
        with told.stack.data_api(told.stack.user()) as api:
            refused = [
                api.post("/memory_facts", json={"memory_id": memory, "content": text})
                for text in (PARIS, OSLO)
            ]
        assert [answer.status_code for answer in refused] == [403, 403]
        assert texts(told) == {PARIS}

    @pytest.mark.parametrize("words", ["Ada has a cat.", "Ada has a dog!"])
    def test_withdrawal_that_a_person_rewords_is_a_fact(self, told: Talk, words: str) -> None:
        dog = "Ada has a dog."
        step(told, {"text": dog, "said": STORY[4]})
        say(told, "The dog is gone.", "Oh.")
        step(told, {"action": "withdraw", "of": dog, "said": "The dog is gone."})
        with told.stack.data_api(told.user) as api:
            its = {"is_withdrawal": "is.true"}
            assert api.patch("/memory_facts", params=its, json={"content": words}).is_success
        assert texts(told) == {words}
        assert [fact["written_by"] for fact in current(told)] == ["person"]

    def test_same_text_again_leaves_a_fact_as_it_is(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "subject": "Ada", "topic": "home"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "subject": "Ada", "topic": "home"})
        every = "select * from memory_facts order by id"
        before = told.stack.all(every)
        for row in before:
            patch(told, row["content"], content=row["content"])
        assert told.stack.all(every) == before
        act(told, "delete", MOVED)
        assert texts(told) == {PARIS}

    def test_fact_that_is_history_is_shown_once_a_person_rewords_it(self, told: Talk) -> None:
        live_in_oslo(told)
        patch(told, content="Ada was born in Paris.")
        assert texts(told) == {OSLO, "Ada was born in Paris."}

    def test_branch_keeps_what_a_person_chose(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "importance": 4})
        patch(told, importance=1)
        branch = act(told, "branch", STORY[5])["conversation_id"]
        say(told, "As I said, I live in Paris.", conversation=branch)
        step(told, {"text": PARIS, "importance": 4}, conversation=branch)
        assert [fact["importance"] for fact in current(told, branch)] == [1]

    def test_note_of_another_model_shapes_nothing(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "importance": 2})
        say(told, "As I said, I live in Paris.")
        step(told, {"text": PARIS, "importance": 4, "tier": "profile"})
        rows = told.stack.all("select is_rated, is_moved from memory_facts")
        assert {row["is_rated"] or row["is_moved"] for row in rows} == {False}
        assert [fact["importance"] for fact in current(told)] == [4]

    @pytest.mark.parametrize(
        "column", ["written_by", "source_message_id", "replaced_by", "since", "is_rated", "hides"]
    )
    def test_a_person_writes_no_provenance(self, told: Talk, column: str) -> None:
        step(told, {"text": "Ada fears gulls."})
        with told.stack.data_api(told.user) as api:
            its = {"content": "eq.Ada fears gulls."}
            answer = api.patch("/memory_facts", params=its, json={column: None})
        assert answer.status_code == 403

    @pytest.mark.parametrize("change", ["edit", "delete"])
    def test_fact_whose_message_goes_is_the_persons_own(self, told: Talk, change: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, PARIS, pinned=True)
        act(told, change, STORY[2], **({"message": "I am Ada."} if change == "edit" else {}))
        patch(told, PARIS, pinned=False)
        (fact,) = current(told)
        assert (fact["content"], fact["written_by"]) == (PARIS, "person")


class TestBeforeNotes:
    """What a person wrote, in a conversation without notes or until the next ones."""

    @pytest.fixture(autouse=True)
    def model(self, told: Talk) -> None:
        told.have_only(VENICE)

    def test_newer_value_of_the_person_stands_alone_in_prompts(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        add(told, OSLO, "profile")
        told.conversation = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        prompt = prompted(told, "Where do I live?", memory_tier="profile")
        assert OSLO in prompt
        assert PARIS not in prompt

    def test_what_a_text_hid_stays_hidden_when_it_is_reworded(self, told: Talk) -> None:
        big = "Ada practises the big harp at dawn."
        say(told, SAID_FLUTE, "Nice.")
        step(told, {"text": FLUTE, "said": SAID_FLUTE, "tier": "profile"})
        say(told, SAID_HARP, "Nice, too.", "Go on.", "Aye, aye.")
        step(told, {"action": "replace", "of": FLUTE, "text": HARP, "said": SAID_HARP})
        assert texts(told) == {HARP}
        patch(told, HARP, content=big)
        prompt = prompted(told, "Hm?", memory_tier="profile")
        assert big in prompt
        assert f"- {FLUTE}" not in prompt

    def test_same_sentence_is_in_a_prompt_once(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "tier": "profile"})
        add(told, "Ada has a dog!")
        prompt = prompted(told, memory_tier="profile")
        assert prompt.count("- Ada has a dog") == 1
        assert "- Ada has a dog!" in prompt


class TestSentAgain:
    """Rows that a client sends whether they are there or not."""

    def test_summary(self, told: Talk) -> None:
        row = {"conversation_id": str(told.conversation), "person_content": "One."}
        with told.stack.data_api(told.user) as api:
            for words in ("One.", "Two."):
                sent = row | {"person_content": words}
                answer = api.post("/conversation_summaries", json=sent, headers=MERGE)
                assert answer.is_success, answer.text
        assert shown(told) == ("Two.", "")

    def test_summary_stays_with_its_conversation(self, told: Talk) -> None:
        write_summary(told, "One.")
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        with told.stack.data_api(told.user) as api:
            answer = api.patch(
                "/conversation_summaries",
                params={"conversation_id": f"eq.{told.conversation}"},
                json={"conversation_id": str(other)},
            )
        assert (answer.status_code, answer.json()["details"]) == (400, "conversation_id")

    def test_fact(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        row = told.stack.one("select id::text, memory_id::text from memory_facts")
        with told.stack.data_api(told.user) as api:
            answer = api.post("/memory_facts", json=row | {"content": OSLO}, headers=MERGE)
            assert answer.is_success, answer.text
            its = {"id": f"eq.{row['id']}"}
            refused = api.patch("/memory_facts", params=its, json={"id": str(UUID(int=9))})
        assert texts(told) == {OSLO}
        assert (refused.status_code, refused.json()["details"]) == (400, "id")

    def test_memory(self, told: Talk) -> None:
        row = {"user_id": str(told.user.id), "tier": "profile"}
        unique = {"on_conflict": "user_id,tier,conversation_id,character_id"}
        with told.stack.data_api(told.user) as api:
            sent = [api.post("/memories", params=unique, json=row, headers=MERGE) for _ in range(2)]
            assert [answer.is_success for answer in sent] == [True, True]
            assert sent[0].json() == sent[1].json()
            whose = {"id": f"eq.{sent[0].json()[0]['id']}"}
            refused = api.patch("/memories", params=whose, json={"id": str(UUID(int=9))})
        assert (refused.status_code, refused.json()["code"]) == (400, "PT400")


def test_memory_of_others_is_none(told: Talk) -> None:
    theirs = str(told.stack.insert("memories", user_id=told.stack.user().id, tier="profile"))
    with told.stack.data_api(told.user) as api:
        row = {"memory_id": theirs, "content": PARIS}
        answer = api.post("/memory_facts", json=row)
    assert (answer.status_code, answer.json()["message"]) == (403, "There is no such memory.")


def adult(told: Talk, said: str) -> UUID:
    """Another conversation with the same character, with an adult turn, where this was said."""
    conversation = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
    say(told, said, "Nice.", conversation=conversation)
    told.stack.insert(
        "turns",
        **{"user_id": told.user.id, "conversation_id": conversation, "task": "roleplay"},
        **{"action": "send", "status": "complete", "content_tier": "nsfw"},
        **{"lease_expires_at": datetime.now(UTC), "finished_at": datetime.now(UTC)},
    )
    return conversation
