"""The command: measures, prints the tables, and writes them into docs/memory.md."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
import httpx

from bench import progress
from bench.memory import book, locomo, prefix, report, world
from bench.memory.function import Function
from bench.memory.results import Results, read, to_json, write
from dev.operate.report import Line, Part, show, tell
from dev.options import json_option
from tests.support.installations import NEW, connect, install
from tests.support.postgres import OWNER, ROOT, Postgres, running_postgres

T = TypeVar("T")

DOCUMENT = ROOT / "docs" / "memory.md"
BEFORE = Path(__file__).with_name("before.json")
"""The results before facts had a source and a weight, and before anything was recalled."""
RAW = ROOT / ".local" / "bench" / "memory.json"
PARTS = ("prefix", "book", "world", "locomo")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Measure only this part.")
@click.option(
    "--conversations",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of conversations in LoCoMo's format, for the part locomo.",
)
@click.option(
    "--embeddings",
    default="",
    help="The address of POST /v1/embeddings: LoCoMo's questions are asked with that model, too.",
)
@click.option(
    "--seed", type=int, default=0, help="Another number: another conversation and another world."
)
@click.option(
    "--write", "writes", is_flag=True, help=f"Write the tables into docs/{DOCUMENT.name}."
)
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RAW,
    help=f"The file for all results, as JSON. [default: {RAW.relative_to(ROOT)}]",
)
@json_option
def main(
    only: tuple[str, ...],
    conversations: Path | None,
    embeddings: str,
    seed: int,
    writes: bool,
    raw: Path,
    as_json: bool,
) -> None:
    """Measure what prompts know of long conversations, and how alike they are."""
    parts = only or PARTS
    if "locomo" in parts and conversations is None:
        if only:
            raise click.UsageError("The part locomo needs --conversations FOLDER.")
        tell("Without --conversations FOLDER the part locomo is left out.", err=True)
    if writes and seed:
        raise click.UsageError("The tables of the document are of the seed 0.")
    talks = _read(conversations) if conversations and "locomo" in parts else []
    if embeddings:
        _check_embeddings(embeddings, talks)
    _check_writable(raw)
    started = time.monotonic()
    results = measure(parts, talks, seed, embeddings)
    write(results, raw)
    tables = report.tables(results, Results() if seed else read(BEFORE))
    missed = [Line(f"missed: {figure}", "red") for figure in report.missed(tables)]
    told: list[Part] = [*(table.part() for table in tables.values()), *missed]
    show(told, to_json(results), as_json=as_json)
    if writes:
        DOCUMENT.write_text(report.with_tables(DOCUMENT.read_text(), tables))
        tell(f"Written: {DOCUMENT.relative_to(ROOT)}", err=True)
    tell(f"{(time.monotonic() - started) / 60:.1f} minutes; all results: {raw}", err=True)


def _read(folder: Path) -> list[locomo.Conversation]:
    try:
        return locomo.read_conversations(folder)
    except locomo.BadConversations as error:
        raise click.UsageError(str(error)) from error


def _check_embeddings(url: str, talks: Sequence[locomo.Conversation]) -> None:
    """Ask for an embedding before anything is measured."""
    if not talks:
        raise click.UsageError("--embeddings is for the part locomo: add --conversations FOLDER.")
    try:
        answer = httpx.post(url, json={"model": "embedder", "input": ["Hello"]}, timeout=60)
        found = answer.raise_for_status().json()["data"][0]["embedding"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        raise click.UsageError(
            f"No embeddings model answers at {url}. `make embeddings` starts one and prints its"
            f" URL ({type(error).__name__})."
        ) from error
    if not isinstance(found, list):
        raise click.UsageError(f"The model at {url} does not answer with lists of numbers.")


def _check_writable(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("a").close()
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}.") from error


def measure(
    parts: Sequence[str], talks: Sequence[locomo.Conversation], seed: int, embeddings: str = ""
) -> Results:
    """Measure the selected parts. `embeddings` is the address of an embeddings model."""
    results = Results(commit=_commit())
    with running_postgres() as postgres:
        if "prefix" in parts:
            results.prefix = _run(postgres, "prefix", partial(prefix.compare, seed=seed))
        if "book" in parts:
            results.book = _run(postgres, "book", partial(book.compare, seed=seed))
        if "world" in parts:
            results.world = _run(postgres, "world", partial(world.live_all, seed=seed))
        if talks:
            if embeddings:
                _run(
                    postgres,
                    "meaning",
                    lambda function, say: locomo.find_by_meaning(function, talks, say),
                    embeddings,
                )
            results.locomo, results.noted = _run(
                postgres, "locomo", lambda function, say: locomo.compare(function, talks, say)
            )
    return results


def _run(
    postgres: Postgres,
    part: str,
    measuring: Callable[[Function, Callable[[str], None]], Awaitable[T]],
    embeddings: str = "",
) -> T:
    """Measure a part in a database of its own."""
    say = progress.say(part)
    say("preparing a database")
    install(postgres, part, NEW)
    if embeddings:
        with postgres.connect(part, OWNER) as owner:
            owner.execute("create extension vector schema extensions")

    async def run() -> T:
        function = Function(db, embeddings=embeddings)
        try:
            return await measuring(function, say)
        finally:
            await function.aclose()

    with connect(postgres, part) as db:
        return asyncio.run(run())


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main(prog_name="python -m bench.memory")
