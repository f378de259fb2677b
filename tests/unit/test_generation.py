"""The small decisions around a call: time limits and cost."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from roleplay_chat.generation.attempts import COUNTED_CHARS, Received, cost_usd
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.generation.failover import Callbacks, Generation
from roleplay_chat.generation.providers import STEPS_OF_OTHERS
from roleplay_chat.generation.request_shape import RequestShape, repaired_shape
from roleplay_chat.generation.routing import Plan
from roleplay_chat.generation.targets import Target
from roleplay_chat.generation.time_limits import Limits
from roleplay_chat.messages import Message
from roleplay_chat.reply.filters import STEP_CHARS, Reply
from roleplay_chat.screening.decision import ReplyScreen
from roleplay_chat.settings import Settings
from roleplay_chat.tokens import UNCALIBRATED, Tokens

SETTINGS = Settings(supabase_url="http://x", supabase_secret_key="x")


def limits(timeouts: dict[str, Any]) -> Limits:
    target = Target("openrouter", "m", "M", "openai", "http://x/", timeouts=timeouts)
    return Limits.from_settings(target, SETTINGS)


class TestReceived:
    @pytest.fixture
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The lengths of the texts whose tokens are counted."""
        lengths: list[int] = []
        count = Tokens.count

        def noted(tokens: Tokens, text: str) -> int:
            lengths.append(len(text))
            return count(tokens, text)

        monkeypatch.setattr(Tokens, "count", noted)
        return lengths

    def test_megabytes_of_reasoning_are_counted_as_they_come(self, counted: list[int]) -> None:
        received, thought = Received(UNCALIBRATED), "a b c " * 1_000
        for _ in range(100):
            received.add("", thought)
        received.add("Hi")
        tokens = received.count()
        assert sum(counted) == 600_002
        assert max(counted) < COUNTED_CHARS + len(thought)
        assert tokens - UNCALIBRATED.count(thought * 100 + "Hi") in range(10)

    def test_short_reply_is_counted_once_as_a_whole(self, counted: list[int]) -> None:
        received = Received(UNCALIBRATED)
        for letter in "Hello":
            received.add(letter, "")
        tokens = received.count()
        assert counted == [5]
        assert tokens == UNCALIBRATED.count("Hello")

    def test_only_text_is_something(self) -> None:
        received = Received(UNCALIBRATED)
        received.add("", "")
        assert not received
        received.add("", "a")
        assert received


class TestLimits:
    def test_are_the_settings_where_the_row_says_nothing(self) -> None:
        assert limits({}) == Limits(connect=5, first_token=25, idle=15, total=90)

    def test_are_the_rows_where_it_does(self) -> None:
        assert limits({"first_token": 40, "idle": 0.5, "other": 1}) == Limits(
            connect=5, first_token=40, idle=0.5, total=90
        )

    def test_first_token_is_waited_for_no_longer_than_others_can_wait(self) -> None:
        assert limits({}).within(30) == limits({})
        assert limits({}).within(10) == replace(limits({}), first_token=10)

    @pytest.mark.parametrize(
        "odd", [0, -1, "soon", None, [], 1e9, 10**400, True, float("nan"), float("inf")]
    )
    def test_are_the_settings_where_the_row_says_nonsense(self, odd: Any) -> None:
        assert limits({"total": odd, "connect": odd}) == limits({})


