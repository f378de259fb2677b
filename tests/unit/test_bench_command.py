"""`make bench`: its report alone is on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import __main__ as command
from bench.progress import say
from bench.results import Results
from tests.support.recall_costs import FOUND


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_only_the_report_is_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    def measure(*_: object, **__: object) -> Results:
        say("recall")("1,000,000 messages, filled in 9 s")
        return Results(recall=FOUND)

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    document = tmp_path / "benchmarks.md"
    done = CliRunner().invoke(command.main, ["--output", str(document), *options])

    assert done.exit_code == 0, done.exception
    assert "recall: 1,000,000 messages" in done.stderr
    assert str(document) in done.stderr
    assert "filled in" not in done.stdout
    if options:
        assert json.loads(done.stdout) == json.loads((tmp_path / "results.json").read_text())
    else:
        assert "by words, on the same instance" in done.stdout
    assert "by words, on the same instance" in document.read_text()
