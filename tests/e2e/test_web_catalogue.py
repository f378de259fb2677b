"""The catalogue of public characters on the page: search, tags, reports and blocked authors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.support import patient
from tests.support.browser import wait_on
from tests.support.person import PASSWORD, Person, operator
from tests.support.widths import fits
from tests.support.working_copy import WorkingCopy


def other(copy: WorkingCopy) -> str:
    """The id of another person."""
    env = copy.stack_env
    account = {"email": f"{uuid4()}@example.com", "password": PASSWORD}
    headers = {"apikey": env["SUPABASE_PUBLISHABLE_KEY"]}
    url = f"{env['SUPABASE_URL']}/auth/v1/signup"
    return str(patient.request("POST", url, headers=headers, json=account).json()["user"]["id"])


@pytest.fixture
def author(person: Person) -> Iterator[str]:
    """Another person, whose characters go afterwards."""
    author = other(person.copy)
    yield author
    operator(person.copy, "DELETE", f"/rest/v1/characters?user_id=eq.{author}", None)


def public(person: Person, author: str, name: str, *tags: str, **columns: Any) -> str:
    row = {"id": str(uuid4()), "user_id": author, "name": name, "is_public": True} | columns
    operator(person.copy, "POST", "/rest/v1/characters", row)
    for tag in tags:
        tagged = {"character_id": row["id"], "tag": tag}
        operator(person.copy, "POST", "/rest/v1/character_tags", tagged)
    return str(row["id"])


def catalogue(person: Person) -> Locator:
    person.page.locator("nav").get_by_role("button", name="Public characters").click()
    dialog = person.page.get_by_role("dialog", name="Public characters")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("Loading")).to_have_count(0)
    return dialog


def names(dialog: Locator) -> Locator:
    return dialog.locator(".entries > li")


def look(dialog: Locator, words: str) -> None:
    dialog.get_by_label("Words to search for").fill(words)
    dialog.get_by_role("button", name="Search").click()
    expect(dialog.get_by_text("Loading")).to_have_count(0)


def test_character_is_found_by_words_and_tags_and_talked_with(person: Person, author: str) -> None:
    public(person, author, "Quince", "sea", "kind", description="Keeps a lighthouse for {{user}}.")
    public(person, author, "Vellum", "sea", first_message="Good evening, {{user}}.")
    person.join()
    dialog = catalogue(person)
    expect(names(dialog).filter(has_text="Quince")).to_contain_text("Keeps a lighthouse for Ada.")
    look(dialog, "quince lighthouse")
    expect(names(dialog)).to_have_count(1)
    look(dialog, "nobody is called like this")
    expect(dialog).to_contain_text("No public character fits.")
    look(dialog, "")
    dialog.get_by_role("button", name="sea", exact=True).click()
    expect(names(dialog)).to_have_count(2)
    dialog.get_by_role("button", name="kind", exact=True).click()
    expect(names(dialog)).to_have_count(1)
    dialog.get_by_role("button", name="kind", exact=True).click()
    expect(names(dialog)).to_have_count(2)
    fits(person.page)
    dialog.get_by_role("button", name="Details of Vellum").click()
    details = person.page.get_by_role("dialog", name="Vellum")
    expect(details).to_contain_text("Good evening, Ada.")
    expect(details).to_contain_text("Made by somebody else")
    expect(details).to_contain_text("Tags: sea")
    expect(details.get_by_role("button", name="Edit")).to_have_count(0)
    fits(person.page)
    details.get_by_role("button", name="Start a conversation").click()
    expect(person.page.locator(".opening h2")).to_have_text("Vellum")


def test_catalogue_is_paged(person: Person, author: str) -> None:
    rows = [{"user_id": author, "name": f"Quince {n:02}", "is_public": True} for n in range(65)]
    operator(person.copy, "POST", "/rest/v1/characters", rows)
    person.join()
    dialog = catalogue(person)
    look(dialog, "quince")
    more = dialog.get_by_role("button", name="Show more characters")
    for shown in (30, 60):
        expect(names(dialog)).to_have_count(shown)
        more.click()
    expect(names(dialog)).to_have_count(65)
    expect(more).to_have_count(0)
    expect(names(dialog).nth(60).get_by_role("button", name="Details")).to_be_focused()


def test_form_stays_where_it_is_while_a_list_comes(person: Person, author: str) -> None:
    """A button that moves away while it is pressed is not pressed."""
    rows = [{"user_id": author, "name": f"Quince {n:02}", "is_public": True} for n in range(9)]
    operator(person.copy, "POST", "/rest/v1/characters", rows)
    person.join()
    page = person.page
    held: list[Route] = []
    page.route("**/rpc/search_catalogue", lambda route: held.append(route), times=1)
    page.locator("nav").get_by_role("button", name="Public characters").click()
    wait_on(page, lambda: held, "the first search")
    dialog = page.get_by_role("dialog", name="Public characters")
    dialog.get_by_label("Words to search for").fill("quince 03")
    dialog.get_by_role("button", name="Search").hover()
    page.mouse.down()
    held[0].continue_()
    expect(names(dialog)).not_to_have_count(0)
    page.mouse.up()
    expect(names(dialog)).to_have_count(1)


def test_list_of_an_earlier_search_does_not_stay_under_the_words_of_one_that_failed(
    person: Person, author: str
) -> None:
    public(person, author, "Quince")
    person.join()
    person.expected.append("500")
    dialog = catalogue(person)
    look(dialog, "quince")
    expect(names(dialog)).to_have_count(1)
    person.page.route(
        "**/rpc/search_catalogue", lambda route: route.fulfill(status=500, json={}), times=1
    )
    look(dialog, "quince lighthouse")
    expect(dialog.get_by_role("alert")).to_be_visible()
    expect(names(dialog)).to_have_count(0)
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog).to_contain_text("No public character fits.")


def test_page_without_a_hit_goes_on_to_the_next(person: Person) -> None:
    person.join()
    pages = iter(
        [
            *({"characters": [], "next": {"created_at": "2026", "id": str(n)}} for n in range(5)),
            {"characters": [], "next": None},
        ]
    )
    dialog = catalogue(person)
    asked: list[Any] = []

    def answer(route: Any) -> None:
        asked.append(route.request.post_data_json["p_after"])
        route.fulfill(json=next(pages))

    person.page.route("**/rpc/search_catalogue", answer)
    look(dialog, "rare")
    expect(dialog).to_contain_text("None was found so far.")
    assert [after and after["id"] for after in asked] == [None, "0", "1", "2", "3"]
    dialog.get_by_role("button", name="Show more characters").click()
    expect(dialog).to_contain_text("No public character fits.")


def test_character_is_reported_and_the_person_reads_what_became_of_it(
    person: Person, author: str
) -> None:
    vera = public(person, author, "Quince")
    person.join()
    dialog = catalogue(person)
    look(dialog, "quince")
    dialog.get_by_role("button", name="Details of Quince").click()
    page = person.page
    page.get_by_role("button", name="Report this character").click()
    report = page.get_by_role("dialog", name="Report Quince")
    report.get_by_label("What is wrong with it?").select_option("copyright")
    report.get_by_label("What the operators should know").fill("It is mine.")
    fits(page)
    report.get_by_role("button", name="Send the report").click()
    details = page.get_by_role("dialog", name="Quince")
    expect(details.locator(".notice")).to_contain_text("Thank you.")
    expect(details).to_contain_text("Not reviewed yet.")
    (row,) = person.copy.rows(f"character_reports?character_id=eq.{vera}")
    assert (row["reason"], row["details"]) == ("copyright", "It is mine.")


def test_author_is_blocked_and_unblocked_in_the_account(person: Person, author: str) -> None:
    public(person, author, "Quince")
    public(person, author, "Quince the second")
    person.join()
    page = person.page
    dialog = catalogue(person)
    look(dialog, "quince")
    expect(names(dialog)).to_have_count(2)
    dialog.get_by_role("button", name="Details of Quince", exact=True).click()
    details = page.get_by_role("dialog", name="Quince")
    details.get_by_role("button", name="Block the author").click()
    expect(details.locator(".notice")).to_contain_text("You no longer see this author's characters")
    details.get_by_role("button", name="Public characters").click()
    look(dialog, "quince")
    expect(names(dialog)).to_have_count(0)
    page.keyboard.press("Escape")
    person.press("Account")
    account = page.get_by_role("dialog", name="Your account")
    expect(account).to_contain_text("The author of Quince")
    fits(page)
    account.get_by_role("button", name="Unblock the author of Quince").click()
    expect(account.get_by_text("The author of Quince")).to_have_count(0)
    page.keyboard.press("Escape")
    dialog = catalogue(person)
    look(dialog, "quince")
    expect(names(dialog)).to_have_count(2)


def test_hostile_texts_of_others_are_plain_text(person: Person, author: str) -> None:
    text = "<img src=x onerror=alert(1)>\u202e" + "x" * 3000
    public(person, author, "Quince <b>", "<i>tag", description=text, first_message=text)
    person.join()
    dialog = catalogue(person)
    look(dialog, "quince")
    expect(names(dialog)).to_have_count(1)
    expect(names(dialog)).to_contain_text("Quince <b>")
    expect(dialog.locator(".entries img, .entries b, .entries i")).to_have_count(0)
    dialog.get_by_role("button", name="Details of").click()
    expect(person.page.get_by_role("dialog", name="Quince <b>")).to_contain_text("<img src=x")
    fits(person.page)
