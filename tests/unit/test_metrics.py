"""`make metrics` on small trees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dev.metrics import (
    cycles,
    figures,
    functions,
    import_graph,
    longest_chain,
    main,
    measure,
    module_name,
    percentile,
    report,
    sources,
    upward,
    web_import_graph,
)
from dev.operate.report import piped

MODULE = '''
class Turn:
    @property
    def name(self):
        """What it is called.

        In two lines.
        """
        return "turn"

    async def run(self):
        def step():
            return 1

        return step()


def plain(): return 1
'''
LAYERED = {
    "edge.logs": "",
    "roleplay_chat.rows": "from edge import logs",
    "roleplay_chat.prompt": "from roleplay_chat.prompt import build",
    "roleplay_chat.prompt.build": "from ..rows import Row\nimport json",
    "roleplay_chat.turn": "import roleplay_chat.prompt\nfrom . import rows",
    "dev.chat": "def f():\n    from dev.card import bring\nfrom roleplay_chat import turn",
    "dev.card": "from dev.chat import Chat",
}


def test_functions_are_as_long_as_their_code() -> None:
    lengths = {function.name: function.lines for function in functions("m", MODULE)}
    assert lengths == {"m.Turn.name": 2, "m.Turn.run": 5, "m.Turn.run.step": 2, "m.plain": 1}


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.9, 0), ([7], 0.9, 7), (range(1, 11), 0.9, 9), (range(1, 12), 0.9, 10)],
)
def test_percentile_is_one_of_the_values(values: range, share: float, found: int) -> None:
    assert percentile(values, share) == found


def test_imports_are_found_wherever_they_are() -> None:
    graph = import_graph(LAYERED)
    assert {module: sorted(others) for module, others in graph.items() if others} == {
        "roleplay_chat.rows": ["edge.logs"],
        "roleplay_chat.prompt": ["roleplay_chat.prompt.build"],
        "roleplay_chat.prompt.build": ["roleplay_chat.rows"],
        "roleplay_chat.turn": ["roleplay_chat.prompt", "roleplay_chat.rows"],
        "dev.chat": ["dev.card", "roleplay_chat.turn"],
        "dev.card": ["dev.chat"],
    }


def test_imports_of_web_modules_are_found_by_path() -> None:
    graph = web_import_graph(
        {
            "web/js/chat.js": 'import { a,\n  b } from "./state.js";\nimport "./parts/prose.js";',
            "web/js/state.js": 'import { html } from "../vendor/lit.js";',
            "web/js/parts/prose.js": 'export * from "../state.js";\nawait import("../chat.js");',
        }
    )
    assert graph == {
        "web/js/chat.js": {"web/js/state.js", "web/js/parts/prose.js"},
        "web/js/state.js": set(),
        "web/js/parts/prose.js": {"web/js/state.js", "web/js/chat.js"},
    }
    assert cycles(graph) == [{"web/js/chat.js", "web/js/parts/prose.js"}]


def test_cycle_is_one_link_of_the_chain() -> None:
    graph = import_graph(LAYERED)
    assert cycles(graph) == [{"dev.card", "dev.chat"}]
    assert longest_chain(graph) == [
        "dev.card",
        "roleplay_chat.turn",
        "roleplay_chat.prompt",
        "roleplay_chat.prompt.build",
        "roleplay_chat.rows",
        "edge.logs",
    ]


@pytest.mark.parametrize(
    ("module", "imports"),
    [
        pytest.param("edge.logs", "roleplay_chat.rows", id="a-lower-layer"),
        pytest.param("roleplay_chat.rows", "tests.support.stack", id="the-tests"),
        pytest.param("roleplay_chat.prompt.build", "roleplay_chat.turn", id="out-of-a-folder"),
    ],
)
def test_arrow_upwards_is_named(module: str, imports: str) -> None:
    layered = LAYERED | {"tests.support.stack": ""}
    assert upward(import_graph(layered)) == []
    assert upward(import_graph(layered | {module: f"import {imports}"})) == [(module, imports)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("functions/_shared/edge/logs.py", "edge.logs"),
        ("functions/roleplay_chat/roleplay_chat/cards/__init__.py", "roleplay_chat.cards"),
        ("functions/health_check/main.py", "health_check.main"),
        ("tests/support/stack.py", "tests.support.stack"),
    ],
)
def test_modules_are_named_as_they_are_imported(path: str, name: str) -> None:
    assert module_name(path) == name


def test_tree_is_read_from_its_files(tmp_path: Path) -> None:
    for path, text in {
        "functions/_shared/edge/logs.py": "def log():\n    return 1\n",
        "functions/health_check/main.py": "from edge import logs\n",
        "dev/chat.py": "from edge.logs import log\n",
        "web/js/chat.js": 'import "./page.js";',
        "web/js/page.js": 'import "./chat.js";',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    assert set(sources(tmp_path, "functions")) == {"edge.logs", "health_check.main"}
    lines = list(piped(report(measure(tmp_path))))
    assert lines[1].split() == ["functions", "1", "2", "2", "2", "2", "2", "0", "0"]
    assert lines[4].split() == ["all", "1", "2", "2", "2", "3", "2", "0", "0"]
    assert lines[5].split() == ["web/js", "-", "-", "-", "-", "2", "1", "1", "-"]
    assert ["edge.logs.log", "2"] in [line.split() for line in lines]
    assert "Cycle: web/js/chat.js, web/js/page.js" in lines
    told = json.loads(CliRunner().invoke(main, [str(tmp_path), "--json"]).output)
    assert told["areas"]["all"]["modules"] == 3
    assert told["longest"]["functions"] == {"edge.logs.log": 2}
    assert told["cycles"] == [["web/js/chat.js", "web/js/page.js"]]


def test_nothing_has_no_figures() -> None:
    assert figures([], {}) == (0,) * 8
