"""Trims a reply that stopped in the middle of a sentence because it hit its length limit."""

import re
from functools import cache

from edge.patterns import compiled_later

MIN_KEPT = 0.3
"""The minimum share of a reply that trimming keeps. Otherwise the unfinished sentence stays."""
MOST_TOKEN_CHARS = 30
"""The longest word with a full stop that is looked at."""

MOST_ORDINAL_DIGITS = 2

_SENTENCE_END = compiled_later(
    # Arabic, Urdu, Devanagari, Armenian, Ethiopic, Burmese, Khmer. In Tibetan, ། also ends clauses.
    r"[.!?…。！？．｡؟۔।॥։።။។៕][\"'”’»“」』*_)\]]*(?=\s|$)|[。！？｡][\"'”’»」』*_)\]]*"
)
_GOES_ON = compiled_later(r"[:;,：；，、،][\"'”’»“*_)\]]*\Z|^#{1,6} ")
"""A line after which something has to come."""
_FENCE = compiled_later(r"^ {0,3}(```+|~~~+)(.*)$", re.MULTILINE)
_ITEM = compiled_later(r"(?:^|\n)[ \t>]*(?:[-*+•–]|\(?(?:\d{1,3}|[a-zA-Z])[.)．、])[ \t]*")
_BARE_NUMBER = compiled_later(r"\(?(?:\d{1,3}|[a-zA-Z])")
_BEFORE = compiled_later(r"[^\s\"'“”„«»‘’(\[*_]{1,30}\Z")
_ABBREVIATIONS = """
mr mrs ms messrs dr prof st sr jr rev fr hon gen col capt lt sgt cpl maj adm gov sen rep
pres mt ft no nos vol vols ch pp p ed eds fig figs sec dept univ approx est vs v viz cf al
i.e e.g a.k.a a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec hr frl dipl ing mag
z.b z d.h d u.a u usw bzw ca evtl ggf inkl nr str abs bd geb gest sog vgl s m mm mme mmes
mlle mlles me mgr p.ex ex env av j.-c sra srta srs sras dª dn dña ud uds vd vds ee.uu pág
págs núm núms avda c izq dcha exmo exma eng tel sig sigg sig.ra dott dott.ssa avv geom rag
on ecc es dhr mevr mej drs ir bijv blz enz evt nl o.a d.w.z i.p.v np tzn tj itd itp ul pl os
inż hab św ks г гг в вв ул пр д кв стр т т.е т.д т.п т.к др проф акад им св тов рис см напр
млн млрд тыс руб коп гл п ст р вул буд сп о sn doç yrd vb bkz sf dl dna dra
"""
"""Abbreviations, whose full stop does not end a sentence."""
_MAY_END = """
a.m p.m etc usw ecc itd itp т.д т.п др vb al jr sr no est st mar may sat sun es os on ex av
s mm me ir in ed p v c d о о. п р в т ст
"""
"""Those that end one if a capital letter follows."""


@cache
def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


def trim_unfinished_sentence(text: str, *, kept_chars: int = 0) -> str:
    """A reply that hit its length limit, without its unfinished last sentence, and with an open
    asterisk, quotation mark or code block closed. The first `kept_chars` stay."""
    fence = _open_fence(text)
    if fence and fence.start() >= kept_chars and not text[fence.end() :].strip():
        if not text[: fence.start()].strip():
            return text  # There is nothing else.
        text, fence = text[: fence.start()].rstrip(), None
    if fence:
        return _closed(text, fence, kept_chars)
    least = kept_chars + (len(text) - kept_chars) * MIN_KEPT
    end = _last_end(text)
    if end and end > kept_chars and end >= least:
        text = text[:end]
    paragraph = text.rpartition("\n")[2]
    if _without_bullet(paragraph).replace("**", "").count("*") % 2:
        text += "*"
    if paragraph.count('"') % 2:
        text += '"'
    return text


def _open_fence(text: str) -> re.Match[str] | None:
    """The line that opens a code block which is not closed."""
    fence: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if fence is None:
            fence = None if line[1][0] in line[2] else line
        elif line[1].startswith(fence[1]) and not line[2].strip():
            fence = None
    return fence


def _closed(text: str, fence: re.Match[str], kept_chars: int) -> str:
    """The text with its code block closed, without the last line of code if it has others."""
    whole_lines = text.rfind("\n")
    if whole_lines > max(fence.end(), kept_chars):
        text = text[:whole_lines]
    return f"{text.rstrip()}\n{fence[1]}"


def _last_end(text: str) -> int:
    """Where the last whole sentence, paragraph or list item ends; 0 if there is none."""
    last = 0
    for end in _SENTENCE_END.finditer(text):
        if text[end.start()] not in ".．" or _ends_sentence(text, end.start(), end.end()):
            last = end.end()
    return max(last, _end_before_line(text))


def _ends_sentence(text: str, at: int, end: int) -> bool:
    """Whether the full stop at `at` ends a sentence. `end` is behind its quotation marks."""
    before = _BEFORE.search(text, max(at - MOST_TOKEN_CHARS, 0), at)
    word = before[0].lower() if before else ""
    following = text[end : end + MOST_TOKEN_CHARS].lstrip()
    if _BARE_NUMBER.fullmatch(word) and not text[: at - len(word)].rpartition("\n")[2].strip(
        " \t>("
    ):
        return False  # The number of a list.
    is_initial = len(word) == 1 and word.isalpha()
    if word.isdigit() and len(word) <= MOST_ORDINAL_DIGITS:  # An ordinal, in many languages.
        return not following or not following[0].islower()
    if is_initial or word in _listed(_ABBREVIATIONS):
        return word in _listed(_MAY_END) and following[:1].isupper()
    return True


def _end_before_line(text: str) -> int:
    """The end of the text before the last line, which was cut; 0 if they are one sentence."""
    start = text.rfind("\n")
    if start < 1:
        return 0
    before = text[:start].rstrip()
    if _ITEM.match(text, start):
        return len(before)
    is_wrapped = len(before) == start and text[start + 1 : start + 2].islower()
    return 0 if is_wrapped or _GOES_ON.search(before[before.rfind("\n") + 1 :]) else len(before)


def _without_bullet(line: str) -> str:
    return line.lstrip().removeprefix("* ")
