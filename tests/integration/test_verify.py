"""`make verify` finds each problem of an installation in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.operate.report import plain
from dev.operate.verify.command import CANNOT_CHECK, OK, PROBLEMS, check_facts
from health_check.probe import ProbeResult
from tests.support.answers import error, text, worker_error, worker_healthy
from tests.support.data_api import is_refused
from tests.support.gateway import PUBLISHABLE_KEY, SECRET_KEY
from tests.support.postgres import MIGRATIONS, ROOT
from tests.support.provider_checks import ON, Checks, catalog, key, listed
from tests.support.stack import Stack
from tests.support.talk import VENICE
from tests.support.upstream import refusing, running_upstream
from tests.support.waiting import PATIENCE

STEPS = pytest.mark.own_tables(
    "there the steps of the adoption count: tests/existing/test_verify.py"
)
DEFAULTS = pytest.mark.own_tables("there the product's own models have the columns of old")
APPROVAL = pytest.mark.own_tables("there is_approved is a column of private.provider_keys")
ASKING = ON | {"PROVIDER_TIMEOUT_SECONDS": "30"}
"""The settings of a command that asks OpenRouter, on a busy machine."""
VERSIONS = sorted(path.name.partition("_")[0] for path in MIGRATIONS.glob("*.sql"))


class Verify:
    """Runs the command on the test's project."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.env = stack.env(
            LOCAL_DIR=str(folder),
            FUNCTIONS_URL=stack.function_url("roleplay_chat"),
            PROBE_TIMEOUT_SECONDS=str(min(PATIENCE, 60)),  # its maximum
            NO_PROXY="127.0.0.1",
        )

    def __call__(self, *options: str) -> tuple[int, str]:
        """Exit code and output."""
        command = [sys.executable, "-m", "dev", "verify", *options]
        surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=surroundings | self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout

    def problems(self, *options: str) -> dict[str, str]:
        """The problems, by name of the check."""
        lines = self.wrong(*options)
        found = {name: rest.strip() for name, _, rest in (line.partition("  ") for line in lines)}
        assert len(found) == len(lines)
        return found

    def wrong(self, *options: str) -> list[str]:
        """The lines of the problems: name of the check, finding, remedy."""
        code, output = self(*options)
        assert code == PROBLEMS, output
        lines = [line.strip() for line in output.splitlines()]
        wrong = [line[1:].strip() for line in lines if line.startswith("✗")]
        assert len(wrong) >= 1
        assert output.splitlines()[-1] == f"{len(wrong)} problem{'s'[: len(wrong) != 1]} found."
        return wrong


@pytest.fixture
def verify(stack: Stack, tmp_path: Path) -> Iterator[Verify]:
    """An installation without problems, with all migrations recorded."""
    # A product that runs already has migrations of its own.
    products = stack.one("select to_regnamespace('supabase_migrations') is not null as found")
    if products["found"]:
        stack.db.execute("alter schema supabase_migrations rename to products_migrations")
    stack.db.execute("create schema supabase_migrations")
    stack.db.execute("create table supabase_migrations.schema_migrations (version text)")
    stack.db.execute(
        "insert into supabase_migrations.schema_migrations select unnest(%s::text[])", [VERSIONS]
    )
    stack.register_worker()
    stack.worker.always(worker_healthy(), to="/health")
    assert stack.health_check().status_code == 200
    yield Verify(stack, tmp_path)
    stack.db.execute("drop schema supabase_migrations cascade")
    if products["found"]:
        stack.db.execute("alter schema products_migrations rename to supabase_migrations")


def test_installation_without_problems_passes(verify: Verify) -> None:
    code, output = verify()
    assert (code, "✗" in output, "?" in output) == (OK, False, False)
    assert "OpenRouter_Roleplay_API_KEY is set" in output
    assert "No problems found." in output


