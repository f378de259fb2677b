"""The errors for cards that cannot be imported."""

from edge.errors import ApiError


def invalid(sentence: str) -> ApiError:
    """The card cannot be read, or a value in it is invalid."""
    return ApiError(400, "invalid_card", sentence)


def too_large(sentence: str) -> ApiError:
    """The card or a part of it exceeds a limit."""
    return ApiError(413, "card_too_large", sentence)
