"""Expands macros such as {{char}} in authors' texts: once, and never in messages."""

import re
from collections.abc import Callable, Iterator, Mapping

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.passages import NO_WORDS, Piece
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.decision import Part

MAX_GROWTH = 40_000
"""Characters that macros may add to a text. Without a limit, a text that repeats a description a
thousand times would exhaust memory."""

_MACRO = re.compile(
    r"\{\{\s*(?P<remark>//|comment\s*:)[^{}]*\}\}"
    # Three braces and {{name|filter}} are forms of other template languages. The look back comes
    # second: a pattern whose forms all begin with a character is tried only where one stands.
    r"|\{(?<!\{\{)\{+\s*(?P<name>[A-Za-z_][\w.-]*)\s*(?P<filter>[|:][^{}]*)?\}{2,}"
    r"|<(?P<old>user|char|bot)>",
    re.IGNORECASE,
)
_LEFT = re.compile(r"\{\{\s{0,8}(//|[#/?!.$]?\w[\w.-]{0,39})")
"""The beginning of any macro, also of one with arguments."""
_NESTED = re.compile(r"\{\{([^{}]*)\{\{([^{}]*)\}\}([^{}]*)\}\}")
_MAX_NESTING = 8
_OLD_NAMES = {"user": "user", "char": "char", "bot": "char"}
_SHORT = ("char", "user", "character_name", "user_name")


_PRONOUNS = {
    "she": ("she", "her", "her"),
    "he": ("he", "him", "his"),
    "they": ("they", "them", "their"),
}
_ELSEWHERE = (
    *("mood", "scene_context", "voice_examples", "voice_tone"),
    *("character_background", "character_goals", "character_quirks", "character_relationships"),
    *("character_speaking_style", "character_visual_description"),
    *("character_description", "character_personality"),
    *("user_appearance", "user_gender", "user_persona"),
)
"""Macros of an older product that are empty unless a row says more. Most of their values are in
sections of the prompt of their own."""
_KNOWN_PLACEHOLDERS = frozenset(_ELSEWHERE)
_PLACEHOLDER_PREFIXES = tuple(
    f"{owner}{mark}"
    for owner in ("character", "user", "persona", "scene", "voice")
    for mark in "_.-"
)
"""The look of that product's placeholders. None is ever sent to a model, known or not."""


def build_macros(begun: BegunTurn, request: ChatRequest) -> dict[str, str]:
    """The values of the macros in this turn, by name."""
    character, persona = begun.character, begun.persona
    user_name = (persona.name if persona else begun.user.name) or "the user"
    macros = dict.fromkeys(_ELSEWHERE, "")
    macros |= {"user": user_name, "user_name": user_name, "char": "the narrator"}
    macros["persona"] = (persona.description if persona else request.user_role) or ""
    macros["scenario"] = request.scene_description or (character.scenario if character else "")
    for prefix, row in (("character", character), ("user", persona)):
        for column in ("name", "description", "personality", "scenario", "pronouns", "age"):
            value = getattr(row, column, None)
            if value not in (None, ""):
                macros[f"{prefix}_{column}"] = str(value)
        macros |= _pronoun_forms(prefix, row.pronouns if row else None)
    if character:
        macros["char"] = character.nickname or character.name
    if written := [name for name, value in macros.items() if "{{" in value]:
        plain = _plain(macros)
        macros |= {name: expand(macros[name], plain) for name in written}
    return macros


def without_placeholders(value: str, macros: Mapping[str, str]) -> str:
    """A value with placeholders of the older product replaced; other macros in it stay."""
    return expand(value, _plain(macros)) if "{{" in value else value


def _plain(macros: Mapping[str, str]) -> dict[str, str]:
    """The placeholders of the older product whose values contain no macros."""
    return {
        name: value for name, value in macros.items() if "{{" not in value and _is_placeholder(name)
    }


def _is_placeholder(name: str) -> bool:
    name = name.casefold()
    return name.startswith(_PLACEHOLDER_PREFIXES) or name in _KNOWN_PLACEHOLDERS


def _pronoun_forms(prefix: str, pronouns: str | None) -> dict[str, str]:
    """The macros of an older product for pronouns: {{user_pronoun_them}} is "her" for she/her."""
    subject = (pronouns or "").partition("/")[0].strip().lower()
    forms = _PRONOUNS.get(subject, _PRONOUNS["they"])
    named = zip(_PRONOUNS["they"], forms, strict=True)
    return {f"{prefix}_pronoun_{name}": form for name, form in named}


def names_in(macros: Mapping[str, str]) -> dict[str, str]:
    """Only the macros for names, which are enough for thousands of lorebook texts."""
    return {name: macros[name] for name in _SHORT if name in macros}


def expand(text: str, macros: Mapping[str, str]) -> str:
    """The text with its macros expanded and its comments removed.

    Unknown macros, and those beyond `MAX_GROWTH`, stay as they are, but for those that look like
    placeholders of the older product: these are left out. As in the oldest cards, <char> and <bot>
    mean {{char}}, and <user> means {{user}}.
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
    """As `expand`, but returns a piece, with `original` for {{original}}.

    `part_of` gives the part that a macro's value comes from, by name; for None, that of the text.
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
    """The part of the turn that a macro's value comes from."""
    if name == "scenario" and request.scene_description:
        return "scene"
    return "persona" if name.startswith(("user", "persona")) else "character"


def unexpanded(text: str, macros: Mapping[str, str]) -> list[str]:
    """The names of the macros that `expand` leaves in the text."""
    if "{{" not in text:
        return []
    left = expand(text, dict.fromkeys(macros, ""))
    names = (match[1] for match in _LEFT.finditer(left))
    return [name for name in dict.fromkeys(names) if name.lower() not in macros]


def _segments(text: str, macros: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    """The runs of the text in order: (None, its own words) and (macro name, value)."""
    growth = end = 0
    text = _flattened(text)
    for match in _MACRO.finditer(text):
        if match.start() > end:
            yield None, text[end : match.start()]
        end = match.end()
        if match["remark"]:
            continue
        name = (match["name"] or _OLD_NAMES[match["old"].lower()]).lower()
        is_placeholder = _is_placeholder(name)
        value = macros.get(name) if is_placeholder or not match["filter"] else None
        growth += max(len(value) - len(match[0]), 0) if value is not None else 0
        known = value is not None and growth <= MAX_GROWTH
        if known and value is not None:
            yield name, value
        elif not is_placeholder:
            yield None, match[0]
    if end < len(text):
        yield None, text[end:]


def _flattened(text: str) -> str:
    """The text without placeholders of the older product that are inside one another."""
    for _ in range(_MAX_NESTING):
        flat = _NESTED.sub(_unnested, text)
        if flat == text:
            break
        text = flat
    return text


def _unnested(match: re.Match[str]) -> str:
    outer, inner, rest = (part.strip() for part in match.groups())
    if not outer and not rest:
        return f"{{{{{inner}}}}}"
    # One that is left out itself, for what it may be inside of.
    return "{{scene_}}" if _is_placeholder(outer) or _is_placeholder(inner) else match[0]
