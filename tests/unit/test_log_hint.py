"""What a failed start quotes of a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.stack.part import hint, last_words

SETTINGS = """\
The function cannot start. Set these environment variables:
  TURN_BUDGET_SECONDS: Input should be a valid number
  LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'
"""
PYDANTIC = """\
INFO: starting
Traceback (most recent call last):
  File "/a/main.py", line 3, in <module>
    settings()
    ^^^^^^^^^^
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
worker_port
  Input should be less than 65536 [type=less_than]
    For further information visit https://errors.pydantic.dev/2/v/less_than
"""
PYTHON = """\
Traceback (most recent call last):
  File "/a/main.py", line 3, in <module>
    load()
OSError: no such model

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/a/main.py", line 5, in <module>
    raise SystemExit from error
RuntimeError: the model cannot be read
"""
NODE = """\
node:internal/modules/cjs/loader:1148
  throw err;
  ^

Error: Cannot find module 'x'
    at Module._load (node:internal/modules/cjs/loader:985:27)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND'
}

Node.js v20.11.1
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        pytest.param(SETTINGS, "LOG_LEVEL: Input should be 'debug'", id="settings"),
        pytest.param(SETTINGS, "Set these environment variables: TURN_BUDGET", id="all-settings"),
        pytest.param(PYDANTIC, "worker_port Input should be less than 65536", id="pydantic"),
        pytest.param(PYTHON, "RuntimeError: the model cannot be read", id="python"),
        pytest.param(NODE, "Error: Cannot find module 'x' code: 'MODULE_NOT_FOUND'", id="node"),
        pytest.param("one\ntwo\n", "two", id="lines"),
    ],
)
def test_reason_is_quoted(log: str, words: str) -> None:
    said = last_words(log.splitlines())
    assert words in said
    assert not {"main.py", "visit", "Node.js v", "loader", "one"} & set(said.split())


def test_log_without_words(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    assert hint(log).endswith("part.log.")
    log.write_text("\n  \n")
    assert hint(log).endswith("part.log.")
    log.write_text("x" * 5000)
    assert len(hint(log)) < 500 + len(str(log))
