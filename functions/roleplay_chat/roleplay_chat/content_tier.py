"""Decides who may have the adult tier, and who may read a character's texts.

The server decides; a request can only ask for a tier.
"""

from collections.abc import Sequence

from edge.errors import ApiError
from roleplay_chat.api import Tier
from roleplay_chat.rows import CastRow, CharacterRow, ConversationRow, UserRow

ADULT_AGE = 18


def content_tier(
    requested: Tier | None,
    *,
    user: UserRow,
    conversation: ConversationRow | None,
    character: CharacterRow | None,
    persona: CharacterRow | None,
    others: Sequence[CastRow | CharacterRow] = (),
) -> tuple[Tier, str | None]:
    """`nsfw` only if every condition of the turn allows it, else `sfw`.

    Also returns a sentence for the user if `nsfw` was requested and denied. `others` are all other
    characters who are present, are named or have spoken. An undeclared age is not an adult age.
    Whether a model allows the tier too is decided by `routing.plan`.
    """
    if requested != "nsfw":
        return "sfw", None
    characters = [each for each in (character, *others) if each is not None]
    aged = [*characters, persona] if persona else characters
    if not user.age_verified:
        why = "Adult content needs a verified age"
    elif conversation is not None and conversation.content_tier == "sfw":
        why = "This conversation is not for adult content"
    elif any(each.content_rating != "nsfw" for each in characters):
        why = "A character here is not rated for adult content"
    elif not all(_is_adult(each) for each in aged):
        why = "A character here has no declared age of 18 or more"
    else:
        return "nsfw", None
    return "sfw", f"{why}, so the reply is suitable for everybody."


def _is_adult(character: CastRow | CharacterRow) -> bool:
    return character.age is not None and character.age >= ADULT_AGE


def adult_tier_denied(user: UserRow) -> ApiError:
    """The error for a user who asked for `nsfw` and may not have it."""
    sentence = (
        "Adult content is not available in this conversation."
        if user.age_verified
        else "Adult content requires a verified age. Please verify your age first."
    )
    return ApiError(403, "age_verification_required", sentence)


def may_read(user: UserRow, character: CharacterRow) -> bool:
    """Whether the user may read a character's texts."""
    return user.age_verified or character.is_own or character.content_rating == "sfw"


def greeting_denied() -> ApiError:
    """The error for a user who chose a greeting that they may not read."""
    return ApiError(
        403,
        "age_verification_required",
        "This greeting requires a verified age. Start without choosing one, or write a message.",
    )
