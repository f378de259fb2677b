"""`make verify`: checks an installation and says how to fix problems."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

import httpx

from dev.adopt.steps import AdoptionStep, steps
from dev.operate.environment import find_variable
from dev.operate.foreign import is_foreign
from dev.operate.key_now import ask_about_key
from dev.operate.probes import probe_workers
from dev.operate.project import NoSuchFunction, Project, Unreachable, find, secrets_managed
from dev.operate.report import Block, Line, Part, Table, complain, short_names, show
from dev.settings import ROOT, Settings
from edge.addresses import AddressRejected, check_address
from edge.credentials import missing_binding
from edge.pricing import PRICES, is_free, price
from edge.settings import EdgeSettings
from edge.worker_health import MAX_AGE, WorkerHealth, why_unavailable
from health_check.probe import ProbeResult

OK, PROBLEMS, CANNOT_CHECK = 0, 1, 2
"""Exit codes."""
TASKS = ("roleplay", "storytelling", "prompt_enhancement")
TASKS_THERE = {
    "roleplay": "roleplay",
    "storytelling": "roleplay",
    "prompt_enhancement": "enhancement",
}
"""What a product calls our tasks in its own tables."""
TURN_SECONDS = 200
CATALOG = {
    "gone": ("is no longer offered", "replace it: docs/configuration.md says how"),
    "expiring": ("will be removed", "replace it in time: docs/configuration.md says how"),
    "renamed": ("was renamed", "set model_key of its row to the new name"),
    "not_free": ("now costs money", "correct the price in its row, or replace it"),
}
"""The values of `catalog_status` that need action: what was found, and the remedy."""
KEY = "OpenRouter's key"
CHANGING = "docs/operations.md, Changing keys"
INTERVALS = {
    "key": "KEY_CHECK_MINUTES",
    "catalog": "CATALOG_HOURS",
    "roll_up": "ROLL_UP_MINUTES",
    "retention": "RETENTION_MINUTES",
    "purge": "RETENTION_MINUTES",
}
"""The settings that turn steps of health_check off where they are 0."""
POLICY = re.compile(r"^create policy (\w+) on ([\w.]+)", re.MULTILINE)
MARKS = {
    "ok": ("✓", "green"),
    "reminder": ("!", "yellow"),
    "problem": ("✗", "red"),
    "unknown": ("?", "yellow"),
}
ARROW = "→"
MODEL_COLUMNS = ("task", "priority", "display_name", "is_default", "model_key", "provider")

State = Literal["ok", "reminder", "problem", "unknown"]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """The result of one check. `remedy` is what to do about a problem, or what could be done."""

    name: str
    state: State
    found: str
    remedy: str = ""


# --- checks of the database ----------------------------------------------------------------------


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
        *_schema(facts, migrations, is_local),
        *_providers(facts, environment, is_local),
        *(check for task in TASKS for check in _models(facts["models"], task, is_adopted)),
        *_catalog(facts["models"], is_adopted),
        *_prices(facts["models"], is_adopted),
        *_steps(facts, environment, key_now),
        *_workers(facts, environment, is_local, probes),
        _scheduler(facts, is_local),
        *_overdue(facts),
        _site(environment),
    ]


def _schema(facts: Facts, migrations: Mapping[str, str], is_local: bool) -> Iterator[Check]:
    installation = facts["installation"]
    if installation["kind"] == "adopted":
        wanted = steps()
        yield _adoption(installation["steps"], wanted)
        yield _product(installation["changed"])
        yield _positions(installation["without_position"])
        ours = "".join(step.sql for step in wanted)
    else:
        yield _migrations(facts["migrations"], sorted(migrations), is_local)
        ours = "".join(migrations.values())
    yield _row_level_security(facts["open_tables"])
    yield _policies(set(facts["policies"]), ours)
    yield _watched(is_watched=facts["is_watched"])


def _adoption(done: Mapping[str, str], wanted: Sequence[AdoptionStep]) -> Check:
    if missing := [step.name for step in wanted if step.name not in done]:
        return Check("adoption", "problem", f"not done: {', '.join(missing)}", "make adopt APPLY=1")
    if other := [step.name for step in wanted if done[step.name] != step.digest]:
        found = f"done in another version than this copy has: {', '.join(other)}"
        return Check("adoption", "problem", found, "use the version that adopted the database")
    return Check("adoption", "ok", f"all {len(wanted)} steps are done")


def _positions(missing: int) -> Check:
    """Messages that were loaded while triggers were off."""
    if missing:
        found = f"{_count(range(missing), 'message')} without a position, in no prompt"
        return Check("messages", "problem", found, "make adopt APPLY=1")
    return Check("messages", "ok", "all have a position")


def _product(changed: Sequence[str]) -> Check:
    """Changes to the product's own tables, which are for the product to decide."""
    if changed:
        return Check(
            "the product's tables",
            "problem",
            f"changed since the adoption: {'; '.join(changed)}",
            "look whether supabase/adoption still fits (docs/adopting.md)",
        )
    return Check("the product's tables", "ok", "as they were when they were adopted")


