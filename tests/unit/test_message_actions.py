"""Which texts an edit may contain."""

import pytest

from edge.errors import ApiError
from roleplay_chat.endpoints import MESSAGE_ACTIONS
from roleplay_chat.message_actions import actions, check_text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Good evening.", id="plain"),
        pytest.param("She is 12 years old.", id="for-the-turn-to-judge-with-its-tier"),
        pytest.param("A sexual scene.", id="for-the-turn-to-judge-with-the-rest"),
    ],
)
def test_what_a_tier_may_allow_passes(text: str) -> None:
    check_text(text)


def test_what_no_tier_allows_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        check_text("She is 12 years old. A sexual scene.")
    assert (caught.value.status, caught.value.code) == (403, "content_refused")
    assert "12" not in caught.value.message


def test_every_change_has_its_action() -> None:
    assert set(actions(max_message_chars=10)) == set(MESSAGE_ACTIONS)
