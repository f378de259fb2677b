"""Expands parsed macros. Every macro is read once: macros inside a value stay text. Values come
with the name of their macro, so that the screening knows whose words they are.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

from msgspec.structs import replace

from roleplay_chat.prompt import macro_clock
from roleplay_chat.prompt.macro_chance import digest, draw
from roleplay_chat.prompt.macro_syntax import (
    OPERATION,
    Call,
    Node,
    calls_in,
    parse,
    split_at_commas,
)
from roleplay_chat.prompt.macro_values import ALIASES, SAID, Macros
from roleplay_chat.prompt.macro_variables import FALSE, Variables

MAX_GROWTH = 40_000
"""Characters that macros may add to a text. Without a limit, a text that repeats a description a
thousand times would exhaust memory."""
MAX_REPEATED = 100
"""The most line breaks or spaces of one macro."""
MAX_DICE = 100
MAX_ROLLED = 1_000
"""The most dice of all macros of a text: each takes a microsecond."""

Words = tuple[str | None, str]
"""The macro whose value the words are (None for the author's own words), and the words."""

_TRIM: Words = ("trim", "")
"""Line breaks on both sides of it are removed."""
_VARIABLE = "getvar"
"""The macro name given for values of variables."""
_VALUE = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|<(user|char|bot|group|charifnotgroup)>", re.IGNORECASE)
_ROLL = re.compile(
    r"(?:(?P<dice>\d{0,3})d)?(?P<sides>\d{1,6})(?P<more>[+-]\d{1,6})?", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"mood\Z|(?:character|user|persona|scene|voice)[_.-]",
    re.IGNORECASE,
)
"""The look of an older product's placeholders."""


def is_placeholder(name: str) -> bool:
    """Whether this looks like a placeholder of the older product. None of them is ever sent to a
    model, known or not."""
    return _PLACEHOLDER.match(name) is not None


def is_known(name: str) -> bool:
    """Whether a macro has an effect or a value, even an empty one."""
    name = ALIASES.get(name, name)
    return name in FUNCTIONS or name in VALUES or is_placeholder(name)


def expansion(text: str, macros: Macros) -> Sequence[Words]:
    """The words of the text with its macros expanded, in order, none of them empty."""
    if (words := _with_values(text, macros)) is not None:
        return words
    nodes = parse(text)
    if len(nodes) == 1 and isinstance(nodes[0], str):
        return [(None, nodes[0])]
    return _trimmed(_Expansion(text, macros).words(nodes))


def _with_values(text: str, macros: Macros) -> list[Words] | None:
    """The same for a text whose macros are only names of values, the usual case; None for
    others."""
    words: list[Words] = []
    end = growth = count = 0
    for match in _VALUE.finditer(text):
        name = match[match.lastindex or 0].lower()
        value = macros.find(name)
        if value is None:
            return None
        start = match.start()
        if start > end:
            words.append((None, text[end:start]))
        if value:
            words.append((name, value))
        end = match.end()
        growth += max(len(value) - end + start, 0)
        count += match.lastindex == 1
    if growth > MAX_GROWTH or not text.count("{") == text.count("}") == 2 * count:
        return None
    if end < len(text):
        words.append((None, text[end:]))
    return words


def unsupported(text: str, also: Set[str] = frozenset()) -> list[str]:
    """The names of the macros in the text that are left out, as the author wrote them. Those in
    `also` count as left out."""
    names = {
        call.name: call.written
        for call in calls_in(parse(text))
        if call.name
        and not call.name.startswith("/")
        and (call.name in also or not is_known(call.name))
    }
    return list(names.values())


def _trimmed(words: Sequence[Words]) -> list[Words]:
    kept: list[Words] = []
    is_after = False
    for name, text in words:
        if (name, text) == _TRIM:
            is_after = True
            while kept and not (left := kept[-1][1].rstrip("\r\n")):
                kept.pop()
            if kept:
                kept[-1] = kept[-1][0], left
            continue
        if is_after:
            text = text.lstrip("\r\n")
        if text:
            is_after = False
            kept.append((name, text))
    return kept


class _Expansion:
    """The expansion of one text."""

    def __init__(self, text: str, macros: Macros) -> None:
        self.macros = macros
        self._text = text
        self._digest: str | None = None
        self._growth = 0
        self._rolled = 0

    def words(self, nodes: Sequence[Node]) -> list[Words]:
        """The words of the nodes, expanded."""
        words: list[Words] = []
        for node in nodes:
            if isinstance(node, str):
                words.append((None, node))
            else:
                words += self._expand(node)
        return words

    def plain(self, nodes: Sequence[Node]) -> str:
        """The same, as text."""
        return "".join([text for _, text in self.words(nodes)])

    def argument(self, call: Call, place: int) -> Sequence[Node]:
        """An argument by its place. A block is the last argument."""
        arguments = [*call.arguments, call.block] if call.block is not None else call.arguments
        return arguments[place] if place < len(arguments) else ()

    def value(self, call: Call, name: str | None, text: str) -> list[Words]:
        """A value, if the text may still grow by it."""
        self._growth += max(len(text) - (call.end - call.start), 0)
        return [(name, text)] if text and self._growth <= MAX_GROWTH else []

    def chance(self, call: Call, sides: int, *more: object, lasts: bool = False) -> int:
        """A number from 0 to `sides` - 1, from the conversation, the place of the macro and, unless
        it `lasts`, the number of messages or the step of the history."""
        if self._digest is None:
            self._digest = digest(self._text)
        macros = self.macros
        moment: object = "" if lasts else macros.messages
        if macros.step is not None and not lasts:
            macros.steps_used.add(macros.step)
            moment = f"step {macros.step}"
        return draw(sides, macros.conversation, moment, self._digest, call.start, *more)

    def may_roll(self, dice: int) -> bool:
        """Whether a macro may roll this many dice, after the others of the text."""
        self._rolled += dice
        return self._rolled <= MAX_ROLLED

    def _expand(self, call: Call) -> Sequence[Words]:
        if not call.name:
            return self.words(call.arguments[0]) if call.arguments else ()
        if (function := FUNCTIONS.get(call.name)) is not None:
            return function(self, call)
        value = self.macros.find(call.name)
        return self.value(call, call.name, self._text_of(call.name) if value is None else value)

    def _text_of(self, name: str) -> str:
        """An author's text, expanded. Its macros cannot insert further texts or set variables."""
        name = ALIASES.get(name, name)
        text, known = self.macros.texts.get(name, ""), self.macros.expanded_texts
        if name not in known:
            inside = replace(
                self.macros,
                texts={},
                greetings=(),
                variables=Variables(self.macros.variables),
                expanded_texts={},
            )
            known[name] = "".join([words for _, words in expansion(text, inside)]).strip()
        return known[name]

    def greeting(self, call: Call) -> list[Words]:
        """The first message, or the one of the given number."""
        number = self.plain(self.argument(call, 0)).strip() or "0"
        greetings = self.macros.greetings
        known = dict(zip(map(str, range(len(greetings))), greetings, strict=True))
        inside = replace(self.macros, texts={}, greetings=())
        inside = replace(inside, variables=Variables(inside.variables))
        text = "".join([words for _, words in expansion(known.get(number, ""), inside)])
        return self.value(call, call.name, text)


Function = Callable[[_Expansion, Call], Sequence[Words]]


def _nothing(_: _Expansion, __: Call) -> Sequence[Words]:
    return ()


def _trim(_: _Expansion, __: Call) -> Sequence[Words]:
    return (_TRIM,)


def _repeated(sign: str) -> Function:
    def repeat(work: _Expansion, call: Call) -> Sequence[Words]:
        number = work.plain(work.argument(call, 0)).strip() or "1"
        times = int(number) if re.fullmatch(r"[0-9]{1,4}", number) else 1
        return work.value(call, None, sign * min(times, MAX_REPEATED))

    return repeat


def _whole(call: Call) -> list[Node]:
    """All arguments joined, for macros that have only one."""
    nodes: list[Node] = []
    for number, argument in enumerate([*call.arguments, *filter(None, [call.block])]):
        nodes += ["::", *argument] if number else argument
    return nodes


def _reverse(work: _Expansion, call: Call) -> Sequence[Words]:
    return [(name, text[::-1]) for name, text in reversed(work.words(_whole(call)))]


def _choose(*, lasts: bool) -> Function:
    def choose(work: _Expansion, call: Call) -> Sequence[Words]:
        options = [*call.arguments, *filter(None, [call.block])]
        if len(options) == 1:
            options = split_at_commas(options[0])
        if not options:
            return ()
        return work.words(options[work.chance(call, len(options), lasts=lasts)])

    return choose


def _roll(work: _Expansion, call: Call) -> Sequence[Words]:
    formula = "".join(work.plain(work.argument(call, 0)).split())[:40]
    match = _ROLL.fullmatch(formula)
    dice, sides = (int(match[name] or 1) for name in ("dice", "sides")) if match else (0, 0)
    if match is None or sides == 0 or dice > MAX_DICE or not work.may_roll(dice):
        return ()
    rolled = sum(1 + work.chance(call, sides, die) for die in range(dice))
    return work.value(call, None, str(rolled + int(match["more"] or 0)))


def _time(work: _Expansion, call: Call) -> Sequence[Words]:
    clock, offset = work.macros.clock, work.plain(work.argument(call, 0))
    at_offset = clock.at_offset(offset) if offset.strip() else None
    return work.value(call, None, at_offset or macro_clock.formatted(clock.local, "LT"))


def _formatted(form: str) -> Function:
    def show(work: _Expansion, call: Call) -> Sequence[Words]:
        return work.value(call, None, macro_clock.formatted(work.macros.clock.local, form))

    return show


def _datetimeformat(work: _Expansion, call: Call) -> Sequence[Words]:
    form = work.plain(_whole(call))
    return work.value(call, None, macro_clock.formatted(work.macros.clock.local, form))


def _time_diff(work: _Expansion, call: Call) -> Sequence[Words]:
    first, second = (work.plain(work.argument(call, place))[:64] for place in (0, 1))
    return work.value(call, None, macro_clock.difference(first, second))


def _idle(work: _Expansion, call: Call) -> Sequence[Words]:
    return work.value(call, None, work.macros.clock.idle)


def _if(work: _Expansion, call: Call) -> Sequence[Words]:
    return _branch(work, call, is_met=_is_true(work, call))


def _unless(work: _Expansion, call: Call) -> Sequence[Words]:
    return _branch(work, call, is_met=not _is_true(work, call))


def _is_true(work: _Expansion, call: Call) -> bool:
    """Whether the condition holds: the name of a value, or a text. "!" negates it."""
    condition = list(call.arguments[0]) if call.arguments else []
    is_negated = bool(condition) and isinstance(condition[0], str) and condition[0][:1] == "!"
    if is_negated:
        condition[0] = str(condition[0])[1:].lstrip()
    name = condition[0] if len(condition) == 1 else None
    if isinstance(name, str):
        condition = _named(name) or condition
    return (work.plain(condition).strip().lower() not in FALSE) is not is_negated


def _named(name: str) -> list[Node]:
    """The macro or the variable that a condition names, if it is one."""
    lower = name.strip().lower()
    if lower[:1] in ("$", ".") and lower:
        return parse(f"{{{{{name.strip()}}}}}")
    is_one = re.fullmatch(r"[\w.-]+", lower) is not None and is_known(lower)
    return [Call(lower, name, 0, len(name))] if is_one and lower not in _TEXTS_TOO else []


_TEXTS_TOO = ("no", "off", "false", "if", "else", "unless")


def _branch(work: _Expansion, call: Call, *, is_met: bool) -> Sequence[Words]:
    if call.block is None:
        chosen = call.arguments[1:3] if is_met else call.arguments[2:3]
        return work.words(chosen[0]) if chosen else ()
    places = [
        place
        for place, node in enumerate(call.block)
        if isinstance(node, Call) and node.name == "else"
    ]
    other = places[0] if places else len(call.block)
    words = work.words(call.block[:other] if is_met else call.block[other + 1 :])
    return words if call.keeps_space else _without_space_around(words)


def _without_space_around(words: list[Words]) -> list[Words]:
    while words and not words[0][1].strip() and words[0] != _TRIM:
        words.pop(0)
    while words and not words[-1][1].strip() and words[-1] != _TRIM:
        words.pop()
    if words:
        words[0] = words[0][0], words[0][1].lstrip()
        words[-1] = words[-1][0], words[-1][1].rstrip()
    return words


def _get(work: _Expansion, call: Call) -> Sequence[Words]:
    name = work.plain(work.argument(call, 0))
    return work.value(call, _VARIABLE, work.macros.variables.read(name))


def _has(work: _Expansion, call: Call) -> Sequence[Words]:
    has = work.plain(work.argument(call, 0)).strip() in work.macros.variables
    return work.value(call, None, "true" if has else "false")


def _outlet(work: _Expansion, call: Call) -> Sequence[Words]:
    name = work.plain(work.argument(call, 0)).strip()
    return work.value(call, None, work.macros.outlets.pop(name, ""))


def _set(work: _Expansion, call: Call) -> Sequence[Words]:
    name, value = (work.plain(work.argument(call, place)) for place in (0, 1))
    work.macros.variables.put(name, value)
    return ()


def _add(work: _Expansion, call: Call) -> Sequence[Words]:
    name, value = (work.plain(work.argument(call, place)) for place in (0, 1))
    work.macros.variables.add(name, value)
    return ()


def _delete(work: _Expansion, call: Call) -> Sequence[Words]:
    work.macros.variables.pop(work.plain(work.argument(call, 0)).strip(), None)
    return ()


def _count(step: str) -> Function:
    def count(work: _Expansion, call: Call) -> Sequence[Words]:
        name = work.plain(work.argument(call, 0))
        work.macros.variables.add(name, step)
        return work.value(call, _VARIABLE, work.macros.variables.read(name))

    return count


def _operate(work: _Expansion, call: Call) -> Sequence[Words]:
    name, sign, value = (work.plain(work.argument(call, place)) for place in range(3))
    return work.value(call, _VARIABLE, work.macros.variables.operate(name, sign, value))


_ON_VARIABLES: Mapping[str, Function] = {
    "getvar": _get,
    "setvar": _set,
    "addvar": _add,
    "incvar": _count("1"),
    "decvar": _count("-1"),
    "hasvar": _has,
    "deletevar": _delete,
}
FUNCTIONS: Mapping[str, Function] = {
    **_ON_VARIABLES,
    # Nothing outlives a conversation, so these are the conversation's as well.
    **{name.replace("var", "globalvar"): function for name, function in _ON_VARIABLES.items()},
    **dict.fromkeys(("//", "comment", "hidden_key", "noop", "else"), _nothing),
    "trim": _trim,
    "newline": _repeated("\n"),
    "space": _repeated(" "),
    "reverse": _reverse,
    "random": _choose(lasts=False),
    "pick": _choose(lasts=True),
    "roll": _roll,
    "time": _time,
    "time_utc": _time,
    "date": _formatted("LL"),
    "weekday": _formatted("dddd"),
    "isotime": _formatted("HH:mm"),
    "isodate": _formatted("YYYY-MM-DD"),
    "datetimeformat": _datetimeformat,
    "timediff": _time_diff,
    "idle_duration": _idle,
    "idleduration": _idle,
    OPERATION: _operate,
    "if": _if,
    "unless": _unless,
    "outlet": _outlet,
    "charfirstmessage": _Expansion.greeting,
    "greeting": _Expansion.greeting,
}
"""The macros that are computed, by name."""
VALUES = (
    *("user", "char", "group", "notchar", "original", "persona", "scenario"),
    *("description", "personality", "mesexamples", "charprompt", "charinstruction"),
    *("chardepthprompt", *SAID, "lastmessageid", "lastgenerationtype", "ismobile"),
    *("maxprompt", "maxcontext", "maxresponse"),
)
"""The macros that stand for a value, in lower case, without their other names."""


def source_without_placeholders(text: str, macros: Macros) -> str:
    """The text with the placeholders of the older product replaced; other macros stay."""
    return "".join(_sources(text, macros))


def _sources(text: str, macros: Macros) -> Iterator[str]:
    work = _Expansion(text, macros)
    for node in parse(text):
        if isinstance(node, str):
            yield node
        elif not any(is_placeholder(call.name) for call in calls_in([node])):
            yield text[node.start : node.end]
        elif is_placeholder(node.name) or not node.name:
            yield work.plain([node])
