"""The Supabase project that a command operates on: the configured one or the local stack."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from dev.settings import ENV_FILE, Keys, Settings, read_env_file
from dev.stack.stack import NOT_RUNNING, parts, read_state

SECONDS = 15


class Unreachable(Exception):
    """The project cannot be reached. The text says what to do."""


class NoSuchFunction(Exception):
    """The database function does not exist, because migrations are missing."""


@dataclass(frozen=True)
class Project:
    """The project's addresses and keys, and the environment of its functions."""

    url: str
    secret_key: str
    environment: Mapping[str, str]
    functions_url: str | None
    is_local: bool

    def call(self, function: str, **parameters: Any) -> Any:
        """Call a database function with the secret key and return its result."""
        response = self._request("POST", f"rpc/{function}", parameters)
        if response.status_code == 404:
            raise NoSuchFunction(function)
        return self._read(response, function)

    def rows(self, method: str, path: str, row: Any = None) -> Any:
        """Rows of the Data API, read or written with the secret key."""
        return self._read(self._request(method, path, row), path.partition("?")[0])

    def _request(self, method: str, path: str, body: Any) -> httpx.Response:
        try:
            response = httpx.request(
                method,
                f"{self.url}/rest/v1/{path}",
                headers={"apikey": self.secret_key, "Prefer": "return=representation"},
                json=body,
                timeout=SECONDS,
                trust_env=not self.is_local,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"{self.url} does not answer ({type(error).__name__})."
            more = "`make status` shows its state." if self.is_local else "Is SUPABASE_URL right?"
            raise Unreachable(f"{why} {more}") from error
        if response.status_code in (401, 403):
            raise Unreachable(f"{self.url} rejects SUPABASE_SECRET_KEY: use the secret key.")
        return response

    def _read(self, response: httpx.Response, what: str) -> Any:
        if response.is_error:
            refusal = f"{self.url} answered {response.status_code} to {what}."
            raise Unreachable(_sentence(response) or refusal)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise Unreachable(
                f"{self.url} is not a Supabase project: the response is not JSON."
            ) from error


def _sentence(response: httpx.Response) -> str | None:
    """What our database says for people: its errors with codes that begin with PT."""
    try:
        error = response.json()
        return str(error["message"]) if error["code"].startswith("PT") else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def find(settings: Settings) -> Project:
    """The project of SUPABASE_URL in the environment or .env, else the local stack."""
    environment = {**read_env_file(ENV_FILE), **os.environ}
    if url := environment.get("SUPABASE_URL", "").strip():
        key = environment.get("SUPABASE_SECRET_KEY", "").strip()
        if not key:
            raise Unreachable("SUPABASE_URL is set, but SUPABASE_SECRET_KEY is not. Set both.")
        if not (key.isascii() and key.isprintable()):
            raise Unreachable("SUPABASE_SECRET_KEY is not a key: it contains invalid characters.")
        functions_url = environment.get("FUNCTIONS_URL", "").strip().rstrip("/") or None
        return Project(url.rstrip("/"), key, environment, functions_url, is_local=False)
    stack = read_env_file(settings.stack_env)
    if stack and read_state(settings) is None:
        raise Unreachable(NOT_RUNNING)
    if not stack:
        raise Unreachable(
            "No project is configured. Set SUPABASE_URL and SUPABASE_SECRET_KEY in the environment "
            "or in .env, or start the local stack with `make up`."
        )
    return Project(
        stack["SUPABASE_URL"],
        stack["SUPABASE_SECRET_KEY"],
        local_environment(settings),
        stack["FUNCTIONS_URL"],
        is_local=True,
    )


def find_environment(settings: Settings) -> tuple[Mapping[str, str], str]:
    """The functions' environment, and a short description of its source."""
    environment = {**read_env_file(ENV_FILE), **os.environ}
    if environment.get("SUPABASE_URL", "").strip() or not settings.stack_env.exists():
        return environment, "environment"
    return local_environment(settings), "local stack"


def local_environment(settings: Settings) -> Mapping[str, str]:
    """The environment in which the local stack starts its functions."""
    (functions,) = (
        part for part in parts(settings, Keys.load(settings.local_dir)) if part.name == "functions"
    )
    return functions.env


def secrets_managed(environment: Mapping[str, str]) -> set[str]:
    """The variables that a deployment reads from Secret Manager."""
    return {name.strip() for name in environment.get("DEPLOY_SECRETS", "").split(",")} - {""}
