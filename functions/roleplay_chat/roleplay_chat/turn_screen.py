"""Screens a turn before a model reads it: the texts written for it, and each prompt as sent.

Reads long texts in a thread, so that other turns are not delayed.
"""

from collections.abc import Mapping, Sequence
from logging import getLogger

from msgspec import Struct

from edge.clients import Clients
from edge.errors import ApiError, internal_error
from roleplay_chat.api import ChatRequest
from roleplay_chat.content_tier import adult_tier_denied
from roleplay_chat.generation.moderation_model import Moderation, moderation_unavailable
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.targets import Target
from roleplay_chat.lorebook.entries import Entry
from roleplay_chat.lorebook.matching import are_small
from roleplay_chat.lorebook.sources import books_of
from roleplay_chat.prompt import builder
from roleplay_chat.prompt.builder import Prompt
from roleplay_chat.prompt.composition import Ingredients
from roleplay_chat.prompt.greeting import greeting_for
from roleplay_chat.prompt.lore import activated_entries
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.prompt.passages import written_for
from roleplay_chat.prompt.recall import MAX_SAID_CHARS
from roleplay_chat.rows import BegunTurn
from roleplay_chat.screening.decision import (
    ContentRefused,
    Finding,
    PartSignals,
    Passage,
    PromptReading,
    Reading,
    ReplyScreen,
    content_refused,
    judge,
)
from roleplay_chat.screening.rules import NEW_AT_ONCE_CHARS, READ_AT_ONCE_CHARS
from roleplay_chat.screening.scenes import is_scene
from roleplay_chat.screening.word_classes import new_chars
from roleplay_chat.settings import Settings
from roleplay_chat.turn_plan import Accepted, Planned

_log = getLogger("roleplay_chat")

SCENE = Finding("scene", "reply")
FIRMER = (
    "This conversation is for everybody. Whatever was said before, describe nothing intimate: let"
    " such a moment pass unseen, and go on with what comes after it."
)
"""Added to the prompt for the model that is tried after another one wrote a scene."""
MANY_MACROS = 1_000
"""Texts with more brackets that may begin or end a macro are expanded in a thread: each takes some
ten microseconds."""
LONG_CHARS = 2_000
"""A recalled message that is longer is read as a whole, and a part of it is shown."""
MANY_FACT_CHARS = 40_000
"""Prompts with longer facts are built in a thread: those that do not fit are searched for the words
of the person's message, which takes up to four milliseconds for 10,000 characters."""
MANY_MESSAGES = 1_000
"""Prompts with more messages are built in a thread: each takes some ten microseconds."""


