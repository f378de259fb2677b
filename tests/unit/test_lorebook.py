"""Which entries of a lorebook match the newest messages."""

import gc
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.json_text import dumps, loads
from roleplay_chat.lorebook.entries import (
    KEPT_BYTES,
    MAX_KEYS,
    MAX_PATTERN_CHARS,
    MAX_PATTERNS,
    Entry,
    memory_of,
    parse_entries,
    without_decorators,
)
from roleplay_chat.lorebook.keys import (
    MAX_EXPANDED,
    MAX_SCANNED_CHARS,
    compiled,
    escaped,
    expanded,
    is_pattern,
)
from roleplay_chat.lorebook.matching import (
    MAX_GROWTH,
    SMALL_ENTRIES,
    SMALL_SEARCHED,
    are_small,
    broken_patterns,
    is_small,
    match_entries,
    select_entries,
)
from tests.support.cards import card


def entry(content: str = "Found.", *keys: str, **fields: Any) -> dict[str, Any]:
    defaults = {"keys": list(keys), "content": content, "enabled": True, "extensions": {}}
    return defaults | fields


def found(*texts: str, book: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    """The contents of the entries that match these messages, oldest first."""
    return [
        entry.content
        for entry in chosen({"entries": []} | (book or {}) | fields, texts, budget=10_000)
    ]


def chosen(book: dict[str, Any], texts: Sequence[str], *, budget: int) -> list[Entry]:
    """The entries that fit the budget, with one token per character."""
    return select_entries(match_entries(book, texts), book, budget_tokens=budget, count=len)


def calls(text: str, *keys: str, **fields: Any) -> bool:
    """Whether a message matches an entry with these keys."""
    return bool(found(text, entries=[entry("Found.", *keys, **fields)]))


def placed(content: str = "Found.", **fields: Any) -> Entry:
    """A constant entry as the prompt gets it."""
    book = {"entries": [entry(content, constant=True, **fields)]}
    (one,) = match_entries(book, [])
    return one


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "key", "expected"),
        [
            pytest.param("Look at the sea.", "sea", True, id="word"),
            pytest.param("We search the house.", "sea", False, id="inside-a-word"),
            pytest.param("The seas are high.", "sea", False, id="beginning-of-a-word"),
            pytest.param("The Sea!", "sea", True, id="other-case"),
            pytest.param("sea", "sea", True, id="whole-message"),
            pytest.param("*sea*", "sea", True, id="between-signs"),
            pytest.param("sea_monster", "sea", False, id="underscore-joins"),
            pytest.param("the old light house", "light house", True, id="two-words"),
            pytest.param("the old lighthouse", "light house", False, id="two-words-in-one"),
            pytest.param("I write C++ daily", "C++", True, id="signs-are-not-a-pattern"),
            pytest.param("wait... what?", "what?", True, id="sign-at-the-end"),
            pytest.param("what if", "what?", False, id="sign-missing"),
            pytest.param("Cafe\u0301 noir", "café", True, id="decomposed"),
            pytest.param("Die STRASSE", "straße", True, id="sharp-s"),
            pytest.param("ΟΔΥΣΣΕΥΣ", "οδυσσεύς", False, id="accents-differ"),
            pytest.param("ΟΔΟΣ", "οδος", True, id="final-sigma"),
            pytest.param("маяка нет", "маяк", True, id="cyrillic-inflected"),
            pytest.param("наш маяк!", "маяк", True, id="cyrillic"),
            pytest.param("灯台守は海を見た", "海", True, id="japanese"),
            pytest.param("燈塔看守人走向大海", "燈塔", True, id="chinese"),
            pytest.param("등대지기가 바다를 봤다", "바다", True, id="korean-with-a-particle"),
            pytest.param("ประภาคารริมทะเล", "ทะเล", True, id="thai"),
            pytest.param("Maraは灯台守", "mara", True, id="latin-beside-kana"),
            pytest.param("Tamaraは灯台守", "mara", False, id="latin-inside-beside-kana"),
            pytest.param("山の灯", "灯台", False, id="only-half-of-it"),
            pytest.param("हिंदी में लिखो", "हिंदी", True, id="devanagari"),
            pytest.param("a storm 🌊 comes", "🌊", True, id="emoji"),
            pytest.param("anything", "", False, id="empty"),
            pytest.param("anything", "  ", False, id="blank"),
            pytest.param("a sea", " sea ", True, id="spaces-around"),
            pytest.param("x" * 600, "x" * 600, False, id="absurdly-long"),
        ],
    )
    def test_are_found_as_words(self, text: str, key: str, expected: bool) -> None:
        assert calls(text, key) is expected

    def test_case_may_matter(self) -> None:
        assert not calls("the Sea", "sea", case_sensitive=True)
        assert calls("the sea", "sea", case_sensitive=True)
        assert not calls("the Sea", "sea", extensions={"case_sensitive": True})

    def test_parts_of_words_may_count(self) -> None:
        assert calls("We search.", "sea", extensions={"match_whole_words": False})

    def test_any_key_will_do(self) -> None:
        assert calls("The lamp.", "light", "lamp")

    def test_keys_may_have_macros(self) -> None:
        book = {"entries": [entry("Found.", "{{char}}")]}
        names = {"{{char}}": "Mara"}
        by_name = match_entries(book, ["Is Mara in?"], expand=lambda text: names.get(text, text))
        assert len(by_name) == 1

    @pytest.mark.parametrize(
        ("logic", "both", "one", "none"),
        [
            pytest.param(None, True, True, False, id="any"),
            pytest.param(0, True, True, False, id="any-by-number"),
            pytest.param(1, False, True, True, id="not-all"),
            pytest.param(2, False, False, True, id="not-any"),
            pytest.param(3, True, False, False, id="all"),
            pytest.param(2.0, False, False, True, id="not-any-as-a-fraction"),
            pytest.param([], True, True, False, id="odd"),
            pytest.param(True, True, True, False, id="no-number"),
        ],
    )
    def test_secondary_keys_are_required_if_selective(
        self, logic: Any, both: bool, one: bool, none: bool
    ) -> None:
        fields: dict[str, Any] = {
            "selective": True,
            "secondary_keys": ["storm", "night"],
            "extensions": {"selectiveLogic": logic},
        }
        assert calls("sea, storm, night", "sea", **fields) is both
        assert calls("sea, night", "sea", **fields) is one
        assert calls("sea", "sea", **fields) is none
        assert not calls("storm, night", "sea", **fields)

    def test_secondary_keys_count_only_when_selective(self) -> None:
        assert calls("sea", "sea", secondary_keys=["storm"])
        assert calls("sea", "sea", selective=True, secondary_keys=[])

    def test_secondary_keys_may_be_one_text(self) -> None:
        fields = {"selective": True, "secondary_keys": "storm, night"}
        assert calls("sea at night", "sea", **fields)
        assert not calls("sea", "sea", **fields)


