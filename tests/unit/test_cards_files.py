"""Card files of every format are read; hostile or broken files are refused with a sentence."""

import base64
import json
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, ClassVar

import png  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ApiError
from edge.json_text import value_count_bound
from roleplay_chat.cards import charx_file, files, json_file, png_file
from tests.support.cards import CARDS, archive, card, card_picture, picture, text_chunk
from tests.support.work import is_linear

TINY: dict[str, Any] = {"name": "Tobias"}


def refused(raw: bytes, code: str = "invalid_card") -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(ApiError) as caught:
        files.read(raw)
    status = {"invalid_card": 400, "card_too_large": 413}[code]
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.message.endswith(".")
    return caught.value.message


def outcome(raw: bytes) -> int:
    """200, or the status with which a file is refused."""
    try:
        files.read(raw)
    except ApiError as error:
        return error.status
    return 200


class TestFormats:
    @pytest.mark.parametrize("name", ["keeper_v1", "detective_v2", "cook_v3"])
    def test_json_file_is_read(self, name: str) -> None:
        assert files.read((CARDS / f"{name}.json").read_bytes()) == files.CardFile(card(name))

    def test_json_with_a_byte_order_mark(self) -> None:
        assert files.read(b"\xef\xbb\xbf" + json.dumps(TINY).encode()).card == TINY

    def test_png_file_is_read(self) -> None:
        found = files.read((CARDS / "detective.png").read_bytes())
        assert found.card == card("detective_v2")
        assert found.picture == (CARDS / "detective.png").read_bytes()
        assert found.warnings == ()

    def test_charx_file_is_read(self) -> None:
        found = files.read((CARDS / "cook.charx").read_bytes())
        assert found.card == card("cook_v3")
        assert found.picture == picture()
        assert found.warnings == ()

    def test_charx_of_a_card_alone_loses_nothing(self) -> None:
        assert files.read(archive({"card.json": json.dumps(TINY).encode()})).warnings == ()

    @pytest.mark.parametrize("raw", [b"", b"GIF89a", b"\xff\xd8\xff\xe0", b"hello", b"[1]"])
    def test_other_formats_are_refused(self, raw: bytes) -> None:
        assert "neither JSON, PNG nor CHARX" in refused(raw)


