"""Cards as CHARX: a zip archive with `card.json` and the pictures and sounds that it names.

Archives of Backyard AI, which have a manifest in its place, are unpacked here as well.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping

from msgspec import Struct

from roleplay_chat.cards.backyard import MANIFEST
from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.json_file import MAX_JSON_BYTES

SIGNATURE = b"PK\x03\x04"
CARD = "card.json"
MODULE = "module.risum"
MAX_ENTRIES = 1_000
"""Files in an archive; cards with many expressions have a few hundred."""
MAX_UNPACKED_BYTES = 64 * 2**20
"""The limit for all files together. Media hardly compress, so an archive within the request limit
unpacks to less."""
MAX_RATIO = 100
"""Unpacked to packed size, for all files together; archives that unpack to less than a card's limit
are exempt. Text compresses to a tenth, and to a hundredth only if it repeats itself."""
_CENTRAL_HEADER = b"PK\x01\x02"
_KNOWN_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Other methods have no bound on the memory that they need."""
_ENCRYPTED = 0x1
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""Everything that zipfile raises for malformed archives."""


class Charx(Struct, frozen=True):
    """The contents of an archive."""

    card: bytes
    others: int
    """The number of other files."""
    has_module: bool = False
    """Whether one of them is RisuAI's module."""
    is_backyard: bool = False
    """Whether `card` is Backyard AI's manifest instead."""


def read(raw: bytes) -> Charx:
    """The card's JSON in an archive. Raises `ApiError` 400 or 413. Unpacks nothing else."""
    # Checked before opening, because zipfile creates an object for each entry.
    if raw.count(_CENTRAL_HEADER) > MAX_ENTRIES:
        raise too_large(f"The archive has more than {MAX_ENTRIES:,} files.")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            _check(entries, len(raw))
            card = _find_card(entries)
            has_module = any(entry.filename == MODULE for entry in entries)
            is_backyard = card.filename == MANIFEST
            return Charx(_unpacked(archive, card), len(entries) - 1, has_module, is_backyard)
    except _DAMAGED as error:
        raise invalid("The archive is damaged: its card cannot be read.") from error


def read_file(raw: bytes, name: str, max_bytes: int) -> bytes | None:
    """A file in an archive that `read` has accepted; None if it is missing or damaged. A file
    longer than `max_bytes` is cut after `max_bytes` + 1."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive, archive.open(name) as file:
            return file.read(max_bytes + 1)
    except (KeyError, *_DAMAGED):
        return None


def write(card: bytes, files: Mapping[str, bytes]) -> bytes:
    """An archive with the card's JSON, and other files by their paths. The same input gives the
    same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {CARD: card, **files}.items():
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _check(entries: list[zipfile.ZipInfo], packed: int) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(MAX_UNPACKED_BYTES, max(MAX_JSON_BYTES, MAX_RATIO * packed)):
        raise too_large(f"The archive unpacks to {unpacked:,} bytes, which is too much.")
    for entry in entries:
        if _leads_elsewhere(entry.orig_filename):
            raise invalid("The archive has a file with an unsafe path.")
        if entry.flag_bits & _ENCRYPTED:
            raise invalid("The archive is encrypted.")
        if entry.compress_type not in _KNOWN_COMPRESSION:
            raise invalid("The archive uses an unsupported compression.")


def _leads_elsewhere(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name


def _find_card(entries: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    cards = [entry for entry in entries if entry.filename == CARD]
    cards = cards or [entry for entry in entries if entry.filename == MANIFEST]
    if not cards:
        raise invalid(f"The archive has no {CARD}.")
    if len(cards) > 1:
        raise invalid("The archive contains two character cards.")
    return cards[0]


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        # The sizes that the archive declares may be false.
        card = file.read(MAX_JSON_BYTES + 1)
    if len(card) > MAX_JSON_BYTES:
        raise too_large("The card in the archive is too large.")
    return card
