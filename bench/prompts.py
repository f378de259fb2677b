"""Measures building prompts from long histories."""

import time
from datetime import UTC, datetime
from statistics import median
from uuid import uuid4

from bench.prose import PARAGRAPH, sentence

CONTEXTS = (32_768, 1_000_000)
"""Context sizes in tokens: a usual one, and one into which everything fits."""
CALLS = 50


def build_times(sizes: tuple[int, ...]) -> dict[int, dict[int, float]]:
    """Median milliseconds of `build`, by the number of messages and the model's context."""
    return {size: {context: _milliseconds(size, context) for context in CONTEXTS} for size in sizes}


def _milliseconds(messages: int, context: int) -> float:
    from roleplay_chat.api import ChatRequest
    from roleplay_chat.prompt import builder
    from roleplay_chat.rows import BegunTurn

    history = [
        {"sender": ("character", "user")[n % 2], "content": sentence(n)} for n in range(messages)
    ]
    character = {"id": str(uuid4()), "name": "Mara", "description": PARAGRAPH * 3}
    begun = BegunTurn.model_validate(
        {
            "now": datetime.now(UTC).isoformat(),
            "turn": {"id": str(uuid4()), "message": PARAGRAPH},
            "user": {"name": "Ada"},
            "character": character,
            "history": history,
        }
    )
    request = ChatRequest(message=PARAGRAPH)
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter()
        spec = builder.PromptSpec(
            begun, request, "sfw", family=None, context_tokens=context, max_tokens=400
        )
        builder.build(spec)
        taken.append((time.perf_counter() - started) * 1000)
    return median(taken)
