"""Settings of the roleplay_chat function."""

import math
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from edge.settings import EdgeSettings, HeaderText


class Settings(EdgeSettings):
    """The environment of the roleplay_chat function. Times are in seconds."""

    supabase_jwt_secret: SecretStr | None = None
    """Verifies HS256 tokens of projects without asymmetric signing keys."""
    supabase_jwt_issuer: str | None = None
    """Who signs user tokens; <SUPABASE_URL>/auth/v1 when not set."""
    cors_allow_origins: str = "*"
    """Origins of browsers that may call, separated by commas."""

    max_body_bytes: int = Field(default=262_144, ge=1024)
    """Larger request bodies are refused."""
    max_card_bytes: int = Field(default=8_388_608, ge=1024)
    """The same for requests that bring a character card, which comes in a picture."""
    body_timeout_seconds: float = Field(default=10, gt=0)
    """A client that takes longer to send its request is cut off."""
    send_timeout_seconds: float = Field(default=30, gt=0)
    """A client that takes nothing of its answer for so long is cut off."""
    max_message_chars: int = Field(default=8_000, ge=1, le=60_000)
    """Longer messages are refused."""
    history_messages: int = Field(default=100, ge=2, le=1000)
    """How many of the newest messages are read for the prompt."""

    turn_budget_seconds: float = Field(default=90, gt=0, le=3500)
    """All of a turn: every target tried, to the last token."""
    connect_timeout_seconds: float = Field(default=5, gt=0)
    """For a connection to a target."""
    first_token_timeout_seconds: float = Field(default=25, gt=0)
    """For a target's first token."""
    idle_timeout_seconds: float = Field(default=15, gt=0)
    """Between two tokens."""
    heartbeat_seconds: float = Field(default=10, gt=0)
    """A silent event stream carries a comment this often, so that proxies keep it open."""
    save_patience_seconds: float = Field(default=5, gt=0)
    """How long an answer waits to be saved; then it is given as not saved."""
    lease_margin_seconds: float = Field(default=30, gt=0)
    """Beyond the budget: time to save before the turn counts as abandoned."""

    adult_tier_refusal: Literal["downgrade", "refuse"] = "downgrade"
    """What becomes of a turn that asks for the adult tier where it is not given."""
    moderation_timeout_seconds: float = Field(default=4, gt=0)
    """For a classifier model's answer, where one is set up."""

    memory_enabled: bool = True
    """Whether conversations are summarised and facts noted; what is remembered is used anyway."""
    memory_timeout_seconds: float = Field(default=60, gt=0, le=600)
    """For writing that down, beside the reply and after it."""
    otel_exporter_otlp_endpoint: str | None = None
    """A collector that takes OpenTelemetry's traces and metrics over HTTP."""

    site_url: HeaderText = "https://ourvidz.com"
    """Sent to providers as HTTP-Referer."""
    site_name: HeaderText = "OurVidz Platform"
    """Sent to providers as X-Title."""

    @field_validator(
        "supabase_jwt_secret",
        "supabase_jwt_issuer",
        "otel_exporter_otlp_endpoint",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @property
    def lease_seconds(self) -> int:
        """How long a turn holds its conversation when nobody closes it."""
        return math.ceil(self.turn_budget_seconds + self.lease_margin_seconds)

    @property
    def issuer(self) -> str:
        """The issuer that user tokens must name."""
        return self.supabase_jwt_issuer or f"{self.supabase_url}/auth/v1"
