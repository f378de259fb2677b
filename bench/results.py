"""All results of a run."""

from dataclasses import dataclass, field

from bench.cold_start import Imports, Start
from bench.growth import Growth
from bench.history import LongHistory
from bench.hostile import Hostile
from bench.instances import Instances
from bench.instructions import Instructions
from bench.recall import Recall
from bench.soak import Soak
from bench.streams import Streams
from bench.turns import Comparison


@dataclass
class Results:
    """The results of a run; parts that were not measured are None or empty."""

    machine: list[tuple[str, str]] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    comparison: Comparison | None = None
    streams: dict[str, Streams] = field(default_factory=dict)
    instances: dict[int, Instances] = field(default_factory=dict)
    """By their number."""
    starts: dict[str, Start] = field(default_factory=dict)
    imports: Imports | None = None
    instructions: dict[str, Instructions] = field(default_factory=dict)
    histories: dict[str, LongHistory] = field(default_factory=dict)
    growth: Growth | None = None
    recall: Recall | None = None
    prompts: dict[int, dict[int, float]] = field(default_factory=dict)
    soak: Soak | None = None
    hostile: Hostile | None = None
