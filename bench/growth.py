"""Measures the two database calls of a turn in large conversations, and in an adopted database."""

import json
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar
from uuid import UUID, uuid4

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from bench.plan import Plan
from bench.prose import PARAGRAPH
from roleplay_chat.turn_cache import CachedTurn, complete
from tests.support.installations import NEW, install
from tests.support.plans import explained, nodes, rows_read
from tests.support.postgres import OWNER, Connection, Postgres
from tests.support.stack import DEMO_CHARACTER

DATABASE = "growth"
ADOPTED = "april"
"""The newest known state of the product whose database is adopted."""
PEOPLE = 10_000
GROWING = (
    *("users", "profiles", "characters", "conversations", "messages", "turns", "usage_events"),
    *("memories", "turn_prompts"),
)
"""Tables that grow with the number of users: a turn must never scan a whole table."""
Name = TypeVar("Name", bound=Hashable)
SAID = "Where is word3 of word40, and what was word700 or word4000 called?"
"""What the person says: common and rare words of the conversation."""
COMPOSITION = {
    "tokens": 4000,
    "parts": [{"part": "description", "tokens": 300}] * 12,
    "history": {"messages": 60, "left_out": 40, "from": 1},
    "entries": [{"place": 1, "id": 1, "key": 0}] * 6,
    "facts": [str(UUID(int=number)) for number in range(20)],
    "recalled": {"facts": [], "messages": list(range(12))},
    "left_out": {"entries": [], "facts": []},
    "more": {},
}
"""What the prompt was made of, of usual size."""
NOTHING_KEPT = CachedTurn()
MANY_ROWS = 2_100
"""More rows than any statement of a turn needs: a history has at most 2,000 messages."""


@dataclass(frozen=True)
class Calls:
    """Median time of each call in milliseconds, measured by the client, which does not parse it."""

    begin_turn: float
    finish_turn: float


@dataclass(frozen=True)
class Turn:
    """The two calls of one turn, with the times in milliseconds."""

    begin_turn: float
    finish_turn: float
    size: int
    """Bytes of both results."""
    copy: CachedTurn
    """What an instance keeps of it."""


@dataclass(frozen=True)
class Reach:
    """How the statements of a turn read a table."""

    how: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()
    rows: int = -1
    """The most rows that a statement reads, including rows that it discards."""
    query: str = ""
    """The statement that reads the most rows."""


@dataclass(frozen=True)
class Adoption:
    """Results from a new and an adopted database with the same rows."""

    new: dict[int, Calls]
    """Call times by number of messages in the conversation."""
    adopted: dict[int, Calls]
    rows: dict[str, int]

    def ratios(self) -> dict[int, Calls]:
        """How many times longer calls take in the adopted database."""
        return {
            messages: Calls(
                self.adopted[messages].begin_turn / new.begin_turn,
                self.adopted[messages].finish_turn / new.finish_turn,
            )
            for messages, new in self.new.items()
        }


@dataclass(frozen=True)
class Growth:
    """Results from the large database."""

    calls: dict[int, Calls]
    """Call times by number of messages in the conversation."""
    rows: dict[str, int]
    plans: dict[str, Reach]
    """Access by table, in the conversation with the most messages."""
    set_up_seconds: float
    adoption: Adoption | None = None

    def costly_reads(self) -> list[str]:
        """Growing tables that a statement scans, or reads many rows of."""
        return [
            table
            for table, reach in self.plans.items()
            if "Seq Scan" in reach.how or reach.rows > MANY_ROWS
        ]


def grow(postgres: Postgres, plan: Plan, say: Callable[[str], None]) -> Growth:
    """Fill a separate database and call both functions at every size, alternating."""
    started = time.monotonic()
    install(postgres, DATABASE, NEW)
    with postgres.connect(DATABASE, OWNER) as db:
        talks = _fill(db, plan.conversations, plan.messages)
        set_up_seconds = time.monotonic() - started
        say(f"filled in {set_up_seconds:.0f} s")
        rows = _counts(db)
        calls = _time(talks, plan)
    for messages, found in calls.items():
        say(f"{messages:,} messages: begin_turn {found.begin_turn:.2f} ms")
    with postgres.connect(DATABASE, OWNER) as db:
        plans = _plans(db, talks[max(talks)].conversation)
    return Growth(calls, rows, plans, set_up_seconds, _adopt(postgres, plan, say))


def _adopt(postgres: Postgres, plan: Plan, say: Callable[[str], None]) -> Adoption:
    """Call both functions in a new and in an adopted database, alternating."""
    talks: dict[tuple[str, int], _Talk] = {}
    with ExitStack() as connections:
        for installation in (NEW, ADOPTED):
            database = f"{DATABASE}_{installation}"
            install(postgres, database, installation)
            db = connections.enter_context(postgres.connect(database, OWNER))
            found = _fill(db, plan.adopted_conversations, plan.adopted_messages, installation)
            for messages in (min(found), max(found)):
                talks[installation, messages] = found[messages]
        rows = _counts(db)
        calls = _time(talks, plan)
    new, adopted = (
        {messages: found for (name, messages), found in calls.items() if name == installation}
        for installation in (NEW, ADOPTED)
    )
    adoption = Adoption(new, adopted, rows)
    for messages, ratio in adoption.ratios().items():
        say(f"{messages:,} messages, adopted: begin_turn {ratio.begin_turn:.2f} times as long")
    return adoption


