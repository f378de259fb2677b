"""Cards in PNG pictures: base64 of the JSON in tEXt chunks, V2 as `chara`, V3 as `ccv3`.

Programs for pictures write them anew as zTXt (ImageMagick) or iTXt, which are read as well.
"""

import base64
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import png  # type: ignore[import-untyped]

from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.json_file import MAX_JSON_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 10_000
"""Pictures have up to a few hundred. A file of empty chunks would take long to read."""
MAX_ENCODED_BYTES = 2 * MAX_JSON_BYTES
"""The limit for a card in base64, which adds a third; line breaks add a little more."""
MAX_COPIES = 8
"""How often a picture may have a card: two versions, each as every kind of text. Each copy may
unpack to the limit."""
V2_KEYWORD = b"chara"
V3_KEYWORD = b"ccv3"
PICTURE_SIZE = (200, 300)
"""Width and height in pixels of the plain picture of an exported card: the usual shape."""
PICTURE_GREY = 64
_SPACE = b" \t\r\n\v\f"


def read(raw: bytes) -> list[bytes]:
    """The cards in a picture as base64: V3, then V2. Raises `ApiError` 400 if there is none."""
    found: dict[bytes, bytes] = {}
    copies = 0
    for kind, content in _chunks(raw):
        keyword, _, rest = content.partition(b"\0")
        keyword = keyword.lower()
        if kind not in _TEXTS or keyword not in (V2_KEYWORD, V3_KEYWORD):
            continue
        if (copies := copies + 1) > MAX_COPIES:
            raise invalid("The picture contains too many character cards.")
        value = _TEXTS[kind](rest)
        if found.setdefault(keyword, value) != value:
            raise invalid("The picture contains two character cards.")
    if not found:
        raise invalid("The picture contains no character card.")
    return [found[keyword] for keyword in (V3_KEYWORD, V2_KEYWORD) if keyword in found]


def decoded(value: bytes) -> bytes:
    """The JSON of a card in a picture, whose base64 may lack its padding. Raises `ApiError` 400 or
    413."""
    if len(value) > MAX_ENCODED_BYTES:
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


def _inflated(rest: bytes) -> bytes:
    """The text of a zTXt chunk, from its compression method on; too much of it is cut. Empty if it
    is damaged, so that the card's other version is read."""
    try:
        return zlib.decompressobj().decompress(rest[1:], MAX_ENCODED_BYTES + 1)
    except zlib.error:
        return b""


def _international(rest: bytes) -> bytes:
    """The text of an iTXt chunk, from its compression flag on."""
    is_compressed, method = rest[:1] == b"\x01", rest[1:2]
    text = b"".join(rest[2:].split(b"\0", 2)[2:])  # After a language and a translated keyword.
    return _inflated(method + text) if is_compressed else text


_TEXTS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"tEXt": bytes,
    b"zTXt": _inflated,
    b"iTXt": _international,
}
"""How the text of each kind of chunk is read, from what follows its keyword."""


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
