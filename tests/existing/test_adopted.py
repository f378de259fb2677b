"""On an adopted database the product's programs and ours work side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from psycopg import errors
from psycopg.types.json import Jsonb

from roleplay_chat.turn_cache import CachedTurn, complete
from tests.existing.installation import create_adopted
from tests.existing.requests import PEOPLE, PROVIDER, Answer, DataApi, running_data_api
from tests.support.keys import Keys
from tests.support.postgres import OWNER, Postgres
from tests.support.waiting import wait_until

PERSON = PEOPLE["person"]
MARA = "aaaaaaaa-0000-4000-8000-000000000001"
TALK = "bbbbbbbb-0000-4000-8000-000000000001"
WITHOUT_PROFILE = (
    "44444444-4444-4444-8444-444444444444",
    "bbbbbbbb-0000-4000-8000-000000000014",
)
NOTED = "bbbbbbbb-0000-4000-8000-000000000012"  # has key_facts
ROUNDS = 100


@dataclass
class Product:
    """The database with every kind of row, adopted, as each program meets it."""

    api: DataApi
    state: str

    def send(self, who: str, method: str, path: str, body: object = None) -> Answer:
        request = {"who": who, "method": method, "path": path, "prefer": "return=representation"}
        answer = self.api.send(request | ({} if body is None else {"body": body}))
        assert answer.error is None, answer.body
        return answer

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self.api.owner.execute(query.encode(), values or None).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        (row,) = self.rows(query, *values)
        (value,) = row.values()
        return value

    # The programs

    def client_writes(self, content: str) -> None:
        """The chat page stores the person's message before it calls a function."""
        self.send("person", "POST", "messages", _message("user", content, "text"))

    def old_function_replies(self, content: str) -> None:
        """It stores the reply alone."""
        self.send("service", "POST", "messages", _message("assistant", content, "roleplay_chat"))

    def everything(self) -> list[str]:
        path = f"messages?select=sender,content&conversation_id=eq.{TALK}&order=position.asc"
        rows = self.send("service", "GET", path).body
        return [f"{row['sender']}: {row['content']}" for row in rows]

    def old_function_reads(self) -> list[str]:
        path = f"messages?select=sender,content&conversation_id=eq.{TALK}&order=created_at.asc"
        rows = self.send("service", "GET", f"{path}&limit=50").body
        return [f"{row['sender']}: {row['content']}" for row in rows]

    def begin(self, message: str | None = None, **more: Any) -> dict[str, Any]:
        body = {"p_turn_id": str(uuid4()), "p_user_id": PERSON, "p_task": "roleplay"}
        body |= {"p_action": "send", "p_conversation_id": TALK, "p_message": message} | more
        begun = dict(self.send("service", "POST", "rpc/begin_turn", body).body)
        if begun["outcome"] == "started":
            complete(begun, CachedTurn())
        return begun

    def finish(self, begun: dict[str, Any], reply: str, **more: Any) -> dict[str, Any]:
        body = {"p_turn_id": begun["turn"]["id"], "p_status": "complete", "p_reply": reply} | more
        return dict(self.send("service", "POST", "rpc/finish_turn", body).body)

    def turn(self, message: str, reply: str, **more: Any) -> dict[str, Any]:
        """A whole turn of ours; begin_turn's answer."""
        begun = self.begin(message)
        while begun["outcome"] == "in_progress":
            begun = self.begin(message)
        assert begun["outcome"] == "started", begun
        assert self.finish(begun, reply, **more)["outcome"] == "saved"
        return begun

    def we_read(self) -> list[str]:
        """The history that a turn of ours puts into the prompt, and the message it is about."""
        begun = self.begin("What now?")
        self.finish(begun, "Now this.")
        said = [f"{row.sender}: {row.content}" for row in begun["history"]]
        return [*said, f"user: {begun['turn']['message']}"]


def _message(sender: str, content: str, kind: str) -> dict[str, Any]:
    return {"conversation_id": TALK, "sender": sender, "content": content, "message_type": kind}


@pytest.fixture(scope="module")
def adopted(postgres: Postgres, keys: Keys, state: str) -> Iterator[DataApi]:
    database = f"adopted_{state}"
    create_adopted(postgres, database, state)
    with running_data_api(postgres, database, keys) as api:
        limits: dict[str, Any] = {"limits": {"default": {}}}
        change = "update private.system_settings set config = config || %s"
        api.owner.execute(change.encode(), [Jsonb(limits)])
        api.reload()
        yield api