class TestJson:
    @pytest.mark.parametrize(
        ("raw", "named"),
        [
            pytest.param(b"{", "not valid JSON", id="unfinished"),
            pytest.param(b'{"name": "\xff"}', "not valid JSON", id="not-utf-8"),
            pytest.param(b'{"a":' * 100_000, "not valid JSON", id="nested-too-deep-to-parse"),
            pytest.param(b'{"a":' * 80 + b"1" + b"}" * 80, "64 levels", id="nested-too-deep"),
            pytest.param(b'{"a": NaN}', "a number that is not", id="nan"),
            pytest.param(b'{"a": 1e999}', "a number that is not", id="infinite"),
            pytest.param(
                b'{"name": "%s", "a": -%s}' % (b"x" * 1_000, b"9" * 101),
                "more than 100 digits",
                id="long-number",
            ),
            pytest.param(b'{"a": %s}' % (b"9" * 5000), "more than 100 digits", id="endless-number"),
        ],
    )
    def test_broken_json_is_refused(self, raw: bytes, named: str) -> None:
        assert named in refused(raw)

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b'{"a": "%s"}' % (b"x" * json_file.MAX_JSON_BYTES), id="long"),
            pytest.param(b'{"a": [%s0]}' % (b"0," * 250_000), id="many-values"),
        ],
    )
    def test_json_that_is_too_large_is_refused(self, raw: bytes) -> None:
        refused(raw, "card_too_large")

    def test_text_that_grew_by_unescaping_is_measured_as_text(self) -> None:
        with pytest.raises(ApiError) as caught:
            json_file.checked({"a": "灯" * json_file.MAX_JSON_BYTES}, [])
        assert caught.value.code == "card_too_large"

    @pytest.mark.parametrize(
        ("raw", "card", "named"),
        [
            pytest.param(b'{"a": "x\\u0000"}', {"a": "x"}, ["a"], id="nul"),
            pytest.param(b'{"b\\u0000": 1}', {"b": 1}, ["b"], id="nul-in-a-name"),
            pytest.param(b'{"a": ["\\ud83c!"]}', {"a": ["!"]}, ["a.0"], id="half-an-emoji"),
            pytest.param(b'{"a": "\\ud83c\\udf0a"}', {"a": "🌊"}, [], id="whole-emoji"),
            pytest.param(
                b'{"data": {"x": [1, {"y": "z\\udc00"}]}}',
                {"data": {"x": [1, {"y": "z"}]}},
                ["data.x.1.y"],
                id="deep",
            ),
            pytest.param(b'{"a\\u0000": 1, "a": 2}', {"a": 2}, ["a"], id="clash"),
            pytest.param(b'{"a\\u0000": 1, "\\u0000a": 2}', {"a": 1}, ["a", "a"], id="two-alike"),
            pytest.param(b'{"\\u001b\\u0000": 1}', {"\x1b": 1}, [""], id="unprintable-name"),
            pytest.param(
                b'{"a": "\\u0000", "avatar": "data:image/png;base64,AA\\ud83c"}',
                {"a": "", "avatar": "data:,"},
                ["a"],
                id="in-a-picture",
            ),
        ],
    )
    def test_characters_that_are_not_text_are_removed_and_named(
        self, raw: bytes, card: dict[str, Any], named: list[str]
    ) -> None:
        found = files.read(raw)
        assert found.card == card
        assert [warning.split("`")[1] for warning in found.warnings] == named

    @pytest.mark.parametrize(
        "raw",
        [
            card_picture(chara={"name": "Ina\0"}),
            archive({"card.json": b'{"name": "Ina\\u0000"}'}),
            b'name: "Ina\\0"\ncontext: x\n',
            b'[{"keys": ["sea"], "content": "Wide.\\u0000"}]',
        ],
    )
    def test_they_are_removed_from_files_of_every_format(self, raw: bytes) -> None:
        (warning,) = files.read(raw).warnings
        assert warning.endswith("they were removed.")

    def test_warnings_about_them_are_few(self) -> None:
        many = {f"k{number}": ["\0", "\0"] for number in range(20_000)}
        warnings = files.read(json.dumps(many).encode()).warnings
        assert len(warnings) == json_file.MAX_WARNINGS + 1
        alike = {"a": ["\0"] * 900}
        (warning,) = files.read(json.dumps(alike).encode()).warnings
        assert "899 more" in warning

    @pytest.mark.parametrize("value", [None, [], "text", 5])
    def test_json_that_is_no_object_is_refused(self, value: Any) -> None:
        with pytest.raises(ApiError) as caught:
            json_file.checked(value, [])
        assert caught.value.message == "The card must be a JSON object."


def nested(card: dict[str, Any], times: int) -> dict[str, Any]:
    for _ in range(times):
        card = {"spec": "chara_card_v2", "data": card}
    return card


