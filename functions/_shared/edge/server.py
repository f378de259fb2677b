"""Serves a function in a container: `python -m edge.server`.

After SIGTERM, the framework's own server gives running requests 30 seconds, and ends turns whose
client has left at once. This one gives both SHUTDOWN_SECONDS.
"""

import asyncio
import math
import os
import signal
import sys
from types import ModuleType

import uvicorn
from functions_framework.aio import create_asgi_app
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ALIVE = "/alive"
"""Says that the process serves, without calling the function: for the probes of platforms."""
IDLE_SECONDS = 75
"""How long an unused connection stays open. Proxies close theirs after 60 seconds or fewer, and one
that the function closes first could lose a request."""


class Alive:
    """Answers `ALIVE` itself and leaves everything else to the function."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_probe = scope["type"] == "http" and scope["path"] == ALIVE
        await (PlainTextResponse("ok") if is_probe else self._app)(scope, receive, send)


def main() -> None:
    """Serve the function of FUNCTION_TARGET and FUNCTION_SOURCE until SIGTERM."""
    app = create_asgi_app()  # type: ignore[no-untyped-call]
    function = sys.modules["main"]  # Under this name the framework loads main.py.
    config = uvicorn.Config(
        Alive(app),
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104  (a container's only way in)
        port=int(os.environ.get("PORT", "8080")),
        lifespan="off",
        log_level="error",
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=math.ceil(function.SHUTDOWN_SECONDS),
    )
    # uvicorn raises the signal once more when it has ended, which would end the process early.
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: None)
    asyncio.run(_serve(uvicorn.Server(config), function))


async def _serve(server: uvicorn.Server, function: ModuleType) -> None:
    await server.serve()
    await function.aclose()  # Waits for turns whose clients have left.


if __name__ == "__main__":
    main()
