"""`make worker`: creates, drains and removes the workers that register themselves."""

import re
import secrets
from hashlib import sha256

import click

from dev.operate.project import NoSuchFunction, Project, Unreachable, find
from dev.settings import Settings

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
BAD_NAME = (
    "A worker's name has at most 40 lower case letters, digits, - and _, and begins with a letter."
)


def main(settings: Settings, name: str, *, drain: bool | None, remove: bool) -> int:
    """Create, drain or remove a worker, and print the result. Returns the exit code."""
    if not NAME.fullmatch(name):
        return _fail(BAD_NAME)
    try:
        project = find(settings)
        if remove:
            return _remove(project, name)
        return _make(project, name) if drain is None else _drain(project, name, drain)
    except NoSuchFunction:
        return _fail("The database lacks migrations: make verify says what to do.")
    except Unreachable as error:
        return _fail(str(error))


def _make(project: Project, name: str) -> int:
    if name == "chat_worker":
        return _fail("chat_worker is the worker of the settings. Choose another name.")
    key = secrets.token_urlsafe(32)
    is_new = project.call("make_worker", p_name=name, p_key_hash=sha256(key.encode()).hexdigest())
    done = "Made the worker" if is_new else "The old key is void. Made another one for the worker"
    click.echo(f"{done} {name}. This is its key, which is shown only now:", err=True)
    click.echo(key)
    where = f"{project.functions_url or '<functions>'}/health_check/workers/{name}"
    click.echo(f"It registers itself with this key at {where} (docs/configuration.md).", err=True)
    return 0


def _drain(project: Project, name: str, drain: bool) -> int:
    if not project.call("drain_worker", p_name=name, p_is_draining=drain):
        return _unknown(name)
    state = "gets no new turns; running ones go on" if drain else "gets turns again"
    click.echo(f"The worker {name} {state}.")
    return 0


def _remove(project: Project, name: str) -> int:
    if not project.call("remove_worker", p_name=name):
        return _unknown(name)
    click.echo(f"Removed the worker {name}; its key is void.")
    return 0


def _unknown(name: str) -> int:
    return _fail(f"There is no worker {name}.")


def _fail(sentence: str) -> int:
    click.echo(sentence, err=True)
    return 1
