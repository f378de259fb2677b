"""The results as tables."""

from collections.abc import Sequence

from dev.operate.report import Block, Line, Part, Table, short_names
from dev.operate.verify.check import Check, Facts, counted

MARKS = {
    "ok": ("✓", "green"),
    "reminder": ("!", "yellow"),
    "problem": ("✗", "red"),
    "unknown": ("?", "yellow"),
}
ARROW = "→"


def report(checks: Sequence[Check], models: Sequence[Facts]) -> list[Part]:
    """The active models, the checks, and the number of problems."""
    problems = [check for check in checks if check.state == "problem"]
    result = (
        Line(f"{counted(problems, 'problem')} found.", "red")
        if problems
        else Line("No problems found.", "green")
    )
    return [_table_of_models(models), _table_of_checks(checks), result]


def _table_of_models(models: Sequence[Facts]) -> Table:
    short = short_names(model["model_key"] for model in models)
    names = [model["display_name"] + (" (default)" * model["is_default"]) for model in models]
    named = list(zip(names, models, strict=True))
    return Table(
        ("task", "priority", "model", "key", "provider"),
        [(m["task"], str(m["priority"]), name, m["model_key"], m["provider"]) for name, m in named],
        "Active models",
        [
            Block(
                name,
                [f"{m['task']} {m['priority']}: {short[m['model_key']]}, {m['provider']}"],
            )
            for name, m in named
        ],
    )


def _table_of_checks(checks: Sequence[Check]) -> Table:
    remedies = ["" if check.state == "ok" else check.remedy for check in checks]
    rows = [
        (MARKS[check.state][0], check.name, check.found, remedy)
        for check, remedy in zip(checks, remedies, strict=True)
    ]
    blocks = [
        Block(f"{mark} {name}", [found, remedy and f"{ARROW} {remedy}"], MARKS[check.state][1])
        for (mark, name, found, remedy), check in zip(rows, checks, strict=True)
    ]
    return Table(("", "what", "found", "what to do"), rows, "Checks", blocks)
