"""The table of everything that can go wrong with a call to a model, and how each case is handled.

docs/failures.md is generated from it. One HTTP status has many causes (429 may concern the whole
account for a day, or one model for a minute), so there are more policies than statuses. The facts
about OpenRouter come from its documentation and from captured responses in
tests/data/openrouter_samples.json.
"""

from datetime import timedelta
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "rate_limited",
    "no_credit",
    "bad_key",
    "moderated",
    "refused_by_model",
    "model_gone",
    "context_too_long",
    "bad_request",
    "overloaded",
    "failed",
    "unreachable",
    "unreadable",
    "timeout",
    "empty",
    "repeated",
    "cut_off",
]
Scope = Literal["request", "model", "provider", "free", "account"]
"""What the failure affects, and the cooldown covers: this request only, the model, every model of
the provider, its free models, or everything that the key pays for."""
Action = Literal["retry", "next", "worker", "one_more", "firmer", "stop"]
"""What comes next: the same target again if the wait is short; the next target; the worker, then
the next; one last target that is not laxer; one last target that is not open to adult content, with
firmer instructions; nothing."""
Repair = Literal[
    "trim", "fewer_tokens", "more_tokens", "fewer_parameters", "stricter_roles", "completion_tokens"
]
"""How the request is changed before the same target is tried again. The last two are remembered for
the model, and so are parameters that the error names."""

MAX_COOLDOWN = timedelta(hours=24)
"""The longest cooldown, even if an upstream asks for more. private.cool_down has the same limit."""
TRY_AGAIN = "No model can answer right now. Please try again {when}."
NO_SCENES = "The reply was stopped: this conversation does not allow explicit scenes."
CANNOT_ANSWER = "The model could not answer. Please try again, or choose another model."


class ErrorPolicy(Struct, frozen=True):
    """One row of the table. `error_classifier` finds the row for a failure."""

    name: str
    kind: Kind
    scope: Scope
    action: Action
    operator: str
    """For the operator: what happened, and what to do, if anything."""
    repair: Repair | None = None
    cooldown: timedelta | None = None
    """How long `scope` is on cooldown if the upstream gives no time; None for no cooldown."""
    alert: bool = False
    """Whether the operator has to act; the failure is then logged as an alert."""
    user: str = TRY_AGAIN
    """What the person reads if this ends the turn. {when} is a time or a delay."""
    retries: int = 0
    """The maximum number of retries at the same target."""


def _minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


_REFUSED = "The model's provider refused this message because of its content rules."

