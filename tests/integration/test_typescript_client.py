"""The TypeScript client in Node.js, against a real function and database."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.support.answers import stream, text
from tests.support.clients import run_node
from tests.support.postgres import ROOT
from tests.support.stack import Stack
from tests.support.talk import Talk
from tests.support.waiting import Gate, wait_until

START = f"""
import {{ ChatClient, ChatError, ConnectionLost, EventParser }} from {
    json.dumps((ROOT / "clients/typescript/index.js").as_uri())
};
const told = (value) => console.log(JSON.stringify(value));
const {{ url, token, conversation_id }} = given;
const client = new ChatClient({{ url, token: () => token }});
const hello = {{ conversation_id, message: "Hello", client_message_id: "one" }};
const all = async (events) => {{
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}};
"""


def run(talk: Talk, program: str, **more: Any) -> Any:
    given = {
        "url": talk.stack.function_url("roleplay_chat"),
        "token": talk.user.token,
        "conversation_id": str(talk.conversation),
        **more,
    }
    return run_node(START + program, given)


def test_turn_as_events(talk: Talk) -> None:
    talk.stack.upstream.enqueue(stream(["Good ", "evening."]))
    events = run(
        talk,
        """told(await all(client.turn(hello)));""",
    )
    assert [events[0]["event"], events[-1]["event"]] == ["start", "done"]
    said = "".join(one["data"]["text"] for one in events if one["event"] == "delta")
    assert said == events[-1]["data"]["response"] == "Good evening."
    assert all(one["id"] for one in events)


def test_turn_as_one_answer_and_other_actions(talk: Talk) -> None:
    talk.stack.upstream.enqueue(text("Good evening."))
    edited = run(
        talk,
        """
        const answer = await client.reply(hello);
        const { message_id } = answer;
        const done = await client.act({ action: "edit", message_id, message: "Sit." });
        told([answer.response, done.message_id === message_id]);
        """,
    )
    assert edited == ["Good evening.", True]
    assert talk.said() == ["Hello", "> Sit."]


def test_errors_have_a_sentence_a_code_and_a_time(talk: Talk) -> None:
    talk.stack.configure(limits={"default": {"turns_per_minute": 0}})
    told = run(
        talk,
        """
        const error = await client.reply(hello).catch((error) => error);
        const { name, code, status, seconds, requestId, message } = error;
        const known = error instanceof ChatError;
        told({ name, code, status, seconds, requestId, message, known });
        """,
    )
    assert (told["name"], told["known"]) == ("ChatError", True)
    assert (told["code"], told["status"]) == ("rate_limited", 429)
    assert told["seconds"] >= 1
    assert told["message"].endswith(".")
    assert len(told["requestId"]) == 32


def test_without_a_token_nothing_is_sent(talk: Talk) -> None:
    program = "told((await client.act({ action: 'stop', turn_id: 't' }).catch((e) => e)).code);"
    assert run(talk, program, token=None) == "unauthorized"
    assert talk.stack.gateway.calls == []


def test_service_that_cannot_be_reached_is_a_lost_connection(talk: Talk) -> None:
    program = """
      const error = await client.act({ action: "stop", turn_id: "t" }).catch((error) => error);
      told([error instanceof ConnectionLost, error instanceof ChatError, error.code]);
    """
    assert run(talk, program, url="http://127.0.0.1:9") == [True, True, "dropped"]


def test_silence_is_a_lost_connection(talk: Talk) -> None:
    gate = Gate()
    talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
    program = """
      const quick = new ChatClient({ url, token: () => token, silenceMs: 300 });
      told((await all(quick.turn(hello)).catch((error) => error)).code);
    """
    assert run(talk, program) == "dropped"
    gate.open()


LOSING = """
  // A connection that breaks after the first delta, as often as told.
  let breaks = given.breaks;
  const losing = async (...request) => {
    const response = await fetch(...request);
    const reader = response.body.getReader();
    let text = "";
    const body = new ReadableStream({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        controller.enqueue(value);
        text += new TextDecoder().decode(value);
        if (breaks > 0 && text.includes("event: delta")) {
          breaks -= 1;
          controller.error(new TypeError("network"));
        }
      },
    });
    return new Response(response.ok ? body : await response.text(), response);
  };
  const unlucky = new ChatClient({ url, token: () => token, fetch: losing });
"""


def test_lost_connection_goes_on_where_it_was(talk: Talk) -> None:
    gate = Gate()
    talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))

    def let_go() -> None:
        wait_until(lambda: talk.stack.gateway.calls, "the turn")
        gate.open()

    threading.Thread(target=let_go).start()
    program = (
        LOSING
        + """
      let text = "";
      const names = [];
      for await (const { event, data } of unlucky.converse(hello)) {
        names.push(event);
        if (event === "start") text = "";
        if (event === "delta") text += data.text;
      }
      told([text, names.at(-1)]);
    """
    )
    assert run(talk, program, breaks=1) == ["Good evening.", "done"]
    assert talk.said() == ["Hello", "> Good evening."]
    assert len(talk.stack.upstream.calls) == 1


def test_left_reader_stops_at_once(talk: Talk) -> None:
    gate = Gate()
    talk.stack.upstream.enqueue(stream(["Good ", gate, "evening."]))
    program = """
      const leaving = new AbortController();
      const names = [];
      try {
        for await (const { event } of client.converse(hello, leaving.signal)) {
          names.push(event);
          if (event === "delta") leaving.abort();
        }
      } catch (error) {
        names.push(error.name);
      }
      told(names);
    """
    assert run(talk, program) == ["start", "delta", "AbortError"]
    gate.open()


EVENTS = (
    "event: a\ndata: 1\nid: x\n\n: comment\n\n"
    "data: 2\r\ndata: 3\r\n\r\nevent:b\rdata:4\r\rdata: lost"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_events_are_read_however_they_are_split(stack: Stack, size: int) -> None:
    pieces = [EVENTS[at : at + size] for at in range(0, len(EVENTS), size)]
    program = (
        START.replace("fetch: given.fetch ?? fetch", "")
        + """
      const parser = new EventParser();
      told(given.pieces.flatMap((piece) => [...parser.parse(piece)]));
    """
    )
    found = run_node(program, {"pieces": pieces, "url": "", "token": ""})
    assert found == [
        {"name": "a", "data": "1", "id": "x"},
        {"name": "message", "data": "2\n3", "id": "x"},
        {"name": "b", "data": "4", "id": "x"},
    ]
