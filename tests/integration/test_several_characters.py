"""Conversations with several characters, through the real function and database."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from roleplay_chat.tokens import UNCALIBRATED
from tests.support.answers import error, text
from tests.support.memory import shorten_prompts
from tests.support.notes import asked_for_notes, either, written
from tests.support.stack import DEMO_CHARACTER, Stack
from tests.support.talk import VENICE, Talk

MARA = str(DEMO_CHARACTER)


class Company:
    """A conversation with Mara as first character, and others who join."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.stack: Stack = talk.stack
        self.ids: dict[str, str] = {"Mara Voss": MARA}

    def join(self, name: str, **columns: Any) -> str:
        row = {"user_id": self.talk.user.id, "name": name} | columns
        character = self.stack.insert("characters", **row)
        self.stack.db.execute(
            "insert into conversation_characters (conversation_id, character_id, position)"
            " values (%s, %s, %s)",
            (self.talk.conversation, character, len(self.ids)),
        )
        self.ids[name if name not in self.ids else f"{name} {len(self.ids)}"] = str(character)
        return str(character)

    def who(self, message: str | None = "And?", **body: Any) -> str:
        """The name of the speaker, which the response and the stored message must agree on."""
        self.stack.upstream.enqueue(text("Sit."))
        answer = self.talk.reply(message, **body)
        row = self.stack.one(
            "select character_id, sender from messages where id = %s", answer["message_id"]
        )
        turn = self.stack.one("select character_id from turns where id = %s", answer["turn_id"])
        assert str(row["character_id"]) == str(turn["character_id"]) == answer["character_id"]
        return next(name for name, own in self.ids.items() if own == answer["character_id"])

    def prompt(self) -> list[tuple[str, str]]:
        messages = self.stack.upstream.calls[-1].json["messages"]
        return [(message["role"], message["content"]) for message in messages]


@pytest.fixture
def company(talk: Talk) -> Company:
    talk.stack.db.execute("update profiles set display_name = 'Ada'")
    return Company(talk)


