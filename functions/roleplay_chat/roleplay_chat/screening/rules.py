"""Detects signals of a minor and of sexual content in a text, by patterns on its encoding.

Signals of a minor, strongest first:

    stated     an age below 18, a school year, a word that only means a minor
    past       the same, about a time that is over ("when she was 12")
    teen       may be 18 or 19
    child      a child is mentioned, who may not be present
    kin        a daughter or a son, of any age
    doubtful   a number that may be an age

Signals of sexual content: explicit, and soft (euphemisms, nudity). Stronger signals count over a
longer distance.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache

from msgspec import Struct
from msgspec.structs import asdict

from roleplay_chat.api import Tier
from roleplay_chat.screening.word_classes import (
    CODE,
    MAX_UNSETTLED_CHARS,
    OTHER,
    encode,
    settle,
    settle_unspaced,
    without_endings,
)

_SHORT = {
    # A number below 18; the same, with a decimal, or a word that may be such a number.
    "N": "[ONES SMALL TEENS]",
    "W": "[ONES SMALL TEENS WEAK FRACTION]",
    # What follows a number without a unit if it is an age.
    "END": """(?=[STOP COMMA AND FUNCTION DURING IN AT TO WHEN AS LIKE SUBJECT SUBJECT_IS POSSESSIVE
        HER IT HERE GENDER GIRL PERSON NOT HAVE BELOW UNTIL] | $)""",
    "ROUGHLY": "(?: JUST | NEARLY | SAME | IN FACT | FUNCTION ){0,2}",
    "AN_": "(?: ARTICLE | AN | THE )",
    "OWN": "(?: POSSESSIVE | HER | GERMAN )",
    # The subject of the preceding IS or WAS: a person; a person or a name.
    "OF_ONE": """(?<= [SUBJECT GIRL PERSON SIBLING CHILD CHILDREN KIN SON TEEN PUPIL AGE HER THEM]
        . )""",
    "OF_NAME": "(?<= [OTHER JUST] . ) (?<! [THE POSSESSIVE HER ARTICLE AN OF THING] . . )",
    "SOMEBODY": "(?: GIRL | PERSON | SIBLING | CHILD | CHILDREN | KIN | SON | TEEN | PUPIL )",
    "SCHOOLING": "(?: [HIGH LOWER] SCHOOL | HIGH HIGH | NURSERY )",
    "A_CHILD": "(?: YOUNG? CHILD | YOUNG GIRL )",
    "YEARS": "(?: YEAR | ANOS | ANS | ANNI | JAHRE | LET )",
    "SEXUAL": "[SEX EXPLICIT PORN SOFT NAKED FUCK]",
}


_CLASSES = frozenset(CODE.values())
_COMMON = frozenset(
    CODE[name]
    for name in (
        *("OTHER", "STOP", "COMMA", "LETTER", "SUBJECT", "IS", "WAS", "HAVE", "ARTICLE", "AN"),
        *("AS", "LIKE", "THE", "POSSESSIVE", "HER", "THEM", "OF", "THAN", "JUST", "NOT", "AND"),
        *("FUNCTION", "DURING", "IN", "AT", "TO", "WHEN", "IT", "HERE", "GO", "MAKE", "REMOVE"),
        *("UNTIL", "SUBJECT_IS", "OLD", "WILL", "BODY", "LOOKS", "GENDER", "PERSON", "TURN"),
        *("TURNED", "TURNS", "THING", "NEARLY", "AGE", "BORN", "UNDER", "OLDER", "SAW", "ABSENT"),
        *("FACT", "SAME", "HAS", "HA", "GERMAN", "INTO", "PLAY", "YEAR", "MONTH", "TEACH", "KISS"),
        *("ANOS", "ANS", "ANNI", "JAHRE", "LET", "SWEET", "SCENE", "GIRL", "SIBLING"),
    )
)
"""Classes that are common in ordinary text."""


Classes = frozenset[str]


class _Rule(Struct, frozen=True, dict=True):
    """A pattern, and the classes that a text must contain for it to match: one of each set."""

    coded: str
    needed: Sequence[Classes]
    """The rarest set first."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern, made on first use: most texts need few of them."""
        return re.compile(self.coded)

    @classmethod
    def parse(cls, rule: str) -> "_Rule":
        """Parse a rule written with the names of classes."""
        coded = _coded(rule)
        needed, _ = _needed(re.finditer(_ITEM, coded))
        return cls(coded, sorted(needed, key=_commonness))

    @property
    def telling(self) -> Classes:
        """The required set that texts contain least often."""
        return self.needed[0]

    def may_match(self, present: Classes) -> bool:
        """Whether it can match a text with these classes."""
        return not any(map(present.isdisjoint, self.needed))


