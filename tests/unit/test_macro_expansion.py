"""How macros are expanded: chance, time, variables, whose words they are, and odd texts."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ApiError
from roleplay_chat.api import ChatRequest, parse_request
from roleplay_chat.prompt import macro_expansion
from roleplay_chat.prompt.builder import Prompt, build
from roleplay_chat.prompt.greeting import greeting_for
from roleplay_chat.prompt.macro_chance import draw
from roleplay_chat.prompt.macro_clock import formatted, humanized
from roleplay_chat.prompt.macro_expansion import FUNCTIONS, MAX_GROWTH, VALUES
from roleplay_chat.prompt.macro_variables import MAX_CHARS, MAX_VALUE, MAX_VARIABLES, Variables
from roleplay_chat.prompt.macros import Macros, build_macros, expand
from roleplay_chat.rows import BegunTurn
from tests.support.prompts import spec

NOW = datetime(2026, 1, 3, 23, 30, tzinfo=UTC)
MARA: dict[str, Any] = {"id": UUID(int=1), "name": "Mara"}
COLOURS = "{{random::red::green::blue::white::black}}"


def begun(*said: str, **rows: Any) -> BegunTurn:
    """A turn after these messages, of the person and the character in turns."""
    history = [
        {"sender": "character" if place % 2 else "user", "content": text, "position": 3 * place + 5}
        for place, text in enumerate(said)
    ]
    usual: dict[str, Any] = {
        "now": NOW,
        "turn": {"id": uuid4(), "message": "Hello."},
        "user": {"name": "Ada"},
        "conversation": {"id": UUID(int=7)},
        "character": MARA,
        "history": history,
    }
    return BegunTurn.model_validate(usual | rows)


def built(turn: BegunTurn, **asks: Any) -> Prompt:
    return build(spec(turn, request=ChatRequest.model_validate(asks), context_tokens=8192))


def closing(text: str, *said: str, asks: dict[str, Any] | None = None, **rows: Any) -> str:
    """The instructions after the history, as a model reads them."""
    character = MARA | {"post_history_instructions": text}
    prompt = built(begun(*said, character=character, **rows), **(asks or {}))
    return next((m["content"] for m in prompt[1:] if m["role"] == "system"), "")


def opening(text: str, *said: str, **rows: Any) -> str:
    """The system message with this description."""
    return built(begun(*said, character=MARA | {"description": text}, **rows))[0]["content"]


class TestChance:
    def test_regenerated_reply_sees_the_same(self) -> None:
        text = f"{COLOURS} {{{{roll:20}}}} {{{{pick:a,b,c,d}}}}"
        first = closing(text, "One", "Two")
        again = closing(text, "One", "Two", asks={"action": "regenerate"})
        assert first == again

    def test_other_turns_see_others_and_keep_what_was_picked(self) -> None:
        said = [["Word"] * number for number in range(0, 40, 2)]
        random = {closing(COLOURS, *words) for words in said}
        picked = {closing(COLOURS.replace("random", "pick"), *words) for words in said}
        assert len(random) > 2
        assert len(picked) == 1

    def test_places_and_conversations_are_apart(self) -> None:
        assert len(set(closing(f"{COLOURS} " * 40).split())) == 5
        others = {closing(COLOURS, conversation={"id": UUID(int=one)}) for one in range(40)}
        assert len(others) == 5

    @pytest.mark.parametrize(
        ("formula", "values"),
        [
            ("1d1", {"1"}),
            ("d2", {"1", "2"}),
            ("3", {"1", "2", "3"}),
            ("2d1+3", {"5"}),
            ("1d1-4", {"-3"}),
            (" 2 D 1 ", {"2"}),
            ("100d1", {"100"}),
            ("101d1", {""}),
            ("0d6", {"0"}),
            ("d0", {""}),
            ("0", {""}),
            ("99999999d99999999", {""}),
            ("many", {""}),
            ("", {""}),
            ("²d6", {""}),
        ],
    )
    def test_dice(self, formula: str, values: set[str]) -> None:
        found = {
            expand(f"{{{{roll:{formula}}}}}", Macros(conversation=str(number)))
            for number in range(60)
        }
        assert found == values

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            (r"{{pick:a\,b,c}}", {"a,b", "c"}),
            ("{{pick::a,b,c}}", {"a", "b", "c"}),
            ("{{pick::a,b::c}}", {"a,b", "c"}),
            ("{{pick:: a :: {{user}} }}", {"a", "x::y,z"}),
            ("{{pick:{{user}}}}", {"x::y,z"}),
            ("{{pick::a::}}", {"a", ""}),
            ("{{pick}}{{pick::}}{{pick:}}", {""}),
            ("{{random}}a{{/random}}", {"a"}),
        ],
    )
    def test_options_are_the_authors(self, text: str, values: set[str]) -> None:
        known = {"user": "x::y,z"}
        found = {expand(text, Macros(known, conversation=str(number))) for number in range(60)}
        assert found == values


class TestTime:
    @pytest.mark.parametrize(
        ("zone", "time"),
        [
            (None, "11:30 PM on January 3"),
            ("Asia/Tokyo", "8:30 AM on January 4"),
            ("America/New_York", "6:30 PM on January 3"),
            ("+05:30", "5:00 AM on January 4"),
            ("UTC-3", "8:30 PM on January 3"),
            ("Z", "11:30 PM on January 3"),
            # Browsers send old names too, and a folder of the database is none.
            ("Etc/Unknown", "11:30 PM on January 3"),
            ("Europe", "11:30 PM on January 3"),
        ],
    )
    def test_is_the_persons(self, zone: str | None, time: str) -> None:
        text = "{{time}} on {{datetimeformat MMMM D}}"
        assert closing(text, asks={"time_zone": zone}) == time

    @pytest.mark.parametrize(
        "zone",
        ["../../etc/passwd", "/etc/passwd", "+99:00", "x" * 65, "Europe/", "é", "\x00", 5, ["UTC"]],
    )
    def test_zone_that_is_none_is_refused(self, zone: object) -> None:
        body = {"message": "Hi", "conversation_id": str(uuid4()), "time_zone": zone}
        with pytest.raises(ApiError) as caught:
            parse_request(body, max_message_chars=100)
        assert (caught.value.status, caught.value.code) == (400, "invalid_request")
        assert "time_zone" in caught.value.message

    def test_system_message_stays_the_same_all_day(self) -> None:
        text = "{{time}} {{isotime}} {{time_UTC+2}} {{datetimeformat HH:mm:ss}} {{idle_duration}}"
        early, late = NOW.replace(hour=0), NOW.replace(hour=23, minute=59, second=59)
        first = opening(text, now=early, last_said_at=early - timedelta(hours=1))
        assert opening(text, now=late, last_said_at=late - timedelta(hours=5)) == first
        days = {opening(text, now=NOW + timedelta(days=day)) for day in range(5)}
        assert len(days) == 5

    def test_system_message_has_the_real_date(self) -> None:
        asked = {"time_zone": "Asia/Tokyo"}
        character = MARA | {"description": "<{{isodate}} {{weekday}}>"}
        prompt = built(begun(character=character), **asked)
        assert "<2026-01-04 Sunday>" in prompt[0]["content"]

    def test_of_the_cards_texts_is_that_of_the_place(self) -> None:
        character = MARA | {
            "personality": "{{isotime}}",
            "description": "<{{personality}}>",
            "post_history_instructions": "{{personality}}",
        }
        prompt = built(begun(character=character))
        assert prompt[1]["content"] == "23:30"
        assert "<23:30>" not in prompt[0]["content"]

    @pytest.mark.parametrize(
        ("passed", "words"),
        [
            ({"seconds": -5}, "a few seconds"),
            ({"seconds": 50}, "a minute"),
            ({"minutes": 44}, "44 minutes"),
            ({"minutes": 50}, "an hour"),
            ({"hours": 20}, "20 hours"),
            ({"hours": 30}, "a day"),
            ({"days": 12}, "12 days"),
            ({"days": 40}, "a month"),
            ({"days": 100}, "3 months"),
            ({"days": 360}, "a year"),
            ({"days": 9000}, "25 years"),
        ],
    )
    def test_that_has_passed_is_told_in_words(self, passed: dict[str, int], words: str) -> None:
        assert humanized(timedelta(**passed)) == words

    def test_forms(self) -> None:
        moment = datetime(2026, 2, 1, 0, 7, 5, 123456, tzinfo=UTC)
        form = "YY M MMM D DDDD ddd d E H h hh kk a A SSS Z ZZ Q L LT [at] W Do X"
        assert formatted(moment, form) == (
            "26 2 Feb 1 032 Sun 0 7 0 12 12 24 am AM 123 +00:00 +0000 1 02/01/2026 12:07 AM at 5"
            " 1st 1769904425"
        )


class TestVariables:
    def test_are_set_and_read_in_the_order_of_the_prompt(self) -> None:
        character = MARA | {
            "system_prompt": "{{setvar::a::one}}Begin.",
            "description": "{{getvar::a}}{{addvar::a::, two}}",
            "scenario": "[{{getvar::a}}]",
            "post_history_instructions": "{{getvar::a}}",
        }
        prompt = built(begun(character=character))
        assert "[one, two]" in prompt[0]["content"]
        assert prompt[1]["content"] == "one, two"

    def test_branch_that_is_not_taken_sets_none(self) -> None:
        assert closing("{{if 0}}{{setvar::a::1}}{{else}}x{{/if}}{{getvar::a}}") == "x"
        assert closing("{{pick::{{setvar::a::1}}x::{{setvar::a::2}}x}}{{hasvar::b}}") == "xfalse"

    def test_values_are_never_expanded(self) -> None:
        assert expand("{{setvar::a::{{x}}}}{{getvar::a}}", Macros({"x": "{{char}}"})) == "{{char}}"
        assert expand("{{{{getvar::a}}}}", Macros(variables=Variables(a="char"))) == "char"

    def test_text_of_the_card_that_is_quoted_sets_none(self) -> None:
        macros = Macros(texts={"description": "{{incvar::n}}"})
        assert expand("{{description}}{{description}}[{{getvar::n}}]", macros) == "11[]"

    def test_are_bounded(self) -> None:
        variables = Variables()
        for number in range(1000):
            variables.put(f"name {number}", "x" * 5000)
        variables.put("n" * 100, "x")
        variables.put("", "x")
        assert 0 < len(variables) <= MAX_VARIABLES
        assert sum(map(len, variables)) + sum(map(len, variables.values())) <= MAX_CHARS
        assert set(map(len, variables.values())) == {MAX_VALUE}

    @pytest.mark.parametrize(
        ("before", "added", "after"),
        [
            ("1", "2", "3"),
            ("", "2", "2"),
            ("0.1", "0.2", "0.3"),
            ("1e300", "1", "1e3001"),
            ("nan", "1", "nan1"),
            ("a", "b", "ab"),
            ("5", "x", "5x"),
            ("9" * 15, "1", "1" + "0" * 15),
        ],
    )
    def test_adding(self, before: str, added: str, after: str) -> None:
        variables = Variables(x=before)
        variables.add("x", added)
        assert variables["x"] == after

    def test_of_odd_json_are_what_is_text(self) -> None:
        saved = {"a": "1", "b": 2, "c": None, "d": {}}
        assert Variables.from_json(saved) == {"a": "1"}
        assert Variables.from_json(["a"]) == Variables.from_json(None) == {}


class TestWhoseWords:
    def test_what_was_said_is_quoted_as_said(self) -> None:
        turn = begun(
            "Secret {{char}}", "Reply", character=MARA | {"description": "So: {{lastMessage}}!"}
        )
        passages = built(turn).passages
        assert ("history", "Hello.") in [(one.part, one.text) for one in passages]

    def test_variables_are_the_characters_in_a_text_of_ours(self) -> None:
        turn = begun(
            templates=[{"content_tier": "sfw", "system_prompt": "{{getvar::a}} Stay."}],
            character=MARA,
        )
        macros = build_macros(turn, ChatRequest())
        assert macros.variables == {}
        set_before = "{{setvar::a::word}}{{getvar::a}}"
        turn = begun(templates=[{"content_tier": "sfw", "system_prompt": set_before}])
        assert ("character", "word") in [(one.part, one.text) for one in built(turn).passages]

    def test_everything_that_is_sent_is_screened(self) -> None:
        text = "{{reverse:{{lastMessage}}}} {{pick::{{user}}}} {{if user}}§§{{input}}{{/if}}"
        prompt = built(begun(character=MARA | {"description": text}), scene_context=text)
        screened = "".join(one.text for one in prompt.passages)
        for part in (".olleH", "Ada", "§§", "Hello."):
            assert screened.count(part) == "".join(m["content"] for m in prompt).count(part)

    @pytest.mark.parametrize("name", sorted({*FUNCTIONS, *VALUES, "nonsense"}))
    def test_persons_words_are_never_expanded(self, name: str) -> None:
        said = f"{{{{{name}}}}} {{{{{name}::a::b}}}} {{{{if 1}}}}{{{{/if}}}}"
        turn = begun(said, said, turn={"id": uuid4(), "message": said})
        assert [message["content"] for message in built(turn)[1:]] == [said] * 3


NAMED = (
    *("{{user}}", "{{ user }}", "<bot>", "<GROUP>", "{{no}}", "{{user", "}}", "{", "{{{user}}}"),
    *("x", "<CharIfNotGroup>", "{{bot}}", "{{name}}"),
)


@given(st.lists(st.sampled_from(NAMED)).map("".join))
def test_text_of_names_alone_is_expanded_like_any_other(text: str) -> None:
    macros = Macros({"user": "Ada", "char": "Mara", "group": "Mara, Tom", "name": ""})
    # With something else in it, it is read by the parser.
    assert expand(text, macros) == expand(f"{{{{noop}}}}{text}", macros)


class TestGreetings:
    def test_have_no_macros_left(self) -> None:
        text = (
            "{{char}}{{nonsense}} {{pick::a::a}} {{//{{x}}}}{{isotime}}{{outlet::x}}{{incvar::a}}."
        )
        turn = begun(character=MARA | {"greetings": [text]}, turn={"id": uuid4(), "message": None})
        variables = Variables(a="1")
        assert greeting_for(turn, ChatRequest(kickoff=True), variables) == "Mara a 23:302."
        assert variables == {"a": "2"}


PIECES = st.sampled_from(
    ["{{", "}}", "{", "}", "::", ":", ",", "\\", "|", "/", "#", "!", "//", "\n", " ", "é", "\ud800",
     "if", "else", "/if", "<user>", "-1", "9" * 30, ".x", "$", *FUNCTIONS, *VALUES]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@given(TEXTS)
def test_same_turn_gives_the_same_and_nothing_raises(text: str) -> None:
    def once() -> str:
        turn = begun(
            "One", "Two", turn={"id": UUID(int=3), "message": "Hi."},
            character=MARA | {"description": text, "post_history_instructions": text},
        )  # fmt: skip
        macros = build_macros(turn, ChatRequest())
        return expand(text, macros) + expand(text, macros.standing_still(0))

    first = once()
    assert first == once()
    assert len(first) <= 2 * (len(text) + MAX_GROWTH)


@given(st.lists(TEXTS, max_size=5))
def test_same_turn_gives_the_same_prompt(texts: list[str]) -> None:
    fields = (
        "description",
        "personality",
        "scenario",
        "system_prompt",
        "post_history_instructions",
    )
    safe = [text.replace("\ud800", "") for text in texts]
    character = MARA | dict(zip(fields, safe, strict=False))
    turn = begun("One", "Two", turn={"id": UUID(int=3), "message": "Hi."}, character=character)
    assert built(turn) == built(turn)


@pytest.mark.parametrize(
    "text",
    [
        "{{reverse:" * 5_000 + "x" + "}}" * 5_000,
        "{{if 1}}" * 5_000 + "x" + "{{/if}}" * 5_000,
        "{{" * 20_000 + "}}" * 20_000,
        "{{newline::99999999}}" * 2_000,
        "{{space::" + "9" * 5_000 + "}}",
        "{{datetimeformat " + "LLLL" * 50_000 + "}}",
        "{{description}}" * 10_000,
        "{{setvar::a::" + "x" * 50_000 + "}}" + "{{getvar::a}}" * 5_000,
        "{{incvar::{{incvar::{{incvar::a}}}}}}" * 1_000,
        "{{roll:999999d999999}}" * 1_000,
    ],
    ids=lambda text: text[:14],
)
def test_hostile_text_grows_only_so_far(text: str) -> None:
    macros = Macros({"user": "Ada"}, {"description": "{{description}}" + "x" * 30_000})
    assert len(expand(text, macros)) <= len(text) + MAX_GROWTH


@pytest.mark.parametrize("text", ["{{roll:99d999}}", "{{roll:{{roll:10d9}}d999}}"])
def test_dice_of_a_text_are_bounded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rolled: list[int] = []

    def counted(sides: int, *key: object) -> int:
        rolled.append(sides)
        return draw(sides, *key)

    monkeypatch.setattr(macro_expansion, "draw", counted)
    numbers = [expand(text * times, Macros()) for times in (1, 1_000)]
    assert numbers[0].isdecimal()
    assert len(numbers[1]) > len(numbers[0])
    assert len(rolled) <= 2 * macro_expansion.MAX_ROLLED


@pytest.mark.parametrize("depth", [1, 5, 14])
def test_macros_may_be_in_macros(depth: int) -> None:
    text = "{{reverse:" * depth + "ab" + "}}" * depth
    assert expand(text, Macros()) == ("ba" if depth % 2 else "ab")