@pytest.fixture
def product(adopted: DataApi, state: str) -> Iterator[Product]:
    yield Product(adopted, state)
    adopted.restore()


# One conversation, several programs ------------------------------------------------------------


def test_all_write_into_one_conversation_at_once(product: Product) -> None:
    def old_function() -> None:
        for number in range(ROUNDS):
            product.old_function_replies(f"old {number}")

    def client() -> None:
        for number in range(ROUNDS):
            product.client_writes(f"client {number}")

    def ours_with_the_client() -> None:
        for number in range(ROUNDS):
            product.client_writes(f"asked {number}")
            product.turn(f"asked {number}", f"answered {number}")

    def ours_alone() -> None:
        for number in range(ROUNDS):
            product.turn(f"told {number}", f"heard {number}")

    before = product.value("select count(*) from messages where conversation_id = %s", TALK)
    writers = (old_function, client, ours_with_the_client, ours_alone)
    with ThreadPoolExecutor(len(writers)) as pool:
        for written in [pool.submit(write) for write in writers]:
            written.result()

    words = ("old", "client", "asked", "answered", "told", "heard")
    expected = sorted(f"{word} {number}" for word in words for number in range(ROUNDS))
    rows = product.rows("select * from messages where conversation_id = %s", TALK)
    assert sorted(row["content"] for row in rows if row["content"] in set(expected)) == expected
    assert len(rows) == before + len(expected)
    assert len({row["position"] for row in rows}) == len(rows)
    assert {row["sender"] for row in rows} == {"user", "assistant"}
    turns = product.rows("select status from turns where conversation_id = %s", TALK)
    assert turns == [{"status": "complete"}] * (2 * ROUNDS)


@pytest.mark.parametrize("action", ["regenerate", "continue"])
def test_a_message_of_theirs_and_a_new_version_of_a_reply_do_not_wait_for_each_other(
    product: Product, postgres: Postgres, state: str, action: str
) -> None:
    """Their trigger locks the conversation before ours locks its version. Our functions do, too."""
    product.turn("Which way?", "North.")
    begun = product.begin(p_action=action)
    theirs, pool = postgres.connect(f"adopted_{state}", OWNER), ThreadPoolExecutor(1)
    with theirs, pool:
        with theirs.transaction():
            theirs.execute("update conversations set updated_at = now() where id = %s", [TALK])
            finished = pool.submit(product.finish, begun, "South.")
            wait_until(lambda: product.rows(_WAITING), "our function to wait")
            columns = "(conversation_id, sender, content)"
            theirs.execute(f"insert into messages {columns} values (%s, 'user', 'Or?')", [TALK])  # noqa: S608
        assert finished.result()["outcome"] == "saved"


_WAITING = "select pid from pg_stat_activity where wait_event_type = 'Lock'"


def test_a_message_that_many_others_followed_is_not_stored_twice(product: Product) -> None:
    product.client_writes("What was first?")
    for number in range(70):
        product.client_writes(f"client {number}")
        product.old_function_replies(f"old {number}")

    product.turn("What was first?", "The sea.")

    assert product.everything().count("user: What was first?") == 1


@pytest.mark.parametrize("minutes", [0, 1, 9])
def test_a_message_that_a_reply_to_another_followed_is_not_stored_twice(
    product: Product, minutes: int
) -> None:
    """The old function was asked before, and answers after the client's next message."""
    product.client_writes("Which way?")
    product.client_writes("Whose boat is it?")
    product.old_function_replies("North.")
    earlier = "update messages set created_at = created_at - make_interval(mins => %s)"
    product.api.owner.execute(f"{earlier} where content = 'Whose boat is it?'".encode(), [minutes])

    begun = product.turn("Whose boat is it?", "Mine.")

    assert begun["turn"]["message"] == "Whose boat is it?"
    assert product.everything().count("user: Whose boat is it?") == 1


def test_a_message_that_repeats_an_earlier_one_is_the_one_that_is_answered(
    product: Product,
) -> None:
    product.client_writes("Yes.")
    product.old_function_replies("Then come.")
    product.client_writes("Yes.")

    begun = product.turn("Yes.", "Here we are.")

    said = ["Yes.", "Then come."]
    assert [row.content for row in begun["history"]][-2:] == said
    assert [line.split(": ")[1] for line in product.everything()][-4:] == [
        *said,
        "Yes.",
        "Here we are.",
    ]


