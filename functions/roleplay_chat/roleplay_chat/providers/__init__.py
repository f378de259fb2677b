"""Speak to one target: `generate` of each module yields what the model says.

A provider yields `Text` as it comes and one `End` at the last, or raises `UpstreamError`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A piece of the reply; empty for a sign of life, such as reasoning that is not shown."""

    text: str


@dataclass(frozen=True)
class End:
    """The reply is whole. Counts and cost are None where the upstream did not say."""

    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None


Event = Text | End
