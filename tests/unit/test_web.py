"""The pages: their modules, and their assembly as static files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dev.metrics import cycles, reachable, web_import_graph, web_sources
from dev.settings import ROOT
from dev.web import PAGES, WEB, Config, build

CONFIG = Config(
    publishable_key="sb_publishable_x",
    supabase_url="https://ref.supabase.example",
    functions_url="https://functions.example/below",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    build(CONFIG, folder)
    return folder


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_page_has_its_files_and_its_policy(built: Path, page: str) -> None:
    text = (built / page).read_text()
    files = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(files) >= 4
    assert [name for name in files if not (built / name).is_file()] == []
    reached = "connect-src 'self' https://ref.supabase.example https://functions.example;"
    assert reached in text
    assert "{{" not in text


@pytest.mark.parametrize(
    ("url", "socket"),
    [("https://ref.supabase.example", "wss://ref.supabase.example"), ("", None)],
)
def test_policy_allows_the_socket_of_realtime(url: str, socket: str | None) -> None:
    config = CONFIG.model_copy(update={"realtime": True, "supabase_url": url})
    reached = re.findall(r"wss?://\S+?(?=[;\s])", config.policy())
    assert reached == ([socket] if socket else [])


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_page_loads_one_bundle_which_imports_only_the_configuration(built: Path, page: str) -> None:
    [name] = re.findall(r'<script src="([^"]+)" type="module">', (built / page).read_text())
    imported = re.findall(r'(?:from|import) ?"(\.[^"]+)"', (built / name).read_text())
    assert set(imported) == {"../config.js"}


def test_modules_do_not_import_each_other_in_a_cycle() -> None:
    graph = web_import_graph(web_sources(ROOT))
    assert len(graph) > 15
    assert cycles(graph) == []


@pytest.mark.parametrize(
    "name",
    [
        *("availability", "character-rows", "chat-file", "emphasis", "entries", "figures"),
        *("language", "legible", "limits", "paging", "sections", "state"),
        *("console-address", "console-changes", "console-findings", "console-formats"),
        *("console-limit", "console-model", "console-rows"),
    ],
)
def test_pure_module_reaches_neither_the_page_nor_the_services(name: str) -> None:
    graph = web_import_graph(web_sources(ROOT))
    reached = reachable(graph, f"web/js/{name}.js")
    assert reached.isdisjoint({"web/js/page.js", "web/js/backend.js"})


def test_one_object_holds_what_differs(built: Path) -> None:
    script = (built / "config.js").read_text()
    for value in ("sb_publishable_x", CONFIG.supabase_url, CONFIG.functions_url):
        assert script.count(f'"{value}"') == 1
    names = re.compile(r"^  \"?(\w+)\"?:", re.MULTILINE)
    assert names.findall(script) == names.findall((WEB / "config.js").read_text())


NEEDED = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_URL", "FUNCTIONS_URL")


def test_only_the_local_stack_offers_a_demo_account(built: Path) -> None:
    given = dict.fromkeys(NEEDED, "https://a.example")
    given |= {"DEMO_EMAIL": "canary@example.com", "DEMO_PASSWORD": "canary"}
    assert "canary" not in Config.from_environment(given).script()
    assert '"demoEmail": ""' in (built / "config.js").read_text()


@pytest.mark.parametrize("missing", [NEEDED, NEEDED[:1], NEEDED[1:]])
@pytest.mark.parametrize("value", [None, "", " "])
def test_all_that_is_missing_is_named(missing: tuple[str, ...], value: str | None) -> None:
    given = dict.fromkeys(NEEDED, "https://a.example")
    for name in missing:
        del given[name]
        if value is not None:
            given[name] = value
    with pytest.raises(ValueError, match="the environment") as raised:
        Config.from_environment(given)
    assert str(raised.value).partition(": ")[2] == ", ".join(missing)
