"""The stack of `make up`, controlled by its commands, with the real language model."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from dev.stack.worker import CONTEXT_TOKENS
from dev.terminal.client import Chat
from roleplay_chat.prompt import recall
from tests.support import patient
from tests.support.answers import text, worker_healthy
from tests.support.cards import CARDS, card
from tests.support.functions import serve_process
from tests.support.provider_checks import catalog, listed
from tests.support.talk import VENICE
from tests.support.upstream import Answer, Exchange, running_upstream
from tests.support.waiting import wait_until
from tests.support.working_copy import WorkingCopy

PARTS = ("database", "worker", "stand-in", "functions")


def alive(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def test_every_part_is_up_and_the_scheduler_has_checked_the_worker(copy: WorkingCopy) -> None:
    status = copy.status()
    [row] = copy.rows("system_config?select=config")
    health = row["config"]["workerHealthCache"]["chatWorker"]

    assert {name: part["state"] for name, part in status.items()} == dict.fromkeys(PARTS, "up")
    assert health["isHealthy"] is True
    assert health["workerUrl"] == copy.stack_env["CHAT_WORKER_URL"]


def test_second_start_says_that_the_stack_is_running(copy: WorkingCopy) -> None:
    assert "already running" in copy.succeed("up").stdout


def test_turn_is_answered_by_the_worker_and_saved(copy: WorkingCopy) -> None:
    said, usage = copy.said(), copy.rows("usage_events")
    message = 'It\'s me, "Ada" & $HOME; who are you?'

    chat = copy.succeed("chat", f"MESSAGE={message}")

    reply = chat.stdout.strip()
    assert reply
    assert "chat_worker, " in chat.stderr
    assert "instead" not in chat.stderr
    *before, (sender, stored) = copy.said()
    assert before == [*said, ("user", message)]
    assert sender == "character"
    assert stored == reply
    turn = copy.rows("turns?order=created_at.desc&limit=1")[0]
    assert (turn["status"], turn["model_used"]) == ("complete", "chat_worker")
    assert turn["conversation_id"] == copy.stack_env["DEMO_CONVERSATION_ID"]
    [spent] = [row for row in copy.rows("usage_events") if row not in usage]
    assert (spent["turn_id"], spent["provider"], spent["outcome"]) == (
        turn["id"],
        "chat_worker",
        "ok",
    )
    assert spent["completion_tokens"] > 0


def test_operator_sees_that_all_is_well_and_what_was_used(copy: WorkingCopy) -> None:
    copy.succeed("chat", "MESSAGE=Hello")
    assert "No problems found." in copy.succeed("verify", "COLUMNS=160").stdout
    usage = copy.succeed("usage", "COLUMNS=160").stdout
    assert "chat_worker:" in usage
    assert "█" in usage
    settings = copy.succeed("settings", "COLUMNS=160").stdout
    assert copy.stack_env["SUPABASE_URL"] in settings
    assert copy.stack_env["SUPABASE_SECRET_KEY"] not in settings


def test_terminal_conversation_runs_its_commands(copy: WorkingCopy) -> None:
    lines = ["/new", "Good evening.", "/variants", "/branch", "/delete"]

    chat = copy.succeed("chat", typed="\n".join(lines))

    branch, parent = copy.rows("conversations?order=created_at.desc&limit=2")
    said = {
        row["id"]: copy.rows(f"messages?conversation_id=eq.{row['id']}&order=position")
        for row in (branch, parent)
    }
    assert branch["parent_conversation_id"] == parent["id"]
    assert [row["content"] for row in said[branch["id"]]] == ["Good evening."]
    assert [row["sender"] for row in said[parent["id"]]] == ["user", "character"]
    assert f"* 1  {said[parent['id']][1]['content']}" in chat.stderr


def test_memory_is_shown_and_corrected_in_the_terminal(copy: WorkingCopy) -> None:
    typed = ["/new", "/memory add Ada likes tea.", "/memory add Ada has a boat.", "/memory pin 2"]
    typed += ["/memory add ada likes TEA", "/memory forget 9", "/memory forget 1", "/memory what"]
    typed += ["/memory change 1 Ada has a ship.", "/memory move 1 profile", "/memory move 1 attic"]
    typed += ["/memory off 1", "/memory on 1", "/memory rate 1 5", "/memory rate 1 6"]
    typed += ["/memory summary Ada came by boat.", "/memory off", "/memory", "/memory forget 1"]
    typed += ["/memory summary Ada came on foot.", "/memory on", "/memory"]

    chat = copy.succeed("chat", typed="\n".join([*typed, "/quit"]))

    shown = chat.stderr.splitlines()
    assert "  1 Ada likes tea.  [conversation]" in shown
    assert "  2 Ada has a boat. (pinned)  [conversation]" in shown
    assert "  1 Ada has a boat. (pinned)  [conversation]" in shown
    assert "This fact is already there." in shown
    assert "There is no fact 9. /memory lists them." in shown
    assert "  1 Ada has a ship. (pinned)  [profile]" in shown
    assert "There is no tier attic. Use conversation, character, profile." in shown
    assert "Ada came by boat." in shown
    assert shown[-2:] == ["Ada came on foot.", "There are no facts."]
    [conversation] = copy.rows("conversations?order=created_at.desc&limit=1&select=id,remembers")
    assert conversation["remembers"] is True


def test_card_is_taken_in_the_terminal(copy: WorkingCopy) -> None:
    typed = ["/card", "/card nowhere.png", f"/card {CARDS / 'keeper_v1.json'}", "/memory", "/quit"]

    chat = copy.succeed("chat", typed="\n".join(typed))

    name = card("keeper_v1")["name"]
    assert f"{name} was imported" in chat.stdout
    assert "Which file? /card FILE" in chat.stderr
    assert "There is no file nowhere.png." in chat.stderr
    [made] = copy.rows(f"characters?name=eq.{name}&select=id")
    assert copy.rows(f"conversations?character_id=eq.{made['id']}")


FACT = "Ada's sister Ilse keeps bees in Bergen."
RETOLD, SPOKEN, TURNS = 180, 197, 200
"""Numbers of turns of a long conversation: summarised, before the test, and in total."""


def said_in(turn: int) -> list[dict[str, str]]:
    """The user's message and the reply, about 160 tokens."""
    person = "My sister Ilse keeps bees in Bergen." if turn == 3 else "What does the sea do now?"
    reply = "She trims the lamp and listens to the wind over the skerry. " * 9
    return [
        {"sender": "user", "content": f"({turn}) {person}"},
        {"sender": "character", "content": f"({turn}) {reply.strip()}"},
    ]


