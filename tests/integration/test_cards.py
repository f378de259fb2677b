"""Cards are imported, used in turns and exported, through the real function and database."""

import asyncio
import base64
import json
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from roleplay_chat.cards import files, handlers
from roleplay_chat.cards.model import exported
from tests.support.answers import text
from tests.support.cards import CARDS, archive, card, card_picture
from tests.support.stack import DEMO_CHARACTER, Stack, User


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def import_card(stack: Stack, user: User, **body: Any) -> dict[str, Any]:
    """An import that must succeed."""
    answer = stack.chat(user, action="import_card", **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def export_card(stack: Stack, user: User, character: Any, file_format: str = "json") -> Any:
    """An export that must succeed: the card, or the file."""
    answer = stack.chat(user, action="export_card", character_id=str(character), format=file_format)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["card"] if file_format == "json" else base64.b64decode(body["card_base64"])


def stored(stack: Stack, imported: dict[str, Any]) -> Any:
    """The stored card of an imported character."""
    query = "select card from character_cards where character_id = %s"
    return stack.one(query, imported["character_id"])["card"]


def refused(answer: httpx.Response, status: int, code: str) -> str:
    body = answer.json()
    assert (answer.status_code, body["code"], body["success"]) == (status, code, False), body
    return str(body["error"])


def met(stack: Stack, user: User, name: str) -> UUID:
    """A conversation with the character of an imported card."""
    character = import_card(stack, user, card=card(name))["character_id"]
    return stack.conversation(user, character_id=character)


class TestImport:
    def test_becomes_a_character_of_the_person(self, stack: Stack) -> None:
        user = stack.user()

        body = import_card(stack, user, card=card("detective_v2"))

        assert body["success"] is True
        assert (body["name"], body["greetings"], body["book_entries"]) == ("Inès Marchetti", 3, 4)
        assert body["warnings"] == []
        assert body["request_id"]
        row = stack.one("select * from characters where id = %s", body["character_id"])
        original = card("detective_v2")
        assert row["user_id"] == user.id
        assert (row["content_rating"], row["is_public"]) == ("sfw", False)
        assert (row["age"], row["pronouns"]) == (44, "she/her")
        assert row["first_message"] == original["data"]["first_mes"]
        assert row["alternate_greetings"] == original["data"]["alternate_greetings"]
        assert row["character_book"] == original["data"]["character_book"]
        assert row["nickname"] is None
        assert stored(stack, body) == original

    @pytest.mark.parametrize(
        ("file", "original"),
        [
            ("keeper_v1.json", "keeper_v1"),
            ("detective_v2.json", "detective_v2"),
            ("cook_v3.json", "cook_v3"),
            ("detective.png", "detective_v2"),
            ("cook.charx", "cook_v3"),
        ],
    )
    def test_file_of_any_format_is_imported(self, stack: Stack, file: str, original: str) -> None:
        body = import_card(stack, stack.user(), card_base64=encoded((CARDS / file).read_bytes()))

        assert stored(stack, body) == card(original)
        assert body["warnings"] == []

    def test_import_says_what_is_lost_and_what_is_wrong(self, stack: Stack) -> None:
        cook = card("cook_v3")
        cook["spec_version"] = "3.5"
        cook["data"]["character_book"]["entries"][0]["keys"].append("/[/")
        files = {"card.json": json.dumps(cook).encode(), "a.png": b"x"}

        body = import_card(stack, stack.user(), card_base64=encoded(archive(files)))

        others, newer, patterns = body["warnings"]
        assert "1) are not stored" in others
        assert "newer version" in newer
        assert patterns.endswith("never match: 1.")

    def test_import_names_oddities_and_what_will_not_work(self, stack: Stack) -> None:
        odd = card("detective_v2")
        odd["data"] |= {"character_version": 1.2, "tags": "noir, sea", "creator_notes": []}
        odd["data"]["extensions"]["world"] = "Brittany"
        odd["data"]["alternate_greetings"][0] += " {{of_tomorrow}}"
        odd["data"]["character_book"]["entries"][0]["extensions"]["vectorized"] = True
        odd["data"]["character_book"]["entries"].append(None)

        body = import_card(stack, stack.user(), card=odd)

        assert body["book_entries"] == 4
        assert stored(stack, body) == odd
        *fields, macros, entries, world = body["warnings"]
        assert [sentence.split("`")[1] for sentence in fields] == [
            "character_book.entries.4",
            "creator_notes",
            "character_version",
            "tags",
        ]
        assert "{{of_tomorrow}}" in macros
        assert "vectorized" in entries
        assert "Brittany" in world

    @pytest.mark.parametrize(
        "raw",
        [
            b"name: Ina\ngreeting: Step in.\ncontext: Ina rows the ferry.\n",
            b'{"char_name": "Ina", "char_persona": "Ina rows the ferry.",'
            b' "char_greeting": "Step in."}',
            b'{"kind": "character", "name": "Ina", "greeting": "Step in.", "persona":'
            b' {"kind": "text", "attributes": {"text": ["Ina rows the ferry."]}}}',
            b'{"type": "character", "name": "Ina", "firstMessage": "Step in.",'
            b' "desc": "Ina rows the ferry."}',
        ],
    )
    def test_character_of_another_program_is_imported(self, stack: Stack, raw: bytes) -> None:
        user = stack.user()
        body = import_card(stack, user, card_base64=encoded(raw))
        row = stack.one("select * from characters where id = %s", body["character_id"])
        assert row["description"] == "Ina rows the ferry."
        assert (row["name"], row["first_message"]) == ("Ina", "Step in.")
        assert "was converted from" in body["warnings"][0]
        assert export_card(stack, user, body["character_id"])["spec"] == "chara_card_v2"

    @pytest.mark.installations
    def test_import_keeps_what_is_for_groups_and_at_a_depth(self, stack: Stack) -> None:
        user = stack.user()
        note = {"prompt": "Short sentences.", "depth": 2, "role": "user"}
        original = card("cook_v3")
        original["data"]["group_only_greetings"] = ["All hands!"]
        original["data"]["extensions"] |= {"depth_prompt": note, "talkativeness": "0.9"}

        character = import_card(stack, user, card=original)["character_id"]

        row = stack.one("select * from shared.characters where id = %s", character)
        assert row["group_only_greetings"] == ["All hands!"]
        assert (row["depth_prompt"], row["depth_prompt_depth"]) == ("Short sentences.", 2)
        assert (row["depth_prompt_role"], row["talkativeness"]) == ("user", 0.9)
        assert export_card(stack, user, character) == original

    def test_import_larger_than_other_requests_is_accepted(self, stack: Stack) -> None:
        picture = card_picture(chara=card("detective_v2")) + b"\0" * 600_000
        body = import_card(stack, stack.user(), card_base64=encoded(picture))
        assert body["name"] == "Inès Marchetti"

    def test_card_just_below_the_limit_is_imported(self, stack: Stack) -> None:
        user = stack.user()
        original = {
            "name": "Large",
            "personality": "Dry.",
            "extensions": {"kept": ["x" * 1_000] * 2_000},
        }
        character = import_card(stack, user, card=original)["character_id"]
        assert export_card(stack, user, character) == original

    def test_takes_two_round_trips_and_no_turn(self, stack: Stack) -> None:
        import_card(stack, stack.user(), card=card("cook_v3"))
        assert stack.gateway.calls == [
            "POST /rest/v1/rpc/count_action",
            "POST /rest/v1/rpc/import_character",
        ]
        assert stack.all("select id from turns") == []

    def test_rating_owner_and_audience_are_not_the_cards_business(self, stack: Stack) -> None:
        user, other = stack.user(), stack.user()
        sly = {"content_rating": "nsfw", "is_public": True, "user_id": str(other.id)}
        body = import_card(stack, user, card={"name": "Sly", "personality": "Sly.", **sly}, **sly)
        row = stack.one("select * from characters where id = %s", body["character_id"])
        assert (row["content_rating"], row["is_public"]) == ("sfw", False)
        assert (row["user_id"], row["age"]) == (user.id, None)


SAID = "She is 12 years old. A sexual scene."
TEXTS = (
    *("name", "nickname", "description", "personality", "scenario", "first_mes", "mes_example"),
    *("system_prompt", "post_history_instructions", "alternate_greetings"),
    *("group_only_greetings", "character_book", "pronouns", "depth_prompt"),
)
"""What of a card a model or somebody who chats may read, here or where it is exported to."""


def with_text(name: str, said: str) -> dict[str, Any]:
    """A card's fields, with this text as one of them."""
    whole: dict[str, Any] = {"name": "Vera", "description": "A rower.", "first_mes": "Hello."}
    if name == "pronouns":
        return whole | {"extensions": {"roleplay_backend": {"pronouns": said}}}
    if name == "depth_prompt":
        return whole | {"extensions": {name: {"prompt": said}}}
    if name == "character_book":
        entry = {"keys": ["sea"], "content": f"@@depth 2\n{said}", "enabled": False}
        return whole | {name: {"entries": [entry]}}
    return whole | {name: ["A.", said] if name.endswith("greetings") else said}


def of_every_format(fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Requests that import it."""
    v2, v3 = (
        {"spec": f"chara_card_v{n}", "spec_version": f"{n}.0", "data": fields} for n in (2, 3)
    )
    raw = json.dumps(v3).encode()
    return {
        "v1": {"card": fields},
        "v2": {"card": v2},
        "v3": {"card": v3},
        "json": {"card_base64": encoded(raw)},
        "png": {"card_base64": encoded(card_picture(chara=v2))},
        "png-of-both": {"card_base64": encoded(card_picture(chara=with_text("x", ""), ccv3=v3))},
        "charx": {"card_base64": encoded(archive({"card.json": raw}))},
        "beside": {"card": fields | v2 | {"data": with_text("x", "")}},
    }


def test_export_of_a_large_card_keeps_nobody_waiting(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its values are copied and compared in a thread."""
    on_loop: list[bool] = []

    def watched(*arguments: Any) -> dict[str, Any]:
        with suppress(RuntimeError):
            on_loop.append(bool(asyncio.get_running_loop()))
        return exported(*arguments)

    monkeypatch.setattr(handlers, "exported", watched)
    user = stack.user()
    character = import_card(stack, user, card=card("cook_v3"))["character_id"]
    assert export_card(stack, user, character) == card("cook_v3")
    assert on_loop == []


class TestScreening:
    @pytest.mark.parametrize("name", TEXTS)
    def test_of_every_text_in_every_format(self, stack: Stack, name: str) -> None:
        stack.configure(limits={})
        user = stack.user()
        said = "A sexual scene; 12 years old." if name == "pronouns" else SAID
        requests = of_every_format(with_text(name, said))
        if name in ("character_book", "pronouns", "depth_prompt"):  # V1 has none.
            del requests["beside"]
        for format_, body in requests.items():
            answer = stack.chat(user, action="import_card", **body)
            assert (answer.status_code, answer.json()["code"]) == (403, "content_refused"), format_
        assert stack.all("select id from characters where user_id = %s", user.id) == []

    def test_of_a_creators_remarks_is_not_made(self, stack: Stack) -> None:
        """Most that say who is not to read a card say it so, and they are shown to nobody here."""
        remarks = {"creator_notes": "NSFW. No minors, nobody under 18.", "tags": ["teen", "nsfw"]}
        import_card(stack, stack.user(), card={"name": "Vera", "personality": "Dry."} | remarks)


class TestRefusal:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            pytest.param({}, "invalid_card", id="nothing"),
            pytest.param({"card": {}, "card_base64": "e30="}, "invalid_card", id="both"),
            pytest.param({"card": []}, "invalid_card", id="no-object"),
            pytest.param({"card": {"name": 5}}, "invalid_card", id="wrong-type"),
            pytest.param({"card": {"name": "a\0"}}, "invalid_card", id="nul"),
            pytest.param(
                {"card_base64": encoded(b'{"name": "\\ud800"}')}, "invalid_card", id="surrogate"
            ),
            pytest.param({"card_base64": "%%%"}, "invalid_card", id="no-base64"),
            pytest.param({"card_base64": 5}, "invalid_card", id="no-text"),
            pytest.param({"card_base64": encoded(b"GIF89a")}, "invalid_card", id="no-card"),
        ],
    )
    def test_invalid_card_is_rejected_with_a_sentence(
        self, stack: Stack, body: dict[str, Any], code: str
    ) -> None:
        answer = stack.chat(stack.user(), action="import_card", **body)
        assert refused(answer, 400, code)
        assert stack.all("select id from characters where user_id is not null") == []

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param({"card": {"name": "a", "x": "x" * 2_100_000}}, id="json"),
            pytest.param({"card": {"name": "a", "description": "x" * 20_001}}, id="text"),
            pytest.param(
                {"card": {"name": "a", "first_mes": "Hi", "x": [1e300] * 40_000}},
                id="in-the-database",
            ),
            pytest.param(
                {"card_base64": encoded(archive({"card.json": b"{}", "a": b"\0" * 10**8}))},
                id="zip-bomb",
            ),
        ],
    )
    def test_card_that_is_too_large_is_rejected(self, stack: Stack, body: dict[str, Any]) -> None:
        answer = stack.chat(stack.user(), action="import_card", **body)
        refused(answer, 413, "card_too_large")

    def test_size_of_the_request_is_a_setting_of_its_own(self, stack: Stack) -> None:
        user = stack.user()
        small = {
            "action": "import_card",
            "card": {"name": "a", "personality": "Dry.", "x": "x" * 2_000},
        }
        with stack.serving(MAX_CARD_BYTES="1500") as url:
            refused(stack.chat(user, url=url, **small), 413, "card_too_large")
            message = stack.chat(
                user, url=url, action="import_card", card={"name": "a", "personality": "Dry."}
            )
        assert message.status_code == 200
        long = "x" * 9_000_000
        answer = stack.chat(user, action="import_card", card={"name": "a", "x": long})
        assert "8,388,608 bytes" in refused(answer, 413, "body_too_large")
        answer = stack.chat(user, message="x" * 300_000)
        assert "262,144 bytes" in refused(answer, 413, "body_too_large")

    def test_import_without_a_token_is_rejected(self, stack: Stack) -> None:
        refused(
            stack.chat(None, action="import_card", card={"name": "a", "personality": "Dry."}),
            401,
            "unauthorized",
        )

    def test_import_for_a_deleted_account_is_rejected(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute("delete from auth.users where id = %s", (user.id,))
        answer = stack.chat(user, action="import_card", card={"name": "a", "personality": "Dry."})
        refused(answer, 401, "unauthorized")

    def test_import_beyond_a_thousand_characters_is_rejected(self, stack: Stack) -> None:
        user = stack.user()
        stack.db.execute(
            "insert into characters (user_id, name) select %s, 'x' from generate_series(1, 1000)",
            (user.id,),
        )
        answer = stack.chat(user, action="import_card", card={"name": "a", "personality": "Dry."})
        refused(answer, 409, "too_many_characters")

    @pytest.mark.installations
    def test_import_without_a_profile(self, stack: Stack) -> None:
        """Where characters belong to profiles, it is told what is missing."""
        user = stack.user()
        stack.db.execute("delete from public.profiles where id = %s", (user.id,))
        answer = stack.chat(user, action="import_card", card={"name": "a", "personality": "Dry."})
        if stack.one("select shared.installation() ->> 'kind' as kind") == {"kind": "own"}:
            assert answer.status_code == 200
        else:
            assert "set up your profile" in refused(answer, 409, "no_profile")
            assert stack.all("select from character_cards") == []

    def test_while_the_database_is_away(self, stack: Stack) -> None:
        stack.gateway.fail("import_character")
        answer = stack.chat(
            stack.user(), action="import_card", card={"name": "a", "personality": "Dry."}
        )
        refused(answer, 503, "database_unavailable")


class TestExport:
    @pytest.mark.parametrize("name", ["keeper_v1", "detective_v2", "cook_v3"])
    def test_export_equals_the_imported_card(self, stack: Stack, name: str) -> None:
        user = stack.user()
        character = import_card(stack, user, card=card(name))["character_id"]
        assert export_card(stack, user, character) == card(name)

    @pytest.mark.parametrize("file_format", ["png", "charx"])
    def test_as_a_file_is_a_card_again(self, stack: Stack, file_format: str) -> None:
        user = stack.user()
        first = import_card(stack, user, card=card("cook_v3"))["character_id"]

        file = export_card(stack, user, first, file_format)
        second = import_card(stack, user, card_base64=encoded(file))["character_id"]

        without_picture = card("cook_v3")
        del without_picture["data"]["assets"]
        assert export_card(stack, user, second) == without_picture

    @pytest.mark.parametrize("file_format", ["png", "charx"])
    def test_file_refers_to_nothing_that_is_not_in_it(self, stack: Stack, file_format: str) -> None:
        """RisuAI refuses a card that does."""
        user = stack.user()
        web = {"type": "background", "name": "quay", "uri": "https://example.com/a.png"}
        lost = {"type": "emotion", "name": "smile", "uri": "__asset:1"}
        lists = {"emotions": [["smile", "__asset:0"]], "additionalAssets": [["a", "embeded://b"]]}
        original = card("cook_v3")
        original["data"]["assets"] += [lost, web]
        original["data"]["extensions"]["risuai"] = lists
        character = import_card(stack, user, card=original)["character_id"]

        read = files.read(export_card(stack, user, character, file_format)).card["data"]

        assert read["assets"] == [web]
        assert read["extensions"]["risuai"] == {"emotions": [], "additionalAssets": []}
        assert export_card(stack, user, character) == original

    def test_numbers_and_signs_survive_the_database(self, stack: Stack) -> None:
        odd = [0.1, 1e16, -1.5e-9, 2**53, -0.0, 12345678901234567890, True, None, "\u2028", "🌊"]
        original = {
            "name": "Odd",
            "personality": "Odd.",
            "extensions": {"": {"x": odd}, "ключ": [[], {}, ""]},
        }
        user = stack.user()
        character = import_card(stack, user, card=original)["character_id"]
        assert export_card(stack, user, character) == original

    @pytest.mark.own_tables("its characters have no such columns")
    def test_export_has_what_the_author_changed(self, stack: Stack) -> None:
        user = stack.user()
        character = import_card(stack, user, card=card("detective_v2"))["character_id"]
        changes = {"description": "Retired.", "alternate_greetings": ["Yes?"], "age": 60}
        with stack.data_api(user) as client:
            changed = client.patch(f"/characters?id=eq.{character}", json=changes)
        assert changed.status_code == 204, changed.text

        after = export_card(stack, user, character)

        expected = card("detective_v2")
        expected["data"] |= {"description": "Retired.", "alternate_greetings": ["Yes?"]}
        expected["data"]["extensions"]["roleplay_backend"]["age"] = 60
        assert after == expected

    @pytest.mark.own_tables("its characters have no such columns")
    def test_export_has_the_nickname_that_the_author_gave(self, stack: Stack) -> None:
        user = stack.user()
        character = import_card(stack, user, card=card("detective_v2"))["character_id"]
        with stack.data_api(user) as client:
            client.patch(f"/characters?id=eq.{character}", json={"nickname": "Madame"})

        after = export_card(stack, user, character)

        assert after["data"].pop("nickname") == "Madame"
        assert after == card("detective_v2")

    def test_export_of_a_character_that_was_not_imported(self, stack: Stack) -> None:
        after = export_card(stack, stack.user(), DEMO_CHARACTER)
        assert (after["spec"], after["data"]["name"]) == ("chara_card_v3", "Mara Voss")
        own = after["data"]["extensions"]["roleplay_backend"]
        assert own == {"age": 52, "pronouns": "she/her"}

    def test_export_of_somebody_elses_character_only_if_public(self, stack: Stack) -> None:
        owner, other = stack.user(), stack.user()
        character = import_card(stack, owner, card=card("cook_v3"))["character_id"]
        asked = {"action": "export_card", "character_id": character}
        refused(stack.chat(other, **asked), 404, "character_not_found")
        stack.db.execute("update characters set is_public = true where id = %s", (character,))
        assert export_card(stack, other, character) == card("cook_v3")

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            pytest.param({}, "`character_id`", id="no-character"),
            pytest.param({"character_id": "x"}, "`character_id`", id="no-uuid"),
            pytest.param({"character_id": str(uuid4()), "format": "gif"}, "`format`", id="format"),
        ],
    )
    def test_invalid_export_request_is_rejected(
        self, stack: Stack, body: dict[str, Any], named: str
    ) -> None:
        answer = stack.chat(stack.user(), action="export_card", **body)
        assert named in refused(answer, 400, "invalid_request")

    def test_export_of_a_missing_character_is_not_found(self, stack: Stack) -> None:
        answer = stack.chat(stack.user(), action="export_card", character_id=str(uuid4()))
        refused(answer, 404, "character_not_found")