def test_a_switch_and_back_loses_no_word_on_either_side(product: Product) -> None:
    said = [
        *("assistant: Mind the ink, it is still wet.", "user: Which coast is this?"),
        "assistant: The one I was born on.",
    ]
    product.client_writes("Draw me the other one.")
    product.old_function_replies("That takes more ink.")
    said += ["user: Draw me the other one.", "assistant: That takes more ink."]

    product.client_writes("How much?")
    begun = product.turn("How much?", "A whole sea of it.")
    assert [row.content for row in begun["history"]] == [line.split(": ")[1] for line in said]
    said += ["user: How much?", "assistant: A whole sea of it."]
    assert product.old_function_reads() == said

    product.client_writes("Then begin.")
    product.old_function_replies("I have begun.")
    said += ["user: Then begin.", "assistant: I have begun."]
    product.client_writes("What now?")
    ours = [line.replace("assistant:", "character:") for line in [*said, "user: What now?"]]
    assert product.we_read() == ours


def test_a_version_that_is_not_shown_is_in_nobodys_history(product: Product) -> None:
    product.turn("Which coast is it really?", "I forgot.")
    begun = product.begin(p_action="regenerate")
    product.finish(begun, "The northern one.")
    assert "assistant: The northern one." in product.old_function_reads()
    assert "I forgot." not in str(product.old_function_reads())
    assert "I forgot." not in str(product.we_read())


def test_a_message_that_was_refused_is_in_nobodys_history(product: Product) -> None:
    product.client_writes("What is refused.")
    begun = product.begin("What is refused.")
    refused = {"refused": {"part": "message"}}
    product.finish(begun, "", p_status="failed", p_reply=None, p_result=refused)
    assert "What is refused." not in str(product.old_function_reads())
    assert "What is refused." not in str(product.we_read())


def test_replies_are_stored_as_the_products_readers_know_them(product: Product) -> None:
    begun = product.begin(p_action="kickoff")
    product.finish(begun, "The lamp is lit.")
    product.turn("Good.", "Very good.")
    query = "select sender, message_type from messages where conversation_id = %s"
    rows = product.rows(f"{query} order by position desc limit 3", TALK)
    assert [(row["sender"], row["message_type"]) for row in reversed(rows)] == [
        ("assistant", "scene_kickoff"),
        ("user", "text"),
        ("assistant", "roleplay_chat"),
    ]


def test_a_branch_has_the_messages_as_they_are(product: Product) -> None:
    product.client_writes("Draw me the other one.")
    product.old_function_replies("That takes more ink.")
    product.turn("How much?", "A whole sea of it.")
    query = "select content, sender, message_type, created_at, position from messages"
    query += " where conversation_id = %s order by position"
    before = product.rows(query, TALK)
    newest = product.value("select id from messages where content = 'A whole sea of it.'")
    call = {"p_user_id": PERSON, "p_message_id": str(newest), "p_client_message_id": "branch"}
    branch = product.send("service", "POST", "rpc/branch_conversation", call).body
    assert product.rows(query, branch["conversation_id"]) == before


def test_nobody_but_our_functions_chooses_a_place(product: Product) -> None:
    row = _message("user", "First!", "text") | {"position": 1, "edited_at": "2026-01-01"}
    (stored,) = product.send("person", "POST", "messages", row).body
    newest = product.value("select max(position) from messages")
    assert (stored["position"], stored["edited_at"]) == (newest, None)


@pytest.fixture
def editable(product: Product) -> Iterator[Product]:
    """With a policy of the product's that lets people change messages."""
    product.api.owner.execute(
        b"create policy edit on messages for update to authenticated using (true) with check (true)"
    )
    yield product
    product.api.owner.execute(b"drop policy edit on messages")


def test_nobody_but_our_functions_changes_a_place(editable: Product) -> None:
    query = "select id, position, edited_at from messages where conversation_id = %s order by id"
    before = editable.rows(query, TALK)
    change = {"position": 1, "edited_at": "2026-01-01", "content": "Another text."}
    path = f"messages?conversation_id=eq.{TALK}"
    changed = editable.send("person", "PATCH", path, change).body
    assert {row["content"] for row in changed} == {"Another text."}
    assert editable.rows(query, TALK) == before


