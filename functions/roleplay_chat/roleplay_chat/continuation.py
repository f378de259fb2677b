"""Joins a reply and its continuation."""


def joined(beginning: str, continuation: str) -> str:
    """The reply and its continuation, with a space between them if one is missing."""
    return f"{beginning}{space_between(beginning, continuation)}{continuation}"


def space_between(beginning: str, continuation: str) -> str:
    """The missing space between the two texts, or an empty string."""
    glued = (
        beginning[-1:].isspace()
        or continuation[:1].isspace()
        or continuation[:1] in ".,;:!?…)”’"
        or beginning[-1:] in "-–—(“‘"
    )
    return "" if glued else " "
