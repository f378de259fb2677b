"""The edge function that sends each call of the existing client to the new or the old function."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from dev.adopt.apply import apply
from tests.existing.database import STATES, create
from tests.existing.installation import drop
from tests.support import patient
from tests.support.answers import abort, error, hang_up, reply, stall, stream, text
from tests.support.deno import EdgeFunction, serve_edge
from tests.support.functions import serve
from tests.support.gateway import PUBLISHABLE_KEY, SECRET_KEY, running_gateway
from tests.support.keys import Keys
from tests.support.node import NODE
from tests.support.postgres import ROOT, Connection, Postgres
from tests.support.postgrest import running_postgrest
from tests.support.product import Product, running_product
from tests.support.stack import OPENROUTER_KEY, Stream
from tests.support.upstream import Answer, Upstream, refusing, running_upstream
from tests.support.waiting import PATIENCE, Gate, wait_until

DATABASE = "product"
CHARACTER = "aaaaaaaa-0000-4000-8000-000000000002"  # a public one
LEGACY_SECRET = "legacy-test"

# What the client sends with every call of the chat page.
COMMON = {
    "model_provider": "some/model:free",
    "memory_tier": "conversation",
    "content_tier": "nsfw",
    "scene_context": "A lighthouse.",
    "scene_system_prompt": None,
    "scene_style": "character_only",
    "selected_image_model": "some/image-model",
    "scene_continuity_enabled": True,
    "previous_scene_id": None,
}
OPENING = {
    "kickoff": True,
    "scene_name": "Lighthouse",
    "scene_description": "A storm is coming.",
    "scene_starters": ["Hello?"],
    "scene_generation": True,
}
WHOLE_TALK = "Generate a scene based on the current conversation context."
MOMENT = "Generate a scene image for this moment: She opens the door."


@dataclass(frozen=True)
class Person:
    """Somebody signed in, and their conversation."""

    id: UUID
    token: str
    conversation: str


@dataclass
class World:
    """The product, its new function, and the edge function between them and the client."""

    db: Connection
    product: Product
    new: Upstream
    keys: Keys
    proxies: ExitStack
    proxy_env: dict[str, str] = field(default_factory=dict)
    _proxy: EdgeFunction | None = None

    @property
    def old(self) -> Any:
        return self.product.old

    @property
    def proxy(self) -> EdgeFunction:
        """Started when first asked for, with `proxy_env`."""
        if self._proxy is None:
            env = (
                proxy_env(self.product)
                | {"ROLEPLAY_CHAT_URL": f"{self.new.url}/roleplay_chat"}
                | self.proxy_env
            )
            self._proxy = self.proxies.enter_context(serve_edge("roleplay-chat", env))
        return self._proxy

    def person(self) -> Person:
        """A new person with a conversation."""
        person = uuid4()
        self.db.execute("insert into auth.users (id) values (%s)", (person,))
        conversation = self.conversation(person)
        return Person(person, self.keys.token(person), conversation)

    def conversation(self, person: UUID) -> str:
        row = self.db.execute(
            "insert into conversations (user_id, character_id) values (%s, %s) returning id",
            (person, CHARACTER),
        ).fetchone()
        assert row
        return str(row["id"])

    def said(self, person: Person, sender: str, content: str) -> str:
        """Stores a message and returns its id."""
        row = self.db.execute(
            "insert into messages (conversation_id, sender, content) values (%s, %s, %s)"
            " returning id",
            (person.conversation, sender, content),
        ).fetchone()
        assert row
        return str(row["id"])

    def stored(self, person: Person) -> list[str]:
        """What the person finds after the page is loaded again."""
        rows = self.db.execute(
            "select content from messages where conversation_id = %s order by created_at",
            (person.conversation,),
        )
        return [row["content"] for row in rows]

    def traffic(self, **changes: Any) -> None:
        """Changes the switch as the owner does."""
        with httpx.Client(headers={"apikey": SECRET_KEY}, timeout=PATIENCE) as client:
            url = f"{self.product.gateway.url}/rest/v1/rpc/set_traffic"
            named = {f"p_{name}": value for name, value in changes.items()}
            assert client.post(url, json=named).status_code == 200

    def call(
        self, person: Person | None, *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """A call as supabase-js makes it."""
        ids = {"conversation_id": person.conversation} if person else {}
        full = {**COMMON, **ids, "character_id": str(uuid4()), "user_id": str(uuid4()), **body}
        sent = headers_of(person) if person else {}
        return patient.post(
            self.proxy.url, content=json.dumps(full), headers=sent | (headers or {})
        )


def headers_of(person: Person) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {person.token}",
        "apikey": PUBLISHABLE_KEY,
        "x-client-info": "supabase-js-web/2.109.0",
    }


def proxy_env(product: Product) -> dict[str, str]:
    return {
        "SUPABASE_URL": product.url,
        "SUPABASE_SERVICE_ROLE_KEY": SECRET_KEY,
        "SUPABASE_ANON_KEY": PUBLISHABLE_KEY,
        "ROLEPLAY_LEGACY_SECRET": LEGACY_SECRET,
        "ROLEPLAY_TRAFFIC_SECONDS": "0",
    }


@pytest.fixture(scope="module")
def product_keys() -> Keys:
    return Keys()


@pytest.fixture(scope="module")
def product_state(request: pytest.FixtureRequest) -> str:
    """The state of the product; what does not depend on it is tested on the newest one."""
    return str(getattr(request, "param", "april"))


in_every_state = pytest.mark.parametrize("product_state", STATES, indirect=True)


@pytest.fixture(scope="module")
def product_db(postgres: Postgres, product_state: str) -> Iterator[Connection]:
    create(postgres, DATABASE, product_state)
    with postgres.connect(DATABASE) as connection:
        apply(connection, lambda line: None)
    with postgres.connect(DATABASE) as connection:
        yield connection
    drop(postgres, DATABASE)


@pytest.fixture(scope="module")
def running(
    postgres: Postgres, product_db: Connection, product_keys: Keys
) -> Iterator[tuple[Product, Upstream]]:
    with (
        running_postgrest(postgres, DATABASE, product_keys.secret) as rest,
        running_gateway(rest.url, product_keys) as gateway,
        postgres.connect(DATABASE) as writer,
        running_product(gateway, writer) as product,
        running_upstream() as new,
    ):
        yield product, new


@pytest.fixture
def world(
    running: tuple[Product, Upstream], product_db: Connection, product_keys: Keys
) -> Iterator[World]:
    product, new = running
    with ExitStack() as proxies:
        world = World(product_db, product, new, product_keys, proxies)
        world.traffic(is_on=True, percent=100, people=[])
        product.gateway.reset()
        yield world
        secrets = (SECRET_KEY, LEGACY_SECRET)
        assert not [s for s in secrets if world._proxy and s in world._proxy.text()]
        assert not (world._proxy and world._proxy.log("unhandled"))
    unexpected, faults = [*new.unexpected], [*new.faults]
    product.old.reset()
    new.reset()
    assert not unexpected
    assert not faults


def ours(words: str = "Good evening.", status: int = 200, **more: Any) -> Answer:
    """An answer of the new function."""
    body = {
        "success": True,
        "response": words,
        "message_id": str(uuid4()),
        "incomplete": False,
        "saved": True,
        "scene_generated": False,
        "notice": None,
        "request_id": "r1",
    } | more
    return reply(status, body, {"X-Request-Id": "r1"})


def refused(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    """The new function says no."""
    body = {"success": False, "error": "A sentence.", "code": code, "request_id": "r1"}
    return error(status, body, {"X-Request-Id": "r1"} | (headers or {}))


def image_is_made(world: World, count: int = 1) -> None:
    wait_until(
        lambda: len(world.proxy.log("image of a reply")) == count, "the image to be asked for"
    )


@pytest.fixture(params=[True, False], ids=["with-the-ten-lines", "without-the-ten-lines"])
def scene_only(request: pytest.FixtureRequest, world: World) -> bool:
    """Whether the old function knows `scene_only`."""
    world.old.knows_scene_only = request.param
    return bool(request.param)


@in_every_state
class TestCallsOfTheClient:
    """Each call that the client makes, of a person who is answered by the new function."""

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(OPENING | {"user_role": "guest"}, id="1-opening"),
            pytest.param(OPENING, id="2-opening-again"),
            pytest.param(OPENING | {"previous_scene_id": None}, id="3-opening-after-clear"),
            pytest.param({"message": "Hello.", "scene_generation": True}, id="4-message-and-image"),
        ],
    )
    def test_reply_is_ours_and_then_the_old_function_makes_its_image(
        self, world: World, scene_only: bool, call: dict[str, Any]
    ) -> None:
        person = world.person()
        world.said(person, "assistant", "An older reply.")
        gate = world.old.gate = Gate()
        world.new.enqueue(ours("The lamp turns.", notice="A notice."))
        answer = world.call(person, **call)  # does not wait for the image
        assert answer.status_code == 200
        body = answer.json()
        assert body["response"] == "The lamp turns."
        assert (body["scene_generated"], body["scene_generating_async"]) == (False, True)
        assert body["notice"] == "A notice."
        assert len(world.proxy.log("waitUntil")) == 1
        gate.open()
        image_is_made(world)
        (sent,) = world.old.calls
        assert sent.body["scene_only"] is True
        assert sent.body["kickoff"] is False
        assert sent.body["message"] == "The lamp turns."
        assert sent.body["selected_image_model"] == COMMON["selected_image_model"]
        assert world.old.images == ["The lamp turns." if scene_only else "Old reply 1."]
        assert len(world.old.asked) == (0 if scene_only else 1)
        assert world.stored(person) == ["An older reply."]
        (asked,) = world.new.calls
        changed = ("kickoff", "message", "scene_only")
        assert {k: v for k, v in asked.json.items() if k not in changed} == {
            k: v for k, v in sent.body.items() if k not in changed
        }
        assert [asked.json.get(name) for name in changed] == [call.get(name) for name in changed]

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(OPENING | {"scene_generation": False}, id="1-opening"),
            pytest.param({"message": "Hello.", "scene_generation": False}, id="4-message"),
            pytest.param({"message": "Hello."}, id="9-playground-without-a-prompt"),
        ],
    )
    def test_reply_without_an_image_is_ours_alone(self, world: World, call: dict[str, Any]) -> None:
        person = world.person()
        world.new.enqueue(ours("The lamp turns.", notice="A notice."))
        answer = world.call(person, **call)
        assert answer.status_code == 200
        assert answer.json()["response"] == "The lamp turns."
        assert answer.json()["notice"] == "A notice."
        assert "scene_generating_async" not in answer.json()
        assert answer.headers["x-request-id"] == "r1"
        assert not world.old.calls

    @pytest.mark.parametrize(
        ("call", "image_of"),
        [
            pytest.param(
                {"message": WHOLE_TALK, "scene_generation": True},
                "The newest reply.",
                id="5-whole-talk",
            ),
            pytest.param(
                {"message": MOMENT, "scene_generation": True, "scene_only": True},
                MOMENT,
                id="6-one-message",
            ),
            pytest.param(
                {"message": MOMENT, "scene_generation": True}, MOMENT, id="6-by-its-sentence"
            ),
            pytest.param(
                {
                    "message": "Modify scene.",
                    "scene_generation": True,
                    "scene_prompt_override": "At night.",
                    "current_scene_image_url": "somewhere",
                },
                "At night.",
                id="7-changed",
            ),
            pytest.param(
                {"message": "Regenerate scene.", "scene_generation": True},
                "Regenerate scene.",
                id="7-again",
            ),
            pytest.param(
                {
                    "message": "[SCENE_GENERATION] A scene.",
                    "scene_generation": True,
                    "model_provider": "openrouter",
                },
                "The newest reply.",
                id="8a-dialog",
            ),
        ],
    )
    def test_image_alone_never_reaches_ours_and_leaves_no_speech(
        self, world: World, scene_only: bool, call: dict[str, Any], image_of: str
    ) -> None:
        person = world.person()
        world.said(person, "assistant", "An older reply.")
        world.said(person, "assistant", "The newest reply.")
        world.said(person, "user", "A word of the person's.")
        before = world.stored(person)
        answer = world.call(person, **call)
        assert answer.status_code == 200
        assert answer.json()["scene_job_id"] == "job"
        assert answer.json()["message_id"] is None
        assert not world.new.calls
        assert world.stored(person) == before
        (sent,) = world.old.calls
        assert sent.body["scene_only"] is True
        assert len(world.old.asked) == (0 if scene_only else 1)
        override = call.get("scene_prompt_override")
        assert world.old.images == [image_of if scene_only else override or "Old reply 1."]

    def test_scene_of_a_talk_without_a_reply_keeps_its_sentence(
        self, world: World, scene_only: bool
    ) -> None:
        person = world.person()
        assert world.call(person, message=WHOLE_TALK, scene_generation=True).status_code == 200
        assert world.old.calls[0].body["message"] == WHOLE_TALK
        assert world.stored(person) == []

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(
                {"message": "[SCENE_GENERATION] A scene.", "conversation_id": None}, id="8a"
            ),
            pytest.param(
                {
                    "scene_generation": True,
                    "scene_prompt_override": "At night.",
                    "conversation_id": None,
                    "character_id": None,
                },
                id="8b",
            ),
        ],
    )
    def test_call_that_always_failed_still_does(self, world: World, call: dict[str, Any]) -> None:
        answer = world.call(world.person(), **call)
        assert answer.status_code == 400
        assert answer.json() == {"success": False, "error": "Missing fields"}
        assert not world.new.calls

    def test_playground_with_its_own_prompt_is_the_old_functions(self, world: World) -> None:
        person = world.person()
        call: dict[str, Any] = {
            "message": "Hello.",
            "model_variant": "some/model",
            "prompt_template_id": str(uuid4()),
            "system_prompt_override": "You are a lamp.",
        }
        answer = world.call(person, **call)
        assert answer.json()["response"] == "Old reply 1."
        assert world.stored(person) == ["Old reply 1."]
        assert "scene_only" not in world.old.calls[0].body
        assert not world.new.calls

    def test_person_who_is_not_moved_is_answered_as_before(self, world: World) -> None:
        world.traffic(is_on=False)
        person = world.person()
        asked: dict[str, Any] = {"message": "Hello.", "scene_generation": True}
        for call in (asked, OPENING):
            assert world.call(person, **call).json()["response"].startswith("Old reply")
        world.call(person, message=WHOLE_TALK, scene_generation=True)
        assert world.stored(person) == ["Old reply 1.", "Old reply 2.", "Old reply 3."]
        assert [sent.body.get("scene_only") for sent in world.old.calls] == [None] * 3
        assert world.old.calls[2].body["message"] == WHOLE_TALK
        assert not world.new.calls


class TestNoImageOfWhatIsNoWholeReply:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(refused(403, "content_refused"), id="refused"),
            pytest.param(refused(429, "rate_limited"), id="limited"),
            pytest.param(ours("Half a", incomplete=True), id="stopped-or-cut-off"),
            pytest.param(ours(saved=False, code="not_saved"), id="not-saved"),
            pytest.param(ours(""), id="empty"),
            pytest.param(ours(None), id="no-reply"),  # type: ignore[arg-type]
            pytest.param(ours(success=False), id="failed"),
            pytest.param(reply(200, "Hello", {"X-Request-Id": "r1"}), id="no-json"),
            pytest.param(reply(200, [1], {"X-Request-Id": "r1"}), id="no-object"),
        ],
    )
    def test_answer_passes_as_it_is(self, world: World, answer: Answer) -> None:
        person = world.person()
        world.new.enqueue(answer, answer)
        plain = world.call(person, message="Hello.")
        mixed = world.call(person, message="Hello.", scene_generation=True)
        assert (mixed.status_code, mixed.content) == (plain.status_code, plain.content)
        assert not world.proxy.log("waitUntil")
        assert not world.old.calls


@in_every_state
class TestStoredReplyOfAnImage:
    """Only the row that the old function wrote during the call is taken away."""

    @pytest.mark.parametrize("whose", ["older", "user", "another", "unknown", "no-id"])
    def test_other_row_stays(self, world: World, whose: str) -> None:
        person, another = world.person(), world.person()
        ids = {
            "older": world.said(person, "assistant", "An older reply."),
            "user": world.said(person, "user", "Hello."),
            "another": world.said(another, "assistant", "Of another."),
            "unknown": str(uuid4()),
            "no-id": f"{uuid4()},or(sender.eq.user)",
        }
        world.old.knows_scene_only = True
        world.old.scripted = {"message_id": ids[whose]}
        answer = world.call(person, message=MOMENT, scene_only=True, scene_generation=True)
        assert answer.status_code == 200
        assert world.stored(person) == ["An older reply.", "Hello."]
        assert world.stored(another) == ["Of another."]

    def test_reply_that_another_device_got_meanwhile_stays(self, world: World) -> None:
        person = world.person()
        gate = world.old.gate = Gate()
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(world.call, person, message=MOMENT, scene_only=True)
            gate.wait_reached()
            world.said(person, "assistant", "On another device.")
            gate.open()
            assert asked.result().status_code == 200
        assert world.stored(person) == ["On another device."]

    def test_image_is_answered_where_the_row_cannot_be_deleted(self, world: World) -> None:
        person = world.person()
        world.old.gate = gate = Gate()
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(world.call, person, message=MOMENT, scene_only=True)
            gate.wait_reached()
            world.product.gateway.fail("/messages")
            gate.open()
            assert asked.result().json()["scene_job_id"] == "job"
        assert world.proxy.log("reply not deleted")

    def test_image_that_failed_after_a_reply_is_logged(self, world: World) -> None:
        world.old.status = 500
        world.new.enqueue(ours())
        answer = world.call(world.person(), message="Hello.", scene_generation=True)
        assert answer.json()["response"] == "Good evening."
        image_is_made(world)
        (line,) = world.proxy.log("image of a reply")
        assert line == {"event": "image of a reply", "side": "old", "status": 500}


@in_every_state
class TestSwitch:
    def test_people_listed(self, world: World) -> None:
        staff, other = world.person(), world.person()
        world.traffic(is_on=True, percent=0, people=[str(staff.id)])
        world.new.enqueue(ours())
        assert world.call(staff, message="Hello.").json()["response"] == "Good evening."
        assert world.call(other, message="Hello.").json()["response"] == "Old reply 1."

    def test_off_is_off_for_everybody(self, world: World) -> None:
        staff = world.person()
        world.traffic(is_on=False, percent=100, people=[str(staff.id)])
        assert world.call(staff, message="Hello.").json()["response"] == "Old reply 1."
        assert not world.new.calls

    def test_back_and_forth(self, world: World) -> None:
        person = world.person()
        world.new.always(ours("Ours."))
        answered = []
        for percent in (100, 0, 100, 0):
            world.traffic(percent=percent)
            answered.append(world.call(person, message="Hello.").json()["response"])
        assert answered == ["Ours.", "Old reply 1.", "Ours.", "Old reply 2."]

    def test_row_is_read_once_for_a_while(self, world: World) -> None:
        world.proxy_env |= {"ROLEPLAY_TRAFFIC_SECONDS": "100000"}
        world.new.always(ours())
        person = world.person()
        for _ in range(3):
            assert world.call(person, message="Hello.").status_code == 200
        assert world.product.gateway.calls.count("GET /rest/v1/rpc/read_traffic") == 1

    def test_calls_that_come_at_once_share_one_read(self, world: World) -> None:
        world.proxy_env |= {"ROLEPLAY_TRAFFIC_SECONDS": "100000"}
        world.new.always(ours())
        person = world.person()
        assert world.proxy.url
        gate = world.product.gateway.hold("/rpc/read_traffic")
        with ThreadPoolExecutor() as pool:
            calls = [pool.submit(world.call, person, message="Hello.") for _ in range(3)]
            gate.wait_reached()
            gate.open()
            assert {call.result().json()["response"] for call in calls} == {"Good evening."}
        assert world.product.gateway.calls.count("GET /rest/v1/rpc/read_traffic") == 1

    def test_row_that_cannot_be_read_first_means_the_old_function(self, world: World) -> None:
        person = world.person()
        world.product.gateway.fail("/rpc/read_traffic")
        assert world.call(person, message="Hello.").json()["response"] == "Old reply 1."
        assert len(world.proxy.log("traffic row not read")) == 1

    def test_row_that_cannot_be_read_later_leaves_the_last_decision(self, world: World) -> None:
        person = world.person()
        world.new.always(ours())
        assert world.call(person, message="Hello.").json()["response"] == "Good evening."
        world.product.gateway.fail("/rpc/read_traffic")
        assert world.call(person, message="Hello.").json()["response"] == "Good evening."
        world.product.gateway.drop("/rpc/read_traffic")
        assert world.call(person, message="Hello.").json()["response"] == "Good evening."
        assert not world.old.calls

    def test_without_an_address_everybody_is_answered_by_the_old_function(
        self, world: World
    ) -> None:
        world.proxy_env |= {"ROLEPLAY_CHAT_URL": ""}
        assert world.call(world.person(), message="Hello.").json()["response"] == "Old reply 1."
        assert world.product.gateway.calls == ["GET /rest/v1/conversations"]


class TestFallback:
    @pytest.mark.parametrize("call", [{}, {"scene_generation": True}], ids=["reply", "mixed"])
    def test_refused_connection(self, world: World, call: dict[str, Any]) -> None:
        with refusing() as nobody:
            world.proxy_env |= {"ROLEPLAY_CHAT_URL": nobody}
            person = world.person()
            answer = world.call(person, message="Hello.", **call)
        assert answer.json()["response"] == "Old reply 1."
        assert world.old.calls[0].body["message"] == "Hello."
        assert "scene_only" not in world.old.calls[0].body
        assert world.stored(person) == ["Old reply 1."]
        (line,) = world.proxy.log("call")
        assert line["side"] == "old, new unreachable"

    @pytest.mark.parametrize("call", [{}, {"scene_generation": True}], ids=["reply", "mixed"])
    @pytest.mark.parametrize("status", [404, 502])
    def test_edge_without_our_function_behind_it(
        self, world: World, status: int, call: dict[str, Any]
    ) -> None:
        world.new.enqueue(error(status, "<html>Not found</html>"))
        answer = world.call(world.person(), message="Hello.", **call)
        assert answer.json()["response"] == "Old reply 1."
        assert not world.proxy.log("waitUntil")

    @pytest.mark.parametrize("call", [{}, {"scene_generation": True}], ids=["reply", "mixed"])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429, 500, 502, 503])
    def test_answer_of_ours_is_the_answer(
        self, world: World, status: int, call: dict[str, Any]
    ) -> None:
        world.new.enqueue(refused(status, "a_code", {"Retry-After": "7"}))
        answer = world.call(world.person(), message="Hello.", **call)
        assert answer.status_code == status
        assert answer.json()["code"] == "a_code"
        assert answer.headers["retry-after"] == "7"
        assert not world.old.calls

    @pytest.mark.parametrize("status", [500, 503, 504])
    def test_doubt_is_no_reason(self, world: World, status: int) -> None:
        world.new.enqueue(error(status, "upstream request timeout"))
        answer = world.call(world.person(), message="Hello.")
        assert answer.status_code == status
        assert not world.old.calls

    @pytest.mark.parametrize("call", [{}, {"scene_generation": True}], ids=["reply", "mixed"])
    def test_time_out(self, world: World, call: dict[str, Any]) -> None:
        world.proxy_env |= {"ROLEPLAY_ANSWER_SECONDS": "0.2"}
        world.new.enqueue(stall())
        answer = world.call(world.person(), message="Hello.", **call)
        assert answer.status_code == 504
        assert answer.json()["success"] is False
        assert answer.json()["code"] == "no_answer_in_time"
        assert not world.old.calls

    @pytest.mark.parametrize("call", [{}, {"scene_generation": True}], ids=["reply", "mixed"])
    @pytest.mark.parametrize("broke", [abort(), hang_up()], ids=["reset", "closed"])
    def test_connection_that_broke_after_the_request(
        self, world: World, broke: Answer, call: dict[str, Any]
    ) -> None:
        world.new.enqueue(broke)
        answer = world.call(world.person(), message="Hello.", **call)
        assert answer.status_code == 502
        assert answer.json()["code"] == "no_answer"
        assert len(world.new.calls) == 1
        assert not world.old.calls

    def test_answer_that_broke_off(self, world: World) -> None:
        world.new.enqueue(abort(b'data: {"text": "Half a"}\n\n'))
        answer = world.call(world.person(), message="Hello.", scene_generation=True)
        assert answer.status_code == 502
        assert answer.json()["code"] == "no_answer"
        assert not world.old.calls

    def test_old_function_that_fails_keeps_its_status(self, world: World) -> None:
        world.traffic(percent=0)
        world.old.status = 500
        answer = world.call(world.person(), message="Hello.")
        assert (answer.status_code, answer.json()["error"]) == (500, "It failed.")


class TestStream:
    @contextmanager
    def streaming(self, world: World, person: Person) -> Iterator[httpx.Response]:
        body = {"conversation_id": person.conversation, "message": "Hello.", "stream": True}
        headers = headers_of(person) | {"Accept": "text/event-stream"}
        with (
            httpx.Client(timeout=PATIENCE) as client,
            client.stream("POST", world.proxy.url, json=body, headers=headers) as response,
        ):
            yield response

    def test_first_words_pass_before_the_last(self, world: World) -> None:
        gate = Gate()
        world.new.enqueue(stream([b"event: delta\n\n", gate], finish=None, usage=None))
        with self.streaming(world, world.person()) as response:
            assert response.headers["content-type"] == "text/event-stream"
            pieces = response.iter_raw()
            assert next(pieces) == b"event: delta\n\n"
            gate.open()
            assert b"".join(pieces) == b"data: [DONE]\n\n"
        assert world.new.calls[0].headers["accept"] == "text/event-stream"

    def test_client_that_leaves_is_noticed(self, world: World) -> None:
        world.new.enqueue(stall(b"event: delta\n\n"))
        with self.streaming(world, world.person()) as response:
            next(response.iter_raw())
        world.new.wait_for(lambda new: new.calls[0].closed_early)
        assert not world.old.calls

    def test_stream_that_breaks_off_is_not_continued_by_another(self, world: World) -> None:
        gate = Gate()
        world.new.enqueue(stream([b"event: delta\n\n", gate, abort()]))
        with self.streaming(world, world.person()) as response:
            pieces = response.iter_raw()
            next(pieces)
            gate.open()
            with pytest.raises(httpx.TransportError):
                list(pieces)
        assert not world.old.calls

    def test_call_for_a_stream_and_an_image_gets_the_stream(self, world: World) -> None:
        world.new.enqueue(stream([b"event: done\n\n"], finish=None, usage=None))
        answer = world.call(world.person(), message="Hello.", scene_generation=True, stream=True)
        assert answer.text == "event: done\n\ndata: [DONE]\n\n"
        assert not world.old.calls


class TestPeople:
    @pytest.mark.parametrize("percent", [0, 100])
    def test_user_id_of_the_body_is_not_believed(self, world: World, percent: int) -> None:
        world.traffic(percent=percent)
        world.new.always(ours())
        person, another = world.person(), world.person()
        assert world.call(person, message="Hello.", user_id=str(another.id)).status_code == 200
        bodies = [call.json for call in world.new.calls] + [call.body for call in world.old.calls]
        assert [body["user_id"] for body in bodies] == [str(person.id)]

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param({"message": "Hello."}, id="reply"),
            pytest.param({"message": MOMENT, "scene_only": True}, id="image"),
            pytest.param({"message": "Hello.", "system_prompt_override": "x"}, id="playground"),
        ],
    )
    def test_conversation_of_another_does_not_reach_the_old_function(
        self, world: World, call: dict[str, Any]
    ) -> None:
        if call == {"message": "Hello."}:
            world.traffic(percent=0)
        person, another = world.person(), world.person()
        answer = world.call(person, conversation_id=another.conversation, **call)
        assert answer.status_code == 404
        assert answer.json()["code"] == "conversation_not_found"
        answer = world.call(person, conversation_id=another.conversation.upper(), **call)
        assert answer.status_code == 404
        assert not world.old.calls

    @pytest.mark.parametrize(
        "disguised",
        [
            lambda one: [one],
            lambda one: {"id": one},
            lambda one: f" {one}",
            lambda one: f"{one}&x=1",
            lambda one: f"{{{one}}}",
            lambda one: True,
            lambda one: 7,
        ],
        ids=["list", "object", "space", "query", "braces", "true", "number"],
    )
    def test_conversation_in_disguise(
        self, world: World, disguised: Callable[[str], object]
    ) -> None:
        world.traffic(percent=0)
        person, another = world.person(), world.person()
        answer = world.call(
            person, conversation_id=disguised(another.conversation), message="Hello."
        )
        assert answer.status_code == 400
        assert not world.old.calls

    def test_conversation_named_twice(self, world: World) -> None:
        world.traffic(percent=0)
        person, another = world.person(), world.person()
        pair = [f'"conversation_id": "{p.conversation}"' for p in (another, person)]
        content = f'{{"message": "Hello.", "character_id": "{uuid4()}", {", ".join(pair)}}}'
        answer = patient.post(world.proxy.url, content=content, headers=headers_of(person))
        assert answer.status_code == 200
        assert world.old.calls[0].body["conversation_id"] == person.conversation
        assert world.stored(another) == []

    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            f"Bearer {PUBLISHABLE_KEY}",
            f"Bearer {Keys().role_token('anon')}",
            f"Bearer {Keys().role_token('service_role')}",
            f"Bearer {Keys().token(uuid4(), role='anon')}",
            f"Bearer {Keys().token('nobody')}",
            f"Basic {Keys().token(uuid4())}",
            f"Bearer {Keys().token(uuid4())} more",
            "Bearer a.b.c",
            "Bearer ..",
            "Bearer e30.W10.e30",
            "Bearer e30.bnVsbA.e30",
            "Bearer " + "a" * 9_000 + ".b.c",
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_who_is_not_signed_in_reaches_nobody(
        self, world: World, authorization: str | None
    ) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        answer = world.call(None, headers=headers, message="Hello.")
        assert answer.status_code == 401
        assert answer.json() == {
            "success": False,
            "error": "Please sign in.",
            "code": "not_signed_in",
        }
        assert not world.old.calls
        assert not world.new.calls

    def test_token_that_a_stranger_signed_does_not_reach_the_old_function(
        self, world: World
    ) -> None:
        world.traffic(percent=0)
        person = world.person()
        forged = Person(person.id, Keys().token(person.id), person.conversation)
        answer = world.call(forged, message="Hello.")
        assert answer.status_code == 401
        assert not world.old.calls

    def test_database_that_cannot_be_asked_lets_nobody_through(self, world: World) -> None:
        world.traffic(percent=0)
        world.product.gateway.fail("/conversations")
        answer = world.call(world.person(), message="Hello.")
        assert answer.status_code == 503
        assert answer.json()["code"] == "database_unavailable"
        assert not world.old.calls

    @pytest.mark.parametrize("percent", [0, 100])
    def test_headers_that_pass(self, world: World, percent: int) -> None:
        world.traffic(percent=percent)
        world.new.always(ours())
        person = world.person()
        sent = {"Cookie": "a=b", "X-Legacy-Secret": "x", "X-Forwarded-For": "10.0.0.1"}
        world.call(person, headers=sent, message="Hello.")
        seen = world.old.calls[0].headers if world.old.calls else world.new.calls[0].headers
        assert seen["authorization"] == f"Bearer {person.token}"
        assert seen["x-client-info"] == "supabase-js-web/2.109.0"
        assert not {"cookie", "x-forwarded-for", "apikey"} & set(seen)
        assert seen.get("x-legacy-secret") == (None if percent else LEGACY_SECRET)

    def test_headers_that_come_back(self, world: World) -> None:
        private = {"Set-Cookie": "a=b", "X-Secret": "x", "X-Request-Id": "r1"}
        world.new.enqueue(reply(200, {"success": True}, private))
        answer = world.call(world.person(), message="Hello.")
        assert "set-cookie" not in answer.headers
        assert "x-secret" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == "*"

    def test_log_line_has_no_words_and_no_ids(self, world: World) -> None:
        person = world.person()
        world.new.enqueue(ours("Words of a reply."))
        world.call(person, message="Words of a person.")
        (line,) = world.proxy.log("call")
        assert line.pop("ms") >= 0
        assert line.pop("person").isalnum()
        assert line == {
            "event": "call",
            "kind": "chat",
            "side": "new",
            "request_id": "r1",
            "status": 200,
        }
        written = world.proxy.text()
        for private in ("Words", str(person.id), person.conversation, person.token):
            assert private not in written


class TestHostileRequests:
    def send(self, world: World, content: bytes, person: Person) -> httpx.Response:
        return patient.post(world.proxy.url, content=content, headers=headers_of(person))

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"null", b"[]", b"7", b'"text"', b"\xff\xfe", b"[" * 500_000],
        ids=["empty", "cut", "null", "list", "number", "text", "no-utf-8", "deep-list"],
    )
    def test_what_is_no_object(self, world: World, content: bytes) -> None:
        answer = self.send(world, content, world.person())
        assert answer.status_code == 400
        assert answer.json()["code"] == "malformed_json"
        assert not world.old.calls

    def test_too_large(self, world: World) -> None:
        person = world.person()
        large = json.dumps({"message": "a" * 4 * 2**20}).encode()
        answer = self.send(world, large, person)
        assert answer.status_code == 413
        world.new.enqueue(ours())
        assert world.call(person, message="Hello.").status_code == 200

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_other_method(self, world: World, method: str) -> None:
        person = world.person()
        answer = patient.request(method, world.proxy.url, headers=headers_of(person))
        assert answer.status_code == 405

    @pytest.mark.parametrize(
        "body",
        [
            {"message": ["Hello."]},
            {"message": {"startsWith": 1}},
            {"message": 7, "scene_generation": "yes"},
            {"__proto__": {"scene_only": True}, "message": "Hello."},
            {"constructor": 1, "toString": 2, "message": "Hello."},
            {"message": "\ud800"},
            {"kickoff": "yes"},
        ],
        ids=str,
    )
    def test_strange_fields_pass_to_whom_they_concern(
        self, world: World, body: dict[str, Any]
    ) -> None:
        world.new.enqueue(refused(400, "invalid_request"))
        answer = world.call(world.person(), **body)
        assert answer.json()["code"] == "invalid_request"
        (sent,) = world.new.calls
        assert {name: sent.json[name] for name in body} == body
        assert not world.old.calls


class TestBrowsers:
    def test_preflight(self, world: World) -> None:
        asked = "authorization,apikey,content-type,x-client-info,x-new-of-supabase-js"
        headers = {
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        }
        answer = patient.request("OPTIONS", world.proxy.url, headers=headers)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == asked
        assert "POST" in answer.headers["access-control-allow-methods"]

    def test_supabase_js(self, world: World) -> None:
        person = world.person()
        world.new.enqueue(ours("Good evening."), refused(403, "content_refused"))
        script = """
          import { FunctionsClient } from "@supabase/functions-js";
          const [url, token, conversation_id] = process.argv.slice(1);
          const client = new FunctionsClient(url, { headers: { Authorization: token } });
          const body = { conversation_id, message: "Hello." };
          const first = await client.invoke("roleplay-chat", { body });
          const second = await client.invoke("roleplay-chat", { body });
          const refused = await second.error.context.json();
          console.log(JSON.stringify([first.data.response, second.data, refused.code]));
        """
        command = [str(NODE), "--input-type=module", "--eval", script, world.proxy.url]
        command += [f"Bearer {person.token}", person.conversation]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout) == ["Good evening.", None, "content_refused"]


@pytest.fixture(scope="module")
def models() -> Iterator[Upstream]:
    with running_upstream() as models:
        yield models


@pytest.fixture(scope="module")
def function(running: tuple[Product, Upstream], product_keys: Keys) -> Iterator[str]:
    """The new function on the adopted database."""
    env = {
        "SUPABASE_URL": running[0].gateway.url,
        "SUPABASE_SECRET_KEY": SECRET_KEY,
        "SUPABASE_JWT_SECRET": product_keys.secret,
        "ALLOW_LOCAL_UPSTREAMS": "true",
        "OpenRouter_Roleplay_API_KEY": OPENROUTER_KEY,
    }
    with serve("roleplay_chat", env) as url:
        yield url


@in_every_state
class TestRealFunction:
    """The new function itself behind the proxy, on the product's adopted database."""

    @pytest.fixture
    def real(self, world: World, models: Upstream, function: str) -> Iterator[World]:
        world.db.execute("update private.provider_keys set base_url = %s", (f"{models.url}/v1",))
        world.proxy_env |= {"ROLEPLAY_CHAT_URL": function}
        yield world
        models.reset()

    def say(self, world: World, person: Person, message: str, **body: Any) -> dict[str, Any]:
        """Stores the message and calls, as the client does."""
        world.said(person, "user", message)
        answer = world.call(person, message=message, character_id=CHARACTER, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @contextmanager
    def streaming(self, world: World, person: Person) -> Iterator[Stream]:
        body = {"conversation_id": person.conversation, "message": "Hello.", "stream": True}
        with (
            httpx.Client(headers=headers_of(person), timeout=PATIENCE) as client,
            client.stream("POST", world.proxy.url, json=body) as response,
        ):
            yield Stream(response)

    def test_reply(self, real: World, models: Upstream) -> None:
        person = real.person()
        models.enqueue(text("Good evening."))
        assert self.say(real, person, "Hello.")["response"] == "Good evening."
        assert real.stored(person) == ["Hello.", "Good evening."]
        assert not real.old.calls

    def test_reply_and_image(self, real: World, models: Upstream, scene_only: bool) -> None:
        person = real.person()
        models.enqueue(text("Good evening."))
        answer = self.say(real, person, "Hello.", scene_generation=True)
        assert answer["response"] == "Good evening."
        assert answer["scene_generating_async"] is True
        image_is_made(real)
        (sent,) = real.old.calls
        assert (sent.body["message"], sent.body["scene_only"]) == ("Good evening.", True)
        assert real.stored(person) == ["Hello.", "Good evening."]

    def test_both_sides_know_what_the_other_said(self, real: World, models: Upstream) -> None:
        person = real.person()
        models.enqueue(text("Good evening."), text("Indeed."))
        self.say(real, person, "Hello.")
        real.traffic(is_on=False)
        assert self.say(real, person, "It rains.")["response"] == "Old reply 1."
        real.traffic(is_on=True)
        self.say(real, person, "And now?")
        said = ["Hello.", "Good evening.", "It rains.", "Old reply 1.", "And now?"]
        prompt = [message["content"] for message in models.calls[-1].json["messages"][1:]]
        assert prompt == said
        assert real.stored(person) == [*said, "Indeed."]

    def test_stream(self, real: World, models: Upstream) -> None:
        gate = Gate()
        models.enqueue(stream(["Good ", "evening, ", gate, "dear ", "guest."]))
        with self.streaming(real, real.person()) as events:
            seen = events.until("delta")
            gate.open()
            seen += list(events)
        assert [event.name for event in seen if event.name != "delta"] == ["start", "done"]
        assert seen[-1].data["response"] == "Good evening, dear guest."

    def test_client_that_leaves_a_stream_finds_the_reply(
        self, real: World, models: Upstream
    ) -> None:
        person = real.person()
        gate = Gate()
        models.enqueue(stream(["Good ", "evening, ", gate, "dear ", "guest."]))
        with self.streaming(real, person) as events:
            events.until("delta")
        gate.open()
        said = ["Hello.", "Good evening, dear guest."]
        wait_until(lambda: real.stored(person) == said, "the reply to be saved")

    def test_client_that_leaves_finds_the_reply_and_its_image(
        self, real: World, models: Upstream
    ) -> None:
        person = real.person()
        gate = Gate()
        models.enqueue(stream(["Good ", gate, "evening."]))
        body = {"conversation_id": person.conversation, "message": "Hello.", "scene_generation": 1}
        client = HTTPConnection(urlsplit(real.proxy.url).netloc)
        client.request("POST", "/", json.dumps(body), headers_of(person))
        gate.wait_reached()
        client.close()
        gate.open()
        image_is_made(real)
        assert real.old.calls[0].body["message"] == "Good evening."
        assert real.stored(person)[:2] == ["Hello.", "Good evening."]

    def test_refusal_is_no_reply(self, real: World) -> None:
        person, another = real.person(), real.person()
        answer = real.call(person, message="Hello.", conversation_id=another.conversation)
        assert answer.status_code == 404
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
        assert not real.old.calls

    def test_object_that_is_too_deep(self, real: World) -> None:
        deep = b'{"a":' * 300_000 + b"1" + b"}" * 300_000
        answer = patient.post(real.proxy.url, content=deep, headers=headers_of(real.person()))
        assert answer.status_code in (400, 413)
        assert answer.json()["success"] is False

    def test_token_that_a_stranger_signed(self, real: World) -> None:
        person = real.person()
        forged = Person(person.id, Keys().token(person.id), person.conversation)
        assert real.call(forged, message="Hello.").status_code == 401
        assert not real.old.calls


def recorded(world: World, config: dict[str, Any]) -> None:
    """Makes this the row of system_config, which no update puts an older record into."""
    world.db.execute("delete from system_config")
    world.db.execute("insert into system_config (config) values (%s)", (Jsonb(config),))


@in_every_state
class TestHealthOfWorkers:
    """health-check-workers under its old name."""

    @pytest.fixture
    def stub(self, world: World) -> Iterator[EdgeFunction]:
        with serve_edge("health-check-workers", proxy_env(world.product)) as stub:
            yield stub

    def test_answers_what_was_recorded_and_writes_nothing(
        self, world: World, stub: EdgeFunction
    ) -> None:
        record = {
            "isHealthy": True,
            "lastChecked": "2026-01-01T00:00:00Z",
            "responseTimeMs": 12,
            "healthError": None,
            "workerUrl": "https://worker.example.com",
        }
        config = {"chatWorkerUrl": "https://worker.example.com", "other": 1}
        config |= {"workerHealthCache": {"chatWorker": record}}
        recorded(world, config)
        before = world.db.execute("select * from system_config").fetchall()
        answer = patient.post(stub.url, headers=headers_of(world.person()), json={})
        assert answer.status_code == 200
        body = answer.json()
        assert body["success"] is True
        assert body["timestamp"]
        assert body["healthResults"]["chatWorker"] == record | {"workerUrl": None}
        assert body["healthResults"]["wanWorker"] == {
            "isHealthy": False,
            "lastChecked": None,
            "responseTimeMs": None,
            "healthError": "This worker was not checked yet.",
            "workerUrl": None,
        }
        assert "worker.example.com" not in answer.text
        assert world.db.execute("select * from system_config").fetchall() == before
        assert world.product.gateway.calls == ["GET /rest/v1/system_config"]

    @pytest.mark.parametrize("config", [{}, {"workerHealthCache": {"chatWorker": "broken"}}])
    def test_nothing_recorded(
        self, world: World, stub: EdgeFunction, config: dict[str, Any]
    ) -> None:
        recorded(world, config)
        answer = patient.post(stub.url)
        assert answer.json()["healthResults"]["chatWorker"]["isHealthy"] is False

    def test_database_that_cannot_be_read(self, world: World, stub: EdgeFunction) -> None:
        world.product.gateway.fail("/system_config")
        answer = patient.post(stub.url)
        assert answer.status_code == 503
        assert answer.json()["success"] is False
        assert SECRET_KEY not in stub.text() + answer.text

    def test_preflight(self, stub: EdgeFunction) -> None:
        headers = {"Access-Control-Request-Headers": "authorization,x-new"}
        answer = patient.request("OPTIONS", stub.url, headers=headers)
        assert answer.headers["access-control-allow-headers"] == "authorization,x-new"


class TestTrafficRow:
    def test_changes_only_what_is_given(self, world: World) -> None:
        somebody = str(uuid4())
        world.traffic(is_on=True, percent=2.5, people=[somebody])
        world.traffic(percent=10)
        row = world.db.execute("select read_traffic() as row").fetchone()
        assert row
        assert row["row"] == {"is_on": True, "percent": 10, "people": [somebody]}

    @pytest.mark.parametrize(
        "arguments",
        ["p_percent => 101", "p_percent => -1", "p_people => array[null]::uuid[]"],
    )
    def test_refuses_what_makes_no_sense(self, world: World, arguments: str) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            world.db.execute(f"select set_traffic({arguments})".encode())

    def test_only_the_secret_key_reads_or_sets_it(self, world: World) -> None:
        rest = f"{world.product.gateway.url}/rest/v1"
        for headers in ({"apikey": PUBLISHABLE_KEY}, headers_of(world.person())):
            for path in ("rpc/read_traffic", "rpc/set_traffic"):
                answer = patient.post(f"{rest}/{path}", headers=headers, json={})
                assert answer.status_code in (401, 403, 404)
        world.db.execute("set role authenticated")
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                world.db.execute("select * from private.traffic")
        finally:
            world.db.execute("reset role")