@pytest.mark.installations
class TestSpeaker:
    def test_only_character_speaks(self, company: Company) -> None:
        assert company.who() == company.who(character_id=MARA) == "Mara Voss"

    def test_speaker_is_whom_the_request_names(self, company: Company) -> None:
        tomas = company.join("Tomas Lind")
        assert company.who("Mara, who is he?", character_id=tomas) == "Tomas Lind"
        assert company.who("Tomas?", character_id=MARA) == "Mara Voss"

    def test_speaker_who_is_no_member_is_rejected(self, company: Company) -> None:
        company.join("Tomas Lind")
        stranger = company.stack.insert("characters", user_id=company.talk.user.id, name="Eve")
        answer = company.talk.say(character_id=str(stranger))
        assert (answer.status_code, answer.json()["code"]) == (404, "character_not_found")
        assert company.talk.said() == []

    @pytest.mark.parametrize(
        ("message", "speaker"),
        [
            ("Tomas Lind, row us over.", "Tomas Lind"),
            ("What do you say, TOMAS?", "Tomas Lind"),
            ("Would Tomas's boat float?", "Tomas Lind"),
            ("Zoë, sing.", "Zoë"),
            ("Hello, 葵さん、元気？", "葵"),
            ("Captain Bo! To me!", "The Captain"),
            ("The captain said so.", "The Captain"),
            ("Mara, tell Tomas.", "Mara Voss"),
            ("I would ask Zoë, but Mara knows.", "Zoë"),
            ("(Tomas)", "Tomas Lind"),
        ],
    )
    def test_speaker_is_whom_the_message_names_first(
        self, company: Company, message: str, speaker: str
    ) -> None:
        company.join("Tomas Lind")
        company.join("Zoë")
        company.join("葵")
        company.join("The Captain", nickname="Captain Bo")
        assert company.who(message) == speaker

    @pytest.mark.parametrize(
        ("message", "speaker"),
        [
            ("I hope you slept well, Mara.", "Mara Voss"),
            ("I will stay with you, MARA.", "Mara Voss"),
            ("I hope so, Bo.", "the mate"),
            ("I hope The Mate is well.", "the mate"),
            ("Hope, I will stay.", "Hope Ashdown"),
            ("I will ask HOPE.", "Hope Ashdown"),
            ("mara, come", "Mara Voss"),
            ("will turner, come", "Will Turner"),
        ],
    )
    def test_word_that_is_also_a_name_means_nobody_where_somebody_is_named(
        self, company: Company, message: str, speaker: str
    ) -> None:
        company.join("Hope Ashdown")
        company.join("Will Turner")
        company.join("the mate", nickname="Bo")
        assert company.who(message) == speaker

    @pytest.mark.parametrize(
        "message", ["The sea is rough.", "Tomaso is late.", "marauders!", "a.b", "Zoëlle", "??"]
    )
    def test_speaker_is_the_first_where_nobody_is_named(
        self, company: Company, message: str
    ) -> None:
        company.join("Tomas Lind")
        company.join("The Captain")
        company.join("Zoë")
        company.join("A.*b")
        assert company.who(message) == "Mara Voss"

    def test_speaker_is_not_taken_from_a_first_name_that_two_have(self, company: Company) -> None:
        company.join("Tomas Lind")
        company.join("Tomas Berg")
        assert company.who("Tomas?") == "Mara Voss"
        assert company.who("Tomas Berg?") == "Tomas Berg"

    def test_hidden_reply_has_no_say_in_who_continues(self, company: Company) -> None:
        company.join("Tomas")
        company.who("Mara?")
        company.who("Tomas?")
        hidden = company.stack.all("select id from messages order by position desc limit 2")
        for message in hidden:
            company.stack.chat(company.talk.user, action="hide", message_id=str(message["id"]))
        assert company.who(action="continue") == "Mara Voss"
        assert company.who(action="regenerate") == "Mara Voss"

    def test_version_in_use_says_who_continues(self, company: Company) -> None:
        company.join("Tomas")
        company.who("Tomas?")
        first = company.stack.one("select id from messages where sender = 'character'")["id"]
        company.stack.db.execute(
            "with former as (update messages set is_active = false where id = %s returning *)"
            " insert into messages (conversation_id, position, sender, character_id, content,"
            " parent_id, variant_of) overriding system value"
            " select conversation_id, position, sender, %s, 'Stand.', parent_id, id from former",
            (first, MARA),
        )
        assert company.who(action="continue", message_id=str(first)) == "Mara Voss"

    @pytest.mark.parametrize("others", [[], ["Vera"]])
    def test_nobody_continues_the_reply_of_who_has_left(
        self, company: Company, others: list[str]
    ) -> None:
        tomas = company.join("Tomas")
        for other in others:
            company.join(other)
        company.who("Tomas?")
        company.stack.db.execute(
            "delete from conversation_characters where character_id = %s", (tomas,)
        )
        answer = company.talk.say(action="continue")
        assert (answer.status_code, answer.json()["code"]) == (404, "character_not_found")
        assert company.talk.said() == ["Tomas?", "> Sit."]
        assert company.who(action="regenerate") == "Mara Voss"

    def test_members_speak_in_turn(self, company: Company) -> None:
        company.join("Tomas")
        company.join("Vera")
        names = [company.who() for _ in range(7)]
        assert names == ["Mara Voss", "Tomas", "Vera"] * 2 + ["Mara Voss"]

    def test_who_was_named_waits_for_the_others(self, company: Company) -> None:
        company.join("Tomas")
        company.join("Vera")
        names = [company.who(said) for said in ("Tomas?", "And?", "And?", "And?")]
        assert names == ["Tomas", "Vera", "Mara Voss", "Tomas"]

    def test_talkative_ones_speak_more_often_and_nobody_is_forgotten(
        self, company: Company
    ) -> None:
        company.join("Tomas", talkativeness=1)
        company.join("Vera", talkativeness=0.25)
        names = [company.who() for _ in range(16)]
        counts = [names.count(name) for name in ("Tomas", "Mara Voss", "Vera")]
        assert names[0] == "Mara Voss"
        assert counts == sorted(counts, reverse=True)
        assert len(set(counts)) == 3
        assert min(counts) > 1

    def test_quiet_one_waits_where_only_two_are_there(self, company: Company) -> None:
        company.join("Vera", talkativeness=0.125)
        assert [company.who() for _ in range(9)].index("Vera") == 3

    def test_one_of_no_talkativeness_speaks_when_named(self, company: Company) -> None:
        company.join("Tomas", talkativeness=0)
        assert [company.who() for _ in range(3)] == ["Mara Voss"] * 3
        assert company.who("Tomas?") == "Tomas"
        assert company.who() == "Mara Voss"

    def test_members_of_no_talkativeness_speak_in_turn(self, company: Company) -> None:
        company.join("Tomas", talkativeness=0)
        company.join("Vera", talkativeness=0)
        company.stack.db.execute("update shared.characters set talkativeness = 0")
        assert [company.who() for _ in range(4)] == ["Mara Voss", "Tomas", "Vera", "Mara Voss"]

    def test_speaker_is_the_same_where_the_conversation_is(self, company: Company) -> None:
        company.join("Tomas", talkativeness=0.7)
        company.join("Vera", talkativeness=0.3)
        for _ in range(5):
            company.who()
        query = (
            "select private.speaker("
            "c, array(select m.character_id from private.members(c) m order by m.place), null,"
            " 'send', '?', null) as id from shared.conversations c"
        )
        speakers = {company.stack.one(query)["id"] for _ in range(5)}
        assert len(speakers) == 1

    def test_earlier_messages_belong_to_the_first_character(self, company: Company) -> None:
        company.talk.conversation = company.stack.conversation(company.talk.user, "One", "Two")
        company.join("Tomas")
        assert company.who() == "Tomas"

    def test_speaker_stays_when_a_reply_is_written_again_or_carried_on(
        self, company: Company
    ) -> None:
        company.join("Tomas")
        company.join("Vera")
        company.who("Vera?")
        assert company.who(action="regenerate") == "Vera"
        assert company.who(action="regenerate", character_id=MARA) == "Vera"
        assert company.who(action="continue", character_id=MARA) == "Vera"
        assert company.talk.said() == ["Vera?", "> Sit. Sit."]

    def test_speaker_of_a_lost_reply_is_the_one_that_was_named(self, company: Company) -> None:
        company.join("Tomas")
        company.stack.upstream.always(error(400))
        company.talk.say("Tomas?")
        company.stack.upstream.reset()
        url = f"{company.stack.upstream.url}/api/v1"
        company.stack.db.execute("update api_providers set base_url = %s", (url,))
        assert company.who(action="regenerate") == "Tomas"

    def test_who_is_hidden_now_is_left_out(self, company: Company) -> None:
        other = company.stack.user()
        company.join("Tomas", user_id=other.id, is_public=True)
        company.stack.db.execute("update characters set is_public = false where name = 'Tomas'")
        assert company.who("Tomas?") == "Mara Voss"
        assert "Tomas" not in company.prompt()[0][1]

    def test_without_a_first_one_is_the_next(self, company: Company) -> None:
        company.talk.conversation = company.stack.conversation(company.talk.user, character_id=None)
        company.join("Tomas")
        company.join("Vera")
        assert company.who("Vera?") == "Vera"
        row = company.stack.one(
            "select character_id from conversations where id = %s", company.talk.conversation
        )
        assert str(row["character_id"]) == company.ids["Tomas"]

    def test_speaker_is_told_at_the_start_of_a_stream_and_again(self, company: Company) -> None:
        tomas = company.join("Tomas")
        company.stack.upstream.enqueue(text("Sit."))
        sent = {"client_message_id": str(uuid4())}
        for _ in range(2):
            events = company.talk.stream("Tomas?", **sent)
            assert {events[0].data["character_id"], events[-1].data["character_id"]} == {tomas}
        assert company.talk.asked() == [VENICE]

    def test_takes_two_round_trips(self, company: Company) -> None:
        company.join("Tomas")
        company.who("Tomas?")
        calls = company.stack.gateway.calls
        assert calls == ["POST /rest/v1/rpc/begin_turn", "POST /rest/v1/rpc/finish_turn"]


