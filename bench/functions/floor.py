"""The floor: the same framework, the same two database calls, and the upstream's bytes forwarded.

It has no authentication, validation, policy, model selection, retries or error handling. Its prompt
is the history, and it does not read the reply. A turn cannot cost less than this.
"""

import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import functions_framework.aio
import httpx
from httpx_aiohttp import AiohttpTransport
from postgrest import AsyncPostgrestClient
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

_REST = os.environ["SUPABASE_URL"] + "/rest/v1"
_KEY = os.environ["SUPABASE_SECRET_KEY"]
_HEADERS = {"apikey": _KEY, "Authorization": f"Bearer {_KEY}"}
_REPLY = "x" * 1000
_clients: list[httpx.AsyncClient] = []
_databases: list[AsyncPostgrestClient] = []


def _http() -> httpx.AsyncClient:
    """The client, created at the first request because there is no event loop before."""
    if not _clients:
        transport = AiohttpTransport(limits=httpx.Limits(max_connections=1000))
        _clients.append(httpx.AsyncClient(transport=transport, timeout=60))
    return _clients[0]


@functions_framework.aio.http
async def floor(request: Request) -> Response:
    """Forward one turn."""
    body = await request.json()
    begun = await _call("begin_turn", _begin(body))
    model = begun["models"][0]
    url = model["provider"]["base_url"] + "/chat/completions"
    call = {
        **model["input_defaults"],
        "model": model["model_key"],
        "messages": _messages(begun),
        "stream": body["stream"],
    }
    turn_id = begun["turn"]["id"]
    if body["stream"]:
        return StreamingResponse(_forward(url, call, turn_id), media_type="text/event-stream")
    answer = (await _http().post(url, json=call)).json()
    await _call("finish_turn", _finish(turn_id))
    return JSONResponse({"response": answer["choices"][0]["message"]["content"]})


async def _forward(url: str, call: dict[str, Any], turn_id: str) -> AsyncIterator[bytes]:
    async with _http().stream("POST", url, json=call) as response:
        async for part in response.aiter_raw():
            yield part
    await _call("finish_turn", _finish(turn_id))


async def _call(function: str, parameters: dict[str, Any]) -> Any:
    if not _databases:
        client = AsyncPostgrestClient(_REST, headers=_HEADERS, http_client=_http())
        _databases.append(client)
    return (await _databases[0].rpc(function, parameters).execute()).data


def _begin(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "p_turn_id": str(uuid4()),
        "p_user_id": body["user_id"],
        "p_task": "roleplay",
        "p_action": "send",
        "p_conversation_id": body["conversation_id"],
        "p_character_id": body["character_id"],
        "p_message": body["message"],
        "p_client_message_id": body["client_message_id"],
    }


def _messages(begun: dict[str, Any]) -> list[dict[str, str]]:
    roles = {"u": "user", "c": "assistant"}
    senders, contents = begun["history"]["sender"], begun["history"]["content"]
    said = [
        {"role": roles[sender], "content": content}
        for sender, content in zip(senders, contents, strict=True)
    ]
    system = {"role": "system", "content": begun["templates"][0]["system_prompt"]}
    return [system, *said, {"role": "user", "content": begun["turn"]["message"]}]


def _finish(turn_id: str) -> dict[str, Any]:
    usage = {"provider": "openrouter", "model_key": "bench", "outcome": "ok", "duration_ms": 1}
    return {
        "p_turn_id": turn_id,
        "p_status": "complete",
        "p_reply": _REPLY,
        "p_turn": {"finish_reason": "stop"},
        "p_usage": [usage],
    }
