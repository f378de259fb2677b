"""Settings of the health_check function."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from edge.settings import EdgeSettings


class Settings(EdgeSettings):
    """The environment of the health_check function.

    The scheduler proves itself with the secret, or with an ID token that Google signed for its
    service account. One of the two must be set; both may be.
    """

    health_check_oidc_audience: str | None = None
    """For whom the ID token must be made: the function's address, most often."""
    health_check_oidc_email: str | None = Field(default=None, validate_default=True)
    """The scheduler's service account."""
    health_check_oidc_keys_url: str = "https://www.googleapis.com/oauth2/v3/certs"
    """Where Google publishes the keys that it signs ID tokens with."""
    health_check_secret: SecretStr | None = Field(
        default=None, min_length=16, validate_default=True
    )
    """What the scheduler proves itself with where it has no service account."""
    probe_timeout_seconds: float = Field(default=5, gt=0, le=60)
    """How long one worker may take to say that it is well."""
    run_budget_seconds: float = Field(default=45, gt=0, le=3600)
    """All of a run; what is not done by then is reported, and done by a later one."""
    deep_probe_every: int = Field(default=15, ge=0)
    """Each so manieth probe of a worker makes it write one token; 0: none does."""
    deep_probe_timeout_seconds: float = Field(default=20, gt=0, le=600)
    """How long it may take for that."""
    wake_minutes: float = Field(default=5, ge=1, le=100_000)
    """The least time between two calls of a worker's wake hook."""
    key_check_minutes: float = Field(default=15, ge=0, le=100_000)
    """How often OpenRouter is asked how the key is; 0: never."""
    catalog_hours: float = Field(default=6, ge=0, le=100_000)
    """How often the models are compared with OpenRouter's catalog; 0: never."""
    catalog_updates_prices: bool = False
    """Prices of the catalog replace those of `api_models`."""
    provider_timeout_seconds: float = Field(default=15, gt=0, le=600)
    """How long OpenRouter may take for such an answer."""
    roll_up_minutes: float = Field(default=5, ge=0, le=100_000)
    """How often usage is summed up by hour and day; 0: never."""
    retention_minutes: float = Field(default=60, ge=0, le=100_000)
    """How often old rows are looked for; 0: never."""

    @field_validator(
        "health_check_oidc_audience",
        "health_check_oidc_email",
        "health_check_secret",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

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
