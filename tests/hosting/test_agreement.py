"""What all files of deploy/ have in common: names of settings, secrets, ports, paths and times."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dev.operate.environment import FUNCTIONS, is_secret
from dev.settings import ROOT
from edge.server import ALIVE
from roleplay_chat.settings import Settings as RoleplayChat
from tests.hosting.files import (
    CONTAINERS,
    DEPLOY,
    commented,
    container,
    documents,
    files,
    find,
    pod,
    settings,
    with_pods,
)

NEEDED = {
    "roleplay_chat": {"SUPABASE_URL", "SUPABASE_SECRET_KEY"},
    "health_check": {"SUPABASE_URL", "SUPABASE_SECRET_KEY", "HEALTH_CHECK_SECRET"},
}
PLATFORM = {"PORT", "SITE_ADDRESS"}
"""Variables that are not the functions': of the image, and of the proxy."""


@dataclass
class Place:
    """One container, as one file describes it."""

    name: str
    image: str
    plain: dict[str, str] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)
    command: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    port: int | None = None
    grace: float | None = None
    """The time between SIGTERM, or what precedes it, and SIGKILL."""
    pause: float = 0
    """How much of it passes before SIGTERM."""

    @property
    def function(self) -> str:
        return CONTAINERS[re.split(r"[/:]", self.image.removeprefix("registry.example/"))[0]]


def places() -> Iterator[Place]:
    for folder in ("kubernetes", "knative"):
        for resource in with_pods(folder):
            yield kubernetes_place(folder, resource)
    for path in sorted((DEPLOY / "fly").glob("*.toml")):
        yield from fly_places(path.stem, tomllib.loads(path.read_text()))
    (render,) = documents(DEPLOY / "render/render.yaml")
    for service in render["services"]:
        yield render_place(service)
    (compose,) = documents(DEPLOY / "machine/compose.yaml")
    for name, service in compose["services"].items():
        if service["image"] in CONTAINERS:
            yield machine_place(name, service)


def kubernetes_place(folder: str, resource: dict[str, Any]) -> Place:
    spec, one = pod(resource), container(resource)
    plain = {entry["name"]: entry["value"] for entry in one["env"] if "value" in entry}
    secret = {
        entry["name"]
        for entry in one["env"]
        if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "roleplay-secrets"
    }
    if any("configMapRef" in source for source in one.get("envFrom", [])):
        plain |= settings(f"{folder}/settings.env")
    probes = [one[kind]["httpGet"]["path"] for kind in one if kind.endswith("Probe")]
    pause = one.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    is_job = resource["kind"] == "CronJob"
    return Place(
        f"{folder} {resource['kind']} {resource['metadata']['name']}",
        one["image"],
        plain,
        secret,
        one.get("command", []),
        probes,
        None if is_job else one["ports"][0]["containerPort"],
        spec.get("terminationGracePeriodSeconds", spec.get("timeoutSeconds")),
        pause,
    )


def fly_places(name: str, given: dict[str, Any]) -> Iterator[Place]:
    commands = given.get("processes", {"app": ""})
    for process, command in commands.items():
        service = given["http_service"] if process == "app" else {}
        yield Place(
            f"fly {name} {process}",
            given["build"]["image"],
            given["env"],
            NEEDED[CONTAINERS[name]] - given["env"].keys(),  # imported by hand, from secrets.env
            shlex.split(command),
            [check["path"] for check in service.get("checks", [])],
            service.get("internal_port"),
            float(given["kill_timeout"].removesuffix("s")),
        )


def render_place(service: dict[str, Any]) -> Place:
    variables = service["envVars"]
    return Place(
        f"render {service['name']}",
        service["image"]["url"],
        {one["key"]: one["value"] for one in variables if "value" in one},
        {one["key"] for one in variables if "value" not in one},
        shlex.split(service.get("dockerCommand", "")),
        [service["healthCheckPath"]] if "healthCheckPath" in service else [],
        int({one["key"]: one.get("value") for one in variables}.get("PORT") or 0) or None,
        service.get("maxShutdownDelaySeconds"),
    )


def machine_place(name: str, service: dict[str, Any]) -> Place:
    secret = set(settings("machine/secrets.env.example"))
    assert service["env_file"] == ["settings.env", "secrets.env"]
    return Place(
        f"machine {name}",
        service["image"],
        settings("machine/settings.env"),
        secret,
        service.get("command", []),
        [ALIVE] if service.get("healthcheck") != {"disable": True} else [],
        8080 if "command" not in service else None,
        float(service["stop_grace_period"].removesuffix("s")),
    )


PLACES = {place.name: place for place in places()}
SERVING = {name: place for name, place in PLACES.items() if place.port}
CALLING = {name: place for name, place in PLACES.items() if not place.port}
CHATS = {name: place for name, place in SERVING.items() if place.function == "roleplay_chat"}
everywhere = pytest.mark.parametrize("name", PLACES)
where_served = pytest.mark.parametrize("name", SERVING)


def known(function: str) -> set[str]:
    return {name.upper() for name in FUNCTIONS[function].model_fields}


