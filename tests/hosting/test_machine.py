"""compose.yaml and its proxy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from health_check.registration import MAX_BODY_BYTES
from roleplay_chat.settings import Settings as RoleplayChat
from tests.hosting.files import DEPLOY, documents, settings
from tests.support import patient
from tests.support.answers import stream
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE, Gate, free_port, wait_until

COMPOSE = DEPLOY / "machine/compose.yaml"
CADDYFILE = DEPLOY / "machine/Caddyfile"


def services() -> dict[str, Any]:
    (compose,) = documents(COMPOSE)
    return dict(compose["services"])


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)


def test_compose_file_is_valid() -> None:
    done = check(COMPOSE)
    assert done.returncode == 0, done.stdout


def test_mistake_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period: 5s", "stop_grace: 5s"))
    assert check(wrong).returncode == 1


def test_has_everything_that_an_installation_needs() -> None:
    assert set(services()) == {"roleplay-chat", "health-check", "scheduler", "proxy"}
    (compose,) = documents(COMPOSE)
    assert compose["networks"]["supabase"]["external"] is True
    for name, service in services().items():
        assert service["restart"] == "unless-stopped", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["mem_limit"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["networks"]) <= set(compose["networks"]), name
        assert set(service.get("depends_on", [])) <= set(services()), name
    published = {name for name, service in services().items() if "ports" in service}
    assert published == {"proxy"}


def test_functions_are_built_from_this_copy() -> None:
    for name, function in (("roleplay-chat", "roleplay_chat"), ("health-check", "health_check")):
        build = services()[name]["build"]
        assert build["args"] == {"FUNCTION": function}
        assert (COMPOSE.parent / build["context"] / "Dockerfile").resolve().is_file()


def test_mounted_files_are_there_or_are_built() -> None:
    for volume in services()["proxy"]["volumes"]:
        source = volume.partition(":")[0]
        if source.startswith("."):
            path = (COMPOSE.parent / source).resolve()
            assert path.exists() or path == (DEPLOY.parent / "dist/web").resolve()


# --- the proxy ----------------------------------------------------------------------------------

Block = list[tuple[list[str], "Block | None"]]


def parse(text: str) -> Block:
    """A Caddyfile as directives: their words, and the block that follows."""
    lines = [line.split("#")[0].split() for line in text.splitlines() if line.split("#")[0].strip()]
    whole: Block = []
    stack = [whole]
    for words in lines:
        if words == ["}"]:
            stack.pop()
        elif words[-1] == "{":
            inner: Block = []
            stack[-1].append((words[:-1], inner))
            stack.append(inner)
        else:
            stack[-1].append((words, None))
    assert len(stack) == 1, "braces that are not closed"
    return whole


def site() -> Block:
    (block,) = (
        inner for words, inner in parse(CADDYFILE.read_text()) if words == ["{$SITE_ADDRESS}"]
    )
    assert block is not None
    return block


def handled(matcher: str) -> dict[str, tuple[list[str], Block]]:
    """The directives of a `handle`."""
    (block,) = (inner for words, inner in site() if words == ["handle", matcher])
    return {words[0]: (words[1:], inner or []) for words, inner in block or []}


def values(block: Block) -> dict[str, str]:
    return {words[0]: words[-1] for words, inner in block if inner is None}


def matched(matcher: str) -> list[str]:
    (found,) = (words[2:] for words, _ in site() if words[:2] == [matcher, "path"])
    return found


def test_every_path_leads_to_a_service_and_its_port() -> None:
    ports = {"roleplay-chat": "8080", "health-check": "8080", "kong": "8000"}
    for matcher, name in (
        ("@chat", "roleplay-chat"),
        ("@health", "health-check"),
        ("@supabase", "kong"),
    ):
        assert handled(matcher)["reverse_proxy"][0] == [f"{name}:{ports[name]}"]
    assert settings("machine/settings.env")["SUPABASE_URL"] == f"http://kong:{ports['kong']}"
    assert matched("@chat") == ["/roleplay_chat", "/roleplay_chat/*"]
    assert matched("@health") == ["/health_check", "/health_check/*"]
    assert all(path.endswith("/v1/*") for path in matched("@supabase"))


def test_events_are_not_held_back_and_bodies_have_limits() -> None:
    chat, health = handled("@chat"), handled("@health")
    assert values(chat["reverse_proxy"][1])["flush_interval"] == "-1"
    largest = RoleplayChat.model_fields["max_card_bytes"].default
    assert values(chat["request_body"][1])["max_size"] == str(largest)
    assert values(health["request_body"][1])["max_size"] == str(MAX_BODY_BYTES)
    transport = {w[0]: values(b) for w, b in chat["reverse_proxy"][1] if b}["transport"]
    turn = sum(
        RoleplayChat.model_fields[name].default
        for name in ("turn_budget_seconds", "lease_margin_seconds")
    )
    assert int(transport["response_header_timeout"].removesuffix("s")) > turn
    text = CADDYFILE.read_text()
    assert "max_header_size 32kb" in text
    assert "text/event-stream" not in str({w[0]: b for w, b in site() if b}["encode"])


def test_running_turns_outlive_the_proxys_end() -> None:
    (everything,) = (inner for words, inner in parse(CADDYFILE.read_text()) if words == [])
    grace = int(values(everything or [])["grace_period"].removesuffix("s"))
    stop = int(services()["proxy"]["stop_grace_period"].removesuffix("s"))
    assert int(settings("machine/settings.env")["SHUTDOWN_SECONDS"]) < grace < stop


class TestCaddy:
    """The proxy itself, where it is installed (apt-get install caddy)."""

    pytestmark = pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed")

    @contextmanager
    def running(self, stack: Stack, pages: Path) -> Iterator[str]:
        port = free_port()
        text = CADDYFILE.read_text().replace("{$SITE_ADDRESS}", f"http://127.0.0.1:{port}")
        hosts = {
            "roleplay-chat:8080": stack.function_url("roleplay_chat"),
            "health-check:8080": stack.function_url("health_check"),
            "kong:8000": stack.gateway.url,
        }
        for name, url in hosts.items():
            text = text.replace(name, url.removeprefix("http://"))
        text = text.replace("root * /srv", f"root * {pages}").replace(
            "{\n\tgrace", "{\n\tadmin off\n\tgrace", 1
        )
        with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
            path = Path(folder) / "Caddyfile"
            path.write_text(text)
            log = held.enter_context(tempfile.TemporaryFile())
            command = ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"]
            env = {"HOME": folder, "PATH": "/usr/bin:/bin"}
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
            held.callback(process.wait, timeout=PATIENCE)
            held.callback(process.kill)
            url = f"http://127.0.0.1:{port}"

            def answers() -> bool:
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(log.read().decode())
                try:
                    return patient.get(f"{url}/").status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(answers, "Caddy to answer")
            yield url

    @pytest.fixture
    def pages(self, tmp_path: Path) -> Path:
        (tmp_path / "index.html").write_text("<p>pages</p>")
        tmp_path.chmod(0o755)
        return tmp_path

    def test_events_pass_as_they_are_sent(self, stack: Stack, pages: Path) -> None:
        user, gate = stack.user(), Gate()
        stack.upstream.enqueue(stream(["Hel", gate, "lo"]))
        ask = {"conversation_id": str(stack.conversation(user)), "message": "Hi"}
        with (
            self.running(stack, pages) as url,
            stack.streaming(user, url=f"{url}/roleplay_chat", **ask) as events,
        ):
            before = events.until("delta")
            gate.open()
            after = list(events)
        assert (before[-1].name, after[-1].name) == ("delta", "done")

    def test_pages_supabase_and_limits(self, stack: Stack, pages: Path) -> None:
        with self.running(stack, pages) as url:
            page = patient.get(f"{url}/")
            assert (page.text, page.headers["x-frame-options"]) == ("<p>pages</p>", "DENY")
            assert patient.get(f"{url}/rest/v1/characters").status_code == 401
            assert patient.get(f"{url}/pg/tables").status_code == 404
            large = b"x" * (RoleplayChat.model_fields["max_card_bytes"].default + 1)
            sent = {"headers": stack.user().headers, "content": large}
            assert patient.post(f"{url}/roleplay_chat", **sent).status_code == 413
            headers = {"X-Large": "x" * 70_000}
            assert patient.get(f"{url}/roleplay_chat", headers=headers).status_code == 431
            worker = patient.post(f"{url}/health_check/workers/gpu-1", content=b"{}")
            assert worker.status_code == 401


def test_yaml_has_no_key_twice() -> None:
    """A later key would replace an earlier one without a word."""

    class Strict(yaml.SafeLoader):  # type: ignore[misc]
        pass

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value if key.tag != MERGE]
        assert len(keys) == len(set(map(str, keys))), keys
        loader.flatten_mapping(node)
        return dict(yaml.SafeLoader.construct_mapping(loader, node, deep=True))

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for path in [*DEPLOY.rglob("*.yaml")]:
        for _ in yaml.load_all(path.read_text(), Loader=Strict):
            pass


MERGE = "tag:yaml.org,2002:merge"
