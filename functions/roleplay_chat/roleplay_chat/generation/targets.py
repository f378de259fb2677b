"""Reads the rows of models and workers into targets: what to call, and how. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic_core import to_json

from edge.addresses import endpoint
from edge.json_values import fields, text, whole
from edge.pricing import COMPLETION, PROMPT, price
from edge.worker_health import DEFAULT_MODEL
from roleplay_chat.generation.sampling import read_limits, within_bounds
from roleplay_chat.generation.workers import WORKER
from roleplay_chat.messages import ROLES, Roles
from roleplay_chat.rows import ModelRow, WorkerRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens

DEFAULT_CONTEXT_TOKENS = 8192
DEFAULT_PROMPT_TOKENS = 32_768
"""The most tokens of a prompt if the row does not say: long prompts cost money and time."""
DEFAULT_WORKER_TOKENS = 4096
"""The context of a worker whose configuration does not say."""
DEFAULT_MAX_TOKENS = 400
MIN_SIZE_TOKENS = 256
"""The least for a context or the longest prompt; a smaller number in a row is a mistake."""
MAX_SIZE_TOKENS = 10_000_000
"""The limit for a context or a reply; a larger number in a row is a mistake."""
LIMIT, NEWER_LIMIT = "max_tokens", "max_completion_tokens"
"""The names of the longest reply; some models take only the newer one."""
REJECTED = "rejected"
"""The key of the learned repairs under which the rejected parameters are stored."""
MOST_REJECTED = 10
"""How many are remembered: the row that keeps them is small."""
RENAME = "rename"
"""The entry of `input_defaults` with other names for parameters."""

REMEMBERED_TARGETS = 256

NOTHING: Mapping[str, Any] = {}
"""No sampler settings."""

_PARAMETER = re.compile(r"[\w.-]{1,40}", re.ASCII)


class Target(Struct, frozen=True):
    """One model at one address."""

    provider: str
    model_key: str
    display_name: str
    protocol: Literal["openai", "chat_worker"]
    url: str
    parameters: dict[str, Any] = field(default_factory=dict)
    """Sent with the prompt: always max_tokens, and the row's sampling parameters."""
    names: Mapping[str, str | None] = field(default_factory=dict)
    """The names that parameters are sent under, where they differ. None: not sent."""
    rejected: frozenset[str] = frozenset()
    """Parameters that it was found to reject: not sent."""
    added: frozenset[str] = frozenset()
    """Parameters that only the person set, not the row."""
    roles: Roles = "as_is"
    """The form of messages that it accepts."""
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    """The most tokens of a prompt and its reply together."""
    prompt_tokens: int = DEFAULT_PROMPT_TOKENS
    """The most tokens of a prompt."""
    tokens: Tokens = UNCALIBRATED
    worker: str | None = None
    """The name of the team's worker that this is; None for a provider's model."""
    is_full: bool = False
    """Whether all slots of this worker are busy."""
    takes_stop: bool = True
    """Whether it supports stop strings."""
    adult: bool = False
    """Whether it may be used for the adult tier, so is laxer than one that may not."""
    family: str | None = None
    thinks_first: bool = False
    """Whether its chat template writes the opening reasoning tag, so only the closing one comes."""
    json_mode: bool = False
    """Whether it can be forced to answer in JSON."""
    auth_scheme: Literal["bearer", "header", "none"] = "bearer"
    auth_header_name: str = "Authorization"
    secret_name: str | None = None
    timeouts: Mapping[str, Any] = field(default_factory=dict)
    """The row's overrides of the settings, in seconds by name (connect, first_token, idle,
    total)."""
    prompt_usd_per_1k: float | None = None
    completion_usd_per_1k: float | None = None

    @property
    def name(self) -> str:
        """Its name for clients: "chat_worker", "chat_worker:<name>" or "<provider>:<model_key>"."""
        return WORKER if self.worker == WORKER else self.cooldown_key

    @property
    def cooldown_key(self) -> str:
        """The key of its own cooldowns: "chat_worker:<name>" or "<provider>:<model_key>"."""
        return f"{self.provider}:{self.worker or self.model_key}"

    @property
    def picker_key(self) -> str:
        """Its key in the client's model picker."""
        return self.name if self.worker else self.model_key

    @property
    def max_tokens(self) -> int:
        """The longest reply to request, in tokens."""
        return int(self.parameters["max_tokens"])


def model_target(model: ModelRow, sampling: Mapping[str, Any] = NOTHING) -> Target:
    """The target of a row, with a person's sampler settings."""
    target = _remembered_target(model)
    if not sampling:
        return target
    return _sampled(target, sampling, model.capabilities, model.input_defaults, model.repairs)


_targets: dict[bytes, Target] = {}
"""Cached by row, which is the same from turn to turn."""


