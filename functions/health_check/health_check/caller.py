"""Authenticates the scheduler, by shared secret or by its service account's token."""

import hmac
from collections.abc import Callable, Mapping

import httpx

from edge.identity import PublishedKeys, ServiceTokens, unauthorized
from health_check.settings import Settings


class Caller:
    """Admits only the scheduler."""

    def __init__(self, settings: Settings, http: Callable[[], httpx.AsyncClient]) -> None:
        secret = settings.health_check_secret
        self._secret = secret.get_secret_value().encode() if secret else None
        self._tokens: ServiceTokens | None = None
        if settings.health_check_oidc_audience and settings.health_check_oidc_email:
            self._tokens = ServiceTokens(
                PublishedKeys(http, settings.health_check_oidc_keys_url),
                audience=settings.health_check_oidc_audience,
                email=settings.health_check_oidc_email,
            )

    async def admit(self, headers: Mapping[str, str]) -> None:
        """Raise `ApiError` 401 unless the scheduler is calling."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        given = headers.get("x-health-check-secret", bearer).encode()
        # In constant time, so that timing does not reveal the secret.
        if self._secret and hmac.compare_digest(given, self._secret):
            return
        if self._tokens is None:
            raise unauthorized("The health check needs its secret (HEALTH_CHECK_SECRET).")
        await self._tokens.check(bearer)
