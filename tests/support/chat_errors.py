"""The errors that the chat function answers with."""

import httpx

ENVELOPE = {"success", "error", "code", "request_id"}


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Checks the format of an error response and returns its sentence."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert set(body) == ENVELOPE
    assert body["success"] is False
    assert "Traceback" not in answer.text
    return str(body["error"])