def _remembered_target(model: ModelRow) -> Target:
    try:
        key = to_json(model)
    except ValueError:  # Nested too deep.
        return _model_target(model)
    if (target := _targets.get(key)) is None:
        if len(_targets) >= REMEMBERED_TARGETS:
            _targets.clear()
        target = _targets[key] = _model_target(model)
    return target


def _model_target(model: ModelRow) -> Target:
    provider = model.provider
    prices, reasoning = model.pricing, model.capabilities.get("reasoning")
    return Target(
        provider=provider.name,
        model_key=model.model_key,
        display_name=model.display_name,
        protocol="openai",
        url=endpoint(
            provider.base_url,
            model.endpoint_path or "/chat/completions",
            is_own_path=bool(model.endpoint_path),
        ),
        parameters=_parameters(model.input_defaults)
        | ({"reasoning": reasoning} if isinstance(reasoning, dict) else {}),
        names=_names(model.input_defaults, model.capabilities, model.repairs),
        rejected=_rejected(model.repairs, model.input_defaults),
        roles=_form(model.capabilities, model.repairs),
        context_tokens=_size(model.capabilities, "context_tokens", DEFAULT_CONTEXT_TOKENS),
        prompt_tokens=_size(model.capabilities, "prompt_tokens", DEFAULT_PROMPT_TOKENS),
        tokens=Tokens.from_ratios(model.token_ratios),
        adult=model.capabilities.get("nsfw") is True,
        timeouts=fields(model.capabilities.get("timeouts")),
        family=model.model_family,
        takes_stop=_takes_stop(model.capabilities),
        thinks_first=model.capabilities.get("thinks_first") is True,
        json_mode=model.capabilities.get("json_mode") is True,
        auth_scheme=provider.auth_scheme,
        auth_header_name=provider.auth_header_name,
        secret_name=provider.secret_name,
        prompt_usd_per_1k=price(prices.get(PROMPT)),
        completion_usd_per_1k=price(prices.get(COMPLETION)),
    )


def _sampled(
    target: Target,
    sampling: Mapping[str, Any],
    sizes: Mapping[str, Any],
    defaults: object,
    repairs: Mapping[str, Any],
) -> Target:
    """The target with the person's sampler settings in place of the row's, without those whose
    value it is known to reject."""
    chosen = within_bounds(sampling, sizes.get("limits"), target.parameters)
    marks = fields(repairs.get(REJECTED))
    taken = {name: value for name, value in chosen.items() if marks.get(name) != _digest(value)}
    added = frozenset(taken) - frozenset(fields(defaults)) - {LIMIT}
    return replace(target, parameters={**target.parameters, **taken}, added=added)


def worker_target(worker: WorkerRow, sampling: Mapping[str, Any] = NOTHING) -> Target:
    """The target of a registered worker, with a person's sampler settings."""
    protocol: Literal["openai", "chat_worker"] = (
        "openai" if worker.config.get("protocol") == "openai" else "chat_worker"
    )
    path = "/v1/chat/completions" if protocol == "openai" else "/chat"
    name = "" if worker.name == WORKER else f" {worker.name}"
    target = Target(
        provider=WORKER,
        worker=worker.name,
        model_key=text(worker.config.get("model")) or DEFAULT_MODEL,
        display_name=text(worker.config.get("display_name")) or f"Local model{name}",
        protocol=protocol,
        url=endpoint(worker.url or "", path, protocol=protocol),
        parameters=_parameters(worker.config.get("input_defaults")),
        names=_names(worker.config.get("input_defaults"), worker.config, worker.repairs),
        rejected=_rejected(worker.repairs, worker.config.get("input_defaults")),
        roles=_form(worker.config, worker.repairs),
        context_tokens=_size(worker.config, "context_tokens", DEFAULT_WORKER_TOKENS),
        prompt_tokens=_size(worker.config, "prompt_tokens", DEFAULT_PROMPT_TOKENS),
        tokens=Tokens.from_ratios(worker.token_ratios),
        adult=True,
        # The worker's own protocol has no stop strings.
        takes_stop=protocol == "openai" and _takes_stop(worker.config),
        timeouts=fields(worker.config.get("timeouts")),
        auth_scheme="bearer" if worker.secret_name else "none",
        secret_name=worker.secret_name,
        prompt_usd_per_1k=0,
        completion_usd_per_1k=0,
    )
    if not sampling:
        return target
    own = worker.config
    return _sampled(target, sampling, own, own.get("input_defaults"), worker.repairs)


