"""Each part declares in pyproject.toml what it imports, not only what brings it along."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.postgres import ROOT

GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
OURS = {"edge", "roleplay_chat", "health_check", "dev", "bench", "tests"}


def declared(group: str) -> set[str]:
    """The names of the distributions in a group, with those of the groups that it includes."""
    names = set()
    for line in GROUPS[group]:
        if isinstance(line, str):
            names.add(normal(re.split(r"[\[<>=]", line)[0]))
        else:
            names |= declared(line["include-group"])
    return names


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported(source: str) -> Iterator[str]:
    """The top-level modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def undeclared(sources: Mapping[str, str], distributions: set[str]) -> set[tuple[str, str]]:
    """Files with modules that they import from no declared distribution."""
    installed = packages_distributions()
    return {
        (path, module)
        for path, source in sources.items()
        for module in imported(source)
        if module not in OURS | sys.stdlib_module_names
        and not {normal(name) for name in installed.get(module, [])} & distributions
    }


def modules(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in folder.rglob("*.py")}


@pytest.mark.parametrize(
    ("folder", "groups"),
    [
        ("functions/_shared", ("roleplay_chat",)),
        ("functions/_shared", ("health_check",)),
        ("functions/roleplay_chat", ("roleplay_chat", "otel")),
        ("functions/health_check", ("health_check",)),
        ("dev", ("dev", "embeddings")),
        ("bench", ("test",)),
        ("tests", ("test",)),
        ("deploy", ()),
    ],
)
def test_imports_are_declared(folder: str, groups: tuple[str, ...]) -> None:
    sources = modules(ROOT / folder)
    assert sources
    assert undeclared(sources, {name for group in groups for name in declared(group)}) == set()


def test_what_only_another_package_needs_is_not_declared() -> None:
    sources = {
        "a.py": "import json\nimport edge.logs\nfrom yarl import URL",
        "b.py": "import nothing",
    }
    assert undeclared(sources, {"aiohttp"}) == {("a.py", "yarl"), ("b.py", "nothing")}
    assert undeclared(sources, {"yarl"}) == {("b.py", "nothing")}
