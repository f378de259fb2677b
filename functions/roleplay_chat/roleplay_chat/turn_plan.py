"""Plans an accepted turn: the content tier, which targets to try, and which memory it may use.
Pure."""

import time
from dataclasses import replace
from functools import cached_property
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from roleplay_chat.api import ChatRequest, ModelChoice, Tier
from roleplay_chat.content_tier import content_tier
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Candidates, Plan, plan
from roleplay_chat.generation.targets import Target, model_target, worker_target
from roleplay_chat.memory.embedder import Query
from roleplay_chat.memory.suitability import for_tier, unread_memory
from roleplay_chat.memory.weighing import chars_to_weigh, weighed
from roleplay_chat.messages import Cast
from roleplay_chat.prompt.composition import Ingredients
from roleplay_chat.prompt.greeting import MODEL_USED
from roleplay_chat.prompt.group_chat import build_cast
from roleplay_chat.prompt.macros import user_name
from roleplay_chat.rows import BegunTurn
from roleplay_chat.time_zones import parse_time_zone

NO_ADULT_MODEL = (
    "No model for adult content is available now, so the reply is suitable for everybody."
)
WORDS_OF_MESSAGES = 20
"""The messages whose words a continuation is compared with."""
UNREAD_AT_ONCE_CHARS = 2_000
"""How many characters of memory from adult turns are read on the event loop. Words in disguise take
up to 14 milliseconds for 1,000 characters, others three."""
WEIGHED_AT_ONCE_CHARS = 5_000
"""How many characters of facts are compared on the event loop. A thousand characters that were not
read before take up to five milliseconds."""


class Accepted(Struct, frozen=True, dict=True):
    """A turn that the database has begun: its rows, the request and the user."""

    begun: BegunTurn
    request: ChatRequest
    user_id: UUID
    request_id: str
    shows_at_once: bool = True
    """Whether the person sees the reply as it streams, not only when it is complete."""
    keeps_text: bool = True
    """Whether the reply's text is saved. Programs that name no conversation keep it themselves."""
    query: Query | None = None
    """The call for the embedding of the message, if there was one."""
    started: float = field(default_factory=time.monotonic)
    """On the monotonic clock, in seconds."""

    @cached_property
    def ids(self) -> dict[str, Any]:
        """The ids of the turn for the log."""
        return {
            "request_id": self.request_id,
            "turn_id": str(self.begun.turn.id),
            "user_id": str(self.user_id),
        }

    @cached_property
    def character_id(self) -> str | None:
        """The speaker's id."""
        return str(self.begun.character.id) if self.begun.character else None

    def elapsed_ms(self) -> int:
        """Milliseconds since the turn began."""
        return round((time.monotonic() - self.started) * 1000)


