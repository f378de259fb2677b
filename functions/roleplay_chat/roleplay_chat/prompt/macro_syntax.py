"""Parses macros: {{name}}, {{name::argument}}, macros in arguments, and {{if ...}} ... {{/if}}.

The time is linear in the length of any text.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, field

MAX_NESTING = 16
"""Macros that are nested deeper are left out."""

_BRACKETS = re.compile(
    r"\{{2,}|\}{2,}|<(?P<old>user|char|bot|group|charifnotgroup)>", re.IGNORECASE
)
_HEAD = re.compile(r"(?P<flags>[#!?~>/\s]*)(?P<name>[.$]?[^\W\d][\w.-]*)")
_VARIABLE = re.compile(
    r"(?P<name>[^\W\d](?:[\w-]*\w)?)\s*"
    r"(?P<sign>\+\+|--|[+-]=|\|\|=?|\?\?=?|[=!<>]=|[=<>])?(?P<rest>.*)",
    re.DOTALL,
)
"""The shorthand for a variable: {{.lamps += 2}}."""
OPERATION = "variable operation"
"""The name of a macro with such an operator, which is its second argument. No author can write
it."""
_UTC = re.compile(r"time_utc(?P<offset>.*)", re.IGNORECASE | re.DOTALL)
_COMMA = re.compile(r"(?<!\\),")
_BLOCKS = frozenset(
    [
        *("if", "unless", "random", "pick", "reverse", "//", "hidden_key"),
        *("setvar", "addvar", "setglobalvar", "addglobalvar"),
    ]
)
"""The macros whose last argument may stand between {{name}} and {{/name}}."""


class Call(Struct, eq=False):
    """A macro in a text, from `start` to `end`. `name` is in lower case, `written` is as the author
    has it; "" for one that only surrounds another."""

    name: str
    written: str
    start: int
    end: int
    arguments: "list[list[Node]]" = field(default_factory=list)
    block: "list[Node] | None" = None
    """The nodes between it and its end."""
    keeps_space: bool = False
    """Whether the white space around the block stays."""
    depth: int = 1


Node = str | Call


class _Opening(Struct, eq=False):
    start: int
    end: int
    is_closed: bool = False


class _Frame(Struct):
    """A macro that is being read, or the text itself. `place` is where its nodes begin."""

    start: int = 0
    place: int = 0
    blocks: dict[str, deque[int]] = field(default_factory=dict)
    """The places of macros that a later {{/name}} may end."""


def parse(text: str) -> list[Node]:
    """The text as words and macros, in order. Braces that are not a macro are words."""
    nodes: list[Node] = []
    frames = deque([_Frame()])
    read = 0
    for start, end, what in list(_pairs(text)):
        if isinstance(what, _Opening) and not what.is_closed:
            continue
        start = what.start if isinstance(what, _Opening) else start
        if start > read:
            nodes.append(text[read:start])
        read = end
        if isinstance(what, _Opening):
            # The braces stay if they turn out to be words.
            nodes.append(text[start:end])
            frames.append(_Frame(start, len(nodes)))
        elif what is None:
            _close(nodes, frames.pop(), frames[-1], text, (start, end))
        else:
            nodes.append(Call(what.lower(), what, start, end))
    if read < len(text):
        nodes.append(text[read:])
    return nodes


def calls_in(nodes: Iterable[Node]) -> Iterator[Call]:
    """All macros, including nested ones."""
    found = [node for node in nodes if isinstance(node, Call)]
    for call in found:
        inside = (node for nodes in (*call.arguments, call.block or ()) for node in nodes)
        found += [node for node in inside if isinstance(node, Call)]
    yield from found


def split_at_commas(nodes: Sequence[Node]) -> list[list[Node]]:
    """The parts of an argument between its commas; \\, is a comma."""
    parts: list[list[Node]] = [[]]
    for node in nodes:
        if isinstance(node, Call):
            parts[-1].append(node)
            continue
        first, *others = (part.replace("\\,", ",") for part in _COMMA.split(node))
        parts[-1].append(first)
        parts += [[other] for other in others]
    return [_stripped(part) for part in parts]


def _pairs(text: str) -> Iterator[tuple[int, int, _Opening | str | None]]:
    """The beginnings of macros (openings, which finally know whether they are closed), their ends
    (None), and macros of the oldest cards (their names)."""
    open_: deque[_Opening] = deque()
    for match in _BRACKETS.finditer(text):
        start, end = match.span()
        if match["old"]:
            yield start, end, match["old"]
        elif match[0][0] == "{":
            for left in range(end - start, 1, -2):
                # Three braces are a form of other template languages. The third one is inside.
                size = 3 if left == 3 else 2
                opening = _Opening(end - left, end - left + size)
                open_.append(opening)
                yield opening.start, opening.end, opening
        else:
            while end - start > 1 and open_:
                opening = open_.pop()
                opening.is_closed = True
                size = 3 if opening.end - opening.start == 3 and (end - start) % 2 else 2
                opening.start = opening.end - size
                yield start, start + size, None
                start += size


def _close(
    nodes: list[Node], frame: _Frame, outer: _Frame, text: str, span: tuple[int, int]
) -> None:
    """Replace the nodes since the braces of `frame` by the macro that they form, if any."""
    start, end = span
    call = _call(nodes, frame, end)
    if call is None:
        nodes.append(text[start:end])
        return
    call.depth = 1 + max(map(_depth, nodes[frame.place :]), default=0)
    del nodes[frame.place - 1 :]
    if call.name.startswith("/") and call.name != "//":
        _end_block(nodes, outer, call)
    elif call.depth <= MAX_NESTING:
        if call.name in _BLOCKS:
            outer.blocks.setdefault(call.name, deque()).append(len(nodes))
        nodes.append(call)


def _end_block(nodes: list[Node], frame: _Frame, end: Call) -> None:
    """Move the nodes since the macro that `end` names into that macro, if there is one."""
    places = frame.blocks.get(end.name[1:], deque())
    while places:
        place = places.pop()
        begun = nodes[place] if place < len(nodes) else None
        if not isinstance(begun, Call) or begun.name != end.name[1:] or begun.block is not None:
            continue  # It is inside another block.
        begun.block = nodes[place + 1 :]
        begun.end = end.end
        begun.depth = 1 + max(map(_depth, [*begun.block, begun]))
        del nodes[place + 1 :]
        if begun.depth > MAX_NESTING:
            nodes[place] = ""
        return


def _depth(node: Node) -> int:
    return 0 if isinstance(node, str) else node.depth


def _call(nodes: list[Node], frame: _Frame, end: int) -> Call | None:
    """The macro that the frame's nodes form; None if they form none."""
    place, start = frame.place, frame.start
    first = nodes[place] if place < len(nodes) else ""
    head = first if isinstance(first, str) else ""
    remark = head.lstrip()
    if not remark:
        return _around(nodes, place + isinstance(first, str), start, end)
    if remark.startswith("//"):
        if remark.rstrip() == "///":
            return Call("///", "//", start, end)
        # With words it is complete; without them, a block may have its words.
        is_empty = not remark[2:].strip() and len(nodes) == place + 1
        return Call("//" if is_empty else "comment", "//", start, end)
    match = _HEAD.match(head)
    return None if match is None else _named(match, nodes[place + 1 :], start, end)


