"""A short soak. `make soak` runs a long one."""

import json

from tests.soak.soak import soak
from tests.support.problems import by_name
from tests.support.stack import Stack


def test_sixty_turns_in_bad_weather_leave_nothing_wrong(stack: Stack) -> None:
    numbers = soak(stack, turns=60, seed=7, concurrency=8)

    print(numbers.table())
    assert max(map(len, numbers.table().splitlines())) <= 80
    assert numbers.wrong == []
    assert numbers.turns >= 60
    assert numbers.statuses["complete"] > 20
    assert len(numbers.instances) == 3
    assert numbers.moved > 0
    assert json.loads(json.dumps(by_name(numbers)))["statuses"] == numbers.statuses
