"""`make metrics`: lengths of functions, and the import graphs of Python and the web pages."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from posixpath import dirname, join, normpath
from statistics import median
from typing import Any

import click

from dev.operate.report import Line, Part, Table, show
from dev.options import json_option
from dev.settings import ROOT

PLACES = ("functions/_shared", "functions/roleplay_chat", "functions/health_check", ".")
"""Folders that contain packages, the innermost first."""
AREAS = ("functions", "dev", "tests/support")
WEB = "web/js"
LAYERS = (("edge",), ("roleplay_chat", "health_check"), ("dev",), ("tests",))
"""From the bottom to the top. No layer imports a higher one."""
LONGEST = 5

Graph = Mapping[str, frozenset[str]]
"""The modules that each module imports."""


@dataclass(frozen=True)
class Function:
    """One function or method."""

    name: str
    """Such as `roleplay_chat.turn.Turn.run`."""
    lines: int
    """From `def` to the end, without docstring and decorators."""


# --- functions -----------------------------------------------------------------------------------


def functions(module: str, source: str) -> Iterator[Function]:
    """All functions of a module, including nested ones."""
    return _functions(ast.parse(source), module)


def _functions(node: ast.AST, name: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}"
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(inner, _length(child))
        yield from _functions(child, inner)


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    whole = _lines(function)
    return whole - _lines(function.body[0]) if ast.get_docstring(function) is not None else whole


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def percentile(values: Iterable[int], share: float) -> int:
    """The percentile: the smallest value that this share does not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[ceil(share * len(ordered)) - 1] if ordered else 0


# --- imports -------------------------------------------------------------------------------------


def import_graph(sources: Mapping[str, str]) -> Graph:
    """The imports among these Python modules, by name, including imports inside functions."""
    return {
        module: frozenset(_imported(module, ast.parse(source), sources)) - {module}
        for module, source in sources.items()
    }


