"""Search in one's own conversations: what is found, where, and how much is read for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.answers import text
from tests.support.plans import explained, scanned
from tests.support.postgres import OWNER, Postgres
from tests.support.stack import DEMO_CHARACTER, Stack, User

pytestmark = pytest.mark.installations

UPSERT = {"Prefer": "resolution=merge-duplicates"}


def search(api: httpx.Client, query: str, **more: Any) -> dict[str, Any]:
    answer = api.post("/rpc/search_conversations", json={"p_query": query} | more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def found(api: httpx.Client, query: str, **more: Any) -> list[dict[str, Any]]:
    return list(search(api, query, **more)["results"])


def shown(result: dict[str, Any]) -> str:
    """A snippet with its matches in brackets."""
    pieces = result["snippet"]
    return "".join(f"[{p['text']}]" if p["is_match"] else p["text"] for p in pieces)


SAID = {
    "word": ("The keeper keeps three lighthouses.", "lighthouse", "[lighthouses]"),
    "inflected": ("He was happy on the boats.", "happiness boat", "[happy]"),
    "capitals": ("THE KEY IS UNDER THE ANCHOR.", "the anchor", "[ANCHOR]"),
    "german": ("Meine Schwester hat zwei Hunde und eine Katze.", "Hund Katze", "[Hunde]"),
    "french": ("Ma sœur a deux chiens et une jument.", "chien", "[chiens]"),
    "russian": ("У моей сестры две собаки и кошка.", "собака", "[собаки]"),
    "japanese": ("私の妹は京都でバイオリンを直しています。", "バイオリン", "[バイオリン]"),
    "hiragana for katakana": ("妹はバイオリンを直します。", "ばいおりん", "[バイオリン]"),
    "katakana for hiragana": ("妹はらーめんを作る。", "ラーメン", "[らーめん]"),
    "chinese": ("我的妹妹在成都修理小提琴。", "成都", "[成都]"),
    "korean": ("제 여동생은 부산에서 바이올린을 고쳐요.", "바이올린", "[바이올린]"),
    "thai": ("น้องสาวของฉันซ่อมไวโอลินที่เชียงใหม่", "ไวโอลิน", "[ไวโอลิน]"),
    "hebrew": ("אחותי מתקנת כינורות בחיפה", "כינורות", "[כינורות]"),
    "two scripts": ("Imke is from 成都 and mends violins.", "成都 violin", "[成都]"),
    "a number": ("Berth 4711 is free, she says.", "4711", "[4711]"),
    "hyphens": ("A well-known sea-chest of hers.", "sea-chest", "[sea"),
    "a word of another language": ("The war is long over, and we forgot.", "war", "[war]"),
    "without its accents": ("Zoë mends violins in Uzès.", "zoe uzes", "[Zoë]"),
    "with accents of its own": ("Renee mends violins.", "renée", "[Renee]"),
    "accents of another language": ("Une soirée à Besançon.", "besancon", "[Besançon]"),
    "a letter without an accent": ("Łukasz mends violins.", "lukasz", "[Łukasz]"),
    "two letters for one": ("Jens Kjær mends violins.", "kjaer", "[Kjær]"),
    "letters of a fancy name": ("𝓣𝓸𝓵𝓿𝓪𝓷𝓮 mends violins.", "𝓣𝓸𝓵𝓿𝓪𝓷𝓮", "[𝓣𝓸𝓵𝓿𝓪𝓷𝓮]"),
    "wide letters": ("ＴＯＬＶＡＮＥ mends violins.", "tolvane violin", "[violins]"),
    "wide letters asked for": ("Tolvane mends violins.", "ＴＯＬＶＡＮＥ violin", "[violins]"),
    "letters in circles": ("Ⓣⓞⓛⓥⓐⓝⓔ mends violins.", "tolvane violin", "[violins]"),
    "an address": ("Write to imke@example.com about it.", "imke@example.com", "[imke@example.com]"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "query", "snippet"), SAID.values(), ids=SAID)
def test_a_message_is_found(
    stack: Stack, ann: User, api: httpx.Client, said: str, query: str, snippet: str
) -> None:
    here = stack.conversation(ann, "Good morning to you.", "Good morning.", said)
    stack.conversation(ann, "Something else entirely was said here.")
    (result,) = found(api, query)
    message = stack.one("select id, position from messages where content = %s", said)
    assert result["conversation_id"] == str(here)
    assert (result["message_id"], result["position"]) == (str(message["id"]), message["position"])
    assert result["sender"] == "user"
    assert result["title"] == "Good morning to you."
    assert snippet in shown(result)
    assert shown(result).replace("[", "").replace("]", "") == said


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ("\u200fTolvane\u200e keeps the \u2068key\u2069.", "tolvane key"),
        ("Tolvane keeps the key.", "\u202bTol\u00advane\u202c \ufeffkey"),
        ("ไวโอ\u200bลินอยู่ที่ไหน", "ไวโอลิน"),
        ("این کتاب\u200cها است", "کتابها"),
        ("این کتابها است", "کتاب\u200cها"),
    ],
)
def test_invisible_marks_hide_no_word(
    stack: Stack, ann: User, api: httpx.Client, said: str, query: str
) -> None:
    here = stack.conversation(ann, "Good morning to you.", "Good morning.", said)
    (result,) = found(api, query)
    assert result["conversation_id"] == str(here)


def test_all_words_are_wanted(stack: Stack, ann: User, api: httpx.Client) -> None:
    stack.conversation(ann, "The kettle sings.", "The harbour sleeps.")
    assert found(api, "kettle harbour") == []
    both = stack.conversation(ann, "The kettle of the harbour sings.")
    assert [row["conversation_id"] for row in found(api, "kettle harbour")] == [str(both)]


def test_letters_of_a_script_without_spaces_stand_together(
    stack: Stack, ann: User, api: httpx.Client
) -> None:
    stack.conversation(ann, "小提琴在成都。提琴小的")
    assert found(api, "小提琴在北京") == []
    assert found(api, "提琴小提") == []
    assert len(found(api, "小提琴在成都")) == 1


def test_replies_are_found_and_versions_that_are_not_shown_are_not(
    stack: Stack, ann: User, api: httpx.Client
) -> None:
    here = stack.conversation(ann)
    stack.upstream.enqueue(text("A cormorant."), text("A heron."))
    stack.chat(ann, conversation_id=str(here), message="Which bird is it?")
    stack.chat(ann, conversation_id=str(here), action="regenerate")
    assert found(api, "cormorant") == []
    (result,) = found(api, "heron")
    assert (result["sender"], shown(result)) == ("character", "A [heron].")


def test_titles_and_names_are_found(stack: Stack, ann: User, api: httpx.Client) -> None:
    here = stack.conversation(ann, "Good morning.")
    row = {"conversation_id": str(here), "title": "Der Leuchtturm"}
    api.post("/conversation_entries", json=row, headers=UPSERT)
    for query in ("leucht", "LEUCHTTURM der", "Mara"):
        (result,) = found(api, query)
        assert (result["conversation_id"], result["message_id"]) == (str(here), None)
        assert result["title"] == "Der Leuchtturm"


def test_titles_are_found_by_both_kinds_of_kana(stack: Stack, ann: User, api: httpx.Client) -> None:
    here = stack.conversation(ann, "Good morning.")
    row = {"conversation_id": str(here), "title": "ラーメンの話"}
    api.post("/conversation_entries", json=row, headers=UPSERT)
    assert [row["conversation_id"] for row in found(api, "らーめん")] == [str(here)]


def test_deleted_conversations_are_not_found(stack: Stack, ann: User, api: httpx.Client) -> None:
    here = stack.conversation(ann, "A cormorant is on the pier.")
    row = {"conversation_id": str(here), "title": "Birds", "is_deleted": True}
    api.post("/conversation_entries", json=row, headers=UPSERT)
    assert found(api, "cormorant") == found(api, "birds") == []
    row = {"conversation_id": str(here), "is_deleted": False}
    api.post("/conversation_entries", json=row, headers=UPSERT)
    assert len(found(api, "cormorant")) == len(found(api, "birds")) == 1


ODD = [
    *("", " ", "?", "the", "...", "%", "_", "\\", "(((", "[a", "*", "'", "\ue000", "灯", "🏴‍☠️"),
    *("a" * 10_000, "(a+)+$ (a+)+$", "\\m\\1", "x{1,99999}", "a|b", "a\u202eb"),
]  # fmt: skip


@pytest.mark.parametrize("query", ODD)
def test_odd_queries_do_no_harm(stack: Stack, ann: User, api: httpx.Client, query: str) -> None:
    stack.conversation(ann, "the <b>keeper</b> (a+)+$ %_\\ " + "a" * 5000)
    assert search(api, query)["next"] is None


def test_a_null_query_finds_nothing(api: httpx.Client) -> None:
    answer = api.post("/rpc/search_conversations", json={"p_query": None})
    assert answer.json() == {"results": [], "next": None}


def test_snippets_are_plain_text_around_the_match(
    stack: Stack, ann: User, api: httpx.Client
) -> None:
    said = "<img src=x> fog " * 100 + "<b>cormorant</b>\n\x07 & fog " + "fog " * 100
    stack.conversation(ann, said)
    (result,) = found(api, "cormorant")
    assert "<b>[cormorant]</b> & fog" in shown(result)
    assert shown(result).startswith("…")
    assert shown(result).endswith("…")
    assert len(shown(result)) < 170
    assert {type(piece["is_match"]) for piece in result["snippet"]} == {bool}


def test_pages_go_on_where_the_last_ended(stack: Stack, ann: User, api: httpx.Client) -> None:
    made = [str(stack.conversation(ann, "A cormorant.")) for _ in range(5)]
    stack.db.execute("update conversations set updated_at = now() where user_id = %s", (ann.id,))
    seen, before = [], None
    while True:
        answer = search(api, "cormorant", p_limit=2, p_before=before)
        seen += [row["conversation_id"] for row in answer["results"]]
        if (before := answer["next"]) is None:
            break
    assert sorted(seen) == sorted(made)


def test_of_one_conversation_the_newest_five(stack: Stack, ann: User, api: httpx.Client) -> None:
    stack.conversation(ann, *(f"Cormorant number {n}." for n in range(9)))
    assert [shown(row) for row in found(api, "cormorant")] == [
        f"[Cormorant] number {n}." for n in (8, 7, 6, 5, 4)
    ]


def test_nobody_finds_what_is_not_theirs(stack: Stack, ann: User, api: httpx.Client) -> None:
    stack.conversation(ann, "A cormorant.")
    with stack.data_api(stack.user()) as other:
        assert found(other, "cormorant") == []
    with stack.data_api() as nobody:
        answer = nobody.post("/rpc/search_conversations", json={"p_query": "cormorant"})
        assert answer.status_code == 401
    stack.db.execute("update auth.users set banned_until = 'infinity' where id = %s", (ann.id,))
    answer = api.post("/rpc/search_conversations", json={"p_query": "cormorant"})
    assert (answer.status_code, answer.json()["message"]) == (403, "This account is suspended.")


def said(stack: Stack, postgres: Postgres, here: UUID, messages: int, user: User) -> int:
    """The rows that a search reads after so many more messages with its words."""
    with postgres.connect("app", OWNER) as db:
        db.execute("set search_path = shared, public")
        db.execute(
            "insert into messages (conversation_id, sender, content)"
            " select %s, 'user', 'The kettle sings of the harbour, says ' || n"
            " from generate_series(1, %s) n",
            (here, messages),
        )
        db.execute("vacuum analyze")
        db.execute("select set_config('request.jwt.claim.sub', %s, false)", (str(user.id),))
        with explained(db) as plans:
            rows = db.execute("select search_conversations('heron') as found").fetchall()
        assert len(rows[0]["found"]["results"]) == 1
        return scanned(plans)


def test_a_long_conversation_is_not_read_as_a_whole(
    stack: Stack, ann: User, postgres: Postgres
) -> None:
    here = stack.conversation(ann, "A heron listens.")
    few = said(stack, postgres, here, 500, ann)
    assert said(stack, postgres, here, 5_000, ann) < 2 * few


def test_messages_of_others_are_not_read(stack: Stack, ann: User, postgres: Postgres) -> None:
    stack.conversation(ann, "A heron listens.")
    few = said(stack, postgres, stack.conversation(stack.user()), 500, ann)
    assert said(stack, postgres, stack.conversation(stack.user()), 5_000, ann) < 2 * few


def test_messages_are_found_by_their_index(stack: Stack) -> None:
    with stack.db.transaction(force_rollback=True):
        stack.db.execute("set local enable_seqscan = off")
        plan = stack.all(
            "explain select m.id from shared.messages m"
            " where private.search_terms(m.conversation_id, m.position, m.content) && '{1}'"
            " and private.search_terms(m.conversation_id, m.position, m.content) && '{2,3}'"
            " and m.is_active limit 300"
        )
    assert "messages_by_term" in str(plan)


def test_a_call_looks_at_a_bounded_number_of_conversations(
    stack: Stack, ann: User, api: httpx.Client
) -> None:
    last = stack.conversation(ann, "A cormorant.")
    stack.db.execute(
        "update conversations set updated_at = now() - interval '1 day' where id = %s", (last,)
    )
    for _ in range(510):
        stack.insert("conversations", user_id=ann.id, character_id=DEMO_CHARACTER)
    first = search(api, "cormorant")
    assert first["results"] == []
    (result,) = found(api, "cormorant", p_before=first["next"])
    assert result["conversation_id"] == str(last)
