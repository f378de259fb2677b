"""Documents name tests and files that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.postgres import ROOT

TESTS = ROOT / "tests"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMED = re.compile(
    r"`(?:tests/)?((?:unit|integration|e2e|policy|soak|chaos)/test_\w+\.py)((?:::\w+)*)`"
)
LINKED = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def defined(path: Path) -> set[str]:
    """What a test file defines, as "::name" and "::Class::name"."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"::{node.name}"}
            names |= {f"::{node.name}::{inner.name}" for inner in node.body if _is_test(inner)}
        elif _is_test(node):
            names.add(f"::{node.name}")
    return names


def _is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    text = document.read_text()
    missing = []
    for file, name in NAMED.findall(text):
        path = TESTS / file
        if not path.exists() or (name and name not in defined(path)):
            missing.append(file + name)
    missing += [link for link in LINKED.findall(text) if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_a_document_are_there(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z_-]+):.*## ", makefile, re.MULTILINE))
    commands = r"(?:`|^)make ([a-z][a-z_-]*[a-z])\b(?!-)"
    named = set(re.findall(commands, document.read_text(), re.MULTILINE))
    assert named <= targets


def test_every_threat_is_shown_by_a_test() -> None:
    text = (ROOT / "docs/security.md").read_text()
    tables = re.findall(r"^\| threat \|.*\n\|[- |]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 30
    unshown = [row.split(" | ")[0] for row in rows if not NAMED.search(row.split(" | ")[2])]
    assert unshown == ["| Vulnerable or swapped packages"]