_NAME = re.compile(r"[A-Z][A-Z_]*|\s+")


def _coded(rule: str) -> str:
    return _NAME.sub(lambda name: _encode_name(name[0]), rule)


@cache
def _encode_name(name: str) -> str:
    if name.isspace():
        return ""
    return _coded(_SHORT[name]) if name in _SHORT else CODE[name]


_ITEM = re.compile(r"(\((?:\?(?:<?[=!]|:))?|\)|\||\[[^]]*\]|.)([?*]|\{0)?", re.DOTALL)
"""The start or end of a group, a bar, a set of classes or a class, and whether it is optional."""


def _needed(items: Iterator[re.Match[str]]) -> tuple[list[Classes], bool]:
    """The sets of classes that a pattern requires, up to the end of its group, and whether the
    group is optional.

    For alternatives, one set of each is merged, since any one of them suffices.
    """
    ways: list[list[Classes]] = [[]]
    optional = False
    for found in items:
        item, may_be_absent = found[1], bool(found[2])
        if item == ")":
            optional = may_be_absent
            break
        if item == "|":
            ways.append([])
        elif item.startswith("("):
            inside, is_optional = _needed(items)
            if item == "(?:" and not is_optional:
                ways[-1] += inside
        elif (
            not may_be_absent
            and not item.startswith("[^")
            and (classes := frozenset(item) & _CLASSES)
        ):
            ways[-1].append(classes)
    if len(ways) == 1:
        return ways[0], optional
    if not all(ways):
        return [], optional
    return [frozenset[str]().union(*(min(way, key=_commonness) for way in ways))], optional


def _commonness(classes: Classes) -> tuple[int, int]:
    return len(classes & _COMMON), len(classes)


class _Rules:
    """A list of patterns, indexed by the classes that they require."""

    def __init__(self, *rules: _Rule) -> None:
        self.rules = rules
        self._by_class: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for name in rule.telling:
                self._by_class.setdefault(name, []).append(number)
        self._telling = frozenset(self._by_class)
        self._looked_at = frozenset[str]().union(*(one for rule in rules for one in rule.needed))
        # Texts contain few classes, and often the same ones.
        self._applying = lru_cache(maxsize=4096)(self._select)

    @classmethod
    def parse(cls, *rules: str) -> "_Rules":
        """Parse rules written with the names of classes."""
        return cls(*map(_Rule.parse, rules))

    def applying(self, present: Classes) -> Sequence[re.Pattern[str]]:
        """The patterns that can match a text with these classes."""
        if self._telling.isdisjoint(present):
            return ()
        return self._applying(self._looked_at & present)

    def _select(self, present: Classes) -> Sequence[re.Pattern[str]]:
        numbers = {number for name in self._telling & present for number in self._by_class[name]}
        found = (self.rules[number] for number in sorted(numbers))
        return tuple(rule.pattern for rule in found if rule.may_match(present))


_ABOVE = _Rule.parse("[ONES WEAK]? TENS (?: AND? [ONES WEAK TENS] )*")
"""twenty five, four hundred, treinta y cinco"""