@pytest.mark.parametrize(
    ("site", "sentence"),
    [
        ({}, "SITE_URL and SITE_NAME are not set"),
        ({"SITE_URL": "https://play.example", "SITE_NAME": " "}, "SITE_NAME is not set"),
        ({"SITE_NAME": "Play"}, "SITE_URL is not set"),
    ],
)
def test_missing_site_is_a_reminder_and_no_problem(
    verify: Verify, site: dict[str, str], sentence: str
) -> None:
    verify.env |= site
    code, output = verify()
    (line,) = [line for line in output.splitlines() if line.startswith(" !  site ")]
    assert code == OK
    assert sentence in line
    assert line.endswith("set both, if they should be (docs/configuration.md)")


def test_site_is_shown(verify: Verify) -> None:
    verify.env |= {"SITE_URL": "https://play.example", "SITE_NAME": "Play"}
    assert "Play, https://play.example" in verify()[1]


@STEPS
def test_applied_migrations_are_counted(verify: Verify) -> None:
    assert f"all {len(VERSIONS)} are applied" in verify()[1]


@DEFAULTS
def test_active_models_are_listed_as_the_query_has_them(verify: Verify) -> None:
    rows = verify.stack.all("""
        select display_name, model_key, is_default, priority from api_models
        where modality = 'roleplay' and is_active = true
          and provider_id = (select id from api_providers where name = 'openrouter')
        order by priority asc""")
    _, output = verify()
    lines = [line for line in output.splitlines() if line.startswith(" roleplay ")]
    assert len(lines) == len(rows) > 0
    for line, row in zip(lines, rows, strict=True):
        assert f" {row['priority']} " in line
        assert row["display_name"] + (" (default)" if row["is_default"] else "") in line
        assert row["model_key"] in line


def minutes_pass(stack: Stack, minutes: int) -> None:
    """Shifts all records into the past, as if nothing had run since."""
    stack.db.execute(
        "update health_check_steps set begun_at = begun_at - make_interval(mins => %(m)s), "
        "done_at = done_at - make_interval(mins => %(m)s)",
        {"m": minutes},
    )
    stack.db.execute(
        """
        update private.system_settings set config = jsonb_set(config, '{workerHealthCache}', (
          select coalesce(jsonb_object_agg(worker, record
            || jsonb_build_object('lastCheck', earlier, 'lastChecked', earlier)), '{}')
          from jsonb_each(config -> 'workerHealthCache') as known (worker, record),
            to_jsonb((record ->> 'lastCheck')::timestamptz - make_interval(mins => %(m)s)) earlier
        ))""",
        {"m": minutes},
    )


def test_worker_killed_model_renamed_key_exhausted_and_scheduler_stopped_at_once(
    verify: Verify,
) -> None:
    stack = verify.stack
    verify.env |= ASKING
    with stack.serving("health_check", **ON) as url:
        checks = Checks(stack, url)
        with running_upstream() as worker:
            worker.always(worker_healthy(), to="/health")
            stack.register_worker(worker.url)
            assert checks.run()["worker:chatWorker"]["found"]["healthy"] is True
            assert verify()[0] == OK
        # The worker dies. Hours later the catalog changes, and the scheduler stops.
        renamed = listed("venice/uncensored:free", canonical_slug=VENICE)
        stack.upstream.always(catalog(renamed, without=(VENICE,)), to="/api/v1/models")
        free = {"used": 50, "limit": 50, "remaining": 0}
        used_up = key(limit=10, limit_remaining=0, free_model_daily_requests=free)
        stack.upstream.always(used_up, to="/api/v1/key")
        minutes_pass(stack, 360)
        checks.run()

        names = [line.partition("  ")[0] for line in verify.wrong()]
        assert names == ["catalog", "OpenRouter's key", "OpenRouter's key", "worker chatWorker"]

    minutes_pass(stack, 9)
    model, limit, today, worker_gone, scheduler = verify.wrong("--stored")
    assert f"{VENICE} was renamed: venice/uncensored:free" in model
    assert model.endswith("set model_key of its row to the new name")
    assert "The key has reached its limit, 9 min ago" in limit
    assert limit.endswith("raise it, or wait for the reset")
    assert "Today's free requests are used up" in today
    assert today.endswith("wait until midnight UTC, or buy credits")
    assert "it is unhealthy: cannot be reached" in worker_gone
    assert f"check the machine at {worker.url}" in worker_gone
    assert "health_check has not run for 9 min" in scheduler
    assert "gcloud scheduler jobs describe health-check" in scheduler


