"""Classifies upstream errors: finds the error policy for what an upstream sent.

`from_response`, `from_error` and `from_worker` are pure and accept any input.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from edge.json_text import loads_bounded
from edge.json_values import digits, fields, whole
from edge.patterns import compiled_later
from roleplay_chat.generation.error_policies import ERROR_POLICIES, MAX_COOLDOWN, ErrorPolicy
from roleplay_chat.generation.error_shapes import MAX_TEXT, codes_in, error_in, locations
from roleplay_chat.generation.error_wordings import (
    CODES,
    DELAY,
    LIMIT_FIELDS,
    LIMITS,
    STATUSES,
    STREAM_STATUS,
    WORDINGS,
    plain,
)
from roleplay_chat.generation.request_errors import (
    named_parameters,
    names_sampling,
    wanted_roles,
    wants_completion_tokens,
)
from roleplay_chat.messages import Roles


class Failure(Struct, frozen=True):
    """One failed call. It keeps only numbers from the upstream's response, and what it asks for."""

    policy: ErrorPolicy
    status: int | None = None
    retry_after: float | None = None
    """Seconds, if the upstream gave them."""
    until: datetime | None = None
    """When a cap is lifted, if the upstream said so; takes precedence over `retry_after`."""
    limit_tokens: int | None = None
    """The affordable reply (fewer_tokens) or the context length (trim), if given."""
    roles: Roles | None = None
    """The form of the messages that is asked for (stricter_roles)."""
    parameters: frozenset[str] = frozenset()
    """Words that may name rejected parameters (fewer_parameters), as `plain` spells them."""
    why: str = ""
    """A reason for the log, in our own words."""
    finish_reason: str | None = None
    """The upstream's word for why the reply ended, if it gave one: the only text that is kept."""

    @property
    def explanation(self) -> str:
        """The sentences for an operator: what happened, and what to do."""
        return f"{self.policy.operator} ({self.why})" if self.why else self.policy.operator

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


class _Facts(Struct, frozen=True):
    """The relevant facts of an error, wherever the upstream put them. Texts are in lower case.

    A gateway such as OpenRouter forwards errors of the provider behind it and names that provider.
    Such a text may be about the provider's own keys, credits and limits instead of ours.
    """

    status: int
    codes: frozenset[str] = frozenset()
    """All codes and types, without case and punctuation."""
    availability: str = ""
    limit_source: str = ""
    reason: str = ""
    texts: tuple[str, ...] = ()
    """All messages, from the server or from a provider behind it."""
    own_texts: tuple[str, ...] = ()
    """The messages in which the server that answered us speaks of itself or of our account."""
    passed_on: bool = False
    """The error comes from a named provider behind the server that answered us."""
    flagged: bool = False
    page: bool = False

    def says(self, pattern: str) -> bool:
        """Whether any message matches: enough for errors of the request or the model."""
        return any(map(_compiled(pattern).search, self.texts))

    def says_itself(self, pattern: str) -> bool:
        """Whether a message of the server itself matches: required for wider scopes."""
        return any(map(_compiled(pattern).search, self.own_texts))

    @property
    def is_edge_page(self) -> bool:
        """Whether this is a page of the network in front of the server."""
        return self.page and (self.status >= 500 or self.status in _EDGE_PAGE_STATUSES)


# Compiled at the first error, not at a cold start.
_compiled = cache(re.compile)


_KEY_LIMITS = {
    "openrouter_key_limit",
    "openrouter_guardrail_budget",
    "openrouter_workspace_budget",
}
_GONE = {"model_not_found", "no_endpoints", "model_deprecated", "free_variant_ended"}
_UNAVAILABLE = {"temporarily_unavailable", "model_unavailable_upstream"}
_CDN_STATUSES = {*range(520, 524), *range(525, 528)}
"""Statuses of a CDN in front of a server; 524, a timeout, is handled elsewhere."""
_EDGE_PAGE_STATUSES = {403, 408, 429}
"""Besides 5xx. A page with another status says that the address is no API's."""
_NO_SUCH_ADDRESS = {404, 405, 410, 421, 501, 505}
_AFFORDABLE = r"can only afford (\d{1,9})"

