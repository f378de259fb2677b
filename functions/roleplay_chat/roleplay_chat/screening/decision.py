"""Decides what is refused. The hard limit: sexual content that involves a minor, in every tier.

    finding = screen([Passage("character", text), Passage("message", said)], tier="sfw")

Deterministic and pure; no setting affects it. In the adult tier the context is presumed to be
sexual, so a stated minor is enough. In both tiers, a stated minor and explicit content must not
occur together anywhere in what a model would read; `rules` says which
weaker signs belong together. docs/content-policy.md says what this can and cannot see.
"""

import marshal
from collections import deque
from collections.abc import Iterable, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import repeat
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from edge.errors import ApiError
from roleplay_chat.api import Tier
from roleplay_chat.content_tier import ADULT_AGE
from roleplay_chat.screening.rules import NOTHING, UNSETTLED_WORDS, Growing, Signals, detect
from roleplay_chat.screening.scenes import GrowingScene
from roleplay_chat.screening.word_classes import (
    ends_as_question,
    first_words,
    last_words,
    new_chars,
)

Category = Literal["absolute", "sexual", "adult_turn", "classifier", "scene"]
"""absolute: a term that is forbidden by itself. sexual: a minor and sexual content together.
adult_turn: a minor in a turn of the adult tier. classifier: flagged by a classifier model. No tier
allows these. scene: an explicit scene in an `sfw` turn."""
Part = Literal["character", "persona", "scene", "memory", "history", "message", "reply"]
PARTS: tuple[Part, ...] = (
    "character",
    "persona",
    "scene",
    "memory",
    "history",
    "message",
    "reply",
)
"""In the order in which they are written. Of two parts in one finding, the later is to blame."""
_ORDER = {part: place for place, part in enumerate(PARTS)}
_PLAYED: tuple[Part, ...] = ("character", "persona")
_SAID: tuple[Part, ...] = ("scene", "message", "reply")
_LASTING: tuple[Part, ...] = ("character", "persona", "scene", "memory")
"""Parts that read the same from turn to turn."""
_TALK: tuple[Part, ...] = ("history", "message")
"""The parts that later turns read again with the text before them: then a message is history."""
_TALK_ORDER = [_ORDER[part] for part in _TALK]
REMEMBERED_TEXTS = 16_384
"""The number of cached texts, which take three megabytes."""
REMEMBERED_LISTS = 1_024
"""The number of cached lists, which take two megabytes if each has 250 texts."""
REMEMBERED_PROMPTS = 4_096
"""The number of cached prompts, which take one megabyte: only the few distinct signals of each are
kept."""
HASH_BYTES = 32
MARSHAL_VERSION = 2
"""Later versions may write equal values differently, depending on what else refers to them."""
NEWEST_PASSAGES = 3
"""At the end of a prompt: the last message and its reply, and the message to answer."""
LEAD_CHARS = 500
"""How much text before a passage is read with it: as far as most rules reach."""
RUN_ON_CHARS = 60
"""How much of each of two messages that may be one sentence is read."""
MANY_PASSAGES = 500
"""If more passages may be unread, even putting them in context is left to a thread: each takes some
microseconds."""

FOLLOWED_CHARS = 4_000
"""The end of the text before a reply that is read with it: more than any rule reaches."""
MOST_HELD_CHARS = 2_000
"""The longest text held back while it looks like a finding that further words may clear."""


class Passage(NamedTuple):
    """A text and the part that it comes from. `age` is the declared age in years.

    With `is_seam`, the text is the end of one passage and the beginning of the next, which are also
    read separately. Signals that depend on the part (a teenager, soft words) do not count in it.
    """

    part: Part
    text: str
    age: int | None = None
    is_seam: bool = False


PartSignals = tuple[Part, Signals]


class Finding(Struct, frozen=True):
    """The reason for a refusal. Never contains the text."""

    category: Category
    part: Part

    def to_json(self) -> dict[str, str]:
        """The finding as stored with the turn and logged."""
        return {"category": self.category, "part": self.part}


