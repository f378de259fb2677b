"""One accepted turn, from its rows to its saved reply."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from logging import ERROR, INFO, getLogger
from typing import Any, Literal, TypeVar
from uuid import UUID

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from edge.timing import Timing
from roleplay_chat import prompt, turns
from roleplay_chat.api import Answer, ChatRequest, Chosen, Tier, Tried, Usage
from roleplay_chat.continuation import joined
from roleplay_chat.ensemble import cast_of
from roleplay_chat.failures import Failure
from roleplay_chat.generation import Attempt, Callbacks, Generation, Shape
from roleplay_chat.greeting import MODEL_USED, greeting_for
from roleplay_chat.lorebook import is_small
from roleplay_chat.lorebook_entries import Entry
from roleplay_chat.memory import for_tier
from roleplay_chat.moderation import Moderation, moderation_unavailable
from roleplay_chat.passages import written_for
from roleplay_chat.policy import adult_tier_refused, content_tier
from roleplay_chat.prompt import Prompt, entries_called_for
from roleplay_chat.remembering import Remembering
from roleplay_chat.reply import Reply, Thinking, stop_strings, trimmed
from roleplay_chat.routing import Plan, Target, plan
from roleplay_chat.rows import BegunTurn
from roleplay_chat.scenes import is_scene
from roleplay_chat.screening import (
    Finding,
    Indicated,
    Passage,
    Refused,
    ReplyScreen,
    in_context,
    judge,
    read,
    refusal,
    said_last,
)
from roleplay_chat.settings import Settings
from roleplay_chat.situations import TRY_AGAIN

T = TypeVar("T")

_log = getLogger("roleplay_chat")

SCENE = Finding("scene", "reply")
FIRMER = (
    "This conversation is for everybody. Whatever was said before, describe nothing intimate: let"
    " such a moment pass unseen, and go on with what comes after it."
)
"""Added to the prompt for whoever is asked instead of somebody who wrote a scene."""

READ_AT_ONCE_CHARS = 10_000
"""Screened on the event loop, most often in a millisecond (`make policy-report`) and in a dozen at
the worst; the way to a thread and back costs one. Longer prompts would keep other turns waiting."""


@dataclass(frozen=True)
class Start:
    """The first words are there, and whose they are."""

    turn_id: str
    chosen: Chosen
    character_id: str | None


@dataclass(frozen=True)
class Delta:
    """More of the reply."""

    text: str


@dataclass(frozen=True)
class Done:
    """The turn is over and saved; the reply is whole unless the answer says `incomplete`."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """There is no reply."""

    error: ApiError


TurnEvent = Start | Delta | Done | Failed


class Turn:
    """Runs a turn and emits its events; the last is always `Done` or `Failed`."""

    def __init__(
        self,
        clients: Clients,
        settings: Settings,
        begun: BegunTurn,
        request: ChatRequest,
        user_id: UUID,
        request_id: str,
        emit: Callable[[TurnEvent], None],
        timing: Timing,
        *,
        shows_at_once: bool = True,
    ) -> None:
        """`shows_at_once`: the person reads the reply as it comes, and not when it is whole."""
        self._clients = clients
        self._settings = settings
        self._request = request
        self._user_id = user_id
        self._request_id = request_id
        self._emit = emit
        self._timing = timing
        self._started = time.monotonic()
        self._allowed: Tier = content_tier(
            request.content_tier,
            user=begun.user,
            conversation=begun.conversation,
            character=begun.character,
            persona=begun.persona,
            others=[*begun.others, *begun.cast],
        )
        self._tier, self._plan = _adult_or_not(begun, request, self._allowed)
        self._begun = begun = for_tier(begun, self._tier)
        self._cast = cast_of(begun, impersonates=request.action == "impersonate")
        self._generation = Generation(
            http=clients.http(),
            settings=settings,
            tier=self._tier,
            extras=_openrouter_extras(user_id, request.conversation_id),
            stop=stop_strings(self._cast),
            shows_at_once=shows_at_once,
        )
        self._generating: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[turns.Saved | None] | None = None
        self._stopped = False
        self._moderation = Moderation(clients.http(), settings, begun)
        extras = _openrouter_extras(user_id, None)
        self._memory = Remembering(
            clients, settings, begun, request, self._tier, extras, self._ids()
        )
        self._lore: Sequence[Entry] = ()
        self._written: list[Indicated] = []
        """What is written for the turn indicates."""
        self._indicated: list[Indicated] = []
        """The same with the prompt that was built last."""
        self._said_last = ""
        """What a reply to that prompt comes after."""
        self._built: tuple[tuple[Target, Shape, str], Prompt] | None = None
        self._finding: Finding | None = None
        self._greeting: str | None = None
        self._unfit: Finding | None = None  # the author's greeting, where it was not given
        self._refusal: ApiError | None = None
        self._first_text_ms: int | None = None

    async def run(self) -> None:
        """Generate, save, tell. Raises nothing: nobody is there to catch it."""
        try:
            try:
                await self._examine()
            except Exception:
                # A fault of ours. What was not examined is not sent, and the turn is closed.
                _log.exception("examination failed", extra={"fields": self._ids()})
                self._refusal = internal_error()
            if self._refusal is None:
                self._greet()
            if self._greeting is None and self._refusal is None:
                with self._timing.measure("model"):
                    await self._generate()
            event = await self._end()
        except Exception:
            _log.exception("turn failed", extra={"fields": self._ids()})
            event = Failed(internal_error())
        self._emit(event)
        try:
            await self._save_late()
            await self._memory.save_late(lambda attempt: _usage_row(attempt, "memory"))
        finally:
            await self._memory.drop()

    def stop(self) -> None:
        """End the reply where it stands and save it as stopped."""
        self._stopped = True
        if self._generating:
            self._generating.cancel()

    async def _examine(self) -> None:
        """Refuse what the content policy does not allow, before any model reads it."""
        not_given = self._request.content_tier == "nsfw" and self._allowed == "sfw"
        if not_given and self._settings.adult_tier_refusal == "refuse":
            self._refusal = adult_tier_refused(self._begun.user)
            return
        try:
            self._greeting = await self._examined()
        except Refused as refused:
            self._finding = refused.finding
            self._refusal = refusal(refused.finding)
        except ApiError as error:
            self._refusal = error

    async def _examined(self) -> str | None:
        """The greeting that answers the turn, if one does. Raises `Refused`, or `ApiError`."""
        begun, request = self._begun, self._request
        self._lore = await self._off_loop_unless(
            _has_small_book(begun), entries_called_for, begun, request
        )
        self._written = await self._read(written_for(begun, request, self._lore))
        self._judge(self._written)
        built = Prompt()
        if first := self._first:
            built = await self._prompt_for(first, Shape.of(first.context_tokens, first.max_tokens))
        if begun.turn.message and not _is_whole(begun.turn.message, built):
            # It is kept, and may be sent whole to another model or in a later turn.
            self._written += await self._read([Passage("message", begun.turn.message)])
            self._judge([*self._indicated, *self._written])
        if self._is_scene(begun.turn.continues):
            raise Refused(SCENE)
        greeting = await self._fit_greeting()
        if self._moderation.is_configured:
            await self._moderate([*(message["content"] for message in built), greeting or ""])
        return greeting

    async def _fit_greeting(self) -> str | None:
        """The author's greeting, where there is one and it may be shown in this tier."""
        greeting = greeting_for(self._begun, self._request)
        if greeting is not None:
            self._judge([*self._indicated, *await self._read([Passage("character", greeting)])])
        if not self._is_scene(greeting):
            return greeting
        if self._request.greeting is not None:
            raise Refused(SCENE)
        self._unfit = SCENE
        return None

    @property
    def _first(self) -> Target | None:
        """Who is asked first."""
        return next(iter((*self._plan.targets, *self._plan.last_resort)), None)

    async def _read(self, passages: Sequence[Passage]) -> list[Indicated]:
        chars = sum(len(passage.text) for passage in passages)
        return await self._off_loop_unless(chars <= READ_AT_ONCE_CHARS, read, passages)

    async def _off_loop_unless(
        self, is_quick: bool, function: Callable[..., T], *arguments: object
    ) -> T:
        if is_quick:
            return function(*arguments)
        return await self._clients.in_thread(function, *arguments)

    def _judge(self, indicated: Sequence[Indicated]) -> None:
        if finding := judge(indicated, self._tier):
            raise Refused(finding)

    async def _moderate(self, texts: Sequence[str]) -> None:
        flagged = await self._moderation.flags(texts)
        if flagged:
            raise Refused(Finding("classifier", "message"))
        if flagged is None:
            _log.error("moderation unavailable", extra={"fields": self._ids()})
            # Fail closed for adults, open for everybody: docs/content-policy.md says why.
            if self._tier == "nsfw":
                raise moderation_unavailable()

    def _greet(self) -> None:
        """Open the conversation in the author's words, where there are any."""
        if self._greeting is not None:
            self._emit(self._start(Chosen(MODEL_USED)))
            self._emit(Delta(self._greeting))

    def _is_scene(self, text: str | None) -> bool:
        """Whether it is an explicit scene, and this is a turn for everybody."""
        return self._tier == "sfw" and bool(text) and is_scene(text or "")

    async def _generate(self) -> None:
        if self._stopped:
            return
        if self._begun.free_only and not (self._plan.targets or self._plan.last_resort):
            self._refusal = spend_limit_reached(self._begun.now)
            return
        callbacks = Callbacks(self._prompt_for, self._reply_for, self._on_text)
        self._generating = asyncio.create_task(
            self._generation.run(self._plan, callbacks, instead_of=self._unfit)
        )
        self._memory.begin(self._first, self._indicated, self._lore)
        try:
            await self._generating
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        except Exception:
            # A fault of ours. The turn has to be closed all the same.
            _log.exception("generation failed", extra={"fields": self._ids()})

    async def _prompt_for(self, target: Target, shape: Shape) -> Prompt:
        """The prompt for a target, judged as it is sent. Raises `Refused`."""
        rule = FIRMER if self._generation.firmly else ""
        wanted = target, shape, rule
        if self._built is None or self._built[0] != wanted:
            built = prompt.build(
                self._begun,
                self._request,
                self._tier,
                family=target.family,
                context_tokens=shape.context_tokens - (target.tokens.count(rule) if rule else 0),
                max_tokens=shape.max_tokens,
                tokens=target.tokens,
                lore=self._lore,
            )
            passages = in_context(built.passages)
            self._said_last = said_last(passages)
            self._indicated = [*self._written, *await self._read(passages)]
            self._judge(self._indicated)
            self._built = wanted, prompt.with_rule(built, rule) if rule else built
        return self._built[1]

    def _reply_for(self, target: Target) -> Reply:
        screen = ReplyScreen(
            self._indicated,
            self._tier,
            follows=self._said_last,
            continues=self._begun.turn.continues or "",
        )
        thinking: Thinking = "leading" if target.thinks_first else "tagged"
        return Reply(self._cast, thinking=thinking, screen=screen)

    def _on_text(self, target: Target, text: str) -> None:
        if self._generation.text == text:
            self._first_text_ms = self._elapsed_ms()
            self._emit(self._start(self._chosen(target)))
        self._emit(Delta(text))

    def _start(self, chosen: Chosen) -> Start:
        return Start(str(self._begun.turn.id), chosen, self._character_id)

    @property
    def _character_id(self) -> str | None:
        return _text(self._begun.character.id if self._begun.character else None)

    async def _end(self) -> TurnEvent:
        target = self._generation.target
        answer = self._answer(target) if target else self._greeted()
        if answer is None:
            await self._memory.drop()
        self._saving = asyncio.create_task(self._save(answer))
        with self._timing.measure("save"):
            await asyncio.wait({self._saving}, timeout=self._settings.save_patience_seconds)
        saved = self._saving.result() if self._saving.done() else None
        self._log_line(saved is not None)
        if answer is None:
            return Failed(self._no_answer())
        if saved is None:
            return Done(replace(answer, saved=False))
        return Done(
            replace(answer, message_id=saved.message_id, memory_updated=saved.memory_updated)
        )

    async def _save(self, answer: Answer | None) -> turns.Saved | None:
        """Close the turn, trying for as long as its lease holds."""
        kept = await self._memory.to_save()  # first: what is over by then is accounted for here
        end = replace(self._turn_end(answer), memory=kept)
        seconds = self._settings.lease_seconds - self._elapsed_ms() / 1000
        try:
            return await turns.finish(self._clients, end, seconds=seconds)
        except Exception:
            _log.exception("turn cannot be saved", extra={"fields": self._ids()})
        # What the database refused it will refuse again. The conversation at least is set free,
        # whatever it was that could not be saved.
        for usage in (end.usage, ()):
            columns = {"error_code": "not_saved"}
            end = turns.TurnEnd(end.turn_id, "failed", None, columns, {}, end.memory_tier, usage)
            try:
                await turns.finish(self._clients, end, seconds=seconds)
            except Exception:
                _log.exception("turn cannot be closed", extra={"fields": self._ids()})
            else:
                break
        return None

    async def _save_late(self) -> None:
        """Go on saving what was given as not saved.

        Where processor time is given to requests alone this may never run: then the turn is
        closed as abandoned, and the same request is answered anew.
        """
        if self._saving and not self._saving.done():
            saved = await self._saving
            level = INFO if saved else ERROR
            _log.log(
                level, "turn saved late", extra={"fields": self._ids() | {"saved": bool(saved)}}
            )

    def _answer(self, target: Target) -> Answer:
        last = self._generation.attempts[-1]
        text = self._generation.text
        if last.end and last.end.finish_reason == "length":
            text = trimmed(text)
        if self._begun.turn.continues is not None:
            text = joined(self._begun.turn.continues, text)
        return Answer(
            response=text,
            turn_id=str(self._begun.turn.id),
            request_id=self._request_id,
            processing_time=self._elapsed_ms(),
            content_tier=self._tier,
            character_id=self._character_id,
            finish_reason=last.end.finish_reason if last.end else None,
            incomplete=last.failure is not None,
            user_message_id=_text(self._begun.turn.user_message_id),
            usage=last.used,
            route=[
                Tried(attempt.target.name, attempt.outcome, attempt.duration_ms)
                for attempt in self._generation.attempts
            ],
            chosen=self._chosen(target),
        )

    def _greeted(self) -> Answer | None:
        if self._greeting is None:
            return None
        return Answer(
            response=self._greeting,
            turn_id=str(self._begun.turn.id),
            request_id=self._request_id,
            processing_time=self._elapsed_ms(),
            content_tier=self._tier,
            character_id=self._character_id,
            finish_reason="stop",
            chosen=Chosen(MODEL_USED),
        )

    @property
    def attempts(self) -> list[Attempt]:
        """Every call to a model so far."""
        return self._attempts

    @property
    def _attempts(self) -> list[Attempt]:
        return [*self._moderation.attempts, *self._generation.attempts]

    def _status(self, answer: Answer | None) -> str:
        if answer is None:
            return "failed"
        if answer.incomplete:
            return "stopped" if self._stopped else "incomplete"
        return "complete"

    def _turn_end(self, answer: Answer | None) -> turns.TurnEnd:
        usage = answer.usage if answer else Usage()
        return turns.TurnEnd(
            turn_id=self._begun.turn.id,
            status=self._status(answer),
            reply=answer.response if answer else None,
            columns={
                "content_tier": self._tier,
                "model_used": answer.chosen.model_used if answer else None,
                "finish_reason": answer.finish_reason if answer else None,
                "error_code": self._error_code(),
                "duration_ms": self._elapsed_ms(),
                **vars(usage),
            },
            result=answer.metadata() if answer else self._refused_for(),
            memory_tier=self._request.memory_tier or "conversation",
            usage=[
                *(_usage_row(attempt, "moderation") for attempt in self._moderation.attempts),
                *(_usage_row(attempt, "reply") for attempt in self._generation.attempts),
                *(_usage_row(attempt, "memory") for attempt in self._memory.attempts),
            ],
            cooldowns=[row.model_dump(mode="json") for row in self._generation.cooldowns],
        )

    def _refused_for(self) -> dict[str, Any]:
        """What is kept of a refusal: why and which part, never what was written."""
        finding = self._finding or self._generation.finding
        return {"refused": vars(finding)} if finding else {}

    def _error_code(self) -> str | None:
        if refused := self._refused_for():
            return "policy_scene" if refused["refused"]["category"] == "scene" else "policy_minor"
        if self._stopped:
            return "stopped"
        if self._refusal is not None:
            return self._refusal.code
        failure = self._generation.failure
        return failure.situation.name if failure else None

    def _chosen(self, target: Target) -> Chosen:
        used_fallback = self._plan.used_fallback(target)
        return Chosen(
            model_used=target.name,
            used_fallback=used_fallback,
            fallback_model=target.picker_key if used_fallback else None,
            notice=self._plan.notice(target),
        )

    def _no_answer(self) -> ApiError:
        if self._refusal is not None:
            return self._refusal
        if self._generation.finding is not None:
            return refusal(self._generation.finding)
        failures = [a.failure for a in self._generation.attempts if a.failure]
        rests = [row.until for row in (*self._begun.cooldowns, *self._generation.cooldowns)]
        now = datetime.now(UTC)
        return no_answer(failures, min(rests, default=now + timedelta(minutes=1)), now)

    def _log_line(self, saved: bool) -> None:
        for attempt in self._attempts:
            if attempt.failure and attempt.failure.situation.alert:
                self._alert(attempt.target, attempt.failure)
        fields = (
            self._ids()
            | {
                "task": self._request.task,
                "action": self._request.action,
                "tier": self._tier,
                "targets": [_log_entry(attempt) for attempt in self._attempts],
                "ms": self._elapsed_ms(),
                "first_text_ms": self._first_text_ms,
                "saved": saved,
            }
            | _spent(self._attempts)
        )
        if refused := self._refused_for():
            _log.warning("content refused", extra={"fields": fields | refused["refused"]})
        decided = self._greeting or self._refusal or refused or self._stopped
        as_wished = self._generation.target or decided
        level = INFO if saved and as_wished else ERROR
        _log.log(level, "turn finished", extra={"fields": fields})

    def _alert(self, target: Target, failure: Failure) -> None:
        """Somebody has to act, and this line says what to do."""
        situation = failure.situation
        fields = {"severity": "ALERT", "situation": situation.name, "target": target.name}
        _log.critical(situation.operator, extra={"fields": self._ids() | fields})

    def _ids(self) -> dict[str, Any]:
        return {
            "request_id": self._request_id,
            "turn_id": str(self._begun.turn.id),
            "user_id": str(self._user_id),
        }

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