_UNSUPPORTED_PARAMETER = (
    r"\b(unsupported|unrecognized|unknown|unexpected|extra)\b.{0,40}"
    r"\b(parameter|argument|field|input|key|property)"
    r"|\bunsupported value\b|\bextraneous key\b|\bparameters? (is|are) invalid\b"
    r"|\b(does not|doesn't|do not|don't|cannot|can't) support (the )?(parameter|argument)"
    r"|\b(parameter|argument|field|property)\W{1,3}\w{1,40}\W{1,3}(is )?(unsupported|invalid)\b"
    r"|\b(parameter|argument|field|property|stop)\b.{0,60}\bnot (supported|allowed|permitted)"
    r"|\bstop( sequence| string)?s?\b.{0,60}\b(invalid|at most|too many|maximum)"
)
"""Messages of servers that do not support a parameter."""

_PAGE = compiled_later(r"[\ufeff\s]*<(!doctype|html|head|\?xml|!--)")
"""An HTML page. Its text is for people and is not searched."""
_ABOUT_OUR_ACCOUNT = compiled_later(
    r"rate limit exceeded: free-models-per-|key limit exceeded|this request requires more credits"
)
"""How OpenRouter's messages about our account begin. They may name a provider all the same."""
_RATE_LIMITED_PAGE = r"\berror([ _]code)?[\"':\\]*\s*1015\b"
"""Cloudflare's rate limit error, in text or JSON."""
_NESTED_PROVIDER = compiled_later(r"\bprovider_name\W{1,20}(?!null\b)\w")
"""A provider's name in JSON inside a text, which then was passed on, too."""

_Rules = tuple[tuple[str, Callable[[_Facts], bool]], ...]

# The first match wins: errors of OpenRouter and of CDNs, then codes and sentences of any server
# (the tables in `error_wordings`), then rules that use only the status.
_FIRST_RULES: _Rules = (
    ("redirected", lambda f: 300 <= f.status < 400),
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
    ("moderated", lambda f: f.status == 403 and (f.flagged or f.says(r"requires moderation"))),
    ("guardrail", lambda f: f.status == 403 and f.says(r"^request blocked")),
    ("roles_rejected", lambda f: _is_about_form(f) and wanted_roles(f.texts) is not None),
    ("max_tokens_rejected", lambda f: _is_about_form(f) and wants_completion_tokens(f.texts)),
    (
        "overloaded",
        lambda f: f.passed_on and (f.status in _CDN_STATUSES or (f.page and f.status != 429)),
    ),
    (
        "edge_error",
        lambda f: not f.passed_on and (f.status in _CDN_STATUSES or f.is_edge_page),
    ),
    ("edge_error", lambda f: f.says_itself(_RATE_LIMITED_PAGE)),
)
_LAST_RULES: _Rules = (
    ("context_too_long", lambda f: f.status == 413),
    (
        "bad_parameters",
        lambda f: f.status == 400 and f.says(r"invalid request parameters|invalid enum value"),
    ),
    ("bad_parameters", lambda f: f.status == 400 and f.says(r"must have \d+ items or fewer")),
    (
        "bad_parameters",
        lambda f: f.status in (400, 422) and f.says(_UNSUPPORTED_PARAMETER),
    ),
    ("bad_parameters", lambda f: f.status in (400, 422) and names_sampling(f.texts)),
    ("provider_refuses_key", lambda f: f.passed_on and f.status == 401),
    ("bad_key", lambda f: f.status == 401),
    ("no_credit", lambda f: f.status == 402),
    ("forbidden", lambda f: f.status in (403, 511)),
    ("not_found", lambda f: f.status in _NO_SUCH_ADDRESS),
    ("region_restricted", lambda f: f.status == 451),
    ("timed_out", lambda f: f.status in (408, 504, 524)),
    ("rate_limited", lambda f: f.status == 429),
    ("not_found", lambda f: f.page and 400 <= f.status < 500),
    ("bad_request", lambda f: 400 <= f.status < 500),
    ("server_error", lambda f: f.status == 500),
    ("overloaded", lambda f: f.status > 500),
    ("unreadable", lambda _: True),
)
_POLICY_BY_CODE = {plain(code): name for name, codes in CODES.items() for code in codes}
_STATUS_BY_CODE = {plain(code): status for status, codes in STATUSES.items() for code in codes}
MILLISECONDS = 10**11
"""From this number on, a time is in milliseconds: in seconds it would be the year 5138."""
_LIMIT_RANGE = {"minimum": 16, "maximum": 10_000_000}
_IN_CHARACTERS = {plain("string_above_max_length"), plain("string_too_long")}
_UNCLEAR = {"overloaded", "failed", "unreachable", "unreadable", "timeout"}
"""Kinds of failures that say no more of a worker than that it failed."""
_OF_A_WORKER = {"worker_out_of_memory", "worker_broken_context"}
_CLEARER_WORDS = {
    ("model_gone", "model_not_loaded"),
    ("model_gone", "worker_out_of_memory"),
    ("bad_parameters", "forbidden"),
}
"""Policies by code and by sentence where the sentence says more."""
_OF_A_PROVIDER = {
    "bad_key": "provider_refuses_key",
    "no_credit": "provider_without_credit",
    "key_limit": "provider_without_credit",
    "worker_out_of_memory": "server_error",
    "worker_broken_context": "server_error",
}
"""The policies of errors that are about the account or the machine of a provider behind the
server."""


