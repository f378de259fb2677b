"""The smallest function for functions-framework: the baseline for cold starts."""

import functions_framework.aio
from starlette.requests import Request


@functions_framework.aio.http
async def hello(request: Request) -> str:
    """Say hello."""
    return "hello"
