"""What the local stack prints when health_check fails: one line with the reason."""

from __future__ import annotations

import httpx
import pytest

from dev.stack.scheduler import why

REQUEST = httpx.Request("POST", "http://127.0.0.1/health_check")


def answered(status: int, text: str) -> httpx.HTTPStatusError:
    response = httpx.Response(status, text=text, request=REQUEST)
    with pytest.raises(httpx.HTTPStatusError) as raised:
        response.raise_for_status()
    return raised.value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(
            answered(503, '{"code": "database_unavailable"}'),
            "it answered 503 (database_unavailable)",
            id="code",
        ),
        pytest.param(answered(502, "<html>"), "it answered 502", id="page"),
        pytest.param(answered(500, "[]"), "it answered 500", id="list"),
        pytest.param(httpx.ReadTimeout(""), "it did not answer in time", id="timeout"),
        pytest.param(
            httpx.ConnectError("All connection attempts failed"),
            "it cannot be reached (ConnectError)",
            id="refused",
        ),
        pytest.param(KeyError("workers"), "it answered something else than results", id="odd"),
    ],
)
def test_failure_is_one_line(error: Exception, reason: str) -> None:
    assert why(error) == reason