class TestSchema:
    @pytest.mark.own_tables("its characters have no such columns")
    def test_people_write_their_characters_but_not_the_card(self, stack: Stack) -> None:
        user = stack.user()
        row = {"user_id": str(user.id), "name": "Own", "alternate_greetings": ["Hi"]}
        more = {"character_book": {"entries": []}, "nickname": "O"}
        imported = import_card(stack, user, card=card("cook_v3"))["character_id"]
        with stack.data_api(user) as client:
            made = client.post("/characters", json=row | more)
            changed = client.patch(
                f"/character_cards?character_id=eq.{imported}", json={"card": {"name": "x"}}
            )
            listed = client.get(f"/characters?select=*&id=eq.{imported}")
        assert (made.status_code, changed.status_code) == (201, 403)
        assert [(row["nickname"], "card" in row) for row in listed.json()] == [("Bram", False)]

    def test_card_goes_with_its_character(self, stack: Stack) -> None:
        user = stack.user()
        imported = import_card(stack, user, card=card("cook_v3"))["character_id"]
        assert stack.all("select character_id from character_cards")
        with stack.data_api(user) as client:
            client.delete(f"/characters?id=eq.{imported}")
        assert stack.all("select character_id from character_cards") == []

    @pytest.mark.parametrize(
        "column",
        [
            {"alternate_greetings": ["x"] * 65},
            {"alternate_greetings": [None]},
            {"alternate_greetings": ["x" * 300_000]},
            {"group_only_greetings": ["x"] * 65},
            {"group_only_greetings": [None]},
            {"depth_prompt": "x" * 8_001},
            {"depth_prompt_depth": -1},
            {"depth_prompt_role": "tool"},
            {"talkativeness": 1.5},
            {"nickname": "x" * 121},
            {"nickname": ""},
            {"character_book": []},
            {"character_book": {"x": "x" * 1_100_000}},
        ],
    )
    def test_limits_hold_for_direct_writes_too(self, stack: Stack, column: dict[str, Any]) -> None:
        user = stack.user()
        with stack.data_api(user) as client:
            row = {"user_id": str(user.id), "name": "Own"} | column
            assert client.post("/characters", json=row).status_code == 400

    def test_import_is_for_the_function_alone(self, stack: Stack) -> None:
        user = stack.user()
        body = {"p_user_id": str(user.id), "p_character": {"name": "x"}, "p_card": {}}
        with stack.data_api(user) as client:
            assert client.post("/rpc/import_character", json=body).status_code == 403


