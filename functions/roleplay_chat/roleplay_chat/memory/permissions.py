"""Finds out whether somebody takes back a limit or promise in another language than English. Pure.

A sentence takes it back if it has a permission of `foreign_permissions`, all words of the limit,
and no others: neither "not" nor "if", a hand, or somebody else.
"""

import re
from collections.abc import Iterator

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words, is_limit
from roleplay_chat.memory.foreign_kinds import lowered
from roleplay_chat.memory.foreign_permissions import BY_LETTERS, BY_WORDS, YOURS, Part
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.languages import in_common, is_name_of
from roleplay_chat.memory.words import words_in

_SENTENCE = compiled_later(r"([^.!?。！？؟।;\n…]+)([.!?。！？؟।;…]*)")
_GOES_ON = compiled_later(
    r"\W*(?:aber|nur|außer|nein|mais|sauf|seulement|non|pero|solo|sólo|salvo|no|mas|só|exceto|não|ma"
    r"|tranne|но|только|кроме|нет|maar|alleen|behalve|nee|men|bara|utom|nej|kun|undtagen|nei|mutta"
    r"|vain|ei|de|csak|nem|dar|doar|nu|ama|yalnızca|sadece|hayır|αλλά|μόνο|όχι|لكن|فقط|لا|लेकिन|पर"
    r"|सिर्फ|नहीं)\b|\W*(?:でも|だが|ただ|いや|但|只|不[过過是]|하지만|단|아니)"
)
"""How a sentence begins that limits the one before it."""
_PARTS: tuple[Part, ...] = ("permitted", "unminded", "released")
_PREFIX = compiled_later(r"^(an|auf|aus|ab|zu|um|ein|mit|vor|nach|weg)?ge(?=\w{3})|^ال(?=\w{3})")
"""Of German and Dutch participles, and the Arabic article."""
_NO_LETTERS = compiled_later(r"[\W_]+")
_WORD = compiled_later(r"\w")
_PERMISSION = compiled_later(
    "|".join(table[part] for table in (*BY_WORDS, *BY_LETTERS) for part in _PARTS if part in table)
)


def is_permitted(text: str, old: Words, names: set[str]) -> bool:
    """Whether a text takes a limit or a promise back. `names` are those of the two who talk."""
    parts: tuple[Part, ...] = ("permitted", "unminded")
    if "promise" in kinds_of(old.text):
        parts = ("released",)
    elif not is_limit(old):
        return False
    return any(
        is_so(table, part, sentence, lowered(old.text), names)
        for tables, is_so in ((BY_WORDS, _is_by_words), (BY_LETTERS, _is_by_letters))
        for sentence in _sentences(text)
        for table in tables
        for part in parts
        if part in table
    )


def _sentences(text: str) -> Iterator[str]:
    """The sentences with a permission, in small letters, except questions and those that the next
    sentence limits. Last one first, so that each is read once, even if many have no words."""
    text = lowered(text).replace("’", "'")
    if not _PERMISSION.search(text):
        return
    is_limited = False
    for found in reversed([*_SENTENCE.finditer(text)]):
        is_asked = any(mark in found[0] for mark in "?？؟¿")
        if not is_asked and not is_limited and _PERMISSION.search(found[1]):
            yield found[0].strip()
        if _WORD.search(found[1]):
            is_limited = _GOES_ON.match(found[1]) is not None


def _is_by_words(
    table: dict[Part, str], part: Part, sentence: str, old: str, names: set[str]
) -> bool:
    kept: set[str] = set()
    if part == "permitted":
        # A name may only address somebody: "you may kiss me", not "kiss Mara".
        either = "|".join(map(re.escape, sorted(names))) or "(?!)"
        sentence = re.sub(rf"^\W*(?:{either})\s*,|,\s*(?:{either})\W*$", " ", sentence)
        kept = names
    rest, count = re.subn(rf"\b(?:{table[part]})(?!\w)", " ", sentence)
    if not count or re.search(rf"\b(?:{table.get('others', '(?!)')})\b", rest):
        return False
    empty = {*table["empty"].split()}
    if part == "unminded":
        empty |= {*table.get("articles", "").split()}
    elif part == "released":
        empty |= YOURS
    limit = _roots(_words(old) - {*table["around"].split()}, names)
    said = _roots(_words(rest) - empty, names - kept)
    return limit != set() and in_common(limit, said) == limit and in_common(said, limit) == said


def _is_by_letters(
    table: dict[Part, str], part: Part, sentence: str, old: str, names: set[str]
) -> bool:
    rest, count = re.subn(table[part], "", sentence)
    for name in sorted(names, key=len, reverse=True):
        old = old.replace(name, "")
    limit = _NO_LETTERS.sub("", re.sub(table["around"], "", old))
    said = _NO_LETTERS.sub("", re.sub(table["empty"], "", rest))
    return count > 0 and limit == said != ""


def _words(text: str) -> set[str]:
    """The words of a text; "m'embrasser" has two."""
    return {part for word in words_in(text) for part in word.split("'") if part}


def _roots(words: set[str], names: set[str]) -> set[str]:
    """The words without their prefixes, and without names."""
    return {_PREFIX.sub(r"\1", word) for word in words if not is_name_of(word, names)}
