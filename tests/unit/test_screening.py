"""The hard limit, part by part. The corpus is in tests/policy; texts here are as terse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat.api import Tier
from roleplay_chat.screening import decision, lexicon, rules, word_classes
from roleplay_chat.screening.decision import (
    PARTS,
    ContentRefused,
    Finding,
    Part,
    PartSignals,
    Passage,
    PromptReading,
    Reading,
    ReplyScreen,
    content_refused,
    in_context,
    judge,
    read,
    screen,
)
from roleplay_chat.screening.normalize import fold
from roleplay_chat.screening.rules import READ_AT_ONCE_CHARS, Growing, detect, is_sexual
from roleplay_chat.screening.word_classes import (
    MAX_UNSETTLED_CHARS,
    encode,
    first_words,
    last_words,
    settle,
)
from tests.policy.corpus import Case, cases

STATED = "She is 12 years old."
SEXUAL = "A sexual scene."
SOFT = "She undresses."
TEEN = "A teenager with a skateboard."
PLAIN = "The kettle hisses."

RULES = [
    rule
    for group in vars(rules).values()
    if isinstance(group, rules._Rules)
    for rule in group.rules
]


def found(*passages: Passage, tier: Tier = "sfw") -> Finding | None:
    return screen(passages, tier=tier)


class TestTogether:
    """A minor and sexual content in different parts of the prompt."""

    @pytest.mark.parametrize("minor", PARTS)
    @pytest.mark.parametrize("sexual", PARTS)
    @pytest.mark.parametrize("tier", ["sfw", "nsfw"])
    def test_stated_minor_and_explicit_content_never_go_together(
        self, minor: Part, sexual: Part, tier: Tier
    ) -> None:
        finding = found(Passage(minor, STATED), Passage(sexual, SEXUAL), tier=tier)

        assert finding is not None

    def test_the_part_that_came_later_is_to_blame(self) -> None:
        card, message = Passage("character", STATED), Passage("message", SEXUAL)
        assert found(card, message) == Finding("sexual", "message")
        assert found(Passage("history", SEXUAL), Passage("message", STATED)) == Finding(
            "sexual", "message"
        )
        assert found(Passage("character", f"{STATED} {SEXUAL}"), Passage("message", PLAIN)) == (
            Finding("sexual", "character")
        )

    def test_declared_age_counts_like_a_stated_one(self) -> None:
        assert found(Passage("character", PLAIN, 17), Passage("message", SEXUAL)) is not None
        assert found(Passage("character", PLAIN, 18), Passage("message", SEXUAL)) is None
        assert found(Passage("character", PLAIN, 12), Passage("message", PLAIN)) is None
        assert found(Passage("character", PLAIN, 0), Passage("message", SEXUAL)) is not None

    @pytest.mark.parametrize("part", ["character", "persona"])
    def test_soft_words_to_a_minor_who_is_played_are_enough(self, part: Part) -> None:
        assert found(Passage(part, STATED), Passage("message", SOFT)) == Finding(
            "sexual", "message"
        )

    def test_soft_words_far_from_a_minor_who_is_mentioned_are_not(self) -> None:
        assert found(Passage("history", STATED), Passage("message", SOFT)) is None

    def test_distance_within_a_text_counts(self) -> None:
        near, far = f"The child. {SEXUAL}", f"The child. {PLAIN * 30} {SEXUAL}"
        assert found(Passage("message", near)) is not None
        assert found(Passage("message", far)) is None

    def test_sexual_content_among_adults_is_not_the_matter_of_this(self) -> None:
        assert found(Passage("character", "A woman of 40."), Passage("message", SEXUAL)) is None


class TestAdultTier:
    """In the adult tier a sexual context is assumed."""

    @pytest.mark.parametrize("part", PARTS)
    def test_stated_minor_is_refused_in_every_part(self, part: Part) -> None:
        assert found(Passage(part, STATED), tier="nsfw") == Finding("adult_turn", part)
        assert found(Passage(part, STATED), tier="sfw") is None

    def test_age_that_the_text_contradicts_does_not_help(self) -> None:
        card = Passage("character", "She is in 8th grade.", 18)
        assert found(card, tier="nsfw") == Finding("adult_turn", "character")

    def test_declared_minor_is_refused(self) -> None:
        assert found(Passage("persona", PLAIN, 16), tier="nsfw") is not None

    def test_teenager_who_is_played_is_a_minor_unless_an_adult_age_stands_beside(self) -> None:
        adult = Passage("character", "A 19-year-old teen.")
        assert found(Passage("character", TEEN), tier="nsfw") is not None
        assert found(adult, tier="nsfw") is None
        assert found(Passage("message", TEEN), tier="nsfw") is None

    def test_time_that_is_over_is_refused_only_near_sexual_content(self) -> None:
        past = "When I was 15 we moved."
        assert found(Passage("message", past), tier="nsfw") is None
        assert found(Passage("message", f"{past} {SEXUAL}"), tier="nsfw") is not None


def test_absolute_term_is_refused_alone_and_everywhere() -> None:
    for part in PARTS:
        assert found(Passage(part, "lolicon")) == Finding("absolute", part)


def test_finding_and_refusal_hold_no_text() -> None:
    finding = found(Passage("message", f"{STATED} {SEXUAL}"))
    assert finding is not None

    told = content_refused(finding)
    assert (told.status, told.code) == (403, "content_refused")
    assert told.message == (
        "This message is not allowed: sexual content that involves anyone under 18 is never"
        " allowed."
    )
    assert "12" not in repr(finding) + told.message


@pytest.mark.parametrize("part", PARTS)
def test_every_part_and_category_has_a_sentence(part: Part) -> None:
    for category in ("absolute", "sexual", "adult_turn", "classifier"):
        told = content_refused(Finding(category, part)).message
        assert re.fullmatch(r"[A-Z][a-z ]+: [a-z0-9 ]+\.", told)


class TestWords:
    def test_each_has_one_class(self) -> None:
        classes: dict[str, set[str]] = {}
        numbers = {str(years): line for years, line in lexicon.NUMBERS.items()}
        more = {"weak": lexicon.WEAK_NUMBERS, "ordinal": lexicon.ORDINALS}
        for name, line in (lexicon.WORDS | numbers | more).items():
            for word in line.split():
                classes.setdefault(fold(word), set()).add(name)

        assert {word: names for word, names in classes.items() if len(names) > 1} == {}

    @pytest.mark.parametrize(
        ("written", "plain"),
        [
            pytest.param("ＳＥＸ", "sex", id="full-width"),
            pytest.param("ⓈⒺⓍ", "sex", id="in-circles"),
            pytest.param("🅂🄴🅇", "sex", id="in-squares"),
            pytest.param("🇸🇪🇽", "sex", id="flags"),
            pytest.param("ꜱᴇx", "sex", id="small-capitals"),
            pytest.param("s\u200be\u2060x", "sex", id="invisible-between"),
            pytest.param("s\u0335e\u0335x\u0335", "sex", id="struck-through"),
            pytest.param("ѕех", "sex", id="cyrillic"),
            pytest.param("ᏚᎬx", "sex", id="cherokee"),
            pytest.param("ꓢꓰꓫ", "sex", id="lisu"),
            pytest.param("sǝx", "sex", id="turned"),
            pytest.param("s<b>e</b>x", "sex", id="tags"),
            pytest.param("<p>Age:</p><p>12</p>", "Age: 12", id="tags-between-words"),
            pytest.param("&#115;e&zwnj;x", "sex", id="character-references"),
            pytest.param("s&ZeroWidthSpace;e&#00000000120", "sex", id="long-references"),
            pytest.param("Age:&amp;nbsp;&lt;b&gt;12&lt;/b&gt;", "Age: 12", id="escaped-twice"),
            pytest.param("12<br />yo", "12 yo", id="tag-with-a-space"),
            pytest.param("sεx", "sex", id="greek"),
            pytest.param("s3x", "sex", id="digit-for-a-letter"),
            pytest.param("$ex", "sex", id="sign-for-a-letter"),
            pytest.param("s*x", "sex", id="letter-masked"),
            pytest.param("s.e.x", "sex", id="points-between"),
            pytest.param("seeeex", "sex", id="drawn-out"),
            pytest.param("секс", "sex", id="russian-as-it-is"),
            pytest.param("１２yo", "12yo", id="full-width-digits"),
            pytest.param("l2yo", "12yo", id="letter-for-a-digit"),
            pytest.param("1-2-y-o", "12yo", id="age-in-pieces"),
            pytest.param("5.3x", "sex", id="looks-like-a-fraction"),
            pytest.param("12½yo", "12.5 yo", id="fraction-as-one-sign"),
            pytest.param("未-成-年", "未成年", id="signs-between-characters"),
        ],
    )
    def test_disguise_is_seen_through(self, written: str, plain: str) -> None:
        assert encode(written) == encode(plain)

    @pytest.mark.parametrize(
        ("text", "same_as"),
        [
            ("s e x", "sex"),
            ("1 2 y o", "12yo"),
            ("s&nbsp;e&nbsp;x", "sex"),
            ("<b>s</b> <b>e</b> <b>x</b>", "sex"),
            ("未 成 年", "未成年"),
        ],
    )
    def test_letters_that_stand_alone_are_read_as_a_word(self, text: str, same_as: str) -> None:
        assert encode(text).endswith(encode(same_as))

    @pytest.mark.parametrize(
        "text", ["&" + "amp;" * 20_000 + "lt;", "<" * 20_000 + "b>" * 20_000, "&lt;" * 20_000]
    )
    def test_nested_markup_is_read_once(self, text: str) -> None:
        assert len(encode(text)) <= len(text)

    @pytest.mark.parametrize(
        "text",
        [
            "<b>s</b> <b>e</b> <b>x</b> scene",
            "She is 12<br />years old.<br />",
            "Age:&nbsp;<i>12</i> &amp; so on",
        ],
    )
    def test_markup_in_a_text_that_grows_is_read_as_in_the_whole(self, text: str) -> None:
        for length in range(len(text)):
            codes, rest = settle(text[:length])
            assert codes + encode(rest + text[length:]) == encode(text)

    @pytest.mark.parametrize(
        "word", ["sextant", "Sussex", "pupil", "12%", "$12", "12:30", "3.12", "1/12/2020", "12,000"]
    )
    def test_look_alike_is_no_signal(self, word: str) -> None:
        assert detect(f"a {word} and a kettle") == rules.Signals()


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("blowjobs", True),
        ("Two handjobs.", True),
        ("She stripteased.", True),
        ("threesomes", True),
        ("DILDOS", True),
        ("The gun was cocked.", False),
        ("Both canals froze.", False),
        ("He seeds the lawn.", False),
    ],
)
def test_inflected_words_are_sexual_and_refuse_nothing(text: str, is_found: bool) -> None:
    assert is_sexual(text) is is_found
    assert not detect(text).explicit


@pytest.mark.parametrize("case", [case for case in cases("corpus.jsonl") if case.lang == "en"][::9])
def test_rules_are_tried_wherever_they_apply(case: Case) -> None:
    encoded = encode(case.text)
    assert len(RULES) > 100
    for rule in RULES:
        if rule.pattern.search(encoded):
            assert not rule.telling.isdisjoint(encoded)


@pytest.mark.parametrize(
    ("text", "most", "begins", "ends"),
    [
        pytest.param("A sextant, of Sussex.", 5, "A", ".", id="words"),
        pytest.param("Of x112 years, 112 of", 9, "Of x112", " 112 of", id="numbers"),
        pytest.param("112 112", 3, "112", " 112", id="whole-words"),
        pytest.param("海海海海二十二歳海海海", 6, "海海海海", "歳海海海", id="numerals"),
        pytest.param("x" * 20, 10, "", "", id="one-word"),
        pytest.param("short", 10, "short", "short", id="whole"),
    ],
)
def test_a_text_is_not_cut_within_a_word(text: str, most: int, begins: str, ends: str) -> None:
    assert (first_words(text, most), last_words(text, most)) == (begins, ends)


class TestRead:
    @pytest.fixture
    def looked_at(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The texts that were actually read."""
        texts: list[str] = []
        monkeypatch.setattr(decision, "_known", {})
        monkeypatch.setattr(decision, "_known_alone", {})
        monkeypatch.setattr(decision, "_known_prompts", {})

        def noted(text: str) -> rules.Signals:
            texts.append(text)
            return detect(text)

        monkeypatch.setattr(decision, "detect", noted)
        return texts

    @pytest.mark.parametrize("part", ["character", "persona", "scene", "memory"])
    def test_looks_once_at_what_stays_the_same(self, part: Part, looked_at: list[str]) -> None:
        passages = [Passage(part, STATED), Passage(part, PLAIN)]
        assert read(passages) == read(passages) == [(part, detect(STATED)), (part, detect(PLAIN))]
        assert looked_at == [STATED, PLAIN]

    def test_looks_once_at_what_is_said_while_a_conversation_grows(
        self, looked_at: list[str]
    ) -> None:
        said = [f"{PLAIN} {number}" for number in range(6)]
        for newest in range(2, 6):
            talk = [Passage("history", text) for text in said[:newest]]
            talk.append(Passage("message", said[newest]))
            read(in_context([Passage("character", PLAIN), *talk]))
        assert len(looked_at) == len(set(looked_at))
        assert any(said[5] in text for text in looked_at)

    @pytest.mark.usefixtures("looked_at")
    def test_tells_how_much_of_a_conversation_is_not_known_yet(self) -> None:
        said = [Passage("history", f"{PLAIN} {number}") for number in range(50)]
        passages = [Passage("character", PLAIN), *said, Passage("message", PLAIN)]
        chars = sum(len(passage.text) for passage in passages)
        assert Reading(passages).unread_chars == chars
        read(passages)
        assert Reading(passages).unread_chars == 0
        assert Reading([*passages, Passage("message", SOFT)]).unread_chars == len(SOFT)

    def test_knows_an_age_that_was_not_declared_before(self, looked_at: list[str]) -> None:
        grown, child = Passage("character", PLAIN, 40), Passage("character", PLAIN, 12)
        assert [found.minor for _, found in read([grown, child, grown])] == [False, True, False]
        assert looked_at == [PLAIN]

    def test_oldest_texts_are_forgotten_and_read_again(
        self, monkeypatch: pytest.MonkeyPatch, looked_at: list[str]
    ) -> None:
        monkeypatch.setattr(decision, "REMEMBERED_TEXTS", 1)
        texts = [STATED, SEXUAL, STATED]
        read([Passage("scene", text) for text in texts])
        assert looked_at == texts


