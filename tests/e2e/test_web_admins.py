"""What admins find in the console, and what they try and decide there."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.support.answers import error, models, text
from tests.support.console_rows import call, turn
from tests.support.person import SCRIPTED, Person, operator
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

MODELS = "/console.html?page=models"
REQUEST = "feedfacefeedfacefeedfacefeedface"


def rows(page: Page, table: str) -> Any:
    return page.locator(f"#{table} tbody tr")


@pytest.fixture
def failed(admin: Person) -> Iterator[dict[str, Any]]:
    """A turn that failed after two calls."""
    failed = turn(admin, error_code="no_model_available", request_id=REQUEST)
    call(admin, failed, prompt_tokens=120, completion_tokens=0)
    later = (datetime.fromisoformat(failed["created_at"]) + timedelta(seconds=1)).isoformat()
    call(admin, failed, model_key="author/two", outcome="overloaded", created_at=later)
    yield failed
    operator(admin.copy, "DELETE", f"/rest/v1/usage_events?turn_id=eq.{failed['id']}", None)
    operator(admin.copy, "DELETE", f"/rest/v1/turns?id=eq.{failed['id']}", None)


class TestTurns:
    def test_figure_leads_to_a_list_and_to_one_turn_with_its_route(
        self, admin: Person, failed: dict[str, Any]
    ) -> None:
        page = admin.page
        admin.open("/console.html")
        expect(page).to_have_title("Activity · Console · Roleplay")
        page.get_by_role("link", name="no_model_available").click()
        expect(page).to_have_url(re.compile(r"page=turns.*error=no_model_available"))
        expect(page).to_have_title("Turns · Console · Roleplay")
        row = rows(page, "turns-table").filter(has_text=REQUEST)
        expect(row).to_have_count(1)
        row.get_by_role("link", name=re.compile("^Turn of ")).click()
        expect(page.get_by_role("heading", name=re.compile("^Turn of "))).to_be_visible()
        expect(page.locator("#content")).to_be_focused()
        expect(page.locator("dl.facts").first).to_contain_text(REQUEST)
        first, second = rows(page, "route").all()
        expect(first).to_contain_text("openrouter:author/one")
        expect(first).to_contain_text("timeout")
        expect(first).to_contain_text("120")
        expect(second).to_contain_text("overloaded")

        page.go_back()
        expect(row).to_have_count(1)
        page.go_back()
        expect(page.get_by_role("heading", name="Activity")).to_be_visible()
        page.go_forward()
        expect(row).to_have_count(1)
        page.reload()
        expect(row).to_have_count(1)

    def test_filter_is_in_the_address(self, admin: Person, failed: dict[str, Any]) -> None:
        page = admin.page
        admin.open("/console.html?page=turns")
        page.get_by_role("textbox", name="Request ID").fill(REQUEST)
        page.locator("select[name=status]").select_option("failed")
        page.get_by_role("button", name="Filter", exact=True).click()
        expect(rows(page, "turns-table")).to_have_count(1)
        expect(page).to_have_url(re.compile(f"status=failed&request={REQUEST}"))
        page.locator("select[name=status]").select_option("complete")
        page.get_by_role("button", name="Filter", exact=True).click()
        expect(page.get_by_text("No turn is like this.")).to_be_visible()
        page.get_by_role("link", name="Clear the filter").click()
        expect(rows(page, "turns-table").filter(has_text=REQUEST)).to_have_count(1)
        expect(page.locator("select[name=status]")).to_have_value("")
        page.get_by_role("textbox", name="Request ID").fill("never applied")
        page.get_by_role("link", name="Clear the filter").click()
        expect(page.get_by_role("textbox", name="Request ID")).to_have_value("")
        page.get_by_role("link", name=f"Turns of the person {admin.user_id}").first.click()
        expect(page).to_have_url(re.compile(f"user={admin.user_id}"))
        expect(rows(page, "turns-table").filter(has_text=REQUEST)).to_have_count(1)

    def test_list_has_pages(self, admin: Person) -> None:
        page = admin.page
        at = datetime(2026, 3, 1, tzinfo=UTC)
        made = [turn(admin, error_code="paged", created_at=at.isoformat()) for _ in range(51)]
        admin.open("/console.html?page=turns&error=paged")
        expect(page.get_by_text("No turn is like this.")).to_be_visible()
        expect(page.locator("#content")).to_contain_text("the last 7 days; choose From")
        admin.open("/console.html?page=turns&error=paged&from=2026-02-01T00:00")
        expect(rows(page, "turns-table")).to_have_count(50)
        page.get_by_role("link", name="Older").click()
        expect(rows(page, "turns-table")).to_have_count(1)
        expect(page.get_by_role("link", name="Older")).to_have_count(0)
        page.get_by_role("link", name="Newest").click()
        expect(rows(page, "turns-table")).to_have_count(50)
        assert len(made) == 51
        operator(admin.copy, "DELETE", "/rest/v1/turns?error_code=eq.paged", None)

    def test_turn_that_is_gone_is_explained(self, admin: Person) -> None:
        admin.open(f"/console.html?page=turn&id={uuid4()}")
        expect(admin.page.get_by_text("There is no such turn")).to_be_visible()

    def test_rows_are_sorted_filtered_and_exported(
        self, admin: Person, failed: dict[str, Any], tmp_path: Path
    ) -> None:
        page = admin.page
        evil = turn(admin, error_code="=cmd|' /C calc'!A0", duration_ms=9000)
        for _ in range(6):
            turn(admin, error_code="exported", duration_ms=10)
        admin.open(f"/console.html?page=turns&user={admin.user_id}")
        expect(rows(page, "turns-table").first).to_be_visible()
        table = page.locator("#turns-table")
        table.get_by_role("button", name="Latency").click()
        expect(table.locator("th", has_text="Latency")).to_have_attribute("aria-sort", "ascending")
        table.get_by_role("button", name="Latency").click()
        expect(rows(page, "turns-table").first).to_contain_text("9.0 s")
        page.get_by_label("Filter: Turns").fill(evil["request_id"])
        expect(rows(page, "turns-table")).to_have_count(1)
        with page.expect_download() as download:
            page.get_by_role("button", name="Export CSV: Turns").click()
        file = tmp_path / "turns.csv"
        download.value.save_as(file)
        header, line = csv.reader(StringIO(file.read_text("utf-8-sig"), newline=""))
        found = dict(zip(header, line, strict=True))
        assert found["Error"] == f"'{evil['error_code']}"
        assert (found["Latency"], found["Person"]) == ("9000", admin.user_id)
        operator(admin.copy, "DELETE", "/rest/v1/turns?error_code=in.(exported)", None)
        operator(admin.copy, "DELETE", f"/rest/v1/turns?id=eq.{evil['id']}", None)


class TestFigures:
    def test_range_of_ones_own_counts_what_is_in_it(self, admin: Person) -> None:
        page = admin.page
        for number in (1, 3):
            at = datetime(2026, 2, number, 12, tzinfo=UTC).isoformat()
            turn(admin, error_code="ranged", created_at=at)
        admin.open("/console.html")
        page.get_by_label("From", exact=True).fill("2026-02-02T00:00")
        page.get_by_label("To", exact=True).fill("2026-02-05T00:00")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page).to_have_url(re.compile("from=2026-02-0"))
        expect(page.get_by_role("link", name="Turns: 1", exact=True)).to_be_visible()
        chart = page.get_by_role("img", name=re.compile("^Turns by outcome"))
        expect(chart).to_have_attribute("aria-label", re.compile("Failed: 1 in all"))
        expect(page.get_by_text(re.compile("^Updated "))).to_be_visible()
        day = page.get_by_role("button", name="24 hours")
        day.click()
        expect(day).to_have_attribute("aria-pressed", "true")
        expect(page).to_have_url(re.compile("period=24"))
        operator(admin.copy, "DELETE", "/rest/v1/turns?error_code=eq.ranged", None)

    def test_chart_says_the_values_at_the_pointer_and_lists_them(
        self, admin: Person, failed: dict[str, Any]
    ) -> None:
        page = admin.page
        admin.open("/console.html")
        chart = page.get_by_role("img", name=re.compile("^Turns by outcome"))
        expect(chart.locator("canvas")).to_be_visible()
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(chart.locator(".tip")).to_contain_text(re.compile(r"Failed: \d+"))
        page.get_by_text("Numbers: Turns by outcome").click()
        expect(rows(page, "turns-by-outcome")).to_have_count(24)


class TestHealth:
    def test_database_knows_which_model_was_renamed_and_what_failed(self, admin: Person) -> None:
        page = admin.page
        [model] = admin.copy.rows(
            "api_models?model_key=eq.cognitivecomputations/dolphin-3.0-r1-mistral-24b:free"
            "&task=eq.roleplay"
        )
        found = [{"id": model["id"], "status": "renamed", "catalog": {"listed_as": "new/name"}}]
        operator(admin.copy, "POST", "/rest/v1/rpc/record_catalog", {"p_models": found})
        step = {
            "step": "rehearsed",
            "begun_at": datetime.now(UTC).isoformat(),
            "error": "no answer",
        }
        operator(admin.copy, "POST", "/rest/v1/health_check_steps", step)
        admin.open("/console.html?page=health")
        finding = rows(page, "findings").filter(has_text=model["model_key"])
        expect(finding).to_contain_text("was renamed to new/name")
        expect(rows(page, "findings").filter(has_text="Step rehearsed")).to_contain_text(
            "no answer"
        )
        expect(page.get_by_text("make verify", exact=True)).to_be_visible()
        expect(rows(page, "catalog").filter(has_text="new/name")).to_have_count(1)
        finding.get_by_role("link", name="Open Models").click()
        expect(page.get_by_text("renamed: new/name")).to_be_visible()
        found[0] |= {"status": "listed", "catalog": {}}
        operator(admin.copy, "POST", "/rest/v1/rpc/record_catalog", {"p_models": found})
        operator(admin.copy, "DELETE", "/rest/v1/health_check_steps?step=eq.rehearsed", None)


class TestModels:
    def test_model_and_provider_are_tested_with_one_token(
        self, admin: Person, scripted: Upstream
    ) -> None:
        page = admin.page
        scripted.always(text("Hi"))
        admin.open(MODELS)
        admin.press("Test Script")
        row = page.get_by_role("row").filter(has_text=SCRIPTED)
        expect(row).to_contain_text("It answers after")
        assert [call.json["max_tokens"] for call in scripted.calls] == [1]
        scripted.always(error(404, "The model does not exist"))
        admin.press("Test Scripted")
        provider = rows(page, "providers-table").filter(has_text="Scripted")
        expect(provider).to_contain_text(re.compile(r"Failed after .* \[\w+, 404\]"))
        assert scripted.calls[-1].json["model"] == SCRIPTED

    def test_model_is_chosen_from_the_providers_list(
        self, admin: Person, scripted: Upstream
    ) -> None:
        page = admin.page
        scripted.always(models("listed/one", "listed/two"))
        admin.open(MODELS)
        admin.press("Add a model")
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("combobox", name=re.compile("^Provider")).select_option(label="Scripted")
        dialog.get_by_role("button", name="Read the provider’s list").click()
        expect(dialog.get_by_text("Scripted lists 2 models.")).to_be_visible()
        offered = page.locator("#model-ids option")
        expect(offered).to_have_count(2)
        expect(offered.first).to_have_attribute("value", "listed/one")
        dialog.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    def test_edited_model_is_brought_back(self, admin: Person, scripted: Upstream) -> None:
        page = admin.page
        [before] = admin.copy.rows(f"api_models?model_key=eq.{SCRIPTED}")
        admin.open(MODELS)
        admin.press("Edit Script")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Max tokens").fill("123")
        dialog.get_by_label("Tier").select_option("For everybody only")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("complementary")).to_contain_text("Script was changed.")
        [after] = admin.copy.rows(f"api_models?model_key=eq.{SCRIPTED}")
        assert after["input_defaults"] == before["input_defaults"] | {"max_tokens": 123}
        assert after["capabilities"] == before["capabilities"] | {"nsfw": False}
        admin.press("Undo")
        expect(page.get_by_role("status")).to_have_text("Script is as it was.")
        expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        [again] = admin.copy.rows(f"api_models?model_key=eq.{SCRIPTED}")
        for column in ("input_defaults", "capabilities", "pricing", "display_name", "priority"):
            assert again[column] == before[column]


def elsewhere(person: Person, **columns: Any) -> None:
    """Another operator changes the model `SCRIPTED` meanwhile."""
    operator(person.copy, "PATCH", f"/rest/v1/api_models?model_key=eq.{SCRIPTED}", columns)


def stored(person: Person, *columns: str) -> dict[str, Any]:
    [row] = person.copy.rows(f"api_models?model_key=eq.{SCRIPTED}&select={','.join(columns)}")
    return row


PRICES = {"prompt_usd_per_1k": 2, "completion_usd_per_1k": 3}


class TestSecondOperator:
    """Somebody else changes what a form or an Undo is about, after it was shown."""

    def test_form_saves_what_was_changed_in_it(self, admin: Person, scripted: Upstream) -> None:
        admin.open(MODELS)
        admin.press("Edit Script")
        dialog = admin.page.get_by_role("dialog")
        elsewhere(admin, priority=5, pricing=PRICES)
        dialog.get_by_label("Description").fill("For tests.")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_count(0)
        assert stored(admin, "priority", "pricing", "description") == {
            "priority": 5,
            "pricing": PRICES,
            "description": "For tests.",
        }

    def test_same_column_is_not_overwritten(self, admin: Person, scripted: Upstream) -> None:
        admin.open(MODELS)
        admin.press("Edit Script")
        dialog = admin.page.get_by_role("dialog")
        elsewhere(admin, priority=5)
        dialog.get_by_label("Priority").fill("7")
        dialog.get_by_label("Description").fill("For tests.")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text(
            "Somebody else changed or deleted Script meanwhile, so nothing was saved."
        )
        expect(dialog.get_by_label("Priority")).to_have_value("7")
        assert stored(admin, "priority", "description") == {"priority": 5, "description": None}
        dialog.get_by_role("button", name="Cancel").click()
        admin.press("Edit Script")
        expect(dialog.get_by_label("Priority")).to_have_value("5")

    def test_form_without_a_change_says_so(self, admin: Person, scripted: Upstream) -> None:
        admin.open(MODELS)
        admin.press("Edit Script")
        dialog = admin.page.get_by_role("dialog")
        elsewhere(admin, priority=5)
        dialog.get_by_role("button", name="Save").click()
        admin.hears("Nothing was changed.")
        expect(admin.page.get_by_role("button", name="Undo")).to_have_count(0)
        assert stored(admin, "priority") == {"priority": 5}

    def test_undo_takes_back_its_own_change_only(self, admin: Person, scripted: Upstream) -> None:
        page = admin.page
        admin.open(MODELS)
        admin.press("Edit Script")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Description").fill("For tests.")
        dialog.get_by_label("Model family").fill("tested")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("complementary")).to_contain_text("Script was changed.")
        elsewhere(admin, priority=5, is_active=False, model_family="theirs")
        admin.press("Undo")
        expect(page.get_by_role("alert")).to_contain_text(
            "Somebody else changed or deleted Script since. This was not taken back: model family."
        )
        expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        columns = {"description": None, "model_family": "theirs", "priority": 5, "is_active": False}
        assert stored(admin, *columns) == columns

    def test_deleted_model_is_brought_back_as_it_was_last(
        self, admin: Person, scripted: Upstream
    ) -> None:
        admin.open(MODELS)
        admin.press("Delete Script")
        elsewhere(admin, pricing=PRICES)
        admin.press("Delete it")
        expect(admin.page.get_by_role("complementary")).to_contain_text("Script was deleted.")
        edit = admin.page.get_by_role("button", name="Edit Script", exact=True)
        expect(edit).to_have_count(0)
        admin.press("Undo")
        expect(edit).to_be_visible()
        assert stored(admin, "pricing") == {"pricing": PRICES}

    def test_default_of_somebody_else_stays(self, admin: Person) -> None:
        admin.open(MODELS)
        rows = "api_models?task=eq.roleplay&is_active=is.true&select=id,display_name,is_default"
        [before] = admin.copy.rows(f"{rows}&is_default=is.true")
        ours, theirs = admin.copy.rows(f"{rows}&is_default=is.false&limit=2")
        choose = "/rest/v1/rpc/set_default_model"
        admin.press(f"Make default for roleplay: {ours['display_name']}")
        expect(admin.page.get_by_role("complementary")).to_contain_text("is the default")
        assert admin.copy_call("POST", choose, {"p_model_id": theirs["id"]}).is_success
        admin.press("Undo")
        expect(admin.page.get_by_role("alert")).to_contain_text("It was left as it is.")
        assert admin.copy.rows(f"{rows}&is_default=is.true") == [theirs | {"is_default": True}]
        assert admin.copy_call("POST", choose, {"p_model_id": before["id"]}).is_success

    def test_limit_of_somebody_else_stays(self, admin: Person) -> None:
        page = admin.page
        change = "/rest/v1/rpc/set_limits"

        def set_limits(limits: Any) -> None:
            body = {"p_role": "default", "p_limits": limits}
            assert admin.copy_call("POST", change, body).is_success

        def limits() -> Any:
            [config] = admin.copy.rows("system_config?select=config")
            return config["config"]["limits"]["default"]

        before = limits()
        admin.open("/console.html?page=limits")
        admin.press("Edit the limits of default")
        dialog = page.get_by_role("dialog")
        set_limits(before | {"turns_per_day": 7})
        dialog.get_by_label("Actions per minute").fill("99")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("complementary")).to_contain_text("The limits of default were")
        assert limits() == before | {"turns_per_day": 7, "actions_per_minute": 99}
        set_limits(before | {"turns_per_day": 8, "actions_per_minute": 99})
        admin.press("Undo")
        expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        expect(page.get_by_role("status")).to_have_text("The limits of default are as they were.")
        assert limits() == before | {"turns_per_day": 8}

        admin.press("Edit the limits of default")
        set_limits(before | {"turns_per_day": 9})
        dialog.get_by_label("Turns per day", exact=True).fill("10")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("so nothing was saved")
        assert limits() == before | {"turns_per_day": 9}
        set_limits(before)

    @pytest.mark.usefixtures("models")
    def test_order_is_brought_back_unless_somebody_else_changed_it(self, admin: Person) -> None:
        page = admin.page
        query = "api_models?task=eq.roleplay&order=priority,display_name&select=id,priority"
        before = admin.copy.rows(query)
        admin.open(MODELS)
        shown = page.locator("#models-roleplay tbody tr").locator("td, th").first
        name = page.locator("#models-roleplay tbody tr").nth(1).inner_text().partition("\n")[0]
        admin.press(f"{name}: earlier")
        expect(shown).to_contain_text(name)
        bar = page.get_by_role("complementary")
        expect(bar).to_contain_text(f"{name} is number 1 now.")
        admin.press("Undo")
        expect(shown).not_to_contain_text(name)
        assert admin.copy.rows(query) == before

        admin.press(f"{name}: earlier")
        expect(bar).to_contain_text(f"{name} is number 1 now.")
        [first, *_] = before
        theirs = f"/rest/v1/api_models?id=eq.{first['id']}"
        operator(admin.copy, "PATCH", theirs, {"priority": 77})
        moved = admin.copy.rows(query)
        admin.press("Undo")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Somebody else changed the order of these models.")
        assert admin.copy.rows(query) == moved


def test_limits_are_set_and_brought_back(admin: Person) -> None:
    page = admin.page
    admin.open("/console.html?page=limits")
    admin.press("Add a role")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Role").fill("guest")
    dialog.get_by_label("Turns per day", exact=True).fill("many")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("“Turns per day” has to be a number")
    dialog.get_by_label("Turns per day", exact=True).fill("7")
    dialog.get_by_label("Budget per day (USD)").fill("none")
    dialog.get_by_role("button", name="Save").click()
    row = rows(page, "limits-table").filter(has_text="Role guest")
    expect(row).to_contain_text("7")
    [config] = admin.copy.rows("system_config?select=config")
    assert config["config"]["limits"]["guest"] == {"turns_per_day": 7, "usd_per_day": None}
    admin.press("Edit the limits of guest")
    dialog.get_by_label("Turns per day", exact=True).fill("8")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("8")
    admin.press("Undo")
    expect(row).to_contain_text("7")
    admin.press("Remove the limits of guest")
    admin.press("Remove them")
    expect(row).to_have_count(0)


def test_template_shows_the_prompt_that_it_makes(admin: Person) -> None:
    page = admin.page
    admin.open("/console.html?page=templates")
    page.get_by_role("link", name=re.compile("^Preview ")).first.click()
    page.get_by_label("Template", exact=True).fill("You are {{char}}, met by {{user}}.")
    page.get_by_role("button", name="Preview the prompt").click()
    expect(page.locator("#prompt")).to_contain_text("You are Mara Voss, met by Ada.")
    expect(rows(page, "preview-parts").filter(has_text="template")).to_have_count(1)


def test_reported_character_is_taken_down_and_restored(admin: Person) -> None:
    page = admin.page
    [demo] = admin.copy.rows("profiles?display_name=eq.Sam&select=id")
    name = f"Reported {uuid4().hex}"  # What was taken down stays in the list.
    row = {"id": str(uuid4()), "user_id": demo["id"], "name": name, "is_public": True}
    operator(admin.copy, "POST", "/rest/v1/characters", row | {"description": "<b>Loud</b>"})
    report = {"user_id": admin.user_id, "character_id": row["id"], "reason": "spam"}
    report |= {"details": "The same words again."}
    operator(admin.copy, "POST", "/rest/v1/character_reports", report)
    admin.open("/console.html?page=reports")
    card = page.locator(".cards > li").filter(has_text=name)
    expect(card).to_contain_text("The same words again.")
    card.get_by_text(f"Texts of {name}").click()
    expect(card.get_by_text("<b>Loud</b>")).to_be_visible()
    admin.press(f"Take down {name}")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("It is spam.")
    admin.press("Take it down")
    expect(card).to_have_count(0)
    taken = rows(page, "take-downs-table").filter(has_text=name)
    expect(taken).to_contain_text("It is spam.")
    admin.press(f"Restore {name}")
    dialog.get_by_label("Reason").fill("It was none.")
    admin.press("Restore it")
    expect(taken).to_contain_text("It was none.")

    operator(admin.copy, "POST", "/rest/v1/character_reports", report)
    page.reload()
    admin.press(f"Dismiss the reports of {name}")
    unseen = report | {"user_id": demo["id"], "details": "It came meanwhile."}
    operator(admin.copy, "POST", "/rest/v1/character_reports", unseen)
    dialog.get_by_label("Reason").fill("Nothing is wrong.")
    admin.press("Dismiss them")
    expect(card).not_to_contain_text("The same words again.")
    expect(card).to_contain_text("It came meanwhile.")
    admin.press(f"Dismiss the reports of {name}")
    dialog.get_by_label("Reason").fill("Nor here.")
    admin.press("Dismiss them")
    expect(card).to_have_count(0)
    outcomes = admin.copy.rows(f"character_reports?character_id=eq.{row['id']}&select=outcome")
    assert sorted(one["outcome"] for one in outcomes) == ["dismissed", "dismissed", "taken_down"]
    operator(admin.copy, "DELETE", f"/rest/v1/characters?id=eq.{row['id']}", None)


def test_undone_take_down_waits_for_a_decision_again(admin: Person) -> None:
    page = admin.page
    [demo] = admin.copy.rows("profiles?display_name=eq.Sam&select=id")
    row = {"id": str(uuid4()), "user_id": demo["id"], "name": "Reported Two", "is_public": True}
    operator(admin.copy, "POST", "/rest/v1/characters", row)
    report = {"user_id": admin.user_id, "character_id": row["id"], "reason": "spam"}
    operator(admin.copy, "POST", "/rest/v1/character_reports", report)
    admin.open("/console.html?page=reports")
    card = page.locator(".cards > li").filter(has_text="Reported Two")
    admin.press("Take down Reported Two")
    page.get_by_role("dialog").get_by_label("Reason").fill("By mistake.")
    admin.press("Take it down")
    expect(card).to_have_count(0)
    admin.press("Undo")
    taken = rows(page, "take-downs-table").filter(has_text="Reported Two")
    expect(taken).to_contain_text("Taken back at once.")
    expect(card).to_have_count(1)
    operator(admin.copy, "DELETE", f"/rest/v1/characters?id=eq.{row['id']}", None)


def test_people_and_commands_are_listed(admin: Person) -> None:
    page = admin.page
    admin.open("/console.html?page=people")
    expect(rows(page, "roles-table").filter(has_text=admin.user_id)).to_contain_text("admin")
    expect(page.get_by_text("make admin EMAIL=ada@example.com")).to_be_visible()
    expect(page.get_by_text("make verify-age EMAIL=ada@example.com")).to_be_visible()


def test_installation_that_moved_nowhere_has_no_switch(admin: Person) -> None:
    page = admin.page
    admin.open("/console.html?page=switch")
    expect(page.get_by_text("so there is no switch")).to_be_visible(timeout=PATIENCE * 1000)
    expect(page.get_by_role("link", name="Switch", exact=True)).to_have_count(0)
