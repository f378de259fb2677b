"""Measures what a turn costs the database among a million messages, with recall and without."""

import itertools
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, get_args

from bench.growth import NOTHING_KEPT, SAID, Calls, Conversation, turn, without_indexes
from bench.machine import cpu_seconds
from bench.plan import Plan
from tests.support.installations import NEW, install
from tests.support.postgres import OWNER, Connection, Postgres
from tests.support.stack import DEMO_CHARACTER

DATABASE = "recall"
NOTHING_FOUND = "Go on."
"""What the person says where nothing is to be recalled: it has common words alone."""
SAID_BEFORE = "And so it is."
"""What was said in the turns that are committed: no word by which they could be found."""
ROUNDS = 20
"""Rounds of calls after which the messages that were rolled back are cleared away."""
MODEL, DIMENSIONS = "bench", 384
"""The embeddings of the longest conversation: as many numbers as those of small models."""
MEANINGS = 96
"""The numbers of an embedding that differ. The similarities of messages then have a standard
deviation of 0.1, as those of real texts do."""
MEANT = 1_200
"""The message that means the same as what the person says, counted from the newest one."""


@dataclass(frozen=True)
class Cost:
    """Medians of turns in one conversation, in milliseconds."""

    calls: Calls
    processor: float
    """Processor time of Postgres for both calls."""
    size: float
    """Bytes of both results."""

    @property
    def both(self) -> float:
        """Time of both calls, measured by the client."""
        return self.calls.begin_turn + self.calls.finish_turn


Costs = dict[str, dict[int, Cost]]
_Turns = Literal["first", "again", "elsewhere"]
"""Which turns are measured: the fields of Recall."""


@dataclass(frozen=True)
class Recall:
    """Costs by what is recalled ("nothing", "by words", or "by meaning" as well) and by the number
    of messages in the conversation. Without the extension vector, nothing is recalled by meaning.
    """

    rows: int
    """Messages in the table."""
    first: Costs
    """An instance's first turn in the conversation."""
    again: Costs
    """On the instance that answered the conversation's last turn."""
    elsewhere: Costs
    """An instance's first turns, each in another conversation: little of what Postgres reads is in
    its caches."""


@dataclass(frozen=True)
class _Kind:
    """A kind of turn: what the person says, and what it means."""

    said: str
    embedding: Mapping[str, Any] | None = None


def recall(postgres: Postgres, plan: Plan, say: Callable[[str], None]) -> Recall:
    """Fill a separate database, and call both functions in conversations of each size in turn."""
    started = time.monotonic()
    install(postgres, DATABASE, NEW)
    with postgres.connect(DATABASE, OWNER) as db:
        has_vectors = _install_vectors(db)
        found, others = _fill(db, plan.recalled_messages, plan.talks)
        if has_vectors:
            _embed(db, found[max(found)])
        db.execute("vacuum (analyze)")
        rows = int(db.execute("select count(*) as n from messages").fetchall()[0]["n"])
        say(f"{rows:,} messages, filled in {time.monotonic() - started:.0f} s")
        kinds = {"nothing": _Kind(NOTHING_FOUND), "by words": _Kind(SAID)}
        sizes = {kind: list(found) for kind in kinds}
        if has_vectors:
            meant = {"model": MODEL, "embedding": json.dumps(_vector(MEANT))}
            kinds["by meaning"] = _Kind(SAID, meant)
            sizes["by meaning"] = [max(found)]
        costs = _time(db, found, others, kinds, sizes, plan.calls)
    measured = {turns: Costs({kind: {} for kind in kinds}) for turns in get_args(_Turns)}
    for (turns, kind, size), cost in costs.items():
        measured[turns][kind][size] = cost
        say(
            f"{kind}, {size:,} messages, {turns}: {cost.both:.2f} ms,"
            f" processor {cost.processor:.2f} ms"
        )
    return Recall(rows, **measured)


def _install_vectors(db: Connection) -> bool:
    """Install the extension and the table of embeddings, where the extension is there."""
    found = db.execute("select from pg_available_extensions where name = 'vector'").fetchall()
    if found:
        db.execute("create extension if not exists vector schema extensions")
        db.execute("select private.install_embeddings()")
    return bool(found)


