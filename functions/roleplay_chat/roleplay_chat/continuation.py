"""How a reply and what carries it on become one text."""


def joined(beginning: str, continuation: str) -> str:
    """A reply and what continues it, with a space between them where one is missing."""
    return f"{beginning}{space_between(beginning, continuation)}{continuation}"


def space_between(beginning: str, continuation: str) -> str:
    """The space that is missing between them, or nothing."""
    glued = (
        beginning[-1:].isspace()
        or continuation[:1].isspace()
        or continuation[:1] in ".,;:!?…)”’"
        or beginning[-1:] in "-–—(“‘"
    )
    return "" if glued else " "
