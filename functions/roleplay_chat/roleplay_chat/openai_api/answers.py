"""Answers, chunks of a stream and errors, in OpenAI's form."""

import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from starlette.responses import JSONResponse

from edge.errors import ApiError
from edge.json_text import dumps
from roleplay_chat.api import HEARTBEAT, Answer, Delta, Done, Failed, Start, TurnEvent
from roleplay_chat.generation.finish_reasons import meaning_of
from roleplay_chat.openai_api.completions import Completion
from roleplay_chat.openai_api.model_ids import model_id
from roleplay_chat.turn_events import CUT_OFF, Placed, Reader

DONE = "data: [DONE]\n\n"
_TURN_FIELDS = (
    *("turn_id", "message_id", "user_message_id", "character_id", "content_tier", "model_used"),
    *("notice", "saved", "incomplete"),
)
"""The contents of the field `roleplay_chat`, in addition to OpenAI's form."""
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    "unauthorized": "invalid_api_key",
    "rate_limited": "rate_limit_exceeded",
    "spend_limit_reached": "insufficient_quota",
    "character_not_found": "model_not_found",
    "conversation_too_long": "context_length_exceeded",
}
"""OpenAI's codes, for errors that programs recognise by them."""
_PARAMETER = re.compile(r"`([^`]{1,200})`")


class Answers(Struct, frozen=True):
    """Writes the answers to one request."""

    completion: Completion
    turn_id: str
    created: int = field(default_factory=lambda: int(time.time()))
    """In Unix time."""

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The completion of an answer in the format of `Answer.to_json`."""
        message = {"role": "assistant", "content": answer["response"], "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason(answer),
        }
        more = {"choices": [choice], "usage": usage(answer), "roleplay_chat": _of_turn(answer)}
        return self._common("chat.completion") | more

    async def streamed(self, reader: Reader, events: list[Placed]) -> AsyncGenerator[str, None]:
        """The events, and all that follow them, as a stream of chunks."""
        try:
            while True:
                yield "".join(self._written(events)) or HEARTBEAT
                if events and isinstance(events[-1][1], Done | Failed):
                    return
                events = await reader.next()
        finally:
            reader.close()

    async def replayed(self, answer: Mapping[str, Any]) -> AsyncGenerator[str, None]:
        """The stream of a reply that was saved before."""
        yield self._begin() + self._text(answer["response"])
        yield "".join(self._end(answer))

    def _written(self, events: Iterable[Placed]) -> Iterator[str]:
        for _, event in events:
            yield from self._event(event)

    def _event(self, event: TurnEvent) -> Iterable[str]:
        match event:
            case Start():
                return [self._begin()]
            case Delta(text):
                return [self._text(text)]
            case Done(answer):
                return self._end(told(answer))
            case Failed(error):
                return [_data(error_body(error))]

    def _begin(self) -> str:
        return self._chunk({"role": "assistant", "content": ""})

    def _text(self, text: str) -> str:
        return self._chunk({"content": text})

    def _end(self, answer: Mapping[str, Any]) -> Iterator[str]:
        if answer.get("incomplete") and not answer.get("stopped"):
            yield _data(_error("server_error", CUT_OFF["code"], CUT_OFF["error"]))
            return
        yield self._chunk({}, finish_reason(answer), roleplay_chat=_of_turn(answer))
        if self.completion.include_usage:
            chunk = self._common("chat.completion.chunk")
            yield _data(chunk | {"choices": [], "usage": usage(answer)})
        yield DONE

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = self._common("chat.completion.chunk") | {"choices": [choice], **more}
        if self.completion.include_usage:
            chunk["usage"] = None
        return _data(chunk)

    def _common(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.turn_id}",
            "object": kind,
            "created": self.created,
            "model": self.completion.model,
        }


def finish_reason(answer: Mapping[str, Any]) -> str:
    """Why the reply ended: "length" if its end is missing although nobody stopped it."""
    is_cut = answer.get("incomplete") and not answer.get("stopped")
    is_long = meaning_of(answer.get("finish_reason") or "") == "length"
    return "length" if is_cut or is_long else "stop"


def told(answer: Answer) -> dict[str, Any]:
    """An answer with estimates where the model reported no tokens: programs expect numbers."""
    return answer.to_json() | ({"usage": answer.spent.to_json()} if answer.spent else {})


def usage(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens of the reply; 0 where they are not known, and for a greeting."""
    reported = answer.get("usage") or {}
    sent, written = (reported.get(name) or 0 for name in ("prompt_tokens", "completion_tokens"))
    return {
        "prompt_tokens": sent,
        "completion_tokens": written,
        "total_tokens": sent + written,
        "prompt_tokens_details": {"cached_tokens": reported.get("cached_tokens") or 0},
    }


def model_list(characters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The characters as models."""
    return {"object": "list", "data": [model(character) for character in characters]}


def model(character: Mapping[str, Any]) -> dict[str, Any]:
    """A character as a model: a row of `list_chat_characters`."""
    return {
        "id": model_id(character["id"], character["name"]),
        "object": "model",
        "created": character["created"],
        "owned_by": "you" if character["is_own"] else "public",
        "name": character["name"],
    }


def error_body(error: ApiError) -> dict[str, Any]:
    """An error in OpenAI's form. `param` is the parameter with which its sentence begins."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    code = _CODES.get(error.code, error.code)
    return _error(_TYPES.get(error.status, kind), code, error.message)


def error_response(error: ApiError) -> JSONResponse:
    """An error as a response, with the same status and headers as everywhere."""
    return JSONResponse(error_body(error), error.status, headers=dict(error.headers()))


def _error(kind: str, code: str, sentence: str) -> dict[str, Any]:
    named = _PARAMETER.match(sentence)
    param = named[1] if named else None
    return {"error": {"message": sentence, "type": kind, "param": param, "code": code}}


def _of_turn(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: answer.get(name) for name in _TURN_FIELDS}


def _data(value: Mapping[str, Any]) -> str:
    return f"data: {dumps(value).decode()}\n\n"
