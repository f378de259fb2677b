"""Prompts and what they say of their composition."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import Prompt, build
from roleplay_chat.prompt.composition import MAX_ID_CHARS, compose
from roleplay_chat.rows import FactRow, RecalledRow
from roleplay_chat.tokens import UNCALIBRATED, Tokens, estimate_messages
from tests.support.prompts import MARA, begun, spec


def prompt(tokens: Tokens = UNCALIBRATED, context: int = 4096, **fields: Any) -> Prompt:
    request = ChatRequest.model_validate(fields.pop("request", {}))
    rule, roles = fields.pop("rule", ""), fields.pop("roles", "as_is")
    limits = {"context_tokens": context, "tokens": tokens}
    return build(spec(begun(**fields), request=request, rule=rule, roles=roles, **limits))


def composed(built: Prompt) -> dict[str, Any]:
    assert built.ingredients is not None
    total = estimate_messages([message["content"] for message in built])
    return compose(built.ingredients, UNCALIBRATED.total(total))


def largest() -> dict[str, Any]:
    """More entries, facts and recalled messages than are listed, with ids that are long."""
    entry = {
        "keys": ["hello"],
        "secondary_keys": ["hello"],
        "selective": True,
        "id": "x" * MAX_ID_CHARS,
    }
    entries = [entry | {"content": "Oh. " * (1 if n < 90 else 5000)} for n in range(1_000)]
    return composed(
        prompt(
            *(UNCALIBRATED, 40_000),
            character=MARA.model_copy(update={"character_book": {"entries": entries}}),
            facts=[
                FactRow(id=UUID(int=n), content="A dog. " * (2 if n < 200 else 900))
                for n in range(400)
            ],
            recalled=[
                RecalledRow(sender="user", content="Hm", position=10**12 + n) for n in range(400)
            ],
        )
    )
