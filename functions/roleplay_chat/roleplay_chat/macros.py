"""{{char}} and the like, in what authors wrote. Expanded once, and never in what people said."""

import re
from collections.abc import Mapping

from roleplay_chat.api import ChatRequest
from roleplay_chat.rows import BegunTurn

MAX_GROWTH = 40_000
"""Characters that macros add to a text. One that repeats a description a thousand times would
otherwise be larger than memory."""

_MACRO = re.compile(
    r"\{\{\s*(?P<name>[A-Za-z_]+)\s*\}\}"
    r"|\{\{\s*(?P<remark>//|comment\s*:)[^{}]*\}\}"
    r"|<(?P<old>user|char|bot)>",
    re.IGNORECASE,
)
_OLD_NAMES = {"user": "user", "char": "char", "bot": "char"}
_SHORT = ("char", "user", "character_name", "user_name")


def macros_of(begun: BegunTurn, request: ChatRequest) -> dict[str, str]:
    """What each macro stands for in this turn."""
    character, persona = begun.character, begun.persona
    user_name = (persona.name if persona else begun.user.name) or "the user"
    macros = {"user": user_name, "user_name": user_name, "char": "the narrator"}
    macros["persona"] = (persona.description if persona else request.user_role) or ""
    macros["scenario"] = request.scene_description or (character.scenario if character else "")
    for prefix, row in (("character", character), ("user", persona)):
        for column in ("name", "description", "personality", "scenario", "pronouns", "age"):
            value = getattr(row, column, None)
            if value not in (None, ""):
                macros[f"{prefix}_{column}"] = str(value)
    if character:
        macros["char"] = character.nickname or character.name
    return macros


def names_in(macros: Mapping[str, str]) -> dict[str, str]:
    """Those that stand for a name. Where there are thousands of texts only these are expanded."""
    return {name: macros[name] for name in _SHORT if name in macros}


def expand(text: str, macros: Mapping[str, str]) -> str:
    """The text with its macros replaced and its author's remarks left out.

    What is not known stays as it is, and so does what would add too much. {{char}} may also be
    written <char> or <bot>, and {{user}} <user>, as the oldest cards have it.
    """
    growth = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal growth
        if match["remark"]:
            return ""
        name = match["name"] or _OLD_NAMES[match["old"].lower()]
        value = macros.get(name.lower(), match[0])
        growth += max(len(value) - len(match[0]), 0)
        return value if growth <= MAX_GROWTH else match[0]

    return _MACRO.sub(replacement, text)
