"""Detects what surrounds a line of a reply: a code block, a quotation, a letter, a list, a script.

There, a name with a colon is part of the story and begins nobody's turn.
"""

import re
from functools import cache

from roleplay_chat.reply.labels import Label, Names

MOST_QUOTED_CHARS = 1_500
"""A quotation that is still open after this many characters was never closed."""
_HEAD_CHARS = 200
"""The beginning of a line that may be a label."""

MOST_DATUM_CHARS = 60
_ENDS_SPEECH = '.!?…。！？؟।*"”»“」』~'

_QUOTES = re.compile('["“”„«»「」『』‹›]')
_CLOSED_BY = {"“": "”", "„": "“”", "«": "»", "»": "«", "「": "」", "『": "』", "‹": "›", '"': '"'}
_SIGNS = " \t>*_\"'“”„«»‘’()[]（）【】"
_ITEM = re.compile(r"(?:[-*+•–]|\d{1,3}[.)]) ")
_SALUTATION = (
    r"(?:(?:my |meine?r? |ma |mon |mi |mia |mio |min |minha |meu )?"
    r"(?:dear(?:est)?|beloved|lieber?|liebste[rs]?|geliebter?|chère?|querid[oa]|estimad[oa]|car[oa]"
    r"|carissim[oa]|prezad[oa]|beste|lieve|kära|käre|kjære|kære|drogi|droga|kochan[yae]|milý|milá"
    r"|sevgili|drag[ăa]?|sehr geehrter?|to whom it may concern|дорог(?:ой|ая|ие)|уважаем(?:ый|ая)"
    r"|мил(?:ый|ая)|люб(?:ий|а)|αγαπητ(?:έ|ή)|عزيزي|عزيزتي|יקיר[הי]|प्रिय|kính gửi|thân gửi))"
    r"(?: [^.!?\n]{0,60})?[,:!،]?$"
    r"|(?:亲爱的|親愛的|敬爱的|尊敬的|拝啓|前略|親愛なる)[^。！？\n]{0,30}[，:：、！]?$"
    r"|[^\s。、，]{1,20}(?:様|さまへ|さんへ|へ|에게|께)[、,:：]?$"
)
_VALEDICTION = (
    r"(?:yours|with (?:all my )?love|love|all my love|sincerely|best|kind|warm|regards|faithfully"
    r"|your (?:friend|loving|obedient|faithful)|forever|always|in liebe|deine?|ihre?|herzlich|mit"
    r" (?:freundlichen|lieben)|liebe grüße|alles liebe|cordialement|amicalement|bien à|tendrement"
    r"|affectueusement|ton|ta|tuy[oa]|tu (?:amig|herman)|atentamente|con (?:cariño|amor|affetto)"
    r"|abrazos|un abrazo|atenciosamente|com (?:carinho|amor)|abraços|cordiali|tuo|tua|liefs|groeten"
    r"|kram|hilsen|twój|twoja|z miłością|sevgiler|твой|твоя|ваш|ваша|с уважением|с любовью"
    r"|з любов'ю)(?:[ ,][^.:：\n]{0,40})?[,.]?$"
    r"|(?:敬具|草々|敬上|此致|敬礼|你的|爱你)[^。：\n]{0,20}$"
    r"|[^\s。：]{1,20} ?(?:より|敬上|올림|드림)$"
)


@cache
def _letter_line(pattern: str) -> re.Pattern[str]:
    """Compiled on first use: most replies have no line that speaks for somebody else."""
    return re.compile(pattern, re.IGNORECASE)


_AFTER_A_LETTER = ("*", "---", "***", "___")


