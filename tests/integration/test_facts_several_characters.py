"""What each of several characters in a conversation knows."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import pytest

from tests.support.facts import (
    FLUTE,
    HARP,
    MOVED,
    OSLO,
    PARIS,
    SAID_FLUTE,
    SAID_HARP,
    STORY,
    act,
    current,
    patch,
    say,
    step,
    texts,
)
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import Talk

pytestmark = pytest.mark.installations


class TestSeveralCharacters:
    """What the person says to one character, all in the conversation hear."""

    GULLS: ClassVar = "Ada fears gulls."

    @pytest.fixture
    def tomas(self, told: Talk) -> UUID:
        return self.join(told, told.conversation)

    def join(self, told: Talk, conversation: object) -> UUID:
        tomas = told.stack.insert("characters", user_id=told.user.id, name="Tomas")
        told.stack.db.execute(
            "insert into conversation_characters (conversation_id, character_id, position)"
            " values (%s, %s, 1)",
            (conversation, tomas),
        )
        return tomas

    def tell(self, told: Talk, who: object, said: str) -> None:
        """The person says something that one of the characters answers."""
        say(told, said)
        self.answer(told, who, "I see.")

    def answer(self, told: Talk, who: object, said: str) -> None:
        row = {"conversation_id": told.conversation, "sender": "character", "character_id": who}
        told.stack.insert("messages", content=said, **row)

    def note(self, told: Talk, fact: str, said: str, **more: Any) -> None:
        """A character's turn notes a fact of that character."""
        noted = {"text": fact, "said": said, "tier": "character"}
        columns = {name: more.pop(name) for name in ("tier", "of", "action") if name in more}
        step(told, noted | columns, **more)

    def test_fact_belongs_to_whom_it_was_told_whoever_speaks_when_it_is_noted(
        self, told: Talk, tomas: UUID
    ) -> None:
        alone = told.stack.conversation(told.user, character_id=tomas)
        self.tell(told, tomas, MOVED)
        step(
            told,
            {"text": "Ada has a dog.", "said": STORY[4], "tier": "character"},
            {"text": OSLO, "said": MOVED, "tier": "character"},
        )
        assert (texts(told), texts(told, speaker=tomas)) == ({"Ada has a dog."}, {OSLO})
        assert texts(told, alone, speaker=tomas) == {OSLO}

    def test_fact_belongs_to_the_character_who_said_it(self, told: Talk, tomas: UUID) -> None:
        self.answer(told, tomas, "I fear gulls, Ada.")
        self.tell(told, DEMO_CHARACTER, "Go on.")
        self.note(told, "Tomas told Ada that he fears gulls.", "I fear gulls, Ada.")
        assert (texts(told), len(texts(told, speaker=tomas))) == (set(), 1)

    def test_fact_that_the_speaker_knew_is_known_to_whom_it_is_told_too(
        self, told: Talk, tomas: UUID
    ) -> None:
        self.note(told, PARIS, STORY[2])
        self.tell(told, tomas, again := f"Tomas! {STORY[2]}")
        self.note(told, PARIS, again)
        assert texts(told) == texts(told, speaker=tomas) == {PARIS}
        act(told, "delete", again)
        assert (texts(told), texts(told, speaker=tomas)) == ({PARIS}, set())

    def test_fact_that_the_speaker_knew_changes_for_both(self, told: Talk, tomas: UUID) -> None:
        self.note(told, PARIS, STORY[2])
        self.tell(told, tomas, MOVED)
        self.note(told, OSLO, MOVED, action="replace", of=PARIS)
        assert texts(told) == texts(told, speaker=tomas) == {OSLO}

    def test_fact_told_to_somebody_who_has_left_is_the_speakers(
        self, told: Talk, tomas: UUID
    ) -> None:
        self.tell(told, tomas, MOVED)
        told.stack.db.execute("delete from conversation_characters")
        self.note(told, OSLO, MOVED)
        assert (texts(told), texts(told, speaker=tomas)) == ({OSLO}, set())

    def test_fact_that_another_character_notes_replaces_what_it_contradicts(
        self, told: Talk, tomas: UUID
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        self.note(told, PARIS, STORY[2])
        self.tell(told, tomas, MOVED)
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert texts(told) == texts(told, other) == texts(told, speaker=tomas) == {OSLO}
        since = [fact.get("since") for fact in current(told)]
        assert since == [fact["said_at"] for fact in current(told)]
        act(told, "delete", MOVED)
        assert (texts(told), texts(told, other)) == ({PARIS}, {PARIS})
        assert texts(told, speaker=tomas) == set()

    @pytest.mark.parametrize(
        ("tier", "elsewhere"), [("conversation", {PARIS}), ("profile", {OSLO})]
    )
    def test_fact_of_another_tier_holds_for_all_as_far_as_it_reaches(
        self, told: Talk, tomas: UUID, tier: str, elsewhere: set[str]
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        self.note(told, PARIS, STORY[2])
        say(told, MOVED, "Far away.")
        self.note(told, OSLO, MOVED, tier=tier, speaker=tomas)
        assert (texts(told), texts(told, other)) == ({OSLO}, elsewhere)
        assert told.stack.one("select count(*) from memory_facts") == {"count": 2}
        act(told, "delete", MOVED)
        assert (texts(told), texts(told, other)) == ({PARIS}, {PARIS})

    def test_known_fact_that_is_said_again_replaces_what_it_contradicts(
        self, told: Talk, tomas: UUID
    ) -> None:
        alone = told.stack.conversation(told.user, character_id=tomas)
        say(told, MOVED, conversation=alone)
        self.note(told, PARIS, STORY[2])
        self.note(told, OSLO, MOVED, conversation=alone, speaker=tomas)
        assert texts(told) == {PARIS}
        again = "As I said, I live in Oslo now."
        say(told, again, "Far away.")
        self.note(told, OSLO, again, speaker=tomas)
        assert texts(told) == texts(told, speaker=tomas) == {OSLO}

    def test_what_names_no_topic_is_replaced_where_the_same_is_known(
        self, told: Talk, tomas: UUID
    ) -> None:
        for speaker, said in ((DEMO_CHARACTER, SAID_FLUTE), (tomas, f"Tomas! {SAID_FLUTE}")):
            self.tell(told, speaker, said)
            self.note(told, FLUTE, said, speaker=speaker)
        self.tell(told, tomas, SAID_HARP)
        self.note(told, HARP, SAID_HARP, action="replace", of=FLUTE, speaker=tomas)
        assert texts(told) == texts(told, speaker=tomas) == {HARP}
        act(told, "delete", SAID_HARP)
        assert texts(told) == texts(told, speaker=tomas) == {FLUTE}

    SAFE_WORD: ClassVar = "Ada's safe word is Marigold."

    @pytest.mark.parametrize("importance", [5, 1])
    def test_limit_is_known_to_all_who_heard_it(
        self, told: Talk, tomas: UUID, importance: int
    ) -> None:
        said = "My safe word is Marigold, all of you."
        say(told, said, "We will.")
        step(
            told,
            {"text": PARIS, "said": STORY[2], "tier": "character"},
            {
                **{"text": self.SAFE_WORD, "said": said, "tier": "character"},
                "importance": importance,
            },
        )
        assert texts(told) == {PARIS, self.SAFE_WORD}
        assert texts(told, speaker=tomas) == {self.SAFE_WORD}
        alone = told.stack.conversation(told.user, character_id=tomas)
        assert texts(told, alone, speaker=tomas) == {self.SAFE_WORD}
        act(told, "delete", said)
        assert texts(told, speaker=tomas) == set()

    @pytest.mark.parametrize(
        ("limit", "secret"),
        [
            ("Ada möchte keine Spinnen.", "Ada will nicht, dass Tomas den Brief erwähnt."),
            ("Ada ne veut pas d'araignées.", "Ada ne veut pas que Tomas sache tout."),
            ("Ada no quiere arañas.", "Ada no quiere que Tomas sepa todo."),
        ],
    )
    def test_limit_in_another_language_is_known_to_all_and_a_secret_is_not(
        self, told: Talk, tomas: UUID, limit: str, secret: str
    ) -> None:
        for fact in (limit, secret):
            say(told, fact, "Yes.")
        noted = [{"text": fact, "said": fact, "tier": "character"} for fact in (limit, secret)]
        step(told, *noted)
        assert (texts(told), texts(told, speaker=tomas)) == ({limit, secret}, {limit})

    def test_limit_that_is_set_again_is_known_to_whoever_joined(self, told: Talk) -> None:
        said, again = "My safe word is Marigold.", "Tomas, my safe word is Marigold."
        say(told, said, "Yes.")
        self.note(told, self.SAFE_WORD, said)
        tomas = self.join(told, told.conversation)
        say(told, again, "Yes.")
        self.note(told, self.SAFE_WORD, again)
        assert texts(told) == texts(told, speaker=tomas) == {self.SAFE_WORD}
        assert told.stack.one("select count(*) from memory_facts") == {"count": 2}

    def test_limit_that_has_changed_or_is_over_is_so_for_all(self, told: Talk, tomas: UUID) -> None:
        said, changed = "My safe word is Marigold.", "My safe word is now Lily, not Marigold."
        say(told, said, "Yes.")
        self.note(told, self.SAFE_WORD, said)
        say(told, changed, "Yes.")
        lily = "Ada's safe word is Lily."
        self.note(told, lily, changed, action="replace", of=self.SAFE_WORD, speaker=tomas)
        assert texts(told) == texts(told, speaker=tomas) == {lily}
        gone = "Lily is no longer my safe word."
        say(told, gone, "Yes.")
        step(told, {"action": "withdraw", "of": lily, "said": gone})
        assert texts(told) == texts(told, speaker=tomas) == set()

    def test_limit_that_all_know_anyway_is_noted_once(self, told: Talk, tomas: UUID) -> None:
        said, again = "My safe word is Marigold.", "Remember: my safe word is Marigold."
        say(told, said, "Yes.")
        self.note(told, self.SAFE_WORD, said, tier="profile")
        say(told, again, "Yes.")
        self.note(told, self.SAFE_WORD, again)
        assert texts(told, speaker=tomas) == {self.SAFE_WORD}
        assert told.stack.one("select count(*) from memory_facts") == {"count": 1}

    @pytest.mark.parametrize(
        "fact",
        [
            "Mara promised to wait at the pier.",
            "Mara must not tell Tomas about the letter.",
            "Ada asked Mara not to mention the harp.",
            "Ada's secret is that she is pregnant.",
            "Ada's brother is called Jon.",
            "Ada likes tea.",
        ],
    )
    def test_promise_or_secret_stays_with_whom_it_was_told(
        self, told: Talk, tomas: UUID, fact: str
    ) -> None:
        say(told, fact, "Yes.")
        step(told, {"text": fact, "said": fact, "tier": "character", "importance": 5})
        assert (texts(told), texts(told, speaker=tomas)) == ({fact}, set())

    def test_what_is_withdrawn_holds_for_nobody(self, told: Talk, tomas: UUID) -> None:
        dog, gone = "Ada has a dog.", "The dog is gone."
        self.note(told, dog, STORY[4])
        self.tell(told, tomas, again := f"Tomas! {STORY[4]}")
        self.note(told, dog, again, speaker=tomas)
        say(told, gone, "Oh.")
        step(told, {"action": "withdraw", "of": dog, "said": gone}, speaker=tomas)
        assert texts(told) == texts(told, speaker=tomas) == set()
        act(told, "delete", gone)
        assert texts(told) == texts(told, speaker=tomas) == {dog}

    def test_character_who_is_not_there_hears_nothing(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        tomas = self.join(told, other)
        alone = told.stack.conversation(told.user, character_id=tomas)
        self.note(told, PARIS, STORY[2])
        say(told, MOVED, conversation=alone)
        self.note(told, OSLO, MOVED, conversation=alone, speaker=tomas)
        assert (texts(told), texts(told, speaker=tomas)) == ({PARIS}, {OSLO})

    @pytest.mark.parametrize("columns", [{"pinned": True}, {"content": "Ada lives in PARIS!"}])
    def test_fact_that_a_person_wrote_or_pinned_stays(
        self, told: Talk, tomas: UUID, columns: dict[str, Any]
    ) -> None:
        self.note(told, PARIS, STORY[2])
        patch(told, **columns)
        self.tell(told, tomas, MOVED)
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert texts(told) == {columns.get("content", PARIS)}

    def test_fact_that_a_person_wrote_for_one_character_is_told_to_no_other(
        self, told: Talk, tomas: UUID
    ) -> None:
        self.note(told, PARIS, STORY[2])
        self.tell(told, tomas, again := f"Tomas! {STORY[2]}")
        self.note(told, PARIS, again, speaker=tomas)
        told.stack.db.execute("delete from conversation_summaries")
        row = told.stack.one("select id from memories where character_id = %s", tomas)
        with told.stack.data_api(told.user) as api:
            own = {"memory_id": str(row["id"]), "content": OSLO}
            assert api.post("/memory_facts", json=own).is_success
        step(told, speaker=tomas)
        assert (texts(told), texts(told, speaker=tomas)) == ({PARIS}, {OSLO})

    def test_what_is_said_later_holds_when_older_messages_are_read_again(
        self, told: Talk, tomas: UUID
    ) -> None:
        say(told, MOVED, "Far away.")
        self.note(told, OSLO, MOVED)
        told.stack.db.execute("delete from conversation_summaries")
        self.note(told, PARIS, STORY[2], speaker=tomas, upto=STORY[3])
        assert texts(told) == {OSLO}

    @pytest.mark.parametrize("known", [f"{OSLO[:-1]} with Tom.", "Ada lives in Oslo!"])
    def test_fact_that_says_more_or_the_same_stays(
        self, told: Talk, tomas: UUID, known: str
    ) -> None:
        self.note(told, known, STORY[2])
        self.tell(told, tomas, MOVED)
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert (texts(told), texts(told, speaker=tomas)) == ({known}, {OSLO})

    def test_nothing_is_noted_for_whom_it_contradicts_nothing(
        self, told: Talk, tomas: UUID
    ) -> None:
        self.note(told, self.GULLS, STORY[0])
        self.tell(told, tomas, MOVED)
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert (texts(told), texts(told, speaker=tomas)) == ({self.GULLS}, {OSLO})
