"""Decides how important a fact is, by a model's rating and by its words. Pure."""

from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.languages import are_foreign

LASTING, USUAL = 5, 3
"""The importance of a fact that lasts, and of any other, if nobody rated it."""
MOST_RATED = 4
"""The maximum for a model's rating of an English fact: a model that rates everything 5 would push
out lasting facts. In other languages, `kinds` knows few words or none, so the rating may say more
than the words do."""


def importance_of(text: str, rating: int | None = None) -> int:
    """The importance of a fact that a model rated, or nobody. For English facts, only the words
    decide whether they last."""
    if kinds_of(text):
        return LASTING
    if rating is None:
        return USUAL
    return min(rating, LASTING if are_foreign(text) else MOST_RATED)


def lasts(text: str, importance: int) -> bool:
    """Whether a fact outlives all others, by the person's rating or by its words."""
    return importance == LASTING or importance_of(text) == LASTING
