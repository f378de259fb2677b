"""Character cards as files, made without the code under test.

`python -m tests.support.cards` makes the binary files in tests/data/cards from the JSON files.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import png  # type: ignore[import-untyped]

CARDS = Path(__file__).parents[1] / "data" / "cards"


def card(name: str) -> dict[str, Any]:
    """A card in tests/data/cards by the name of its JSON file."""
    loaded: dict[str, Any] = json.loads((CARDS / f"{name}.json").read_bytes())
    return loaded


def text_chunk(keyword: str, value: bytes) -> tuple[bytes, bytes]:
    """A tEXt chunk."""
    return b"tEXt", keyword.encode() + b"\0" + value


def picture(*chunks: tuple[bytes, bytes]) -> bytes:
    """A small picture with these chunks."""
    plain = io.BytesIO()
    png.Writer(4, 6, greyscale=False).write(plain, [[20, 60, 90] * 4] * 6)
    *head, end = png.Reader(bytes=plain.getvalue()).chunks()
    file = io.BytesIO()
    png.write_chunks(file, [*head, *chunks, end])
    return file.getvalue()


def card_picture(**cards: Any) -> bytes:
    """A picture with cards by keyword (`chara`, `ccv3`)."""
    encoded = {name: base64.b64encode(json.dumps(value).encode()) for name, value in cards.items()}
    return picture(*(text_chunk(name, value) for name, value in encoded.items()))


def archive(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in files.items():
            written.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def make() -> None:
    """Write the binary cards."""
    detective, cook = card("detective_v2"), card("cook_v3")
    (CARDS / "detective.png").write_bytes(card_picture(chara=detective))
    (CARDS / "cook.charx").write_bytes(
        archive(
            {
                "assets/icon/images/main.png": picture(),
                "card.json": json.dumps(cook, ensure_ascii=False).encode(),
            }
        )
    )


if __name__ == "__main__":
    make()