class Planned(Struct, frozen=True):
    """How a turn will be answered. `begun` has only the memory that the tier allows."""

    tier: Tier
    allowed: Tier
    """The tier that the content policy allows. `tier` may be lower if no model is available."""
    plan: Plan
    begun: BegunTurn
    cast: Cast
    tier_notice: str | None = None
    """Why the turn does not have the adult tier that was requested."""

    @property
    def first(self) -> Target | None:
        """The target that is tried first."""
        return next(iter((*self.plan.targets, *self.plan.last_resort)), None)

    @property
    def measure(self) -> Target | None:
        """The target whose prompts decide when notes are due: the one that is tried first, or the
        one that it stands in for, whichever has longer prompts. Messages that were noted leave the
        history, so a few minutes with a small model must not shorten the history of a large one."""
        known = [target for target in (self.first, self.plan.usual) if target]
        return max(known, key=lambda target: RequestShape.for_target(target).budget, default=None)

    @property
    def last_reply(self) -> str:
        """The speaker's last message, which the reply should not repeat; empty for a
        continuation."""
        character = self.begun.character
        if character is None or self.cast.impersonates or self.begun.turn.continues is not None:
            return ""
        said = (row for row in reversed(self.begun.history) if row.sender == "character")
        own = (row.content for row in said if row.character_id in (None, character.id))
        return next(own, "")

    @property
    def said_before(self) -> str:
        """The newest messages before the reply that is continued; empty for other turns."""
        if self.begun.turn.continues is None:
            return ""
        return "\n".join(row.content for row in self.begun.history[-1 - WORDS_OF_MESSAGES : -1])

    def spare(self, made_of: Ingredients) -> int:
        """How many tokens the history may grow by before it may not fit as a whole in a prompt for
        any model or worker; 0 if messages are left out or summarised. Half of the shortest prompt
        is left for everything else that may grow, and for models that count more tokens."""
        begun = made_of.begun
        if begun.is_cut or begun.memory is None or begun.memory.covers_position:
            return 0
        workers = (worker_target(worker) for worker in begun.workers if worker.url)
        targets = [*map(model_target, begun.models), *workers]
        shortest = min(RequestShape.for_target(target).budget for target in targets)
        return max(shortest // 2 - made_of.others - made_of.history_cost, 0)

    def chosen(self, target: Target) -> ModelChoice:
        """What the client learns about the target that answers."""
        used_fallback = self.plan.used_fallback(target)
        return ModelChoice(
            model_used=target.name,
            used_fallback=used_fallback,
            fallback_model=target.picker_key if used_fallback else None,
            notice=" ".join(filter(None, (self.plan.notice(target), self.tier_notice))) or None,
        )

    @property
    def greeted(self) -> ModelChoice:
        """What the client learns when the author's greeting answers."""
        return ModelChoice(MODEL_USED, notice=self.tier_notice)


class Decided(Struct, frozen=True):
    """A turn's tier and targets, before its memory is read."""

    accepted: Accepted
    tier: Tier
    allowed: Tier
    plan: Plan
    tier_notice: str | None

    @property
    def is_quick(self) -> bool:
        """Whether `planned` has so little to read that no thread is needed."""
        begun = self.accepted.begun
        if chars_to_weigh(begun.facts) > WEIGHED_AT_ONCE_CHARS:
            return False
        return unread_memory(begun, self.tier) <= UNREAD_AT_ONCE_CHARS

    def planned(self) -> Planned:
        """The plan, with the memory that the tier allows."""
        begun, request = self.accepted.begun, self.accepted.request
        begun = _with_local_days(_weighed(for_tier(begun, self.tier)), request.time_zone)
        cast = build_cast(begun, impersonates=request.action == "impersonate")
        return Planned(self.tier, self.allowed, self.plan, begun, cast, self.tier_notice)


def plan_turn(accepted: Accepted) -> Planned:
    """Decide how to answer a turn, and choose its memory."""
    return decide(accepted).planned()


def decide(accepted: Accepted) -> Decided:
    """Decide the tier and the targets: `sfw` if no model may be used for the adult tier."""
    begun, request = accepted.begun, accepted.request
    allowed, tier_notice = content_tier(
        request.content_tier,
        user=begun.user,
        conversation=begun.conversation,
        character=begun.character,
        persona=begun.persona,
        others=[*begun.others, *begun.cast],
    )
    tier: Tier = allowed
    candidates = Candidates.from_turn(begun, tier)
    targets = plan(request.model_provider, candidates)
    if tier == "nsfw" and not (targets.targets or targets.last_resort):
        tier, tier_notice = "sfw", NO_ADULT_MODEL
        targets = plan(request.model_provider, candidates._replace(tier=tier))
    return Decided(accepted, tier, allowed, targets, tier_notice)


def _weighed(begun: BegunTurn) -> BegunTurn:
    if not begun.facts:
        return begun
    return begun.model_copy(update={"facts": weighed(begun.facts, user_name(begun))})


def _with_local_days(begun: BegunTurn, time_zone: str | None) -> BegunTurn:
    """The turn with the times of recalled messages and facts in the person's time zone, so that a
    prompt shows the person's local day."""
    if time_zone is None:
        return begun
    zone = parse_time_zone(time_zone)
    recalled = [
        replace(row, said_at=row.said_at.astimezone(zone)) if row.said_at else row
        for row in begun.recalled
    ]
    facts = [
        fact.model_copy(update={"since": fact.since.astimezone(zone)}) if fact.since else fact
        for fact in begun.facts
    ]
    return begun.model_copy(update={"recalled": recalled, "facts": facts})
