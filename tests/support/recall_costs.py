"""Made-up costs, as the benchmark of recall measures them."""

from __future__ import annotations

from bench.growth import Calls
from bench.recall import Cost, Recall

FOUND = Recall(
    rows=1_000_000,
    first={
        "nothing": {100: Cost(Calls(1.5, 0.5), 1.9, 9e3), 10_000: Cost(Calls(2, 0.6), 2.5, 9e4)},
        "by words": {100: Cost(Calls(2, 0.5), 2.4, 9e3), 10_000: Cost(Calls(3.5, 0.6), 4.1, 9e4)},
    },
    again={
        "nothing": {100: Cost(Calls(1, 0.5), 1.4, 3000), 10_000: Cost(Calls(1, 0.5), 1.6, 4001)},
        "by words": {10_000: Cost(Calls(2, 0.5), 2.4, 9e3)},
    },
    elsewhere={"nothing": {100: Cost(Calls(2.5, 0.5), 2.9, 9e3)}},
)
