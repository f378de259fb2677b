"""Runs many turns at a time while models fail in every way, then checks the results.

Three instances of the function run behind a load balancer, as processes of their own, on one real
Postgres and PostgREST. Users send, repeat (which reaches another instance), stop, disconnect and
continue replies. Afterwards every turn has ended, every message is stored once, no reply is stored
twice or in another conversation, and no error text is stored. No connection, task or memory leaks.
Limits, cooldowns and repeated requests hold across instances.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from tests.soak.instances import Instances
from tests.soak.shapes import TAG, Weather, words
from tests.support import patient
from tests.support.functions import Process, serve_process
from tests.support.gateway import running_gateway
from tests.support.installations import INSTALLATIONS, NEW, connect, install
from tests.support.keys import Keys
from tests.support.load_balancer import LoadBalancer, balanced
from tests.support.postgres import running_postgres
from tests.support.postgrest import running_postgrest
from tests.support.problems import by_name, counts, shares, table, tally
from tests.support.stack import Stack
from tests.support.talk import CANARY, Talk
from tests.support.upstream import running_upstream
from tests.support.waiting import wait_until

FOLDER = Path(__file__).parent / "functions"
SETTINGS = {
    "TURN_BUDGET_SECONDS": "6",
    "CONNECT_TIMEOUT_SECONDS": "1",
    "FIRST_TOKEN_TIMEOUT_SECONDS": "0.5",
    "IDLE_TIMEOUT_SECONDS": "0.5",
    "HEARTBEAT_SECONDS": "0.3",
}
INSTANCES = 3
TURNS_EACH = 4
"""Turns in one conversation, one after the other."""
GROWTH_ALLOWED_MB = 8.0
"""Allowed growth of memory between the first quarter, when everything is warm, and the end."""
EXPECTED = {200, 403, 409, 422, 503}


@dataclass
class Numbers:
    """What happened, and the problems."""

    turns: int = 0
    seconds: float = 0
    answers: Counter[str] = field(default_factory=Counter)
    doings: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    waited_ms: list[float] = field(default_factory=list)
    instances: Counter[int] = field(default_factory=Counter)
    """Number of requests per instance."""
    moved: int = 0
    """Number of repeated requests that reached another instance."""
    memory_mb: list[list[float]] = field(default_factory=list)
    """Memory of each instance at the start, after every quarter and at the end."""
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The numbers as lines of text."""
        waits = sorted(self.waited_ms) or [0.0]
        rows = [
            ("turns", f"{self.turns} in {self.seconds:.0f} s"),
            ("what people did", counts(self.doings)),
            ("what they got", counts(self.answers)),
            (
                "how long they waited",
                f"median {waits[len(waits) // 2]:.0f} ms, 95 % {waits[len(waits) * 95 // 100]:.0f}"
                f" ms, longest {waits[-1]:.0f} ms",
            ),
            ("how turns ended", counts(self.statuses)),
            ("calls to models", f"{self.shapes.total()} in {len(self.shapes)} shapes"),
            ("how calls ended", counts(self.outcomes)),
            ("instances", shares(self.instances, self.moved)),
            ("memory of all", ", ".join(f"{sum(each):.1f}" for each in self.memory_mb) + " MB"),
            ("wrong", tally(self.wrong)),
        ]
        return table(rows, self.wrong[:30])