SHORT = st.sampled_from(["", "a", "Hm.", "a b " * 50, "x" * 498, "x" * 499, "x" * 500, "x" * 501])
FEW_OR_MANY = st.builds(
    lambda part, text, times: [Passage(part, text)] * times,
    st.sampled_from(PARTS[:-1]),
    SHORT | st.text("ab \n十", max_size=600),
    st.sampled_from([1, 1, 1, 2, 300]),
)


def end_of(passages: Sequence[Passage]) -> str:
    return last_words("\n".join(passage.text for passage in passages), decision.LEAD_CHARS)


def in_plain_context(passages: Sequence[Passage]) -> list[Passage]:
    """What `in_context` means: the passages before each are searched again for each."""
    alone, seams = [], []
    for place, passage in enumerate(passages):
        is_said = passage.part in ("history", "message")
        before = decision._nearest(passages[:place])
        said = decision._nearest(passages[:place], ("history", "message"))
        lead = (said or (before if passage.part == "history" else [])) if is_said else []
        text = f"{end_of(lead)}\n{passage.text}" if lead else passage.text
        alone.append(Passage(passage.part, text, passage.age))
        begun = first_words(passage.text.lstrip(), decision.RUN_ON_CHARS)
        if begun and (ended := end_of(lead).rstrip())[-1:].isalnum():
            words = last_words(ended, decision.RUN_ON_CHARS)
            seams.append(Passage(passage.part, f"{words} {begun}", is_seam=True))
        if before and before != lead:
            later = max([one.part for one in (*before, passage)], key=PARTS.index)
            words = f"{end_of(before)}\n{first_words(passage.text, decision.LEAD_CHARS)}"
            seams.append(Passage(later, words, is_seam=True))
    return [*alone, *seams]


