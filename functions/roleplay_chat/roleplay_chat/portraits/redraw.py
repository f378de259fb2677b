"""Runs the picture decoder in a separate process, within limits.

A decoder in a thread could be neither stopped nor kept from using all memory. The process also has
no settings and keys in its environment.
"""

import asyncio
import sys
from importlib.util import find_spec
from logging import getLogger
from pathlib import Path
from weakref import WeakKeyDictionary

from edge.bounded import Bounded
from edge.errors import ApiError
from roleplay_chat.portraits import decoder
from roleplay_chat.portraits.decoder import Format

MAX_BYTES = 6 * 2**20
"""The limit for a picture's file. A request of the largest size holds as much in base64."""
SECONDS = 15
"""The time limit for one picture. The largest takes about two."""
WAIT_SECONDS = 10
"""How long a request waits until others' pictures are done; one is decoded at a time."""

UNREADABLE = "The picture cannot be read. Use a PNG, JPEG, WebP or GIF file."
TOO_LARGE = (
    f"The picture is too large: at most {decoder.MAX_PIXELS // 1_000_000} million pixels and"
    f" {MAX_BYTES // 2**20} MiB."
)
BLANK = "The picture is of a single colour."
_SENTENCES = {decoder.TOO_LARGE: TOO_LARGE, decoder.BLANK: BLANK}
_PROGRAM = Path(decoder.__file__)
_ALONE = ("-s", "-S", "-P")
"""Without the modules of users, of the site, and beside the program: it starts faster."""
_log = getLogger("roleplay_chat")


class BadPicture(Exception):
    """The picture cannot be used; the message is a sentence that says why."""


class Redrawing:
    """Redraws pictures, one at a time. Belongs to one event loop."""

    def __init__(self, program: Path = _PROGRAM, seconds: float = SECONDS) -> None:
        self._places = Bounded(1, wait_seconds=WAIT_SECONDS)
        self._program = program
        self._seconds = seconds

    async def redraw(self, raw: bytes, file_format: Format = "webp") -> bytes:
        """The picture's pixels as a new file. Raises `BadPicture`, or `ApiError` 503 if others'
        pictures take too long."""
        if len(raw) > MAX_BYTES:
            raise BadPicture(TOO_LARGE)
        async with self._places.place():
            code, picture = await self._run(raw, file_format)
        if code != decoder.DONE:
            raise BadPicture(_SENTENCES.get(code, UNREADABLE))
        return picture

    async def _run(self, raw: bytes, file_format: Format) -> tuple[int, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *_ALONE, str(self._program), file_format),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": _packages()},
        )
        try:
            async with asyncio.timeout(self._seconds):
                picture, _ = await process.communicate(raw)
        except TimeoutError:
            _log.warning("picture took too long", extra={"fields": {"bytes": len(raw)}})
            picture = b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        # Negative: a signal ended it, at one of its limits.
        return process.returncode or decoder.DONE, picture


def _packages() -> str:
    """The folder with the decoders, found without importing them."""
    found = find_spec("PIL")
    if found is None or found.origin is None:
        raise ApiError(503, "no_pictures", "Pictures cannot be read here.")
    return str(Path(found.origin).parents[1])


_redrawings: WeakKeyDictionary[asyncio.AbstractEventLoop, Redrawing] = WeakKeyDictionary()


async def redraw(raw: bytes, file_format: Format = "webp") -> bytes:
    """Redraw a picture; see `Redrawing`."""
    loop = asyncio.get_running_loop()
    if loop not in _redrawings:
        _redrawings[loop] = Redrawing()
    return await _redrawings[loop].redraw(raw, file_format)