def _around(nodes: list[Node], place: int, start: int, end: int) -> Call | None:
    """A macro without a name of its own, around another. A value cannot be part of a name, so there
    may be only white space beside the inner one."""
    if place >= len(nodes) or isinstance(nodes[place], str):
        return None
    inside = _stripped(nodes[place:])
    is_alone = all(isinstance(node, Call) or node.isspace() for node in inside)
    return Call("", "", start, end, [inside] if is_alone else [])


def _named(match: re.Match[str], others: list[Node], start: int, end: int) -> Call:
    """A macro from its first words and the nodes after them."""
    name, rest = match["name"], match.string[match.end() :]
    if utc := _UTC.fullmatch(match.string.strip()):
        return Call("time_utc", "time_UTC", start, end, [[utc["offset"]]])
    if name[0] in ".$" and (variable := _VARIABLE.match(f"{name[1:]}{rest}")):
        return _on_variable(variable, others, start, end)
    has_mark = "#" in match["flags"]
    shown = f"#{name}" if has_mark else name
    call = Call(name.lower(), shown, start, end, keeps_space=has_mark)
    if "/" in match["flags"]:
        call.name = f"/{call.name}"
    elif rest.startswith(":") or rest[:1].isspace() or (not rest and others):
        call.arguments = _arguments([rest.lstrip(":"), *others])
    elif rest and rest[0] != "|":
        call.name = call.written = f"{name}{rest[0]}"  # Unknown.
    return call


def _on_variable(variable: re.Match[str], others: list[Node], start: int, end: int) -> Call:
    """The macro for a variable that is written as a name, such as {{.x}}."""
    sign, value = variable["sign"], _stripped([variable["rest"], *others])
    name: list[Node] = [variable["name"]]
    if sign is None:
        return Call("getvar", "getvar", start, end, [[*name, *value]])
    return Call(OPERATION, f".{variable['name']}", start, end, [name, [sign], value])


def _arguments(nodes: Sequence[Node]) -> list[list[Node]]:
    arguments: list[list[Node]] = [[]]
    for node in nodes:
        if isinstance(node, Call):
            arguments[-1].append(node)
            continue
        first, *others = node.split("::")
        arguments[-1].append(first)
        arguments += [[other] for other in others]
    stripped = [_stripped(argument) for argument in arguments]
    return stripped if any(stripped) or len(stripped) > 1 else []


def _stripped(nodes: list[Node]) -> list[Node]:
    """The nodes without white space at both ends, and without empty words."""
    if nodes and isinstance(nodes[0], str):
        nodes[0] = nodes[0].lstrip()
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] = nodes[-1].rstrip()
    return [node for node in nodes if node != ""]
