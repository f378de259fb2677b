"""Chooses the earlier messages and facts to put before the person's message, and formats them.
Pure.

The database finds the candidates among the messages (`private.recall`). Those that are in the
history anyway are left out, and the best of the others are shown within a share of the prompt, in
order. Facts that the system message has no room for are found by their words.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date
from itertools import groupby, pairwise

from edge.patterns import compiled_later
from roleplay_chat.api import Tier
from roleplay_chat.patterns import regex_compiled_later
from roleplay_chat.prompt.passages import Piece, Run
from roleplay_chat.rows import FactRow, RecalledRow
from roleplay_chat.screening.normalize import stream_safe
from roleplay_chat.screening.rules import is_sexual
from roleplay_chat.scripts import ATTACHING
from roleplay_chat.tokens import Tokens

SHARE = 0.17
"""The most of a prompt's budget for recalled messages. No cache knows them, and more of them find
little more."""
MAX_TOKENS, SHORT, LONG_TOKENS = 1_300, 8_192, 400
"""The most tokens for them, in prompts that are not longer than `SHORT`. In a longer one, which has
more of the history and leaves less to be found, the limit falls with the length to
`LONG_TOKENS`."""
LEAST_EXCERPT, MAX_EXCERPTS = 60, 3
"""The least room in tokens for a part of a message that is too long, and the most such messages.
Twice as many are read, because some may add nothing new."""
MAX_SENTENCES = 200
"""The most parts that such a message is divided into. If it has more sentences, a part has
several."""
NAMED_WEIGHT = 1.5
"""The factor for messages of somebody whom the person's message names."""
_WORD = compiled_later(r"\w+")
_SENTENCE = compiled_later(r"[^.!?…。！？\n]*[.!?…。！？\n]+\s*|[^.!?…。！？\n]+")
TITLE = "[Earlier in this story, as far as it bears on the next message:]"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


FACTS_TITLE = "[Also known, as far as it bears on the next message:]"
NEW_FACTS_TITLE = "[Also known:]"
MAX_FACTS = 8
"""The most facts beside the recalled messages."""
MAX_SHARE_OF_FACTS = 0.2
"""A word in a larger share of the facts means nothing, unless only two have it."""
LEAST_SCORE = 0.5
"""Facts with a smaller share of the best one's score are left out."""
MAX_SAID_CHARS = 1_000
"""How much of the person's message is searched for, half at its beginning and half at its end, as
in `private.recall`; and how much of a fact is searched."""
_STEM_CHARS = 5
"""Words count as the same if they begin with the same letters."""
_ACCENTS = compiled_later("[\u0300-\u036f]+")
_PLAIN_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "þ": "th", **dict(zip("øłđðıħŧ", "olddiht", strict=True))}
)
"""Letters that Unicode does not decompose, as in `private.without_accents`."""
_RUN = regex_compiled_later(rf"(?V1)[{ATTACHING}]+|[\w--[{ATTACHING}]]{{3,}}|\d+")
_ATTACHING = regex_compiled_later(rf"(?V1)[{ATTACHING}]")
_FUNCTION_WORDS = _set(
    "about after again all also and any anything are because been before being but can come could"
    " did does doing done else ever every everything few for from get give going gone good got had"
    " has have having her here hers him his how into its just keep know let like look made make"
    " many may maybe mean might mine more most much must need never not nothing now off okay once"
    " one only other our out over own please really right said same saw say see shall she should"
    " some something such take tell than thank thanks that the their them then there these they"
    " thing think this those too two use very want was way well went were what when where which"
    " while who whom why will with without would yes yet you your"
)
"""English words that carry no meaning. In other languages, the frequency of a word decides."""
_NO_NAMES = _FUNCTION_WORDS | _set(
    "a an of mr mrs ms miss dr sir lady lord old little user der die das von herr frau le la les du"
    " de des el los las il lo van"
)
"""Words of names, such as "the user", that name nobody."""


def budget(prompt: int) -> int:
    """The tokens for recalled messages in a prompt of `prompt` tokens."""
    if prompt <= SHORT:
        return int(min(prompt * SHARE, MAX_TOKENS))
    return int(max(MAX_TOKENS * SHORT / prompt, LONG_TOKENS))


