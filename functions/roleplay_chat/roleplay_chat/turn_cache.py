"""Caches what turns have read, so that the next turn of a conversation reads only what is new.

A cached turn is used only after `begin_turn` has compared it with the database (`private.history`),
for the person whose turn it is, and only as far as it is unchanged.
"""

import dataclasses
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from cachetools import TTLCache
from msgspec import Struct, field
from msgspec.structs import replace

from edge.json_text import dumps, loads
from roleplay_chat.api import ChatRequest, Task
from roleplay_chat.message_columns import (
    MAX_HISTORY_MESSAGES,
    byte_length,
    bytes_used,
    message_rows,
    speaker_name,
)
from roleplay_chat.rows import MessageRow

MAX_BYTES = 16 * 2**20
"""The limit for all cached turns of an instance."""
OTHER_BYTES = 192 * 2**20
"""The memory that an instance needs for everything else. The cache takes a sixteenth of what it has
beyond this."""
MAX_BYTES_EACH = 2**20
SECONDS = 900.0
"""A cached turn is dropped after this time without another."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where containers find the limit of their memory."""
_ROW_BYTES = 150
"""The memory of a message in Python without its text."""
BYTES_PER_MESSAGE = 5
"""How much private.turn_context adds for each message when it compares the bytes of a history with
the tokens of a prompt."""
LONG_REPLY_BYTES = 2_000
"""Room for the reply that followed the prompt that `spare` was computed for."""
_PART_BYTES = 300
"""The memory of a part without its data, and of a cached turn without its parts."""

Row = dict[str, Any]

_TASK_CONFIG = "task_config"
_PARTS = {
    _TASK_CONFIG: ("templates", "models", "moderation_models", "embedding_models"),
    "scene": ("character", "others", "persona", "lorebooks"),
    "notes": ("facts", "settings", "summary_texts"),
    "macros": ("variables",),
    "worker_set": ("workers",),
}
"""Returned by begin_turn only if the digest differs from the one that the caller knows. What
changes at the same times is one part. The task's configuration is the same for everybody."""


class Part(Struct, frozen=True):
    """A part of the result of begin_turn, with the digest that the database gave it."""

    digest: str
    data: bytes
    """As JSON, which takes less memory, and which nobody can change."""


class CachedTurn(Struct, dict=True):
    """What a turn has read, and its task's configuration. Only `spare` changes."""

    rows: Sequence[MessageRow] = ()
    """The messages of the history up to a position, oldest first."""
    stamp: Mapping[str, Any] = field(default_factory=dict)
    """`copy` of the result of begin_turn."""
    backlog: Sequence[MessageRow] = ()
    """The oldest messages that are in no summary."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Characters and books, facts and summary, and what else `_PARTS` names."""
    task_config: Part | None = None
    """Models and templates of the turn's task."""
    spare: tuple[Task, int] | None = None
    """How many tokens the history may grow by before it may not fit in a prompt of this task as a
    whole: `Planned.spare`. Unknown until the turn has a prompt."""

    @cached_property
    def size(self) -> int:
        """The memory that it takes without the task configuration, in bytes."""
        rows = (*self.rows, *self.backlog)
        texts = sum(text_memory(row.content) + _ROW_BYTES for row in rows)
        parts = sum(len(part.data) + _PART_BYTES for part in self.parts.values())
        return texts + parts + _PART_BYTES

    @property
    def known(self) -> Row:
        """`p_known` of begin_turn."""
        digests = {name: part.digest for name, part in self.parts.items()}
        if self.task_config:
            digests[_TASK_CONFIG] = self.task_config.digest
        if not self.rows:
            return digests
        lengths = [byte_length(row.content) for row in self.rows]
        size = sum(lengths)
        known = {
            **self.stamp,
            **digests,
            "first": self.rows[0].position,
            "messages": len(self.rows),
            "bytes": size,
            "longest": max(lengths),
            "speakers": _speakers(self.rows),
        }
        if self.spare:
            known["short"] = size + BYTES_PER_MESSAGE * len(self.rows) + self.spare[1]
        if self.backlog:
            known["backlog"] = self.backlog[-1].position
            known["backlog_speakers"] = _speakers(self.backlog)
        return known