def _has_small_book(begun: BegunTurn) -> bool:
    book = begun.character.character_book if begun.character else None
    return not book or is_small(book)


def _is_whole(message: str, built: Prompt) -> bool:
    """Whether the prompt has all of the person's message, which it ends with."""
    return bool(built) and built[-1]["content"].endswith(message)


def _adult_or_not(begun: BegunTurn, request: ChatRequest, allowed: Tier) -> tuple[Tier, Plan]:
    """The tier and its plan: `sfw` where no model allows the adult tier."""
    tiers: tuple[Tier, ...] = ("nsfw", "sfw") if allowed == "nsfw" else ("sfw",)
    for tier in tiers:
        planned = plan(
            request.model_provider,
            models=begun.models,
            worker=begun.worker,
            cooldowns=begun.cooldowns,
            tier=tier,
            now=begun.now,
            free_only=begun.free_only,
        )
        if planned.targets or planned.last_resort:
            break
    return tier, planned


def no_answer(failures: list[Failure], next_chance: datetime, now: datetime) -> ApiError:
    """What the person is told when nobody answered: the failure that matters most to them."""
    situations = [failure.situation for failure in failures]
    refused = next((s for s in situations if s.action in ("stop", "one_more", "firmer")), None)
    if refused:
        return ApiError(403, "content_refused", refused.user)
    capped = next((f for f in failures if f.situation.name == "free_daily_cap"), None)
    same = situations[0] if len({s.name for s in situations}) == 1 else None
    if capped:
        next_chance = capped.rests_until(now) or next_chance
    sentence = capped.situation.user if capped else same.user if same else TRY_AGAIN
    if same and same.kind == "context_too_long":
        return ApiError(422, "conversation_too_long", sentence)
    wait = max((next_chance - now).total_seconds(), 1)
    code = "free_limit_reached" if capped else "no_model_available"
    return ApiError(503, code, sentence.format(when=_when(next_chance, wait)), retry_after=wait)


