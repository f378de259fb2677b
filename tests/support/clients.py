"""Runs programs in Node.js against the functions of a test."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.support.node import NODE
from tests.support.postgres import ROOT
from tests.support.waiting import PATIENCE


def run_node(program: str, given: Any) -> Any:
    """What a module prints as JSON. It has `given`, and can import what is in node_modules."""
    script = f"const given = {json.dumps(given)};\n{program}"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ran = subprocess.run(
        [str(NODE), "--input-type=module", "--eval", script],
        cwd=ROOT,
        env=kept | {"NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)
