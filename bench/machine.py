"""Describes the machine and the resource usage of processes. Linux only: reads /proc."""

import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000
_SCHEDULER = 2
"""The scheduler's clock of a process: the lowest bits of its number, as the kernel has it."""


@dataclass(frozen=True)
class Usage:
    """Resource usage of a process group. Memory in bytes."""

    cpu_seconds: float
    peak: int
    """Peak resident memory of its largest process."""
    resident: int
    """Current memory of its largest process."""
    proportional: int
    """Current memory of all its processes; shared memory counts once."""


def measure_usage(group: int) -> Usage:
    """Measure the usage of a process group."""
    processes = [path for path in Path("/proc").glob("[0-9]*") if _group(path) == group]
    statuses = [_fields(path / "status") for path in processes]
    return Usage(
        cpu_seconds=sum(cpu_seconds(int(path.name)) for path in processes),
        peak=max((status["VmHWM"] for status in statuses), default=0),
        resident=max((status["VmRSS"] for status in statuses), default=0),
        proportional=sum(_fields(path / "smaps_rollup")["Pss"] for path in processes),
    )


def newest_process(group: int) -> int:
    """The process of a group that was started last: the one that answers, if a server forks."""
    return max(int(path.name) for path in Path("/proc").glob("[0-9]*") if _group(path) == group)


def cpu_seconds(process: int) -> float:
    """The processor time of a process by its own clock, which is finer than the ticks of /proc.

    0 for one that has ended.
    """
    try:
        return time.clock_gettime(~process << 3 | _SCHEDULER)
    except OSError:
        return 0.0


def describe() -> list[tuple[str, str]]:
    """Properties of this machine by name."""
    memory = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) * 1024
    return [
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("memory", f"{memory / 1e9:.0f} GB"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
    ]


def load_average() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return names[0] if names else platform.machine()


def _stat(process: Path) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on. The second can contain any characters."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _group(process: Path) -> int | None:
    stat = _stat(process)
    return int(stat[2]) if stat else None


def _fields(path: Path) -> dict[str, int]:
    """Parse lines such as "Name:  123 kB"; values in bytes."""
    found = re.findall(r"^(\w+):\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return {name: int(value) * 1024 for name, value in found}
