"""`make settings`: every setting of both functions, its source, and wrong values."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticUndefined

from dev.operate.deploy_settings import added_by_deploying
from dev.operate.project import find_environment, secrets_managed
from dev.operate.report import Block, Line, Part, Table, show
from dev.settings import ENV_FILE, ROOT, Settings, read_env_file
from edge.credentials import bound_origins
from edge.settings import EdgeSettings
from health_check.settings import Settings as HealthCheck
from roleplay_chat.settings import Settings as RoleplayChat

FUNCTIONS: Mapping[str, type[EdgeSettings]] = {
    "roleplay_chat": RoleplayChat,
    "health_check": HealthCheck,
}
OPERATING = {
    "SUPABASE_PUBLISHABLE_KEY",
    "FUNCTIONS_URL",
    "VERIFY_TOKEN",
    "DAYS",
    "APPLY",
    "DATABASE_URL",
}
"""Variables that the commands read in addition to the settings."""


_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


@dataclass(frozen=True)
class Setting:
    """One variable of a function."""

    name: str
    function: str
    value: str
    source: str
    meaning: str


def meanings() -> dict[str, str]:
    """The meaning of each variable, from the table in docs/configuration.md."""
    table = (ROOT / "docs" / "configuration.md").read_text().partition("<!-- settings")[2]
    rows = re.findall(r"^\| `(\w+)` \|.*?\| \w+ \| (.*) \|$", table, re.MULTILINE)
    return {name: _LINK.sub(r"\1", meaning).replace("`", "") for name, meaning in rows}


def list_settings(environment: Mapping[str, str], where: str) -> Iterator[Setting]:
    """All settings of both functions, and the keys that provider rows can name."""
    known = meanings()
    shared = set(EdgeSettings.model_fields)
    managed = secrets_managed(environment)
    for function, model in FUNCTIONS.items():
        for field, info in model.model_fields.items():
            name = field.upper()
            if field in shared and function != "roleplay_chat":
                continue
            value, source = _value(name, environment, is_secret(info.annotation), info.default)
            if name in managed:
                value, source = "(hidden)", "secret manager"
            yield Setting(
                name,
                "both" if field in shared else function,
                value,
                where if source == "set" else source,
                known.get(name, ""),
            )
    provider_keys = {name for name in environment if name.endswith("_API_KEY")} | {
        name for name in managed if name.endswith("_API_KEY")
    }
    for name in sorted(provider_keys - set(known)):
        source = "secret manager" if name in managed else where
        value = _masked(environment.get(name, "")) if name not in managed else "(hidden)"
        yield Setting(name, "both", value, source, _sent_to(name, environment))


def _sent_to(name: str, environment: Mapping[str, str]) -> str:
    """The addresses to which a key named in rows may be sent, as a sentence."""
    default = EdgeSettings.model_fields["key_origins"].default
    given = (find_variable(environment, "KEY_ORIGINS") or "").strip()
    try:
        origins = sorted(bound_origins(given or default).get(name, ()))
    except ValueError:
        origins = []
    where = ", ".join(origins) or "no public address, because KEY_ORIGINS has no entry for it"
    return f"a key named in the database, sent to {where}"


def _value(
    name: str, environment: Mapping[str, str], secret: bool, default: Any
) -> tuple[str, str]:
    """A value for display, and its state: "set", "default" or "missing"."""
    given = find_variable(environment, name)
    if given is not None and given.strip():
        return (_masked(given) if secret else given.strip()), "set"
    if default is PydanticUndefined:
        return "", "missing"
    return ("" if default is None else str(default)), "default"


def _masked(value: str) -> str:
    return f"({len(value.strip())} characters, hidden)"


def find_variable(environment: Mapping[str, str], name: str) -> str | None:
    """The value of a variable, ignoring case like pydantic-settings."""
    return next((v for key, v in environment.items() if key.upper() == name), None)


def is_secret(annotation: object) -> bool:
    """Whether values of this type must not be shown."""
    return annotation is SecretStr or any(map(is_secret, get_args(annotation)))


def problems(environment: Mapping[str, str]) -> list[str]:
    """The problems that prevent a function from starting, one line each."""
    stand_ins = dict.fromkeys(map(str.lower, secrets_managed(environment)), "x" * 32)
    found = []
    for function, model in FUNCTIONS.items():
        given = {field: find_variable(environment, field.upper()) for field in model.model_fields}
        values = {name: value for name, value in given.items() if value is not None} | {
            name: value for name, value in stand_ins.items() if name in model.model_fields
        }
        try:
            model(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            # Only the message, because `input` may contain a secret.
            found += [
                f"{function}: {'.'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors()
            ]
    return found


def unknown(names: Mapping[str, str]) -> list[str]:
    """One line for each name in .env that nothing reads, with the closest known name."""
    fields = {field.upper() for model in FUNCTIONS.values() for field in model.model_fields}
    known = fields | {field.upper() for field in Settings.model_fields} | OPERATING
    return [
        f".env: {name}: unknown setting{_suggestion(name, known)}"
        for name in names
        if name.upper() not in known
        and not name.startswith("DEPLOY_")
        and not name.endswith("_API_KEY")
    ]


def _suggestion(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


STYLES = {"missing": "bold red", "default": ""}
"""The style of a setting's name by its source."""


def main(settings: Settings, *, as_json: bool = False) -> int:
    """Print the settings. The exit code is 1 if a function cannot start with them."""
    environment, where = find_environment(settings)
    added = added_by_deploying(environment)
    environment = {**environment, **added}
    listed = [
        replace(one, source="make deploy-health_check") if one.name in added else one
        for one in list_settings(environment, where)
    ]
    wrong = problems(environment)
    told = [*wrong, *unknown(read_env_file(ENV_FILE))]
    data = {"settings": [asdict(one) for one in listed], "problems": told}
    show(report(listed, told), data, as_json=as_json)
    return 1 if wrong else 0


def report(listed: Sequence[Setting], told: Sequence[str]) -> list[Part]:
    """The settings as a table, and what is wrong with them."""
    headings = ("variable", "function", "value", "from", "meaning")
    rows = [(one.name, one.function, one.value, one.source, one.meaning) for one in listed]
    table = Table(headings, rows, blocks=list(map(_block, listed)))
    return [table, *(Line(line, "red") for line in told)]


def _block(one: Setting) -> Block:
    value = f"{one.value}  ({one.source})" if one.value else f"({one.source})"
    where = "" if one.function == "both" else f"{one.function}: "
    return Block(one.name, [value, where + one.meaning], STYLES.get(one.source, "bold"))