def _migrations(applied: list[str] | None, wanted: Sequence[str], is_local: bool) -> Check:
    if applied is None:
        return Check(
            "migrations", "unknown", "the database has no record of them", "make deploy-db"
        )
    apply = "make down && make up" if is_local else "make deploy-db APPLY=1"
    if missing := [version for version in wanted if version not in applied]:
        return Check("migrations", "problem", f"not applied: {', '.join(missing)}", apply)
    if strange := [version for version in applied if version not in wanted]:
        found = f"the database has unknown migrations: {', '.join(strange)}"
        return Check("migrations", "problem", found, "git pull: the database is ahead of this copy")
    return Check("migrations", "ok", f"all {len(wanted)} are applied")


def _row_level_security(open_tables: list[str]) -> Check:
    if open_tables:
        return Check(
            "row level security",
            "problem",
            f"off for {', '.join(open_tables)}",
            "; ".join(f"alter table {table} enable row level security" for table in open_tables),
        )
    return Check("row level security", "ok", "on for all tables")


def _watched(*, is_watched: bool) -> Check:
    """Whether instances may keep messages that they have read."""
    if not is_watched:
        return Check(
            "changes of messages",
            "problem",
            "not always noticed, because triggers were turned off; so every turn reads its whole"
            " history",
            "select private.watch_messages()",
        )
    return Check("changes of messages", "ok", "always noticed")


def _policies(there: set[str], migrations: str) -> Check:
    """Whether the policies in the database are exactly those of the migrations."""
    wanted = {f"{table} {name}" for name, table in POLICY.findall(migrations)}
    if strange := sorted(there - wanted):
        split = [policy.partition(" ") for policy in strange]
        return Check(
            "policies",
            "problem",
            f"not from a migration: {', '.join(strange)}",
            "; ".join(f'drop policy "{name}" on {table}' for table, _, name in split),
        )
    if missing := sorted(wanted - there):
        found = f"missing: {', '.join(missing)}"
        return Check("policies", "problem", found, "create it again as in its migration")
    return Check("policies", "ok", f"exactly the expected {len(wanted)}")


def _providers(facts: Facts, environment: Mapping[str, str], is_local: bool) -> Iterator[Check]:
    is_adopted = facts["installation"]["kind"] == "adopted"
    table = "private.provider_keys" if is_adopted else "api_providers"
    for provider in facts["providers"]:
        name, secret = f"provider {provider['name']}", provider["secret_name"]
        models = [
            model
            for model in facts["models"]
            if model["provider"] == provider["name"] and model["is_active"]
        ]
        rejected = why_rejected(provider["base_url"], environment)
        if not provider["is_approved"] and is_adopted:
            yield Check(
                name,
                "unknown",
                "one of the product's; gets no requests of ours",
                "if it should, insert its address and the name of its key into"
                " private.provider_keys (docs/adopting.md)",
            )
        elif not provider["is_approved"]:
            yield Check(
                name,
                "problem",
                f"it was added with the address {provider['base_url']} and gets no requests",
                "if it is intended, set is_approved of its row in api_providers with the secret "
                "key; otherwise delete it",
            )
        elif not provider["is_active"]:
            yield Check(name, "ok", "switched off")
        elif rejected:
            yield Check(
                name,
                "problem",
                f"its address {provider['base_url']} is not called: {rejected}",
                f"set base_url of its row in {table} to a public https address",
            )
        elif provider["auth_scheme"] != "none" and not has_key(secret, environment):
            where = (
                f"put {secret} into .env, then make down && make up"
                if is_local
                else f"store {secret} in Secret Manager and add it to DEPLOY_SECRETS"
            )
            yield Check(name, "problem", f"{secret} is not set", where)
        elif provider["auth_scheme"] != "none" and (
            wanted := unbound(secret, provider["base_url"], environment)
        ):
            found = f"{secret} may not be sent to {provider['base_url']}"
            yield Check(
                name, "problem", found, f"if it is intended, set {wanted} for both functions"
            )
        elif not models:
            yield Check(name, "problem", "it has no active model", "activate one, or switch it off")
        else:
            key = "no key needed" if provider["auth_scheme"] == "none" else f"{secret} is set"
            yield Check(name, "ok", f"{key}, {_count(models, 'active model')}")


