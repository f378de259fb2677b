"""The real function, which also reports the state of its process at GET ?inside."""

import asyncio
import gc
import importlib.util
import logging
from pathlib import Path
from typing import Any

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

FOLDER = Path(__file__).parents[4] / "functions"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("real", FOLDER / "roleplay_chat" / "main.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Exceptions(logging.Handler):
    """Collects the places of logged exceptions."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(f"{record.getMessage()}: {record.exc_info[0]}")


_real = _load()
aclose = _real.aclose
_exceptions = _Exceptions()
for _name in ("roleplay_chat", "asyncio", "uvicorn.error"):
    logging.getLogger(_name).addHandler(_exceptions)


@functions_framework.aio.http
async def roleplay_chat(request: Request) -> Response:
    """One turn, or the state of the process."""
    if request.method == "GET" and "inside" in request.query_params:
        gc.collect()
        coroutines = [task.get_coro() for task in asyncio.all_tasks()]
        tasks = sorted(getattr(coroutine, "__qualname__", "?") for coroutine in coroutines)
        return JSONResponse({"tasks": tasks, "exceptions": _exceptions.seen})
    response: Response = await _real.roleplay_chat(request)
    return response