@pytest.mark.parametrize("runs", [1, 2])
def test_worker_that_stopped_a_moment_ago(verify: Verify, runs: int) -> None:
    verify.stack.worker.always(error(502), to="/health")
    for _ in range(runs):
        verify.stack.health_check()
    problem = verify.problems("--stored")["worker chatWorker"]
    state = "its last probe failed" if runs == 1 else "it is unhealthy"
    assert f"{state}: /health answered 502" in problem


def test_worker_that_has_no_time_is_well(verify: Verify) -> None:
    verify.stack.worker.always(error(429), to="/health")
    verify.stack.health_check()
    assert verify()[0] == OK


@pytest.fixture
def checks(verify: Verify) -> Iterator[Checks]:
    """The steps that ask OpenRouter are on."""
    verify.env |= ASKING
    verify.stack.worker.always(worker_healthy(), to="/health")
    with verify.stack.serving("health_check", **ON) as url:
        yield Checks(verify.stack, url)


class TestKeyOfOpenRouter:
    def test_rejected_one_is_a_problem_until_it_is_corrected(
        self, verify: Verify, checks: Checks
    ) -> None:
        verify.stack.upstream.always(error(401), to="/api/v1/key")
        checks.run()
        for option, asked in (("--stored", "0 min ago"), ("", "asked now")):
            problems = verify.problems(*filter(None, [option]))
            assert list(problems) == ["OpenRouter's key"]
            found = problems["OpenRouter's key"]
            assert f"the key is rejected: /key answered 401, {asked}" in found
            assert "Changing keys" in found
        verify.stack.upstream.always(key(), to="/api/v1/key")
        code, output = verify()
        assert (code, "no limit is reached, asked now" in output) == (OK, True)
        assert list(verify.problems("--stored")) == ["OpenRouter's key"]
        checks.again(5)
        assert "no limit is reached, 0 min ago" in verify("--stored")[1]

    def test_that_was_well_a_moment_ago_and_is_rejected_now(
        self, verify: Verify, checks: Checks
    ) -> None:
        checks.run()
        assert verify()[0] == OK
        verify.stack.upstream.always(error(401), to="/api/v1/key")
        assert list(verify.problems()) == ["OpenRouter's key"]

    def test_without_credits_now_is_a_problem(self, verify: Verify, checks: Checks) -> None:
        checks.run()
        verify.stack.upstream.always(key(limit=5, limit_remaining=0), to="/api/v1/key")
        found = verify.problems()["OpenRouter's key"]
        assert "The key has reached its limit, asked now" in found

    @pytest.mark.parametrize("status", [500, 404])
    def test_what_was_found_counts_where_nothing_is_said_now(
        self, verify: Verify, checks: Checks, status: int
    ) -> None:
        checks.run()
        verify.stack.upstream.always(error(status), to="/api/v1/key")
        code, output = verify()
        assert (code, "no limit is reached, 0 min ago" in output) == (OK, True)

    def test_in_the_secret_manager_is_not_asked_about(self, verify: Verify, checks: Checks) -> None:
        checks.run()
        del verify.env["OpenRouter_Roleplay_API_KEY"]
        verify.env["DEPLOY_SECRETS"] = "OpenRouter_Roleplay_API_KEY"
        verify.stack.upstream.always(error(401), to="/api/v1/key")
        code, output = verify()
        assert (code, "no limit is reached, 0 min ago" in output) == (OK, True)

    def test_steps_that_are_off_by_now_say_nothing(self, verify: Verify, checks: Checks) -> None:
        verify.stack.upstream.always(error(401), to="/api/v1/key")
        verify.stack.upstream.always(error(500), to="/api/v1/models")
        checks.run()
        assert set(verify.problems()) == {"OpenRouter's key", "step catalog"}
        verify.env |= {"KEY_CHECK_MINUTES": "0", "CATALOG_HOURS": "0.0"}
        assert verify()[0] == OK