class Surroundings:
    """Follows the lines of a growing text. Reads them only when asked, and only once."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._unread: list[str] = []
        self.note = self._unread.append
        """Called with each piece of the text. It is nothing else, because it is called for each."""
        self._fence = ""
        self._closers = ""
        """The quotation marks that close the open quotation."""
        self._quoted_chars = 0
        self._letter: str | None = None
        """"open", or "signed" after its last words."""
        self._is_introduced = self._is_in_block = self._is_script = False
        self.follows_a_label = False

    def begin_script(self) -> None:
        """Note that from the next line on, several people speak in labelled lines."""
        self._read()
        self._is_script = True

    def keeps(self, label: Label, value: str) -> bool | None:
        """Whether a label at the beginning of the next line, followed by `value`, belongs to the
        text; None while that depends on more text."""
        self._read()
        if self._fence:
            return True
        if label.speaker == "heading":
            return bool(self._closers)
        begins = value.lstrip(" ")[:1]
        if label.is_word and (begins.islower() or begins.isdigit()):
            return True  # "Hope: that was all she had left." Speech begins like a sentence.
        if self._closers:
            value = value.lstrip(" ")
            return None if not value else value[0] != '"' or self._closers != '"'
        is_listed = self.follows_a_label and label.is_word
        return bool(self._letter or self._is_introduced or self._is_script or is_listed)

    def _read(self) -> None:
        text = "".join(self._unread)
        *lines, rest = text.split("\n")
        self._unread[:] = [rest] if rest else []
        for line in lines:
            self._read_line(line.strip())

    def _read_line(self, line: str) -> None:
        fence = line[:3]
        if self._fence:
            self._fence = "" if fence == self._fence else self._fence
        elif fence in ("```", "~~~") and fence not in line[3:]:
            self._fence = fence
        elif line:
            self._read_words(line)
        else:
            self._read_blank()

    def _read_blank(self) -> None:
        self.follows_a_label = False
        if self._closers == '"':  # Few paragraphs end inside one, and many are left open.
            self._closers = ""
        if self._is_in_block:
            self._is_introduced = self._is_in_block = False

    def _read_words(self, line: str) -> None:
        self._read_quotes(line)
        self._read_letter(line)
        head = f"{line[:_HEAD_CHARS]}\n"
        label = self._names.label(head, prefers_own=True)
        is_known = isinstance(label, Label)
        other = None if is_known else self._names.other_label(head)
        self.follows_a_label = other in ("a field's", "a stranger's")
        is_labelled = is_known or other == "a stranger's"
        self._is_script = self._is_script and is_labelled
        if not is_known and line[-_HEAD_CHARS:].rstrip(_SIGNS).endswith((":", "：")):
            self._is_introduced, self._is_in_block = True, False
        elif self._is_introduced:
            self._is_introduced = self._is_in_block = is_labelled or bool(_ITEM.match(line))

    def _read_quotes(self, line: str) -> None:
        for sign in _QUOTES.finditer(line):
            if not self._closers:
                self._closers = _CLOSED_BY.get(sign[0], "")
                self._quoted_chars = -sign.end()
            elif sign[0] in self._closers:
                self._closers = ""
        self._quoted_chars += len(line)
        if self._quoted_chars > MOST_QUOTED_CHARS:
            self._closers = ""

    def _read_letter(self, line: str) -> None:
        words = line[:_HEAD_CHARS].strip(_SIGNS)
        is_said = bool(_QUOTES.search(line)) and not self._closers
        if len(line) <= _HEAD_CHARS and not is_said and _letter_line(_SALUTATION).match(words):
            self._letter = "open"
        elif self._letter == "signed" or line.startswith(_AFTER_A_LETTER):
            self._letter = None
        elif self._letter and len(line) <= _HEAD_CHARS and _letter_line(_VALEDICTION).match(words):
            self._letter = "signed"


def is_datum(value: str) -> bool:
    """Whether what follows a label looks like a value rather than like speech."""
    value = value.strip()
    is_short = 0 < len(value) <= MOST_DATUM_CHARS
    return is_short and (value[0].isdigit() or value[-1] not in _ENDS_SPEECH)