class LongConversation:
    """A conversation of the demo user with the demo character after many turns."""

    def __init__(self, copy: WorkingCopy, http: httpx.Client) -> None:
        self.copy = copy
        self.chat = Chat(http, copy.stack_env, "chat_worker")
        self.chat.start_conversation()
        self.id = self.chat.conversation_id
        # A model of this size cannot write summaries, so one is inserted.
        self.chat.data("PATCH", f"conversations?id=eq.{self.id}", {"remembers": False})
        [memory] = self.chat.data("POST", "memories", self.chat.memory_row())
        self.chat.data("POST", "memory_facts", {"memory_id": memory["id"], "content": FACT})
        said = [message for turn in range(1, SPOKEN + 1) for message in said_in(turn)]
        copy.write("POST", "messages", [message | {"conversation_id": self.id} for message in said])
        positions = [row["position"] for row in copy.rows(self.messages("position"))]
        summary = "Ada and Mara talked of the sea and of the lamp."
        covered = {"content": summary, "covers_position": positions[2 * RETOLD - 1]}
        copy.write("POST", "conversation_summaries", covered | {"conversation_id": self.id})

    def messages(self, columns: str) -> str:
        return f"messages?conversation_id=eq.{self.id}&order=position&select={columns}"

    def register(self, url: str) -> None:
        """Registers this address as the worker's, with a healthy record."""
        at = {"p_url": url, "p_protocol": "openai"}
        self.copy.write("POST", "rpc/set_chat_worker_url", at)
        now = datetime.now(UTC).isoformat()
        record = {"isHealthy": True, "lastCheck": now, "workerUrl": url}
        known = {"p_records": {"chatWorker": record}}
        self.copy.write("POST", "rpc/record_worker_health", known)

    def say(self, turn: int) -> dict[str, Any]:
        character = self.chat.character_id
        return self.chat.act(
            conversation_id=self.id,
            character_id=character,
            model_provider="chat_worker",
            message=f"({turn}) And where does my sister live?",
        )


