"""Reads the summary and the facts in a model's answer. Pure.

Models write JSON with slips, with other text around it, or only the beginning of it.
"""

import json
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from edge.patterns import compiled_later
from roleplay_chat.api import MEMORY_TIERS, MemoryTier
from roleplay_chat.memory import loose_json
from roleplay_chat.memory.importance import importance_of
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.topics import MAX_FACT_CHARS, MAX_NAME_CHARS
from roleplay_chat.memory.wording import without_again
from roleplay_chat.reply.template_tokens import end_tokens
from roleplay_chat.screening.normalize import stream_safe
from roleplay_chat.scripts import has_unspaced

MAX_SUMMARY_CHARS = 2_400
MAX_FACTS = 12
"""Facts taken from one answer; fewer are asked for."""
MAX_TIMES = 3
"""How often the same fact is taken, each time from another message."""
MAX_OBJECTS = 10
"""Places at which the notes may begin in an answer with other text around them."""
MAX_ANSWER_CHARS = 60_000

_JOINERS = "\u200c\u200d"
"""Invisible characters that Persian words and emoji need."""
_SUMMARY = compiled_later(r'\bsummary["\']?\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_NAMES = frozenset(
    "summary facts fact action tier text importance subject topic message".split()  # noqa: SIM905
)
_OBJECT = compiled_later(r"""\{\s*["']?(?:summary|facts)["']?\s*:""")
_FACTS = compiled_later(r"""["']facts["']\s*:\s*|\bfacts["']?\s*:?\s*(?=[\[{])""")
_NOTHING = compiled_later(r"[\s.-]*(?:none?\b|nothing\b|n/a\b|null\b|\Z)", re.IGNORECASE)
_NO_FACTS = compiled_later(r"""\[\s*\]|\{\s*\}|(?:null|none|false|0)\b|["']|\Z""", re.IGNORECASE)
_CLOSING = compiled_later(r"[}\]]")
_TEXT = compiled_later(r"""["']text["']\s*[:;]""")
_BARE_TEXT = compiled_later(
    r"""["']text["']\s*[:;]|\{\s{0,99}text\s{0,99}[:;]|[,;]\s{0,99}text\s{0,99}[:;]\s{0,99}["']"""
)
"""The same for keys without quotes. Words of a text may look like them."""
_BARE_KEY = compiled_later(rf"""\{{\s{{0,99}}(?:{"|".join(sorted(_NAMES))})\s{{0,99}}:""")
_LEFT_OVER = compiled_later(
    rf"""[,;{{]\s*["'](?:{"|".join(sorted(_NAMES))})\b
    |["']\s{{0,99}}[,;]\s{{0,99}}(?:{"|".join(sorted(_NAMES))})\s{{0,99}}:
    |[,;]\s{{0,99}}facts\s{{0,99}}:\s{{0,99}}[\[{{]""",
    re.VERBOSE,
)
_WITHDRAWALS = {
    *("withdraw", "withdraws", "withdrawn", "withdrew", "withdrawing", "withdrawal"),
    *("delete", "deletes", "deleted", "deleting", "deletion"),
    *("remove", "removes", "removed", "removing", "removal"),
    *("forget", "forgets", "forgotten", "forgot", "forgetting"),
    *("retract", "retracts", "retracted", "retracting", "retraction"),
}
_REPLACEMENTS = {
    *("replace", "replaces", "replaced", "replacing", "replacement"),
    *("update", "updates", "updated", "updating"),
    *("change", "changes", "changed", "changing"),
    *("modify", "modifies", "modified", "modifying", "modification"),
}
"""Whole words only, so that an unknown action never removes a fact."""
_WRITTEN_NUMBER = compiled_later(
    r"(?:(?:fact|message|number|no\.?)\s?)?#?\s?([0-9]{1,4})(?:\.0{1,3})?", re.IGNORECASE
)
_DECODER = json.JSONDecoder(strict=False)


