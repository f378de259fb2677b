"""Error responses of the API description, from every `raise ApiError` in the code."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dev.docs.openapi.parts import Schema, answered, ref
from dev.settings import ROOT
from edge.errors import ApiError
from roleplay_chat import turn_store

FUNCTIONS = ROOT / "functions"


@dataclass(frozen=True)
class ErrorAnswer:
    """One way in which a request can fail."""

    status: int
    code: str
    sentence: str
    """The sentence for the person, with "…" for variable parts; empty if all of it varies."""
    retry_after: bool
    """Whether the response has a Retry-After header."""


def failure_responses(*packages: str, without: str = "") -> dict[str, Schema]:
    """The error responses of a function, by status."""
    by_status: dict[int, list[ErrorAnswer]] = {}
    for error in error_answers(*packages, without=without):
        by_status.setdefault(error.status, []).append(error)
    return {str(status): _failure(of_status) for status, of_status in sorted(by_status.items())}


def but_for_other_methods(failures: dict[str, Schema]) -> dict[str, Schema]:
    """All failures except 405, which only other methods get."""
    return {status: answer for status, answer in failures.items() if status != "405"}


def _failure(of_status: list[ErrorAnswer]) -> Schema:
    # The same code may come from several places. The first sentence represents them.
    sentences: dict[str, str] = {}
    for error in of_status:
        sentences[error.code] = sentences.get(error.code) or error.sentence
    lines = [f"- `{code}`" + (f": {words}" if words else "") for code, words in sentences.items()]
    code = {"type": "object", "properties": {"code": {"enum": list(sentences)}}}
    schema: Schema = {"allOf": [ref("Error"), code]}
    answer = answered("\n".join(lines), {"application/json": {"schema": schema}})
    if any(error.retry_after for error in of_status):
        answer["headers"]["Retry-After"] = {
            "description": "When to try again, in seconds.",
            "required": all(error.retry_after for error in of_status),
            "schema": {"type": "integer", "minimum": 1},
        }
    if of_status[0].status == 401:
        answer["headers"]["WWW-Authenticate"] = {
            "description": "The scheme of the token or key.",
            "required": True,
            "schema": {"const": "Bearer"},
        }
    if of_status[0].status == 405:
        answer["headers"]["Allow"] = {
            "description": "The allowed methods.",
            "required": True,
            "schema": {"type": "string"},
        }
    return answer


def error_answers(*packages: str, without: str = "") -> list[ErrorAnswer]:
    """Every `ApiError` that the modules of these packages raise, by status and code.

    `without` is the name of a module that is left out.
    """
    return sorted(
        (
            error
            for package in packages
            for file in sorted((FUNCTIONS / package).rglob("*.py"))
            if file.stem != without
            for error in _raised_in(file)
        ),
        key=lambda error: (error.status, error.code),
    )


@cache
def _raised_in(file: Path) -> Sequence[ErrorAnswer]:
    return list(_errors_in(file))


def _errors_in(file: Path) -> Iterator[ErrorAnswer]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == ApiError.__name__:
            status, code, sentence = node.args
            retry_after = any(keyword.arg == "retry_after" for keyword in node.keywords)
            known: Mapping[str, tuple[int, str]]
            if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                known = {str(code.value): (int(str(status.value)), _sentence(sentence))}
            else:
                known = _codes_elsewhere(file, ast.unparse(status), ast.unparse(code))
            for name, (number, words) in known.items():
                yield ErrorAnswer(number, name, words, retry_after)


def _codes_elsewhere(file: Path, status: str, code: str) -> Mapping[str, tuple[int, str]]:
    """Status and sentence by code, for a raise whose code is a variable."""
    waiting = "You are sending messages very fast. Please wait a moment."
    known: dict[tuple[str, str, str], Mapping[str, tuple[int, str]]] = {
        ("turn_store.py", "status", "outcome"): turn_store._BLOCKED,
        ("turn_store.py", "429", "outcome"): {"rate_limited": (429, waiting)},
        ("turn_errors.py", "503", "code"): {
            "free_limit_reached": (503, "Today's free replies are used up. They are back …."),
            "no_model_available": (503, "No model can answer right now. Please try again …."),
        },
        ("handlers.py", "409", "outcome"): {
            "too_many_characters": (409, "You have reached the maximum number of characters.")
        },
        ("request_body.py", "413", "code"): dict.fromkeys(
            ("body_too_large", "card_too_large", "chat_too_large"),
            (413, "The request is too large: at most … bytes."),
        ),
    }
    try:
        return known[file.name, status, code]
    except KeyError:
        raise LookupError(
            f"{file.name} raises ApiError({status}, {code}, ...): "
            "say in dev/docs/openapi/errors.py which codes these are"
        ) from None


def _sentence(node: ast.expr) -> str:
    """A literal sentence, with "…" for inserted values; empty if it is not a literal."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    words = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts]
    return "".join(words) if any(" " in word.strip() for word in words) else ""
