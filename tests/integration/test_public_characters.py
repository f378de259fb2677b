"""The catalogue of public characters, reports, blocked authors, and take-downs by admins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.answers import text
from tests.support.public_characters import admin, block, call, public, report, take_down
from tests.support.stack import Stack, User

pytestmark = pytest.mark.installations
ADULT: dict[str, Any] = {"content_rating": "nsfw", "age": 30}


def dated(stack: Stack, character: UUID, when: str) -> None:
    query = f"update public.characters set created_at = {when} where id = %s"  # noqa: S608
    stack.db.execute(query.encode(), (character,))


def catalogue(stack: Stack, user: User, **asked: Any) -> list[str]:
    """The names on one page."""
    answer = call(stack, user, "search_catalogue", **asked)
    assert answer.is_success, answer.text
    return [one["name"] for one in answer.json()["characters"]]


def restore(stack: Stack, user: User, character: UUID) -> httpx.Response:
    return call(
        stack, user, "restore_character", p_character_id=str(character), p_reason="A mistake."
    )


def undo(stack: Stack, user: User, character: UUID) -> int:
    asked = {"p_character_id": str(character), "p_reason": "Taken back."}
    return call(stack, user, "undo_take_down", **asked).status_code


def open_reports(stack: Stack, character: UUID) -> list[str]:
    query = "select details from character_reports where character_id = %s and closed_at is null"
    return sorted(row["details"] for row in stack.all(query, character))


def say(stack: Stack, user: User, conversation: UUID, **body: Any) -> tuple[int, str]:
    answer = stack.chat(user, conversation_id=str(conversation), message="Hello", **body)
    return answer.status_code, answer.json().get("code", "")


def own_conversation(stack: Stack, user: User) -> UUID:
    """With a private character of the person's own."""
    mina = stack.insert("characters", user_id=user.id, name="Mina")
    return stack.conversation(user, character_id=mina)


@pytest.fixture(autouse=True)
def empty(stack: Stack) -> None:
    """Only the characters of the test are in the catalogue, and every model answers."""
    stack.db.execute("update public.characters set is_public = false where is_public")
    stack.upstream.always(text("Yes."))


