"""Every macro of the table in docs/roleplay.md, in a text of an author."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import build
from roleplay_chat.prompt.macro_expansion import FUNCTIONS, VALUES
from roleplay_chat.prompt.macro_syntax import OPERATION
from roleplay_chat.prompt.macro_values import ALIASES
from roleplay_chat.prompt.macros import unexpanded
from roleplay_chat.rows import BegunTurn
from tests.support.prompts import spec

NOW = datetime(2026, 1, 3, 14, 5, 9, tzinfo=UTC)
MARA: dict[str, Any] = {
    "id": UUID(int=1),
    "name": "Mara Voss",
    "nickname": "Mara",
    "description": "A keeper, {{user}}.",
    "personality": "Dry.",
    "scenario": "A storm.",
    "example_messages": "{{char}}: Sit.",
    "system_prompt": "Stay dry.",
    "depth_prompt": "Hums.",
    "greetings": ["Tea, {{user}}?", "Come in."],
}
ADA: dict[str, Any] = {"id": UUID(int=2), "name": "Ada", "description": "{{char}}'s guest."}
TOM: dict[str, Any] = {"id": UUID(int=3), "name": "Tom Lind", "nickname": "Tom"}
SAID: list[dict[str, Any]] = [
    {"sender": "user", "content": "Are you {{char}}?", "position": 11},
    {"sender": "character", "content": "I am.", "position": 12},
]


def begun(**rows: Any) -> BegunTurn:
    usual: dict[str, Any] = {
        "now": NOW,
        "last_said_at": NOW - timedelta(hours=2),
        "turn": {"id": UUID(int=9), "message": "Who lights the {{lamp}}?"},
        "user": {"name": "Somebody"},
        "conversation": {"id": UUID(int=7)},
        "character": MARA,
        "persona": ADA,
        "history": SAID,
        "templates": [{"content_tier": "sfw", "system_prompt": "Speak as {{char}}."}],
    }
    return BegunTurn.model_validate(usual | rows)


def shown(
    text: str, *, place: str = "post_history_instructions", asks: dict[str, Any] | None = None,
    **rows: Any,
) -> str:  # fmt: skip
    """What a model reads of a text of the character's author."""
    character = (rows.pop("character", None) or MARA) | {place: f"<<{text}>>"}
    turn, request = begun(character=character, **rows), ChatRequest.model_validate(asks or {})
    prompt = build(spec(turn, request=request, context_tokens=8192))
    whole = "\n".join(message["content"] for message in prompt)
    found = re.search("<<(.*?)>>", whole, re.DOTALL)
    assert found is not None, whole
    return found[1]


Cases = dict[str, tuple[str, str]]

