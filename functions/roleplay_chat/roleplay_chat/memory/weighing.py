"""Decides which of the known facts a turn shows, and in which order. Pure."""

from collections.abc import Sequence

from roleplay_chat.memory.importance import importance_of
from roleplay_chat.memory.known_facts import KnownFact, overrules
from roleplay_chat.memory.topics import Slot, slot_key
from roleplay_chat.rows import FactRow


def weighed(known: Sequence[FactRow], person: str) -> list[FactRow]:
    """The facts of a turn in the order of their importance, the person's before a model's.

    Facts that the person wrote since the last notes, and did not rate, get their importance from
    their words. A model's fact is not shown if it contradicts what the person wrote later, and no
    sentence is shown twice.
    """
    rows = list(known)
    if any(row.is_unread for row in rows):
        rows = [_by_its_words(row) for row in rows]
        rows.sort(key=lambda row: (not row.pinned, -row.importance, row.written_by != "person"))
    return _each_once(_without_overruled(rows, person))


def chars_to_weigh(known: Sequence[FactRow]) -> int:
    """How many characters `weighed` reads, if the instance has read none of them before."""
    if any(row.written_by == "person" for row in known):
        return sum(len(row.content) for row in known)
    return 0


def _by_its_words(row: FactRow) -> FactRow:
    if not row.is_unread or row.is_rated:
        return row
    return row.model_copy(update={"importance": max(row.importance, importance_of(row.content))})


def _without_overruled(rows: Sequence[FactRow], person: str) -> list[FactRow]:
    """The facts. Those that contradict what the person wrote later, or the text that this replaced,
    are marked as not shown; they stay so that the next notes can compare them."""
    written = [row for row in rows if row.written_by == "person" and row.said_at is not None]
    if not written:
        return list(rows)
    hidden = {one for row in written for one in row.hides}
    latest = max(row.said_at for row in written if row.said_at is not None)
    by_slot: dict[Slot | None, list[KnownFact]] = {}
    by_negation: dict[bool, list[KnownFact]] = {True: [], False: []}
    for own in (KnownFact.without_messages(row, person) for row in written):
        by_slot.setdefault(slot_key(own.slot), []).append(own)
        by_negation[own.words.is_negated].append(own)

    def is_overruled(row: FactRow) -> bool:
        if row.is_fixed:
            return False
        if row.id in hidden:
            return True
        if row.said_at is None or row.said_at >= latest:
            return False
        old = KnownFact.without_messages(row, person)
        same_slot = by_slot.get(slot_key(old.slot), []) if old.slot else []
        rivals = [*same_slot, *by_negation[not old.words.is_negated]]
        return any(overrules(own, old) for own in rivals)

    return [
        row.model_copy(update={"is_shown": False}) if is_overruled(row) else row for row in rows
    ]


def _each_once(rows: Sequence[FactRow]) -> list[FactRow]:
    """The facts, with each text shown once: the person's own fact, else the first."""
    by_text: dict[str, list[FactRow]] = {}
    for row in rows:
        if row.is_shown:
            by_text.setdefault(_plain(row.content), []).append(row)
    if len(by_text) == len(rows):
        return list(rows)
    kept: dict[int, FactRow] = {}
    for same in by_text.values():
        first = min(same, key=lambda row: row.written_by != "person")
        most = {
            "pinned": any(row.pinned for row in same),
            "importance": max(row.importance for row in same),
        }
        kept[id(first)] = first if len(same) == 1 else first.model_copy(update=most)
    return [kept.get(id(row)) or row.model_copy(update={"is_shown": False}) for row in rows]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .!?…")