@pytest.mark.parametrize(
    "said",
    [
        ["she is", "12 years old"],
        ["she is 12 years", "old"],
        ["she is", "12", "years", "old"],
        ["her age is", "12"],
    ],
)
def test_sentence_over_several_messages_is_read_as_one(said: list[str]) -> None:
    *before, last = said
    talk = [*(Passage("history", text) for text in before), Passage("message", last)]
    assert judge(read(in_context(talk)), "nsfw")


@pytest.mark.parametrize(
    "said",
    [
        ["Is the whisky old?", "12 years."],
        ["tell me how old the bridge is", "18 metres and 12 years of work"],
        ["I waited for you", "12 minutes later you came"],
        ["what level are you", "15, and climbing."],
        ["how much is she", "Fifteen."],
        ["quel niveau es tu", "15"],
    ],
)
def test_messages_that_are_no_sentence_together_pass(said: list[str]) -> None:
    talk = [Passage("history", said[0]), Passage("message", said[1])]
    assert judge(read(in_context(talk)), "nsfw") is None


@given(st.lists(FEW_OR_MANY, max_size=6).map(lambda runs: [one for run in runs for one in run]))
def test_context_of_any_passages(passages: list[Passage]) -> None:
    assert in_context(passages) == in_plain_context(passages)


