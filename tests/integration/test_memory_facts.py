"""Facts and summaries: where they come from, what takes their place, and who may shape them."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, ClassVar, LiteralString
from uuid import UUID

import pytest
from psycopg import errors

from roleplay_chat.memory.answer import parse
from roleplay_chat.memory.batches import Batch
from roleplay_chat.memory.comparison import Words
from roleplay_chat.memory.result import to_save
from roleplay_chat.rows import BegunTurn, MessageRow
from tests.integration.test_memory import (
    MESSAGES,
    PARAGRAPH,
    fill,
    shorten_prompts,
    take_turn,
)
from tests.support.answers import text
from tests.support.notes import asked_for_notes, prompts
from tests.support.postgres import Postgres
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.installations

STORY = (
    "Hello.",
    "Who are you?",
    "I am Ada. I live in Paris.",
    "Sit down.",
    "I have a dog.",
    "Aye.",
)
PARIS, OSLO, LONDON = "Ada lives in Paris.", "Ada lives in Oslo.", "Ada lives in London."
MOVED = "I have moved to Oslo."
LATER = ("And then?", "We wait.", "For whom?", "For the ferry.")
FLUTE, HARP = "Ada practises the flute at dawn.", "Ada practises the harp at dawn."
"""Facts of which no word tells the topic."""
SAID_FLUTE, SAID_HARP = "I practise the flute at dawn.", "I practise the harp at dawn instead."
DAY = "2026-05-03 10:00+00"
BLANK = (" ", "\n\n", "\u200b", "\u00a0\ufeff", "\u3000\u2060", "\u200d\u200c\ufe0f", "\u00ad\x07")


def say(talk: Talk, *contents: str, **columns: Any) -> None:
    """Inserts messages; every second one is a reply."""
    conversation = columns.pop("conversation", talk.conversation)
    for number, content in enumerate(contents):
        talk.stack.insert(
            "messages",
            conversation_id=conversation,
            sender="character" if number % 2 else "user",
            content=content,
            **columns,
        )


@pytest.fixture
def told(talk: Talk) -> Talk:
    """A conversation of six messages, with no memory yet."""
    say(talk, *STORY)
    talk.stack.upstream.always(text("Yes."))
    return talk


def message(talk: Talk, content: str, conversation: object = None) -> dict[str, Any]:
    return talk.stack.one(
        "select * from messages where conversation_id = %s and content = %s and is_active",
        *(conversation or talk.conversation, content),
    )


def current(
    talk: Talk,
    conversation: object = None,
    tier: str = "profile",
    speaker: object = DEMO_CHARACTER,
) -> list[dict[str, Any]]:
    """The facts that a turn reads."""
    row = talk.stack.one(
        "select private.remembered(%s, %s, %s, %s) as facts",
        *(talk.user.id, tier, conversation or talk.conversation, speaker),
    )
    return list(row["facts"])


def texts(talk: Talk, conversation: object = None, *, speaker: object = DEMO_CHARACTER) -> set[str]:
    return {fact["content"] for fact in current(talk, conversation, speaker=speaker)}


def summary(talk: Talk, conversation: object = None) -> tuple[str, int]:
    rows = talk.stack.all(
        "select content, covers_position from conversation_summaries where conversation_id = %s",
        conversation or talk.conversation,
    )
    return (rows[0]["content"], rows[0]["covers_position"]) if rows else ("", 0)


def step(
    talk: Talk,
    *noted: dict[str, Any],
    upto: str | None = None,
    retold: str = "They met.",
    conversation: object = None,
    reach: Any = "profile",
    person: str = "Ada",
    speaker: object = DEMO_CHARACTER,
) -> bool:
    """Takes notes of the messages that no summary covers, up to one with this content.

    In a fact, `said` is the content of its message, and `of` that of the known fact that it names.
    """
    conversation = conversation or talk.conversation
    _, covered = summary(talk, conversation)
    rows = [
        MessageRow(**row)
        for row in talk.stack.all(
            "select position, sender, content from messages where conversation_id = %s"
            " and is_active and position > %s order by position",
            *(conversation, covered),
        )
    ]
    if upto is not None:
        rows = rows[: [row.content for row in rows].index(upto) + 1]
    known = current(talk, conversation, reach, speaker)
    for fact in noted:
        if (said := fact.pop("said", None)) is not None:
            fact["message"] = [row.content for row in rows].index(said) + 1
        if (of := fact.pop("of", None)) is not None:
            fact["fact"] = [row["content"] for row in known].index(of) + 1
    begun = BegunTurn.model_validate(
        {"now": datetime.now(UTC), "turn": {"id": UUID(int=1)}, "user": {}, "facts": known}
    )
    answer = parse(json.dumps({"summary": retold, "facts": noted}), reach=reach)
    assert answer is not None
    names = {"user": person, "char": "Mara"}
    saved = to_save(Batch(rows, covered), answer, begun, names)
    return remember(talk, saved, conversation, speaker)


def saved_by_hand(
    talk: Talk, facts: list[dict[str, Any]], conversation: object = None
) -> dict[str, Any]:
    """A summary of the story with these facts, in the format of private.remember."""
    rows = talk.stack.all(
        "select position, content from messages where conversation_id = %s and is_active"
        " order by position",
        conversation or talk.conversation,
    )
    told = "\n".join(row["content"] for row in rows)
    digest = hashlib.sha256(told.encode()).hexdigest()
    covered = {"from": 0, "to": rows[-1]["position"], "digest": digest}
    return {"summary": "S.", "facts": facts, **covered}


def remember(
    talk: Talk,
    saved: dict[str, Any],
    conversation: object = None,
    speaker: object = DEMO_CHARACTER,
) -> bool:
    turn = talk.stack.insert(
        "turns",
        user_id=talk.user.id,
        conversation_id=conversation or talk.conversation,
        character_id=speaker,
        task="roleplay",
        action="send",
        status="complete",
        lease_expires_at=datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )
    row = talk.stack.one(
        "select public.remember(%s, %s::jsonb, '[]') as changed", turn, json.dumps(saved)
    )
    return bool(row["changed"])


def told_thrice(talk: Talk) -> list[UUID]:
    """Facts of three messages of the story."""
    step(
        talk,
        {"text": "Ada says hello.", "said": STORY[0], "tier": "profile"},
        {"text": PARIS, "said": STORY[2], "tier": "profile"},
        {"text": "Ada has a dog.", "said": STORY[4], "tier": "profile"},
    )
    rows = talk.stack.all("select id from memory_facts order by source_from")
    return [row["id"] for row in rows]


def use(talk: Talk, conversation: object, *facts: UUID) -> bool:
    """Takes notes of a whole conversation, once more, whose messages speak of these facts."""
    again = "update conversation_summaries set covers_position = 0 where conversation_id = %s"
    talk.stack.db.execute(again, (conversation,))
    saved = saved_by_hand(talk, [], conversation) | {"used": [str(fact) for fact in facts]}
    return remember(talk, saved, conversation)


def narrow_home(told: Talk, others: int = 1, **noted: Any) -> list[UUID]:
    """Ada's home is noted for all her conversations, and she moves it into this one. Returns other
    conversations of hers."""
    step(told, {"text": PARIS, "said": STORY[2], "tier": "profile", **noted})
    found = [told.stack.conversation(told.user, character_id=DEMO_CHARACTER) for _ in range(others)]
    move(told, PARIS, "conversation")
    return found


def move(talk: Talk, fact: str, tier: str) -> None:
    """Moves a fact to another tier, as the page does."""
    row = {"user_id": str(talk.user.id), "tier": tier}
    if tier == "conversation":
        row["conversation_id"] = str(talk.conversation)
    with talk.stack.data_api(talk.user) as api:
        api.post("/memories", json=row)  # There may be one.
        memory = talk.stack.one(
            "select id from memories where user_id = %s and tier = %s"
            " and conversation_id is not distinct from %s",
            *(talk.user.id, tier, talk.conversation if tier == "conversation" else None),
        )["id"]
        its = {"content": f"eq.{fact}"}
        moved = api.patch("/memory_facts", params=its, json={"memory_id": str(memory)})
    assert moved.is_success, moved.text


def act(talk: Talk, action: str, content: str, **body: Any) -> dict[str, Any]:
    """An action on the message with this content, which must succeed."""
    message_id = str(message(talk, content, body.pop("within", None))["id"])
    answer = talk.stack.chat(talk.user, action=action, message_id=message_id, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def live_in_oslo(talk: Talk) -> None:
    """Ada lived in Paris, and says later that she has moved."""
    step(talk, {"text": PARIS, "said": STORY[2]})
    say(talk, MOVED, "Far away.")
    step(talk, {"text": OSLO, "said": MOVED})
    assert texts(talk) == {OSLO}


def play_the_harp(talk: Talk) -> None:
    """Ada practises the harp now, in all her conversations."""
    say(talk, SAID_FLUTE, "Nice.")
    step(talk, {"text": FLUTE, "said": SAID_FLUTE, "tier": "profile"})
    say(talk, SAID_HARP, "Nice, too.", "Go on.", "Aye, aye.")
    harp = {"action": "replace", "of": FLUTE, "text": HARP, "said": SAID_HARP}
    step(talk, harp | {"tier": "profile"})
    assert texts(talk) == {HARP}


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
        with told.stack.data_api(told.user) as api:
            assert api.delete("/memory_facts", params={"content": "like.Ada eats*"}).is_success
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
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}"}
            assert api.patch("/memory_facts", params=its, json={"pinned": True}).is_success
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
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{OSLO}"}
            assert api.patch("/memory_facts", params=its, json={"is_active": False}).is_success
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


class TestProvenance:
    """What was drawn from a message goes with it."""

    @pytest.mark.parametrize(
        ("action", "body"),
        [
            ("edit", {"message": "I am Ada. I live here."}),
            ("delete", {}),
            ("delete", {"onwards": True}),
        ],
    )
    def test_of_a_message_that_is_changed_or_deleted(
        self, told: Talk, action: str, body: dict[str, Any]
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "They met.", "said": STORY[0]})
        act(told, action, STORY[2], **body)
        assert texts(told) == {"They met."}

    CHANGES: ClassVar = [
        "delete from public.messages where id = %s",
        "update public.messages set content = 'I am Ada.' where id = %s",
    ]

    @pytest.mark.parametrize("change", CHANGES)
    def test_of_a_message_that_another_program_deletes_or_edits(
        self, told: Talk, change: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "A dog.", "said": STORY[4]})
        told.stack.db.execute(change, (message(told, STORY[2])["id"],))
        assert texts(told) == {"A dog."}
        assert summary(told) == ("", 0)
        step(told, {"text": PARIS, "said": STORY[1]})
        assert texts(told) == {"A dog.", PARIS}

    @pytest.mark.parametrize("change", CHANGES)
    def test_change_of_a_message_by_a_client_is_no_wish_to_forget_the_fact_for_ever(
        self, told: Talk, change: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        said, db = message(told, STORY[2])["id"], told.stack.db
        with db.transaction(force_rollback=True):  # As some product allows it.
            db.execute("grant delete, update (content) on public.messages to authenticated")
            db.execute("create policy theirs on public.messages to authenticated using (true)")
            claims = json.dumps({"sub": str(told.user.id), "role": "authenticated"})
            db.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
            db.execute("set local role authenticated")
            db.execute(change, (said,))
            db.execute("reset role")
            assert told.stack.all("select from public.memory_facts") == []
            assert told.stack.all("select from private.forgotten_facts") == []

    def test_conversation_that_is_deleted_leaves_the_facts_of_its_character(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
        left = told.stack.all("select content from memory_facts")
        assert left == [{"content": PARIS}]

    SAID: ClassVar = "As I said, I live in Paris."

    def tell_elsewhere(self, told: Talk, *conversations: object) -> None:
        for conversation in conversations:
            say(told, self.SAID, conversation=conversation)
            noted = {"text": PARIS, "said": self.SAID, "tier": "profile"}
            step(told, noted, conversation=conversation)

    def test_fact_that_another_conversation_tells_stays_until_that_is_gone_too(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, other)
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS}
        row = told.stack.one("select * from memory_facts")
        source = message(told, self.SAID, other)
        assert (row["source_conversation_id"], row["source_message_id"]) == (other, source["id"])
        assert row["source_from"] == row["source_to"] == source["position"]
        act(told, "delete", self.SAID, within=other)
        assert texts(told) == set()

    def test_fact_that_several_conversations_tell_stays_until_the_last_is_gone_too(
        self, told: Talk
    ) -> None:
        others = [told.stack.conversation(told.user, character_id=DEMO_CHARACTER) for _ in range(3)]
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, *others)
        act(told, "delete", self.SAID, within=others[1])
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS}
        act(told, "delete", self.SAID, within=others[0])
        assert texts(told) == {PARIS}
        act(told, "edit", self.SAID, within=others[2], message="Never mind.")
        assert texts(told) == set()

    AGAIN: ClassVar = "I told you that I live in Paris."

    def tell_again(self, told: Talk, content: str, conversation: object = None) -> None:
        """One more message that says the fact, and an answer."""
        say(told, content, "Aye.", conversation=conversation or told.conversation)
        step(told, {"text": PARIS, "said": content, "tier": "profile"}, conversation=conversation)

    def test_every_message_that_says_it_counts(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for content in (self.SAID, self.AGAIN):
            self.tell_again(told, content, other)
        act(told, "delete", self.AGAIN, within=other)
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS}
        act(told, "delete", self.SAID, within=other)
        assert texts(told) == set()

    def test_last_message_that_says_it_is_the_one_before_if_that_goes(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for content in (self.SAID, self.AGAIN):
            self.tell_again(told, content)
        act(told, "delete", self.AGAIN)
        [fact] = current(told)
        assert fact["position"] == message(told, self.SAID)["position"]
        act(told, "edit", STORY[2], message="I am cold.")
        assert texts(told) == set()
        step(told, {"text": PARIS, "said": self.SAID, "tier": "profile"})
        assert texts(told) == {PARIS}

    def test_repeats_are_limited_and_the_newest_stay(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        said = [f"{self.AGAIN} {'Again. ' * number}" for number in range(22)]
        for content in said:
            self.tell_again(told, content)
        kept = told.stack.all("select position from private.fact_repeats order by position")
        assert [row["position"] for row in kept] == [
            message(told, content)["position"] for content in said[2:]
        ]

    @pytest.mark.parametrize("noted", ["before", "since"])
    def test_a_newer_fact_wins_once_the_newest_message_of_the_other_is_gone(
        self, told: Talk, noted: str
    ) -> None:
        told.stack.db.execute("update messages set created_at = '2026-01-01'")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, self.SAID, "Aha.", created_at="2026-03-01")
        step(told, {"text": PARIS, "said": self.SAID, "tier": "profile"})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, MOVED, "Far away.", conversation=other, created_at="2026-02-01")
        moved = {"text": OSLO, "said": MOVED, "tier": "profile"}
        if noted == "before":
            step(told, moved, conversation=other)
            assert texts(told) == {PARIS}
        act(told, "edit", self.SAID, message="Never mind.")
        if noted == "since":
            step(told, moved, conversation=other)
        assert texts(told) == {OSLO}
        [fact] = current(told)
        assert fact["since"].startswith("2026-02-01")

    def test_time_is_that_of_the_message_which_is_left(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        told.stack.db.execute("update messages set created_at = '2026-03-01'")
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, self.SAID, "Aha.", conversation=other, created_at="2026-01-01")
        step(told, {"text": PARIS, "said": self.SAID, "tier": "profile"}, conversation=other)
        act(told, "delete", STORY[2])
        [fact] = current(told)
        assert fact["said_at"].startswith("2026-01-01")

    def test_fact_that_an_earlier_message_says_too_outlives_the_later_one(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        say(told, "Hm.", "Hm?")
        step(told, {"text": "Ada has a dog.", "said": STORY[4]}, retold="Two.")
        earlier = "I am Ada and I have a dog."
        act(told, "edit", STORY[2], message=earlier)
        step(told, {"text": "Ada has a dog.", "said": earlier}, upto=STORY[3], retold="Two.")
        step(told, retold="Three.")
        [fact] = current(told)
        assert fact["position"] == message(told, STORY[4])["position"]
        branch = act(told, "branch", STORY[3])["conversation_id"]
        act(told, "delete", STORY[4])
        assert (texts(told), texts(told, branch)) == ({"Ada has a dog."}, {"Ada has a dog."})
        [fact] = current(told)
        assert fact["position"] == message(told, earlier)["position"]
        act(told, "delete", earlier)
        assert (texts(told), texts(told, branch)) == (set(), {"Ada has a dog."})

    def test_older_reply_of_a_branch_does_not_know_what_its_copies_say_later(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        known = []
        for place in (1, 3):
            row = told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, branch, DEMO_CHARACTER),
                message(told, STORY[place], branch)["position"],
            )
            known.append({fact["content"] for fact in row["facts"]})
        assert known == [set(), {PARIS}]

    def test_older_reply_does_not_know_more_because_there_is_a_branch(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        act(told, "branch", STORY[5])
        row = told.stack.one(
            "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
            *(told.user.id, told.conversation, DEMO_CHARACTER),
            message(told, STORY[1])["position"],
        )
        assert row["facts"] == []

    def test_older_reply_that_is_written_again_knows_what_another_conversation_told(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        for expected in (set(), {PARIS}):
            row = told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, told.conversation, DEMO_CHARACTER),
                message(told, STORY[1])["position"],
            )
            assert {fact["content"] for fact in row["facts"]} == expected
            if not expected:
                self.tell_elsewhere(told, other)

    def test_fact_goes_with_its_message_if_the_other_conversation_took_it_back(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, other)
        act(told, "edit", self.SAID, within=other, message="Never mind.")
        assert texts(told) == {PARIS}
        act(told, "delete", STORY[2])
        assert texts(told) == set()

    def test_fact_goes_with_its_message_if_the_other_conversation_is_gone(self, told: Talk) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        self.tell_elsewhere(told, other)
        told.stack.db.execute("delete from conversations where id = %s", (other,))
        act(told, "delete", STORY[2])
        assert texts(told) == set()

    def test_fact_stays_with_another_conversation_if_the_first_one_is_gone(
        self, told: Talk
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        mine = [{"text": text, "said": STORY[2], "tier": "profile"} for text in (PARIS, "A river.")]
        step(told, *mine)
        again = "Paris it is, I live there."
        say(told, again, "Aye.")
        step(told, {"text": PARIS, "said": again, "tier": "profile"})
        self.tell_elsewhere(told, other)
        told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
        assert texts(told, other) == {PARIS, "A river."}
        source = "select source_message_id as id, repeated_to from memory_facts where content = %s"
        assert told.stack.one(source, PARIS) == {
            "id": message(told, self.SAID, other)["id"],
            "repeated_to": None,
        }
        act(told, "edit", self.SAID, within=other, message="I live in Rome.")
        # What no other conversation says stays, as nobody took it back.
        assert texts(told, other) == {"A river."}

    def test_fact_stays_with_a_branch_if_the_first_one_is_gone(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        branch = act(told, "branch", STORY[5])["conversation_id"]
        told.stack.db.execute("delete from conversations where id = %s", (told.conversation,))
        assert texts(told, branch) == {PARIS}
        act(told, "edit", STORY[2], within=branch, message="I am Ada.")
        assert texts(told, branch) == set()

    @pytest.mark.parametrize("change", CHANGES)
    def test_message_is_changed_by_another_program_while_a_turn_ends(
        self, told: Talk, postgres: Postgres, change: str
    ) -> None:
        """Both wait for each other's rows in the same order."""
        step(told, {"text": PARIS, "said": STORY[2]})
        gone = message(told, STORY[2])["id"]
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                # As finish_turn, before it saves the reply.
                told.stack.db.execute("select shared.hold_conversation(%s)", (told.conversation,))
                changed = pool.submit(elsewhere.execute, change, (gone,))
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: changed.done() or told.stack.all(waiting), "the change")
                told.stack.db.execute(
                    "insert into shared.messages (conversation_id, sender, content)"
                    " values (%s, 'character', 'Yes.')",
                    (told.conversation,),
                )
            changed.result(timeout=PATIENCE)
        assert (texts(told), message(told, "Yes.")["sender"]) == (set(), "character")

    def test_message_that_comes_back_is_retold(self, told: Talk) -> None:
        """One that was refused, and is answered later."""
        back = message(told, STORY[4])
        shown = "update shared.messages set is_active = %s where id = %s"
        told.stack.db.execute(shown, (False, back["id"]))
        step(told, upto=STORY[1], retold="One.")
        step(told, {"text": "Gulls cried outside."}, retold="Two.")
        told.stack.db.execute(shown, (True, back["id"]))
        assert summary(told) == ("One.", message(told, STORY[1])["position"])
        assert texts(told) == set()

    @pytest.mark.parametrize("before", [[], [STORY[0]]])
    def test_of_a_message_that_goes_while_they_are_saved(
        self, told: Talk, postgres: Postgres, before: list[str]
    ) -> None:
        for content in before:
            step(told, upto=content)
        kept = summary(told)
        gone = message(told, STORY[2])["id"]
        delete = "delete from public.messages where id = %s"
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                step(told, {"text": PARIS, "said": STORY[2]})
                deleted = pool.submit(elsewhere.execute, delete, (gone,))
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: deleted.done() or told.stack.all(waiting), "the deletion")
            deleted.result(timeout=PATIENCE)
        assert (texts(told), summary(told)) == (set(), kept)

    @pytest.mark.parametrize("within", ["another conversation", "one of theirs"])
    def test_of_messages_that_go_while_other_facts_are_used(
        self, told: Talk, postgres: Postgres, within: str
    ) -> None:
        """Whoever changes facts waits for whoever does before touching any, whatever the order."""
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, *STORY, conversation=other)
        ids = told_thrice(told)
        gone = [message(told, said)["id"] for said in (STORY[0], STORY[2], STORY[4])]
        if within == "one of theirs":
            gone.append(message(told, STORY[5], other)["id"])
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with told.stack.db.transaction():
                saved = [use(told, other, ids[1])]
                delete = "delete from public.messages where id = any (%s)"
                deleted = pool.submit(elsewhere.execute, delete, (gone,))
                waiting = "select from pg_locks where not granted"
                wait_until(lambda: deleted.done() or told.stack.all(waiting), "the deletion")
                saved.append(use(told, other, ids[0], ids[2]))
            deleted.result(timeout=PATIENCE)
        assert (saved, texts(told)) == ([True, True], set())

    def test_of_a_message_whose_memory_is_locked_for_too_long(
        self, told: Talk, postgres: Postgres
    ) -> None:
        """It is not deleted then, rather than without its facts."""
        step(told, {"text": PARIS, "said": STORY[2]})
        gone = message(told, STORY[2])["id"]
        with postgres.connect("app") as elsewhere, told.stack.db.transaction():
            told.stack.db.execute("select from memory_facts for update")
            elsewhere.execute("set lock_timeout = '20ms'")
            with pytest.raises(errors.LockNotAvailable):
                elsewhere.execute("delete from public.messages where id = %s", (gone,))
            with pytest.raises(errors.LockNotAvailable):
                elsewhere.execute("delete from conversations where id = %s", (told.conversation,))
        assert texts(told) == {PARIS}
        told.stack.db.execute("delete from public.messages where id = %s", (gone,))
        assert texts(told) == set()

    def test_that_cannot_be_saved_for_a_lock_are_an_error_of_the_call(
        self, told: Talk, postgres: Postgres
    ) -> None:
        """Which is then repeated."""
        ids = told_thrice(told)
        with postgres.connect("app") as elsewhere, elsewhere.transaction():
            elsewhere.execute("select from memory_facts for update")
            told.stack.db.execute("set lock_timeout = '20ms'")
            with pytest.raises(errors.LockNotAvailable):
                use(told, told.conversation, *ids)
            told.stack.db.execute("reset lock_timeout")
        assert use(told, told.conversation, *ids)

    def test_fact_that_a_person_makes_their_own_while_notes_are_saved_stays(
        self, told: Talk, postgres: Postgres
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        mine = "Ada lives in Paris, in the rue Mouffetard."
        own = "update public.memory_facts set content = %s, written_by = 'person' returning id"
        with postgres.connect("app") as elsewhere, ThreadPoolExecutor(1) as pool:
            with elsewhere.transaction():
                elsewhere.execute(own, (mine,))
                noted = pool.submit(step, told, {"text": OSLO, "said": MOVED})
                waiting = "select from pg_locks where not granted"
                wait_until(
                    lambda: noted.done() or elsewhere.execute(waiting).fetchall(), "the notes"
                )
            assert noted.result(timeout=PATIENCE)
        assert texts(told) == {mine, OSLO}

    def test_change_of_a_version_that_is_set_aside_forgets_nothing(self, told: Talk) -> None:
        first = told.reply("Where?")
        told.stack.upstream.always(text("You live in Paris."))
        told.reply(action="regenerate", message_id=first["message_id"])
        say(told, "True.", "Aye.")
        step(told, {"text": PARIS, "said": "You live in Paris."})
        kept = summary(told)
        answer = told.stack.chat(
            told.user, action="edit", message_id=first["message_id"], message="No!"
        )
        assert answer.status_code == 200, answer.text
        assert (texts(told), summary(told)) == ({PARIS}, kept)

    def test_change_of_another_column_of_a_message_forgets_nothing(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        told.stack.db.execute(
            "update messages set edited_at = now(), content = content where id = %s",
            (message(told, STORY[2])["id"],),
        )
        assert texts(told) == {PARIS}

    def test_deletion_onwards_takes_the_facts_of_later_messages(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "A dog.", "said": STORY[4]})
        act(told, "delete", STORY[3], onwards=True)
        assert texts(told) == {PARIS}

    def test_fact_of_a_whole_step_goes_with_any_of_its_messages(self, told: Talk) -> None:
        step(told, {"text": "One."}, upto=STORY[2])
        step(told, {"text": "Two."})
        act(told, "edit", STORY[1], message="What?")
        assert texts(told) == {"Two."}

    def test_version_that_is_chosen_or_written_again(self, told: Talk) -> None:
        step(told, {"text": "Ada may sit.", "said": STORY[3]})
        replaced = message(told, STORY[3])
        told.reply(action="regenerate", message_id=str(replaced["id"]))
        assert texts(told) == set()
        step(told, {"text": "Mara agreed.", "said": "Yes."})
        answer = told.stack.chat(told.user, action="choose", message_id=str(replaced["id"]))
        assert answer.status_code == 200
        assert texts(told) == set()

    def test_older_reply_that_is_written_again_knows_nothing_of_what_came_later(
        self, told: Talk
    ) -> None:
        live_in_oslo(told)
        first = str(message(told, STORY[5])["id"])
        told.reply(action="regenerate", message_id=first)
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (PARIS in system, OSLO in system) == (True, False)
        told.reply("And where do I live?")
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (PARIS in system, OSLO in system) == (False, True)

    def test_older_reply_that_is_written_again_knows_what_a_story_hid_later(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "tier": "profile", "said": STORY[2]})
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED})
        known = [
            told.stack.one(
                "select private.remembered(%s, 'profile', %s, %s, %s) as facts",
                *(told.user.id, told.conversation, DEMO_CHARACTER, before),
            )["facts"]
            for before in (message(told, MOVED)["position"], message(told, MOVED)["position"] + 1)
        ]
        assert [[fact["content"] for fact in facts] for facts in known] == [[PARIS], [OSLO]]

    def test_newest_reply_that_is_written_again_knows_all(self, told: Talk) -> None:
        live_in_oslo(told)
        told.reply("And where do I live?")
        told.reply(action="regenerate")
        assert OSLO in prompts(told.stack.upstream)[-1][0]["content"]

    def test_pinned_facts_and_those_of_a_person_stay(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "A name.", "said": STORY[2]})
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}"}
            assert api.patch("/memory_facts", params=its, json={"pinned": True}).is_success
            its = {"content": "eq.A name."}
            assert api.patch("/memory_facts", params=its, json={"content": "Ada."}).is_success
        act(told, "delete", STORY[2])
        assert texts(told) == {PARIS, "Ada."}

    def test_drawn_again_from_what_stands_there_now(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        act(told, "edit", STORY[2], message="I am Ada. I live in Rome.")
        step(told, {"text": "Ada lives in Rome.", "said": "I am Ada. I live in Rome."})
        assert texts(told) == {"Ada lives in Rome."}

    def test_edit_that_changes_nothing_forgets_nothing(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        act(told, "edit", STORY[2], message=STORY[2])
        assert (texts(told), summary(told)[0]) == ({PARIS}, "They met.")

    def test_same_position_in_another_conversation_is_another_message(self, told: Talk) -> None:
        branch = act(told, "branch", STORY[5])["conversation_id"]
        step(told, {"text": PARIS, "said": STORY[2]})
        act(told, "delete", STORY[2], within=branch)
        assert texts(told) == {PARIS}

    def test_summary_goes_back_to_the_newest_that_tells_nothing_of_it(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        step(told, upto=STORY[5], retold="Three.")
        act(told, "edit", STORY[4], message="I have a cat.")
        assert summary(told) == ("Two.", message(told, STORY[3])["position"])
        act(told, "delete", STORY[0])
        assert summary(told) == ("", 0)

    @pytest.mark.parametrize("how", ["delete", "hide", "by another program"])
    def test_newest_messages_are_in_no_summary(self, told: Talk, how: str) -> None:
        """Somebody may go on from the last one."""
        step(told, upto=STORY[1], retold="One.")
        step(told, upto=STORY[3], retold="Two.")
        say(told, *LATER)
        step(told, upto=STORY[5], retold="Three.")
        match how:
            case "delete":
                act(told, "delete", LATER[2], onwards=True)
            case "hide":
                act(told, "hide", LATER[0])
                act(told, "hide", LATER[3])
            case _:
                for gone in LATER[2:]:
                    told.stack.db.execute(
                        "delete from public.messages where id = %s", [message(told, gone)["id"]]
                    )
        assert summary(told) == ("Two.", message(told, STORY[3])["position"])

    @pytest.mark.parametrize("action", ["regenerate", "continue"])
    def test_other_version_of_the_newest_one_leaves_the_summary(
        self, told: Talk, action: str
    ) -> None:
        say(told, *LATER)
        step(told, upto=STORY[5], retold="One.")
        told.reply(action=action)
        assert summary(told) == ("One.", message(told, STORY[5])["position"])

    @pytest.mark.parametrize("is_known", [False, True])
    def test_reply_that_goes_on_is_in_the_prompt_although_a_summary_ends_with_it(
        self, told: Talk, is_known: bool
    ) -> None:
        if is_known:  # The instance has these messages from an earlier turn.
            told.reply("Well?")
        step(told, retold="They met at the pier.")
        told.reply(action="continue")
        system, *sent = (row["content"] for row in prompts(told.stack.upstream)[-1])
        assert "They met at the pier." not in system
        said = [STORY[4], STORY[5], *(("Well?", "Yes.") if is_known else ())]
        assert [content for content in sent if content in said] == said

    def test_versions_are_few_and_dense_near_the_end(self, told: Talk) -> None:
        positions = []
        for number in range(40):
            say(told, f"Message {number}.")
            step(told, retold=f"Version {number}.")
            positions.append(summary(told)[1])
        rows = told.stack.all(
            "select covers_position as at from private.summary_versions order by covers_position"
        )
        kept = [positions.index(row["at"]) for row in rows]
        assert len(kept) == 12
        assert kept[-3:] == [37, 38, 39]
        gaps = [later - earlier for earlier, later in pairwise(kept)]
        assert kept[0] <= 15
        assert max(gaps) <= 20


class TestBranch:
    def test_takes_along_what_was_noted_up_to_its_point(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3], retold="One.")
        say(told, MOVED)
        step(told, {"text": OSLO, "said": MOVED}, {"text": "A dog.", "said": STORY[4]})
        mine = told.stack.one("select memory_id from memory_facts limit 1")["memory_id"]
        told.stack.insert("memory_facts", memory_id=mine, content="By hand.")

        branch = act(told, "branch", STORY[4])["conversation_id"]
        assert texts(told, branch) == {PARIS, "A dog.", "By hand."}
        assert summary(told, branch) == ("One.", message(told, STORY[3])["position"])
        assert texts(told) == {OSLO, "A dog.", "By hand."}
        told.stack.chat(told.user, conversation_id=branch, message="And?")
        system = prompts(told.stack.upstream)[-1][0]["content"]
        assert (PARIS in system, OSLO in system) == (True, False)

    def test_of_an_adult_conversation_stays_adult_without_its_summary(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, retold="One.")
        told.stack.db.execute("update conversation_summaries set content_tier = 'nsfw'")
        branch = act(told, "branch", STORY[5])["conversation_id"]
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
        first = act(told, "branch", STORY[5])["conversation_id"]
        second = act(told, "branch", STORY[4], within=first)["conversation_id"]
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
        with told.stack.data_api(told.user) as api:
            assert api.delete("/memory_facts", params={"content": f"eq.{OSLO}"}).is_success
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
        memory = told.stack.one("select id from memories where tier = 'conversation'")["id"]
        with told.stack.data_api(told.user) as api:
            own = {"memory_id": str(memory), "content": PARIS, "pinned": True}
            assert api.post("/memory_facts", json=own).is_success
            if is_rated:
                models = {"content": f"eq.{PARIS}", "written_by": "eq.model"}
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
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[2], retold="She came in.")
        step(told, upto=STORY[3], retold="Mara asked her to sit.")
        replaced, angry = message(told, STORY[3]), "Get out of my house."
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
        remembered = (texts(told, branch), summary(told, branch)[0])
        assert (
            remembered
            == {
                "set aside": ({PARIS}, "She came in."),
                "active": ({PARIS, noted["text"]}, "Mara threw her out."),
            }[version]
        )

    def test_words_of_a_person_come_along_with_what_goes_on_after_them(self, told: Talk) -> None:
        step(told, upto=STORY[1], retold="One.")
        write_summary(told, "Mine.")
        step_after(told, {"person_summary": "Mine."}, retold="Two.")
        say(told, "More.", "Aye, more.", "Last.", "Aye, last.")
        written = {"person_summary": "Mine.", "summary": "Two."}
        step_after(told, written, retold="Three.")
        found = {
            content: act(told, "branch", content)["conversation_id"]
            for content in (STORY[0], STORY[3], "More.")
        }
        assert {content: shown(told, branch) for content, branch in found.items()} == {
            **{STORY[0]: ("", ""), STORY[3]: ("Mine.", ""), "More.": ("Mine.", "Two.")}
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
        step_after(told, {"person_summary": "Mine."}, retold="Three.")
        write_summary(told, "Mine, again.")
        act(told, "edit", STORY[1], message="Who is there?")
        later, earlier = (act(told, "branch", STORY[n])["conversation_id"] for n in (5, 4))
        assert [shown(told, branch) for branch in (later, earlier)] == [
            ("Mine, again.", ""),
            ("", ""),
        ]
        again = act(told, "branch", STORY[4], within=later)["conversation_id"]
        assert shown(told, again) == ("", "")


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

    def note(self, told: Talk, fact: str, said: str, **more: Any) -> None:
        """A character's turn notes a fact of that character."""
        noted = {"text": fact, "said": said, "tier": "character"}
        columns = {name: more.pop(name) for name in ("tier", "of", "action") if name in more}
        step(told, noted | columns, **more)

    def test_fact_that_another_character_notes_replaces_what_it_contradicts(
        self, told: Talk, tomas: UUID
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        self.note(told, PARIS, STORY[2])
        say(told, MOVED, "Far away.")
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
        say(told, SAID_FLUTE, "Nice.")
        for speaker in (DEMO_CHARACTER, tomas):
            self.note(told, FLUTE, SAID_FLUTE, upto=SAID_FLUTE, speaker=speaker)
            told.stack.db.execute("delete from conversation_summaries")
        say(told, SAID_HARP, "Nice, too.")
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
        for speaker in (DEMO_CHARACTER, tomas):
            self.note(told, dog, STORY[4], speaker=speaker)
            told.stack.db.execute("delete from conversation_summaries")
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
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}"}
            assert api.patch("/memory_facts", params=its, json=columns).is_success
        say(told, MOVED, "Far away.")
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert texts(told) == {columns.get("content", PARIS)}

    def test_fact_that_a_person_wrote_for_one_character_is_told_to_no_other(
        self, told: Talk, tomas: UUID
    ) -> None:
        for speaker in (DEMO_CHARACTER, tomas):
            self.note(told, PARIS, STORY[2], speaker=speaker)
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
        say(told, MOVED, "Far away.")
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert (texts(told), texts(told, speaker=tomas)) == ({known}, {OSLO})

    def test_nothing_is_noted_for_whom_it_contradicts_nothing(
        self, told: Talk, tomas: UUID
    ) -> None:
        self.note(told, self.GULLS, STORY[0])
        say(told, MOVED, "Far away.")
        self.note(told, OSLO, MOVED, speaker=tomas)
        assert (texts(told), texts(told, speaker=tomas)) == ({self.GULLS}, {OSLO})


def write_summary(talk: Talk, words: str | None) -> None:
    """Writes a summary as the page does."""
    whose, row = {"conversation_id": str(talk.conversation)}, {"person_content": words}
    with talk.stack.data_api(talk.user) as api:
        api.headers["Prefer"] = "return=representation"
        mine = {"conversation_id": f"eq.{talk.conversation}"}
        answer = api.patch("/conversation_summaries", params=mine, json=row)
        if answer.json() == []:
            answer = api.post("/conversation_summaries", json=whose | row)
    assert answer.is_success, answer.text


def shown(talk: Talk, conversation: object = None) -> tuple[str, str]:
    row = talk.stack.one(
        "select person_content, content from conversation_summaries where conversation_id = %s",
        conversation or talk.conversation,
    )
    return row["person_content"], row["content"]


class TestPerson:
    """A memory that a person shapes, over the Data API."""

    def test_words_of_a_person_replace_the_summary_and_no_model_changes_them(
        self, told: Talk
    ) -> None:
        step(told, upto=STORY[1], retold="One.")
        write_summary(told, "Ada came by boat.")
        position = message(told, STORY[1])["position"]
        assert (shown(told), summary(told)[1]) == (("Ada came by boat.", ""), position)
        person = {"person_summary": "Ada came by boat."}
        step_after(told, person, retold="Then she stayed.")
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
        step_after(told, person, retold="Then she stayed.")
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

    def test_words_are_bounded(self, told: Talk) -> None:
        write_summary(told, "x" * 4000)
        with told.stack.data_api(told.user) as api:
            mine = {"conversation_id": f"eq.{told.conversation}"}
            row = {"person_content": "x" * 4001}
            assert api.patch("/conversation_summaries", params=mine, json=row).status_code == 400

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
            ("conversation_summaries", {"person_content": "x" * 4001}, "person_content"),
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

    def test_no_words_at_all_are_no_summary(self, told: Talk) -> None:
        step(told, retold="One.")
        write_summary(told, None)
        assert shown(told) == ("", "")

    @pytest.mark.parametrize("visible", ["7", "+", "♥", "❤\ufe0f", "愛", "\u200fא"])
    def test_fact_of_one_sign_is_none_of_these(self, told: Talk, visible: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        self.change(told, content=visible)
        assert texts(told) == {visible}

    @pytest.mark.parametrize("blank", BLANK, ids=ascii)
    def test_blank_words_are_no_summary(self, told: Talk, blank: str) -> None:
        write_summary(told, blank)
        assert shown(told) == ("", "")
        step(told, retold="One.")
        write_summary(told, blank)
        assert (shown(told), summary(told)[1]) == (("", ""), 0)

    def test_fact_moves_to_another_tier_and_reaches_new_conversations(self, told: Talk) -> None:
        step(told, {"text": "Ada fears gulls."})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        assert texts(told, other) == set()
        row = {"user_id": str(told.user.id), "tier": "character"}
        row["character_id"] = str(DEMO_CHARACTER)
        with told.stack.data_api(told.user) as api:
            api.headers["Prefer"] = "return=representation"
            memory = api.post("/memories", json=row).json()[0]["id"]
            moved = api.patch(
                "/memory_facts",
                params={"content": "eq.Ada fears gulls."},
                json={"memory_id": memory, "importance": 5},
            )
        assert moved.is_success
        assert texts(told, other) == {"Ada fears gulls."}
        assert current(told, other, tier="conversation") == []
        told.stack.chat(
            told.user, conversation_id=str(other), message="Hello", memory_tier="character"
        )
        assert "- Ada fears gulls." in prompts(told.stack.upstream)[-1][0]["content"]

    def test_fact_that_a_person_adds_replaces_what_a_model_noted_before(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = told.stack.one("select memory_id from memory_facts")["memory_id"]
        with told.stack.data_api(told.user) as api:
            row = {"memory_id": str(memory), "content": OSLO}
            assert api.post("/memory_facts", json=row).status_code == 201
        say(told, "And then?")
        step(told)
        assert texts(told) == {OSLO}

    def test_fact_that_a_person_deleted_and_then_added_replaces_what_a_model_noted_before(
        self, told: Talk
    ) -> None:
        step(told, {"text": OSLO, "said": STORY[2]}, upto=STORY[3])
        memory = told.stack.one("select memory_id from memory_facts")["memory_id"]
        with told.stack.data_api(told.user) as api:
            assert api.delete("/memory_facts", params={"content": f"eq.{OSLO}"}).is_success
            step(told, {"text": PARIS, "said": STORY[4]})
            row = {"memory_id": str(memory), "content": OSLO}
            assert api.post("/memory_facts", json=row).status_code == 201
        say(told, "And then?")
        step(told)
        assert texts(told) == {OSLO}

    def test_fact_that_contradicts_a_persons_stands_beside_it_and_says_since_when(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}"}
            assert api.patch("/memory_facts", params=its, json={"pinned": True}).is_success
        say(told, MOVED, created_at=DAY)
        step(told, {"text": OSLO, "said": MOVED})
        since = {fact["content"]: fact.get("since") for fact in current(told)}
        assert since[PARIS] is None
        assert str(since[OSLO]).startswith("2026-05-03")

    def test_fact_that_is_said_again_stands_beside_what_a_person_wrote_meanwhile(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = told.stack.one("select memory_id from memory_facts")["memory_id"]
        with told.stack.data_api(told.user) as api:
            row = {"memory_id": str(memory), "content": OSLO}
            assert api.post("/memory_facts", json=row).is_success
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
        memory = told.stack.one("select memory_id from memory_facts")["memory_id"]
        with told.stack.data_api(told.user) as api:
            row = {"memory_id": str(memory), "content": OSLO}
            assert api.post("/memory_facts", json=row).is_success
        for text_, said in ((PARIS, "I live in Paris again."), (OSLO, "I live in Oslo after all.")):
            say(told, said)
            step(told, {"text": text_, "said": said})
            left = {OSLO} if text_ == OSLO else {OSLO, PARIS}
            assert texts(told) == {"Ada has a dog.", *left}

    def test_own_fact_whose_words_are_in_alphabetical_order_is_deleted(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = told.stack.one("select memory_id from memory_facts")["memory_id"]
        with told.stack.data_api(told.user) as api:
            for content in ("Ada likes tea.", "Ada likes wine."):
                row = {"memory_id": str(memory), "content": content}
                assert api.post("/memory_facts", json=row).is_success
            whose = {"content": "eq.Ada likes wine."}
            changed = api.patch("/memory_facts", params=whose, json={"content": "Ada likes rum."})
            gone = api.delete("/memory_facts", params={"content": "eq.Ada likes tea."})
        assert (changed.status_code, gone.status_code) == (204, 204)
        assert texts(told) == {PARIS, "Ada likes rum."}

    def test_fact_that_a_person_reworded_to_say_something_else_replaces_nothing(
        self, told: Talk
    ) -> None:
        born = "Ada was born in Paris."
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        self.change(told, content=born)
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
        self.change(told, "Ada lives in Rome.", content=OSLO)
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
        self.change(told, OSLO, content=new)
        assert texts(told) == {new, *shown}
        assert not any("since" in fact for fact in current(told))
        say(told, "Go on.", "Aye, aye.")
        step(told)
        assert texts(told) == {new, *later}

    def change(self, told: Talk, fact: str = PARIS, **columns: Any) -> None:
        with told.stack.data_api(told.user) as api:
            mine = {"content": f"eq.{fact}"}
            assert api.patch("/memory_facts", params=mine, json=columns).is_success

    def test_fact_is_turned_off_and_on_again(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, {"text": "Ada has a dog."})
        before = current(told)
        self.change(told, is_active=False)
        assert texts(told) == {"Ada has a dog."}
        told.reply("Where do I live?")
        assert PARIS not in str(prompts(told.stack.upstream)[-1])
        self.change(told, is_active=True)
        assert current(told) == before

    @pytest.mark.parametrize("again", ["ada lives in PARIS", "Ada now lives in the Paris"])
    @pytest.mark.parametrize("how", ["off", "deleted", "reworded"])
    def test_fact_that_a_person_does_not_want_does_not_come_back_when_it_is_noted_again(
        self, told: Talk, again: str, how: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        if how == "deleted":
            with told.stack.data_api(told.user) as api:
                assert api.delete("/memory_facts", params={"content": f"eq.{PARIS}"}).is_success
        else:
            new = {"is_active": False} if how == "off" else {"content": "Ada is here."}
            self.change(told, **new)
        step(told, {"text": again}, {"text": "Ada has a dog."})
        assert texts(told) - {"Ada is here."} == {"Ada has a dog."}

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    def test_fact_that_is_off_comes_back_in_no_other_memory(self, told: Talk, tier: str) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2], "tier": tier})
        self.change(told, is_active=False)
        for conversation in (told.conversation, other):
            for wanted in ("conversation", "profile"):
                said = f"As I said, I live in Paris. {wanted}"
                say(told, said, conversation=conversation)
                noted = {"text": PARIS, "said": said, "tier": wanted}
                step(told, noted, conversation=conversation)
        assert (texts(told), texts(told, other)) == (set(), set())

    @pytest.mark.parametrize("again", [PARIS, "Ada lives in the Paris.", "Ada lives in Paris now."])
    def test_fact_that_a_person_moved_is_not_lifted_into_a_wider_tier(
        self, told: Talk, again: str
    ) -> None:
        (other,) = narrow_home(told)
        assert texts(told, other) == set()
        for number in range(2):
            said = f"As I said, I live in Paris. {number}"
            say(told, said)
            step(told, {"text": again, "tier": "profile", "said": said})
        assert (len(texts(told)), texts(told, other)) == (1, set())

    @pytest.mark.parametrize("is_deleted", [False, True])
    @pytest.mark.parametrize("is_reworded", [False, True])
    @pytest.mark.parametrize("again", [OSLO, "Ada now lives in Oslo.", "In Oslo Ada lives."])
    def test_what_a_person_wrote_and_put_away_is_not_noted_in_nearly_the_same_words(
        self, told: Talk, is_deleted: bool, is_reworded: bool, again: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]}, upto=STORY[3])
        whose = {"content": f"eq.{PARIS}"}
        with told.stack.data_api(told.user) as api:
            if is_reworded:
                done = [api.patch("/memory_facts", params=whose, json={"content": OSLO})]
            else:
                memory = api.get("/memories").json()[0]["id"]
                row = {"memory_id": memory, "content": OSLO}
                done = [api.post("/memory_facts", json=row)]
                done.append(api.delete("/memory_facts", params=whose))
            whose = {"content": f"eq.{OSLO}"}
            done.append(
                api.delete("/memory_facts", params=whose)
                if is_deleted
                else api.patch("/memory_facts", params=whose, json={"is_active": False})
            )
        assert all(answer.is_success for answer in done)
        said = "You live in Oslo now."
        say(told, "Where do I live?", said)
        step(told, {"text": again, "said": said})
        assert texts(told) == set()

    @pytest.mark.parametrize("again", [PARIS, "Ada lives in the Paris."])
    def test_fact_that_a_person_moved_comes_back_after_its_message_as_they_had_it(
        self, told: Talk, again: str
    ) -> None:
        (other,) = narrow_home(told, importance=4)
        self.change(told, importance=1)
        said = "I am Ada, and I live in Paris!"
        act(told, "edit", STORY[2], message=said)
        assert texts(told) == set()
        step(told, {"text": again, "said": said, "tier": "profile", "importance": 4})
        assert (texts(told), texts(told, other)) == ({again}, set())
        assert [fact["importance"] for fact in current(told)] == [1]

    @pytest.mark.parametrize("tier", ["character", "profile"])
    def test_fact_that_a_person_moved_to_a_wider_tier_comes_back_there(
        self, told: Talk, tier: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        memory = told.stack.insert(
            "memories",
            user_id=told.user.id,
            tier=tier,
            character_id=DEMO_CHARACTER if tier == "character" else None,
        )
        self.change(told, memory_id=str(memory))
        said = "I am Ada. I live in Paris!"
        act(told, "edit", STORY[2], message=said)
        assert texts(told) == set()
        step(told, {"text": PARIS, "said": said})
        assert [fact["tier"] for fact in current(told)] == [tier]

    def test_fact_of_a_character_does_not_come_back_with_another(self, told: Talk) -> None:
        tomas = told.stack.insert("characters", user_id=told.user.id, name="Tomas")
        told.stack.db.execute(
            "insert into private.forgotten_facts (user_id, digest, tier, character_id)"
            " values (%s, md5(private.plain_words(%s)), %s, %s)",
            (told.user.id, PARIS, "character", tomas),
        )
        step(told, {"text": PARIS, "said": STORY[2]})
        assert [fact["tier"] for fact in current(told)] == ["conversation"]

    @pytest.mark.parametrize("is_own", [False, True])
    def test_fact_that_a_person_moves_to_the_same_one_takes_its_place(
        self, told: Talk, is_own: bool
    ) -> None:
        """With what that replaced, hid and was said by."""
        rome = "Ada lives in Rome."
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"}, upto=STORY[3])
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        third = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        say(told, "Let us play that I live in Rome.", conversation=third)
        play = {"text": rome, "said": "Let us play that I live in Rome."}
        step(told, play, conversation=third)
        assert texts(told, third) == {rome}
        if is_own:
            written = "update memory_facts set written_by = 'person' where content = %s"
            told.stack.db.execute(written, [OSLO])
        again = "I live in Oslo, you know."
        say(told, again, "I do.")
        step(told, {"text": OSLO, "said": again}, reach="conversation")
        rows = told.stack.all("select id from memory_facts where content = %s", OSLO)
        assert len(rows) == 2
        profile = told.stack.one("select id from memories where tier = 'profile'")["id"]
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{OSLO}", "memory_id": f"neq.{profile}"}
            moved = api.patch("/memory_facts", params=its, json={"memory_id": str(profile)})
        assert moved.is_success, moved.text
        (fact,) = current(told)
        assert (fact["content"], fact["tier"]) == (OSLO, "profile")
        assert fact["written_by"] == ("person" if is_own else "model")
        assert texts(told, third) == ({rome, OSLO} if is_own else {rome})
        assert told.stack.all("select from private.forgotten_facts") == []
        act(told, "delete", again)
        assert texts(told) == {OSLO}
        act(told, "delete", MOVED)
        assert texts(told) == ({OSLO} if is_own else {PARIS})
        assert texts(told, third) == ({rome, OSLO} if is_own else {rome})

    @pytest.mark.parametrize("own", ["none", "first", "second"])
    @pytest.mark.parametrize("tier", ["conversation", "profile", "character"])
    @pytest.mark.parametrize("first", ["conversation", "profile"])
    def test_facts_that_a_person_moves_together_to_one_place_become_one(
        self, told: Talk, first: str, tier: str, own: str
    ) -> None:
        """In whatever order the database comes to them."""
        second = "conversation" if first == "profile" else "profile"
        bound = {"conversation": {"conversation_id": told.conversation}, "profile": {}}
        bound["character"] = {"character_id": DEMO_CHARACTER}
        memories = {
            name: told.stack.insert("memories", user_id=told.user.id, tier=name, **columns)
            for name, columns in bound.items()
        }
        step(told, {"text": PARIS, "said": STORY[2], "tier": first}, upto=STORY[3])
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": first})
        again = told.stack.insert(
            "memory_facts",
            **{"memory_id": memories[second], "content": OSLO, "pinned": own == "none"},
            **{"written_by": "person" if own == "second" else "model"},
        )
        if own == "first":
            mine = "update memory_facts set written_by = 'person' where content = %s and id <> %s"
            told.stack.db.execute(mine, [OSLO, again])
        self.change(told, OSLO, memory_id=str(memories[tier]))
        rows = told.stack.all(
            "select content, written_by, pinned, memory_id from memory_facts where content = %s",
            OSLO,
        )
        assert rows == [
            {
                **{"content": OSLO, "written_by": "model" if own == "none" else "person"},
                **{"pinned": own == "none", "memory_id": memories[tier]},
            }
        ]
        assert told.stack.all("select from private.forgotten_facts") == []
        with told.stack.data_api(told.user) as api:
            assert api.delete("/memory_facts", params={"content": f"eq.{OSLO}"}).is_success
        # Where it was moved out of a wider tier, it replaces nothing there.
        assert texts(told) == ({PARIS} if first == "profile" != tier else set())

    def test_history_with_the_words_of_what_holds_stays_history_when_both_move(
        self, told: Talk
    ) -> None:
        profile = told.stack.insert("memories", user_id=told.user.id, tier="profile")
        step(told, {"text": OSLO, "said": STORY[2]})
        holds = told.stack.one("select id, memory_id from memory_facts")
        earlier = told.stack.insert(
            "memory_facts",
            **{"memory_id": holds["memory_id"], "content": OSLO, "replaced_by": holds["id"]},
        )
        self.change(told, OSLO, memory_id=str(profile))
        rows = told.stack.all("select id, replaced_by, memory_id from memory_facts")
        assert {row["id"]: row["replaced_by"] for row in rows} == {
            holds["id"]: None,
            earlier: holds["id"],
        }
        assert {row["memory_id"] for row in rows} == {profile}

    def test_history_that_a_person_rewords_as_what_holds_takes_its_place(self, told: Talk) -> None:
        live_in_oslo(told)
        self.change(told, content=OSLO)
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
        memory = str(told.stack.one("select id from memories")["id"])
        own = "Ada lives in Oslo!"
        with told.stack.data_api(told.user) as api:
            row = {"memory_id": memory, "content": own if how == "added" else "Ada is here."}
            assert api.post("/memory_facts", json=row).is_success
            if how == "reworded":
                its = {"content": "eq.Ada is here."}
                assert api.patch("/memory_facts", params=its, json={"content": own}).is_success
            again = api.post("/memory_facts", json={"memory_id": memory, "content": OSLO})
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
        here = {"conversation_id": str(told.conversation)}
        with told.stack.data_api(told.user) as api:

            def add(content: str, memory: str) -> str:
                row = {"memory_id": memory, "content": content}
                its = {"Prefer": "return=representation"}
                (fact,) = api.post("/memory_facts", json=row, headers=its).json()
                return str(fact["content_tier"])

            def reword(fact: str, content: str) -> str:
                its = {"content": f"eq.{fact}"}
                assert api.patch("/memory_facts", params=its, json={"content": content}).is_success
                query = "select content_tier from memory_facts where content = %s"
                return str(told.stack.one(query, content)["content_tier"])

            def write(words: str) -> str:
                its = {"conversation_id": f"eq.{told.conversation}"}
                if not api.get("/conversation_summaries", params=its).json():
                    done = api.post(
                        "/conversation_summaries", json=here | {"person_content": words}
                    )
                else:
                    row = {"person_content": words}
                    done = api.patch("/conversation_summaries", params=its, json=row)
                assert done.is_success
                query = "select content_tier from conversation_summaries where person_content = %s"
                return str(told.stack.one(query, words)["content_tier"])

            assert api.post("/memories", json=own | here).is_success
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
            self.change(told, holds, **before)
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{before.get('content', holds)}"}
            assert api.delete("/memory_facts", params=its).is_success
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
        with told.stack.data_api(told.user) as api:
            assert api.delete("/memory_facts", params={"content": f"eq.{OSLO}"}).is_success
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
            self.change(told, row["content"], content=row["content"])
        assert told.stack.all(every) == before
        act(told, "delete", MOVED)
        assert texts(told) == {PARIS}

    def test_fact_that_a_person_narrows_leaves_others_what_it_had_replaced(
        self, told: Talk
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        assert texts(told, other) == {OSLO}
        move(told, OSLO, "conversation")
        assert (texts(told), texts(told, other)) == ({OSLO}, {PARIS})

    @pytest.mark.parametrize("tier", ["conversation", "profile"])
    def test_fact_that_a_person_moves_into_another_story_leaves_what_it_had_replaced(
        self, told: Talk, tier: str
    ) -> None:
        other = told.stack.conversation(told.user, character_id=DEMO_CHARACTER)
        step(told, {"text": PARIS, "said": STORY[2]})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": tier})
        memory = told.stack.insert(
            "memories", user_id=told.user.id, tier="conversation", conversation_id=other
        )
        with told.stack.data_api(told.user) as api:
            its, new = {"content": f"eq.{OSLO}"}, {"memory_id": str(memory)}
            assert api.patch("/memory_facts", params=its, json=new).is_success
        assert (texts(told), texts(told, other)) == ({PARIS}, {OSLO})

    def test_facts_that_a_person_moves_at_once_stay_what_they_are(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "tier": "profile"})
        say(told, MOVED, "Far away.")
        step(told, {"text": OSLO, "said": MOVED, "tier": "profile"})
        told.stack.insert(
            "memories", user_id=told.user.id, tier="conversation", conversation_id=told.conversation
        )
        rows = told.stack.all("select id, tier from memories")
        ids = {row["tier"]: str(row["id"]) for row in rows}
        with told.stack.data_api(told.user) as api:
            its = {"memory_id": f"eq.{ids['profile']}"}
            new = {"memory_id": ids["conversation"]}
            assert api.patch("/memory_facts", params=its, json=new).is_success
        assert texts(told) == {OSLO}
        kept = told.stack.one("select count(*) from memory_facts where replaced_by is not null")
        assert kept == {"count": 1}

    def test_fact_that_is_history_is_shown_once_a_person_rewords_it(self, told: Talk) -> None:
        live_in_oslo(told)
        with told.stack.data_api(told.user) as api:
            its = {"content": f"eq.{PARIS}"}
            new = {"content": "Ada was born in Paris."}
            assert api.patch("/memory_facts", params=its, json=new).is_success
        assert texts(told) == {OSLO, "Ada was born in Paris."}

    def test_fact_that_a_person_moved_stays_narrow_after_a_model_reworded_it(
        self, told: Talk
    ) -> None:
        other, third = narrow_home(told, 2)
        said = "As I said, I live in Paris."
        say(told, said)
        step(told, {"text": "Ada lives in the Paris.", "said": said})
        say(told, said, conversation=other)
        step(told, {"text": PARIS, "said": said, "tier": "profile"}, conversation=other)
        assert texts(told, third) == set()

    def test_fact_that_a_person_moved_stays_narrow_where_it_says_more(self, told: Talk) -> None:
        more = "Ada lives in Paris with her sister."
        (other,) = narrow_home(told)
        said = "I live in Paris with my sister."
        say(told, said)
        step(told, {"text": more, "tier": "profile", "said": said})
        assert (texts(told), texts(told, other)) == ({more}, set())

    def test_fact_that_a_person_moved_and_that_another_story_tells_stays_in_both(
        self, told: Talk
    ) -> None:
        other, third = narrow_home(told, 2)
        say(told, "I live in Paris.", conversation=other)
        noted = {"text": PARIS, "said": "I live in Paris.", "tier": "profile"}
        step(told, noted, conversation=other)
        known = [texts(told, conversation) for conversation in (told.conversation, other, third)]
        assert known == [{PARIS}, {PARIS}, set()]

    @pytest.mark.parametrize("again", [PARIS, "Ada lives in Paris with her sister."])
    def test_importance_that_a_person_lowered_is_not_raised_by_a_note(
        self, told: Talk, again: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "importance": 4})
        self.change(told, importance=1)
        say(told, "As I said, I live in Paris with my sister.")
        step(told, {"text": again, "importance": 4})
        (fact,) = current(told)
        assert (fact["content"], fact["importance"]) == (again, 1)

    def test_branch_keeps_what_a_person_chose(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2], "importance": 4})
        self.change(told, importance=1)
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

    @pytest.mark.parametrize("change", ["edit", "delete"])
    def test_fact_that_was_off_does_not_come_back_after_its_message(
        self, told: Talk, change: str
    ) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        self.change(told, is_active=False)
        body = {"action": change, "message_id": str(message(told, STORY[2])["id"])}
        more = {"message": "I live in Paris!"} if change == "edit" else {}
        assert told.stack.chat(told.user, **body, **more).status_code == 200
        assert told.stack.all("select from memory_facts") == []
        step(told, {"text": PARIS})
        assert texts(told) == set()

    def test_what_a_branch_takes_along_stays_off(self, told: Talk) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        self.change(told, is_active=False)
        branch = told.stack.chat(
            told.user,
            action="branch",
            message_id=str(message(told, STORY[5])["id"]),
            client_message_id="b",
        ).json()["conversation_id"]
        assert texts(told, branch) == set()

    def test_importance_that_a_person_chose_decides_what_is_shown_first(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "importance": 4}, {"text": PARIS})
        self.change(told, importance=5)
        assert [fact["content"] for fact in current(told)] == [PARIS, "Ada has a dog."]

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

    def test_fact_moves_to_no_memory_of_others(self, told: Talk) -> None:
        step(told, {"text": "Ada fears gulls."})
        memory = told.stack.insert("memories", user_id=told.stack.user().id, tier="profile")
        with told.stack.data_api(told.user) as api:
            its = {"content": "eq.Ada fears gulls."}
            answer = api.patch("/memory_facts", params=its, json={"memory_id": str(memory)})
        assert answer.status_code == 403
        assert texts(told) == {"Ada fears gulls."}

    @pytest.mark.parametrize(
        "column", ["written_by", "source_message_id", "replaced_by", "since", "is_rated", "hides"]
    )
    def test_a_person_writes_no_provenance(self, told: Talk, column: str) -> None:
        step(told, {"text": "Ada fears gulls."})
        with told.stack.data_api(told.user) as api:
            its = {"content": "eq.Ada fears gulls."}
            answer = api.patch("/memory_facts", params=its, json={column: None})
        assert answer.status_code == 403


