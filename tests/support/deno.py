"""Edge functions, and the modules of which they are made, on Deno."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from tests.support import patient
from tests.support.postgres import ROOT
from tests.support.waiting import PATIENCE, free_port, wait_until

FUNCTIONS = ROOT / "supabase" / "functions"
RUNTIME = Path(__file__).with_name("edge_runtime.ts")


def find_deno() -> Path:
    """The binary that `npm ci` brought for this platform."""
    found = sorted((ROOT / "node_modules" / "@deno").glob("*/deno*"))
    if not found:
        raise FileNotFoundError("Deno is not installed: run `npm ci`")
    return found[0]


def deno(*arguments: str, given: object = None) -> subprocess.CompletedProcess[str]:
    """Runs Deno in the folder of the edge functions, without the internet."""
    return subprocess.run(
        [find_deno(), *arguments],
        cwd=FUNCTIONS,
        env=_ENV,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def evaluate(module: str, expression: str, given: object) -> Any:
    """The value of a TypeScript expression over `given` and `module`, a file of FUNCTIONS."""
    script = f"""
      import * as module from {json.dumps((FUNCTIONS / module).as_uri())};
      const given = JSON.parse(await new Response(Deno.stdin.readable).text());
      console.log(JSON.stringify({expression}));
    """
    with tempfile.NamedTemporaryFile("w", suffix=".ts") as file:
        file.write(script)
        file.flush()
        ran = deno("run", "--no-prompt", "--no-remote", "--no-npm", file.name, given=given)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@dataclass
class EdgeFunction:
    """A running edge function."""

    url: str
    popen: subprocess.Popen[bytes]
    output: IO[bytes]

    def text(self) -> str:
        """What it has written so far."""
        self.output.seek(0)
        return self.output.read().decode()

    def log(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@contextmanager
def serve_edge(function: str, env: Mapping[str, str]) -> Iterator[EdgeFunction]:
    """Serves supabase/functions/<function>/index.ts with this environment and no other."""
    port = free_port()
    command: list[str | Path] = [
        find_deno(),
        "run",
        "--no-prompt",
        "--no-remote",
        "--no-npm",
        "--allow-env",
    ]
    command += [f"--allow-read={FUNCTIONS}", "--allow-net=127.0.0.1", RUNTIME]
    command += [(FUNCTIONS / function / "index.ts").as_uri()]
    address = {"DENO_SERVE_ADDRESS": f"tcp:127.0.0.1:{port}"}
    with tempfile.TemporaryFile() as output:
        popen = subprocess.Popen(
            command, env={**_ENV, **address, **env}, stdout=output, stderr=output
        )
        edge = EdgeFunction(f"http://127.0.0.1:{port}", popen, output)

        def answers() -> bool:
            if popen.poll() is not None:
                raise RuntimeError(f"{function} did not start:\n{edge.text()}")
            with suppress(httpx.TransportError):
                patient.request("OPTIONS", edge.url)
                return True
            return False

        try:
            wait_until(answers, f"{function} to answer")
            yield edge
        finally:
            popen.terminate()
            popen.wait(timeout=PATIENCE)


_ENV = {
    "DENO_DIR": str(ROOT / ".local" / "deno"),
    "DENO_NO_UPDATE_CHECK": "1",
    "NO_COLOR": "1",
    "HOME": tempfile.gettempdir(),
}
