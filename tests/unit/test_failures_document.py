"""docs/failures.md is up to date."""

import re

from dev.docs.failures import FILE, document
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.settings import Settings


def test_file_is_up_to_date() -> None:
    assert FILE.read_text() == document(), "run: python -m dev.docs.failures > docs/failures.md"


def test_every_error_policy_is_in_one_table() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", document(), re.MULTILINE)
    assert sorted(listed) == sorted(ERROR_POLICIES)


def test_times_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    budget, connect, first_token, idle = (
        fields[f"{name}_seconds"].default
        for name in ("turn_budget", "connect_timeout", "first_token_timeout", "idle_timeout")
    )
    text = " ".join(document().split())
    assert f"with all its targets ({budget} s)" in text
    assert f"the connection ({connect} s), the first token ({first_token} s;" in text
    assert f"the time between tokens ({idle} s)" in text