def _imported(module: str, tree: ast.Module, known: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            # A relative import begins at the package, which for `a.b.c` is `a.b`.
            package = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*package, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield from [name for name in (inner, source) if name in known][:1]


_WEB_IMPORT = re.compile(r"""\b(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")


def web_import_graph(sources: Mapping[str, str]) -> Graph:
    """The imports among these JavaScript modules, by path."""
    return {
        module: (frozenset(_imported_paths(module, text)) & sources.keys()) - {module}
        for module, text in sources.items()
    }


def _imported_paths(module: str, text: str) -> Iterator[str]:
    for path in _WEB_IMPORT.findall(text):
        yield normpath(join(dirname(module), path))


def groups(graph: Graph) -> dict[str, frozenset[str]]:
    """Each module's cycle: itself and the modules that import each other with it."""
    reach = {module: reachable(graph, module) for module in graph}
    return {
        module: frozenset({module} | {other for other in reach[module] if module in reach[other]})
        for module in graph
    }


def cycles(graph: Graph) -> list[frozenset[str]]:
    """The groups of modules that import each other, the largest first."""
    return sorted({each for each in groups(graph).values() if len(each) > 1}, key=len, reverse=True)


def reachable(graph: Graph, start: str) -> set[str]:
    """Everything that a module imports, directly or indirectly."""
    found: set[str] = set()
    left = [start]
    while left:
        new = graph[left.pop()] - found
        found |= new
        left += new
    return found


def longest_chain(graph: Graph) -> list[str]:
    """The longest chain of imports, from the top. A cycle counts as one link."""
    group = groups(graph)
    chains: dict[frozenset[str], list[str]] = {}

    def chain(top: frozenset[str]) -> list[str]:
        if top not in chains:
            below = {group[other] for module in top for other in graph[module]} - {top}
            longest = max((chain(each) for each in sorted(below, key=min)), key=len, default=[])
            chains[top] = [min(top), *longest]
        return chains[top]

    return max((chain(group[module]) for module in sorted(graph)), key=len, default=[])


def upward(graph: Graph) -> list[tuple[str, str]]:
    """Imports of a higher layer, and imports by a folder of modules that import that folder."""
    arrows = [(module, other) for module in graph for other in graph[module]]
    return sorted(
        (module, other)
        for module, other in arrows
        if _layer(module) < _layer(other) or _returns(graph, module, other)
    )


def _layer(module: str) -> int:
    top = module.partition(".")[0]
    return next((place for place, names in enumerate(LAYERS) if top in names), len(LAYERS))


def _returns(graph: Graph, module: str, other: str) -> bool:
    """Whether an import leaves the module's folder for a module that imports the folder."""
    folder = module.rpartition(".")[0]
    if "." not in folder or _is_in(other, folder):
        return False
    return any(_is_in(name, folder) for name in reachable(graph, other))


def _is_in(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


# --- the tree ------------------------------------------------------------------------------------


def sources(root: Path, area: str) -> dict[str, str]:
    """The text of each Python module in an area, by name."""
    files = sorted((root / area).rglob("*.py"))
    return {module_name(path.relative_to(root).as_posix()): path.read_text() for path in files}


def web_sources(root: Path) -> dict[str, str]:
    """The text of each module of the web pages, by path."""
    files = sorted((root / WEB).rglob("*.js"))
    return {path.relative_to(root).as_posix(): path.read_text() for path in files}


def module_name(path: str) -> str:
    """`edge.logs` for `functions/_shared/edge/logs.py`; `health_check.main` for its entry point."""
    place = next((place for place in PLACES if path.startswith(f"{place}/")), "")
    parts = path.removeprefix(f"{place}/").removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join([place.rpartition("/")[2], *parts] if parts == ["main"] else parts)


HEADINGS = ("functions", "median", "p90", "longest", "modules", "depth", "cycles", "upward")


def figures(found: Sequence[Function], graph: Graph) -> tuple[float, ...]:
    """The values for `HEADINGS`."""
    lengths = [function.lines for function in found]
    return (
        len(found),
        median(lengths or [0]),
        percentile(lengths, 0.9),
        max(lengths, default=0),
        len(graph),
        len(longest_chain(graph)),
        len(cycles(graph)),
        len(upward(graph)),
    )


def measure(root: Path) -> dict[str, Any]:
    """The figures of `make metrics` for a working copy, as JSON."""
    texts = {area: sources(root, area) for area in AREAS}
    texts["all"] = {name: text for area in AREAS for name, text in texts[area].items()}
    graph, web = import_graph(texts["all"]), web_import_graph(web_sources(root))
    found = {
        area: [each for name, text in modules.items() for each in functions(name, text)]
        for area, modules in texts.items()
    }
    areas = {
        area: dict(zip(HEADINGS, figures(found[area], import_graph(modules)), strict=True))
        for area, modules in texts.items()
    }
    chains = {"modules": len(web), "depth": len(longest_chain(web)), "cycles": len(cycles(web))}
    return {
        "areas": areas | {WEB: chains},
        "longest": {
            area: {each.name: each.lines for each in sorted(found[area], key=_by_length)[:LONGEST]}
            for area in AREAS
        },
        "chain": longest_chain(graph),
        "cycles": [sorted(cycle) for cycle in cycles(graph) + cycles(web)],
        "upward": [list(arrow) for arrow in upward(graph)],
    }


def _by_length(function: Function) -> int:
    return -function.lines


def report(measured: Mapping[str, Any]) -> Iterator[Part]:
    """The result of `measure` for people."""
    rows = [
        [area, *(f"{row[heading]:g}" if heading in row else "-" for heading in HEADINGS)]
        for area, row in measured["areas"].items()
    ]
    yield Table(["area", *HEADINGS], rows, right=HEADINGS)
    for area, found in measured["longest"].items():
        rows = [[name, str(lines)] for name, lines in found.items()]
        yield Table(["function", "lines"], rows, f"Longest of {area}", right=["lines"])
    yield Table(["module"], [[module] for module in measured["chain"]], "Longest chain of imports")
    for cycle in measured["cycles"]:
        yield Line(f"Cycle: {', '.join(cycle)}", "red")
    for module, other in measured["upward"]:
        yield Line(f"Upward: {module} imports {other}", "red")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=ROOT
)
@json_option
def main(folder: Path, *, as_json: bool) -> None:
    """Print the lengths of functions and the shape of the imports of FOLDER, a working copy;
    without it, of this one."""
    measured = measure(folder)
    show(report(measured), measured, as_json=as_json)


if __name__ == "__main__":
    main(prog_name="python -m dev.metrics")
