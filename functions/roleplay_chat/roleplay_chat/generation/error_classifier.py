"""Classifies upstream errors: finds the error policy for what an upstream sent.

`from_response`, `from_error` and `from_worker` are pure and accept any input.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from edge.json_text import loads_bounded
from edge.json_values import digits, fields
from roleplay_chat.generation.error_policies import ERROR_POLICIES, MAX_COOLDOWN, ErrorPolicy


@dataclass(frozen=True)
class Failure:
    """One failed call. Of the upstream's response it keeps only numbers."""

    policy: ErrorPolicy
    status: int | None = None
    retry_after: float | None = None
    """Seconds, if the upstream gave them."""
    until: datetime | None = None
    """When a cap is lifted, if the upstream said so; takes precedence over `retry_after`."""
    limit_tokens: int | None = None
    """The affordable reply (fewer_tokens) or the context length (trim), if given."""
    why: str = ""
    """A reason for the log, in our own words."""
    finish_reason: str | None = None
    """The upstream's word for why the reply ended, if it gave one: the only text that is kept."""

    def cools_until(self, now: datetime) -> datetime | None:
        """When the cooldown ends; None if there is none."""
        if self.policy.cooldown is None:
            return None
        cooldown = self.policy.cooldown
        if self.retry_after is not None:
            longest = MAX_COOLDOWN.total_seconds()
            cooldown = max(cooldown, timedelta(seconds=min(self.retry_after, longest)))
        until = self.until if self.until and self.until > now else now + cooldown
        return min(until, now + MAX_COOLDOWN)


class UpstreamError(Exception):
    """Raised by a provider when a call fails."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.policy.name)
        self.failure = failure


def failed(name: str, **details: Any) -> UpstreamError:
    """The exception for the error policy of this name."""
    return UpstreamError(Failure(ERROR_POLICIES[name], **details))


@dataclass(frozen=True)
class _Facts:
    """The relevant facts of an error, wherever the upstream put them. Texts are in lower case.

    A gateway such as OpenRouter forwards errors of the provider behind it and names that provider.
    Such a text may be about the provider's own keys, credits and limits instead of ours.
    """

    status: int
    availability: str = ""
    limit_source: str = ""
    error_type: str = ""
    reason: str = ""
    texts: tuple[str, ...] = ()
    """All messages, whoever wrote them."""
    own_texts: tuple[str, ...] = ()
    """The messages in which the server that answered us speaks of itself or of our account."""
    passed_on: bool = False
    """The error comes from a named provider behind the server that answered us."""
    flagged: bool = False
    page: bool = False

    def says(self, pattern: str) -> bool:
        """Whether any message matches: enough for errors of the request or the model."""
        return any(re.search(pattern, text) for text in self.texts)

    def says_itself(self, pattern: str) -> bool:
        """Whether a message of the server itself matches: required for wider scopes."""
        return any(re.search(pattern, text) for text in self.own_texts)


MAX_TEXT = 4_000
"""Characters of a text that are searched."""
_KEY_LIMITS = {
    "openrouter_key_limit",
    "openrouter_guardrail_budget",
    "openrouter_workspace_budget",
}
_GONE = {"model_not_found", "no_endpoints", "model_deprecated", "free_variant_ended"}
_UNAVAILABLE = {"temporarily_unavailable", "model_unavailable_upstream"}
_CDN_STATUSES = {*range(520, 524), *range(525, 528)}
"""Statuses of a CDN in front of a server; 524, a timeout, is handled elsewhere."""
_CONTEXT_LIMIT = r"maximum context length is (\d{1,9})"
_AFFORDABLE = r"can only afford (\d{1,9})"
_TOO_LONG = {"context_length_exceeded", "token_limit_exceeded", "string_too_long"}

_UNSUPPORTED_PARAMETER = (
    r"\b(unsupported|unrecognized|unknown|unexpected|extra)\b.{0,40}"
    r"\b(parameter|argument|field|input|key|property)"
    r"|\b(parameter|argument|field|property|stop)\b.{0,60}\bnot (supported|allowed|permitted)"
    r"|\bstop( sequence| string)?s?\b.{0,60}\b(invalid|at most|too many|maximum)"
)
"""Messages of servers that do not support a parameter."""

_PAGE = re.compile(r"[\ufeff\s]*<(!doctype|html|head|\?xml|!--)")
"""An HTML page. Its text is for people and is not searched."""
_ABOUT_OUR_ACCOUNT = re.compile(
    r"rate limit exceeded: free-models-per-|key limit exceeded|this request requires more credits"
)
"""How OpenRouter's messages about our account begin. They may name a provider all the same."""
_RATE_LIMITED_PAGE = r"\berror([ _]code)?[\"':\\]*\s*1015\b"
"""Cloudflare's rate limit error, in text or JSON."""
_NESTED_PROVIDER = re.compile(r"\bprovider_name\W{1,20}(?!null\b)\w")
"""A provider's name in JSON inside a text, which then was passed on, too."""