def _parameters(defaults: object) -> dict[str, Any]:
    """The row's parameters, without those that it leaves out, and always the longest reply."""
    parameters = dict(fields(defaults))
    limit = parameters.get(LIMIT)
    if not _are_plain(parameters):
        if _has_newer_limit(parameters):
            limit = parameters.pop(NEWER_LIMIT)
        parameters.pop(RENAME, None)
        parameters = {name: value for name, value in parameters.items() if value is not None}
    parameters[LIMIT] = _whole(limit) or DEFAULT_MAX_TOKENS
    return parameters


def _names(
    defaults: object, capabilities: Mapping[str, Any], repairs: Mapping[str, Any]
) -> Mapping[str, str | None]:
    """The names of `Target.names`. The row decides, then what was learned."""
    given = fields(defaults)
    takes_newer = capabilities.get(NEWER_LIMIT, repairs.get(NEWER_LIMIT)) is True
    if not takes_newer and _are_plain(given):
        return {}
    names: dict[str, str | None] = {name: None for name, value in given.items() if value is None}
    if _has_newer_limit(given) or (takes_newer and LIMIT not in names):
        names[LIMIT] = NEWER_LIMIT
    return names | {name: new for name, new in fields(given.get(RENAME)).items() if text(new)}


def _are_plain(given: Mapping[str, Any]) -> bool:
    """Whether parameters are sent unchanged, as for most rows."""
    return None not in given.values() and NEWER_LIMIT not in given and RENAME not in given


def _has_newer_limit(given: Mapping[str, Any]) -> bool:
    """Whether the row has the longest reply only under the newer name."""
    return given.get(LIMIT) is None and _whole(given.get(NEWER_LIMIT)) is not None


def mark_rejected(names: Iterable[str], parameters: Mapping[str, Any]) -> dict[str, str | None]:
    """The record of rejected parameters: the names, each with a digest of its value in the row.
    Another value is tried again."""
    plain = [name for name in sorted(names) if _PARAMETER.fullmatch(name)]
    return {name: _digest(parameters.get(name)) for name in plain[:MOST_REJECTED]}


def _rejected(repairs: Mapping[str, Any], defaults: object) -> frozenset[str]:
    """The names in a record of `mark_rejected` whose values the row still has."""
    marks = repairs.get(REJECTED)
    if not isinstance(marks, dict):
        return frozenset()
    given = fields(defaults)
    return frozenset(name for name, mark in marks.items() if mark == _digest(given.get(name)))


def _digest(value: Any) -> str | None:
    """Eight characters that stand for a value; None for none."""
    if value is None:
        return None
    encoded = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(encoded.encode()).hexdigest()[:8]


def _form(capabilities: Mapping[str, Any], repairs: Mapping[str, Any]) -> Roles:
    said, learned = capabilities.get("roles"), repairs.get("roles")
    if said is None and learned is None:
        return "as_is"
    return _roles(said) or _roles(learned) or "as_is"


def _roles(value: object) -> Roles | None:
    return next((roles for roles in ROLES if roles == value), None)


def _takes_stop(capabilities: dict[str, Any]) -> bool:
    """Whether to send stop strings. By default not to reasoning models: some providers also stop
    inside the reasoning."""
    thinks = bool(capabilities.get("reasoning")) or capabilities.get("thinks_first") is True
    return bool(capabilities.get("stop", not thinks))


def _size(sizes: Mapping[str, Any], name: str, default: int) -> int:
    """A size in tokens of a row's `capabilities`, or of a worker's configuration."""
    return _whole_size(sizes.get(name)) or default


def _whole_size(value: object) -> int | None:
    return whole(value, minimum=MIN_SIZE_TOKENS, maximum=MAX_SIZE_TOKENS)


def _whole(value: object) -> int | None:
    return whole(value, minimum=1, maximum=MAX_SIZE_TOKENS)


def invalid_numbers(models: Sequence[ModelRow], workers: Sequence[WorkerRow] = ()) -> list[str]:
    """The invalid numbers in the rows, as "<model>: <field>" or "<worker>: <field>". They are
    replaced by defaults; an invalid price counts as unknown."""
    sizes = ("context_tokens", "prompt_tokens")
    given = [
        (f"{model.provider.name}:{model.model_key}", *one)
        for model in models
        for one in (
            (PROMPT, model.pricing.get(PROMPT), price),
            (COMPLETION, model.pricing.get(COMPLETION), price),
            *((name, model.capabilities.get(name), _whole_size) for name in sizes),
            ("max_tokens", model.input_defaults.get("max_tokens"), _whole),
            ("roles", model.capabilities.get("roles"), _roles),
            ("limits", model.capabilities.get("limits"), read_limits),
        )
    ]
    given += [
        (f"{WORKER}:{worker.name}", name, worker.config.get(name), _whole_size)
        for worker in workers
        for name in sizes
    ]
    return [
        f"{whose}: {name}"
        for whose, name, value, read in given
        if value is not None and read(value) is None
    ]
