"""An optional classifier model that checks a turn first, in the style of Llama Guard.

Every row of `api_models` with the task `moderation` is a classifier: an OpenAI-compatible model
that answers "safe", or "unsafe" with the hazard categories on the next line. Only S4, child sexual
exploitation, is acted on; what adults may write is decided elsewhere. A classifier whose row or
provider is inactive counts as unavailable.
"""

import re
from collections.abc import Iterable

import httpx

from edge.errors import ApiError
from roleplay_chat.generation.attempts import Attempt
from roleplay_chat.generation.failover import Callbacks, Generation
from roleplay_chat.generation.request_shape import RequestShape
from roleplay_chat.generation.routing import Candidates, plan
from roleplay_chat.generation.targets import Target
from roleplay_chat.messages import Message
from roleplay_chat.reply.filters import Reply
from roleplay_chat.rows import BegunTurn
from roleplay_chat.settings import Settings

CHILD_EXPLOITATION = "S4"
TEMPLATE_TOKENS = 1_000
"""Context reserved for the classifier's own instructions."""

_UNSAFE = re.compile(r"\s*unsafe\b(?P<hazards>.*)", re.IGNORECASE | re.DOTALL)
_SAFE = re.compile(r"\s*safe\b", re.IGNORECASE)


class Moderation:
    """Asks the classifiers about one turn, one after another until one answers."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings, begun: BegunTurn) -> None:
        self._http = http
        self._settings = settings
        self._begun = begun
        self._text = ""
        self._generation: Generation | None = None

    @property
    def is_configured(self) -> bool:
        """Whether there is a classifier, active or not."""
        return bool(self._begun.moderation_models)

    @property
    def attempts(self) -> list[Attempt]:
        """The calls that were made."""
        return self._generation.attempts if self._generation else []

    async def flags(self, texts: Iterable[str]) -> bool | None:
        """Whether a classifier flags the texts; None if no classifier answered."""
        self._text = "\n\n".join(filter(None, texts))
        seconds = self._settings.moderation_timeout_seconds
        self._generation = Generation(
            http=self._http,
            settings=self._settings.model_copy(update={"turn_budget_seconds": seconds}),
            tier="sfw",
            extras={},
        )
        candidates = Candidates(
            models=[model for model in self._begun.moderation_models if model.is_active],
            workers=(),
            cooldowns=self._begun.cooldowns,
            tier="sfw",
            now=self._begun.now,
        )
        callbacks = Callbacks(self._prompt_for, lambda _: Reply(), lambda *_: None)
        await self._generation.run(plan(None, candidates), callbacks)
        return verdict(self._generation.text)

    async def _prompt_for(self, target: Target, shape: RequestShape) -> list[Message]:
        """The end of the text, as much as fits."""
        room = max(shape.budget - TEMPLATE_TOKENS, TEMPLATE_TOKENS)
        return [{"role": "user", "content": target.tokens.end(self._text, room)}]


def moderation_unavailable() -> ApiError:
    """The error when no classifier answered and the turn requires one."""
    return ApiError(
        503,
        "moderation_unavailable",
        "The content check cannot be reached right now. Please try again in a moment.",
        retry_after=5,
    )


def verdict(answer: str) -> bool | None:
    """Whether a classifier's answer names S4; None if it is neither "safe" nor "unsafe"."""
    if unsafe := _UNSAFE.match(answer):
        return CHILD_EXPLOITATION in re.findall(r"S\d+", unsafe["hazards"].upper())
    return False if _SAFE.match(answer) else None