def choose(
    found: Sequence[RecalledRow],
    *,
    before: int | None,
    said: str,
    names: Mapping[str, str],
    budget: int,
    tokens: Tokens,
    tier: Tier,
) -> list[RecalledRow]:
    """The best of `found` that fit in `budget` tokens, oldest first.

    Only messages before position `before`, where the history begins; None if there is none. `said`
    is the person's message, `names` the name for each `sender` whose rows have no speaker. Any of
    them may come from an adult turn, so an `sfw` turn leaves out those with anything sexual. From a
    message that does not fit, the sentences that share words with the person's message are taken.
    Of messages or sentences with the same words, only the first is taken.
    """
    spoken, stems = _words(said), _stems(_ends(said))

    def rank(row: RecalledRow) -> float:
        is_named = not spoken.isdisjoint(_words(_speaker(row, names)) - _NO_NAMES)
        return row.score * (NAMED_WEIGHT if is_named else 1)

    earlier = [row for row in found if before is None or row.position < before]
    chosen: list[RecalledRow] = []
    told: dict[str, set[str]] = defaultdict(set)
    """By speaker, the messages and sentences that are shown."""
    days: set[date | None] = set()
    excerpts = tried = 0
    left = budget - tokens.count(f"{TITLE}\n")
    for row in sorted(earlier, key=rank, reverse=True):
        day, shown, sentences = _day(row), row, [row.content.strip()]
        known = told[_speaker(row, names)]
        if sentences[0] in known:
            continue
        heading = 0 if day in days else tokens.count(f"{_written_day(day)}\n")
        cost = heading + tokens.count(f"{_line(row, names)}\n")
        is_long = cost > left >= heading + LEAST_EXCERPT
        if is_long and excerpts < MAX_EXCERPTS and tried < 2 * MAX_EXCERPTS:
            tried += 1
            room = left - heading - tokens.count(f"{_speaker(row, names)}: \n")
            excerpt, parts = _excerpt(row.content, stems, room, tokens, known)
            sentences += parts
            shown = replace(row, content=excerpt)
            cost = heading + tokens.count(f"{_line(shown, names)}\n")
        # Last, because it takes the longest.
        if shown.content and cost <= left and (tier == "nsfw" or not is_sexual(row.content)):
            left -= cost
            chosen.append(shown)
            excerpts += shown is not row
            known.update(sentences)
            days.add(day)
    return sorted(chosen, key=lambda row: (_day(row) or date.min, row.position))


def _excerpt(
    content: str,
    stems: AbstractSet[str],
    budget: int,
    tokens: Tokens,
    known: AbstractSet[str],
) -> tuple[str, list[str]]:
    """The sentences that share words with the person's message: as many as fit, best first, written
    in their order; empty if there are none. Each once, and none of `known`. Also returns them one
    by one."""
    sentences = _sentences(content)
    # Many sentences are the same, as in a list of numbers.
    first = {sentence.strip(): place for place, sentence in reversed([*enumerate(sentences)])}
    shared = {
        place: len(stems & _stems(sentence))
        for sentence, place in first.items()
        if sentence not in known
    }
    chosen: set[int] = set()
    for place in sorted(shared, key=lambda place: (-shared[place], place)):
        cost = tokens.count(f"… {sentences[place]}") if shared[place] else 0
        if shared[place] and cost <= budget:
            budget -= cost
            chosen.add(place)
    pieces = [
        ("" if place == 0 or place - 1 in chosen else "… ")
        + (sentences[place] if place + 1 in chosen else f"{sentences[place].rstrip()} ")
        for place in sorted(chosen)
    ]
    return "".join(pieces).rstrip(), [sentences[place].strip() for place in chosen]


