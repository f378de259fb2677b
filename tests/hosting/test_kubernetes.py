"""The manifests for Kubernetes and Knative."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from edge.addresses import _GLOBAL_UNICAST, _NOT_PUBLIC
from health_check.scheduler import SECONDS
from roleplay_chat.settings import Settings as RoleplayChat
from tests.hosting.files import DEPLOY, container, documents, find, pod, resources, with_pods

VERSION = "1.31"
"""The oldest version that the schemas have and the manifests are for."""
KNATIVE = json.loads((Path(__file__).parent / "schemas/knative.json").read_text())
FOLDERS = ("kubernetes", "knative")
ALL = [
    pytest.param(one, id=f"{folder}-{one['kind']}-{one['metadata']['name']}")
    for folder in FOLDERS
    for one in resources(folder)
]
PODS = [
    pytest.param(one, id=f"{folder}-{one['kind']}-{one['metadata']['name']}")
    for folder in FOLDERS
    for one in with_pods(folder)
]


def check(resource: dict[str, Any]) -> None:
    """Raises an exception unless the resource is valid."""
    if resource["apiVersion"].startswith("serving.knative.dev/"):
        jsonschema.validate(resource, KNATIVE)
        one = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
        inner = json.loads(json.dumps(container(resource)))
        # Knative's probes have no port; a pod's do.
        for kind in ("readinessProbe", "livenessProbe"):
            inner[kind]["httpGet"]["port"] = 8080
        resource = one | {"spec": {"containers": [inner | {"name": "x"}]}}
    kubernetes_validate.validate(resource, VERSION, strict=True)


@pytest.mark.parametrize("resource", ALL)
def test_manifest_is_valid(resource: dict[str, Any]) -> None:
    check(resource)


def broken(folder: str, kind: str, name: str, *path: str | int, value: Any) -> dict[str, Any]:
    """A resource with another value at a path."""
    resource = json.loads(json.dumps(find(folder, kind, name)))
    place = resource
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(resource)


CHAT = ("knative", "Service", "roleplay-chat")
TEMPLATE = ("spec", "template", "spec")


@pytest.mark.parametrize(
    "resource",
    [
        broken("kubernetes", "Deployment", "roleplay-chat", *TEMPLATE, "containerz", value=[]),
        broken(
            "kubernetes", "Deployment", "roleplay-chat", *TEMPLATE, "containers", 0, "ports",
            value=[{"containerPort": "8080"}],
        ),
        broken("kubernetes", "CronJob", "health-check", "spec", "scheduled", value="* * * * *"),
        broken("kubernetes", "Ingress", "roleplay", "spec", "rule", value=[]),
        broken(*CHAT, *TEMPLATE, "containerConcurrency", value="80"),
        broken(*CHAT, *TEMPLATE, "timeoutSecond", value=5),
        broken(
            *CHAT, "spec", "template", "metadata", "annotations",
            value={"autoscaling.knative.dev/minScal": "0"},
        ),
    ],
    ids=lambda resource: resource["kind"],
)  # fmt: skip
def test_mistake_is_found(resource: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"."):
        check(resource)


@pytest.mark.parametrize("resource", PODS)
def test_container_has_no_more_rights_than_it_needs(resource: dict[str, Any]) -> None:
    rights = container(resource)["securityContext"] | pod(resource).get("securityContext", {})
    assert rights["runAsNonRoot"] is True
    assert rights["runAsUser"] > 0
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(resource)["automountServiceAccountToken"] is False
    assert set(container(resource)["resources"]["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", ["roleplay-chat", "health-check"])
def test_service_leads_to_the_pods(name: str) -> None:
    deployment, service = (find("kubernetes", kind, name) for kind in ("Deployment", "Service"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    (port,) = container(deployment)["ports"]
    assert [one["targetPort"] for one in service["spec"]["ports"]] == [port["name"]]
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(deployment)[kind]["httpGet"]["port"] == port["name"]


def test_number_of_chat_pods_is_left_to_the_autoscaler() -> None:
    deployment = find("kubernetes", "Deployment", "roleplay-chat")
    scaler = find("kubernetes", "HorizontalPodAutoscaler", "roleplay-chat")["spec"]
    assert "replicas" not in deployment["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert scaler["minReplicas"] > 1
    assert container(deployment)["resources"]["requests"]["cpu"]
    budget = find("kubernetes", "PodDisruptionBudget", "roleplay-chat")["spec"]
    assert budget["selector"] == deployment["spec"]["selector"]


class TestIngress:
    def annotation(self, name: str) -> str:
        annotations = find("kubernetes", "Ingress", "roleplay")["metadata"]["annotations"]
        return str(annotations[f"nginx.ingress.kubernetes.io/{name}"])

    def test_each_function_has_its_path(self) -> None:
        (rule,) = find("kubernetes", "Ingress", "roleplay")["spec"]["rules"]
        paths = {one["path"]: one["backend"]["service"]["name"] for one in rule["http"]["paths"]}
        assert paths == {"/roleplay_chat": "roleplay-chat", "/health_check": "health-check"}
        services = {
            one["metadata"]["name"]: one["spec"]["ports"]
            for one in resources("kubernetes")
            if one["kind"] == "Service"
        }
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            named = {port["name"] for port in services[backend["name"]]}
            assert backend["port"]["name"] in named

    def test_events_and_cards_pass(self) -> None:
        chat = RoleplayChat.model_fields
        assert self.annotation("proxy-buffering") == "off"
        size = int(self.annotation("proxy-body-size").removesuffix("m")) * 2**20
        assert chat["max_card_bytes"].default <= size < 2 * chat["max_card_bytes"].default
        turn = chat["turn_budget_seconds"].default + chat["lease_margin_seconds"].default
        assert int(self.annotation("proxy-read-timeout")) > turn
        assert chat["heartbeat_seconds"].default < 60
        assert int(self.annotation("proxy-send-timeout")) > chat["send_timeout_seconds"].default

    def test_no_turn_is_sent_twice(self) -> None:
        assert self.annotation("proxy-next-upstream") == "off"


@pytest.mark.parametrize("folder", FOLDERS)
def test_health_check_is_called_each_minute_and_not_twice(folder: str) -> None:
    job = find(folder, "CronJob", "health-check")["spec"]
    assert job["schedule"] == "* * * * *"
    assert job["concurrencyPolicy"] == "Forbid"
    assert SECONDS < job["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 60
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0


class TestNetwork:
    def test_only_public_addresses_are_reached(self) -> None:
        egress = find("kubernetes", "NetworkPolicy", "functions")["spec"]["egress"]
        blocks = [to["ipBlock"] for rule in egress for to in rule["to"] if "ipBlock" in to]
        found = {block["cidr"]: set(block["except"]) for block in blocks}
        for version, cidr in ((4, "0.0.0.0/0"), (6, str(_GLOBAL_UNICAST))):
            assert found[cidr] == {str(one) for one in _NOT_PUBLIC if one.version == version}

    def test_every_pod_is_covered(self) -> None:
        chosen = set()
        for policy in resources("kubernetes"):
            if policy["kind"] == "NetworkPolicy":
                assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
                selector = policy["spec"]["podSelector"]
                chosen |= set(selector.get("matchLabels", {}).values())
                for expression in selector.get("matchExpressions", []):
                    chosen |= set(expression["values"])
        labels = set()
        for one in with_pods("kubernetes"):
            spec = one["spec"]
            template = (spec.get("jobTemplate", {}).get("spec") or spec)["template"]
            labels.add(template["metadata"]["labels"]["app.kubernetes.io/name"])
        assert chosen == labels == {"roleplay-chat", "health-check", "health-check-schedule"}


class TestKnative:
    def test_scales_to_zero_within_bounds(self) -> None:
        for name, most in (("roleplay-chat", "20"), ("health-check", "1")):
            template = find("knative", "Service", name)["spec"]["template"]
            annotations = template["metadata"]["annotations"]
            assert annotations["autoscaling.knative.dev/min-scale"] == "0"
            assert annotations["autoscaling.knative.dev/max-scale"] == most

    def test_schedule_calls_the_service_in_its_namespace(self) -> None:
        (kustomization,) = documents(DEPLOY / "knative/kustomization.yaml")
        command = container(find("knative", "CronJob", "health-check"))["command"]
        host = f"health-check.{kustomization['namespace']}.svc.cluster.local"
        assert command[-1] == f"http://{host}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_listed(folder: str) -> None:
    (kustomization,) = documents(DEPLOY / folder / "kustomization.yaml")
    listed = {*kustomization["resources"], "kustomization.yaml"}
    listed |= {name for one in kustomization.get("configMapGenerator", []) for name in one["envs"]}
    assert {path.name for path in (DEPLOY / folder).iterdir()} == listed


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_builds_it(folder: str) -> None:
    command = ["kubectl", "kustomize", str(DEPLOY / folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    made = [one for one in yaml.safe_load_all(built) if one]
    assert {one["metadata"]["namespace"] for one in made} == {"roleplay"}
    kinds = sorted(one["kind"] for one in made if one["kind"] != "ConfigMap")
    assert kinds == sorted(one["kind"] for one in resources(folder))
    images = {container(one)["image"] for one in made if one["kind"] in ("Deployment", "CronJob")}
    assert all(image.startswith("registry.example/") for image in images)
    maps = {one["metadata"]["name"] for one in made if one["kind"] == "ConfigMap"}
    for one in made:
        if one["kind"] == "Deployment":
            assert container(one)["envFrom"][0]["configMapRef"]["name"] in maps
        check(one)
