"""Inclusion groups: of the entries of a group, only one enters the prompt."""

from collections.abc import Collection, Mapping

from roleplay_chat.lorebook.chance import Moment
from roleplay_chat.lorebook.entries import Entry, Trigger

Activated = tuple[Entry, Trigger]


def losers(
    new: Mapping[int, Activated],
    active: Collection[Entry],
    staying: Collection[int],
    moment: Moment,
) -> set[int]:
    """The newly activated entries that yield to others of their groups. `active` were activated
    before; `staying` are new ones that win because they stay from an earlier reply.
    """
    taken = {name for entry in active for name in entry.groups}
    members: dict[str, list[int]] = {}
    for place, (entry, _) in new.items():
        for name in entry.groups:
            members.setdefault(name, []).append(place)
    lost: set[int] = set()
    for name, places in members.items():
        left = [place for place in places if place not in lost]
        won = _winners(name, left, new, staying, moment) if name not in taken else set()
        lost |= set(left) - won
    return lost


def _winners(
    name: str,
    places: list[int],
    new: Mapping[int, Activated],
    staying: Collection[int],
    moment: Moment,
) -> set[int]:
    if stay := {place for place in places if place in staying}:
        return stay
    best = max((new[place][1].score for place in places), default=0)
    left = [
        place for place in places if new[place][1].score == best or not new[place][0].group_scoring
    ]
    if first := [place for place in left if new[place][0].group_override]:
        return {max(first, key=lambda place: (new[place][0].order, -place))}
    return {_drawn(name, left, new, moment)} if left else set()


def _drawn(name: str, places: list[int], new: Mapping[int, Activated], moment: Moment) -> int:
    """One of the entries, by weighted chance."""
    weights = [new[place][0].group_weight for place in places]
    left = moment.roll("group", name) * sum(weights)
    for place, weight in zip(places, weights, strict=True):
        left -= weight
        if left < 0:
            return place
    return places[-1]
