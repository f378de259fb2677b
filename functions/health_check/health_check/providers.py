"""OpenRouter's row of api_providers, and requests to its account endpoints."""

import asyncio
from collections.abc import Mapping

from pydantic import BaseModel

from edge.addresses import endpoint
from edge.clients import NETWORK_ERRORS, timed_out
from edge.credentials import Misconfigured, credentials
from health_check.fetch import MAX_BYTES, Fetched, fetch_bytes
from health_check.steps import Run, StepFailed

OPENROUTER = "openrouter"
"""The one provider that reports the state of its keys and models."""


class Provider(BaseModel):
    """A row of `api_providers`."""

    id: str
    name: str
    base_url: str
    auth_scheme: str
    auth_header_name: str
    secret_name: str | None

    def credentials(self, run: Run, *, scheme: str | None = None) -> Mapping[str, str]:
        """The header with its key. Raises `StepFailed` if it has none or may not be called."""
        try:
            return credentials(
                self.base_url,
                scheme=scheme or self.auth_scheme,
                header=self.auth_header_name,
                secret_name=self.secret_name,
                environ=run.environ,
                key_origins=run.settings.key_origins,
                allow_local=run.settings.allow_local_upstreams,
                private_origins=run.settings.private_origins,
            )
        except Misconfigured as error:
            raise StepFailed(str(error)) from error


async def openrouter(run: Run) -> Provider | None:
    """OpenRouter's row if it is active and approved, else None."""
    rows = await run.clients.rpc("read_providers")
    for row in rows:
        if row["name"] == OPENROUTER and row["is_active"] and row["is_approved"]:
            return Provider.model_validate(row)
    return None


async def get(provider: Provider, path: str, run: Run, headers: Mapping[str, str]) -> Fetched:
    """Send a GET request to the provider. Raises `StepFailed` if it does not respond."""
    return Fetched.parse(*await get_bytes(provider, path, run, headers))


async def get_bytes(
    provider: Provider,
    path: str,
    run: Run,
    headers: Mapping[str, str],
    max_bytes: int = MAX_BYTES,
) -> tuple[int, bytes]:
    """As `get`, but returns the status and the bytes of the body."""
    http, url = run.clients.http(), endpoint(provider.base_url, path)
    try:
        async with asyncio.timeout(run.settings.provider_timeout_seconds):
            return await fetch_bytes(http, "GET", url, headers=headers, max_bytes=max_bytes)
    except NETWORK_ERRORS as error:
        why = "did not answer in time" if timed_out(error) else "cannot be reached"
        raise StepFailed(f"{path} {why}") from error
