"""Settings of the roleplay_chat function."""

import math
import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from edge.settings import EdgeSettings, HeaderText

_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:(\*|[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def allowed_origin(written: str) -> str | None:
    """An entry of CORS_ALLOW_ORIGINS as browsers send it; None if it is not an origin."""
    found = written.lower().rstrip("/")
    if written != "*" and not _ORIGIN.fullmatch(found):
        return None
    return found.removesuffix(_DEFAULT_PORTS.get(found.partition(":")[0], "/"))


def origin_pattern(origin: str) -> str:
    """A regular expression for an origin with wildcards."""
    escaped = re.escape(origin)
    below = escaped.replace(r"://\*\.", r"://([a-z0-9_-]+\.)+")
    return below.replace(r":\*", r"(:[0-9]{1,5})?")


class Settings(EdgeSettings):
    """The environment of the roleplay_chat function. Times are in seconds."""

    supabase_jwt_secret: SecretStr | None = None
    """Verifies HS256 tokens, for projects without asymmetric signing keys."""
    supabase_jwt_issuer: str | None = None
    """The issuer of user tokens; defaults to <SUPABASE_URL>/auth/v1."""
    cors_allow_origins: str = "*"
    """Origins of browsers that may call, separated by commas. `*` allows all, `https://*.host` the
    hosts below that one, and `http://host:*` every port."""

    max_body_bytes: int = Field(default=262_144, ge=1024)
    """The size limit for request bodies."""
    max_card_bytes: int = Field(default=8_388_608, ge=1024)
    """The size limit for requests with a character card, which may be in a picture."""
    body_timeout_seconds: float = Field(default=10, gt=0)
    """The time limit for a client to send its request."""
    send_timeout_seconds: float = Field(default=30, gt=0)
    """A client that receives nothing for this long is disconnected."""
    max_message_chars: int = Field(default=8_000, ge=1, le=60_000)
    """The length limit for messages."""

    turn_budget_seconds: float = Field(default=90, gt=0, le=3500)
    """The time limit for a turn: all targets, up to the last token."""
    connect_timeout_seconds: float = Field(default=5, gt=0)
    """The time limit for connecting to a target."""
    first_token_timeout_seconds: float = Field(default=25, gt=0)
    """The time limit for a target's first token."""
    idle_timeout_seconds: float = Field(default=15, gt=0)
    """The time limit between two tokens."""
    heartbeat_seconds: float = Field(default=10, gt=0)
    """How often a silent event stream carries a comment, so that proxies keep it open."""
    stop_check_seconds: float = Field(default=10, gt=0)
    """How often a running turn looks whether another instance was asked to stop it."""
    follow_check_seconds: float = Field(default=2, gt=0)
    """How often a reader who comes back looks whether another instance has finished the turn."""
    save_patience_seconds: float = Field(default=5, gt=0)
    """How long an answer waits to be saved before it is sent as not saved."""
    lease_margin_seconds: float = Field(default=30, gt=0)
    """The time to save after the turn's budget, before the turn counts as abandoned."""

    adult_tier_refusal: Literal["downgrade", "refuse"] = "downgrade"
    """How to treat a turn that asks for the adult tier and may not have it."""
    moderation_timeout_seconds: float = Field(default=4, gt=0)
    """The time limit for the classifiers, if any are configured."""

    memory_enabled: bool = True
    """Whether to write summaries and facts. Existing ones are used in any case."""
    memory_timeout_seconds: float = Field(default=60, gt=0, le=600)
    """The time limit for writing a summary, during and after the reply."""
    otel_exporter_otlp_endpoint: str | None = None
    """An OpenTelemetry collector for traces and metrics over HTTP."""

    site_url: HeaderText | None = None
    """Sent to providers as HTTP-Referer."""
    site_name: HeaderText | None = None
    """Sent to providers as X-Title."""

    @field_validator(
        "supabase_jwt_secret",
        "supabase_jwt_issuer",
        "otel_exporter_otlp_endpoint",
        "site_url",
        "site_name",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("cors_allow_origins")
    @classmethod
    def _as_browsers_send_them(cls, value: str) -> str:
        written = list(filter(None, map(str.strip, value.split(","))))
        found = list(map(allowed_origin, written))
        if None in found:
            raise ValueError(
                f"entry {found.index(None) + 1} is not an origin: scheme, host and port alone, such"
                " as https://app.example. * stands for all origins, in https://*.app.example for"
                " the hosts below one, in http://localhost:* for every port"
            )
        return ",".join(filter(None, found))

    @property
    def cors_origins(self) -> list[str]:
        """The origins without wildcards, or `*`."""
        return [one for one in self.cors_allow_origins.split(",") if one == "*" or "*" not in one]

    @property
    def cors_origin_pattern(self) -> str | None:
        """A regular expression for the origins with wildcards; None if there are none."""
        wild = [one for one in self.cors_allow_origins.split(",") if "*" in one and one != "*"]
        return "|".join(map(origin_pattern, wild)) or None

    @property
    def lease_seconds(self) -> int:
        """How long a turn locks its conversation if it is not closed."""
        return math.ceil(self.turn_budget_seconds + self.lease_margin_seconds)

    @property
    def issuer(self) -> str:
        """The required issuer of user tokens."""
        return self.supabase_jwt_issuer or f"{self.supabase_url}/auth/v1"
