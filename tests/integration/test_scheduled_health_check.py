"""The database as the health check's scheduler: off by default, on with the extensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.support import patient
from tests.support.answers import worker_healthy
from tests.support.data_api import is_refused
from tests.support.gateway import SECRET_KEY
from tests.support.postgres import OWNER, Connection, Postgres
from tests.support.stack import HEALTH_CHECK_SECRET, Stack

URL = "https://functions.example/health_check"
# The parts of pg_cron, pg_net and Vault that are used.
EXTENSIONS = {
    "cron": """
        create schema cron;
        create table cron.job (
          jobid bigint generated always as identity, jobname text unique, schedule text,
          command text, username text default current_user, active boolean default true);
        create table cron.job_run_details (
          jobid bigint, runid bigint generated always as identity, database text, username text,
          command text, start_time timestamptz);
        alter table cron.job_run_details enable row level security;
        create policy cron_job_run_details_policy on cron.job_run_details
          using (username = current_user);
        create function cron.schedule(job_name text, schedule text, command text) returns bigint
        language sql as $$
          insert into cron.job (jobname, schedule, command) values ($1, $2, $3)
          on conflict (jobname) do update
            set schedule = excluded.schedule, command = excluded.command
          returning jobid
        $$;
        create function cron.unschedule(job_name text) returns boolean language plpgsql as $$
        begin
          delete from cron.job where jobname = job_name;
          if not found then raise exception 'could not find valid entry for job'; end if;
          return true;
        end $$""",
    "net": """
        create schema net;
        create table net.requests (
          id bigint generated always as identity, url text, body jsonb, headers jsonb, ms integer);
        create function net.http_post(
          url text, body jsonb default '{}', params jsonb default '{}',
          headers jsonb default '{"Content-Type": "application/json"}',
          timeout_milliseconds integer default 5000) returns bigint
        language sql as $$
          insert into net.requests (url, body, headers, ms) values ($1, $2, $4, $5) returning id
        $$""",
    "vault": """
        create schema vault;
        create table vault.decrypted_secrets (name text unique, decrypted_secret text)""",
}


@pytest.fixture
def extensions(stack: Stack, postgres: Postgres) -> Iterator[Connection]:
    """A database with all three extensions and an empty Vault."""
    with postgres.connect("app", OWNER) as owner:
        for schema, script in EXTENSIONS.items():
            owner.execute(script.encode())
            owner.execute(f"grant usage on schema {schema} to postgres".encode())
            owner.execute(f"grant all on all tables in schema {schema} to postgres".encode())
        yield owner
        for schema in EXTENSIONS:
            owner.execute(f"drop schema {schema} cascade".encode())


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    with stack.data_api(key=SECRET_KEY) as api:
        yield api


def remember(extensions: Connection, secret: str = HEALTH_CHECK_SECRET) -> None:
    row = ["health_check_secret", secret]
    extensions.execute("insert into vault.decrypted_secrets values (%s, %s)", row)


def jobs(stack: Stack) -> list[dict[str, Any]]:
    return stack.all("select jobname, schedule, command, username from cron.job order by jobname")


def ran(extensions: Connection, job: dict[str, Any], days_ago: int, **columns: Any) -> None:
    """Adds a run of a job, as pg_cron does."""
    run = {"database": "app", "username": job["username"], "command": job["command"]} | columns
    extensions.execute(
        "insert into cron.job_run_details (jobid, database, username, command, start_time)"
        " values (1, %(database)s, %(username)s, %(command)s,"
        " now() - make_interval(days => %(ago)s))",
        run | {"ago": days_ago},
    )


def schedule(api: httpx.Client, url: str | None = URL) -> httpx.Response:
    return api.post("/rpc/schedule_health_check", json={"p_url": url})


def test_plain_database_says_what_it_lacks(stack: Stack, api: httpx.Client) -> None:
    answer = schedule(api)
    assert answer.is_error
    assert answer.json()["message"] == "the database lacks pg_cron, pg_net, supabase_vault"
    assert "Extensions" in answer.json()["hint"]
    assert api.post("/rpc/unschedule_health_check", json={}).json() is False


def test_nothing_is_scheduled_unasked(stack: Stack, extensions: Connection) -> None:
    assert jobs(stack) == []


def test_job_calls_the_function_with_the_secret(
    stack: Stack, extensions: Connection, api: httpx.Client
) -> None:
    remember(extensions)
    stack.configure(allowLocalWorkers=True)
    assert schedule(api, stack.function_url("health_check")).status_code == 204
    job, _ = jobs(stack)
    assert (job["schedule"], job["username"]) == ("* * * * *", "postgres")
    assert HEALTH_CHECK_SECRET not in str(job)

    stack.db.execute(job["command"].encode())  # like pg_cron
    request = stack.one("select url, headers, ms from net.requests")

    stack.register_worker()
    stack.worker.enqueue(worker_healthy(), to="/health")
    answer = patient.post(request["url"], headers=request["headers"])  # like pg_net
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert request["ms"] < 60_000


def test_called_again_it_takes_the_new_address(
    stack: Stack, extensions: Connection, api: httpx.Client
) -> None:
    remember(extensions)
    assert schedule(api).is_success
    assert schedule(api, "https://elsewhere.example/health_check").is_success
    job, _ = jobs(stack)
    stack.db.execute(job["command"].encode())
    assert stack.one("select url from net.requests")["url"].startswith("https://elsewhere.example")


def test_runs_of_our_jobs_are_kept_for_a_week(
    stack: Stack, extensions: Connection, api: httpx.Client
) -> None:
    """pg_cron deletes none. Nobody else's are touched."""
    remember(extensions)
    schedule(api)
    call, deletion = jobs(stack)
    assert (deletion["schedule"], deletion["username"]) == ("37 3 * * *", "postgres")
    for days_ago in (8, 6):
        ran(extensions, call, days_ago)
        ran(extensions, deletion, days_ago)
    others: list[dict[str, Any]] = [
        {"command": "select 1"},
        {"database": "another"},
        {"username": "somebody"},
    ]
    for other in others:
        ran(extensions, call, 8, **other)

    stack.db.execute(deletion["command"].encode())  # like pg_cron

    rows = extensions.execute(
        "select database, username, command, start_time < now() - interval '7 days' as is_old"
        " from cron.job_run_details order by runid"
    ).fetchall()
    ours = {"database": "app", "username": "postgres", "is_old": False}
    kept = [ours | {"command": job["command"]} for job in (call, deletion)]
    old = {**ours, "command": call["command"], "is_old": True}
    assert rows == kept + [old | other for other in others]