def _fill(
    db: Connection, sizes: Sequence[int], talks: int
) -> tuple[dict[int, Conversation], list[Conversation]]:
    """A conversation of each size, and `talks` further ones of the smallest."""
    db.execute("create temporary table talks (number bigint, id uuid, user_id uuid, size integer)")
    with without_indexes(db, ["messages"]):
        for number, size in enumerate([*sizes, min(sizes)]):
            few = {"first": number, "count": 1 if number < len(sizes) else talks, "size": size}
            db.execute(_TALKS, few | {"character": DEMO_CHARACTER})
        db.execute(_MESSAGES)
    rows = db.execute("select id, user_id, size from talks order by number").fetchall()
    found = [Conversation(row["id"], row["user_id"]) for row in rows]
    return dict(zip(sizes, found, strict=False)), found[len(sizes) :]


def _embed(db: Connection, conversation: Conversation) -> None:
    """An embedding for each message of a conversation, by its place, the newest first."""
    rows = db.execute(
        "select id, position from messages where conversation_id = %s order by position desc",
        [conversation.id],
    ).fetchall()
    insert = (
        "insert into private.message_embeddings (message_id, conversation_id, position, model,"
        " embedding) values (%s, %s, %s, %s, %s::text::extensions.halfvec)"
    )
    with db.cursor() as cursor:
        cursor.executemany(
            insert,
            [
                (row["id"], conversation.id, row["position"], MODEL, json.dumps(_vector(number)))
                for number, row in enumerate(rows)
            ],
        )


def _vector(number: int) -> list[float]:
    """A vector for a message; those of the same number are the same."""
    chance = random.Random(number)  # noqa: S311 - nothing secret
    return [round(chance.gauss(0, 1), 3) for _ in range(MEANINGS)] * (DIMENSIONS // MEANINGS)


def _time(
    db: Connection,
    found: Mapping[int, Conversation],
    others: Sequence[Conversation],
    kinds: Mapping[str, _Kind],
    sizes: Mapping[str, Sequence[int]],
    calls: int,
) -> dict[tuple[_Turns, str, int], Cost]:
    """Costs by turns, kind and size. `others` are conversations of the smallest size."""
    backend = int(db.execute("select pg_backend_pid() as pid").fetchall()[0]["pid"])
    # A committed turn, after which the database knows what changes.
    copies = {size: turn(db, one, SAID_BEFORE, undo=False).copy for size, one in found.items()}
    copies = {
        size: turn(db, one, SAID_BEFORE, copy=copies[size]).copy for size, one in found.items()
    }
    once: tuple[_Turns, ...] = ("first", "again")
    times: dict[tuple[_Turns, str, int], list[tuple[float, float, float, float]]] = {
        (turns, kind, size): [] for turns in once for kind in kinds for size in sizes[kind]
    }
    smallest = min(found)
    times |= {("elsewhere", kind, smallest): [] for kind in kinds if smallest in sizes[kind]}
    next_one = itertools.cycle(others)
    for number in range(calls + 20):
        if number % ROUNDS == 0:
            # Rolled back messages stay in the indexes until then. So few would be left there.
            db.execute("vacuum (index_cleanup on) messages")
        for (turns, kind, size), measured in times.items():
            before = cpu_seconds(backend)
            one = kinds[kind]
            copy = copies[size] if turns == "again" else NOTHING_KEPT
            where = next(next_one) if turns == "elsewhere" else found[size]
            done = turn(db, where, one.said, one.embedding, copy)
            if number >= 20:  # Query plans are cached by then.
                spent = 1_000 * (cpu_seconds(backend) - before)
                measured.append((done.begin_turn, done.finish_turn, spent, done.size))
    return {
        name: Cost(Calls(median(begin), median(finish)), median(processor), median(size))
        for name, measured in times.items()
        for begin, finish, processor, size in [zip(*measured, strict=True)]
    }


_TALKS = """
with made as (
  select %(first)s + n as number, gen_random_uuid() as id, gen_random_uuid() as user_id
  from generate_series(0, %(count)s - 1) n),
users as (insert into auth.users (id, email) select user_id, user_id || '@example.com' from made),
profiles as (insert into public.profiles (id) select user_id from made),
conversations as (
  insert into public.conversations (id, user_id, character_id)
  select id, user_id, %(character)s from made)
insert into talks select number, id, user_id, %(size)s from made
"""
_MESSAGES = """
insert into public.messages (conversation_id, sender, content, created_at)
select s.id, case s.n % 2 when 1 then 'user' else 'character' end, (
  -- Forty words. As in real text, a few words are in most messages, and most words are in few.
  select string_agg('word' || floor(power(5000, random()))::integer, ' ' order by k)
  from generate_series(1, 40 + 0 * s.n) k), now() - (1 - s.place) * interval '1 year'
from (
  select t.id, n, (n - random()) / t.size as place from talks t, generate_series(1, t.size) n
  -- All conversations go on at the same time, so messages of one are in as many places.
  order by place) s
"""