# The first match wins, so rules that use only the status come last.
_RULES: tuple[tuple[str, Callable[[_Facts], bool]], ...] = (
    ("free_daily_cap", lambda f: f.limit_source == "openrouter_free_tier_daily"),
    ("free_daily_cap", lambda f: f.status == 429 and f.says_itself(r"free-models-per-day")),
    ("free_minute_cap", lambda f: f.status == 429 and f.says_itself(r"free-models-per-min")),
    ("upstream_pool_limited", lambda f: f.limit_source == "upstream_provider_shared_pool"),
    ("upstream_pool_limited", lambda f: f.status == 429 and f.says(r"rate-limited upstream")),
    ("upstream_pool_limited", lambda f: f.passed_on and f.says(_RATE_LIMITED_PAGE)),
    ("at_capacity", lambda f: f.availability == "capacity_exhausted"),
    ("key_limit", lambda f: f.limit_source in _KEY_LIMITS),
    ("key_limit", lambda f: f.status in (402, 403) and f.says_itself(r"^key limit exceeded")),
    ("credit_in_flight", lambda f: f.limit_source == "openrouter_in_flight_budget"),
    ("credit_in_flight", lambda f: f.reason == "in_flight_budget_exhausted"),
    ("request_exceeds_budget", lambda f: f.reason == "weight_exceeds_budget"),
    ("credit_for_fewer_tokens", lambda f: f.status == 402 and f.says_itself(_AFFORDABLE)),
    ("provider_without_credit", lambda f: f.status == 402 and f.passed_on),
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
    ("overloaded", lambda f: f.availability in _UNAVAILABLE),
    ("moderated", lambda f: f.error_type in ("content_policy_violation", "refusal")),
    ("moderated", lambda f: f.status == 403 and (f.flagged or f.says(r"requires moderation"))),
    ("guardrail", lambda f: f.status == 403 and f.says(r"^request blocked")),
    ("context_too_long", lambda f: f.error_type in _TOO_LONG or f.status == 413),
    ("context_too_long", lambda f: f.status == 400 and f.says(r"maximum context length")),
    ("context_too_long", lambda f: f.status == 400 and f.says(r"\bcontext_length_exceeded\b")),
    # llama.cpp's wording.
    ("context_too_long", lambda f: f.status == 400 and f.says(r"exceeds the available context")),
    ("reply_too_long", lambda f: f.error_type == "max_tokens_exceeded"),
    (
        "bad_parameters",
        lambda f: f.status == 400 and f.says(r"invalid request parameters|invalid enum value"),
    ),
    ("bad_parameters", lambda f: f.status == 400 and f.says(r"must have \d+ items or fewer")),
    (
        "bad_parameters",
        lambda f: f.status in (400, 422) and f.says(_UNSUPPORTED_PARAMETER),
    ),
    (
        "overloaded",
        lambda f: f.passed_on and (f.status in _CDN_STATUSES or (f.page and f.status != 429)),
    ),
    ("edge_error", lambda f: not f.passed_on and (f.status in _CDN_STATUSES or f.page)),
    ("edge_error", lambda f: f.says_itself(_RATE_LIMITED_PAGE)),
    ("provider_refuses_key", lambda f: f.passed_on and _is_unauthorized(f)),
    ("bad_key", lambda f: _is_unauthorized(f)),
    ("no_credit", lambda f: f.status == 402),
    ("forbidden", lambda f: f.status == 403),
    ("not_found", lambda f: f.status == 404),
    ("timed_out", lambda f: f.status in (408, 504, 524) or f.error_type == "timeout"),
    ("rate_limited", lambda f: f.status == 429 or f.error_type == "rate_limit_exceeded"),
    ("bad_request", lambda f: 400 <= f.status < 500),
    ("server_error", lambda f: f.status == 500),
    ("overloaded", lambda _: True),
)


