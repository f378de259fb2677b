"""Expands macros such as {{char}} in authors' texts: once, and never in messages."""

from collections.abc import Callable, Iterable
from datetime import UTC

from msgspec.structs import replace

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.macro_clock import Clock
from roleplay_chat.prompt.macro_expansion import (
    MAX_GROWTH,
    Words,
    expansion,
    source_without_placeholders,
    unsupported,
)
from roleplay_chat.prompt.macro_values import NAMES, SAID, Macros
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.prompt.passages import NO_WORDS, Piece
from roleplay_chat.rows import BegunTurn, CharacterRow
from roleplay_chat.screening.decision import Part
from roleplay_chat.time_zones import parse_time_zone

__all__ = [
    "MAX_GROWTH",
    "Macros",
    "build_macros",
    "called",
    "expand",
    "expanded",
    "names_in",
    "own_text",
    "owner",
    "unexpanded",
    "without_placeholders",
    "written",
]

_PRONOUNS = {
    "she": ("she", "her", "her"),
    "he": ("he", "him", "his"),
    "they": ("they", "them", "their"),
}
_OF_A_CHARACTER = {
    "description": "description",
    "personality": "personality",
    "mesexamples": "example_messages",
    "charprompt": "system_prompt",
    "charinstruction": "post_history_instructions",
    "chardepthprompt": "depth_prompt",
}
"""Texts of the speaker, by the names of their macros."""
_GENERATION = {"send": "normal", "kickoff": "normal", "regenerate": "swipe"}
"""SillyTavern's names of the kinds of turns, if they differ from ours."""


def user_name(begun: BegunTurn) -> str:
    """The name of whom the user plays in this turn."""
    return (begun.persona.name if begun.persona else begun.user.name) or "the user"


def build_macros(begun: BegunTurn, request: ChatRequest) -> Macros:
    """The values of the macros in this turn."""
    character, persona = begun.character, begun.persona
    user = user_name(begun)
    values = {"user": user, "user_name": user, "char": "the narrator"}
    texts = {"scenario": request.scene_description or (character.scenario if character else "")}
    if persona:
        texts["persona"] = persona.description
    for prefix, row in (("character", character), ("user", persona)):
        for column in ("name", "pronouns", "age"):
            value = getattr(row, column, None)
            if value not in (None, ""):
                values[f"{prefix}_{column}"] = str(value)
        for column in ("description", "personality", "scenario"):
            texts[f"{prefix}_{column}"] = getattr(row, column, "")
        values |= _pronoun_forms(prefix, row.pronouns if row else None)
    if character:
        values["char"] = character.nickname or character.name
        texts |= {name: getattr(character, of, "") for name, of in _OF_A_CHARACTER.items()}
    others = [other.nickname or other.name for other in begun.others]
    values["group"] = ", ".join([values["char"], *others])
    values["notchar"] = ", ".join([*others, user])
    macros = Macros(
        values=values | _said(begun, request),
        texts=texts,
        greetings=tuple(character.greetings) if character else (),
        conversation=begun.key,
        messages=_messages(begun),
        clock=_clock(begun, request),
        variables=Variables.from_json(begun.variables),
    )
    if persona:
        return macros
    # A person's own words.
    return macros.having(persona=without_placeholders(request.user_role or "", macros))


def _said(begun: BegunTurn, request: ChatRequest) -> dict[str, str]:
    """The last messages, and the state of the conversation."""
    said = begun.turn.message
    by = {row.sender: row.content for row in begun.history}
    last = begun.history[-1].content if begun.history else ""
    number = len(begun.history) - (said is None)
    return {
        "input": said or "",
        "lastmessage": last if said is None else said,
        "lastusermessage": by.get("user", "") if said is None else said,
        "lastcharmessage": by.get("character", ""),
        "lastmessageid": str(number) if number >= 0 else "",
        "lastgenerationtype": _GENERATION.get(request.action, request.action),
        "ismobile": "false",
    }


