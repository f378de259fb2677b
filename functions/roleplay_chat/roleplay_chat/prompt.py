"""Rows become messages for a model, within its context.

Order: one system message (template, character, persona, scene, memory), the history as far as
it fits, what the character's author wants said after the history, and the person's message.
Macros such as {{char}} are expanded once, in what authors wrote; never in what was said.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.rows import BegunTurn, CharacterRow, MessageRow, TemplateRow

TOKENS_PER_MESSAGE = 4
"""What chat templates add to each message."""
BYTES_PER_TOKEN = 3
"""Lower than any tokenizer's average on prose, and right for CJK (3 bytes a character)."""
HISTORY_SHARE = 0.25
"""The least part of the context that is kept for what was said; the system message yields."""

_MACRO = re.compile(r"\{\{\s*([A-Za-z_]+)\s*\}\}")
_FALLBACK_TEMPLATE = (
    "You are {{char}} in a fictional conversation with {{user}}. Stay in character."
)


class Message(TypedDict):
    """A chat message as models take it."""

    role: Literal["system", "user", "assistant"]
    content: str


def count_tokens(text: str) -> int:
    """An estimate that is rather too high than too low."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def build(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    *,
    family: str | None,
    context_tokens: int,
    max_tokens: int,
) -> list[Message]:
    """The messages to send: at most `context_tokens - max_tokens` tokens by our estimate."""
    budget = max(context_tokens - max_tokens, context_tokens // 2)
    macros = _macros(begun, request)
    closing = _closing(begun, request, macros)
    reserved = sum(_cost(message) for message in closing) + int(budget * HISTORY_SHARE)
    system = _cut(_system(begun, request, tier, family, macros), max(budget - reserved, 64))
    spent = _cost(system) + sum(_cost(message) for message in closing)
    return [system, *_merge([*_recent(begun.history, budget - spent), *closing])]


def _system(
    begun: BegunTurn,
    request: ChatRequest,
    tier: Tier,
    family: str | None,
    macros: Mapping[str, str],
) -> Message:
    original = _template(begun.templates, tier, family)
    text = begun.character.system_prompt if begun.character else ""
    text = text.replace("{{original}}", original) if text else original
    sections = [_expand(text, macros)]
    if begun.character:
        sections += _character_sections(begun.character, macros)
    if begun.persona:
        sections.append(
            _section(f"About {begun.persona.name}, played by the user", begun.persona.description)
        )
    sections.append(_section("The user plays", request.user_role))
    sections += _scene_sections(request, macros)
    sections.append(_section("What is remembered", "\n".join(f"- {fact}" for fact in begun.facts)))
    return {"role": "system", "content": "\n\n".join(filter(None, sections))}


def _character_sections(character: CharacterRow, macros: Mapping[str, str]) -> list[str]:
    name = character.name
    facts = [f"{name} is {character.age} years old." if character.age is not None else ""]
    facts.append(f"{name}'s pronouns: {character.pronouns}." if character.pronouns else "")
    return [
        _section(f"About {name}", _expand(character.description, macros)),
        " ".join(filter(None, facts)),
        _section(f"{name}'s personality", _expand(character.personality, macros)),
        _section("Scenario", _expand(character.scenario, macros)),
        _section(f"How {name} speaks", _expand(character.example_messages, macros)),
    ]


def _scene_sections(request: ChatRequest, macros: Mapping[str, str]) -> list[str]:
    scene = "\n".join(filter(None, [request.scene_description, request.scene_context]))
    title = f"The scene: {request.scene_name}" if request.scene_name else "The scene"
    return [
        _section(title, _expand(scene, macros)),
        _section("Directions for the scene", _expand(request.scene_system_prompt or "", macros)),
    ]


def _closing(begun: BegunTurn, request: ChatRequest, macros: Mapping[str, str]) -> list[Message]:
    closing: list[Message] = []
    instructions = begun.character.post_history_instructions if begun.character else ""
    if instructions:
        closing.append({"role": "system", "content": _expand(instructions, macros)})
    said = begun.turn.message
    if said is not None:
        closing.append({"role": "user", "content": said})
    else:
        closing.append({"role": "user", "content": _expand(_opening(begun, request), macros)})
    return closing


def _opening(begun: BegunTurn, request: ChatRequest) -> str:
    """What stands for a message when nobody spoke; it is never stored."""
    if begun.turn.continues is not None:
        return "[Go on with your last message exactly where it stops. Do not repeat any of it.]"
    if begun.history:
        return (
            "[Continue the scene as {{char}} from where it stands, without introducing yourself.]"
        )
    starters = [starter for starter in request.scene_starters or [] if starter]
    example = f" Something like: {starters[0]}" if starters else ""
    return "[Open the scene as {{char}}: set the moment and speak first.]" + example


def _template(templates: Sequence[TemplateRow], tier: Tier, family: str | None) -> str:
    fitting = [row for row in templates if row.content_tier == tier]
    exact = [row for row in fitting if family is not None and row.model_family == family]
    general = [row for row in fitting if row.model_family is None]
    return next((row.system_prompt for row in [*exact, *general]), _FALLBACK_TEMPLATE)


def _macros(begun: BegunTurn, request: ChatRequest) -> dict[str, str]:
    character, persona = begun.character, begun.persona
    user_name = (persona.name if persona else begun.user.name) or "the user"
    macros = {"user": user_name, "user_name": user_name, "char": "the narrator"}
    macros["persona"] = (persona.description if persona else request.user_role) or ""
    macros["scenario"] = request.scene_description or (character.scenario if character else "")
    for prefix, row in (("character", character), ("user", persona)):
        for column in ("name", "description", "personality", "scenario", "pronouns", "age"):
            value = getattr(row, column, None)
            if value not in (None, ""):
                macros[f"{prefix}_{column}"] = str(value)
    if character:
        macros["char"] = character.name
    return macros


def _expand(text: str, macros: Mapping[str, str]) -> str:
    return _MACRO.sub(lambda match: macros.get(match[1].lower(), match[0]), text)


def _section(title: str, text: str | None) -> str:
    return f"## {title}\n{text.strip()}" if text and text.strip() else ""


def _recent(history: Sequence[MessageRow], budget: int) -> list[Message]:
    """The newest messages that fit, oldest first, without a gap."""
    kept: list[Message] = []
    for row in reversed(history):
        message: Message = {
            "role": "user" if row.sender == "user" else "assistant",
            "content": row.content,
        }
        budget -= _cost(message)
        if budget < 0:
            break
        kept.append(message)
    return kept[::-1]


def _merge(messages: Sequence[Message]) -> list[Message]:
    """Join neighbours of the same role: many chat templates demand that roles alternate."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            joined = f"{merged[-1]['content']}\n\n{message['content']}"
            merged[-1] = {"role": message["role"], "content": joined}
        else:
            merged.append(message)
    return merged


def _cut(message: Message, budget: int) -> Message:
    """The message with its end cut off so that it costs at most `budget` tokens."""
    if _cost(message) <= budget:
        return message
    kept = message["content"].encode()[: (budget - TOKENS_PER_MESSAGE) * BYTES_PER_TOKEN]
    return {"role": message["role"], "content": kept.decode(errors="ignore").rstrip()}


def _cost(message: Message) -> int:
    return count_tokens(message["content"]) + TOKENS_PER_MESSAGE
