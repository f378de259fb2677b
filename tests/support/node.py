"""Runs the pure modules of the pages in Node.js."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.support.postgres import ROOT

NODE = ROOT / ".venv/bin/node"


def evaluate(module: str, expression: str, given: Any) -> Any:
    """The value of a JavaScript expression with `given` and `module`, a file of web/js."""
    source = (ROOT / "web/js" / module).as_uri()
    script = f"""
      import {{ readFileSync }} from "node:fs";
      import * as module from {json.dumps(source)};
      const given = JSON.parse(readFileSync(0, "utf8"));
      console.log(JSON.stringify({expression}));
    """
    command = [str(NODE), "--input-type=module", "--eval", script]
    ran = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
