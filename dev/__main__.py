"""Commands for the local stack and for operators; the Makefile calls them."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import click
import httpx
from pydantic import ValidationError

from dev.options import json_option
from dev.settings import ROOT, Keys, Settings, tell_wrong
from dev.stack.part import StackError
from dev.stack.stack import NOT_RUNNING, START_SECONDS, Stack, only_stack, parts, read_state

UP_SECONDS = 240
DOWN_SECONDS = 20


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Run the local stack (database, language model, functions, scheduler) and operate a project.

    Ports are settings (DATABASE_PORT, FUNCTIONS_PORT, WORKER_PORT, STAND_IN_PORT,
    EMBEDDER_PORT) in the environment or in .env. Data, keys and logs are in .local/.
    """
    try:
        settings = context.obj = Settings()
    except ValidationError as error:
        fail(tell_wrong(error))
    except UnicodeDecodeError:
        fail(".env is not UTF-8 text. Save it as UTF-8.")
    try:
        settings.local_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fail(
            f"LOCAL_DIR: {error.filename} cannot be used ({error.strerror}). Choose another folder."
        )


def fail(message: str) -> NoReturn:
    """Print what is wrong and exit with code 1."""
    from dev.operate.report import tell

    tell(*message.splitlines(), err=True)
    sys.exit(1)


how_many = click.option(
    "--workers",
    type=click.IntRange(1, 8),
    help="How many workers; all but the first register themselves.",
)


@cli.command()
@how_many
@click.pass_obj
def run(settings: Settings, workers: int | None) -> None:
    """Start the stack and stay in the foreground.

    Ctrl-C stops it and all its processes. If the worker or the stand-in dies, the rest keeps
    running (replies fall back to the other) and `make up` restarts it. If the database or the
    functions die, everything stops with exit code 1.
    """
    settings.workers = workers or settings.workers
    try:
        with only_stack(settings):
            code = asyncio.run(Stack(settings).run())
    except StackError as error:
        fail(str(error))
    sys.exit(code)


@cli.command()
@how_many
@click.pass_obj
def up(settings: Settings, workers: int | None) -> None:
    """Start the stack in the background and wait until it is ready.

    If it is already running, restart the parts that are down or do not answer.
    """
    state = read_state(settings)
    if state is not None and not state["ready"]:
        fail("The local stack is starting or stopping right now. `make status` shows its state.")
    if state is not None:
        start_again(settings, int(state["pid"]))
        return
    settings.log_dir.mkdir(exist_ok=True)
    log = settings.log_dir / "stack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev", "run", "--workers", str(workers or settings.workers)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def settled() -> bool:
        state = read_state(settings) or {"pid": None}
        ready = state["pid"] == process.pid and state["ready"]
        return ready or process.poll() is not None

    with log.open() as lines:
        try:
            done = wait_until(settled, UP_SECONDS, lines.read)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            fail("The start was stopped.")
    if not done:
        process.terminate()
        fail(f"The stack is not ready after {UP_SECONDS} s. See {os.path.relpath(log)}.")
    if process.poll() is not None:
        sys.exit(1)


def wait_until(done: Callable[[], bool], seconds: float, news: Callable[[], str] = str) -> bool:
    """Print `news` until `done` returns true. Returns False on a timeout."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        finished = done()
        click.echo(news(), nl=False)
        if finished:
            return True
        time.sleep(0.1)
    return False


def start_again(settings: Settings, pid: int) -> None:
    """Make the running stack restart the parts that are down."""
    missing = [name for name, state, *_ in survey(settings) if state == "down"]
    if not missing:
        click.echo("The local stack is already running with all its parts.")
        return
    click.echo(f"Restarting: {', '.join(missing)}")
    os.kill(pid, signal.SIGUSR1)
    if not wait_until(lambda: all(row[1] == "up" for row in survey(settings)), START_SECONDS):
        fail("Some parts did not restart. `make status` shows which ones and their logs.")


@cli.command()
@click.pass_obj
def down(settings: Settings) -> None:
    """Stop the stack."""
    state = read_state(settings)
    if state is None:
        click.echo("The local stack is not running.")
        return
    pid = int(state["pid"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: read_state(settings) is None, DOWN_SECONDS):
        fail(f"Process {pid} does not stop. `kill -9 {pid}` stops it and all its parts.")
    click.echo("The local stack is stopped.")


@cli.command()
@json_option
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Show the parts, the pages' address and the demo account. Exit code 0 if all parts are up."""
    from dev.operate import report, status

    if read_state(settings) is None:
        if as_json:
            report.complain(NOT_RUNNING, as_json=True)
        fail(NOT_RUNNING)
    sys.exit(status.main(settings, survey(settings), as_json=as_json))


