"""Settings of the health_check function."""

import re
from ipaddress import ip_address

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from edge.settings import EdgeSettings

_HOST = re.compile(r"(\*\.)?([a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}", re.ASCII)


def normal_host(host: str) -> str:
    """One spelling of a host's name or address: lower case, without brackets and the last dot."""
    host = host.strip().lower().removesuffix(".")
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).compressed
    except ValueError:
        return host


def _is_host(host: str) -> bool:
    host = normal_host(host)
    if _HOST.fullmatch(host):
        return True
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


class Settings(EdgeSettings):
    """The environment of the health_check function.

    The scheduler authenticates with the secret, or with an ID token that Google signed for its
    service account. At least one of the two must be set.
    """

    health_check_oidc_audience: str | None = None
    """The audience of the ID token: in most cases the function's URL."""
    health_check_oidc_email: str | None = Field(default=None, validate_default=True)
    """The scheduler's service account."""
    health_check_oidc_keys_url: str = "https://www.googleapis.com/oauth2/v3/certs"
    """Where Google publishes its signing keys for ID tokens."""
    health_check_secret: SecretStr | None = Field(
        default=None, min_length=16, validate_default=True
    )
    """The secret of a scheduler without a service account."""
    worker_hosts: str = ""
    """Hosts at which workers may register: gpu.example.com, *.example.com, separated by commas."""
    worker_lease_seconds: int = Field(default=120, ge=20, le=86_400)
    """How long a worker's registration lasts. Workers renew it in time."""
    probe_timeout_seconds: float = Field(default=5, gt=0, le=60)
    """The time limit for one worker's health response."""
    run_budget_seconds: float = Field(default=45, gt=0, le=3600)
    """The time limit for a run. Unfinished steps are reported and done by a later run."""
    deep_probe_every: int = Field(default=15, ge=0)
    """Every Nth probe asks the worker to generate one token; 0 turns this off."""
    deep_probe_timeout_seconds: float = Field(default=20, gt=0, le=600)
    """The time limit for that token."""
    wake_minutes: float = Field(default=5, ge=1, le=100_000)
    """The minimum time between two calls of a worker's wake hook."""
    key_check_minutes: float = Field(default=15, ge=0, le=100_000)
    """How often to check OpenRouter's key; 0 turns this off."""
    catalog_hours: float = Field(default=6, ge=0, le=100_000)
    """How often to compare the models with OpenRouter's catalog; 0 turns this off."""
    catalog_updates_prices: bool = False
    """Whether catalog prices replace those of `api_models`."""
    provider_timeout_seconds: float = Field(default=15, gt=0, le=600)
    """The time limit for a response of OpenRouter to these checks."""
    roll_up_minutes: float = Field(default=5, ge=0, le=100_000)
    """How often to roll up usage by hour and day; 0 turns this off."""
    retention_minutes: float = Field(default=60, ge=0, le=100_000)
    """How often to delete old rows; 0 turns this off."""

    @field_validator(
        "health_check_oidc_audience",
        "health_check_oidc_email",
        "health_check_secret",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("worker_hosts")
    @classmethod
    def _names_hosts(cls, value: str) -> str:
        for host in value.split(","):
            if host.strip() and not _is_host(host):
                raise ValueError(
                    "has an entry that is no host: write gpu.example.com or *.example.com,"
                    " without https:// and port"
                )
        return value

    @field_validator("health_check_oidc_email")
    @classmethod
    def _goes_with_audience(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is None) != (info.data["health_check_oidc_audience"] is None):
            raise ValueError("goes together with HEALTH_CHECK_OIDC_AUDIENCE")
        return value

    @field_validator("health_check_secret")
    @classmethod
    def _somebody_may_call(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and not info.data.get("health_check_oidc_email"):
            raise ValueError("needed where HEALTH_CHECK_OIDC_EMAIL is not set")
        return value
