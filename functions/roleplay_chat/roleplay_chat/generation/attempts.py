"""One call to a target: what was heard of it as it ran, and how it is recorded."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from roleplay_chat.api import Usage
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.providers import MOST_USD, End, Text
from roleplay_chat.generation.routing import Target
from roleplay_chat.tokens import Estimate


@dataclass(frozen=True)
class Attempt:
    """One call to a target, as it is recorded. Times in milliseconds."""

    target: Target
    duration_ms: int
    first_token_ms: int | None = None
    end: End | None = None
    failure: Failure | None = None
    estimate: Estimate = field(default_factory=Estimate)
    """Of the prompt's tokens."""
    said: Usage = field(default_factory=Usage)
    """What the upstream said that it used, also where there is no end."""
    spent: "Spent | None" = None
    """None where nothing was: the target was not reached, or answered with an error at once."""
    ended_at: float = field(default_factory=time.monotonic, compare=False)
    """When it ended, by the monotonic clock: it is recorded at once."""

    @property
    def outcome(self) -> str:
        """ "ok", or the kind of failure."""
        return self.failure.policy.kind if self.failure else "ok"

    @property
    def used(self) -> Usage:
        """Tokens as far as they are known; the cost also from the row's prices."""
        used = self.end.usage if self.end else self.said
        return used if used == Usage() else replace(used, cost_usd=_cost(self.target, used))


@dataclass(frozen=True)
class Spent:
    """What a call took. The cost is in US dollars, None where nobody knows the prices."""

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    is_estimated: bool
    """The provider did not say how many tokens these were."""

    def columns(self) -> dict[str, Any]:
        """Columns of `usage_events`."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": self.cost_usd,
            "is_estimated": self.is_estimated,
        }

    @classmethod
    def from_usage(
        cls, target: Target, said: Usage, prompt: Estimate, heard: Sequence[str]
    ) -> "Spent":
        """As the provider said it; where it did not, tokens are those of the prompt and of what
        was heard, and the cost is tokens times the row's prices."""
        sent, written = said.prompt_tokens, said.completion_tokens
        is_estimated = sent is None or written is None
        sent = target.tokens.total(prompt) if sent is None else sent
        written = target.tokens.count("".join(heard)) if written is None else written
        cost = _cost(target, Usage(sent, written, said.cost_usd))
        return cls(sent, written, cost, is_estimated)


def _cost(target: Target, used: Usage) -> float | None:
    if used.cost_usd is not None:
        return used.cost_usd
    return cost_usd(
        (used.prompt_tokens, target.prompt_usd_per_1k),
        (used.completion_tokens, target.completion_usd_per_1k),
    )


def cost_usd(*parts: tuple[int | None, float | None]) -> float | None:
    """Tokens times price per thousand, added up; None while a factor is not known."""
    total = 0.0
    for tokens, price in parts:
        if price == 0:
            continue
        if tokens is None or price is None:
            return None
        total += tokens * price / 1000
    return min(total, MOST_USD)


class Hearing:
    """What is heard of a call while it runs."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._started = time.monotonic()
        self._heard: list[str] = []
        self._first_token_ms: int | None = None
        self._is_sent = False
        self._said = Usage()
        self.estimate = Estimate()
        self.end: End | None = None
        self.is_answered = False
        """The target began to answer."""
        self.may_be_at_work = True
        """Whether a target that was sent the prompt may be at work although it said nothing yet."""

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
        """The upstream said what the call used."""
        self._said = usage

    def note_text(self, text: Text) -> None:
        """A piece of the reply came, shown or not."""
        self._heard += (text.text, text.reasoning)

    def note_shown(self) -> None:
        """Text of the reply was shown."""
        if self._first_token_ms is None:
            self._first_token_ms = round(self.elapsed * 1000)

    def note_end(self, end: End) -> None:
        """The upstream ended the reply."""
        self.end, self._said = end, end.usage

    def hang_up(self, text: str) -> None:
        """The reply is over for us, and so nobody will tell how long it was."""
        if self.end is None:
            self.end = End("stop", Usage(completion_tokens=self._target.tokens.count(text)))

    def attempt(self, failure: Failure | None) -> Attempt:
        """The call as it is recorded."""
        return Attempt(
            self._target,
            round(self.elapsed * 1000),
            self._first_token_ms,
            self.end,
            failure,
            self.estimate,
            self._said,
            self._spent(),
        )

    def _spent(self) -> Spent | None:
        was_worked_on = self._is_sent and self.may_be_at_work
        if self.end or any(self._heard) or was_worked_on or self._said != Usage():
            return Spent.from_usage(self._target, self._said, self.estimate, self._heard)
        return None