def test_failing_step_is_a_problem(verify: Verify) -> None:
    verify.stack.db.execute("delete from health_check_steps")
    verify.stack.worker.always(worker_healthy(), to="/health")
    verify.stack.gateway.fail("/rpc/apply_retention")
    verify.stack.health_check()
    problems = verify.problems()
    assert list(problems) == ["step retention"]
    assert "database_unavailable" in problems["step retention"]


def test_killed_worker_is_a_problem(verify: Verify) -> None:
    with refusing() as url:
        verify.stack.register_worker(url)
        for _ in range(3):  # a single failure is tolerated
            verify.stack.health_check()
    problems = verify.problems("--stored")
    assert list(problems) == ["worker chatWorker"]
    assert "it is unhealthy: cannot be reached" in problems["worker chatWorker"]


def test_worker_killed_a_moment_ago_is_found(verify: Verify) -> None:
    """health_check's last probe, seconds ago, still found it well."""
    with running_upstream() as worker:
        worker.always(worker_healthy(), to="/health")
        verify.stack.register_worker(worker.url)
        verify.stack.health_check()
        code, output = verify()
        assert (code, "now: answered in " in output) == (OK, True)
    assert verify("--stored")[0] == OK
    found = verify.problems()["worker chatWorker"]
    assert found.startswith("it does not answer as it should: cannot be reached")
    assert "health_check found it healthy, checked " in found
    assert f"check the machine at {worker.url}" in found


@pytest.mark.parametrize(("status", "is_wrong"), [(502, True), (429, False)])
def test_worker_is_asked_now(verify: Verify, status: int, is_wrong: bool) -> None:
    verify.stack.worker.always(error(status), to="/health")
    code, output = verify()
    assert code == (PROBLEMS if is_wrong else OK)
    assert f"/health answered {status}" in output


def test_worker_that_could_not_write_is_asked_to_write_now(verify: Verify) -> None:
    record: dict[str, Any] = {"probeError": "cannot write", "deepError": "cannot write"}
    verify.stack.worker_health(healthy=True, failures=1, **record)
    verify.stack.worker.enqueue(worker_error(500), to="/chat")
    found = verify.problems()["worker chatWorker"]
    assert "it does not answer as it should: /chat answered 500" in found


def test_worker_whose_key_is_in_the_secret_manager_is_not_asked(verify: Verify) -> None:
    del verify.env["CHAT_WORKER_API_KEY"]
    verify.env["DEPLOY_SECRETS"] = "CHAT_WORKER_API_KEY"
    asked = len(verify.stack.worker.calls)
    code, output = verify()
    assert (code, len(verify.stack.worker.calls)) == (OK, asked)
    assert "not asked now, because its key is in Secret Manager" in output


def test_report_is_json_for_programs(verify: Verify) -> None:
    code, output = verify("--json")
    report = json.loads(output)
    assert (code, report["problems"]) == (OK, 0)
    assert {"name", "state", "found", "remedy"} == set(report["checks"][0])
    verify.env["SUPABASE_URL"] = "http://127.0.0.1:1"
    code, output = verify("--json")
    assert code == CANNOT_CHECK
    assert "does not answer" in json.loads(output)["error"]


def test_stack_that_is_not_running_is_named(verify: Verify, tmp_path: Path) -> None:
    env = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SECRET_KEY": "k", "FUNCTIONS_URL": "x"}
    (tmp_path / "stack.env").write_text("".join(f"{k}={v}\n" for k, v in env.items()))
    del verify.env["SUPABASE_URL"]
    code, output = verify()
    assert code == CANNOT_CHECK
    assert (
        output
        == "Cannot check: The local stack is not running. `make dev` or `make up` starts it.\n"
    )


def test_key_of_a_provider_that_is_missing(verify: Verify) -> None:
    del verify.env["OpenRouter_Roleplay_API_KEY"]
    problems = verify.problems()
    assert list(problems) == ["provider openrouter"]
    assert "OpenRouter_Roleplay_API_KEY is not set" in problems["provider openrouter"]


