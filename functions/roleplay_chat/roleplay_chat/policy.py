"""Which content tier a turn has. The server decides; a request can only ask."""

from collections.abc import Sequence

from edge.errors import ApiError
from roleplay_chat.api import Tier
from roleplay_chat.rows import CharacterRow, ConversationRow, UserRow

ADULT_AGE = 18


def content_tier(
    asked: Tier | None,
    *,
    user: UserRow,
    conversation: ConversationRow | None,
    character: CharacterRow | None,
    persona: CharacterRow | None,
    others: Sequence[CharacterRow] = (),
) -> Tier:
    """`nsfw` only when everybody and everything in the turn allows it, else `sfw`.

    An age that is not declared is not an adult age. Whether a model allows it too is for
    `routing.plan` to say.
    """
    allowed = (
        asked == "nsfw"
        and user.age_verified
        and (conversation is None or conversation.content_tier != "sfw")
        and all(
            each.content_rating == "nsfw" and _adult(each)
            for each in (character, *others)
            if each is not None
        )
        and (persona is None or _adult(persona))
    )
    return "nsfw" if allowed else "sfw"


def adult_tier_refused(user: UserRow) -> ApiError:
    """What somebody is told who asked for `nsfw` where it is not given."""
    sentence = (
        "This conversation is not open to adult content."
        if user.age_verified
        else "Adult content needs a verified age. Please verify yours first."
    )
    return ApiError(403, "age_verification_required", sentence)


def _adult(character: CharacterRow) -> bool:
    return character.age is not None and character.age >= ADULT_AGE