@pytest.mark.parametrize("text", ["Or so?", "Wo ist Zoë?", "A so\u00adft hyphen.", "妹は京都に。"])
def test_any_role_of_theirs_may_write_a_message_in_any_script(product: Product, text: str) -> None:
    owner = product.api.owner
    with owner.transaction(force_rollback=True):
        owner.execute(b"create role importer bypassrls")
        owner.execute(b"grant usage on schema public to importer")
        owner.execute(b"grant insert, select on messages to importer")
        owner.execute(b"grant select, update on conversations to importer")  # for their trigger
        owner.execute(b"set local role importer")
        written = owner.execute(
            "insert into messages (conversation_id, sender, content)"
            " values (%s, 'user', %s) returning content",
            [TALK, text],
        ).fetchall()
        assert written == [{"content": text}]


@pytest.fixture
def swallowing(product: Product) -> Iterator[Product]:
    """With a trigger of the product's that lets no message in."""
    product.api.owner.execute(
        b"create function swallow() returns trigger language plpgsql as 'begin return null; end';"
        b"create trigger z before insert on messages for each row execute function swallow()"
    )
    yield product
    product.api.owner.execute(b"drop function swallow() cascade")


def test_a_message_that_a_trigger_of_theirs_takes_away_is_no_message(swallowing: Product) -> None:
    with pytest.raises(AssertionError, match="did not let the message in"):
        swallowing.begin("A message that is kept out.")


@pytest.mark.parametrize("state", ["april"], indirect=True)
def test_a_turn_reads_no_more_of_a_long_conversation(product: Product) -> None:
    read = {}
    for messages in (1_000, 10_000):
        product.api.restore()
        product.rows(
            "insert into messages (conversation_id, sender, content)"
            " select %s, case n %% 2 when 0 then 'assistant' else 'user' end, 'Word ' || n"
            " from generate_series(1, %s) n returning id",
            TALK,
            messages,
        )
        # New terms wait outside of their index until a vacuum, and every search reads all of them.
        # What earlier tests left behind in other tables and in the catalog would be read as well.
        product.api.owner.execute("vacuum analyze")
        product.turn("The first of this length.", "Yes.")
        read[messages] = blocks(product)
    assert read[10_000] < read[1_000] * 1.1


def blocks(product: Product) -> int:
    """How many blocks the database touches to begin a turn."""
    call = "begin_turn(gen_random_uuid(), %s, 'roleplay', 'send', %s, p_message => 'Hello?')"
    (plan,) = product.value(
        f"explain (analyze, buffers, format json) select {call}",
        PERSON,
        TALK,
    )
    node = plan["Plan"]
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def test_a_character_of_somebody_else_is_not_met_where_a_client_names_it(product: Product) -> None:
    pointed_elsewhere = "bbbbbbbb-0000-4000-8000-000000000016"
    begun = product.begin("Hello.", p_conversation_id=pointed_elsewhere)
    assert begun == {"outcome": "character_not_found"}
    hidden = "aaaaaaaa-0000-4000-8000-000000000015"
    change = {"user_character_id": hidden}
    product.send("person", "PATCH", f"conversations?id=eq.{TALK}", change)
    assert product.begin("Hello.") == {"outcome": "persona_not_found"}


# Settings ---------------------------------------------------------------------------------------


def config(product: Product) -> dict[str, Any]:
    return dict(product.value("select config from public.system_config"))


def checked(minute: int, **more: Any) -> dict[str, Any]:
    return {"isHealthy": True, "lastChecked": f"2026-04-01T10:{minute:02}:00.000Z"} | more


def test_an_old_copy_of_the_object_brings_no_older_record_back(product: Product) -> None:
    morning = config(product)
    record = checked(30, workerUrl="https://worker.example.com")
    call = {"p_records": {"chatWorker": record}}
    product.send("service", "POST", "rpc/record_worker_health", call)
    assert config(product)["workerHealthCache"]["chatWorker"] == record

    saved = morning | {"maxConcurrentJobs": 9}
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": saved})
    without = {name: value for name, value in saved.items() if name != "workerHealthCache"}
    assert config(product) == without | {"workerHealthCache": config(product)["workerHealthCache"]}
    assert config(product)["workerHealthCache"]["chatWorker"] == record
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": without})
    assert config(product)["workerHealthCache"]["chatWorker"] == record

    later = saved | {"workerHealthCache": {"chatWorker": checked(45)}}
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": later})
    assert config(product)["workerHealthCache"]["chatWorker"] == checked(45)