def survey(settings: Settings) -> list[tuple[str, str, str, str, str]]:
    """Name, state, process id, address and log of each part."""
    state = read_state(settings) or {"parts": {}}

    async def look() -> list[bool]:
        async with httpx.AsyncClient(trust_env=False, timeout=3) as client:
            return await asyncio.gather(*(part.is_well(client) for part in all_parts))

    settings.workers = state.get("workers", 1)
    all_parts = parts(settings, Keys.load(settings.local_dir))
    return [
        (
            part.name,
            "up" if well else "down",
            str(state["parts"].get(part.name, "-")),
            part.url,
            os.path.relpath(part.log),
        )
        for part, well in zip(all_parts, asyncio.run(look()), strict=True)
    ]


@cli.command()
@click.pass_obj
def reset(settings: Settings) -> None:
    """Delete the local data; the stack must be stopped. Keys and logs stay."""
    if read_state(settings) is not None:
        fail("The local stack is running: `make down` first, then `make reset`.")
    shutil.rmtree(settings.database_dir, ignore_errors=True)
    for path in (settings.local_dir / "applied.json", settings.stack_env):
        path.unlink(missing_ok=True)
    click.echo("The local data is deleted. The next start creates a new database.")


@cli.command()
@click.option("--message", envvar="MESSAGE", help="Send this message, print the reply and exit.")
@click.option("--model", envvar="MODEL", default="chat_worker", show_default=True)
@click.option("--character", envvar="CHARACTER", help="The id of another character.")
@click.pass_obj
def chat(settings: Settings, message: str | None, model: str, character: str | None) -> None:
    """Talk to the demo character as the demo user."""
    from dev.terminal import (
        chat as terminal,  # Not needed, and slow to import, for the other commands.
    )

    sys.exit(terminal.main(settings, message, model, character))


@cli.command("import-card")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def import_card(settings: Settings, file: Path) -> None:
    """Import a character card (JSON, PNG or CHARX) for the demo user."""
    from dev.terminal import card

    sys.exit(card.main(settings, file))


@cli.command()
@click.option("--token", envvar="VERIFY_TOKEN", help="A user's token: also run a real turn.")
@click.option("--stored", is_flag=True, help="Ask nobody now; show what health_check found last.")
@json_option
@click.pass_obj
def verify(settings: Settings, token: str | None, stored: bool, as_json: bool) -> None:
    """Check a local or remote project and say how to fix problems.

    Exit code 0: no problems; 1: problems; 2: could not check.
    """
    from dev.operate.verify import command as checks

    sys.exit(checks.main(settings, token, stored=stored, as_json=as_json))


@cli.command()
@click.argument("name")
@click.option("--drain", envvar="DRAIN", type=click.BOOL, help="1: no new turns for it; 0: again.")
@click.option("--remove", is_flag=True, envvar="REMOVE", help="Remove it with its key.")
@click.pass_obj
def worker(settings: Settings, name: str, drain: bool | None, remove: bool) -> None:
    """Create a worker and print its key, once. An existing worker gets a new key."""
    from dev.operate import worker as operate

    sys.exit(operate.main(settings, name, drain=drain, remove=remove))


remove_option = click.option("--remove", is_flag=True, envvar="REMOVE", help="Take it back.")
email_argument = click.argument("email", callback=lambda _, __, given: given.strip())


@cli.command()
@email_argument
@remove_option
@click.pass_obj
def admin(settings: Settings, email: str, remove: bool) -> None:
    """Give a person who has signed up the console."""
    from dev.operate import people

    sys.exit(people.make_admin(settings, email, remove=remove))


@cli.command("verify-age")
@email_argument
@remove_option
@click.pass_obj
def verify_age(settings: Settings, email: str, remove: bool) -> None:
    """Record that a person's age was verified."""
    from dev.operate import people

    sys.exit(people.verify_age(settings, email, remove=remove))


@cli.command("add-server")
@click.argument("url", callback=lambda _, __, given: given.strip())
@click.option("--key", envvar="KEY", default="", help="Its API key, if it wants one.")
@click.option("--model", envvar="MODEL", default="", help="The model, if it has several.")
@click.option("--name", envvar="NAME", default="own", show_default=True)
@click.option(
    "--context", "tokens", envvar="CONTEXT", type=click.IntRange(1024), help="Its context, tokens."
)
@click.pass_obj
def add_server(
    settings: Settings, url: str, key: str, model: str, name: str, tokens: int | None
) -> None:
    """Use your own OpenAI-compatible server; it is asked before other workers and models."""
    from dev.operate import server

    added = server.Server(name, url, key.strip(), model.strip(), tokens)
    code, has_new_key = server.main(settings, added)
    if has_new_key and read_state(settings) is not None:
        for command in ("down", "up"):  # The functions read their environment when they start.
            subprocess.run([sys.executable, "-m", "dev", command], cwd=ROOT, check=True)
    sys.exit(code)


@cli.command()
@click.option("--days", envvar="DAYS", default=14, show_default=True, type=click.IntRange(1, 400))
@json_option
@click.pass_obj
def usage(settings: Settings, days: int, as_json: bool) -> None:
    """Show cost, tokens, errors and latency by day, model and user.

    By day and by model, it adds up daily sums, with times rounded to two digits. There are no sums
    of users: it reads the newest 200,000 calls, and if these are not all, the heading says since
    when.
    """
    from dev.operate import usage as report

    sys.exit(report.main(settings, days, as_json=as_json))


