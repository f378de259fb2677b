"""A scripted embeddings model, which knows a few words that mean the same."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from tests.support.answers import reply
from tests.support.upstream import Answer, Exchange

MEANINGS = ("dog puppy hound", "boat ship vessel", "sister sibling", "sea ocean")
"""Each line is one meaning, and one dimension."""
PATH = "/api/v1/embeddings"


def vector(text: str) -> list[float]:
    """Which meanings a text has, and a direction of its own. Texts of the same meaning are half
    similar, others hardly."""
    words = set(re.findall(r"\w+", text.lower()))
    own = [1.0 if byte & 1 else -1.0 for byte in hashlib.shake_256(text.encode()).digest(256)]
    return [*(0.0 if words.isdisjoint(one.split()) else 16.0 for one in MEANINGS), *own]


def embeddings(**usage: Any) -> Answer:
    """The response of POST /v1/embeddings in OpenAI's form."""

    async def answer(exchange: Exchange) -> None:
        texts = exchange.call.json["input"]
        rows = [
            {"object": "embedding", "index": place, "embedding": vector(text)}
            for place, text in enumerate(texts)
        ]
        told = {"prompt_tokens": 8 * len(texts), "total_tokens": 8 * len(texts)} | usage
        body = {"object": "list", "data": rows, "model": exchange.call.model, "usage": told}
        await reply(200, body)(exchange)

    return answer