def test_key_that_is_in_the_secret_manager(verify: Verify) -> None:
    del verify.env["OpenRouter_Roleplay_API_KEY"]
    verify.env["DEPLOY_SECRETS"] = "SUPABASE_SECRET_KEY, OpenRouter_Roleplay_API_KEY"
    assert verify()[0] == OK


@DEFAULTS
def test_two_default_models_are_a_problem(verify: Verify) -> None:
    # The unique index allows one default per modality.
    verify.stack.db.execute("""
        update api_models set modality = 'chat', is_default = true
        where task = 'roleplay' and priority = 2""")
    problems = verify.problems()
    assert list(problems) == ["default for roleplay"]
    assert "there are 2: cognitivecomputations/" in problems["default for roleplay"]


@DEFAULTS
@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param("is_default = false", "no default is set", id="none"),
        pytest.param("is_active = not is_default", "is switched off", id="inactive"),
    ],
)
def test_missing_default_model_is_a_problem(verify: Verify, change: str, found: str) -> None:
    verify.stack.db.execute(
        f"update api_models set {change} where task = 'storytelling'".encode()  # noqa: S608
    )
    problems = verify.problems()
    assert list(problems) == ["default for storytelling"]
    assert found in problems["default for storytelling"]


@pytest.mark.parametrize(
    ("pricing", "is_wrong"),
    [
        ("{}", True),
        ('{"prompt_usd_per_1k": 1}', True),
        ('{"prompt_usd_per_1k": 1, "completion_usd_per_1k": "2"}', True),
        ('{"prompt_usd_per_1k": 1, "completion_usd_per_1k": 0}', False),
    ],
)
def test_paid_model_whose_price_nobody_knows(verify: Verify, pricing: str, is_wrong: bool) -> None:
    """Where its provider does not report a cost, or a call is cut off, no limit counts it."""
    paid = "meta-llama/llama-3.1-8b-instruct"
    verify.stack.db.execute(
        "update api_models set is_active = true, pricing = %s::jsonb where model_key = %s",
        (pricing, paid),
    )
    code, output = verify()
    assert code == (PROBLEMS if is_wrong else OK)
    assert (f"{paid} has no price" in output) is is_wrong


def test_scheduler_that_stopped_is_a_problem(verify: Verify) -> None:
    minutes_pass(verify.stack, 10)
    problems = verify.problems()
    assert list(problems) == ["worker chatWorker", "scheduler"]
    assert "has not run for 10 min" in problems["scheduler"]
    assert "make deploy-scheduler" in problems["scheduler"]


def test_scheduler_that_never_ran_is_a_problem(verify: Verify) -> None:
    verify.stack.db.execute("delete from health_check_steps")
    assert "has not run yet" in verify.problems()["scheduler"]


def test_scheduler_without_a_worker(verify: Verify) -> None:
    verify.stack.unregister_worker()
    verify.stack.health_check()
    code, output = verify()
    assert (code, "health_check ran " in output) == (OK, True)
    minutes_pass(verify.stack, 3)
    problems = verify.problems()
    assert list(problems) == ["scheduler"]
    assert "has not run for 3 min" in problems["scheduler"]


def test_overdue_turns_are_a_problem(verify: Verify) -> None:
    conversation = verify.stack.conversation(verify.stack.user())
    verify.stack.db.execute(
        """insert into turns (user_id, conversation_id, task, action, lease_expires_at)
           select user_id, id, 'roleplay', 'send', now() - interval '1 hour'
           from conversations where id = %s""",
        [conversation],
    )
    problems = verify.problems()
    assert list(problems) == ["housekeeping"]
    assert "did not close 1 turns and clear 0 cooldowns" in problems["housekeeping"]


@STEPS
def test_migration_that_is_not_applied(verify: Verify) -> None:
    verify.stack.db.execute(
        "delete from supabase_migrations.schema_migrations where version = %s", [VERSIONS[-1]]
    )
    problems = verify.problems()
    assert list(problems) == ["migrations"]
    assert f"not applied: {VERSIONS[-1]}" in problems["migrations"]
    assert "make deploy-db" in problems["migrations"]


