"""The scripts of the pages: the modules of web/js and their libraries, bundled by esbuild, one file
for each page."""

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dev.settings import ROOT

ENTRIES = ("chat.js", "console.js")
SOURCES = ("web/js/*.js", "clients/typescript/index.js", "node_modules/.package-lock.json")
"""What the bundles are made of; the last one changes with any library."""
# `--target` keeps the minifier from writing what browsers of 2022 do not know.
_ARGUMENTS = (
    *(f"web/js/{name}" for name in ENTRIES),
    *("--bundle", "--format=esm", "--target=es2022", "--minify", "--sourcemap"),
    *("--external:../config.js", "--log-level=warning", "--color=false"),
)
_TELL = """const told = document.createElement("pre");
told.textContent = {error};
document.body.replaceChildren(told);
throw new Error(told.textContent);
"""


class BundleError(Exception):
    """The modules cannot be bundled. The text says why, with the file and the line."""


def bundle(folder: Path) -> None:
    """Write the bundles and their source maps into a folder. Raises `BundleError`."""
    # npm installs the program of this machine only. node_modules/.bin/esbuild may be a script that
    # starts it, which takes twice as long.
    program = next(ROOT.glob("node_modules/@esbuild/*/bin/esbuild"), None)
    if program is None:
        raise BundleError("esbuild is not installed. Delete node_modules; make installs it again.")
    done = subprocess.run(
        [program, *_ARGUMENTS, f"--outdir={folder}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BundleError(done.stderr.strip())


class _Script:
    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self.tag = f'"{hashlib.sha256(plain).hexdigest()}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.plain)


class Scripts:
    """Serves the bundles of the working copy, and makes new ones when a module has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[Path, int] = {}
        self._scripts: dict[str, _Script] = {}

    def answer(self, request: Request) -> Response:
        """One bundle or source map. If a module is wrong, a script that shows what is."""
        try:
            script = self._current().get(request.path_params["name"])
        except BundleError as error:
            print(error, file=sys.stderr, flush=True)
            tell = _TELL.format(error=json.dumps(str(error)))
            return Response(tell, media_type="text/javascript")
        if script is None:
            return Response("Not Found", 404)
        headers = {"ETag": script.tag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == script.tag:
            return Response(status_code=304, headers=headers)
        content = script.plain
        # Compressed once: compressing takes longer than all else that a page's load costs here.
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = script.compressed
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type="text/javascript")

    def _current(self) -> dict[str, _Script]:
        with self._lock:
            times = {path: path.stat().st_mtime_ns for each in SOURCES for path in ROOT.glob(each)}
            if times != self._times:
                with tempfile.TemporaryDirectory() as folder:
                    bundle(Path(folder))
                    self._scripts = {
                        file.name: _Script(file.read_bytes()) for file in Path(folder).iterdir()
                    }
                self._times = times
            return self._scripts
