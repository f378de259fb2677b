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

from edge.json_text import loads_few
from edge.json_values import digits, fields
from roleplay_chat.generation.error_policies import ERROR_POLICIES, MAX_COOLDOWN, ErrorPolicy


@dataclass(frozen=True)
class Failure:
    """One failed call. Holds nothing that an upstream wrote but numbers."""

    policy: ErrorPolicy
    status: int | None = None
    retry_after: float | None = None
    """Seconds, where the upstream named them."""
    until: datetime | None = None
    """When a cap is lifted, where the upstream named it; outweighs `retry_after`."""
    limit_tokens: int | None = None
    """What is affordable (fewer_tokens) or fits the context (trim)."""
    why: str = ""
    """For the log: words of ours."""

    def cools_until(self, now: datetime) -> datetime | None:
        """When the cooldown ends; None: there is none."""
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
    """The error for an error policy of the table."""
    return UpstreamError(Failure(ERROR_POLICIES[name], **details))


@dataclass(frozen=True)
class _Facts:
    """What is looked at, gathered from wherever an upstream put it. Text in lower case.

    A gateway such as OpenRouter passes on what the provider of a model told it. Then it names that
    provider, and the texts are the provider's, who may speak of its own keys, credits and limits.
    """

    status: int
    availability: str = ""
    limit_source: str = ""
    error_type: str = ""
    reason: str = ""
    texts: tuple[str, ...] = ()
    """What was said, by whomever."""
    own_texts: tuple[str, ...] = ()
    """What whoever answered us says of itself and of our account there."""
    passed_on: bool = False
    """The error is that of a named provider behind whoever answered us."""
    flagged: bool = False
    page: bool = False

    def says(self, pattern: str) -> bool:
        """Whether somebody says so: enough for what concerns the request or the model."""
        return any(re.search(pattern, text) for text in self.texts)

    def says_itself(self, pattern: str) -> bool:
        """Whether whoever answered us says so of itself: needed for what concerns more."""
        return any(re.search(pattern, text) for text in self.own_texts)


MAX_TEXT = 4_000
"""Characters of a text that are looked at."""
_KEY_LIMITS = {
    "openrouter_key_limit",
    "openrouter_guardrail_budget",
    "openrouter_workspace_budget",
}
_GONE = {"model_not_found", "no_endpoints", "model_deprecated", "free_variant_ended"}
_AWAY = {"temporarily_unavailable", "model_unavailable_upstream"}
_EDGE = {*range(520, 524), *range(525, 528)}
"""Statuses of the network in front of a server; 524 is a time-out."""
_LONGEST_CONTEXT = r"maximum context length is (\d{1,9})"
_AFFORDABLE = r"can only afford (\d{1,9})"
_TOO_LONG = {"context_length_exceeded", "token_limit_exceeded", "string_too_long"}

_NOT_TAKEN = (
    r"\b(unsupported|unrecognized|unknown|unexpected|extra)\b.{0,40}"
    r"\b(parameter|argument|field|input|key|property)"
    r"|\b(parameter|argument|field|property|stop)\b.{0,60}\bnot (supported|allowed|permitted)"
    r"|\bstop( sequence| string)?s?\b.{0,60}\b(invalid|at most|too many|maximum)"
)
"""How servers that take fewer parameters than others say so."""

_PAGE = re.compile(r"[\ufeff\s]*<(!doctype|html|head|\?xml|!--)")
"""HTML: for people, and nothing is read from its words."""
_OF_THE_ACCOUNT = re.compile(
    r"rate limit exceeded: free-models-per-|key limit exceeded|this request requires more credits"
)
"""How OpenRouter begins when it speaks of our account. It may name a provider all the same."""
_RATE_LIMITED_PAGE = r"\berror([ _]code)?[\"':\\]*\s*1015\b"
"""Cloudflare's, in text or JSON, when whoever is behind it is asked too often by somebody."""
_NAMED_WITHIN = re.compile(r"\bprovider_name\W{1,20}(?!null\b)\w")
"""In JSON within a text: what is said there is passed on, too."""

# First match wins; the status alone comes last.
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
    ("overloaded", lambda f: f.availability in _AWAY),
    ("moderated", lambda f: f.error_type in ("content_policy_violation", "refusal")),
    ("moderated", lambda f: f.status == 403 and (f.flagged or f.says(r"requires moderation"))),
    ("guardrail", lambda f: f.status == 403 and f.says(r"^request blocked")),
    ("context_too_long", lambda f: f.error_type in _TOO_LONG or f.status == 413),
    ("context_too_long", lambda f: f.status == 400 and f.says(r"maximum context length")),
    ("context_too_long", lambda f: f.status == 400 and f.says(r"\bcontext_length_exceeded\b")),
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
    ("overloaded", lambda f: f.passed_on and (f.status in _EDGE or (f.page and f.status != 429))),
    ("edge_error", lambda f: not f.passed_on and (f.status in _EDGE or f.page)),
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
    """The failure that an answer with a status other than 200 means. `status`: any integer."""
    try:
        parsed = loads_few(body)
    except (ValueError, RecursionError):
        # A page of whatever stands before the server, or its one line.
        page = body.lstrip()[:1] == b"<"
        return from_error(body[:MAX_TEXT].decode(errors="replace"), status, headers, page=page)
    body_object = fields(parsed)
    # Without an error of the API: what stands before the server has shapes of its own.
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
    """The failure that an error object means, inside a 200 or beside its status.

    Inside a 200 the status is the one that the object names, else 502. `provider` is who is named
    beside the object.
    """
    error = error if isinstance(error, Mapping) else {"message": error}
    metadata = fields(error.get("metadata"))
    availability = fields(error.get("availability"))
    message, raw = _lower(error.get("message")), _lower(metadata.get("raw"))
    passed_on = any(map(_is_name, (metadata.get("provider_name"), provider)))
    passed_on = passed_on or any(map(_NAMED_WITHIN.search, (message, raw)))
    is_own = not passed_on or bool(_OF_THE_ACCOUNT.match(message) and message not in raw)
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
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait)


def _reset(headers: Mapping[str, str], metadata: Mapping[str, Any]) -> datetime | None:
    """X-RateLimit-Reset, in epoch milliseconds; or `resets_at`, an ISO time."""
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
    found = re.search(_AFFORDABLE, own) or re.search(_LONGEST_CONTEXT, all_of_it)
    return int(found[1]) if found else None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _lower(value: Any) -> str:
    """Text in lower case, of an object its JSON; bounded, since patterns search it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:MAX_TEXT].lower()


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
    return Failure(ERROR_POLICIES[name], status=status)