def test_every_way_has_both_functions_and_what_calls_health_check() -> None:
    ways = {name.partition(" ")[0] for name in PLACES}
    assert ways == {"kubernetes", "knative", "fly", "render", "machine"}
    for way in ways:
        served = {p.function for n, p in SERVING.items() if n.startswith(way)}
        assert served == {"roleplay_chat", "health_check"}
        assert len([name for name in CALLING if name.startswith(way)]) == 1


@everywhere
def test_every_variable_is_a_setting(name: str) -> None:
    place = PLACES[name]
    both = known("roleplay_chat") | known("health_check")
    for variable in [*place.plain, *place.secret]:
        assert variable in both | PLATFORM or variable.endswith("_API_KEY"), variable


@where_served
def test_function_has_what_it_needs_and_starts_with_it(name: str) -> None:
    place = SERVING[name]
    assert NEEDED[place.function] <= place.plain.keys() | place.secret
    model = FUNCTIONS[place.function]
    given = {key.lower(): value for key, value in place.plain.items()}
    given |= dict.fromkeys(map(str.lower, place.secret), "x" * 32)
    model.model_validate({k: v for k, v in given.items() if k in model.model_fields})


@everywhere
def test_secrets_are_never_inline(name: str) -> None:
    secret = {
        field_name.upper()
        for model in FUNCTIONS.values()
        for field_name, info in model.model_fields.items()
        if is_secret(info.annotation)
    }
    inline = {v for v in PLACES[name].plain if v in secret or v.endswith("_API_KEY")}
    assert inline == set()


def test_no_file_has_a_key() -> None:
    keys = re.compile(r"sb_secret_\w|sk-[a-z0-9]|eyJ[A-Za-z0-9]{8}|[A-Za-z0-9+/]{40,}")
    for path in files():
        assert keys.findall(path.read_text()) == [], path
    assert set(settings("machine/secrets.env.example").values()) == {""}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "secrets.env" in ignored


def test_shown_examples_are_settings() -> None:
    for path in ("kubernetes/settings.env", "machine/settings.env"):
        assert commented(path) <= known("roleplay_chat") | known("health_check"), path
        assert commented(path)


@where_served
def test_port_and_probes_are_those_of_the_image(name: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"PORT={SERVING[name].port}" in dockerfile
    assert f"EXPOSE {SERVING[name].port}" in dockerfile
    assert set(SERVING[name].probes) == {ALIVE}
    assert f"'{ALIVE}'" in dockerfile


@pytest.mark.parametrize("name", CHATS)
def test_turns_are_finished_before_the_process_is_killed(name: str) -> None:
    place = CHATS[name]
    given = {key.lower(): value for key, value in place.plain.items()}
    chat = RoleplayChat.model_validate(
        {"supabase_secret_key": "x"}
        | {key: value for key, value in given.items() if key in RoleplayChat.model_fields}
    )
    longest = max(chat.turn_budget_seconds + chat.memory_timeout_seconds, chat.lease_seconds)
    assert place.grace is not None
    assert longest < chat.shutdown_seconds < place.grace - place.pause


@pytest.mark.parametrize("name", [*SERVING, *CALLING])
def test_process_ends_before_it_is_killed(name: str) -> None:
    place = PLACES[name]
    if place.grace is not None and place.port:
        default = RoleplayChat.model_fields["shutdown_seconds"].default
        assert float(place.plain.get("SHUTDOWN_SECONDS", default)) < place.grace


@pytest.mark.parametrize("name", CALLING)
def test_schedule_runs_a_program_that_is_there(name: str) -> None:
    place = CALLING[name]
    python, flag, module, url, *rest = place.command
    assert (place.function, python, flag) == ("health_check", "python", "-m")
    assert importlib.util.find_spec(module) is not None
    assert re.fullmatch(r"https?://[a-z0-9.-]+(:8080)?", url)
    assert rest in ([], ["60"])
    assert "HEALTH_CHECK_SECRET" in place.secret


@pytest.mark.parametrize("name", SERVING)
def test_other_commands_are_those_of_the_image(name: str) -> None:
    command = (ROOT / "Dockerfile").read_text().rpartition("CMD ")[2]
    assert SERVING[name].command in ([], ["python", "-m", "edge.server"])
    assert command.strip() == '["python", "-m", "edge.server"]'


def test_concurrency_is_the_same_everywhere() -> None:
    from dev.operate.deploy_settings import DeploySettings

    wanted = DeploySettings.model_fields["deploy_concurrency"].default
    knative = find("knative", "Service", "roleplay-chat")
    fly = tomllib.loads((DEPLOY / "fly/roleplay-chat.toml").read_text())
    assert pod(knative)["containerConcurrency"] == wanted
    assert fly["http_service"]["concurrency"]["hard_limit"] == wanted


def test_versions_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = "\n".join(path.read_text() for path in files())
    tags = set(re.findall(r"registry\.example/[a-z-]+:(\S+?)\"?$", text, re.MULTILINE))
    tags |= set(re.findall(r"newTag: (\S+)", text))
    assert tags == {f"v{project}"}
