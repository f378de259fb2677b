"""Whose fault it is that a batch was not noted."""

from __future__ import annotations

from typing import Any

import pytest

from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_policies import ERROR_POLICIES
from roleplay_chat.memory.summarizer import _fault


@pytest.mark.parametrize(
    ("failures", "fault"),
    [
        (["moderated"], "text"),
        (["refused_by_model"], "text"),
        (["empty"], "text"),
        (["worker_broken_context"], "text"),
        (["timed_out"], "size"),
        (["context_too_long"], "size"),
        (["cut_off"], "size"),
        (["rate_limited"], None),
        (["no_credit"], None),
        (["server_error"], None),
        (["unreachable"], None),
        (["bad_key"], None),
        (["unreadable"], None),
        (["rate_limited", "refused_by_model"], "text"),
        (["timed_out", "no_credit"], "size"),
        ([], None),
    ],
)
def test_batch_is_at_fault_only_where_a_model_had_it(failures: list[str], fault: Any) -> None:
    target: Any = None
    attempts = [Attempt(target, 1, failure=Failure(ERROR_POLICIES[name])) for name in failures]
    assert _fault(attempts) == fault
