"""Environment settings that both functions share."""

import sys
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edge.addresses import listed_origins
from edge.credentials import bound_origins

V = TypeVar("V", str, SecretStr)


def _sendable(value: V) -> V:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not (text.isascii() and text.isprintable()):
        raise ValueError("is sent as an HTTP header: use ASCII characters on one line")
    return value


HeaderText = Annotated[str, AfterValidator(_sendable)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_sendable)]


class EdgeSettings(BaseSettings):
    """The environment that every function needs."""

    # Secret managers and shells often append a line break.
    model_config = SettingsConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    supabase_url: str = Field(min_length=1)
    """The project's URL, such as https://abc.supabase.co."""
    supabase_secret_key: HeaderSecret = Field(min_length=1)
    """The project's secret (service) key, which bypasses row level security."""
    chat_worker_api_key: HeaderSecret | None = None
    """Sent to the team's own chat worker as a bearer token."""
    allow_local_upstreams: bool = False
    """Allow http and private addresses for workers and providers. For local development only."""
    private_origins: str = ""
    """Origins in the operator's own network that may be called although they use http or are not
    public: http://gpu.lan:8000, separated by commas."""
    key_origins: str = "OpenRouter_Roleplay_API_KEY=https://openrouter.ai"
    """Where each key that a row names may be sent: NAME_API_KEY=https://host, separated by commas.
    A key may have several entries."""
    shutdown_seconds: float = Field(default=10, gt=0, le=3600)
    """How long running requests and turns may go on after SIGTERM, before they are ended. Platforms
    kill the process after a time of their own, which has to be longer."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    google_cloud_project: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9.:-]*$")
    """The Google Cloud project: log lines then name the request's trace in it."""

    @field_validator("supabase_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("key_origins", mode="before")
    @classmethod
    def _empty_is_the_default(cls, value: object) -> object:
        return value or cls.model_fields["key_origins"].default

    @field_validator("key_origins")
    @classmethod
    def _names_origins(cls, value: str) -> str:
        bound_origins(value)
        return value

    @field_validator("private_origins")
    @classmethod
    def _names_own_hosts(cls, value: str) -> str:
        listed_origins(value)
        return value

    @field_validator("google_cloud_project", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


S = TypeVar("S", bound=EdgeSettings)


def load(settings: type[S]) -> S:
    """Read the settings, or exit with one line for each that is missing or invalid."""
    try:
        return settings()
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        sys.exit(
            "The function cannot start. Set these environment variables:\n" + "\n".join(problems)
        )
