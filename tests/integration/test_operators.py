"""What operators do by one command: people by their email, and one's own server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from dev.operate import people, server
from dev.operate.server import Server
from dev.settings import Settings
from tests.support.answers import reply, text
from tests.support.data_api import is_refused
from tests.support.stack import Stack
from tests.support.upstream import Upstream, refusing, running_upstream

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.installations


@pytest.fixture(autouse=True)
def project(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in ("roleplay_chat", "health_check"):
        stack.function_url(function)  # Served first: they keep the environment that they find.
    for name, value in stack.env(FUNCTIONS_URL="").items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def own() -> Iterator[Upstream]:
    """The server that is added."""
    with running_upstream() as upstream:
        yield upstream


class TestPeople:
    def test_admin_is_made_by_email(self, stack: Stack, capsys: Captured) -> None:
        user = stack.user()
        for _ in range(2):
            assert people.make_admin(Settings(), user.email.upper(), remove=False) == 0
        assert "is an admin" in capsys.readouterr().out
        roles = "select role::text from shared.user_roles where user_id = %s"
        assert [row["role"] for row in stack.all(roles, user.id)] == ["admin"]
        assert people.make_admin(Settings(), user.email, remove=True) == 0
        assert stack.all(roles, user.id) == []

    def test_age_is_verified_by_email(self, stack: Stack) -> None:
        user = stack.user()
        found = "select age_verified from shared.profiles where id = %s"
        for remove in (False, True):
            assert people.verify_age(Settings(), user.email, remove=remove) == 0
            assert stack.one(found, user.id)["age_verified"] is not remove

    def test_person_without_a_profile_can_be_verified(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute("delete from public.profiles where id = %s", (user.id,))
        assert people.verify_age(Settings(), user.email, remove=False) == 0
        assert stack.one("select age_verified from shared.profiles where id = %s", user.id)[
            "age_verified"
        ]

    @pytest.mark.parametrize("email", ["nobody@example.com", "%", "' or true --"])
    def test_person_who_is_not_there_is_named(self, email: str, capsys: Captured) -> None:
        assert people.make_admin(Settings(), email, remove=False) == 1
        assert people.verify_age(Settings(), email, remove=False) == 1
        assert capsys.readouterr().err.count(f"Nobody has signed up with {email}.") == 2

    def test_people_are_found_with_the_secret_key_alone(self, stack: Stack) -> None:
        user = stack.user()
        for body in ({"p_email": user.email},):
            with stack.data_api(user) as api:
                assert is_refused(api.post("/rpc/find_person", json=body))
                age = {"p_user_id": str(user.id), "p_is_verified": True}
                assert is_refused(api.post("/rpc/record_age_verification", json=age))
                added = {"p_name": "own", "p_url": "https://a.example", "p_model": "m"}
                assert is_refused(api.post("/rpc/add_worker", json=added))


def lists(own: Upstream, *ids: str, **more: Any) -> None:
    rows = [{"id": name, "object": "model"} | more for name in ids]
    own.always(reply(200, {"object": "list", "data": rows}), to="/v1/models")


class TestServer:
    def test_added_server_answers_first(
        self, stack: Stack, own: Upstream, capsys: Captured
    ) -> None:
        lists(own, "qwen3:8b", max_model_len=16_384)
        own.always(reply(404, {}), to="/health")
        stack.register_worker()
        assert server.main(Settings(), Server("own", own.url)) == (0, False)
        assert "Added the server own with the model qwen3:8b." in capsys.readouterr().out
        (row,) = stack.all("select * from private.workers where name = 'own'")
        assert (row["context_tokens"], row["lease_expires_at"]) == (16_384, None)

        stack.worker.always(reply(200, {"status": "healthy", "model_loaded": True}), to="/health")
        assert stack.health_check().json()["workers"]["own"]["isHealthy"] is True
        own.enqueue(text("From my own machine."))
        user = stack.user()
        ask = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        answer = stack.chat(user, model_provider="chat_worker", **ask).json()
        assert (answer["response"], answer["model_used"]) == (
            "From my own machine.",
            "chat_worker:own",
        )
        assert own.calls[-1].json["model"] == "qwen3:8b"

    def test_server_that_says_200_to_everything_has_no_health(
        self, stack: Stack, own: Upstream
    ) -> None:
        lists(own, "gemma")
        own.always(
            reply(200, {"error": "Unexpected endpoint or method. (GET /health)"}), to="/health"
        )
        assert server.main(Settings(), Server("own", own.url + "/v1")) == (0, False)
        assert stack.health_check().json()["workers"]["own"]["isHealthy"] is True

    def test_key_is_sent_and_said_where_it_belongs(
        self, stack: Stack, own: Upstream, capsys: Captured
    ) -> None:
        lists(own, "qwen")
        added = Server("my-gpu", own.url, key="sk-canary")
        assert server.main(Settings(), added) == (0, False)
        assert own.calls[-1].headers["authorization"] == "Bearer sk-canary"
        out = capsys.readouterr().out
        assert "Set MY_GPU_API_KEY to its key" in out
        assert "canary" not in out
        (row,) = stack.all("select secret_name from private.workers where name = 'my-gpu'")
        assert row["secret_name"] == "MY_GPU_API_KEY"

    def test_key_of_the_local_stack_is_kept_in_its_env_file(
        self, own: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dev.operate.project import Project

        monkeypatch.setattr(server, "ENV_FILE", tmp_path / ".env")
        local = Project("http://127.0.0.1:1", "k", {}, None, is_local=True)
        monkeypatch.setattr(server, "find", lambda _: local)
        monkeypatch.setattr(Project, "call", lambda *_, **__: None)
        lists(own, "qwen")
        assert server.main(Settings(), Server("own", own.url, key="a b'c")) == (0, True)
        assert dotenv_values(tmp_path / ".env")["OWN_API_KEY"] == "a b'c"
        assert (tmp_path / ".env").stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize(
        ("ids", "model", "sentence"),
        [
            (["a", "b"], "", "several models. Choose one with MODEL=...: a, b"),
            (["a"], "c", "no model c. It has: a"),
            ([], "", "has no model. Load one"),
        ],
    )
    def test_model_has_to_be_one_of_the_servers(
        self, own: Upstream, ids: list[str], model: str, sentence: str, capsys: Captured
    ) -> None:
        lists(own, *ids)
        assert server.main(Settings(), Server("own", own.url, model=model)) == (1, False)
        assert sentence in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (reply(401, {}), "Give its key with KEY=..."),
            (reply(404, {}), "answered 404. Is URL right?"),
            (reply(200, [1]), "does not list models"),
            (reply(200, {"data": [1]}), "does not list models"),
        ],
    )
    def test_what_is_no_such_server_is_said(
        self, own: Upstream, answer: Any, sentence: str, capsys: Captured
    ) -> None:
        own.always(answer, to="/v1/models")
        assert server.main(Settings(), Server("own", own.url)) == (1, False)
        assert sentence in capsys.readouterr().err

    @pytest.mark.parametrize("url", ["refused", "nonsense", "http://\x1b/"])
    def test_server_that_does_not_answer_is_said(self, url: str, capsys: Captured) -> None:
        with refusing() as away:
            given = away if url == "refused" else url
            assert server.main(Settings(), Server("own", given)) == (1, False)
        err = capsys.readouterr().err
        assert "No server answers at" in err
        assert "\x1b" not in err

    def test_private_address_is_rejected_where_it_is_not_allowed(
        self, stack: Stack, own: Upstream, capsys: Captured
    ) -> None:
        lists(own, "qwen")
        stack.db.execute("update private.system_settings set config = config - 'allowLocalWorkers'")
        assert server.main(Settings(), Server("own", own.url)) == (1, False)
        assert "The server's address" in capsys.readouterr().err
