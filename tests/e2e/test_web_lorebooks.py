"""Lorebooks on the page: the list, one book with its entries, and the import of one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.support.answers import text
from tests.support.person import Person, body_of, operator
from tests.support.upstream import Upstream

HARBOUR: dict[str, Any] = {
    "uid": 3, "key": ["harbour"], "keysecondary": ["ice"], "content": "It is frozen.",
    "comment": "Harbour", "constant": False, "selective": False, "order": 40, "position": 4,
    "depth": 2, "disable": False, "sticky": 3, "vectorized": True,
}  # fmt: skip
"""An entry of world info as SillyTavern exports it."""
MARKUP = '<img src=x onerror="window.hit = 1">'


@pytest.fixture
def reader(person: Person) -> Person:
    """A person in a conversation."""
    person.begin()
    return person


def books(person: Person) -> list[dict[str, Any]]:
    return person.copy.rows(f"lorebooks?user_id=eq.{person.user_id}&order=created_at")


def add_book(person: Person, *entries: Any, **columns: Any) -> str:
    content = {"entries": list(entries), "scan_depth": 7, "x_unknown": True}
    row = {"user_id": person.user_id, "name": "Coast", "content": content, **columns}
    operator(person.copy, "POST", "/rest/v1/lorebooks", row)
    return str(books(person)[-1]["id"])


def show(person: Person) -> Locator:
    """Opens the list of lorebooks."""
    person.press("Your lorebooks", exact=False)
    dialog = person.page.get_by_role("dialog", name="Lorebooks", exact=True)
    expect(dialog).to_be_visible()
    return dialog


def open_book(person: Person, name: str = "Coast") -> Locator:
    show(person)
    person.press(f"Open: {name}")
    dialog = person.page.get_by_role("dialog", name=name, exact=True)
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    return dialog


def import_file(person: Person, file: dict[str, Any]) -> None:
    data = {"name": "W.json", "mimeType": "application/json", "buffer": json.dumps(file).encode()}
    person.page.locator(".drop input").set_input_files(data)  # type: ignore[arg-type]


def test_imported_book_is_said_and_can_be_opened(reader: Person) -> None:
    import_file(reader, {"entries": {"0": HARBOUR, "1": HARBOUR | {"uid": 4}}})
    dialog = reader.page.get_by_role("dialog", name="Lorebook was imported")
    expect(dialog).to_contain_text("The lorebook has 2 entries.")
    expect(dialog).to_contain_text("It applies to all your conversations.")
    expect(dialog.get_by_role("listitem")).to_contain_text("vectorized")
    reader.press("Show the lorebooks")
    expect(reader.page.get_by_role("button", name="Open: Lorebook")).to_be_visible()


def test_imported_book_of_one_entry_is_said_as_text(reader: Person) -> None:
    plain = {"keys": ["harbour"], "content": "It is frozen."}
    import_file(reader, {"spec": "lorebook_v3", "data": {"name": MARKUP, "entries": [plain]}})
    dialog = reader.page.get_by_role("dialog")
    expect(dialog).to_contain_text("The lorebook has one entry.")
    expect(dialog.get_by_role("heading", name=f"{MARKUP} was imported")).to_be_visible()
    assert reader.page.evaluate("window.hit") is None


def test_change_of_an_entry_keeps_what_its_file_said(reader: Person, scripted: Upstream) -> None:
    import_file(reader, {"entries": {"0": HARBOUR, "1": HARBOUR | {"uid": 4}}})
    reader.press("Show the lorebooks")
    (before,) = books(reader)
    reader.press("Open: Lorebook")
    dialog = reader.page.get_by_role("dialog", name="Lorebook", exact=True)
    reader.press("Change: Harbour")
    expect(dialog.get_by_label("Primary keys")).to_be_focused()
    expect(dialog.get_by_label("Primary keys")).to_have_value("harbour")
    expect(dialog.get_by_label("Position")).to_have_value("depth")
    expect(dialog.get_by_label("How many messages")).to_have_value("2")
    dialog.get_by_label("Primary keys").fill("harbour, quay")
    dialog.get_by_label("Text", exact=True).fill("It is open.")
    reader.press("Save")
    reader.hears("Saved.")
    expect(dialog.get_by_role("button", name="Change: Harbour").first).to_be_focused()

    (after,) = books(reader)
    first, second = before["content"]["entries"]
    changes = {"keys": ["harbour", "quay"], "content": "It is open."}
    assert after["content"] == before["content"] | {"entries": [first | changes, second]}

    reader.page.keyboard.press("Escape")
    reader.ask_the_scripted_model()
    scripted.always(text("Aye."))
    reader.say("To the quay!")
    reader.answered(3)
    assert "It is open." in str(scripted.calls[-1].json["messages"])


def test_book_is_made_filled_moved_and_deleted(reader: Person) -> None:
    page = reader.page
    persona = reader.character("Ada of the Fens")
    dialog = show(reader)
    expect(dialog).to_contain_text("There are no lorebooks.")
    dialog.get_by_label("Name of a new lorebook").fill("Tides")
    dialog.get_by_label("Where it applies").select_option("This conversation")
    reader.press("Add a lorebook")
    dialog = page.get_by_role("dialog", name="Tides", exact=True)
    expect(dialog).to_contain_text("There are no entries.")
    (book,) = books(reader)
    assert (book["scope"], book["conversation_id"]) == ("conversation", reader.conversation_id)

    reader.press("Add an entry")
    dialog.get_by_label("Primary keys").fill("ebb, /flood{1,2}/i")
    dialog.get_by_label("Text", exact=True).fill("Twice a day.")
    dialog.get_by_label("Always active").check()
    dialog.get_by_label("Position").select_option("Among the messages")
    dialog.get_by_label("How many messages").fill("6")
    reader.press("Save")
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    expect(reader.page.get_by_role("button", name="Add an entry")).to_be_focused()
    (entry,) = books(reader)[0]["content"]["entries"]
    assert entry["keys"] == ["ebb", "/flood{1,2}/i"]
    assert (entry["constant"], entry["extensions"]) == (True, {"position": 4, "depth": 6})

    for place, scope, chosen in (
        ("When I play Ada of the Fens", "persona", persona),
        ("All my conversations", "person", None),
        ("This conversation", "conversation", reader.conversation_id),
    ):
        with page.expect_response(lambda answer: "/lorebooks" in answer.url):
            dialog.get_by_label("Where it applies").select_option(place)
        (book,) = books(reader)
        assert (book["scope"], book["persona_id"] or book["conversation_id"]) == (scope, chosen)
        expect(dialog.locator("select[name=place] option:checked")).to_have_text(place)

    reader.press("Delete: ebb", exact=False)
    reader.press("Keep it")
    reader.press("Delete: ebb", exact=False)
    reader.press("Delete the entry")
    expect(page.get_by_role("dialog", name="Tides")).to_contain_text("There are no entries.")
    assert books(reader)[0]["content"] == {"name": "Tides", "entries": []}

    reader.press("Delete this lorebook")
    reader.press("Keep it")
    reader.press("Turn off: Tides")
    expect(page.get_by_role("dialog")).to_contain_text("This conversation · off")
    assert books(reader)[0]["is_enabled"] is False
    reader.press("Open: Tides")
    expect(page.get_by_label("Use this lorebook")).not_to_be_checked()
    reader.press("Delete this lorebook")
    reader.press("Delete the lorebook")
    expect(page.get_by_role("dialog")).to_contain_text("There are no lorebooks.")
    assert books(reader) == []


def test_further_keys_and_looking_back_decide_what_models_read(
    scripted: Upstream, reader: Person
) -> None:
    add_book(reader, {"keys": ["fog"], "content": "It is thick.", "comment": "Fog"})
    dialog = open_book(reader)
    reader.press("Change: Fog")
    expect(dialog.get_by_label("Secondary keys, separated")).to_have_value("")
    dialog.get_by_label("Secondary keys, separated").fill("night, dawn")
    dialog.get_by_label("of the secondary keys").select_option("none is found")
    reader.press("Save")
    reader.hears("Saved.")
    for label, value in (("Search older messages", "1"), ("How many messages are searched", "40")):
        dialog.get_by_label(label).fill(value)
        with reader.page.expect_response(lambda answer: "/lorebooks" in answer.url):
            dialog.get_by_label(label).press("Tab")
    (book,) = books(reader)
    (entry,) = book["content"]["entries"]
    assert (entry["secondary_keys"], entry["selective"]) == (["night", "dawn"], True)
    assert entry["extensions"] == {"selectiveLogic": 2}
    assert book["content"]["min_activations"] == 1
    assert book["content"]["min_activations_depth_max"] == 40
    assert book["content"]["x_unknown"] is True

    reader.page.keyboard.press("Escape")
    reader.ask_the_scripted_model()
    scripted.always(text("Aye."))
    for number, (words, is_read) in enumerate([("Fog!", True), ("At night.", False)]):
        reader.say(words)
        reader.answered(3 + 2 * number)
        assert ("It is thick." in str(scripted.calls[-1].json["messages"])) == is_read


def test_book_that_a_server_before_the_database_refuses_is_said(reader: Person) -> None:
    add_book(reader, {"keys": ["fog"], "content": "Fog.", "comment": "Fog"})
    dialog = open_book(reader)
    reader.expected.append("413")
    reader.page.route(
        "**/rest/v1/lorebooks*",
        lambda route: (
            route.fulfill(status=413, body="<html>Too large</html>")
            if route.request.method == "PATCH"
            else route.fallback()
        ),
    )
    reader.press("Change: Fog")
    dialog.get_by_label("Text", exact=True).fill("Thick fog.")
    reader.press("Save")
    expect(dialog.get_by_role("alert")).to_contain_text("it has room for 512 KiB")


def test_changes_write_their_own_columns_alone(reader: Person) -> None:
    entry = {"keys": ["fog"], "content": "Fog.", "comment": "Fog"}
    add_book(reader, entry)
    dialog = open_book(reader)
    written: list[dict[str, Any]] = []
    reader.page.on(
        "request",
        lambda asked: written.append(body_of(asked)) if asked.method == "PATCH" else None,
    )
    reader.press("Change: Fog")
    reader.press("Save")
    expect(dialog.get_by_role("button", name="Change: Fog")).to_be_focused()
    assert written == []

    # Leaving the name saves it while the check box is pressed, and the entry after them.
    dialog.get_by_label("Name", exact=True).fill("Shore")
    dialog = reader.page.get_by_role("dialog")
    dialog.get_by_label("Use this lorebook").uncheck()
    expect(dialog.get_by_role("heading", name="Shore")).to_be_visible()
    reader.press("Change: Fog")
    dialog.get_by_label("Use this entry").uncheck()
    reader.press("Save")
    expect(dialog.get_by_role("button", name="Change: Fog")).to_be_focused()
    (book,) = books(reader)
    assert [list(each) for each in written] == [["name"], ["is_enabled"], ["content"]]
    assert (book["name"], book["is_enabled"]) == ("Shore", False)
    assert book["content"] == {
        "entries": [entry | {"enabled": False}],
        "scan_depth": 7,
        "x_unknown": True,
    }


def test_too_large_a_book_is_said_and_the_text_stays(reader: Person) -> None:
    add_book(reader, {"keys": ["fog"], "content": "x" * 500_000, "comment": "Fog"})
    dialog = open_book(reader)
    reader.press("Add an entry")
    dialog.get_by_label("Text", exact=True).fill("y" * 30_000)
    reader.press("Save")
    expect(dialog.get_by_role("alert")).to_contain_text("it has room for 512 KiB")
    expect(dialog.get_by_label("Text", exact=True)).to_have_value("y" * 30_000)
    assert len(books(reader)[0]["content"]["entries"]) == 1
    dialog.get_by_label("Text", exact=True).fill("y")
    reader.press("Save")
    expect(dialog.get_by_role("listitem")).to_have_count(2)


def test_change_elsewhere_is_not_overwritten(reader: Person) -> None:
    book = add_book(reader, {"keys": ["fog"], "content": "Fog.", "comment": "Fog"})
    dialog = open_book(reader)
    elsewhere = {"content": {"entries": [{"keys": [], "content": "Newer."}]}}
    operator(reader.copy, "PATCH", f"/rest/v1/lorebooks?id=eq.{book}", elsewhere)
    reader.press("Change: Fog")
    dialog.get_by_label("Text", exact=True).fill("Older.")
    reader.press("Save")
    expect(dialog.get_by_role("alert")).to_contain_text("changed somewhere else")
    expect(dialog.get_by_label("Text", exact=True)).to_have_value("Older.")
    assert books(reader)[0]["content"] == elsewhere["content"]


def test_entry_that_was_closed_by_mistake_is_there_again(reader: Person) -> None:
    add_book(reader, {"keys": ["sea"], "content": "Salt."}, {"keys": ["bay"], "content": "Ice."})
    page = reader.page
    dialog = open_book(reader)
    dialog.get_by_role("button", name="Change: bay").click()
    dialog.get_by_label("Text", exact=True).fill("Ice until May.")
    dialog.get_by_label("Position").select_option("Among the messages")
    dialog.get_by_label("How many messages follow").fill("7")
    # Another form keeps the first one.
    dialog.get_by_role("button", name="Add an entry").click()
    expect(dialog.get_by_label("Primary keys")).to_have_value("")
    dialog.get_by_label("Primary keys").fill("harbour")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.reload()
    dialog = open_book(reader)
    dialog.get_by_role("button", name="Add an entry").click()
    expect(dialog.get_by_label("Primary keys")).to_have_value("harbour")
    reader.hears("This is what you did not save last time.")
    dialog.get_by_role("button", name="Discard it").click()
    expect(dialog.get_by_label("Primary keys")).to_have_value("")
    # What was typed stays with its entry, whose place changes.
    dialog.get_by_role("button", name="Delete: sea").click()
    page.get_by_role("button", name="Delete the entry").click()
    expect(dialog.get_by_role("button", name="Add an entry")).to_be_focused()
    dialog.get_by_role("button", name="Change: bay").click()
    expect(dialog.get_by_label("Text", exact=True)).to_have_value("Ice until May.")
    expect(dialog.get_by_label("How many messages follow")).to_have_value("7")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Text", exact=True)).to_have_count(0)
    [entry] = books(reader)[0]["content"]["entries"]
    assert (entry["content"], entry["extensions"]["depth"]) == ("Ice until May.", 7)
    dialog.get_by_role("button", name="Change: bay").click()
    expect(dialog.get_by_role("button", name="Discard it")).to_have_count(0)


def test_number_of_books_is_said(reader: Person) -> None:
    reader.expected.append("409")
    row = {"user_id": reader.user_id, "content": {"entries": []}}
    operator(reader.copy, "POST", "/rest/v1/lorebooks", [row] * 200)
    dialog = show(reader)
    dialog.get_by_label("Name of a new lorebook").fill("One more")
    reader.press("Add a lorebook")
    expect(dialog.get_by_role("alert")).to_contain_text("maximum number of lorebooks")


def test_texts_of_others_are_shown_as_text(reader: Person) -> None:
    strange: list[Any] = [None, 7, [], {"keys": {"a": 1}, "content": 3, "extensions": []}]
    marked: dict[str, Any] = {
        "keys": [MARKUP],
        "name": MARKUP,
        "content": f"\u202e{MARKUP}\n</textarea>{MARKUP}",
    }
    add_book(reader, *strange, marked, name=MARKUP)
    dialog = open_book(reader, MARKUP)
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    reader.press(f"Change: {MARKUP}")
    expect(dialog.get_by_label("Text", exact=True)).to_have_value(marked["content"])
    dialog.get_by_label("Use this entry").uncheck()
    reader.press("Save")
    reader.hears("Saved.")
    reader.press(f"Delete: {MARKUP}")
    expect(reader.page.get_by_text(f"This deletes “{MARKUP}”.")).to_be_visible()
    assert reader.page.evaluate("window.hit") is None
    assert reader.page.locator("dialog img").count() == 0
    assert books(reader)[0]["content"]["entries"] == [*strange, marked | {"enabled": False}]


def test_texts_read_in_their_own_direction(reader: Person) -> None:
    arabic = "المنارة على الساحل"
    entry = {"keys": [arabic], "content": arabic}
    add_book(reader, entry, entry, name=arabic)
    dialog = show(reader)

    def check(*texts: Locator) -> None:
        for each in texts:
            assert each.evaluate("each => getComputedStyle(each).direction") == "rtl"
        fields = dialog.locator("textarea, input:not([type=checkbox], [type=number])").all()
        assert [each.get_attribute("dir") for each in fields] == ["auto"] * len(fields)

    check(dialog.get_by_role("listitem").locator("> span"))
    reader.press(f"Open: {arabic}")
    dialog = reader.page.get_by_role("dialog", name=arabic)
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    dialog.get_by_role("button", name="Change:").first.click()
    text = dialog.get_by_label("Text", exact=True)
    check(
        dialog.get_by_label("Primary keys"),
        text,
        dialog.get_by_role("listitem").last.locator("> span"),
    )


def test_admin_writes_books_of_everybody(admin: Person) -> None:
    dialog = show(admin)
    dialog.get_by_label("Name of a new lorebook").fill("House rules")
    dialog.get_by_label("Where it applies").select_option("Everybody on this site")
    admin.press("Add a lorebook")
    expect(admin.page.get_by_role("dialog")).to_contain_text("It applies to everybody on this site")
    (book,) = admin.copy.rows("lorebooks?user_id=is.null")
    assert book["name"] == "House rules"
    admin.press("Delete this lorebook")
    admin.press("Delete the lorebook")
    expect(admin.page.get_by_role("dialog", name="Lorebooks")).to_be_visible()
    assert admin.copy.rows("lorebooks?user_id=is.null") == []