def allows_local(environment: Mapping[str, str]) -> bool:
    """Whether the functions call http and private addresses."""
    return environment.get("ALLOW_LOCAL_UPSTREAMS", "").lower() in ("true", "1")


def why_rejected(url: str, environment: Mapping[str, str]) -> str | None:
    """Why the functions do not call an address; None if they do."""
    private_origins = environment.get("PRIVATE_ORIGINS", "")
    try:
        check_address(url, allow_local=allows_local(environment), private_origins=private_origins)
    except AddressRejected as rejected:
        return str(rejected)
    except ValueError as wrong:
        return f"PRIVATE_ORIGINS is not valid: {wrong}"
    return None


def unbound(secret: str, url: str, environment: Mapping[str, str]) -> str | None:
    """The setting that would allow sending a key to an address; None if it is allowed already."""
    default = EdgeSettings.model_fields["key_origins"].default
    origins = environment.get("KEY_ORIGINS", "").strip() or default
    try:
        wanted = missing_binding(secret, url, origins, allow_local=allows_local(environment))
    except AddressRejected as rejected:
        return f"another base_url ({rejected}) and KEY_ORIGINS"
    except ValueError as wrong:
        return f"KEY_ORIGINS to a valid value ({wrong})"
    return wanted and f"KEY_ORIGINS={wanted}"


def has_key(name: str, environment: Mapping[str, str]) -> bool:
    """Whether a function has this variable, from its environment or from Secret Manager."""
    return bool(environment.get(name, "").strip()) or name in secrets_managed(environment)


def _models(models: Sequence[Facts], task: str, is_adopted: bool) -> Iterator[Check]:
    usable = [m for m in models if m["task"] == task and m["is_active"] and m["provider_is_active"]]
    name = f"models for {task}"
    if usable:
        yield Check(name, "ok", f"{len(usable)} active")
    else:
        yield Check(
            name,
            "problem",
            "no model is active",
            f"activate a model for {TASKS_THERE[task]}, of a provider in private.provider_keys"
            if is_adopted
            else f"set is_active of a row in api_models with task {task}",
        )
    defaults = [model for model in models if model["task"] == task and model["is_default"]]
    name, keys = f"default for {task}", [model["model_key"] for model in defaults]
    if is_adopted:
        # A product may have several defaults, which its own programs read.
        first = [m["model_key"] for m in usable if m["is_default"]] or [
            m["model_key"] for m in usable
        ]
        marked = f" ({len(defaults)} are marked)" if len(defaults) != 1 else ""
        if first:
            yield Check(name, "ok", f"{first[0]}{marked}")
    elif len(defaults) > 1:
        yield Check(
            name,
            "problem",
            f"there are {len(defaults)}: {', '.join(keys)}",
            "leave is_default set for only one in api_models",
        )
    elif not defaults:
        yield Check(
            name,
            "problem",
            "no default is set",
            f"set is_default of one row in api_models with task {task}",
        )
    elif defaults[0] not in usable:
        found = f"{keys[0]} is switched off, or its provider is"
        yield Check(name, "problem", found, "activate it, or choose another default")
    else:
        yield Check(name, "ok", keys[0])