class TurnCache:
    """The cached turns of an instance. The least recently used go first."""

    def __init__(
        self, max_bytes: int = MAX_BYTES, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes_each = min(max_bytes, MAX_BYTES_EACH)
        self._turns = TTLCache[tuple[UUID, UUID], CachedTurn](
            max_bytes, SECONDS, timer=clock, getsizeof=lambda copy: copy.size
        )
        self._task_configs: dict[Task, Part | None] = {}

    def find(self, user_id: UUID, conversation_id: UUID | None, task: Task) -> CachedTurn:
        """What the last turn of a person's conversation read, if it is there, and the configuration
        of a task."""
        copy = (conversation_id and self._turns.get((user_id, conversation_id))) or CachedTurn()
        config = self._task_configs.get(task)
        return replace(copy, task_config=config, spare=_spare_of(copy, task))

    def keep(
        self, user_id: UUID, conversation_id: UUID | None, task: Task, copy: CachedTurn
    ) -> None:
        """Replace the cached turn of a person's conversation."""
        self._task_configs[task] = copy.task_config
        if conversation_id is None:
            return
        key = user_id, conversation_id
        self._turns.pop(key, None)
        kept = replace(copy, task_config=None)
        if kept.size <= self._max_bytes_each:
            self._turns[key] = kept

    def has_room(self, user_id: UUID, request: ChatRequest) -> bool:
        """Whether the request's conversation should fit in its prompt as a whole. If it does not,
        only words are searched for."""
        conversation_id = request.conversation_id
        copy = conversation_id and self._turns.get((user_id, conversation_id))
        spare = _spare_of(copy, request.task) if copy else None
        asked = 2 * byte_length(request.message or "")
        return spare is not None and asked + LONG_REPLY_BYTES < spare[1]

    def note_spare(
        self, user_id: UUID, conversation_id: UUID | None, task: Task, tokens: int
    ) -> None:
        """Note `Planned.spare` of the newest turn, if it is here."""
        if conversation_id and (copy := self._turns.get((user_id, conversation_id))):
            copy.spare = task, tokens


def _spare_of(copy: CachedTurn, task: Task) -> tuple[Task, int] | None:
    """The spare tokens of a cached turn, if they are for this task: prompts of another task may
    have less room."""
    return copy.spare if copy.spare and copy.spare[0] == task else None


def most_bytes(limit: int | None) -> int:
    """How much the cache may take in an instance with this limit of memory; None for no limit."""
    return MAX_BYTES if limit is None else max(min(MAX_BYTES, (limit - OTHER_BYTES) // 16), 0)


def memory_limit() -> int | None:
    """The memory of the container in bytes; None if it has no limit."""
    for path in _LIMITS:
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):  # "max" is no number
            continue
    return None


def complete(begun: Row, copy: CachedTurn) -> CachedTurn:
    """Add to the result what begin_turn left out because `copy` has it, and make a row of each
    message; return the next copy."""
    names = begun.get("names") or {}
    first_character_id = (begun.get("conversation") or {}).get("character_id")
    begun["history"] = _typed(message_rows(begun["history"], names, first_character_id))
    begun["recalled"] = message_rows(begun["recalled"], names, first_character_id)
    task_config = _part(begun, _TASK_CONFIG, copy.task_config)
    found = {
        name: _part(begun, name, copy.parts.get(name)) for name in _PARTS if name != _TASK_CONFIG
    }
    parts = {name: part for name, part in found.items() if part}
    _add_states(begun)
    if kept := begun.get("kept"):
        held = _renamed(_held(copy.rows, kept), names)
        begun["recalled"] = _filled_in(begun["recalled"], held)
        whole = [*held, *begun["history"]]
        begun["history"] = newest = _newest(whole, kept["most"])
        _count_too(begun, whole[: len(whole) - len(newest)])
    if memory := begun.get("memory"):
        memory |= begun.get("summary_texts") or {}
        new = memory.get("backlog")
        memory["backlog"] = _renamed(copy.backlog if new is None else _typed(new), names)
    next_copy = _next_copy(begun, parts, task_config)
    _name_personas(begun)
    return next_copy


def _count_too(begun: Row, left_out: Sequence[MessageRow]) -> None:
    """Add messages to those that come before the history, if they are counted."""
    if preceding := begun.get("preceding"):
        preceding["messages"] += len(left_out)
        preceding["replies"] += sum(row.sender == "character" for row in left_out)


def _next_copy(begun: Row, parts: Mapping[str, Part], task_config: Part | None) -> CachedTurn:
    stamp = begun.get("copy")
    if not stamp:
        return CachedTurn(parts=parts, task_config=task_config)
    backlog = (begun.get("memory") or {}).get("backlog") or ()
    rows, backlog = (
        [row for row in part if row.position <= stamp["upto"]]
        for part in (begun["history"], backlog)
    )
    return CachedTurn(rows, stamp, backlog, parts, task_config)


def _name_personas(begun: Row) -> None:
    """Name the persona of messages that the user wrote as another persona than today's."""
    if not (personas := begun.get("personas")):
        return
    starts = [persona["from"] for persona in personas]

    def name_at(position: int, sender: str = "user") -> str | None:
        name = personas[max(bisect_right(starts, position) - 1, 0)]["name"]
        return " ".join(name.split()) if name and sender == "user" else None

    def named(row: MessageRow) -> MessageRow:
        name = name_at(row.position, row.sender)
        return dataclasses.replace(row, speaker=name) if name else row

    for holder, part in ((begun, "history"), (begun.get("memory"), "backlog")):
        if holder:
            holder[part] = [named(row) for row in holder[part]]
    for row in begun["recalled"]:
        if name := name_at(row["position"], row["sender"]):
            row["speaker"] = name
    if position := begun["turn"].get("position"):
        begun["turn"]["speaker"] = name_at(position)


def _part(begun: Row, name: str, known: Part | None) -> Part | None:
    """A part of the result, which is completed with it if it is the known one."""
    digest = begun.get(name)
    if digest is None:
        return None
    if known and known.digest == digest:
        begun |= loads(known.data)
        return known
    return Part(digest, dumps({key: begun[key] for key in _PARTS[name]}))


def _add_states(begun: Row) -> None:
    """Calibrations, and how a worker is doing, change all the time, so they are not in a part."""
    for model, ratios in zip(begun["models"], begun.get("token_ratios") or [], strict=False):
        model["token_ratios"] = ratios
    for worker, state in zip(
        begun.get("workers") or [], begun.get("worker_states") or [], strict=False
    ):
        worker |= state


_shared_id = lru_cache(maxsize=1_024)(UUID)
"""A character's id, so that all of its messages have the same object."""


def _typed(rows: Iterable[Row]) -> list[MessageRow]:
    return [
        MessageRow(
            sender=row["sender"],
            content=row["content"],
            position=row["position"],
            character_id=_shared_id(id_) if (id_ := row.get("character_id")) else None,
            speaker=row.get("speaker"),
        )
        for row in rows
    ]


def _held(rows: Sequence[MessageRow], kept: Row) -> list[MessageRow]:
    """The rows after one position and before another, without the turn's own message."""
    after, before, own = kept["after"], kept["before"], kept["without"]
    return [row for row in rows if after < row.position < before and row.position != own]


def _renamed(rows: Sequence[MessageRow], names: Mapping[str, str]) -> list[MessageRow]:
    """The rows with the current names of their speakers."""
    today: dict[UUID | None, str | None] = {
        id_: speaker_name(str(id_), names) for id_ in _speaker_ids(rows)
    }
    return [
        row
        if row.speaker == (name := today.get(row.character_id))
        else dataclasses.replace(row, speaker=name)
        for row in rows
    ]


def _speakers(rows: Sequence[MessageRow]) -> list[str]:
    """The ids of the characters who wrote any of them."""
    return sorted(map(str, _speaker_ids(rows)))


def _speaker_ids(rows: Sequence[MessageRow]) -> set[UUID]:
    return {row.character_id for row in rows if row.character_id}


def _newest(rows: list[MessageRow], most: int) -> list[MessageRow]:
    """The newest rows that use at most `most` bytes: the newest one however long it is."""
    total = longest = 0
    for number, row in enumerate(reversed(rows)):
        total += (length := byte_length(row.content))
        longest = max(longest, length)
        if bytes_used(total, longest) > most or number == MAX_HISTORY_MESSAGES:
            return rows[len(rows) - number :]
    return rows


def _filled_in(recalled: Sequence[Row], held: Sequence[MessageRow]) -> Sequence[Row]:
    """The recalled messages, with texts from the copy for those that came without."""
    if all(row["content"] is not None for row in recalled):
        return recalled
    contents = {row.position: row.content for row in held}
    filled = [
        row if row["content"] is not None else {**row, "content": contents.get(row["position"])}
        for row in recalled
    ]
    return [row for row in filled if row["content"] is not None]


def text_memory(text: str) -> int:
    """The memory of a text. Python keeps the UTF-8 of one that is not ASCII, too, once it was asked
    for that."""
    if text.isascii():
        return sys.getsizeof(text)
    # A new text has no UTF-8 yet.
    return sys.getsizeof(text + " ") + len(text.encode())
