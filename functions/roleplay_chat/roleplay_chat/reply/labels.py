"""Recognises the labels with which models mark who speaks: "Mara:", "**Ada** (smiling):", "【葵】".

A label is at the beginning of a line. It needs its sign, never the name alone, so that names which
are words (Hope, Will, Max) can be used in sentences.
"""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Literal

import regex
from msgspec import Struct

from roleplay_chat.messages import Cast

REMEMBERED_CASTS = 512
"""The number of cached casts. A conversation's cast stays the same from turn to turn."""
MOST_NAME_CHARS = 120

MOST_HASHES = 6

Speaker = Literal["own", "other", "heading"]
"""The speaker of the reply, somebody else, or a line that begins a turn in a template."""

OtherLabel = Literal["nobody's", "a field's", "a stranger's"]

USER = ("user", "human", "{{user}}")
YOU = (
    "you", "player", "usuario", "usuário", "utilizador", "utilisateur", "utilisatrice", "benutzer",
    "nutzer", "utente", "gebruiker", "użytkownik", "uživatel", "kullanıcı", "användare", "bruger",
    "bruker", "käyttäjä", "felhasználó", "utilizator", "пользователь", "користувач", "χρήστης",
    "المستخدم", "משתמש", "người dùng", "pengguna", "ผู้ใช้", "उपयोगकर्ता",
    "用户", "用戶", "使用者", "ユーザー", "사용자",
    "tú", "usted", "você", "tu", "vous", "toi", "du", "sie", "lei", "jij", "ty", "ты", "вы",
    "ти", "ви", "sen", "siz", "εσύ", "אתה", "את", "أنت", "bạn", "kamu", "คุณ",
    "你", "您", "あなた", "너", "당신",
)  # fmt: skip
"""Words that stand for the person in labels. USER are those of chat templates."""
CHARACTER = ("char", "assistant", "{{char}}")
"""Words that stand for the character."""
HEADINGS = ("instruction", "input", "response", "human", "user", "assistant")
"""Words that begin a turn as a heading in templates without tokens: Alpaca, Vicuna and others."""
_TURN_HEADING = "### "

_WORDS_TEXT = (
    "angel april art august autumn bill bishop bliss blue carol chance charity chase chip"
    " clay cliff constance crystal dawn dean destiny dexter dick don drew duke earl ember eve"
    " faith felicity flora forest frank gene ginger glory grace grant gray guy harmony haven"
    " hazel heath heather heaven holly honor hope hunter iris ivy jack jade jay jewel job joy"
    " june justice king lance lark laurel liberty lily love luna major mark mars max may"
    " melody mercy miles min misty nick noble ocean olive opal page patience pearl penny peace"
    " poppy prince prudence queen rain raven ray reed rich river rob robin rock rose ruby"
    " rusty sage sandy scarlet serenity shadow sky skip sol star sterling stone storm sue"
    " summer sunny temperance tree trinity unity verity violet virtue ward wade will willow"
    " winter wolf young zen amour ange aurore claire espoir fleur marine pierre victoire engel"
    " ernst falke frieden sommer alma amparo ángel cielo consuelo dolores esperanza luz mar"
    " paz pilar rocío rosario sol вера любовь надежда роман слава лев"
    " 望 光 愛 希望 夢 花 春 夏 秋 冬 雪 月 星 空 海"
)
WORDS = frozenset(_WORDS_TEXT.split())
"""Names that are also words: they may just as well label a list."""
_FIELDS_TEXT = (
    "a age date day hp info location lv mood mp name note notes ooc p.s place ps scene stats"
    " status time weather ort zeit datum notiz lieu heure lugar hora fecha luogo ora место"
    " время дата 场景 地点 时间 心情 状态 場所 時間 日時 状態 장소 시간 날짜 주의 注 注意 注记 旁白"
)
_FIELDS = frozenset(_FIELDS_TEXT.split())
"""Words that label something about the scene, and nobody who speaks."""
_SAYS = ("说", "說", "道", "问", "問", "答", "喊", "叫", "想", "た", "て", "는", "은", "다")
"""Ends of words before a colon that narrate instead of naming, in scripts without capitals."""
_TITLES = ("mr", "mrs", "ms", "miss", "mx", "dr", "sir", "lady", "lord", "herr", "frau", "monsieur",
           "madame", "mme", "m", "señor", "señora", "sr", "sra", "signor", "signora", "don", "doña",
           "captain", "professor")  # fmt: skip
