"""Readers of a turn's events: nothing is lost, nothing comes twice, memory is bounded."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from roleplay_chat.api import Answer, Delta, Done, ModelChoice, Start
from roleplay_chat.turn_events import BEGINNING, EventId, Place, Placed, Reader, TurnEvents

TURN, USER = UUID(int=1), UUID(int=2)
START = Start(str(TURN), ModelChoice("a"), None)
DONE = Done(Answer("all of it", ModelChoice("a"), str(TURN), "r", 1, "sfw"))


def text_of(events: list[Placed]) -> str:
    return "".join(event.text for _, event in events if isinstance(event, Delta))


def turn(*pieces: str, shows_text: bool = True) -> TurnEvents:
    events = TurnEvents(TURN, USER, shows_text=shows_text)
    events.emit(START)
    for piece in pieces:
        events.emit(Delta(piece))
    return events


@given(st.lists(st.text(min_size=1, max_size=5), max_size=20), st.data())
def test_from_any_place_the_rest_follows(pieces: list[str], data: st.DataObject) -> None:
    events = turn(*pieces)
    whole = "".join(pieces)
    at = data.draw(st.integers(0, len(whole)))
    assert text_of(events.since(Place(1, at))) == whole[at:]


@pytest.mark.parametrize("text", ["a\r\nb", "\r", "\n", "a\u2028b", "😀😀"])
def test_text_stays_as_it_is(text: str) -> None:
    assert text_of(turn(*text).since(BEGINNING)) == text


def test_another_start_takes_back_what_was_said() -> None:
    events = turn("Good ")
    events.emit(START)
    events.emit(Delta("Sit."))
    for place in (BEGINNING, Place(1, 3), Place(1, 5)):
        found = events.since(place)
        assert found[0] == (Place(2, 0), START)
        assert text_of(found) == "Sit."


@pytest.mark.parametrize("place", [Place(2, 0), Place(1, 6), Place(9, 9)])
def test_place_where_the_turn_has_not_been_is_the_beginning(place: Place) -> None:
    assert turn("Good ").since(place) == turn("Good ").since(BEGINNING)


def test_without_shown_text_all_of_it_comes_at_the_end() -> None:
    events = turn("taken back", shows_text=False)
    assert text_of(events.since(BEGINNING)) == ""
    events.emit(DONE)
    found = events.since(BEGINNING)
    assert (text_of(found), found[-1][1]) == ("all of it", DONE)


def test_without_shown_text_a_continued_reply_is_what_was_added() -> None:
    events = turn(shows_text=False)
    events.emit(Done(replace(DONE.answer, continued_chars=4)))
    assert text_of(events.since(BEGINNING)) == "of it"


@pytest.mark.parametrize("is_over", [False, True])
def test_reader_that_was_closed_leaves_nothing_behind(
    is_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> int:
        events = turn()
        timers: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(*given: Any) -> asyncio.TimerHandle:
            timers.append(call_later(*given))
            return timers[-1]

        monkeypatch.setattr(loop, "call_later", noted)
        reader = Reader(events, BEGINNING, 60)
        if is_over:
            events.emit(DONE)
            Reader(events, BEGINNING, 60)
        else:
            reader.close()
        return sum(not timer.cancelled() for timer in timers)

    assert asyncio.run(read()) == 0


def test_readers_read_at_their_own_pace_until_the_end() -> None:
    async def read() -> tuple[list[list[Placed]], list[Placed]]:
        events = turn()
        quick, slow = (Reader(events, BEGINNING, 60) for _ in range(2))
        batches = []
        for piece in "abc":
            events.emit(Delta(piece))
            batches.append(await quick.next())
        events.emit(DONE)
        batches.append(await quick.next())
        return batches, await slow.next()

    batches, at_once = asyncio.run(read())
    assert [text_of(batch) for batch in batches] == ["a", "b", "c", ""]
    assert (batches[-1][-1][1], at_once[-1][1]) == (DONE, DONE)
    assert text_of(at_once) == "abc"


def test_silence_gives_heartbeats() -> None:
    async def read() -> list[Placed]:
        events = TurnEvents(TURN, USER, shows_text=True)
        reader = Reader(events, BEGINNING, 0)
        found = await reader.next()
        reader.close()
        return found

    assert asyncio.run(read()) == []


def test_what_is_kept_does_not_grow_with_the_number_of_pieces() -> None:
    """By objects, not by time: one string, however many pieces it came in."""
    few, many = turn("a" * 1_000), turn(*["a"] * 1_000)
    assert {name: type(value) for name, value in vars(few).items()} == {
        name: type(value) for name, value in vars(many).items()
    }
    assert few.since(BEGINNING) == many.since(BEGINNING)
    assert many._readers == set()


def test_end_is_known_however_late_one_asks() -> None:
    async def ask() -> object:
        events = turn("a")
        early = asyncio.create_task(events.end())
        await asyncio.sleep(0)
        events.emit(DONE)
        return await early, await events.end()

    assert asyncio.run(ask()) == (DONE, DONE)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (f"{TURN}/1.20", EventId(TURN, Place(1, 20))),
        (f" {TURN}/0.0 ", EventId(TURN, Place(0, 0))),
        ("", None),
        (f"{TURN}/1", None),
        (f"{TURN}/1.{'9' * 50}", None),
        (f"{TURN}/-1.0", None),
        (f"{str(TURN).upper()}/1.٣", None),
        ("x" * 100_000, None),
    ],
)
def test_ids_in_headers(text: str, parsed: EventId | None) -> None:
    assert EventId.parse(text) == parsed
