"""Asks a model for one token, as a turn would: with its key, parameters, repairs and retries."""

import time
from collections.abc import Sequence
from typing import Any

import httpx
from msgspec.structs import replace

from edge.json_values import fields
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.embeddings import embed, embedding_target
from roleplay_chat.generation.failover import Callbacks, Generation
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Plan
from roleplay_chat.generation.targets import LIMIT, Target, model_target
from roleplay_chat.messages import Message
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import ModelRow
from roleplay_chat.settings import Settings

SECONDS = 20.0
WORDS = "Hi"
"""The messages to send."""


async def try_model(
    http: httpx.AsyncClient, settings: Settings, model: ModelRow, task: str
) -> dict[str, Any]:
    """Call the model, and describe what happened: see `describe`."""
    began = time.monotonic()
    if task == "embedding":
        attempts = await _embed(http, settings, model)
    else:
        attempts = await _generate(http, settings, model)
    return describe(attempts, round((time.monotonic() - began) * 1000))


async def _generate(
    http: httpx.AsyncClient, settings: Settings, model: ModelRow
) -> Sequence[Attempt]:
    target = model_target(model)
    target = replace(target, parameters={**target.parameters, LIMIT: 1})
    within = settings.model_copy(update={"turn_budget_seconds": SECONDS})
    generation = Generation(http=http, settings=within, tier="sfw", extras={})
    callbacks = Callbacks(_prompt_for, lambda _: Reply(), lambda *_: None)
    await generation.run(Plan((target,), (), target.name), callbacks)
    return generation.attempts


async def _prompt_for(_target: Target, _shape: RequestShape) -> list[Message]:
    return [{"role": "user", "content": WORDS}]


async def _embed(http: httpx.AsyncClient, settings: Settings, model: ModelRow) -> Sequence[Attempt]:
    target, extra = embedding_target(model), fields(model.input_defaults)
    _, attempt = await embed(http, settings, target, [WORDS], seconds=SECONDS, extra=extra)
    return [attempt]


def describe(attempts: Sequence[Attempt], duration_ms: int) -> dict[str, Any]:
    """The result of a test. Times are in milliseconds.

    is_ok           whether it generates; one token of reasoning, or only a space, will do
    code            the error policy of the last call, "ok", or "timed_out" without one
    explanation     what happened, and what to do
    status          the HTTP status, if there is one
    first_token_ms  of the call that succeeded, if text came
    duration_ms     of all calls together
    calls           how many there were, with repairs and retries
    """
    last = attempts[-1] if attempts else None
    failure = last.failure if last else None
    answered = any(_is_answer(attempt) for attempt in attempts)
    told: dict[str, Any] = {
        "code": "timed_out",
        "explanation": "There was no time for a call.",
        "status": None,
    }
    if answered:
        told = {"code": "ok", "explanation": "", "status": None}
    elif failure:
        told = {
            "code": failure.policy.name,
            "explanation": failure.explanation,
            "status": failure.status,
        }
    return {
        "is_ok": answered,
        **told,
        "first_token_ms": last.first_token_ms if last else None,
        "duration_ms": duration_ms,
        "calls": len(attempts),
    }


def _is_answer(attempt: Attempt) -> bool:
    """Whether a call shows that the model generates, although one token is no reply."""
    failure = attempt.failure
    return failure is None or attempt.end is not None or failure.policy.name == "all_reasoning"