class TestKickoff:
    def test_kickoff_is_the_first_ones_greeting(self, company: Company) -> None:
        company.join("Tomas", first_message="Ahoy, {{user}}.")
        answer = company.talk.reply(kickoff=True, message=None)
        assert answer["response"].startswith("*The lamp hisses as Mara trims the wick.")
        assert answer["character_id"] == MARA

    def test_kickoff_of_a_group_is_a_greeting_for_groups(self, company: Company) -> None:
        company.stack.db.execute(
            "update shared.characters set group_only_greetings = %s where name = 'Mara Voss'",
            (["All of you, {{user}}?"],),
        )
        alone = company.talk.reply(kickoff=True, message=None)["response"]
        company.talk.conversation = company.stack.conversation(company.talk.user)
        company.join("Tomas")
        answer = company.talk.reply(kickoff=True, message=None)
        assert (answer["response"], answer["model_used"]) == ("All of you, Ada?", "card:greeting")
        assert alone != answer["response"]

    def test_kickoff_may_be_another_characters(self, company: Company) -> None:
        tomas = company.join("Tomas", first_message="Ahoy, {{user}}.")
        answer = company.talk.reply(kickoff=True, message=None, character_id=tomas)
        assert (answer["response"], answer["character_id"]) == ("Ahoy, Ada.", tomas)

    def test_kickoff_in_a_running_conversation_lets_the_next_one_speak(
        self, company: Company
    ) -> None:
        company.join("Tomas")
        company.who()
        assert company.who(kickoff=True, message=None) == "Tomas"
        assert company.prompt()[-1] == (
            "user",
            "Ada: And?\n\nMara Voss: Sit.\n\n"
            "[Continue the scene as Tomas from where it stands, without introducing yourself.]",
        )