@STEPS
def test_migrations_unknown_to_this_copy_are_a_problem(verify: Verify) -> None:
    verify.stack.db.execute("insert into supabase_migrations.schema_migrations values ('2999')")
    assert "2999" in verify.problems()["migrations"]


@STEPS
def test_database_without_a_record_of_migrations(verify: Verify) -> None:
    verify.stack.db.execute("drop table supabase_migrations.schema_migrations")
    code, output = verify()
    assert (code, "has no record" in output) == (OK, True)


def test_triggers_that_were_turned_off(verify: Verify) -> None:
    verify.stack.db.execute("alter table public.hidden_messages disable trigger user")
    verify.stack.db.execute("alter table public.hidden_messages enable trigger user")
    try:
        problems = verify.problems()
    finally:
        verify.stack.db.execute("select private.watch_messages()")
    assert list(problems) == ["changes of messages"]


def test_table_without_row_level_security(verify: Verify) -> None:
    verify.stack.db.execute("alter table public.memories disable row level security")
    try:
        problems = verify.problems()
    finally:
        verify.stack.db.execute("alter table public.memories enable row level security")
    assert list(problems) == ["row level security"]
    assert "public.memories" in problems["row level security"]


@pytest.mark.own_tables("its policies are its own, and compared: tests/existing/test_verify.py")
def test_policy_that_nobody_asked_for(verify: Verify) -> None:
    db = verify.stack.db
    db.execute('create policy "Let all; in" on public.messages for select using (true)')
    try:
        problem = verify.problems()["policies"]
    finally:
        db.execute('drop policy "Let all; in" on public.messages')
    assert "not from a migration: public.messages Let all; in" in problem
    assert 'drop policy "Let all; in" on public.messages' in problem


def test_missing_policy_is_a_problem(verify: Verify) -> None:
    db = verify.stack.db
    db.execute("alter policy turns_select on public.turns rename to turns_select_away")
    db.execute("alter policy memories_delete on public.memories rename to memories_delete_away")
    try:
        strange = verify.problems()["policies"]
    finally:
        db.execute("alter policy turns_select_away on public.turns rename to turns_select")
        db.execute("alter policy memories_delete_away on public.memories rename to memories_delete")
    assert "public.memories memories_delete_away, public.turns turns_select_away" in strange
    facts = {"policies": ["public.a a_select"]}
    migration = "create policy a_select on public.a\ncreate policy b_all on public.b for all"
    (check,) = (
        check
        for check in check_facts(FACTS | facts, {}, {"1": migration}, is_local=False)
        if check.name == "policies"
    )
    assert (check.state, check.found) == ("problem", "missing: public.b b_all")


def test_provider_without_models_is_a_problem(verify: Verify) -> None:
    verify.stack.insert(
        "api_providers",
        name="spare",
        display_name="Spare",
        base_url="https://spare.example/v1",
        auth_scheme="none",
    )
    problems = verify.problems()
    assert list(problems) == ["provider spare"]


@APPROVAL
def test_provider_that_waits_for_approval(verify: Verify) -> None:
    address = "https://mine.example/v1"
    row = {"name": "mine", "display_name": "Mine", "base_url": address, "auth_scheme": "none"}
    verify.stack.insert("api_providers", **row, is_approved=False)
    problems = verify.problems()
    assert list(problems) == ["provider mine"]
    assert f"added with the address {address} and gets no requests" in problems["provider mine"]
    assert "set is_approved of its row" in problems["provider mine"]


