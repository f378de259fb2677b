"""Settings from the environment, and the errors for wrong values."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from edge.settings import EdgeSettings, load
from health_check.settings import Settings as HealthCheckSettings
from roleplay_chat.settings import Settings as RoleplayChatSettings
from tests.support.settings import NEEDED

FUNCTIONS: list[type[EdgeSettings]] = [RoleplayChatSettings, HealthCheckSettings]
each_function = pytest.mark.parametrize(
    "settings", FUNCTIONS, ids=["roleplay_chat", "health_check"]
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with only the required variables."""
    for settings in FUNCTIONS:
        for field in settings.model_fields:
            monkeypatch.delenv(field.upper(), raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


@each_function
def test_needed_variables_are_enough(settings: type[EdgeSettings]) -> None:
    loaded = load(settings)
    assert loaded.supabase_url == "https://abc.supabase.co"
    assert loaded.supabase_secret_key.get_secret_value() == "sb_secret_canary"
    assert (loaded.allow_local_upstreams, loaded.log_level) == (False, "info")


@each_function
def test_each_missing_variable_is_named(
    settings: type[EdgeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        load(settings)
    names = {name for name in NEEDED if name.lower() in settings.model_fields}
    said = str(ended.value.code).splitlines()
    assert {line.split(":")[0].strip() for line in said[1:]} == names
    assert "Set these environment variables" in said[0]


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (RoleplayChatSettings, "LOG_LEVEL", "loud"),
        (RoleplayChatSettings, "ALLOW_LOCAL_UPSTREAMS", "perhaps"),
        (RoleplayChatSettings, "MAX_MESSAGE_CHARS", "0"),
        (RoleplayChatSettings, "MAX_MESSAGE_CHARS", "many"),
        (RoleplayChatSettings, "MAX_MESSAGE_CHARS", "-1"),
        (RoleplayChatSettings, "TURN_BUDGET_SECONDS", "0"),
        (RoleplayChatSettings, "TURN_BUDGET_SECONDS", "nan"),
        (RoleplayChatSettings, "HEARTBEAT_SECONDS", "0"),
        (HealthCheckSettings, "PROBE_TIMEOUT_SECONDS", "0"),
        (HealthCheckSettings, "RUN_BUDGET_SECONDS", "0"),
        (HealthCheckSettings, "DEEP_PROBE_EVERY", "-1"),
        (HealthCheckSettings, "WAKE_MINUTES", "0.5"),
        (HealthCheckSettings, "WORKER_HOSTS", "*"),
        (HealthCheckSettings, "WORKER_HOSTS", "https://gpu.example.com"),
        (HealthCheckSettings, "WORKER_HOSTS", "gpu.example.com:8443"),
        (HealthCheckSettings, "WORKER_HOSTS", "gpu.example.com, gpu.*.example.com"),
        (HealthCheckSettings, "CATALOG_HOURS", "nan"),
        (HealthCheckSettings, "RETENTION_MINUTES", "-1"),
        (HealthCheckSettings, "HEALTH_CHECK_SECRET", "too-short"),
        (HealthCheckSettings, "HEALTH_CHECK_SECRET", ""),
        (HealthCheckSettings, "HEALTH_CHECK_OIDC_AUDIENCE", "https://functions.example"),
        (HealthCheckSettings, "HEALTH_CHECK_OIDC_EMAIL", "scheduler@example.com"),
    ],
)
def test_wrong_value_is_named(
    settings: type[EdgeSettings], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=name):
        load(settings)


@pytest.mark.parametrize("hosts", ["", "a.example., *.b.example", "8.8.8.8, [2a00::1],"])
def test_hosts_of_workers_are_names_and_addresses(
    hosts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HOSTS", hosts)
    assert load(HealthCheckSettings).worker_hosts == hosts


@each_function
@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SECRET_KEY"])
def test_empty_is_missing(
    settings: type[EdgeSettings], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(SystemExit, match=name):
        load(settings)


def test_service_account_is_enough_for_the_health_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_CHECK_SECRET", "")
    monkeypatch.setenv("HEALTH_CHECK_OIDC_AUDIENCE", "https://functions.example/health_check")
    monkeypatch.setenv("HEALTH_CHECK_OIDC_EMAIL", "scheduler@example.com")
    assert load(HealthCheckSettings).health_check_secret is None


@each_function
def test_secrets_are_never_shown(
    settings: type[EdgeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "canary" not in repr(load(settings))
    monkeypatch.setenv("HEALTH_CHECK_SECRET", "canary")
    monkeypatch.setenv("LOG_LEVEL", "canary")
    with pytest.raises(SystemExit) as ended:
        load(settings)
    assert "canary" not in str(ended.value.code)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load(RoleplayChatSettings).log_level = "debug"  # type: ignore[misc]


def test_address_of_the_project_may_end_with_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://abc.supabase.co/")
    assert load(RoleplayChatSettings).issuer == "https://abc.supabase.co/auth/v1"


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        ("", "https://abc.supabase.co/auth/v1"),
        ("https://auth.example/auth/v1", "https://auth.example/auth/v1"),
    ],
)
def test_issuer_may_have_another_address(
    given: str, issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_JWT_ISSUER", given)
    assert load(RoleplayChatSettings).issuer == issuer


def test_optional_secrets_left_empty_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_JWT_SECRET", "")
    monkeypatch.setenv("CHAT_WORKER_API_KEY", "")
    settings = load(RoleplayChatSettings)
    assert not settings.supabase_jwt_secret
    assert not settings.chat_worker_api_key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SITE_NAME", "Café Canary"),
        ("SITE_NAME", "Canary\nX-Other: 1"),
        ("SITE_URL", "https://canary.example/ü"),
        ("CHAT_WORKER_API_KEY", "canary\u2013key"),
        ("CHAT_WORKER_API_KEY", "canary\r\nkey"),
        ("SUPABASE_SECRET_KEY", "sb_secret_canary\u00a0key"),
    ],
)
def test_what_no_header_can_carry_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name}: .*use ASCII characters") as ended:
        load(RoleplayChatSettings)
    assert "canary" not in str(ended.value.code).lower()


@pytest.mark.parametrize("given", [{}, {"SITE_URL": "", "SITE_NAME": " "}])
def test_site_has_no_default(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load(RoleplayChatSettings)
    assert not settings.site_url
    assert not settings.site_name


def test_white_space_around_a_value_is_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "SUPABASE_URL": "https://abc.supabase.co/\n",
        "SUPABASE_SECRET_KEY": " sb_secret_canary\n",
        "SUPABASE_JWT_SECRET": "jwt-canary\r\n",
        "CHAT_WORKER_API_KEY": "worker-canary\n",
        "SITE_NAME": " Canary Cafe ",
        "HEALTH_CHECK_SECRET": "canary-canary-canary\n",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings, health_check = load(RoleplayChatSettings), load(HealthCheckSettings)
    assert settings.supabase_url == "https://abc.supabase.co"
    assert settings.site_name == "Canary Cafe"
    secrets = [
        settings.supabase_secret_key,
        settings.supabase_jwt_secret,
        settings.chat_worker_api_key,
        health_check.health_check_secret,
    ]
    assert [secret.get_secret_value() for secret in secrets if secret] == [
        "sb_secret_canary",
        "jwt-canary",
        "worker-canary",
        "canary-canary-canary",
    ]


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SECRET_KEY"])
def test_white_space_alone_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, " \n")
    with pytest.raises(SystemExit, match=name):
        load(RoleplayChatSettings)


@pytest.mark.parametrize(
    ("given", "origin", "allowed"),
    [
        ("*", "https://any.example", True),
        ("https://a.example/", "https://a.example", True),
        ("https://a.example/", "https://b.example", False),
        ("https://A.example:443", "https://a.example", True),
        ("http://a.example:80/", "http://a.example", True),
        ("https://a.example:8443", "https://a.example:8443", True),
        ("https://a.example:8443", "https://a.example", False),
        (" https://a.example , https://b.example/ ,", "https://b.example", True),
        ("https://a.example,*", "https://b.example", True),
        ("https://*.a.example", "https://one.a.example", True),
        ("https://*.a.example/", "https://two.one.a.example", True),
        ("https://*.a.example", "https://a.example", False),
        ("https://*.a.example", "https://evil-a.example", False),
        ("https://*.a.example", "https://one.a.example.evil.example", False),
        ("https://*.a.example", "https://one.aXexample", False),
        ("https://*.a.example", "http://one.a.example", False),
        ("https://*.a.example", "https://one.a.example:8443", False),
        ("https://*.a.example,https://b.example", "https://b.example", True),
        ("http://localhost:*", "http://localhost:5173", True),
        ("http://localhost:*", "http://localhost", True),
        ("http://localhost:*", "http://localhost:5173.evil.example", False),
        ("http://127.0.0.1:*", "http://127.0.0.1:3000", True),
        ("http://127.0.0.1:*", "http://127a0b0c1:3000", False),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("", "https://a.example", False),
    ],
)
def test_allowed_origins_are_what_is_meant(
    given: str, origin: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", given)
    settings = load(RoleplayChatSettings)
    pattern = settings.cors_origin_pattern
    is_listed = {"*", origin} & set(settings.cors_origins)
    assert bool(is_listed or (pattern and re.fullmatch(pattern, origin))) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        "canary.example",
        "https://canary.example/path",
        "https://canary.example?x",
        "https://*canary.example",
        "https://canary.*",
        "https://*",
        "https://user@canary.example",
        "https://canary.example:port",
        "https://cänary.example",
        "null",
        "/canary",
        "https://canary.example https://other.example",
    ],
)
def test_what_is_no_origin_is_refused_at_start(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", f"https://a.example,{entry}")
    with pytest.raises(SystemExit, match=r"CORS_ALLOW_ORIGINS: .*entry 2 is not an") as ended:
        load(RoleplayChatSettings)
    assert "canary" not in str(ended.value.code)
