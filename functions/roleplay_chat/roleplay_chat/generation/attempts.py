"""One call to a target: observed while it runs, then recorded."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from roleplay_chat.api import Usage
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.providers import MAX_USD, End, Text
from roleplay_chat.generation.targets import Target
from roleplay_chat.tokens import Estimate, Tokens

COUNTED_CHARS = 100_000
"""After so much text, what came is counted. Replies are shorter; only reasoning is not."""


class Attempt(Struct, frozen=True):
    """A finished call to a target. Times are in milliseconds."""

    target: Target
    duration_ms: int
    first_token_ms: int | None = None
    end: End | None = None
    failure: Failure | None = None
    estimate: Estimate = field(default_factory=Estimate)
    """The estimated prompt tokens."""
    reported: Usage = field(default_factory=Usage)
    """The usage that the upstream reported, also if the reply did not end properly."""
    repairs: Mapping[str, Any] = field(default_factory=dict)
    """How the request differed from the target's usual form, if it was answered: to be remembered.
    """
    spent: "Spent | None" = None
    """None if nothing was spent: the target was not reached or answered with an error at once."""
    ended_at: float = field(default_factory=time.monotonic)
    """When the call ended, on the monotonic clock."""

    @property
    def outcome(self) -> str:
        """ "ok", or the kind of failure."""
        return self.failure.policy.kind if self.failure else "ok"

    @property
    def finish_reason(self) -> str | None:
        """Why the reply ended, if the upstream said so."""
        if self.end:
            return self.end.finish_reason
        return self.failure.finish_reason if self.failure else None

    @property
    def used(self) -> Usage:
        """The reported usage; a missing cost is computed from the row's prices."""
        used = self.end.usage if self.end else self.reported
        return used if used == Usage() else replace(used, cost_usd=_cost(self.target, used))


class Spent(Struct, frozen=True):
    """The tokens and cost of a call. The cost is in US dollars, None if the prices are unknown."""

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    is_estimated: bool
    """Whether our estimate stands in for missing token counts."""
    cached_tokens: int | None = None
    """The part of the prompt that was in the provider's cache; None if it did not say."""

    def columns(self) -> dict[str, Any]:
        """Columns of `usage_events`."""
        columns = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": self.cost_usd,
            "is_estimated": self.is_estimated,
        }
        if self.cached_tokens is None:
            return columns
        return columns | {"cached_tokens": self.cached_tokens}

    @classmethod
    def from_usage(
        cls, target: Target, reported: Usage, prompt: Estimate, received: Callable[[], int]
    ) -> "Spent":
        """The reported usage. Missing token counts are estimated from the prompt and taken from
        `received`, a missing cost is computed from the row's prices."""
        sent, written = reported.prompt_tokens, reported.completion_tokens
        is_estimated = sent is None or written is None
        sent = target.tokens.total(prompt) if sent is None else sent
        written = received() if written is None else written
        cost = _cost(target, Usage(sent, written, reported.cost_usd))
        cached = reported.cached_tokens
        return cls(sent, written, cost, is_estimated, None if cached is None else min(cached, sent))


def _cost(target: Target, used: Usage) -> float | None:
    if used.cost_usd is not None:
        return used.cost_usd
    return cost_usd(
        (used.prompt_tokens, target.prompt_usd_per_1k),
        (used.completion_tokens, target.completion_usd_per_1k),
    )


def cost_usd(*parts: tuple[int | None, float | None]) -> float | None:
    """The sum of tokens times price per 1,000; None if a needed factor is unknown."""
    total = 0.0
    for tokens, price in parts:
        if price == 0:
            continue
        if tokens is None or price is None:
            return None
        total += tokens * price / 1000
    return min(total, MAX_USD)


class Received:
    """Counts the tokens of a reply and its reasoning. True once there is any text.

    Reasoning may have megabytes, so a long text is counted and dropped before more comes.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._texts: list[str] = []
        self._chars = self._counted = 0

    def __bool__(self) -> bool:
        return self._chars > 0

    def add(self, *texts: str) -> None:
        """More of it arrived."""
        self._texts += texts
        before, self._chars = self._chars, self._chars + sum(map(len, texts))
        if self._chars // COUNTED_CHARS > before // COUNTED_CHARS:
            self._counted = self.count()
            self._texts.clear()

    def count(self) -> int:
        """The tokens so far, too many rather than too few."""
        return self._counted + self._tokens.count("".join(self._texts))


class AttemptRecorder:
    """Observes a call while it runs."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._started = time.monotonic()
        self._received = Received(target.tokens)
        self._first_token_ms: int | None = None
        self._is_sent = False
        self._reported = Usage()
        self.estimate = Estimate()
        self.repairs: Mapping[str, Any] = {}
        self.end: End | None = None
        self.is_answered = False
        """The target began to answer with success."""
        self.may_be_working = True
        """Whether a target that was sent the prompt may be generating although nothing came yet.
        If so, the call counts as spent."""

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._started

    def note_sent(self) -> None:
        """The prompt was sent."""
        self._is_sent = True

    def note_answered(self) -> None:
        """The target began to answer with success."""
        self.is_answered = True

    def note_usage(self, usage: Usage) -> None:
        """The upstream reported its usage."""
        self._reported = usage

    def note_text(self, text: Text) -> None:
        """A piece of the reply arrived, shown or not."""
        self._received.add(text.text, text.reasoning)

    def note_shown(self) -> None:
        """Text of the reply was shown."""
        if self._first_token_ms is None:
            self._first_token_ms = round(self.elapsed * 1000)

    def note_end(self, end: End) -> None:
        """The upstream ended the reply."""
        self.end, self._reported = end, end.usage

    def hang_up(self, text: str) -> None:
        """We ended the reply ourselves, so its length is counted here."""
        if self.end is None:
            self.end = End("stop", Usage(completion_tokens=self._target.tokens.count(text)))

    def attempt(self, failure: Failure | None) -> Attempt:
        """The finished call."""
        return Attempt(
            self._target,
            round(self.elapsed * 1000),
            self._first_token_ms,
            self.end,
            failure,
            self.estimate,
            self._reported,
            self.repairs if failure is None or self._first_token_ms is not None else {},
            self._spent(),
        )

    def _spent(self) -> Spent | None:
        may_cost = self._is_sent and self.may_be_working
        if self.end or self._received or may_cost or self._reported != Usage():
            return Spent.from_usage(
                self._target, self._reported, self.estimate, self._received.count
            )
        return None
