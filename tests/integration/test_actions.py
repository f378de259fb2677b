"""Message actions through the real function."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.answers import held, stream, text
from tests.support.chat_errors import refused
from tests.support.dialog import Dialog
from tests.support.stack import DEMO_CHARACTER, Stack
from tests.support.waiting import Gate

BOTH = "She is 12 years old. A sexual scene."
CHANGES = ["choose", "edit", "delete", "hide", "branch"]
SAID = ("One", "Two", "Three", "Four")


@pytest.fixture
def dialog(stack: Stack) -> Dialog:
    return Dialog(stack, *SAID)


class TestRegenerate:
    def test_older_reply_gets_a_version_in_its_place(self, dialog: Dialog) -> None:
        body = dialog.again("Two", "Two again")

        assert dialog.prompt() == ["One"]
        assert body["response"] == "Two again"
        assert dialog.said() == ["One", "Two again", "Three", "Four"]
        row = dialog.stack.one("select * from messages where content = 'Two again'")
        assert str(row["variant_of"]) == dialog.message("Two")
        assert str(row["parent_id"]) == dialog.message("One")

    def test_next_prompt_has_the_new_version_alone(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        dialog.stack.upstream.enqueue(text("Six"))

        dialog.turn(message="Five")

        assert dialog.prompt() == ["One", "Two again", "Three", "Four", "Five"]

    def test_regenerating_an_inactive_version_replaces_the_active_one(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        dialog.again("Two", "Two once more")

        assert dialog.said() == ["One", "Two once more", "Three", "Four"]
        roots = dialog.stack.all("select distinct variant_of from messages where not is_active")
        assert {row["variant_of"] for row in roots} == {None, UUID(dialog.message("Two"))}

    def test_repeated_regenerate_with_one_id_makes_one_version(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again", client_message_id="once")
        again = dialog.turn(
            action="regenerate", message_id=dialog.message("Two"), client_message_id="once"
        )

        assert again["response"] == "Two again"
        assert len(dialog.stack.all("select from messages")) == 5

    def test_reply_keeps_its_place_when_something_is_said_meanwhile(self, dialog: Dialog) -> None:
        gate = Gate()
        dialog.stack.upstream.enqueue(held(gate, text("Four again")))
        with ThreadPoolExecutor(1) as pool:
            turn = pool.submit(dialog.turn, action="regenerate")
            gate.wait_reached()
            dialog.stack.insert(
                "messages", conversation_id=dialog.id, sender="user", content="Psst"
            )
            gate.open()
            turn.result()

        assert dialog.said() == ["One", "Two", "Three", "Four again", "Psst"]

    def test_older_reply_can_be_continued_in_its_place(self, dialog: Dialog) -> None:
        dialog.stack.upstream.enqueue(text("and more."))

        body = dialog.turn(action="continue", message_id=dialog.message("Two"))

        assert body["response"] == "Two and more."
        assert dialog.prompt()[:2] == ["One", "Two"]
        assert len(dialog.prompt()) == 3
        assert dialog.said() == ["One", "Two and more.", "Three", "Four"]

    @pytest.mark.parametrize("action", ["regenerate", "continue"])
    def test_message_of_the_persons_is_no_reply(self, dialog: Dialog, action: str) -> None:
        asked: dict[str, Any] = {
            "conversation_id": str(dialog.id),
            "message_id": dialog.message("One"),
        }
        refused(dialog.request(action=action, **asked), 409, f"nothing_to_{action}")

    @pytest.mark.parametrize("action", ["regenerate", "continue"])
    def test_message_of_elsewhere_is_not_found(self, dialog: Dialog, action: str) -> None:
        elsewhere = Dialog(dialog.stack, "Hello", "Hm")
        for message_id in (elsewhere.message("Hm"), str(uuid4())):
            asked: dict[str, Any] = {"conversation_id": str(dialog.id), "message_id": message_id}
            refused(dialog.request(action=action, **asked), 404, "message_not_found")


@pytest.mark.installations
class TestChoose:
    def test_version_becomes_the_active_one(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")

        body = dialog.do("choose", "Two")

        assert body["conversation_id"] == str(dialog.id)
        assert body["message_id"] == dialog.message("Two")
        assert dialog.said() == list(SAID)

    def test_chosen_version_is_in_the_next_prompt(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        dialog.again("Four", "Four again")
        dialog.do("choose", "Four")
        dialog.stack.upstream.enqueue(text("Six"))

        dialog.turn(message="Five")

        assert dialog.prompt() == ["One", "Two again", "Three", "Four", "Five"]

    def test_choosing_twice_changes_nothing(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        for _ in range(2):
            dialog.do("choose", "Two")
            dialog.do("choose", "Four")
        assert dialog.said() == list(SAID)

    def test_the_persons_own_messages_have_no_versions(self, dialog: Dialog) -> None:
        refused(dialog.request(**dialog.body("choose", "One")), 409, "no_variant")

    def test_message_that_the_policy_set_aside_stays_so(self, stack: Stack) -> None:
        dialog = Dialog(stack)
        refused(
            dialog.request(conversation_id=str(dialog.id), message=BOTH), 403, "content_refused"
        )
        refused(dialog.request(**dialog.body("choose", BOTH)), 409, "no_variant")
        refused(dialog.request(**dialog.body("branch", BOTH)), 404, "message_not_found")
        refused(dialog.request(**dialog.body("edit", BOTH)), 404, "message_not_found")
        assert dialog.said() == []
        assert dialog.do("delete", BOTH)["deleted"] == 1

    @pytest.mark.own_tables("there a client sees the version that is shown, and no other")
    def test_versions_are_listed_by_the_client(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        root = dialog.message("Two")
        with dialog.stack.data_api(dialog.user) as api:
            rows = api.get(
                "/messages",
                params={
                    "select": "content,is_active",
                    "or": f"(id.eq.{root},variant_of.eq.{root})",
                    "order": "created_at",
                },
            ).json()
        assert rows == [
            {"content": "Two", "is_active": False},
            {"content": "Two again", "is_active": True},
        ]


class TestEdit:
    @pytest.mark.parametrize("content", ["Three", "Four"], ids=["own", "reply"])
    def test_text_is_replaced_and_the_old_one_gone(self, dialog: Dialog, content: str) -> None:
        body = dialog.do("edit", content, message="Edited")

        row = dialog.stack.one("select * from messages where content = 'Edited'")
        assert (body["message_id"], body["conversation_id"]) == (str(row["id"]), str(dialog.id))
        assert row["edited_at"] is not None
        assert content not in str(dialog.stack.all("select * from messages"))
        assert len(dialog.said()) == 4

    def test_next_prompt_has_the_new_text(self, dialog: Dialog) -> None:
        dialog.do("edit", "One", message="Uno")
        dialog.do("edit", "Four", message="Quattro")
        dialog.stack.upstream.enqueue(text("Six"))

        dialog.turn(message="Five")

        assert dialog.prompt() == ["Uno", "Two", "Three", "Quattro", "Five"]

    def test_reply_to_it_can_be_asked_for_again(self, dialog: Dialog) -> None:
        dialog.do("edit", "Three", message="Tre")
        dialog.again("Four", "Quattro")
        assert dialog.prompt() == ["One", "Two", "Tre"]
        assert dialog.said() == ["One", "Two", "Tre", "Quattro"]

    def test_same_edit_twice_changes_nothing(self, dialog: Dialog) -> None:
        first = dialog.do("edit", "Four", message="Edited")
        again = dialog.do("edit", "Edited", message="Edited")
        assert again["edited_at"] == first["edited_at"]

    def test_repeated_request_gets_the_text_as_it_reads_now(self, stack: Stack) -> None:
        dialog = Dialog(stack)
        stack.upstream.enqueue(text("Hm"))
        dialog.turn(message="Hello", client_message_id="once")
        dialog.do("edit", "Hm", message="Good evening.")

        assert dialog.turn(message="Hello", client_message_id="once")["response"] == "Good evening."

    @pytest.mark.parametrize("content", ["Three", "Four"], ids=["own", "reply"])
    def test_what_no_tier_allows_is_refused(self, dialog: Dialog, content: str) -> None:
        body = dialog.body("edit", content) | {"message": BOTH}
        error = refused(dialog.request(**body), 403, "content_refused")
        assert error.startswith("This message is not allowed: ")
        assert dialog.said() == list(SAID)

    def test_what_only_the_rest_makes_forbidden_is_refused_by_the_next_turn(
        self, dialog: Dialog
    ) -> None:
        dialog.do("edit", "Two", message="She is 12 years old.")
        dialog.do("edit", "Four", message="A sexual scene.")
        calls = len(dialog.stack.upstream.calls)

        answer = dialog.request(conversation_id=str(dialog.id), message="Five")

        refused(answer, 403, "content_refused")
        assert len(dialog.stack.upstream.calls) == calls

    @pytest.mark.parametrize(
        ("message", "status", "code"),
        [
            pytest.param(" \n", 400, "message_required", id="blank"),
            pytest.param("", 400, "invalid_request", id="empty"),
            pytest.param("a\0", 400, "invalid_request", id="nul"),
            pytest.param(5, 400, "invalid_request", id="no-text"),
            pytest.param("x" * 65_537, 400, "invalid_request", id="longer-than-any"),
            pytest.param("x" * 8_001, 400, "message_too_long", id="longer-than-a-persons"),
        ],
    )
    def test_what_is_no_message_is_refused(
        self, dialog: Dialog, message: Any, status: int, code: str
    ) -> None:
        refused(dialog.request(**dialog.body("edit", "One") | {"message": message}), status, code)
        assert dialog.said() == list(SAID)

    def test_reply_may_be_longer_than_a_persons_message(self, dialog: Dialog) -> None:
        dialog.do("edit", "Four", message="x" * 65_536)

    def test_other_kinds_of_messages_are_the_clients(self, dialog: Dialog) -> None:
        row = {"conversation_id": dialog.id, "sender": "user", "content": "[]"}
        dialog.stack.insert("messages", **row, message_type="image")
        refused(dialog.request(**dialog.body("edit", "[]")), 404, "message_not_found")


@pytest.mark.installations
class TestDelete:
    def test_message_is_gone_with_all_its_versions(self, dialog: Dialog) -> None:
        dialog.again("Two", "Zwei")

        assert dialog.do("delete", "Zwei")["deleted"] == 2

        assert dialog.said() == ["One", "Three", "Four"]
        stored = dialog.stack.all("select * from messages") + dialog.stack.all(
            "select * from turns"
        )
        assert not {"Two", "Zwei"} & set(str(stored).replace("'", " ").split())

    def test_onwards_is_everything_after_it_too(self, dialog: Dialog) -> None:
        dialog.again("Four", "Four again")
        assert dialog.do("delete", "Three", onwards=True)["deleted"] == 3
        assert dialog.said() == ["One", "Two"]

    def test_next_prompt_is_without_it(self, dialog: Dialog) -> None:
        dialog.do("delete", "Two")
        dialog.stack.upstream.enqueue(text("Six"))
        dialog.turn(message="Five")
        assert dialog.prompt() == ["One\n\nThree", "Four", "Five"]

    def test_deleting_twice_succeeds(self, dialog: Dialog) -> None:
        asked = dialog.body("delete", "Three") | {"onwards": True}
        assert dialog.request(**asked).json()["deleted"] == 2
        assert dialog.request(**asked).json()["deleted"] == 0
        assert dialog.said() == ["One", "Two"]

    def test_repeated_request_is_told_that_its_reply_was_deleted(self, stack: Stack) -> None:
        dialog = Dialog(stack)
        stack.upstream.enqueue(text("Hm"))
        asked: dict[str, Any] = {
            "conversation_id": str(dialog.id),
            "message": "Hi",
            "client_message_id": "once",
        }
        assert dialog.request(**asked).status_code == 200
        dialog.do("delete", "Hm")

        refused(dialog.request(**asked), 410, "reply_deleted")
        refused(dialog.request(**asked, stream=True), 410, "reply_deleted")

        assert dialog.said() == ["Hi"]
        assert len(stack.upstream.calls) == 1

    def test_unanswered_message_can_be_answered_again(self, dialog: Dialog) -> None:
        dialog.do("delete", "Four")
        dialog.stack.upstream.enqueue(text("Four again"))
        dialog.turn(action="regenerate")
        assert dialog.prompt() == ["One", "Two", "Three"]
        assert dialog.said() == ["One", "Two", "Three", "Four again"]

    def test_reply_whose_message_is_gone_can_be_regenerated(self, dialog: Dialog) -> None:
        dialog.do("delete", "Three")
        dialog.again("Four", "Four again")
        *before, opening = dialog.prompt()
        assert before == ["One", "Two"]
        assert opening.startswith("[Continue the scene as Mara Voss")
        assert dialog.said() == ["One", "Two", "Four again"]


@pytest.mark.installations
class TestBranch:
    def test_holds_the_same_course_up_to_the_message(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        dialog.do("edit", "Three", message="Tre")

        new = UUID(dialog.do("branch", "Tre")["conversation_id"])

        assert dialog.said(new) == ["One", "Two again", "Tre"]
        assert dialog.said() == ["One", "Two again", "Tre", "Four"]
        copies, originals = (
            dialog.stack.all(
                "select m.sender, m.content, m.position, m.created_at, m.edited_at,"
                " p.content as parent, p.conversation_id as parent_conversation, m.variant_of"
                " from messages m left join messages p on p.id = m.parent_id"
                " where m.conversation_id = %s and m.is_active order by m.position",
                conversation,
            )
            for conversation in (new, dialog.id)
        )
        ids = ("parent_conversation", "variant_of")
        without_ids = [{k: v for k, v in row.items() if k not in ids} for row in copies]
        assert without_ids == [
            {k: v for k, v in row.items() if k not in ids} for row in originals[:3]
        ]
        assert {row["parent_conversation"] for row in copies} == {None, new}
        assert {row["variant_of"] for row in copies} == {None}

    def test_branch_is_with_the_same_people_in_the_same_tier(self, dialog: Dialog) -> None:
        persona = dialog.stack.insert("characters", user_id=dialog.user.id, name="Ada")
        dialog.stack.db.execute(
            "update conversations set title = 'Fog', content_tier = 'sfw', user_character_id = %s",
            (persona,),
        )

        new = dialog.do("branch", "Two")["conversation_id"]

        row = dialog.stack.one("select * from conversations where id = %s", new)
        assert (row["user_id"], row["title"]) == (dialog.user.id, "Fog")
        assert (row["character_id"], row["user_character_id"]) == (DEMO_CHARACTER, persona)
        assert row["content_tier"] == "sfw"
        assert row["parent_conversation_id"] == dialog.id
        assert str(row["branched_from"]) == dialog.message("Two")

    def test_turns_in_a_branch_leave_the_parent_unchanged(self, dialog: Dialog) -> None:
        new = UUID(dialog.do("branch", "Two")["conversation_id"])
        dialog.stack.upstream.enqueue(text("Vier"), text("Two again"))

        dialog.request(conversation_id=str(new), message="Drei")
        assert dialog.prompt() == ["One", "Two", "Drei"]
        copy = dialog.stack.one(
            "select id from messages where content = 'Two' and conversation_id = %s", new
        )
        dialog.request(conversation_id=str(new), action="regenerate", message_id=str(copy["id"]))

        assert dialog.prompt() == ["One"]
        assert dialog.said(new) == ["One", "Two again", "Drei", "Vier"]
        assert dialog.said() == list(SAID)

    def test_branch_may_end_in_an_inactive_version(self, dialog: Dialog) -> None:
        dialog.again("Two", "Two again")
        new = UUID(dialog.do("branch", "Two")["conversation_id"])
        assert dialog.said(new) == ["One", "Two"]
        assert dialog.said() == ["One", "Two again", "Three", "Four"]

    def test_repeated_branch_with_one_id_is_one_branch(self, dialog: Dialog) -> None:
        asked = dialog.body("branch", "Two") | {"client_message_id": "once"}
        first, again = (dialog.request(**asked).json()["conversation_id"] for _ in range(2))
        dialog.request(action="delete", message_id=asked["message_id"])
        after = dialog.request(**asked).json()["conversation_id"]

        assert first == again == after
        assert dialog.said(UUID(first)) == ["One", "Two"]
        assert len(dialog.stack.all("select from conversations")) == 2

    def test_same_id_of_somebody_else_is_another_branch(self, dialog: Dialog) -> None:
        other = Dialog(dialog.stack, "Hello", "Hm")
        ids = {
            dialog.do("branch", "Two", client_message_id="once")["conversation_id"],
            other.do("branch", "Hm", client_message_id="once")["conversation_id"],
        }
        assert len(ids) == 2

    def test_outlives_its_parent(self, dialog: Dialog) -> None:
        new = UUID(dialog.do("branch", "Two")["conversation_id"])
        with dialog.stack.data_api(dialog.user) as api:
            assert api.delete("/conversations", params={"id": f"eq.{dialog.id}"}).is_success
        assert dialog.said(new) == ["One", "Two"]

    def test_thousands_of_messages_are_branched_in_one_call(self, dialog: Dialog) -> None:
        dialog.stack.db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, 'user', 'Line ' || n from generate_series(1, 5000) n",
            (dialog.id,),
        )
        new = UUID(dialog.do("branch", "Line 5000")["conversation_id"])
        assert dialog.said(new) == dialog.said()

    def test_branches_have_the_limits_of_turns(self, dialog: Dialog) -> None:
        dialog.stack.configure(limits={"default": {"turns_per_minute": 3}})
        for _ in range(3):
            dialog.do("branch", "Two")
        answer = dialog.request(**dialog.body("branch", "Two"))
        refused(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60  # what is left of the minute


class TestEveryChange:
    @pytest.mark.parametrize("action", CHANGES)
    def test_takes_one_round_trip_and_no_turn(self, dialog: Dialog, action: str) -> None:
        dialog.stack.gateway.reset()
        turns = dialog.stack.all("select id from turns order by id")

        answer = dialog.request(**dialog.body(action, "Two"))

        assert answer.status_code == 200, answer.text
        assert answer.json()["request_id"]
        assert len(dialog.stack.gateway.calls) == 1
        assert dialog.stack.all("select id from turns order by id") == turns

    @pytest.mark.parametrize("action", CHANGES)
    def test_action_on_somebody_elses_message_is_not_found(
        self, dialog: Dialog, action: str
    ) -> None:
        answer = dialog.request(dialog.stack.user(), **dialog.body(action, "Two"))
        refused(answer, 404, "message_not_found")
        assert dialog.said() == list(SAID)
        assert len(dialog.stack.all("select from conversations")) == 1

    @pytest.mark.parametrize("action", ["choose", "edit", "branch"])
    def test_action_on_a_missing_message_is_not_found(self, dialog: Dialog, action: str) -> None:
        body = dialog.body(action, "Two") | {"message_id": str(uuid4())}
        refused(dialog.request(**body), 404, "message_not_found")

    @pytest.mark.parametrize("action", CHANGES)
    @pytest.mark.parametrize("message_id", ["", None, "two", 2])
    def test_names_a_message(self, dialog: Dialog, action: str, message_id: Any) -> None:
        body = dialog.body(action, "Two") | {"message_id": message_id}
        assert "`message_id`" in refused(dialog.request(**body), 400, "invalid_request")

    @pytest.mark.parametrize("action", CHANGES)
    def test_waits_for_a_turn_that_runs(self, dialog: Dialog, action: str) -> None:
        with dialog.running():
            answer = dialog.request(**dialog.body(action, "Two"))
            refused(answer, 409, "turn_in_progress")
            assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert dialog.said() == [*SAID, "Wait", "At last."]
        assert dialog.request(**dialog.body(action, "Two")).status_code == 200

    @pytest.mark.parametrize("action", CHANGES)
    def test_does_not_wait_for_a_turn_elsewhere(self, dialog: Dialog, action: str) -> None:
        other = Dialog(dialog.stack)
        other.user = dialog.user
        other.id = dialog.stack.conversation(dialog.user)
        with other.running():
            assert dialog.request(**dialog.body(action, "Two")).status_code == 200

    @pytest.mark.parametrize("action", CHANGES)
    def test_turn_that_was_taken_for_dead_is_not_saved_after_it(
        self, dialog: Dialog, action: str
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            gate = Gate()
            dialog.stack.upstream.enqueue(held(gate, text("Too late.")))
            turn = pool.submit(dialog.turn, message="Wait")
            gate.wait_reached()
            dialog.stack.db.execute(
                "update turns set lease_expires_at = now() where status = 'running'"
            )
            assert dialog.request(**dialog.body(action, "Two")).status_code == 200
            gate.open()
            body = turn.result()

        assert (body["response"], body["saved"]) == ("Too late.", False)
        assert dialog.stack.all("select from messages where content = 'Too late.'") == []
        newest = dialog.stack.one(
            "select status, error_code from turns order by created_at desc limit 1"
        )
        assert newest == {"status": "failed", "error_code": "superseded"}
        assert len(dialog.stack.all("select from usage_events")) == 3


class TestImpersonate:
    def draft(self, dialog: Dialog, *pieces: str, **body: Any) -> dict[str, Any]:
        dialog.stack.upstream.enqueue(stream(list(pieces)))
        return dialog.turn(action="impersonate", **body)

    def test_drafts_the_persons_next_message(self, dialog: Dialog) -> None:
        body = self.draft(dialog, "Ada: I put the ", "kettle on.", "\nMara Voss: Thank you.")

        assert body["response"] == "I put the kettle on."
        assert (body["message_id"], body["user_message_id"]) == (None, None)
        assert (body["memory_updated"], body["saved"]) == (False, True)
        *before, instruction = dialog.prompt()
        assert before == list(SAID)
        assert instruction.startswith("[Write what Ada says and does next")
        assert "Write nothing for Mara Voss." in instruction

    def test_draft_is_not_kept_as_a_message(self, dialog: Dialog) -> None:
        interactions = dialog.stack.one("select interaction_count from memories")
        self.draft(dialog, "I put the kettle on.")

        assert dialog.said() == list(SAID)
        assert len(dialog.stack.all("select from messages")) == 4
        assert dialog.stack.one("select interaction_count from memories") == interactions
        dialog.stack.upstream.enqueue(text("Six"))
        dialog.turn(message="Five")
        assert dialog.prompt() == [*SAID, "Five"]

    def test_draft_is_a_turn_with_usage(self, dialog: Dialog) -> None:
        body = self.draft(dialog, "I put the kettle on.")
        turn = dialog.stack.one("select * from turns where action = 'impersonate'")
        assert (turn["status"], str(turn["id"])) == ("complete", body["turn_id"])
        assert (turn["reply_message_id"], turn["user_message_id"]) == (None, None)
        usage = dialog.stack.one("select outcome from usage_events where turn_id = %s", turn["id"])
        assert usage == {"outcome": "ok"}

    def test_repeated_request_gets_the_same_draft(self, dialog: Dialog) -> None:
        first = self.draft(dialog, "I put the kettle on.", client_message_id="once")
        calls = len(dialog.stack.upstream.calls)

        again = dialog.turn(action="impersonate", client_message_id="once")
        *_, done = dialog.stack.stream(
            dialog.user,
            conversation_id=str(dialog.id),
            action="impersonate",
            client_message_id="once",
        )

        assert again | {"request_id": ""} == first | {"request_id": ""}
        assert done.data["response"] == "I put the kettle on."
        assert len(dialog.stack.upstream.calls) == calls

    def test_draft_is_streamed(self, dialog: Dialog) -> None:
        dialog.stack.upstream.enqueue(stream(["Mara: Well?\nAda: I put ", "the kettle on."]))
        events = dialog.stack.stream(
            dialog.user, conversation_id=str(dialog.id), action="impersonate"
        )
        assert (events[0].name, events[-1].name) == ("start", "done")
        streamed = "".join(event.data["text"] for event in events if event.name == "delta")
        assert streamed == events[-1].data["response"] == "I put the kettle on."

    def test_draft_is_in_the_personas_voice_without_what_is_for_the_character(
        self, dialog: Dialog
    ) -> None:
        persona = dialog.stack.insert(
            "characters", user_id=dialog.user.id, name="Bosun", description="Speaks in shanties."
        )
        vera = dialog.stack.insert(
            "characters", user_id=dialog.user.id, name="Vera", post_history_instructions="Be Vera."
        )
        conversation = dialog.stack.conversation(dialog.user, "Ahoy", "Hm", character_id=vera)
        dialog.stack.upstream.enqueue(text("Bosun: Heave ho.\nVera: Hm."))

        body = dialog.request(
            conversation_id=str(conversation),
            action="impersonate",
            user_character_id=str(persona),
        ).json()

        sent = str(dialog.stack.upstream.calls[-1].json["messages"])
        assert body["response"] == "Heave ho."
        assert "Speaks in shanties." in sent
        assert "as Bosun would" in sent
        assert "Be Vera." not in sent

    def test_draft_is_screened(self, dialog: Dialog) -> None:
        dialog.stack.upstream.enqueue(stream(["She is 12 years old. ", "A sexual scene."]))
        answer = dialog.request(conversation_id=str(dialog.id), action="impersonate")
        refused(answer, 403, "content_refused")
        assert "12 years" not in str(dialog.stack.all("select * from turns"))

    def test_draft_for_a_refused_history_asks_no_model(self, dialog: Dialog) -> None:
        dialog.stack.insert("messages", conversation_id=dialog.id, sender="user", content=BOTH)
        calls = len(dialog.stack.upstream.calls)
        answer = dialog.request(conversation_id=str(dialog.id), action="impersonate")
        refused(answer, 403, "content_refused")
        assert len(dialog.stack.upstream.calls) == calls

    def test_draft_counts_as_a_turn(self, dialog: Dialog) -> None:
        dialog.stack.configure(limits={"default": {"turns_per_minute": 3}})
        self.draft(dialog, "I put the kettle on.")
        answer = dialog.request(conversation_id=str(dialog.id), action="impersonate")
        refused(answer, 429, "rate_limited")

    def test_draft_waits_for_a_turn_that_runs(self, dialog: Dialog) -> None:
        with dialog.running():
            answer = dialog.request(conversation_id=str(dialog.id), action="impersonate")
            refused(answer, 409, "turn_in_progress")

    def test_draft_without_a_conversation_is_rejected(self, stack: Stack) -> None:
        answer = stack.chat(stack.user(), action="impersonate", task="storytelling")
        refused(answer, 400, "invalid_request")
