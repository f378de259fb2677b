"""Runs the load generator, bench/node/load.mjs."""

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.programs import BENCH

GENERATOR = BENCH / "node" / "load.mjs"


@dataclass(frozen=True)
class Spread:
    """Percentiles in milliseconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True)
class Load:
    """The results of one run of the load generator."""

    turns: int
    """Turns completed with the whole text."""
    failures: Mapping[str, int]
    """Numbers of other turns, by how they ended."""
    turns_per_second: float
    seconds: float
    received: int
    """Bytes."""
    first: Spread
    """Time from sending the request to the first token."""
    whole: Spread
    """Time to the end of the response."""
    delay: Spread
    """Delay of each token since the provider sent it, if its times were requested."""


def run(
    port: int,
    requests: Sequence[Mapping[str, Any]],
    *,
    concurrency: int,
    tokens: int,
    seconds: float = 0,
    turns: int | None = None,
    stagger: float = 0,
    once: bool = False,
    times: str | None = None,
) -> Load:
    """Run turns. The parameters are those of the generator's plan.

    By default there is at least one turn per connection. Raises `RuntimeError` if the generator
    fails.
    """
    plan = {
        "port": port,
        "requests": requests,
        "concurrency": concurrency,
        "tokens": tokens,
        "seconds": seconds,
        "turns": concurrency if turns is None else turns,
        "stagger": stagger,
        "once": once,
        "times": times,
    }
    done = subprocess.run(
        ["node", str(GENERATOR)], input=json.dumps(plan), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{GENERATOR.name} failed:\n{done.stderr}")
    result = json.loads(done.stdout)
    window = result["window"]
    return Load(
        turns=result["turns"],
        failures=result["failures"],
        turns_per_second=window["turns"] / window["seconds"],
        seconds=result["seconds"],
        received=result["received"],
        first=_spread(result["first"]),
        whole=_spread(result["whole"]),
        delay=_spread(result["delay"]),
    )


def _spread(values: Mapping[str, float | None]) -> Spread:
    known = {name: math.nan if value is None else value for name, value in values.items()}
    return Spread(**known)
