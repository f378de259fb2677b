"""Who speaks in a reply: lines for somebody else end it, and names in its text do not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat.messages import Cast
from roleplay_chat.reply.filters import Reply, stop_strings
from roleplay_chat.reply.speakers import MOST_HELD_CHARS
from roleplay_chat.reply.surroundings import MOST_QUOTED_CHARS
from tests.support.pieces import shown_in_any_pieces

ADA = Cast("Mara Voss", ["Ada Lind"], nickname="Mo")


def shown(text: str, cast: Cast = ADA) -> str:
    def show(pieces: list[str]) -> str:
        reply = Reply(cast)
        return "".join(reply.feed(piece) for piece in pieces) + reply.flush()

    return shown_in_any_pieces(show, text)


def called(name: str) -> Cast:
    """Mara talks to somebody of this name."""
    return Cast("Mara Voss", [name])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Hope", "Hope: that was all she had left."),
        ("Hope", "She sighs.\nHope: that thin thing with feathers."),
        ("Will", "**Will**: a paper that says who gets the tower."),
        ("Max", "She points at the lift.\nMax: 6 persons. It creaks."),
        ("Вера", "Она вздыхает.\nВера: всё, что осталось."),
    ],
)
def test_word_that_is_explained_is_no_label(name: str, text: str) -> None:
    assert shown(text, called(name)) == text


@pytest.mark.parametrize("line", ["  Ada: Thanks.", "   Tom: Yes.", "\u3000Ada：はい。"])
def test_indented_label_is_one(line: str) -> None:
    assert shown(f"Sit.\n{line}", Cast("Mara Voss", ["Ada"], ["Tom"])) == "Sit."


def test_indented_code_is_kept() -> None:
    text = "So:\n\n    User: ada\n    Ada: here\n\nDone."
    assert shown(text) == text


@pytest.mark.parametrize("name", ["Tom O'Brien", "Tom O’Brien"])
@pytest.mark.parametrize("label", ["O'Brien", "O’Brien", "TOM O’BRIEN"])
def test_apostrophes_are_alike(name: str, label: str) -> None:
    assert shown(f"Sit.\n{label}: Yes.", called(name)) == "Sit."


@pytest.mark.parametrize("speech", ["I am here.", '"yes."', "*nods*", "Sit?"])
def test_word_before_speech_is_a_label(speech: str) -> None:
    assert shown(f"Sit.\nHope: {speech}", called("Hope")) == "Sit."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Run:\n```\nUser: ada\n```\nDone.", id="code-block"),
        pytest.param("~~~text\nAda: x\n\nUser: y\n~~~", id="code-block-of-tildes"),
        pytest.param("So.\n\n```ini\n### User:\nAda: x", id="code-block-that-is-open"),
        pytest.param("She reads:\nAda: come at nine.\nBring tea.", id="what-she-reads-out"),
        pytest.param("The letter reads:\n\nAda: come at nine.", id="letter-after-a-blank-line"),
        pytest.param("*She opens the log:*\nUser: none.", id="log-in-italics"),
        pytest.param("她念道：\n用户：无。", id="read-out-in-chinese"),
        pytest.param("«La liste :»\nAda : le pain.", id="list-in-french"),
        pytest.param("Watch duty:\nAda: first\nMara: second\nTom: third", id="list"),
        pytest.param("Duty:\n- tea\nAda: first", id="list-with-a-bullet"),
        pytest.param("- Ada: tea\n- Tom: bread", id="bullets"),
        pytest.param("1. Ada: tea\n2. Tom: bread", id="numbers"),
        pytest.param("Sit.\n> Ada: gone\n> User: here", id="block-quote"),
        pytest.param("Sit.\n| Ada: | x |", id="table"),
        pytest.param(
            "Dear Mara,\n\nI write from the pier.\nAda: she is well.\nUser: none.\n\nYours,\nTom",
            id="letter",
        ),
        pytest.param("Liebe Mara,\n\nkurz nur:\n\nes geht.\nAda: ist da.", id="letter-in-german"),
        pytest.param("Дорогая Мара,\n\nпишу.\nAda: здорова.", id="letter-in-russian"),
        pytest.param("亲爱的玛拉：\n\n见信好。\nAda：很好。", id="letter-in-chinese"),
        pytest.param("マーラ様\n\n元気です。\nAda：元気です。", id="letter-in-japanese"),
        pytest.param("“She wrote\nAda: come home\nand no more.”", id="quotation"),
        pytest.param("“She wrote.\n\nAda: come home\n\nAnd no more.”", id="quoted-paragraphs"),
        pytest.param('She says: "The log has\nAda: none\nMara: two."', id="plain-quotes"),
        pytest.param("「彼女は言った\nAda：はい\nと」", id="japanese-quotes"),
        pytest.param("«Elle a écrit\nAda : viens\net rien.»", id="french-quotes"),
        pytest.param("„Sie schrieb\nAda: komm\nund sonst nichts.“", id="german-quotes"),
        pytest.param(
            "She plays both.\nAda: Who goes there?\nGuard: A friend.\nAda: Come in.", id="script"
        ),
        pytest.param(
            "She plays.\n\nAda: Who?\n\nOld Tom (low): I.\n\nAda: Ah.", id="spaced-script"
        ),
        pytest.param("Ada: Who goes there?\nGuard: A friend.", id="script-from-the-first-word"),
        pytest.param("她演戏。\nAda：谁？\n卫兵：朋友。", id="chinese-script"),
        pytest.param("Она играет.\nAda: Кто?\nСтраж: Друг.", id="russian-script"),
        pytest.param("Host: x\nUser: ada\nPassword: tide", id="settings"),
        pytest.param("User: ada\nPassword: tide", id="settings-from-the-first-line"),
        pytest.param("Host: x\nUser: ada", id="settings-to-the-last-line"),
        pytest.param("The form:\n\nName: Ada\nUser: ada\nAge: 30", id="form"),
        pytest.param("She fills it in.\nName: Ada\nUser: ada\nAge: 30", id="form-in-the-middle"),
        pytest.param("She fills it in.\nUser: ada\nAge: 30", id="form-from-its-first-line"),
        pytest.param("Sit.\nAda :) she thinks.", id="smiley"),
        pytest.param("Sit.\nAda, listen: the tide.", id="address"),
        pytest.param("Sit.\nAda says: the tide.", id="narration"),
        pytest.param("Sit.\n「Ada」\nShe turns.", id="call"),
        pytest.param("Sit.\n*Ada*\nShe turns.", id="call-in-italics"),
    ],
)
def test_names_in_the_text_stay(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Max", "The boat takes\nMin: 2\nMax: 10"),
        ("Max", "Sit.\nmax: the most.\nMax looks up."),
        ("Hope", "Three sisters.\nFaith: she moves.\nHope: she waits.\nLove: she stays."),
        ("Hope", "Hope is all I have.\nHope, and a lamp.\nhope: a noun."),
        ("Will", "Will you come?\nwill: a verb."),
        ("Mark", "Mark my words.\nMark it down."),
        ("Grace", "Say grace.\ngrace: a prayer."),
        ("May", "April: rain.\nMay: sun.\nJune: heat."),
        ("Art", "Music: loud.\nArt: quiet."),
        ("Rose", "Lily: white.\nRose: red."),
        ("Вера", "Надежда: ждёт.\nВера: молчит.\nвера: слово."),
        ("光", "影：暗。\n光：明。"),
    ],
)
def test_names_that_are_words_stay_words(name: str, text: str) -> None:
    assert shown(text, called(name)) == text


def test_upstream_does_not_stop_at_names_that_are_words() -> None:
    assert stop_strings(Cast("Mara", ["Hope", "Ada"])) == ["\nAda:", "\nUser:"]


@pytest.mark.parametrize(
    "line",
    [
        *("Ada Lind: Thanks.", "Ada: Thanks.", "Lind: Thanks.", "Ms. Lind: Thanks.", "ada: thanks"),
        *("ADA: Thanks.", "Ada : Thanks.", "Ada：Thanks.", "Ada:", "Ada:\nThanks."),
        *("**Ada:** Thanks.", "**Ada**: Thanks.", "*Ada:* Thanks.", "*Ada*: Thanks."),
        *("__Ada__: Thanks.", "***Ada:*** Thanks.", "**Ada**\nThanks.", "### Ada: Thanks."),
        *("[Ada]: Thanks.", "[Ada]\nThanks.", "<Ada>: Thanks.", "(Ada): Thanks.", "【Ada】Thanks."),
        *("Ada (smiling): Thanks.", "**Ada** (smiling): Thanks.", "**Ada (smiling):** Thanks."),
        *("Ada [low]: Thanks.", "Ada *smiles*: Thanks.", "Ada（笑）：谢谢。", "Ada-san: Thanks."),
        *("Human: Thanks.", "You: Thanks.", "User (low): Thanks.", "{{user}}: Thanks."),
        *("{user}: Thanks.", "<user>: Thanks.", "{{User}}: Thanks.", "**{{user}}:** Thanks."),
        *("Usuario: Gracias.", "Utilisateur : Merci.", "Benutzer: Danke.", "Du: Danke."),
        *(
            "Пользователь: Спасибо.",
            "Ты: Спасибо.",
            "用户：谢谢。",
            "你：谢谢。",
            "ユーザー：はい。",
        ),
        *(
            "사용자: 네.",
            "المستخدم: شكرا.",
            "Ada: Thanks.\nMara: Tea?",
            "Ada: Thanks.\n\n*She nods.*",
        ),
        *(
            "Ada: Thanks.\nLocation: pier",
            "Ada: Thanks.\nShe said: sit.",
            "Ada: Thanks.\n她说：坐。",
        ),
        *(
            "Ada: " + "so " * MOST_HELD_CHARS,
            "Ada: Thanks." + "\n" * MOST_HELD_CHARS + "Guard: No.",
        ),
    ],
)
def test_reply_ends_where_the_person_is_spoken_for(line: str) -> None:
    assert shown(f"Sit.\n{line}") == "Sit."
    assert shown(f"Sit.\n\n{line}") == "Sit."


@pytest.mark.parametrize(
    "line",
    [
        *("葵：谢谢。", "葵: 谢谢。", "【葵】谢谢。", "【葵】：谢谢。", "【葵】 谢谢。"),
        *("葵（笑）：谢谢。", "葵さん：はい。", "**葵**：谢谢。", "［葵］：谢谢。"),
    ],
)
def test_reply_ends_at_the_label_of_a_name_without_letters(line: str) -> None:
    assert shown(f"坐下。\n{line}", called("葵")) == "坐下。"


@pytest.mark.parametrize("name", ["Hope", "Will", "Max", "Mark", "Grace", "May", "Art"])
def test_reply_ends_at_the_label_of_a_name_that_is_a_word(name: str) -> None:
    assert shown(f"Sit.\n{name}: Thanks.\nMara: Tea?", called(name)) == "Sit."


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        pytest.param("```\nx\n```\nAda: Thanks.", "```\nx\n```", id="after-a-code-block"),
        pytest.param("```x``` it is.\nAda: Thanks.", "```x``` it is.", id="after-code-in-a-line"),
        pytest.param('"Sit."\nAda: "Thanks."', '"Sit."', id="after-a-quotation"),
        pytest.param('"Sit.\n\nAda: Thanks.', '"Sit.', id="after-a-quote-nobody-closed"),
        pytest.param('"Sit.\nAda: "Thanks."', '"Sit.', id="opens-a-quotation-of-its-own"),
        pytest.param("“Sit.”\nAda: “Thanks.”", "“Sit.”", id="after-curly-quotes"),
        pytest.param(
            f"“{'tides ' * MOST_QUOTED_CHARS}\n\nAda: Thanks.",
            f"“{'tides ' * MOST_QUOTED_CHARS}".strip(),
            id="after-a-quotation-without-an-end",
        ),
        pytest.param("Guard: Halt!\nAda: I mean no harm.", "Guard: Halt!", id="answers-a-stranger"),
        pytest.param(
            "Dear Ada,\nCome.\nYours,\nMara\n\nAda: I read it.",
            "Dear Ada,\nCome.\nYours,\nMara",
            id="after-a-letter",
        ),
        pytest.param("Take:\n- tea\n\nAda: Thanks.", "Take:\n- tea", id="after-a-list"),
        pytest.param("Mara:\nSit.\nAda:\nThanks.", "Sit.", id="labels-on-their-own-lines"),
        pytest.param("Sit.\n### User:\nThanks.", "Sit.", id="heading-of-a-template"),
        pytest.param("Ada: Hello?\n*She nods.*", "*She nods.*", id="speaks-for-the-person-first"),
        pytest.param(f"Ada: {'so ' * MOST_HELD_CHARS}\nSit.", "Sit.", id="at-length"),
        pytest.param("User: Hi.\nHuman: Hi.\nMara: Sit.", "Sit.", id="and-again"),
    ],
)
def test_turn_of_the_person_is_left_out(text: str, reply: str) -> None:
    assert shown(text) == reply


@pytest.mark.parametrize(
    "label",
    [
        *("Mara Voss:", "Mara:", "Mo:", "Voss:", "Captain Voss:", "Ms. Voss:", "MARA:", "mara:"),
        *("Mara：", "Mara :", "**Mara:**", "**Mara**:", "**Mara**\n", "**Mara Voss**\n\n"),
        *(
            "__Mara__\n",
            "[Mara]:",
            "[Mo]\n",
            "【Mara】",
            "【Mara】：",
            "Mara (smiling):",
            "{{char}}:",
        ),
        *("{char}:", "<char>:", "Assistant:", "### Response:\n", "### Mara:\n", "Mara:\n\n"),
    ],
)
def test_own_label_is_dropped_at_the_beginning_only(label: str) -> None:
    assert shown(f"{label} Sit.") == "Sit."
    assert shown(f"\n {label} Sit.\n{label.strip()} Stand.").startswith("Sit.")


@pytest.mark.parametrize(
    "text",
    ["**Mara** leans in.", "Mara looks up: rain.", "Mara", "**Mara**", "Mo :)", "Voss, sit."],
)
def test_own_name_without_a_label_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("character", "person", "text", "reply"),
    [
        ("Ada", "Ada", "Ada: Sit.", "Sit."),
        ("Ada", "Ada", "Sit.\nAda: Well?", "Sit.\nAda: Well?"),
        ("Ada", "ada", "ADA: Sit.\nUser: Hm.", "Sit."),
        ("Ada", "Ada Lind", "Ada: Sit.\nAda Lind: Hm.", "Sit."),
        ("Ada Voss", "Ada", "Ada: Sit.\nAda: Hm.", "Sit."),
        ("Ada Voss", "Ada", "Sit.\nAda Voss: Well?", "Sit.\nAda Voss: Well?"),
        ("Ada Voss", "Ada Lind", "Ada: Sit.\nAda: Well?", "Sit.\nAda: Well?"),
        ("Mara Voss", "Ada Voss", "Voss: Sit.\nAda: Hm.", "Sit."),
        ("葵", "葵", "葵：坐。", "坐。"),
    ],
)
def test_person_and_character_may_have_one_name(
    character: str, person: str, text: str, reply: str
) -> None:
    assert shown(text, Cast(character, [person])) == reply


def test_draft_of_the_persons_words_ends_at_the_character() -> None:
    cast = Cast("Mara Voss", ["Ada Lind"], nickname="Mo", impersonates=True)
    for label in ("Mara:", "Mo:", "Voss:", "{{char}}:", "Assistant:", "【Mara】", "Mara (low):"):
        assert shown(f"Lind: Hello?\n{label} Sit.", cast) == "Hello?"
    for label in ("You:", "User:", "{{user}}:", "Ada (low):"):
        assert shown(f"{label} Hello?\nUser: Well?", cast) == "Hello?\nUser: Well?"


def test_anybody_may_speak_in_a_story() -> None:
    text = "Ada: Who?\nYou: I.\nTu: moi."
    assert shown(text, Cast()) == text


LINES = st.sampled_from(
    [
        *("Sit.", "Ada: Thanks.", "Mara: Tea?", "Guard: No.", "User: x", "Host: y", "```"),
        *("~~~", '"Sit', "“", "”", "She reads:", "Dear Ada,", "Yours,", "- tea", "", " ", "Ada"),
        *("**Ada**", "**Ada:** x", "【Ada】", "Ada (low", "): x", "### User:", "### ", "Lind"),
        *(": ", "*", "葵：", "Mara", "**Mara**", "Mo:", "你：", "她说：", "Ada: " + "so " * 200),
        *("<s>", "`", "</s>", "[INST]"),
    ]
)


@given(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n\n", " ", ""])), max_size=12), st.data())
@settings(max_examples=400)
def test_result_does_not_depend_on_the_pieces(
    lines: list[tuple[str, str]], data: st.DataObject
) -> None:
    text = "".join(line + end for line, end in lines)

    def show(pieces: list[str]) -> str:
        reply = Reply(ADA)
        return "".join(reply.feed(piece) for piece in pieces) + reply.flush()

    size = data.draw(st.integers(1, max(len(text), 1)))
    whole = show([text])
    assert show(list(text)) == whole
    assert show([text[at : at + size] for at in range(0, len(text), size)]) == whole