class ContentRefused(Exception):
    """The content policy refuses a text."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.category)
        self.finding = finding


def screen(passages: Sequence[Passage], *, tier: Tier) -> Finding | None:
    """Why the passages are refused when read together; None if they are not."""
    return judge(read(passages), tier)


def read(passages: Sequence[Passage]) -> list[PartSignals]:
    """The signals in each passage; passages that last come first. Linear in the text; takes
    milliseconds for a long prompt."""
    return Reading(passages).signals()


def read_in_context(passages: Sequence[Passage]) -> list[PartSignals]:
    """The signals in the passages of a prompt, each read with the text before it."""
    return read(in_context(passages))


class Reading:
    """Passages to be read, some of which were read before."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        lasting = [passage for passage in passages if passage.part in _LASTING]
        others = [passage for passage in passages if passage.part not in _LASTING]
        self._passages = [*lasting, *others]
        self._lasting = [passage.text for passage in lasting]
        self._lasting_key = _hash_of_all(self._lasting) if lasting else b""
        self._keys = [
            _hash_of(passage.text) if passage.part in _TALK else b"" for passage in others
        ]
        self._known: list[Signals | None] = [
            *_known.get(self._lasting_key, [None] * len(lasting)),
            *map(_known_alone.get, self._keys),
        ]

    @property
    def unread_chars(self) -> int:
        """How many characters have to be read."""
        return sum(map(len, self._unread()))

    @property
    def new_chars(self) -> int:
        """How many of them are in new words."""
        return sum(map(new_chars, self._unread()))

    def _unread(self) -> list[str]:
        passages = zip(self._passages, self._known, strict=True)
        return [passage.text for passage, known in passages if known is None]

    def signals(self) -> list[PartSignals]:
        """The signals in each passage; passages that last come first."""
        return [
            (
                passage.part,
                one if one is NOTHING and passage.age is None else _by_whose_words(passage, one),
            )
            for passage, one in zip(self._passages, self._read(), strict=True)
        ]

    def _read(self) -> list[Signals]:
        count = len(self._lasting)
        lasting = _known.get(self._lasting_key)
        if lasting is None:
            _make_room(_known, REMEMBERED_LISTS)
            lasting = [_remembered(text, _hash_of(text)) for text in self._lasting]
            _known[self._lasting_key] = lasting
        known = zip(self._known[count:], self._passages[count:], self._keys, strict=True)
        others = [_look(passage.text, key) if one is None else one for one, passage, key in known]
        return [*lasting, *others]


def _by_whose_words(passage: Passage, found: Signals) -> Signals:
    if passage.is_seam:
        found = replace(found, teen=False, soft=False)
    declared_minor = passage.age is not None and passage.age < ADULT_AGE
    return replace(found, minor=True) if declared_minor else found


_known: dict[bytes, Sequence[Signals]] = {}
_known_alone: dict[bytes, Signals] = {}
"""Keyed by hash: the texts themselves are not kept."""


def _look(text: str, key: bytes) -> Signals:
    return _remembered(text, key) if key else detect(text)


def _remembered(text: str, key: bytes) -> Signals:
    found = _known_alone.get(key)
    if found is None:
        _make_room(_known_alone, REMEMBERED_TEXTS)
        found = _known_alone[key] = detect(text)
    return found


def _make_room(known: dict[bytes, Any], most: int) -> None:
    if len(known) >= most:
        known.clear()


def _hash_of_all(texts: Sequence[str]) -> bytes:
    return _hash(_encoded(list(texts)))


def _hash_of(text: str) -> bytes:
    return _hash(text.encode("utf-8", "surrogatepass"))


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=HASH_BYTES).digest()


def _encoded(value: Any) -> bytes:
    """Serialize without ambiguity: different values have different bytes."""
    return marshal.dumps(value, MARSHAL_VERSION)