# Looks like a signal, but is not.
_BENIGN = _Rules.parse(
    # a 12 year old single malt whisky
    "W (?: YEAR OLD | YO | MONTH OLD ) OTHER{0,2} THING"
    " (?! OTHER? [GIRL PERSON CHILD PUPIL TEEN] )",
    "OLD THING COMMA W YEAR OLD",
    "THING AGE COMMA? JUST? W",
    "THING (?: [OTHER OF THE OWN]{1,3} )? [IS WAS] JUST? W (?: YEAR OLD | MONTH OLD )",
    # two glasses of the 12-year-old Lagavulin
    "DRINK [OF THE OTHER ARTICLE IS WAS HAS POSSESSIVE HER]{0,3} W"
    " (?: YEAR OLD | YO | ANOS | ANS | ANNI )",
    # whisky de 12 años, la empresa tiene 12 años, 12 ans d'expérience
    "THING OTHER? (?: OF | HAS | HA | ARTICLE ) JUST? N (?: ANOS | ANS | ANNI | JAHRE | LET )",
    "N (?: ANOS | ANS | ANNI | LET ) OF? THING",
    # im 5. Stock
    "SUBJECT_IS N STOP{3} [FLOOR JAHRE MONTH]",
    # nobody under 18, 18歳未満禁止
    "NOT [^STOP COMMA]{0,5} UNDER [THAN OF THE LIKE WHEN AGE]{0,4} JUST? [TEENS EIGHTEEN]",
    "[TEENS EIGHTEEN] AGE_UNIT BELOW OTHER{0,2} FORBIDDEN",
    "BELOW [TEENS EIGHTEEN] AGE_UNIT OTHER{0,3} FORBIDDEN",
    # not a child, no minors, not underage
    "NOT AN_? [CHILD CHILDREN TEEN STATED MINOR MINORS MENOR]",
    "[STATED TEEN CHILD] OTHER? FORBIDDEN",
    # the opposite sex, sex: female, the sex of the
    "SAME SEX",
    "SEX (?: COMMA IS? | IS ) [GENDER GIRL]",
    "SEX [GENDER CHROMOSOME]",
    "THE SEX OF [THE HER POSSESSIVE AN ARTICLE]",
    "NAKED OTHER? EYE",
    "CHICKEN BREASTS",
    # teen years, child psychologist, giggled like a child
    "TEEN YEAR",
    "[CHILD CHILDREN] CHILD_WORK",
    "LIKE (?<! LOOKS . ) (?<! LOOKS . . . ) AN_? CHILD (?! OTHER? SEXUAL )",
    # the kids are away, to have children
    "CHILDREN [IS WAS] ABSENT",
    "HAVE OWN? CHILDREN (?! OTHER{0,2} SEXUAL )",
    "HAVE [ARTICLE AN] CHILD (?! OTHER{0,2} SEXUAL )",
)

_ABSOLUTE = _Rules.parse(
    "ABSOLUTE",
    "[CHILD CHILDREN INFANTILE STATED MINORS] PORN",
    "PORN [INFANTILE STATED]",
    "PORN [OF IN HAVE] [CHILD CHILDREN STATED MINORS]",
)

