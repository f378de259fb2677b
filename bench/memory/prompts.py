"""Compares prompts as a provider's cache does, and counts their tokens."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

from roleplay_chat.tokens import UNCALIBRATED

Prompt = Sequence[Mapping[str, str]]
"""The messages that a model receives for a reply."""


def prompt_tokens(prompt: Prompt) -> int:
    """Estimated tokens of a prompt, as the function counts them."""
    return sum(message_tokens(message["content"]) for message in prompt)


def message_tokens(text: str) -> int:
    """Estimated tokens of a message."""
    return UNCALIBRATED.message_cost(text)


def common_beginning(before: Prompt, prompt: Prompt) -> float:
    """The share of `prompt` that begins like `before`, in characters.

    Whole messages are compared first, role and text. Of the first that differs, the beginning
    counts as far as it is the same, if the role is.
    """
    same, characters = _same(before, prompt), 0
    if same < min(len(prompt), len(before)) and prompt[same]["role"] == before[same]["role"]:
        characters = _same(prompt[same]["content"], before[same]["content"])
    characters += sum(len(message["content"]) for message in prompt[:same])
    return characters / sum(len(message["content"]) for message in prompt)


def _same(one: Sequence[object], other: Sequence[object]) -> int:
    """How many messages, or characters of a text, are the same at the beginning."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def recalls(prompt: Prompt) -> bool:
    """Whether something was found for the person's message: the demo character's prompts have no
    other system message than the first."""
    return any(message["role"] == "system" for message in prompt[1:])
