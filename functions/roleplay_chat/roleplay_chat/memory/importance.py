"""Tells how important a fact is, from what a model rated and from its words. Pure."""

from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.languages import are_foreign

LASTING, USUAL = 5, 3
"""The importance of a fact that lasts, and of any other, if nobody rated it."""
MOST_RATED = 4
"""The most that a model's rating of an English fact counts: one that rates everything 5 would push
out what lasts. In other languages, whose words `kinds` knows in part or not at all, it may say
more than the words."""


def importance_of(text: str, rating: int | None = None) -> int:
    """The importance of a fact that a model rated, or nobody: English facts that last are known by
    their words alone."""
    if kinds_of(text):
        return LASTING
    if rating is None:
        return USUAL
    return min(rating, LASTING if are_foreign(text) else MOST_RATED)


def lasts(text: str, importance: int) -> bool:
    """Whether a fact outlives everything, as the person rated it or as its words tell."""
    return importance == LASTING or importance_of(text) == LASTING
