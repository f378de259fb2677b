"""The benchmark's load generator reads what the function sends."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from bench import load
from bench.programs import BENCH, Programs
from bench.prose import question
from bench.systems import TOKENS
from tests.support.stack import Stack


@pytest.mark.parametrize("stream", [True, False])
def test_turns_count_with_their_whole_text(stack: Stack, stream: bool) -> None:
    user = stack.user()
    body = {
        "message": question(0),
        "client_message_id": "$ID",
        "conversation_id": str(stack.conversation(user)),
        "stream": stream,
    }
    request = {
        "path": "/",
        "headers": user.headers | {"Content-Type": "application/json"},
        "body": json.dumps(body),
        "words": body["message"],
    }
    with Programs() as programs:
        provider = programs.start(
            "upstream", lambda port: ["node", BENCH / "node" / "upstream.mjs", port]
        )
        address = f"{provider.url}/{TOKENS}/0/v1"
        stack.db.execute("update api_providers set base_url = %s", [address])
        port = urlsplit(stack.function_url("roleplay_chat")).port
        assert port
        found = load.run(port, [request], concurrency=1, tokens=TOKENS, turns=3)

    assert (found.turns, found.failures) == (3, {})
    assert len(stack.all("select from turns where status = 'complete'")) == 3
    # Only calls that cost something write to rows that all turns share.
    assert stack.all("select from private.spent_daily")
