"""Settings of the health_check function."""

from pydantic import Field, SecretStr

from edge.settings import EdgeSettings


class Settings(EdgeSettings):
    """The environment of the health_check function."""

    health_check_secret: SecretStr = Field(min_length=16)
    """What the scheduler proves itself with."""
    probe_timeout_seconds: float = Field(default=5, gt=0, le=60)
    """How long one worker may take to say that it is well."""
