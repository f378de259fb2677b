"""`make deploy-*`: the commands that deploy the project, with an explanation of every flag.

They are only printed; APPLY=1 also runs them. Every command can be repeated: existing resources are
updated or left unchanged.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click
from pydantic import ValidationError

from dev.operate import migrate
from dev.operate.deploy_settings import HOSTED, DatabaseSettings, DeploySettings, split_names
from dev.operate.environment import FUNCTIONS, find_variable, is_secret
from dev.operate.foreign import WHAT_TO_DO, CannotTell, has_foreign_tables
from dev.operate.project import secrets_managed
from dev.settings import ENV_FILE, read_env_file
from edge.credentials import bound_origins
from edge.settings import EdgeSettings

JOB = "health-check"
RUNTIME = "python313"
SHUTDOWN_SECONDS = 30
"""From the end of a turn's lease to the platform's time limit for the request."""
SUPABASE = "supabase@3"
"""The version of the Supabase CLI that has these flags."""


class DeployError(Exception):
    """What is missing or failed: one line per problem, with what to do."""


@dataclass(frozen=True)
class Command:
    """A command, its purpose, and the meaning of its flags."""

    why: str
    command: Sequence[str]
    flags: Mapping[str, str] = field(default_factory=dict)
    """Explanations by flag, `--name` or `--name=value`."""
    probe: Sequence[str] = ()
    """A command that succeeds if the resource already exists."""
    instead: Sequence[str] | None = None
    """Run instead if the resource exists; None: run nothing."""
    environment: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    """The message if the command fails."""

    def shell(self) -> str:
        """The command, ready to be pasted into a shell."""
        lines = [f"# {self.why}"]
        names = {flag.partition("=")[0]: meaning for flag, meaning in self.flags.items()}
        width = max(map(len, names), default=0)
        lines += [f"#   {name:<{width}}  {meaning}" for name, meaning in names.items()]
        prefix = "".join(f"{name}={value} " for name, value in self.environment.items())
        if not self.probe:
            lines.append(prefix + _folded(self.command))
            return "\n".join(lines)
        lines.append(f"if {shlex.join(self.probe)} >/dev/null 2>&1; then")
        there = "true  # it exists" if self.instead is None else _folded(self.instead)
        lines += [f"  {there}", "else", f"  {_folded(self.command)}", "fi"]
        return "\n".join(lines)

    def run(self) -> None:
        """Run the command. Raises `DeployError` if it fails."""
        command: Sequence[str] | None = self.command
        if self.probe and _run(self.probe, quiet=True) == 0:
            command = self.instead
        if command is not None and (code := _run(command, environment=self.environment)):
            said = f"{command[0]} {command[1]} ended with exit code {code}: {self.why}"
            raise DeployError(f"{said}\n{self.missing}".rstrip())


def _folded(command: Sequence[str]) -> str:
    """The command on one line, then one line per flag."""
    words = [shlex.quote(word) for word in command]
    first = 1 + max(n for n, word in enumerate(command) if not word.startswith("--"))
    return " \\\n    ".join([" ".join(words[:first]), *words[first:]])


def _run(
    command: Sequence[str], *, quiet: bool = False, environment: Mapping[str, str] | None = None
) -> int:
    output = subprocess.DEVNULL if quiet else None
    try:
        done = subprocess.run(
            command, env={**os.environ, **(environment or {})}, stdout=output, stderr=output
        )
    except FileNotFoundError as error:
        raise DeployError(f"{command[0]} is not installed.") from error
    return done.returncode


# --- the commands, in order ----------------------------------------------------------------------


def function_commands(
    function: str, settings: DeploySettings, environment: Mapping[str, str]
) -> Iterator[Command]:
    """The commands that deploy one function. Raises `DeployError` if it cannot be deployed."""
    project = f"--project={settings.google_cloud_project}"
    name = function.replace("_", "-")
    account = settings.account(name)
    secrets = _list_secrets(function, settings)
    yield _account(name, settings, f"{function} runs as its own service account")
    for variable in secrets:
        secret = secret_id(variable)
        yield Command(
            f"{variable} is in Secret Manager",
            ["gcloud", "secrets", "describe", secret, project],
            missing=(
                f'Create the secret: printf %s "${variable}" | gcloud secrets create {secret} '
                f"--data-file=- {project}"
            ),
        )
        yield Command(
            f"{function} may read this secret and no other",
            [
                *("gcloud", "secrets", "add-iam-policy-binding", secret, project),
                f"--member=serviceAccount:{account}",
                "--role=roles/secretmanager.secretAccessor",
            ],
            {
                f"--member=serviceAccount:{account}": f"the account that {function} runs as",
                "--role=roles/secretmanager.secretAccessor": "permits reading the value only",
            },
        )
    variables = _variables(function, settings, environment)
    explained = _flags(function, settings, environment) | {
        "--set-env-vars": "the settings that differ from their defaults",
        "--set-secrets": "read when an instance starts: deploy again after changing a key",
    }
    given = {
        "--set-env-vars": _joined(variables),
        "--set-secrets": ",".join(f"{v}={secret_id(v)}:latest" for v in secrets),
    }
    flags = [f"{flag}={given[flag]}" if flag in given else flag for flag in explained]
    if settings.deploy_images:
        yield Command(
            f"{function}, from its image: created, or replaced once the new revision is healthy",
            ["gcloud", "run", "deploy", name, project, *flags],
            explained,
        )
        return
    yield Command(
        f"{function}, from dist/{function}: created, or replaced once the new revision is healthy",
        ["gcloud", "functions", "deploy", function, project, *flags],
        explained,
    )
    if function == "roleplay_chat":
        yield Command(
            "a turn continues after its client has left",
            [
                *("gcloud", "run", "services", "update", name, project),
                f"--region={settings.deploy_region}",
                *GOES_ON,
            ],
            GOES_ON,
        )


GOES_ON = {
    "--no-cpu-throttling": "keeps the processor running between requests: without it "
    "a turn whose client left may never be saved; billed by instance, not by request",
    "--cpu-boost": "more processor while an instance starts, which is mostly imports",
}
"""The flags of roleplay_chat that only Cloud Run has."""


def _flags(
    function: str, settings: DeploySettings, environment: Mapping[str, str]
) -> dict[str, str]:
    """The flags of the command that deploys a function, and their explanations."""
    account = settings.account(function.replace("_", "-"))
    run_as = "--service-account" if settings.deploy_images else "--run-service-account"
    if settings.deploy_images:
        source = {
            f"--image={_image(function, settings)}": "built from the Dockerfile and pushed before",
            "--port=8080": "where the image listens",
            "--startup-probe=httpGet.path=/alive,httpGet.port=8080,periodSeconds=1,"
            "failureThreshold=60": "answered by the server without calling the function",
        }
        if function == "roleplay_chat":
            source |= GOES_ON
    else:
        source = {
            "--gen2": "on Cloud Run: concurrent requests, streaming, long timeouts",
            f"--runtime={RUNTIME}": "a Python version that the lock files support",
            f"--source=dist/{function}": "complete; built by `make build`",
            f"--entry-point={function}": "the function in main.py",
            "--trigger-http": "called by HTTP",
        }
    common = {
        f"--region={settings.deploy_region}": "near the database: a turn calls it twice",
        **source,
        "--allow-unauthenticated": "reachable by all; the function checks tokens itself and needs "
        "them unchanged",
        f"{run_as}={account}": "can only read its secrets",
        "--cpu=1": "asyncio uses one; with fewer there is no concurrency",
    }
    if function == "roleplay_chat":
        lease = _lease_seconds(environment)
        own = {
            f"--memory={settings.deploy_memory}": "for imports and running turns",
            f"--concurrency={settings.deploy_concurrency}": "turns spend nearly all of "
            "their time waiting for models",
            f"--timeout={lease + SHUTDOWN_SECONDS}s": f"longer than a turn's lease ({lease} s: "
            "TURN_BUDGET_SECONDS and LEASE_MARGIN_SECONDS)",
            f"--min-instances={settings.deploy_min_instances}": "0: no cost without traffic, "
            "but the first turn waits for a cold start; 1: it does not",
            f"--max-instances={settings.deploy_max_instances}": "limits the cost",
        }
    else:
        own = {
            "--memory=512Mi": "for imports",
            "--concurrency=10": "one run per minute, and unauthorised callers",
            "--timeout=60s": "then the next run starts",
            "--min-instances=0": "a cold start is fast enough, and one run a minute keeps it warm",
            "--max-instances=1": "one run at a time",
        }
    return common | own


def _image(function: str, settings: DeploySettings) -> str:
    return (
        f"{settings.deploy_images.rstrip('/')}/{function.replace('_', '-')}:{settings.deploy_tag}"
    )


def scheduler_commands(settings: DeploySettings) -> Iterator[Command]:
    """The commands for the job that calls health_check every minute."""
    project = f"--project={settings.google_cloud_project}"
    where = [project, f"--location={settings.deploy_region}"]
    uri = settings.health_check_url
    account = settings.account("health-check-scheduler")
    flags = {
        f"--location={settings.deploy_region}": "the region of the function",
        "--schedule=* * * * *": "every minute; a health record is valid for two",
        "--time-zone=Etc/UTC": "daylight saving time skips no minute",
        f"--uri={uri}": "health_check",
        "--http-method=post": "the same as a manual call",
        f"--oidc-service-account-email={account}": "sends an ID token of this account; "
        "health_check expects it in HEALTH_CHECK_OIDC_EMAIL",
        f"--oidc-token-audience={uri}": "the token is valid for this address only; "
        "HEALTH_CHECK_OIDC_AUDIENCE must be the same",
        "--attempt-deadline=55s": "gives up before the next run",
        "--max-retry-attempts=0": "the next minute is the retry",
    }
    yield _account("health-check-scheduler", settings, "the scheduler has its own service account")
    job = ["gcloud", "scheduler", "jobs"]
    yield Command(
        "the job: created, or updated to these values",
        [*job, "create", "http", JOB, project, *flags],
        flags,
        probe=[*job, "describe", JOB, *where],
        instead=[*job, "update", "http", JOB, project, *flags],
    )
    yield Command("one run now instead of in the next minute", [*job, "run", JOB, *where])


def database_commands(settings: DatabaseSettings) -> Iterator[Command]:
    """The commands that apply the migrations and the seed of supabase/."""
    push = ["npx", "--yes", SUPABASE, "db", "push", f"--remote={settings.project_ref}"]
    # config.toml reads them for the local stack.
    environment = {"DATABASE_PORT": "54321", "DATABASE_DIR": ".local/database"}
    flags = {
        f"--remote={settings.project_ref}": "the project of SUPABASE_URL; the CLI signs in with "
        "SUPABASE_ACCESS_TOKEN or `npx supabase login`",
        "--include-seed": "provider, models and templates of a new installation; existing "
        "rows stay unchanged",
        "--dry-run": "only lists the missing migrations",
        "--yes": "does not ask for confirmation",
    }
    yield Command(
        "preview: what would be applied",
        [*push, "--include-seed", "--dry-run"],
        {flag: meaning for flag, meaning in flags.items() if flag != "--yes"},
        environment=environment,
    )
    yield Command(
        "applies the missing migrations, in order",
        [*push, "--include-seed", "--yes"],
        {"--yes": flags["--yes"]},
        environment=environment,
    )


def _account(name: str, settings: DeploySettings, why: str) -> Command:
    project = f"--project={settings.google_cloud_project}"
    accounts = ["gcloud", "iam", "service-accounts"]
    return Command(
        why,
        [*accounts, "create", name, project],
        probe=[*accounts, "describe", settings.account(name), project],
    )


# --- a function's environment -------------------------------------------------------------------


def secret_id(variable: str) -> str:
    """The name of a variable's secret in Secret Manager."""
    return variable.lower().replace("_", "-")


