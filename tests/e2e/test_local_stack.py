"""The stack of `make up`, driven by its commands alone, with the real language model."""

from __future__ import annotations

import os
import signal

import psutil  # type: ignore[import-untyped]

from tests.support.cards import CARDS, card
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
    assert "running already" in copy.succeed("up").stdout


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
    # A reply that hit its length limit is stored without the sentence it stopped in.
    assert reply.startswith(stored.rstrip('*"'))
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


def test_conversation_takes_commands(copy: WorkingCopy) -> None:
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
    conversation = copy.stack_env["DEMO_CONVERSATION_ID"]
    typed = ["/memory add Ada likes tea.", "/memory add Ada has a boat.", "/memory pin 2"]
    typed += ["/memory add ada likes TEA", "/memory forget 9", "/memory forget 1", "/memory what"]

    chat = copy.succeed("chat", typed="\n".join([*typed, "/quit"]))

    shown = chat.stderr.splitlines()
    assert "  1 Ada likes tea.  [conversation]" in shown
    assert "  2 Ada has a boat. (pinned)  [conversation]" in shown
    assert "  1 Ada has a boat. (pinned)  [conversation]" in shown
    assert "That is there already." in shown
    assert "There is no fact 9. /memory lists them." in shown
    path = (
        f"memory_facts?select=content,memories!inner(id)&memories.conversation_id=eq.{conversation}"
    )
    assert [row["content"] for row in copy.rows(path)] == ["Ada has a boat."]


def test_card_is_taken_in_the_terminal(copy: WorkingCopy) -> None:
    typed = ["/card", "/card nowhere.png", f"/card {CARDS / 'keeper_v1.json'}", "/memory", "/quit"]

    chat = copy.succeed("chat", typed="\n".join(typed))

    name = card("keeper_v1")["name"]
    assert f"{name} is here" in chat.stdout
    assert "Which file? /card FILE" in chat.stderr
    assert "There is no file nowhere.png." in chat.stderr
    [made] = copy.rows(f"characters?name=eq.{name}&select=id")
    assert copy.rows(f"conversations?character_id=eq.{made['id']}")


def test_default_model_answers_when_the_worker_is_gone(copy: WorkingCopy) -> None:
    [default] = copy.rows("api_models?is_default=is.true&task=eq.roleplay&select=model_key")
    os.kill(int(copy.status()["worker"]["process"]), signal.SIGKILL)

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

    status = copy.make("status")
    assert status.returncode != 0
    assert "make up" in status.stderr
    assert "worker" in copy.succeed("up").stdout
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