ERROR_POLICIES: dict[str, ErrorPolicy] = {
    row.name: row
    for row in (
        # 429
        ErrorPolicy(
            "free_daily_cap",
            "rate_limited",
            "free",
            "next",
            "The account has used today's free requests; they reset at 00:00 UTC."
            " Buying 10 credits once raises the cap from 50 to 1000 a day.",
            cooldown=timedelta(hours=1),
            alert=True,
            user="Today's free replies are used up. They are back {when}.",
        ),
        ErrorPolicy(
            "free_minute_cap",
            "rate_limited",
            "free",
            "retry",
            "All users together exceeded 20 free requests per minute.",
            cooldown=_minutes(1),
            retries=3,
        ),
        ErrorPolicy(
            "upstream_pool_limited",
            "rate_limited",
            "model",
            "next",
            "The model's provider limits all OpenRouter users who have no key of their own there.",
            cooldown=_minutes(1),
            retries=3,
        ),
        ErrorPolicy(
            "at_capacity",
            "rate_limited",
            "model",
            "next",
            "All providers of the model are at capacity.",
            cooldown=_minutes(1),
            retries=3,
        ),
        ErrorPolicy(
            "rate_limited",
            "rate_limited",
            "model",
            "retry",
            "Rate limited; the response does not say by which limit.",
            cooldown=_minutes(0.5),
            retries=3,
        ),
        # 402
        ErrorPolicy(
            "credit_for_fewer_tokens",
            "no_credit",
            "request",
            "next",
            "The remaining credit only pays for a shorter reply: top up.",
            repair="fewer_tokens",
            alert=True,
        ),
        ErrorPolicy(
            "too_little_credit",
            "no_credit",
            "model",
            "next",
            "The remaining credit only pays for a few words; free models may still answer: top up.",
            cooldown=_minutes(10),
            alert=True,
        ),
        ErrorPolicy(
            "no_credit",
            "no_credit",
            "account",
            "next",
            "The account is out of credit (a negative balance stops free models too): top up.",
            cooldown=_minutes(10),
            alert=True,
        ),
        ErrorPolicy(
            "credit_in_flight",
            "no_credit",
            "request",
            "retry",
            "The credit is reserved by running requests and becomes available again by itself.",
            retries=3,
        ),
        ErrorPolicy(
            "request_exceeds_budget",
            "no_credit",
            "request",
            "next",
            "The requested reply may cost more than the rest of the key's budget.",
            repair="fewer_tokens",
        ),
        ErrorPolicy(
            "provider_without_credit",
            "no_credit",
            "model",
            "next",
            "The model's provider has used up its own budget, not ours.",
            cooldown=_minutes(10),
        ),
        # 401, 403
        ErrorPolicy(
            "bad_key",
            "bad_key",
            "account",
            "next",
            "The provider does not accept our key: it is missing, wrong or revoked.",
            cooldown=_minutes(5),
            alert=True,
        ),
        ErrorPolicy(
            "provider_refuses_key",
            "bad_key",
            "model",
            "next",
            "The model's provider does not accept OpenRouter's key: its own, or one of ours"
            " that is stored there.",
            cooldown=_minutes(10),
        ),
        ErrorPolicy(
            "key_limit",
            "no_credit",
            "account",
            "next",
            "The key, guardrail or workspace has reached its spending limit.",
            cooldown=timedelta(hours=1),
            alert=True,
        ),
        ErrorPolicy(
            "moderated",
            "moderated",
            "request",
            "stop",
            "The provider's moderation refused the text. It is not sent to a less strict model.",
            user=_REFUSED,
        ),
        ErrorPolicy(
            "guardrail",
            "moderated",
            "request",
            "stop",
            "A guardrail of our own workspace blocked the request.",
            user=_REFUSED,
        ),
        ErrorPolicy(
            "agents_only",
            "model_gone",
            "model",
            "next",
            "The free model serves coding agents only: take it out of api_models.",
            cooldown=MAX_COOLDOWN,
            alert=True,
        ),
        ErrorPolicy(
            "region_restricted",
            "model_gone",
            "model",
            "next",
            "The model is not available in the region that we call from.",
            cooldown=timedelta(hours=6),
            alert=True,
        ),
        ErrorPolicy(
            "forbidden",
            "bad_key",
            "model",
            "next",
            "Forbidden; the response gives no reason.",
            cooldown=_minutes(10),
            alert=True,
        ),
        # 404 and 400
        ErrorPolicy(
            "model_gone",
            "model_gone",
            "model",
            "next",
            "The model no longer exists or is no longer free: replace it in api_models."
            " The paid version is never used instead.",
            cooldown=timedelta(hours=6),
            alert=True,
        ),
        ErrorPolicy(
            "data_policy",
            "model_gone",
            "model",
            "next",
            "The account's privacy settings exclude every provider of the model.",
            cooldown=timedelta(hours=1),
            alert=True,
        ),
        ErrorPolicy(
            "no_allowed_provider",
            "bad_request",
            "request",
            "next",
            "The row's `provider` preferences exclude every provider of the model.",
            repair="fewer_parameters",
            alert=True,
        ),
        ErrorPolicy(
            "not_found",
            "model_gone",
            "model",
            "next",
            "Nothing at this address: check base_url and endpoint_path.",
            cooldown=_minutes(10),
            alert=True,
        ),
        ErrorPolicy(
            "redirected",
            "model_gone",
            "model",
            "next",
            "The address is wrong: it redirects to another one. Redirects are not followed;"
            " correct base_url, such as http to https.",
            cooldown=_minutes(10),
            alert=True,
        ),
        ErrorPolicy(
            "model_not_loaded",
            "model_gone",
            "model",
            "next",
            "The server answers but has no model loaded, or not this one: load it there.",
            cooldown=_minutes(2),
            alert=True,
        ),
        ErrorPolicy(
            "context_too_long",
            "context_too_long",
            "request",
            "next",
            "The prompt exceeded the model's context: check capabilities.context_tokens.",
            repair="trim",
            user="The conversation is too long for the available models. Please start a new one.",
        ),
        ErrorPolicy(
            "reply_too_long",
            "bad_request",
            "request",
            "next",
            "max_tokens is more than the model allows: lower it in input_defaults.",
            repair="fewer_tokens",
            user=CANNOT_ANSWER,
        ),
        ErrorPolicy(
            "bad_parameters",
            "bad_request",
            "request",
            "next",
            "The provider does not accept a parameter: check the row's input_defaults.",
            repair="fewer_parameters",
            user=CANNOT_ANSWER,
        ),
        ErrorPolicy(
            "roles_rejected",
            "bad_request",
            "request",
            "next",
            "The model's chat template does not take these roles: set `roles` in its capabilities.",
            repair="stricter_roles",
            user=CANNOT_ANSWER,
        ),
        ErrorPolicy(
            "max_tokens_rejected",
            "bad_request",
            "request",
            "next",
            "The model takes max_completion_tokens only: set it in its capabilities.",
            repair="completion_tokens",
            user=CANNOT_ANSWER,
        ),
        ErrorPolicy(
            "bad_request",
            "bad_request",
            "request",
            "next",
            "The provider rejected the request.",
            user=CANNOT_ANSWER,
        ),
        # 408 and 5xx
        ErrorPolicy(
            "timed_out",
            "timeout",
            "model",
            "worker",
            "No token arrived in time.",
            cooldown=_minutes(0.5),
        ),
        ErrorPolicy(
            "server_error",
            "failed",
            "model",
            "worker",
            "The provider had an internal error.",
            cooldown=_minutes(0.25),
            retries=1,
        ),
        ErrorPolicy(
            "overloaded",
            "overloaded",
            "model",
            "worker",
            "The provider is overloaded or has no backend for the model.",
            cooldown=_minutes(0.5),
            retries=1,
        ),
        ErrorPolicy(
            "edge_error",
            "unreachable",
            "provider",
            "worker",
            "The network in front of the provider answered instead of it.",
            cooldown=_minutes(0.5),
            retries=1,
        ),
        ErrorPolicy(
            "unreachable",
            "unreachable",
            "provider",
            "worker",
            "No connection, or the connection broke before an answer.",
            cooldown=_minutes(0.5),
            retries=1,
        ),
        # 200, but no reply
        ErrorPolicy(
            "unreadable",
            "unreadable",
            "model",
            "next",
            "A successful response without a reply: a web page, other JSON, broken JSON or"
            " nothing. If that persists, check base_url and endpoint_path.",
            retries=1,
        ),
        ErrorPolicy(
            "empty",
            "empty",
            "model",
            "retry",
            "The model returned an empty reply.",
            retries=1,
            user=CANNOT_ANSWER,
        ),
        ErrorPolicy(
            "repeated",
            "repeated",
            "request",
            "retry",
            "The reply was the same as the one before, or repeated itself again and again.",
            retries=1,
        ),
        ErrorPolicy(
            "refused_by_model",
            "refused_by_model",
            "request",
            "one_more",
            "The reply was only a refusal in the model's own words.",
            user="The model declined to write this. Please try different words.",
        ),
        ErrorPolicy(
            "all_reasoning",
            "empty",
            "model",
            "next",
            "The model used max_tokens for reasoning: raise it, or lower the reasoning effort.",
            repair="more_tokens",
            user=CANNOT_ANSWER,
        ),
        ErrorPolicy(
            "cut_off",
            "cut_off",
            "model",
            "next",
            "The reply ended without a finish reason, or with one that does not mean that it is"
            " whole, such as `abort`.",
            retries=1,
            user=CANNOT_ANSWER,
        ),
        # The team's own worker
        ErrorPolicy(
            "worker_broken_context",
            "failed",
            "request",
            "next",
            "The text broke the worker's sampling (inf or nan); other texts work.",
        ),
        ErrorPolicy(
            "worker_out_of_memory",
            "failed",
            "model",
            "next",
            "The memory of the worker or its GPU is full: give it a smaller model or context.",
            cooldown=_minutes(1),
            alert=True,
        ),
        ErrorPolicy(
            "worker_failed",
            "failed",
            "model",
            "next",
            "The worker failed.",
            cooldown=_minutes(0.5),
        ),
        # Our own
        ErrorPolicy(
            "misconfigured",
            "bad_key",
            "request",
            "next",
            "Not called: its key is not set or its address is not allowed.",
            alert=True,
        ),
        ErrorPolicy(
            "policy_minor",
            "moderated",
            "request",
            "stop",
            "The reply broke the hard limit of the content policy. It was stopped and not stored.",
            user="The reply was stopped: sexual content that involves anyone under 18 is never"
            " allowed.",
        ),
        ErrorPolicy(
            "policy_scene_early",
            "moderated",
            "request",
            "firmer",
            "The reply began as an explicit scene in an sfw turn. Nothing was shown.",
            user=NO_SCENES,
        ),
        ErrorPolicy(
            "policy_scene",
            "moderated",
            "request",
            "stop",
            "The reply became an explicit scene in an sfw turn. It was stopped and not stored.",
            user=NO_SCENES,
        ),
    )
}
