"""Distinguishes tokens that a text mentions from tokens that a server leaked into it.

A character may explain `<think>`, show a prompt in a code block, or quote "</s>". A token that a
server leaked stands at the beginning of a line, after a sentence, or glued to a word.
"""

import re

from roleplay_chat.scripts import is_unspaced

_PARTS = re.compile(r"\n|`+|~+|[^\n`~]+")
_FENCE = 3
"""The least number of back-ticks or tildes that open a code block."""
_PAIRS = {
    '"': '"', "'": "'", "“": "”", "‘": "’", "„": "“”", "«": "»", "»": "«", "「": "」", "『": "』",
    "（": "）", "(": ")", "*": "*", "_": "_",
}  # fmt: skip
"""Opening marks, and those that close them."""
_FOLLOWS_A_MENTION = frozenset(",.;:!?)…，。、；：！？）،؟।")
_JOINS_WORDS = frozenset(",;:/–—-")
_KEPT = 2
"""How many characters before a token are examined."""


class CodeSpans:
    """Follows the code in a growing text. Reads it only when asked, and only once."""

    def __init__(self) -> None:
        self._unread: list[str] = []
        self.note = self._unread.append
        """Called with each piece of the text. It is nothing else, because it is called for each."""
        self._tail = ""
        self._fence = self._run = ""
        self._inline = 0
        self._is_fence_line = self._is_run_first = self._has_mention = False
        self._is_blank = True

    @property
    def is_after_space(self) -> bool:
        """Whether the text ends in a space, with a word before it on the same line."""
        self._read()
        return not self._is_blank and self._tail[-1:].isspace()

    def is_mention(self, after: str, *, is_glued: bool = False) -> bool | None:
        """Whether the text mentions the token that comes next, followed by `after`; None while that
        depends on more text. `is_glued`: whether it may stand between letters of a script without
        spaces."""
        is_mention = self._is_mention(after, is_glued=is_glued)
        self._has_mention = self._has_mention or bool(is_mention)
        return is_mention

    def _is_mention(self, after: str, *, is_glued: bool) -> bool | None:
        self._read()
        if self._fence or self._inline:
            return True
        if self._is_blank:
            return False
        last = self._tail[-1:]
        if last in _PAIRS:
            return after[0] in _PAIRS[last] if after else None
        if last.isspace():
            return self._has_mention or self._is_in_sentence(after)
        if is_glued and is_unspaced(last):
            return is_unspaced(after[0]) if after else None
        return False

    def _is_in_sentence(self, after: str) -> bool | None:
        before = self._tail[-2:-1]
        if not (before.isalnum() or before in _JOINS_WORDS):
            return False
        if not after:
            return None
        if after[0] != " ":
            return after[0] in _FOLLOWS_A_MENTION
        return after[1].isalpha() and not after[1].isupper() if after[1:] else None

    def _read(self) -> None:
        text = "".join(self._unread)
        self._unread.clear()
        for part in _PARTS.findall(text):
            if part[0] in "`~":
                self._read_signs(part)
            else:
                self._end_run()
                self._read_other(part)
        self._tail = (self._tail + text[-_KEPT:])[-_KEPT:]
        self._end_run()

    def _read_signs(self, signs: str) -> None:
        if self._run[:1] == signs[0]:
            self._run += signs
            return
        self._end_run()
        self._run, self._is_run_first, self._is_blank = signs, self._is_blank, False

    def _read_other(self, part: str) -> None:
        if part == "\n":
            self._inline = 0
            self._is_blank, self._is_fence_line, self._has_mention = True, False, False
        elif self._is_blank:
            self._is_blank = part.isspace()

    def _end_run(self) -> None:
        """A run of back-ticks or tildes is complete: it opens or closes code."""
        run, self._run = self._run, ""
        if not run:
            return
        if self._fence:
            is_end = self._is_run_first and len(run) >= len(self._fence)
            if run[0] == self._fence[0] and (is_end or self._is_fence_line):
                self._fence = ""  # On the line that opened it, so it was not a block.
        elif self._is_run_first and len(run) >= _FENCE:
            self._fence, self._is_fence_line = run, True
        elif run[0] == "`":
            self._inline = 0 if self._inline == len(run) else self._inline or len(run)