def _sentences(content: str) -> list[str]:
    sentences = _SENTENCE.findall(content)
    each = -(-len(sentences) // MAX_SENTENCES)
    if each <= 1:
        return sentences
    return ["".join(sentences[begin : begin + each]) for begin in range(0, len(sentences), each)]


def choose_facts(
    left_out: Sequence[FactRow],
    facts: Sequence[FactRow],
    *,
    said: str,
    budget: int,
    tokens: Tokens,
) -> list[FactRow]:
    """Those of `left_out` that share rare words with the person's message and fit in `budget`
    tokens, in their order. The rarity of a word is counted in all `facts`."""
    spoken = _stems(_ends(said))
    if not left_out or not spoken:
        return []
    # Facts that were left out are among them: each text is read once.
    shared = {text: spoken & _stems(text) for text in {*map(_about, facts), *map(_about, left_out)}}
    weights = _weights([shared[_about(fact)] for fact in facts])
    scores = [sum(weights.get(stem, 0) for stem in shared[_about(fact)]) for fact in left_out]
    least = max(scores) * LEAST_SCORE
    best = sorted(range(len(left_out)), key=lambda place: (-scores[place], place))
    chosen: list[int] = []
    left = budget - tokens.count(f"{FACTS_TITLE}\n")
    for place in best[:MAX_FACTS]:
        cost = tokens.count(f"- {left_out[place].line}\n")
        if scores[place] > 0 and scores[place] >= least and cost <= left:
            left -= cost
            chosen.append(place)
    return [left_out[place] for place in sorted(chosen)]


def _ends(said: str) -> str:
    if len(said) <= MAX_SAID_CHARS:
        return said
    return f"{said[: MAX_SAID_CHARS // 2]} {said[-MAX_SAID_CHARS // 2 :]}"


def _weights(shared: Collection[AbstractSet[str]]) -> dict[str, float]:
    """The weights of the shared words: rarer words weigh more. Frequent ones are left out."""
    numbers = Counter(stem for stems in shared for stem in stems)
    most = max(len(shared) * MAX_SHARE_OF_FACTS, 2)
    return {
        stem: math.log(1 + len(shared) / number)
        for stem, number in numbers.items()
        if number <= most
    }


def _about(fact: FactRow) -> str:
    """The text of a fact in which words are searched."""
    return f"{_ends(fact.content)} {fact.subject or ''} {fact.topic or ''}"


def _stems(text: str) -> set[str]:
    """The beginnings of the words of a text, without accents; pairs of letters in scripts without
    spaces, and in Korean."""
    stems: set[str] = set()
    for word in set(_RUN.findall(_plain(text))):
        if not word.isascii() and _ATTACHING.match(word):
            stems.update(map("".join, pairwise(word)))
        elif word not in _FUNCTION_WORDS:
            stems.add((word.removesuffix("s") if len(word) > 3 else word)[:_STEM_CHARS])
    return stems


def written_facts(facts: Sequence[FactRow], title: str = FACTS_TITLE) -> Piece:
    """The chosen facts as one text."""
    lines = "\n".join(f"- {fact.line}" for fact in facts)
    return Piece.from_runs([(None, f"{title}\n"), ("memory", lines)] if facts else [])


def _words(text: str) -> set[str]:
    return set(_WORD.findall(_plain(text)))


def _plain(text: str) -> str:
    """The text in lower case without accents: many people leave them out."""
    text = text.casefold()
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", stream_safe(text))
    return unicodedata.normalize("NFC", _ACCENTS.sub("", letters)).translate(_PLAIN_LETTERS)


def written(rows: Sequence[RecalledRow], names: Mapping[str, str]) -> Piece:
    """The chosen messages as one text, each with its speaker, under the day on which it was
    said."""
    return Piece.from_runs([(None, TITLE), *_runs(rows, names)] if rows else [])


def _runs(rows: Iterable[RecalledRow], names: Mapping[str, str]) -> Iterator[Run]:
    for day, said in groupby(rows, _day):
        yield None, f"\n{_written_day(day)}" if day else ""
        for row in said:
            yield None, "\n"
            yield "history", _line(row, names)


def _line(row: RecalledRow, names: Mapping[str, str]) -> str:
    return f"{_speaker(row, names)}: {row.content}"


def _speaker(row: RecalledRow, names: Mapping[str, str]) -> str:
    return row.speaker or names[row.sender]


def _day(row: RecalledRow) -> date | None:
    return row.said_at.date() if row.said_at else None


def _written_day(day: date | None) -> str:
    return f"({day.day} {day:%B %Y})" if day else ""