@APPROVAL
def test_default_of_a_provider_that_waits(verify: Verify) -> None:
    verify.stack.db.execute("update api_providers set is_approved = false")
    names = [line.partition("  ")[0] for line in verify.wrong()]
    assert names[0] == "provider openrouter"
    assert "default for roleplay" in names


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        (
            {},
            "set KEY_ORIGINS=OpenRouter_Roleplay_API_KEY=https://openrouter.ai,"
            "Spare_API_KEY=https://spare.example for both functions",
        ),
        (
            {"KEY_ORIGINS": "Spare_API_KEY=https://elsewhere.example"},
            "set KEY_ORIGINS=Spare_API_KEY=https://elsewhere.example,"
            "Spare_API_KEY=https://spare.example for both functions",
        ),
        ({"KEY_ORIGINS": "nonsense"}, "set KEY_ORIGINS to a valid value (entry 1 is not"),
    ],
    ids=["default", "another-origin", "wrong"],
)
def test_key_that_is_not_bound_to_its_providers_address(
    environment: dict[str, str], remedy: str
) -> None:
    row = {"name": "spare", "base_url": "https://spare.example/v1", "auth_scheme": "bearer"}
    row |= {"secret_name": "Spare_API_KEY"}
    facts = FACTS | {"providers": [row | {"is_active": True, "is_approved": True}]}
    environment = {"Spare_API_KEY": "x"} | environment
    (check,) = (
        check
        for check in check_facts(facts, environment, {}, is_local=False)
        if check.name == "provider spare"
    )
    assert check.found == "Spare_API_KEY may not be sent to https://spare.example/v1"
    assert remedy in check.remedy


def test_function_that_does_not_answer_is_a_problem(verify: Verify) -> None:
    with refusing() as url:
        verify.env["FUNCTIONS_URL"] = url
        problems = verify.problems()
    assert list(problems) == ["roleplay_chat"]


@pytest.mark.parametrize("answered", [True, False])
def test_real_turn_is_checked_with_a_token(verify: Verify, answered: bool) -> None:
    verify.env["VERIFY_TOKEN"] = verify.stack.user().token
    if answered:
        verify.stack.upstream.enqueue(text("A quiet harbour at dusk, lanterns lit."))
        code, output = verify()
        assert (code, "a turn" in output) == (OK, True)
    else:
        verify.env["VERIFY_TOKEN"] = "not-a-token"
        assert "unauthorized" in verify.problems()["a turn"]


def test_nothing_that_steers_a_terminal_is_printed(verify: Verify) -> None:
    verify.stack.worker_health(healthy=False, healthError="\x1b[2J[red]oops[/red]")
    _, output = verify()
    assert "\x1b[2J" not in output
    assert "[2J[red]oops[/red]" in output
    assert plain("a\x1b\nb") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"SUPABASE_URL": ""}, "No project is configured", id="nothing-set"),
        pytest.param({"SUPABASE_SECRET_KEY": ""}, "SUPABASE_SECRET_KEY is not", id="no-key"),
        pytest.param({"SUPABASE_SECRET_KEY": "k\x07"}, "invalid characters", id="odd-key"),
        pytest.param({"SUPABASE_SECRET_KEY": "wrong"}, "rejects SUPABASE_SECRET_KEY", id="wrong"),
        pytest.param(
            {"SUPABASE_SECRET_KEY": PUBLISHABLE_KEY}, "rejects SUPABASE_SECRET_KEY", id="public"
        ),
        pytest.param({"SUPABASE_URL": "http://127.0.0.1:1"}, "does not answer", id="away"),
        pytest.param({"SUPABASE_URL": "nowhere"}, "does not answer", id="no-url"),
    ],
)
def test_what_cannot_be_checked(verify: Verify, changes: dict[str, str], sentence: str) -> None:
    verify.env |= changes
    code, output = verify()
    assert (code, sentence in output) == (CANNOT_CHECK, True), output


FACTS: dict[str, Any] = {
    "now": "2026-01-01T12:00:00+00:00",
    "installation": {"kind": "own"},
    "migrations": [],
    "open_tables": [],
    "policies": [],
    "providers": [],
    "models": [],
    "workers": [],
    "steps": {},
    "is_watched": True,
    "turns_overdue": 0,
    "cooldowns_overdue": 0,
}


def judged(name: str, **facts: Any) -> list[tuple[str, str]]:
    """State and finding of the checks with this name."""
    checks = check_facts(FACTS | facts, {}, {}, is_local=False)
    return [(check.state, check.found) for check in checks if check.name == name]


