"""With pgvector and an embeddings model, messages are found again by what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from roleplay_chat.memory import embedder
from tests.support import meanings
from tests.support.answers import error, reply, stall, text
from tests.support.meanings import PATH, embeddings
from tests.support.notes import asks_for_notes
from tests.support.plans import explained, nodes
from tests.support.postgres import OWNER, ROOT, Postgres
from tests.support.stack import Stack
from tests.support.talk import VENICE, Talk
from tests.support.upstream import Answer, Exchange
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.installations

MODEL = "small/embedder"
ANSWER = "We took a puppy home from the market, and called him Rex."
QUESTION = "Is your hound well?"
MOST_FOUND = 120
MIGRATION = ROOT / "supabase/migrations/20260101001286_embeddings.sql"


@pytest.fixture
def vectors(postgres: Postgres, stack: Stack) -> Iterator[None]:
    """The extension, for one test: other installations have none."""
    database = stack.db.info.dbname
    with postgres.connect(database, OWNER) as owner:
        owner.execute("create extension vector schema extensions")
        stack.db.execute("select private.install_embeddings()")
        try:
            yield
        finally:
            owner.execute("drop table private.message_embeddings")
            owner.execute("drop extension vector")
            stubs = re.findall(
                r"^create (function private\.(?:nearest|embedding_at)\b.*?;)\n",
                MIGRATION.read_text(),
                re.S | re.M,
            )
            assert len(stubs) == len(("nearest", "embedding_at"))
            for stub in stubs:
                owner.execute(f"create or replace {stub}".encode())


@pytest.fixture
def long(talk: Talk, vectors: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Talk]:
    """A conversation of which a prompt shows only the end, and an embeddings model."""
    monkeypatch.setattr(embedder, "QUERY_SECONDS", PATIENCE)
    stack = talk.stack
    talk.have_only(VENICE)
    talk.describe(VENICE, context_tokens=2048)
    provider = stack.one("select id from api_providers where name = 'openrouter'")["id"]
    row = {"provider_id": provider, "model_key": MODEL, "display_name": "Embedder"}
    row |= {"modality": "embedding", "task": "embedding", "is_active": True}
    row |= {"pricing": {"prompt_usd_per_1k": 0.01, "completion_usd_per_1k": 0}}
    stack.insert("api_models", **row)
    for number in range(44):
        said = ANSWER if number == 3 else f"Round {number} of dominoes, and the kettle sings. " * 3
        sender = "character" if number % 2 else "user"
        stack.insert("messages", conversation_id=talk.conversation, sender=sender, content=said)
    stack.upstream.always(text("Aye."))
    stack.upstream.always(embeddings(), to=PATH)
    with stack.serving() as url:
        talk.url = url
        yield talk


def asked(talk: Talk) -> list[list[str]]:
    """The texts of each call for embeddings."""
    return [call.json["input"] for call in talk.stack.upstream.calls if call.path == PATH]


def stored(talk: Talk, conversation: object = None) -> int:
    row = talk.stack.one(
        "select count(*) as stored from private.message_embeddings where conversation_id = %s",
        conversation or talk.conversation,
    )
    return int(row["stored"])


def embedded(talk: Talk) -> Talk:
    """All messages have their embeddings, after a turn."""
    talk.reply("Hello")
    wait_until(lambda: stored(talk) == 46, "all messages to be embedded")
    wait_until(lambda: not talk.stack.gateway.in_progress, "the last call to be over")
    return talk


def shown(talk: Talk, message: str) -> str:
    """The prompt for a message, without the system message."""
    talk.reply(message)
    calls = [call for call in talk.stack.upstream.calls if call.path != PATH]
    asked_last = [call.json["messages"] for call in calls if not asks_for_notes(call)][-1]
    return str(asked_last[1:])


def test_many_messages_of_similar_meaning_are_compared_in_memory(
    postgres: Postgres, stack: Stack, talk: Talk, vectors: None
) -> None:
    stack.db.execute(_SIMILAR, (talk.conversation,))
    with postgres.connect(stack.db.info.dbname, OWNER) as owner, explained(owner) as plans:
        found = owner.execute(_NEAREST, (talk.conversation,)).fetchall()
    assert len(found) == MOST_FOUND
    sorts = [node for plan in plans for node in nodes(plan["Plan"]) if "Sort Space Type" in node]
    assert sorts
    assert {node["Sort Space Type"] for node in sorts} == {"Memory"}


_SIMILAR = """
with said as (
  insert into messages (conversation_id, sender, content)
  select %s, 'user', 'Word ' || n from generate_series(1, 1500) n
  returning id, conversation_id, position)
