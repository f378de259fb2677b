"""What notes are drawn from: the messages, the known facts and the names of the two. Pure.

It answers what the messages say: whether they bear out a fact, end it, change it or add to it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

from msgspec import Struct

from edge.patterns import compiled_later
from roleplay_chat.memory.comparison import Words, is_limit, may_both_hold
from roleplay_chat.memory.endings import beside_wanting, clauses, has_ended, is_lifted, is_over
from roleplay_chat.memory.kinds import kinds_of
from roleplay_chat.memory.languages import are_foreign, bearing, in_common, meaning
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.permissions import is_permitted
from roleplay_chat.memory.topics import FAMILY, by_name, has_pronoun, whom
from roleplay_chat.memory.words import COMMON, bare, is_negation, words_in
from roleplay_chat.rows import FactRow

_INSTEAD = compiled_later(r"\b(?:instead|rather than)\b", re.IGNORECASE)
_NO_LONGER = compiled_later(r"\b(?:no longer|any ?more)\b", re.IGNORECASE)
_CHANGED = compiled_later(r"\b(?:changed|moved|g[ai]ven? up)\b", re.IGNORECASE)
"""Words that may be about something else, unless the old value is named."""
_NOW = compiled_later(r"\b(?:now|nowadays|these days|from now on)\b", re.IGNORECASE)
_CHANGED_MIND = compiled_later(
    r"\b(?:chang(?:ed|ing) (?:my|our) (?:plans?|minds?)|change of (?:plans?|mind))\b"
    r"(?! (?:about|on|regarding)\b)",
    re.IGNORECASE,
)
"""Words after which, in the same sentence or the next, comes what holds instead."""
_CHANGES = (_INSTEAD, _NO_LONGER, _CHANGED, _NOW, _CHANGED_MIND)
"""Words by which people say that something is no longer as it was."""
_TOO = compiled_later(r"\b(?:too|also|as well|another|besides|in addition)\b", re.IGNORECASE)
"""Words by which people say that something still is as it was."""
_ALSO = compiled_later(r"(?<=\w )also\b|\btoo(?=[,.;!?]|$)|\bas well\b", re.IGNORECASE)
"""The same within a sentence. "Also, I live in Oslo" is only a continuation."""
_SUPPOSED = compiled_later(
    r"\b(?:if (?:i|we|only)(?! (?:remember|recall|may)\b)|i wish"
    r"|(?:would|['’]d) (?:love|like|prefer) to(?! (?:tell|say|show|add|mention|invite)\b)"
    r"|dream(?:s|t|ed|ing)? (?:of|about|that|is|was|to)"
    r"|(?:one|some) ?day,? (?:i|we)(?:['’](?:ll|d)| (?:will|would|want|hope|may|might|could)))\b"
    r"[^,;:.!?]*",
    re.IGNORECASE,
)
"""A clause that says what is not so: "if I lived in Oslo"."""
_SENTENCE_END = compiled_later(r"(?<=[.!?])\s")


class Material(Struct, frozen=True, dict=True):
    """The messages from which the facts were noted."""

    known: Sequence[FactRow]
    """In the order of their numbers, from 1."""
    messages: Sequence[tuple[int, str]]
    """Positions and texts, in the order of their numbers, from 1."""
    person: str
    """The names of the two who talk."""
    character: str
    of_person: Collection[int] | None = None
    """The positions of the person's messages; None if unknown."""

    @cached_property
    def names(self) -> set[str]:
        """The words of their names."""
        both = f"{self.person} {self.character}"
        words = Words(f"{both} {both.title()}")
        # In scripts without spaces a name is part of a longer word, which only `content` has.
        return {*words.stems, *(f"{name}'s" for name in words.stems), *words.content}

    @cached_property
    def _capitals(self) -> set[str]:
        """The words that may be names in the messages and the known facts."""
        texts = [*(row.content for row in self.known), *(text for _, text in self.messages)]
        return bare(word for text in texts for word in Words(text).capitals)

    def by_name(self, text: str, subject: str) -> str:
        """The text with the name of its subject in place of a pronoun, if that is a name which
        somebody used: "Ada's sister", and not "Preferences"."""
        words = whom(subject, self.person) - FAMILY - COMMON if has_pronoun(text) else set()
        return by_name(text, subject) if words and words <= self.names | self._capitals else text

    @cached_property
    def _said(self) -> list[set[str]]:
        """The words of each message."""
        return [Words(text).content for _, text in self.messages]

    @cached_property
    def said(self) -> set[str]:
        """The words of all messages."""
        return set().union(*self._said)

    def _said_at(self, position: int) -> set[str]:
        """The words of the message at a position."""
        at = (
            said for (at, _), said in zip(self.messages, self._said, strict=True) if at == position
        )
        return set().union(*at)

    def is_later(self, row: FactRow) -> bool:
        """Whether a fact was said after these messages."""
        return was_said_after(row, self.messages[-1][0])

    def source(self, words: Words, message: int | None) -> tuple[int, int]:
        """The positions of the message that a fact was drawn from: the one that the model named,
        unless another has half of the fact's words and it has fewer. If the model named none, the
        message with most of the words, of several the one with the rarest, then the latest; if none
        has half, all messages.
        """
        bearing, place = self.bearing(words), self._place(message)
        if is_limit(words):
            bearing = beside_wanting(bearing)  # Anybody may want anything.
        if place < 0 or 2 * len(bearing & self._said[place]) < len(bearing):
            shares = [bearing & said for said in self._said]
            among = Counter(word for share in shares for word in share)
            rarity = [sum(1 / among[word] for word in share) for share in shares]
            best = max(range(len(shares)), key=lambda at: (len(shares[at]), rarity[at], at))
            if bearing and 2 * len(shares[best]) >= len(bearing):
                place = best
        if place < 0:
            return self.messages[0][0], self.messages[-1][0]
        return self.messages[place][0], self.messages[place][0]

    def said_at(self, fact: Fact) -> int:
        """The position of the message that a note was drawn from, or the last one."""
        return self.source(Words(fact.text), fact.message)[1]

    def has_all(self, words: Words, position: int) -> bool:
        """Whether the message at a position has all of the words."""
        bearing = self.bearing(words)
        return bool(bearing) and bearing <= self._said_at(position)

    def tells_value(self, new: Words, old: Words, position: int | None = None) -> bool:
        """Whether the messages, or the one at a position, have the words in which one fact differs
        from another: at least half of them, because a note may use more words for a value than the
        person did."""
        values = self.bearing(new) - self.bearing(old)
        said = self.said if position is None else self._said_at(position)
        return 2 * len(values & said) >= len(values)

    def has_half(self, words: Words) -> bool:
        """Whether one message has half of the words."""
        bearing = self.bearing(words)
        return any(2 * len(bearing & said) >= len(bearing) for said in self._said)

    def is_said(self, bearing: set[str], message: int | None, *, at_least: int) -> bool:
        """Whether the named message has this many of the words."""
        place = self._place(message)
        return place >= 0 and len(bearing & self._said[place]) >= at_least

    def is_of(self, old: FactRow, message: int | None) -> bool:
        """Whether an old fact was drawn from the named message."""
        place = self._place(message)
        return place >= 0 and self.messages[place][0] == old.position

    def said_besides(self, old: FactRow) -> set[str]:
        """The words of all messages but the one that an old fact was drawn from."""
        pairs = zip(self.messages, self._said, strict=True)
        return set().union(*(said for (at, _), said in pairs if at != old.position))

    def _place(self, message: int | None) -> int:
        return message - 1 if message is not None and 0 < message <= len(self.messages) else -1

    @cached_property
    def _marked(self) -> list[tuple[int, str, set[str]]]:
        """The sentences about a change or an addition and their words, with the places of their
        messages."""
        marks = (*_CHANGES, _ALSO)
        return [
            (place, sentence, set(Words(sentence).stems))
            for place, (_, text) in enumerate(self.messages)
            if any(words.search(text) for words in marks)
            for sentence in _sentences(text)
            if any(words.search(sentence) for words in marks)
        ]

    @cached_property
    def _changes(self) -> list[tuple[int, str, set[str]]]:
        """Only the sentences about a change."""
        return [
            (place, sentence, said)
            for place, sentence, said in self._marked
            if not _TOO.search(sentence) and any(words.search(sentence) for words in _CHANGES)
        ]

    @cached_property
    def _additions(self) -> list[tuple[int, set[str]]]:
        """The words of the sentences that are only about an addition."""
        return [
            (place, said)
            for place, sentence, said in self._marked
            if _ALSO.search(sentence) and not any(words.search(sentence) for words in _CHANGES)
        ]

    def tells_addition(self, new: Words, message: int | None) -> bool:
        """Whether the message, or any if none is named, says that a fact comes in addition, as in
        "I also work as a baker"."""
        bearing, named = self.bearing(new), self._place(message)
        return bool(bearing) and any(
            bearing <= said for place, said in self._additions if named in (-1, place)
        )

    @cached_property
    def _supposing(self) -> list[tuple[int, set[str], set[str]]]:
        """The words of all sentences, and of their clauses that say what is not so, with the places
        of their messages; empty if there are no such clauses."""
        if not any(_SUPPOSED.search(text) for _, text in self.messages):
            return []
        return [
            (place, set(Words(sentence).stems), set(Words(supposed).stems))
            for place, (_, text) in enumerate(self.messages)
            for sentence in _sentences(text)
            for supposed in [" ".join(_SUPPOSED.findall(sentence))]
        ]

    def only_supposes(self, words: Words, message: int | None) -> bool:
        """Whether the message, or all if none is named, mentions a fact's value (the name of the
        home, the spouse and so on) only in clauses that say what is not so."""
        value, named = set(words.value), self._place(message)
        if not value:
            return False
        sentences = [
            supposed
            for place, said, supposed in self._supposing
            if named in (-1, place) and value <= said
        ]
        return bool(sentences) and all(value <= supposed for supposed in sentences)

    def tells_change(self, new: Words, old: Words, message: int | None) -> bool:
        """Whether the message, or any if none is named, says that the new value is a change.

        If somebody may have several of a thing, "now" and "no longer" do not mean that the new
        value replaces the old one; nor does "now" if the old one is named as well. "I moved here
        and play the harp" says nothing about the flute.
        """
        values, gone = set(new.stems) - set(old.stems), set(old.stems) - set(new.stems)
        both_hold, named = may_both_hold(new, old), self._place(message)
        for place, sentence, said in self._changes:
            if named not in (-1, place) or not values <= said:
                continue
            if _INSTEAD.search(sentence) or _is_other_mind(sentence):
                return True
            has_ended = _NO_LONGER.search(sentence) or (_CHANGED.search(sentence) and gone & said)
            is_instead = _NOW.search(sentence) and not gone <= said
            if not both_hold and (has_ended or is_instead):
                return True
        return False

    @cached_property
    def _endings(self) -> list[tuple[int, Words]]:
        """The clauses that may say that something has ended, with the places of their messages."""
        return [
            (place, clause)
            for place, (_, text) in enumerate(self.messages)
            for clause in clauses(text)
        ]

    def tells_end(self, old: Words, message: int | None, drawn_from: int | None = None) -> bool:
        """Whether the message, or any if none is named, says that a fact no longer holds. The
        message that the fact was drawn from does not count: what ended there is something else."""
        named = self._place(message)
        # Nobody else can lift a limit of the person.
        own = self.of_person if self._is_limit_of_person(old) else None
        texts = {
            place: text
            for place, (at, text) in enumerate(self.messages)
            if named in (-1, place) and at != drawn_from and (own is None or at in own)
        }
        return any(
            is_over(clause, old, self.names) for place, clause in self._endings if place in texts
        ) or any(
            is_lifted(text, old, self.names) or is_permitted(text, old, self.names)
            for text in texts.values()
        )

    def _is_limit_of_person(self, old: Words) -> bool:
        """Whether a fact is a limit that the person set. From a promise others can release them."""
        is_theirs = self._is_about_person(old)
        return is_theirs and is_limit(old) and "promise" not in kinds_of(old.text)

    def _is_about_person(self, old: Words) -> bool:
        """Whether a fact begins with the person's name; not with the character's, if that begins in
        the same way, as "Alina" does for Al."""
        text, person = old.text.casefold(), self.person.casefold()
        character = self.character.casefold()
        is_other = len(character) > len(person) and text.startswith(character)
        return person != "" and text.startswith(person) and not is_other

    def speaks_of(self, old: Words, message: int | None) -> bool:
        """Whether the named message is about the same thing as an old fact: in languages other than
        English, by the beginnings of words; in English, if it says that something ended, and has a
        name from the fact."""
        place = self._place(message)
        if place < 0:
            return False
        told = Words(self.messages[place][1])
        if are_foreign(told.text, old.text):
            return bool(in_common(bearing(old, self.names), meaning(told, self.names)))
        gone = (clause for at, clause in self._endings if at == place and has_ended(clause))
        named = old.names - self.names - old.owner - {*old.stems[:1]}
        return any(not named.isdisjoint(clause.bare) for clause in gone)

    def bearing(self, words: Words) -> set[str]:
        """The words of a fact other than the names of the two."""
        return words.content - self.names

    def words_of(self, message: int | None) -> set[str]:
        """The words of the named message."""
        place = self._place(message)
        return Words(self.messages[place][1]).bare if place >= 0 else set()


def _sentences(text: str) -> Iterator[str]:
    """The sentences of a text; "I changed my mind." is one with the next."""
    begun = ""
    for sentence in _SENTENCE_END.split(text):
        begun += sentence
        if _is_other_mind(sentence):
            begun += " "
        else:
            yield begun
            begun = ""
    if begun:
        yield begun


def _is_other_mind(sentence: str) -> bool:
    """Whether somebody says that they want something else now. Not "I haven't changed my mind"."""
    found = _CHANGED_MIND.search(sentence)
    return found is not None and not any(
        is_negation(word.casefold()) for word in words_in(sentence[: found.start()])
    )


def was_said_after(row: FactRow, position: int) -> bool:
    """Whether a fact was drawn from a message after this position, as far as that is known."""
    return row.position is not None and row.position > position
