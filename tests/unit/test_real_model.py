"""Only `tests/support/real_model.py` starts the real model: there a grammar fixes its words."""

from __future__ import annotations

from tests.support.postgres import ROOT

STARTS = ("xllamacpp.Server(", '"dev.stack.worker"]')


def test_no_other_test_starts_the_real_model() -> None:
    tests = ROOT / "tests"
    found = {
        str(path.relative_to(tests))
        for path in tests.rglob("*.py")
        if path.name != "test_real_model.py" and any(start in path.read_text() for start in STARTS)
    }
    assert found == {"support/real_model.py"}
