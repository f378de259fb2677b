"""`make build`: each function as the self-contained folder that is deployed."""

import shutil

from dev.settings import ROOT

FUNCTIONS = ROOT / "functions"
DIST = ROOT / "dist"


def build() -> None:
    """Assemble dist/<function>/ from the function's folder and the shared package."""
    shutil.rmtree(DIST, ignore_errors=True)
    for main in sorted(FUNCTIONS.glob("*/main.py")):
        target = DIST / main.parent.name
        leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(main.parent, target, ignore=leave_out)
        shutil.copytree(FUNCTIONS / "_shared/edge", target / "edge", ignore=leave_out)
        print(f"dist/{target.name}")


if __name__ == "__main__":
    build()
