"""Chat files, hidden messages and the settings of a conversation, on the page."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.support.answers import text
from tests.support.person import Person, body_of
from tests.support.upstream import Upstream

LINES = (
    {"user_name": "Ada", "character_name": "Mara"},
    {"name": "Ada", "is_user": True, "mes": "Is the lamp lit?"},
    {"name": "Mara", "mes": "It is.", "swipes": ["It is.", "Not yet."], "swipe_id": 0},
    {"name": "Mara", "mes": "An aside.", "is_system": True},
)


def test_chat_is_imported_and_exported(person: Person, tmp_path: Path) -> None:
    person.begin()
    person.page.locator(".drop input").set_input_files(
        {
            "name": "Storm.jsonl",
            "mimeType": "application/jsonl",
            "buffer": "\n".join(map(json.dumps, LINES)).encode(),
        }
    )
    person.press("Import Storm.jsonl")
    expect(person.page.get_by_text("3 messages were imported, 1 of them hidden")).to_be_visible()
    person.press("Read it")
    expect(person.page.get_by_role("heading", name="Storm", exact=True)).to_be_visible()
    expect(person.said).to_have_text(["Is the lamp lit?", "It is.", "An aside."])
    expect(person.page.get_by_text("1 of 2")).to_be_visible()
    expect(person.page.get_by_text("hidden from the model")).to_have_count(1)

    person.press("Settings")
    with person.page.expect_download() as download:
        person.press("Export the chat")
    assert download.value.suggested_filename == "Storm.jsonl"
    file = tmp_path / "Storm.jsonl"
    download.value.save_as(file)
    _, *messages = map(json.loads, file.read_text().rstrip("\n").split("\n"))
    assert [(one["mes"], one["is_system"]) for one in messages] == [
        ("Is the lamp lit?", False),
        ("It is.", False),
        ("An aside.", True),
    ]
    assert messages[1]["swipes"] == ["It is.", "Not yet."]


def test_message_is_hidden_and_shown_again(person: Person, scripted: Upstream) -> None:
    person.begin()
    person.ask_the_scripted_model()
    scripted.always(text("Aye."))
    person.say("My hat is red.")
    person.answered(3)
    hat = person.page.locator("li", has=person.page.locator("rp-prose", has_text="hat is red"))
    hat.hover()
    hat.get_by_role("button", name="Hide from the model").click()
    expect(hat.get_by_text("hidden from the model")).to_be_visible()
    person.say("Which colour is it?")
    person.answered(5)
    assert "hat is red" not in str(scripted.calls[-1].json)
    hat.hover()
    hat.get_by_role("button", name="Show to the model").click()
    expect(hat.get_by_text("hidden from the model")).to_have_count(0)
    person.say("And now?")
    person.answered(7)
    assert "hat is red" in str(scripted.calls[-1].json)


def test_note_and_sampler_settings_reach_the_model(person: Person, scripted: Upstream) -> None:
    person.begin()
    person.ask_the_scripted_model()
    scripted.always(text("Aye."))
    page = person.page
    person.press("Settings")
    page.get_by_label("Text about the story").fill("It is autumn.")
    page.get_by_label("How many messages follow it").fill("1")
    page.get_by_text("Sampler settings").click()
    page.get_by_label("Temperature").fill("0.3")
    page.get_by_label("Temperature").press("Tab")
    expect(page.get_by_text("Saved.")).to_be_attached()
    page.keyboard.press("Escape")
    person.press("Settings")
    expect(page.get_by_label("Text about the story")).to_have_value("It is autumn.")
    expect(page.get_by_label("How many messages follow it")).to_have_value("1")
    page.keyboard.press("Escape")
    person.say("Hello")
    person.answered(3)
    call = scripted.calls[-1].json
    assert call["temperature"] == 0.3
    assert "It is autumn." in [message["content"] for message in call["messages"]]


def test_scene_reaches_the_model_and_goes_at_the_sign_out(
    person: Person, scripted: Upstream
) -> None:
    person.begin()
    person.ask_the_scripted_model()
    scripted.always(text("Aye."))
    page = person.page
    person.press("Settings")
    page.locator("summary", has_text="Scene").click()
    page.get_by_label("Where it takes place").fill("A cellar under the lamp.")
    page.get_by_label("Who you are in it").fill("The new apprentice")
    page.get_by_label("Who you are in it").press("Tab")
    page.keyboard.press("Escape")
    person.say("Good evening.")
    person.answered(3)
    prompt = str(scripted.calls[-1].json["messages"])
    assert "A cellar under the lamp." in prompt
    assert "The new apprentice" in prompt
    person.press("Sign out")
    expect(page.get_by_label("Password")).to_be_visible()
    assert "cellar" not in str(page.evaluate("Object.values(localStorage)"))


def test_person_chooses_whom_they_play(person: Person, scripted: Upstream) -> None:
    person.begin()
    persona = person.character("Ada of the Fens", description="She counts herons.")
    page = person.page
    page.reload()
    expect(person.said).to_have_count(1)
    person.ask_the_scripted_model()

    person.press("Settings")
    chosen = page.get_by_role("dialog").get_by_label("You play")
    expect(chosen.locator("option:checked")).to_have_text("Yourself")
    chosen.select_option("Ada of the Fens")
    person.hears("Saved.")
    page.keyboard.press("Escape")
    scripted.always(text("Aye."))
    person.say("Good evening.")
    person.answered(3)
    assert "She counts herons." in str(scripted.calls[-1].json["messages"])

    page.reload()
    expect(person.said).to_have_count(3)
    person.press("Settings")
    expect(chosen).to_have_value(persona)
    # A choice that was not saved is not shown as one that was.
    person.expected.append("500")
    path = "**/rest/v1/conversations?id=*"
    page.route(path, lambda route: route.fulfill(status=500, json={"message": "No."}), times=1)
    chosen.select_option("Yourself")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    expect(chosen).to_have_value(persona)
    page.get_by_role("button", name="Dismiss").click()
    chosen.select_option("Yourself")
    person.hears("Saved.")
    (row,) = person.copy.rows(f"conversations?id=eq.{person.conversation_id}")
    assert row["user_character_id"] is None


def test_turns_have_the_time_zone_of_the_browser(person: Person, scripted: Upstream) -> None:
    person.begin()
    person.ask_the_scripted_model()
    scripted.always(text("Aye."))
    devtools = person.page.context.new_cdp_session(person.page)
    for said, zone in ((3, "Asia/Tokyo"), (5, "America/St_Johns")):
        devtools.send("Emulation.setTimezoneOverride", {"timezoneId": zone})
        with person.page.expect_request("**/roleplay_chat") as asked:
            person.say(f"It is late in {zone}.")
        assert body_of(asked.value)["time_zone"] == zone
        person.answered(said)
    person.page.evaluate("""() => {
      const options = Intl.DateTimeFormat.prototype.resolvedOptions;
      Intl.DateTimeFormat.prototype.resolvedOptions = function () {
        return { ...options.call(this), timeZone: undefined };
      };
    }""")
    with person.page.expect_request("**/roleplay_chat") as asked:
        person.say("Where am I?")
    assert "time_zone" not in body_of(asked.value)
    person.answered(7)