class Written(Struct, frozen=True):
    """A model's answer, validated."""

    summary: str
    facts: Sequence[Fact]


def parse(answer: str, *, reach: MemoryTier) -> Written | None:
    """Parse and clean a model's answer; None if it contains no summary.

    Accepts a JSON object with other text around it, and the complete parts of a truncated one.
    `reach` is the widest scope that the turn allows; wider facts are narrowed to it.
    """
    answer = answer[:MAX_ANSWER_CHARS]
    whole = _whole(answer)
    data = whole or _with_slips(answer)
    summary = data.get("summary") if data else None
    summary = clean(summary, MAX_SUMMARY_CHARS) if isinstance(summary, str) else ""
    noted = _noted_in(data or {}, answer)
    if not summary or noted is None:
        return None
    kept: dict[tuple[object, ...], dict[int | None, Fact]] = {}
    for entry in noted:
        fact = _fact(entry, reach)
        if fact is None:
            continue
        same = fact.action, fact.text.casefold(), fact.known
        if same not in kept and len(kept) == MAX_FACTS:
            continue
        # It may have been said at two times, between which it did not hold.
        by_message = kept.setdefault(same, {})
        if len(by_message) < MAX_TIMES:
            by_message.setdefault(fact.message, fact)
    facts = [fact for by_message in kept.values() for fact in by_message.values()]
    texts = [summary, *(fact.text for fact in facts)]
    if any(map((_FACTS if whole else _LEFT_OVER).search, texts)):
        # A text that swallowed what comes after it.
        return None
    return Written(summary, facts)


def _whole(answer: str) -> Mapping[str, object] | None:
    """The last object with a summary in an answer; None if it is incomplete."""
    try:
        data = json.loads(answer[answer.find("{") : answer.rfind("}") + 1])
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, Mapping):
        # Some models put it into another object.
        inner = [value for value in data.values() if isinstance(value, Mapping)]
        is_wrapped = "summary" not in data and len(data) == len(inner) == 1
        return inner[0] if is_wrapped else data
    starts = deque((found.start() for found in _OBJECT.finditer(answer)), MAX_OBJECTS)
    for start in reversed(starts):
        try:
            data, _ = _DECODER.raw_decode(answer, start)
        except (ValueError, RecursionError):
            if _SUMMARY.search(answer, start):
                return None
            continue
        if "summary" in data:
            return dict(data)
    return None


def _with_slips(answer: str) -> Mapping[str, object] | None:
    """The last object with a summary in an answer that is not valid JSON, or incomplete. The last,
    because models repeat the example first.
    """
    starts = deque((found.start() for found in _OBJECT.finditer(answer)), MAX_OBJECTS)
    for start in [*reversed(starts), answer.find("{")]:
        data = loose_json.read(answer, start, _NAMES) if start >= 0 else None
        if isinstance(data, dict) and isinstance(data.get("summary"), str):
            return data
    return None


def _noted_in(data: Mapping[str, object], answer: str) -> Iterable[object] | None:
    """The facts of an answer, of any types; None if it has more than can be read. Unread facts
    would be lost, because what the summary covers is noted only once."""
    places = deque(_FACTS.finditer(answer), 1)
    start = places[0].end() if places else 0
    noted = data.get("facts")
    if "facts" not in data and places:
        # In an object of their own.
        noted = loose_json.read(answer, start, _NAMES)
    if isinstance(noted, Mapping):
        noted = [noted] if "text" in noted or "fact" in noted else list(noted.values())
    if isinstance(noted, str):
        return [] if _NOTHING.match(noted) else None
    listed = noted if isinstance(noted, list) else []
    is_one_lost = bool(places and not listed and not _NO_FACTS.match(answer, start))
    unread = max(is_one_lost, _unread(listed, answer, start))
    return listed if unread <= _is_cut(answer, start) else None