@pytest.mark.parametrize("odd", [None, "text", [1], {}, {"isHealthy": False}, {"lastChecked": 5}])
def test_what_is_no_dated_record_replaces_none(product: Product, odd: object) -> None:
    known = config(product) | {"workerHealthCache": {"chatWorker": checked(30)}}
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": known})
    broken = known | {"workerHealthCache": {"chatWorker": odd}}
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": broken})
    assert config(product)["workerHealthCache"]["chatWorker"] == checked(30)


@pytest.mark.parametrize("time", ["9999-01-01T00:00:00.000Z", "tomorrow"])
def test_a_record_of_the_future_keeps_none_away(product: Product, time: str) -> None:
    ahead = config(product) | {"workerHealthCache": {"chatWorker": {"lastChecked": time}}}
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": ahead})
    call = {"p_records": {"chatWorker": checked(30)}}
    product.send("service", "POST", "rpc/record_worker_health", call)
    assert config(product)["workerHealthCache"]["chatWorker"] == checked(30)


@pytest.mark.parametrize("odd", [[], "text", None, 7, {"workerHealthCache": []}])
def test_the_object_may_be_anything(product: Product, odd: object) -> None:
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": {"workerHealthCache": 1}})
    change = {"config": odd} if odd is not None else {"config": {}}
    product.send("admin", "PATCH", "system_config?id=eq.1", change)
    product.api.owner.execute("update public.system_config set config = 'null'")
    call = {"p_records": {"chatWorker": checked(1)}}
    product.send("service", "POST", "rpc/record_worker_health", call)
    assert product.begin("Hello.")["outcome"] == "started"


def test_a_record_without_a_time_of_the_past_keeps_no_other_out(product: Product) -> None:
    for odd in ("zzz", "2999-01-01T00:00:00.000Z", None, 7):
        cache = {"workerHealthCache": {"chatWorker": {"lastChecked": odd}}}
        stored = "update public.system_config set config = %s returning id"
        product.api.owner.execute("alter table public.system_config disable trigger user")
        product.rows(stored, Jsonb(cache))
        product.api.owner.execute("alter table public.system_config enable trigger user")
        later = {"config": {"workerHealthCache": {"chatWorker": checked(5)}}}
        product.send("admin", "PATCH", "system_config?id=eq.1", later)
        assert config(product)["workerHealthCache"]["chatWorker"] == checked(5)


@pytest.mark.parametrize("cache", [None, [], "text", 7])
def test_our_settings_may_have_any_cache(product: Product, cache: object) -> None:
    before = config(product)
    change = "update private.system_settings set config = config || %s returning id"
    assert product.rows(change, Jsonb({"workerHealthCache": cache}))
    assert config(product) == before


@pytest.mark.parametrize(
    ("url", "hosts", "used"),
    [
        ("https://worker.example.com", None, False),
        ("https://worker.example.com", [], False),
        ("https://worker.example.com", "worker.example.com", False),
        ("https://worker.example.com", ["worker.example.com"], True),
        ("https://Worker.example.com/", ["worker.EXAMPLE.com"], True),
        ("https://worker.example.com:8443/v1", ["*.example.com"], True),
        ("https://worker.example.com", ["example.com", "*.worker.example.com"], False),
        ("https://evilexample.com", ["*.example.com", "example.com"], False),
        ("https://example.com@evil.com", ["example.com"], False),
        ("https://evil.com/.example.com", ["*.example.com"], False),
        ("http://worker.example.com", ["worker.example.com"], False),
        ("https://127.0.0.1", ["127.0.0.1"], False),
        ("", [""], False),
    ],
)
def test_a_registered_worker_is_used_if_its_host_is_allowed(
    product: Product, url: str, hosts: object, used: bool
) -> None:
    change = "update private.system_settings set config = config || %s returning id"
    product.rows(change, Jsonb({"workerHosts": hosts}))
    product.send("admin", "PATCH", "system_config?id=eq.1", {"config": {"chatWorkerUrl": url}})
    found = [worker["url"] for worker in product.begin("Hello.")["workers"]]
    assert found == ([url.rstrip("/")] if used else [])
    settings = product.send("service", "POST", "rpc/read_settings", {}).body
    assert settings.get("workerRefused") == (None if used or not url else url)


