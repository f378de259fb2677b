"""A reply and its continuation become one text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.messages import Cast
from roleplay_chat.reply.continuation import MOST_OVERLAP_CHARS, MOST_WORD_CHARS, Continuation
from roleplay_chat.reply.filters import Reply
from tests.support.pieces import shown_in_any_pieces
from tests.support.work import is_linear


def whole(beginning: str, continuation: str) -> str:
    """The whole reply, after the filters."""

    def show(pieces: list[str]) -> str:
        reply = Reply(Cast("Mara", ["Ada"]), continues=beginning)
        return beginning + "".join(reply.feed(piece) for piece in pieces) + reply.flush()

    return shown_in_any_pieces(show, continuation)


@pytest.mark.parametrize(
    ("beginning", "continuation", "text"),
    [
        ("She nods", " and sits.", "She nods and sits."),
        ("She nods.", "\n\nShe sits.", "She nods.\n\nShe sits."),
        ("She nods.", "\nShe sits.", "She nods.\nShe sits."),
        ("She nods", "\n\nand sits.", "She nods and sits."),
        ("She nods.\n", "\n\nThen", "She nods.\nThen"),
        ("She nods ", " and", "She nods and"),
        ("The light", " house", "The light house"),
        ("彼女は", " 笑った", "彼女は 笑った"),
        ("She nods", "Mara: and sits.", "She nods and sits."),
        ("She nods", "<think>Hm.</think>\n\nand sits.", "She nods and sits."),
        ("The lam", "Mara: p is lit.", "The lamp is lit."),
    ],
)
def test_whitespace_that_the_model_wrote_decides(
    beginning: str, continuation: str, text: str
) -> None:
    assert whole(beginning, continuation) == text


@pytest.mark.parametrize(
    ("beginning", "continuation", "text"),
    [
        ("She nods", "and sits.", "She nods and sits."),
        ("She nods.", "She sits.", "She nods. She sits."),
        ("Sie nickt", "und setzt sich.", "Sie nickt und setzt sich."),
        ("Elle hoche", "la tête.", "Elle hoche la tête."),
        ("Ella asiente", "y se sienta.", "Ella asiente y se sienta."),
        ("Она кивает", "и садится.", "Она кивает и садится."),
        ("그녀는 고개를", "끄덕였다.", "그녀는 고개를 끄덕였다."),
        ("هي تنظر", "إلى البحر", "هي تنظر إلى البحر"),
        ("She looks at", "Ada", "She looks at Ada"),
        ("Good evening to you", "my friend.", "Good evening to you my friend."),
        ("*She nods*", '"Sit."', '*She nods* "Sit."'),
        ('She says "Sit"', "and waits.", 'She says "Sit" and waits.'),
        ("She nods —", "slowly.", "She nods — slowly."),
        ("She has 3", "lamps.", "She has 3 lamps."),
        ("That is the boys'", "lamp", "That is the boys' lamp"),
        ("That is the boys'", "stove", "That is the boys' stove"),
        ("Her lungs", "burn.", "Her lungs burn."),
        ("He calls", "Mrs. Voss.", "He calls Mrs. Voss."),
        ("I don't", "remember.", "I don't remember."),
        ("She isn’t", "sleeping.", "She isn’t sleeping."),
        ("She sees the red", "fox.", "She sees the red fox."),
        ("She looks at the old", "oak tree.", "She looks at the old oak tree."),
        ("He drank the", "ale slowly.", "He drank the ale slowly."),
        ("He put on his wet", "clothes.", "He put on his wet clothes."),
        ("She whispers to Bo", "gently.", "She whispers to Bo gently."),
        ("The sky", "darkens.", "The sky darkens."),
    ],
)
def test_words_are_apart(beginning: str, continuation: str, text: str) -> None:
    assert whole(beginning, continuation) == text


@pytest.mark.parametrize(
    ("beginning", "continuation", "text"),
    [
        ("the lam", "p is lit.", "the lamp is lit."),
        ("She smi", "les at Ada.", "She smiles at Ada."),
        ("She is walk", "ing to the door.", "She is walking to the door."),
        ("The str", "ong wind", "The strong wind"),
        ("The lighthouse is far. The light", "house", "The lighthouse is far. The lighthouse"),
        ("Sie geht zur Tü", "r.", "Sie geht zur Tür."),
        ("Er geht und ist lang", "sam.", "Er geht und ist langsam."),
        ("Она кив", "ает.", "Она кивает."),
        ("그녀는 고개", "를 끄덕였다.", "그녀는 고개를 끄덕였다."),
        ("Elle va vers l'", "escalier.", "Elle va vers l'escalier."),
        ("It was Ada", "'s lamp.", "It was Ada's lamp."),
        ("I don", "'t know.", "I don't know."),
        ("It'", "s a trap.", "It's a trap."),
        ("Er öffnet die Wohnungs", "tür.", "Er öffnet die Wohnungstür."),
        ("Sie zögert aus Gewohnheits", "gründen.", "Sie zögert aus Gewohnheitsgründen."),
        ("He was co", "mpletely alone.", "He was completely alone."),
        ("She sat by the wi", "ndow.", "She sat by the window."),
        ("Она зажгла ла", "мпу.", "Она зажгла лампу."),
        ("Это был бол", "ьшой маяк.", "Это был большой маяк."),
        ("그녀는 천천", "히 걸었다.", "그녀는 천천히 걸었다."),
        ("그 사람", "들이 왔다.", "그 사람들이 왔다."),
        ("She looks out of the win", "dow.", "She looks out of the window."),
        ("They sat in the gar", "den.", "They sat in the garden."),
        ("She lights a can", "dle.", "She lights a candle."),
        ("She ruled the king", "dom alone.", "She ruled the kingdom alone."),
        ("He sat down at the ta", "ble.", "He sat down at the table."),
        ("She took the pen", "cil from him.", "She took the pencil from him."),
        ("It was the mid", "dle of the night.", "It was the middle of the night."),
        ("She picked up the bot", "tle.", "She picked up the bottle."),
        ("He took her hand and smi", "led.", "He took her hand and smiled."),
        ("a sudden si", "lence", "a sudden silence"),
        ("She sat by the fire", "place.", "She sat by the fireplace."),
        ("He looked out", "side.", "He looked outside."),
        ("The moon", "light fell.", "The moonlight fell."),
        ("It cost $", "5.", "It cost $5."),
        (
            "See https://harbour.exam",
            "ple.org for more.",
            "See https://harbour.example.org for more.",
        ),
        ("She has 1", "0 lamps.", "She has 10 lamps."),
        ("It costs 3.", "5 crowns.", "It costs 3.5 crowns."),
        ("a light-", "house", "a light-house"),
        ("She nods", ", slowly.", "She nods, slowly."),
        ("She nods", "—slowly.", "She nods—slowly."),
        ("*She nods", "*", "*She nods*"),
        ('She says "', "Sit.", 'She says "Sit.'),
        ("She says “", "Sit.”", "She says “Sit.”"),
        ("(she", ")", "(she)"),
    ],
)
def test_no_space_comes_into_words(beginning: str, continuation: str, text: str) -> None:
    assert whole(beginning, continuation) == text


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("The carpet is red. It smells of dust.", "He looks at the carpet."),
        ("The pet is small.", "He looks at the car pet."),
    ],
)
def test_words_of_the_conversation_decide(said: str, text: str) -> None:
    reply = Reply(Cast("Mara", ["Ada"]), continues="He looks at the car", said=said)
    assert f"He looks at the car{reply.feed('pet.')}{reply.flush()}" == text


@pytest.mark.parametrize(
    ("beginning", "continuation"),
    [
        ("她点", "头。"),
        ("她点头。", "然后坐下。"),
        ("彼女は頷", "いた。"),
        ("彼女は頷いた。", "「座って」"),
        ("マラは", "笑った"),
        ("เธอพยัก", "หน้า"),
        ("นางยิ้ม", "แล้วนั่งลง"),
        ("ນາງ", "ຍິ້ມ"),
        ("នាង", "ញញឹម"),
        ("သူမ", "ပြုံး"),
        ("她看着", "Ada"),
        ("Ada", "は笑った"),
        ("她说：“好", "的。”"),
    ],
)
def test_scripts_without_spaces_get_none(beginning: str, continuation: str) -> None:
    assert whole(beginning, continuation) == beginning + continuation


@pytest.mark.parametrize(
    ("beginning", "continuation", "text"),
    [
        pytest.param("She nods and", "She nods and sits.", "She nods and sits.", id="all"),
        pytest.param("She sits.", "She sits. She waits.", "She sits. She waits.", id="a-sentence"),
        pytest.param("彼女は灯台で", "彼女は灯台で泣く。", "彼女は灯台で泣く。", id="japanese"),
        pytest.param("She has a lam", "lamp and", "She has a lamp and", id="last-word"),
        pytest.param("She walks to the", "to the door.", "She walks to the door.", id="last-words"),
        pytest.param("She walks to the", "the door.", "She walks to the door.", id="an-article"),
        pytest.param("Sie geht zu der", "der Tür.", "Sie geht zu der Tür.", id="german-article"),
        pytest.param(
            "It rains. She walks to the sea", "She walks to the sea and back.",
            "It rains. She walks to the sea and back.", id="last-sentence",
        ),
        pytest.param("下雨。她走向大海", "她走向大海，笑了。", "下雨。她走向大海，笑了。", id="zh"),
        pytest.param("She waits...", "...and sits.", "She waits...and sits.", id="dots"),
        pytest.param("She nods.\n", "She nods. Then", "She nods.\nThen", id="before-a-new-line"),
        pytest.param(
            "She looks at Ada and smiles warmly at her. It is late and",
            "She looks at Ada and smiles warmly at her. The sea is calm.",
            "She looks at Ada and smiles warmly at her. It is late and The sea is calm.",
            id="its-first-sentence-alone",
        ),
        pytest.param("She nods.", "She nods.", "She nods.", id="nothing-else"),
    ],
)  # fmt: skip
def test_what_a_continuation_repeats_is_not_doubled(
    beginning: str, continuation: str, text: str
) -> None:
    assert whole(beginning, continuation) == text


PARAGRAPH = (
    "She crosses the room slowly and looks out over the dark water. The gulls are gone, the boats"
    " are tied to the pier, and far out a single light blinks twice and is lost. Her hand rests on"
    " the cold glass for a long while"
)


@pytest.mark.parametrize("before", ["*She waits.*\n\n", "*She waits.*\n \n\t", "Hm.\n", "“Oh!” "])
@pytest.mark.parametrize("end", [", and then sh", ".", ". Then"])
def test_long_paragraph_that_begins_again_is_not_doubled(before: str, end: str) -> None:
    beginning = f"{before}{PARAGRAPH}{end}"
    again = f"{PARAGRAPH}{end} and so on."
    assert whole(beginning, again) == f"{beginning} and so on."


def test_long_sentence_that_begins_again_is_not_doubled() -> None:
    sentence = PARAGRAPH.replace(".", ",")
    beginning = f"She waits. It rains. {sentence}"
    assert whole(beginning, f"{sentence}, and sighs.") == f"{beginning}, and sighs."
    assert whole(beginning, f"It rains. {sentence}, and sighs.") == f"{beginning}, and sighs."


def test_paragraph_that_begins_alike_stays() -> None:
    beginning = f"Hm.\n\n{PARAGRAPH}."
    assert whole(beginning, f"{PARAGRAPH}, and sighs.") == f"{beginning} {PARAGRAPH}, and sighs."


@pytest.mark.parametrize(
    ("beginning", "continuation", "text"),
    [
        ("She says no,", "no, never.", "She says no, no, never."),
        ("It is very", "very late.", "It is very very late."),
        ("She wants to", "together.", "She wants to together."),
        ("She nods. Then", "She nods again.", "She nods. Then She nods again."),
        ("Ha.", "Ha!", "Ha. Ha!"),
        ("好", "好的", "好好的"),
    ],
)
def test_what_is_said_twice_stays(beginning: str, continuation: str, text: str) -> None:
    assert whole(beginning, continuation) == text


def test_space_around_it_goes() -> None:
    assert whole("She nods.", " ") == "She nods."
    assert whole("She nods.", " She sits. \n") == "She nods. She sits."
    assert whole("", "Sit.") == "Sit."


TEXTS = st.text(st.sampled_from("ab .'-\n\"*1é灯はก가"), max_size=30)


@given(TEXTS, TEXTS, st.integers(1, 5))
def test_result_does_not_depend_on_the_pieces(beginning: str, text: str, size: int) -> None:
    join = Continuation(beginning)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    shown = "".join(join.feed(piece) for piece in pieces) + join.flush()
    at_once = Continuation(beginning)
    assert shown == at_once.feed(text) + at_once.flush()


@pytest.mark.parametrize(
    "text",
    [
        "a ",
        "ab",
        "the the ",
        "灯",
        " ",
        "\n",
        "She nods. ",
        "a\n",
        "\n a",
        ".* ",
        "。",
        "x" * (MOST_WORD_CHARS + 1),
    ],
)
def test_takes_work_in_the_length_of_the_texts(text: str) -> None:
    def join(times: int) -> None:
        for beginning in (text * times, f"{text * times}x"):
            continuing = Continuation(beginning)
            for char in text * times:
                continuing.feed(char)
            continuing.flush()

    assert is_linear(join, lambda times: times, MOST_OVERLAP_CHARS)


def test_model_that_only_repeats_twice_has_nothing_else_to_say() -> None:
    first = Reply(Cast("Mara", ["Ada"]), continues="Good evening.")
    assert first.feed("Good evening.") + first.flush() == ""
    assert first.is_repeat

    second = Reply(Cast("Mara", ["Ada"]), continues="Good evening.")
    second.accept_repeat()
    assert second.feed("Good evening.") + second.flush() == " Good evening."
    assert not second.is_repeat


def test_word_that_is_said_twice_is_no_repetition() -> None:
    reply = Reply(Cast("Mara", ["Ada"]), continues="Sit.")
    assert reply.feed("Sit.") + reply.flush() == " Sit."
    assert not reply.is_repeat