class TestGreeting:
    def test_opens_the_conversation_without_a_model(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = met(stack, user, "cook_v3")
        asked: dict[str, Any] = {
            "conversation_id": str(conversation),
            "kickoff": True,
            "client_message_id": "one",
        }

        body = stack.chat(user, **asked).json()
        again = stack.chat(user, **asked).json()

        opening = (
            "Hold this ladle, Ada, and do not let it touch the deck. "
            "*Bram squints at the pot.* She knows when she is neglected."
        )
        assert body["response"] == opening
        assert (body["model_used"], body["usedFallback"]) == ("card:greeting", False)
        assert (body["finish_reason"], body["incomplete"], body["saved"]) == ("stop", False, True)
        assert body["message_id"]
        assert {**again, "request_id": ""} == {**body, "request_id": ""}
        assert stack.said(conversation) == [("character", opening)]
        assert stack.upstream.calls == []
        assert stack.all("select id from usage_events") == []
        turn = stack.one("select status, model_used, error_code from turns")
        assert turn == {"status": "complete", "model_used": "card:greeting", "error_code": None}

    def test_greeting_is_streamed_as_one_delta(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = met(stack, user, "cook_v3")

        start, delta, done = stack.stream(user, conversation_id=str(conversation), kickoff=True)

        assert (start.name, delta.name, done.name) == ("start", "delta", "done")
        assert start.data["model_used"] == "card:greeting"
        assert delta.data["text"] == done.data["response"]

    def test_another_may_be_chosen_and_changed(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = met(stack, user, "detective_v2")
        asked = {"conversation_id": str(conversation)}

        first = stack.chat(user, kickoff=True, greeting=1, **asked).json()
        second = stack.chat(user, action="regenerate", greeting=2, **asked).json()

        assert "The crate is gone, Ada." in first["response"]
        assert stack.said(conversation) == [("character", second["response"])]
        assert second["response"].startswith("*The telephone rings twice.*")

    def test_one_that_is_not_there_is_refused_and_the_turn_closed(self, stack: Stack) -> None:
        user = stack.user()
        conversation = met(stack, user, "cook_v3")
        asked: dict[str, Any] = {"conversation_id": str(conversation), "kickoff": True}

        answer = stack.chat(user, greeting=7, **asked)

        assert "0, 1" in refused(answer, 400, "greeting_not_found")
        turn = stack.one("select status, error_code from turns")
        assert turn == {"status": "failed", "error_code": "greeting_not_found"}
        assert stack.chat(user, **asked).status_code == 200

    def test_greeting_is_history_for_the_model(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = met(stack, user, "cook_v3")
        stack.chat(user, conversation_id=str(conversation), kickoff=True)
        stack.upstream.enqueue(text("Ha!"))

        stack.chat(user, conversation_id=str(conversation), message="Aye.")

        messages = stack.upstream.calls[-1].json["messages"]
        assert [m["role"] for m in messages] == ["system", "assistant", "user"]
        assert messages[1]["content"].startswith("Hold this ladle, Ada")


class TestDepthPrompt:
    @pytest.mark.installations
    def test_reaches_the_model_at_its_depth(self, stack: Stack) -> None:
        user = stack.user("Ada")
        original = card("cook_v3")
        note = {"prompt": "{{char}} is tired of {{user}}.", "depth": 2, "role": "system"}
        original["data"]["extensions"]["depth_prompt"] = note
        character = import_card(stack, user, card=original)["character_id"]
        talk = stack.conversation(user, "One", "Two", character_id=character)
        stack.upstream.enqueue(text("Aye."))

        stack.chat(user, conversation_id=str(talk), message="Three")

        messages = stack.upstream.calls[-1].json["messages"]
        assert [(m["role"], m["content"]) for m in messages[1:]] == [
            ("user", "One"),
            ("system", "Bram is tired of Ada."),
            ("assistant", "Two"),
            ("user", "Three"),
        ]


class TestLorebook:
    def test_entries_reach_the_model_when_they_are_talked_of(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = met(stack, user, "detective_v2")
        stack.upstream.enqueue(text("Le Goff."), text("Yes?"))

        stack.chat(user, conversation_id=str(conversation), message="Who signed for the crate?")
        system = stack.upstream.calls[-1].json["messages"][0]["content"]

        assert "Captain Le Goff signed for it." in system
        assert "Captain Le Goff limps when he lies." in system
        assert system.index("It is 1954.") < system.index("is a private detective")
        assert "switched off" not in system

    def test_entries_without_a_match_stay_out_of_the_prompt(self, stack: Stack) -> None:
        user = stack.user("Ada")
        conversation = met(stack, user, "detective_v2")
        stack.upstream.enqueue(text("Good evening."))

        stack.chat(user, conversation_id=str(conversation), message="Hello.")

        assert "Le Goff" not in stack.upstream.calls[-1].json["messages"][0]["content"]

    def test_begin_turn_has_what_a_turn_needs_and_not_the_card(self, stack: Stack) -> None:
        user = stack.user()
        character = import_card(stack, user, card=card("cook_v3"))["character_id"]
        row = stack.one(
            "select private.character_facts(c) as facts from characters c where id = %s", character
        )
        facts = row["facts"]
        assert facts["nickname"] == "Bram"
        assert facts["greetings"][0].startswith("Hold this ladle")
        assert len(facts["greetings"]) == 2
        assert facts["character_book"] == card("cook_v3")["data"]["character_book"]
        unneeded = {"first_message", "alternate_greetings", "user_id", "talkativeness"}
        assert not facts.keys() & unneeded
        none = stack.one("select private.character_facts(null::characters) as facts")
        assert none == {"facts": None}