class TestNested:
    PICTURE = "data:image/png;base64,AAAA"
    FILES: ClassVar[list[Callable[[dict[str, Any]], bytes]]] = [
        lambda value: json.dumps(value).encode(),
        lambda value: card_picture(chara=value),
        lambda value: archive({"card.json": json.dumps(value).encode()}),
    ]

    @pytest.mark.parametrize("written", FILES)
    @pytest.mark.parametrize("times", [1, 2])
    def test_card_in_a_card_is_read(
        self, written: Callable[[dict[str, Any]], bytes], times: int
    ) -> None:
        inner = card("detective_v2")
        found = files.read(written(nested(inner, times)))
        assert found.card == inner
        assert found.warnings == (files.NESTED,)

    def test_picture_in_it_is_not_stored(self) -> None:
        inner = {"spec": "chara_card_v2", "data": {"name": "Ina", "avatar": self.PICTURE}}
        found = files.with_picture(nested(inner, 1))
        assert found.card["data"]["avatar"] == "data:,"
        assert found.picture == bytes(3)

    @pytest.mark.parametrize(
        "value",
        [
            nested(card("detective_v2"), 0),
            {"spec": "chara_card_v2", "data": {"name": "Ina", "data": {"name": "Other"}}},
            {"spec": "chara_card_v2", "data": {"spec": "chara_card_v2", "data": []}},
        ],
    )
    def test_any_other_is_itself(self, value: dict[str, Any]) -> None:
        assert files.with_picture(value) == files.CardFile(value)

    def test_card_in_too_many_is_not(self) -> None:
        found = files.with_picture(nested(card("detective_v2"), 3))
        assert found.card == nested(card("detective_v2"), 1)


