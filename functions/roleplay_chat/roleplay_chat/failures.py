"""What went wrong with one call to a target."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "rate_limited",
    "no_credit",
    "bad_key",
    "moderated",
    "model_gone",
    "context_too_long",
    "bad_request",
    "overloaded",
    "timeout",
    "empty",
    "cut_off",
]


@dataclass(frozen=True)
class Failure:
    """One failed call. `detail` is for the operator's log and never shown to a person."""

    kind: Kind
    detail: str
    retry_after: float | None = None
    """Seconds, where the upstream named them."""


class UpstreamError(Exception):
    """Raised by a provider when a call fails; carries what `failures` made of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure


_BY_STATUS: dict[int, Kind] = {
    400: "bad_request",
    401: "bad_key",
    402: "no_credit",
    403: "moderated",
    404: "model_gone",
    408: "timeout",
    429: "rate_limited",
    504: "timeout",
    524: "timeout",
}


def from_status(status: int, detail: str = "") -> Failure:
    """A failure known by its HTTP status alone. `status` may be any integer."""
    kind = _BY_STATUS.get(status, "bad_request" if 400 <= status < 500 else "overloaded")
    return Failure(kind, f"HTTP {status} {detail}".strip())
