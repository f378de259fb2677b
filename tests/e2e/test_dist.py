"""`make build`: each folder runs alone in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.build import digest
from dev.operate.deploy import RUNTIME
from tests.support import patient
from tests.support.answers import stream, worker_healthy
from tests.support.functions import serve_process
from tests.support.postgres import ROOT
from tests.support.stack import HEALTH_CHECK_SECRET, Stack
from tests.support.waiting import PATIENCE, free_port, wait_until

NAMES = ["health_check", "roleplay_chat"]
ALONE = {"PYTHONPATH": ""}
"""Variables by which the tests themselves are found."""


def build(folder: Path, **env: str) -> Path:
    """Builds dist/ from a copy of the sources in this folder."""
    for name in ("dev", "functions", "requirements"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    command = [sys.executable, "-m", "dev.build"]
    subprocess.run(command, cwd=folder, env=os.environ | env, check=True)
    return folder / "dist"


def contents(folder: Path) -> dict[str, bytes]:
    """The contents of every file by path."""
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def listing(folder: Path) -> dict[str, tuple[int, float]]:
    """Mode and time of every file and folder by path."""
    found = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*")}
    return {path: (stat.st_mode & 0o777, stat.st_mtime) for path, stat in found.items()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("build"))


def install(folder: Path, environment: Path) -> Path:
    """The Python of a new environment with only the folder's requirements."""
    # This environment's pip installs into it, because creating another one takes seconds.
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "install", "--quiet"]
    wanted = ["--no-compile", "--require-hashes", "--requirement", f"{folder}/requirements.txt"]
    commands = [
        [sys.executable, "-m", "venv", "--without-pip", str(environment)],
        [*pip, *wanted],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return environment / "bin/python"


@pytest.fixture(scope="module")
def python(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The Python in which a function is installed. Both are installed at the same time."""
    folder = tmp_path_factory.mktemp("environments")
    with ThreadPoolExecutor() as pool:
        installed: dict[str, Future[Path]] = {
            name: pool.submit(install, dist / name, folder / name) for name in NAMES
        }
    return lambda name: installed[name].result()


class TestBuild:
    def test_makes_a_folder_for_each_function(self, dist: Path) -> None:
        assert sorted(path.name for path in dist.iterdir()) == NAMES

    @pytest.mark.parametrize("name", NAMES)
    def test_folder_has_the_function_and_what_it_imports(self, dist: Path, name: str) -> None:
        assert {path.name for path in (dist / name).iterdir()} == {
            "main.py",
            "requirements.txt",
            "edge",
            name,
        }
        others = [path for path in contents(dist / name) if not path.endswith((".py", "py.typed"))]
        assert others == ["requirements.txt"]

    def test_sources_are_copied_as_they_are(self, dist: Path) -> None:
        copied = contents(dist / "roleplay_chat" / "edge")
        sources = contents(ROOT / "functions/_shared/edge")
        assert copied == {path: sources[path] for path in copied}
        assert "identity.py" in copied

    def test_building_twice_gives_the_same_bytes(self, dist: Path, tmp_path: Path) -> None:
        # A file that was removed from the sources is removed from dist/.
        (tmp_path / "dist/roleplay_chat").mkdir(parents=True)
        (tmp_path / "dist/roleplay_chat/old.py").write_text("")
        again = build(tmp_path)
        assert contents(again) == contents(dist)
        assert contents(build(tmp_path)) == contents(again)

    def test_working_copy_leaves_no_trace(self, dist: Path, tmp_path: Path) -> None:
        first = build(tmp_path)
        listed = listing(first)
        for path in (tmp_path / "functions").rglob("*.py"):
            path.chmod(0o700)
            os.utime(path)
        (tmp_path / "functions/roleplay_chat/.env").write_text("SECRET=1")

        assert listing(build(tmp_path)) == listed == listing(dist)
        assert {mode for mode, _ in listed.values()} == {0o644, 0o755}

    def test_packages_of_telemetry_are_there_when_asked_for(
        self, dist: Path, tmp_path: Path
    ) -> None:
        with_otel = build(tmp_path, OTEL="1") / "roleplay_chat/requirements.txt"
        assert "opentelemetry-sdk==" in with_otel.read_text()
        plain = (dist / "roleplay_chat/requirements.txt").read_text()
        assert "opentelemetry" not in plain
        pins = {line for line in plain.splitlines() if "==" in line}
        assert pins <= set(with_otel.read_text().splitlines())

    def test_digest_names_the_content(self, dist: Path, tmp_path: Path) -> None:
        names = [digest(dist / name) for name in NAMES]
        again = build(tmp_path)
        assert [digest(again / name) for name in NAMES] == names
        (again / "health_check/main.py").write_text("changed = True\n")
        assert [digest(again / name) == was for name, was in zip(NAMES, names, strict=True)] == [
            False,
            True,
        ]


class TestInstalled:
    """Each function in a new environment, served by its own functions-framework."""

    def test_environment_holds_no_more_than_the_function_asks_for(
        self, python: Callable[[str], Path]
    ) -> None:
        program = "import importlib.util as u; print([m for m in %r if u.find_spec(m)])"
        modules = ["pytest", "edge", "roleplay_chat", "dev", "tests", "psycopg", "xllamacpp"]
        for name in NAMES:
            command: list[str | Path] = [python(name), "-I", "-c", program % modules]
            assert subprocess.check_output(command, text=True).strip() == "[]"

    def test_roleplay_chat_answers_a_turn(
        self, stack: Stack, dist: Path, python: Callable[[str], Path]
    ) -> None:
        user = stack.user(algorithm="ES256")
        conversation = stack.conversation(user)
        stack.upstream.enqueue(stream(["Good ", "evening."]), stream(["Sit ", "down."]))
        body: dict[str, Any] = {"conversation_id": str(conversation)}

        with serve_process(
            "roleplay_chat", stack.env(**ALONE), dist, python=python("roleplay_chat")
        ) as process:
            alive = patient.get(process.url)
            answer = stack.chat(user, url=process.url, message="Hello", **body)
            events = stack.stream(user, url=process.url, message="And now?", **body)

        assert (alive.status_code, alive.json()["status"]) == (200, "ok")
        assert (answer.status_code, answer.json()["response"]) == (200, "Good evening.")
        assert (events[0].name, events[-1].name) == ("start", "done")
        assert stack.said(conversation) == [
            ("user", "Hello"),
            ("character", "Good evening."),
            ("user", "And now?"),
            ("character", "Sit down."),
        ]

    def test_health_check_probes_the_worker(
        self, stack: Stack, dist: Path, python: Callable[[str], Path]
    ) -> None:
        stack.register_worker()
        stack.worker.enqueue(worker_healthy(), to="/health")
        scheduler = {"Authorization": f"Bearer {HEALTH_CHECK_SECRET}"}

        with serve_process(
            "health_check", stack.env(**ALONE), dist, python=python("health_check")
        ) as process:
            refused = patient.post(process.url)
            answer = patient.post(process.url, headers=scheduler)

        assert refused.status_code == 401
        assert answer.json()["workers"]["chatWorker"]["isHealthy"] is True
        cache = stack.one("select config -> 'workerHealthCache' as cache from system_config")
        assert cache["cache"] == answer.json()["workers"]

    @pytest.mark.parametrize("name", NAMES)
    def test_function_without_its_settings_says_which(
        self,
        stack: Stack,
        dist: Path,
        python: Callable[[str], Path],
        name: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for setting in stack.env():  # set by functions that are served in this process
            monkeypatch.delenv(setting, raising=False)
        with (
            pytest.raises(RuntimeError, match="SUPABASE_URL: Field required"),
            serve_process(name, ALONE, dist, python=python(name)),
        ):
            pass


class Image:
    """The Dockerfile for one function. No image can be built in a test."""

    def __init__(self, name: str) -> None:
        text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        lines = [line.split(maxsplit=1) for line in text.splitlines()]
        self._lines = [(words[0], words[1]) for words in lines if words and words[0] != "#"]
        self._lines = [(word, rest.replace("${FUNCTION}", name)) for word, rest in self._lines]

    def all(self, instruction: str) -> list[str]:
        return [rest.strip() for word, rest in self._lines if word == instruction]

    @property
    def env(self) -> dict[str, str]:
        """The variables of the last stage, except the search path."""
        pairs = (pair.partition("=") for line in self.all("ENV") for pair in line.split())
        return {name: value for name, _, value in pairs if name != "PATH"}

    @property
    def command(self) -> list[str]:
        return list(json.loads(self.all("CMD")[0]))

    @property
    def health_command(self) -> list[str]:
        return list(json.loads(self.all("HEALTHCHECK")[0].partition("CMD ")[2]))


class TestImage:
    @pytest.mark.parametrize("name", NAMES)
    def test_what_is_copied_is_what_a_build_makes(self, dist: Path, name: str) -> None:
        image = Image(name)
        copied = [line.split()[0] for line in image.all("COPY") if not line.startswith("--from")]
        assert copied == [f"dist/{name}/requirements.txt", f"dist/{name}/"]
        assert all((dist.parent / path).exists() for path in copied)
        assert (dist / name / image.env["FUNCTION_SOURCE"]).exists()
        assert image.env["FUNCTION_TARGET"] == name
        # Nothing else of a working copy is sent to the builder, and never its .env.
        assert (ROOT / ".dockerignore").read_text().split() == ["*", "!dist/"]

    def test_python_is_the_one_that_functions_are_deployed_with(self) -> None:
        image = Image("roleplay_chat")
        assert image.all("ARG")[0] == f"PYTHON={RUNTIME[6]}.{RUNTIME[7:]}"
        assert {line.split()[0] for line in image.all("FROM")} == {"python:${PYTHON}-slim"}

    def test_image_runs_as_an_unprivileged_user(self) -> None:
        (user,) = Image("roleplay_chat").all("USER")
        assert 0 not in map(int, user.split(":"))

    @pytest.mark.parametrize("name", NAMES)
    def test_command_serves_and_ends_in_order(
        self, stack: Stack, dist: Path, python: Callable[[str], Path], name: str
    ) -> None:
        image, port = Image(name), free_port()
        venv = python(name).parent
        surroundings = {"PATH": f"{venv}:/usr/bin:/bin", "HOME": "/nonexistent"}
        env = surroundings | image.env | stack.env(PORT=str(port), HOST="127.0.0.1")
        program = [str(venv / image.command[0]), *image.command[1:]]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(program, cwd=dist / name, env=env, stdout=log, stderr=log)
            try:
                url = f"http://127.0.0.1:{port}"
                answer = wait_until(lambda: answered(url), f"{name} to answer")
                health = [str(venv / "python"), *image.health_command[1:]]
                well = subprocess.run(health, env=env, check=False)
                process.terminate()
                assert process.wait(timeout=PATIENCE) == 0
                ill = subprocess.run(health, env=env, stderr=subprocess.DEVNULL, check=False)
            finally:
                process.kill()
        assert answer.status_code == {"roleplay_chat": 200, "health_check": 401}[name]
        assert (well.returncode, ill.returncode) == (0, 1)


def answered(url: str) -> httpx.Response | None:
    """The response, or None."""
    try:
        return patient.get(url)
    except httpx.TransportError:
        return None