class TestPng:
    def test_v3_wins_over_v2(self) -> None:
        assert files.read(card_picture(chara={"name": "two"}, ccv3={"name": "three"})).card == {
            "name": "three"
        }
        assert files.read(card_picture(ccv3={"name": "three"}, chara={"name": "two"})).card == {
            "name": "three"
        }

    @pytest.mark.parametrize(
        "damaged",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"a", id="not-base64"),
            pytest.param(base64.b64encode(b'{"name": "Tob'), id="cut-off"),
            pytest.param(base64.b64encode(b"null"), id="null"),
            pytest.param(base64.b64encode(b"[1]"), id="list"),
            pytest.param(base64.b64encode(b'{"name": "\xff"}'), id="not-utf-8"),
        ],
    )
    def test_v2_is_read_where_v3_is_damaged(self, damaged: bytes) -> None:
        good = text_chunk("chara", base64.b64encode(json.dumps(TINY).encode()))
        for chunks in ((text_chunk("ccv3", damaged), good), (good, text_chunk("ccv3", damaged))):
            found = files.read(picture(*chunks))
            assert (found.card, found.warnings) == (TINY, (files.V3_DAMAGED,))

    def test_v3_that_is_too_large_is_not_damaged(self) -> None:
        long = text_chunk("ccv3", base64.b64encode(b"x" * 4 * 2**20))
        good = text_chunk("chara", base64.b64encode(json.dumps(TINY).encode()))
        refused(picture(long, good), "card_too_large")

    @pytest.mark.parametrize("name", ["I", "In", "Ina"])
    def test_base64_without_padding_is_read(self, name: str) -> None:
        encoded = base64.b64encode(json.dumps({"name": name}).encode()).rstrip(b"=")
        assert files.read(picture(text_chunk("chara", encoded))).card == {"name": name}

    @pytest.mark.parametrize(
        ("kind", "before", "is_compressed"),
        [
            pytest.param(b"zTXt", b"\0", True, id="ImageMagick"),
            pytest.param(b"iTXt", b"\0\0\0\0", False, id="international"),
            pytest.param(b"iTXt", b"\x01\0de\0Karte\0", True, id="international-compressed"),
        ],
    )
    def test_text_that_another_program_wrote_anew_is_read(
        self, kind: bytes, before: bytes, is_compressed: bool
    ) -> None:
        encoded = base64.b64encode(json.dumps(TINY).encode())
        text = zlib.compress(encoded) if is_compressed else encoded
        assert files.read(picture((kind, b"chara\0" + before + text))).card == TINY

    def test_card_that_is_there_twice_is_one(self) -> None:
        encoded = text_chunk("chara", base64.b64encode(json.dumps(TINY).encode()))
        assert files.read(picture(encoded, encoded)).card == TINY

    def test_compressed_card_that_is_too_large(self) -> None:
        bomb = b"chara\0\0" + zlib.compress(b"A" * 64 * 2**20)
        refused(picture((b"zTXt", bomb)), "card_too_large")

    def test_card_that_is_there_very_often_is_not_unpacked_each_time(self) -> None:
        bomb = b"chara\0\0" + zlib.compress(b"A" * png_file.MAX_ENCODED_BYTES)
        often = picture(*[(b"zTXt", bomb)] * (png_file.MAX_COPIES + 1))
        assert "too many" in refused(often)

    def test_damaged_compressed_card_leaves_the_older_one(self) -> None:
        older = text_chunk("chara", base64.b64encode(json.dumps(TINY).encode()))
        found = files.read(picture((b"zTXt", b"ccv3\0\0damaged"), older))
        assert (found.card, found.warnings) == (TINY, (files.V3_DAMAGED,))

    def test_keyword_may_be_capitalised(self) -> None:
        assert files.read(card_picture(Chara=TINY)).card == TINY

    def test_line_breaks_in_base64_are_allowed(self) -> None:
        encoded = base64.encodebytes(json.dumps(card("cook_v3")).encode())
        assert files.read(picture(text_chunk("chara", encoded))).card == card("cook_v3")

    @pytest.mark.parametrize(
        ("chunks", "named"),
        [
            pytest.param([], "contains no character card", id="none"),
            pytest.param([text_chunk("Comment", b"hi")], "contains no character card", id="others"),
            pytest.param(
                [text_chunk("chara", b"e30="), text_chunk("chara", b"e319")],
                "two character cards",
                id="two",
            ),
            pytest.param([(b"zTXt", b"chara\0\0e30=")], "not valid JSON", id="not-compressed"),
            pytest.param([(b"iTXt", b"chara\0\0")], "not valid JSON", id="no-international-text"),
            pytest.param([text_chunk("chara", b"a")], "not valid base64", id="not-base64"),
            pytest.param([text_chunk("chara", b"\xff\xfe")], "not valid base64", id="bytes"),
            pytest.param([text_chunk("chara", b"")], "not valid JSON", id="empty"),
            pytest.param([(b"tEXt", b"chara")], "not valid JSON", id="no-value"),
            pytest.param([text_chunk("chara", b"e30aa")], "not valid base64", id="cut-off"),
            pytest.param([text_chunk("ccv3", b"")], "not valid JSON", id="empty-v3-alone"),
            pytest.param(
                [text_chunk("ccv3", b"a"), text_chunk("chara", b"a")],
                "not valid base64",
                id="both-damaged",
            ),
            pytest.param([(b"tEXt", b"x")] * 10_001, "too many parts", id="many-chunks"),
        ],
    )
    def test_picture_without_a_valid_card_is_refused(
        self, chunks: list[tuple[bytes, bytes]], named: str
    ) -> None:
        assert named in refused(picture(*chunks))

    def test_card_that_is_too_large(self) -> None:
        long = base64.b64encode(b"x" * 4 * 2**20)
        refused(picture(text_chunk("chara", long)), "card_too_large")

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda raw: raw[:40], id="cut-off"),
            pytest.param(lambda raw: raw[:-12], id="no-end"),
            pytest.param(lambda raw: raw[:60] + b"\0" + raw[61:], id="wrong-checksum"),
            pytest.param(lambda raw: raw[:8] + b"\xff" * 8 + raw[16:], id="absurd-length"),
            pytest.param(lambda raw: raw[:8] + b"\0\0\0\0\1\2\3\4" + raw[16:], id="odd-chunk"),
            pytest.param(lambda raw: raw[:8], id="signature-alone"),
        ],
    )
    def test_damaged_picture_is_refused(self, damage: Any) -> None:
        assert "damaged" in refused(damage(card_picture(chara=TINY)))

    def test_written_picture_has_v3_first(self) -> None:
        """Some programs read the first card that they find."""
        chunks = png.Reader(bytes=png_file.write(v2=b"{}", v3=b"{}")).chunks()
        keywords = [content.split(b"\0")[0] for kind, content in chunks if kind == b"tEXt"]
        assert keywords == [b"ccv3", b"chara"]

    def test_written_picture_is_one_and_has_both_versions(self) -> None:
        raw = png_file.write(v2=b'{"name": "two"}', v3=b'{"name": "three"}')
        width, height, _, _ = png.Reader(bytes=raw).asDirect()
        chunks = dict(
            content.split(b"\0")
            for kind, content in png.Reader(bytes=raw).chunks()
            if kind == b"tEXt"
        )
        assert (width, height) == png_file.PICTURE_SIZE
        assert base64.b64decode(chunks[b"chara"]) == b'{"name": "two"}'
        assert files.read(raw).card == {"name": "three"}


