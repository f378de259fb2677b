"""The files for Fly and Render."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.hosting.files import CONTAINERS, DEPLOY, documents

SCHEMAS = Path(__file__).parent / "schemas"
FLY = sorted((DEPLOY / "fly").glob("*.toml"))


def fly(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def render() -> dict[str, Any]:
    (blueprint,) = documents(DEPLOY / "render/render.yaml")
    return blueprint


def validate(name: str, given: dict[str, Any]) -> None:
    jsonschema.validate(given, json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_files_are_valid() -> None:
    assert {path.stem for path in FLY} == set(CONTAINERS)
    for path in FLY:
        validate("fly", fly(path))
    validate("render", render())


def test_mistakes_are_found() -> None:
    changes: list[dict[str, Any]] = [
        {"kill_timeout": "301s"},
        {"kill_timeout": 210},
        {"enviroment": {}},
    ]
    for change in changes:
        with pytest.raises(jsonschema.ValidationError):
            validate("fly", fly(FLY[0]) | change)
    for change in ({"maxShutdownDelaySeconds": 301}, {"healthcheckPath": "/"}, {"type": "job"}):
        wrong = {"services": [render()["services"][0] | change]}
        with pytest.raises(jsonschema.ValidationError):
            validate("render", wrong)
    cron = {k: v for k, v in render()["services"][2].items() if k != "schedule"}
    with pytest.raises(jsonschema.ValidationError):
        validate("render", {"services": [cron]})


def test_fly_calls_the_service_beside_the_schedule() -> None:
    given = fly(DEPLOY / "fly/health-check.toml")
    assert f"https://{given['app']}.fly.dev 60" in given["processes"]["scheduler"]


def test_render_gives_the_schedule_the_services_secret() -> None:
    services = {one["name"]: one for one in render()["services"]}
    cron = services["roleplay-schedule"]
    (secret,) = cron["envVars"]
    service = services[secret["fromService"]["name"]]
    keys = [one["key"] for one in service["envVars"]]
    assert secret["fromService"]["envVarKey"] in keys
    assert f"https://{service['name']}.onrender.com" in cron["dockerCommand"]
    assert cron["schedule"] == "* * * * *"