@cli.command()
@click.argument("target", type=click.Choice(["roleplay_chat", "health_check", "scheduler", "db"]))
@click.option("--apply", is_flag=True, envvar="APPLY", help="Also run the commands.")
def deploy(target: str, apply: bool) -> None:
    """Print the commands that deploy a part of the project."""
    from dev.operate import deploy as deployment

    sys.exit(deployment.main(target, apply=apply))


@cli.command()
@click.option(
    "--database-url",
    envvar="DATABASE_URL",
    help="The connection string of the product's database, of its role postgres.",
)
@click.option("--apply", is_flag=True, envvar="APPLY", help="Do what is not done yet.")
@click.option("--undo", is_flag=True, help="Take everything back; with --apply only.")
@click.option("--rehearse", is_flag=True, help="Build the next prompt of every conversation.")
@click.option(
    "--write",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Write the steps as migrations into this folder of your repository.",
)
@click.option(
    "--age",
    "ages",
    nargs=2,
    type=(click.UUID, click.IntRange(0, 1_000_000)),
    multiple=True,
    metavar="CHARACTER YEARS",
    help="Declare a character's age. May be repeated.",
)
@click.option(
    "--verified",
    "people",
    type=click.UUID,
    multiple=True,
    metavar="PERSON",
    help="Record that a person's age was verified. May be repeated.",
)
@json_option
@click.pass_obj
def adopt(
    settings: Settings,
    database_url: str | None,
    apply: bool,
    undo: bool,
    rehearse: bool,
    folder: Path | None,
    ages: tuple[tuple[UUID, int], ...],
    people: tuple[UUID, ...],
    as_json: bool,
) -> None:
    """Move into the database of a product that runs already (docs/adopting.md).

    Without --apply nothing is changed. Exit code 0: done, or could be done; 1: refused.
    """
    from dev.adopt import command
    from dev.operate.project import find_environment

    if as_json and (undo or rehearse or folder or ages or people):
        raise click.UsageError("--json prints the plan. Leave it out with these options.")
    database_url = database_url or find_environment(settings)[0].get("DATABASE_URL", "").strip()
    if not database_url:
        fail(
            "Set DATABASE_URL to the connection string of the product's database"
            " (docs/adopting.md)."
        )
    if ages or people:
        run = partial(command.declare, ages=ages, people=people)
    elif folder is not None:
        run = partial(command.write, folder=folder)
    elif rehearse:
        run = partial(command.rehearse)
    else:
        run = (
            partial(command.undo, apply=apply)
            if undo
            else partial(command.adopt, apply=apply, as_json=as_json)
        )
    sys.exit(command.main(database_url, run, as_json=as_json))


@cli.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path | None) -> None:
    """Write rows, pictures and settings into one FILE, from the database of DATABASE_URL.

    Pictures are read with SUPABASE_URL and SUPABASE_SECRET_KEY. It has no keys, secrets or
    passwords. An adopted installation backs up what is ours; the product's tables are its own.
    Progress is printed on stderr. Exit code 0: written; 1: not.
    """
    from dev.backup import command

    sys.exit(command.backup(file))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
def restore(file: Path) -> None:
    """Restore a FILE of `backup` into the database of DATABASE_URL.

    The database has the schema that the backup was made with, or none, and then gets it. One with
    rows of people is refused. Everything is restored or nothing. Accounts that the Auth server of
    SUPABASE_URL lacks are made without passwords. Exit code 0: restored; 1: not.
    """
    from dev.backup import command

    sys.exit(command.restore_from(file))


@cli.command("settings")
@json_option
@click.pass_obj
def show_settings(settings: Settings, as_json: bool) -> None:
    """Show all settings of both functions and report wrong values."""
    from dev.operate import environment

    sys.exit(environment.main(settings, as_json=as_json))


INTERRUPTED = 0 if "MAKELEVEL" in os.environ else 130
"""The exit code after Ctrl-C. It is a failure only for a caller that is not make, which ends by
Ctrl-C itself and would also complain about the command."""


def explain(error: click.ClickException) -> None:
    """Print what is wrong with a command, under the names of make's variables."""
    parameter = error.param if isinstance(error, click.BadParameter) else None
    name = parameter and make_variable(parameter)
    if not name:
        error.show()
    elif isinstance(error, click.MissingParameter):
        click.echo(f"Add {name}=... to the command.", err=True)
    else:
        click.echo(f"{name}: {error.message}", err=True)


def make_variable(parameter: click.Parameter) -> str | None:
    """The variable with which make passes on a parameter, or None if it has none."""
    if isinstance(parameter, click.Argument):
        is_target = isinstance(parameter.type, click.Choice)  # a part of the target's name
        return None if is_target else parameter.human_readable_name
    return parameter.envvar if isinstance(parameter.envvar, str) else None


def main() -> NoReturn:
    """Run the command of the arguments and exit."""
    try:
        sys.exit(cli.main(prog_name="python -m dev", standalone_mode=False))
    except click.ClickException as error:
        explain(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
