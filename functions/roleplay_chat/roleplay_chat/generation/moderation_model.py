"""A second opinion before a turn: a classifier in the style of Llama Guard, where there is one.

Any row of `api_models` with the task `moderation` is one: an OpenAI-compatible model that answers
"safe", or "unsafe" and on the next line the hazard categories. Only S4, the sexual exploitation of
children, is acted on; what adults may write is decided elsewhere. A row that is switched off, or
whose provider is, counts as a classifier that does not answer.
"""

import re
from collections.abc import Iterable

import httpx

from edge.errors import ApiError
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.failover import Callbacks, Generation, RequestShape
from roleplay_chat.generation.routing import Target, plan
from roleplay_chat.messages import Message
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import BegunTurn, WorkerRow
from roleplay_chat.settings import Settings

CHILD_EXPLOITATION = "S4"
TEMPLATE_TOKENS = 1_000
"""What the classifier's own instructions take of its context."""

_UNSAFE = re.compile(r"\s*unsafe\b(?P<hazards>.*)", re.IGNORECASE | re.DOTALL)
_SAFE = re.compile(r"\s*safe\b", re.IGNORECASE)


class Moderation:
    """One question to the classifiers, asked in turn until one answers."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings, begun: BegunTurn) -> None:
        self._http = http
        self._settings = settings
        self._begun = begun
        self._text = ""
        self._generation: Generation | None = None

    @property
    def is_configured(self) -> bool:
        """Whether somebody is to be asked, switched on or not."""
        return bool(self._begun.moderators)

    @property
    def attempts(self) -> list[Attempt]:
        """The calls made."""
        return self._generation.attempts if self._generation else []

    async def flags(self, texts: Iterable[str]) -> bool | None:
        """Whether what a model would read exploits a child; None when nobody could tell."""
        self._text = "\n\n".join(filter(None, texts))
        seconds = self._settings.moderation_timeout_seconds
        self._generation = Generation(
            http=self._http,
            settings=self._settings.model_copy(update={"turn_budget_seconds": seconds}),
            tier="sfw",
            extras={},
        )
        asked = plan(
            None,
            models=[model for model in self._begun.moderators if model.is_active],
            worker=WorkerRow(),
            cooldowns=self._begun.cooldowns,
            tier="sfw",
            now=self._begun.now,
        )
        callbacks = Callbacks(self._prompt_for, lambda _: Reply(), lambda *_: None)
        await self._generation.run(asked, callbacks)
        return verdict(self._generation.text)

    async def _prompt_for(self, target: Target, shape: RequestShape) -> list[Message]:
        """The newest of the text, as much as fits."""
        room = max(shape.context_tokens - shape.max_tokens - TEMPLATE_TOKENS, TEMPLATE_TOKENS)
        return [{"role": "user", "content": target.tokens.end(self._text, room)}]


def moderation_unavailable() -> ApiError:
    """What a person is told when no classifier answered and the turn does not go on without."""
    return ApiError(
        503,
        "moderation_unavailable",
        "The content check cannot be reached right now. Please try again in a moment.",
        retry_after=5,
    )


def verdict(answer: str) -> bool | None:
    """What a classifier's answer says of child exploitation; None when it is no such answer."""
    if unsafe := _UNSAFE.match(answer):
        return CHILD_EXPLOITATION in re.findall(r"S\d+", unsafe["hazards"].upper())
    return False if _SAFE.match(answer) else None
