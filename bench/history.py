"""Measures turns with a long history: the first on an instance, and the next."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench import load
from bench.environments import Environments
from bench.plan import Plan
from bench.programs import Programs
from bench.surroundings import Person, Surroundings
from bench.systems import FLOOR, FUNCTION, TOKENS, System, start_function

HISTORY_TOKENS = 32_000
CONTEXT_TOKENS = 40_000
"""So much that the history fits and nothing of it is due for a summary."""
WORDS, WORDS_OF_A_MESSAGE = 8_000, 60
"""Different words of which messages are made, the nth as often as in a language."""
TOKENS_PER_CHARACTER = 0.35
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
    around.forget()
    around.db.execute(_CONTEXT, {"tokens": CONTEXT_TOKENS})
    turns: dict[str, list[tuple[float, float]]] = {FUNCTION: [], FLOOR: []}
    people = iter(around.people)
    for _ in range(plan.long_histories):
        for name, taken in turns.items():
            system = start_function(programs, environments, around, name)
            _warm_up(system)
            taken.append(_turns(system, around, next(people)))
            system.program.stop()
    around.db.execute(_CONTEXT, {"tokens": None})
    around.forget()
    found = {
        name: LongHistory(*map(median, zip(*taken, strict=True))) for name, taken in turns.items()
    }
    for name, one in found.items():
        say(f"{name}: {one.first:.1f} ms, then {one.following:.1f} ms")
    return found


def _warm_up(system: System) -> None:
    load.run(system.program.port, system.streamed[-100:], concurrency=4, tokens=TOKENS, turns=100)


def _turns(system: System, around: Surroundings, person: Person) -> tuple[float, float]:
    """The processor time of two turns in a conversation that has become long."""
    around.db.execute(
        _MESSAGES, {"conversation": person.conversation_id, "said": messages(person.words)}
    )
    around.db.execute("vacuum (analyze) messages")
    return _turn(system, around, person), _turn(system, around, person)


def messages(seed: str) -> Sequence[str]:
    """Messages of `HISTORY_TOKENS` together, with as many different words as such a text has."""
    chosen = random.Random(seed)  # noqa: S311 - any numbers do
    said: list[str] = []
    left = HISTORY_TOKENS / TOKENS_PER_CHARACTER
    while left > 0:
        words = chosen.choices(_WORDS, _WEIGHTS, k=WORDS_OF_A_MESSAGE)
        said.append(f"{' '.join(words).capitalize()}.")
        left -= len(said[-1])
    return said


def _word(number: int) -> str:
    """A word for a number: the commoner, the shorter."""
    word = ""
    while number or not word:
        number, syllable = divmod(number, len(_SYLLABLES))
        word += _SYLLABLES[syllable]
    return word


_SYLLABLES = [
    onset + rest
    for onset in ("dr", "kl", "vr", "sk", "zw", "kn", "fl", "gr", "hl", "st", "pl", "mj", "tj")
    for rest in ("a", "e", "i", "o", "u", "am", "el", "ir")
]
_WORDS = [_word(number) for number in range(WORDS)]
_WEIGHTS = [1 / (rank + 3) for rank in range(WORDS)]


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
