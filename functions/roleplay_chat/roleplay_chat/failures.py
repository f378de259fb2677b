"""Recognises what went wrong with a call: from what an upstream sent to a row of the table.

`from_response`, `from_error` and `from_worker` are pure and accept any input.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from roleplay_chat.situations import MAX_COOLDOWN, SITUATIONS, Situation


@dataclass(frozen=True)
class Failure:
    """One failed call. Holds nothing that an upstream wrote but numbers."""

    situation: Situation
    status: int | None = None
    retry_after: float | None = None
    """Seconds, where the upstream named them."""
    until: datetime | None = None
    """When a cap is lifted, where the upstream named it; outweighs `retry_after`."""
    limit_tokens: int | None = None
    """What is affordable (fewer_tokens) or fits the context (trim)."""
    why: str = ""
    """For the log: words of ours."""

    def rests_until(self, now: datetime) -> datetime | None:
        """When what failed is to be asked again; None for at once."""
        if self.situation.cooldown is None:
            return None
        rest = self.situation.cooldown
        if self.retry_after is not None:
            rest = max(rest, timedelta(seconds=min(self.retry_after, 86_400)))
        until = self.until if self.until and self.until > now else now + rest
        return min(until, now + MAX_COOLDOWN)


class UpstreamError(Exception):
    """Raised by a provider when a call fails."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.situation.name)
        self.failure = failure


def failed(name: str, **details: Any) -> UpstreamError:
    """The error for a situation of the table."""
    return UpstreamError(Failure(SITUATIONS[name], **details))


@dataclass(frozen=True)
class _Facts:
    """What is looked at, gathered from wherever an upstream put it. Text in lower case."""

    status: int
    availability: str = ""
    limit_source: str = ""
    error_type: str = ""
    message: str = ""
    raw: str = ""
    reason: str = ""
    provider_named: bool = False
    flagged: bool = False
    page: bool = False

    def says(self, pattern: str) -> bool:
        return bool(re.search(pattern, self.message) or re.search(pattern, self.raw))


_KEY_LIMITS = {
    "openrouter_key_limit",
    "openrouter_guardrail_budget",
    "openrouter_workspace_budget",
}
_GONE = {"model_not_found", "no_endpoints", "model_deprecated", "free_variant_ended"}
_AWAY = {"temporarily_unavailable", "model_unavailable_upstream"}
_TOO_LONG = {"context_length_exceeded", "token_limit_exceeded", "string_too_long"}

_NOT_TAKEN = (
    r"\b(unsupported|unrecognized|unknown|unexpected|extra)\b.{0,40}"
    r"\b(parameter|argument|field|input|key|property)"
    r"|\b(parameter|argument|field|property|stop)\b.{0,60}\bnot (supported|allowed|permitted)"
    r"|\bstop( sequence| string)?s?\b.{0,60}\b(invalid|at most|too many|maximum)"
)
"""How servers that take fewer parameters than others say so."""

