"""Lists the modules that a page loads. Browsers learn of each only from the module that imports
it."""

import re
from collections.abc import Callable
from posixpath import dirname, join, normpath

_ENTRY = re.compile(r'<script src="([^"]+)" type="module">')
_IMPORT = re.compile(r'(?:from|import) ?"(\.[^"]+)"')


def preloads(page: str, read: Callable[[str], str]) -> str:
    """Links that let a browser load all modules of a page at once instead of level by level.

    `read` returns the text of a file by its path from the page.
    """
    entries = _ENTRY.findall(page)
    return "\n    ".join(
        f'<link rel="modulepreload" href="{path}">' for path in _reached(entries, read)
    )


def _reached(entries: list[str], read: Callable[[str], str]) -> list[str]:
    """The modules that these import, directly or not, without themselves; the nearest first."""
    known = dict.fromkeys(entries)
    waiting = list(entries)
    for path in waiting:
        for name in _IMPORT.findall(read(path)):
            found = normpath(join(dirname(path), name))
            if found not in known:
                known[found] = None
                waiting.append(found)
    return waiting[len(entries) :]
