"""Entry point of the roleplay_chat function."""

import gc

gc.disable()

from typing import cast

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from edge.settings import load
from roleplay_chat.app import App
from roleplay_chat.settings import Settings

_settings = load(Settings)
_app = App(_settings)

# Imported modules are never freed, so the garbage collector need not scan them, now or later.
gc.freeze()
gc.enable()
# A turn leaves no reference cycles. Higher thresholds, so that the live objects of about thirty
# turns do not start a collection.
gc.set_threshold(10_000, 20, 20)

# What edge/server.py needs, which serves this file in a container.
aclose = _app.aclose
SHUTDOWN_SECONDS = _settings.shutdown_seconds


@functions_framework.aio.http
async def roleplay_chat(request: Request) -> Response:
    """Answer one turn."""
    # The framework calls the result as an ASGI application, as it would a response.
    return cast(Response, _app.asgi)
