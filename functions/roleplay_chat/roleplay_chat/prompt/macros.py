"""{{char}} and the like, in what authors wrote. Expanded once, and never in what people said."""

import re
from collections.abc import Callable, Iterator, Mapping

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.passages import NO_WORDS, Piece
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.decision import Part

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


def build_macros(begun: BegunTurn, request: ChatRequest) -> dict[str, str]:
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
    if "{{" not in text and "<" not in text:
        return text
    return "".join([words for _, words in _segments(text, macros)])


def expanded(
    text: str,
    macros: Mapping[str, str],
    part_of: Callable[[str | None], Part | None],
    original: Piece = NO_WORDS,
) -> Piece:
    """The same as a piece, with `original` for {{original}}.

    `part_of` says whose words a macro stands for, by its name, and with None whose the text is.
    """
    macros = {**macros, "original": original.text} if original.runs else macros
    return Piece.from_runs(
        run
        for name, words in _segments(text, macros)
        for run in (
            original.runs if name == "original" and original.runs else [(part_of(name), words)]
        )
    )


def owner(name: str, request: ChatRequest) -> Part:
    """Whose words a macro stands for."""
    if name == "scenario" and request.scene_description:
        return "scene"
    return "persona" if name.startswith(("user", "persona")) else "character"


def _segments(text: str, macros: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    """The text's own words, with None, and what macros stand for, by their names, in order."""
    growth = end = 0
    for match in _MACRO.finditer(text):
        if match.start() > end:
            yield None, text[end : match.start()]
        end = match.end()
        if match["remark"]:
            continue
        name = (match["name"] or _OLD_NAMES[match["old"].lower()]).lower()
        value = macros.get(name)
        growth += max(len(value) - len(match[0]), 0) if value is not None else 0
        known = value is not None and growth <= MAX_GROWTH
        yield (name, value) if known and value is not None else (None, match[0])
    if end < len(text):
        yield None, text[end:]