NUTS = "Ada is allergic to nuts."
MERGE = {"Prefer": "resolution=merge-duplicates,return=representation"}


def memory_of(talk: Talk, tier: str = "conversation") -> str:
    """The id of a memory of the user's, which is created if there is none."""
    row = {"user_id": talk.user.id, "tier": tier}
    if tier == "conversation":
        row["conversation_id"] = talk.conversation
    found = talk.stack.all(
        "select id from memories where user_id = %s and tier = %s"
        " and conversation_id is not distinct from %s",
        *(talk.user.id, tier, row.get("conversation_id")),
    )
    return str(found[0]["id"] if found else talk.stack.insert("memories", **row))


def add(talk: Talk, content: str, tier: str = "conversation", **columns: Any) -> None:
    """Adds a fact, as the page does."""
    row = {"memory_id": memory_of(talk, tier), "content": content, **columns}
    with talk.stack.data_api(talk.user) as api:
        answer = api.post("/memory_facts", json=row)
    assert answer.is_success, answer.text


def patch(talk: Talk, fact: str, **columns: Any) -> None:
    with talk.stack.data_api(talk.user) as api:
        answer = api.patch("/memory_facts", params={"content": f"eq.{fact}"}, json=columns)
    assert answer.is_success, answer.text


def forget(talk: Talk, fact: str) -> None:
    with talk.stack.data_api(talk.user) as api:
        assert api.delete("/memory_facts", params={"content": f"eq.{fact}"}).is_success


