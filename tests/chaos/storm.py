"""Users chat with characters while the functions and Postgres are killed.

Three instances of the function run behind a load balancer, on one database. Each device sends one
message after the other and repeats each with the same client_message_id until it is answered, and
sometimes once more. A repeated request reaches another instance. In an adopted database, the
product's own client and function write into some of the same conversations. At the end everything
must be in the database exactly once.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.chaos.product import Product, insert_message
from tests.support import patient
from tests.support.answers import stream
from tests.support.functions import serve_process
from tests.support.gateway import SECRET_KEY, Gateway, running_gateway
from tests.support.installations import NEW, connect, install
from tests.support.keys import Keys
from tests.support.load_balancer import LoadBalancer, balanced
from tests.support.postgres import Postgres, running_postgres
from tests.support.postgrest import running_postgrest
from tests.support.problems import counts, shares, table, tally
from tests.support.stack import Stack, User
from tests.support.upstream import Exchange, Upstream, running_upstream
from tests.support.waiting import PATIENCE, wait_until

DATABASE = "app"
INSTANCES = 3
SETTINGS = {
    "TURN_BUDGET_SECONDS": "2",
    "LEASE_MARGIN_SECONDS": "1",
    "SAVE_PATIENCE_SECONDS": "1",
    "LOG_LEVEL": "error",
}


@dataclass
class Report:
    """What happened, and the problems at the end."""

    kills: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """Number of responses by status and code, or "no answer"."""
    messages: int = 0
    of_the_product: int = 0
    """Number of messages that the product's programs wrote."""
    turns: Counter[str] = field(default_factory=Counter)
    model_calls: int = 0
    instances: Counter[int] = field(default_factory=Counter)
    """Number of requests per instance."""
    moved: int = 0
    """Number of repeated requests that reached another instance."""
    slowest_seconds: float = 0
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The numbers as lines of text."""
        slowest = f"{self.slowest_seconds:.1f} s"
        rows = [
            ("kills", counts(self.kills)),
            ("messages", f"{self.messages}, each answered once; slowest answer {slowest}"),
            *self._beside(),
            ("requests", f"{sum(self.answers.values())}: {counts(self.answers)}"),
            ("instances", shares(self.instances, self.moved)),
            ("turns", f"{sum(self.turns.values())}: {counts(self.turns)}"),
            ("model calls", str(self.model_calls)),
            ("wrong", tally(self.problems)),
        ]
        return table(rows, self.problems[:50])

    def _beside(self) -> Iterator[tuple[str, str]]:
        if self.of_the_product:
            yield "product", f"{self.of_the_product} messages of its own programs"


class Instance:
    """One process of the chat function, restarted after each kill."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._life = ExitStack()
        self._past_faults: list[str] = []
        self.start()

    @property
    def faults(self) -> list[str]:
        """The unexpected exceptions in its log."""
        log = self._process.output().splitlines()
        return self._past_faults + [line for line in log if '"exception"' in line]

    def start(self) -> None:
        """Starts a process and waits until it responds."""
        self._process = self._life.enter_context(serve_process("roleplay_chat", self._env))
        self.url = self._process.url

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._past_faults = self.faults
        self._life.close()

    def stop(self) -> None:
        """Stops it normally."""
        self._life.close()


@dataclass
class Device:
    """One client: its user, their conversation, and what it sent and received."""

    name: str
    user: User
    conversation: UUID
    dice: random.Random
    gateway: str
    function: str
    """The URL of the load balancer."""
    report: Report
    replies: dict[str, str] = field(default_factory=dict)
    """By message."""
    ids: dict[str, str] = field(default_factory=dict)
    """Of the replies, by message."""
    given_up: threading.Event = field(default_factory=threading.Event)

    def talk(self, stop: threading.Event) -> None:
        """Sends messages until `stop` is set. The last one is also answered."""
        with httpx.Client(
            headers=self.user.headers, timeout=PATIENCE, trust_env=False
        ) as self._client:
            while not stop.is_set():
                self._say(f"{self.name}-{len(self.replies)}")

    def _say(self, message: str) -> None:
        body = {
            "conversation_id": str(self.conversation),
            "message": message,
            "client_message_id": str(uuid4()),
            "stream": self.dice.random() < 0.5,
        }
        started = time.monotonic()
        if self.dice.random() < 0.5:
            row = uuid4()
            self._until(lambda: self._write(row, message))
        self._until(lambda: self._ask(message, body))
        if self.dice.random() < 0.2:  # as if the response had been lost
            self._until(lambda: self._ask(message, body))
        seconds = time.monotonic() - started
        self.report.slowest_seconds = max(self.report.slowest_seconds, seconds)

    def _until(self, done: Callable[[], bool]) -> None:
        while not done() and not self.given_up.is_set():
            time.sleep(self.dice.uniform(0.05, 0.3))

    def _write(self, row: UUID, message: str) -> bool:
        """Inserts the message itself, as clients may do before their request."""
        said = {"id": str(row), "conversation_id": str(self.conversation)}
        said |= {"sender": "user", "content": message}
        return insert_message(self._client, self.gateway, said, self.user.headers)

    def _ask(self, message: str, body: dict[str, Any]) -> bool:
        try:
            answer = self._client.post(self.function, json=body)
        except httpx.TransportError:
            self.report.answers["no answer"] += 1
            return False
        told = _told(answer)
        self.report.answers[f"{answer.status_code} {told.get('code', '')}".strip()] += 1
        if answer.status_code == 200 and told.get("saved"):
            self.replies[message] = told["response"]
            if self.ids.setdefault(message, told["message_id"]) != told["message_id"]:
                self.report.problems.append(f"doubled: two replies to {message}")
            return True
        return False


