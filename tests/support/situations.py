"""Situations of a turn, for the snapshots of prompts."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from roleplay_chat.rows import BegunTurn

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
