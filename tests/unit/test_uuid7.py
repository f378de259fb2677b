"""Ids that grow with time."""

from __future__ import annotations

import time
from itertools import pairwise
from uuid import RFC_4122

import pytest

from roleplay_chat.uuid7 import uuid7


def test_an_id_has_the_form_of_version_7() -> None:
    assert {(made.version, made.variant) for made in (uuid7() for _ in range(100))} == {
        (7, RFC_4122)
    }


def test_an_id_begins_with_the_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # The example of RFC 9562, A.6.
    monkeypatch.setattr(time, "time_ns", lambda: 1_645_557_742_000 * 1_000_000)
    assert str(uuid7()).startswith("017f22e2-79b0-7")


def test_ids_of_later_milliseconds_are_greater(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_700_000_000_000, 1_700_000_000_100))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock) * 1_000_000)
    assert all(earlier < later for earlier, later in pairwise(uuid7() for _ in range(100)))


def test_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000 * 1_000_000)
    made = [uuid7() for _ in range(1000)]
    assert len(set(made)) == len(made)
    # 74 bits are random.
    everywhere, nowhere = 0, (1 << 128) - 1
    for one in made:
        everywhere |= one.int
        nowhere &= one.int
    assert (everywhere ^ nowhere).bit_count() == 74
