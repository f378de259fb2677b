"""Settings for local work, and the keys that the stack generates."""

import secrets
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = ROOT / ".env"


class Settings(BaseSettings):
    """Read from the environment, then from .env, by field name in capitals."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore")

    database_port: int = Field(54321, gt=1024, lt=65536)
    functions_port: int = Field(8787, gt=1024, lt=65536)
    worker_port: int = Field(8788, gt=1024, lt=65536)
    stand_in_port: int = Field(8789, gt=1024, lt=65536)
    embedder_port: int = Field(8800, gt=1024, lt=65536)
    """The port of `make embeddings`."""
    local_dir: Path = ROOT / ".local"
    """The folder of data, keys and logs."""
    worker_protocol: Literal["openai", "chat_worker"] = "openai"
    """The protocol of the local worker: openai streams, chat_worker does not."""
    workers: int = Field(1, ge=1, le=8)
    """How many workers: the one of the settings, and others that register themselves."""
    worker_grammar: str = ""
    """A GBNF grammar that restricts what the local model writes; empty: no restriction."""
    openrouter_roleplay_api_key: str = ""
    """When set, the real OpenRouter answers instead of the stand-in."""

    @property
    def database_url(self) -> str:
        return f"http://127.0.0.1:{self.database_port}"

    @property
    def functions_url(self) -> str:
        return f"http://127.0.0.1:{self.functions_port}"

    @property
    def worker_url(self) -> str:
        return f"http://127.0.0.1:{self.worker_port}"

    @property
    def openrouter_url(self) -> str:
        """The base_url of the openrouter row."""
        if self.openrouter_roleplay_api_key:
            return "https://openrouter.ai/api/v1"
        return f"http://127.0.0.1:{self.stand_in_port}/v1"

    @property
    def database_dir(self) -> Path:
        return self.local_dir.resolve() / "database"

    @property
    def log_dir(self) -> Path:
        return self.local_dir / "logs"

    @property
    def stack_env(self) -> Path:
        """NAME=value lines that clients and tests need to use the stack."""
        return self.local_dir / "stack.env"


def tell_wrong(error: ValidationError) -> str:
    """Sentences about settings that are wrong."""
    wrong = [f"{str(one['loc'][0]).upper()}: {one['msg']}." for one in error.errors()]
    return "\n".join([*wrong, "Correct this in the environment or in .env (see .env.example)."])


def _key() -> str:
    return secrets.token_urlsafe(24)


class Keys(BaseModel):
    """Generated once for each working copy; never in git."""

    publishable_key: str = Field(default_factory=lambda: f"sb_publishable_{_key()}")
    secret_key: str = Field(default_factory=lambda: f"sb_secret_{_key()}")
    jwt_secret: str = Field(default_factory=lambda: secrets.token_hex(32))
    worker_key: str = Field(default_factory=_key)
    stand_in_key: str = Field(default_factory=_key)
    health_check_secret: str = Field(default_factory=_key)
    demo_password: str = Field(default_factory=lambda: secrets.token_urlsafe(9))

    @classmethod
    def load(cls, local_dir: Path) -> "Keys":
        """Read the keys, or generate and store them the first time.

        Raises `SystemExit` with a sentence if the file is damaged.
        """
        path = local_dir / "keys.json"
        if path.exists():
            try:
                return cls.model_validate_json(path.read_bytes())
            except ValidationError:
                raise SystemExit(
                    f"{path} is damaged. Delete it, then `make reset` and `make up`: the data were"
                    " made with its keys."
                ) from None
        keys = cls()
        write_private(path, keys.model_dump_json(indent=2) + "\n")
        return keys


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only this user can read."""
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def read_env_file(path: Path) -> dict[str, str]:
    """The NAME=value lines of a file; empty if it does not exist."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}