_NO_NAMES = frozenset(
    (*_TITLES, "the", "a", "an", "von", "van", "de", "der", "la", "le", "el", "of")
)

_SPACE = "[ \u00a0\u202f\u3000]?"
_HONORIFIC = "(?:-(?:san|chan|kun|sama|senpai)|さん|ちゃん|くん|君|様|さま|先生|씨|님)?"
_ASIDE = (
    rf"(?:{_SPACE}(?:\([^()\n]{{0,60}}\)|（[^（）\n]{{0,60}}）|\[[^\[\]\n]{{0,60}}\]"
    r"|\*[^*\n]{1,60}\*))?"
)
"""Words about how it is said: "(smiling)"."""
_COLON = rf"{_SPACE}[:：](?=[^)(/\\DP]|[DP]\w)"
"""Excludes smileys and addresses."""
_ALONE = r"[ \t]*\n"
_BOLD = ("***", "**", "__")
_MARKED = (*_BOLD, "*", "_")
_BRACKETS = {"[": "]", "［": "］", "<": ">", "(": ")", "（": "）", "{{": "}}", "{": "}", "「": "」"}
_MAY_STAND_ALONE = frozenset("[［<{")
_INDENT = r"[ \u3000]{0,3}"
"""More of it is a code block in Markdown."""
_OPENING = regex.compile(
    _INDENT + r"(?P<heading>#{1,6} )?(?P<sign>\*{1,3}|_{1,2}|\{\{|[\[【〖［<(（{「]|)"
)


@cache
def _closing(sign: str) -> regex.Pattern[str]:
    """The pattern for what follows the name after this opening sign."""
    if sign in _MARKED:
        mark = regex.escape(sign)
        forms = rf"{mark}{_ASIDE}{_COLON}|{_COLON}{_SPACE}{mark}"
        if sign in _BOLD:
            forms = rf"{forms}|{mark}{_ALONE}"
    elif sign in _BRACKETS:
        end = f"{_COLON}|{_ALONE}" if sign[0] in _MAY_STAND_ALONE else _COLON
        forms = rf"{regex.escape(_BRACKETS[sign])}{_ASIDE}(?:{end})"
    elif sign:
        forms = rf"[】〗](?:{_COLON}|{_SPACE}(?=[^ :：\u3000]))"
    else:
        forms = _COLON
    return regex.compile(f"{_HONORIFIC}{_ASIDE}(?:{forms})")


@cache
def _any_label() -> regex.Pattern[str]:
    """The pattern for anybody's label. Compiled on first use."""
    word = r"[\p{Lu}\p{Lt}][\p{L}\p{M}\d'’.-]{0,30}"
    small = "of|the|von|van|der|de|del|di|da|la|le|al|el"
    cased = rf"{word}(?: (?:(?:{small})|{word}|\d{{1,3}})){{0,3}}"
    uncased = r"\p{Lo}[\p{Lo}\p{M}\p{Lm}\d·・]{0,11}(?: [\p{Lo}\p{M}\d]{1,12}){0,2}"
    return regex.compile(
        rf"{_INDENT}(?:\*{{1,3}}|_{{1,2}}|[\[【［<])?(?P<name>{cased}|{uncased}){_HONORIFIC}{_ASIDE}"
        rf"(?:\*{{1,3}}|_{{1,2}}|[\]】］>])?{_ASIDE}{_COLON}"
    )


class Label(Struct, frozen=True):
    """A label at the beginning of a line. `end` is its length."""

    speaker: Speaker
    name: str
    end: int
    is_alone: bool
    """Whether nothing else is on its line."""

    @property
    def is_word(self) -> bool:
        """Whether the name is also a word."""
        return self.name in WORDS


UNDECIDED: Literal["undecided"] = "undecided"


