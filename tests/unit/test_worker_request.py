"""The local worker's requests to llama.cpp."""

from __future__ import annotations

from pathlib import Path

from dev.settings import Keys, Settings
from dev.stack.stack import parts
from dev.stack.worker import MAX_TEMPERATURE, MAX_TOKENS, completion_request

GRAMMAR = 'root ::= "The lamp is lit."'


def test_callers_fields_are_passed_on_and_bounded() -> None:
    body = {"messages": [], "temperature": 0.9, "top_p": 0.5, "grammar": "theirs", "model": "m"}
    assert completion_request(body, stream=False) == {
        "messages": [],
        "top_p": 0.5,
        "temperature": MAX_TEMPERATURE,
        "max_tokens": MAX_TOKENS,
        "repeat_penalty": 1.08,
    }


def test_grammar_of_the_setting_holds_for_every_request() -> None:
    whole, streamed = (
        completion_request({"messages": []}, stream=stream, grammar=GRAMMAR)
        for stream in (False, True)
    )
    assert whole["grammar"] == streamed["grammar"] == GRAMMAR
    assert streamed["stream_options"] == {"include_usage": True}


def test_both_models_of_the_stack_get_the_grammar(tmp_path: Path) -> None:
    settings = Settings(local_dir=tmp_path, worker_grammar=GRAMMAR, openrouter_roleplay_api_key="")
    models = {
        part.name: part.env["WORKER_GRAMMAR"]
        for part in parts(settings, Keys())
        if "dev.stack.worker" in part.command
    }
    assert models == {"worker": GRAMMAR, "stand-in": GRAMMAR}


def test_more_workers_register_themselves_each_with_its_own_key(tmp_path: Path) -> None:
    settings = Settings(local_dir=tmp_path, workers=3, worker_port=9000)
    more = {
        part.name: (part.port, part.env["WORKER_REGISTERS_AT"].rpartition("/")[2])
        for part in parts(settings, Keys())
        if "WORKER_KEY" in part.env
    }
    assert more == {"worker-2": (9002, "worker-2"), "worker-3": (9003, "worker-3")}
    keys = [part.env.get("WORKER_KEY") for part in parts(settings, Keys())]
    assert len(set(filter(None, keys))) == 2