class TestCharx:
    def test_written_archive_is_the_same_each_time(self) -> None:
        raw = charx_file.write(b'{"name": "Tobias"}', {})
        assert raw == charx_file.write(b'{"name": "Tobias"}', {})
        assert files.read(raw).card == TINY

    @pytest.mark.parametrize(
        ("name", "named"),
        [
            pytest.param("../x", "unsafe path", id="parent"),
            pytest.param("assets/../../x", "unsafe path", id="parent-inside"),
            pytest.param("/etc/x", "unsafe path", id="absolute"),
            pytest.param("..\\x", "unsafe path", id="backslash"),
            pytest.param("C:/x", "unsafe path", id="drive"),
        ],
    )
    def test_archive_with_a_path_outside_is_refused(self, name: str, named: str) -> None:
        assert named in refused(archive({"card.json": b"{}", name: b"x"}))

    def test_archive_without_a_card_is_refused(self) -> None:
        assert "no card.json" in refused(archive({"deep/card.json": b"{}"}))

    def test_archive_with_two_cards_is_refused(self) -> None:
        raw = archive({"card.json": b"{}", "card.jsox": b"{}"}).replace(b"card.jsox", b"card.json")
        assert "two character cards" in refused(raw)

    def test_archive_with_another_compression_is_refused(self) -> None:
        raw = archive({"card.json": b"{}"}, zipfile.ZIP_LZMA)
        assert "unsupported" in refused(raw)

    def test_encrypted_archive_is_refused(self) -> None:
        raw = bytearray(archive({"card.json": b"{}"}))
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
        assert "encrypted" in refused(bytes(raw))

    def test_card_that_repeats_itself_comes_back(self) -> None:
        card = {"name": "Vera", "creator_notes": "x " * 500_000}
        written = charx_file.write(json.dumps(card).encode(), {})
        assert len(written) < 10_000
        assert files.read(written).card == card

    @pytest.mark.parametrize(
        "files_",
        [
            pytest.param({"card.json": b" " * 3 * 2**20}, id="card-unpacks-to-too-much"),
            pytest.param({"card.json": b"{}", "a": b"\0" * 70 * 2**20}, id="bomb"),
            pytest.param({f"{n}": b"" for n in range(1001)}, id="many-files"),
        ],
    )
    def test_archive_that_unpacks_to_too_much_is_refused(self, files_: dict[str, bytes]) -> None:
        refused(archive(files_), "card_too_large")

    def test_card_that_says_it_is_smaller_than_it_is(self) -> None:
        content = json.dumps({"name": "x" * 5000}).encode()
        raw = archive({"card.json": content}).replace(
            len(content).to_bytes(4, "little"), (10).to_bytes(4, "little")
        )
        refused(raw)

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda raw: raw[:40], id="cut-off"),
            pytest.param(lambda raw: raw[:30] + b"\xff" * 20 + raw[50:], id="overwritten"),
            pytest.param(lambda raw: raw[:4], id="signature-alone"),
        ],
    )
    def test_damaged_archive_is_refused(self, damage: Any) -> None:
        assert "damaged" in refused(damage(archive({"card.json": json.dumps(TINY).encode()})))