SAID = ("Bob: hi", "Ann: well hello")


class TestPatterns:
    @pytest.mark.parametrize(
        ("text", "key", "expected"),
        [
            pytest.param("two storms", r"\bstorms?\b", False, id="without-slashes-a-word"),
            pytest.param("acid", "A.I.", False, id="letters-with-dots"),
            pytest.param("cat", "C++", False, id="letters-with-plus-signs"),
            pytest.param("She *sighs*.", "*sighs*", True, id="between-stars"),
            pytest.param("Was it storms?", "storms?", True, id="question"),
            pytest.param("two storms", r"/\bstorms?\b/", True, id="literal"),
            pytest.param("two STORMS", r"/\bstorms?\b/", False, id="literal-says-its-case"),
            pytest.param("two STORMS", r"/\bstorms?\b/i", True, id="literal-ignores-case"),
            pytest.param("a\nstorm", r"/^storm/m", True, id="multi-line"),
            pytest.param("a\nstorm", r"/a.storm/s", True, id="dot-matches-all"),
            pytest.param("not Marat", r"/Mara(?!t)/", False, id="lookahead"),
            pytest.param("Tamara", r"/(?<!Ta)mara/i", False, id="lookbehind"),
            pytest.param("so so", r"/(?<word>so) \k<word>/", False, id="unsupported-reference"),
            pytest.param("so so", r"/(so) \1/", True, id="reference"),
            pytest.param("灯台", r"/\p{Script=Han}/u", True, id="script"),
            pytest.param("so", r"/so/x", False, id="unknown-flag"),
            pytest.param("cut /so/x here", r"/so/x", True, id="unknown-flag-as-it-is-written"),
            pytest.param("in /usr/local/", "/usr/local/", True, id="path"),
            pytest.param("usr/local", "/usr/local/", False, id="path-is-no-pattern"),
            pytest.param("a/b", r"/a\/b/", True, id="slash-in-a-pattern"),
            pytest.param("(", "/(/", False, id="invalid"),
            pytest.param("a", "/(?R)/", False, id="recursion"),
            pytest.param("storn", "/(?:storm){e<=1}/", False, id="fuzzy"),
            pytest.param("storn", "/[a](?:storm){e<=1}/", False, id="fuzzy-after-a-class"),
            pytest.param("xx", "/[[:alpha:][]{e<=1}x]/", False, id="fuzzy-behind-brackets"),
            pytest.param("storn", r"/\\(?:storm){e<=1}/", False, id="fuzzy-after-a-backslash"),
            pytest.param("x", r"/\p{e<=1}/", False, id="fuzzy-as-a-property"),
            pytest.param("a [Mood]", r"/\[mood\]|\{happy\}/i", True, id="escaped-brackets"),
            pytest.param("a {mood}", r"/\{mood\}/i", True, id="escaped-braces"),
            pytest.param("say {", r"/[{a}]/", True, id="braces-in-a-class"),
            pytest.param("f(*x)", r"/\(*x/", True, id="escaped-bracket-with-a-star"),
            pytest.param("a [", r"/[[]/", True, id="bracket-in-a-class"),
            pytest.param("🐉", r"/\u{1F409}/u", True, id="sign-by-its-number"),
            pytest.param("🐉", r"/[x\u{1F409}]/u", True, id="sign-by-its-number-in-a-class"),
            pytest.param("u", r"/\u{FFFFFF}/u", False, id="no-sign-has-this-number"),
            pytest.param("a\nb", r"/a[^]b/", True, id="anything"),
            pytest.param("a", r"/a[]/", False, id="nothing"),
            pytest.param("search", "sea", False, id="without-signs-a-word"),
        ],
    )
    def test_pattern_finds_its_text(self, text: str, key: str, expected: bool) -> None:
        # SillyTavern sets the flag on all entries.
        assert calls(text, key, use_regex=True) is expected
        assert calls(text, key) is expected

    def test_names_stand_for_themselves(self) -> None:
        def by_name(text: str, key: str, name: str) -> bool:
            found = match_entries(
                {"entries": [entry("Found.", key)]},
                [text],
                expand=lambda text: text.replace("{{user}}", name),
                expand_pattern=lambda text: text.replace("{{user}}", escaped(name)),
            )
            return bool(found)

        assert by_name("Is Dr. (X) in?", "/is {{user}} in/i", "Dr. (X)")
        assert not by_name("Is Drs X in?", "/is {{user}} in/i", "Dr. X")
        assert by_name("A/B is here", "/^{{user}} is/", "A/B")
        assert by_name("I am /a|b/", "{{user}}", "/a|b/")
        assert not by_name("I am a", "{{user}}", "/a|b/")

    @pytest.mark.parametrize(
        ("key", "texts", "expected"),
        [
            pytest.param(r"/\x01Ann:[^\x01]*?hello/", SAID, True, id="of-the-speaker"),
            pytest.param(r"/\x01Bob:[^\x01]*?hello/", SAID, False, id="of-another"),
            pytest.param(r"/hello\n\x01Bob/", SAID, True, id="newest-first"),
            pytest.param(r"/^\x01Ann/", SAID, True, id="mark-at-the-beginning"),
            pytest.param(r"/^Ann/", SAID, True, id="without-it"),
            pytest.param(r"/^Bob/", SAID, False, id="later-text"),
            pytest.param(r"/^Bob/m", SAID, True, id="later-text-as-a-line"),
            pytest.param(r"/^nn/", SAID, False, id="not-the-beginning"),
            pytest.param(r"/[^^]nn|\^/", SAID, True, id="in-a-class"),
            pytest.param(r"/\x01Bob:[^\x01]*?hello/", ["Bob: \x01hello"], True, id="persons-mark"),
            pytest.param(r"/\x01Ann/", ["Bob: \x01Ann"], False, id="persons-mark-begins-nothing"),
            pytest.param("hello\x01", ["hello\x01"], True, id="plain-key"),
        ],
    )
    def test_pattern_knows_where_a_message_begins(
        self, key: str, texts: Sequence[str], expected: bool
    ) -> None:
        assert bool(found(*texts, entries=[entry("Found.", key)])) is expected

    @pytest.mark.parametrize(
        "key",
        [
            r"(x+x+)+[yz][yz]",
            r"(?:.*.*)*[yz][yz]",
            r"(?:(?=.*)x)*[yz][yz]",
            r"(x?){400}x{400}[^x]",
        ],
    )
    def test_those_that_take_forever_are_given_up(self, key: str) -> None:
        text = "y" + "x" * MAX_SCANNED_CHARS
        entries = [entry("Found.", f"/{key}{n}/") for n in range(50)]
        # Without a limit this would not return.
        assert found(text, entries=[*entries, entry("Other.", "x" * 3)]) == []

    def test_broken_ones_are_counted(self) -> None:
        entries = [
            entry("a", "/(/", "/fine/i", "plain"),
            entry("b", "(", use_regex=True),
            entry("c", "fine", selective=True, secondary_keys=["/[/"]),
        ]
        assert broken_patterns({"entries": entries}) == 2

    @pytest.mark.parametrize(
        ("key", "broken"),
        [
            ("/is {{user}} in/i", 0),
            ("/{{ Char }}:[^\\x01]*?hello/", 0),
            (r"/\{mood\}/i", 0),
            ("/({{user}}/", 1),
            ("/(?:storm){e<=1}/", 1),
        ],
    )
    def test_those_with_names_are_not_broken(self, key: str, broken: int) -> None:
        assert broken_patterns({"entries": [entry("a", key)]}) == broken