def test_records_of_two_writers_both_stay(product: Product) -> None:
    def record(worker: str) -> None:
        for minute in range(30):
            call = {"p_records": {worker: checked(minute)}}
            product.send("service", "POST", "rpc/record_worker_health", call)

    def save() -> None:
        for number in range(30):
            mine = config(product) | {"maxConcurrentJobs": number}
            product.send("admin", "PATCH", "system_config?id=eq.1", {"config": mine})

    with ThreadPoolExecutor(3) as pool:
        for done in [*(pool.submit(record, name) for name in ("a", "b")), pool.submit(save)]:
            done.result()
    cache = config(product)["workerHealthCache"]
    assert (cache["a"], cache["b"]) == (checked(29), checked(29))


# Usage ------------------------------------------------------------------------------------------

CALL = {"provider": "openrouter", "model_key": "m/one", "outcome": "ok", "prompt_tokens": 300}
CALL |= {"completion_tokens": 40, "cost_usd": 0.002, "duration_ms": 900}
CALLED = (
    b"insert into usage_events (provider, model_key, outcome, duration_ms)"
    b" values ('openrouter', 'm/one', 'ok', 1)"
)


def test_usage_is_on_the_products_pages_where_it_has_them(product: Product) -> None:
    calls = [CALL, CALL | {"outcome": "timeout", "cost_usd": None}]
    product.turn("Hello again.", "Hello.", p_usage=calls)
    assert product.value("select count(*) from usage_events") == 2
    if product.state == "january":
        return
    rows = product.send(
        "admin", "GET", "api_usage_logs?select=*&order=created_at.desc&limit=2"
    ).body
    assert sorted(row["response_status"] for row in rows) == [200, 502]
    (ok,) = (row for row in rows if row["response_status"] == 200)
    assert (ok["tokens_input"], ok["tokens_output"], ok["cost_usd"]) == (300, 40, 0.002)
    assert (ok["user_id"], ok["request_payload"], ok["response_payload"]) == (PERSON, None, None)
    path = "api_usage_aggregates?select=*&error_count=eq.1"
    (hour,) = product.send("admin", "GET", path).body
    assert (hour["request_count"] >= 2, hour["success_count"]) == (True, 1)
    assert (hour["tokens_input_sum"], hour["cost_usd_sum"]) == (600, 0.002)


@pytest.mark.parametrize(
    "change",
    [
        "alter table api_usage_logs rename to gone",
        "alter table api_usage_logs drop column tokens_input",
        "alter table api_usage_logs add constraint none check (false) not valid",
        "drop table api_usage_aggregates",
        "alter table api_usage_aggregates drop constraint"
        " api_usage_aggregates_provider_id_model_id_date_bucket_hour__key",
    ],
)
@pytest.mark.parametrize("state", ["april"], indirect=True)
def test_usage_is_no_reason_to_lose_a_turn(product: Product, change: str) -> None:
    with product.api.owner.transaction(force_rollback=True):
        product.api.owner.execute(change.encode())
        product.api.owner.execute(CALLED)
        product.api.owner.execute("set constraints all immediate")
        assert product.value("select count(*) from usage_events") == 1


@pytest.mark.parametrize("state", ["april"], indirect=True)
def test_turn_holds_its_models_hour_only_while_it_is_committed(product: Product) -> None:
    """All turns of the model write to this row."""
    locked = (
        "select count(*) from pg_locks where pid = pg_backend_pid()"
        " and relation = 'api_usage_aggregates'::regclass"
    )
    with product.api.owner.transaction(force_rollback=True):
        product.api.owner.execute(CALLED)
        assert product.value(locked) == 0
        product.api.owner.execute("set constraints all immediate")
        assert product.value(locked) > 0


