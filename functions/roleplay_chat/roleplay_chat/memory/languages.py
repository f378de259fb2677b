"""Finds what two texts in a language other than English have in common. Pure.

Without the endings and the grammar of a language, a word is compared by its beginning.
"""

from collections.abc import Set as AbstractSet

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words
from roleplay_chat.memory.words import word_set, words_in
from roleplay_chat.scripts import has_unspaced

_ENGLISH = word_set(
    """the my is are has have his she they with and your you this that not it to of for at from by
    i'm i've likes loves wants lives works keeps plays hates fears"""
)
"""An English fact, or the message that it comes from, has at least one of these words."""

_EMPTY = word_set(
    """hat haben habe ist sind у есть была был было были её ее его ai as a est sont son sa ses tiene
    tengo es está ho ha è tem tenho é bir var لدى لدي عند عندي के की का पास में है हैं हूँ"""
)
"""Verbs and prepositions that say nothing of what a fact is about."""

_KANA = compiled_later("[\u3041-\u30ff]")
_JAPANESE = compiled_later("[\u30a1-\u30f6ー]{2,}|[\u3400-\u9fff]")
_TOPIC = compiled_later("^[^、。]{1,12}?は")
_CYRILLIC_CAPITAL = compiled_later("^[А-ЯЁ]")
MIN_ROOT, MIN_SHORT_ROOT, MAX_ENDING = 4, 3, 4


def are_foreign(*texts: str) -> bool:
    """Whether no text has a word of plain English sentences."""
    words = {word for text in texts for word in words_in(text)}
    return "I" not in words and _ENGLISH.isdisjoint(word.casefold() for word in words)


def bearing(fact: Words, names: AbstractSet[str]) -> set[str]:
    """The words of a fact that carry meaning, without whom it is about."""
    return meaning(Words(_TOPIC.sub("", fact.text)), names)


def meaning(words: Words, names: AbstractSet[str]) -> set[str]:
    """The words that carry meaning, without the names of the two who talk; in Japanese, the Chinese
    characters and loanwords."""
    if _KANA.search(words.text):
        return {*_JAPANESE.findall(words.text)} - names
    if has_unspaced(words.text):
        return words.content - names
    capitals = {
        word.casefold() for word in words_in(words.text)[1:] if _CYRILLIC_CAPITAL.search(word)
    }
    content = words.content - names - _EMPTY - capitals
    return {word for word in content if not is_name_of(word, names)}


def is_name_of(word: str, names: AbstractSet[str]) -> bool:
    """Whether it is one of the names, perhaps with an ending: "Adas", "Ады"."""
    word = word.partition("'")[0]
    stem = word if word.isascii() else word[:-1]
    is_inflected = len(stem) > 1 and any(
        name.startswith(stem) and len(name) <= len(word) + 1 for name in names
    )
    return word in names or word.removesuffix("s") in names or (stem != word and is_inflected)


def is_other_script(word: str, names: AbstractSet[str]) -> bool:
    """Whether a name is in another script than these names, so that it may still be one of them."""
    return not word.isascii() and all(name.isascii() for name in names)


def in_common(one: AbstractSet[str], other: AbstractSet[str]) -> set[str]:
    """The words of one text that the other has too, perhaps with another ending."""
    return {word for word in one if any(_are_alike(word, theirs) for theirs in other)}


def _are_alike(one: str, other: str) -> bool:
    """Whether two words begin alike: with four letters, or the whole shorter one, if it is not
    Latin. A compound is another word."""
    if one == other or has_unspaced(one) or abs(len(one) - len(other)) > MAX_ENDING:
        return one == other
    shorter = min(len(one), len(other))
    least = MIN_ROOT if one.isascii() else MIN_SHORT_ROOT
    root = max(MIN_ROOT, shorter - 2) if shorter >= MIN_ROOT else shorter
    return root >= least and one[:root] == other[:root]
