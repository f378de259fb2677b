"""Entries that stay active for a while, or must not be activated again for a while.

Nothing is stored: whether an entry was activated by an earlier reply follows from the messages
before that reply. So a message that is edited or deleted takes its effects with it, and every
version of a reply sees the same. Only direct activations count: activations by other entries' texts
and decisions of groups are not replayed.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from roleplay_chat.lorebook.chance import Moment
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.lorebook.keys import Scope

MAX_REPLAYED_CHARS = 65_536
"""The newest characters of the conversation that are searched for earlier activations."""
MAX_REPLAYED_MESSAGES = 500
MAX_REPLAYED_KEYS = 200
"""The keys of all timed entries of a turn; entries beyond them have no timing."""

State = Literal["free", "stays", "waits"]
"""Whether an entry is free to be activated, still active, or must not be activated yet."""
Finds = Callable[[str, bool], bool]
"""Whether a key is found. The second argument says whether it is a pattern."""


class Replay:
    """The earlier replies of a conversation, for timed entries."""

    def __init__(
        self,
        texts: Sequence[str],
        now: Moment,
        replies: Sequence[int],
        positions: Sequence[int] = (),
        *,
        continues: bool = False,
    ) -> None:
        """`texts` are the messages, the oldest first; for each earlier reply, `replies` has the
        number of texts before it. `positions` are those of the texts. With `continues`, the last
        text is the beginning of the reply."""
        newest = list(reversed(texts))[:MAX_REPLAYED_MESSAGES]
        self._newest_first = newest
        self._now = now
        self._before = len(texts)
        self._replies = replies
        self._positions = positions or range(1, len(texts) + 1)
        self._before_reply = len(texts) - continues
        self._all = Scope(newest, chars=MAX_REPLAYED_CHARS)
        self._each: list[Scope] | None = None
        self._keys_left = MAX_REPLAYED_KEYS

    def state(self, entry: Entry, depth: int, is_activated: Callable[[Finds], bool]) -> State:
        """The state of an entry that searches `depth` messages. `is_activated` says whether it is
        activated where some keys are found."""
        if not entry.sticky and not entry.cooldown:
            return "free"
        self._keys_left -= len(entry.all_keys)
        if self._keys_left < 0:
            return "free"
        stays = waits = 0
        places: dict[tuple[str, bool], list[int]] = {}

        def finds_at(before: int) -> Finds:
            def finds(key: str, as_pattern: bool) -> bool:
                if (key, as_pattern) not in places:
                    places[key, as_pattern] = self._places(key, as_pattern, entry)
                found = places[key, as_pattern]
                return any(before - depth <= place < before for place in found)

            return finds

        for moment, before in self._moments():
            if moment.messages < max(stays, waits):
                continue
            if is_met(entry, moment) and is_activated(finds_at(before)):
                stays = moment.messages + entry.sticky
                waits = stays + entry.cooldown
        if self._now.messages < stays:
            return "stays"
        return "waits" if self._now.messages < waits else "free"

    def _moments(self) -> list[tuple[Moment, int]]:
        """The moments of the earlier replies, and the number of texts before each."""
        oldest = self._before - len(self._newest_first)
        count = len(self._replies)
        return [
            (
                Moment(
                    self._now.conversation,
                    self._now.messages - (self._before_reply - before),
                    self._now.replies - (count - number),
                    self._positions[before - 1] if before else 0,
                ),
                before,
            )
            for number, before in enumerate(self._replies)
            if before >= oldest
        ]

    def _places(self, key: str, as_pattern: bool, entry: Entry) -> list[int]:
        """The texts that have the key."""

        def has(scope: Scope, depth: int) -> bool:
            return scope.has(
                key,
                depth=depth,
                case_sensitive=entry.case_sensitive,
                whole_words=entry.whole_words,
                as_pattern=as_pattern,
            )

        if not has(self._all, MAX_REPLAYED_MESSAGES):
            return []
        if self._each is None:
            self._each = [Scope([text]) for text in self._newest_first]
        return [
            self._before - 1 - number for number, scope in enumerate(self._each) if has(scope, 1)
        ]


def is_met(entry: Entry, moment: Moment) -> bool:
    """Whether the conversation is long enough for the entry, and its roll succeeds."""
    is_due = (
        moment.messages >= entry.min_messages
        and moment.replies >= entry.min_replies
        and not (entry.every_replies and moment.replies % entry.every_replies)
    )
    return is_due and succeeds(entry, moment)


def succeeds(entry: Entry, moment: Moment) -> bool:
    """Whether the entry's probability lets it be activated now."""
    if entry.probability >= 100:
        return True
    return moment.roll("probability", entry.source, entry.id) * 100 < entry.probability