def rated(talk: Talk) -> list[tuple[str, int]]:
    return [(fact["content"], fact["importance"]) for fact in current(talk)]


def prompted(talk: Talk, said: str = "Hm?", **request: Any) -> str:
    """The prompt of the next turn."""
    talk.reply(said, **request)
    return str(prompts(talk.stack.upstream)[-1])


class TestImportance:
    """How much facts matter that a person wrote or rated."""

    def gulls(self, told: Talk, number: int, importance: int) -> None:
        told.stack.db.execute(
            "insert into memory_facts (memory_id, content, written_by, importance, last_used_at)"
            " select %s, format('The gull number %%s sat on rock %%s all evening.', n, n),"
            " 'model', %s, now() + interval '1 minute' from generate_series(1, %s) n",
            [memory_of(told), importance, number],
        )

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


class TestMeanwhile:
    """A step of notes, and what the person does while it runs."""

    def saved(self, told: Talk, *noted: dict[str, Any]) -> dict[str, Any]:
        rows = [
            MessageRow(**row)
            for row in told.stack.all(
                "select position, sender, content from messages where conversation_id = %s"
                " and is_active and position > %s order by position",
                *(told.conversation, summary(told)[1]),
            )
        ]
        begun = BegunTurn.model_validate(
            {"now": datetime.now(UTC), "turn": {"id": UUID(int=1)}, "user": {}}
            | {"facts": current(told)}
        )
        answer = parse(json.dumps({"summary": "They met.", "facts": noted}), reach="profile")
        assert answer is not None
        batch = Batch(rows, summary(told)[1])
        return to_save(batch, answer, begun, {"user": "Ada", "char": "Mara"})

    def test_text_that_the_model_did_not_see_is_not_rated(self, told: Talk) -> None:
        step(told, {"text": "Ada has a dog.", "said": STORY[4], "importance": 2})
        say(told, "I still have a dog.", "Good.")
        saved = self.saved(told, {"text": "Ada has a dog.", "message": 1, "importance": 4})
        patch(told, "Ada has a dog.", content="Ada has a boat.")
        last_used = (
            "select last_used_at, importance from memory_facts where content like '%%boat%%'"
        )
        before = told.stack.one(last_used)
        assert remember(told, saved)
        assert told.stack.one(last_used) == before

    def test_text_that_the_person_wrote_and_reworded_is_not_rated(self, told: Talk) -> None:
        add(told, "Ada has a dog.")
        saved = self.saved(told, {"text": "Ada has a dog.", "said": 5, "importance": 4})
        patch(told, "Ada has a dog.", content="Ada has a boat.")
        assert remember(told, saved)
        assert rated(told) == [("Ada has a boat.", 3)]


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
        branch = act(told, "branch", STORY[3])["conversation_id"]
        assert (shown(told, branch), summary(told, branch)[1]) == (("They met in fog.", ""), seen)

    def write(self, told: Talk, words: str, seen: int) -> None:
        """As the page does."""
        row = {"conversation_id": str(told.conversation), "person_content": words}
        with told.stack.data_api(told.user) as api:
            answer = api.post(
                "/conversation_summaries", json=row | {"seen_position": seen}, headers=MERGE
            )
        assert answer.is_success, answer.text


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

    def test_fact_of_a_memory_that_has_too_many_is_still_changed(self, told: Talk) -> None:
        self.fill(told, 2001)
        patch(told, "Thing 7 of conversation.", pinned=True)
        patch(told, "Thing 7 of conversation.", content="Ada has a boat.")
        assert current(told)[0]["content"] == "Ada has a boat."


