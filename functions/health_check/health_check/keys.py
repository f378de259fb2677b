"""Checks the limits and the expiry of OpenRouter's key."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.json_values import fields, number, timestamp, whole
from health_check.fetch import Fetched
from health_check.providers import Provider, get
from health_check.steps import Found, Run, StepFailed

EXPIRES_SOON = timedelta(days=7)
_MAX_NUMBER = 1e12


@dataclass(frozen=True)
class KeyStatus:
    """The response to GET /key, without the key's label. None means unknown; for limits, no
    limit."""

    limit_usd: float | None
    remaining_usd: float | None
    used_usd: float | None
    free_requests_limit: int | None
    free_requests_remaining: int | None
    """Left today (UTC), for all `:free` models together."""
    expires_at: datetime | None

    def to_json(self) -> Found:
        """The status as reported and stored."""
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        expires_at = self.expires_at.isoformat() if self.expires_at else None
        return known | {"expires_at": expires_at}


def read_key(answer: Fetched) -> KeyStatus:
    """The status in a response to GET /key. Raises `StepFailed` if there is none."""
    if answer.status in (401, 403):
        raise StepFailed(f"the key is rejected: /key answered {answer.status}", alert=True)
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    if answer.status != 200 or not isinstance(data, dict) or "usage" not in data:
        raise StepFailed(f"/key answered {answer.status}, without a key's status")
    free = fields(data.get("free_model_daily_requests"))
    return KeyStatus(
        limit_usd=_usd(data.get("limit")),
        remaining_usd=_usd(data.get("limit_remaining")),
        used_usd=_usd(data.get("usage")),
        free_requests_limit=_requests(free.get("limit")),
        free_requests_remaining=_requests(free.get("remaining")),
        expires_at=timestamp(data.get("expires_at")),
    )


def read_balance(answer: Fetched) -> float | None:
    """The account's remaining credits in USD; None if the key may not read them."""
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    if answer.status != 200 or not isinstance(data, dict):
        return None
    bought, used = _usd(data.get("total_credits")), _usd(data.get("total_usage"))
    return None if bought is None or used is None else round(bought - used, 6)


def alerts(key: KeyStatus, balance_usd: float | None, now: datetime) -> list[str]:
    """What the operator has to do about the key."""
    found = []
    if key.remaining_usd is not None and key.remaining_usd <= 0:
        found.append("The key has reached its limit: raise it, or wait for the reset.")
    if balance_usd is not None and balance_usd <= 0:
        found.append("The account has no credits left: buy some.")
    if key.free_requests_remaining is not None and key.free_requests_remaining <= 0:
        found.append("Today's free requests are used up: wait until midnight UTC, or buy credits.")
    if key.expires_at is not None and key.expires_at <= now:
        found.append("The key has expired: create a new one.")
    elif key.expires_at is not None and key.expires_at <= now + EXPIRES_SOON:
        found.append(f"The key expires at {key.expires_at.isoformat()}: create a new one.")
    return found


async def check_key(provider: Provider, run: Run, found: Found, now: datetime) -> None:
    """Fetch and report the status of the provider's key."""
    headers = provider.credentials(run)
    key = read_key(await get(provider, "/key", run, headers))
    found |= key.to_json()
    balance = read_balance(await get(provider, "/credits", run, headers))
    found |= {"balance_usd": balance, "alerts": alerts(key, balance, now)}


def _usd(value: object) -> float | None:
    return number(value, minimum=-_MAX_NUMBER, maximum=_MAX_NUMBER)


def _requests(value: object) -> int | None:
    return whole(value, minimum=-_MAX_NUMBER, maximum=_MAX_NUMBER)
