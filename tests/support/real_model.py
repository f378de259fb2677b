"""The real language model in tests. A grammar fixes what it writes: no test depends on its words.

Nothing else in the tests starts the model (`tests/unit/test_real_model.py`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import xllamacpp  # type: ignore[import-untyped]

from dev.stack.worker import model_file
from tests.support import patient
from tests.support.functions import ENVIRONMENT
from tests.support.postgres import ROOT
from tests.support.stack import WORKER_KEY
from tests.support.waiting import free_port

GRAMMAR = 'root ::= "The lamp is lit."'
# Several models share few cores, and llama.cpp's threads wait for each other busily.
MODEL_ENV = {"WORKER_GRAMMAR": GRAMMAR, "WORKER_THREADS": "1"}
"""Settings of every process that runs the model."""


@dataclass
class Server:
    """A process with the model, which registers itself at health_check."""

    url: str
    process: subprocess.Popen[bytes]

    def stats(self) -> dict[str, int]:
        """What it did so far: requests, prompt_tokens_evaluated."""
        return dict(patient.get(f"{self.url}/health").json()["stats"])


@contextmanager
def running_worker(name: str, health_check: str, key: str) -> Iterator[Server]:
    """The local stack's worker, which registers under this name with its own key."""
    port = free_port()
    env = {
        "WORKER_PORT": str(port),
        "CHAT_WORKER_API_KEY": WORKER_KEY,
        "WORKER_REGISTERS_AT": f"{health_check}/workers/{name}",
        "WORKER_KEY": key,
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev.stack.worker"],
            cwd=ROOT,
            env=ENVIRONMENT | MODEL_ENV | env,
            stdout=log,
            stderr=log,
        )
        try:
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_llama(template: str) -> Iterator[str]:
    """llama.cpp's own server with this chat template, in this process. Yields its address."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.n_ctx = 4096
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.port = 0
    params.api_keys = [WORKER_KEY]
    params.ui = False
    params.chat_template = template
    params.sampling.grammar = xllamacpp.CommonGrammar(
        xllamacpp.common_grammar_type.COMMON_GRAMMAR_TYPE_USER, GRAMMAR
    )
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server