class TestActivation:
    def test_disabled_entry_is_never_found(self) -> None:
        assert not calls("sea", "sea", enabled=False)
        assert not calls("sea", "sea", enabled=False, constant=True)

    def test_constant_entry_is_always_found(self) -> None:
        assert calls("", constant=True)
        assert found(entries=[entry("Found.", constant=True)]) == ["Found."]

    def test_entry_without_content_is_never_found(self) -> None:
        assert not found("sea", entries=[entry("  ", "sea"), entry("@@depth 4\n", "sea")])

    def test_only_the_newest_messages_count(self) -> None:
        texts = ["sea", "b", "c", "d", "e"]
        book = {"entries": [entry("Found.", "sea")]}
        assert found(*texts, book=book) == []
        assert found(*texts, book=book, scan_depth=5) == ["Found."]
        assert found(*texts, book=book, scan_depth=0) == []
        assert found(*texts[:4], book=book) == ["Found."]

    def test_entry_may_have_its_own_depth(self) -> None:
        texts = ["sea", "b", "c"]
        for fields in ({"extensions": {"scan_depth": 1}}, {"content": "@@scan_depth 1\nFound."}):
            assert found(*texts, entries=[entry("Found.", "sea") | fields]) == []
        own = entry("Found.", "sea", extensions={"scan_depth": 3})
        assert found(*texts, entries=[own], scan_depth=1) == ["Found."]

    def test_recursion_only_where_the_book_wants_it(self) -> None:
        entries = [entry("The crate is lead.", "crate"), entry("Lead is heavy.", "lead")]
        assert found("the crate", entries=entries) == ["The crate is lead."]
        assert len(found("the crate", entries=entries, recursive_scanning=True)) == 2
        # SillyTavern's books do not say, and mean that they do.
        theirs = [one | {"extensions": {"exclude_recursion": False}} for one in entries]
        assert len(found("the crate", entries=theirs)) == 2
        assert len(found("the crate", entries=theirs, recursive_scanning=None)) == 2
        assert len(found("the crate", entries=theirs, recursive_scanning=False)) == 1

    def test_recursion_ends(self) -> None:
        chain = [entry(f"then w{n + 1}", f"w{n}") for n in range(10)]
        circle = [entry("to b", "a"), entry("to a", "b")]
        assert len(found("w0", entries=chain, recursive_scanning=True)) == 4
        assert len(found("a", entries=circle, recursive_scanning=True)) == 2

    def test_entries_may_stay_out_of_recursion(self) -> None:
        first, second = entry("to b", "a"), entry("end", "b")
        waits = second | {"extensions": {"exclude_recursion": True}}
        quiet = first | {"extensions": {"prevent_recursion": True}}
        assert found("a", entries=[first, waits], recursive_scanning=True) == ["to b"]
        assert found("b", entries=[first, waits], recursive_scanning=True) == ["end"]
        assert found("a", entries=[quiet, second], recursive_scanning=True) == ["to b"]

    def test_what_leads_on_is_searched_whatever_the_depth(self) -> None:
        entries = [entry("to b", constant=True), entry("end", "b")]
        assert found("x", entries=entries, recursive_scanning=True, scan_depth=1) == ["to b", "end"]