class Soak:
    """One run against a function's instances."""

    def __init__(
        self,
        stack: Stack,
        instances: list[Process],
        balancer: LoadBalancer,
        *,
        turns: int,
        seed: int,
    ) -> None:
        self._stack = stack
        self._instances = instances
        self._balancer = balancer
        self._conversations = max(1, turns // TURNS_EACH)
        self._seed = seed
        self._weather = Weather(seed)
        self._sent: set[str] = set()
        self._answered_to: set[str] = set()
        self.numbers = Numbers()

    def run(self, concurrency: int, told: Callable[[str], None] = lambda line: None) -> Numbers:
        """Runs all conversations, `concurrency` at a time, then the checks."""
        self._stack.upstream.always(self._weather.answer)
        tasks_before = self._tasks()
        started = time.monotonic()
        self.numbers.memory_mb.append(self._memory())
        quarter = max(1, self._conversations // 4)
        with ThreadPoolExecutor(concurrency) as people:
            for number, _ in enumerate(people.map(self._converse, range(self._conversations)), 1):
                if number % quarter == 0 and len(self.numbers.memory_mb) < 5:
                    self.numbers.memory_mb.append(self._memory())
                    told(f"{number * TURNS_EACH} turns, {time.monotonic() - started:.0f} s")
        self._check_the_processes(tasks_before)
        self.numbers.seconds = time.monotonic() - started
        self._check_the_rows()
        self.numbers.shapes = self._weather.sent
        self.numbers.instances = Counter(self._balancer.requests)
        self.numbers.moved = self._balancer.moved
        self.numbers.wrong += Instances(self._stack, self._balancer, INSTANCES).wrong()
        return self.numbers

    # What users do

    def _converse(self, number: int) -> None:
        user = self._stack.user()
        conversation = self._stack.conversation(user)
        talk = Talk(self._stack, user, conversation, url=self._balancer.url)
        random = Random(f"{self._seed} {number}")  # noqa: S311
        talk.have_worker()
        talk.stack.worker_health(
            healthy=random.random() < 0.7, workerUrl=f"{talk.stack.upstream.url}/worker"
        )
        # Otherwise everything would soon be on cooldown, and all turns would be alike.
        self._stack.db.execute("delete from model_cooldowns")
        for turn in range(TURNS_EACH):
            try:
                self._turn(talk, f"c{number}t{turn}", random)
            except (httpx.HTTPError, AssertionError, TimeoutError) as error:
                self.numbers.wrong.append(f"c{number}t{turn}: {type(error).__name__}: {error}")

    def _turn(self, talk: Talk, tag: str, random: Random) -> None:
        message = f"Message {tag}"
        self._sent.add(message)
        self.numbers.turns += 1
        acts = [self._send, self._stream, self._leave, self._leave_a_stream, self._send_again]
        act = random.choices(acts, weights=[50, 20, 8, 12, 10])[0]
        self.numbers.doings[act.__name__.strip("_").replace("_", " ")] += 1
        started = time.monotonic()
        answer = act(talk, message, random)
        if answer is None:
            self._wait_for(talk)
            return
        if answer.get("code") != "turn_in_progress":  # of a client that disconnected
            self._answered_to.add(message)
        self.numbers.waited_ms.append((time.monotonic() - started) * 1000)
        if answer.get("incomplete") and random.random() < 0.5:
            self.numbers.doings["continue"] += 1
            self.numbers.turns += 1
            self._answered(talk.say(action="continue"))

    def _send(self, talk: Talk, message: str, random: Random) -> dict[str, Any]:
        return self._answered(talk.say(message))

    def _send_again(self, talk: Talk, message: str, random: Random) -> dict[str, Any]:
        """Disconnects before the response and repeats the request, which must be the same turn."""
        with talk.asking(message, client_message_id=message):
            pass
        first = self._answered(talk.say(message, client_message_id=message))
        self._wait_for(talk)
        again = self._answered(talk.say(message, client_message_id=message))
        if first.get("message_id") and first["message_id"] != again.get("message_id"):
            self.numbers.wrong.append(f"doubled: {message} was answered twice")
        return again

    def _stream(self, talk: Talk, message: str, random: Random) -> dict[str, Any]:
        with talk.streaming(message) as events:
            if events.response.status_code != 200:
                events.response.read()
                return self._answered(events.response)
            *before, last = list(events)
        shown = "".join(event.data["text"] for event in before if event.name == "delta")
        if shown != last.data.get("response", ""):
            self.numbers.wrong.append(f"{message}: shown {shown!r}, told {last.data}")
        if CANARY in str([*before, last]):
            self.numbers.wrong.append(f"foreign: {message}, an upstream's words were shown")
        self.numbers.answers[last.data.get("code") or last.name] += 1
        return dict(last.data)

    def _leave(self, talk: Talk, message: str, random: Random) -> None:
        stay = random.choice([0.0, 0.05, 0.3])
        with talk.asking(message, on_disconnect=random.choice(["finish", "stop"])):
            time.sleep(stay)

    def _leave_a_stream(self, talk: Talk, message: str, random: Random) -> None:
        how = random.choice(["finish", "stop"])
        with suppress(AssertionError), talk.streaming(message, on_disconnect=how) as events:
            if events.response.status_code == 200:
                events.until("delta")

    def _answered(self, response: httpx.Response) -> dict[str, Any]:
        body = dict(response.json())
        self.numbers.answers[
            body.get("code") or ("incomplete" if body["incomplete"] else "ok")
        ] += 1
        if response.status_code not in EXPECTED:
            self.numbers.wrong.append(f"answered {response.status_code}: {response.text}")
        if response.status_code == 503 and "retry-after" not in response.headers:
            self.numbers.wrong.append(f"503 without Retry-After: {response.text}")
        return body

    def _wait_for(self, talk: Talk) -> None:
        query = "select from turns where conversation_id = %s and status = 'running'"
        wait_until(lambda: not self._stack.all(query, talk.conversation), "a turn to end")

    # Checks at the end

    def _tasks(self) -> list[list[str]]:
        return [_inside(instance)["tasks"] for instance in self._instances]

    def _left_over(self, before: list[list[str]]) -> Counter[str]:
        """The tasks of all instances that were not there before.

        Fewer is fine: those that import what turns need may still run at first.
        """
        return Counter(chain(*self._tasks())) - Counter(chain(*before))

    def _memory(self) -> list[float]:
        return [_resident_mb(instance.popen.pid) for instance in self._instances]

    def _check_the_processes(self, tasks_before: list[list[str]]) -> None:
        wrong = self.numbers.wrong
        try:
            self._stack.upstream.wait_for(lambda upstream: not upstream.in_progress)
            wait_until(lambda: not self._left_over(tasks_before), "the tasks to end")
        except TimeoutError as error:
            left = self._left_over(tasks_before)
            open_now = self._stack.upstream.in_progress
            wrong.append(f"left over: tasks {dict(left)}, connections {open_now} ({error})")
        for instance in self._instances:
            wrong += _inside(instance)["exceptions"]
        self.numbers.memory_mb.append(self._memory())
        if len(self.numbers.memory_mb) == 6:
            _, warm, *_, last = self.numbers.memory_mb
            for grown in (after - before for before, after in zip(warm, last, strict=True)):
                if grown > GROWTH_ALLOWED_MB:
                    wrong.append(f"an instance's memory grew by {grown:.1f} MB")

    def _check_the_rows(self) -> None:
        all_of, wrong = self._stack.all, self.numbers.wrong
        turns = all_of("select * from turns")
        self.numbers.statuses.update(turn["status"] for turn in turns)
        outcomes = all_of("select outcome from usage_events")
        self.numbers.outcomes.update(row["outcome"] for row in outcomes)
        wrong += [
            f"lost, never ended: {turn['id']}" for turn in turns if turn["status"] == "running"
        ]

        messages = all_of("select * from messages")
        said = Counter(m["content"] for m in messages if m["sender"] == "user")
        # A request that was aborted at once may not have arrived.
        wrong += [f"doubled, stored {n} times: {message}" for message, n in said.items() if n != 1]
        wrong += [f"foreign, never sent: {message}" for message in said.keys() - self._sent]
        wrong += [
            f"lost after its answer: {message}" for message in self._answered_to - said.keys()
        ]

        replies = {m["id"]: m for m in messages if m["sender"] == "character"}
        answered = Counter(m["parent_id"] for m in replies.values() if m["is_active"])
        wrong += [
            f"doubled, answered {n} times: {parent}" for parent, n in answered.items() if n != 1
        ]
        told = Counter(turn["reply_message_id"] for turn in turns if turn["reply_message_id"])
        wrong += [
            f"doubled, one reply of {n} turns: {reply}" for reply, n in told.items() if n != 1
        ]
        wrong += [f"foreign, reply of no turn: {reply}" for reply in replies.keys() - told.keys()]
        for turn in turns:
            self._check_words(turn, replies.get(turn["reply_message_id"]))
        texts = {message["id"]: message["content"] for message in messages}
        for reply in replies.values():
            asked = TAG.findall(texts.get(reply["parent_id"], ""))
            if not {*TAG.findall(reply["content"])} <= {*asked}:
                wrong.append(f"foreign reply to {asked}: {reply['content']!r}")
        if CANARY in str(turns) + str(messages):
            wrong.append("foreign: an upstream's words were stored")

    def _check_words(self, turn: dict[str, Any], reply: dict[str, Any] | None) -> None:
        if reply is None:
            if turn["status"] != "failed":
                self.numbers.wrong.append(f"lost reply of a {turn['status']} turn: {turn['id']}")
            return
        content = reply["content"]
        whole = turn["status"] == "complete" and turn["action"] == "send"
        whole = whole and turn["finish_reason"] == "stop"
        tag = TAG.search(content)
        odd = set(content.split()) - set(words(tag[0] if tag else "").split())
        if odd or (whole and tag and content != words(tag[0])):
            self.numbers.wrong.append(f"foreign: a {turn['status']} turn says {content!r}")


def _inside(instance: Process) -> dict[str, Any]:
    return dict(patient.get(f"{instance.url}/?inside").json())


def _resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants."""
    top = psutil.Process(pid)
    family = [top, *top.children(recursive=True)]
    return float(sum(process.memory_info().rss for process in family) / 2**20)


def soak(stack: Stack, *, turns: int, seed: int, concurrency: int, **more: Any) -> Numbers:
    """Runs a soak on new instances."""
    with ExitStack() as parts:

        def start(_: int) -> Process:
            env = stack.env(**SETTINGS)
            return parts.enter_context(serve_process("roleplay_chat", env, FOLDER))

        with ThreadPoolExecutor() as pool:
            instances = list(pool.map(start, range(INSTANCES)))
        balancer = parts.enter_context(balanced(instances))
        return Soak(stack, instances, balancer, turns=turns, seed=seed).run(concurrency, **more)


@contextmanager
def _standing_alone(installation: str) -> Iterator[Stack]:
    """The stack that the test fixtures set up."""
    with ExitStack() as parts:
        keys = Keys()
        postgres = parts.enter_context(running_postgres())
        install(postgres, "app", installation)
        postgrest = parts.enter_context(running_postgrest(postgres, "app", keys.secret))
        gateway = parts.enter_context(running_gateway(postgrest.url, keys))
        upstream = parts.enter_context(running_upstream())
        db = parts.enter_context(connect(postgres, "app"))
        db.execute("update api_providers set base_url = %s", (f"{upstream.url}/api/v1",))
        stack = Stack(db, gateway, upstream, upstream, keys, lambda function: "")
        stack.configure(allowLocalWorkers=True)
        yield stack


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("--turns", type=_positive, default=2000, help="how many turns (2000)")
    parser.add_argument("--seed", type=int, default=1, help="decides who fails how")
    parser.add_argument("--concurrency", type=_positive, default=16, help="turns at a time")
    parser.add_argument("--installation", choices=INSTALLATIONS, default=NEW)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    with _standing_alone(arguments.installation) as stack:
        numbers = soak(
            stack,
            turns=arguments.turns,
            seed=arguments.seed,
            concurrency=arguments.concurrency,
            told=lambda line: print(line, file=sys.stderr, flush=True),
        )
    print(json.dumps(by_name(numbers), indent=2) if arguments.json else numbers.table())
    sys.exit(1 if numbers.wrong else 0)