def _is_about_form(facts: _Facts) -> bool:
    """Whether the status may mean a request in the wrong form: any may, except those for keys,
    credit and limits."""
    return facts.status >= 400 and facts.status not in (401, 402, 403, 429)


def _policy_name(facts: _Facts) -> str:
    if name := _first(_FIRST_RULES, facts):
        return name
    coded, worded = _by_code(facts), _by_wording(facts)
    if name := worded if (coded, worded) in _CLEARER_WORDS else coded or worded:
        return _OF_A_PROVIDER.get(name, name) if facts.passed_on else name
    return _first(_LAST_RULES, facts) or "overloaded"


def _first(rules: _Rules, facts: _Facts) -> str | None:
    return next((name for name, applies in rules if applies(facts)), None)


def _by_code(facts: _Facts) -> str | None:
    named = {_POLICY_BY_CODE[code] for code in facts.codes if code in _POLICY_BY_CODE}
    return next((name for name in CODES if name in named), None)


def _by_wording(facts: _Facts) -> str | None:
    """The first wording that applies. A quota that refills does not count as used-up credit."""
    for wording in WORDINGS:
        if facts.status not in wording.statuses or not facts.says(wording.pattern):
            continue
        if wording.policy == "no_credit" and plain("resource_exhausted") in facts.codes:
            continue
        if not (wording.unless and facts.says(wording.unless)):
            return wording.policy
    return None


class ResponseBody(NamedTuple):
    """The body of a response that is or may be an error, parsed once."""

    value: Any
    """The parsed JSON, or the beginning of the text if it is not JSON."""
    is_page: bool = False

    @classmethod
    def parse(cls, body: bytes) -> "ResponseBody":
        """Read a body of any kind."""
        try:
            return cls(loads_bounded(body))
        except (ValueError, RecursionError):
            # An HTML page or a line of text, perhaps from a proxy.
            return cls(body[:MAX_TEXT].decode(errors="replace"), body.lstrip()[:1] == b"<")


def from_response(status: int, headers: Mapping[str, str], body: bytes | ResponseBody) -> Failure:
    """Classify a response with a status other than 2xx. `status` may be any integer."""
    read = body if isinstance(body, ResponseBody) else ResponseBody.parse(body)
    return from_error(read.value, status, headers, page=read.is_page)


def from_error(
    body: Any,
    status: int,
    headers: Mapping[str, str] | None = None,
    *,
    provider: Any = None,
    page: bool = False,
) -> Failure:
    """Classify an error, or a body with one, of any shape.

    With `status` 200 (an error in a stream), the status is what the error names, else 502.
    `provider` is the provider named next to the error.
    """
    error = error_in(body)
    provider = provider or fields(body).get("provider")
    metadata = fields(error.get("metadata"))
    availability = fields(error.get("availability"))
    message, raw = _lower(error.get("message")), _lower(metadata.get("raw"))
    passed_on = any(map(_is_name, (metadata.get("provider_name"), provider)))
    passed_on = passed_on or any(map(_NESTED_PROVIDER.search, (message, raw)))
    is_own = not passed_on or bool(_ABOUT_OUR_ACCOUNT.match(message) and message not in raw)
    page = page or any(map(_PAGE.match, (message, raw)))
    codes = codes_in(error, message, raw)
    facts = _Facts(
        status=_status(status, error, codes),
        codes=codes,
        availability=_lower(availability.get("code")),
        limit_source=_lower(metadata.get("limit_source")),
        reason=_lower(metadata.get("reason")),
        texts=() if page else (message, raw),
        own_texts=() if page else (*[message] * is_own, *[raw] * (not passed_on)),
        passed_on=passed_on,
        flagged=bool(metadata.get("reasons") or metadata.get("flagged_input")),
        page=page,
    )
    name = _policy_name(facts)
    merged = {
        key.lower(): str(value)
        for source in (fields(metadata.get("headers")), headers or {})
        for key, value in source.items()
    }
    return Failure(
        ERROR_POLICIES[name],
        status=facts.status,
        retry_after=_retry_after(merged, metadata, availability, facts),
        until=_reset(merged, metadata),
        limit_tokens=_limit_tokens(name, facts, error),
        roles=wanted_roles(facts.texts) if name == "roles_rejected" else None,
        parameters=_rejected(facts, body) if name == "bad_parameters" else frozenset(),
    )


