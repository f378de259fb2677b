"""Decodes an uploaded picture and redraws it, so that nothing but its pixels remains.

A separate program: `decoder.py <webp | png>` reads a picture from standard input and writes one to
standard output. It limits its own memory and processor time before it imports the decoders. Its
exit code is one of those below; any other means that a limit ended it.
"""

import io
import os
import resource
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

Format = Literal["webp", "png"]
"""The output formats: WebP is stored, and PNG, which all programs can read, is put into cards."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""The formats that are read: those of cards. Others only add decoders that can be attacked."""
MAX_PIXELS = 20_000_000
"""Width times height. Image generators write up to 6 million, phones 12 million."""
MAX_SIDE = 768
"""The longer side of the result, in pixels: twice the height at which a page shows it."""
WEBP_QUALITY = 85
MEMORY_BYTES = 400 * 2**20
"""Address space: Python with the decoders takes 50 MB, the largest picture 240 MB."""
CPU_SECONDS = 10
NICENESS = 10
"""Turns come first if there is only one processor."""

DONE, UNREADABLE, TOO_LARGE, BLANK = 0, 3, 4, 5
"""Exit codes. BLANK: one colour alone, as in cards that were exported without a picture."""


class CannotDecode(Exception):
    """The picture cannot be used. `code` is the exit code that says why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def redrawn(raw: bytes, file_format: Format) -> bytes:
    """The first frame of a picture, upright and at most MAX_SIDE long. Raises `CannotDecode`."""
    # The decoders raise whatever comes: OSError, SyntaxError, struct.error, MemoryError and more.
    try:
        return _redrawn(raw, file_format)
    except CannotDecode:
        raise
    except Exception as error:
        raise CannotDecode(UNREADABLE) from error


def _redrawn(raw: bytes, file_format: Format) -> bytes:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # Our own limit is checked before anything is decoded.
    with Image.open(io.BytesIO(raw), formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise CannotDecode(TOO_LARGE)
        opened.draft("RGB", (MAX_SIDE, MAX_SIDE))  # JPEG is decoded at a fraction of its size.
        opened.load()
        image = _without_hidden(_upright(opened, _small(_in_colour(opened))))
    if all(low == high for low, high in _extrema(image)):
        raise CannotDecode(BLANK)
    return _written(image, file_format)


def _in_colour(image: "Image.Image") -> "Image.Image":
    """The picture as RGB, or RGBA if any of it may be transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scaling.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if "A" in image.mode.upper() or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB")


def _small(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _upright(original: "Image.Image", image: "Image.Image") -> "Image.Image":
    """The picture, turned as its metadata says. Unreadable metadata is ignored."""
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(original.getexif().get(0x0112, 1))
    except Exception:
        return image
    return image if turn is None else image.transpose(turn)


def _without_hidden(image: "Image.Image") -> "Image.Image":
    """The picture without the colours of transparent parts, such as those that its owner erased."""
    if image.mode == "RGBA":
        is_hidden = image.getchannel("A").point(lambda alpha: 255 * (alpha == 0))
        image.paste((0, 0, 0, 0), mask=is_hidden)
    return image


def _extrema(image: "Image.Image") -> list[tuple[float, float]]:
    return [band.getextrema() for band in image.split()]  # type: ignore[misc]


def _written(image: "Image.Image", file_format: Format) -> bytes:
    from PIL import Image

    # A new picture of only the pixels: the old one carries its metadata, which would be written.
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    file = io.BytesIO()
    if file_format == "webp":
        bare.save(file, "WEBP", quality=WEBP_QUALITY, alpha_quality=80, method=4)
    else:
        bare.save(file, "PNG")
    return file.getvalue()


def _limit_itself() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)


def main(file_format: Format) -> int:
    """Redraw the picture on standard input. Returns the exit code."""
    _limit_itself()
    try:
        sys.stdout.buffer.write(redrawn(sys.stdin.buffer.read(), file_format))
    except CannotDecode as error:
        return error.code
    return DONE


if __name__ == "__main__":
    sys.exit(main("png" if sys.argv[1] == "png" else "webp"))