@given(
    start=st.sampled_from([b"", b"{", png_file.SIGNATURE, charx_file.SIGNATURE]),
    rest=st.binary(max_size=300),
)
def test_any_bytes_are_read_or_refused(start: bytes, rest: bytes) -> None:
    assert outcome(start + rest) in (200, 400, 413)


@settings(max_examples=200)
@given(
    which=st.sampled_from(["detective.png", "cook.charx", "detective_v2.json"]),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=8),
)
def test_any_damage_to_a_file_is_survived(which: str, place: float, junk: bytes) -> None:
    raw = (CARDS / which).read_bytes()
    at = int(len(raw) * place)
    assert outcome(raw[:at] + junk + raw[at + len(junk) :]) in (200, 400, 413)


def archive_with_files(files: int) -> bytes:
    return archive({f"{n}": b"" for n in range(files)})


def picture_with_chunks(chunks: int) -> bytes:
    return picture(*[(b"tEXt", b"")] * chunks)


def card_of_no_text(number: int) -> bytes:
    names = {f"{place}\0": {"\0": "\0"} for place in range(number)}
    return json.dumps({"a": "\0" * number, "b": names, "x" * number: ["\0"] * number}).encode()


def test_characters_that_are_not_text_are_removed_in_linear_time() -> None:
    assert is_linear(outcome, card_of_no_text, 1_000)


def test_files_of_very_many_parts_are_refused() -> None:
    refused(archive_with_files(20_000), "card_too_large")
    refused(picture_with_chunks(100_000))


@pytest.mark.parametrize("made_of", [archive_with_files, picture_with_chunks])
def test_files_of_many_parts_are_read_in_linear_time(made_of: Callable[[int], bytes]) -> None:
    assert is_linear(outcome, made_of, 300)


class TestValues:
    """Every value in a card becomes an object, so values are counted before they are read."""

    @pytest.mark.parametrize(
        "many",
        [
            pytest.param(b"[" + b"{}," * json_file.MAX_VALUES + b"{}]", id="objects"),
            pytest.param(b"[" + b"[]," * json_file.MAX_VALUES + b"[]]", id="lists"),
            pytest.param(b"[" + b"0," * json_file.MAX_VALUES + b"0]", id="numbers"),
            pytest.param(
                b"{" + b",".join(b'"%d":0' % n for n in range(json_file.MAX_VALUES)) + b"}",
                id="names",
            ),
        ],
    )
    def test_too_many_are_refused_before_they_are_made(self, many: bytes) -> None:
        raw = b'{"name":"a","x":' + many + b"}"
        tracemalloc.start()
        try:
            assert f"{json_file.MAX_VALUES:,} values" in refused(raw, "card_too_large")
            assert tracemalloc.get_traced_memory()[1] < 100_000
        finally:
            tracemalloc.stop()

    def test_as_many_as_there_may_be_are_read(self) -> None:
        values = {"name": "a", "x": [0] * (json_file.MAX_VALUES - 10)}
        assert files.read(json.dumps(values).encode()).card == values

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_there_are_never_more_than_were_counted(self, value: Any) -> None:
        def number(value: Any) -> int:
            inner = value.values() if isinstance(value, dict) else value
            return 1 + (sum(map(number, inner)) if isinstance(value, dict | list) else 0)

        assert number(value) <= value_count_bound(json.dumps(value).encode())

    def test_base64_with_spaces_is_read_without_an_object_for_each_part(self) -> None:
        large = {"name": "a", "creator_notes": "x" * 1_000_000}
        encoded = base64.b64encode(json.dumps(large).encode())
        spaced = b" \n".join(encoded[at : at + 2] for at in range(0, len(encoded), 2))
        tracemalloc.start()
        try:
            assert files.read(picture(text_chunk("chara", spaced))).card == large
            assert tracemalloc.get_traced_memory()[1] < 12 * len(encoded)
        finally:
            tracemalloc.stop()