_STATED = _Rules.parse(
    "STATED",
    # 12 years old, 12yo, 6 months old, 12 years of age, 12-year girl, ten and a half years old
    "W (?: YEAR OLD | YEAR YOUNG | YO | AGED )",
    "[ONES SMALL TEENS WEAK EIGHTEEN ADULT] MONTH OLD",
    "W YEAR OF AGE",
    "N YEAR [GIRL CHILD]",
    "ORDINAL YEAR OLD",
    "N AND [ARTICLE AN] OTHER YEAR OLD",
    "N COMMA N COMMA YEAR OLD",
    "BORN JUST? N YEARS",
    # aged 12, Age: 12, her age? Twelve., Age (years): 12, Age: child
    "AGE (?: COMMA | IS )? JUST? N (?! OTHER? OTHER? THING )",
    "AGE (?: COMMA | IS )? STOP{3,6} JUST? N (?: YEARS | END )",
    "AGE COMMA? IN? YEAR COMMA? JUST? N",
    "AGE (?: COMMA | IS )? JUST? FRACTION (?: YEARS | END )",
    "AGE COMMA YOUNG? [CHILD MINOR] END",
    "AGE [OF THE POSSESSIVE HER PERSON OTHER]{1,4} [COMMA IS] JUST? N",
    "AGE [HER THEM] TO N",
    "OLD [IS WAS] [SUBJECT OTHER] STOP{3} N",
    # I'm 15, she is only 15, Mina is 15, is she 15
    "SUBJECT_IS ROUGHLY N END",
    "SUBJECT_IS ROUGHLY N YEAR (?=[STOP COMMA] | $) (?! COMMA N MONTH [OTHER INTO] )",
    "[IS WAS] OF_ONE ROUGHLY N YEAR (?=[STOP COMMA] | $) (?! COMMA N MONTH [OTHER INTO] )",
    "[IS WAS] (?: OF_ONE | OF_NAME ) ROUGHLY N (?! WHEN ) (?: JAHRE | END )",
    "NOT [^STOP COMMA]{0,3} IS OLDER THAN N END",
    "UNDER COMMA? [LIKE JUST NEARLY]{1,2} N END",
    "[IS WAS] SUBJECT ROUGHLY N (?: JAHRE | END )",
    "AND [IS WAS] ROUGHLY N END",
    "[SUBJECT PERSON] WILL IS ROUGHLY [TEENS EIGHTEEN] END",
    "DATIVE ROUGHLY N (?: LET | END )",
    "PERSON ROUGHLY N LET",
    # a girl, maybe twelve
    "[GIRL PERSON SIBLING CHILD KIN] COMMA [JUST NEARLY OTHER]? N COMMA",
    "TEENS HERE",
    "MAKE [HER THEM OTHER] TEENS",
    "IS (?<= FUNCTION . ) TEENS END",
    "[GIRL PERSON SIBLING CHILD KIN] COMMA ROUGHLY N YEARS",
    "SOMEBODY COMMA N AND N END",
    # tiene 12 años, elle a 12 ans, ha 12 anni
    "HAS [JUST THAN]? (?: W (?: ANOS | ANS | ANNI ) | N END )",
    "[ARTICLE AS] (?<! AND . ) [JUST THAN]? W ANS",
    "HA JUST? W ANNI",
    "[POSSESSIVE FUNCTION] W (?: ANOS | ANS | ANNI ) (?! OF )",
    "OF MAKE W ANOS",
    "W JAHRE OLD",
    # niña de 12 años, a girl of 12, Mädchen von 12 Jahren
    "(?: SOMEBODY | GENDER ) OTHER? OF JUST? (?: W YEARS | N END )",
    "[AN POSSESSIVE THE] OTHER{1,2} OF N (?: ANOS | ANS | ANNI )",
    "KIND OF N JAHRE",
    "[GIRL SIBLING CHILD KIN PUPIL] N LET",
    "N LET [GIRL SIBLING CHILD KIN PUPIL]",
    "N AGE_UNIT",
    "[TEENS EIGHTEEN] AGE_UNIT BELOW",
    "BELOW [TEENS EIGHTEEN] AGE_UNIT",
    # turned 12, turns 18 tomorrow, until she turns 18, almost 18, not yet 18, under 18, under age
    "[TURNED TURNS] (?<! [IT THING] . ) JUST? N (?: YEARS | END )",
    "TURNS [OTHER FUNCTION]{1,2} [TEENS EIGHTEEN] END",
    "TURNS EIGHTEEN (?<! [IT THING] . . ) (?: YEARS | END )",
    "[WILL TO] TURN JUST? (?: N | EIGHTEEN )",
    "UNTIL [SUBJECT OTHER]? (?: TURNED | TURNS | IS | WAS ) EIGHTEEN",
    "(?: SUBJECT_IS | IS | WAS | TURNED | TURNS ) NEARLY EIGHTEEN END",
    "NOT [FUNCTION JUST OTHER TURNED TURNS IS HAVE HAS THE]{0,3} EIGHTEEN"
    " (?: YEAR OLD | YO | ANOS | ANS | ANNI | JAHRE | LET | END )",
    "UNDER [THAN OF THE LIKE WHEN AGE]{0,4} JUST? [TEENS EIGHTEEN] END",
    "UNDER [THAN OF THE LIKE WHEN AGE]{0,4} JUST? (?: N | EIGHTEEN )"
    " (?: YEAR OLD | YO | ANOS | ANS | ANNI | JAHRE | LET | YEAR OF AGE )",
    "UNDER AGE (?! COMMA )",
    # Leo, sixteen, Mina (15)
    "COMMA N COMMA (?<= OTHER . . . ) (?! [ONES SMALL TEENS WEAK EIGHTEEN ADULT] )",
    # has seen 14 summers, her 12th birthday, sweet sixteen
    "SAW JUST? OTHER? N SEASON",
    "N SEASON (?: OLD | OF )",
    "OWN ORDINAL BIRTHDAY",
    "SWEET TEENS",
    # high school girl, 8th grader, in 8th grade, in grade 8, is still in high school
    "SCHOOLING [PUPIL GIRL CHILD CHILDREN GENDER SCHOOLER TEEN]",
    "SCHOOLING HIGH END",
    "SCHOOL (?: GIRL | CHILD | CHILDREN )",
    "[PUPIL HIGH] [OTHER YEAR FUNCTION IN AT OF THE]{1,3} SCHOOLING (?! TEACH )",
    "(?: HIGH | LOWER | ORDINAL ) SCHOOLER",
    "[ORDINAL ONES SMALL] STOP{0,3} GRADER",
    "IN (?<! TEACH . ) THE? ORDINAL GRADE (?! TEACH )",
    "IN THE? [ONES SMALL] STOP{0,3} GRADE",
    "IN (?<! TEACH . ) GRADE [ONES SMALL]",
    "ORDINAL GRADE [PUPIL GIRL CHILD]",
    "GRADE (?<! TEACH . ) (?<! TEACH . . ) COMMA ORDINAL END"
    " (?! (?: COMMA | STOP{3} ) SUBJECT? TEACH )",
    "[PUPIL GIRL CHILD] [OF OTHER THE]{1,2} ORDINAL GRADE",
    "[GRADE YEAR] [ONES SMALL] [PUPIL GIRL CHILD]",
    "PUPIL [OTHER FUNCTION IN OF]{1,2} [GRADE YEAR] [ONES SMALL]",
    "(?: SUBJECT_IS | IS (?: OF_ONE | OF_NAME ) ) ROUGHLY [IN AT] SCHOOLING (?! TEACH )",
    "[KIN SON CHILD GIRL SIBLING] COMMA? [IN AT] SCHOOLING (?! TEACH )",
    "[GIRL SIBLING CHILD KIN] [FUNCTION IN AT OF] THE SCHOOLING (?! TEACH )",
    "GO TO? (?: THE | ARTICLE | OWN )? SCHOOLING",
    "GO [OTHER JUST TO AT IN THE FUNCTION]{0,3} SCHULE",
    "[GIRL CHILD PUPIL KIN SIBLING] OF SCHULE",
    # looks 12, looks like a child, the body of a child
    "LOOKS LIKE? JUST? N (?: YEAR | YO | END )",
    "LOOKS (?<! IT . ) TO IS JUST? N (?: YEAR | YO | END )",
    "LOOKS (?: AND . )? LIKE AN_? OTHER? A_CHILD",
    "BODY OF AN_? A_CHILD",
    # is a minor, I'm just a kid, a teenage girl, she's a teenager
    "ARTICLE MINOR (?<! IN . . ) END",
    "MENOR OF AGE",
    "(?: SUBJECT_IS | [IS WAS] (?: OF_ONE | OF_NAME ) ) ROUGHLY [ARTICLE AN] OTHER? A_CHILD END",
    "(?: SUBJECT_IS | IS (?: OF_ONE | OF_NAME ) ) ROUGHLY [ARTICLE AN]? TEEN END",
    "TEEN [GIRL CHILD SIBLING KIN]",
    "[IS WAS] IN POSSESSIVE [JUST OTHER NEARLY]? TEEN",
    # turn her into a child, pretend to be a child
    "INTO [ARTICLE AN] OTHER? A_CHILD",
    "TO IS [ARTICLE AN] A_CHILD END",
    "PLAY [ARTICLE AN] A_CHILD END",
)

