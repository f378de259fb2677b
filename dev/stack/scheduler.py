"""Calls health_check like Cloud Scheduler in production: immediately, then every minute."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx

from dev.settings import Keys, Settings

INTERVAL_SECONDS = 60


class Scheduler:
    """Calls health_check and reports when a worker's health changes."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: Settings,
        keys: Keys,
        say: Callable[[str], None],
    ) -> None:
        self._client = client
        self._url = f"{settings.functions_url}/health_check"
        self._headers = {"Authorization": f"Bearer {keys.health_check_secret}"}
        self._say = say
        self._last: dict[str, str] = {}
        self._now = asyncio.Event()

    def check_now(self) -> None:
        """Call it now instead of at the next minute."""
        self._now.set()

    async def run(self) -> None:
        """Call it forever."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), INTERVAL_SECONDS)
            self._now.clear()
            await self.check()

    async def check(self) -> None:
        """Call health_check once."""
        try:
            response = await self._client.post(self._url, headers=self._headers)
            found = {
                name: "is healthy" if worker["isHealthy"] else f"is down: {worker['healthError']}"
                for name, worker in response.raise_for_status().json()["workers"].items()
            }
        except (httpx.HTTPError, ValueError, KeyError) as error:
            found = {"": f"failed: {why(error)}"}
        for name, state in found.items():
            if self._last.get(name) != state:
                self._say(f"health_check: {name} {state}".replace("  ", " "))
        self._last = found


def why(error: Exception) -> str:
    """Why health_check failed, on one line."""
    if isinstance(error, httpx.HTTPStatusError):
        try:
            code = f" ({error.response.json()['code']})"
        except (ValueError, KeyError, TypeError):
            code = ""
        return f"it answered {error.response.status_code}{code}"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    if isinstance(error, httpx.HTTPError):
        return f"it cannot be reached ({type(error).__name__})"
    return "it answered something else than results"