def spend_limit_reached(now: datetime) -> ApiError:
    """What the person is told when the day's money is spent and no free model is there."""
    tomorrow = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow += timedelta(days=1)
    return ApiError(
        429,
        "spend_limit_reached",
        "Today's budget for replies is used up. Please come back after 00:00 UTC.",
        retry_after=(tomorrow - now).total_seconds(),
    )


def _when(moment: datetime, seconds: float) -> str:
    if seconds > 3600:
        return f"at {moment:%H:%M} UTC"
    minutes = -(-seconds // 60)
    return "in a minute" if minutes <= 1 else f"in {minutes:.0f} minutes"


def _openrouter_extras(user_id: UUID, conversation_id: UUID | None) -> dict[str, Any]:
    """Who asks, without saying who: or one person's misuse could block the whole account."""
    extras: dict[str, Any] = {
        "user": hashlib.sha256(user_id.bytes).hexdigest()[:32],
        # We trim ourselves; left on, it would drop the middle of the history unasked.
        "plugins": [{"id": "context-compression", "enabled": False}],
    }
    if conversation_id:
        # Turns of one conversation go to the same provider, whose prompt cache is then warm.
        extras["session_id"] = hashlib.sha256(conversation_id.bytes).hexdigest()[:32]
    return extras


def _usage_row(
    attempt: Attempt, purpose: Literal["reply", "memory", "moderation"]
) -> dict[str, Any]:
    return {
        "purpose": purpose,
        "provider": attempt.target.provider,
        "model_key": attempt.target.model_key,
        "outcome": attempt.outcome,
        **(vars(attempt.spent) if attempt.spent else {}),
        "first_token_ms": attempt.first_token_ms,
        "duration_ms": attempt.duration_ms,
        # What the tokens named above are compared with: private.calibrate.
        "estimate": vars(attempt.estimate),
    }


def _spent(attempts: list[Attempt]) -> dict[str, Any]:
    """Tokens and dollars of all calls together, as far as they are known."""
    spent = [attempt.spent for attempt in attempts if attempt.spent]
    costs = [one.cost_usd for one in spent if one.cost_usd is not None]
    return {
        "prompt_tokens": sum(one.prompt_tokens for one in spent),
        "completion_tokens": sum(one.completion_tokens for one in spent),
        "cost_usd": sum(costs) if costs else None,
    }


def _log_entry(attempt: Attempt) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": attempt.target.name, "ms": attempt.duration_ms}
    if attempt.failure is None:
        return entry | {"outcome": "ok", "first_token_ms": attempt.first_token_ms}
    failure = attempt.failure
    return entry | {
        "outcome": failure.situation.name,
        "status": failure.status,
        "why": failure.why,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