# Stated, about a time that is over.
_PAST = _Rules.parse(
    "AGE OF (?: N | WEAK )",
    "WAS ROUGHLY N WHEN",
    "[AS LIKE] (?: ARTICLE | AN ) (?: TEEN | A_CHILD )",
    "AT TEENS END",
)

_TEEN = _Rules.parse("TEEN")

_CHILD = _Rules.parse(
    "CHILD",
    "CHILDREN",
    "MINORS",
    "YOUNG [GIRL SIBLING]",
    "[GIRL SIBLING] YOUNG",
    "YOUNG WEAK",
    "[GERMAN AN] KIND",
    "SCHOOL UNIFORM",
    "GIRL SCOUT",
    "AN MENOR",
    "LOWER SCHOOL (?! TEACH )",
    "NURSERY (?! TEACH )",
    "SCHULE (?! TEACH )",
    "AGE OF OTHER",
    "ORDINAL BIRTHDAY",
    # 15/f
    "TEENS COMMA? GENDER",
)

_KIN = _Rules.parse("KIN", "[POSSESSIVE HER THE] SON")

# Numbers that may be ages, in wordings that would only be used for a minor.
_DOUBTFUL = _Rules.parse(
    "TEENS (?<! [IT FLOOR] . ) END",
    "OF N END",
    "NOT JUST? [IN AT] SCHOOLING",
    "[TURNED TURNS] JUST? N",
    "[IS WAS] (?<! IT . ) ROUGHLY N END",
    "N YEARS (?<! [DURING MAKE HA WHEN] . . ) (?! AGO | MAKE | OF | TEACH )",
)