insert into private.message_embeddings (message_id, conversation_id, position, model, embedding)
select s.id, s.conversation_id, s.position, 'small',
       array[sin(s.position), cos(s.position), 1]::extensions.halfvec
from said s
"""
_NEAREST = """
select found_at from private.nearest(%s, 9223372036854775807, null, '{}',
  '{"model": "small", "embedding": "[0, 1, 1]"}')
"""


def test_messages_are_embedded_after_the_turn_in_batches(long: Talk) -> None:
    embedded(long)
    batches = asked(long)
    assert [len(batch) for batch in batches] == [16, 16, 14]
    assert batches[0][0] == "Mara Voss: Aye."
    assert any(ANSWER in said for batch in batches for said in batch)


def test_a_message_that_says_it_in_other_words_is_found(long: Talk) -> None:
    assert ANSWER not in shown(long, QUESTION)
    wait_until(lambda: stored(long) == 46, "all messages to be embedded")
    assert ANSWER in shown(long, QUESTION)
    assert [QUESTION] in asked(long)


def test_words_alone_still_find(long: Talk) -> None:
    embedded(long)
    assert ANSWER in shown(long, "Who came from the market?")


@pytest.mark.parametrize("message", ["Go on.", "And then?"])
def test_a_message_about_nothing_recalls_nothing(long: Talk, message: str) -> None:
    embedded(long)
    assert "Earlier in this story" not in shown(long, message)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(stall(), id="silent"),
        pytest.param(error(500), id="down"),
        pytest.param(reply(200, {"data": []}), id="empty"),
        pytest.param(reply(200, {"data": [{"embedding": [1, 2]}]}), id="another-size"),
        pytest.param(reply(200, {"data": [{"embedding": [0, 0]}]}), id="zero"),
        pytest.param(reply(200, {"data": [{"embedding": ["1; drop"]}]}), id="text"),
        pytest.param(reply(200, "[" * 100_000), id="deep"),
    ],
)
def test_without_an_embedding_words_alone_find(
    long: Talk, trouble: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(long)
    monkeypatch.setattr(embedder, "QUERY_SECONDS", 0.3)
    long.stack.upstream.always(trouble, to=PATH)
    assert ANSWER in shown(long, "Who came from the market?")
    assert long.stack.upstream.unexpected == []


def test_what_failed_is_tried_again_later(long: Talk) -> None:
    long.stack.upstream.enqueue(error(503), to=PATH)
    long.reply("Hello")
    wait_until(lambda: len(asked(long)) == 1, "the call that fails")
    with long.stack.serving() as url:  # an instance that knows of no failure
        long.url = url
        long.reply("Hello again")
        wait_until(lambda: stored(long) == 48, "all messages to be embedded")


TOO_LONG = "the request exceeds the available context size"
REFUSALS = [
    pytest.param(400, TOO_LONG, id="400"),
    pytest.param(413, TOO_LONG, id="413"),
    pytest.param(500, TOO_LONG, id="500"),
    pytest.param(500, "", id="bare 500"),
    pytest.param(500, "Internal Server Error", id="500 that says nothing"),
]
REFUSED = "I refuse. " * 20


def refuse(talk: Talk, status: int, why: str) -> None:
    """Let the server of embeddings refuse one text."""

    async def answer(exchange: Exchange) -> None:
        if not any("refuse" in one for one in exchange.call.json["input"]):
            await embeddings()(exchange)
        else:
            body: object = {"error": {"message": why, "code": status}} if why else ""
            await reply(status, body)(exchange)

    talk.stack.upstream.always(answer, to=PATH)


@pytest.mark.parametrize(("status", "why"), REFUSALS)
def test_text_that_the_server_refuses_keeps_nothing_else_from_being_found(
    long: Talk, status: int, why: str
) -> None:
    refuse(long, status, why)
    long.stack.insert("messages", conversation_id=long.conversation, sender="user", content=REFUSED)
    long.reply("Hello")
    wait_until(lambda: stored(long) == 47, "all messages to be embedded")
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    refused = "select count(*) from private.message_embeddings where embedding is null"
    assert long.stack.one(refused) == {"count": 1}
    assert ANSWER in shown(long, QUESTION)


@pytest.mark.parametrize(("status", "why"), REFUSALS)
def test_message_that_the_server_refuses_switches_nothing_off(
    long: Talk, status: int, why: str
) -> None:
    embedded(long)
    refuse(long, status, why)
    long.reply(REFUSED)
    wait_until(lambda: stored(long) == 48, "both messages to be embedded or given up")
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    assert ANSWER in shown(long, QUESTION)


@pytest.mark.parametrize("by", ["server", "operator"])
def test_all_is_embedded_again_after_a_change_of_the_dimensions(
    long: Talk, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    embedded(long)
    whole = meanings.vector
    monkeypatch.setattr(meanings, "vector", lambda said: whole(said)[:128])
    if by == "operator":
        long.stack.db.execute(
            "update api_models set input_defaults = '{\"dimensions\": 128}'"
            " where task = 'embedding'"
        )
    long.reply("Hello")
    counted = "select count(*) as of_128 from private.message_embeddings"
    counted += " where extensions.vector_dims(embedding) = 128"
    wait_until(lambda: long.stack.one(counted)["of_128"] == 48, "all to be embedded again")
    assert stored(long) == 48
    assert ANSWER in shown(long, QUESTION)


def test_calls_are_usage_with_their_cost(long: Talk) -> None:
    embedded(long)
    rows = long.stack.all(
        "select model_key, outcome, prompt_tokens, cost_usd::float as cost, is_estimated"
        " from usage_events where purpose = 'embedding' order by prompt_tokens"
    )
    assert [(row["outcome"], row["prompt_tokens"]) for row in rows] == [
        ("ok", 112),
        ("ok", 128),
        ("ok", 128),
    ]
    assert rows[0]["cost"] == pytest.approx(0.00112)


def test_a_turn_is_two_database_calls_and_the_rest_is_after_the_answer(long: Talk) -> None:
    embedded(long)
    before = len(long.stack.gateway.calls)
    long.reply(QUESTION)
    wait_until(lambda: stored(long) == 48, "the messages of the turn to be embedded")
    calls = long.stack.gateway.calls[before:]
    names = [call.rpartition("/")[2] for call in calls if "/rpc/" in call]
    assert names[:2] == ["begin_turn", "finish_turn"]
    assert set(names[2:]) == {"embed_messages"}


@pytest.mark.parametrize("action", ["edit", "delete"])
def test_a_message_that_changes_is_not_found_by_what_it_said(long: Talk, action: str) -> None:
    embedded(long)
    row = long.stack.one("select id from messages where content = %s", ANSWER)
    more = {"message": "Nothing of note."} if action == "edit" else {}
    body = {"action": action, "message_id": str(row["id"])}
    assert long.stack.chat(long.user, url=long.url, **body, **more).status_code == 200
    assert stored(long) == 45
    assert "Rex" not in shown(long, QUESTION)
    assert "Nothing of note" not in shown(long, QUESTION)


def test_a_branch_takes_its_embeddings_along(long: Talk) -> None:
    embedded(long)
    calls = len(asked(long))
    last = long.stack.one("select id from messages order by position desc limit 1")["id"]
    branch = long.stack.chat(
        long.user, url=long.url, action="branch", message_id=str(last), client_message_id="b"
    ).json()["conversation_id"]
    assert stored(long, branch) == 46
    long.conversation = UUID(branch)
    long.reply("Hello")
    wait_until(lambda: stored(long, branch) == 48, "the messages of the turn to be embedded")
    assert ANSWER in shown(long, QUESTION)
    assert [len(batch) for batch in asked(long)[calls:][:2]] == [2, 1]


def test_other_conversations_are_not_searched(long: Talk) -> None:
    embedded(long)
    other = long.stack.conversation(long.user, *["Round of dominoes, and the kettle sings."] * 4)
    long.conversation = other
    assert ANSWER not in shown(long, QUESTION)


def test_what_is_sexual_is_embedded_by_models_for_adults_alone(long: Talk) -> None:
    said = "They had sex, and slept."
    long.stack.insert("messages", conversation_id=long.conversation, sender="user", content=said)
    long.reply("Hello")
    wait_until(lambda: stored(long) == 47, "all messages to be looked at")
    assert not any(said in text for batch in asked(long) for text in batch)
    row = long.stack.one(
        "select e.embedding is null as is_left_out from private.message_embeddings e"
        " join messages m on m.id = e.message_id where m.content = %s",
        said,
    )
    assert row == {"is_left_out": True}


def test_a_conversation_that_is_not_remembered_is_not_embedded(long: Talk) -> None:
    long.stack.db.execute("update conversations set remembers = false")
    long.reply("Hello")
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    assert (asked(long), stored(long)) == ([], 0)


def test_message_of_a_conversation_that_is_not_remembered_is_sent_to_no_model(long: Talk) -> None:
    long.stack.db.execute("update conversations set remembers = false")
    long.reply("Hello")
    long.reply("My secret is that Tolvane betrayed us.")
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    assert asked(long) == []


def test_message_is_not_embedded_before_its_conversation_is_known(long: Talk) -> None:
    embedded(long)
    rounds = [f"Round {number} of dominoes, and the kettle sings. " * 3 for number in range(44)]
    long.conversation = long.stack.conversation(long.user, *rounds)
    long.reply(QUESTION)
    assert [QUESTION] not in asked(long)
    long.reply("Is your boat well?")
    assert ["Is your boat well?"] in asked(long)


def test_message_is_not_embedded_where_the_whole_conversation_is_in_the_prompt(long: Talk) -> None:
    embedded(long)
    long.describe(VENICE, context_tokens=16_384)
    long.conversation = long.stack.conversation(long.user)
    for message in ("Hello", "Is your boat well?", "Is your dog well?"):
        long.reply(message)
        assert [message] not in asked(long)
    # Afterwards it is, with its speaker's name.
    wait_until(lambda: stored(long, long.conversation) == 6, "all messages to be embedded")


def test_message_that_the_content_policy_refuses_is_sent_to_no_model(long: Talk) -> None:
    for_adults(long)
    embedded(long)
    calls = len(asked(long))
    long.stack.db.execute("update shared.characters set age = 15")
    assert long.say("We undress and have sex on the table.").status_code == 403
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    assert asked(long)[calls:] == []


def test_stored_text_is_sent_to_a_model_for_adults_only_in_a_turn_for_adults(long: Talk) -> None:
    for_adults(long)
    said = "They had sex, and slept."
    long.stack.insert("messages", conversation_id=long.conversation, sender="user", content=said)
    long.stack.db.execute("update shared.characters set age = 15")
    long.say("Hello")
    wait_until(lambda: stored(long) >= 45, "all messages to be looked at")
    assert said not in str(asked(long))


def test_message_of_no_conversation_is_not_embedded(long: Talk) -> None:
    embedded(long)
    calls = len(asked(long))
    answer = long.stack.chat(
        long.user, url=long.url, message="A note about Tolvane.", task="prompt_enhancement"
    )
    assert answer.status_code == 200, answer.text
    assert asked(long)[calls:] == []


def for_adults(talk: Talk) -> None:
    """The embeddings model may read sexual texts."""
    talk.stack.db.execute(
        "update api_models set capabilities = '{\"nsfw\": true}' where task = 'embedding'"
    )


def cool_down(talk: Talk, key: str) -> None:
    talk.stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason)"
        " values ('model', %s, now() + interval '1 hour', 'test')",
        (f"openrouter:{key}",),
    )


def test_cooldown_at_the_first_turn_of_an_instance_ends(long: Talk) -> None:
    cool_down(long, MODEL)
    long.reply("Hello")
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    assert asked(long) == []
    long.stack.db.execute("delete from model_cooldowns")
    long.reply("Hello again")
    wait_until(lambda: stored(long) == 48, "all messages to be embedded")


def test_no_other_model_stands_in_for_one_on_cooldown(long: Talk) -> None:
    stack = long.stack
    provider = stack.one("select id from api_providers where name = 'openrouter'")["id"]
    row = {"provider_id": provider, "model_key": "small/second", "display_name": "Second"}
    row |= {"modality": "embedding", "task": "embedding", "is_active": True, "priority": 900}
    stack.insert("api_models", **row)
    cool_down(long, MODEL)
    long.reply("Hello")
    wait_until(lambda: not stack.gateway.in_progress, "the last call to be over")
    assert asked(long) == []


def test_another_version_of_a_reply_recalls_the_same(long: Talk) -> None:
    embedded(long)
    assert ANSWER in shown(long, QUESTION)
    wait_until(lambda: stored(long) == 48, "the messages of the turn to be embedded")
    calls = len(asked(long))
    with long.stack.serving() as url:  # an instance that knows of nothing
        long.url = url
        long.reply("", action="regenerate")
    said = [call for call in long.stack.upstream.calls if call.path != PATH]
    assert ANSWER in str([call.json["messages"] for call in said if not asks_for_notes(call)][-1])
    assert [QUESTION] not in asked(long)[calls:]


def test_call_for_a_request_that_begins_no_turn_is_usage(long: Talk) -> None:
    embedded(long)
    long.reply(QUESTION, client_message_id="once")
    wait_until(lambda: stored(long) == 48, "the messages of the turn to be embedded")
    long.reply(QUESTION, client_message_id="once")
    long.stack.configure(limits={"default": {"turns_per_minute": 1}})
    assert long.say(QUESTION).status_code == 429
    assert asked(long).count([QUESTION]) == 3
    counted = "select count(*) as calls from usage_events where purpose = 'embedding'"
    counted += " and user_id = %s"
    wait_until(
        lambda: long.stack.one(counted, long.user.id)["calls"] == len(asked(long)),
        "all calls to be recorded",
    )


def test_paid_model_is_not_asked_once_the_budget_is_known_to_be_spent(long: Talk) -> None:
    embedded(long)
    long.stack.configure(limits={"default": {"usd_per_day": 0.0001}})
    long.reply("Hello")
    calls = len(asked(long))
    long.reply(QUESTION)
    wait_until(lambda: not long.stack.gateway.in_progress, "the last call to be over")
    assert asked(long)[calls:] == []


def test_without_the_extension_nobody_is_asked(talk: Talk) -> None:
    talk.stack.upstream.always(text("Aye."))
    talk.reply("Hello")
    assert asked(talk) == []
    assert talk.stack.one("select private.install_embeddings() as is_there") == {"is_there": False}


def hide_answer(talk: Talk) -> None:
    message = talk.stack.one("select id from messages where content = %s", ANSWER)["id"]
    answer = talk.stack.chat(talk.user, action="hide", message_id=str(message))
    assert answer.status_code == 200, answer.text


def test_message_that_is_hidden_later_is_not_found(long: Talk) -> None:
    embedded(long)
    hide_answer(long)
    assert ANSWER not in shown(long, QUESTION)


def test_hidden_message_is_not_embedded(long: Talk) -> None:
    hide_answer(long)
    long.reply("Hello")
    wait_until(lambda: stored(long) == 45, "all others to be embedded")
    assert ANSWER not in str(asked(long))