class TestOrderAndBudget:
    def test_insertion_order_then_the_books(self) -> None:
        entries = [
            entry("c", "sea", insertion_order=2),
            entry("a", "sea", insertion_order=-1),
            entry("d", "sea", insertion_order=2),
            entry("b", "sea"),
        ]
        assert found("sea", entries=entries) == ["a", "b", "c", "d"]

    def fitting(self, entries: list[dict[str, Any]], budget: int, **book: Any) -> list[str]:
        return [
            entry.content for entry in chosen({"entries": entries} | book, ["sea"], budget=budget)
        ]

    def test_lowest_priority_goes_first(self) -> None:
        entries = [
            entry("low!", "sea", priority=1, insertion_order=9),
            entry("high", "sea", priority=5, insertion_order=1),
            entry("mid!", "sea", priority=3, insertion_order=5),
        ]
        assert self.fitting(entries, 12) == ["high", "mid!", "low!"]
        assert self.fitting(entries, 11) == ["high", "mid!"]
        assert self.fitting(entries, 4) == ["high"]
        assert self.fitting(entries, 3) == []
        assert self.fitting(entries, 0) == []
        assert self.fitting(entries, -5) == []

    def test_without_priority_the_insertion_order_ranks(self) -> None:
        entries = [entry("a", "sea", insertion_order=1), entry("b", "sea", insertion_order=2)]
        assert self.fitting(entries, 1) == ["b"]

    def test_constant_ones_stay_longest(self) -> None:
        entries = [entry("a", constant=True, priority=0), entry("b", "sea", priority=9)]
        assert self.fitting(entries, 1) == ["a"]

    def test_smaller_ones_take_the_room_that_a_large_one_does_not_fit(self) -> None:
        entries = [entry("x" * 50, "sea", priority=9), entry("small", "sea", priority=1)]
        assert self.fitting(entries, 10) == ["small"]

    @pytest.mark.parametrize(("own", "expected"), [(1, 1), (3, 3), (9, 4), (0, 4), ("2", 2)])
    def test_book_may_have_a_smaller_budget(self, own: Any, expected: int) -> None:
        entries = [entry("x", "sea") for _ in range(9)]
        assert len(self.fitting(entries, 4, token_budget=own)) == expected

    def test_what_is_counted_is_what_is_written(self) -> None:
        book = {"entries": [entry("{{char}}", constant=True)]}
        long = "x" * 50

        def expand(text: str) -> str:
            return text.replace("{{char}}", long)

        found = match_entries(book, [], expand=expand)
        assert select_entries(found, book, budget_tokens=49, count=len) == []
        (fits,) = select_entries(found, book, budget_tokens=50, count=len)
        assert fits.content == long


