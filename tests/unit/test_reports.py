"""Reports within 80 columns, piped, and as JSON; the stored ones are in tests/data/reports.

After an intended change, run REWRITE_REPORTS=1 .venv/bin/python -m pytest
tests/unit/test_reports.py and read the `git diff`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench import first_reply, retention
from bench.report import Table as Measured
from dev import metrics
from dev.adopt.inspect import Assessment
from dev.adopt.plan import Plan
from dev.operate import environment, status, usage
from dev.operate.report import Line, Part, Table, piped, plain, short_names, show, tell
from dev.operate.verify.check import Check
from dev.operate.verify.report import report
from tests.policy import __main__ as policy
from tests.support.settings import NEEDED

FOLDER = Path(__file__).parents[1] / "data" / "reports"
WIDTH = 80
VENICE = "cognitivecomputations/dolphin-mistral-24b-venice-edition:free"


def rows_of_usage() -> dict[str, list[usage.Usage]]:
    busy: dict[str, Any] = {
        "turns": 12_345_678,
        "calls": 12_400_000,
        "errors": 900_000,
        "outcomes": {"rate_limited": 890_000, "timeout": 10_000},
        "prompt_tokens": 123_456_789_012,
        "cached_tokens": 5_000_000_000,
        "completion_tokens": 4_000_000_000,
        "cost_usd": 12_345.6789,
        "first_token_ms_p50": 800,
        "first_token_ms_p95": 120_000,
        "duration_ms_p50": 3000,
        "duration_ms_p95": 3_600_000,
    }
    few = {"turns": 1, "calls": 2, "cost_usd": 3000}
    models = [f"openrouter:{VENICE}", "chat_worker:qwen_instruct"]
    people = [f"{digit}" * 8 + "-0000-4000-8000-000000000000" for digit in "12"]
    return {
        name: usage.read([{"key": keys[0]} | busy, {"key": keys[1]} | few])
        for name, keys in zip(
            usage.REPORTS, [["2026-01-01", "2026-01-03"], models, people], strict=True
        )
    }


def sides() -> list[usage.Side]:
    numbers = {"conversations": 123_456, "said": 1_234_567, "replies": 1_234_000}
    return usage.read_sides_of(
        [
            numbers
            | {"day": "2026-01-03", "side": side, "failed": 12_345, "fallbacks": fallbacks}
            | {"duration_ms_p50": 3500, "cost_usd": 1234.5}
            for side, fallbacks in (("old", None), ("new", 999))
        ]
    )


def models() -> list[dict[str, Any]]:
    return [
        {
            "task": task,
            "priority": priority,
            "display_name": name,
            "is_default": priority == 1,
            "model_key": key,
            "provider": "openrouter",
        }
        for task, priority, name, key in (
            ("roleplay", 1, "Venice Dolphin Mistral 24B", VENICE),
            ("prompt_enhancement", 2, "Mistral Nemo", "mistralai/mistral-nemo"),
            ("roleplay", 3, "Another Nemo", "another/mistral-nemo"),
        )
    ]


CHECKS = [
    Check("database", "ok", "answers at https://abcdefghijklmnopqrst.supabase.co"),
    Check("migrations", "unknown", "the database has no record of them", "make deploy-db"),
    Check(
        "provider openrouter",
        "problem",
        "OpenRouter_Roleplay_API_KEY may not be sent to https://gateway.example.com/openai/v1",
        "if it is intended, set KEY_ORIGINS=OpenRouter_Roleplay_API_KEY=https://openrouter.ai,"
        "OpenRouter_Roleplay_API_KEY=https://gateway.example.com for both functions",
    ),
    Check("site", "reminder", "SITE_URL is not set: providers are not told who asks", "set"),
    Check("worker chatWorker", "problem", "\x1b[2Jit is unhealthy: [red]", "start it"),
]
SETTINGS = NEEDED | {
    "OpenRouter_Roleplay_API_KEY": "sk-canary",
    "CORS_ALLOW_ORIGINS": "https://a.example",
}
PARTS = [
    ("database", "up", "12345", "http://127.0.0.1:54321", ".local/logs/database.log"),
    ("worker", "down", "-", "http://127.0.0.1:8788", ".local/logs/worker.log"),
]
ELSEWHERE = [(*row[:4], f"/var/lib/a/folder/that/is/elsewhere/{row[0]}.log") for row in PARTS]
LAPS = [("git clone", 0.25), ("make up", 42.5), ("the first words of a reply", 1052.06)]
PAGES = {
    "pages": "http://127.0.0.1:8787/",
    "console": "http://127.0.0.1:8787/console.html",
    "api": "http://127.0.0.1:8787/api.html",
    "demo_email": "demo@example.com",
    "demo_password": "a-password",
}


def settings(*names: str) -> list[Part]:
    """The report of all settings, or of some."""
    listed = list(environment.list_settings(SETTINGS, "environment"))
    kept = [one for one in listed if not names or one.name in names]
    return environment.report(kept, ["roleplay_chat: LOG_LEVEL: Input should be 'debug'"])


FOUND = Assessment(
    "a product with people, characters and messages, as of April",
    [],
    ["public.messages has 12 columns that are not used here, among them one_with_a_long_name"],
    ["The adult tier. Today every conversation has it."],
)
REFUSED = Assessment("a product", ["public.system_config is missing."], [], [])

AREA = dict(zip(metrics.HEADINGS, (1827, 6.5, 16, 70, 178, 23, 0, 0), strict=True))
METRICS = {
    "areas": {"functions": AREA, "web/js": {"modules": 102, "depth": 13, "cycles": 1}},
    "longest": {"functions": {"roleplay_chat.generation.error_classifier.from_error": 45}},
    "chain": ["roleplay_chat.main", "roleplay_chat.app"],
    "cycles": [["web/js/a.js", "web/js/b.js"]],
    "upward": [["edge.logs", "roleplay_chat.app"]],
}
SCREENED = {
    "texts": 1374,
    "languages": {"all": {"to_refuse": 638, "missed": 1, "to_pass": 736, "refused": 2}},
    "missed": ["hr035"],
    "falsely_refused": ["hp001", "hp002"],
}
SCENES = {"scenes": 71, "missed": 0, "ordinary": 488, "explicit": 229, "touched": 1}
POLICY = {
    "corpus": SCREENED,
    "held_out": SCREENED | {"first_run": "62 of 73 refused"},
    "scenes": {"languages": {"all": SCENES}, "missed": [], "touched": ["or001"]},
    "speed": {"nothing but ages": 0.25},
    "within_bounds": False,
}
MEASURED = Measured(
    "What is still known",
    "",
    ["context", "important, turn 300", "superseded, shown as current", "tokens a turn"],
    [["8,192, before", "31 of 60", "3 of 24", "7,901"], ["8,192, now", "59 of 60", "0", "6,903"]],
)

REPORTS: dict[str, Sequence[Part]] = {
    "adopt": Plan(FOUND, ["tables", "indexes"], 3, 0).report(),
    "adopt-done": Plan(FOUND, [], 5, 1234).report(),
    "adopt-refused": Plan(REFUSED, ["tables"], 0, 0).report(),
    "usage": list(usage.report(rows_of_usage(), sides(), 14)),
    "usage-nothing": list(usage.report({name: [] for name in usage.REPORTS}, [], 14)),
    "verify": report(CHECKS, models()),
    "verify-well": report(CHECKS[:1], models()[:1]),
    "settings": settings(
        "SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", "KEY_ORIGINS"
    ),
    "status": status.report(PARTS, PAGES),
    "status-elsewhere": status.report(ELSEWHERE, PAGES),
    "metrics": list(metrics.report(METRICS)),
    "policy": list(policy.report(POLICY)),
    "measured": [MEASURED.part()],
    "retention": retention.report(
        [retention.Costs(100_000, 24.1, 19.2, 1, 0.4, 0.1)], {"load": "0.5 at the end"}
    ),
    "first-reply": first_reply.report(LAPS, {"processor": "two cores", "load": "4.5 at the end"}),
}


def on_terminal(parts: Sequence[Part], width: int = WIDTH) -> str:
    output = StringIO()
    console = Console(file=output, width=width, highlight=False, emoji=False)
    for part in parts:
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())


@pytest.mark.parametrize("name", REPORTS)
def test_report_is_as_stored(name: str) -> None:
    shown = {
        "80": on_terminal(REPORTS[name]),
        "piped": "".join(f"{line}\n" for line in piped(REPORTS[name])),
    }
    for form, text in shown.items():
        file = FOLDER / f"{name}.{form}.txt"
        if os.environ.get("REWRITE_REPORTS"):
            file.write_text(text)
        assert text == file.read_text()


def test_no_other_reports_are_stored() -> None:
    files = {f"{name}.{form}.txt" for name in REPORTS for form in ("80", "piped")}
    assert {file.name for file in FOLDER.iterdir()} == files


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", [*REPORTS, "settings-all"])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(name: str, width: int) -> None:
    parts = settings() if name == "settings-all" else REPORTS[name]
    text = on_terminal(parts, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "\x1b" not in text
    joined = "".join(text.split())
    for part in parts:
        if isinstance(part, Line):
            assert "".join(plain(part.text).split()) in joined
        elif name.startswith(("verify", "settings", "status")):
            told = [cell for row in part.rows for cell in row[1:] if cell and part.headings[0]]
            short = {cell: cell.rpartition("/")[2] for cell in told if cell.count("/") == 1}
            assert [
                cell
                for cell in told
                if "".join(plain(short.get(cell, cell)).split()) not in joined
                and cell not in ("both",)
            ] == []


def test_piped_row_is_one_line() -> None:
    lines = [line.split() for line in piped(REPORTS["settings"])]
    (line,) = (line for line in lines if "SUPABASE_JWT_SECRET" in line)
    assert line[:2] == ["SUPABASE_JWT_SECRET", "roleplay_chat"]
    (row,) = (line for line in piped(REPORTS["verify"]) if "✗ " in line and "KEY_ORIGINS" in line)
    assert row.endswith("https://gateway.example.com for both functions")


def test_wide_letters_are_aligned_by_their_cells() -> None:
    table = Table(("name", "n"), [("灯台守", "1"), ("Mara", "2")], right=("n",))
    assert list(piped([table])) == [" name    n", " 灯台守  1", " Mara    2", ""]


def test_name_is_whole_where_its_end_is_not_unique() -> None:
    assert short_names(["p:a/m", "b/m", VENICE, "worker", "x/"]) == {
        "p:a/m": "p:a/m",
        "b/m": "b/m",
        VENICE: "dolphin-mistral-24b-venice-edition:free",
        "worker": "worker",
        "x/": "x/",
    }


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (999_949, "999.9k"),
        (999_951, "1.0M"),
        (1e18, "1000000.0T"),
    ],
)
def test_numbers_are_short(number: float, shown: str) -> None:
    assert usage.short(number) == shown


def test_sentences_of_commands_are_for_people_and_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell("One sentence that is " + "long " * 30, "\x1b[2J", err=True)
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[1]) == ("", "\N{REPLACEMENT CHARACTER}[2J")
    assert len(err.splitlines()) == 2


def test_json_is_the_report_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORTS["verify"], {"found": "\x1b[2J"}, as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == {"found": "\x1b[2J"}
    assert "\x1b" not in out
