"""The prompt that a template produces for an invented conversation. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.prompt.builder import PromptSpec, build
from roleplay_chat.prompt.composition import compose
from roleplay_chat.rows import (
    BegunTurn,
    CharacterRow,
    FactRow,
    MemoryRow,
    MessageRow,
    TemplateRow,
    TurnRow,
    UserRow,
)
from roleplay_chat.tokens import UNCALIBRATED, estimate_messages

CONTEXT_TOKENS, REPLY_TOKENS = 8_192, 400
_ID = UUID(int=0)
_CHARACTER = CharacterRow(
    id=_ID,
    name="Mara Voss",
    description="{{char}} keeps the lighthouse on Grey Skerry and writes the logbook.",
    personality="Dry, patient, kind.",
    scenario="{{user}} has come in out of the storm.",
    example_messages="{{user}}: Is it always this loud?\n{{char}}: Only when it likes you.",
    pronouns="she/her",
    age=34,
    post_history_instructions="Stay in the lighthouse.",
)
_HISTORY = (
    MessageRow(sender="character", content="The door is open. Mind the step.", position=1),
    MessageRow(sender="user", content="Thank you. Is there a fire?", position=2),
    MessageRow(sender="character", content="There is tea, and a fire.", position=3),
)


def preview(system_prompt: str, tier: Tier, now: datetime) -> dict[str, Any]:
    """{"tokens", "parts", "messages"}: as in `compose`, and the messages that are sent."""
    template = TemplateRow(content_tier=tier, system_prompt=system_prompt)
    begun = BegunTurn(
        now=now,
        turn=TurnRow(id=_ID, message="Which coast is it?"),
        user=UserRow(name="Ada", age_verified=tier == "nsfw"),
        character=_CHARACTER,
        history=list(_HISTORY),
        memory=MemoryRow(summary="Ada came in out of the storm.", covers_position=0),
        facts=[FactRow(content="Ada has a dog.")],
        templates=[template],
    )
    spec = PromptSpec(
        begun,
        ChatRequest(),
        tier,
        family=None,
        context_tokens=CONTEXT_TOKENS,
        max_tokens=REPLY_TOKENS,
    )
    built = build(spec)
    total = UNCALIBRATED.total(estimate_messages([message["content"] for message in built]))
    parts = compose(built.ingredients, total)["parts"] if built.ingredients else []
    return {"tokens": total, "parts": parts, "messages": list(built)}
