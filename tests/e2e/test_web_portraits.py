"""The picture of a character on the page: shown, changed and removed.

The local stack has no Storage, so what it would send is answered here. Rows are real.
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.support.person import Person, operator
from tests.support.pictures import encoded, flag

NAME = "Vera"
STORAGE = "**/storage/v1/object/character-portraits/**"
FUNCTION = "**/roleplay_chat"


class Bucket:
    """What Storage has, and who asked for it."""

    def __init__(self, person: Person) -> None:
        self.files: dict[str, bytes] = {}
        self.tokens: set[str] = set()
        self._person = person
        person.page.route(STORAGE, self._answer)

    def add(self, character: str, raw: bytes) -> None:
        """As the function does: a file, then the row."""
        path = f"{self._person.user_id}/{character}/{uuid4()}.webp"
        self.files[path] = raw
        rows = f"/rest/v1/character_portraits?character_id=eq.{character}"
        operator(self._person.copy, "DELETE", rows, None)
        row = {"character_id": character, "path": path}
        operator(self._person.copy, "POST", "/rest/v1/character_portraits", row)

    def _answer(self, route: Route) -> None:
        self.tokens.add(route.request.headers["authorization"])
        path = route.request.url.partition("character-portraits/")[2]
        found = self.files.get(path)
        if found is None:
            error = {"statusCode": "404", "error": "not_found", "message": "Object not found"}
            route.fulfill(status=400, json=error)
        else:
            route.fulfill(body=found, content_type="image/webp")


@pytest.fixture
def author(person: Person) -> Person:
    person.begin()
    return person


@pytest.fixture
def vera(author: Person) -> str:
    return author.character(NAME, description="She keeps the ferry.")


@pytest.fixture
def bucket(author: Person) -> Bucket:
    return Bucket(author)


def meet(person: Person) -> None:
    person.page.reload()
    person.page.locator("nav").get_by_role("button", name=NAME).last.click()
    expect(person.page.locator(".opening h2")).to_have_text(NAME)


def pictures(person: Person) -> Locator:
    return person.page.get_by_role("img", name=f"Picture of {NAME}")


def expect_size(picture: Locator, width: int, height: int) -> None:
    """It is decoded, and not a broken image."""
    expect(picture).to_have_js_property("naturalWidth", width)
    expect(picture).to_have_js_property("naturalHeight", height)


def choose(person: Person, raw: bytes) -> None:
    file: Any = {"name": "p.png", "mimeType": "image/png", "buffer": raw}
    person.page.get_by_label(f"the picture of {NAME}").first.set_input_files(file)


def test_picture_stands_beside_the_character(author: Person, vera: str, bucket: Bucket) -> None:
    bucket.add(vera, encoded(flag(), "WEBP"))
    meet(author)
    expect(author.page.locator("nav").get_by_role("img", name=f"Picture of {NAME}")).to_have_count(
        2
    )
    opening = author.page.locator(".opening").get_by_role("img")
    expect_size(opening, 120, 180)
    assert (opening.get_attribute("src") or "").startswith("blob:")
    assert bucket.tokens == {f"Bearer {author.token}"}
    # A character without one has its first letter.
    expect(author.page.locator("nav .avatar", has_text="M").first).to_be_visible()


def test_owner_changes_and_removes_it(author: Person, vera: str, bucket: Bucket) -> None:
    sent: list[dict[str, Any]] = []

    def set_portrait(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        sent.append(body)
        bucket.add(vera, encoded(flag(300, 100), "WEBP"))
        route.fulfill(json={"success": True, "character_id": vera, "path": "new"})

    bucket.add(vera, encoded(flag(), "WEBP"))
    meet(author)
    author.page.route(FUNCTION, set_portrait)
    author.press("Characters")
    dialog = author.page.get_by_role("dialog")
    expect_size(dialog.get_by_role("img"), 120, 180)
    choose(author, b"the bytes of a picture")
    author.hears(f"{NAME} has a new picture.")
    assert sent == [{"action": "set_portrait", "character_id": vera,
                     "picture_base64": "dGhlIGJ5dGVzIG9mIGEgcGljdHVyZQ=="}]  # fmt: skip
    expect_size(dialog.get_by_role("img"), 300, 100)

    author.press(f"Remove the picture of {NAME}")
    expect(pictures(author)).to_have_count(0)
    expect(dialog.locator(".avatar").first).to_have_text("V")
    assert author.copy.rows(f"character_portraits?character_id=eq.{vera}") == []


def test_without_storage_a_sentence_says_so(author: Person, vera: str) -> None:
    author.expected.append("409")
    meet(author)
    author.press("Characters")
    choose(author, encoded(flag()))
    alert = author.page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("Pictures cannot be stored here.")


def test_picture_that_is_gone_or_none_is_the_letter(
    author: Person, vera: str, bucket: Bucket
) -> None:
    author.expected.append("400")
    bucket.add(vera, b"")
    bucket.files.clear()
    meet(author)
    expect(author.page.locator(".opening .avatar")).to_have_text("V")


def test_characters_of_others_have_no_buttons(author: Person) -> None:
    author.press("Characters")
    expect(
        author.page.get_by_role("dialog").get_by_role("heading", name="Characters")
    ).to_be_visible()
    expect(author.page.get_by_label("the picture of")).to_have_count(0)


def test_only_pictures_in_sight_are_read(author: Person, bucket: Bucket) -> None:
    page, owner = author.page, author.user_id
    rows = [
        {"id": str(uuid4()), "user_id": owner, "name": f"{NAME} {place:03}"} for place in range(150)
    ]
    operator(author.copy, "POST", "/rest/v1/characters", rows)
    paths = [{"character_id": row["id"], "path": f"{owner}/{row['id']}/x.webp"} for row in rows]
    operator(author.copy, "POST", "/rest/v1/character_portraits", paths)
    bucket.files = {path["path"]: encoded(flag(), "WEBP") for path in paths}
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if "storage" in request.url else None
    )
    page.reload()
    shown = page.locator("nav").get_by_role("img", name=f"Picture of {NAME} 000")
    expect(shown).to_have_count(1)
    expect(page.locator("nav rp-unread").last).to_be_attached()
    assert not [url for url in asked if rows[149]["id"] in url]
    page.locator("nav").get_by_role("button", name=f"{NAME} 149").scroll_into_view_if_needed()
    expect(page.locator("nav").get_by_role("img", name=f"Picture of {NAME} 149")).to_have_count(1)
    assert len(asked) < 100


def test_download_of_everything_has_the_pictures(
    author: Person, vera: str, bucket: Bucket, tmp_path: Path
) -> None:
    raw = encoded(flag(), "WEBP")
    bucket.add(vera, raw)
    author.press("Account")
    with author.page.expect_download() as saved:
        author.press("Download everything")
    saved.value.save_as(tmp_path / "all.json")
    found = json.loads((tmp_path / "all.json").read_text())
    assert [b64decode(picture) for picture in found["portraits"].values()] == [raw]
