"""Checks that limits, cooldowns and repeated requests hold across instances.

Each check needs a load balancer that nothing else uses at the time, so that successive requests
reach successive instances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
from psycopg.types.json import Jsonb

from tests.support.answers import held, text
from tests.support.load_balancer import LoadBalancer
from tests.support.stack import Stack, User
from tests.support.talk import failing
from tests.support.waiting import Gate, wait_until


class Instances:
    """The checks. Each yields its problems."""

    def __init__(self, stack: Stack, balancer: LoadBalancer, count: int) -> None:
        self._stack = stack
        self._balancer = balancer
        self._count = count

    def wrong(self) -> Iterator[str]:
        """The problems of all checks."""
        self._stack.unregister_worker()
        # Held responses may take as long as a turn.
        self._stack.db.execute(
            "update api_models set capabilities = capabilities || %s",
            (Jsonb({"timeouts": {"first_token": 60}}),),
        )
        self._stack.upstream.always(text("Yes."))
        for check in (
            self.repeated_in_order,
            self.repeated_at_once,
            self.turns_per_minute,
            self.turns_at_once,
            self.cooldowns,
        ):
            self._stack.db.execute("delete from model_cooldowns")
            self._stack.configure(limits={"default": {}})
            before = Counter(self._balancer.requests)
            try:
                yield from check()
            except (httpx.HTTPError, TimeoutError) as error:
                yield f"{check.__name__}: {type(error).__name__}: {error}"
            asked = self._balancer.requests - before
            if len(asked) != self._count:
                yield f"{check.__name__} asked {len(asked)} instances"

    def repeated_in_order(self) -> Iterator[str]:
        """Every instance returns the reply of the first one."""
        user = self._stack.user()
        body = self._message(user)
        answers = [self._ask(user, body) for _ in range(self._count)]
        replies = {answer.json().get("message_id") for answer in answers}
        if len(replies) != 1 or replies == {None}:
            yield f"doubled: {len(replies)} replies to one request, {_told(answers)}"
        yield from self._only_turn(user)

    def repeated_at_once(self) -> Iterator[str]:
        """One instance answers. The others report a turn in progress, or return the same reply."""
        user, gate = self._stack.user(), Gate()
        body = self._message(user)
        self._stack.upstream.enqueue(held(gate, text("Yes.")))
        with self._asking(user, [body] * self._count, gate) as running:
            wait_until(lambda: sum(map(Future.done, running)) >= self._count - 1, "refusals")
        answers = [each.result() for each in running]
        replies = {answer.json()["message_id"] for answer in answers if answer.is_success}
        if len(replies) != 1 or _told(answers).keys() - {"ok", "turn_in_progress"}:
            yield f"doubled: {len(replies)} replies to one request at once, {_told(answers)}"
        yield from self._only_turn(user)

    def turns_per_minute(self) -> Iterator[str]:
        """Of simultaneous requests, as many are answered as the limit allows."""
        allowed = self._count + 1
        self._stack.configure(limits={"default": {"turns_per_minute": allowed}})
        user = self._stack.user()
        bodies = [self._message(user) for _ in range(3 * self._count)]
        with self._asking(user, bodies) as running:
            pass
        told = _told([each.result() for each in running])
        if told != {"ok": allowed, "rate_limited": len(bodies) - allowed}:
            yield f"limit of {allowed} turns a minute: {told}"

    def turns_at_once(self) -> Iterator[str]:
        """While the other instances run as many turns as allowed, this one rejects requests."""
        self._stack.configure(limits={"default": {"running": self._count - 1}})
        user, gate = self._stack.user(), Gate()
        bodies = [self._message(user) for _ in range(self._count - 1)]
        self._stack.upstream.enqueue(*[held(gate, text("Yes."))] * len(bodies))
        with self._asking(user, bodies, gate) as running:
            self._stack.upstream.wait_for(lambda upstream: upstream.in_progress == len(bodies))
            refused = self._ask(user, self._message(user))
        told = _told([*(each.result() for each in running), refused])
        if told != {"ok": self._count - 1, "rate_limited": 1}:
            yield f"limit of {self._count - 1} turns at once: {told}"

    def cooldowns(self) -> Iterator[str]:
        """After a rate limit on one instance, no other instance asks that model."""
        limited = failing(429, headers={"Retry-After": "3600"})
        self._stack.upstream.enqueue(limited)
        self._stack.upstream.calls.clear()
        for _ in range(self._count):
            user = self._stack.user()
            self._ask(user, self._message(user))
        first, *others = self._stack.upstream.models_called()
        if len(others) != self._count or first in others:
            yield f"{first} is on cooldown, and then {others} were asked"

    def _message(self, user: User) -> dict[str, str]:
        """A message in a new conversation."""
        conversation = str(self._stack.conversation(user))
        return {
            "conversation_id": conversation,
            "message": "Hello",
            "client_message_id": conversation,
        }

    def _ask(self, user: User, body: dict[str, str]) -> httpx.Response:
        return self._stack.chat(user, url=self._balancer.url, **body)

    @contextmanager
    def _asking(
        self, user: User, bodies: list[dict[str, str]], gate: Gate | None = None
    ) -> Iterator[list[Future[httpx.Response]]]:
        """Simultaneous requests. At the end the gate is opened and all are answered."""
        with ThreadPoolExecutor(len(bodies)) as pool:
            try:
                yield [pool.submit(self._ask, user, body) for body in bodies]
            finally:
                if gate:
                    gate.open()

    def _only_turn(self, user: User) -> Iterator[str]:
        turns = self._stack.all("select status from turns where user_id = %s", user.id)
        if turns != [{"status": "complete"}]:
            yield f"doubled: turns of one request {turns}"


def _told(answers: list[httpx.Response]) -> Counter[str]:
    return Counter(answer.json().get("code", "ok") for answer in answers)
