"""The model's text becomes the character's words, piece by piece as it comes."""


class Reply:
    """Drops the space around the text; paragraphs and markdown stay as they are.

    The pieces given out, joined, are the reply: what streams is what is stored.
    """

    def __init__(self) -> None:
        self._begun = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that can be shown now that `piece` has come; may be empty."""
        text = self._held + piece
        if not self._begun:
            text = text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        self._begun = self._begun or bool(shown)
        return shown


def joined(beginning: str, continuation: str) -> str:
    """A reply and what continues it, with a space between them where one is missing."""
    glued = (
        beginning[-1:].isspace()
        or continuation[:1].isspace()
        or continuation[:1] in ".,;:!?…)”’"
        or beginning[-1:] in "-–—(“‘"
    )
    return beginning + ("" if glued else " ") + continuation
