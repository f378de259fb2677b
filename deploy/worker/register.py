#!/usr/bin/env python3
"""Starts a model server and registers it as a worker, for as long as it runs. Needs only Python.

    python3 register.py -- llama-server -m model.gguf --port 8080 --parallel 4 --ctx-size 32768

HEALTH_CHECK_URL   https://functions.example/health_check
WORKER_NAME        the name given to `make worker`
WORKER_KEY         the key that `make worker` printed, or WORKER_KEY_FILE, a file with it. It opens
                   this worker's row and nothing else.
WORKER_URL         the address at which the functions reach the server
SERVER_KEY         the key that the server itself asks for, if it does
LOCAL_URL          where it is seen from here; http://127.0.0.1:8080
MODEL              the model's name; the first that it lists
CONTEXT_TOKENS     the context of one request; what the server says
SLOTS              how many requests it answers at once; what the server says
DRAIN_SECONDS      how long running turns may go on before it is stopped; 120
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 3600
"""Loading a model, and fetching it the first time, takes minutes."""
POLL_SECONDS = 2.0
TIMEOUT = 30
RUNNING = re.compile(r"^vllm:num_requests_running(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


@dataclass
class Worker:
    """The settings in the environment."""

    health_check_url: str
    name: str
    key: str = field(repr=False)
    url: str
    local_url: str
    model: str
    context_tokens: str
    slots: str
    drain_seconds: float

    @classmethod
    def from_environment(cls, environ: "os._Environ[str] | dict[str, str]") -> "Worker":
        """Raises `SystemExit` with what is missing."""
        key = environ.get("WORKER_KEY", "").strip()
        if not key and (path := environ.get("WORKER_KEY_FILE")):
            try:
                key = Path(path).read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                raise SystemExit(f"WORKER_KEY_FILE: {path} cannot be read ({error}).") from None
        needed = ("HEALTH_CHECK_URL", "WORKER_NAME", "WORKER_URL")
        missing = [name for name in needed if not environ.get(name, "").strip()]
        if missing or not key:
            raise SystemExit(f"Set {', '.join([*missing, *([] if key else ['WORKER_KEY'])])}.")
        return cls(
            environ["HEALTH_CHECK_URL"].strip().rstrip("/"),
            environ["WORKER_NAME"].strip(),
            key,
            environ["WORKER_URL"].strip(),
            environ.get("LOCAL_URL", "http://127.0.0.1:8080").strip().rstrip("/"),
            environ.get("MODEL", "").strip(),
            number(environ, "CONTEXT_TOKENS"),
            number(environ, "SLOTS"),
            float(number(environ, "DRAIN_SECONDS") or 120),
        )


def number(environ: "os._Environ[str] | dict[str, str]", name: str) -> str:
    """A variable's digits, or "" if it is not set. Raises `SystemExit` if it is not a number."""
    text = environ.get(name, "").strip()
    if text and not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        raise SystemExit(f"{name}: {text!r} is not a number.")
    return text


def fetch(url: str) -> tuple[int, str]:
    """Status and text of a page of the server; status 0 if it does not answer."""
    key = os.environ.get("SERVER_KEY", "").strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.read(2**20).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, ValueError):
        return 0, ""


def fetch_json(url: str) -> Any:
    """The page's JSON, or None if it has none."""
    status, text = fetch(url)
    try:
        return json.loads(text) if status == 200 else None
    except ValueError:
        return None


def is_ready(local_url: str) -> bool:
    """Whether the model is loaded. Ollama has no /health, only a list of models."""
    status, _ = fetch(f"{local_url}/health")
    return status == 200 or (status == 404 and fetch(f"{local_url}/v1/models")[0] == 200)


def count_running(local_url: str) -> "int | None":
    """How many requests are running, as reported by llama.cpp or vLLM; None if not reported."""
    slots = fetch_json(f"{local_url}/slots")
    if isinstance(slots, list):
        return sum(bool(slot.get("is_processing")) for slot in slots)
    found = RUNNING.findall(fetch(f"{local_url}/metrics")[1])
    return int(sum(map(float, found))) if found else None


def describe(worker: Worker) -> dict[str, Any]:
    """What the worker reports about itself: from the environment, else from the server."""
    listed = (fetch_json(f"{worker.local_url}/v1/models") or {}).get("data") or [{}]
    props = fetch_json(f"{worker.local_url}/props") or {}
    said = {
        "model": worker.model or listed[0].get("id"),
        "context_tokens": worker.context_tokens
        or (props.get("default_generation_settings") or {}).get("n_ctx")
        or listed[0].get("max_model_len"),
        "slots": worker.slots or props.get("total_slots"),
    }
    numbers = {name: int(float(said[name])) for name in ("context_tokens", "slots") if said[name]}
    return {"protocol": "openai", **({"model": said["model"]} if said["model"] else {}), **numbers}


def register(worker: Worker, said: dict[str, Any], *, draining: bool = False) -> "float | None":
    """Register or renew. Returns the lease in seconds; None if it was not accepted."""
    body = {"url": worker.url, "draining": draining, **said}
    running = count_running(worker.local_url)
    if running is not None:
        body["running"] = running
    request = urllib.request.Request(
        f"{worker.health_check_url}/workers/{worker.name}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {worker.key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return float(json.load(answer)["lease_seconds"])
    except urllib.error.HTTPError as error:
        tell(f"not registered: {error.code} {error.read(500).decode(errors='replace')}")
    except (OSError, ValueError, KeyError) as error:
        tell(f"not registered: health_check does not answer ({type(error).__name__})")
    return None


def tell(line: str) -> None:
    """Print a line for the operator."""
    print(f"register: {line}", file=sys.stderr, flush=True)


def serve(worker: Worker, server: "subprocess.Popen[bytes]", stopped: threading.Event) -> None:
    """Register the server once it is ready and keep it registered until it ends or is stopped."""
    polls = int(START_SECONDS / POLL_SECONDS)
    while polls and not is_ready(worker.local_url):
        polls -= 1
        if stopped.wait(POLL_SECONDS) or server.poll() is not None:
            return
    said = describe(worker)
    tell(f"{worker.name} is ready: {said}")
    while not stopped.is_set() and server.poll() is None:
        lease = register(worker, said)
        renewed = lease / 3 if lease else 10.0
        while (
            renewed > 0 and server.poll() is None and not stopped.wait(min(renewed, POLL_SECONDS))
        ):
            renewed -= POLL_SECONDS
    register(worker, said, draining=True)
    drain(worker, server)


def drain(worker: Worker, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server has no running requests, or the time is over."""
    left = worker.drain_seconds
    while left > 0 and server.poll() is None and count_running(worker.local_url) != 0:
        threading.Event().wait(min(left, POLL_SECONDS))
        left -= POLL_SECONDS


def main(command: list[str]) -> int:
    """Run the server's command; its exit code, or 0 if it was stopped on purpose."""
    if command[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not command:
        raise SystemExit(__doc__)
    worker, stopped = Worker.from_environment(os.environ), threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stopped.set())
    # The server neither needs the key nor gets the terminal's Ctrl-C.
    environ = {name: value for name, value in os.environ.items() if name != "WORKER_KEY"}
    try:
        server = subprocess.Popen(command, env=environ, start_new_session=True)
    except OSError as error:
        raise SystemExit(f"{command[0]} cannot be started ({error.strerror}).") from None
    try:
        serve(worker, server, stopped)
    finally:
        server.terminate()
        code = server.wait()
    return 0 if stopped.is_set() else code or 1


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
