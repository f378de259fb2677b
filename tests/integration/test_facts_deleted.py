"""Facts that a person turns off, deletes or withdraws stay away until they are true again."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest

from tests.support.facts import (
    LONDON,
    MOVED,
    OSLO,
    PARIS,
    STORY,
    act,
    add,
    current,
    forget,
    live_in_oslo,
    message,
    patch,
    say,
    step,
    texts,
)
from tests.support.notes import prompts
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import Talk

pytestmark = pytest.mark.installations


class TestPutAway:
    """Facts that a person deletes or turns off."""

    def test_own_fact_whose_words_are_in_alphabetical_order_is_deleted(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        add(told, "Ada likes tea.")
        add(told, "Ada likes wine.")
        patch(told, "Ada likes wine.", content="Ada likes rum.")
        forget(told, "Ada likes tea.")
        assert texts(told) == {PARIS, "Ada likes rum."}

    def test_fact_is_turned_off_and_on_again(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "Ada has a dog."})
        before = current(told)
        patch(told, is_active=False)
        assert texts(told) == {"Ada has a dog."}
        told.reply("Where do I live?")
        assert PARIS not in str(prompts(told.stack.upstream)[-1])
        patch(told, is_active=True)
        assert current(told) == before

    @pytest.mark.parametrize("again", ["ada lives in PARIS", "Ada now lives in the Paris"])
    @pytest.mark.parametrize("how", ["off", "deleted", "reworded"])
    def test_fact_that_a_person_does_not_want_does_not_come_back_when_it_is_noted_again(
        self, told: Talk, again: str, how: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        if how == "deleted":
            forget(told, PARIS)
        else:
            new = {"is_active": False} if how == "off" else {"content": "Ada is here."}
            patch(told, **new)
        step(told, {"text": again}, {"text": "Ada has a dog."})
        assert texts(told) - {"Ada is here."} == {"Ada has a dog."}

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    def test_fact_that_is_off_comes_back_in_no_other_memory(self, told: Talk, tier: str) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": tier})
        patch(told, is_active=False)
        for conversation in (told.conversation, other):
            for wanted in ("conversation", "profile"):
                said = f"As I said, I live in Paris. {wanted}"
                say(told, said, conversation=conversation)
                noted = {"text": PARIS, "said": said, "tier": wanted}
                step(told, noted, conversation=conversation)
        assert (texts(told), texts(told, other)) == (set(), set())

    @pytest.mark.parametrize("is_deleted", [False, True])
    @pytest.mark.parametrize("is_reworded", [False, True])
    @pytest.mark.parametrize("again", [OSLO, "Ada now lives in Oslo.", "In Oslo Ada lives."])
    def test_what_a_person_wrote_and_put_away_is_not_noted_in_nearly_the_same_words(
        self, told: Talk, is_deleted: bool, is_reworded: bool, again: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        if is_reworded:
            patch(told, content=OSLO)
        else:
            add(told, OSLO)
            forget(told, PARIS)
        if is_deleted:
            forget(told, OSLO)
        else:
            patch(told, OSLO, is_active=False)
        said = "You live in Oslo now."
        say(told, "Where do I live?", said)
        step(told, {"text": again, "said": said})
        assert texts(told) == set()

    def test_fact_of_a_character_does_not_come_back_with_another(self, told: Talk) -> None:
        tomas = told.stack.insert("characters", user_id=told.user.id, name="Tomas")
        told.stack.db.execute(
            "insert into private.forgotten_facts (user_id, plain_digest, tier, character_id)"
            " values (%s, md5(private.plain_words(%s)), %s, %s)",
            (told.user.id, PARIS, "character", tomas),
        )
        step(told, {"text": PARIS, "said": STORY[2]})
        assert [fact["tier"] for fact in current(told)] == ["conversation"]

    @pytest.mark.parametrize(
        "before", [{}, {"is_active": False}, {"content": "Ada lives in Rome."}]
    )
    @pytest.mark.parametrize("homes", [2, 3])
    def test_fact_that_a_person_deletes_takes_what_it_had_replaced_along(
        self, told: Talk, homes: int, before: dict[str, Any]
    ) -> None:
        live_in_oslo(told)
        holds = OSLO
        if homes == 3:
            say(told, "I live in London now.", "Far, too.")
            step(told, {"text": LONDON, "said": "I live in London now."})
            holds = LONDON
        if before:
            patch(told, holds, **before)
        forget(told, before.get("content", holds))
        assert told.stack.all("select from memory_facts") == []
        say(told, "Where do I live?", "You live in Paris.")
        step(told, {"text": PARIS, "said": "You live in Paris."})
        assert texts(told) == set()

    @pytest.mark.parametrize(
        "keep",
        [
            "update memory_facts set pinned = true where content = %s",
            "update memory_facts set written_by = 'person' where content = %s",
        ],
    )
    def test_what_a_person_kept_of_the_past_is_not_deleted_with_what_replaced_it(
        self, told: Talk, keep: LiteralString
    ) -> None:
        live_in_oslo(told)
        told.stack.db.execute(keep, [PARIS])
        forget(told, OSLO)
        assert texts(told) == {PARIS}

    def test_fact_of_which_a_person_deletes_the_message_brings_back_what_it_had_replaced(
        self, told: Talk
    ) -> None:
        live_in_oslo(told)
        act(told, "delete", MOVED)
        assert texts(told) == {PARIS}

    def test_fact_of_which_a_person_deletes_the_withdrawal_is_noted_again(self, told: Talk) -> None:
        dog = "Ada has a dog."
        step(told, {"text": dog, "said": STORY[4]})
        say(told, "The dog is gone.", "Oh.")
        step(told, {"action": "withdraw", "of": dog, "said": "The dog is gone."})
        with told.stack.data_api(told.user) as api:
            assert api.delete("/memory_facts", params={"is_withdrawal": "is.true"}).is_success
        assert texts(told) == {dog}
        act(told, "edit", STORY[4], message="I have a dog!")
        assert texts(told) == set()
        step(told, {"text": dog, "said": "I have a dog!"})
        assert texts(told) == {dog}

    @pytest.mark.parametrize("change", ["edit", "delete"])
    def test_fact_that_was_off_does_not_come_back_after_its_message(
        self, told: Talk, change: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, is_active=False)
        body = {"action": change, "message_id": str(message(told, STORY[2])["id"])}
        more = {"message": "I live in Paris!"} if change == "edit" else {}
        assert told.stack.chat(told.user, **body, **more).status_code == 200
        assert told.stack.all("select from memory_facts") == []
        step(told, {"text": PARIS})
        assert texts(told) == set()

    def test_what_a_branch_takes_along_stays_off(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, is_active=False)
        branch = told.stack.chat(
            told.user,
            action="branch",
            message_id=str(message(told, STORY[5])["id"]),
            client_message_id="b",
        ).json()["conversation_id"]
        assert texts(told, branch) == set()


class TestForgotten:
    """What a person deleted, corrected or turned off."""

    @pytest.mark.parametrize("how", ["deleted", "corrected"])
    def test_may_become_true_again(self, told: Talk, how: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        if how == "deleted":
            forget(told, PARIS)
        else:
            patch(told, PARIS, content="Ada likes tea.")
        said = "I have moved back to Paris now."
        say(told, said, "Oh.")
        step(told, {"text": PARIS, "said": said})
        assert PARIS in texts(told)

    def test_may_become_true_again_in_another_conversation(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        forget(told, PARIS)
        other, third = (
            told.stack.conversation(told.user, character_id=DEMO_CHARACTER) for _ in range(2)
        )
        say(told, "I live in Paris again.", "Oh.", conversation=other)
        again = {"text": PARIS, "said": "I live in Paris again.", "tier": "profile"}
        step(told, again, conversation=other)
        assert texts(told, third) == {PARIS}

    @pytest.mark.parametrize("said", ["earlier", "by the character", "in no message"])
    def test_stays_so_where_the_person_says_nothing_new(self, told: Talk, said: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        if said == "earlier":
            say(told, "Paris is where I live.", "Nice.")
        forget(told, PARIS)
        if said == "by the character":
            say(told, "Hm.", "You live in Paris.")
        message = {"earlier": "Paris is where I live.", "by the character": "You live in Paris."}
        step(told, {"text": PARIS} | ({"said": message[said]} if said in message else {}))
        assert texts(told) == set()

    def test_fact_that_was_off_does_not_become_true_again(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, PARIS, is_active=False)
        forget(told, PARIS)
        say(told, "I live in Paris again.", "Oh.")
        step(told, {"text": PARIS, "said": "I live in Paris again."})
        assert texts(told) == set()

    @pytest.mark.parametrize(
        ("fact", "opposite"),
        [
            ("Ben hates Ada.", "Ada hates Ben."),
            ("Tom is older than Ada.", "Ada is older than Tom."),
            ("Ada loves Tom and Ben hates Eve.", "Ada loves Ben and Tom hates Eve."),
        ],
    )
    @pytest.mark.parametrize("how", ["deleted", "off"])
    def test_says_nothing_of_its_opposite(
        self, told: Talk, fact: str, opposite: str, how: str
    ) -> None:
        add(told, fact)
        if how == "deleted":
            forget(told, fact)
        else:
            patch(told, fact, is_active=False)
        step(told, {"text": opposite, "said": STORY[4]})
        assert texts(told) == {opposite}

    @pytest.mark.parametrize(
        ("fact", "again"),
        [
            ("Ada often walks alone.", "Ada walks alone often."),
            ("Ada likes tea and coffee.", "Ada likes coffee and tea."),
            ("Ada lives in Oslo.", "In Oslo Ada lives."),
            ("Ada knows a song of rain and wind.", "Ada knows the song of wind and rain."),
        ],
    )
    def test_is_not_noted_in_another_order_of_words(
        self, told: Talk, fact: str, again: str
    ) -> None:
        add(told, fact)
        forget(told, fact)
        step(told, {"text": again, "said": STORY[4]})
        assert texts(told) == set()

    def test_fact_that_is_off_stays_so_when_a_newer_value_is_noted(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, PARIS, is_active=False)
        say(told, MOVED, "Far.")
        step(told, {"text": OSLO, "said": MOVED})
        (oslo,) = current(told)
        assert (oslo["content"], "since" in oslo) == (OSLO, False)
        patch(told, PARIS, is_active=True)
        assert texts(told) == {PARIS, OSLO}