class TestPrompt:
    def test_prompt_has_the_speakers_card_and_names(self, company: Company) -> None:
        company.join("Tomas", description="{{char}} rows the boat.", personality="Shy.")
        company.who("Mara?")
        company.who("Tomas?")

        (_, system), *said = company.prompt()
        assert "You are Tomas in a fictional conversation with Ada." in system
        assert "## Tomas's personality\nShy." in system
        assert "- Mara Voss (52 years old, she/her): Mara Voss is the keeper" in system
        assert "Dry-humoured" not in system
        assert said == [("user", "Ada: Mara?\n\nMara Voss: Sit.\n\nAda: Tomas?")]

    def test_prompt_of_a_single_character_has_no_speaker_names(self, company: Company) -> None:
        company.who("Hello")
        company.who("And?")
        assert company.prompt()[1:] == [
            ("user", "Hello"),
            ("assistant", "Sit."),
            ("user", "And?"),
        ]

    def test_prompt_has_the_speakers_own_memory(self, company: Company) -> None:
        tomas = company.join("Tomas")
        for character, fact in ((MARA, "Mara likes ink."), (tomas, "Tomas fears fog.")):
            memory = company.stack.insert(
                "memories", user_id=company.talk.user.id, tier="character", character_id=character
            )
            company.stack.insert("memory_facts", memory_id=memory, content=fact)

        company.who("Tomas?", memory_tier="character")

        system = company.prompt()[0][1]
        assert "- Tomas fears fog." in system
        assert "likes ink" not in system
        counted = company.stack.all(
            "select character_id from memories where interaction_count = 1 and tier = 'character'"
        )
        assert [str(row["character_id"]) for row in counted] == [tomas]

    @pytest.mark.installations
    @pytest.mark.parametrize("is_there", [True, False])
    def test_notes_have_the_name_of_who_spoke(self, company: Company, is_there: bool) -> None:
        talk, upstream = company.talk, company.stack.upstream
        talk.have_only(VENICE)
        shorten_prompts(talk)
        tomas = company.join("Tomas Lind")
        for number in range(120):  # More than a turn reads.
            by = [None, MARA, None, tomas][number % 4]
            company.stack.insert(
                "messages",
                conversation_id=talk.conversation,
                sender="character" if by else "user",
                character_id=by if number > 3 else by and tomas,
                content=f"{number} {'The fog lies on the water. ' * 20}",
            )
        upstream.always(either(text("Aye."), written("They met.")))
        if not is_there:
            company.stack.db.execute("delete from characters where id = %s", (tomas,))
        talk.reply("And?", character_id=tomas if is_there else MARA)
        asked = upstream.wait_for(asked_for_notes)[0]
        name = "Tomas Lind" if is_there else "Somebody"
        assert [one["by"] for one in asked["messages"][:8]] == [
            *("Ada", name) * 2,
            *("Ada", "Mara Voss", "Ada", name),
        ]


