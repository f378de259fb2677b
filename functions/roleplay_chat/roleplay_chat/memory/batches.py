"""Divides the messages that are to be summarised into batches, one for each request. Pure.

A summary covers the messages up to a position. A message is in the summary or in the prompt, never
in both.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from roleplay_chat.message_columns import MAX_HISTORY_MESSAGES, byte_length, bytes_used
from roleplay_chat.rows import MAX_HISTORY_BYTES, MemoryRow, MessageRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens

START_SHARE = 0.85
"""When the messages that are not summarised take more than this share of the history's room, the
oldest are summarised."""
KEEP_SHARE = 0.15
"""The share of the history's room that the remaining messages may then take. Small, because each
summary changes the beginning of the prompt, which until then stays cached."""
NEWEST_KEPT = 4
"""The number of newest messages that are never summarised: they may be regenerated or continued."""
MAX_BATCHES = 3
"""The most requests for one summary, for a model that cannot read all its messages at once."""
MAX_BATCH_TOKENS = 12_000
"""The most that is summarised at once."""
MIN_PART_TOKENS = 200
"""A model that reads less at once gets the beginning and end of a message instead of parts."""
OVERLAP_CHARS = 200
"""What a part of a message repeats of the one before, so that no sentence is cut in both."""
TRIES = 3
"""How often a message is tried alone before the one after it is tried instead."""

Refuses = Callable[[Sequence[MessageRow]], frozenset[int]]
"""Tells the positions of the messages that the content policy refuses."""
Fault = Literal["text", "size"]
"""Why a batch could not be noted, if a smaller one may succeed: because of what the messages say,
or perhaps because of their number. Otherwise the models are to blame."""


class Batch(Struct, frozen=True):
    """Messages that are summarised in one request."""

    rows: Sequence[MessageRow]
    """The messages that the new summary adds to the old one, oldest first."""
    covers: int
    """The last position that the old summary covers."""
    refused: frozenset[int] = frozenset()
    """Positions of messages that the content policy refuses: no model gets them."""
    given_up: frozenset[int] = frozenset()
    """Positions of messages that models failed to note again and again, which they do not get
    either."""
    part: int = 0
    """Which part is sent, if the batch is a single message that is too long for one request."""
    parts: int = 1

    @property
    def sent(self) -> int:
        """The number of messages that a model gets."""
        return sum(map(self.is_sent, self.rows))

    @property
    def is_unfinished(self) -> bool:
        """Whether a part of its message comes after it."""
        return self.part + 1 < self.parts

    def is_sent(self, row: MessageRow) -> bool:
        return row.position not in self.refused and row.position not in self.given_up

    @property
    def texts(self) -> list[str]:
        """What a model gets of each message; "" for messages that it does not get."""
        parts = (self.part, self.parts)
        return [_part(row.content, *parts) if self.is_sent(row) else "" for row in self.rows]

    @property
    def upto(self) -> int:
        """The last position that the new summary will cover."""
        return self.rows[-1].position

    @property
    def digest(self) -> str:
        """A hash of the messages, by which the database detects changes made since."""
        return hashlib.sha256("\n".join(row.content for row in self.rows).encode()).hexdigest()


def _part(text: str, part: int, parts: int) -> str:
    length = -(-len(text) // parts)
    return text[max(part * length - OVERLAP_CHARS, 0) : (part + 1) * length]


def may_be_due(
    memory: MemoryRow | None,
    history: Sequence[MessageRow],
    *,
    cost: int,
    min_room: int,
    most_bytes: int,
) -> bool:
    """A cheap check whether to call `next_batches`. `cost` is what the history costs in the prompt
    at most, `min_room` the least room that it has there, both in tokens."""
    if memory is None or not memory.may_write:
        return False
    if memory.backlog:
        return True
    return cost > START_SHARE * min_room or _share_read(history, most_bytes) > START_SHARE


def _share_read(history: Sequence[MessageRow], most_bytes: int) -> float:
    """The history's share of the most that the database reads: of its bytes or of its messages,
    whichever is larger."""
    lengths = [byte_length(row.content) for row in history]
    used = bytes_used(sum(lengths), max(lengths, default=0))
    return max(used / most_bytes, len(history) / MAX_HISTORY_MESSAGES)


def next_batches(
    memory: MemoryRow | None,
    history: Sequence[MessageRow],
    *,
    room: int,
    capacity: int,
    longest: int | None = None,
    most_bytes: int = MAX_HISTORY_BYTES,
    heard: Sequence[MessageRow] | None = None,
    tokens: Tokens = UNCALIBRATED,
    refuses: Refuses = lambda _: frozenset(),
) -> list[Batch]:
    """The messages to summarise now, in order; none while everything fits.

    `heard` is the history as the prompt has it, with names in front of messages, if it has any.
    `room` is the history's room in the prompt, and `longest` what a message takes of it at most, in
    tokens counted by `tokens`; `capacity` is how many tokens the summarising model can read, by the
    plain estimate; `most_bytes` is how many bytes of messages the database reads. `refuses` is
    asked once, if anything is due.
    """
    if memory is None or not memory.may_write:
        return []
    first = history[0].position if history else 0
    lost = [row for row in memory.backlog if row.position < first]
    if lost and len(lost) == len(memory.backlog):
        # There may be more messages between the backlog and the history.
        return _batches(lost, memory, capacity, refuses)

    rows = [*lost, *history]
    longest = room if longest is None else longest
    costs = [min(tokens.message_cost(row.content), longest) for row in (*lost, *(heard or history))]
    cost = sum(costs)
    share = _share_read(history, most_bytes)
    # The history ends where the prompt or the database does, whichever comes first.
    limit = min(room, sum(costs[len(lost) :]) / share) if share else room
    if not lost and cost <= START_SHARE * limit:
        return []
    left, covered = cost, 0
    while left > KEEP_SHARE * limit or covered < len(lost):
        left -= costs[covered]
        covered += 1
    covered = min(covered, len(rows) - NEWEST_KEPT)
    return _batches(rows[: max(covered, 0)], memory, capacity, refuses)


def _batches(
    rows: Sequence[MessageRow], memory: MemoryRow, capacity: int, refuses: Refuses
) -> list[Batch]:
    """As many leading rows as may be summarised now, divided into what fits in a request. A message
    that is too long for one is divided, too, into as many parts as there may be requests."""
    rows = rows[: _fitting(rows, MAX_BATCH_TOKENS)]
    refused = refuses(rows) if rows else frozenset()
    left = [row.position for row in rows if row.position not in refused]
    # Another message must be noted first: perhaps none can be noted now.
    given_up = frozenset(left[: max(min(memory.failures // TRIES, len(left) - 1), 0)])
    most = 1 if memory.failures else memory.most_messages
    covers = memory.covers_position
    batches: list[Batch] = []
    while rows and len(batches) < MAX_BATCHES:
        unsent = refused | given_up
        batch = Batch(rows[: _fitting(rows, capacity, unsent, most)], covers, refused, given_up)
        parts = _number_of_parts(batch, capacity)
        if batches and len(batches) + parts > MAX_BATCHES:
            break
        batches += [replace(batch, part=part, parts=parts) for part in range(parts)]
        rows, covers = rows[len(batch.rows) :], batch.upto
    return batches


def _number_of_parts(batch: Batch, capacity: int) -> int:
    needed = sum(UNCALIBRATED.message_cost(row.content) for row in batch.rows if batch.is_sent(row))
    if batch.sent != 1 or needed <= capacity or capacity < MIN_PART_TOKENS:
        return 1
    return min(-(-needed // capacity), MAX_BATCHES)


def _fitting(
    rows: Sequence[MessageRow],
    capacity: int,
    unsent: frozenset[int] = frozenset(),
    most: int | None = None,
) -> int:
    """How many leading messages fit in `capacity` tokens, without those that are not sent, and not
    more than `most` of them; at least one, however long."""
    sent = 0
    for count, row in enumerate(rows):
        if row.position in unsent:
            continue
        capacity -= UNCALIBRATED.message_cost(row.content)
        if sent and (capacity < 0 or sent == most):
            return count
        sent += 1
    return len(rows)


def next_try(
    memory: MemoryRow, batches: Sequence[Batch], done: int, fault: Fault | None
) -> dict[str, Any]:
    """How many messages the next batch may have, and how often one alone has failed, in the format
    of private.remember, if the first `done` batches were noted.

    The size is halved after a failure, so that one message does not block the notes of the others,
    and doubled after a success.
    """
    most, failures = memory.most_messages, 0 if done else memory.failures
    if done == len(batches):
        most = None if most is None or batches[-1].sent < most else 2 * most
    elif fault:
        tried = batches[done].sent
        most = max(tried // 2, 1)
        failures += tried == 1 and fault == "text"
    return {
        "most_messages": most,
        "failures": failures,
        "tried_to": batches[min(done, len(batches) - 1)].upto,
    }
