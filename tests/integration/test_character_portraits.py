"""Pictures of characters: imported, kept in Storage, seen by those who may, exported, removed."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import png  # type: ignore[import-untyped]
import pytest
from PIL import Image

from roleplay_chat.cards import files
from roleplay_chat.cards.handlers import PICTURE_ELSEWHERE, PICTURE_LATER, PICTURE_NOT_KEPT
from roleplay_chat.portraits.redraw import UNREADABLE
from tests.conftest import DATABASE
from tests.support.cards import archive, card, picture, text_chunk
from tests.support.gateway import PUBLISHABLE_KEY
from tests.support.pictures import RED, corners, decoded, encoded, flag
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import Stack, User

BUCKET = "character-portraits"
FLAG = encoded(flag())
UPRIGHT = ["red", "red", "green", "blue"]
pytestmark = pytest.mark.installations


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def png_card(original: dict[str, Any], shown: bytes = FLAG) -> bytes:
    """A card in a picture."""
    *head, end = png.Reader(bytes=shown).chunks()
    chunk = text_chunk("chara", base64.b64encode(json.dumps(original).encode()))
    file = io.BytesIO()
    png.write_chunks(file, [*head, chunk, end])
    return file.getvalue()


def v3_with(uri: str) -> dict[str, Any]:
    """A V3 card whose main icon is at `uri`."""
    original = card("cook_v3")
    icon = {"type": "icon", "name": "main", "uri": uri, "ext": "png"}
    original["data"]["assets"] = [icon | {"name": "sad", "uri": "embeded://no"}, icon]
    return original


def import_card(stack: Stack, user: User, **body: Any) -> dict[str, Any]:
    answer = stack.chat(user, action="import_card", **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def with_picture(stack: Stack, user: User, **columns: Any) -> str:
    """A character with the flag as its picture."""
    imported = import_card(stack, user, card_base64=base64_of(png_card(card("detective_v2"))))
    assert imported["warnings"] == []
    for name, value in columns.items():
        change = f"update public.characters set {name} = %s where id = %s"  # noqa: S608
        stack.db.execute(change.encode(), [value, imported["character_id"]])
    return str(imported["character_id"])


def set_portrait(stack: Stack, user: User, character: str, raw: bytes) -> httpx.Response:
    body = {"character_id": character, "picture_base64": base64_of(raw)}
    return stack.chat(user, action="set_portrait", **body)


def portraits(stack: Stack) -> list[dict[str, Any]]:
    return stack.all("select * from public.character_portraits order by created_at")


def path_of(stack: Stack, character: str) -> str:
    query = "select path from public.character_portraits where character_id = %s"
    return str(stack.one(query, character)["path"])


def stored(stack: Stack) -> dict[str, bytes]:
    """The files in the bucket. Each has its row, and each row its file."""
    assert stack.gateway.storage
    found = stack.gateway.storage.files
    rows = stack.all("select bucket_id, name from storage.objects")
    assert {(row["bucket_id"], row["name"]) for row in rows} == set(found)
    return {name: raw for (bucket, name), raw in found.items() if bucket == BUCKET}


@contextmanager
def storage(stack: Stack, user: User | None) -> Iterator[httpx.Client]:
    """Storage as a browser of this person reaches it."""
    headers = user.headers if user else {"apikey": PUBLISHABLE_KEY}
    url = f"{stack.gateway.url}/storage/v1/object"
    with httpx.Client(headers=headers, base_url=url, trust_env=False) as client:
        yield client


def read(stack: Stack, user: User | None, path: str) -> bytes | str:
    """The file, or why not."""
    with storage(stack, user) as client:
        answer = client.get(f"/{BUCKET}/{path}")
    return answer.content if answer.is_success else str(answer.json()["error"])


def upload(
    stack: Stack, user: User | None, path: str, raw: bytes = FLAG, kind: str = "image/webp"
) -> str:
    with storage(stack, user) as client:
        sent = {"Content-Type": kind}
        return str(client.post(f"/{BUCKET}/{path}", content=raw, headers=sent).json().get("error"))


@pytest.fixture
def no_storage(stack: Stack, postgres: Postgres) -> Iterator[None]:
    """A project without the service."""
    with postgres.connect(DATABASE, OWNER) as owner:
        owner.execute("alter schema storage rename to elsewhere")
        yield
        owner.execute("alter schema elsewhere rename to storage")


class TestImport:
    def test_png_card_keeps_its_picture(self, stack: Stack) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        [(path, raw)] = stored(stack).items()
        assert path.startswith(f"{user.id}/{character}/")
        assert path == path_of(stack, character)
        shown = decoded(raw)
        assert (shown.format, shown.size, corners(shown)) == ("WEBP", (120, 180), UPRIGHT)

    def test_charx_card_keeps_its_main_icon(self, stack: Stack) -> None:
        original = v3_with("embeded://assets/icon/images/main.png")
        raw = archive({
            "card.json": json.dumps(original).encode(),
            "assets/icon/images/main.png": FLAG,
            "assets/icon/images/sad.png": picture(),
        })  # fmt: skip
        body = import_card(stack, stack.user(), card_base64=base64_of(raw))
        assert body["warnings"][0] == files.OTHERS_NOT_KEPT.format(count=1)
        assert [corners(decoded(found)) for found in stored(stack).values()] == [UPRIGHT]

    def test_charx_card_behind_a_picture_keeps_that(self, stack: Stack) -> None:
        original = card("cook_v3")
        original["data"].pop("assets", None)
        raw = encoded(flag(), "JPEG") + archive({"card.json": json.dumps(original).encode()})
        body = import_card(stack, stack.user(), card_base64=base64_of(raw))
        assert body["warnings"] == []
        assert [corners(decoded(found)) for found in stored(stack).values()] == [UPRIGHT]

    @pytest.mark.parametrize("as_file", [True, False])
    def test_json_card_keeps_the_picture_in_it(self, stack: Stack, as_file: bool) -> None:
        original = v3_with(f"data:image/png;base64,{base64_of(FLAG)}")
        encoded_card = base64_of(json.dumps(original).encode())
        body = {"card_base64": encoded_card} if as_file else {"card": original}
        import_card(stack, stack.user(), **body)
        assert [corners(decoded(found)) for found in stored(stack).values()] == [UPRIGHT]

    def test_character_of_agnai_keeps_its_avatar(self, stack: Stack) -> None:
        persona = {"kind": "text", "attributes": {"text": ["Ina rows the ferry."]}}
        original = {"kind": "character", "name": "Ina", "greeting": "Hm.", "persona": persona}
        original |= {"avatar": f"data:image/png;base64,{base64_of(FLAG)}"}
        import_card(stack, stack.user(), card=original)
        assert [corners(decoded(found)) for found in stored(stack).values()] == [UPRIGHT]

    def test_link_to_another_server_is_not_followed(self, stack: Stack) -> None:
        original = v3_with(f"{stack.upstream.url}/main.png")
        body = import_card(stack, stack.user(), card=original)
        assert PICTURE_ELSEWHERE in body["warnings"]
        assert stored(stack) == {}
        assert stack.upstream.calls == []

    @pytest.mark.parametrize(
        "uri",
        [
            "embeded://../main.png",
            "embeded://missing.png",
            "embeded://card.json",
            "__asset:0",
            "data:image/png;base64,",
            "ccdefault:",
            "file:///etc/passwd",
            "",
        ],
    )
    def test_icon_that_is_none_costs_the_picture_alone(self, stack: Stack, uri: str) -> None:
        raw = archive({"card.json": json.dumps(v3_with(uri)).encode()})
        body = import_card(stack, stack.user(), card_base64=base64_of(raw))
        assert (UNREADABLE in body["warnings"]) is (uri == "embeded://card.json")
        assert stored(stack) == {}

    @pytest.mark.parametrize(
        "uri", ["data:image/png,plain", "data:image/png;base64,A", "data:image/svg+xml,<svg/>"]
    )
    def test_data_that_is_no_picture_is_named(self, stack: Stack, uri: str) -> None:
        body = import_card(stack, stack.user(), card=v3_with(uri))
        assert UNREADABLE in body["warnings"]
        assert stored(stack) == {}

    def test_picture_that_cannot_be_read_costs_itself_alone(self, stack: Stack) -> None:
        shown = encoded(flag(400, 600))
        raw = png_card(card("detective_v2"), shown)
        at = raw.index(b"IDAT") + 60
        # Its chunks are whole, as the card is; its pixels are not.
        *head, data, end = png.Reader(bytes=shown).chunks()
        file = io.BytesIO()
        chunk = text_chunk("chara", base64.b64encode(json.dumps(card("detective_v2")).encode()))
        png.write_chunks(file, [*head, (data[0], data[1][:at]), chunk, end])
        body = import_card(stack, stack.user(), card_base64=base64_of(file.getvalue()))
        assert body["name"] == "Inès Marchetti"
        assert body["warnings"] == [UNREADABLE]
        assert portraits(stack) == []

    @pytest.mark.usefixtures("no_storage")
    def test_without_storage_the_card_alone_is_imported(self, stack: Stack) -> None:
        user = stack.user()
        raw = base64_of(png_card(card("detective_v2")))
        body = import_card(stack, user, card_base64=raw)
        assert body["warnings"] == [PICTURE_NOT_KEPT]
        answer = set_portrait(stack, user, body["character_id"], FLAG)
        assert (answer.status_code, answer.json()["code"]) == (409, "no_storage")
        assert portraits(stack) == []

    @pytest.mark.usefixtures("no_storage")
    def test_without_storage_a_picture_in_json_is_not_kept_in_the_card(self, stack: Stack) -> None:
        original = v3_with(f"data:image/png;base64,{base64_of(FLAG)}")
        body = import_card(stack, stack.user(), card=original)
        assert PICTURE_NOT_KEPT in body["warnings"]
        [row] = stack.all("select card::text as card from public.character_cards")
        assert base64_of(FLAG)[-40:] not in row["card"]

    @pytest.mark.parametrize("status", [500, 502, 413])
    def test_storage_that_fails_costs_the_picture_alone(self, stack: Stack, status: int) -> None:
        stack.gateway.fail(".webp", status=status)
        raw = base64_of(png_card(card("detective_v2")))
        body = import_card(stack, stack.user(), card_base64=raw)
        assert body["warnings"] == [PICTURE_LATER]
        assert portraits(stack) == []
        answer = set_portrait(
            stack, user_of(stack, body["character_id"]), body["character_id"], FLAG
        )
        assert answer.status_code == 200
        assert len(stored(stack)) == 1

    def test_card_that_is_refused_leaves_no_picture(self, stack: Stack) -> None:
        sly = card("detective_v2")
        sly["data"]["description"] = "She is 12 years old. A sexual scene."
        body = {"card_base64": base64_of(png_card(sly))}
        answer = stack.chat(stack.user(), action="import_card", **body)
        assert answer.status_code == 403
        assert stored(stack) == {}

    def test_upload_carries_the_persons_own_token(self, stack: Stack) -> None:
        """Row level security decides, and not the secret key."""
        user = stack.user()
        with_picture(stack, user)
        owner = stack.one("select owner_id from storage.objects")["owner_id"]
        assert owner == str(user.id)


def user_of(stack: Stack, character: str) -> User:
    row = stack.one("select user_id from public.characters where id = %s", character)
    return User(row["user_id"], "", stack.keys.token(row["user_id"]))


class TestWhoSeesIt:
    def test_private_one_is_for_its_owner_alone(self, stack: Stack) -> None:
        owner, stranger = stack.user(), stack.user(age_verified=True)
        character = with_picture(stack, owner)
        path = path_of(stack, character)
        assert isinstance(read(stack, owner, path), bytes)
        assert read(stack, stranger, path) == "not_found"
        assert read(stack, None, path) == "not_found"
        for user, count in ((owner, 1), (stranger, 0)):
            with stack.data_api(user) as client:
                assert len(client.get("/character_portraits").json()) == count

    def test_public_one_is_for_everybody_until_it_is_private_again(self, stack: Stack) -> None:
        owner, stranger = stack.user(), stack.user()
        character = with_picture(stack, owner, is_public=True)
        path = path_of(stack, character)
        assert read(stack, stranger, path) == read(stack, owner, path)
        assert read(stack, None, path) == "not_found"
        stack.db.execute(
            "update public.characters set is_public = false where id = %s", [character]
        )
        assert read(stack, stranger, path) == "not_found"

    def test_adult_one_is_for_people_of_verified_age(self, stack: Stack) -> None:
        character = with_picture(stack, stack.user(), is_public=True, content_rating="nsfw")
        path = path_of(stack, character)
        assert read(stack, stack.user(), path) == "not_found"
        assert isinstance(read(stack, stack.user(age_verified=True), path), bytes)

    def test_nobody_writes_what_was_not_drawn_anew(self, stack: Stack) -> None:
        """Not even its owner: a path is reserved by the function, which tells nobody before the
        picture is there."""
        owner, stranger = stack.user(), stack.user()
        character = with_picture(stack, owner, is_public=True)
        path = path_of(stack, character)
        for user in (owner, stranger, None):
            assert upload(stack, user, f"{owner.id}/{character}/{uuid4()}.webp") == "Unauthorized"
            assert upload(stack, user, path) in ("Duplicate", "Unauthorized")
            with storage(stack, user) as client:
                assert (
                    client.request("DELETE", f"/{BUCKET}", json={"prefixes": [path]}).json() == []
                )
        assert isinstance(read(stack, owner, path), bytes)

    def test_reserved_path_is_for_one_person_and_one_hour(self, stack: Stack) -> None:
        owner, stranger = stack.user(), stack.user()
        character = with_picture(stack, owner)
        query = "select public.reserve_portrait(%s, %s) ->> 'path' as path"
        path = stack.one(query, owner.id, character)["path"]
        assert upload(stack, stranger, path) == "Unauthorized"
        assert upload(stack, owner, path, kind="text/html") == "invalid_mime_type"
        assert upload(stack, owner, path, bytes(2**21 + 1)) == "Payload too large"
        stack.db.execute("update private.portraits_to_remove set due_at = now()")
        assert upload(stack, owner, path) == "Unauthorized"

    def test_buckets_of_others_are_not_opened(self, stack: Stack) -> None:
        owner = stack.user()
        character = with_picture(stack, owner)
        stack.db.execute("insert into storage.buckets (id, name) values ('theirs', 'theirs')")
        path = stack.one("select public.reserve_portrait(%s, %s) ->> 'path' as path",
                         owner.id, character)["path"]  # fmt: skip
        for name in (path, path_of(stack, character)):
            stack.db.execute(
                "insert into storage.objects (bucket_id, name) values ('theirs', %s)", [name]
            )
            with storage(stack, owner) as client:
                assert client.get(f"/theirs/{name}").json()["error"] == "not_found"

    def test_rows_are_written_by_the_function_alone(self, stack: Stack) -> None:
        owner = stack.user()
        character = with_picture(stack, owner)
        row = {"character_id": character, "path": "x"}
        with stack.data_api(owner) as client:
            assert client.post("/character_portraits", json=row).status_code == 403
            change = client.patch(f"/character_portraits?character_id=eq.{character}", json=row)
            assert change.status_code == 403
            for function in ("keep_portrait", "reserve_portrait", "portraits_to_remove"):
                assert client.post(f"/rpc/{function}", json={}).status_code in (403, 404)


class TestChanging:
    def test_new_picture_stands_in_for_the_old_one(self, stack: Stack) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        before = path_of(stack, character)
        turned = encoded(flag().rotate(180), "JPEG")
        answer = set_portrait(stack, user, character, turned)
        assert answer.status_code == 200, answer.text
        after = path_of(stack, character)
        assert answer.json()["path"] == after != before
        assert corners(decoded(stored(stack)[after]))[0] == "green"
        assert read(stack, user, before) == "not_found"
        assert stack.health_check().status_code == 200
        assert list(stored(stack)) == [after]

    def test_owner_takes_it_away(self, stack: Stack) -> None:
        user, stranger = stack.user(), stack.user()
        character = with_picture(stack, user, is_public=True)
        path = path_of(stack, character)
        for person in (stranger, user):
            assert len(portraits(stack)) == 1
            with stack.data_api(person) as client:
                client.delete(f"/character_portraits?character_id=eq.{character}")
        assert portraits(stack) == []
        assert read(stack, user, path) == "not_found"
        stack.health_check()
        assert stored(stack) == {}

    def test_character_of_another_is_not_found(self, stack: Stack) -> None:
        character = with_picture(stack, stack.user(), is_public=True)
        for missing in (character, str(uuid4())):
            answer = set_portrait(stack, stack.user(), missing, FLAG)
            assert (answer.status_code, answer.json()["code"]) == (404, "character_not_found")
        assert len(stored(stack)) == 1

    @pytest.mark.parametrize("sent", [b"hello", b""])
    def test_anything_else_than_a_picture_is_refused(self, stack: Stack, sent: bytes) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        answer = set_portrait(stack, user, character, sent)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_picture")
        assert len(stored(stack)) == 1

    @pytest.mark.parametrize("sent", [None, 5, ["x"], "ä", "x"])
    def test_value_that_is_no_base64_is_refused(self, stack: Stack, sent: Any) -> None:
        body = {"character_id": str(uuid4()), "picture_base64": sent}
        answer = stack.chat(stack.user(), action="set_portrait", **body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_picture")

    def test_limits_are_those_of_imports(self, stack: Stack) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        stack.configure(limits={"default": {"imports_per_minute": 1}})
        answer = set_portrait(stack, user, character, FLAG)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")

    def test_suspended_account_changes_nothing(self, stack: Stack) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        stack.db.execute(
            "update auth.users set banned_until = now() + interval '1 day' where id = %s", [user.id]
        )
        assert set_portrait(stack, user, character, FLAG).status_code == 403
        with stack.data_api(user) as client:
            gone = client.delete(f"/character_portraits?character_id=eq.{character}")
        assert gone.status_code == 403
        assert len(portraits(stack)) == 1


class TestNothingIsLeftOver:
    @pytest.mark.parametrize(
        "end",
        [
            "delete from public.characters where id = %(character)s",
            "delete from auth.users where id = %(user)s",
        ],
    )
    def test_picture_goes_with_its_character_and_its_person(self, stack: Stack, end: str) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        kept = with_picture(stack, stack.user())
        stack.db.execute("delete from public.conversations where user_id = %s", [user.id])
        stack.db.execute(end.encode(), {"character": character, "user": user.id})
        found = stack.health_check().json()
        assert list(stored(stack)) == [path_of(stack, kept)], found
        assert stack.all("select from private.portraits_to_remove") == []

    def test_upload_that_was_never_completed_is_removed_later(self, stack: Stack) -> None:
        user = stack.user()
        stack.gateway.fail("keep_portrait")
        raw = base64_of(png_card(card("detective_v2")))
        assert import_card(stack, user, card_base64=raw)["warnings"] == [PICTURE_LATER]
        assert len(stored(stack)) == 1
        stack.health_check()
        assert len(stored(stack)) == 1  # It might still be on its way.
        stack.db.execute("update private.portraits_to_remove set due_at = now()")
        stack.health_check()
        assert stored(stack) == {}

    def test_completion_whose_answer_is_lost_keeps_the_picture(self, stack: Stack) -> None:
        user = stack.user()
        stack.gateway.drop("keep_portrait", after=True)
        raw = base64_of(png_card(card("detective_v2")))
        character = import_card(stack, user, card_base64=raw)["character_id"]
        stack.db.execute("update private.portraits_to_remove set due_at = now()")
        stack.health_check()
        assert list(stored(stack)) == [path_of(stack, character)]

    def test_storage_that_fails_is_asked_again(self, stack: Stack) -> None:
        character = with_picture(stack, stack.user())
        stack.db.execute("delete from public.characters where id = %s", [character])
        stack.gateway.fail(f"/object/{BUCKET}")
        stack.health_check()
        assert len(stored(stack)) == 1
        stack.health_check()
        assert stored(stack) == {}

    def test_files_that_are_gone_already_are_no_matter(self, stack: Stack) -> None:
        stack.db.execute(
            "insert into private.portraits_to_remove (path)"
            " select 'x/' || n from generate_series(1, 250) n"
        )
        stack.health_check()
        assert stack.all("select from private.portraits_to_remove") == []

    def test_rows_of_storage_are_never_deleted_past_its_service(self, stack: Stack) -> None:
        """It would leave the files. Here, as there, a trigger forbids it."""
        with_picture(stack, stack.user())
        with pytest.raises(Exception, match="Use the Storage API"):
            stack.db.execute("delete from storage.objects")


class TestExport:
    def export(self, stack: Stack, user: User, character: str, file_format: str) -> dict[str, Any]:
        body = {"character_id": character, "format": file_format}
        answer = stack.chat(user, action="export_card", **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def file(self, stack: Stack, user: User, character: str, file_format: str) -> bytes:
        body = self.export(stack, user, character, file_format)
        assert body["warnings"] == []
        return base64.b64decode(body["card_base64"])

    def test_png_is_the_picture_with_the_card_in_it(self, stack: Stack) -> None:
        user = stack.user()
        raw = self.file(stack, user, with_picture(stack, user), "png")
        shown = decoded(raw)
        assert (shown.format, shown.size, corners(shown)) == ("PNG", (120, 180), UPRIGHT)
        texts = [body for kind, body in png.Reader(bytes=raw).chunks() if kind == b"tEXt"]
        assert [text.partition(b"\0")[0] for text in texts] == [b"ccv3", b"chara"]

    def test_charx_has_the_picture_where_its_card_says(self, stack: Stack) -> None:
        user = stack.user()
        raw = self.file(stack, user, with_picture(stack, user), "charx")
        with zipfile.ZipFile(io.BytesIO(raw)) as opened:
            data = json.loads(opened.read("card.json"))["data"]
            [icon] = data["assets"]
            assert (icon["type"], icon["name"], icon["ext"]) == ("icon", "main", "png")
            path = icon["uri"].removeprefix("embeded://")
            assert sorted(opened.namelist()) == sorted(["card.json", path])
            assert corners(decoded(opened.read(path))) == UPRIGHT

    def test_json_has_the_picture_in_it_where_the_card_had_one(self, stack: Stack) -> None:
        """Drawn anew: what a stranger exports has nobody's metadata."""
        exif = Image.Exif()
        exif[0x010E] = "52.3702N 4.8952E"
        sent = encoded(flag(), "PNG", exif=exif)
        assert b"52.3702N" in sent
        original = v3_with(f"data:image/png;base64,{base64_of(sent)}")
        owner = stack.user()
        character = import_card(stack, owner, card=original)["character_id"]
        stack.db.execute("update public.characters set is_public = true where id = %s", [character])
        found = self.export(stack, stack.user(), character, "json")["card"]
        [icon] = [asset for asset in found["data"]["assets"] if asset["name"] == "main"]
        shown = base64.b64decode(icon["uri"].partition(",")[2])
        assert corners(decoded(shown)) == UPRIGHT
        assert b"52.3702N" not in shown

    @pytest.mark.parametrize("kept", ["removed", "never stored"])
    @pytest.mark.parametrize("file_format", ["png", "charx", "json"])
    def test_stored_card_has_no_strangers_bytes(
        self, stack: Stack, file_format: str, kept: str
    ) -> None:
        """Whatever becomes of the picture, what was imported is not given out."""
        sent = base64_of(FLAG + b"52.3702N 4.8952E")
        if kept == "never stored":
            stack.gateway.fail(".webp", status=413)
        user = stack.user()
        original = v3_with(f"data:image/png;base64,{sent}")
        body = import_card(stack, user, card=original)
        assert (PICTURE_LATER in body["warnings"]) is (kept == "never stored")
        [row] = stack.all("select card::text as card from public.character_cards")
        assert sent[-40:] not in row["card"]
        with stack.data_api(user) as client:
            client.delete(f"/character_portraits?character_id=eq.{body['character_id']}")
        found = self.export(stack, user, body["character_id"], file_format)
        assert found["warnings"] == []
        if file_format == "json":
            [other] = found["card"]["data"]["assets"]
            assert other["name"] == "sad"
        else:
            card_in_it = files.read(base64.b64decode(found["card_base64"])).card
            assert "assets" not in card_in_it["data"]

    @pytest.mark.parametrize("file_format", ["png", "charx", "json"])
    def test_imported_again_it_is_the_same(self, stack: Stack, file_format: str) -> None:
        user = stack.user()
        uri = f"data:image/png;base64,{base64_of(FLAG)}"
        character = import_card(stack, user, card=v3_with(uri))["character_id"]
        body = self.export(stack, user, character, file_format)
        sent = {name: body[name] for name in ("card", "card_base64") if name in body}
        again = import_card(stack, user, **sent)["character_id"]
        paths = [path_of(stack, each) for each in (character, again)]
        one, other = (decoded(stored(stack)[path]) for path in paths)
        assert (one.size, corners(one)) == (other.size, corners(other))

    def test_picture_of_a_public_character_goes_along(self, stack: Stack) -> None:
        character = with_picture(stack, stack.user(), is_public=True)
        raw = self.file(stack, stack.user(), character, "png")
        assert corners(decoded(raw)) == UPRIGHT

    @pytest.mark.parametrize("lost", ["storage", "damaged"])
    def test_picture_that_cannot_be_read_costs_itself_alone(self, stack: Stack, lost: str) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        path = path_of(stack, character)
        if lost == "storage":
            stack.gateway.fail(".webp")
        else:
            assert stack.gateway.storage
            stack.gateway.storage.files[BUCKET, path] = b"damaged"
        body = self.export(stack, user, character, "png")
        assert len(body["warnings"]) == 1
        assert decoded(base64.b64decode(body["card_base64"])).size == (200, 300)

    def test_character_without_one_is_exported_as_before(self, stack: Stack) -> None:
        user = stack.user()
        character = import_card(stack, user, card=card("detective_v2"))["character_id"]
        stack.gateway.calls.clear()
        assert decoded(self.file(stack, user, character, "png")).size == (200, 300)
        assert self.export(stack, user, character, "json")["card"] == card("detective_v2")
        assert not [call for call in stack.gateway.calls if "storage" in call]