NAMES_AND_TEXTS: Cases = {
    "user": ("{{user}} <USER>", "Ada Ada"),
    "char": ("{{char}} <BOT> <char> {{bot}}", "Mara Mara Mara Mara"),
    "description": ("{{description}}{{charDescription}}", "A keeper, Ada." * 2),
    "personality": ("{{personality}} {{charPersonality}}", "Dry. Dry."),
    "scenario": ("{{scenario}} {{charScenario}}", "A storm. A storm."),
    "persona": ("{{persona}}", "Mara's guest."),
    "mesExamples": ("{{mesExamples}}", "Mara: Sit."),
    "mesExamplesRaw": ("{{mesExamplesRaw}}", "Mara: Sit."),
    "charPrompt": ("{{charPrompt}}", "Stay dry."),
    "charInstruction": ("{{charInstruction}} {{charJailbreak}}", "Be brief. Be brief."),
    "charFirstMessage": ("{{charFirstMessage}}", "Tea, Ada?"),
    "greeting": ("{{greeting}} {{greeting::1}}{{greeting::7}}", "Tea, Ada? Come in."),
    "charDepthPrompt": ("{{charDepthPrompt}}", "Hums."),
    "original": ("{{original}}", "Speak as Mara."),
    "group": ("{{group}} <GROUP>", "Mara Mara"),
    "charIfNotGroup": ("{{charIfNotGroup}}", "Mara"),
    "groupNotMuted": ("{{groupNotMuted}}", "Mara"),
    "notChar": ("{{notChar}}", "Ada"),
}
CONVERSATION: Cases = {
    "lastMessage": ("{{lastMessage}}", "Who lights the {{lamp}}?"),
    "lastUserMessage": ("{{lastUserMessage}}", "Who lights the {{lamp}}?"),
    "lastCharMessage": ("{{lastCharMessage}}", "I am."),
    "lastMessageId": ("{{lastMessageId}}", "2"),
    "input": ("{{input}}", "Who lights the {{lamp}}?"),
    "lastGenerationType": ("{{lastGenerationType}}", "normal"),
    "maxPrompt": ("{{maxPrompt}} {{maxPromptTokens}}", "7792 7792"),
    "maxContext": ("{{maxContext}}", "8192"),
    "maxResponse": ("{{maxResponse}}", "400"),
    "isMobile": ("{{isMobile}}", "false"),
}
TIME: Cases = {
    "time": ("{{time}}", "2:05 PM"),
    "date": ("{{date}}", "January 3, 2026"),
    "weekday": ("{{weekday}}", "Saturday"),
    "isotime": ("{{isotime}}", "14:05"),
    "isodate": ("{{isodate}}", "2026-01-03"),
    "datetimeformat": (
        "{{datetimeformat DD.MM.YYYY HH:mm:ss [on] dddd}} {{datetimeformat::h A Do}}",
        "03.01.2026 14:05:09 on Saturday 2 PM 3rd",
    ),
    "time_UTC": ("{{time_UTC+2}} {{time_UTC-3}} {{time::UTC+9}}", "4:05 PM 11:05 AM 11:05 PM"),
    "timeDiff": ("{{timeDiff::2026-01-03 10:00::{{isodate}}}}", "in 10 hours"),
    "idle_duration": ("{{idle_duration}} {{idleDuration}}", "2 hours 2 hours"),
}
WRITING: Cases = {
    "newline": ("a{{newline}}b{{newline::2}}c", "a\nb\n\nc"),
    "space": ("a{{space}}b{{space::3}}c", "a b   c"),
    "trim": ("a\n\n{{trim}}\n\nb", "ab"),
    "noop": ("a{{noop}}b", "ab"),
    "outlet": ("a{{outlet::none}}b", "ab"),
    "reverse": ("{{reverse:Ha {{char}}!}} {{reverse::a::b}}", "!araM aH b::a"),
    "//": ("a{{// to {{user}}: {{x}} }}b{{//}}\n{{char}}\n{{///}}c", "abc"),
    "comment": ("a{{comment: for {{user}}}}b", "ab"),
    "hidden_key": ("a{{hidden_key:lamp, {{user}}}}b", "ab"),
    "if": (
        "{{if persona}}\n {{persona}}\n{{else}}no{{/if}}, {{if {{mood}}}}x{{else}}calm{{/if}},"
        " {{if !mood}}{{#if char}} y {{/if}}{{/if}}, {{if off}}x{{/if}}{{if 1::z}}{{if 0::a::b}}",
        "Mara's guest., calm, y, zb",
    ),
    "unless": ("{{#unless mood}}calm{{/unless}}", "calm"),
}
VARIABLES: Cases = {
    "setvar": ("{{setvar::a::{{user}}}}[{{getvar::a}}]", "[Ada]"),
    "getvar": ("{{getvar::none}}{{setvar x::1}}{{getvar x}} {{.x}} {{$x}}", "1 1 1"),
    "addvar": ("{{addvar::n::2}}{{addvar::n::1.5}}{{addvar::t::a}}{{addvar::t::b}}{{getvar::n}}"
               " {{getvar::t}}", "3.5 ab"),
    "incvar": ("{{incvar::n}}{{incvar::n}}", "12"),
    "decvar": ("{{decvar::n}}", "-1"),
    "hasvar": ("{{hasvar::n}}{{setvar::n::}}{{hasvar::n}}", "falsetrue"),
    "deletevar": ("{{setvar::n::1}}{{deletevar::n}}[{{getvar::n}}]", "[]"),
    "setglobalvar": ("{{setglobalvar::n::1}}{{getvar::n}}", "1"),
    "getglobalvar": ("{{setvar::n::1}}{{getglobalvar::n}}", "1"),
    "addglobalvar": ("{{addglobalvar::n::4}}{{getglobalvar::n}}", "4"),
    "incglobalvar": ("{{incglobalvar::n}}", "1"),
    "decglobalvar": ("{{decglobalvar::n}}", "-1"),
    "hasglobalvar": ("{{hasglobalvar::n}}", "false"),
    "deleteglobalvar": ("{{setvar::n::1}}{{deleteglobalvar::n}}{{getvar::n}}", ""),
    ".x": ("{{.n = 2}}{{.n += 3}}{{.n -= 1}}{{.n}} {{$n++}} {{.n--}}", "4 5 4"),
}  # fmt: skip
CHANCE = {
    "random": ("{{random::red::green::blue}}", "red|green|blue"),
    "pick": ("{{pick::red::green::blue}}", "red|green|blue"),
    "roll": ("{{roll:1d6}}", "[1-6]"),
}
LEFT_OUT = (
    *("model", "pipe", "summary", "charVersion", "charCreatorNotes", "firstIncludedMessageId"),
    *("firstDisplayedMessageId", "currentSwipeId", "lastSwipeId", "bias", "banned"),
    *("var", "systemPrompt", "instructInput", "chatStart", "hasExtension"),
)


