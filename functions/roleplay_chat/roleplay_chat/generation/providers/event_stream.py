"""Turns a response body that arrives in pieces into the data of its events.

Servers label and frame their streams in many ways, so the body is judged by what it is:

    content type       ignored: a body that begins with "{", "[" or "<" is one document, anything
                       else an event stream
    end of an event    a blank line; also a line of data that the JSON before it cannot continue,
                       for servers that put a single newline between events
    end of the stream  ends the last event, too, if its JSON is complete
    errors             also a field "error" (llama.cpp until 2025), and JSON on a line without a
                       field (a proxy whose server failed in the middle of a stream)
    text               UTF-8, whatever the header claims. Bytes that are no text become lone
                       surrogates, because a server may split a character between two events:
                       `ReplyReader` joins them.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterable
from typing import Any, NamedTuple

from httpx_sse._decoders import SSELineDecoder

from edge.json_text import MAX_PARSED_VALUES, decoder_for, value_count_bound

DONE = "[DONE]"
"""The data of the event after the last one."""
_GLUE = re.compile(r"\s*(?:data:\s*)?")
"""The text between documents in one event."""
MAX_DOCUMENTS = 500
"""The limit for one event. A server that does not stream may send a whole reply in one, with a
document for each token; few replies are longer."""
_FIRST, _NEXT, _LAST = b"data: ", "\n\ndata: ", b"\n\n"


class BodyDecoder:
    """`decode` each piece, then `flush`. Both return the data of the events that ended there."""

    def __init__(self) -> None:
        self._text = getincrementaldecoder("utf-8-sig")(errors="surrogateescape").decode
        self._lines = SSELineDecoder()
        self._data: list[str] = []
        """The lines of the event that has not ended, or the parts of the document."""
        self._is_document: bool | None = None
        """None before the first character."""
        self._is_between = True
        """Whether no event has begun and not ended."""

    def decode(self, piece: bytes) -> list[str]:
        if self._is_between and (events := _whole_events(piece)):
            self._is_document = False
            return events
        events = self._decode(piece)
        self._is_between = bool(events) and not self._data and piece.endswith(_LAST)
        return events

    def _decode(self, piece: bytes) -> list[str]:
        text = self._text(piece)
        if self._is_document is None:
            text = text.lstrip()
            if text:
                self._is_document = text[0] in "{[<"
        if self._is_document:
            self._data.append(text)
            return []
        return self._events(self._lines.decode(text)) if text else []

    def flush(self) -> list[str]:
        if self._is_document:
            return ["".join(self._data)]
        events = self._events(self._lines.flush())
        if not self._data:
            return events
        return [*events, *(found.text for found in documents("\n".join(self._data))[0])]

    def _events(self, lines: Iterable[str]) -> list[str]:
        events: list[str] = []
        for line in lines:
            if not line:
                self._end(events)
            elif line[:5] == "data:":
                value = line[6:] if line[5:6] == " " else line[5:]
                if self._data and _is_another_event(self._data[-1], value):
                    self._end(events)
                self._data.append(value)
            elif line[:7] == "error: ":
                self._end(events)
                events.append(f'{{"error":{line[7:]}}}')
            elif line[:1] == "{" and line[-1:] == "}":
                self._end(events)
                events.append(line)
        return events

    def _end(self, events: list[str]) -> None:
        if self._data:
            events.append("\n".join(self._data) if len(self._data) > 1 else self._data[0])
            self._data = []


def _whole_events(piece: bytes) -> list[str]:
    """The data of a piece that consists of complete events of one line each, like most; empty for
    any other."""
    if not piece.startswith(_FIRST) or not piece.endswith(_LAST) or b"\r" in piece:
        return []
    text = piece.decode(errors="surrogateescape")
    events = text[len(_FIRST) : -len(_LAST)].split(_NEXT)
    return events if text.count("\n") == 2 * len(events) else []


def _is_another_event(before: str, line: str) -> bool:
    """Whether the line cannot continue JSON of several lines: after "}", neither an object nor a
    list may begin."""
    return line.lstrip()[:1] in ("{", "[") and before.rstrip()[-1:] == "}"


class Document(NamedTuple):
    """A JSON document in an event, as text and parsed, so that nobody parses it again."""

    text: str
    value: Any = None
    """None for "[DONE]"."""


def documents(data: str) -> tuple[list[Document], str]:
    """The JSON documents that the data begins with (or "[DONE]"), at most `MAX_DOCUMENTS`, and the
    rest.

    Some servers put several events into one, with or without "data:" between them.
    """
    found: list[Document] = []
    at = 0
    decoder = decoder_for(data)
    if len(data) > MAX_PARSED_VALUES and value_count_bound(data) > MAX_PARSED_VALUES:
        return found, data
    while len(found) < MAX_DOCUMENTS:
        glue = _GLUE.match(data, at)
        at = glue.end() if glue else at
        value, end = None, at + len(DONE)
        if not data.startswith(DONE, at):
            try:
                value, end = decoder.raw_decode(data, at)
            except (ValueError, RecursionError):
                break
        found.append(Document(data[at:end], value))
        at = end
    return found, data[at:]