def test_the_name_of_an_adult_character_is_not_shown_to_who_only_points_at_it(
    product: Product,
) -> None:
    """People may point a conversation at any character, also at one that they may not see."""
    seen = product.value(
        "insert into characters (name, description, content_rating, is_public)"
        " values ('For adults', '', 'nsfw', true) returning id"
    )
    product.send("person", "PATCH", f"conversations?id=eq.{TALK}", {"character_id": str(seen)})
    names = f"companions?select=name&conversation_id=eq.{TALK}"
    assert product.send("person", "GET", names).body == []
    product.rows("select public.record_age_verification(%s, true)", PERSON)
    assert product.send("person", "GET", names).body == [{"name": "For adults"}]
    product.rows("select public.record_age_verification(%s, false)", PERSON)
    product.turn("Hello.", "Good evening.")
    assert product.send("person", "GET", names).body == [{"name": "For adults"}]


# Facts ------------------------------------------------------------------------------------------


def test_facts_that_a_hand_wrote_are_remembered(product: Product) -> None:
    begun = product.begin("Hello.", p_conversation_id=NOTED)
    (fact,) = begun["facts"]
    assert (fact["content"], fact["pinned"], fact["written_by"], fact["content_tier"]) == (
        *("Robin owes Mara a compass.", True),
        *("person", "sfw"),
    )
    assert product.value("select count(*) from memory_facts") == 1


# What goes ---------------------------------------------------------------------------------------


@pytest.fixture
def talked(product: Product) -> Product:
    """Rows of ours of every kind hang on the conversation, its character and its person."""
    product.turn("Hello.", "Good evening.", p_usage=[CALL])
    begun = product.begin(p_action="regenerate")
    product.finish(begun, "Good morning.")
    newest = product.value("select id from messages order by position desc limit 1")
    branch = {"p_user_id": PERSON, "p_message_id": str(newest), "p_client_message_id": "b"}
    branched = product.send("service", "POST", "rpc/branch_conversation", branch).body
    assert branched["outcome"] == "done"
    product.send("service", "POST", "rpc/declare_age", {"p_character_id": MARA, "p_age": 34})
    age = {"p_user_id": PERSON, "p_is_verified": True}
    product.send("service", "POST", "rpc/record_age_verification", age)
    row = {"conversation_id": TALK, "position": 1}
    other = "aaaaaaaa-0000-4000-8000-000000000002"
    product.send("person", "POST", "conversation_characters", row | {"character_id": other})
    return product


def test_a_reply_that_the_product_deletes_takes_its_versions_and_its_record_along(
    product: Product,
) -> None:
    product.turn("Hello.", "Good evening.", p_prompt={"tokens": 1})
    product.finish(product.begin(p_action="regenerate"), "Good morning.", p_prompt={"tokens": 2})
    product.turn("And then?", "We wait.", p_prompt={"tokens": 3})
    aside = "select count(*) from private.set_aside_messages where content = 'Good evening.'"
    assert product.value(aside) == 1

    reply = f"messages?conversation_id=eq.{TALK}&content=eq.Good%20morning."
    assert product.send("service", "DELETE", reply).rows == 1
    assert product.value(aside) == 0
    assert product.rows("select composition from turn_prompts") == [{"composition": {"tokens": 3}}]
    named = "select reply_message_id is not null as is_named from turns order by created_at"
    assert [row["is_named"] for row in product.rows(named)] == [False, False, True]


def test_versions_that_we_delete_are_counted(product: Product) -> None:
    product.turn("Hello.", "Good evening.")
    product.finish(product.begin(p_action="regenerate"), "Good morning.")
    shown = product.value("select id from messages where content = 'Good morning.'")
    body = {"p_user_id": PERSON, "p_message_id": str(shown), "p_onwards": False}
    deleted = product.send("service", "POST", "rpc/delete_messages", body).body
    assert deleted == {"outcome": "done", "deleted": 2}


def test_a_conversation_is_deleted_as_before(talked: Product) -> None:
    assert talked.send("person", "DELETE", f"conversations?id=eq.{TALK}").rows == 1
    for table in ("private.set_aside_messages", "private.conversation_details", "messages"):
        query = f"select count(*) from {table} where conversation_id = %s"  # noqa: S608
        assert talked.value(query, TALK) == 0
    assert talked.rows("select conversation_id from turns where not is_orphaned") == []


