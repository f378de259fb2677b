"""Prints docs/failures.md from the table of error policies.

python -m dev.docs.failures > docs/failures.md
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

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

Printed from the code's own table,
`functions/roleplay_chat/roleplay_chat/generation/error_policies.py`, by
`python -m dev.docs.failures > docs/failures.md`. A test fails when the two differ.

A turn has a list of targets: the model that was asked for, the default, the other models that may
stand in for it, the worker. It asks them one after the other until one answers. What does not
answer is recognised as one of the error policies below, which say what comes next.

- **The same target again.** Where a change helps (a shorter prompt, fewer tokens, fewer
  parameters) the same target is asked once more with that change. Where waiting helps it is asked
  again after the time that it named, or after 0.4, 0.8, 1.6 s: for {patience} s at most while
  another target could be asked at once, else for half of what is left of the turn's time.
- **The next target.** Whoever is on cooldown is skipped.
- **Nobody.** What was refused because of its content is not tried on laxer models. A model that
  declines in its own words and says nothing else has failed, too: one further target of the same
  plan is asked, never one that is open to adult content where the first was not, and whatever
  comes of that, nobody else. A reply that begins as an explicit scene in a turn for everybody is
  asked for once more, more firmly, of a target that is not open to adult content.

**The first visible word decides.** Before it, a failure is invisible but for `usedFallback`,
`fallbackModel`, `notice` and `route` in the answer. After it no other model is asked: what was
shown is kept, the turn is stored as `incomplete`, and the answer says so (JSON: `"incomplete":
true`; stream: an `error` event with the code `reply_incomplete`). `"action": "continue"` carries
the reply on with whichever target answers. A reply is whole when its finish reason was seen.

**Cooldowns.** What failed is put on cooldown: the model, all models of the provider, its free
models, or all that its key pays for. Cooldowns are rows of `model_cooldowns`, so every instance
knows them. The times below are the least; what the upstream names (Retry-After, the reset of a cap)
counts where it is longer. A cooldown is extended and never shortened, grows up to fivefold when the
same thing fails again and again, and ends after {longest} hours at most. When everything is on
cooldown, each target is asked once all the same, in order, before the person is told when to come
back.

**Time.** One budget holds for the whole turn, whoever is asked (90 s). Within it a call has
limits for its connection (5 s), its first token (25 s; keep-alive comments are none, reasoning
is one) and the time between tokens (15 s). The settings change them for all, `timeouts` in a
model's `capabilities` for one.

**What the person reads** is one of our own sentences, never an upstream's. The tables show the one
for a turn in which everybody failed in the same way; failures of different kinds give `503
no_model_available` and "No model can answer right now." *When* is a delay or a time, such as
"in 5 minutes" or "at 00:00 UTC"; Retry-After carries it in seconds.

**What the operator reads** is a line of the log. An **alert** is a line of its own with
`"severity": "ALERT"`: somebody has to act. The name of the error policy is in
`turns.error_code` of a turn that it ended, and in `targets` of each turn's line.
"""

_TITLES: dict[Kind, str] = {
    "rate_limited": "Limits",
    "no_credit": "Money",
    "bad_key": "Keys",
    "moderated": "Refused texts",
    "refused_by_model": "Models that decline",
    "model_gone": "Models that are gone",
    "context_too_long": "Too long",
    "bad_request": "Requests that are not taken",
    "overloaded": "Outages",
    "timeout": "Time",
    "empty": "Empty replies",
    "cut_off": "Replies that break off",
}
_REPAIRS = {
    "trim": "The same target once more with less of the history.",
    "fewer_tokens": "The same target once more for a shorter reply.",
    "more_tokens": "The same target once more for a longer reply.",
    "fewer_parameters": "The same target once more with the prompt and max_tokens alone.",
}
_ON_COOLDOWN: dict[Scope, str] = {
    "request": "",
    "model": "the model",
    "provider": "all models of the provider",
    "free": "all free models of the provider",
    "account": "all that the provider's key pays for",
}
_OTHERS: dict[Scope, str] = {
    "request": "the next target",
    "model": "the next target",
    "provider": "the next target of another provider",
    "free": "the next target that is not free there",
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
    head = ["| error policy | what we do | what the person reads | what the operator reads |"]
    return "\n".join([f"## {title}", "", *head, "|---|---|---|---|", *rows, ""])


def _what_we_do(row: ErrorPolicy) -> str:
    parts = [_REPAIRS[row.repair]] if row.repair else []
    if row.action == "stop":
        parts.append("Nobody else is asked.")
    elif row.action == "one_more":
        parts.append("One further target that is no laxer; then nobody.")
    elif row.action == "firmer":
        parts.append("One target that is not open to adult content, more firmly; then nobody.")
    elif row.action == "retry":
        parts.append(f"The same target again, {_times(row.retries)}; then {_OTHERS[row.scope]}.")
    elif row.action == "worker":
        parts.append(f"The worker if it is healthy, else {_OTHERS[row.scope]}.")
    else:
        others = _OTHERS[row.scope]
        parts.append(f"Then {others}." if row.repair else f"{others.capitalize()}.")
    if row.retries and row.action != "retry":
        parts.append(f"With nobody else to ask: the same again, {_times(row.retries)}.")
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
    sys.stdout.write(document())
