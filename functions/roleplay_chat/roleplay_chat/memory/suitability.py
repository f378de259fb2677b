"""Decides which facts of adult conversations a turn for everybody may show. Pure.

No list of words knows all that is sexual, in all languages. So such a fact is shown only if words
tell that it is of a kind without which nobody can go on: names, family, limits, promises, home, job
and the like.
"""

from edge.patterns import compiled_later
from roleplay_chat.api import Tier
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.topics import plain_slot
from roleplay_chat.screening.rules import is_sexual
from roleplay_chat.screening.scenes import has_word_of_scene

_FAVOURITE = compiled_later(
    r"favourite (?:colour|food|dish|drink|tea|animal|song|book|film|movie|season|flower|band"
    r"|sport|number|city|bird)"
)


def is_suitable(text: str, origin: Tier) -> bool:
    """Whether a turn for everybody may show a fact that was noted in this tier."""
    return origin == "sfw" or (
        _is_known_kind(text) and not is_sexual(text) and not has_word_of_scene(text)
    )


def _is_known_kind(text: str) -> bool:
    if kinds_of(text):
        return True
    slot = plain_slot(text, subject="she", person="")
    if slot is None:
        return False
    _, topic = slot
    return not topic.startswith("favourite") or _FAVOURITE.fullmatch(topic) is not None
