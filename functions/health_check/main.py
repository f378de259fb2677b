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

# What was imported stays: the collector need not go through it while it is loaded, nor ever after.
gc.freeze()
gc.enable()

aclose = _app.aclose


@functions_framework.aio.http
async def health_check(request: Request) -> Response:
    """Probe the workers and record how they are."""
    return await _app.respond(request)
