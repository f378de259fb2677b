"""A person's own characters on the page: made, changed, found, exported and deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.support.axe import serious
from tests.support.browser import drawn, wait_on
from tests.support.person import Person, operator
from tests.support.timers import HOLD, PASS
from tests.support.waiting import wait_until
from tests.support.widths import fits


def own(person: Person) -> list[dict[str, Any]]:
    asked = f"characters?user_id=eq.{person.user_id}&order=name"
    return person.copy.rows(asked)


def tags(person: Person, character: str) -> list[str]:
    rows = person.copy.rows(f"character_tags?character_id=eq.{character}&order=tag")
    return [str(row["tag"]) for row in rows]


def library(person: Person) -> Locator:
    person.page.locator("nav").get_by_role("button", name="Your characters").click()
    dialog = person.page.get_by_role("dialog", name="Your characters")
    expect(dialog).to_be_visible()
    return dialog


def opened(person: Person, name: str) -> Locator:
    library(person).get_by_role("button", name=f"Details of {name}").click()
    dialog = person.page.get_by_role("dialog", name=name)
    expect(dialog).to_be_visible()
    return dialog


def form_of(opener: Locator, button: str) -> Locator:
    """The form that the button opens, once it has put the focus into the name."""
    opener.get_by_role("button", name=button).click()
    form = opener.page.get_by_role("dialog")
    expect(form.get_by_label("Name", exact=True)).to_be_focused()
    return form


@pytest.fixture
def author(person: Person) -> Iterator[Person]:
    """A person in a conversation, whose characters go afterwards: others see public ones."""
    person.begin()
    owner = person.user_id
    yield person
    operator(person.copy, "DELETE", f"/rest/v1/characters?user_id=eq.{owner}", None)


def test_character_is_made_and_talked_with(author: Person) -> None:
    page = author.page
    dialog = library(author)
    expect(dialog).to_contain_text("You have no characters yet.")
    form = form_of(dialog, "Create a character")
    expect(form).to_have_accessible_name("Create a character")
    form.get_by_label("Name", exact=True).fill("Vera")
    form.get_by_label("Description").fill("A smith who meets {{user}}.")
    form.get_by_label("First message").fill("Mind the sparks.")
    for number, greeting in enumerate(["Come in.", "Go away."], 1):
        form.get_by_role("button", name="Add: Further greeting").click()
        expect(form.get_by_label(f"Further greeting {number}").first).to_be_focused()
        form.get_by_label(f"Further greeting {number}").first.fill(greeting)
    form.get_by_label("Tags").fill("Fire, iron , fire")
    form.get_by_label("Stated age").fill("41")
    form.get_by_label("Public").check()
    form.get_by_text("Further fields").click()
    form.get_by_label("Nickname").fill("V")
    form.get_by_label("How often it speaks").fill("0.25")
    fits(page)
    form.get_by_role("button", name="Save").click()
    details = page.get_by_role("dialog", name="Vera")
    expect(details.locator(".notice")).to_have_text("Saved.")
    expect(details).to_contain_text("A smith who meets Ada.")
    expect(details).to_contain_text("2 further greetings")
    expect(details).to_contain_text("Stated age: 41")
    expect(details).to_contain_text("Tags: fire, iron")
    fits(page)
    (row,) = own(author)
    assert (row["age"], row["nickname"], row["talkativeness"]) == (41, "V", 0.25)
    assert row["alternate_greetings"] == ["Come in.", "Go away."]
    assert row["is_public"] is True
    assert tags(author, row["id"]) == ["fire", "iron"]
    details.get_by_role("button", name="Start a conversation").click()
    expect(page.locator(".opening h2")).to_have_text("Vera")
    expect(page.locator("nav").get_by_text("Vera").first).to_be_visible()


def test_only_what_was_changed_is_written(author: Person) -> None:
    vera = author.character("Vera", description="A smith.", scenario="A forge.")
    operator(author.copy, "POST", "/rest/v1/character_tags", {"character_id": vera, "tag": "iron"})
    author.page.reload()
    form = form_of(opened(author, "Vera"), "Edit")
    form.get_by_label("Description").fill("A cooper.")
    form.get_by_label("Tags").fill("wood")
    with author.page.expect_request(lambda request: request.method == "PATCH") as sent:
        form.get_by_role("button", name="Save").click()
    assert sent.value.post_data_json == {"description": "A cooper."}
    expect(author.page.get_by_role("dialog", name="Vera")).to_contain_text("A cooper.")
    assert own(author)[0]["scenario"] == "A forge."
    assert tags(author, vera) == ["wood"]


def test_what_is_wrong_stands_at_its_field(author: Person) -> None:
    page = author.page
    author.expected.append("400")
    form = form_of(library(author), "Create a character")
    form.get_by_role("button", name="Save").click()
    name = form.get_by_label("Name", exact=True)
    expect(name).to_be_focused()
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description("Enter a name.")
    expect(form.get_by_role("alert")).to_have_count(1)
    name.fill("Vera")
    form.get_by_label("Stated age").fill("old")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Stated age")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Stated age").fill("41")
    # What only the database refuses: a text of another program that is longer than the field takes.
    form.get_by_label("Scenario").evaluate(
        "each => { each.value = 'x'.repeat(20001); each.dispatchEvent(new Event('input')); }"
    )
    form.get_by_role("button", name="Save").click()
    scenario = form.get_by_label("Scenario")
    expect(scenario).to_have_accessible_description("This text has at most 20000 characters.")
    expect(scenario).to_be_focused()
    assert serious(page) == []
    assert own(author) == []
    scenario.fill("A forge.")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog", name="Vera")).to_be_visible()
    assert own(author)[0]["scenario"] == "A forge."


def test_lost_answer_makes_no_second_character(author: Person) -> None:
    page = author.page
    author.expected += ["ERR_FAILED", "409"]
    form = form_of(library(author), "Create a character")
    form.get_by_label("Name", exact=True).fill("Vera")

    lost: list[Any] = []

    def lose(route: Any) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch())
            route.abort()
        else:
            route.continue_()

    page.route("**/rest/v1/my_characters**", lose)
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("cannot be reached")
    form.get_by_label("Description").fill("A smith.")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog", name="Vera")).to_be_visible()
    assert [row["description"] for row in own(author)] == ["A smith."]


def test_form_that_was_closed_by_mistake_is_there_again(author: Person) -> None:
    author.character("Vera")
    author.page.reload()
    form = form_of(opened(author, "Vera"), "Edit")
    form.get_by_label("Description").fill("Half a thought")
    author.page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    author.page.reload()
    form = form_of(opened(author, "Vera"), "Edit")
    expect(form.get_by_label("Description")).to_have_value("Half a thought")
    author.hears("This is what you did not save last time.")
    form.get_by_label("Name", exact=True).fill("Vera II")
    form.get_by_role("button", name="Discard it").click()
    expect(form.get_by_label("Description")).to_have_value("")
    expect(form.get_by_label("Name", exact=True)).to_have_value("Vera")
    expect(form.get_by_label("Name", exact=True)).to_be_focused()


def test_form_that_was_kept_does_not_overwrite_what_came_meanwhile(author: Person) -> None:
    vera = author.character("Vera")
    author.page.reload()
    form = form_of(opened(author, "Vera"), "Edit")
    form.get_by_label("Description").fill("Mine.")
    author.page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    path = f"/rest/v1/characters?id=eq.{vera}"
    operator(author.copy, "PATCH", path, {"description": "Theirs."})
    form = form_of(opened(author, "Vera"), "Edit")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("changed or deleted somewhere else")
    form.get_by_role("button", name="Discard it").click()
    expect(form.get_by_label("Description")).to_have_value("Theirs.")
    form.get_by_label("Description").fill("Both.")
    form.get_by_role("button", name="Save").click()
    expect(author.page.get_by_role("dialog", name="Vera")).to_be_visible()
    assert own(author)[0]["description"] == "Both."


def personas(person: Person) -> Locator:
    person.page.locator("nav").get_by_role("button", name="Your personas").click()
    dialog = person.page.get_by_role("dialog", name="Your personas")
    expect(dialog).to_be_visible()
    return dialog


def test_persona_that_was_closed_by_mistake_is_there_again(author: Person) -> None:
    author.character("Vera", pronouns="she")
    page = author.page
    form = form_of(personas(author), "Create a persona")
    form.get_by_label("Name", exact=True).fill("Grace")
    form.get_by_label("Description").fill("A long text")
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    # Another form keeps the first one.
    form = form_of(personas(author), "Edit Vera")
    form.get_by_label("Pronouns").fill("they")
    page.reload()
    form = form_of(personas(author), "Create a persona")
    author.hears("This is what you did not save last time.")
    expect(form.get_by_label("Name", exact=True)).to_have_value("Grace")
    form.get_by_role("button", name="Discard it").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("")
    expect(form.get_by_label("Description")).to_have_value("")
    form.get_by_role("button", name="Cancel").click()
    form = form_of(page.get_by_role("dialog", name="Your personas"), "Edit Vera")
    expect(form.get_by_label("Pronouns")).to_have_value("they")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog", name="Your personas")).to_be_visible()
    assert [row["pronouns"] for row in own(author)] == ["they"]
    form = form_of(page.get_by_role("dialog", name="Your personas"), "Edit Vera")
    expect(form.get_by_role("button", name="Discard it")).to_have_count(0)
    form.get_by_label("Pronouns").fill("a secret")
    page.keyboard.press("Escape")
    author.press("Sign out")
    expect(page.get_by_label("Password")).to_be_visible()
    assert "a secret" not in page.evaluate("JSON.stringify(Object.values(localStorage))")


def test_persona_that_was_changed_elsewhere_is_not_overwritten(author: Person) -> None:
    vera = author.character("Vera", description="Old.")
    form = form_of(personas(author), "Edit Vera")
    path = f"/rest/v1/characters?id=eq.{vera}"
    operator(author.copy, "PATCH", path, {"description": "Theirs."})
    form.get_by_label("Pronouns").fill("she")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("changed or deleted somewhere else")
    expect(form.get_by_label("Pronouns")).to_have_value("she")
    assert own(author)[0]["description"] == "Theirs."


def test_change_elsewhere_is_not_overwritten(author: Person) -> None:
    vera = author.character("Vera")
    author.page.reload()
    form = form_of(opened(author, "Vera"), "Edit")
    path = f"/rest/v1/characters?id=eq.{vera}"
    operator(author.copy, "PATCH", path, {"description": "Theirs."})
    form.get_by_label("Description").fill("Mine.")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("changed or deleted somewhere else")
    expect(form.get_by_label("Description")).to_have_value("Mine.")
    assert own(author)[0]["description"] == "Theirs."


def test_list_is_searched_filtered_and_paged(author: Person) -> None:
    page, owner = author.page, author.user_id
    rows = [{"user_id": owner, "name": f"Person {number:03}"} for number in range(120)]
    operator(author.copy, "POST", "/rest/v1/characters", rows)
    vera = author.character("100% Vera")
    operator(author.copy, "POST", "/rest/v1/character_tags", {"character_id": vera, "tag": "iron"})
    page.reload()
    dialog = library(author)
    entries = dialog.locator(".entries > li")
    expect(entries).to_have_count(50)
    dialog.get_by_role("button", name="Show more characters").click()
    expect(entries).to_have_count(100)
    dialog.get_by_role("button", name="Show more characters").click()
    expect(entries).to_have_count(121)
    expect(dialog.get_by_role("button", name="Show more characters")).to_have_count(0)
    names = [text.split("\n")[0].strip() for text in entries.locator("span[dir]").all_inner_texts()]
    assert len(set(names)) == 121
    dialog.get_by_label("Search by name").fill("100%")
    expect(entries).to_have_count(1)
    dialog.get_by_label("Search by name").fill("son 01")
    expect(entries).to_have_count(10)
    dialog.get_by_label("Search by name").fill("")
    dialog.get_by_label("Tag").select_option("iron")
    expect(entries).to_have_count(1)
    expect(entries).to_contain_text("100% Vera")
    fits(page)


OWN_LIST = re.compile(r"/rest/v1/characters\?.*character_tags")


def test_next_page_is_asked_for_only_of_the_list_that_is_shown(author: Person) -> None:
    page, owner = author.page, author.user_id
    rows = [{"user_id": owner, "name": f"Person {number:03}"} for number in range(60)]
    operator(author.copy, "POST", "/rest/v1/characters", rows)
    page.reload()
    dialog = library(author)
    entries = dialog.locator(".entries > li")
    more = dialog.get_by_role("button", name="Show more characters")
    expect(entries).to_have_count(50)
    held: list[Route] = []
    page.route(OWN_LIST, lambda route: held.append(route), times=1)
    dialog.get_by_label("Search by name").fill("son 01")
    wait_on(page, lambda: held, "the search")
    expect(more).to_be_disabled()
    held[0].continue_()
    expect(entries).to_have_count(10)
    expect(more).to_have_count(0)


def test_search_that_failed_leaves_no_list_of_other_words(author: Person) -> None:
    page = author.page
    for name in ("Vera", "Vesna"):
        author.character(name)
    page.reload()
    dialog = library(author)
    entries = dialog.locator(".entries > li")
    expect(entries).to_have_count(2)
    held: list[Route] = []
    page.route(OWN_LIST, lambda route: held.append(route) if len(held) < 2 else route.fallback())
    dialog.get_by_label("Search by name").fill("ver")
    wait_on(page, lambda: len(held) == 1, "the first search")
    dialog.get_by_label("Search by name").fill("vera")
    wait_on(page, lambda: len(held) == 2, "the second search")
    author.expected.append("500")
    earlier, later = held
    later.fulfill(status=500, json={})
    expect(dialog.get_by_role("alert")).to_be_visible()
    expect(entries).to_have_count(0)
    dialog.get_by_role("button", name="Try again").click()
    expect(entries).to_have_count(1)
    expect(dialog.get_by_role("alert")).to_have_count(0)
    # Nobody waits any more for what the earlier search says.
    with page.expect_console_message(lambda message: message.type == "info"):
        earlier.fulfill(status=500, json={})
    drawn(page)
    expect(dialog.get_by_role("alert")).to_have_count(0)
    expect(entries).to_have_count(1)


@pytest.mark.parametrize("kind", ["json", "png", "charx"])
def test_character_is_exported(author: Person, tmp_path: Path, kind: str) -> None:
    author.character("Vera", description="A smith.")
    author.page.reload()
    dialog = opened(author, "Vera")
    dialog.get_by_label("Character card").select_option(kind)
    with author.page.expect_download() as saved:
        dialog.get_by_role("button", name="Export").click()
    assert saved.value.suggested_filename == f"Vera.{kind}"
    saved.value.save_as(tmp_path / "card")
    raw = (tmp_path / "card").read_bytes()
    if kind == "json":
        assert json.loads(raw)["data"]["description"] == "A smith."
    else:
        assert raw.startswith({"png": b"\x89PNG", "charx": b"PK"}[kind])


class TestDeletion:
    def ask(self, author: Person) -> Locator:
        opened(author, "Vera").get_by_role("button", name="Delete this character").click()
        dialog = author.page.get_by_role("dialog", name="Delete the character")
        expect(dialog).to_contain_text("Conversations stay")
        return dialog

    def test_it_can_be_undone_and_then_nothing_was_lost(self, author: Person) -> None:
        author.character("Vera", description="A smith.")
        author.page.reload()
        author.page.evaluate(HOLD, 10_000)
        fits_after = self.ask(author)
        fits(author.page)
        fits_after.get_by_role("button", name="Delete the character").click()
        dialog = author.page.get_by_role("dialog", name="Your characters")
        expect(dialog).to_contain_text("Vera will be deleted.")
        expect(dialog.locator(".entries > li")).to_have_count(0)
        dialog.get_by_role("button", name="Undo").click()
        expect(dialog.locator(".entries > li")).to_have_count(1)
        author.page.evaluate(PASS)
        assert own(author)[0]["description"] == "A smith."

    def test_it_goes_after_a_while(self, author: Person) -> None:
        author.character("Vera")
        author.page.reload()
        author.page.evaluate(HOLD, 10_000)
        self.ask(author).get_by_role("button", name="Delete the character").click()
        expect(author.page.get_by_role("button", name="Undo")).to_be_visible()
        assert len(own(author)) == 1
        with author.page.expect_response(lambda answer: answer.request.method == "DELETE"):
            author.page.evaluate(PASS)
        expect(author.page.get_by_role("button", name="Undo")).to_have_count(0)
        assert own(author) == []

    def test_it_goes_when_the_page_is_left(self, author: Person) -> None:
        author.character("Vera")
        author.page.reload()
        author.page.evaluate(HOLD, 10_000)
        self.ask(author).get_by_role("button", name="Delete the character").click()
        expect(author.page.get_by_role("button", name="Undo")).to_be_visible()
        owner = author.user_id
        author.page.goto("about:blank")
        path = f"characters?user_id=eq.{owner}"
        wait_until(lambda: not author.copy.rows(path), "the deletion")


def test_list_of_an_existing_product_lacks_columns_and_is_shown(author: Person) -> None:
    """Its table of characters has neither a first message nor an age."""
    page = author.page
    author.expected.append("400")

    def answer(route: Any) -> None:
        if "first_message" not in route.request.url:
            answered = route.fetch()
            rows = answered.json()
            for row in rows if isinstance(rows, list) else []:
                for column in ("first_message", "alternate_greetings", "age", "nickname"):
                    row.pop(column, None)
                row["description"] = None
            route.fulfill(response=answered, json=rows)
            return
        missing = {"code": "42703", "message": "column characters.first_message does not exist"}
        route.fulfill(status=400, json=missing)

    page.route(re.compile(r"/rest/v1/characters\?"), answer)
    page.reload()
    person = page.locator("nav").get_by_role("button", name="Mara Voss").last
    expect(person).to_be_visible()
    person.click()
    expect(page.locator(".opening h2")).to_be_visible()
    author.press("Characters")
    page.get_by_role("dialog").get_by_role("button", name="Details of Mara Voss").click()
    details = page.get_by_role("dialog", name="Mara Voss")
    expect(details.get_by_text("Stated age")).to_have_count(0)
    expect(details.get_by_role("heading", name="Greeting")).to_have_count(0)
    page.unroute_all(behavior="wait")
