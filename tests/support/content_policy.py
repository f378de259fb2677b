"""Texts for tests of the content policy, and who takes part in the conversation."""

from __future__ import annotations

from typing import Any

from tests.support.talk import Talk

MINOR = "She is 12 years old."
SEXUAL = "A sexual scene."
BOTH = f"{MINOR} {SEXUAL}"
SCENE = "They have sex. He penetrates her and she has an orgasm. "


def with_character(talk: Talk, **columns: Any) -> None:
    """Gives the conversation a character of the user."""
    row = {"user_id": talk.user.id, "name": "Vera"} | columns
    character = talk.stack.insert("characters", **row)
    talk.stack.db.execute(
        "update conversations set character_id = %s where id = %s", (character, talk.conversation)
    )


def among_adults(talk: Talk, **character: Any) -> None:
    """Allows the adult tier: the user's age is verified, and the character is an adult."""
    talk.stack.db.execute("update profiles set age_verified = true where id = %s", (talk.user.id,))
    with_character(talk, **({"age": 40, "content_rating": "nsfw"} | character))