def _catalog(models: Sequence[Facts], is_adopted: bool) -> Iterator[Check]:
    """Differences between active models and their provider's catalog at its last check."""
    # One model may have a row for each of several tasks.
    active = {
        model["model_key"]: model
        for model in models
        if model["is_active"] and model.get("catalog_status")
    }
    told = [check for key, model in active.items() for check in _listed(key, model, is_adopted)]
    yield from told
    if active and not told:
        yield Check("catalog", "ok", f"lists all {len(active)} checked models")


def _prices(models: Sequence[Facts], is_adopted: bool) -> Iterator[Check]:
    """Models on which money can be spent without any limit counting it."""
    priced = [model for model in models if model["is_active"] and "pricing" in model]
    unknown = {
        model["model_key"]
        for model in priced
        if not is_free(model["model_key"], model["pricing"])
        and any(price(model["pricing"].get(name)) is None for name in PRICES)
    }
    row = "pricing of a row for it in private.model_details" if is_adopted else "its pricing"
    for key in sorted(unknown):
        found = f"{key} has no price: what its provider does not report counts as nothing"
        yield Check("spending limits", "problem", found, f"set {' and '.join(PRICES)} in {row}")


def _listed(key: str, model: Facts, is_adopted: bool) -> Iterator[Check]:
    status, listed = model["catalog_status"], model["catalog"]
    if status in CATALOG:
        found, remedy = CATALOG[status]
        known = {"expiring": listed.get("expires_on"), "renamed": listed.get("listed_as")}
        more = f": {known[status]}" if known.get(status) else ""
        yield Check("catalog", "problem", f"{key} {found}{more}", remedy)
    elif status == "changed":
        found = f"{key} has a different price or less context than its row says"
        row = "a row for it in private.model_details" if is_adopted else "its row"
        remedy = f"correct pricing and context_tokens in {row}, or set CATALOG_UPDATES_PRICES"
        yield Check("catalog", "unknown", found, remedy)


def _steps(facts: Facts, environment: Mapping[str, str], key_now: Facts | None) -> Iterator[Check]:
    """The recorded results of health_check's periodic steps."""
    now = datetime.fromisoformat(facts["now"])
    if key_now is not None:
        yield from _key(key_now, key_now.get("error"), "asked now")
    for step, record in sorted(facts["steps"].items()):
        if (step == "key" and key_now is not None) or _is_off(step, environment):
            continue
        name = KEY if step == "key" else f"step {step}"
        remedy = CHANGING if step == "key" else "look at health_check's log"
        begun = datetime.fromisoformat(record["begun_at"])
        done = record["done_at"] and datetime.fromisoformat(record["done_at"])
        minutes = (now - begun).total_seconds() / 60
        if record["error"]:
            yield Check(name, "problem", f"{record['error']}, {minutes:.0f} min ago", remedy)
        elif (done is None or done < begun) and now - begun > MAX_AGE:
            found = f"started {minutes:.0f} min ago and did not finish"
            yield Check(name, "problem", found, remedy)
        elif step == "key":
            yield from _key(record["found"], None, f"{minutes:.0f} min ago")


def _is_off(step: str, environment: Mapping[str, str]) -> bool:
    """Whether a setting turns a step off: then its last result no longer means anything."""
    given = (find_variable(environment, INTERVALS.get(step, "")) or "").strip()
    return given.replace(".", "", 1).isdecimal() and float(given) == 0


def _key(found: Facts, error: str | None, asked: str) -> Iterator[Check]:
    """OpenRouter's last information about the key."""
    if error:
        yield Check(KEY, "problem", f"{error}, {asked}", CHANGING)
        return
    for alert in found.get("alerts", ()):
        matter, _, remedy = alert.removesuffix(".").rpartition(": ")
        yield Check(KEY, "problem", f"{matter}, {asked}", remedy)
    if found and not found.get("alerts"):
        yield Check(KEY, "ok", f"no limit is reached, {asked}")


