"""Reads the files of deploy/ as the programs that they are for do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from dotenv import dotenv_values

from tests.support.postgres import ROOT

DEPLOY = ROOT / "deploy"
CONTAINERS = {"roleplay-chat": "roleplay_chat", "health-check": "health_check"}
"""The functions by the names of their images."""


def files() -> list[Path]:
    """Every file of deploy/, without what Python compiled."""
    found = [path for path in DEPLOY.rglob("*") if path.is_file()]
    return [path for path in found if path.suffix != ".pyc"]


def documents(path: Path) -> list[dict[str, Any]]:
    """All documents of a YAML file."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def resources(folder: str) -> list[dict[str, Any]]:
    """The resources that a kustomization lists, in its order."""
    (kustomization,) = documents(DEPLOY / folder / "kustomization.yaml")
    return [
        document
        for name in kustomization["resources"]
        for document in documents(DEPLOY / folder / name)
    ]


def find(folder: str, kind: str, name: str) -> dict[str, Any]:
    """One resource."""
    (found,) = (
        one for one in resources(folder) if (one["kind"], one["metadata"]["name"]) == (kind, name)
    )
    return found


def pod(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The specification of the pods of a Deployment, CronJob or Knative Service."""
    spec = resource["spec"]
    if resource["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return dict(spec["template"]["spec"])


def container(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The one container of a pod."""
    (found,) = pod(resource)["containers"]
    return dict(found)


def with_pods(folder: str) -> Iterator[dict[str, Any]]:
    """The resources that run containers."""
    for one in resources(folder):
        if one["kind"] in ("Deployment", "CronJob") or one["apiVersion"].startswith("serving."):
            yield one


def settings(path: str) -> dict[str, str]:
    """The NAME=value lines of a file."""
    found = dotenv_values(DEPLOY / path)
    return {name: value or "" for name, value in found.items()}


def commented(path: str) -> set[str]:
    """The names that a file shows as examples."""
    text = (DEPLOY / path).read_text()
    return set(re.findall(r"^# ?([A-Za-z_]+)=", text, re.MULTILINE))
