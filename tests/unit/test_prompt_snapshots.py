"""Complete prompts as models get them, stored in tests/data/prompts.

After an intended change, run REWRITE_PROMPTS=1 .venv/bin/python -m pytest
tests/unit/test_prompt_snapshots.py and read the `git diff`.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import PromptSpec, build
from roleplay_chat.rows import BegunTurn
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED

FOLDER = Path(__file__).parents[1] / "data" / "prompts"
TEMPLATE = (
    "You are {{char}} in a fictional conversation with {{user}}. Speak and act only as {{char}}."
)
MARA: dict[str, Any] = {
    "id": UUID(int=1),
    "name": "Mara Voss",
    "nickname": "Mara",
    "description": "{{char}} keeps the lighthouse on Grey Skerry. She draws charts for {{user}}.",
    "personality": "Dry-humoured and patient.",
    "scenario": "A storm has cut the skerry off.",
    "example_messages": "{{user}}: Have you always lived here?\n{{char}}: Nobody has.",
    "pronouns": "she/her",
    "age": 52,
    "greetings": ["There is tea, {{user}}."],
}
REYES: dict[str, Any] = {
    "id": UUID(int=2),
    "name": "Captain Reyes",
    "description": "A captain who lost a ship and will not say {{char}}.",
    "personality": "Proud.",
    "pronouns": "they/them",
    "age": 41,
}
SAID: list[dict[str, Any]] = [
    {"sender": "character", "content": "There is tea. Sit."},
    {"sender": "user", "content": "Is that the whole {{scenario}}?"},
    {"sender": "character", "content": "It is what I have.\n\n*She waits.*"},
]
BOOK: dict[str, Any] = {
    "entries": [
        {"keys": ["lamp"], "content": "The lamp burns seal oil.", "position": "before_char"},
        {"keys": ["lamp"], "content": "The lens is from Paris.", "position": "after_char"},
        {
            "keys": ["lamp"],
            "content": "{{char}} hums when the lamp is low.",
            "extensions": {"position": 4, "depth": 2},
        },
        {"keys": ["gull"], "content": "Gulls are never mentioned.", "position": "before_char"},
    ]
}
DIALOGUE = [
    {
        "sender": "character" if number % 2 else "user",
        "content": f"({number}) " + "The rain goes on and on over the skerry. " * 6,
        "position": number,
    }
    for number in range(60)
]

SITUATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "persona": {"persona": REYES, "request": {"user_role": "{{user}} is a guest."}},
    "scene": {
        "request": {
            "scene_name": "The gallery",
            "scene_description": "Night. {{user}} and {{char}} stand in the wind.",
            "scene_context": "The lamp has gone out.",
            "scene_system_prompt": "Keep it tense.",
        }
    },
    "lorebook": {
        "character": MARA | {"character_book": BOOK},
        "turn": {"message": "Who lights the lamp?"},
    },
    "memory": {
        "facts": [
            {"content": "Ada is afraid of {{user}}."},
            {"content": "Ada promised to bring ink."},
        ],
        "character": MARA
        | {
            "system_prompt": "{{original}}\nNever leave the island.",
            "post_history_instructions": "{{original}}Answer as {{char}}, in two paragraphs.",
        },
    },
    "long-history": {"history": DIALOGUE, "context_tokens": 2048},
    "kickoff-without-greeting": {
        "character": MARA | {"greetings": []},
        "history": [],
        "turn": {"message": None},
        "request": {"kickoff": True, "scene_starters": ["{{char}} hears the bell."]},
    },
    "continue": {
        "turn": {"message": None, "continues": "It is what I have.\n\n*She waits.*"},
        "request": {"action": "continue"},
    },
    "cjk": {
        "user": {"name": "葵"},
        "character": MARA
        | {
            "name": "灯台守のマラ",
            "nickname": None,
            "description": "{{char}}は灰色の岩礁の灯台を守っている。",
            "personality": "皮肉屋で忍耐強い。",
            "scenario": "嵐が島を本土から切り離した。",
            "example_messages": "{{user}}：ずっとここに？\n{{char}}：誰もずっとはいない。",
        },
        "history": [{"sender": "character", "content": "お茶があるよ。座って。" * 200}] * 3
        + [{"sender": "character", "content": "座って。🌊"}],
        "turn": {"message": "ありがとう。"},
        "context_tokens": 2048,
    },
    "several-characters": {
        "others": [
            {
                "id": UUID(int=3),
                "name": "Tomas Lind",
                "description": "{{char}} rows the supply boat and owes {{user}} a favour. " * 8,
                "pronouns": "he/him",
                "age": 34,
            },
            {"id": UUID(int=4), "name": "The Cook"},
        ],
        "history": [
            {**said, "character_id": UUID(int=1), "speaker": "Mara Voss"}
            if said["sender"] == "character"
            else said
            for said in SAID
        ]
        + [
            {
                "sender": "character",
                "content": "The boat is ready.",
                "character_id": UUID(int=3),
                "speaker": "Tomas Lind",
            }
        ],
    },
    "long-card": {
        "persona": REYES,
        "character": MARA
        | {
            "description": "{{char}} keeps the light and counts the ships. " * 300,
            "personality": "Dry-humoured and patient to a fault. " * 80,
            "example_messages": "<START>\n{{user}}: Hello.\n{{char}}: Sit.",
            "character_book": BOOK,
        },
        "memory": {"summary": "{{char}} and the captain met in a storm. " * 30},
        "facts": [{"content": "The captain promised to bring ink.", "pinned": True}],
        "request": {"scene_name": "The gallery", "scene_description": "Night, and wind."},
        "turn": {"message": "Who lights the lamp?"},
        "context_tokens": 2048,
    },
    "worker": {
        "persona": REYES,
        "character": MARA | {"description": "{{char}} keeps the light. " * 300},
        "history": DIALOGUE,
        "turn": {"message": "Tell me of the fog. " * 60},
        "context_tokens": 4096,
    },
}


def begun(situation: dict[str, Any]) -> BegunTurn:
    """A result of begin_turn: Ada talks with Mara unless the situation says otherwise."""
    rows = {name: value for name, value in situation.items() if name in BegunTurn.model_fields}
    turn = {"id": UUID(int=9), "message": "What is {{char}} afraid of?"}
    ordinary = {
        "now": datetime(2026, 1, 3, tzinfo=UTC),
        "user": {"name": "Ada"},
        "character": MARA,
        "history": SAID,
        "templates": [{"content_tier": "sfw", "system_prompt": TEMPLATE}],
    }
    return BegunTurn.model_validate(
        ordinary | rows | {"turn": turn | situation.get("turn", {})},
    )


def prompt(situation: dict[str, Any], *, max_tokens: int = 400) -> list[tuple[str, str]]:
    spec = PromptSpec(
        begun(situation),
        ChatRequest.model_validate(situation.get("request", {})),
        "sfw",
        family=None,
        context_tokens=situation.get("context_tokens", 8192),
        max_tokens=max_tokens,
    )
    return [(message["role"], message["content"]) for message in build(spec)]


def readable(messages: list[tuple[str, str]]) -> str:
    """The messages as text, each under its role."""
    return "".join(f"=== {role}\n{content}\n" for role, content in messages)


@pytest.mark.parametrize("name", SITUATIONS)
def test_prompt_is_as_stored(name: str) -> None:
    written = readable(prompt(SITUATIONS[name]))
    file = FOLDER / f"{name}.txt"
    if os.environ.get("REWRITE_PROMPTS"):
        file.write_text(written)
    assert written == file.read_text()


def test_no_other_prompts_are_stored() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(SITUATIONS)


@pytest.mark.parametrize("name", SITUATIONS)
def test_prompt_fits(name: str) -> None:
    spent = sum(
        UNCALIBRATED.count(content) + TOKENS_PER_MESSAGE for _, content in prompt(SITUATIONS[name])
    )
    assert spent <= SITUATIONS[name].get("context_tokens", 8192) - 400


# Macros and their values when Ada plays Captain Reyes and talks with Mara.
MACROS = {
    "{{char}}": "Mara",
    "{{user}}": "Captain Reyes",
    "<BOT>": "Mara",
    "<USER>": "Captain Reyes",
    "{{persona}}": "A captain who lost a ship and will not say Mara.",
    "{{scenario}}": "A storm has cut the skerry off.",
    "{{character_name}}": "Mara Voss",
    "{{character_description}}": "Mara keeps the lighthouse on Grey Skerry. She draws charts for"
    " Captain Reyes.",
    "{{character_personality}}": "Dry-humoured and patient.",
    "{{character_scenario}}": "A storm has cut the skerry off.",
    "{{character_pronouns}}": "she/her",
    "{{character_age}}": "52",
    "{{user_name}}": "Captain Reyes",
    "{{user_description}}": "A captain who lost a ship and will not say Mara.",
    "{{user_personality}}": "Proud.",
    "{{user_pronouns}}": "they/them",
    "{{user_age}}": "41",
    "{{ Char }}{{// not for models}}": "Mara",
    "{{nonsense}}": "",
}


@pytest.mark.parametrize("macro", MACROS)
class TestMacro:
    """Macros are expanded once, and unknown ones are left out."""

    @pytest.mark.parametrize(
        "place",
        ["template", "system_prompt", "post_history_instructions", "example_messages", "scene"],
    )
    def test_is_expanded_where_authors_write(self, macro: str, place: str) -> None:
        written = f"<<{macro}>>"
        situation: dict[str, Any] = {"persona": REYES, "character": dict(MARA)}
        if place == "template":
            situation["templates"] = [{"content_tier": "sfw", "system_prompt": written}]
        elif place == "scene":
            situation["request"] = {"scene_context": written}
        else:
            situation["character"] |= {place: written}
        assert f"<<{MACROS[macro]}>>" in readable(prompt(situation))

    def test_is_left_alone_in_what_people_said_and_what_is_remembered(self, macro: str) -> None:
        written = f"<<{macro}>>"
        situation = {
            "persona": REYES,
            "history": [{"sender": "user", "content": written}, *SAID],
            "facts": [{"content": written}],
            "turn": {"message": written},
        }
        assert readable(prompt(situation)).count(written) == 3


@pytest.mark.parametrize(
    ("place", "stands_for"),
    [("system_prompt", TEMPLATE.replace("{{char}}", "Mara").replace("{{user}}", "Ada")),
     ("post_history_instructions", "")],
)  # fmt: skip
def test_original_is_what_the_house_says_there(place: str, stands_for: str) -> None:
    situation = {"character": MARA | {place: "<<{{original}}>>"}}
    assert f"<<{stands_for}>>" in readable(prompt(situation))


def test_scene_of_the_request_is_the_scenario() -> None:
    situation = {
        "character": MARA | {"system_prompt": "<<{{scenario}}>>"},
        "request": {"scene_description": "The gallery at night."},
    }
    assert "<<The gallery at night.>>" in readable(prompt(situation))


def test_role_of_the_request_is_the_persona_of_who_plays_none() -> None:
    situation = {
        "character": MARA | {"system_prompt": "<<{{user}}, {{persona}}>>"},
        "request": {"user_role": "a {{char}}"},
    }
    assert "<<Ada, a {{char}}>>" in readable(prompt(situation))
