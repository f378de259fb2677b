"""Complete prompts as models get them, stored in tests/data/prompts.

After an intended change, run REWRITE_PROMPTS=1 .venv/bin/python -m pytest
tests/unit/test_prompt_snapshots.py and read the `git diff`.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import build
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.prompts import spec
from tests.support.situations import MARA, REYES, SAID, SITUATIONS, TEMPLATE, begun

FOLDER = Path(__file__).parents[1] / "data" / "prompts"


def prompt(situation: dict[str, Any], *, max_tokens: int = 400) -> list[tuple[str, str]]:
    request = ChatRequest.model_validate(situation.get("request", {}))
    limits = {"context_tokens": situation.get("context_tokens", 8192), "max_tokens": max_tokens}
    built = build(spec(begun(situation), request=request, **limits))
    return [(message["role"], message["content"]) for message in built]


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