class TestCatalogue:
    def test_has_public_characters_alone(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        public(stack, author)
        stack.insert("characters", user_id=author.id, name="Hidden")
        stack.insert("characters", user_id=user.id, name="Own and hidden")
        assert catalogue(stack, user) == ["Vera"]

    def test_adult_ones_are_for_those_whose_age_is_verified(self, stack: Stack) -> None:
        public(stack, stack.user(), **ADULT)
        assert catalogue(stack, stack.user()) == []
        assert catalogue(stack, stack.user(age_verified=True)) == ["Vera"]

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("vera", True),
            ("VERA  keeper", True),
            ("light", True),
            ("harbour", True),
            ("vera dragon", False),
            ("100%", False),
            ("_", False),
            ("\\", False),
            ("", True),
            ("   ", True),
            ("Ｖｅｒａ", True),
            ("!?", False),
        ],
    )
    def test_is_searched_by_name_description_and_tags(
        self, stack: Stack, search: str, found: bool
    ) -> None:
        author = stack.user()
        vera = public(stack, author, description="A lighthouse keeper.")
        with stack.data_api(author) as api:
            row = {"character_id": str(vera), "tag": "Harbour"}
            assert api.post("/character_tags", json=row).is_success
        assert bool(catalogue(stack, stack.user(), p_search=search)) is found

    def test_is_searched_in_scripts_without_spaces(self, stack: Stack) -> None:
        public(stack, stack.user(), "灯台守", description="北の海に住む。")
        assert catalogue(stack, stack.user(), p_search="北の海") == ["灯台守"]

    def test_all_tags_that_are_asked_for_are_there(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        for name, tags in {"Vera": ["sea", "kind"], "Mina": ["sea"]}.items():
            character = public(stack, author, name)
            for tag in tags:
                stack.db.execute(
                    "insert into character_tags (character_id, tag) values (%s, %s)",
                    (character, tag),
                )
        assert catalogue(stack, user, p_tags=["sea"]) == ["Mina", "Vera"]
        assert catalogue(stack, user, p_tags=["Sea", "KIND"]) == ["Vera"]
        tags = call(stack, user, "catalogue_tags").json()
        assert tags == [{"tag": "sea", "characters": 2}, {"tag": "kind", "characters": 1}]

    def test_pages_have_each_character_once(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        for number in range(7):
            # Three at the same moment each.
            dated(
                stack,
                public(stack, author, f"{number}"),
                f"'2026-01-01'::timestamptz + interval '{number // 3} days'",
            )
        seen: list[str] = []
        after: dict[str, str] | None = None
        for _ in range(4):
            page = call(stack, user, "search_catalogue", p_after=after, p_limit=2).json()
            seen += [one["name"] for one in page["characters"]]
            after = page["next"]
        assert sorted(seen) == list("0123456")
        assert seen[0] == "6"
        assert after is None

    def test_page_looks_at_a_bounded_number(self, stack: Stack) -> None:
        """What is rare is found on a later page."""
        author, user = stack.user(), stack.user()
        rare = public(stack, author, "Quince")
        dated(stack, rare, "'2020-01-01'")
        stack.db.execute(
            "insert into public.characters (user_id, name, description, is_public)"
            " select %s, 'Vera', '', true from generate_series(1, 2000)",
            (author.id,),
        )
        first = call(stack, user, "search_catalogue", p_search="quince").json()
        assert first["characters"] == []
        second = call(stack, user, "search_catalogue", p_search="quince", p_after=first["next"])
        assert [one["name"] for one in second.json()["characters"]] == ["Quince"]
        assert second.json()["next"] is None

    def test_odd_questions_get_a_page_or_a_sentence(self, stack: Stack) -> None:
        user = stack.user()
        public(stack, stack.user())
        assert catalogue(stack, user, p_limit=-5) == ["Vera"]
        assert catalogue(stack, user, p_limit=None, p_search=None, p_tags=None) == ["Vera"]
        assert catalogue(stack, user, p_search="v " * 50_000) == ["Vera"]
        assert catalogue(stack, user, p_tags=["x" * 10_000] * 1_000) == []
        odd = call(stack, user, "search_catalogue", p_after={"created_at": "x", "id": "y"})
        assert odd.status_code == 400

    def test_is_for_those_who_are_signed_in(self, stack: Stack) -> None:
        public(stack, stack.user())
        for function in ("search_catalogue", "catalogue_tags"):
            assert call(stack, None, function).status_code == 401

    def test_one_dated_in_the_future_does_not_lead_it(self, stack: Stack) -> None:
        dated(stack, public(stack, stack.user()), "'infinity'")
        assert catalogue(stack, stack.user()) == []


class TestTags:
    def test_are_those_of_ones_own_characters(self, stack: Stack) -> None:
        author, other = stack.user(), stack.user()
        row = {"character_id": str(public(stack, author)), "tag": "  Old \n Harbour "}
        with stack.data_api(other) as api:
            assert api.post("/character_tags", json=row).status_code == 403
        with stack.data_api(author) as api:
            assert api.post("/character_tags", json=row).is_success
            assert [one["tag"] for one in api.get("/character_tags").json()] == ["old harbour"]
            assert api.post("/character_tags", json=row).status_code == 409
            for tag in ("", "  ", "x" * 41):
                assert api.post("/character_tags", json=row | {"tag": tag}).status_code == 400

    def test_are_at_most_twenty(self, stack: Stack) -> None:
        author = stack.user()
        vera = str(public(stack, author))
        rows = [{"character_id": vera, "tag": f"tag {number}"} for number in range(21)]
        with stack.data_api(author) as api:
            assert api.post("/character_tags", json=rows[:20]).is_success
            answer = api.post("/character_tags", json=rows[20])
        assert (answer.status_code, answer.json()["code"]) == (409, "PT409")

    @pytest.mark.parametrize(
        ("tags", "kept"),
        [
            (["Sea", "sea ", "Kind", 5, None, {}, "x" * 41, " "], ["kind", "sea"]),
            ([f"t{number:02}" for number in range(90)], [f"t{number:02}" for number in range(20)]),
            ("sea", []),
            (None, []),
        ],
    )
    def test_come_with_an_imported_card(self, stack: Stack, tags: Any, kept: list[str]) -> None:
        user = stack.user()
        data = {"name": "Mina", "description": "A smith.", "tags": tags}
        card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
        answer = stack.chat(user, action="import_card", card=card)
        assert answer.status_code == 200, answer.text
        rows = stack.all(
            "select tag from character_tags where character_id = %s order by tag",
            answer.json()["character_id"],
        )
        assert [row["tag"] for row in rows] == kept


class TestReports:
    def test_are_in_the_queue_of_admins(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        vera = public(stack, author, description="A lighthouse keeper.")
        assert report(stack, user, vera, "copyright", p_details=" It is mine. ").is_success
        assert report(stack, stack.user(), vera, "spam").is_success
        with stack.data_api(admin(stack)) as api:
            (row,) = api.get("/report_queue").json()
        assert (row["name"], row["open_reports"]) == ("Vera", 2)
        assert row["texts"]["description"] == "A lighthouse keeper."
        assert [one["reason"] for one in row["reports"]] == ["spam", "copyright"]
        assert row["reports"][1]["details"] == "It is mine."
        with stack.data_api(author) as api:
            assert api.get("/report_queue").json() == []
            assert api.get("/character_reports", params={"select": "id"}).json() == []

    def test_texts_are_not_read_once_the_author_made_it_private(self, stack: Stack) -> None:
        vera = public(stack, stack.user(), description="A lighthouse keeper.")
        report(stack, stack.user(), vera)
        stack.db.execute("update public.characters set is_public = false where id = %s", (vera,))
        with stack.data_api(admin(stack)) as api:
            (row,) = api.get("/report_queue").json()
        assert (row["is_public"], row["texts"]) == (False, None)

    def test_one_person_has_one_open_report(self, stack: Stack) -> None:
        user, vera = stack.user(), public(stack, stack.user())
        first = report(stack, user, vera, "spam").json()
        assert report(stack, user, vera, "hate").json() == first
        rows = stack.all("select reason, outcome from character_reports")
        assert rows == [{"reason": "hate", "outcome": None}]

    def test_are_limited_per_day(self, stack: Stack) -> None:
        stack.configure(limits={"default": {"reports_per_day": 1}})
        user, vera = stack.user(), public(stack, stack.user())
        assert report(stack, user, vera).is_success
        answer = report(stack, user, vera)
        assert (answer.status_code, answer.json()["details"]) == (429, "reports_per_day")

    @pytest.mark.parametrize(
        "asked",
        [{"p_reason": "dull"}, {"p_reason": None}, {"p_details": "x" * 1001}],
    )
    def test_odd_ones_are_refused_with_a_sentence(
        self, stack: Stack, asked: dict[str, Any]
    ) -> None:
        vera = {"p_character_id": str(public(stack, stack.user())), "p_reason": "spam"}
        answer = call(stack, stack.user(), "report_character", **vera | asked)
        assert (answer.status_code, answer.json()["code"]) == (400, "PT400")

    def test_are_of_public_characters_of_others(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        private = stack.insert("characters", user_id=author.id, name="Mina")
        for person, character in ((user, private), (author, public(stack, author))):
            answer = report(stack, person, character)
            assert (answer.status_code, answer.json()["code"]) == (404, "PT404")

    def test_of_a_banned_account_are_refused(self, stack: Stack) -> None:
        user, vera = stack.user(), public(stack, stack.user())
        stack.db.execute(
            "update auth.users set banned_until = 'infinity' where id = %s", (user.id,)
        )
        assert report(stack, user, vera).status_code == 403
        assert block(stack, user, vera).status_code == 403

    def test_dismissed_they_leave_the_queue_and_the_person_reads_so(self, stack: Stack) -> None:
        user, vera, boss = stack.user(), public(stack, stack.user()), admin(stack)
        report(stack, user, vera)
        asked = {"p_character_id": str(vera), "p_reason": "It is fine."}
        assert call(stack, boss, "dismiss_reports", **asked).json() == 1
        with stack.data_api(boss) as api:
            assert api.get("/report_queue").json() == []
        with stack.data_api(user) as api:
            ask = {"select": "reason,outcome"}
            (row,) = api.get("/character_reports", params=ask).json()
            assert api.get("/character_reports", params={"select": "closed_by"}).is_error
        assert row == {"reason": "spam", "outcome": "dismissed"}
        kept = stack.one("select closed_by, closed_reason from character_reports")
        assert kept == {"closed_by": boss.id, "closed_reason": "It is fine."}
        assert catalogue(stack, user) == ["Vera"]

    def test_that_came_after_the_queue_was_read_stay_in_it(self, stack: Stack) -> None:
        vera, boss = public(stack, stack.user()), admin(stack)
        report(stack, stack.user(), vera, p_details="Seen.")
        with stack.data_api(boss) as api:
            (row,) = api.get("/report_queue").json()
        report(stack, stack.user(), vera, p_details="Unseen.")
        asked = {"p_character_id": str(vera), "p_reason": "It is fine."}
        seen = {"p_newest_at": row["newest_at"]}
        assert call(stack, boss, "dismiss_reports", **asked, **seen).json() == 1
        assert open_reports(stack, vera) == ["Unseen."]


class TestBlockedAuthors:
    def test_are_in_nobodys_catalogue_but_others(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        vera = public(stack, author)
        public(stack, author, "Mina")
        assert block(stack, user, vera).json() == str(author.id)
        assert block(stack, user, vera).is_success
        assert catalogue(stack, user) == []
        assert call(stack, user, "catalogue_tags").json() == []
        assert catalogue(stack, stack.user()) == ["Mina", "Vera"]
        with stack.data_api(user) as api:
            (row,) = api.get("/blocked_authors").json()
            assert row["character_name"] == "Vera"
            assert api.delete(
                "/blocked_authors", params={"author_id": f"eq.{author.id}"}
            ).is_success
        assert catalogue(stack, user) == ["Mina", "Vera"]

    def test_their_characters_begin_no_conversation(self, stack: Stack) -> None:
        user, vera = stack.user(), public(stack, stack.user())
        before = stack.conversation(user, character_id=vera)
        block(stack, user, vera)
        after = stack.conversation(user, character_id=vera)
        assert say(stack, user, after) == (404, "character_not_found")
        assert say(stack, user, before)[0] == 200
        played = own_conversation(stack, user)
        answer = say(stack, user, played, user_character_id=str(vera))
        assert answer == (404, "persona_not_found")
        imported = stack.chat(user, action="import_chat", chat="", character_id=str(vera))
        assert imported.status_code != 200

    @pytest.mark.own_tables("its policy lets people choose any character: the turn refuses it")
    def test_the_data_api_refuses_the_conversation(self, stack: Stack) -> None:
        user, vera = stack.user(), public(stack, stack.user())
        block(stack, user, vera)
        row = {"user_id": str(user.id), "character_id": str(vera)}
        with stack.data_api(user) as api:
            assert api.post("/conversations", json=row).status_code == 403

    def test_characters_of_the_installation_have_none(self, stack: Stack) -> None:
        answer = block(stack, stack.user(), public(stack, None))
        assert (answer.status_code, answer.json()["code"]) == (409, "PT409")


class TestTakeDown:
    def test_is_for_admins_with_a_reason(self, stack: Stack) -> None:
        author = stack.user()
        vera, boss = public(stack, author), admin(stack)
        assert take_down(stack, author, vera).status_code == 403
        assert restore(stack, author, vera).status_code == 403
        for reason in ("", "  ", "x" * 1001):
            assert take_down(stack, boss, vera, reason).status_code == 400
        assert take_down(stack, boss, author.id).status_code == 404
        assert restore(stack, boss, vera).status_code == 404
        assert catalogue(stack, author) == ["Vera"]

    def test_taken_down_it_is_neither_listed_nor_answered(self, stack: Stack) -> None:
        author, user, boss = stack.user(), stack.user(), admin(stack)
        vera = public(stack, author)
        theirs = stack.conversation(user, character_id=vera)
        own = stack.conversation(author, character_id=vera)
        assert say(stack, user, theirs)[0] == 200
        assert take_down(stack, boss, vera).is_success
        assert take_down(stack, boss, vera).is_success

        for person, conversation in ((user, theirs), (author, own), (boss, None)):
            assert catalogue(stack, person) == []
            if conversation:
                assert say(stack, person, conversation) == (404, "character_not_found")
                again = stack.chat(person, conversation_id=str(conversation), action="regenerate")
                assert again.status_code == 404
            played = own_conversation(stack, person)
            answer = say(stack, person, played, user_character_id=str(vera))
            assert answer == (404, "persona_not_found")
        exported = stack.chat(user, action="export_card", character_id=str(vera))
        assert exported.status_code == 404

        assert restore(stack, boss, vera).is_success
        assert catalogue(stack, user) == ["Vera"]
        assert say(stack, user, theirs)[0] == 200

    @pytest.mark.own_tables("its policies are its own: docs/adopting.md")
    def test_the_data_api_shows_it_to_its_author_alone(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        vera = public(stack, author)
        take_down(stack, admin(stack), vera)
        its = {"id": f"eq.{vera}", "select": "name"}
        for person, shown in ((author, [{"name": "Vera"}]), (user, [])):
            with stack.data_api(person) as api:
                assert api.get("/characters", params=its).json() == shown
                row = {"user_id": str(person.id), "character_id": str(vera)}
                assert api.post("/conversations", json=row).status_code == 403

    def test_its_author_reads_why(self, stack: Stack) -> None:
        author, boss = stack.user(), admin(stack)
        vera = public(stack, author)
        take_down(stack, boss, vera, "It copies a film.")
        with stack.data_api(author) as api, stack.data_api(stack.user()) as other:
            (row,) = api.get("/own_take_downs").json()
            assert other.get("/own_take_downs").json() == []
            restore(stack, boss, vera)
            assert api.get("/own_take_downs").json() == []
        assert row["character_id"] == str(vera)
        assert row["reason"] == "It copies a film."
        assert "taken_down_by" not in row

    def test_is_recorded_with_who_when_and_why(self, stack: Stack) -> None:
        user, boss, second = stack.user(), admin(stack), admin(stack)
        vera = public(stack, stack.user())
        report(stack, user, vera)
        assert take_down(stack, boss, vera, "Spam.").json() == 1
        restore(stack, second, vera)
        take_down(stack, second, vera, "Spam again.")
        stack.db.execute("delete from public.characters where id = %s", (vera,))
        with stack.data_api(boss) as api:
            rows = api.get("/character_take_downs", params={"order": "taken_down_at"}).json()
        first, last = rows
        assert (first["taken_down_by"], first["restored_by"]) == (str(boss.id), str(second.id))
        assert (first["reason"], first["restored_reason"]) == ("Spam.", "A mistake.")
        assert (last["reason"], last["restored_at"]) == ("Spam again.", None)
        assert last["character_name"] == "Vera"

    def test_undone_it_opens_the_reports_that_it_closed(self, stack: Stack) -> None:
        early, late, boss = stack.user(), stack.user(), admin(stack)
        vera = public(stack, stack.user())
        report(stack, early, vera, p_details="Dismissed.")
        asked = {"p_character_id": str(vera), "p_reason": "Nothing is wrong."}
        assert call(stack, boss, "dismiss_reports", **asked).json() == 1
        report(stack, early, vera, p_details="Decided.")
        assert take_down(stack, boss, vera).json() == 1
        assert restore(stack, boss, vera).is_success  # a decision of its own
        assert open_reports(stack, vera) == []
        assert undo(stack, boss, vera) == 404

        report(stack, early, vera, p_details="Early.")
        report(stack, late, vera, p_details="Late.")
        assert take_down(stack, boss, vera).json() == 2
        assert open_reports(stack, vera) == []
        report(stack, late, vera, p_details="Later.")
        assert undo(stack, boss, vera) == 204
        assert catalogue(stack, early) == ["Vera"]
        assert open_reports(stack, vera) == ["Early.", "Later."]
        assert undo(stack, boss, vera) == 404

    def test_of_another_admin_is_not_undone(self, stack: Stack) -> None:
        early, late, boss, second = stack.user(), stack.user(), admin(stack), admin(stack)
        vera = public(stack, stack.user())
        report(stack, early, vera, p_details="Early.")
        assert take_down(stack, boss, vera).json() == 1
        assert undo(stack, second, vera) == 404
        assert undo(stack, early, vera) == 403
        report(stack, late, vera, p_details="Late.")
        assert take_down(stack, second, vera).json() == 1
        assert undo(stack, second, vera) == 204  # of their own call, which closed one report
        assert open_reports(stack, vera) == ["Late."]
        assert catalogue(stack, early) == []
        assert undo(stack, boss, vera) == 204
        assert open_reports(stack, vera) == ["Early.", "Late."]
        assert catalogue(stack, early) == ["Vera"]

    def test_others_in_the_conversation_go_on(self, stack: Stack) -> None:
        author, user = stack.user(), stack.user()
        vera, mina = public(stack, author), public(stack, author, "Mina")
        conversation = stack.conversation(user, character_id=vera)
        stack.db.execute(
            "insert into conversation_characters (conversation_id, character_id, position)"
            " values (%s, %s, 0)",
            (conversation, mina),
        )
        take_down(stack, admin(stack), vera)
        answer = stack.chat(user, conversation_id=str(conversation), message="Hello")
        assert answer.json()["character_id"] == str(mina)
        assert "Vera" not in str(stack.upstream.calls[-1].json)