class Names(Struct, frozen=True):
    """The names of the speakers in labels, in lower case."""

    own: frozenset[str]
    others: frozenset[str]
    by_initial: Mapping[str, tuple[str, ...]]
    """All names and headings by their first letters, longest first."""

    def label(self, line: str, *, prefers_own: bool) -> Label | Literal["undecided"] | None:
        """The label with which a text begins; "undecided" while that depends on what follows. With
        `prefers_own`, a name that speaker and others share is the speaker's.
        """
        opening = _OPENING.match(line)
        if opening is None or len(line) == opening.end():
            return UNDECIDED
        start = opening.end()
        rest = _lower(line[start : start + MOST_NAME_CHARS])
        names = self.by_initial.get(rest[0])
        if names is None:
            return UNDECIDED if len(rest) <= MOST_HASHES and not rest.strip("#") else None
        if any(len(name) > len(rest) and name.startswith(rest) for name in names):
            return UNDECIDED
        if not rest.startswith(names):
            return None
        name = next(name for name in names if rest.startswith(name))
        found = _closing(opening["sign"]).match(line, start + len(name), partial=True)
        if found is None or (line[start].islower() and (name in WORDS or name in YOU)):
            return None
        if found.partial:
            return UNDECIDED
        speaker = self._speaker(name, opening["heading"], prefers_own=prefers_own)
        return speaker and Label(speaker, name, found.end(), found[0].endswith("\n"))

    def _speaker(self, name: str, heading: str | None, *, prefers_own: bool) -> Speaker | None:
        if heading == _TURN_HEADING and name in HEADINGS:
            return "heading"
        if name in self.own and (prefers_own or name not in self.others):
            return "own"
        return "other" if name in self.others else None

    def other_label(self, line: str) -> OtherLabel | None:
        """Whether a text begins with the label of a stranger to the conversation, of a field such
        as "Date", or neither; None while that depends on what follows."""
        found = _any_label().match(line, partial=True)
        if found is None:
            return "nobody's"
        if found.partial:
            return None
        name = found["name"].lower()
        is_told = not found["name"][0].isupper() and name.endswith(_SAYS)
        if is_told or name in self.by_initial.get(name[0], ()):
            return "nobody's"
        return "a field's" if name in _FIELDS else "a stranger's"


Words = Literal["story", "draft", "reply"]
"""The words that stand for the speaker: a draft is the person's, a reply the character's."""
_WORDS_FOR_OWN: Mapping[Words, tuple[str, ...]] = {
    "story": (),
    "draft": (*USER, *YOU),
    "reply": CHARACTER,
}
_WORDS_FOR_OTHERS: Mapping[Words, tuple[str, ...]] = {
    "story": USER,
    "draft": CHARACTER,
    "reply": (*USER, *YOU),
}


@lru_cache(maxsize=REMEMBERED_CASTS)
def _names(
    full: tuple[str, ...], own: tuple[str, ...], others: tuple[str, ...], words: Words
) -> Names:
    """`full` are the speaker's own full names; others may share parts of them."""
    own, words_for_others = (*own, *_WORDS_FOR_OWN[words]), _WORDS_FOR_OTHERS[words]
    own_names = set(_with_parts(own))
    theirs = {_lower(name) for name in others}
    parts = set(_with_parts(others)) - theirs - own_names
    other_names = (theirs | parts | set(words_for_others)) - {*map(_lower, full), ""}
    own_names -= {""}
    every = sorted({*own_names, *other_names, *HEADINGS}, key=len, reverse=True)
    by_initial: dict[str, tuple[str, ...]] = {}
    for name in every:
        by_initial[name[0]] = (*by_initial.get(name[0], ()), name)
    return Names(frozenset(own_names), frozenset(other_names), by_initial)


def names_of(cast: Cast) -> Names:
    """The names in labels, for a cast."""
    own, others = tuple(filter(None, cast.own)), tuple(filter(None, cast.not_own))
    if not cast.character:
        return _names(own, own, others, "story")
    if cast.impersonates:
        return _names(own, own, others, "draft")
    return _names((cast.character, cast.nickname), own, others, "reply")


def _with_parts(names: Iterable[str]) -> Iterable[str]:
    """The names, their first and last words, and the last ones with titles."""
    for name in names:
        lower = _lower(name.strip())
        yield lower
        words = lower.split()
        if len(words) > 1:
            yield from (word for word in (words[0], words[-1]) if _may_stand_alone(word))
            for title in _TITLES:
                yield from (f"{title} {words[-1]}", f"{title}. {words[-1]}")


def _may_stand_alone(word: str) -> bool:
    return len(word) > 1 and word.rstrip(".") not in _NO_NAMES


def _lower(text: str) -> str:
    """The text in lower case with plain apostrophes, of the same length: positions stay valid."""
    text = text.replace("’", "'")
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
