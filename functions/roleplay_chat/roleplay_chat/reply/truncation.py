"""Trims a reply that stopped in the middle of a sentence because it hit its length limit."""

import re

_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»*_)\]]*(?=\s|$)|[。！？][\"'”’»」』*_)\]]*")
MIN_KEPT = 0.3
"""The minimum share of a reply that trimming keeps. Otherwise the unfinished sentence stays."""


def trim_unfinished_sentence(text: str) -> str:
    """A reply that hit its length limit, without its unfinished last sentence, and with an open
    asterisk or quotation mark closed."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    if ends and ends[-1] >= len(text) * MIN_KEPT:
        text = text[: ends[-1]]
    paragraph = text.rpartition("\n")[2]
    if paragraph.replace("**", "").count("*") % 2:
        text += "*"
    if paragraph.count('"') % 2:
        text += '"'
    return text
