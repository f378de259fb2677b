"""`make add-server`: adds your own OpenAI-compatible server (Ollama, vLLM, llama.cpp, LM
Studio)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import httpx
from dotenv import set_key

from dev.operate.project import NoSuchFunction, Project, Unreachable, find
from dev.operate.report import plain
from dev.operate.verify.providers import unbound
from dev.operate.worker import BAD_NAME, NAME
from dev.settings import ENV_FILE, Settings
from edge.addresses import AddressRejected, endpoint, is_local, is_private_origin
from edge.json_values import integer, text

SECONDS = 20
PRIORITY = 10
"""Before the workers without a priority, which have 100."""


@dataclass(frozen=True)
class Server:
    """The command's arguments."""

    name: str
    url: str
    key: str = ""
    model: str = ""
    context_tokens: int | None = None

    @property
    def secret_name(self) -> str | None:
        """The environment variable with its key."""
        return f"{self.name.upper().replace('-', '_')}_API_KEY" if self.key else None


class Rejected(Exception):
    """The server cannot be added. The text says why and what to do."""


def main(settings: Settings, server: Server) -> tuple[int, bool]:
    """Add a server. Returns the exit code, and whether the local stack has to be restarted."""
    if not NAME.fullmatch(server.name):
        click.echo(BAD_NAME, err=True)
        return 1, False
    try:
        model, context = choose(list_models(server), server)
        project = find(settings)
        project.call(
            "add_worker",
            p_name=server.name,
            p_url=server.url,
            p_model=model,
            p_context_tokens=context,
            p_secret_name=server.secret_name,
            p_priority=PRIORITY,
            p_is_private_origin=_is_private_origin(server.url, project),
        )
    except (Rejected, Unreachable) as error:
        click.echo(str(error), err=True)
        return 1, False
    except NoSuchFunction:
        click.echo("The database lacks migrations: make verify says what to do.", err=True)
        return 1, False
    click.echo(
        f"Added the server {server.name} with the model {plain(model)}. It is asked before others."
    )
    if server.secret_name:
        return 0, _keep_key(server, project)
    _check_now(server.name, project)
    return 0, False


def _is_private_origin(url: str, project: Project) -> bool:
    """Whether the environment allows the functions to call it in the operator's own network. Raises
    `Rejected`."""
    try:
        return is_private_origin(url, project.environment.get("PRIVATE_ORIGINS", ""))
    except ValueError as wrong:
        raise Rejected(f"PRIVATE_ORIGINS is not valid: {wrong}.") from wrong


def list_models(server: Server) -> Mapping[str, Mapping[str, Any]]:
    """The server's models by name. Raises `Rejected`."""
    headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    try:
        url = endpoint(server.url, "/v1/models", protocol="openai")
        reaches_out = not is_local(server.url)
        answer = httpx.get(url, headers=headers, timeout=SECONDS, trust_env=reaches_out)
        answer.raise_for_status()
        rows = answer.json()["data"]
        found = {row["id"]: row for row in rows if text(row.get("id"))}
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        remedy = "Give its key with KEY=..." if status in (401, 403) else "Is URL right?"
        raise Rejected(f"{url} answered {status}. {remedy}") from error
    except (httpx.HTTPError, httpx.InvalidURL, AddressRejected) as error:
        why = type(error).__name__
        raise Rejected(
            f"No server answers at {plain(server.url)} ({why}). Start it, and give its address:"
            " make add-server URL=http://127.0.0.1:11434"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Rejected(f"{url} does not list models, as OpenAI's API does.") from error
    if not found:
        raise Rejected(f"The server at {server.url} has no model. Load one, then try again.")
    return found


def choose(models: Mapping[str, Mapping[str, Any]], server: Server) -> tuple[str, int | None]:
    """The requested model, and its context if known. Raises `Rejected`."""
    names = plain(", ".join(models))
    if not server.model and len(models) > 1:
        raise Rejected(f"The server has several models. Choose one with MODEL=...: {names}")
    if server.model and server.model not in models:
        raise Rejected(f"The server has no model {server.model}. It has: {names}")
    model = server.model or next(iter(models))
    said = integer(models[model].get("max_model_len"), minimum=1, maximum=2**31 - 1)
    return model, server.context_tokens or said


def _keep_key(server: Server, project: Project) -> bool:
    """Put the key into .env, or say where it belongs. Returns whether .env changed."""
    secret = str(server.secret_name)
    environment = {**project.environment, secret: server.key}
    origins = unbound(secret, server.url, environment)
    if not project.is_local:
        also = f", and {origins}," if origins else ""
        click.echo(f"Set {secret} to its key{also} for both functions (docs/configuration.md).")
        return False
    ENV_FILE.touch(mode=0o600)
    set_key(ENV_FILE, secret, server.key)
    if origins:
        set_key(ENV_FILE, "KEY_ORIGINS", origins.removeprefix("KEY_ORIGINS="))
    click.echo(f"Its key is in {os.path.relpath(ENV_FILE)} as {secret}.")
    return True


def _check_now(name: str, project: Project) -> None:
    """Have health_check probe it now, if its secret is known here; it does so each minute."""
    secret = project.environment.get("HEALTH_CHECK_SECRET", "")
    found: Any = None
    if secret and project.functions_url:
        headers = {"Authorization": f"Bearer {secret}"}
        try:
            answer = httpx.post(
                f"{project.functions_url}/health_check",
                headers=headers,
                timeout=60,
                trust_env=not project.is_local,
            )
            found = answer.json()["workers"][name]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
            found = None
    if not isinstance(found, dict):
        click.echo("It answers turns after its first health check, within a minute.")
    elif found.get("isHealthy"):
        click.echo("It is healthy: make chat")
    else:
        click.echo(f"It gets no turns yet: {found.get('healthError')}. make verify shows more.")