class TestPlace:
    def test_card_says_before_or_after(self) -> None:
        assert placed(position="before_char").position == "before_char"
        assert placed(position="after_char").position == "after_char"
        assert placed().position == "after_char"
        assert placed(position="elsewhere").position == "after_char"

    def test_sillytaverns_position_numbers_are_understood(self) -> None:
        assert placed(extensions={"position": 0}, position="after_char").position == "before_char"
        assert placed(extensions={"position": 1}).position == "after_char"
        assert placed(extensions={"position": 9}).position == "after_char"
        among = placed(extensions={"position": 4, "depth": 3, "role": 1})
        assert (among.position, among.depth, among.role) == ("in_chat", 3, "user")
        assert placed(extensions={"position": 4.0, "role": 2.0}).role == "assistant"
        assert placed(extensions={"position": 4}).depth == 4
        assert placed(extensions={"position": 4, "depth": 0}).depth == 0

    @pytest.mark.parametrize(
        ("decorators", "expected"),
        [
            pytest.param("@@depth 2", ("in_chat", 2, "system"), id="depth"),
            pytest.param("@@depth 2\n@@role user", ("in_chat", 2, "user"), id="role"),
            pytest.param("@@depth 2\n@@depth 5", ("in_chat", 2, "system"), id="first-wins"),
            pytest.param("@@depth -1", ("in_chat", 0, "system"), id="below-one"),
            pytest.param("@@depth soon", ("after_char", 0, "system"), id="no-number"),
            pytest.param("@@depth 1e999", ("after_char", 0, "system"), id="no-finite-number"),
            pytest.param(
                "@@depth 2\n@@position before_desc",
                ("before_char", 0, "system"),
                id="position-wins",
            ),
            pytest.param("@@position attic", ("after_char", 0, "system"), id="unknown-position"),
            pytest.param(
                "@@new_one 4\n@@@newer 1\n@@@depth 3", ("in_chat", 3, "system"), id="stand-in"
            ),
            pytest.param(
                "@@depth 2\n@@@position before_desc", ("in_chat", 2, "system"), id="no-stand-in"
            ),
            pytest.param("\n@@depth 2\n\n", ("in_chat", 2, "system"), id="blank-lines"),
        ],
    )
    def test_decorators_set_the_place_of_an_entry(
        self, decorators: str, expected: tuple[str, int, str]
    ) -> None:
        one = placed(f"{decorators}\nFound.\n@@depth 9 is said here")
        assert one.content == "Found.\n@@depth 9 is said here"
        assert (one.position, one.depth, one.role) == expected

    def test_decorators_change_how_an_entry_matches(self) -> None:
        def calls_for(text: str, decorator: str) -> bool:
            return bool(found(text, entries=[entry(f"{decorator}\nFound.", "sea")]))

        assert calls_for("", "@@activate")
        assert not calls_for("sea", "@@dont_activate")
        assert calls_for("", "@@dont_activate\n@@activate")
        assert calls_for("sea, storm", "@@additional_keys storm,night")
        assert not calls_for("sea", "@@additional_keys storm,night")
        assert not calls_for("sea, storm", "@@exclude_keys storm,night")
        assert calls_for("sea", "@@exclude_keys storm,night")

    def test_decorators_are_removed_from_the_text(self) -> None:
        assert without_decorators("@@depth 4\n@@@new\n\nText\n") == "Text"


