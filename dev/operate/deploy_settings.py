"""Where to deploy: the settings of `make deploy-*`."""

import re
from collections.abc import Mapping

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dev.settings import ENV_FILE

HOSTED = re.compile(r"https://[a-z]{20}\.supabase\.co/?")
"""The address of a project that Supabase hosts."""


class DeploySettings(BaseSettings):
    """Where to deploy, read from the environment, then from .env."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", str_strip_whitespace=True)

    supabase_url: str = Field(pattern=r"^https://[a-z0-9.-]+/?$")
    google_cloud_project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    deploy_region: str = Field(pattern=r"^[a-z]+-[a-z]+\d+$")
    deploy_secrets: str = "SUPABASE_SECRET_KEY,OpenRouter_Roleplay_API_KEY"
    """Variables that the functions take from Secret Manager, separated by commas."""
    deploy_min_instances: int = Field(0, ge=0, le=100)
    deploy_max_instances: int = Field(20, ge=1, le=1000)
    deploy_concurrency: int = Field(80, ge=1, le=1000)
    deploy_memory: str = Field("512Mi", pattern=r"^\d+(Mi|Gi)$")
    deploy_images: str = Field("", pattern=r"^([a-z0-9./_-]+(:[0-9]+)?[a-z0-9./_-]*)?$")
    """Where the images are, without /roleplay-chat and the tag. When set, Cloud Run runs them, and
    the functions product is not used."""
    deploy_tag: str = Field("latest", pattern=r"^[\w][\w.-]{0,127}$")
    """The tag of both images."""
    deploy_project_number: str = Field("", pattern=r"^\d*$", validate_default=True)
    """The project's number, which is part of the addresses that Cloud Run gives."""

    @field_validator("deploy_secrets")
    @classmethod
    def _names(cls, value: str) -> str:
        if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in split_names(value)):
            raise ValueError("must be variable names separated by commas")
        return value

    @field_validator("deploy_project_number")
    @classmethod
    def _goes_with_images(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("deploy_images") and not value:
            raise ValueError("needed with DEPLOY_IMAGES")
        return value

    @property
    def health_check_url(self) -> str:
        """The address of health_check, which is the audience of the scheduler's tokens."""
        if self.deploy_images:
            number = self.deploy_project_number
            return f"https://health-check-{number}.{self.deploy_region}.run.app"
        host = f"{self.deploy_region}-{self.google_cloud_project}.cloudfunctions.net"
        return f"https://{host}/health_check"

    @property
    def caller(self) -> dict[str, str]:
        """The settings by which health_check knows the scheduler."""
        return {
            "HEALTH_CHECK_OIDC_AUDIENCE": self.health_check_url,
            "HEALTH_CHECK_OIDC_EMAIL": self.account("health-check-scheduler"),
        }

    def account(self, name: str) -> str:
        """The email address of a service account of the project."""
        return f"{name}@{self.google_cloud_project}.iam.gserviceaccount.com"


class DatabaseSettings(BaseSettings):
    """The Supabase project to migrate."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", str_strip_whitespace=True)

    supabase_url: str = Field(pattern=rf"^{HOSTED.pattern}$")

    @property
    def project_ref(self) -> str:
        """The project's id, twenty letters."""
        return self.supabase_url.removeprefix("https://").partition(".")[0]


def split_names(names: str) -> list[str]:
    """Names that are separated by commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def added_by_deploying(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that deploying sets by itself; none where it does not go to Google Cloud."""
    given = {
        name: environment[name.upper()]
        for name in DeploySettings.model_fields
        if environment.get(name.upper(), "").strip()
    }
    try:
        return DeploySettings(**given).caller  # type: ignore[arg-type]
    except ValidationError:
        return {}