class PromptReading:
    """Reads the passages of a prompt in context. All except the newest were in the previous turn's
    prompt; their signals are cached by one hash.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        most, least = max(len(passages) - 1, 0), max(len(passages) - NEWEST_PASSAGES, 0)
        self._key, key_before = _hashes_of_beginnings(passages, most, least)
        self._known: Sequence[PartSignals] = ()
        known = 0
        for count, key in ((most, self._key), (least, key_before)):
            if key in _known_prompts:
                known, self._known = count, _known_prompts[key]
                break
        self._passages, self._most, self._known_count = passages, most, known
        newest = in_context(passages, most)
        self._newest = Reading(newest)
        is_said = bool(newest) and newest[0].part in _TALK
        self.said_last = newest[0].text if is_said else said_last(passages)
        """The text that a reply to the prompt follows."""

    @cached_property
    def _earlier(self) -> Reading | None:
        """The passages before the newest that are not known, if there are any."""
        if self._known_count == self._most:
            return None
        return Reading(in_context(self._passages[: self._most], self._known_count))

    @property
    def unread_chars(self) -> int:
        """How many characters have to be read; of very many passages, how many that may be."""
        unknown = self._most - self._known_count
        if unknown > MANY_PASSAGES:
            return unknown * LEAD_CHARS
        earlier = self._earlier.unread_chars if self._earlier else 0
        return earlier + self._newest.unread_chars

    @property
    def new_chars(self) -> int:
        """How many of them are in new words."""
        earlier = self._earlier.new_chars if self._earlier else 0
        return earlier + self._newest.new_chars

    def signals(self) -> list[PartSignals]:
        """The signals in the passages, without duplicates for those read before."""
        if self._earlier:
            found = [*self._known, *self._earlier.signals()]
            self._known = tuple(dict.fromkeys([one for one in found if one[1] is not NOTHING]))
            _make_room(_known_prompts, REMEMBERED_PROMPTS)
            _known_prompts[self._key] = self._known
        return [*self._known, *self._newest.signals()]


_known_prompts: dict[bytes, Sequence[PartSignals]] = {}


def _hashes_of_beginnings(
    passages: Sequence[Passage], most: int, least: int
) -> tuple[bytes, bytes]:
    """Hash the first `most` and the first `least` passages."""
    # One by one, so that a beginning has the same bytes wherever the rest begins.
    encoded = list(map(marshal.dumps, map(tuple, passages[:most]), repeat(MARSHAL_VERSION)))
    hashing = blake2b(b"".join(encoded[:least]), digest_size=HASH_BYTES)
    of_least = hashing.digest()
    hashing.update(b"".join(encoded[least:]))
    return hashing.digest(), of_least


def in_context(passages: Sequence[Passage], start: int = 0) -> list[Passage]:
    """The passages of a prompt from `start` on, with the text before each. A message is read with
    the end of the previous message, and if that ends within a sentence, the words on both sides
    also as one sentence. Where other passages meet, the words on both sides are also read together,
    as a passage of the part that changes later.
    """
    alone: list[Passage] = []
    seams: list[Passage] = []
    before = _Lead(_nearest(passages[:start]))
    said = before if before.is_all_talk() else _Lead(_nearest(passages[:start], _TALK))
    for passage in passages[start:]:
        part, text, age, _ = passage
        is_talk = part in _TALK
        lead = None
        if is_talk:
            lead = said or (before if part == "history" else None)
        alone.append(Passage(part, f"{lead.end()}\n{text}", age) if lead else passage)
        if lead and (sentence := _run_on(lead, text)):
            seams.append(Passage(part, sentence, is_seam=True))
        if before and lead is not before and not (lead and before.is_all_talk()):
            words = f"{before.end()}\n{first_words(text, LEAD_CHARS)}"
            seams.append(Passage(before.latest(part), words, is_seam=True))
        if said is not before:
            if is_talk:
                said.add(passage)
        elif not is_talk:
            said = before.copy()
        before.add(passage)
    return [*alone, *seams]


def _run_on(lead: "_Lead", text: str) -> str:
    """The words on both sides as one sentence; empty if the first words end a sentence, or ask what
    the others answer: "what level are you"."""
    after = first_words(text.lstrip(), RUN_ON_CHARS)
    before = lead.end().rstrip() if after else ""
    if not before[-1:].isalnum() or ends_as_question(before):
        return ""
    return f"{last_words(before, RUN_ON_CHARS)} {after}"


class _Lead:
    """The last passages that together have `LEAD_CHARS` characters, as `_nearest` finds them.

    However many they are, adding one takes the same time.
    """

    __slots__ = ("_chars", "_counts", "_passages", "_tail")

    def __init__(self, nearest: Iterable[Passage]) -> None:
        self._passages = deque[Passage]()
        self._chars = 0
        self._tail = ""
        """As much as `end` reads."""
        self._counts = [0] * len(PARTS)
        """The number of the passages of each part."""
        for passage in nearest:
            self.add(passage)

    def __len__(self) -> int:
        """The number of the passages."""
        return len(self._passages)

    def copy(self) -> "_Lead":
        """The same passages."""
        return _Lead(self._passages)

    def add(self, passage: Passage) -> None:
        """Add a passage, and drop the first ones if the others are long enough."""
        self._passages.append(passage)
        self._counts[_ORDER[passage.part]] += 1
        self._chars += len(passage.text)
        self._tail = f"{self._tail}\n{passage.text}"[-LEAD_CHARS - 1 :]
        while self._chars - len(self._passages[0].text) >= LEAD_CHARS:
            first = self._passages.popleft()
            self._counts[_ORDER[first.part]] -= 1
            self._chars -= len(first.text)

    def end(self) -> str:
        """The last words of the passages, one below the other."""
        length = self._chars + len(self) - 1
        return last_words(self._tail[-length:] if length else "", LEAD_CHARS)

    def latest(self, part: Part) -> Part:
        """The latest of this part and the parts of the passages, in the order in which they are
        written."""
        counts = zip(PARTS, self._counts, strict=True)
        return [one for one, count in counts if count or one == part][-1]

    def is_all_talk(self) -> bool:
        """Whether all passages are messages."""
        return sum([self._counts[place] for place in _TALK_ORDER]) == len(self)


def _nearest(passages: Sequence[Passage], parts: Sequence[Part] = PARTS) -> list[Passage]:
    """The last passages of these parts that together have `LEAD_CHARS` characters."""
    nearest: list[Passage] = []
    chars = 0
    for passage in reversed(passages):
        if chars >= LEAD_CHARS:
            break
        if passage.part in parts:
            nearest.append(passage)
            chars += len(passage.text)
    return nearest[::-1]


def said_last(passages: Sequence[Passage]) -> str:
    """The passages of a prompt that its reply follows: the last message, in context; before the
    first message, the beginning of the scene."""
    for parts in (_TALK, ("scene",)):
        for place in reversed(range(len(passages))):
            if passages[place].part in parts:
                return in_context(passages[: place + 1], place)[0].text
    return ""


def judge(signals: Sequence[PartSignals], tier: Tier) -> Finding | None:
    """Why a text with these signals is refused in a tier; None if it is not."""
    signals = [one for one in signals if one[1] is not NOTHING]
    for part, found in signals:
        if found.absolute:
            return Finding("absolute", part)
    for part, found in signals:
        if tier in found.together:
            return Finding("sexual", part)
    minors = [part for part, found in signals if found.minor or (found.teen and part in _PLAYED)]
    if minors and tier == "nsfw":
        return Finding("adult_turn", _first(minors))
    played = [part for part in minors if part in _PLAYED]
    explicit = [part for part, found in signals if found.explicit]
    soft = [part for part, found in signals if found.soft and part in _SAID]
    for people, content in ((minors, explicit), (played, soft)):
        if people and content:
            return Finding("sexual", max(_first(people), _first(content), key=_ORDER.__getitem__))
    return None


def _first(parts: Sequence[Part]) -> Part:
    return min(parts, key=_ORDER.__getitem__)


def content_refused(finding: Finding) -> ApiError:
    """The error for refused content. It names the part and the rule, not the text."""
    return ApiError(403, "content_refused", f"{_WHAT[finding.part]}: {_WHY[finding.category]}.")


_WHAT: dict[Part, str] = {
    "character": "This character is not available here",
    "persona": "This persona is not available here",
    "scene": "This scene is not possible here",
    "memory": "The memory of this conversation cannot be used",
    "history": "This conversation cannot continue",
    "message": "This message is not allowed",
    "reply": "The reply was stopped",
}
_NEVER = "sexual content that involves anyone under 18 is never allowed"
_WHY: dict[Category, str] = {
    "absolute": _NEVER,
    "sexual": _NEVER,
    "adult_turn": "nobody under 18 can take part in an adult conversation",
    "classifier": _NEVER,
    "scene": "this conversation does not allow explicit scenes",
}


class ReplyScreen:
    """Screens a reply as it streams.

    All text released so far is clean, by itself and with the text before it. Text is held back only
    while its last words look like a finding that the next words may clear ("a 12 year old" ...
    "whisky").
    """

    def __init__(
        self,
        before: Sequence[PartSignals],
        tier: Tier,
        *,
        follows: str = "",
        continues: str = "",
    ) -> None:
        """`before` has the signals of the other parts, `follows` is the text before the reply, and
        `continues` is the reply to continue, which may be the end of `follows`."""
        if not follows.endswith(continues):
            follows = f"{follows}\n{continues}"
        self._scene = GrowingScene(continues) if tier == "sfw" else None
        self._before = [one for one in before if one[1] is not NOTHING]
        self._tier: Tier = tier
        self._growing = Growing(last_words(follows, FOLLOWED_CHARS))
        self._continues = continues
        self._has_begun = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """Process a piece and return the text that can be shown. Raises `ContentRefused`."""
        if not piece:
            return ""
        if not self._has_begun:
            self._begin()
        self._held += piece
        if self._growing.is_quiet(self._held) or self._finding() is None:
            return self._release()
        unsettled = UNSETTLED_WORDS if len(self._held) <= MOST_HELD_CHARS else 0
        if finding := self._finding(unsettled):
            raise ContentRefused(finding)
        return ""

    def flush(self) -> str:
        """End the reply and return the held text. Raises `ContentRefused`."""
        if self._held and (finding := self._finding()):
            raise ContentRefused(finding)
        return self._release()

    def _begin(self) -> None:
        """Start a new line, unless the text goes on with the continued reply."""
        if not self._continues:
            self._growing.grow("\n")
            if self._scene:
                self._scene.grow("\n")
        self._has_begun = True

    def _finding(self, unsettled: int = 0) -> Finding | None:
        found = self._growing.detect(self._held, unsettled=unsettled)
        finding = judge([*self._before, ("reply", found)], self._tier)
        if finding or not self._scene or not (found.explicit or found.soft):
            return finding
        found_in = self._scene.surely_is if unsettled else self._scene.may_be
        return Finding("scene", "reply") if found_in(self._held) else None

    def _release(self) -> str:
        released, self._held = self._held, ""
        if self._scene:
            self._scene.grow(released)
        self._growing.grow(released)
        return released
