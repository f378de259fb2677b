"""The command: measures, prints the tables, and writes docs/benchmarks.md."""

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import (
    cold_start,
    growth,
    history,
    hostile,
    instances,
    instructions,
    prompts,
    recall,
    report,
    soak,
    streams,
    turns,
)
from bench.environments import Environments, prepare
from bench.machine import describe, load_average
from bench.plan import Plan
from bench.programs import FOLDER, Programs
from bench.progress import say
from bench.results import Results
from bench.surroundings import Surroundings, surroundings
from bench.systems import (
    FLOOR,
    FUNCTION,
    LITELLM,
    PORTKEY,
    System,
    direct,
    start_function,
    start_litellm,
    start_portkey,
)
from dev.build import build
from dev.operate.report import show, tell
from dev.options import json_option
from tests.support.postgres import ROOT
from tests.support.postgrest import find_binary

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PARTS = (
    *("turns", "streams", "instances", "instructions", "history", "starts"),
    *("growth", "recall", "prompts", "soak", "hostile"),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Small sizes and one round: under two minutes.")
@click.option("--rounds", type=int, help="Rounds of the comparison.")
@click.option("--soak-turns", type=int, help="Turns of the memory test.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Measure only this part.")
@click.option("--peers/--no-peers", default=True, help="Measure LiteLLM and Portkey too.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help=f"The document to write. [default: {DOCUMENT.relative_to(ROOT)} for a whole run, "
    "else .local/bench/benchmarks.md]",
)
@json_option
def main(
    quick: bool,
    rounds: int | None,
    soak_turns: int | None,
    only: tuple[str, ...],
    peers: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure what a turn costs, compared with other gateways."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    whole = not (quick or only) and peers
    plan = Plan.quick() if quick else Plan()
    plan = replace(plan, rounds=rounds or plan.rounds, soak_turns=soak_turns or plan.soak_turns)
    FOLDER.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    results = measure(plan, only or PARTS, peers=peers)
    results.machine.append(("duration", f"{(time.monotonic() - started) / 60:.0f} minutes"))

    # A key that is not a text, such as a pair, is left out.
    told = json.loads(json.dumps(asdict(results), default=str, skipkeys=True))
    show((table.part() for table in report.tables(results)), told, as_json=as_json)
    document = output or (DOCUMENT if whole else FOLDER / "benchmarks.md")
    document.write_text(report.document(results))
    raw = FOLDER / "results.json"
    raw.write_text(json.dumps(told, indent=1))
    tell(f"Written: {document}", err=True)


def measure(plan: Plan, parts: Sequence[str], *, peers: bool) -> Results:
    """Measure the selected parts."""
    results = Results()
    build()
    environments = prepare(say("packages"), peers=peers and "turns" in parts)
    quiet = load_average()
    if "prompts" in parts:
        say("prompts")("building")
        results.prompts = prompts.build_times(plan.prompt_messages)
    with Programs() as programs, surroundings(programs) as around:
        results.machine = [
            ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
            ("commit", _commit()),
            *describe(),
            ("load before", f"{quiet:.2f}"),
            *_versions(environments, around),
        ]
        if {"turns", "streams"} & set(parts):
            with Programs() as measured:
                _compare(measured, environments, around, plan, parts, results)
            results.commands |= measured.commands
        if "instances" in parts:
            results.instances = instances.compare(
                programs, environments, around, plan, say("instances")
            )
        if "starts" in parts:
            results.starts = cold_start.starts(programs, environments, around, plan, say("starts"))
            results.imports = cold_start.imports(programs, environments, around)
        if "instructions" in parts:
            results.instructions = instructions.count(
                programs, environments, around, say("instructions")
            )
        if "history" in parts:
            results.histories = history.long_turns(
                programs, environments, around, plan, say("history")
            )
        if "soak" in parts:
            results.soak = soak.soak(programs, environments, around, plan, say("soak"))
        if "hostile" in parts:
            results.hostile = hostile.attack(programs, environments, around, plan, say("hostile"))
        if "growth" in parts:
            results.growth = growth.grow(around.postgres, plan, say("growth"))
        if "recall" in parts:
            results.recall = recall.recall(around.postgres, plan, say("recall"))
        results.commands = programs.commands | results.commands
    return results


def _compare(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    plan: Plan,
    parts: Sequence[str],
    results: Results,
) -> None:
    ours = [start_function(programs, environments, around, name) for name in (FUNCTION, FLOOR)]
    alone = direct(around)
    if "turns" in parts:
        others: list[System] = []
        if environments.litellm:
            others = [
                start_litellm(programs, environments, around),
                start_portkey(programs, environments, around),
            ]
        results.comparison = turns.compare([*ours, *others, alone], around, plan, say("turns"))
    if "streams" in parts:
        for system in (*ours, alone):
            say("streams")(system.name)
            results.streams[system.name] = streams.keep_open(system, around, plan)


def _versions(environments: Environments, around: Surroundings) -> list[tuple[str, str]]:
    packages = ["functions-framework", "uvicorn", "starlette", "httpx", "aiohttp", "supabase"]
    peers = [("litellm", LITELLM)] if environments.litellm else []
    peers += [("portkey", PORTKEY)] if environments.portkey else []
    found = [(name, environments.version(name)) for name in packages]
    found += [(title, environments.version(name)) for name, title in peers]
    server = around.db.execute("show server_version").fetchall()[0]["server_version"]
    return [
        ("Node.js", _output("node", "--version")),
        ("Postgres", server),
        ("PostgREST", _output(str(find_binary()), "--version").removeprefix("PostgREST ")),
        *found,
    ]


def _commit() -> str:
    changed = _output("git", "status", "--porcelain", "functions", "supabase")
    return _output("git", "rev-parse", "--short", "HEAD") + (" and changes" if changed else "")


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main(prog_name="python -m bench")