class TestReply:
    def test_reply_ends_where_another_character_speaks(self, company: Company) -> None:
        company.join("Tomas Lind")
        company.stack.upstream.enqueue(text("Tomas Lind: No.\nMara: Sit."))
        answer = company.talk.reply("Tomas?")
        assert answer["response"] == "No."
        assert company.stack.upstream.calls[-1].json["stop"] == [
            "\nAda:",
            "\nMara Voss:",
            "\nMara:",
            "\nUser:",
        ]


ADULT: dict[str, Any] = {"age": 40, "content_rating": "nsfw"}


class TestPolicy:
    @pytest.fixture
    def adults(self, company: Company) -> Company:
        company.stack.db.execute("update profiles set age_verified = true")
        company.stack.db.execute("update characters set age = 40, content_rating = 'nsfw'")
        return company

    def tier(self, company: Company) -> str:
        company.stack.upstream.enqueue(text("Sit."))
        return str(company.talk.reply(character_id=MARA, content_tier="nsfw")["content_tier"])

    @pytest.mark.parametrize(
        ("columns", "tier"),
        [
            (ADULT, "nsfw"),
            (ADULT | {"age": None}, "sfw"),
            (ADULT | {"age": 17}, "sfw"),
            (ADULT | {"content_rating": "sfw"}, "sfw"),
        ],
    )
    def test_tier_is_for_all_members(
        self, adults: Company, columns: dict[str, Any], tier: str
    ) -> None:
        adults.join("Tomas", **columns)
        assert self.tier(adults) == tier

    def test_member_who_is_silent_is_screened(self, adults: Company) -> None:
        adults.join("Tomas", **ADULT, personality="She is 12 years old.")
        answer = adults.talk.say(character_id=MARA, content_tier="nsfw")
        assert (answer.status_code, answer.json()["code"]) == (403, "content_refused")
        assert adults.talk.asked() == []


FULL = ("description", "personality", "scenario", "example_messages")
"""Texts of a silent member that a turn loads."""
SAID = "She is 12 years old. A sexual scene."


