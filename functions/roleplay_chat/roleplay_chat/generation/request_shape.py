"""The form of a request to a target, and how a failure changes it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_wordings import plain
from roleplay_chat.generation.targets import (
    DEFAULT_PROMPT_TOKENS,
    LIMIT,
    NEWER_LIMIT,
    REJECTED,
    Target,
    mark_rejected,
)
from roleplay_chat.messages import ROLES, Roles

MAX_STOP_STRINGS = 4
"""The most stop strings sent; many providers reject more."""
MIN_USEFUL_TOKENS = 48
"""A shorter reply is not worth requesting."""


class RequestShape(Struct, frozen=True):
    """The size, form and parameters of a request to a target; repairs change it."""

    context_tokens: int
    max_tokens: int
    prompt_tokens: int = DEFAULT_PROMPT_TOKENS
    """The maximum tokens of the prompt, even if the reply leaves more."""
    bare: bool = False
    """Send only what every provider accepts: model, messages, max_tokens."""
    without: frozenset[str] = frozenset()
    """Parameters that the target rejects, which are not sent."""
    roles: Roles = "as_is"
    """The form of the messages."""
    completion_tokens: bool = False
    """Whether max_tokens is sent as max_completion_tokens."""

    @classmethod
    def for_target(cls, target: Target) -> "RequestShape":
        """The first request to a target."""
        longest = min(target.max_tokens, target.context_tokens // 2)
        newer = target.names.get(LIMIT) == NEWER_LIMIT
        return cls(
            target.context_tokens,
            longest,
            target.prompt_tokens,
            without=target.rejected,
            roles=target.roles,
            completion_tokens=newer,
        )

    @property
    def budget(self) -> int:
        """The tokens that the prompt may have."""
        return min(self.context_tokens - self.max_tokens, self.prompt_tokens)

    def resized(self, context_tokens: int, max_tokens: int) -> "RequestShape":
        """Set the context; limit the reply to half of it, so that the prompt gets the other
        half."""
        return replace(
            self, context_tokens=context_tokens, max_tokens=min(max_tokens, context_tokens // 2)
        )

    def repairs(self, target: Target) -> dict[str, Any]:
        """The differences from the target's usual form, to be remembered if they were accepted."""
        first = RequestShape.for_target(target)
        repairs: dict[str, Any] = {}
        if self.roles != first.roles:
            repairs["roles"] = self.roles
        if self.completion_tokens != first.completion_tokens:
            repairs[NEWER_LIMIT] = self.completion_tokens
        # Without any parameters, nobody knows which one was wrong.
        if self.without != first.without and not self.bare:
            # If the row does not set a parameter, the target rejects any value of it.
            given = target.parameters.items()
            own = {name: value for name, value in given if name not in target.added}
            repairs[REJECTED] = mark_rejected(self.without, own)
        return repairs


def repaired_shape(shape: RequestShape, failure: Failure) -> RequestShape | None:
    """A changed request that may succeed; None if there is none. The repair "fewer_parameters" is
    `with_fewer_parameters`."""
    limit = failure.limit_tokens
    match failure.policy.repair:
        case "trim":
            longest = shape.budget + shape.max_tokens
            fits = longest * 2 // 3 if limit is None else limit * 9 // 10
            smaller = min(fits, longest * 9 // 10)
            if smaller <= min(shape.max_tokens, longest // 2):
                return None
            return shape.resized(smaller, shape.max_tokens)
        case "fewer_tokens":
            half = shape.max_tokens // 2
            fewer = half if limit is None or limit > shape.max_tokens else limit - 1
            if fewer < MIN_USEFUL_TOKENS:
                return None
            # The prompt does not take what the reply gives up.
            return replace(shape, max_tokens=fewer, prompt_tokens=shape.budget)
        case "more_tokens":
            longer = shape.resized(shape.context_tokens, shape.max_tokens * 2)
            return longer if longer != shape else None
        case "stricter_roles":
            stricter = ROLES[ROLES.index(shape.roles) + 1 :]
            wanted = [roles for roles in stricter if roles == failure.roles]
            return replace(shape, roles=[*wanted, *stricter][0]) if stricter else None
        case "completion_tokens":
            return None if shape.completion_tokens else replace(shape, completion_tokens=True)
    return None


def with_fewer_parameters(
    target: Target, shape: RequestShape, failure: Failure, sent: Mapping[str, Any]
) -> RequestShape | None:
    """The request without the parameters that the error names, or without any; None if there are
    none. `sent` has them by their usual names."""
    if shape.completion_tokens and plain(NEWER_LIMIT) in failure.parameters:
        return replace(shape, completion_tokens=False)
    names = _names(target, shape)
    others = [name for name in sent if name != LIMIT and names.get(name, name) is not None]
    # Restrictions on where a request may be processed are not dropped because of a word in an
    # error.
    named = [
        name
        for name in others
        if name != "provider" and plain(names.get(name) or name) in failure.parameters
    ]
    if named:
        return replace(shape, without=shape.without.union(named))
    return replace(shape, bare=True) if others else None


def own_parameters(
    target: Target, shape: RequestShape, extras: Mapping[str, Any], stop: Sequence[str]
) -> dict[str, Any]:
    """The parameters by their usual names, also those of `shape.without`."""
    if shape.bare:
        return {LIMIT: shape.max_tokens}
    parameters = {**target.parameters, "max_tokens": shape.max_tokens}
    own = parameters.pop("stop", None) or []
    ends = [*(own if isinstance(own, list) else [own]), *(stop if target.takes_stop else ())]
    strings = list(dict.fromkeys(end for end in ends if isinstance(end, str) and end))
    if strings:
        parameters["stop"] = strings[:MAX_STOP_STRINGS]
    return {**parameters, **extras} if target.provider == "openrouter" else parameters


def renamed_parameters(
    target: Target, shape: RequestShape, parameters: dict[str, Any]
) -> dict[str, Any]:
    """The parameters by the names under which they are sent."""
    names = _names(target, shape)
    if not names:
        return parameters
    sent = ((names.get(name, name), value) for name, value in parameters.items())
    return {name: value for name, value in sent if name is not None}


def _names(target: Target, shape: RequestShape) -> Mapping[str, str | None]:
    """The names under which parameters are sent, if different. None: not sent."""
    if shape.completion_tokens:
        return {**target.names, LIMIT: NEWER_LIMIT}
    if target.names.get(LIMIT) == NEWER_LIMIT:
        return {name: new for name, new in target.names.items() if name != LIMIT}
    return target.names