def _status(status: int, error: Mapping[str, Any], codes: frozenset[str]) -> int:
    """The status of the response or, if that is less specific, the one that the error names."""
    values = (error.get(name) for name in ("code", "http_status", "status", "status_code"))
    named = next((code for code in map(digits, values) if code and 400 <= code < 600), None)
    implied = max((_STATUS_BY_CODE[code] for code in codes if code in _STATUS_BY_CODE), default=0)
    if status == 200:
        return named or implied or STREAM_STATUS
    if status in (500, 502, 503) and named and named < 500:
        return named  # A gateway that answers every error with the same status.
    return 429 if implied == 429 and status != 413 else status


def _retry_after(
    headers: Mapping[str, str],
    metadata: Mapping[str, Any],
    availability: Mapping[str, Any],
    facts: _Facts,
) -> float | None:
    """Seconds from Retry-After (in seconds or as a date), OpenAI's Retry-After-Ms, the body, or its
    sentence."""
    named = headers.get("retry-after")
    values = (
        (headers.get("retry-after-ms"), 1000),
        (named, 1),
        (metadata.get("retry_after_seconds"), 1),
        (availability.get("retry_after"), 1),
    )
    for value, of_a_second in values:
        try:
            seconds = float(str(value)) / of_a_second
        except ValueError:
            continue
        if 0 <= seconds < 1e7:
            return seconds
    try:
        wait = (parsedate_to_datetime(named or "") - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return _stated_delay(facts)
    return max(0.0, wait)


def _stated_delay(facts: _Facts) -> float | None:
    """Seconds from the sentence of a limit: "Please try again in 1h1m20s."."""
    if facts.status != 429:
        return None
    found = next(filter(None, map(_compiled(DELAY).search, facts.texts)), None)
    if found is None:
        return None
    hours, minutes, amount = found["h"], found["m"], found["amount"]
    if not (hours or minutes or amount):
        return None
    seconds = float(amount or 0) / (1 if found["unit"] == "s" else 1000)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def _reset(headers: Mapping[str, str], metadata: Mapping[str, Any]) -> datetime | None:
    """The time in X-RateLimit-Reset (seconds or milliseconds since 1970) or `resets_at` (ISO 8601).
    A small number there is a delay, which others state as well."""
    reset = digits(headers.get("x-ratelimit-reset"))
    try:
        if reset is not None:
            return datetime.fromtimestamp(reset if reset < MILLISECONDS else reset / 1000, UTC)
        resets_at = datetime.fromisoformat(str(metadata.get("resets_at")))
    except (ValueError, OverflowError, OSError):
        return None
    return resets_at if resets_at.tzinfo else None


def _limit_tokens(name: str, facts: _Facts, error: Mapping[str, Any]) -> int | None:
    """The limit that the request exceeded, if the error states it."""
    if name == "credit_for_fewer_tokens":
        affordable = _compiled(_AFFORDABLE).search("\n".join(facts.own_texts))
        return int(affordable[1]) if affordable else None
    # The lengths of texts are characters.
    if name not in ("context_too_long", "reply_too_long") or _IN_CHARACTERS & facts.codes:
        return None
    given = [whole(error.get(field), **_LIMIT_RANGE) for field in LIMIT_FIELDS]
    text = "\n".join(facts.texts)
    found = (_number(_compiled(limit).search(text)) for limit in LIMITS)
    return next(filter(None, (*given, *found)), None)


def _rejected(facts: _Facts, body: Any) -> frozenset[str]:
    """Texts that may be the names of the rejected parameters."""
    return named_parameters(facts.texts).union(map(plain, locations(body)))


def _number(found: re.Match[str] | None) -> int | None:
    number = int(re.sub(r"\D", "", found[1])) if found else None
    return whole(number, **_LIMIT_RANGE)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _lower(value: Any) -> str:
    """Text, or an object's JSON, in lower case; truncated, because patterns search it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:MAX_TEXT].lower()


def from_worker(
    status: int, body: bytes | ResponseBody, headers: Mapping[str, str] | None = None
) -> Failure:
    """Classify an error of the chat worker."""
    failure = from_response(status, headers or {}, body)
    if failure.policy.kind in _UNCLEAR and failure.policy.name not in _OF_A_WORKER:
        return replace(failure, policy=ERROR_POLICIES["worker_failed"])
    return failure
