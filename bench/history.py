"""Measures turns with a long history: the first on an instance, and the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench import load
from bench.environments import Environments
from bench.plan import Plan
from bench.programs import Programs
from bench.prose import sentence
from bench.surroundings import Person, Surroundings
from bench.systems import FLOOR, FUNCTION, TOKENS, System, start_function

HISTORY_TOKENS = 32_000
CONTEXT_TOKENS = 40_000
"""So much that the history fits and nothing of it is due for a summary."""
TOKENS_PER_CHARACTER = 0.36
"""Roughly, by the function's own estimate of prose."""


@dataclass(frozen=True)
class LongHistory:
    """Processor time of a streamed turn, in milliseconds."""

    first: float
    """The first turn of a conversation of which the instance knows nothing."""
    following: float
    """The turn after it."""


def long_turns(
    programs: Programs,
    environments: Environments,
    around: Surroundings,
    plan: Plan,
    say: Callable[[str], None],
) -> dict[str, LongHistory]:
    """Measure the function and the floor, each on conversations of its own."""
    around.use_upstream(TOKENS, 0)
    found = {}
    people = iter(around.people)
    around.db.execute(_CONTEXT, {"tokens": CONTEXT_TOKENS})
    for name in (FUNCTION, FLOOR):
        around.forget()
        system = start_function(programs, environments, around, name)
        _warm_up(system)
        own = [next(people) for _ in range(plan.long_histories)]
        turns = [_turns(system, around, person) for person in own]
        system.program.stop()
        found[name] = LongHistory(*map(median, zip(*turns, strict=True)))
        say(f"{name}: {found[name].first:.1f} ms, then {found[name].following:.1f} ms")
    around.db.execute(_CONTEXT, {"tokens": None})
    around.forget()
    return found


def _warm_up(system: System) -> None:
    load.run(system.program.port, system.streamed[-100:], concurrency=4, tokens=TOKENS, turns=200)


def _turns(system: System, around: Surroundings, person: Person) -> tuple[float, float]:
    """The processor time of two turns in a conversation that has become long."""
    said = list(messages(person))
    around.db.execute(_MESSAGES, {"conversation": person.conversation_id, "said": said})
    around.db.execute("vacuum (analyze) messages")
    return _turn(system, around, person), _turn(system, around, person)


def messages(person: Person) -> Sequence[str]:
    """Messages that nobody else has said, of `HISTORY_TOKENS` together."""
    said: list[str] = []
    left = HISTORY_TOKENS / TOKENS_PER_CHARACTER
    while left > 0:
        said.append(f"{sentence(len(said))} {person.words}")
        left -= len(said[-1])
    return said


def _turn(system: System, around: Surroundings, person: Person) -> float:
    used = system.program.usage().cpu_seconds
    found = load.run(
        system.program.port,
        [around.turn(person, stream=True)],
        concurrency=1,
        tokens=TOKENS,
        turns=1,
    )
    if found.failures:
        raise RuntimeError(f"{system.name}: failed: {found.failures}")
    return (system.program.usage().cpu_seconds - used) * 1000


_CONTEXT = """
update public.api_models set capabilities = case when %(tokens)s::integer is null
  then (capabilities - 'prompt_tokens') || '{"context_tokens": 32768}'
  else capabilities || jsonb_build_object('context_tokens', %(tokens)s::integer,
                                          'prompt_tokens', %(tokens)s::integer) end
where is_active
"""
_MESSAGES = """
insert into public.messages (conversation_id, sender, content)
select %(conversation)s, case n %% 2 when 1 then 'user' else 'character' end, words
from unnest(%(said)s::text[]) with ordinality said (words, n) order by n
"""