def _messages(begun: BegunTurn) -> int:
    """The length of the conversation before the reply, so that it is the same for all versions of
    the reply."""
    return begun.history[-1].position or len(begun.history) if begun.history else 0


def _clock(begun: BegunTurn, request: ChatRequest) -> Clock:
    zone = parse_time_zone(request.time_zone) if request.time_zone else UTC
    return Clock(begun.now, zone, begun.last_said_at)


def without_placeholders(value: str, macros: Macros) -> str:
    """A person's words with placeholders of the older product replaced; other macros stay."""
    return source_without_placeholders(value, macros) if "{{" in value else value


def _pronoun_forms(prefix: str, pronouns: str | None) -> dict[str, str]:
    """The macros of an older product for pronouns: {{user_pronoun_them}} is "her" for she/her."""
    subject = (pronouns or "").partition("/")[0].strip().lower()
    forms = _PRONOUNS.get(subject, _PRONOUNS["they"])
    named = zip(_PRONOUNS["they"], forms, strict=True)
    return {f"{prefix}_pronoun_{name}": form for name, form in named}


def names_in(macros: Macros) -> Macros:
    """Only the macros for names."""
    names = {name: macros[name] for name in NAMES if name in macros.values}
    return replace(macros, values=names, texts={}, greetings=(), expanded_texts={})


def called(macros: Macros, other: CharacterRow) -> Macros:
    """The macros for names, in which {{char}} means another character."""
    return names_in(macros).having(char=other.nickname or other.name, character_name=other.name)


def expand(text: str, macros: Macros) -> str:
    """The text with its macros expanded.

    Unknown macros are left out, and so is text beyond `MAX_GROWTH`. As in the oldest cards, <char>
    and <bot> mean {{char}}, and <user> means {{user}}.
    """
    if "{{" not in text and "<" not in text:
        return text
    return "".join([words for _, words in expansion(text, macros)])


def expanded(
    text: str,
    macros: Macros,
    part_of: Callable[[str | None], Part | None],
    original: Piece = NO_WORDS,
) -> Piece:
    """As `expand`, but returns a piece, with `original` for {{original}}.

    `part_of` gives the part that a macro's value comes from, by the macro's name; for None, the
    part of the text.
    """
    if original.runs:
        macros = macros.having(original=original.text)
    return _piece(expansion(text, macros), part_of, original)


def written(text: str, macros: Macros, part: Part, original: Piece = NO_WORDS) -> Piece:
    """As `expanded`, for a text of one part. Only quoted messages belong to other parts."""
    if "{{" not in text and "<" not in text:
        return Piece.from_text(part, text)
    if original.runs:
        macros = macros.having(original=original.text)
    words = expansion(text, macros)
    if not original.runs and all(name not in SAID for name, _ in words):
        return Piece.from_text(part, "".join([some for _, some in words]))
    return _piece(words, lambda name: "history" if name in SAID else part, original)


def own_text(text: str, request: ChatRequest, macros: Macros) -> Piece:
    """A text of ours, with macros expanded."""
    return expanded(text, macros, lambda name: owner(name, request) if name else None)


def _piece(
    words: Iterable[Words], part_of: Callable[[str | None], Part | None], original: Piece
) -> Piece:
    return Piece.from_runs(
        run
        for name, some in words
        for run in (
            original.runs
            if name == "original" and some == original.text
            else [(part_of(name), some)]
        )
    )


def owner(name: str, request: ChatRequest) -> Part:
    """The part of the turn that a macro's value comes from."""
    if name == "scenario" and request.scene_description:
        return "scene"
    if name in SAID:
        return "history"
    return "persona" if name.startswith(("user", "persona")) else "character"


def unexpanded(text: str, *, knows_original: bool = True) -> list[str]:
    """The names of the macros in the text that are left out, as the author wrote them."""
    if "{{" not in text:
        return []
    return unsupported(text, frozenset() if knows_original else frozenset(["original"]))
