"""How long the pages wait for an answer of Supabase. The module runs in Node.js."""

from __future__ import annotations

import pytest

from tests.support.node import evaluate


@pytest.mark.parametrize(("length", "seconds"), [(None, 20), (0, 20), (512 * 1024, 20 + 131.072)])
def test_large_body_has_time_to_be_sent(length: int | None, seconds: float) -> None:
    body = None if length is None else "x" * length
    assert evaluate("fetch-in-time.js", "module.waitMs(given)", body) == seconds * 1000


def test_file_has_time_to_be_sent() -> None:
    assert evaluate("fetch-in-time.js", 'module.waitMs(new Blob(["x".repeat(given)]))', 4000) == (
        21_000
    )
