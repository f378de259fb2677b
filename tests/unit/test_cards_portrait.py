"""The picture in a card's JSON: found, taken out of what is stored, and put back into exports."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from edge.errors import ApiError
from roleplay_chat.cards import files, json_file
from roleplay_chat.cards.portrait import (
    MAX_ESCAPES,
    has_inline_picture,
    is_elsewhere,
    with_inline_picture,
    with_picture,
    without_picture,
)
from tests.support.cards import archive, card, card_picture
from tests.support.pictures import encoded, flag

SECRET = "52.3702N 4.8952E"
FLAG = encoded(flag()) + SECRET.encode()
BASE64 = base64.b64encode(FLAG).decode()
URI = f"data:image/png;base64,{BASE64}"
ICON = {"type": "icon", "name": "main", "uri": URI, "ext": "png"}
OTHERS = [
    {"type": "emotion", "name": "glad", "uri": "data:image/png;base64,AAAA", "ext": "png"},
    {"type": "icon", "name": "summer", "uri": "data:image/png;base64,BBBB", "ext": "png"},
]


def with_fields(**fields: Any) -> dict[str, Any]:
    original = card("cook_v3")
    original["data"].pop("assets", None)
    original["data"] |= fields
    return original


def beside_data(**fields: Any) -> dict[str, Any]:
    return with_fields() | fields


PLACES = {
    "main icon": with_fields(assets=[ICON, *OTHERS]),
    "icon without a name": with_fields(assets=[*OTHERS[:1], ICON | {"name": "x"}]),
    "several main icons": with_fields(assets=[ICON, ICON | {"name": "iconx"}]),
    "numbered assets": with_fields(assets={"0": OTHERS[0], "1": ICON}),
    "icon in capitals": with_fields(assets=[ICON | {"type": "ICON", "name": "Main"}]),
    "avatar": with_fields(avatar=URI),
    "avatar beside the data": beside_data(avatar=URI),
    "both": beside_data(avatar=URI) | {"data": with_fields(avatar=URI)["data"]},
    "avatar of V1": card("keeper_v1") | {"avatar": URI},
    "after a name of nothing": card("keeper_v1") | {"avatar": "none", "image": URI},
    "in capitals": with_fields(avatar=URI.replace("data:", " DATA:")),
    "data that is not the card's": card("keeper_v1") | {"avatar": URI, "data": {"avatar": URI}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["object", "json", "png", "charx"])
def test_stored_card_has_no_picture_in_it(place: str, kind: str) -> None:
    original = PLACES[place]
    raw = json.dumps(original).encode()
    if kind == "object":
        found = files.with_picture(original)
    elif kind == "json":
        found = files.read(raw)
    else:
        file = archive({"card.json": raw}) if kind == "charx" else card_picture(ccv3=original)
        found = files.read(file)
    assert found.picture
    assert kind == "png" or found.picture == FLAG
    assert BASE64[-40:] not in json.dumps(found.card)
    assert has_inline_picture(found.card)
    assert "data:," not in json.dumps(without_picture(found.card))


def test_other_assets_stay() -> None:
    found = files.with_picture(with_fields(assets=[ICON, *OTHERS])).card
    for exported in (found, with_inline_picture(found, b"new"), with_picture(found, "ccdefault:")):
        assert exported["data"]["assets"][1:] == OTHERS
    assert without_picture(found)["data"]["assets"] == OTHERS


@pytest.mark.parametrize("place", PLACES)
def test_new_picture_stands_once_in_an_export(place: str) -> None:
    stored = files.with_picture(PLACES[place]).card
    exported = json.dumps(with_inline_picture(stored, b"new"))
    assert exported.count(base64.b64encode(b"new").decode()) == 1
    assert files.read(exported.encode()).picture == b"new"
    assert "data:," not in exported


@pytest.mark.parametrize(
    "uri",
    [
        f"data:;base64,{BASE64}",
        f"data:image/png;charset=utf-8;base64,{BASE64}",
        f"data:image/png;BASE64 ,{BASE64}",
        f"data:image/png;base64,{BASE64.rstrip('=')}",
        f"data:image/png;base64,{BASE64}\r\n",
        "data:image/png;base64," + "\n".join(BASE64[at : at + 76] for at in range(0, 999_999, 76)),
        "data:image/png;base64," + base64.urlsafe_b64encode(FLAG).decode(),
        "data:image/png;base64," + BASE64.replace("+", "%2B").replace("/", "%2f"),
        "data:image/png," + "".join(f"%{byte:02x}" for byte in FLAG),
    ],
)
def test_data_uri_is_read_however_it_is_written(uri: str) -> None:
    assert files.with_picture(with_fields(avatar=uri)).picture == FLAG


@pytest.mark.parametrize("uri", ["data:", "data:,", "data:image/png;base64,", "data:image/png"])
def test_data_uri_without_data_is_no_picture(uri: str) -> None:
    assert files.with_picture(with_fields(avatar=uri)).picture is None


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/svg+xml;utf8,<svg/>",
        "data:image/png;base64,A",
        "data:image/png;base64,ä",
        "data:text/plain,hello",
        "data:," + "%41" * (MAX_ESCAPES + 1),
    ],
)
def test_data_uri_of_something_else_is_left_to_the_decoder(uri: str) -> None:
    """Which says that it is no picture; not that there was none."""
    assert files.with_picture(with_fields(avatar=uri)).picture


def test_picture_does_not_count_as_text_of_the_card() -> None:
    large = base64.b64encode(bytes(3 * 2**20)).decode()
    original = with_fields(avatar=f"data:image/png;base64,{large}")
    for found in (files.read(json.dumps(original).encode()), files.with_picture(original)):
        assert found.picture == bytes(3 * 2**20)
    for name in ("description", "banner"):
        with pytest.raises(ApiError) as error:
            files.read(json.dumps(with_fields(**{name: large})).encode())
        assert error.value.code == "card_too_large"


def test_link_beside_a_picture_is_not_named() -> None:
    linked = card("keeper_v1") | {"avatar": "https://x.example/a.png"}
    assert is_elsewhere(linked)
    assert not is_elsewhere(files.with_picture(linked | {"image": URI}).card)


def test_card_without_a_picture_stays_as_it_is() -> None:
    for name in ("cook_v3", "detective_v2", "keeper_v1"):
        original = card(name)
        assert files.with_picture(original).card == original == without_picture(original)
        assert json_file.checked(original, []) == original
