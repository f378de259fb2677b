"""Reads an error out of a response, whatever its shape. Pure; accepts any parsed JSON."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edge.json_values import fields
from roleplay_chat.generation.error_wordings import plain
from roleplay_chat.generation.finish_reasons import meaning_of

MAX_TEXT = 4_000
"""Characters of a text that are searched."""
_MOST = 8
"""The most items of a list that are read."""
_DEPTH = 4
"""How deep sentences and codes are looked for."""
_SENTENCES = ("message", "msg", "detail", "error", "errors", "error_msg", "status_msg", "Message")
"""Fields with a sentence, or with an object or list that has one."""
_CODES = ("code", "type", "error_type", "status", "reason", "error_code", "errorCode", "Code")
_INNER = (
    "metadata",
    "innererror",
    "inner_error",
    "detail",
    "details",
    "errors",
    "error",
    "message",
)
"""Fields with more codes, one level down."""
_CODE_IN_TEXT = (
    r"[\"'\\](?:code|type|status|reason)[\"'\\]{1,4} {0,2}[:=] {0,2}[\"'\\]{1,4}([\w.-]{3,60})"
    r"|\blitellm\.(\w{3,60})"
)
"""A code in JSON, or in something like it, that was put into a sentence."""


def error_in(body: Any) -> Mapping[str, Any]:
    """The error in a body. It has a `message` and may have codes, `metadata`, `availability`.

    Servers send `{"error": {...}}`, `{"error": "..."}`, `[{"error": ...}]`, `{"message": "..."}`,
    `{"detail": ...}`, `{"object": "error", ...}`, `{"errors": [...]}`, or a text.
    """
    if isinstance(body, list) and body and isinstance(body[0], Mapping):
        return error_in(body[0])
    if not isinstance(body, Mapping):
        return {"message": body}
    error = body.get("error")
    if isinstance(error, Mapping):
        return {name: body[name] for name in _CODES if name in body} | dict(error)
    if code := _refused_choice(body) or _blocked_prompt(body) or _base_response(body):
        return {"code": code, "message": sentence(body)}
    if error and error is not True:
        return {**body, "message": error}
    return {**body, "message": sentence(body)}


def is_error(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk without choices is an error in some other shape than `{"error": ...}`."""
    if chunk.get("object") == "error" or chunk.get("type") == "error":
        return True
    if any(isinstance(chunk.get(name), str) for name in ("message", "Message", "msg", "error_msg")):
        return True
    if any(chunk.get(name) for name in ("detail", "errors")):
        return True
    return bool(_blocked_prompt(chunk) or _base_response(chunk))


def sentence(value: Any, depth: int = _DEPTH) -> str:
    """The sentence in an error; its JSON if it has none."""
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, list) and depth:
        return "; ".join(sentence(item, depth - 1) for item in value[:_MOST])[:MAX_TEXT]
    if isinstance(value, Mapping) and depth:
        for name in _SENTENCES:
            if value.get(name) and value[name] is not True:
                return sentence(value[name], depth - 1)
    return "" if value is None else json.dumps(value, default=str)[:MAX_TEXT]


def codes_in(error: Mapping[str, Any], *texts: str) -> frozenset[str]:
    """All codes and types of an error, without case and punctuation."""
    found = re.finditer(_CODE_IN_TEXT, "\n".join(texts))
    inside = [match[1] or match[2] for _, match in zip(range(_MOST), found, strict=False)]
    return frozenset(plain(code[:80]) for code in (*_codes(error), *inside))


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    for level in (error, *_inner(error)):
        for name in _CODES:
            value = level.get(name)
            if isinstance(value, str):
                yield value
            elif isinstance(value, int) and value > 999:
                yield str(value)


def _inner(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _INNER:
        value = error.get(name)
        for item in value[:_MOST] if isinstance(value, list) else (value,):
            if isinstance(item, Mapping):
                # The error of a provider behind the server is read by its own sentences.
                yield {"error_type": item.get("error_type")} if name == "metadata" else item


def locations(value: Any, depth: int = _DEPTH) -> Iterator[str]:
    """The names of the fields that an error is about: "param", and "loc" as Pydantic has it."""
    if isinstance(value, list) and depth:
        for item in value[:_MOST]:
            yield from locations(item, depth - 1)
    elif isinstance(value, Mapping) and depth:
        where = value.get("loc")
        for name in (value.get("param"), *(where[:_MOST] if isinstance(where, list) else ())):
            if isinstance(name, str):
                yield name[:80]
        for name in _SENTENCES:
            yield from locations(value.get(name), depth - 1)


def _refused_choice(body: Mapping[str, Any]) -> str:
    """The finish reason, if a whole completion with the status of an error was refused."""
    choices = body.get("choices")
    for choice in choices[:1] if isinstance(choices, list) else ():
        reason = fields(choice).get("finish_reason")
        if isinstance(reason, str) and meaning_of(reason[:80]) == "refused":
            return "content_filter"
    return ""


def _blocked_prompt(body: Mapping[str, Any]) -> str:
    blocked = fields(body.get("promptFeedback") or body.get("prompt_feedback"))
    return "content_filter" if blocked.get("blockReason") or blocked.get("block_reason") else ""


def _base_response(body: Mapping[str, Any]) -> str:
    code = fields(body.get("base_resp")).get("status_code")
    return f"base_resp_{code}" if isinstance(code, int) and code else ""