def _list_secrets(function: str, settings: DeploySettings) -> list[str]:
    """The managed secrets that a function reads: its own settings, and the keys named in rows,
    which both functions need."""
    fields = {name.upper() for name in FUNCTIONS[function].model_fields}
    settings_of_all = {name.upper() for model in FUNCTIONS.values() for name in model.model_fields}
    return [
        name
        for name in split_names(settings.deploy_secrets)
        if name in fields or name not in settings_of_all
    ]


def _variables(
    function: str, settings: DeploySettings, environment: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a function that are not secret and differ from their defaults."""
    given = {"SUPABASE_URL": settings.supabase_url.rstrip("/")}
    if function == "health_check":
        given |= settings.caller
    for name, info in FUNCTIONS[function].model_fields.items():
        value = (find_variable(environment, name.upper()) or "").strip()
        if value and not is_secret(info.annotation) and value != str(info.default):
            given.setdefault(name.upper(), value)
    # An image has its own.
    framework = {} if settings.deploy_images else {"FUNCTION_USE_ASGI": "1"}
    return framework | {"GOOGLE_CLOUD_PROJECT": settings.google_cloud_project} | given


def _joined(variables: Mapping[str, str]) -> str:
    """NAME=value pairs in gcloud's format (`gcloud topic escaping`)."""
    values = "".join(variables.values())
    delimiter = next(sign for sign in (",", ";", "|", "::", "^_^_^") if sign not in values)
    pairs = delimiter.join(f"{name}={value}" for name, value in variables.items())
    return pairs if delimiter == "," else f"^{delimiter}^{pairs}"


def _lease_seconds(environment: Mapping[str, str]) -> int:
    given = {"supabase_url": "https://x.example", "supabase_secret_key": "x"}
    for name in ("turn_budget_seconds", "lease_margin_seconds"):
        if value := (find_variable(environment, name.upper()) or "").strip():
            given[name] = value
    lease: int = FUNCTIONS["roleplay_chat"](**given).lease_seconds  # type: ignore[arg-type, attr-defined]
    return lease


def check(settings: DeploySettings, environment: Mapping[str, str]) -> None:
    """Raise `DeployError` if the environment must not be deployed."""
    wrong = []
    managed = secrets_managed({"DEPLOY_SECRETS": settings.deploy_secrets})
    fields = {
        name.upper(): info
        for model in FUNCTIONS.values()
        for name, info in model.model_fields.items()
    }
    for name, info in fields.items():
        if find_variable(environment, name) and is_secret(info.annotation) and name not in managed:
            wrong.append(
                f"{name} is a secret: put it into Secret Manager as {secret_id(name)} and add its "
                "name to DEPLOY_SECRETS."
            )
    if "SUPABASE_SECRET_KEY" not in managed:
        wrong.append("DEPLOY_SECRETS lacks SUPABASE_SECRET_KEY. Both functions need it.")
    if (find_variable(environment, "ALLOW_LOCAL_UPSTREAMS") or "").lower() in ("true", "1"):
        wrong.append("ALLOW_LOCAL_UPSTREAMS is for local work only: unset it.")
    wrong += _unbound(managed, environment)
    if wrong:
        raise DeployError("\n".join(wrong))


def _unbound(managed: set[str], environment: Mapping[str, str]) -> list[str]:
    """A line for each managed key that KEY_ORIGINS does not bind to an address."""
    default = EdgeSettings.model_fields["key_origins"].default
    origins = (find_variable(environment, "KEY_ORIGINS") or "").strip() or default
    try:
        bound = bound_origins(origins)
    except ValueError as error:
        return [f"KEY_ORIGINS: {error}."]
    return [
        f"{name} would not be sent anywhere: set KEY_ORIGINS={origins},{name}=https://<its host>."
        for name in sorted(managed)
        if name.endswith("_API_KEY") and name != "CHAT_WORKER_API_KEY" and name not in bound
    ]


# --- the command ---------------------------------------------------------------------------------


def commands_for(target: str, environment: Mapping[str, str]) -> list[Command]:
    """The commands of a target. Raises `DeployError`."""
    try:
        if target == "db":
            if not HOSTED.fullmatch((find_variable(environment, "SUPABASE_URL") or "").strip()):
                raise DeployError(NO_DATABASE)
            return list(database_commands(DatabaseSettings()))
        settings = DeploySettings()
        check(settings, environment)
        if target == "scheduler":
            return list(scheduler_commands(settings))
        return list(function_commands(target, settings, environment))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, e['loc'])).upper()}: {_advice(str(e['loc'][0]), e['msg'])}"
            for e in error.errors()
        ]
        raise DeployError("Set in the environment or in .env:\n" + "\n".join(problems)) from error