def _told(answer: httpx.Response) -> dict[str, Any]:
    """The JSON response, or that of the last event."""
    if "text/event-stream" not in answer.headers["content-type"]:
        return dict(answer.json())
    last = httpx.Response(200, text=answer.text.rpartition("data: ")[2].partition("\n")[0])
    return dict(last.json())


async def _heard(exchange: Exchange) -> None:
    """The model's reply to a message, in slow pieces."""
    # A message of the other device may be before it.
    asked = exchange.call.json["messages"][-1]["content"].rpartition("\n")[2]
    await stream(["I ", "heard ", asked, "."], gap=random.uniform(0, 0.1))(exchange)  # noqa: S311


@dataclass
class World:
    """All running parts, and the devices."""

    postgres: Postgres
    gateway: Gateway
    upstream: Upstream
    balancer: LoadBalancer
    instances: list[Instance]
    devices: list[Device]
    products: list[Product]
    report: Report
    dice: random.Random

    @property
    def writers(self) -> list[Device | Product]:
        """Who writes messages."""
        return [*self.devices, *self.products]

    def strike(self) -> None:
        """Kills a part while turns are running, and restarts it."""
        wait_until(lambda: self.upstream.in_progress or self.gateway.in_progress, "a turn to run")
        time.sleep(self.dice.uniform(0, 0.4))
        victim = self.dice.choices(["function", "postgres", "both"], [8, 2, 1])[0]
        self.report.kills[victim] += 1
        instance = self.dice.choice(self.instances)
        if victim != "function":
            self.postgres.stop(SIGKILL)
        if victim != "postgres":
            instance.kill()
        if victim != "function":
            time.sleep(self.dice.uniform(0, 1))
            self.postgres.start()
        if victim != "postgres":
            instance.start()
        wait_until(self._database_answers, "the Data API to find the database again")

    def _database_answers(self) -> bool:
        url = f"{self.gateway.url}/rest/v1/api_models?select=id"
        return patient.get(url, headers={"apikey": SECRET_KEY}).is_success


@contextmanager
def world(seed: int, people: int, installation: str) -> Iterator[World]:
    """A database that survives crashes, instances of the function, and users with devices.

    Half of the users have two devices in the same conversation. In an adopted database the
    product's programs write into these conversations.
    """
    dice, keys, report = random.Random(seed), Keys(), Report()  # noqa: S311
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres(durable=True))
        install(postgres, DATABASE, installation)
        postgrest = stack.enter_context(running_postgrest(postgres, DATABASE, keys.secret))
        gateway = stack.enter_context(running_gateway(postgrest.url, keys))
        upstream = stack.enter_context(running_upstream())
        upstream.always(_heard)
        with connect(postgres, DATABASE) as connection:
            around = Stack(connection, gateway, upstream, upstream, keys, lambda name: "")
            around.configure(limits={})
            connection.execute(
                "update api_providers set base_url = %s", (f"{upstream.url}/api/v1",)
            )
            env = around.env(**SETTINGS)
            with ThreadPoolExecutor() as pool:
                running = list(pool.map(Instance, [env] * INSTANCES))
            for instance in running:
                stack.callback(instance.stop)
            balancer = stack.enter_context(balanced(running))
            devices, products = [], []
            for person in range(people):
                user = around.user()
                conversation = around.conversation(user)
                for number in range(1 + person % 2):
                    name = f"{person}{'ab'[number]}"
                    own = random.Random(f"{seed} {name}")  # noqa: S311
                    urls = gateway.url, balancer.url
                    devices.append(Device(name, user, conversation, own, *urls, report))
                if installation != NEW and person % 2:
                    name = f"product {person}"
                    own = random.Random(f"{seed} {name}")  # noqa: S311
                    products.append(Product(name, user, conversation, own, gateway.url))
        yield World(postgres, gateway, upstream, balancer, running, devices, products, report, dice)