@dataclass(frozen=True)
class Conversation:
    """A conversation, and whose it is."""

    id: UUID
    user_id: UUID


@dataclass(frozen=True)
class _Talk:
    """A conversation in a database."""

    db: Connection
    conversation: Conversation


def _fill(
    db: Connection, conversations: int, sizes: Sequence[int], installation: str = NEW
) -> dict[int, _Talk]:
    """Rows of many users, and a conversation of each size."""
    with without_indexes(db, GROWING):
        add_people(db)
        db.execute(
            _CONVERSATIONS,
            {"count": conversations, "people": PEOPLE, "character": DEMO_CHARACTER},
        )
        reply = "character" if installation == NEW else "assistant"
        found = {messages: _Talk(db, _converse(db, messages, reply)) for messages in sizes}
    db.execute("vacuum (analyze)")
    return found


def add_people(db: Connection) -> None:
    """Add `PEOPLE` users, with a profile and a character each. Their ids are md5('user' || n)."""
    db.execute(_PEOPLE, {"people": PEOPLE})


@contextmanager
def without_indexes(db: Connection, tables: Sequence[str]) -> Iterator[None]:
    """Create the tables' indexes after the block: filling them with many rows takes half the time.

    Foreign keys are not checked either: the rows are valid, and checking millions takes most of
    the time.
    """
    db.execute("set session_replication_role = replica")
    indexes = db.execute(_INDEXES, {"tables": list(tables)}).fetchall()
    for index in indexes:
        db.execute(f"drop index public.{index['indexname']}".encode())
    yield
    db.execute("set maintenance_work_mem = '512MB'")
    for index in indexes:
        db.execute(index["indexdef"].encode())
    db.execute("reset session_replication_role")


def _converse(db: Connection, messages: int, reply: str) -> Conversation:
    conversation = Conversation(uuid4(), uuid4())
    parameters = {
        "id": conversation.id,
        "user": conversation.user_id,
        "email": f"{conversation.user_id}@example.com",
        "character": DEMO_CHARACTER,
        "messages": messages,
        "reply": reply,
    }
    for statement in _CONVERSE:
        db.execute(statement, parameters)
    return conversation


def _time(talks: Mapping[Name, _Talk], plan: Plan) -> dict[Name, Calls]:
    begun: dict[Name, list[float]] = {name: [] for name in talks}
    finished: dict[Name, list[float]] = {name: [] for name in talks}
    for number in range(plan.calls + 20):
        for name, talk in talks.items():
            done = turn(talk.db, talk.conversation)
            if number >= 20:  # Query plans are cached by then.
                begun[name].append(done.begin_turn)
                finished[name].append(done.finish_turn)
    return {name: Calls(median(begun[name]), median(finished[name])) for name in talks}


def turn(
    db: Connection,
    conversation: Conversation,
    said: str = SAID,
    embedding: Mapping[str, Any] | None = None,
    copy: CachedTurn = NOTHING_KEPT,
    *,
    undo: bool = True,
) -> Turn:
    """Time both calls, as an instance with `copy` makes them. With `undo` they are rolled back, so
    that the sizes stay the same."""
    turn_id = uuid4()
    parameters = {
        "turn": turn_id,
        "user": conversation.user_id,
        "conversation": conversation.id,
        "words": said,
        "request": str(turn_id),
        "embedding": Jsonb(embedding) if embedding else None,
        "known": Jsonb(copy.known),
    }
    usage = {"provider": "bench", "model_key": "bench", "outcome": "ok", "duration_ms": 1}
    with db.transaction(force_rollback=undo):
        started = time.perf_counter()
        text = db.execute(_BEGIN, parameters).fetchall()[0]["begun"]
        middle = time.perf_counter()
        ended = {
            "turn": turn_id,
            "words": PARAGRAPH,
            "usage": Jsonb([usage]),
            "prompt": Jsonb(COMPOSITION),
        }
        ending = db.execute(_FINISH, ended).fetchall()[0]["finished"]
        end = time.perf_counter()
    begun, saved = json.loads(text), json.loads(ending)
    if begun["outcome"] != "started" or saved["outcome"] != "saved":
        raise RuntimeError(f"begin_turn: {begun['outcome']}, finish_turn: {saved['outcome']}")
    size = len(text.encode()) + len(ending)
    copy = complete(begun, copy)
    return Turn((middle - started) * 1000, (end - middle) * 1000, size, copy)


