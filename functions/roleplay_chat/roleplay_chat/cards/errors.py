"""The errors for cards that cannot be imported."""

from edge.errors import ApiError


def invalid(sentence: str) -> ApiError:
    """The error for a card that cannot be read, or has an invalid value."""
    return ApiError(400, "invalid_card", sentence)


def too_large(sentence: str) -> ApiError:
    """The error for a card that exceeds a limit, or a part of which does."""
    return ApiError(413, "card_too_large", sentence)