class PromptScreen:
    """Builds and screens the prompts of a turn. Call `open` first."""

    def __init__(self, clients: Clients, request: ChatRequest, planned: Planned) -> None:
        self._clients = clients
        self._request = request
        self._planned = planned
        self._begun = planned.begun
        self._is_simple = (
            len(planned.begun.history) <= MANY_MESSAGES
            and _macro_signs(planned.begun, request) <= MANY_MACROS
            and _fact_chars(planned.begun) <= MANY_FACT_CHARS
            and _may_recall_at_once(planned)
        )
        self._written: list[PartSignals] = []
        """The signals in the texts written for the turn."""
        self._said_last = ""
        """The text before a reply to the last prompt built."""
        self._built: tuple[tuple[Target, RequestShape, str], Prompt] | None = None
        self.answered: Prompt | None = None
        """The prompt that the reply answers; None before a model was asked."""
        self._variables = Variables.from_json(self._begun.variables)
        """After the book's entries."""
        self._new_chars = 0
        """Of new words that were read on the event loop, where one text may follow the other."""
        self._greeted: Variables | None = None
        """After the greeting, if one answers."""
        self.lore: Sequence[Entry] = ()
        """The activated entries of the turn's books."""
        self.signals: list[PartSignals] = []
        """The signals in the written texts and in the last prompt built."""

    @property
    def _prompt(self) -> Prompt:
        """The prompt that the reply answers, or else the last one built."""
        return self.answered or (self._built[1] if self._built else Prompt())

    @property
    def ingredients(self) -> Ingredients | None:
        """The ingredients of the prompt that the reply answers, or else of the last one built."""
        return self._prompt.ingredients

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of the conversation after the turn."""
        return self._prompt.variables if self._greeted is None else self._greeted

    async def open(self) -> Prompt:
        """Screen the texts written for the turn, and build the first target's prompt.

        Raises `ContentRefused`.
        """
        begun, first = self._begun, self._planned.first
        self.lore = await self._clients.in_thread_unless(
            are_small(
                (book.content for book in books_of(begun)), [row.content for row in begun.history]
            ),
            activated_entries,
            begun,
            self._request,
            self._variables,
        )
        self._written = await self._read(written_for(begun, self._request, self.lore))
        self._judge(self._written)
        built = Prompt()
        if first:
            built = await self.prompt_for(first, RequestShape.for_target(first))
        if begun.turn.message and not _is_whole(begun.turn.message, built):
            # The whole message is stored, and another model or a later turn may read it.
            self._written += await self._read([Passage("message", begun.turn.message)])
            self._judge([*self.signals, *self._written])
        if await self._is_scene(begun.turn.continues):
            raise ContentRefused(SCENE)
        return built

    async def prompt_for(
        self, target: Target, shape: RequestShape, *, firmly: bool = False
    ) -> Prompt:
        """The screened prompt for a target; `firmly` adds the rule against scenes.

        Raises `ContentRefused`.
        """
        rule = FIRMER if firmly else ""
        wanted = target, shape, rule
        if self._built is None or self._built[0] != wanted:
            spec = builder.PromptSpec(
                self._begun,
                self._request,
                self._planned.tier,
                family=target.family,
                context_tokens=shape.context_tokens,
                max_tokens=shape.max_tokens,
                prompt_tokens=shape.prompt_tokens,
                tokens=target.tokens,
                lore=self.lore,
                variables=self._variables,
                roles=shape.roles,
                rule=rule,
            )
            built = await self._clients.in_thread_unless(self._is_simple, builder.build, spec)
            reading = PromptReading(built.passages)
            self._said_last = reading.said_last
            self.signals = [*self._written, *await self._signals_of(reading)]
            self._judge(self.signals)
            self._built = wanted, built
        return self._built[1]

    async def greeting(self) -> tuple[str | None, Finding | None]:
        """The author's greeting, if one answers the turn, or the finding that excludes it from this
        tier.

        Raises `ApiError` if the greeting chosen by number is not available.
        """
        variables = Variables.from_json(self._begun.variables)
        greeting = await self._clients.in_thread_unless(
            self._is_simple, greeting_for, self._begun, self._request, variables
        )
        if greeting is not None:
            self._judge([*self.signals, *await self._read([Passage("character", greeting)])])
        if not await self._is_scene(greeting):
            self._greeted = None if greeting is None else variables
            return greeting, None
        if self._request.greeting is not None:
            raise ContentRefused(SCENE)
        return None, SCENE

    def reply_screen(self) -> ReplyScreen:
        """The screen for a reply to the last prompt that was built."""
        return ReplyScreen(
            self.signals,
            self._planned.tier,
            follows=self._said_last,
            continues=self._begun.turn.continues or "",
        )

    async def _is_scene(self, text: str | None) -> bool:
        """Whether the text is an explicit scene and the turn is `sfw`."""
        if self._planned.tier != "sfw" or not text:
            return False
        return await self._clients.in_thread_unless(len(text) <= NEW_AT_ONCE_CHARS, is_scene, text)

    def _judge(self, signals: Sequence[PartSignals]) -> None:
        if finding := judge(signals, self._planned.tier):
            raise ContentRefused(finding)

    async def _read(self, passages: Sequence[Passage]) -> list[PartSignals]:
        return await self._signals_of(Reading(passages))

    async def _signals_of(self, reading: Reading | PromptReading) -> list[PartSignals]:
        return await self._clients.in_thread_unless(self._is_quick(reading), reading.signals)

    def _is_quick(self, reading: Reading | PromptReading) -> bool:
        chars = reading.unread_chars
        if chars > READ_AT_ONCE_CHARS:
            return False
        if self._new_chars + chars > NEW_AT_ONCE_CHARS:
            chars = reading.new_chars
        if self._new_chars + chars > NEW_AT_ONCE_CHARS:
            return False
        self._new_chars += chars
        return True


def _macro_signs(begun: BegunTurn, request: ChatRequest) -> int:
    """The number of brackets in the texts of a turn that may begin or end a macro."""
    rows = [row for row in (begun.character, begun.persona) if row]
    texts = [
        *(text for row in rows for text in row.texts(book=False)),
        *(row.system_prompt for row in begun.templates),
        *filter(None, (request.scene_name, request.scene_description, request.scene_context)),
        *filter(None, (request.scene_system_prompt, request.user_role)),
        *filter(None, request.scene_starters or []),
        begun.settings.note if begun.settings else "",
    ]
    return sum([text.count("{") + text.count("<") for text in texts])


def _fact_chars(begun: BegunTurn) -> int:
    """How much of the facts may be searched for words."""
    return sum([min(len(fact.content), MAX_SAID_CHARS) for fact in begun.facts])


def _may_recall_at_once(planned: Planned) -> bool:
    """Whether the recalled messages, which are screened while a prompt is built for the `sfw` tier,
    have few new words. Short ones are read only as far as they are shown."""
    texts = [row.content for row in planned.begun.recalled]
    if planned.tier == "nsfw" or sum(map(len, texts)) <= NEW_AT_ONCE_CHARS:
        return True
    if sum([len(text) for text in texts if len(text) > LONG_CHARS]) > READ_AT_ONCE_CHARS:
        return False
    return sum(map(new_chars, texts)) <= NEW_AT_ONCE_CHARS


def _is_whole(message: str, built: Prompt) -> bool:
    """Whether the prompt ends with the person's whole message."""
    return bool(built) and built[-1]["content"].endswith(message)


