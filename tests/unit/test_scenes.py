"""An explicit scene ends an `sfw` reply, in any pieces. The corpus is in tests/policy."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat.screening import lexicon, scene_lexicon, scenes
from roleplay_chat.screening.decision import ContentRefused, Finding, ReplyScreen
from roleplay_chat.screening.normalize import fold
from roleplay_chat.screening.rules import NOTHING, detect
from roleplay_chat.screening.scenes import is_scene
from roleplay_chat.turn_screen import FIRMER
from tests.policy.corpus import Line, lines

SCENE = "They have sex. He penetrates her and she has an orgasm. "
FILLERS = {
    "spaced": "The kettle hisses and the lamp burns low. ",
    "unspaced": "湯が沸き、灯りが静かに揺れている。",
    "no-end": "nananana",
}
PEOPLE = ("SUBJECT", "SUBJECT_IS", "HER", "THEM", "POSSESSIVE", "DATIVE", "GIRL", "PERSON")
SCENES = [line for line in lines("scenes.jsonl") if line.is_scene]


def is_refused(*pieces: str, continues: str = "", follows: str = "") -> bool:
    """Whether an `sfw` reply in these pieces is refused as a scene."""
    reply = ReplyScreen([], "sfw", follows=follows, continues=continues)
    try:
        shown = "".join([*map(reply.feed, pieces), reply.flush()])
    except ContentRefused as refused:
        return refused.finding == Finding("scene", "reply")
    assert shown == "".join(pieces)
    return False


def split(text: str) -> list[list[str]]:
    """A text as a whole, in words, in characters, and in two halves."""
    half = len(text) // 2
    return [[text], re.findall(r"\s*\S+", text), list(text), [text[:half], text[half:]]]


@pytest.mark.parametrize("line", SCENES, ids=lambda line: line.id)
def test_scene_in_any_pieces_is_refused(line: Line) -> None:
    assert [is_refused(*pieces) for pieces in split(line.text)] == [True] * 4


@pytest.mark.parametrize("line", lines("ordinary.jsonl")[::2], ids=lambda line: line.id)
def test_ordinary_text_in_pieces_is_shown(line: Line) -> None:
    assert not is_refused(*re.findall(r"\s*\S+", line.text))


@pytest.mark.parametrize("filler", FILLERS.values(), ids=FILLERS)
@pytest.mark.parametrize("chars", [300, 700, 1_450, 3_000, 7_000])
@pytest.mark.parametrize("line", SCENES[::6], ids=lambda line: line.id)
def test_what_stands_before_it_hides_nothing(line: Line, chars: int, filler: str) -> None:
    before = filler * (chars // len(filler))
    text = f"{before} {line.text}"

    assert is_scene(text)
    assert is_refused(*(text[at : at + 40] for at in range(0, len(text), 40)))


def test_cut_of_the_window_hides_nothing() -> None:
    for chars in range(scenes.RECENT_CHARS - 120, scenes.RECENT_CHARS + 20, 3):
        text = FILLERS["spaced"] * 100
        assert is_refused(text[:chars], SCENE[:30], SCENE[30:])


@pytest.mark.parametrize("filler", ["x", "-", "\u200b"])
@pytest.mark.parametrize("line", SCENES[::6], ids=lambda line: line.id)
def test_long_word_or_signs_within_it_hide_nothing(line: Line, filler: str) -> None:
    for place in range(0, len(line.text), 3):
        text = f"{line.text[:place]}{filler * 3_000}{line.text[place:]}"
        pieces = [text[at : at + 150] for at in range(0, len(text), 150)]
        assert is_refused(*pieces) == is_scene(text)


def test_sober_words_that_left_the_window_still_count() -> None:
    """Texts that were read together before are not read again alone."""
    sober = "The court heard of the assault and the abuse. " + SCENE
    pieces = [sober, *[FILLERS["spaced"]] * 200]

    assert not is_scene("".join(pieces))
    assert not is_refused(*pieces)


WORDS = st.sampled_from(
    [
        *("She", "he", "her", "sex", "penis", "orgasm", "penetrates", "moans", "naked", "court"),
        *(
            "victim",
            "the",
            "kettle",
            "anal",
            "analysis",
            "性交",
            "陰茎",
            "彼女は",
            "裁判",
            "Sussex",
        ),
        *(".", ",", "and", FILLERS["spaced"], FILLERS["unspaced"]),
    ]
)


@given(words=st.lists(WORDS, max_size=60), cuts=st.lists(st.integers(0, 1_500), max_size=6))
@settings(max_examples=300)
def test_pieces_are_refused_when_the_whole_is(words: list[str], cuts: list[int]) -> None:
    text = " ".join(words)
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert is_refused(*pieces) == is_scene(text)


def test_what_it_answers_is_not_its_own_and_what_it_continues_is() -> None:
    assert not is_refused("The kettle hisses.", follows=SCENE)
    begins, ends = "They have sex. He penetrates her", " and she has an orgasm."
    assert not is_scene(begins)
    assert is_refused(ends, continues=begins, follows=begins)
    assert not is_refused(ends)


def test_minor_in_it_comes_first() -> None:
    reply = ReplyScreen([], "sfw")
    with pytest.raises(ContentRefused) as refused:
        reply.feed(f"She is 12 years old. {SCENE}" + FILLERS["spaced"] * 2)
    assert refused.value.finding.category == "sexual"


def test_scene_in_the_adult_tier_is_not_stopped() -> None:
    reply = ReplyScreen([], "nsfw")
    assert reply.feed(SCENE) + reply.flush() == SCENE


def test_rule_for_a_second_try_has_no_signals() -> None:
    assert detect(FIRMER) == NOTHING
    assert not is_scene(FIRMER)


def test_reading_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    real = scenes._is_scene

    def counted(words: str) -> bool:
        looked_at.append(len(words))
        return real(words)

    monkeypatch.setattr(scenes, "_is_scene", counted)
    text = "The court and the jury: sex. "
    work = []
    for times in (100, 1_000):
        looked_at.clear()
        assert not is_scene(text * times)
        work.append(sum(looked_at))
    assert work[1] <= 10.5 * work[0]


class TestWords:
    def test_each_has_one_class(self) -> None:
        for part in (scene_lexicon.WORDS, scene_lexicon.STEMS, scene_lexicon.WRITTEN_TOGETHER):
            names: dict[str, set[str]] = {}
            for name, line in part.items():
                for word in line.split():
                    names.setdefault(fold(word), set()).add(name)
            assert {word: found for word, found in names.items() if len(found) > 1} == {}

    @pytest.mark.parametrize("part", ["WORDS", "STEMS", "WRITTEN_TOGETHER"])
    def test_no_scene_is_where_nothing_explicit_is(self, part: str) -> None:
        """A reply is checked for scenes only if it has an explicit or soft word."""
        words = getattr(scene_lexicon, part)
        for name in ("ACT", "ORGAN", "ENTERS"):
            for word in words.get(name, "").split():
                found = detect(word)
                assert found.explicit or found.soft, word

    def test_none_takes_a_persons_place(self) -> None:
        """The lexicon has the words for acting persons; no word here hides them."""
        people = {fold(word) for name in PEOPLE for word in lexicon.WORDS[name].split()}
        assert people.isdisjoint(scenes._tables().words)

    @pytest.mark.parametrize(
        "written",
        [
            pytest.param("Ｓｈｅ ｍｏａｎｓ", id="full-width"),
            pytest.param("She m0ans", id="digit-for-a-letter"),
            pytest.param("She mo\u200bans", id="invisible-between"),
            pytest.param("She mоаns", id="cyrillic"),
            pytest.param("She MOANS", id="shouted"),
            pytest.param("*She moans*", id="between-asterisks"),
        ],
    )
    def test_disguise_is_seen_through(self, written: str) -> None:
        assert scenes._encode(written) == scenes._encode("She moans")

    @pytest.mark.parametrize("text", ["女性交流会", "el pe\u0301nis", "l'orgasme", "ｾｯｸｽ"])
    def test_word_is_found_where_it_is_one(self, text: str) -> None:
        strong = bool(scenes._STRONG.search(scenes._encode(text)))
        assert strong == (text != "女性交流会")


def test_no_piece_is_read_together_with_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """New words take long, and others wait for each piece."""
    read: list[int] = []

    def noting(text: str) -> str:
        read.append(len(text))
        return encode(text)

    encode = scenes._encode
    monkeypatch.setattr(scenes, "_encode", noting)
    growing = scenes.GrowingScene()
    for number in range(30):
        read.clear()
        growing.grow(f"{FILLERS['spaced']}{number} " * 25)
        assert sum(read) < 2 * scenes.UNREAD_CHARS - scenes.LEFT_CHARS
