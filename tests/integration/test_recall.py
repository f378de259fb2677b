"""Old messages that bear on what the person says are found and put before it."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.support.answers import text
from tests.support.notes import prompts
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER
from tests.support.talk import VENICE, Talk

pytestmark = pytest.mark.installations


@pytest.fixture
def long(talk: Talk) -> Talk:
    """A conversation of which a prompt shows only the end, and one model with a small context."""
    talk.have_only(VENICE)
    talk.describe(VENICE, context_tokens=2048)
    talk.stack.upstream.always(text("Aye."))
    return talk


def say(talk: Talk, *texts: str) -> None:
    for number, content in enumerate(texts):
        talk.stack.insert(
            "messages",
            conversation_id=talk.conversation,
            sender="character" if number % 2 else "user",
            content=content,
        )


def chatter(talk: Talk, count: int = 40) -> None:
    for number in range(count):
        say(talk, f"Round {number} of dominoes, and the kettle sings {number} songs to nobody." * 2)


def recalled(talk: Talk, message: str, **body: Any) -> str:
    """The messages recalled for a message, as they stand in the prompt."""
    talk.reply(message, **body)
    blocks = [one["content"] for one in prompts(talk.stack.upstream)[-1]]
    return next((block for block in blocks if block.startswith("[Earlier in this story")), "")


LANGUAGES = {
    "english": ("My sister Imke repairs violins in Bremen.", "Tell me about the violin repair."),
    "german": ("Meine Schwester hat zwei Hunde und eine Katze.", "Wie heißt der Hund?"),
    "french": ("Ma sœur a deux chiens et une jument.", "Où est le chien de ta famille ?"),
    "spanish": ("Mi hermana tiene dos perros y una yegua.", "¿Dónde está el perro?"),
    "russian": ("У моей сестры две собаки и кошка.", "Где твоя собака?"),
    "finnish": ("Minä tiedän, että koiralla on talo.", "Missä koira on?"),
    "turkish": ("Benim iki köpeğim ve bir kedim var.", "Köpeğim nerede?"),
    "japanese": ("私の妹は京都でバイオリンを直しています。", "京都のバイオリンの話をして"),
    "chinese": ("我的妹妹在成都修理小提琴。", "你还记得小提琴吗？"),
    "korean": ("제 여동생은 부산에서 바이올린을 고쳐요.", "바이올린이 기억나?"),
    "thai": ("น้องสาวของฉันซ่อมไวโอลินที่เชียงใหม่", "จำไวโอลินได้ไหม"),
    "hebrew": ("אחותי מתקנת כינורות בחיפה", "מה עם כינורות בחיפה"),
    "accents as signs": ("Em gái tôi sửa đàn vĩ cầm.", normalize("NFD", "Bạn nhớ đàn vĩ cầm?")),
    "name of one sign": ("あの人は葵という。", "葵はどこ？"),
    "katakana for hiragana": ("妹はらーめんを作る。", "ラーメンの話"),
    "hiragana for katakana": ("妹はバイオリンを直します。", "ばいおりんの話"),
    "case of a russian name": ("Вчера Андрей нашёл ключ.", "Что вы знаете об Андрее?"),
    "another case of it": ("Вчера у Тимофея нашли ключ.", "Где Тимофей?"),
    "narrow letters": ("妹はバイオリンを直します。", "ﾊﾞｲｵﾘﾝの話"),
    "wide letters": ("The code is TOLVANE.", "Ｗｈａｔ ｗａｓ ＴＯＬＶＡＮＥ？"),
    "letters of a fancy name": ("𝓣𝓸𝓵𝓿𝓪𝓷𝓮 is a baker.", "Who is Tolvane?"),
    "letters in circles": ("Ⓣⓞⓛⓥⓐⓝⓔ is a baker.", "Who is Tolvane?"),
    "no space after a sentence": ("I met Tolvane.She is a baker.", "Who is Tolvane?"),
    "one or the other": ("Ask Imke/Tilda about it.", "Who is Tilda?"),
    "tildes": ("~Tolvane~ came to the gate.", "Who is Tolvane?"),
    "a leading slash": ("/Tolvane waves at the gate.", "Who is Tolvane?"),
    "a number before it": ("It was in 1999.Tolvane came.", "Who is Tolvane?"),
    "a version before it": ("We are at v2.Tolvane now.", "Who is Tolvane?"),
    "angle brackets": ("<Tolvane> Hello there!", "Who is Tolvane?"),
    "a sign of another script": ("My sister repairs violins (´ω`)", "What of the violin repair?"),
    "a name in another script": ("Ich repariere Geigen, sagte محمد.", "Wer repariert die Geige?"),
    "without its accents": ("Zoë is a baker in Uzès.", "Who was Zoe?"),
    "with accents of its own": ("Renee is a baker in the village.", "Who was Renée?"),
    "an ending with an accent": ("Chloé a pleuré toute la nuit.", "Pourquoi as-tu pleure, Chloe ?"),
    "a letter without an accent": ("Łukasz and Bjørn are bakers.", "Who is Lukasz, who is Bjorn?"),
    "an umlaut": ("Frau Müller ist eine Bäckerin.", "Wo ist Mueller?"),
    "an umlaut in two letters": ("Frau Mueller ist eine Bäckerin.", "Wo ist Müller?"),
    "a ring in two letters": ("Aase is a baker.", "Who is Åse?"),
    "a letter of its own": ("Моя сестра любит ёжиков.", "Где ежики?"),
    "capitals": ("THE KEY IS UNDER THE ANCHOR ÄGIR.", "Where was the key, under Ägir?"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "asked"), LANGUAGES.values(), ids=LANGUAGES)
def test_what_was_said_long_ago_is_found_again(long: Talk, said: str, asked: str) -> None:
    say(long, said)
    chatter(long)
    assert said in recalled(long, asked)


AROUND = {
    "german": "Der Regen fällt auf das Dach und wir warten mit dem Tee.",
    "spanish": "La lluvia cae y esperamos el té.",
    "french": "La pluie tombe sur le toit et nous attendons le thé.",
    "italian": "La pioggia cade e io non sento il mare.",
    "portuguese": "A chuva cai e você não ouve o mar.",
    "turkish": "Yağmur yağıyor ve biz bir çay için bekliyoruz.",
    "english": "The rain falls on the roof and we wait for the tea.",
}
NAMES = {
    "german": ("german", "Andreas liebt Pferde.", "Wo ist Andreas?"),
    "spanish": ("spanish", "Carlos vive en Sevilla.", "¿Dónde está Carlos?"),
    "french": ("french", "Nicolas habite Lyon.", "Où est Nicolas ?"),
    "italian": ("italian", "Marta abita a Torino.", "Dove abita Marta? Non lo so, e io?"),
    "portuguese": ("portuguese", "Lucas adora cavalos.", "Onde foi o Lucas?"),
    "turkish": ("turkish", "Ayşe keman tamir eder.", "Ayşe nerede, bu ne?"),
    "english in german": ("german", "The baker Andreas hid the key.", "Wo ist Andreas jetzt?"),
    "english in french": ("french", "Agnes keeps the key.", "Où est la clé de Agnes ?"),
    "german in english": (
        "english",
        "Ich habe es von meinem Onkel Andreas und nicht von dir.",
        "What did Andreas give to you?",
    ),
}


@pytest.mark.parametrize(("around", "said", "asked"), NAMES.values(), ids=NAMES)
def test_a_name_is_found_whatever_language_its_message_was_taken_for(
    long: Talk, around: str, said: str, asked: str
) -> None:
    """A short message has no words that tell its language, and stemmers cut names, too."""
    say(long, AROUND[around], said)
    for number in range(24):
        say(long, f"{AROUND[around]} {number}", f"{AROUND[around]} {AROUND[around]} {number}")
    assert said in recalled(long, asked)


def test_a_name_is_found_although_many_messages_have_more_of_the_other_words(long: Talk) -> None:
    act = "I sit by the fire, look out of the window and turn the {} in my hands"
    say(long, "Tell me.", "The one who betrayed us was Andreas.")
    say(long, *[f"{act.format(f'anchor{n % 12}')}, {n}." for n in range(100)])
    asked = f"{act.format('cup')}. Do you remember Andreas?"
    assert "betrayed" in recalled(long, asked)


MARKS = "\u00ad\u061c\u200b\u200d\u200e\u200f\u202b\u202e\u2060\u2068\ufe0f\ufeff"
"""Invisible: of the direction of writing, of word breaks, of how a sign is drawn."""


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: f"U+{ord(mark):04X}")
@pytest.mark.parametrize("place", ["{0}Tolvane{0}", "Tol{0}vane"])
def test_words_with_invisible_marks_are_found(long: Talk, place: str, mark: str) -> None:
    marked = place.format(mark)
    say(long, f"The one who betrayed us was {marked}.", "Aye.", "Wenzel has the key.")
    chatter(long)
    assert "betrayed" in recalled(long, "Do you remember Tolvane?")
    assert "key" in recalled(long, f"Where is the key of {place.format(mark)}, Wen{mark}zel?")


PERSIAN = ("کتاب\u200cها", "کتابها", "کتاب ها")


@pytest.mark.parametrize("asked", PERSIAN)
def test_word_of_two_joined_parts_is_found_in_each_spelling(long: Talk, asked: str) -> None:
    say(long, f"The word is {PERSIAN[0]}.")
    chatter(long)
    assert "The word is" in recalled(long, f"What does {asked} mean?")


@pytest.mark.parametrize("said", PERSIAN)
def test_question_with_two_joined_parts_finds_each_spelling(long: Talk, said: str) -> None:
    say(long, f"The word is {said}.")
    chatter(long)
    assert "The word is" in recalled(long, f"What does {PERSIAN[0]} mean?")


def test_a_long_message_may_ask_at_its_end(long: Talk) -> None:
    say(long, "The obelisk hums at noon.")
    chatter(long)
    assert "hums at noon" in recalled(long, "I walked on and on. " * 100 + "What of the obelisk?")


ACT = "*I sit down by the fire, warm my cold hands, look at the grey window and sigh.* "
SCENE = f"""{ACT}*The rain runs down the panes, a shutter bangs, and somewhere below a cart rolls
over the cobbles. I pull my cloak tighter, reach for the jug, and pour the last of the wine.* """


PROSE = f"""{SCENE}*Outside, somebody calls for the ferryman, and the answer is lost in thunder. I
count the coins on the table twice, push three of them over to you, wrap the bread in
linen, tighten the straps of my satchel, blow out the smaller candle, and listen for
footsteps on the stairs before I dare to speak again. My fingers find the scar beneath
my collar, and I remember the winter when we crossed the frozen river, the wolves on
the ridge, the smell of pine and tallow, and the promise that nobody kept.* Enough of
that. """


@pytest.mark.parametrize("scene", [ACT, SCENE, PROSE])
def test_a_name_is_found_whatever_else_is_said(long: Talk, scene: str) -> None:
    said = "The one who betrayed us was Tolvane."
    say(long, said)
    chatter(long)
    assert said in recalled(long, f"{scene}Tell me honestly, do you still remember Tolvane?")


def test_a_name_at_the_end_of_a_text_without_spaces_is_found(long: Talk) -> None:
    said = "裏切ったのは斎藤です。"
    say(long, said)
    chatter(long)
    scene = "".join(chr(0x4E00 + 7 * number) for number in range(600))
    assert said in recalled(long, f"{scene}。斎藤を覚えていますか")


def test_message_that_asks_does_not_make_its_own_words_common(long: Talk) -> None:
    said = "The one who betrayed us was Tolvane."
    say(long, said)
    chatter(long)
    # The terms of the next message are in the sample.
    long.stack.db.execute(
        "do $$ begin while hashint8(shared.next_position() + 1) & 63 <> 0 loop end loop; end $$"
    )
    assert said in recalled(long, f"{PROSE}Tell me honestly, do you still remember Tolvane?")


def test_the_answer_comes_along_with_its_question(long: Talk) -> None:
    say(long, "What is the name of your sister, the violin maker?", "Imke.", "Nice.", "Thank you.")
    chatter(long)
    block = recalled(long, "Do you remember the violin maker?")
    assert "violin maker?\n" in block
    assert "Imke." in block


def test_nothing_is_recalled_where_nothing_bears_on_it(long: Talk) -> None:
    chatter(long)
    assert recalled(long, "Go on") == ""


def test_message_that_is_too_long_to_recall_is_left_out(long: Talk) -> None:
    say(long, f"The heron listens. {'And so it went on. ' * 1_500}")
    chatter(long)
    assert "heron" not in recalled(long, "What did the heron do?")


def test_message_that_is_too_long_to_recall_hides_no_other(long: Talk) -> None:
    long.describe(VENICE, context_tokens=4096)
    say(long, f"The heron took the key of Tolvane to the chapel. {'And so it went on. ' * 1_400}")
    chatter(long, 6)
    say(long, "The heron is called Wenzel.")
    chatter(long, 90)
    assert "Wenzel" in recalled(long, "What did the heron of Tolvane do with the key?")


def test_a_few_long_messages_leave_room_for_others(long: Talk) -> None:
    """Each of them is longer than what a prompt shows, and begins with the same sentence."""
    begin = "My brother likes the harbour and the lighthouse."
    rest = " We walked and spoke of nothing else for hours and hours." * 135
    say(long, *[f"{begin}{rest} {number}" for number in range(4)])
    said = "The name of my brother at the harbour is Torvald."
    say(long, said)
    chatter(long)
    shown = recalled(long, "What is my brother called, who likes the harbour and the lighthouse?")
    assert said in shown
    # Two people said it.
    assert shown.count(begin) == 2


def test_a_conversation_that_hardly_does_not_fit_is_searched(talk: Talk) -> None:
    """Of many short messages, beside a long card, for a worker that does not say its context."""
    talk.have_only()
    talk.have_worker(protocol="openai")
    talk.stack.upstream.always(text("Aye."))
    card = "She keeps the light. " * 900
    talk.stack.db.execute(
        "update shared.characters set description = %s where id = %s", (card, DEMO_CHARACTER)
    )
    said = "My sister Imke repairs violins."
    say(talk, said, *(f"Ok {n}, the kettle sings." for n in range(120)))
    recalled(talk, "Tell me about the violins of Imke.")
    assert said in str(prompts(talk.stack.upstream)[-1])


def test_words_of_other_conversations_are_not_found(long: Talk) -> None:
    other = long.stack.conversation(long.user)
    for _ in range(3):
        long.stack.insert(
            "messages",
            conversation_id=other,
            sender="user",
            content="The password of the vault is heron.",
        )
    chatter(long)
    assert recalled(long, "What is the password of the vault?") == ""


def test_versions_that_were_set_aside_are_not_found(long: Talk) -> None:
    say(long, "Where?", "The treasure lies beneath the chapel.")
    chatter(long)
    long.stack.db.execute(
        "update messages set is_active = false where content like 'The treasure%' returning id"
    )
    assert "chapel" not in recalled(long, "Where is the treasure, the chapel?")


def test_what_was_edited_is_found_by_its_new_words(long: Talk) -> None:
    say(long, "My boat is called Petrel.")
    chatter(long)
    edited = long.stack.one("select id from messages where content like 'My boat%'")
    new = {"message_id": str(edited["id"]), "message": "My boat is called Fulmar."}
    assert long.stack.chat(long.user, action="edit", **new).status_code == 200
    block = recalled(long, "Fulmar, what was that, a boat?")
    assert "Fulmar" in block
    assert "Petrel" not in block


def test_what_was_deleted_is_not_found(long: Talk) -> None:
    say(long, "My boat is called Petrel.")
    chatter(long)
    deleted = long.stack.one("select id from messages where content like 'My boat%'")
    long.reply(action="delete", message_id=str(deleted["id"]))
    assert "Petrel" not in recalled(long, "What is my boat called, Petrel?")


def test_a_turn_stays_two_calls(long: Talk) -> None:
    say(long, "My boat is called Petrel.")
    chatter(long)
    assert recalled(long, "What is my boat called?")
    # A summary that is due may be saved by a call of its own.
    assert [call for call in long.stack.gateway.calls if not call.endswith("/remember")] == [
        "POST /rest/v1/rpc/begin_turn",
        "POST /rest/v1/rpc/finish_turn",
    ]


def rows_of_a_turn(talk: Talk, postgres: Postgres, messages: int) -> int:
    """What begin_turn reads, in a conversation of which all messages have the same words, and a few
    have others."""
    conversation = talk.stack.conversation(talk.user)
    with postgres.connect("app", OWNER) as db:
        db.execute("set search_path = shared, public")
        db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, 'user', 'The kettle sings of the harbour' || case n %% 250 when 7 then"
            " ', and a heron listens' else '' end from generate_series(1, %s) n",
            (conversation, messages),
        )
        db.execute("vacuum analyze")
        with explained(db) as plans:
            begun = db.execute(
                "select public.begin_turn(gen_random_uuid(), %s, 'roleplay', 'send', %s,"
                " p_message => 'Which song of the kettle did the heron of the harbour know?')"
                " as turn",
                (talk.user.id, conversation),
            ).fetchall()[0]["turn"]
    assert any("heron" in content for content in begun["recalled"]["content"])
    return scanned(plans)


def test_a_long_conversation_is_not_read_as_a_whole(long: Talk, postgres: Postgres) -> None:
    rows = rows_of_a_turn(long, postgres, 1_000)
    assert rows_of_a_turn(long, postgres, 10_000) < 2 * rows


def test_messages_are_found_by_their_index(long: Talk) -> None:
    db = long.stack.db
    with db.transaction(force_rollback=True):
        db.execute("set local enable_seqscan = off")
        plan = db.execute(
            "explain select m.id from shared.messages m"
            " where private.search_terms(m.conversation_id, m.position, m.content)"
            " @> array[1::bigint] and m.is_active"
        ).fetchall()
    lines = [row["QUERY PLAN"] for row in plan]
    assert [line for line in lines if "messages_by_term" in line]
    assert not [line for line in lines if "Seq Scan" in line]


@pytest.mark.parametrize("said", ["The heron knows a song.", "鷺は歌を知っている。", "東 or 西"])
def test_terms_of_a_conversation_stand_side_by_side_in_the_index(long: Talk, said: str) -> None:
    terms = {}
    for conversation in (long.conversation, uuid4()):
        terms[conversation] = long.stack.one(
            "select private.search_terms(%s, 1, %s) as found", conversation, said
        )["found"]
    here, elsewhere = terms.values()
    assert len({term >> 32 for term in here}) == 1
    assert len({term & 0xFFFFFFFF for term in here}) == len(here) > 1
    assert not {term >> 32 for term in here} & {term >> 32 for term in elsewhere}
    assert not {term & 0xFFFFFFFF for term in here} & {term & 0xFFFFFFFF for term in elsewhere}


def test_a_message_is_in_the_prompt_once(long: Talk) -> None:
    say(long, "My boat is called Petrel.")
    chatter(long)
    say(long, "The new boat is called Skua.")
    long.reply("What is the boat called?")
    whole = "\n".join(one["content"] for one in prompts(long.stack.upstream)[-1])
    assert (whole.count("Petrel"), whole.count("Skua")) == (1, 1)


def test_a_version_of_an_old_reply_does_not_see_what_came_later(long: Talk) -> None:
    say(long, "Where is the lamp?")
    long.reply("Tell me")
    first = long.stack.one("select id from messages where content = 'Aye.'")
    say(long, "The lamp is in the cellar, beneath the stairs.")
    chatter(long)
    long.reply(action="regenerate", message_id=str(first["id"]))
    whole = "\n".join(one["content"] for one in prompts(long.stack.upstream)[-1])
    assert "cellar" not in whole


@pytest.mark.parametrize(
    "content",
    [
        "",
        " ",
        "x" * 60_000,
        "東" * 20_000,
        "a b " * 12_000,
        "\U0001f600" * 9_000,
        MARKS * 1_000,
        "%_\\'\"",
    ],
    ids=["empty", "blank", "long-word", "no-spaces", "many-words", "emoji", "invisible", "marks"],
)
def test_no_message_is_too_odd_to_be_stored(long: Talk, content: str) -> None:
    say(long, content)
    assert long.reply("Hello there, old friend")["response"] == "Aye."


def test_a_conversation_that_the_caller_knows_to_fit_is_not_searched(talk: Talk) -> None:
    said = "My sister Imke repairs violins. " + "She came by train, and the rain was loud. " * 400
    say(talk, said)
    asked = "Tell me about the violins of Imke."
    size = len(said) + 5

    def found(known: dict[str, Any]) -> bool:
        with talk.stack.db.transaction(force_rollback=True):
            begun = talk.stack.one(
                "select public.begin_turn(gen_random_uuid(), %s, 'roleplay', 'send', %s,"
                " p_message => %s, p_known => %s) as begun",
                *(talk.user.id, talk.conversation, asked, Jsonb(known)),
            )["begun"]
        return begun["recalled"] is not None

    assert found({})
    assert found({"short": size + len(asked) - 1})
    assert not found({"short": size + len(asked)})
    # What is summarised is not in the history, whatever the caller knew of it.
    talk.stack.db.execute(
        "insert into conversation_summaries (conversation_id, content, covers_position)"
        " select %s, 'She has a sister.', max(m.position) from messages m",
        (talk.conversation,),
    )
    assert found({"short": size + len(asked)})