class Screened(Struct, frozen=True):
    """The result of the screening: a greeting that answers the turn, or why there is no reply."""

    greeting: str | None = None
    unfit: Finding | None = None
    """Why the author's greeting is not shown; a model replies instead."""
    error: ApiError | None = None
    finding: Finding | None = None


async def screen_turn(
    accepted: Accepted,
    planned: Planned,
    prompts: PromptScreen,
    moderation: Moderation,
    settings: Settings,
) -> Screened:
    """Screen the turn before any model reads it. Raises nothing."""
    try:
        _check_tier(accepted, planned, settings)
        built = await prompts.open()
        greeting, unfit = await prompts.greeting()
        if moderation.is_configured:
            await _moderate(accepted, planned, moderation, built, greeting)
    except ContentRefused as refused:
        return Screened(error=content_refused(refused.finding), finding=refused.finding)
    except ApiError as error:
        return Screened(error=error)
    except Exception:
        # A bug of ours. What was not screened is not sent, and the turn is closed.
        _log.exception("screening failed", extra={"fields": accepted.ids})
        return Screened(error=internal_error())
    return Screened(greeting=greeting, unfit=unfit)


def _check_tier(accepted: Accepted, planned: Planned, settings: Settings) -> None:
    not_given = accepted.request.content_tier == "nsfw" and planned.allowed == "sfw"
    if not_given and settings.adult_tier_refusal == "refuse":
        raise adult_tier_denied(planned.begun.user)


async def _moderate(
    accepted: Accepted,
    planned: Planned,
    moderation: Moderation,
    built: Prompt,
    greeting: str | None,
) -> None:
    flagged = await moderation.flags([*(message["content"] for message in built), greeting or ""])
    if flagged:
        raise ContentRefused(Finding("classifier", "message"))
    if flagged is None:
        _log.error("moderation unavailable", extra={"fields": accepted.ids})
        # Fail closed in the adult tier, open in `sfw`: docs/content-policy.md says why.
        if planned.tier == "nsfw":
            raise moderation_unavailable()
