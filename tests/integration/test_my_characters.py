"""People make, change and delete their own characters, in any installation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import text
from tests.support.stack import Stack, User

pytestmark = pytest.mark.installations

REPRESENTATION = {"Prefer": "return=representation"}
TEXTS = {
    "description": "A smith.",
    "personality": "Dry.",
    "scenario": "A forge.",
    "first_message": "Mind the sparks.",
    "example_messages": "{{char}}: No.",
    "system_prompt": "You are {{char}}.",
    "post_history_instructions": "Be brief.",
    "depth_prompt": "It rains.",
}
OTHERS = {
    "nickname": "V",
    "alternate_greetings": ["Come in.", "Go away."],
    "group_only_greetings": ["All of you?"],
    "depth_prompt_depth": 2,
    "depth_prompt_role": "user",
    "talkativeness": 0.75,
    "pronouns": "she/her",
    "age": 41,
    "content_rating": "nsfw",
    "is_public": True,
    "character_book": {"entries": [{"keys": ["iron"], "content": "Iron is dear."}]},
}
EVERYTHING = TEXTS | OTHERS


def made(api: httpx.Client, **columns: Any) -> str:
    row = {"name": "Vera"} | columns
    answer = api.post("/my_characters", json=row, headers=REPRESENTATION)
    assert answer.status_code == 201, answer.text
    return str(answer.json()[0]["id"])


def change(api: httpx.Client, character: str, **columns: Any) -> httpx.Response:
    return api.patch("/my_characters", params={"id": f"eq.{character}"}, json=columns)


def read(api: httpx.Client, character: str) -> dict[str, Any]:
    (row,) = api.get("/my_characters", params={"id": f"eq.{character}"}).json()
    return dict(row)


def test_everything_that_is_given_is_kept(api: httpx.Client) -> None:
    row = read(api, made(api, **EVERYTHING))
    assert {name: row[name] for name in EVERYTHING} == EVERYTHING


def test_a_name_is_enough(api: httpx.Client) -> None:
    row = read(api, made(api))
    assert row["name"] == "Vera"
    assert {row[name] for name in TEXTS} == {""}
    assert (row["is_public"], row["content_rating"], row["age"]) == (False, "sfw", None)


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_can_be_changed_alone(api: httpx.Client, name: str) -> None:
    vera = made(api)
    before = read(api, vera)
    assert change(api, vera, **{name: EVERYTHING[name]}).is_success
    after = read(api, vera)
    assert after.pop(name) == EVERYTHING[name]
    assert {key: before[key] for key in after if key != "updated_at"} == {
        key: after[key] for key in after if key != "updated_at"
    }


@pytest.mark.parametrize("name", TEXTS)
def test_texts_can_be_emptied(api: httpx.Client, name: str) -> None:
    vera = made(api, **EVERYTHING)
    assert change(api, vera, **{name: ""}).is_success
    assert read(api, vera)[name] == ""


def test_the_next_turn_has_what_was_changed(stack: Stack, ann: User, api: httpx.Client) -> None:
    vera = made(api, description="A smith.")
    here = str(stack.conversation(ann, character_id=vera))
    assert change(api, vera, description="A cooper.", name="Wera").is_success
    stack.upstream.enqueue(text("Yes."))
    assert stack.chat(ann, conversation_id=here, message="Hello").status_code == 200
    prompt = str(stack.upstream.calls[-1].json["messages"])
    assert "A cooper." in prompt
    assert "A smith." not in prompt
    assert "Wera" in prompt


def test_texts_are_screened_by_the_turns_that_use_them(
    stack: Stack, ann: User, api: httpx.Client
) -> None:
    vera = made(api, scenario="She is 12 years old. A sexual scene.")
    here = str(stack.conversation(ann, character_id=vera))
    answer = stack.chat(ann, conversation_id=here, message="Hello")
    assert answer.status_code == 403
    assert stack.upstream.calls == []


def test_one_without_conversations_is_deleted(api: httpx.Client) -> None:
    vera, mina = made(api, **EVERYTHING), made(api, name="Mina")
    assert api.delete("/my_characters", params={"id": f"eq.{vera}"}).is_success
    assert [row["id"] for row in api.get("/my_characters").json()] == [mina]


def test_one_with_conversations_is_deleted_or_it_says_why_not(
    stack: Stack, ann: User, api: httpx.Client
) -> None:
    vera = made(api)
    here = stack.conversation(ann, "Hello", character_id=vera)
    answer = api.delete("/my_characters", params={"id": f"eq.{vera}"})
    if stack.is_adopted:
        assert (answer.status_code, answer.json()["code"]) == (409, "PT409")
        assert read(api, vera)["name"] == "Vera"
    else:
        assert answer.is_success
    assert stack.said(here) == [("user", "Hello")]


@pytest.mark.parametrize(
    "row",
    [
        *({"name": ""}, {"name": "  "}, {"name": None}, {"name": "x" * 121}),
        *({"description": "x" * 20_001}, {"first_message": "x" * 20_001}),
        *({"content_rating": "x"}, {"age": -1}, {"talkativeness": 2}, {"depth_prompt_role": "x"}),
        *({"alternate_greetings": ["x"] * 65}, {"character_book": []}, {"nickname": "x" * 121}),
        *({"user_id": "00000000-0000-0000-0000-000000000000"}, {"created_at": "2020-01-01"}),
    ],
)
def test_what_no_character_has_is_refused(api: httpx.Client, row: dict[str, Any]) -> None:
    vera = made(api)
    before = read(api, vera)
    answer = api.post("/my_characters", json={"name": "Mina"} | row)
    assert answer.status_code in (400, 403)
    assert change(api, vera, **row).status_code in (400, 403)
    assert read(api, vera) == before
    assert len(api.get("/my_characters").json()) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("name", ""), ("name", "x" * 121), ("nickname", "x" * 121), ("pronouns", "x" * 41)),
        *((name, "x" * 20_001) for name in TEXTS),
        *(("age", -1), ("age", 1_000_001), ("talkativeness", 1.5), ("depth_prompt_depth", 1001)),
        *(("depth_prompt_role", "x"), ("content_rating", "x")),
        *(("alternate_greetings", ["x"] * 65), ("group_only_greetings", ["x"] * 65)),
    ],
)
def test_refusal_names_the_column(api: httpx.Client, column: str, value: Any) -> None:
    vera = made(api)
    for answer in (
        api.post("/my_characters", json={"name": "Mina"} | {column: value}),
        change(api, vera, **{column: value}),
    ):
        refusal = answer.json()
        assert (answer.status_code, refusal["code"], refusal["details"]) == (400, "PT400", column)
        assert refusal["message"].endswith(".")


def test_nobody_else_reads_or_writes_them(stack: Stack, ann: User, api: httpx.Client) -> None:
    vera = made(api, is_public=True)
    with stack.data_api(stack.user()) as other:
        assert other.get("/my_characters").json() == []
        change(other, vera, name="Theirs")
        other.delete("/my_characters", params={"id": f"eq.{vera}"})
    with stack.data_api() as nobody:
        assert nobody.get("/my_characters").status_code == 401
        assert nobody.post("/my_characters", json={"name": "x"}).status_code == 401
    assert read(api, vera)["name"] == "Vera"
    stack.db.execute("update auth.users set banned_until = 'infinity' where id = %s", (ann.id,))
    assert change(api, vera, name="Banned").status_code == 403
    assert api.post("/my_characters", json={"name": "x"}).status_code == 403
    assert api.delete("/my_characters", params={"id": f"eq.{vera}"}).status_code == 403


def test_they_are_listed_with_their_tags_and_found_by_one(ann: User, api: httpx.Client) -> None:
    """As the page asks for them."""
    vera, mina = made(api), made(api, name="Mina", content_rating="nsfw", is_public=True)
    for character, tag in ((vera, "iron"), (vera, "fire"), (mina, "fire")):
        row = {"character_id": character, "tag": tag}
        assert api.post("/character_tags", json=row).is_success
    columns = "id, user_id, name, content_rating, is_public, character_tags(tag)"
    ask = {"user_id": f"eq.{ann.id}", "order": "name,id"}
    listed = api.get("/characters", params=ask | {"select": columns}).json()
    assert [row["name"] for row in listed] == ["Mina", "Vera"]
    assert {row["tag"] for row in listed[1]["character_tags"]} == {"iron", "fire"}
    assert (listed[0]["content_rating"].lower(), listed[0]["is_public"]) == ("nsfw", True)
    narrowed = {"select": f"{columns}, chosen:character_tags!inner(tag)", "chosen.tag": "eq.iron"}
    (found,) = api.get("/characters", params=ask | narrowed).json()
    assert {row["tag"] for row in found["character_tags"]} == {"iron", "fire"}
    named = api.get("/characters", params=ask | {"select": columns, "name": "ilike.%INA%"}).json()
    assert [row["name"] for row in named] == ["Mina"]


def test_columns_that_a_product_lacks_are_refused_by_their_code(
    ann: User, api: httpx.Client
) -> None:
    """The page then asks for all columns."""
    made(api)
    ask = {"user_id": f"eq.{ann.id}", "select": "name, first_message, alternate_greetings, age"}
    answer = api.get("/characters", params=ask)
    assert answer.is_success or answer.json()["code"] == "42703"
    (row,) = api.get("/characters", params=ask | {"select": "*"}).json()
    assert row["name"] == "Vera"


def test_there_is_a_limit(stack: Stack, ann: User, api: httpx.Client) -> None:
    stack.configure(limits={"default": {"rows_per_minute": 2}})
    vera = made(api)
    made(api)
    assert api.post("/my_characters", json={"name": "x"}).status_code == 429
    stack.configure(limits={"default": {}})
    stack.db.execute(
        "insert into characters (user_id, name, description)"
        " select %s, 'x', 'x' from generate_series(1, 998)",
        (ann.id,),
    )
    answer = api.post("/my_characters", json={"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "PT409")
    assert change(api, vera, name="Wera").is_success
