"""Entry point of the health_check function."""

import gc

gc.disable()

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from edge.settings import load
from health_check.app import App
from health_check.settings import Settings

_settings = load(Settings)
_app = App(_settings)

# Imported modules are never freed, so the garbage collector need not scan them, now or later.
gc.freeze()
gc.enable()

# What edge/server.py needs, which serves this file in a container.
aclose = _app.aclose
SHUTDOWN_SECONDS = _settings.shutdown_seconds


@functions_framework.aio.http
async def health_check(request: Request) -> Response:
    """Run the health check."""
    return await _app.respond(request)