class TestInstallation:
    def test_bucket_is_private_and_bounded(self, stack: Stack) -> None:
        row = stack.one("select * from storage.buckets where id = %s", BUCKET)
        assert (row["public"], row["file_size_limit"]) == (False, 2**21)
        assert row["allowed_mime_types"] == ["image/webp"]

    def test_again_it_changes_nothing(self, stack: Stack) -> None:
        policies = "select * from pg_policies where schemaname = 'storage' order by policyname"
        before = stack.all(policies)
        assert stack.one("select private.install_portraits() as done") == {"done": True}
        assert stack.all(policies) == before
        assert len(before) == 2

    def test_bucket_of_somebody_else_is_not_used(self, stack: Stack) -> None:
        user = stack.user()
        character = with_picture(stack, user)
        stack.db.execute("update storage.buckets set public = true where id = %s", [BUCKET])
        assert stack.one("select private.install_portraits() as done") == {"done": False}
        answer = set_portrait(stack, user, character, FLAG)
        assert (answer.status_code, answer.json()["code"]) == (409, "no_storage")

    @pytest.mark.usefixtures("no_storage")
    def test_without_storage_nothing_is_made(self, stack: Stack) -> None:
        assert stack.one("select private.install_portraits() as done") == {"done": False}

    def test_storage_that_comes_later_is_used_once_the_operator_says_so(
        self, postgres: Postgres
    ) -> None:
        postgres.create("bare")
        with postgres.connect("bare", OWNER) as owner:
            owner.execute("alter schema storage rename to later")
        postgres.migrate("bare")
        with postgres.connect("bare", OWNER) as owner:
            owner.execute("alter schema later rename to storage")
        with postgres.connect("bare") as db:
            asked = "select private.has_portraits() as before, private.install_portraits() as done"
            assert db.execute(asked).fetchone() == {"before": False, "done": True}
            assert db.execute("select private.has_portraits() as now").fetchone() == {"now": True}


def test_colours_of_the_flag_are_told_apart() -> None:
    assert corners(flag()) == UPRIGHT
    assert corners(Image.new("RGB", (9, 9), RED)) == ["red"] * 4
