"""Prints docs/failures.md from the table of error policies.

python -m dev.docs.failures > docs/failures.md
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dev.options import no_options
from roleplay_chat.generation.error_classifier import Failure
from roleplay_chat.generation.error_policies import (
    ERROR_POLICIES,
    MAX_COOLDOWN,
    ErrorPolicy,
    Kind,
    Scope,
)
from roleplay_chat.generation.failover import PATIENCE_SECONDS
from roleplay_chat.turn_errors import no_answer

FILE = Path(__file__).parents[2] / "docs" / "failures.md"

_INTRODUCTION = """\
# When a model fails

Generated from the table in `functions/roleplay_chat/roleplay_chat/generation/error_policies.py`
by `python -m dev.docs.failures > docs/failures.md`. A test fails if the two differ.

A turn has a list of targets: the requested model, the default model, the fallback models and the
workers. They are asked one after another until one answers. Each failure is matched to one of the
error policies below, which decides the next step.

- **The same target again.** If a change helps (a shorter prompt, fewer tokens, fewer parameters,
  other roles), the same target is asked once more with that change. If waiting helps, it is asked
  again after the time it named, or after 0.4, 0.8, 1.6 s. The total wait is at most {patience} s if
  another target is available, otherwise half of the turn's remaining time.
- **The next target.** Targets on cooldown are skipped.
- **No target.** A text refused for its content is not sent to less strict models. A reply that is
  only a refusal in the model's own words also counts as a failure. Then one more target of the
  same plan is asked, never one that allows adult content if the first does not, and no other
  after that. A reply that begins as an explicit scene in an `sfw` turn is requested once more,
  with a stricter prompt, from a target that does not allow adult content.

**The first visible word decides.** An earlier failure is visible only in `usedFallback`,
`fallbackModel`, `notice` and `route` of the response. After the first word no other model is
asked: the text shown is kept, the turn is stored as `incomplete`, and the response says so (JSON:
`"incomplete": true`; stream: an `error` event with the code `reply_incomplete`). `"action":
"continue"` continues the reply with any target that answers. A reply is complete when its finish
reason was received.

**Cooldowns.** A failure puts the model, all models of the provider, its free models, or
everything that its key pays for on cooldown. Cooldowns are rows of `model_cooldowns`, so all
instances share them. The times below are minimums; a longer time named by the upstream
(Retry-After, the reset of a cap) takes precedence. A cooldown can be extended but not shortened,
grows up to fivefold if the same failure repeats, and ends after {longest} hours at most. If all
targets are on cooldown, each is still asked once, in order, before the user is told when to try
again.

**Time.** One budget covers the whole turn with all its targets (90 s). Within it, each call has
limits for the connection (5 s), the first token (25 s; reasoning counts as a token, keep-alive
comments do not) and the time between tokens (15 s). The settings change them for all models,
`timeouts` in a model's `capabilities` for one. While other targets are left, the first token gets
at most half of the time that is left, so that a slow target leaves time for them.

The **user message** is one of our own sentences, never an upstream's. The tables show the sentence
for a turn in which all targets failed in the same way. After different failures it is `503
no_model_available` and "No model can answer right now." *When* is a delay or a time, such as "in
5 minutes" or "at 00:00 UTC"; Retry-After has the same time in seconds.