class TestCrowd:
    """As many as there may be, each with as much as a card holds."""

    @pytest.fixture
    def crowd(self, company: Company) -> Company:
        book = {"entries": [{"keys": ["sea"], "content": "Salt. " * 150} for _ in range(400)]}
        for number in range(7):
            company.join(
                f"Guest {number} " + "of the Northern Isles " * 5,
                nickname="Guest " * 19 + str(number),
                pronouns="she/her " * 5,
                age=40,
                content_rating="nsfw",
                character_book=Jsonb(book),
                system_prompt="Be brief. " * 1_900,
                post_history_instructions="Be kind. " * 800,
                **{column: f"{column} of {{{{char}}}}. " * 600 for column in FULL},
            )
        return company

    @pytest.mark.parametrize("context", [1_024, 4_096, 32_768])
    def test_fits_every_context_in_two_calls(self, crowd: Company, context: int) -> None:
        crowd.talk.have_only(VENICE)
        crowd.talk.describe(VENICE, context_tokens=context)
        crowd.stack.gateway.calls.clear()
        crowd.who("The sea, Guest 3?")
        assert crowd.stack.gateway.calls == [
            "POST /rest/v1/rpc/begin_turn",
            "POST /rest/v1/rpc/finish_turn",
        ]
        call = crowd.stack.upstream.calls[-1].json
        spent = sum(UNCALIBRATED.count(content) for _, content in crowd.prompt())
        assert spent <= context - call["max_tokens"]
        assert crowd.prompt()[-1] == ("user", "Ada: The sea, Guest 3?")
        assert len(call["stop"]) <= 4

    @pytest.mark.parametrize("column", [*FULL, "name", "nickname", "pronouns"])
    def test_last_of_them_is_screened_in_all_that_is_loaded(
        self, crowd: Company, column: str
    ) -> None:
        last = list(crowd.ids.values())[-1]
        filler = "" if column not in FULL else "They row to the pier and back. " * 600
        crowd.stack.db.execute(
            f"update characters set {column} = %s where id = %s".encode(),  # noqa: S608
            (filler + SAID, last),
        )
        answer = crowd.talk.say(character_id=MARA)
        assert (answer.status_code, answer.json()["code"]) == (403, "content_refused")
        assert crowd.talk.asked() == []

    def test_of_one_name_takes_turns(self, company: Company) -> None:
        company.stack.db.execute("update characters set name = 'Ann'")
        ids = [MARA, *(company.join("Ann") for _ in range(7))]
        spoke = []
        for _ in range(9):
            company.stack.upstream.enqueue(text("Sit."))
            spoke.append(company.talk.reply("And?")["character_id"])
        assert spoke == [*ids, MARA]

    def test_of_one_name_answers_to_it(self, company: Company) -> None:
        company.join("Ann")
        second = company.join("Ann")
        company.stack.upstream.enqueue(text("Sit."), text("Ann: Sit."))
        first = company.talk.reply("Ann?")["character_id"]
        assert first not in (MARA, second)
        answer = company.talk.reply("You.", character_id=second)
        assert (answer["character_id"], answer["response"]) == (second, "Sit.")

    def test_name_is_looked_for_where_a_message_begins(self, company: Company) -> None:
        """Each name is looked for in all of the text: it has to have an end."""
        company.join("Tomas Lind")
        found = [
            company.stack.one(
                "select private.named_member(array(select id from characters), %s) as id",
                "the sea " * words + "Tomas",
            )["id"]
            for words in (999, 1_001)
        ]
        assert [str(one) for one in found] == [company.ids["Tomas Lind"], "None"]

    @pytest.mark.parametrize(
        ("befell", "tier"),
        [
            ("update characters set age = 15 where id = %s", "sfw"),
            ("update characters set is_public = false where id = %s", "nsfw"),
            ("update characters set is_public = false, age = 15 where id = %s", "sfw"),
            ("delete from conversation_characters where character_id = %s", "nsfw"),
            (
                "with gone as (delete from conversation_characters where character_id = %s"
                " returning character_id) update characters set age = 15"
                " where id in (select character_id from gone)",
                "nsfw",
            ),
            ("delete from characters where id = %s", "nsfw"),
            (
                "update auth.users set banned_until = 'infinity'"
                " where id = (select user_id from characters where id = %s)",
                "nsfw",
            ),
            (
                "delete from auth.users where id = (select user_id from characters where id = %s)",
                "nsfw",
            ),
        ],
    )
    def test_what_befalls_a_silent_member_of_somebody_else(
        self, company: Company, befell: str, tier: str
    ) -> None:
        """Nobody's turn fails for it; what the person may not see is in no prompt."""
        author = company.stack.user()
        company.stack.db.execute("update profiles set age_verified = true")
        company.stack.db.execute("update characters set age = 40, content_rating = 'nsfw'")
        guest = company.join("Guest", **ADULT | {"user_id": author.id, "is_public": True})
        company.stack.db.execute(befell.encode(), (guest,))
        company.stack.upstream.enqueue(text("Sit."))
        answer = company.talk.reply(character_id=MARA, content_tier="nsfw")
        assert answer["content_tier"] == tier
        is_there = company.stack.all(
            "select 1 from conversation_characters m join characters c on c.id = m.character_id"
            " where c.is_public"
        )
        assert ("Guest" in str(company.prompt())) is bool(is_there)


