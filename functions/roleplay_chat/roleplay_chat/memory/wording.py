"""Converts the most common ways to say the same thing into one wording. Pure.

Models note the same fact in different words each time. The database also uses these forms to
recognise a fact that a person turned off or deleted.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from edge.patterns import compiled_later
from roleplay_chat.memory.words import JOINING
from roleplay_chat.scripts import has_unspaced

_NAME = "^"
"""A mark before a word that may be a name. No word contains it."""

_END = r"(?=$| (?:and|but|who|which|because|as (?:was|i|said|mentioned))\b)"
"""The end of the fact, or the beginning of another clause."""
_NAMES = rf"\^\S+(?: \^\S+)*{_END}"
_SIMPLE = rf"(?!.* (?:{'|'.join(sorted(JOINING))})\b)"
"""Only a single statement follows."""

_RULES = tuple(
    (compiled_later(said), told)
    for said, told in (
        # "Tom is Ada's brother", "Pasta is Ada's favourite food", "Ada has a brother called Tom".
        (rf"^{_SIMPLE}(\S+(?<!'s)) is (\S+'s) (\S.*)$", r"\2 \3 is \1"),
        (r"^(\S+(?<!'s)) have (\S+) called (?=\^)", r"\1's \2 is called "),
        (r"^(\S+(?<!'s)) is married to ", r"\1's spouse is "),
        (r"^(\S+'s) (?:husband|wife) is ", r"\1 spouse is "),
        (rf"^(.+)'s name is (?={_NAMES})", r"\1 is "),
        (rf"(?<= )(is|was) called (?={_NAMES})", r"\1 "),
        # A home. "Has moved to the window" tells none, and "moved to Rome" may be long ago.
        (rf"^(\S+)'s home is (?={_NAMES})", r"\1 live in "),
        (
            rf"(?<= )have (?:settled (?:in|at)|(?:moved|relocated)(?: back)? to) (?={_NAMES})",
            "live in ",
        ),
        (r"(?<= )(?:is living|live) (?:in|at) (?=\^\S+(?<!'s)(?: |$))", "live in "),
        # "Works as a nurse, as was said", but not "works as hard as Tom".
        (r"(?<= )is working (?=\S)", "work "),
        (r"(?<= )work as (?!\S+ as (?!was ))", "is "),
        (r"^(\S+)'s (?:job|occupation|profession) is ", r"\1 is "),
        (rf"(?<= is )(\S+) year old{_END}", r"\1"),
        (r"^(\S+(?<!'s)) use (\S+ \S+) pronoun$", r"\1's pronoun are \2"),
        (r"(?<= )is afraid of ", "fear "),
        (rf"^(\S+(?<!'s)) have (\S+) allergy{_END}", r"\1 is allergic to \2"),
    )
)
"""Wordings and their standard forms, in stems without articles and negations."""

_PAIR = compiled_later(r"^(\^\S+(?<!'s)) and (\^\S+(?<!'s))(?= )")
"""Two names at the beginning, about whom the fact says the same."""

_ASIDES = r"(?:was|has been|already|before|previously|earlier)"
_AGAIN = compiled_later(
    rf"(?:(?:,| \(| [-–—]) ?as (?:{_ASIDES} ){{0,2}}| as (?:{_ASIDES} ){{1,2}})"
    r"(?:said|mentioned|stated|noted|established)(?: (?:already|before|previously|earlier|above))?"
    r"\)?(?P<mark>[.!]?)$",
    re.IGNORECASE,
)
"""What models append when they note a fact once more."""
_LONGEST_AGAIN = 60

_POLITE = (
    (compiled_later(r"(?<=[てで])います$"), "いる"),
    (compiled_later(r"(?<=い)です$"), ""),
    (compiled_later(r"(?:です|である)$"), "だ"),
)
"""Polite ends of Japanese sentences, and plain ones."""


def one_wording(stems: Sequence[str], capitals: AbstractSet[str]) -> list[str]:
    """The stems of a fact in its standard wording. `capitals` are words that may be names; in a
    text without any, every word may be one."""
    names = capitals & set(stems) or set(stems)
    text = " ".join(_NAME * (stem in names) + _plain_end(stem) for stem in stems)
    for said, told in _RULES:
        text = said.sub(told, text)
    text = _PAIR.sub(lambda pair: " and ".join(sorted(pair.groups())), text)
    return [word.removeprefix(_NAME) for word in text.split(" ")]


def without_again(text: str) -> str:
    """A fact without "as was said" at its end, which is not part of it."""
    start = max(len(text) - _LONGEST_AGAIN, 0)
    found = _AGAIN.search(text, start)
    return f"{text[: found.start()]}{found['mark']}" if found and found.start() > start else text


def _plain_end(stem: str) -> str:
    if has_unspaced(stem):
        for polite, plain in _POLITE:
            stem = polite.sub(plain, stem)
    return stem