class TestPromptReading:
    SAID = st.sampled_from([STATED, SEXUAL, TEEN, SOFT, PLAIN * 30, "The little girl", "Hm.", ""])
    PASSAGE = st.builds(Passage, st.sampled_from(PARTS[:-1]), SAID, st.none(), st.just(False))
    PASSAGES = st.lists(PASSAGE, max_size=8)

    @given(PASSAGES, PASSAGES)
    def test_finds_what_is_in_the_passages_in_context_whatever_is_known(
        self, earlier: list[Passage], later: list[Passage]
    ) -> None:
        for passages in (earlier, [*earlier, *later], [*earlier, *later]):
            found = PromptReading(passages).signals()
            expected = read(in_context(passages))
            nothing = rules.Signals()
            assert {one for one in found if one[1] != nothing} == {
                one for one in expected if one[1] != nothing
            }

    @given(PASSAGES, st.integers(0, 8))
    def test_passages_from_one_on_are_in_context_what_they_are_among_all(
        self, passages: list[Passage], start: int
    ) -> None:
        whole, rest = in_context(passages), in_context(passages, start)
        alone = [one for one in rest if not one.is_seam]
        seams = [one for one in rest if one.is_seam]
        assert alone == [one for one in whole if not one.is_seam][start:]
        assert seams == [one for one in whole if one.is_seam][-len(seams) or len(whole) :]

    def test_looks_only_at_the_newest_where_the_turn_before_was_known(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts: list[str] = []
        said = [Passage("history", f"{PLAIN} {number}") for number in range(50)]
        asked = Passage("message", SOFT)
        monkeypatch.setattr(decision, "_known_prompts", {})
        PromptReading([*said[:48], asked]).signals()
        # Nothing but the beginnings of prompts.
        monkeypatch.setattr(decision, "_known_alone", {})

        def noted(text: str) -> rules.Signals:
            texts.append(text)
            return detect(text)

        monkeypatch.setattr(decision, "detect", noted)
        reading = PromptReading([*said, asked])
        assert reading.unread_chars < 4 * decision.LEAD_CHARS
        reading.signals()
        assert len(texts) == 6  # Three messages, each also as one sentence with the one before.

    def test_very_many_passages_are_put_in_context_when_they_are_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that a thread does it."""
        put: list[int] = []

        def noting(passages: Sequence[Passage], start: int = 0) -> list[Passage]:
            put.append(len(passages) - start)
            return in_context(passages, start)

        monkeypatch.setattr(decision, "_known_prompts", {})
        monkeypatch.setattr(decision, "in_context", noting)
        passages = [Passage("history", "a")] * (decision.MANY_PASSAGES + 2)
        reading = PromptReading(passages)
        assert reading.unread_chars > READ_AT_ONCE_CHARS
        assert put == [1]
        reading.signals()
        assert put == [1, len(passages) - 1]
        assert PromptReading(passages).unread_chars == 0

    def test_knows_no_other_prompt(self) -> None:
        child, grown = (Passage("character", PLAIN, age) for age in (12, 40))
        rest = [Passage("history", PLAIN), Passage("message", PLAIN)]
        found = [
            any(found.minor for _, found in PromptReading([first, *rest]).signals())
            for first in (grown, child, grown)
        ]
        assert found == [False, True, False]

    def test_forgets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known: dict[bytes, Sequence[PartSignals]] = {}
        monkeypatch.setattr(decision, "_known_prompts", known)
        monkeypatch.setattr(decision, "REMEMBERED_PROMPTS", 3)
        for number in range(10):
            PromptReading([Passage("scene", f"{PLAIN} {number}"), Passage("message", "")]).signals()
            assert 1 <= len(known) <= 3


@given(st.text("sx .,(1\n-é", max_size=60))
def test_letters_in_a_row_are_looked_for_wherever_there_may_be_some(text: str) -> None:
    codes = "".join(map(word_classes._codes.__getitem__, word_classes._apart(text)))
    if word_classes._IN_A_ROW.search(codes):
        assert word_classes._may_be_spelled_out(codes)


def test_tens_of_months_are_not_quiet() -> None:
    assert detect("She is twenty months old.").minor
    assert not Growing("She is twenty months old.").is_quiet()


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    assert isinstance(detect(text), rules.Signals)


@given(st.text("aes x12yo .\n-*'\"性交歳살секс", max_size=120))
def test_quiet_text_has_no_signals(text: str) -> None:
    if Growing(text).is_quiet():
        assert detect(text) == rules.Signals()


def test_long_text_without_spaces_is_read() -> None:
    assert detect("_".join(["x" * 50, *STATED.split(), *SEXUAL.split()])).together


class TestReply:
    @staticmethod
    def told(
        *pieces: str, tier: Tier = "sfw", before: list[Passage] | None = None, follows: str = ""
    ) -> str:
        """The shown text of a reply. Raises `ContentRefused`."""
        reply = ReplyScreen(read(before or []), tier, follows=follows)
        return "".join([*map(reply.feed, pieces), reply.flush()])

    @staticmethod
    def fed(reply: ReplyScreen, letters: str) -> str:
        return "".join(map(reply.feed, letters))

    def test_clean_text_is_not_held_back(self) -> None:
        reply = ReplyScreen([], "sfw")
        assert [reply.feed(piece) for piece in ("The ket", "tle", " hiss", "es.")] == [
            "The ket",
            "tle",
            " hiss",
            "es.",
        ]

    def test_suspicion_waits_for_the_words_that_clear_it(self) -> None:
        reply = ReplyScreen([], "nsfw")
        shown = [reply.feed(piece) for piece in ("A 12 year", " old", " whisky", ", neat.")]
        assert shown == ["A 12 year", "", " old whisky", ", neat."]

    def test_suspicion_that_nothing_clears_ends_the_reply(self) -> None:
        reply = ReplyScreen([], "nsfw")
        assert reply.feed("She is 12 years") + reply.feed(" old") == ""
        with pytest.raises(ContentRefused) as refused:
            reply.feed(" and stands at the window of the kitchen, waiting.")
        assert refused.value.finding == Finding("adult_turn", "reply")

    def test_suspicion_at_the_end_is_a_finding(self) -> None:
        with pytest.raises(ContentRefused):
            self.told("She is", " 12", ".", tier="nsfw")

    def test_parts_before_it_count(self) -> None:
        card = [Passage("character", STATED)]
        assert self.told(PLAIN, before=card) == PLAIN
        with pytest.raises(ContentRefused):
            self.told(SEXUAL, before=card)

    def test_message_it_answers_counts(self) -> None:
        with pytest.raises(ContentRefused):
            self.told(SEXUAL, follows="What of the little girl?")
        assert self.told(PLAIN, follows="What of the little girl?") == PLAIN

    @pytest.mark.parametrize("words", ["her 12th birthday", "she is 12 years old"])
    def test_space_between_the_words_hides_nothing(self, words: str) -> None:
        pieces = words.replace(" ", " " * 150 + "|").split("|")
        with pytest.raises(ContentRefused):
            self.told(*pieces, ".", tier="nsfw")

    def test_what_is_far_back_counts(self) -> None:
        with pytest.raises(ContentRefused):
            self.told(STATED, *[f" {PLAIN}"] * 300, SEXUAL, tier="sfw")

    @pytest.mark.parametrize("words", [10, 100, 250, 400, 1000])
    @pytest.mark.parametrize(
        "word", [" hm", " Donaudampfschifffahrtskapitaen", "カタカナ", "ฝน", "x"]
    )
    def test_weak_sign_reaches_as_far_as_in_the_whole(self, word: str, words: int) -> None:
        """For any number of characters in between, with and without spaces."""
        for sign, act in (("The little girl.", " Sexual."), ("少女", "性交")):
            text = f"{sign}{word * words}{act}"
            assert is_refused([text[at : at + 5] for at in range(0, len(text), 5)]) == (
                found(Passage("reply", text)) is not None
            )

    def test_number_is_not_cut_where_the_window_ends(self) -> None:
        text = "Grown trees of twenty two years old. " * 200 + "Hm."
        assert self.told(*re.findall(r"\s*\S+", text), tier="nsfw") == text

    def test_long_word_that_looks_like_a_finding_is_not_waited_for_without_end(self) -> None:
        reply = ReplyScreen([], "nsfw")
        reply.feed("She is 12 years old ")
        with pytest.raises(ContentRefused):
            self.fed(reply, "x" * decision.MOST_HELD_CHARS)

    @pytest.mark.parametrize("case", cases("corpus.jsonl")[::3], ids=lambda case: case.id)
    def test_any_split_gives_what_the_whole_gives(self, case: Case) -> None:
        for pieces in (re.findall(r"\s*\S+", case.text), list(case.text), [case.text]):
            try:
                shown = self.told(*pieces, tier=case.tier)
            except ContentRefused:
                assert case.expect == "refuse"
            else:
                assert (shown, case.expect) == (case.text, "pass")

    @given(st.lists(st.sampled_from(["She", " is", " 12", " years", " old", " sex", "tant", ". "])))
    def test_what_is_shown_is_clean_at_every_moment(self, pieces: list[str]) -> None:
        reply, shown = ReplyScreen([], "sfw"), ""
        try:
            for piece in pieces:
                shown += reply.feed(piece)
                assert found(Passage("reply", shown)) is None
            shown += reply.flush()
        except ContentRefused:
            assert "".join(pieces).startswith(shown)
        else:
            assert shown == "".join(pieces)


def is_refused(pieces: Iterable[str], tier: Tier = "sfw") -> bool:
    """Whether a reply in these pieces is refused; otherwise all of it is shown."""
    reply, shown, fed = ReplyScreen([], tier), "", ""
    try:
        for piece in pieces:
            fed += piece
            shown += reply.feed(piece)
        shown += reply.flush()
    except ContentRefused:
        return True
    assert shown == fed
    return False


FILLERS = {
    "latin": "The kettle hisses and the rain goes on. ",
    "long-words": "Donaudampfschifffahrtsgesellschaftskapitaen ",
    "russian": "Дождь идёт, и чайник шумит. ",
    "chinese": "窗外的雨还在下，炉子上的水壶开了。",
    "chinese-without-signs": "窗外雨还在下炉子上水壶开了",
    "japanese": "雨が降り続いている。やかんが鳴る。",
    "katakana": "カタカナ",
    "korean": "비가 계속 내리고 주전자가 운다. ",
    "korean-without-spaces": "비가계속내리고주전자가운다",
    "thai": "ฝนยังคงตกและกาน้ำส่งเสียง",
    "lines": "kettle\n",
    "blank-lines": "\n\n",
    "spaces": "   ",
    "one-long-word": "x",
    "word-with-another-in-it": "unisex",
    "hyphens": "rain-and-",
    "points": "...",
    "numerals": "二十",
    "two-scripts": "雨rain",
    "single-letters": "a b ",
    "emoji": "🌧️",
    "invisible": "\u200b",
}
CASES = [*cases("corpus.jsonl"), *cases("held_out.jsonl")]


class TestGrowingReply:
    """A reply in pieces, after any text, is refused if the whole text is."""

    @staticmethod
    def check(text: str, tier: Tier, pieces: Iterable[str]) -> None:
        whole = found(Passage("reply", text), tier=tier) is not None
        assert is_refused(pieces, tier) == whole

    @pytest.mark.parametrize("filler", FILLERS)
    @pytest.mark.parametrize("late", ["", " "])
    def test_after_as_much_as_the_window_holds_and_more(self, filler: str, late: str) -> None:
        before = FILLERS[filler] * (1600 // len(FILLERS[filler])) + late
        # Different cases for each filler; the next test mixes them further.
        for case in CASES[len(filler) :: 50]:
            text = before + case.text
            self.check(text, case.tier, (text[at : at + 97] for at in range(0, len(text), 97)))

    @pytest.mark.parametrize("strewn", ["-", " ", "\n", "\u200b", "・"])
    @pytest.mark.parametrize(
        "word", ["未 成 年 做 爱", "a 1 5 y o girl, s e x", "児童ポルノ", "s-e-x with a 13yo"]
    )
    def test_signs_strewn_into_a_word_hide_nothing_however_many(
        self, strewn: str, word: str
    ) -> None:
        for chars in (150, 700, 2_000):
            for place in range(1, len(word)):
                text = word[:place] + strewn * chars + word[place:]
                self.check(text, "sfw", (text[at : at + 97] for at in range(0, len(text), 97)))

    @pytest.mark.parametrize("filler", ["x", "e\u0301", "rain-"])
    def test_word_at_the_end_of_a_long_one_is_not_cut_apart(self, filler: str) -> None:
        for chars in range(360, 440):
            text = (filler * chars)[:chars] + "preteen porn"
            for size in (1, 7, 97, 400):
                self.check(text, "sfw", (text[at : at + size] for at in range(0, len(text), size)))

    @given(
        parts=st.lists(
            st.tuples(st.sampled_from(list(FILLERS.values())), st.integers(1, 400)), max_size=3
        ),
        case=st.sampled_from(CASES),
        late=st.sampled_from(["", " ", "\n"]),
        cuts=st.lists(st.integers(1, 2000), max_size=12),
    )
    @settings(deadline=None)
    def test_after_any_text_in_any_pieces(
        self, parts: list[tuple[str, int]], case: Case, late: str, cuts: list[int]
    ) -> None:
        before = "".join((filler * times)[:1200] for filler, times in parts)
        text = before + late + case.text
        places = sorted({0, len(text), *(len(text) - cut for cut in cuts if cut < len(text))})
        self.check(text, case.tier, (text[start:end] for start, end in pairwise(places)))

    @given(st.lists(st.sampled_from([*FILLERS.values(), "12", "歳", "十", "abc "]), max_size=200))
    @settings(deadline=None)
    def test_its_end_is_all_that_is_read_again(self, pieces: list[str]) -> None:
        growing = Growing()
        for piece in pieces:
            growing.grow(piece)
            assert len(growing._recent) <= MAX_UNSETTLED_CHARS + len(piece)
            assert len(growing._encoded) <= 2 * rules.KEPT_WORDS