NO_DATABASE = (
    "Set in the environment or in .env: SUPABASE_URL, the project's address, such as"
    " https://abcdefghijklmnopqrst.supabase.co; or, of a Supabase of your own, DATABASE_URL, its"
    " connection string: postgresql://postgres:password@host:5432/postgres"
)
ADVICE = {
    "supabase_url": "the project's address, such as https://abcdefghijklmnopqrst.supabase.co",
    "google_cloud_project": "the project's id, as shown by `gcloud projects list`",
    "deploy_region": "near the database, such as europe-west3",
    "deploy_project_number": "the project's number, as shown by `gcloud projects list`; Cloud Run's"
    " addresses have it",
}


def _advice(name: str, otherwise: str) -> str:
    return ADVICE.get(name, otherwise)


def _own_database(environment: Mapping[str, str]) -> str | None:
    """The connection string of a project that is not hosted by Supabase."""
    is_hosted = HOSTED.fullmatch((find_variable(environment, "SUPABASE_URL") or "").strip())
    return None if is_hosted else environment.get("DATABASE_URL", "").strip() or None


def _refuse_foreign_tables(environment: Mapping[str, str]) -> None:
    if has_foreign_tables(environment):
        raise DeployError(WHAT_TO_DO)


def main(target: str, *, apply: bool) -> int:
    """Print the commands, and run them if `apply` is true. Returns the exit code."""
    environment = {**read_env_file(ENV_FILE), **os.environ}
    try:
        if target == "db" and (url := _own_database(environment)):
            _refuse_foreign_tables({"DATABASE_URL": url})
            return migrate.main(url, apply_them=apply)
        commands = commands_for(target, environment)
        if apply and target == "db":
            _refuse_foreign_tables(environment)
        for command in commands:
            click.echo(command.shell() + "\n")
            if apply:
                sys.stdout.flush()
                command.run()
    except (DeployError, CannotTell) as error:
        click.echo(str(error), err=True)
        return 1
    if not apply:
        click.echo(f"# Nothing was run. `make deploy-{target} APPLY=1` runs these commands.")
    return 0
