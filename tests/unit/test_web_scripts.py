"""The pages' scripts as the local stack serves them: bundled, and bundled again after an edit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from dev import web, web_scripts
from dev.settings import ROOT

MODULES = {
    "web/js/chat.js": 'import { config } from "../config.js";\n'
    'import { greeting } from "./greeting.js";\nconsole.log(config, greeting);\n',
    "web/js/greeting.js": 'export const greeting = "Good evening.";\n',
    "web/js/console.js": 'console.log("Figures.");\n',
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy with three modules, and the packages of this one."""
    monkeypatch.setattr(web_scripts, "ROOT", tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    for name, text in MODULES.items():
        write(tmp_path / name, text)
    return tmp_path


@pytest.fixture
def pages(project: Path) -> TestClient:
    answer = web_scripts.Scripts().answer
    return TestClient(Starlette(routes=[Route("/js/{name}", answer)]))


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_page_gets_all_its_modules_in_one_script(pages: TestClient) -> None:
    script = pages.get("/js/chat.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "Good evening." in script.text
    assert '"../config.js"' in script.text
    assert pages.get("/js/greeting.js").status_code == 404


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_script_is_compressed_for_those_who_take_that(pages: TestClient, encoding: str) -> None:
    script = pages.get("/js/chat.js", headers={"Accept-Encoding": encoding})
    assert script.headers.get("content-encoding", "identity") == encoding
    assert "Good evening." in script.text


def test_source_map_names_the_modules_and_has_their_text(pages: TestClient) -> None:
    [_, name] = pages.get("/js/chat.js").text.rstrip().rsplit("sourceMappingURL=", 1)
    found = json.loads(pages.get(f"/js/{name}").text)
    texts = dict(zip(found["sources"], found["sourcesContent"], strict=True))
    [greeting] = [text for path, text in texts.items() if path.endswith("/web/js/greeting.js")]
    assert greeting == MODULES["web/js/greeting.js"]


def test_edit_is_there_after_a_reload_and_nothing_is_sent_twice(
    project: Path, pages: TestClient
) -> None:
    first = pages.get("/js/chat.js")
    again = pages.get("/js/chat.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    write(project / "web/js/greeting.js", 'export const greeting = "Good morning.";\n')
    edited = pages.get("/js/chat.js", headers={"If-None-Match": first.headers["etag"]})
    assert edited.status_code == 200
    assert "Good morning." in edited.text
    assert "Good evening." not in edited.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("const a = 1;\nexport const = 2;\n", 'Expected identifier but found "="'),
        ('const a = 1;\nimport "./nowhere.js";\n', 'Could not resolve "./nowhere.js"'),
        ("export const a = 1;\n", "No matching export"),
    ],
)
def test_page_and_log_say_where_a_module_is_wrong(
    project: Path, pages: TestClient, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    write(project / "web/js/greeting.js", text)
    script = pages.get("/js/chat.js")
    assert script.status_code == 200  # A browser runs no other.
    where = "web/js/chat.js:2:9" if told == "No matching export" else "web/js/greeting.js:2:"
    log = capsys.readouterr().err
    for place in (script.text, log):
        assert where in place
        assert told in place.replace('\\"', '"')
    write(project / "web/js/greeting.js", MODULES["web/js/greeting.js"])
    assert "Good evening." in pages.get("/js/chat.js").text


def test_command_says_it_too(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_URL", "FUNCTIONS_URL"):
        monkeypatch.setenv(name, "https://a.example")
    write(project / "web/js/greeting.js", "export const = 2;\n")
    assert web.main(project / "dist") == 1
    assert "web/js/greeting.js:1:13" in capsys.readouterr().err


def test_missing_bundler_is_named(project: Path) -> None:
    (project / "node_modules").unlink()
    with pytest.raises(web_scripts.BundleError, match="esbuild is not installed"):
        web_scripts.bundle(project / "dist")