def test_it_can_be_switched_off(stack: Stack, extensions: Connection, api: httpx.Client) -> None:
    remember(extensions)
    schedule(api)
    assert api.post("/rpc/unschedule_health_check", json={}).json() is True
    assert jobs(stack) == []
    assert api.post("/rpc/unschedule_health_check", json={}).json() is False


def test_scheduling_without_the_secret_is_rejected(
    stack: Stack, extensions: Connection, api: httpx.Client
) -> None:
    answer = schedule(api)
    assert "Vault has no secret" in answer.json()["message"]
    assert "vault.create_secret" in answer.json()["hint"]
    assert jobs(stack) == []


def test_secret_that_went_missing_fails_the_run(
    stack: Stack, extensions: Connection, api: httpx.Client
) -> None:
    remember(extensions)
    schedule(api)
    extensions.execute("delete from vault.decrypted_secrets")
    job, _ = jobs(stack)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        stack.db.execute(job["command"].encode())
    assert stack.all("select from net.requests") == []


@pytest.mark.parametrize(
    "url", [None, "", "http://functions.example", "https://10.0.0.1/", "https://a:b@c.example/"]
)
def test_secret_is_sent_to_no_other_kind_of_address(
    stack: Stack, extensions: Connection, api: httpx.Client, url: str | None
) -> None:
    remember(extensions)
    stack.configure(allowLocalWorkers=False)
    answer = schedule(api, url)
    assert (answer.status_code, answer.json()["code"]) == (400, "22023")
    assert jobs(stack) == []


@pytest.mark.parametrize("missing", list(EXTENSIONS))
def test_one_extension_that_is_missing_is_enough(
    stack: Stack, extensions: Connection, api: httpx.Client, missing: str
) -> None:
    extensions.execute(f"alter schema {missing} rename to hidden".encode())
    try:
        assert schedule(api).json()["message"].startswith("the database lacks ")
    finally:
        extensions.execute(f"alter schema hidden rename to {missing}".encode())


@pytest.mark.parametrize("name", ["schedule_health_check", "unschedule_health_check"])
def test_only_the_service_key_may_schedule(stack: Stack, name: str) -> None:
    body = {"p_url": URL} if name == "schedule_health_check" else {}
    with stack.data_api(stack.user()) as api:
        assert is_refused(api.post(f"/rpc/{name}", json=body))
