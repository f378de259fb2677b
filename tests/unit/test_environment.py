"""`make settings`: which values are shown, and which are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.operate import environment, project
from dev.operate.environment import FUNCTIONS, list_settings, main, meanings, problems, unknown
from dev.settings import Settings
from tests.support.settings import NEEDED

ENVIRONMENT = NEEDED | {
    "SUPABASE_SECRET_KEY": "sb_secret_canary",
    "OpenRouter_Roleplay_API_KEY": "sk-canary",
    "TURN_BUDGET_SECONDS": "60",
}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes this machine's variables."""
    for model in FUNCTIONS.values():
        for field in model.model_fields:
            monkeypatch.delenv(field.upper(), raising=False)


def test_every_setting_is_there_with_its_meaning() -> None:
    shown = list(list_settings(ENVIRONMENT, "environment"))
    fields = {field.upper() for model in FUNCTIONS.values() for field in model.model_fields}
    assert {one.name for one in shown} == fields | {"OpenRouter_Roleplay_API_KEY"}
    assert len(shown) == len(fields) + 1
    assert all(one.meaning for one in shown)
    assert set(meanings()) == fields


def test_source_and_value_of_each_setting_are_listed() -> None:
    shown = {one.name: one for one in list_settings(ENVIRONMENT, "environment")}
    budget, timeout = shown["TURN_BUDGET_SECONDS"], shown["IDLE_TIMEOUT_SECONDS"]
    assert (budget.value, budget.source, budget.function) == ("60", "environment", "roleplay_chat")
    assert (timeout.value, timeout.source) == ("15", "default")
    assert shown["SUPABASE_URL"].function == "both"


def test_secrets_are_not_shown() -> None:
    canaries = {
        name: f"canary-canary-{name}"
        for name in ("SUPABASE_JWT_SECRET", "CHAT_WORKER_API_KEY", "HEALTH_CHECK_SECRET")
    }
    shown = list(list_settings(ENVIRONMENT | canaries, "environment"))
    assert "canary" not in str(shown)
    assert "(9 characters, hidden)" in [one.value for one in shown]


@pytest.mark.parametrize(
    ("origins", "openrouter", "other"),
    [
        ({}, "https://openrouter.ai", "no public address"),
        ({"KEY_ORIGINS": "Other_API_KEY=https://a.example"}, "no public", "sent to https://a."),
        ({"KEY_ORIGINS": "canary"}, "no public address", "no public address"),
    ],
    ids=["default", "set", "wrong"],
)
def test_keys_are_shown_with_where_they_are_sent(
    origins: dict[str, str], openrouter: str, other: str
) -> None:
    environment = ENVIRONMENT | {"Other_API_KEY": "x"} | origins
    shown = {one.name: one.meaning for one in list_settings(environment, "environment")}
    assert openrouter in shown["OpenRouter_Roleplay_API_KEY"]
    assert other in shown["Other_API_KEY"]
    if origins == {"KEY_ORIGINS": "canary"}:
        found = problems(environment)
        assert len(found) == 2  # it is wrong for both
        assert "canary" not in str(found)


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "HEALTH_CHECK_SECRET"])
def test_missing_setting_is_named(name: str) -> None:
    found = problems({key: value for key, value in ENVIRONMENT.items() if key != name})
    assert found
    assert all(name in line for line in found)


def test_wrong_setting_is_named_without_its_value() -> None:
    found = problems(ENVIRONMENT | {"HEALTH_CHECK_SECRET": "canary", "LOG_LEVEL": "loud"})
    assert len(found) == 3  # the level is wrong for both
    assert "canary" not in str(found)


def test_what_the_secret_manager_has_is_not_missing() -> None:
    names = "SUPABASE_SECRET_KEY, HEALTH_CHECK_SECRET,Other_API_KEY"
    given = {"SUPABASE_URL": "https://abc.supabase.co", "DEPLOY_SECRETS": names}
    shown = {one.name: one.source for one in list_settings(given, "environment")}
    assert problems(given) == []
    assert {shown[name.strip()] for name in names.split(",")} == {"secret manager"}


def test_misspelt_name_in_env_file() -> None:
    (line,) = unknown(dict.fromkeys([*ENVIRONMENT, "TURN_BUDGET_SECOND", "DEPLOY_X"], ""))
    assert line == ".env: TURN_BUDGET_SECOND: unknown setting; did you mean TURN_BUDGET_SECONDS?"
    assert unknown({"ZZZ": ""}) == [".env: ZZZ: unknown setting"]


def test_command_prints_settings_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("SUPABASE_URL=https://abc.supabase.co\nSUPABASE_SECRET_KEY=canary\n")
    for module in (environment, project):
        monkeypatch.setattr(module, "ENV_FILE", env_file)
    monkeypatch.setenv("COLUMNS", "250")

    assert main(Settings(local_dir=tmp_path)) == 1
    out = capsys.readouterr().out
    assert "health_check: HEALTH_CHECK_SECRET" in out
    assert "canary" not in out

    env_file.write_text(env_file.read_text() + "HEALTH_CHECK_SECRET=canary-canary-canary\n")
    assert main(Settings(local_dir=tmp_path)) == 0


def test_what_deploying_sets_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "SUPABASE_URL": "https://abc.supabase.co",
        "SUPABASE_SECRET_KEY": "canary",
        "GOOGLE_CLOUD_PROJECT": "tales-123456",
    }
    monkeypatch.setattr(environment, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setattr(environment, "find_environment", lambda _: (given, "environment"))
    # It may be set for traces alone, with the functions elsewhere.
    assert main(Settings(local_dir=tmp_path)) == 1
    given["DEPLOY_REGION"] = "europe-west3"
    capsys.readouterr()
    assert main(Settings(local_dir=tmp_path)) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "_OIDC_EMAIL" in one]
    assert "health-check-scheduler@tales-123456.iam.gserviceaccount.com" in line