def _counts(db: Connection) -> dict[str, int]:
    return {table: _count(db, table) for table in ("conversations", "messages", "turns")}


def _count(db: Connection, table: str) -> int:
    found = db.cursor(row_factory=tuple_row).execute(f"select count(*) from {table}".encode())  # noqa: S608
    return int(found.fetchall()[0][0])


def _plans(db: Connection, conversation: Conversation) -> dict[str, Reach]:
    """How the statements inside both functions read growing tables, with cached plans."""
    with explained(db) as plans:
        for _ in range(8):
            plans.clear()
            turn(db, conversation)
    reached: dict[str, Reach] = {}
    for plan in plans:
        for node in nodes(plan["Plan"]):
            table = str(node.get("Relation Name", ""))
            if table in GROWING and "Scan" in node["Node Type"]:
                reached[table] = _reach(node, plan["Query Text"], reached.get(table, Reach()))
    return dict(sorted(reached.items()))


def _reach(node: Mapping[str, Any], query: str, before: Reach) -> Reach:
    """Add a plan node to the access of its table."""
    # Below a scan by a bitmap stands that of the index, which may read more.
    rows = max(map(rows_read, nodes(node)))
    indexes = {str(n["Index Name"]) for n in nodes(node) if "Index Name" in n}
    worse = rows > before.rows
    return Reach(
        how=before.how | {str(node["Node Type"])},
        indexes=before.indexes | indexes,
        rows=rows if worse else before.rows,
        query=" ".join(query.split()) if worse else before.query,
    )


_BEGIN = """
select public.begin_turn(
  p_turn_id => %(turn)s, p_user_id => %(user)s, p_task => 'roleplay', p_action => 'send',
  p_conversation_id => %(conversation)s, p_message => %(words)s,
  p_client_message_id => %(request)s, p_embedding => %(embedding)s,
  p_known => %(known)s)::text as begun
"""
_FINISH = """
select public.finish_turn(
  p_turn_id => %(turn)s, p_status => 'complete', p_reply => %(words)s, p_usage => %(usage)s,
  p_prompt => %(prompt)s)::text as finished
"""
_INDEXES = """
select indexname, indexdef from pg_indexes i
where schemaname = 'public' and tablename = any (%(tables)s)
  and not exists (select from pg_constraint c where c.conname = i.indexname)
"""
_PEOPLE = """
with people as (
  insert into auth.users (id, email)
  select md5('user' || n)::uuid, n || '@example.com' from generate_series(1, %(people)s) n
  returning id),
profiles as (insert into public.profiles (id) select id from people)
insert into public.characters (user_id, name, description) select id, 'Somebody', '' from people
"""
_CONVERSATIONS = """
with conversations as (
  insert into public.conversations (user_id, character_id)
  select md5('user' || 1 + n %% %(people)s)::uuid, %(character)s
  from generate_series(1, %(count)s) n
  returning id, user_id),
begun as (select * from conversations limit %(count)s / 5),
memories as (
  insert into public.memories (user_id, tier, conversation_id)
  select user_id, 'conversation', id from begun),
turns as (
  insert into public.turns (user_id, conversation_id, task, action, client_message_id, status,
                            lease_expires_at, finished_at, created_at)
  select user_id, id, 'roleplay', 'send', id::text, 'complete', moment, moment, moment
  from begun, lateral (select now() - random() * interval '1 year' as moment) said)
insert into public.messages (conversation_id, sender, content)
select id, 'user', 'Hello.' from begun
"""
_CONVERSE = (
    "insert into auth.users (id, email) values (%(user)s, %(email)s)",
    "insert into public.profiles (id) values (%(user)s)",
    """
    insert into public.conversations (id, user_id, character_id)
    values (%(id)s, %(user)s, %(character)s)
    """,
    """
    insert into public.messages (conversation_id, sender, content, created_at)
    select %(id)s, case n %% 2 when 1 then 'user' else %(reply)s end, (
      -- Forty words, of which some are in most messages and most are in few, as people's are.
      select string_agg('word' || floor(power(5000, random()))::integer, ' ' order by k)
      from generate_series(1, 40 + 0 * n) k),
           now() - (%(messages)s - n) * interval '5 minutes'
    from generate_series(1, %(messages)s) n
    """,
    """
    with said as (
      select n, now() - n * interval '10 minutes' as moment
      from generate_series(1, %(messages)s / 2) n),
    turns as (
      insert into public.turns (user_id, conversation_id, task, action, client_message_id, status,
                                lease_expires_at, finished_at, created_at)
      select %(user)s, %(id)s, 'roleplay', 'send', n::text, 'complete', moment, moment, moment
      from said returning id, created_at)
    insert into public.usage_events (turn_id, user_id, provider, model_key, outcome, cost_usd,
                                     duration_ms, created_at)
    select id, %(user)s, 'openrouter', 'bench', 'ok', 0.001, 1000, created_at from turns
    """,
)
