"""Serves both functions and the pages from one origin, each function on functions-framework."""

import os

import uvicorn
from functions_framework.aio import create_asgi_app
from starlette.types import ASGIApp, Receive, Scope, Send

from dev import web
from dev.settings import ROOT

NAMES = ("roleplay_chat", "health_check")


class Origin:
    """Routes /<name> and everything below it to that function, and all else to the pages.

    A `Mount` would redirect paths without the trailing slash, and a redirect breaks browsers'
    preflight requests.
    """

    def __init__(self, functions: dict[str, ASGIApp], pages: ASGIApp) -> None:
        self._functions = functions
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _, rest = scope["path"].lstrip("/").partition("/")
        if name in self._functions:
            inner = {**scope, "root_path": f"/{name}", "path": f"/{name}/{rest}"}
            await self._functions[name](inner, receive, send)
            return
        await self._pages(scope, receive, send)


def load() -> Origin:
    """Load the functions with the settings of the current environment."""
    return Origin(
        {
            name: create_asgi_app(  # type: ignore[no-untyped-call]
                name, str(ROOT / "functions" / name / "main.py"), "http"
            )
            for name in NAMES
        },
        web.application(
            web.Config(
                publishable_key=os.environ["SUPABASE_PUBLISHABLE_KEY"],
                demo_email=os.environ.get("DEMO_EMAIL", ""),
                demo_password=os.environ.get("DEMO_PASSWORD", ""),
            ),
            os.environ["SUPABASE_URL"],
        ),
    )


if __name__ == "__main__":
    uvicorn.run(
        load(),
        host="127.0.0.1",
        port=int(os.environ["FUNCTIONS_PORT"]),
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
