"""Measures whether memory grows with the number of turns."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import load
from bench.environments import Environments
from bench.plan import Plan
from bench.programs import Programs
from bench.surroundings import Surroundings
from bench.systems import FUNCTION, TOKENS, start_function
from bench.turns import check_saved

CONCURRENCY = 32


@dataclass(frozen=True)
class Soak:
    """Memory of the whole instance in bytes, by number of answered turns."""

    memory: dict[int, int]

    def growth(self) -> float:
        """Memory at the end divided by memory after the first turns."""
        counts = sorted(self.memory)
        return self.memory[counts[-1]] / self.memory[counts[1]]


def soak(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    plan: Plan,
    say: Callable[[str], None],
) -> Soak:
    """Run turns, 32 at once, half of them streamed."""
    around.use_upstream(TOKENS, 0)
    function = start_function(programs, environments, around, FUNCTION)
    requests = [
        (function.streamed if number % 2 else function.plain)[number]
        for number in range(len(around.people))
    ]
    memory = {0: function.program.usage().proportional}
    answered = 0
    for turns in (1000, *[(plan.soak_turns - 1000) // plan.soak_steps] * plan.soak_steps):
        around.forget()
        found = load.run(
            function.program.port, requests, concurrency=CONCURRENCY, tokens=TOKENS, turns=turns
        )
        check_saved(function.name, [found], around)
        answered += found.turns
        memory[answered] = function.program.usage().proportional
        say(f"{answered} turns: {memory[answered] / 1e6:.1f} MB")
    function.program.stop()
    return Soak(memory)
