"""Ends a reply before a text that the request names."""

from collections.abc import Sequence


class StopStringFilter:
    """Holds back text that may begin a stop string; a stop string is never shown. The first one
    that is complete ends the reply, as it would in the model's server.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops))
        self._held = ""
        self.found = False
        """Whether a stop string came."""

    def feed(self, piece: str) -> str:
        """Process a piece and return the text that can be shown now."""
        if self.found or not piece:
            return ""
        text, self._held = self._held + piece, ""
        starts = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if starts:
            self.found = True
            _, start = min(starts)
            return text[:start]
        first = max(len(text) - self._longest + 1, 0)
        at = next((at for at in range(first, len(text)) if self._may_begin(text[at:])), len(text))
        self._held = text[at:]
        return text[:at]

    def flush(self) -> str:
        """The text that was held back."""
        text, self._held = self._held, ""
        return text

    def _may_begin(self, text: str) -> bool:
        return any(stop.startswith(text) for stop in self._stops)