def _workers(
    facts: Facts,
    environment: Mapping[str, str],
    is_local: bool,
    probes: Mapping[str, ProbeResult] | None,
) -> Iterator[Check]:
    if not facts["workers"]:
        yield Check("worker", "ok", "no worker is registered; providers answer")
    now = datetime.fromisoformat(facts["now"])
    for worker in facts["workers"]:
        name, secret = f"worker {worker['health_key']}", worker["secret_name"]
        if worker["is_expired"]:
            found = f"its registration ended at {worker['lease_expires_at']}"
            yield Check(name, "problem", found, "start it; it registers itself")
            continue
        if secret and not has_key(secret, environment):
            yield Check(name, "problem", f"{secret} is not set", f"set {secret} for both functions")
        elif secret and (wanted := unbound(secret, worker["url"], environment)):
            found = f"{secret} may not be sent to {worker['url']}"
            yield Check(name, "problem", found, f"if it is intended, set {wanted}")
        check = _worker(name, worker["url"].rstrip("/"), worker["health"], now, is_local)
        if probes is not None:
            check = _probed(check, probes.get(worker["health_key"]), worker["url"], is_local)
        yield replace(check, found=f"{check.found}; draining") if worker["is_draining"] else check


def _worker(name: str, url: str, record: object, now: datetime, is_local: bool) -> Check:
    why = why_unavailable(url, record, now)
    stored = record if isinstance(record, Mapping) else {}
    known = WorkerHealth.parse({"workerUrl": url, **stored})
    scheduler = "see the scheduler, below"
    if known is None or known.url != url:
        return Check(name, "problem", why or "its health is not known yet", scheduler)
    # A single failed probe does not make a worker unhealthy, but it is worth reporting.
    if known.is_healthy and not known.failures:
        if why:
            return Check(name, "problem", why, scheduler)
        age = (now - known.checked_at).total_seconds()
        return Check(name, "ok", f"healthy, checked {age:.0f} s ago")
    state = "its last probe failed" if known.is_healthy else "it is unhealthy"
    found = f"{state}: {known.error or known.probe_error}"
    remedy = _restart(name, url, is_local)
    if not known.is_fresh(now):
        found, remedy = f"{found}; {why} since", f"{remedy}; {scheduler}"
    return Check(name, "problem", found, remedy)


def _restart(name: str, url: str, is_local: bool) -> str:
    """What to do about a worker that is down: it may be a part of the local stack."""
    is_part = is_local and name.startswith(("worker chatWorker", "worker worker-"))
    return "make up restarts it" if is_part else f"check the machine at {url}"


def _probed(stored: Check, result: ProbeResult | None, url: str, is_local: bool) -> Check:
    """What a worker answered just now, beside what health_check stored about it."""
    if result is None:
        found = f"{stored.found}; not asked now, because its key is in Secret Manager"
        return replace(stored, found=found)
    if result.error and not result.busy:
        found = f"it does not answer as it should: {result.error}"
        if stored.state != "problem":
            found += f"; health_check found it {stored.found}"
        remedy = _restart(stored.name, url, is_local)
        return replace(stored, state="problem", found=found, remedy=remedy)
    now = result.error or f"answered in {result.response_ms} ms"
    if stored.state == "problem":
        return replace(stored, found=f"{stored.found}; but now: {now}")
    return replace(stored, found=f"{stored.found}; now: {now}")


def _scheduler(facts: Facts, is_local: bool) -> Check:
    """Whether health_check runs: each run records the start of a step."""
    name = "scheduler"
    remedy = (
        "make down && make up"
        if is_local
        else "gcloud scheduler jobs describe health-check; make deploy-scheduler creates it"
    )
    now = datetime.fromisoformat(facts["now"])
    begun = [datetime.fromisoformat(step["begun_at"]) for step in facts["steps"].values()]
    if not begun:
        return Check(name, "problem", "health_check has not run yet", remedy)
    age = now - max(begun)
    if age > MAX_AGE:
        minutes = age.total_seconds() / 60
        return Check(name, "problem", f"health_check has not run for {minutes:.0f} min", remedy)
    return Check(name, "ok", f"health_check ran {age.total_seconds():.0f} s ago")


