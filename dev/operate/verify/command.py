"""Runs all checks, and prints them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dev.operate.foreign import is_foreign
from dev.operate.project import NoSuchFunction, Project, Unreachable, find
from dev.operate.report import complain, show
from dev.operate.verify.check import Check, Facts
from dev.operate.verify.functions import function_answers, site_check, turn_is_answered
from dev.operate.verify.health_check import overdue_checks, scheduler_check, step_checks
from dev.operate.verify.key_now import ask_about_key
from dev.operate.verify.models import TASKS, catalog_checks, model_checks, price_checks
from dev.operate.verify.probes import probe_workers
from dev.operate.verify.providers import provider_checks
from dev.operate.verify.report import report
from dev.operate.verify.schema import schema_checks
from dev.operate.verify.workers import worker_checks
from dev.settings import ROOT, Settings
from health_check.probe import ProbeResult

OK, PROBLEMS, CANNOT_CHECK = 0, 1, 2
"""Exit codes."""
MODEL_COLUMNS = ("task", "priority", "display_name", "is_default", "model_key", "provider")


def check_facts(
    facts: Facts,
    environment: Mapping[str, str],
    migrations: Mapping[str, str],
    *,
    is_local: bool,
    probes: Mapping[str, ProbeResult] | None = None,
    key_now: Facts | None = None,
) -> list[Check]:
    """Check the result of `verify_installation`. Pure.

    `migrations` has the text of each expected migration by version. `environment` belongs to the
    functions. `probes` has what workers answered just now, by the names of their health records,
    and `key_now` what OpenRouter said about the key; it replaces what is stored.
    """
    is_adopted = facts["installation"]["kind"] == "adopted"
    return [
        *schema_checks(facts, migrations, is_local),
        *provider_checks(facts, environment, is_local),
        *(check for task in TASKS for check in model_checks(facts["models"], task, is_adopted)),
        *catalog_checks(facts["models"], is_adopted),
        *price_checks(facts["models"], is_adopted),
        *step_checks(facts, environment, key_now),
        *worker_checks(facts, environment, is_local, probes),
        scheduler_check(facts, is_local),
        *overdue_checks(facts),
        site_check(environment),
    ]


def verify(
    project: Project, token: str | None, *, stored: bool
) -> tuple[list[Check], Sequence[Facts]]:
    """Run all checks; returns them and the models. Raises `Unreachable`.

    With `stored`, neither workers nor OpenRouter are asked: only the results that health_check
    stored count.
    """
    database = Check("database", "ok", f"answers at {project.url}")
    try:
        facts = project.call("verify_installation")
        probes = None if stored else probe_workers(project)
        key_now = None if stored else ask_about_key(project)
    except NoSuchFunction:
        return [database, _not_installed(project)], []
    migrations = {
        path.name.partition("_")[0]: path.read_text()
        for path in sorted((ROOT / "supabase/migrations").glob("*.sql"))
    }
    checks = check_facts(
        facts,
        project.environment,
        migrations,
        is_local=project.is_local,
        probes=probes,
        key_now=key_now,
    )
    checks = [database, *checks, function_answers(project.functions_url)]
    if token:
        checks.append(turn_is_answered(project.functions_url, token))
    return checks, facts["models"]


def _not_installed(project: Project) -> Check:
    if not project.is_local and is_foreign(project.url, project.secret_key):
        found = "the tables are a product's own, and moving in was not begun or not finished"
        return Check("adoption", "problem", found, "make adopt (docs/adopting.md)")
    apply = "make down && make up" if project.is_local else "make deploy-db APPLY=1"
    return Check("migrations", "problem", "the function verify_installation is missing", apply)


def main(
    settings: Settings, token: str | None, *, stored: bool = False, as_json: bool = False
) -> int:
    """Print the results. The exit code is 0 without problems, 1 with problems, and 2 if nothing
    could be checked."""
    try:
        checks, models = verify(find(settings), token, stored=stored)
    except Unreachable as error:
        complain(f"Cannot check: {error}", as_json=as_json)
        return CANNOT_CHECK
    problems = sum(check.state == "problem" for check in checks)
    active = [model for model in models if model["is_active"]]
    data = {
        "problems": problems,
        "checks": [asdict(check) for check in checks],
        "models": [{name: model[name] for name in MODEL_COLUMNS} for model in active],
    }
    show(report(checks, active), data, as_json=as_json)
    return PROBLEMS if problems else OK