The **operator message** is a log line. An **alert** is a separate line with `"severity": "ALERT"`:
an operator has to act. The name of the error policy is in `turns.error_code` of a turn that it
ended, and in `targets` of each turn's log line.
"""

_TITLES: dict[Kind, str] = {
    "rate_limited": "Limits",
    "no_credit": "Credit",
    "bad_key": "Keys",
    "moderated": "Refused texts",
    "refused_by_model": "Models that decline",
    "model_gone": "Models that are gone",
    "context_too_long": "Prompts that are too long",
    "bad_request": "Rejected requests",
    "overloaded": "Overload",
    "failed": "Failures of a server",
    "unreachable": "Servers that cannot be reached",
    "unreadable": "Answers without a reply",
    "timeout": "Timeouts",
    "empty": "Empty replies",
    "repeated": "Replies that repeat",
    "cut_off": "Replies that break off",
}
_REPAIRS = {
    "trim": "The same target once more with a shorter history.",
    "fewer_tokens": "The same target once more for a shorter reply.",
    "more_tokens": "The same target once more for a longer reply.",
    "fewer_parameters": "The same target again without the parameters that the error names, which"
    " is remembered for the model; if it names none, with only the prompt and max_tokens.",
    "stricter_roles": "The same target again with its messages in a stricter form, which is"
    " remembered for the model.",
    "completion_tokens": "The same target once more with max_completion_tokens, which is"
    " remembered for the model.",
}
_ON_COOLDOWN: dict[Scope, str] = {
    "request": "",
    "model": "the model",
    "provider": "all models of the provider",
    "free": "all free models of the provider",
    "account": "everything that the provider's key pays for",
}
_OTHERS: dict[Scope, str] = {
    "request": "the next target",
    "model": "the next target",
    "provider": "the next target of another provider",
    "free": "the next target that is not one of its free models",
    "account": "the next target of another provider",
}


def document() -> str:
    """The text of docs/failures.md."""
    introduction = _INTRODUCTION.format(
        patience=f"{PATIENCE_SECONDS:g}", longest=f"{MAX_COOLDOWN / timedelta(hours=1):g}"
    )
    tables = [_table(kind, title) for kind, title in _TITLES.items()]
    return "\n".join([introduction, *tables])


def _table(kind: Kind, title: str) -> str:
    rows = [
        f"| `{row.name}` | {_what_we_do(row)} | {_person(row)} | {_operator(row)} |"
        for row in ERROR_POLICIES.values()
        if row.kind == kind
    ]
    head = ["| error policy | action | user message | operator message |"]
    return "\n".join([f"## {title}", "", *head, "|---|---|---|---|", *rows, ""])


def _what_we_do(row: ErrorPolicy) -> str:
    parts = [_REPAIRS[row.repair]] if row.repair else []
    if row.action == "stop":
        parts.append("No other target is asked.")
    elif row.action == "one_more":
        parts.append("One more target that is no less strict; then none.")
    elif row.action == "firmer":
        parts.append(
            "One target that does not allow adult content, with a stricter prompt; then none."
        )
    elif row.action == "retry":
        parts.append(f"The same target again, {_times(row.retries)}; then {_OTHERS[row.scope]}.")
    elif row.action == "worker":
        parts.append(f"Healthy workers first, then {_OTHERS[row.scope]}.")
    else:
        others = _OTHERS[row.scope]
        parts.append(f"Then {others}." if row.repair else f"{others.capitalize()}.")
    if row.retries and row.action != "retry":
        parts.append(f"If no other target is left: the same again, {_times(row.retries)}.")
    if row.cooldown:
        parts.append(f"Cooldown: {_ON_COOLDOWN[row.scope]}, {_duration(row.cooldown)}.")
    return " ".join(parts)


def _person(row: ErrorPolicy) -> str:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    told = no_answer([Failure(row)], now, now)
    return f"{row.user.format(when='*when*')} ({told.status} `{told.code}`)"


def _operator(row: ErrorPolicy) -> str:
    return f"**Alert.** {row.operator}" if row.alert else row.operator


def _times(n: int) -> str:
    return "once" if n == 1 else f"up to {n} times"


def _duration(time: timedelta) -> str:
    for unit, name in (
        (timedelta(hours=1), "h"),
        (timedelta(minutes=1), "min"),
        (timedelta(seconds=1), "s"),
    ):
        if time >= unit and time % unit == timedelta():
            return f"{time // unit} {name}"
    return f"{time.total_seconds():g} s"


if __name__ == "__main__":
    no_options("dev.docs.failures", __doc__)
    sys.stdout.write(document())
