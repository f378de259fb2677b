"""A small storm. `make chaos` runs a large one."""

import json

import pytest

from tests.chaos.storm import storm
from tests.support.installations import NEW
from tests.support.problems import by_name


def test_nothing_is_lost_or_doubled_when_processes_are_killed(pytestconfig: pytest.Config) -> None:
    installation = pytestconfig.getoption("installation")
    report = storm(rounds=8, seed=9, people=3, installation=installation)
    print(report.table())
    assert max(map(len, report.table().splitlines())) <= 80
    assert report.problems == []
    assert sum(report.kills.values()) == 8
    assert {"function", "postgres", "both"} == set(report.kills)
    assert report.messages >= 4  # at least one of each device
    assert len(report.instances) == 3
    assert report.moved > 0
    assert json.loads(json.dumps(by_name(report)))["kills"] == report.kills
    assert (report.of_the_product > 0) == (installation != NEW)