@pytest.mark.parametrize(
    ("begun_at", "done_at", "state"),
    [
        ("2026-01-01T11:59:00+00:00", None, []),
        ("2026-01-01T11:59:00.5+00:00", "2026-01-01T11:59:00+00:00", []),
        ("2026-01-01T11:50:00+00:00", "2026-01-01T11:50:00.123+00:00", []),
        ("2026-01-01T11:50:00+00:00", None, ["problem"]),
        ("2026-01-01T11:50:00+00:00", "2026-01-01T11:40:00+00:00", ["problem"]),
    ],
)
def test_step_that_does_not_end(begun_at: str, done_at: str | None, state: list[str]) -> None:
    step: dict[str, Any] = {"begun_at": begun_at, "done_at": done_at, "found": {}, "error": None}
    assert [found for found, _ in judged("step roll_up", steps={"roll_up": step})] == state


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([None, None], []),
        (["listed", "listed", None], [("ok", "lists all 2 checked models")]),
        (["listed", "gone"], [("problem", "m1 is no longer offered")]),
        (
            ["expiring", "not_free"],
            [
                ("problem", "m0 will be removed: 2026-02-01"),
                ("problem", "m1 now costs money"),
            ],
        ),
        (
            ["renamed", "changed"],
            [
                ("problem", "m0 was renamed: new"),
                ("unknown", "m1 has a different price or less context than its row says"),
            ],
        ),
    ],
)
def test_what_the_catalog_said(statuses: list[str | None], expected: list[tuple[str, str]]) -> None:
    row = {"task": "roleplay", "provider": "p", "provider_is_active": True, "is_default": False}
    row |= {"catalog": {"expires_on": "2026-02-01", "listed_as": "new"}}
    models = [
        row | {"model_key": f"m{n}", "is_active": True, "catalog_status": status}
        for n, status in enumerate(statuses)
    ]
    off = row | {"model_key": "off", "is_active": False, "catalog_status": "gone"}
    # Twice, because a model can have a row for each of two tasks.
    assert judged("catalog", models=[*models, *models, off]) == expected


@pytest.mark.parametrize(
    ("name", "is_local", "remedy"),
    [
        ("chatWorker", True, "make up restarts it"),
        ("worker-2", True, "make up restarts it"),
        ("own", True, "check the machine at https://w.example"),
        ("chatWorker", False, "check the machine at https://w.example"),
    ],
)
def test_worker_of_the_local_stack_is_restarted_with_it(
    name: str, is_local: bool, remedy: str
) -> None:
    facts = FACTS | {"workers": [WORKER | {"health_key": name}]}
    probes = {name: ProbeResult("cannot be reached", 1)}
    checks = check_facts(facts, {}, {}, is_local=is_local, probes=probes)
    (check,) = (check for check in checks if check.name == f"worker {name}")
    assert (check.state, check.remedy) == ("problem", remedy)


WORKER: dict[str, Any] = {
    "name": "chat_worker",
    "health_key": "chatWorker",
    "url": "https://w.example",
    "secret_name": None,
    "is_draining": False,
    "is_expired": False,
    "lease_expires_at": None,
    "health": None,
}


@pytest.mark.parametrize("health", [5, {"lastChecked": 7}, None])
def test_record_in_another_shape_is_none(health: object) -> None:
    known = {"workers": [WORKER | {"health": health}]}
    assert [state for state, _ in judged("worker chatWorker", **known)] == ["problem"]
    assert judged("scheduler", **known) == [("problem", "health_check has not run yet")]


def test_facts_are_for_the_service_key_alone(stack: Stack) -> None:
    with stack.data_api(stack.user()) as api:
        assert is_refused(api.post("/rpc/verify_installation", json={}))
    with stack.data_api(key=SECRET_KEY) as api:
        facts: dict[str, Any] = api.post("/rpc/verify_installation", json={}).json()
    assert facts["open_tables"] == []
    assert SECRET_KEY not in str(facts)