def _site(environment: Mapping[str, str]) -> Check:
    """Whether requests tell providers the site's name; OpenRouter ranks sites by it."""
    missing = [name for name in ("SITE_URL", "SITE_NAME") if not environment.get(name, "").strip()]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        found = f"{' and '.join(missing)} {verb} not set: providers are not told who asks"
        return Check(
            "site", "reminder", found, "set both, if they should be (docs/configuration.md)"
        )
    return Check("site", "ok", f"{environment['SITE_NAME']}, {environment['SITE_URL']}")


def _overdue(facts: Facts) -> Iterator[Check]:
    """Turns and cooldowns that health_check should have cleaned up long ago."""
    turns, cooldowns = facts["turns_overdue"], facts["cooldowns_overdue"]
    if turns or cooldowns:
        found = f"health_check did not close {turns} turns and clear {cooldowns} cooldowns"
        yield Check(
            "housekeeping", "problem", found, "check the scheduler, then health_check's log"
        )


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


# --- checks of the function ----------------------------------------------------------------------


def function_answers(functions_url: str | None) -> Check:
    """Whether roleplay_chat responds."""
    name = "roleplay_chat"
    if functions_url is None:
        return Check(name, "unknown", "FUNCTIONS_URL is not set", "set it to enable this check")
    try:
        response = httpx.get(f"{functions_url}/{name}", timeout=TURN_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = f"no answer at {functions_url} ({type(error).__name__})"
        return Check(name, "problem", found, "make deploy-roleplay_chat shows how to deploy it")
    if response.status_code != 200 or "ok" not in response.text:
        found = f"{functions_url}/{name} answered {response.status_code}"
        return Check(name, "problem", found, "look at its log: docs/operations.md")
    return Check(name, "ok", f"answers at {functions_url}")


def turn_is_answered(functions_url: str | None, token: str) -> Check:
    """Whether a model answers a small, real turn without a conversation."""
    name = "a turn"
    if functions_url is None:
        return Check(name, "unknown", "FUNCTIONS_URL is not set", "set it to enable this check")
    body = {"task": "prompt_enhancement", "message": "A quiet harbour at dusk."}
    try:
        response = httpx.post(
            f"{functions_url}/roleplay_chat",
            headers={"Authorization": f"Bearer {token}"},
            json=body,
            timeout=TURN_SECONDS,
        )
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Check(name, "problem", f"no answer ({type(error).__name__})", "look at its log")
    if response.status_code != 200 or not answer.get("success"):
        found = f"{answer.get('code')}: {answer.get('error')}"
        return Check(name, "problem", found, "see the symptoms in docs/operations.md")
    return Check(name, "ok", f"{answer['model_used']} in {answer['processing_time'] / 1000:.1f} s")


# --- the command ---------------------------------------------------------------------------------


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


def report(checks: Sequence[Check], models: Sequence[Facts]) -> list[Part]:
    """The active models, the checks, and the number of problems."""
    problems = [check for check in checks if check.state == "problem"]
    result = (
        Line(f"{_count(problems, 'problem')} found.", "red")
        if problems
        else Line("No problems found.", "green")
    )
    return [_table_of_models(models), _table_of_checks(checks), result]


def _table_of_models(models: Sequence[Facts]) -> Table:
    short = short_names(model["model_key"] for model in models)
    names = [model["display_name"] + (" (default)" * model["is_default"]) for model in models]
    named = list(zip(names, models, strict=True))
    return Table(
        ("task", "priority", "model", "key", "provider"),
        [(m["task"], str(m["priority"]), name, m["model_key"], m["provider"]) for name, m in named],
        "Active models",
        [
            Block(
                name,
                [f"{m['task']} {m['priority']}: {short[m['model_key']]}, {m['provider']}"],
            )
            for name, m in named
        ],
    )


def _table_of_checks(checks: Sequence[Check]) -> Table:
    remedies = ["" if check.state == "ok" else check.remedy for check in checks]
    rows = [
        (MARKS[check.state][0], check.name, check.found, remedy)
        for check, remedy in zip(checks, remedies, strict=True)
    ]
    blocks = [
        Block(f"{mark} {name}", [found, remedy and f"{ARROW} {remedy}"], MARKS[check.state][1])
        for (mark, name, found, remedy), check in zip(rows, checks, strict=True)
    ]
    return Table(("", "what", "found", "what to do"), rows, "Checks", blocks)