def _is_unauthorized(facts: _Facts) -> bool:
    return facts.status == 401 or facts.error_type == "authentication"


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Classify a response with a status other than 200. `status` may be any integer."""
    try:
        parsed = loads_bounded(body)
    except (ValueError, RecursionError):
        # An HTML page or a line of text, perhaps from a proxy.
        page = body.lstrip()[:1] == b"<"
        return from_error(body[:MAX_TEXT].decode(errors="replace"), status, headers, page=page)
    body_object = fields(parsed)
    # Without an `error` object it is not the API that answered, so the whole body is searched.
    said = body_object["error"] if "error" in body_object else _lower(parsed)
    return from_error(said, status, headers, provider=body_object.get("provider"))


def from_error(
    error: Any,
    status: int,
    headers: Mapping[str, str] | None = None,
    *,
    provider: Any = None,
    page: bool = False,
) -> Failure:
    """Classify an error object.

    With `status` 200 (an error in a stream), the status is the object's code, else 502. `provider`
    is the provider named next to the object.
    """
    error = error if isinstance(error, Mapping) else {"message": error}
    metadata = fields(error.get("metadata"))
    availability = fields(error.get("availability"))
    message, raw = _lower(error.get("message")), _lower(metadata.get("raw"))
    passed_on = any(map(_is_name, (metadata.get("provider_name"), provider)))
    passed_on = passed_on or any(map(_NESTED_PROVIDER.search, (message, raw)))
    is_own = not passed_on or bool(_ABOUT_OUR_ACCOUNT.match(message) and message not in raw)
    page = page or any(map(_PAGE.match, (message, raw)))
    if status == 200:
        status = digits(error.get("code")) or digits(error.get("http_status")) or 502
    facts = _Facts(
        status=status,
        availability=_lower(availability.get("code")),
        limit_source=_lower(metadata.get("limit_source")),
        error_type=_lower(metadata.get("error_type") or error.get("error_type")),
        reason=_lower(metadata.get("reason")),
        texts=() if page else (message, raw),
        own_texts=() if page else (*[message] * is_own, *[raw] * (not passed_on)),
        passed_on=passed_on,
        flagged=bool(metadata.get("reasons") or metadata.get("flagged_input")),
        page=page,
    )
    name = next(name for name, applies in _RULES if applies(facts))
    merged = {
        key.lower(): str(value)
        for source in (fields(metadata.get("headers")), headers or {})
        for key, value in source.items()
    }
    return Failure(
        ERROR_POLICIES[name],
        status=status,
        retry_after=_retry_after(merged, metadata, availability),
        until=_reset(merged, metadata),
        limit_tokens=_limit_tokens(facts),
    )


def _retry_after(
    headers: Mapping[str, str], metadata: Mapping[str, Any], availability: Mapping[str, Any]
) -> float | None:
    """Seconds from Retry-After (in seconds or as a date), or from the body."""
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
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait)


def _reset(headers: Mapping[str, str], metadata: Mapping[str, Any]) -> datetime | None:
    """The time in X-RateLimit-Reset (epoch milliseconds) or `resets_at` (ISO 8601)."""
    milliseconds = digits(headers.get("x-ratelimit-reset"))
    try:
        if milliseconds is not None:
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
        resets_at = datetime.fromisoformat(str(metadata.get("resets_at")))
    except (ValueError, OverflowError, OSError):
        return None
    return resets_at if resets_at.tzinfo else None


def _limit_tokens(facts: _Facts) -> int | None:
    own, all_of_it = "\n".join(facts.own_texts), "\n".join(facts.texts)
    found = re.search(_AFFORDABLE, own) or re.search(_CONTEXT_LIMIT, all_of_it)
    return int(found[1]) if found else None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _lower(value: Any) -> str:
    """Text, or an object's JSON, in lower case; truncated, because patterns search it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:MAX_TEXT].lower()


_WORKER_BREAKS = re.compile(r"probability tensor contains|\b(inf|nan)\b")
_WORKER_MEMORY = re.compile(r"out of memory|\boom\b")


def from_worker(status: int, body: bytes) -> Failure:
    """Classify an error of the chat worker."""
    text = body[:4000].decode(errors="replace").lower()
    if _WORKER_MEMORY.search(text):
        name = "worker_out_of_memory"
    elif _WORKER_BREAKS.search(text):
        name = "worker_broken_context"
    elif status == 401:
        name = "bad_key"
    else:
        name = "worker_failed"
    return Failure(ERROR_POLICIES[name], status=status)