_EXPLICIT = _Rules.parse(
    "[SEX EXPLICIT PORN]",
    "FUCK (?: HER | THEM | (?: ARTICLE | THE | OWN ) YOUNG? [CHILD GIRL KIN TEEN STATED SIBLING] )",
)

_SOFT = _Rules.parse(
    "[SOFT NAKED BREASTS]",
    "LUST (?: DURING | STOP | COMMA )",
    # make love, hacer el amor, faire l'amour
    "MAKE (?: THE | LETTER )? LOVE",
    "PRIVATE PARTS",
    "REMOVE OTHER? (?: HER | OWN ) CLOTHES",
    "REMOVE ABSENT (?: HER | OWN | THE ) CLOTHES",
    "[STEAMY LOVE ADULTS] SCENE",
    "PASSION KISS",
    "KISS PASSION",
    "KISS THEM PASSION",
)

_SIGNAL_RULES = _Rules(
    *(
        rule
        for rules in (
            *(_ABSOLUTE, _STATED, _PAST, _TEEN, _CHILD, _KIN, _DOUBTFUL, _EXPLICIT, _SOFT),
        )
        for rule in rules.rules
    )
)
_REPLACED = frozenset((OTHER, CODE["ADULT"]))
"""Classes that `detect` may substitute for others."""

_REACH: dict[Tier, dict[str, tuple[int, int]]] = {
    "sfw": {
        "stated": (80, 40),
        "past": (60, 20),
        "teen": (60, 20),
        "child": (60, 20),
        "kin": (20, 8),
        "doubtful": (15, 8),
    },
    "nsfw": {
        "stated": (80, 40),
        "past": (40, 10),
        "teen": (30, 12),
        "child": (20, 8),
        "kin": (8, 4),
        "doubtful": (-1, -1),
    },
}
"""The distance in words within which (explicit, soft) content counts as being about the minor. In
the `sfw` tier, which has no such content, weak signals are enough."""
MAX_REACH = max(max(reach) for reaches in _REACH.values() for reach in reaches.values())
READ_AT_ONCE_CHARS = 10_000
"""The most characters that are read on the event loop: a longer text takes more than a dozen
milliseconds, even if all its words are known."""
NEW_AT_ONCE_CHARS = 3_000
"""The most of these characters in new words. Disguised words take up to 7 milliseconds for 1,000
characters, others a third of one. Handing a text to a thread costs a millisecond."""
UNSETTLED_WORDS = 8
"""The number of words at the end whose meaning the following words may still change."""
_GROWN = _Rule.parse("[GROWN ADULTS ADULT EIGHTEEN]")
_GROWN_REACH = {"teen": 3, "kin": 8}
"""The distance in words within which an adult age makes a teen or a daughter an adult."""