class TestShape:
    TARGET = Target(
        "p", "m", "M", "openai", "http://x/", {"max_tokens": 400}, {"max_tokens": "max_new_tokens"},
        roles="alternate", context_tokens=600,
    )  # fmt: skip

    def test_first_request_has_the_form_of_the_target(self) -> None:
        shape = RequestShape.for_target(self.TARGET)
        assert shape == RequestShape(600, 300, roles="alternate")
        assert shape.repairs(self.TARGET) == {}

    def test_another_size_has_the_same_form(self) -> None:
        shape = RequestShape.for_target(self.TARGET)
        repaired = replace(shape, roles="no_system", completion_tokens=True, bare=True)
        assert repaired.resized(500, 400) == replace(repaired, context_tokens=500, max_tokens=250)

    def test_prompt_is_never_longer_than_the_row_says(self) -> None:
        target = replace(self.TARGET, context_tokens=100_000, prompt_tokens=1000)
        shape = RequestShape.for_target(target)
        for policy in ("context_too_long", "credit_for_fewer_tokens", "all_reasoning"):
            failure = Failure(ERROR_POLICIES[policy])
            repaired = shape
            while better := repaired_shape(repaired, failure):
                assert better.budget <= repaired.budget
                repaired = better
            assert repaired != shape

    def test_prompt_takes_nothing_of_what_the_reply_gives_up(self) -> None:
        shape = RequestShape.for_target(self.TARGET)
        shorter = repaired_shape(shape, Failure(ERROR_POLICIES["credit_for_fewer_tokens"]))
        assert shorter
        assert (shorter.max_tokens, shorter.budget) == (shape.max_tokens // 2, shape.budget)

    def test_prompt_that_is_too_long_is_shorter_at_once(self) -> None:
        target = replace(self.TARGET, context_tokens=10_000_000, prompt_tokens=3000)
        shape = RequestShape.for_target(target)
        shorter = repaired_shape(shape, Failure(ERROR_POLICIES["context_too_long"]))
        assert shorter
        assert shorter.budget < 3000

    @pytest.mark.parametrize("limit", [None, 4096])
    def test_prompt_that_is_too_long_beside_a_longer_reply_gets_shorter(
        self, limit: int | None
    ) -> None:
        sizes: dict[str, Any] = {"context_tokens": 32_768, "prompt_tokens": 1000}
        target = replace(self.TARGET, parameters={"max_tokens": 4000}, **sizes)
        failure = Failure(ERROR_POLICIES["context_too_long"], limit_tokens=limit)
        shape = RequestShape.for_target(target)
        budgets = [shape.budget]
        while (better := repaired_shape(shape, failure)) and budgets[-1] > 300:
            shape = better
            budgets.append(shape.budget)
        assert budgets == sorted(budgets, reverse=True)
        assert budgets[-1] <= 300

    def test_repairs_are_what_differs_from_the_target(self) -> None:
        shape = RequestShape.for_target(self.TARGET)
        repaired = replace(shape, roles="no_system", completion_tokens=True, bare=True)
        expected = {"roles": "no_system", "max_completion_tokens": True}
        assert repaired.repairs(self.TARGET) == expected


class TestCost:
    @pytest.mark.parametrize(
        ("parts", "cost"),
        [
            pytest.param([(1000, 0.2), (500, 0.4)], 0.4, id="tokens-times-prices"),
            pytest.param([(1000, 0), (500, 0)], 0, id="free"),
            pytest.param([(None, 0), (None, 0)], 0, id="free-and-not-counted"),
            pytest.param([(None, 0.2), (500, 0.4)], None, id="not-counted"),
            pytest.param([(1000, None), (500, 0.4)], None, id="not-priced"),
        ],
    )
    def test_cost_is_known_only_with_prices(
        self, parts: list[tuple[int | None, float | None]], cost: float | None
    ) -> None:
        assert cost_usd(*parts) == (None if cost is None else pytest.approx(cost))


ANSWER = {"choices": [{"message": {"content": "Good evening."}, "finish_reason": "stop"}]}


class Asking:
    """Holds a generation that calls it back, like a turn."""

    def __init__(self, answer: object = ANSWER) -> None:
        self.generation = Generation(
            http=httpx.AsyncClient(
                transport=httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
            ),
            settings=SETTINGS,
            tier="sfw",
            extras={},
        )

    async def run(self, target: Target) -> None:
        callbacks = Callbacks(self.prompt_for, self.reply_for, self.on_text)
        await self.generation.run(Plan((target,), (), target.name), callbacks)

    async def prompt_for(self, target: Target, shape: RequestShape) -> list[Message]:
        return [{"role": "user", "content": "Hello"}]

    def reply_for(self, target: Target) -> Reply:
        return Reply()

    def on_text(self, target: Target, text: str) -> None:
        pass


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_leaves_nothing_to_the_garbage_collector() -> None:
    asking = Asking()
    url, parameters = "https://api.example/v1/chat/completions", {"max_tokens": 100}
    target = Target("p", "m", "M", "openai", url, parameters, auth_scheme="none")
    asyncio.run(asking.run(target))
    assert asking.generation.text == "Good evening."

    gone = weakref.ref(asking)
    del asking
    assert gone() is None


URL = "https://api.example/v1/chat/completions"
THINKS_FIRST = Target(
    "p", "m", "M", "openai", URL, {"max_tokens": 100}, auth_scheme="none", thinks_first=True
)
UNCLOSED = " ".join(f"She counts {number:x} gulls." for number in range(0xABC, 0xABC + 300))


class OfAThinker(Asking):
    """The reply has no closing tag, so that all of it is held back until the end."""

    def __init__(self, finish_reason: str | None = "stop") -> None:
        message = {"content": UNCLOSED}
        super().__init__({"choices": [{"message": message, "finish_reason": finish_reason}]})
        self.read: list[int] = []
        """The steps of the event loop before each piece was screened."""
        self.steps = 0
        self.stopped_after: int | None = None

    def reply_for(self, target: Target) -> Reply:
        asking = self

        class Noting(ReplyScreen):
            def feed(self, piece: str) -> str:
                if piece:
                    asking.read.append(asking.steps)
                task = asyncio.current_task()
                if task and len(asking.read) == asking.stopped_after:
                    task.cancel()
                return super().feed(piece)

        return Reply(thinking="leading", screen=Noting([], "nsfw"))

    async def others(self) -> None:
        while True:
            self.steps += 1
            await asyncio.sleep(0)


@pytest.mark.parametrize("finish_reason", ["stop", None], ids=["whole", "cut-off"])
async def test_others_go_on_while_reasoning_that_was_none_is_screened(
    finish_reason: str | None,
) -> None:
    asking = OfAThinker(finish_reason)
    others = asyncio.create_task(asking.others())
    await asking.run(THINKS_FIRST)
    others.cancel()
    assert asking.generation.text == (UNCLOSED if finish_reason else "")
    passed = [after - before for before, after in pairwise(asking.read)]
    assert len(passed) >= len(UNCLOSED) // STEP_CHARS
    assert min(passed) >= STEPS_OF_OTHERS


async def test_stopping_while_it_is_screened_loses_nothing() -> None:
    asking = OfAThinker()
    asking.stopped_after = 2
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(asking.run(THINKS_FIRST))
    assert len(asking.read) > 2
    assert asking.generation.text == UNCLOSED
    assert len(asking.generation.attempts) == 1
