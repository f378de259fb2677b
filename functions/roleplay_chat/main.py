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

_app = App(load(Settings))

# What was imported stays: the collector need not go through it while it is loaded, nor ever after.
gc.freeze()
gc.enable()
# A turn leaves nothing to collect; what is alive in thirty of them is no reason to look.
gc.set_threshold(10_000, 20, 20)

aclose = _app.aclose


@functions_framework.aio.http
async def roleplay_chat(request: Request) -> Response:
    """Answer one turn."""
    # The framework calls what it gets as an ASGI application, which is what a response is.
    return cast(Response, _app.asgi)
