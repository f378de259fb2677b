"""The plan of an adoption: as a report for people, and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dev.adopt.apply import LOCK_TIMEOUT
from dev.adopt.inspect import Assessment
from dev.adopt.steps import INDEXES
from dev.operate.report import Line, Part

ADDED = (
    "the schemas private and shared, and tables, views and functions of ours in public",
    "public.messages: the columns position and edited_at, a trigger that sets the position of new"
    " rows, and two that forget what was noted from rows that are edited or deleted",
    "public.system_config: a trigger that keeps newer health records",
    *(f"the index {name} on {columns}, while others write" for name, columns in INDEXES.items()),
)


@dataclass(frozen=True)
class Plan:
    """What was found, and what there is to do."""

    assessment: Assessment
    todo: Sequence[str]
    """The steps that are not done, by name."""
    done: int
    waiting: int
    """Messages without a position, where all steps are done."""

    @property
    def is_refused(self) -> bool:
        return bool(self.assessment.refusals)

    @property
    def has_work(self) -> bool:
        return bool(self.todo or self.waiting) and not self.is_refused

    def data(self) -> dict[str, Any]:
        """For programs."""
        steps = {"todo": list(self.todo), "done": self.done}
        return asdict(self.assessment) | steps | {"messages_without_position": self.waiting}

    def report(self) -> list[Part]:
        """For people."""
        return [Line(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        yield f"Found: {self.assessment.state}."
        yield from _listed("Refused", self.assessment.refusals)
        yield from _listed("What is there", self.assessment.remarks)
        yield from _listed("What you decide", self.assessment.decisions)
        if self.is_refused:
            return
        yield from self._steps() if self.todo else ("", "Everything is adopted.")
        if self.waiting:
            yield ""
            yield (
                f"Messages without a position: {self.waiting}. They were loaded while triggers were"
                " off and are in no prompt. They get positions by their times, as old messages did."
            )

    def _steps(self) -> Iterator[str]:
        yield from _listed("What is added", ADDED)
        yield ""
        yield (
            f"{len(self.todo)} steps to do, {self.done} done. Locks on your tables last"
            f" milliseconds, and a step waits {LOCK_TIMEOUT} for one at most, then lets others go"
            " first. Old messages get their positions in batches. No policy, constraint, key or"
            " column of yours is changed."
        )


def _listed(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield ""
        yield f"{title}:"
        for sentence in sentences:
            yield f"- {sentence}"