class TestPinned:
    @pytest.mark.parametrize("change", ["edit", "delete"])
    def test_fact_whose_message_goes_is_the_persons_own(self, told: Talk, change: str) -> None:
        step(told, {"text": PARIS, "said": STORY[2]})
        patch(told, PARIS, pinned=True)
        act(told, change, STORY[2], **({"message": "I am Ada."} if change == "edit" else {}))
        patch(told, PARIS, pinned=False)
        (fact,) = current(told)
        assert (fact["content"], fact["written_by"]) == (PARIS, "person")


def test_memory_of_others_is_none(told: Talk) -> None:
    theirs = str(told.stack.insert("memories", user_id=told.stack.user().id, tier="profile"))
    with told.stack.data_api(told.user) as api:
        row = {"memory_id": theirs, "content": PARIS}
        answer = api.post("/memory_facts", json=row)
    assert (answer.status_code, answer.json()["message"]) == (403, "There is no such memory.")


def step_after(talk: Talk, person: dict[str, Any], **more: Any) -> None:
    """A step whose model was told a person's words."""
    _, covered = summary(talk)
    rows = [
        MessageRow(**row)
        for row in talk.stack.all(
            "select position, sender, content from messages where conversation_id = %s"
            " and position > %s order by position",
            *(talk.conversation, covered),
        )
    ]
    begun = BegunTurn.model_validate(
        {"now": datetime.now(UTC), "turn": {"id": UUID(int=1)}, "user": {}, "memory": person}
    )
    answer = parse(json.dumps({"summary": more["retold"]}), reach="profile")
    assert answer is not None
    names = {"user": "Ada", "char": "Mara"}
    assert remember(talk, to_save(Batch(rows, covered), answer, begun, names))


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
