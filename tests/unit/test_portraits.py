"""Pictures of strangers become pixels of ours, or a sentence, within limits."""

from __future__ import annotations

import asyncio
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from roleplay_chat.portraits import decoder, redraw
from roleplay_chat.portraits.decoder import MAX_PIXELS, MAX_SIDE
from roleplay_chat.portraits.redraw import BLANK, TOO_LARGE, UNREADABLE, BadPicture, Redrawing
from tests.support.pictures import corners, decoded, encoded, flag
from tests.support.waiting import wait_until

UPRIGHT = ["red", "red", "green", "blue"]
SECRET = b"52.3702N 4.8952E"


async def redrawn(raw: bytes, file_format: decoder.Format = "webp") -> Image.Image:
    return decoded(await redraw.redraw(raw, file_format))


async def refused(raw: bytes) -> str:
    with pytest.raises(BadPicture) as error:
        await redraw.redraw(raw)
    return str(error.value)


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes], pixels: bytes = b"") -> bytes:
    """A PNG file that says what it likes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def canvas_of_webp(width: int, height: int) -> bytes:
    """An animated WebP file with a canvas of this size and one tiny frame."""
    frames = [flag(8, 8), flag(8, 8).rotate(90)]
    raw = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    at = raw.index(b"VP8X") + 12
    raw[at : at + 3] = (width - 1).to_bytes(3, "little")
    raw[at + 3 : at + 6] = (height - 1).to_bytes(3, "little")
    return bytes(raw)


ANIMATED: dict[str, Any] = {"save_all": True, "append_images": [flag().rotate(180)], "duration": 50}
READ = {
    "PNG": encoded(flag()),
    "JPEG": encoded(flag(), "JPEG"),
    "progressive JPEG": encoded(flag(), "JPEG", progressive=True),
    "CMYK JPEG": encoded(flag(mode="CMYK"), "JPEG"),
    "WebP": encoded(flag(), "WEBP"),
    "palette": encoded(flag(mode="P")),
    "transparent": encoded(flag(mode="RGBA")),
    "interlaced": encoded(flag(), interlace=1),
    "animated PNG": encoded(flag(), **ANIMATED),
    "animated WebP": encoded(flag(), "WEBP", lossless=True, **ANIMATED),
    "animated GIF": encoded(flag(), "GIF", **ANIMATED),
}


@pytest.mark.parametrize("name", READ)
async def test_picture_of_any_usual_kind_is_drawn_anew(name: str) -> None:
    """Of animations, the first frame."""
    picture = await redrawn(READ[name])
    assert (picture.format, picture.size) == ("WEBP", (120, 180))
    assert corners(picture) == UPRIGHT
    assert getattr(picture, "n_frames", 1) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
async def test_grey_of_any_depth_stays_what_it_was(mode: str) -> None:
    light, dark = (1, 0) if mode == "1" else (40_000, 8_000) if mode == "I;16" else (156, 31)
    picture = Image.new(mode, (8, 8), (light, 255) if mode == "LA" else light)
    picture.putpixel((0, 7), (dark, 255) if mode == "LA" else dark)
    found = (await redrawn(encoded(picture), "png")).convert("L")
    expected = (255, 0) if mode == "1" else (156, 31)
    assert (found.getpixel((0, 0)), found.getpixel((0, 7))) == expected


@pytest.mark.parametrize("orientation", range(9))
async def test_picture_is_turned_as_its_metadata_say(orientation: int) -> None:
    undone = {2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}
    stored = flag()
    for turn in undone.get(orientation, ()):
        stored = stored.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = await redrawn(encoded(stored, "JPEG", exif=exif, quality=95))
    assert picture.size == (120, 180)
    assert corners(picture) == UPRIGHT


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("written", ["webp", "png"])
async def test_nothing_but_pixels_stays(file_format: str, written: decoder.Format) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()  # the description
    options: dict[str, object] = {"exif": exif, "icc_profile": SECRET * 20, "xmp": SECRET}
    if file_format == "PNG":
        del options["xmp"]
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        info.add_text("chara", SECRET.decode())
        info.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    if file_format == "JPEG":
        options["comment"] = SECRET
    raw = encoded(flag(), file_format, **options)
    assert SECRET in raw
    found = await redraw.redraw(raw + SECRET, written)
    assert SECRET not in found
    assert decoded(found).info.keys() <= {"background", "loop", "timestamp", "duration"}


async def test_metadata_that_cannot_be_read_cost_nothing() -> None:
    raw = encoded(flag(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)
    assert corners(await redrawn(raw)) == UPRIGHT


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1600, 2400), (512, 768)), ((3000, 10), (768, 3)), ((1, 5000), (1, 768)), ((9, 9), (9, 9))],
)
async def test_size_is_fit_for_a_page(size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = await redrawn(encoded(flag(*size)))
    assert picture.size == expected
    assert max(picture.size) <= MAX_SIDE


async def test_transparency_stays() -> None:
    picture = flag(mode="RGBA")
    picture.putpixel((60, 10), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 0), (0, 0, 40, 40))
    found = await redrawn(encoded(picture))
    assert found.mode == "RGBA"
    assert found.getpixel((5, 5))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("written", ["webp", "png"])
async def test_what_is_transparent_has_no_colours(written: decoder.Format) -> None:
    """A part that somebody erased is often still there, only not shown."""
    picture = flag(mode="RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size).point(lambda a: a & 128))
    found = await redrawn(encoded(picture), written)
    assert set(found.crop((0, 0, 64, 64)).tobytes()) == {0}


async def test_picture_that_is_all_transparent_is_none() -> None:
    picture = flag(mode="RGBA")
    picture.putalpha(0)
    assert await refused(encoded(picture)) == BLANK


async def test_largest_picture_is_read_within_the_limits() -> None:
    side = int(MAX_PIXELS**0.5)
    settings: list[dict[str, Any]] = [{}, {"interlace": 1}]
    for options in settings:
        picture = await redrawn(encoded(Image.radial_gradient("L").resize((side, side)), **options))
        assert picture.size == (768, 768)


async def test_result_is_within_the_limit_of_the_bucket() -> None:
    """Noise is what compresses worst."""
    noise = Image.effect_noise((MAX_SIDE, MAX_SIDE), 200)
    worst = Image.merge("RGBA", [noise, noise.rotate(90), noise.rotate(180), noise.rotate(270)])
    assert len(await redraw.redraw(encoded(worst))) < 2 * 2**20


HOSTILE = {
    "no picture": b"GIF89a is a fine beginning",
    "empty": b"",
    "HTML": b"<html><script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
    "format that is not read": encoded(flag(), "BMP"),
    "truncated PNG": encoded(flag())[:-40],
    "truncated JPEG": encoded(flag(), "JPEG")[:-400],
    "truncated WebP": encoded(flag(), "WEBP", lossless=True)[:-30],
    "without pixels": png_of(100, 100),
    "without a width": png_of(0, 100),
    "canvas beyond memory": canvas_of_webp(16_383, 16_383),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_anything_else_is_refused_with_a_sentence(name: str) -> None:
    assert await refused(HOSTILE[name]) == UNREADABLE


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"], ids=["profile", "text"])
async def test_chunk_that_unpacks_to_much_is_refused(kind: bytes) -> None:
    chunk = (kind, b"x\0\0" + zlib.compress(bytes(300 * 2**20), level=1))
    assert await refused(png_of(9, 9, chunk, pixels=bytes(28 * 9))) == UNREADABLE


@pytest.mark.parametrize(
    "raw",
    [
        png_of(MAX_PIXELS, 2, pixels=bytes(99)),
        png_of(2**31 - 1, 2**31 - 1, pixels=bytes(99)),
        encoded(Image.new("1", (6_000, 6_000))),
        encoded(Image.new("L", (30_000, 1_000)), "JPEG"),
        encoded(Image.new("P", (30_000, 1_000)), "GIF"),
        bytes(redraw.MAX_BYTES + 1),
    ],
)
async def test_too_many_pixels_or_bytes_are_not_decoded(raw: bytes) -> None:
    assert await refused(raw) == TOO_LARGE


async def test_plain_picture_is_none() -> None:
    """Exports without a picture have one, as some programs do."""
    assert await refused(encoded(Image.new("RGB", (200, 300), "grey"))) == BLANK


def program(folder: Path, text: str) -> Path:
    path = folder / "decoder.py"
    path.write_text(text)
    return path


def endless(folder: Path) -> tuple[Path, Path]:
    """A program that never ends, and the file in which it says which process it is."""
    mark = folder / "pid"
    text = f"import os\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\nwhile True: pass\n"
    return program(folder, text), mark


def is_running(mark: Path) -> bool:
    return Path("/proc", mark.read_text()).exists() if has_begun(mark) else False


def has_begun(mark: Path) -> bool:
    return mark.exists() and bool(mark.read_text())


async def test_one_that_never_ends_is_ended(tmp_path: Path) -> None:
    never, mark = endless(tmp_path)
    with pytest.raises(BadPicture):
        await Redrawing(never, seconds=2).redraw(b"x")
    assert not is_running(mark)


async def test_caller_that_goes_away_ends_it(tmp_path: Path) -> None:
    never, mark = endless(tmp_path)
    task = asyncio.create_task(Redrawing(never, seconds=600).redraw(b"x"))
    await asyncio.to_thread(wait_until, lambda: has_begun(mark), "the program to begin")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(mark)


async def test_program_that_dies_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    dying = program(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with pytest.raises(BadPicture, match="cannot be read"):
        await Redrawing(dying).redraw(b"x")


async def test_decoder_has_no_settings_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_of_the_project")
    seen = tmp_path / "environment"
    asking = program(tmp_path, f"import os\nopen({str(seen)!r}, 'w').write(str(dict(os.environ)))")
    await Redrawing(asking).redraw(b"x")
    assert "sb_secret" not in seen.read_text()


async def test_one_picture_is_decoded_at_a_time(tmp_path: Path) -> None:
    """The second program finds no trace of the first."""
    lock = tmp_path / "running"
    alone = program(
        tmp_path,
        f"""