def storm(
    rounds: int,
    seed: int,
    people: int = 4,
    say: Callable[[str], None] = print,
    *,
    installation: str = NEW,
) -> Report:
    """Kills a part `rounds` times while users chat. `say` gets the progress."""
    with world(seed, people, installation) as this, ThreadPoolExecutor(len(this.writers)) as pool:
        stop = threading.Event()
        talks = [pool.submit(writer.talk, stop) for writer in this.writers]
        try:
            for number in range(1, rounds + 1):
                this.strike()
                if number % 10 == 0:
                    answered = sum(len(device.replies) for device in this.devices)
                    say(f"{number} kills, {answered} messages answered")
            stop.set()
            for talk in talks:
                talk.result(PATIENCE)  # nothing is killed now
        finally:
            stop.set()
            for writer in this.writers:
                writer.given_up.set()
        _judge(this)
        return this.report


def _judge(this: World) -> None:
    """Compares what the clients sent and received with the database."""
    report = this.report
    report.model_calls = len(this.upstream.calls)
    report.messages = sum(len(device.replies) for device in this.devices)
    report.of_the_product = sum(len(product.written) for product in this.products)
    report.instances, report.moved = this.balancer.requests, this.balancer.moved
    problems = report.problems
    problems += [
        f"told {told}" for told in report.answers if told.startswith("5") and told[:3] != "503"
    ]
    for instance in this.instances:
        problems += instance.faults
    with connect(this.postgres, DATABASE) as connection:

        def rows(query: str, *values: object) -> list[dict[str, Any]]:
            return connection.execute(query.encode(), values or None).fetchall()

        def abandoned() -> bool:
            connection.execute("select close_abandoned_turns()")
            return not rows("select from turns where status = 'running'")

        wait_until(abandoned, "every turn to end")
        for row in rows("select status, coalesce(error_code, 'ok') as why from turns"):
            report.turns[row["status"] + ("" if row["why"] == "ok" else f" ({row['why']})")] += 1

        conversations: dict[UUID, dict[str, str]] = {}
        for device in this.devices:
            conversations.setdefault(device.conversation, {}).update(device.replies)
        for conversation, replies in conversations.items():
            said = rows(
                "select m.id, m.sender, m.content, m.parent_id, m.is_active from messages m "
                "where m.conversation_id = %s order by m.position",
                conversation,
            )
            alone = sum(device.conversation == conversation for device in this.devices) == 1
            others = [each for each in this.products if each.conversation == conversation]
            theirs = {row for product in others for row in product.written}
            for product in others:
                problems += product.problems(said)
            ours = [row for row in said if row["id"] not in theirs]
            problems += _differences(ours, replies, alternating=alone)

        for what, query in WRONG_ROWS.items():
            problems += [f"{what}: {row}" for row in rows(query)]


WRONG_ROWS = {
    "doubled turns of one request": """
        select client_message_id, count(*) from turns where status <> 'failed'
        group by 1 having count(*) <> 1""",
    "doubled or lost usage rows of a turn": """
        select t.id, t.status, count(u) from turns t
        left join usage_events u on u.turn_id = t.id and u.purpose = 'reply'
        group by t.id having count(u) > 1 or t.status <> 'failed' and count(u) = 0""",
    # A reply of the product's function answers no message that anybody knows of.
    "doubled or lost interactions remembered": """
        select m.conversation_id, m.interaction_count, count(r) from memories m
        left join messages r on r.conversation_id = m.conversation_id
          and r.sender = 'character' and r.parent_id is not null
        group by m.id having count(r) <> interaction_count""",
    "doubled position": """
        select conversation_id, position, count(*) from messages where is_active
        group by 1, 2 having count(*) > 1 or position is null""",
}
"""Rows that must not be there, by what is wrong with them."""


def _differences(
    said: list[dict[str, Any]], replies: Mapping[str, str], *, alternating: bool
) -> Iterator[str]:
    """The missing, duplicate and misplaced messages of one conversation."""
    asked = Counter(row["content"] for row in said if row["sender"] == "user")
    yield from (f"lost message: {message}" for message in replies if not asked[message])
    yield from (f"doubled {n} times: {message}" for message, n in asked.items() if n > 1)
    yield from (
        f"foreign, never sent here: {message}" for message in asked if message not in replies
    )
    texts = {row["id"]: row["content"] for row in said if row["sender"] == "user"}
    answered = Counter[str]()
    seen: set[UUID] = set()
    for row in said:
        if row["sender"] == "character":
            message = texts.get(row["parent_id"], "nothing")
            answered[message] += 1
            if row["parent_id"] not in seen:
                yield f"answered before it was said: {message}"
            if row["content"] != replies.get(message) or row["content"] != f"I heard {message}.":
                yield f"foreign reply: {message} was answered with {row['content']}"
        seen.add(row["id"])
    yield from (f"lost reply to: {message}" for message in replies if not answered[message])
    yield from (f"doubled: {n} replies to {message}" for message, n in answered.items() if n > 1)
    senders = [row["sender"] for row in said]
    if alternating and senders != ["user", "character"] * (len(senders) // 2):
        yield f"out of order: {[row['content'] for row in said]}"
    yield from (f"set aside: {row['content']}" for row in said if not row["is_active"])
