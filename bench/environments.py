"""Installs each compared system in an environment of its own in .local."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.programs import BENCH, FOLDER
from tests.support.postgres import ROOT

FUNCTION_LOCK = ROOT / "functions" / "roleplay_chat" / "requirements.txt"
LITELLM_LOCK = ROOT / "requirements" / "litellm.txt"
PORTKEY = BENCH / "portkey"


@dataclass(frozen=True)
class Environments:
    """The folders of the environments."""

    function: Path
    """The bin folder with only what roleplay_chat is deployed with."""
    litellm: Path | None
    portkey: Path | None

    def version(self, name: str) -> str:
        """The installed version of a peer."""
        if name == "portkey" and self.portkey:
            package = self.portkey / "package.json"
            return _output("node", "-p", f"require({str(package)!r}).version")
        python = self.litellm if name == "litellm" and self.litellm else self.function
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        return _output(str(python / "python"), "-c", code)


def prepare(say: Callable[[str], None], *, peers: bool) -> Environments:
    """Install what is missing or has a new lock file."""
    return Environments(
        function=_virtual("function", FUNCTION_LOCK, say),
        litellm=_virtual("litellm", LITELLM_LOCK, say) if peers else None,
        portkey=_node("portkey", PORTKEY, say) if peers else None,
    )


def _virtual(name: str, lock: Path, say: Callable[[str], None]) -> Path:
    folder = FOLDER / name
    if _is_current(folder, lock):
        return folder / "bin"
    say(f"Installing {name} into {folder.relative_to(ROOT)} ...")
    shutil.rmtree(folder, ignore_errors=True)
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(folder / "bin" / "python")
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    _run(uv, "pip", "install", "--quiet", "--require-hashes", "--compile-bytecode", "--python",
         python, "-r", str(lock))  # fmt: skip
    _mark(folder, lock)
    return folder / "bin"


def _node(name: str, source: Path, say: Callable[[str], None]) -> Path:
    folder = FOLDER / name
    lock = source / "package-lock.json"
    if not _is_current(folder, lock):
        say(f"Installing {name} into {folder.relative_to(ROOT)} ...")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in (source / "package.json", lock):
            shutil.copy(file, folder)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
             cwd=folder)  # fmt: skip
        _mark(folder, lock)
    return folder / "node_modules" / "@portkey-ai" / "gateway"


def _is_current(folder: Path, lock: Path) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text() == _digest(lock)


def _mark(folder: Path, lock: Path) -> None:
    (folder / "installed").write_text(_digest(lock))


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _run(*command: str, cwd: Path = ROOT) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
