"""The table of settings is complete and has the code's defaults."""

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from edge.settings import EdgeSettings
from health_check.settings import Settings as HealthCheckSettings
from roleplay_chat.settings import Settings as RoleplayChatSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def documented() -> dict[str, tuple[str, str]]:
    """(default, function) by variable, from the table."""
    table = DOCUMENT.read_text().partition("<!-- settings")[2]
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\| (\w+) \|", table, re.MULTILINE)
    return {name: (default.strip("` "), function) for name, default, function in rows}


def defined() -> dict[str, tuple[str, str]]:
    """The same from the settings classes."""
    shared = set(EdgeSettings.model_fields)
    settings = {}
    for function, model in (
        ("roleplay_chat", RoleplayChatSettings),
        ("health_check", HealthCheckSettings),
    ):
        for name, field in model.model_fields.items():
            default = "required" if field.default is PydanticUndefined else field.default
            where = "both" if name in shared else function
            settings[name.upper()] = ("" if default is None else str(default), where)
    return settings


def test_settings_table_is_what_the_code_has() -> None:
    assert documented() == defined()