class Signals(Struct, frozen=True):
    """The signals in a text, without its words."""

    absolute: bool = False
    together: frozenset[Tier] = frozenset()
    """The tiers in which a minor and sexual content are close enough to each other."""
    minor: bool = False
    """Someone is stated to be a minor."""
    teen: bool = False
    explicit: bool = False
    soft: bool = False

    def __or__(self, other: "Signals") -> "Signals":
        """The signals in either text."""
        if self is NOTHING or other is NOTHING:
            return self if other is NOTHING else other
        return Signals(**{name: mine | getattr(other, name) for name, mine in asdict(self).items()})


NOTHING = Signals()


RECENT_CHARS = 80
"""The minimum end of a growing text that is encoded again when more arrives."""
KEPT_WORDS = 200
"""The encoded words kept before that: more than the longest reach and twice the longest rule."""
LONGEST_RULE = 40
"""In words, with lookarounds."""


class Growing:
    """The signals in a growing text: the same as `detect` finds in the whole text.

    Only the end is encoded again. Of text beyond the reach of any rule, only the signals are kept.
    """

    def __init__(self, text: str = "") -> None:
        self._recent = ""
        self._encoded = ""
        """The words before `_recent`: at least the last `KEPT_WORDS`."""
        self._classes: Classes = frozenset()
        """The classes of these words."""
        self._known_quiet: Classes = frozenset()
        """Classes that no rule can match together, and so none can match some of them."""
        self._end: tuple[str, str, Classes] = ("", "", frozenset())
        """The last text that was encoded, its words, and their classes."""
        self._begin = 0
        """The first of these words that is not covered by `_past`."""
        self._past = NOTHING
        self.grow(text)

    def grow(self, more: str) -> None:
        """Append text."""
        self._recent += more
        if len(self._recent) <= RECENT_CHARS:
            return
        settled, self._recent = settle(self._recent)
        self._append(settled)
        if len(self._recent) > MAX_UNSETTLED_CHARS:
            self._past |= self.detect(unsettled=UNSETTLED_WORDS)
            settled, self._recent = settle_unspaced(self._recent)
            self._append(settled)
        if len(self._encoded) > 2 * KEPT_WORDS:
            self._forget(len(self._encoded) - KEPT_WORDS)

    def _append(self, settled: str) -> None:
        self._encoded += settled
        self._classes |= _present(settled)

    def _forget(self, words: int) -> None:
        seen = words + LONGEST_RULE
        known = _detect(self._encoded, self._classes, self._begin, seen + MAX_REACH)
        self._past |= known
        self._encoded, self._begin = self._encoded[words:], LONGEST_RULE
        self._classes = _present(self._encoded)

    def is_quiet(self, more: str = "") -> bool:
        """A cheap check: true if no rule can match the recent text with `more` appended. May be
        false although there is no signal."""
        _, present = self._encoded_end(more)
        if present <= self._known_quiet and self._classes <= self._known_quiet:
            return True
        present |= self._classes
        if not _quiet(present):
            return False
        self._known_quiet = present
        return True

    def detect(self, more: str = "", *, unsettled: int = 0) -> Signals:
        """The signals in the text with `more` appended, except those that end within the last
        `unsettled` words."""
        end, present = self._encoded_end(more)
        encoded = self._encoded + end
        found = _detect(encoded, self._classes | present, self._begin, len(encoded) - unsettled)
        return self._past | found

    def _encoded_end(self, more: str) -> tuple[str, Classes]:
        """The recent text with `more` appended, encoded once for all who ask, and its classes."""
        text = self._recent + more
        if text != self._end[0]:
            encoded = encode(text)
            self._end = text, encoded, _present(encoded)
        return self._end[1:]


def _present(encoded: str) -> Classes:
    """The classes in an encoded text. Always includes OTHER, which is the most frequent."""
    return frozenset(encoded.replace(OTHER, "") + OTHER)


