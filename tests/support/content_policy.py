"""Sentences that the content policy judges, and characters of whom it allows them."""

from __future__ import annotations

from typing import Any

from tests.support.talk import Talk

MINOR = "She is 12 years old."
SEXUAL = "A sexual scene."
BOTH = f"{MINOR} {SEXUAL}"


def with_character(talk: Talk, **columns: Any) -> None:
    """Gives the conversation a character of the user."""
    row = {"user_id": talk.user.id, "name": "Vera"} | columns
    character = talk.stack.insert("characters", **row)
    talk.stack.db.execute(
        "update conversations set character_id = %s where id = %s", (character, talk.conversation)
    )


def among_adults(talk: Talk, **character: Any) -> None:
    """Makes everything in the conversation allow the adult tier."""
    talk.stack.db.execute("update profiles set age_verified = true where id = %s", (talk.user.id,))
    with_character(talk, **({"age": 40, "content_rating": "nsfw"} | character))


SCENE = "They have sex. He penetrates her and she has an orgasm. "
