"""Pictures, made with Pillow, as strangers send them."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 60), (40, 60, 200)


def flag(width: int = 120, height: int = 180, mode: str = "RGB") -> Image.Image:
    """Red above, blue below left, green below right: no two corners of one side are the same."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(GREEN, (width // 2, height // 2, width, height))
    return picture.convert(mode)


def encoded(picture: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def decoded(raw: bytes) -> Image.Image:
    """The picture of a file."""
    picture = Image.open(io.BytesIO(raw))
    picture.load()
    return picture


def corners(picture: Image.Image) -> list[str]:
    """The colours of the corners by name, from the upper left one, clockwise."""
    rgb, right, below = picture.convert("RGB"), picture.width - 1, picture.height - 1
    points = ((0, 0), (right, 0), (right, below), (0, below))
    return [_name(rgb.getpixel(point)) for point in points]  # type: ignore[arg-type]


def _name(colour: tuple[int, int, int]) -> str:
    names = ("red", "green", "blue")
    return names[max(range(3), key=lambda band: colour[band])]