@pytest.mark.parametrize("name", NAMES_AND_TEXTS)
def test_names_and_texts(name: str) -> None:
    text, expected = NAMES_AND_TEXTS[name]
    places = {"original": "system_prompt", "charInstruction": "description"}
    place = places.get(name, "post_history_instructions")
    character = MARA | {"post_history_instructions": "Be brief."}
    assert shown(text, place=place, character=character) == expected


@pytest.mark.parametrize("name", CONVERSATION)
def test_conversation(name: str) -> None:
    text, expected = CONVERSATION[name]
    assert shown(text) == expected


@pytest.mark.parametrize("name", TIME)
def test_time(name: str) -> None:
    text, expected = TIME[name]
    assert shown(text) == expected


@pytest.mark.parametrize("name", WRITING)
def test_writing(name: str) -> None:
    text, expected = WRITING[name]
    assert shown(text) == expected


@pytest.mark.parametrize("name", VARIABLES)
def test_variables(name: str) -> None:
    text, expected = VARIABLES[name]
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.n || none}}", "none"),
        ("{{.n = 0}}{{.n || none}}{{.n ?? none}}", "none0"),
        ("{{.n ??= 7}}[{{.n}}]", "7[7]"),
        ("{{.n = 1}}{{.n ||= 7}}[{{.n}}]", "1[1]"),
        ("{{.n = 5}}{{.n == 5}}{{.n != 5}}{{.n > 4.5}}{{.n >= 5}}{{.n < 5}}{{.n <= 5}}",
         "truefalsetruetruefalsetrue"),
        ("{{.n = 5}}{{if .n > 4}}many{{else}}few{{/if}}", "many"),
        ("{{.n = 5}}{{if {{.n == 6}}}}six{{else}}other{{/if}}", "other"),
        ("{{.who = {{user}}}}{{.who == Ada}}{{.who < B}}", "truefalse"),
        ("{{.who = a}}{{.who += b}}{{.who -= b}}{{.who}}", "ab"),
        ("{{.two-words = x}}{{.two-words}}", "x"),
        ("{{.n--}}{{.n-=2}}{{.n}}", "-1-3"),
        ("{{.n=2}}{{.n==2}}", "true"),
        ("{{.}}{{.1}}{{. x}}{{$}}", "{{.}}{{.1}}{{. x}}{{$}}"),
    ],
)  # fmt: skip
def test_signs_change_and_compare_variables(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert unexpanded(text) == []


@pytest.mark.parametrize("name", CHANCE)
def test_chance(name: str) -> None:
    text, pattern = CHANCE[name]
    found = {shown(text, conversation={"id": UUID(int=one)}) for one in range(30)}
    assert all(re.fullmatch(pattern, value) for value in found)
    assert len(found) > 2


@pytest.mark.parametrize("name", [*LEFT_OUT, "anything", "名前"])
def test_left_out(name: str) -> None:
    forms = (f"{{{{{name}}}}}", f"{{{{{name}::a::{{{{user}}}}}}}}", f'{{{{{name} "a"}}}}')
    assert shown("a" + "".join(forms) + "b") == "ab"


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_named(name: str) -> None:
    text = f"{{{{char}}}} {{{{reverse:{{{{{name}::x}}}}}}}} {{{{if {name}}}}}a{{{{/if}}}}"
    assert unexpanded(text) == [name]


def test_what_is_known_is_not_named() -> None:
    groups = (NAMES_AND_TEXTS, CONVERSATION, TIME, WRITING, VARIABLES, CHANCE)
    for name, (text, _) in (item for group in groups for item in group.items()):
        assert set(unexpanded(text)) <= {"x", "lamp"}, name
    assert unexpanded("{{original}}{{character_hobby}}{{/if}}{{ {{char}} }}") == []


# --- the document ---------------------------------------------------------------------------

DOCUMENT = (Path(__file__).parents[2] / "docs/roleplay.md").read_text()
ROWS = re.findall(
    r"^\| `\{\{([^ `:+}]+)[^`]*`.*\| `unit/test_macro_table.py::(\w+)` \|$", DOCUMENT, re.MULTILINE
)


def test_every_row_of_the_table_is_tested() -> None:
    tested = {
        "test_names_and_texts": NAMES_AND_TEXTS,
        "test_conversation": CONVERSATION,
        "test_time": TIME,
        "test_writing": WRITING,
        "test_variables": VARIABLES,
        "test_chance": CHANCE,
        "test_left_out": LEFT_OUT,
    }
    assert {name: {row for row, test in ROWS if test == name} for name in tested} == {
        name: set(cases) for name, cases in tested.items()
    }
    assert {test for _, test in ROWS} == set(tested)


def test_every_macro_is_in_the_table() -> None:
    known = {*FUNCTIONS, *VALUES} - {"else", "idleduration", OPERATION}
    assert known <= {row.lower() for row, _ in ROWS}
    assert set(ALIASES.values()) <= {row.lower() for row, _ in ROWS}
