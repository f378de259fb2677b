"""Decides what memory of adult conversations a turn for everybody may show. Pure.

No list of words covers everything sexual in all languages. So a fact is shown only if its words
tell that it is of a kind that a story cannot do without: names, family, limits, promises, home, job
and the like.
"""

from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock

from cachetools import LRUCache, cached

from edge.patterns import compiled_later
from roleplay_chat.api import Tier
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.topics import plain_slot
from roleplay_chat.rows import BegunTurn, FactRow
from roleplay_chat.screening.rules import is_sexual
from roleplay_chat.screening.scenes import has_word_of_scene

_FAVOURITE = compiled_later(
    r"favourite (?:colour|food|dish|drink|tea|animal|song|book|film|movie|season|flower|band"
    r"|sport|number|city|bird)"
)
MAX_READ_CHARS = 40_000
"""The most characters of adult facts that a turn reads. The facts of a turn are shorter together if
models noted them; a person's may be longer."""
REMEMBERED_TEXTS = 10_000
"""For how many facts an instance keeps the verdict; for summaries, a tenth as many."""


def for_tier(begun: BegunTurn, tier: Tier) -> BegunTurn:
    """The turn with only the memory that its tier allows.

    Memory from a conversation with adult turns is allowed in an `sfw` turn only if nothing in it is
    sexual, and facts only if they are of a kind that is known to be harmless. A summary that is
    left out is not continued either. `recall.choose` does the same with messages.
    """
    if tier == "nsfw":
        return begun
    kept = begun.memory
    if kept and kept.content_tier == "nsfw" and not _is_clean(kept.text):
        kept = kept.model_copy(update={"summary": "", "person_summary": "", "may_write": False})
    return begun.model_copy(update={"facts": suitable(begun.facts), "memory": kept})


def unread_memory(begun: BegunTurn, tier: Tier) -> int:
    """How many characters `for_tier` has to read that the instance has not read before."""
    if tier == "nsfw":
        return 0
    kept = begun.memory
    is_unread = kept and kept.content_tier == "nsfw" and _hash_of(kept.text) not in _summaries
    return (len(kept.text) if kept and is_unread else 0) + unread_chars(begun.facts)


def suitable(facts: Sequence[FactRow]) -> list[FactRow]:
    """The facts that a turn for everybody may show.

    Adult facts after the first `MAX_READ_CHARS` are left out unread, even if an instance knows
    them: otherwise a conversation's facts would come and go from instance to instance.
    """
    read = {id(fact) for fact in _read(facts)}
    return [
        fact
        for fact in facts
        if fact.content_tier == "sfw" or (id(fact) in read and _is_harmless(fact.content))
    ]


def unread_chars(facts: Sequence[FactRow]) -> int:
    """How many characters `suitable` has to read that the instance has not read before."""
    texts = (fact.content for fact in _read(facts))
    return sum(len(text) for text in texts if _hash_of(text) not in _facts)


def _read(facts: Sequence[FactRow]) -> list[FactRow]:
    """The facts that have to be read."""
    read, left = [], MAX_READ_CHARS
    for fact in facts:
        if fact.content_tier == "nsfw" and (left := left - len(fact.content)) >= 0:
            read.append(fact)
    return read


def _hash_of(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


_facts = LRUCache[bytes, bool](REMEMBERED_TEXTS)
_summaries = LRUCache[bytes, bool](REMEMBERED_TEXTS // 10)


@cached(_facts, key=_hash_of, lock=Lock())
def _is_harmless(text: str) -> bool:
    return _is_known_kind(text) and not is_sexual(text) and not has_word_of_scene(text)


def _is_known_kind(text: str) -> bool:
    if kinds_of(text):
        return True
    slot = plain_slot(text, subject="she", person="")
    if slot is None:
        return False
    _, topic = slot
    return not topic.startswith("favourite") or _FAVOURITE.fullmatch(topic) is not None


@cached(_summaries, key=_hash_of, lock=Lock())
def _is_clean(text: str) -> bool:
    return not is_sexual(text)
