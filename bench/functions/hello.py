"""The least that functions-framework can serve: what a cold start is compared with."""

import functions_framework.aio
from starlette.requests import Request


@functions_framework.aio.http
async def hello(request: Request) -> str:
    """Say hello."""
    return "hello"