def test_a_character_is_deleted_as_before(talked: Product) -> None:
    """Only one who is in no conversation, as before."""
    with pytest.raises(errors.ForeignKeyViolation, match="conversations_character_id_fkey"):
        talked.rows("delete from characters where id = %s returning id", MARA)
    talked.rows("delete from conversations where character_id = %s returning id", MARA)
    assert talked.send("person", "DELETE", f"characters?id=eq.{MARA}").rows == 1
    assert talked.rows("select from private.character_details where character_id = %s", MARA) == []


def test_a_provider_is_deleted_with_its_models_as_before(talked: Product) -> None:
    assert talked.send("admin", "DELETE", f"api_providers?id=eq.{PROVIDER}").rows == 1
    assert talked.rows("select from api_models where provider_id = %s", PROVIDER) == []
    assert talked.rows("select from private.provider_keys") == []
    assert talked.begin("Still there?")["models"] == []


def test_an_account_is_deleted_as_before(product: Product) -> None:
    """Its conversations stay, as before: they name nobody. This person never had a profile."""
    person, talk = WITHOUT_PROFILE
    begun = product.begin("Hello.", p_user_id=person, p_conversation_id=talk)
    assert product.finish(begun, "Good evening.", p_usage=[CALL])["outcome"] == "saved"
    age = {"p_user_id": person, "p_is_verified": True}
    product.send("service", "POST", "rpc/record_age_verification", age)
    assert product.rows("delete from auth.users where id = %s returning id", person)
    for table in ("private.person_details", "turns", "memories"):
        assert product.rows(f"select from {table} where user_id = %s", person) == []
    assert product.value("select count(*) from messages where conversation_id = %s", talk) == 4
    assert product.value("select user_id from usage_events") is None


# Providers -----------------------------------------------------------------------------------


def test_a_provider_that_an_admin_adds_gets_nothing_until_it_has_a_key(product: Product) -> None:
    row = {"name": "mine", "display_name": "Mine", "base_url": "https://mine.example/v1"}
    row |= {"secret_name": "OpenRouter_Roleplay_API_KEY"}
    (mine,) = product.send("admin", "POST", "api_providers", row).body
    model = {"provider_id": mine["id"], "model_key": "m/mine", "display_name": "Mine"}
    model |= {"is_default": False, "priority": -9}
    if product.state == "january":
        model |= {"modality": "roleplay", "task": "roleplay"}
    else:
        model |= {"modality": "chat", "tasks": ["roleplay"], "default_for_tasks": ["roleplay"]}
    product.send("admin", "POST", "api_models", model)
    assert "mine.example" not in str(product.begin("Hello."))
    told = product.send("service", "POST", "rpc/read_providers", {}).body
    (waiting,) = (row for row in told if row["name"] == "mine")
    assert (waiting["is_approved"], waiting["base_url"]) == (False, "https://mine.example/v1")
    assert waiting["secret_name"] is None


def test_an_admin_who_changes_an_address_does_not_get_the_prompts(product: Product) -> None:
    change = {"base_url": "https://mine.example/v1", "secret_name": "Another_API_KEY"}
    product.send("admin", "PATCH", f"api_providers?id=eq.{PROVIDER}", change)
    begun = product.begin("Hello.")
    assert {model["provider"]["base_url"] for model in begun["models"]} == {
        "https://openrouter.ai/api/v1"
    }
    assert "Another_API_KEY" not in str(begun)


def test_a_provider_of_images_alone_waits_for_nothing(product: Product) -> None:
    told = product.send("service", "POST", "rpc/read_providers", {}).body
    assert not {"replicate", "fal"} & {row["name"] for row in told}


def test_what_a_catalog_says_is_kept_beside_the_products_row(product: Product) -> None:
    before = product.rows("select * from api_models order by id")
    told = product.send("service", "POST", "rpc/read_models", {"p_provider_id": PROVIDER}).body
    (one,) = {row["id"] for row in told if row["model_key"] == "m/one"}
    prices = {"prompt_usd_per_1k": 0.1}
    said = [{"id": one, "status": "changed", "catalog": {"context_length": 9}, "pricing": prices}]
    product.send("service", "POST", "rpc/record_catalog", {"p_models": said})
    assert product.rows("select * from api_models order by id") == before
    again = product.send("service", "POST", "rpc/read_models", {"p_provider_id": PROVIDER}).body
    found = [row for row in again if row["id"] == one]
    assert {row["catalog_status"] for row in found} == {"changed"}
    assert [row["pricing"] for row in found] == [prices] * len(found)