class TestSmall:
    @pytest.mark.parametrize(
        ("entries", "expected"),
        [
            pytest.param([], True, id="empty"),
            pytest.param("nonsense", True, id="nothing-to-match"),
            pytest.param([None, 1, {"keys": 3}], True, id="odd"),
            pytest.param([entry("Found.", "sea")] * SMALL_ENTRIES, True, id="few"),
            pytest.param([entry("Found.")] * (SMALL_ENTRIES + 1), False, id="many"),
            pytest.param([entry("Found.", *["sea"] * 1000)], False, id="many-keys"),
            pytest.param([entry("Found.", "/(a+)+$/")], False, id="a-pattern"),
            pytest.param([entry("Found.", "(a+)+$", use_regex=True)], True, id="no-pattern"),
            pytest.param([entry("x", "a", extensions={"sticky": 4})], False, id="timed"),
            pytest.param([entry("@@depth 4\n" * 9_000)], False, id="many-decorators"),
            pytest.param([entry("@@exclude_keys " + "a," * 30_000)], False, id="keys-in-a-text"),
            pytest.param([{"keys": "a," * 30_000, "content": "x"}], False, id="keys-as-a-text"),
            pytest.param([entry("{{time}}" * 10, "sea")] * 40, True, id="macros"),
            pytest.param([entry("{{time}}" * 100, "sea")] * 6, False, id="many-macros"),
            pytest.param([entry("<user>" * 1_001, "sea")], False, id="many-old-macros"),
            pytest.param([entry("Found.", *["{{time}}" * 10] * 20)], False, id="macros-in-keys"),
            pytest.param([{"keys": "{{time}}" * 300, "content": "x"}], False, id="in-keys-as-text"),
            pytest.param([entry("{{roll:d6}}", "sea")], True, id="dice"),
            pytest.param([entry("{{Roll:99d999}}", "sea")] * 5, False, id="many-dice"),
            pytest.param([entry("Found.", "{{roll:99d999}}")], False, id="dice-in-a-key"),
            pytest.param([entry("A troll rolls dice.", "sea")] * 49, True, id="word-for-dice"),
            pytest.param([entry("word " * 300)] * SMALL_ENTRIES, False, id="much-to-say"),
        ],
    )
    def test_is_what_takes_no_time(self, entries: Any, expected: bool) -> None:
        assert is_small({"entries": entries}) is expected

    @pytest.mark.parametrize(
        ("depths", "chars", "expected"),
        [
            ([None], SMALL_SEARCHED, True),
            ([1, 100], SMALL_SEARCHED // 100, True),
            ([1, 2], SMALL_SEARCHED // 2 + 1, False),
            ([100], SMALL_SEARCHED // 100 + 1, False),
            ([1], SMALL_SEARCHED, True),
            ([], SMALL_SEARCHED, True),
        ],
    )
    def test_depends_on_what_it_searches(
        self, depths: list[int | None], chars: int, expected: bool
    ) -> None:
        entries = [entry("Found.", "sea", extensions={"scan_depth": depth}) for depth in depths]
        said = ["a" * chars] * (1 if depths == [None] else 100)
        assert are_small([{"entries": entries}], said) is expected


class TestRealBooks:
    def test_entries_of_the_detectives_book_are_found(self) -> None:
        book = card("detective_v2")["data"]["character_book"]
        assert [content[:11] for content in found("What of the crates?", book=book)] == [
            "Saint-Brieu",
            "The crate c",
            "Captain Le ",
        ]
        assert len(found("Hello", book=book)) == 1

    def test_entries_of_the_cooks_book_are_found(self) -> None:
        book = card("cook_v3")["data"]["character_book"]
        storm, nutmeg = chosen(book, ["Storms! Where is the nutmeg?"], budget=999)
        assert (storm.position, storm.depth) == ("in_chat", 1)
        assert storm.content.startswith("In a storm")
        assert nutmeg.position == "before_char"
        assert len(found("肉豆蔻在哪里", book=book)) == 1


texts = st.text(max_size=30)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = [
    "keys", "secondary_keys", "selective", "case_sensitive", "use_regex", "constant", "enabled",
    "insertion_order", "priority", "position", "content", "extensions",
]  # fmt: skip
own = [
    "position", "depth", "role", "selectiveLogic", "scan_depth", "match_whole_words",
    "probability", "useProbability", "group", "group_override", "group_weight",
    "use_group_scoring", "sticky", "cooldown", "delay", "delay_until_recursion", "outlet_name",
]  # fmt: skip
entries = st.lists(
    st.dictionaries(st.sampled_from(names), anything)
    | st.fixed_dictionaries(
        {"keys": st.lists(texts, max_size=3), "content": texts},
        optional={
            "extensions": st.dictionaries(st.sampled_from(own), anything),
            "use_regex": st.booleans(),
            "constant": st.booleans(),
        },
    )
    | anything,
    max_size=5,
)


@given(
    book=st.fixed_dictionaries(
        {"entries": entries | anything},
        optional={
            "scan_depth": anything,
            "token_budget": anything,
            "recursive_scanning": anything,
        },
    ),
    said=st.lists(texts, max_size=5),
    budget=st.integers(-10, 200),
)
def test_any_book_is_taken_as_far_as_it_goes(
    book: dict[str, Any], said: list[str], budget: int
) -> None:
    taken = chosen(book, said, budget=budget)
    assert sum(len(entry.content) for entry in taken) <= max(budget, 0)
    assert [entry.order for entry in taken] == sorted(entry.order for entry in taken)
    assert chosen(book, said, budget=budget) == taken
    assert isinstance(is_small(book), bool)


@given(key=st.from_regex(r"[a-z]{1,8}", fullmatch=True), text=st.text(max_size=60))
def test_latin_keys_are_found_as_words_would_be(key: str, text: str) -> None:
    text = f"{text} {key}".casefold()
    assert calls(text, key)
    assert calls(f"x{key}x", key) is False


@given(
    st.text(max_size=40) | st.from_regex(r"/[\[\](){}|*+?.\\^$a-z0-9,<>=!:-]{1,30}/[gimsuy]{0,3}")
)
def test_any_key_is_a_pattern_or_not(key: str) -> None:
    pattern = compiled(key)
    if pattern is not None:
        pattern.search("the keeper", timeout=1)


class TestBounds:
    """The limits of keys and patterns in a book."""

    def test_macros_of_all_entries_together_do_not_add_without_end(self) -> None:
        def expand(text: str) -> str:
            return text.replace("{{char}}", "A b " * 30)

        entries = [entry("{{char}}" * 60, constant=True)] * 500
        entries.append(entry("The end.", constant=True))
        contents = [one.content for one in match_entries({"entries": entries}, [], expand=expand)]
        assert len(contents) == len(entries)
        assert contents[0].startswith("A b ")
        assert contents[-2:] == ["{{char}}" * 60, "The end."]
        assert sum(map(len, contents)) <= MAX_GROWTH + sum(len(one["content"]) for one in entries)

    @pytest.mark.parametrize(
        ("key", "parts"),
        [
            ("abc", 3),
            (r"\bwords?\b", 7),
            ("a+", 2),
            ("a{3}", 4),
            ("a{,5}b*?", 2),
            ("[a-z(]{3}[]({]", 5),
            ("(a+)+", 6),
            ("((a{9}){9}){9}", 1_110),
        ],
    )
    def test_parts_of_a_pattern_are_those_it_is_written_out_with(
        self, key: str, parts: int
    ) -> None:
        assert expanded(key) == parts

    @pytest.mark.parametrize(
        "key",
        [
            pytest.param("(?:" * 16 + "a" + "){2}" * 16, id="exactly"),
            pytest.param("(?:" * 16 + "a" + "){3,}" * 16, id="at-least"),
            pytest.param("(" * 30 + "a" + ")+" * 30, id="once-or-more"),
            pytest.param("(?:(?:ab){1000}){1000}", id="twice"),
            pytest.param("a{99999999999999999999}", id="number"),
            pytest.param("(){100000}", id="nothing"),
            pytest.param("(?:" * 16 + "a*?" + "){2}" * 16, id="with-lazy-ones-inside"),
            pytest.param("[(](?:" * 11 + "a" + "){3}" * 11, id="behind-classes"),
        ],
    )
    def test_pattern_that_is_larger_than_memory_is_none(self, key: str) -> None:
        assert expanded(key) > MAX_EXPANDED
        assert compiled(f"/{key}/") is None
        assert calls("aaaa", f"/{key}/") is False

    @pytest.mark.parametrize(
        "key", [r"/\b(?:rose|tulip)s?\b/", "/(?:\\w+\\s+){1,5}sea/i", "/w.{0,80}n/", "/(a|b)+c/"]
    )
    def test_patterns_of_authors_are_far_from_it(self, key: str) -> None:
        assert expanded(key) < MAX_EXPANDED / 20
        assert compiled(key) is not None

    def test_long_keys_call_for_nothing_and_cost_nothing(self) -> None:
        key = "{" * 400_000
        book = {"entries": [{"keys": [key, "sea"], "content": "x", "use_regex": True}]}
        assert parse_entries(book)[0].keys == ("sea",)
        assert broken_patterns(book) == 0

    def test_number_of_keys_is_bounded(self) -> None:
        keys = [f"key{number}" for number in range(8_000)]
        book = {"entries": [{"keys": keys, "content": "x"} for _ in range(2)]}
        assert [len(entry.keys) for entry in parse_entries(book)] == [8_000, MAX_KEYS - 8_000]

    def test_number_of_patterns_is_bounded(self) -> None:
        entry = {"content": "x"}
        entries = [entry | {"keys": [f"/w{number}+/", f"w{number}"]} for number in range(2_000)]
        read = parse_entries({"entries": entries})
        patterns = [key for entry in read for key in entry.keys if is_pattern(key)]
        assert patterns == [f"/w{number}+/" for number in range(MAX_PATTERNS)]
        assert sum(len(entry.keys) for entry in read) == 2_000 + MAX_PATTERNS

    def test_length_of_all_patterns_is_bounded(self) -> None:
        entries = [
            {"content": "x", "keys": ["/(" + "a" * 480 + f"{number})/"]} for number in range(200)
        ]
        read = parse_entries({"entries": entries})
        assert sum(len(key) for entry in read for key in entry.keys) <= MAX_PATTERN_CHARS

    def test_decorators_have_keys_too(self) -> None:
        content = "@@additional_keys " + ",".join(["k"] * 100_000) + "\nx"
        (keys,) = parse_entries({"entries": [{"content": content}]})[0].additional
        assert len(keys) == MAX_KEYS

    def test_what_is_found_does_not_depend_on_what_was_compiled_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The speed of compiling is not tested here.
        monkeypatch.setattr("roleplay_chat.lorebook.keys.time.thread_time", lambda: 0.0)
        entries = [
            {"keys": [f"/w{number}(a|b|c|d)+x$/i"], "content": f"{number}"}
            for number in range(MAX_PATTERNS)
        ]
        said = ["w499abcdx"]
        compiled.cache_clear()
        first = match_entries({"entries": entries}, said)
        assert [entry.content for entry in first] == ["499"]
        assert match_entries({"entries": entries}, said) == first


class TestBooksReadOnce:
    def test_the_same_book_is_read_once(self) -> None:
        book = {"entries": [{"keys": ["a"], "content": "once"}], "name": "one"}
        again = {"entries": [{"keys": ["a"], "content": "once"}], "name": "other"}
        assert parse_entries(book) is parse_entries(again)

    def test_another_book_is_another(self) -> None:
        book = {"entries": [{"keys": ["a"], "content": "one"}]}
        other = {"entries": [{"keys": ["a"], "content": "other"}]}
        assert parse_entries(book) != parse_entries(other)
        book["entries"][0]["content"] = "changed"
        assert parse_entries(book)[0].content == "changed"

    def test_books_that_are_kept_have_a_bound(self) -> None:
        books = [
            {"entries": [{"keys": ["a"], "content": "x" * 500_000 + str(number)}]}
            for number in range(40)
        ]
        first = [parse_entries(book) for book in books]
        # Newest first: a newly read book replaces the oldest.
        pairs = zip(reversed(books), reversed(first), strict=True)
        kept = [parse_entries(book) is read for book, read in pairs]
        assert kept == [number < KEPT_BYTES // 501_000 for number in range(40)]

    @pytest.mark.parametrize(
        "entry",
        [
            {"content": "{number:x}"},
            {"content": "The dragon sleeps under hill {number}. " * 9, "keys": ["dragon{number}"]},
            {"content": "Дракон спит под холмом {number}. " * 9, "keys": ["дракон {number}"]},
            {"content": "x", "keys": ["{number} " + str(key) for key in range(100)]},
            {
                "content": "x",
                "extensions": {
                    "group": "g{number}",
                    "triggers": ["swipe", "continue"],
                    "character_filter": {"names": ["Ada {number}", "Ben {number}"]},
                },
            },
            {"content": "x" * 20_000 + "{number}", "id": "i{number}"},
        ],
    )
    def test_memory_of_a_book_is_known(self, entry: dict[str, Any]) -> None:
        """As Python counts it, within a factor of two."""
        listed = ",".join(
            dumps(entry)
            .decode()
            .replace("{number}", str(number))
            .replace("{number:x}", f"{number:x}")
            for number in range(400)
        )
        parse_entries(loads(f'{{"entries": [{listed}], "other": 1}}'))  # what is made only once
        gc.collect()
        tracemalloc.start()
        try:
            entries = parse_entries(loads(f'{{"entries": [{listed}, 0]}}'))
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(entries) == 400
        assert taken / 2 <= memory_of(entries) <= taken * 2

    def test_book_that_json_cannot_hold_is_read_all_the_same(self) -> None:
        book = {"entries": [{"keys": ["a"], "content": "x", "more": {1: "\ud800"}}]}
        assert [entry.content for entry in parse_entries(book)] == ["x"]
