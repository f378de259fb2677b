"""`make build`: assembles each function in a self-contained folder for deployment.

Builds are reproducible: the same sources give the same bytes, modes and times on every machine.
"""

import hashlib
import os
import shutil
from pathlib import Path

from dev.options import no_options
from dev.settings import ROOT

FUNCTIONS = ROOT / "functions"
DIST = ROOT / "dist"
EPOCH = 315_532_800
"""The time of every file: 1980-01-01, the earliest date in a zip file."""


def build() -> list[Path]:
    """Assemble dist/<function>/ from the function's folder and the shared package. Returns these
    folders."""
    built = []
    shutil.rmtree(DIST, ignore_errors=True)
    for main in sorted(FUNCTIONS.glob("*/main.py")):
        target = DIST / main.parent.name
        leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(main.parent, target, ignore=leave_out)
        shutil.copytree(FUNCTIONS / "_shared/edge", target / "edge", ignore=leave_out)
        with_otel = ROOT / f"requirements/{target.name}-otel.txt"
        if os.environ.get("OTEL") and with_otel.exists():
            shutil.copyfile(with_otel, target / "requirements.txt")
        _make_plain(target)
        built.append(target)
    return built


def _make_plain(folder: Path) -> None:
    """Set fixed times and modes, which otherwise differ between working copies."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def digest(folder: Path) -> str:
    """The start of the SHA-256 of a folder's paths and contents."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()[:12]


if __name__ == "__main__":
    no_options("dev.build", __doc__)
    for folder in build():
        print(f"{folder.relative_to(ROOT)}  {digest(folder)}")
