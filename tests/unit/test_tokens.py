"""Estimating the tokens of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.tokens import (
    UNCALIBRATED,
    Tokens,
    estimate,
    estimate_messages,
)

# Counted with SmolLM2's tokenizer, whose vocabulary is small (49,000) and English.
MEASURED = [
    pytest.param(
        "*The lamp hisses as Mara trims the wick. She does not turn around.* You took the stairs"
        " two at a time. Either you are young, or something is behind you.\n\n"
        '"There is tea," she said. "Sit. Then tell me which."',
        58,
        id="english",
    ),
    pytest.param(
        "Der Leuchtturmwärter öffnete die Tür und schüttelte das Wasser von seinem Mantel."
        " »Sie hätten früher kommen sollen«, brummte er.",
        54,
        id="german",
    ),
    pytest.param(
        "¿Quién está ahí? —preguntó el farero, levantando la lámpara—. Nadie sube aquí de noche"
        " sin una razón.",
        42,
        id="spanish",
    ),
    pytest.param(
        "Смотритель маяка открыл дверь и стряхнул воду с плаща. Вам следовало прийти раньше,"
        " проворчал он.",
        74,
        id="russian",
    ),
    pytest.param(
        "Ο φαροφύλακας άνοιξε την πόρτα και τίναξε το νερό από το παλτό του.", 57, id="greek"
    ),
    pytest.param("فتح حارس المنارة الباب ونفض الماء عن معطفه.", 37, id="arabic"),
    pytest.param("प्रकाशस्तंभ के रखवाले ने दरवाज़ा खोला और अपने कोट से पानी झटक दिया।", 76, id="hindi"),
    pytest.param("ผู้ดูแลประภาคารเปิดประตูและสะบัดน้ำออกจากเสื้อคลุม", 94, id="thai"),
    pytest.param(
        "灯塔守护人打开门，抖落外套上的水。“你应该早点来的，”他嘟囔道。",
        58,
        id="chinese",
    ),
    pytest.param(
        "灯台守は扉を開け、外套の水を払った。「もっと早く来るべきだった」と彼は呟いた。",
        73,
        id="japanese",
    ),
    pytest.param(
        "등대지기는 문을 열고 외투의 물을 털었다. 더 일찍 왔어야지, 그가 중얼거렸다.",
        91,
        id="korean",
    ),
    pytest.param("🌊🌊👩‍✈️ ❤️ 😂😂", 23, id="emoji"),
    pytest.param("1234567890 3.14159 2026-11-22", 29, id="digits"),
]


@pytest.mark.parametrize(("text", "tokens"), MEASURED)
def test_no_script_is_counted_much_too_low_before_anything_is_known(text: str, tokens: int) -> None:
    counted = UNCALIBRATED.count(text)
    assert tokens / 1.5 <= counted <= tokens * 1.5


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("four", 2), ("Sit.", 2), ("2026", 4), ("\n\n", 2), ("🌊", 3), ("灯台", 3)],
)
def test_tokens_are_estimated(text: str, tokens: int) -> None:
    assert UNCALIBRATED.count(text) == tokens


def test_scripts_are_told_apart() -> None:
    assert estimate("Zoë said: “Sit.”").other == 0
    assert estimate("灯台守я🌊").latin == 0


def test_what_was_learnt_of_one_script_says_nothing_of_others() -> None:
    english, japanese = "The lamp hisses. " * 40, "灯台守は静かに立つ。" * 40
    learnt = Tokens.from_ratios({"latin": 0.7})
    assert learnt.count(english) < UNCALIBRATED.count(english)
    assert learnt.count(japanese) == UNCALIBRATED.count(japanese)


@pytest.mark.parametrize("odd", [None, "1", True, float("nan"), [], {}])
def test_ratio_that_is_none_does_not_count(odd: object) -> None:
    assert Tokens.from_ratios({"latin": odd, "other": odd}) == UNCALIBRATED


@pytest.mark.parametrize(
    ("given", "taken"), [(0, 0.5), (-1, 0.5), (1e9, 2.0), (10**400, 2.0), (float("inf"), 2.0)]
)
def test_ratio_stays_within_its_bounds(given: float, taken: float) -> None:
    assert Tokens.from_ratios({"latin": given}).latin == taken


texts = st.text(st.characters(), max_size=200)
counters = st.builds(Tokens, st.floats(0.5, 2), st.floats(0.5, 2))


@given(texts, texts, counters)
def test_count_of_a_whole_is_at_most_that_of_its_parts(one: str, two: str, tokens: Tokens) -> None:
    assert max(tokens.count(one), tokens.count(two)) <= tokens.count(one + two)
    assert tokens.count(one + two) <= tokens.count(one) + tokens.count(two)
    assert tokens.count(one) + tokens.count(two) <= tokens.count(one + two) + 2


@given(texts, st.integers(0, 80), counters)
def test_cut_text_fits_and_no_more_would(text: str, most: int, tokens: Tokens) -> None:
    beginning = tokens.beginning(text, most)
    end = tokens.end(text, most)
    assert text.startswith(beginning)
    assert text.endswith(end)
    assert max(tokens.count(beginning), tokens.count(end)) <= most
    if beginning != text:
        assert tokens.count(text[: len(beginning) + 1]) > most


@given(texts, st.integers(0, 80), counters)
def test_text_without_its_middle_fits(text: str, most: int, tokens: Tokens) -> None:
    ends = tokens.both_ends(text, most)
    if ends is None:
        assert tokens.count(text) <= most
    else:
        assert tokens.count("".join(ends)) <= max(most, tokens.count(" [...] "))
        assert text.startswith(ends[0])
        assert text.endswith(ends[2])


def test_prompt_costs_its_messages_too() -> None:
    assert estimate_messages(["", ""]).latin == 8