def counted(url: str, words: str) -> Answer:
    """A reply with these words, and the prompt's tokens as counted by the real worker."""

    async def answer(exchange: Exchange) -> None:
        key = {"Authorization": exchange.call.headers["authorization"]}
        body = exchange.call.json | {"max_tokens": 1, "stream": False}
        async with httpx.AsyncClient(timeout=1200) as http:
            given = await http.post(f"{url}/v1/chat/completions", json=body, headers=key)
        assert given.status_code == 200, given.text
        await text(words, usage=given.json()["usage"])(exchange)

    return answer


def test_two_hundredth_turn_knows_the_third_and_fits_the_workers_context(copy: WorkingCopy) -> None:
    worker = copy.stack_env["CHAT_WORKER_URL"]
    stack, *_ = copy.processes()
    with running_upstream() as between, httpx.Client(timeout=1600) as http:
        between.always(worker_healthy(), to="/health")
        # The last prompt, which is the longest, goes to the real worker.
        replies = [text("In Bergen.", usage=None)] * 2 + [counted(worker, "In Bergen.")]
        between.enqueue(*replies, to="/v1/chat/completions")
        conversation = LongConversation(copy, http)
        stack.suspend()  # also the scheduler, which might probe the other address
        try:
            copy.check_health()
            conversation.register(between.url)
            # Ratios learned in earlier turns would change the budget.
            copy.write("DELETE", "token_calibrations?provider=eq.chat_worker")
            answers = [conversation.say(turn) for turn in range(SPOKEN + 1, TURNS + 1)]
        finally:
            conversation.register(worker)
            stack.resume()
        asked = [call.json for call in between.calls if call.method == "POST"]

    assert [answer["model_used"] for answer in answers] == ["chat_worker"] * 3
    assert len(asked) == 3
    systems, firsts = set(), []
    for turn, body in enumerate(asked, SPOKEN + 1):
        system, *spoken = body["messages"]
        # What is recalled is of any time.
        spoken = [one for one in spoken if not one["content"].startswith(recall.TITLE)]
        assert f"- {FACT}" in system["content"]
        assert "talked of the sea and of the lamp." in system["content"]
        turns = sorted({int(n) for m in spoken for n in re.findall(r"\((\d+)\)", m["content"])})
        assert turns == list(range(turns[0], turn + 1))
        # Not all messages after the summary fit, so the budget decides.
        assert RETOLD + 1 < turns[0] < SPOKEN - 5
        systems.add(system["content"])
        firsts.append(turns[0])
    assert len(systems) == 1
    assert firsts == sorted(firsts)
    [used] = copy.rows(f"usage_events?turn_id=eq.{answers[-1]['turn_id']}")
    assert 2000 < used["prompt_tokens"] <= CONTEXT_TOKENS - asked[-1]["max_tokens"]


def test_default_model_answers_when_the_worker_is_gone(copy: WorkingCopy) -> None:
    [default] = copy.rows("api_models?is_default=is.true&task=eq.roleplay&select=model_key")
    copy.kill_worker()

    chat = copy.succeed("chat", "MESSAGE=Are you still there?")

    assert chat.stdout.strip()
    assert f"openrouter:{default['model_key']}, " in chat.stderr
    assert "answered instead" in chat.stderr
    turn = copy.rows("turns?order=created_at.desc&limit=1")[0]
    assert turn["model_used"] == f"openrouter:{default['model_key']}"
    assert (turn["result"]["usedFallback"], turn["result"]["fallbackModel"]) == (
        True,
        default["model_key"],
    )
    assert turn["result"]["notice"] in chat.stderr
    outcomes = {
        row["provider"]: row["outcome"]
        for row in copy.rows(f"usage_events?turn_id=eq.{turn['id']}")
    }
    assert outcomes["openrouter"] == "ok"

    for _ in range(3):  # a single failure is tolerated
        copy.check_health()
    checked = copy.make("verify", "COLUMNS=160")
    assert checked.returncode != 0
    assert "✗  worker chatWorker" in checked.stdout

    status = copy.make("status")
    assert status.returncode != 0
    assert "make up" in status.stderr
    assert "worker" in copy.succeed("up").stdout
    copy.recover()
    assert copy.status()["worker"]["state"] == "up"