def _quiet(present: Classes) -> bool:
    return not _SIGNAL_RULES.applying(present | _REPLACED)


def detect(text: str) -> Signals:
    """The signals in a text."""
    encoded = encode(text)
    return _detect(encoded, _present(encoded), 0, len(encoded))


def is_sexual(text: str) -> bool:
    """Whether anything in a text is sexual, however mildly, also in inflected words. The hard limit
    does not depend on these: `detect` takes words as the lexicon has them."""
    inflected = without_endings(text)
    texts = (text, inflected) if inflected != text else (text,)
    return any(
        found.absolute or found.together or found.explicit or found.soft
        for found in map(detect, texts)
    )


def _detect(encoded: str, present: Classes, begin: int, end: int) -> Signals:
    """The signals between two positions of an encoded text, with the text around them as
    context. `present` has all its classes, and may have others."""
    present |= _REPLACED
    patterns = _SIGNAL_RULES.applying(present)
    if not patterns:
        return NOTHING
    if _ABOVE.may_match(present):
        encoded = _ABOVE.pattern.sub(_as_adult, encoded)
    for pattern in _BENIGN.applying(present):
        encoded = pattern.sub(_as_nothing, encoded)
    if not any(pattern.search(encoded) for pattern in patterns):
        return NOTHING
    known = _Places(encoded, present, begin, end)
    explicit, soft = known.find(_EXPLICIT), known.find(_SOFT)
    stated = known.find(_STATED)
    past = [place for place in stated if known.is_past(place)]
    now = [place for place in stated if not known.is_past(place)]
    teen = known.not_grown("teen", known.find(_TEEN))
    absolute = known.find(_ABSOLUTE)
    if not (absolute or now or teen or explicit or soft):
        return NOTHING
    together: frozenset[Tier] = frozenset()
    if explicit or soft:
        minors = {
            "stated": now,
            "past": past + known.find(_PAST),
            "teen": teen,
            "child": known.find(_CHILD),
            "kin": known.not_grown("kin", known.find(_KIN)),
            "doubtful": known.find(_DOUBTFUL),
        }
        together = frozenset(
            tier
            for tier, reaches in _REACH.items()
            for name, (of_explicit, of_soft) in reaches.items()
            if _near(minors[name], explicit, of_explicit) or _near(minors[name], soft, of_soft)
        )
    return Signals(
        absolute=bool(absolute),
        together=together,
        minor=bool(now),
        teen=bool(teen),
        explicit=bool(explicit),
        soft=bool(soft),
    )


def _as_adult(found: re.Match[str]) -> str:
    return CODE["ADULT"] * len(found[0])


def _as_nothing(found: re.Match[str]) -> str:
    return OTHER * len(found[0])


class _Places:
    """Finds the positions in an encoded text where patterns match."""

    def __init__(self, encoded: str, present: Classes, begin: int, end: int) -> None:
        self._encoded = encoded
        self._present = present
        self._begin = begin
        self._end = end
        self._grown = [match.start() for match in _GROWN.pattern.finditer(encoded)]

    def find(self, rules: _Rules) -> list[int]:
        """The positions where any of the rules matches, in order."""
        patterns = rules.applying(self._present)
        if not patterns:
            return []
        return sorted(
            match.start()
            for pattern in patterns
            for match in pattern.finditer(self._encoded)
            if match.start() >= self._begin and match.end() <= self._end
        )

    def is_past(self, place: int) -> bool:
        """Whether "when" or "since" precedes the position."""
        return _WHEN in self._encoded[max(place - 3, 0) : place]

    def not_grown(self, name: str, places: list[int]) -> list[int]:
        """The positions without an adult age nearby."""
        return [place for place in places if not _near([place], self._grown, _GROWN_REACH[name])]


_WHEN = CODE["WHEN"]


def _near(places: Sequence[int], others: Sequence[int], reach: int) -> bool:
    """Whether any two positions are at most `reach` apart. Both lists are sorted."""
    if not others or reach < 0:
        return False
    for place in places:
        at = bisect_left(others, place - reach)
        if at < len(others) and others[at] <= place + reach:
            return True
    return False