# First match wins; the status alone comes last.
_RULES: tuple[tuple[str, Callable[[_Facts], bool]], ...] = (
    ("free_daily_cap", lambda f: f.limit_source == "openrouter_free_tier_daily"),
    ("free_daily_cap", lambda f: f.status == 429 and f.says(r"free-models-per-day")),
    ("free_minute_cap", lambda f: f.status == 429 and f.says(r"free-models-per-min")),
    ("upstream_pool_limited", lambda f: f.limit_source == "upstream_provider_shared_pool"),
    ("upstream_pool_limited", lambda f: f.status == 429 and f.says(r"rate-limited upstream")),
    ("at_capacity", lambda f: f.availability == "capacity_exhausted"),
    ("key_limit", lambda f: f.limit_source in _KEY_LIMITS),
    ("key_limit", lambda f: f.status in (402, 403) and f.message.startswith("key limit exceeded")),
    ("credit_in_flight", lambda f: f.limit_source == "openrouter_in_flight_budget"),
    ("credit_in_flight", lambda f: f.reason == "in_flight_budget_exhausted"),
    ("request_exceeds_budget", lambda f: f.reason == "weight_exceeds_budget"),
    ("credit_for_fewer_tokens", lambda f: f.status == 402 and f.says(r"can only afford \d+")),
    ("provider_without_credit", lambda f: f.status == 402 and f.provider_named),
    ("region_restricted", lambda f: f.availability == "region_restricted"),
    ("data_policy", lambda f: f.availability == "privacy_restricted"),
    ("data_policy", lambda f: f.status == 404 and f.says(r"data policy|guardrail restrictions")),
    ("no_allowed_provider", lambda f: f.availability == "constraint_filtered"),
    ("no_allowed_provider", lambda f: f.says(r"^no allowed providers are available")),
    ("bad_parameters", lambda f: f.says(r"can handle the requested parameters")),
    ("model_gone", lambda f: f.availability in _GONE),
    ("model_gone", lambda f: f.says(r"is not a valid model id|^no endpoints found for")),
    ("model_gone", lambda f: f.status == 404 and f.says(r"unavailable for free")),
    ("agents_only", lambda f: f.status == 403 and f.says(r"only available on agentic")),
    (
        "overloaded",
        lambda f: f.availability in ("temporarily_unavailable", "model_unavailable_upstream"),
    ),
    ("moderated", lambda f: f.error_type in ("content_policy_violation", "refusal")),
    ("moderated", lambda f: f.status == 403 and (f.flagged or f.says(r"requires moderation"))),
    ("guardrail", lambda f: f.status == 403 and f.says(r"^request blocked")),
    ("context_too_long", lambda f: f.error_type in _TOO_LONG or f.status == 413),
    ("context_too_long", lambda f: f.status == 400 and f.says(r"maximum context length")),
    # llama.cpp's words for it.
    ("context_too_long", lambda f: f.status == 400 and f.says(r"exceeds the available context")),
    ("reply_too_long", lambda f: f.error_type == "max_tokens_exceeded"),
    (
        "bad_parameters",
        lambda f: f.status == 400 and f.says(r"invalid request parameters|invalid enum value"),
    ),
    ("bad_parameters", lambda f: f.status == 400 and f.says(r"must have \d+ items or fewer")),
    (
        "bad_parameters",
        lambda f: f.status in (400, 422) and f.says(_NOT_TAKEN),
    ),
    ("edge_error", lambda f: f.page or 520 <= f.status < 524 or f.says(r"error code: 1015")),
    ("edge_error", lambda f: 525 <= f.status < 528),
    ("bad_key", lambda f: f.status == 401 or f.error_type == "authentication"),
    ("no_credit", lambda f: f.status == 402),
    ("forbidden", lambda f: f.status == 403),
    ("not_found", lambda f: f.status == 404),
    ("timed_out", lambda f: f.status in (408, 504, 524) or f.error_type == "timeout"),
    ("rate_limited", lambda f: f.status == 429 or f.error_type == "rate_limit_exceeded"),
    ("bad_request", lambda f: 400 <= f.status < 500),
    ("server_error", lambda f: f.status == 500),
    ("overloaded", lambda _: True),
)


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer with a status other than 200 means. `status`: any integer."""
    page = body.lstrip()[:1] == b"<"
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    error = parsed.get("error") if isinstance(parsed, Mapping) else None
    return from_error(error, status, headers, page=page)


def from_error(
    error: Any, status: int, headers: Mapping[str, str] | None = None, *, page: bool = False
) -> Failure:
    """The failure that an error object means, inside a 200 or beside its status.

    Inside a 200 the status is the one that the object names, else 502.
    """
    error = error if isinstance(error, Mapping) else {"message": error}
    metadata = _mapping(error.get("metadata"))
    availability = _mapping(error.get("availability"))
    if status == 200:
        status = _integer(error.get("code")) or _integer(error.get("http_status")) or 502
    facts = _Facts(
        status=status,
        availability=_lower(availability.get("code")),
        limit_source=_lower(metadata.get("limit_source")),
        error_type=_lower(metadata.get("error_type") or error.get("error_type")),
        message=_lower(error.get("message")),
        raw=_lower(metadata.get("raw")),
        reason=_lower(metadata.get("reason")),
        provider_named=isinstance(metadata.get("provider_name"), str),
        flagged=bool(metadata.get("reasons") or metadata.get("flagged_input")),
        page=page,
    )
    name = next(name for name, applies in _RULES if applies(facts))
    merged = {
        key.lower(): str(value)
        for source in (_mapping(metadata.get("headers")), headers or {})
        for key, value in source.items()
    }
    return Failure(
        SITUATIONS[name],
        status=status,
        retry_after=_retry_after(merged, metadata, availability),
        until=_reset(merged, metadata),
        limit_tokens=_limit_tokens(facts),
    )


def _retry_after(
    headers: Mapping[str, str], metadata: Mapping[str, Any], availability: Mapping[str, Any]
) -> float | None:
    """Seconds from Retry-After (seconds or a date), or from where the body repeats them."""
    named = headers.get("retry-after")
    values = (named, metadata.get("retry_after_seconds"), availability.get("retry_after"))
    for value in values:
        try:
            seconds = float(str(value))
        except ValueError:
            continue
        if 0 <= seconds < 1e7:
            return seconds
    try:
        wait = (parsedate_to_datetime(named or "") - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(0.0, wait)


def _reset(headers: Mapping[str, str], metadata: Mapping[str, Any]) -> datetime | None:
    """X-RateLimit-Reset, in epoch milliseconds; or `resets_at`, an ISO time."""
    milliseconds = _integer(headers.get("x-ratelimit-reset"))
    try:
        if milliseconds is not None:
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
        resets_at = datetime.fromisoformat(str(metadata.get("resets_at")))
    except (ValueError, OverflowError, OSError):
        return None
    return resets_at if resets_at.tzinfo else None


def _limit_tokens(facts: _Facts) -> int | None:
    found = re.search(r"can only afford (\d{1,9})", facts.message) or re.search(
        r"maximum context length is (\d{1,9})", facts.message + facts.raw
    )
    return int(found[1]) if found else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _integer(value: Any) -> int | None:
    """An integer that may have come as text; None for anything else."""
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if re.fullmatch(r"\d{1,16}", text) else None


def _lower(value: Any) -> str:
    """Text in lower case, of an object its JSON; bounded, since patterns search it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:4000].lower()


_WORKER_BREAKS = re.compile(r"probability tensor contains|\b(inf|nan)\b")
_WORKER_MEMORY = re.compile(r"out of memory|\boom\b")


def from_worker(status: int, body: bytes) -> Failure:
    """The failure that the chat worker's own error means."""
    text = body[:4000].decode(errors="replace").lower()
    if _WORKER_MEMORY.search(text):
        name = "worker_out_of_memory"
    elif _WORKER_BREAKS.search(text):
        name = "worker_broken_context"
    elif status == 401:
        name = "bad_key"
    else:
        name = "worker_failed"
    return Failure(SITUATIONS[name], status=status)
