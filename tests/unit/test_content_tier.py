"""The content tier of a turn."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.api import Tier
from roleplay_chat.content_tier import adult_tier_denied, content_tier, may_read
from roleplay_chat.rows import CastRow, CharacterRow, ConversationRow, UserRow

ID = UUID(int=1)
VERIFIED = UserRow(age_verified=True)


def character(age: int | None = 40, rating: Tier = "nsfw") -> CharacterRow:
    return CharacterRow(id=ID, name="Vera", age=age, content_rating=rating)


def conversation(tier: Tier | None = None) -> ConversationRow:
    return ConversationRow(id=ID, content_tier=tier)


def tier(asked: Tier | None = "nsfw", **rows: Any) -> Tier:
    """The tier of a turn that may be adult, with `rows` changed."""
    return decided(asked, **rows)[0]


def decided(asked: Tier | None = "nsfw", **rows: Any) -> tuple[Tier, str | None]:
    everything = {
        "user": VERIFIED,
        "conversation": conversation(),
        "character": character(),
        "persona": character(30),
    }
    return content_tier(asked, **(everything | rows))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({}, id="everything-allows-it"),
        pytest.param({"conversation": conversation("nsfw")}, id="conversation-says-so"),
        pytest.param({"conversation": None}, id="no-conversation"),
        pytest.param({"character": None}, id="no-character"),
        pytest.param({"persona": None}, id="no-persona"),
        pytest.param({"character": character(18), "persona": character(18)}, id="just-adult"),
        pytest.param({"persona": character(30, "sfw")}, id="persona-has-no-rating-of-its-own"),
    ],
)
def test_adult_tier_is_given_if_every_condition_holds(rows: dict[str, Any]) -> None:
    assert tier(**rows) == "nsfw"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"asked": None}, id="not-asked-for"),
        pytest.param({"asked": "sfw"}, id="asked-for-the-other"),
        pytest.param({"user": UserRow()}, id="person-not-verified"),
        pytest.param({"conversation": conversation("sfw")}, id="conversation-is-for-everybody"),
        pytest.param({"character": character(rating="sfw")}, id="character-is-for-everybody"),
        pytest.param({"character": character(None)}, id="age-of-the-character-not-declared"),
        pytest.param({"character": character(17)}, id="character-not-adult"),
        pytest.param({"character": character(0)}, id="character-newborn"),
        pytest.param({"persona": character(None)}, id="age-of-the-persona-not-declared"),
        pytest.param({"persona": character(17)}, id="persona-not-adult"),
        pytest.param({"others": [CastRow(age=17, content_rating="nsfw")]}, id="other-not-adult"),
        pytest.param({"others": [CastRow(content_rating="nsfw")]}, id="age-of-other-not-declared"),
        pytest.param({"others": [CastRow(age=40)]}, id="other-is-for-everybody"),
        pytest.param(
            {"character": None, "others": [CastRow()]}, id="other-unknown-and-nobody-speaks"
        ),
    ],
)
def test_one_missing_condition_closes_the_adult_tier(rows: dict[str, Any]) -> None:
    assert tier(**rows) == "sfw"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        pytest.param({"user": UserRow()}, "Adult content needs a verified age", id="person"),
        pytest.param(
            {"conversation": conversation("sfw")},
            "This conversation is not for adult content",
            id="conversation",
        ),
        pytest.param(
            {"character": character(rating="sfw")},
            "A character here is not rated for adult content",
            id="rating",
        ),
        pytest.param(
            {"persona": character(None)},
            "A character here has no declared age of 18 or more",
            id="age",
        ),
    ],
)
def test_who_asked_for_more_is_told_why(rows: dict[str, Any], why: str) -> None:
    assert decided(**rows) == ("sfw", f"{why}, so the reply is suitable for everybody.")


@pytest.mark.parametrize("asked", [None, "sfw"])
def test_who_asked_for_no_more_is_told_nothing(asked: Tier | None) -> None:
    assert decided(asked, user=UserRow()) == ("sfw", None)


ages = st.none() | st.integers(0, 120)
tiers: st.SearchStrategy[Tier] = st.sampled_from(["sfw", "nsfw"])


@given(asked=st.none() | tiers, verified=st.booleans(), age=ages, played=ages, rating=tiers)
def test_nobody_under_age_is_in_an_adult_turn(
    asked: Tier | None, verified: bool, age: int | None, played: int | None, rating: Tier
) -> None:
    given_tier = tier(
        asked,
        user=UserRow(age_verified=verified),
        character=character(age, rating),
        persona=character(played),
    )
    if given_tier == "nsfw":
        assert verified
        assert min(age or 0, played or 0) >= 18


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        (UserRow(), "Adult content requires a verified age. Please verify your age first."),
        (VERIFIED, "Adult content is not available in this conversation."),
    ],
)
def test_refusal_says_what_would_help(user: UserRow, sentence: str) -> None:
    refusal = adult_tier_denied(user)
    assert (refusal.status, refusal.code) == (403, "age_verification_required")
    assert refusal.message == sentence


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("rating", ["sfw", "nsfw"])
def test_what_was_written_for_adults_is_read_by_adults_and_authors(
    verified: bool, own: bool, rating: Tier
) -> None:
    written = character(rating=rating).model_copy(update={"is_own": own})
    expected = verified or own or rating == "sfw"
    assert may_read(UserRow(age_verified=verified), written) == expected
