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
