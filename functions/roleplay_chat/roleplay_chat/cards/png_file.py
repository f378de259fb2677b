"""Cards in PNG pictures: base64 of the JSON in tEXt chunks, V2 as `chara`, V3 as `ccv3`."""

import base64
import io
from collections.abc import Iterator
from itertools import islice

import png  # type: ignore[import-untyped]

from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.json_file import MAX_JSON_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 10_000
"""Pictures have up to a few hundred. A file of empty chunks would take long to read."""
V2_KEYWORD = b"chara"
V3_KEYWORD = b"ccv3"
PICTURE_SIZE = (200, 300)
"""Width and height in pixels of the plain picture of an exported card: the usual shape."""
PICTURE_GREY = 64
_SPACE = b" \t\r\n\v\f"


def read(raw: bytes) -> list[bytes]:
    """The cards in a picture as base64: V3, then V2. Raises `ApiError` 400 if there is none."""
    found: dict[bytes, bytes] = {}
    for kind, content in _chunks(raw):
        keyword, _, value = content.partition(b"\0")
        keyword = keyword.lower()
        if kind != b"tEXt" or keyword not in (V2_KEYWORD, V3_KEYWORD):
            continue
        if keyword in found:
            raise invalid("The picture contains two character cards.")
        found[keyword] = value
    if not found:
        raise invalid("The picture contains no character card.")
    return [found[keyword] for keyword in (V3_KEYWORD, V2_KEYWORD) if keyword in found]


def decoded(value: bytes) -> bytes:
    """The JSON of a card in a picture, whose base64 may lack its padding. Raises `ApiError` 400 or
    413."""
    if len(value) > 2 * MAX_JSON_BYTES:  # base64 adds a third, line breaks a little more
        raise too_large("The card in the picture is too large.")
    value = value.translate(None, _SPACE).rstrip(b"=")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except ValueError as error:
        raise invalid("The card in the picture is damaged: it is not valid base64.") from error


def write(*, v2: bytes, v3: bytes, picture: bytes | None = None) -> bytes:
    """A PNG picture, a plain one if none is given, with the card's JSON in both versions.

    V3 comes first: some programs read the first card that they find.
    """
    *chunks, end = png.Reader(bytes=picture or _plain_picture()).chunks()
    cards = [
        (b"tEXt", keyword + b"\0" + base64.b64encode(card))
        for keyword, card in ((V3_KEYWORD, v3), (V2_KEYWORD, v2))
    ]
    file = io.BytesIO()
    png.write_chunks(file, [*chunks, *cards, end])
    return file.getvalue()


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    chunks = png.Reader(bytes=raw).chunks()
    try:
        yield from islice(chunks, MAX_CHUNKS)
        if next(chunks, None) is not None:
            raise invalid("The picture has too many parts.")
    except (png.Error, EOFError, ValueError) as error:
        raise invalid("The picture is damaged: its card cannot be read.") from error


def _plain_picture() -> bytes:
    width, height = PICTURE_SIZE
    file = io.BytesIO()
    row = bytes([PICTURE_GREY]) * width
    png.Writer(width, height, greyscale=True).write(file, [row] * height)
    return file.getvalue()
