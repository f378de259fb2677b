"""The console in a real browser, on the whole stack."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.person import MARA, Person, operator
from tests.support.upstream import Upstream

MODELS = "/console.html?page=models"


class TestConsole:
    @pytest.mark.usefixtures("models")
    def test_admin_switches_the_default_and_the_next_turn_uses_it(self, admin: Person) -> None:
        admin.page.get_by_role("link", name="Console").click()
        expect(admin.page.get_by_role("heading", name="Activity")).to_be_visible()
        admin.page.get_by_role("link", name="Models", exact=True).click()
        admin.press("Make default for roleplay: Dolphin 3.0 Mistral 24B")
        rows = admin.page.locator("#models-roleplay").get_by_role("row")
        row = rows.filter(has_text="dolphin-3.0-mistral-24b:free")
        expect(row.get_by_text("Default", exact=True)).to_be_visible()
        admin.page.get_by_role("link", name="Roleplay").click()
        expect(admin.said).to_have_count(1)
        assert admin.conversation_id
        admin.say("Hi.")
        admin.answered(3)
        assert admin.turns()[-1]["model_used"].endswith("/dolphin-3.0-mistral-24b:free")

    def test_admin_is_not_offered_the_characters_of_others(self, admin: Person) -> None:
        [demo] = admin.copy.rows("profiles?display_name=eq.Sam&select=id")
        row = {"user_id": demo["id"], "name": "Somebody Private"}
        operator(admin.copy, "POST", "/rest/v1/characters", row)
        admin.page.reload()
        expect(admin.page.locator(".lists").get_by_text(MARA).first).to_be_visible()
        assert admin.page.get_by_text("Somebody Private").count() == 0

    def test_models_and_providers_are_changed(self, admin: Person) -> None:
        admin.open(MODELS)
        admin.press("Add a provider")
        dialog = admin.page.get_by_role("dialog")
        dialog.get_by_label("Name", exact=True).fill("Elsewhere")
        dialog.get_by_label("Short name").fill("elsewhere")
        dialog.get_by_label("Base URL").fill("https://elsewhere.example/v1")
        dialog.get_by_label("Environment variable of the key").fill("ELSEWHERE_API_KEY")
        dialog.get_by_role("button", name="Save").click()
        expect(admin.page.get_by_text("ELSEWHERE_API_KEY")).to_be_visible()
        added = admin.page.locator("#providers").get_by_role("row").filter(has_text="Elsewhere")
        expect(added).to_contain_text("Waiting for approval")

        admin.press("Add a model")
        dialog.get_by_label("Name", exact=True).fill("New One")
        dialog.get_by_label("Model ID").fill("author/new-one")
        dialog.get_by_role("combobox", name=re.compile("^Provider")).select_option(
            label="Elsewhere"
        )
        dialog.get_by_label("Context (tokens)").fill("4096")
        dialog.get_by_label("Temperature").fill("0.7")
        dialog.get_by_label("Other capabilities").fill("nonsense")
        expect(dialog.get_by_text("This is not valid JSON")).to_be_visible()
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("“Other capabilities”")
        dialog.get_by_label("Other capabilities").fill('{"strengths": ["prose"]}')
        expect(dialog.get_by_text("This is not valid JSON")).to_have_count(0)
        dialog.get_by_role("button", name="Save").click()
        admin.press("Switch off New One")
        expect(admin.page.get_by_role("button", name="Switch on New One")).to_be_visible()
        admin.press("New One: earlier")
        expect(admin.page.get_by_role("status")).to_contain_text("New One is number")
        # Until the page shows the new order, its rows may move away from the pointer.
        said = admin.page.get_by_role("status").filter(has_text="New One is number").inner_text()
        added = admin.page.get_by_role("row").filter(has_text="author/new-one")
        (place,) = re.findall(r"number (\d+)", said)
        expect(added.get_by_role("cell", name=re.compile(f"^{place} "))).to_be_visible()

        [model] = admin.copy.rows("api_models?model_key=eq.author/new-one")
        assert model["is_active"] is False
        assert model["capabilities"] == {"strengths": ["prose"], "context_tokens": 4096}
        assert model["input_defaults"] == {"temperature": 0.7}
        admin.press("Edit New One")
        admin.press("Delete this model")
        expect(dialog.get_by_role("heading", name="Delete New One")).to_be_visible()
        admin.press("Delete it")
        expect(admin.page.get_by_role("status")).to_contain_text("New One was deleted.")
        expect(admin.page.get_by_text("author/new-one")).to_have_count(0)

    def test_age_is_declared_and_taken_back(self, admin: Person) -> None:
        page = admin.page
        [demo] = admin.copy.rows("profiles?display_name=eq.Sam&select=id")
        of_others = {"user_id": demo["id"], "age": None}
        for name, is_public in (("Ageless Public", True), ("Ageless Private", False)):
            character = {"name": name, "is_public": is_public, **of_others}
            operator(admin.copy, "POST", "/rest/v1/characters", character)
        admin.open("/console.html?page=characters")
        page.get_by_label("Name of a character").fill("ageless")
        page.get_by_role("button", name="Search").click()
        row = page.locator("#ages tbody tr")
        expect(row).to_have_count(1)  # private ones are their author's alone
        expect(row).to_contain_text("none")
        admin.press("Declare the age of Ageless Public")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Years").fill("34")
        dialog.get_by_role("button", name="Save").click()
        admin.hears("Ageless Public is declared to be 34 now.")
        expect(row).to_contain_text("34")
        [stored] = admin.copy.rows("characters?name=eq.Ageless Public&select=age")
        assert stored == {"age": 34}
        admin.press("Declare the age of Ageless Public")
        dialog.get_by_role("button", name="Take it back").click()
        expect(row).to_contain_text("none")
        admin.press("Undo")
        expect(row).to_contain_text("34")
        operator(admin.copy, "DELETE", "/rest/v1/characters?name=like.Ageless*", None)

    def test_age_below_18_is_final_for_conversations(self, admin: Person) -> None:
        page = admin.page
        name = "Ageless Companion"
        row = {"user_id": admin.user_id, "name": name, "is_public": True, "age": None}
        operator(admin.copy, "POST", "/rest/v1/characters", row)
        [character] = admin.copy.rows(f"characters?name=eq.{name}&select=id")
        talk = {"user_id": admin.user_id, "character_id": character["id"]}
        operator(admin.copy, "POST", "/rest/v1/conversations", talk)
        here = f"character_id=eq.{character['id']}&select=always_sfw"
        admin.open(f"/console.html?page=characters&name={name}")
        admin.press(f"Declare the age of {name}")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Years").fill("34")
        dialog.get_by_role("button", name="Save").click()
        cell = page.locator("#ages tbody tr")
        expect(page.get_by_role("complementary")).to_contain_text("declared to be 34")

        admin.press(f"Declare the age of {name}")
        dialog.get_by_label("Years").fill("3")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_have_accessible_name(f"Declare {name} to be 3")
        expect(dialog).to_contain_text("For conversations that exist this cannot be undone")
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_have_count(0)
        assert admin.copy.rows(f"conversations?{here}") == [{"always_sfw": False}]

        admin.press(f"Declare the age of {name}")
        dialog.get_by_label("Years").fill("3")
        dialog.get_by_role("button", name="Save").click()
        admin.press("Declare it")
        expect(page.get_by_role("status")).to_have_text(f"{name} is declared to be 3 now.")
        expect(cell).to_contain_text("3")
        expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        assert admin.copy.rows(f"conversations?{here}") == [{"always_sfw": True}]
        operator(admin.copy, "DELETE", f"/rest/v1/conversations?{here}", None)
        operator(admin.copy, "DELETE", "/rest/v1/characters?name=like.Ageless*", None)

    def test_age_of_somebody_else_stays(self, admin: Person) -> None:
        page = admin.page
        row = {"user_id": admin.user_id, "name": "Ageless Other", "is_public": True, "age": 30}
        operator(admin.copy, "POST", "/rest/v1/characters", row)
        stored = "/rest/v1/characters?name=eq.Ageless Other"
        admin.open("/console.html?page=characters&name=Ageless Other")
        admin.press("Declare the age of Ageless Other")
        dialog = page.get_by_role("dialog")
        operator(admin.copy, "PATCH", stored, {"age": 40})
        dialog.get_by_label("Years").fill("50")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_contain_text("so nothing was saved")
        dialog.get_by_role("button", name="Cancel").click()
        expect(page.locator("#ages tbody tr")).to_contain_text("40")
        operator(admin.copy, "DELETE", stored, None)

    @pytest.mark.usefixtures("models")
    def test_order_is_changed_by_keyboard(self, admin: Person) -> None:
        admin.open(MODELS)
        table = admin.page.locator("#models-roleplay table")
        rows = table.locator("tbody th")
        expect(rows.nth(2)).to_be_visible()
        before = rows.all_inner_texts()
        name = before[-1].partition("\n")[0]
        earlier = admin.page.get_by_role("button", name=f"{name}: earlier")
        earlier.focus()
        for place in range(len(before) - 2, -1, -1):
            admin.page.keyboard.press("Enter")
            expect(rows.nth(place)).to_contain_text(name)
            told = f"{name} is number {place + 1} now."
            expect(admin.page.get_by_role("status")).to_have_text(told)
            if place:  # The same button has the focus, at the row's new place.
                expect(earlier).to_be_focused()
        expect(earlier).to_be_disabled()
        expect(admin.page.get_by_role("button", name=f"{name}: later")).to_be_focused()

        stored = admin.copy.rows("api_models?task=eq.roleplay&order=priority&select=display_name")
        order = [row["display_name"] for row in stored]
        assert order == [text.partition("\n")[0] for text in (before[-1], *before[:-1])]

    def test_provider_is_renamed_and_removed(self, admin: Person, scripted: Upstream) -> None:
        page = admin.page
        admin.open(MODELS)
        admin.press("Edit Scripted")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("To delete it, first delete its model.")).to_be_visible()
        expect(dialog.get_by_role("button", name="Delete this provider")).to_have_count(0)
        dialog.get_by_label("Name").fill("Renamed")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row").filter(has_text="Renamed").last).to_be_visible()
        # The focus is back on the button that opened the dialog.
        expect(page.get_by_role("button", name="Edit Renamed")).to_be_focused()

        admin.press("Edit Script")
        admin.press("Delete this model")
        admin.press("Delete it")
        expect(page.get_by_role("button", name="Edit Script", exact=True)).to_have_count(0)
        admin.press("Edit Renamed")
        admin.press("Delete this provider")
        admin.press("Delete it")
        expect(page.get_by_role("button", name="Edit Renamed")).to_have_count(0)
        assert admin.copy.rows("api_providers?name=eq.scripted") == []

    def test_health_of_a_worker_has_a_history(self, admin: Person) -> None:
        admin.copy.check_health()
        admin.open("/console.html?page=workers")
        expect(admin.page.get_by_role("row").filter(has_text="chatWorker")).to_contain_text(
            "Worker"
        )
        chart = admin.page.get_by_role("img", name="Last checks of chatWorker")
        label = re.compile(r"Last checks of chatWorker\. \d+ of \d+ were answered\.")
        expect(chart).to_have_attribute("aria-label", label)
        expect(chart.locator("canvas")).to_be_visible()

    def test_others_neither_open_nor_query_it(self, person: Person) -> None:
        person.begin()
        # Users see only the worker's health.
        expect(person.page.locator("header.bar")).to_contain_text(re.compile("Worker (is|not) "))
        person.open("/console.html")
        expect(person.page.get_by_role("heading", name="This page is for admins")).to_be_visible()
        assert person.page.locator("main.console").count() == 0

        asked: list[str] = []
        person.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        person.page.reload()
        expect(person.page.get_by_role("heading", name="This page is for admins")).to_be_visible()
        tables = {path.removeprefix("/rest/v1/") for path in asked if path.startswith("/rest/")}
        assert tables == {"account"}
        for table in ("provider_settings", "model_cooldowns", "system_config", "declared_ages"):
            assert person.copy_call("GET", f"/rest/v1/{table}").json() == []
        for table in ("turns", "usage_events"):
            rows = person.copy_call("GET", f"/rest/v1/{table}?select=user_id").json()
            assert {row["user_id"] for row in rows} <= {person.user_id}
        [worker] = person.copy_call("GET", "/rest/v1/chat_worker_health").json()
        assert set(worker) == {"name", "display_name", "is_healthy", "checked_at", "response_ms"}
        mara = person.copy.rows("characters?is_public=is.true&limit=1")[0]
        declared = f"/rest/v1/declared_ages?id=eq.{mara['id']}"
        person.copy_call("PATCH", declared, {"age": 99})
        assert person.copy.rows(f"characters?id=eq.{mara['id']}") == [mara]
        model = person.copy.rows("api_models?task=eq.roleplay&is_default=is.false&limit=1")[0]
        call = person.copy_call(
            "POST", "/rest/v1/rpc/set_default_model", {"p_model_id": model["id"]}
        )
        assert call.status_code == 403
        person.copy_call("PATCH", f"/rest/v1/api_models?id=eq.{model['id']}", {"is_active": False})
        assert person.copy.rows(f"api_models?id=eq.{model['id']}") == [model]


class TestMistakes:
    def test_error_of_a_long_form_is_in_sight(self, admin: Person) -> None:
        admin.page.set_viewport_size({"width": 390, "height": 600})
        admin.open(MODELS)
        admin.press("Add a model")
        dialog = admin.page.get_by_role("dialog")
        dialog.get_by_label("Name", exact=True).fill("New One")
        dialog.get_by_label("Model ID").fill("author/new-one")
        price = dialog.get_by_label("Other prices")
        price.fill('{"image": 0')
        dialog.get_by_role("button", name="Save").scroll_into_view_if_needed()
        dialog.get_by_role("button", name="Save").click()
        alert = dialog.get_by_role("alert")
        expect(alert).to_contain_text("“Other prices”: This is not valid JSON")
        expect(alert).to_be_in_viewport()
        expect(price).to_be_focused()
        expect(price).to_be_in_viewport()
        expect(price).to_have_attribute("aria-invalid", "true")

    def test_provider_is_switched_off_after_a_question_and_back(
        self, admin: Person, scripted: Upstream
    ) -> None:
        page = admin.page
        admin.open(MODELS)
        admin.press("Switch off Scripted")
        expect(page.get_by_role("dialog")).to_contain_text("It has one active model.")
        admin.press("Cancel")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("button", name="Switch off Scripted")).to_be_visible()
        admin.press("Switch off Scripted")
        admin.press("Switch it off")
        expect(page.get_by_role("button", name="Switch on Scripted")).to_be_visible()
        admin.press("Undo")
        expect(page.get_by_role("button", name="Switch off Scripted")).to_be_visible()
        expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        assert admin.copy.rows("api_providers?name=eq.scripted")[0]["is_active"] is True

    def test_model_is_deleted_after_a_question_and_back(
        self, admin: Person, scripted: Upstream
    ) -> None:
        page = admin.page
        [before] = admin.copy.rows("api_models?display_name=eq.Script")
        admin.open(MODELS)
        admin.press("Edit Script")
        admin.press("Delete this model")
        admin.press("Delete it")
        edit = page.get_by_role("button", name="Edit Script", exact=True)
        expect(edit).to_have_count(0)
        expect(page.get_by_role("complementary")).to_contain_text("Script was deleted.")
        admin.press("Undo")
        expect(edit).to_be_visible()
        [after] = admin.copy.rows("api_models?display_name=eq.Script")
        times = ("created_at", "updated_at")
        assert {k: v for k, v in after.items() if k not in times} == {
            k: v for k, v in before.items() if k not in times
        }