@pytest.mark.parametrize("part", ["stand-in", "database"])
def test_part_that_hangs_is_started_anew(copy: WorkingCopy, part: str) -> None:
    before, said = copy.status(), copy.said()
    psutil.Process(int(before[part]["process"])).suspend()

    status = copy.make("status")
    assert status.returncode != 0
    assert "make up" in status.stderr
    assert f"Restarting: {part}" in copy.succeed("up").stdout

    after = copy.status()
    assert {row["state"] for row in after.values()} == {"up"}
    renewed = {name for name in PARTS if after[name]["process"] != before[name]["process"]}
    assert renewed == {part}
    assert copy.said() == said


def test_verify_names_all_that_is_wrong_within_one_run(copy: WorkingCopy) -> None:
    stack, *_ = copy.processes()
    [provider] = copy.rows("api_providers?name=eq.openrouter&select=base_url")
    renamed = listed("venice/uncensored:free", canonical_slug=VENICE)
    names = ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "HEALTH_CHECK_SECRET")
    # Like the stack's, but with OpenRouter's catalog to check.
    settings = {name: copy.stack_env[name] for name in names}
    settings |= {"ALLOW_LOCAL_UPSTREAMS": "true", "KEY_CHECK_MINUTES": "0"}
    copy.kill_worker()
    stack.suspend()  # also the scheduler; the database and the functions keep running
    try:
        with running_upstream() as openrouter:
            openrouter.always(catalog(renamed, without=(VENICE,)), to="/api/v1/models")
            at = {"base_url": f"{openrouter.url}/api/v1"}
            copy.write("PATCH", "api_providers?name=eq.openrouter", at)
            with serve_process("health_check", settings) as health_check:
                secret = {"Authorization": f"Bearer {settings['HEALTH_CHECK_SECRET']}"}
                run = patient.post(health_check.url, headers=secret)
        assert run.json()["steps"]["catalog"]["outcome"] == "done"
        then = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        copy.write("PATCH", "health_check_steps?step=neq.-", {"begun_at": then, "done_at": then})

        verify = copy.make("verify", "COLUMNS=300")

        assert verify.returncode != 0
        lines = [line for line in verify.stdout.splitlines() if line.lstrip().startswith("✗")]
        lines = [re.sub(r"\d+ min", "N min", line) for line in lines]
        # Nothing of the key, which is the stand-in's: the stack checks none.
        model, worker, scheduler = (re.split(r"  +", line.strip(" ✗")) for line in lines)
        assert model[:2] == ["catalog", f"{VENICE} was renamed: venice/uncensored:free"]
        assert worker[0] == "worker chatWorker"
        assert "cannot be reached" in worker[1]
        assert scheduler[:2] == ["scheduler", "health_check has not run for N min"]
        assert [line[2] for line in (model, worker, scheduler)] == [
            "set model_key of its row to the new name",
            "make up restarts it",
            "make down && make up",
        ]
    finally:
        stack.resume()
        copy.write("PATCH", "api_providers?name=eq.openrouter", provider)
        copy.write("PATCH", "api_models?catalog_status=not.is.null", {"catalog_status": None})
        copy.write("DELETE", "health_check_steps?step=in.(key,catalog)")
        copy.recover()
    assert copy.status()["worker"]["state"] == "up"


def test_down_leaves_no_process_and_the_next_start_has_the_data(copy: WorkingCopy) -> None:
    before = copy.said()
    processes = copy.processes()
    assert len(processes) > len(PARTS)

    copy.succeed("down")

    wait_until(lambda: not any(map(alive, processes)), "every process to end")
    assert "not running" in copy.make("status").stderr
    assert "not running" in copy.make("chat", "MESSAGE=Hello").stderr

    copy.succeed("up")
    assert copy.said() == before