import os, sys
os.mkdir({str(lock)!r})
sys.stdin.read()
os.rmdir({str(lock)!r})
print(end="fine")
""",
    )
    redrawing = Redrawing(alone)
    found = await asyncio.gather(*(redrawing.redraw(bytes(100_000)) for _ in range(5)))
    assert found == [b"fine"] * 5


async def test_event_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    """The program waits for a file that only the loop, while it waits for the program, can make."""
    here = tmp_path / "here"
    waiting = program(tmp_path, f"import os\nwhile not os.path.exists({str(here)!r}): pass\n")

    async def make() -> None:
        here.touch()

    await asyncio.gather(Redrawing(waiting, seconds=60).redraw(b"x"), make())


def limits_of_the_program() -> str:
    asked = "import resource as r, os\nfrom roleplay_chat.portraits import decoder\n"
    asked += "decoder._limit_itself()\n"
    asked += "print(r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CPU)[0], os.nice(0))"
    return subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True).stdout


def test_memory_and_processor_time_are_limited() -> None:
    memory, seconds, niceness = map(int, limits_of_the_program().split())
    assert (memory, seconds) == (decoder.MEMORY_BYTES, decoder.CPU_SECONDS)
    assert niceness >= decoder.NICENESS


def test_decoders_are_imported_by_the_program_alone() -> None:
    """A cold start, and a process that handles pictures, has none of them."""
    asked = "import asyncio, sys\nfrom roleplay_chat.portraits.redraw import redraw\n"
    asked += "import roleplay_chat.cards.handlers, roleplay_chat.portraits.handlers\n"
    asked += "raw = sys.stdin.buffer.read()\nassert asyncio.run(redraw(raw))\n"
    asked += "print(sorted(name for name in sys.modules if name.split('.')[0] == 'PIL'))"
    done = subprocess.run([sys.executable, "-c", asked], input=encoded(flag()), capture_output=True)
    assert done.stdout.decode() == "[]\n", done.stderr.decode()


def test_decoder_itself_says_why() -> None:
    for raw, code in ((b"x", decoder.UNREADABLE), (png_of(MAX_PIXELS, 2), decoder.TOO_LARGE)):
        with pytest.raises(decoder.CannotDecode) as error:
            decoder.redrawn(raw, "webp")
        assert error.value.code == code
    assert Image.open(io.BytesIO(decoder.redrawn(encoded(flag()), "png"))).format == "PNG"