def _unread(noted: Sequence[object], answer: str, start: int) -> int:
    """How many facts in the answer, after `start`, are not among these."""
    read = sum(isinstance(entry, Mapping) and "text" in entry for entry in noted)
    return len(_text_keys(answer).findall(answer, start)) - read


def _text_keys(answer: str) -> re.Pattern[str]:
    return _BARE_TEXT if _BARE_KEY.search(answer) else _TEXT


def _is_cut(answer: str, start: int) -> bool:
    """Whether the answer ends within its last fact. It would be cut there the next time, too."""
    last = deque(_text_keys(answer).finditer(answer, start), 1)
    return not _CLOSING.search(answer, last[0].end() if last else start)


def _fact(entry: object, reach: MemoryTier) -> Fact | None:
    """A fact as the model wrote it, cleaned; None if it says nothing."""
    if isinstance(entry, str):
        entry = {"text": entry}
    if not isinstance(entry, Mapping):
        return None
    known = _number(entry.get("fact"))
    text = without_again(_said(entry))
    action = _action(entry.get("action"))
    if known is None if action == "withdraw" else not text:
        return None
    rating = _number(entry.get("importance")) or 0
    return Fact(
        _narrower(entry.get("tier"), reach),
        text,
        action,
        known,
        importance_of(text, rating if 1 <= rating <= 5 else None),
        _text(entry.get("subject"), MAX_NAME_CHARS),
        _text(entry.get("topic"), MAX_NAME_CHARS),
        _number(entry.get("message")),
    )


def _action(value: object) -> Literal["add", "replace", "withdraw"]:
    """The action in the words of any model; `add` if it is no known one."""
    name = value.strip().casefold() if isinstance(value, str) else ""
    if name in _WITHDRAWALS:
        return "withdraw"
    return "replace" if name in _REPLACEMENTS else "add"


def _said(entry: Mapping[str, object]) -> str:
    """The text of a fact. Some models give the field another name; beside an empty text, `fact`
    refers to another fact."""
    named = (_text(entry.get(name), MAX_FACT_CHARS) for name in ("text", "content"))
    if text := next(filter(None, named), ""):
        return text
    told = "" if "text" in entry else _text(entry.get("fact"), MAX_FACT_CHARS)
    is_sentence = " " in told or has_unspaced(told)
    return told if is_sentence and _number(told) is None else ""


def _text(value: object, max_chars: int) -> str:
    return clean(value, max_chars) if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """A small whole number; models also write it as text, as "#3", "fact 3" or 3.0."""
    if isinstance(value, str) and (written := _WRITTEN_NUMBER.fullmatch(value.strip())):
        value = int(written[1])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value < 10_000 else None


def clean(text: str, max_chars: int) -> str:
    """The text as one line of at most `max_chars` characters, without control characters and
    tokens of chat templates, which could pass for the end of a message in a prompt.

    One line, so that it cannot imitate another section of the prompt. Empty for a text without
    letters and numbers, such as "...".
    """
    text = unicodedata.normalize("NFC", stream_safe(text[: max_chars * 4]))
    seen = "".join(" " if char.isspace() else char for char in text if _is_text(char))
    line = " ".join(end_tokens().sub(" ", seen).split())
    if not any(map(str.isalnum, line)):
        return ""
    if len(line) <= max_chars:
        return line
    last_space = line.rfind(" ", max_chars // 2, max_chars)
    return line[: last_space if last_space > 0 else max_chars]


def _is_text(char: str) -> bool:
    return char.isspace() or char in _JOINERS or unicodedata.category(char)[0] != "C"


def _narrower(tier: object, reach: MemoryTier) -> MemoryTier:
    name = tier.strip().casefold() if isinstance(tier, str) else ""
    known = next((known for known in MEMORY_TIERS if known == name), MEMORY_TIERS[0])
    return min(known, reach, key=MEMORY_TIERS.index)
