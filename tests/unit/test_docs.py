"""Documents refer to existing tests, files, folders, layers and names in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TypeGuard

import pytest

from dev.metrics import AREAS, cycles, import_graph, sources, upward
from tests.support.postgres import ROOT

TESTS = ROOT / "tests"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMED = re.compile(
    r"`(?:tests/)?((?:unit|integration|existing|e2e|hosting|policy|soak|chaos)/test_\w+\.py)((?:::\w+)*)`"
)
ANCHORED = re.compile(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)")
LINKED = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def defined(path: Path) -> set[str]:
    """The tests in a file, as "::name" and "::Class::name"."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"::{node.name}"}
            names |= {f"::{node.name}::{inner.name}" for inner in node.body if _is_test(inner)}
        elif _is_test(node):
            names.add(f"::{node.name}")
    return names


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
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


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_headings_that_a_document_links_are_there(document: Path) -> None:
    gone = []
    for name, anchor in ANCHORED.findall(document.read_text()):
        there = document.parent / name if name else document
        if anchor not in anchors(there):
            gone.append(f"{name}#{anchor}")
    assert gone == []


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


def test_every_book_feature_is_shown_by_a_test() -> None:
    text = (ROOT / "docs/roleplay.md").read_text().partition("\n| book feature |")[2]
    rows = text.partition("\n\n")[0].splitlines()[2:]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row.split(" | ")[3])] == []


# --- the index and the picture of the folders -----------------------------------------------

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
PACKAGE = ROOT / "functions/roleplay_chat/roleplay_chat"
PACKAGES = (ROOT / "functions/_shared/edge", ROOT / "functions/health_check/health_check")
NOT_SHOWN = ("bench/", "tests/data/", "tests/soak/")
"""Folders whose subfolders are not in the picture."""


def test_every_document_is_in_the_index() -> None:
    there = {path.name for path in (ROOT / "docs").iterdir()} - {"README.md"}
    linked = LINKED.findall((ROOT / "docs/README.md").read_text())
    assert {link.rstrip("/") for link in linked if not link.startswith("../")} == there


def pictured() -> list[str]:
    """The paths of the folders in the picture."""
    picture = ARCHITECTURE.partition("```\n")[2].partition("```")[0]
    path: list[str] = []
    folders = []
    for line in picture.splitlines():
        match = re.fullmatch(r"( *)(\S+)/ +\S.*", line)
        assert match, f"not a folder and its line: {line}"
        path = [*path[: len(match[1]) // 2], match[2]]
        folders.append("/".join(path))
    return folders


def folders_in(folder: Path) -> list[str]:
    """All folders of the project in the working copy."""
    found = []
    for inner in sorted(folder.iterdir()):
        name = inner.relative_to(ROOT).as_posix()
        is_made = inner.name in ("node_modules", "dist", "__pycache__") or inner.suffix
        if inner.is_dir() and not is_made and not inner.name.startswith(".") and holds_files(inner):
            found += [name, *folders_in(inner)]
    return found


def holds_files(folder: Path) -> bool:
    """Whether it contains more than compiled modules, which remain after a folder was moved."""
    return any(path.is_file() and path.suffix != ".pyc" for path in folder.rglob("*"))


def parts_in(package: Path) -> set[str]:
    """The names of the modules and folders of a package."""
    parts = [path for path in package.iterdir() if path.suffix in ("", ".py")]
    kept = [path for path in parts if path.is_file() or holds_files(path)]
    return {path.stem for path in kept if not path.name.startswith("__")}


def test_picture_shows_the_folders() -> None:
    there = [name for name in folders_in(ROOT) if not name.startswith(NOT_SHOWN)]
    assert sorted(pictured()) == sorted(there)


def layers() -> dict[str, int]:
    """The layer of each part of roleplay_chat, 1 at the bottom."""
    text = ARCHITECTURE.partition("## Which layer may import which")[2].partition("\n## ")[0]
    return {
        part: int(number)
        for number, line in re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE)
        for part in re.findall(r"`(\w+)`", line)
    }


def part_name(module: str) -> str:
    """`prompt` for `roleplay_chat.prompt.builder`."""
    return module.split(".")[1]


def test_layers_are_those_of_the_imports() -> None:
    graph = import_graph(sources(ROOT, "functions/roleplay_chat/roleplay_chat"))
    arrows = {
        (part_name(module), part_name(other))
        for module, others in graph.items()
        for other in others
        if part_name(module) != part_name(other)
    }
    layer = layers()
    assert set(layer) == parts_in(PACKAGE), (
        "docs/architecture.md lists each module and folder in one layer"
    )
    assert sorted(arrow for arrow in arrows if layer[arrow[0]] <= layer[arrow[1]]) == []


def test_nothing_imports_upwards_or_in_a_cycle() -> None:
    texts = {name: text for area in AREAS for name, text in sources(ROOT, area).items()}
    graph = import_graph(texts)
    assert (upward(graph), cycles(graph)) == ([], [])
    functions = {"roleplay_chat", "health_check"}
    tops = [
        (module, module.partition(".")[0], other.partition(".")[0])
        for module, others in graph.items()
        for other in others
    ]
    assert [name for name, top, other in tops if {top, other} == functions] == []


def test_readmes_picture_of_a_turn_names_every_stage() -> None:
    readme = (ROOT / "README.md").read_text()
    picture = readme.partition("## The path of a turn")[2].split("```")[1]
    stages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert stages - {"admin", "cards", "chats", "portraits"} <= set(re.findall(r"\w+", picture))
    named = set(re.findall(r"[▶◀│┤─] +(\w+) {3,}", picture))
    assert set() < named <= {path.stem for path in PACKAGE.iterdir()}


@pytest.mark.parametrize("package", [PACKAGE, *PACKAGES], ids=lambda path: path.name)
def test_package_says_what_each_of_its_parts_is(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert parts_in(package) - set(re.findall(r"\w+", docstring)) == set()


# --- names in the code ----------------------------------------------------------------------

PLACES = (ROOT, PACKAGE)
"""The folders to which paths in the text are relative."""


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_and_names_of_the_code_are_there(document: str) -> None:
    quoted = re.findall(r"`([^`\n]+)`", (ROOT / document).read_text())
    paths = [text for text in quoted if re.fullmatch(r"[\w./-]+(/|\.\w+)", text)]
    gone = [path for path in paths if not any((place / path).exists() for place in PLACES)]
    names = [text for text in quoted if re.fullmatch(r"_?[A-Za-z]\w*(\(.*\))?", text)]
    code = "\n".join(
        path.read_text()
        for folder in ("functions", "dev", "tests", "supabase")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".sql")
    )
    code += (ROOT / "Makefile").read_text()
    words = set(re.findall(r"\w+", code))
    assert [name for name in names if name.partition("(")[0] not in words] == []
    assert gone == []