class TestMembers:
    """The table's constraints; test_access has the permissions."""

    def test_ninth_additional_character_is_rejected(self, company: Company) -> None:
        for number in range(7):
            company.join(f"Guest {number}")
        with pytest.raises(Exception, match="position_check"):
            company.join("Guest 8")

    @pytest.mark.parametrize("mine", [True, False])
    def test_members_are_whom_the_person_may_meet(self, company: Company, mine: bool) -> None:
        owner = company.talk.user if mine else company.stack.user()
        hidden = company.stack.insert("characters", user_id=owner.id, name="Hidden")
        row = {
            "conversation_id": str(company.talk.conversation),
            "character_id": str(hidden),
            "position": 1,
        }
        with company.stack.data_api(company.talk.user) as api:
            assert api.post("/conversation_characters", json=row).is_success is mine

    def test_conversation_of_somebody_else_is_closed(self, company: Company) -> None:
        row = {"conversation_id": str(company.talk.conversation), "character_id": MARA}
        with company.stack.data_api(company.stack.user()) as api:
            answer = api.post("/conversation_characters", json=row | {"position": 1})
            assert answer.status_code == 403

    def test_messages_of_a_deleted_member_stay(self, company: Company) -> None:
        company.join("Tomas")
        company.who("Tomas?")
        company.stack.db.execute("delete from characters where name = 'Tomas'")
        assert company.who("And?") == "Mara Voss"
        assert company.talk.said() == ["Tomas?", "> Sit.", "And?", "> Sit."]

    @pytest.mark.installations
    def test_words_of_a_deleted_member_are_nobody_elses(self, company: Company) -> None:
        """Neither where the messages are known from an earlier turn, nor in a branch."""
        tomas = company.join("Tomas")
        assert company.who("Tomas?") == "Tomas"
        company.stack.db.execute("delete from characters where id = %s", (tomas,))
        newest = company.stack.one("select id from messages order by position desc limit 1")["id"]
        branch = company.talk.stack.chat(
            company.talk.user, action="branch", message_id=str(newest), client_message_id="b"
        ).json()["conversation_id"]
        for conversation in (company.talk.conversation, branch):
            company.talk.conversation = conversation
            for message in ("And?", "And then?"):
                assert company.who(message) == "Mara Voss"
                assert ("user", "Ada: Tomas?\n\nSomebody: Sit.\n\nAda: And?") in company.prompt()
        exported = company.talk.stack.chat(
            company.talk.user, action="export_chat", conversation_id=str(branch)
        ).json()
        lines = exported["chat"].splitlines()[1:]
        assert [json.loads(line)["name"] for line in lines] == [
            *("Ada", "Somebody", "Ada", "Mara Voss", "Ada", "Mara Voss"),
        ]

    @pytest.mark.installations
    def test_what_a_deleted_member_said_is_not_gone_on_with(self, company: Company) -> None:
        tomas = company.join("Tomas")
        company.who("Tomas?")
        company.stack.db.execute("delete from characters where id = %s", (tomas,))
        answer = company.talk.say(action="continue")
        assert (answer.status_code, answer.json()["code"]) == (404, "character_not_found")
