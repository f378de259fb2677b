"""Entry point of the health_check function."""

import gc

gc.disable()

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from edge.settings import load
from health_check.app import App
from health_check.settings import Settings

_app = App(load(Settings))

# Imported modules are never freed, so the garbage collector need not scan them, now or later.
gc.freeze()
gc.enable()

aclose = _app.aclose


@functions_framework.aio.http
async def health_check(request: Request) -> Response:
    """Run the health check."""
    return await _app.respond(request)
