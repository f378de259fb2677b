"""The author's note and the sampler settings that a person keeps in a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.answers import text
from tests.support.talk import Talk

UPSERT = {"Prefer": "resolution=merge-duplicates"}


@pytest.fixture
def api(talk: Talk) -> Iterator[httpx.Client]:
    with talk.stack.data_api(talk.user) as api:
        yield api


def keep(talk: Talk, api: httpx.Client, **settings: Any) -> httpx.Response:
    """The settings as a client writes them, new or not."""
    row = {"conversation_id": str(talk.conversation)} | settings
    return api.post("/conversation_settings", json=row, headers=UPSERT)


def sent(talk: Talk, message: str = "Hello", **body: Any) -> dict[str, Any]:
    """What the model was sent in the next turn."""
    talk.stack.upstream.enqueue(text("Yes."))
    talk.reply(message, **body)
    return dict(talk.stack.upstream.calls[-1].json)


class TestNote:
    def test_stands_in_every_prompt_at_its_depth(self, talk: Talk, api: httpx.Client) -> None:
        row = {"note": "{{char}} limps.", "note_depth": 1, "note_role": "user"}
        assert keep(talk, api, **row).status_code == 201
        name = talk.stack.one("select name from characters limit 1")["name"]
        sent(talk, "One")
        contents = [one["content"] for one in sent(talk, "Two")["messages"]]
        assert contents[1:] == ["One", "Yes.", f"{name} limps.\n\nTwo"]

    def test_can_be_changed_and_removed(self, talk: Talk, api: httpx.Client) -> None:
        keep(talk, api, note="It rains.")
        assert "It rains." in str(sent(talk))
        assert keep(talk, api, note="It snows.").is_success
        assert "It snows." in str(sent(talk))
        here = {"conversation_id": f"eq.{talk.conversation}"}
        assert api.delete("/conversation_settings", params=here).is_success
        assert "It snows." not in str(sent(talk))

    def test_is_screened_as_the_scenes_text(self, talk: Talk, api: httpx.Client) -> None:
        keep(talk, api, note="She is 12 years old. A sexual scene.")
        answer = talk.say("Hello")
        assert answer.status_code == 403
        assert talk.asked() == []

    def test_branch_takes_it_along(self, talk: Talk, api: httpx.Client) -> None:
        keep(talk, api, note="It rains.", sampling={"temperature": 0.3})
        sent(talk)
        message = talk.stack.one(
            "select id from messages where conversation_id = %s and sender = 'character'",
            talk.conversation,
        )
        branch = {"action": "branch", "message_id": str(message["id"])}
        made = talk.stack.chat(talk.user, **branch).json()["conversation_id"]
        call = sent(talk, "So?", conversation_id=made)
        assert "It rains." in str(call)
        assert call["temperature"] == 0.3

    @pytest.mark.parametrize(
        "row",
        [{"note": "x" * 8001}, {"note_depth": -1}, {"note_depth": 1001}, {"note_role": "tool"}],
    )
    def test_beyond_its_bounds_it_is_refused(
        self, talk: Talk, api: httpx.Client, row: dict[str, Any]
    ) -> None:
        assert keep(talk, api, **row).status_code == 400


class TestSampling:
    def test_reaches_the_model(self, talk: Talk, api: httpx.Client) -> None:
        wanted = {"temperature": 0.3, "top_p": 0.5, "top_k": 20, "min_p": 0.1, "max_tokens": 99}
        assert keep(talk, api, sampling=wanted).status_code == 201
        call = sent(talk)
        assert {name: call[name] for name in wanted} == wanted

    def test_is_clamped_to_the_bounds_of_the_models_row(
        self, talk: Talk, api: httpx.Client
    ) -> None:
        talk.stack.db.execute(
            "update api_models set capabilities = capabilities"
            ' || \'{"limits": {"temperature": [0, 0.9], "top_k": false}}\''
        )
        keep(talk, api, sampling={"temperature": 2, "top_k": 5})
        call = sent(talk)
        assert call["temperature"] == 0.9
        assert "top_k" not in call

    def test_null_removes_one(self, talk: Talk, api: httpx.Client) -> None:
        usual = sent(talk).get("temperature")
        keep(talk, api, sampling={"temperature": 0.11})
        assert sent(talk)["temperature"] == 0.11
        keep(talk, api, sampling={"temperature": None})
        assert sent(talk).get("temperature") == usual

    @pytest.mark.parametrize(
        ("sampling", "sentence"),
        [
            ({"mirostat": 1}, 'There is no sampler setting named "mirostat".'),
            ({"model": "x"}, 'There is no sampler setting named "model".'),
            ({"temperature": "1"}, "The sampler setting temperature must be a number."),
            ({"temperature": [1]}, "The sampler setting temperature must be a number."),
            ({"temperature": 1e300}, "The sampler setting temperature must be a number."),
            ({"x": "y" * 3000}, "Sampler settings are an object of at most 2000 bytes."),
            ([1], "Sampler settings are an object of at most 2000 bytes."),
            ("text", "Sampler settings are an object of at most 2000 bytes."),
        ],
    )
    def test_what_no_model_has_is_refused_with_a_sentence(
        self, talk: Talk, api: httpx.Client, sampling: Any, sentence: str
    ) -> None:
        answer = keep(talk, api, sampling=sampling)
        assert (answer.status_code, answer.json()["message"]) == (400, sentence)

    def test_settings_of_one_conversation_are_not_anothers(
        self, talk: Talk, api: httpx.Client
    ) -> None:
        keep(talk, api, note="It rains.", sampling={"temperature": 0.11})
        other = str(talk.stack.conversation(talk.user))
        call = sent(talk, conversation_id=other)
        assert call.get("temperature") != 0.11
        assert "It rains." not in str(call)


def test_nobody_writes_settings_of_somebody_elses_conversation(talk: Talk) -> None:
    with talk.stack.data_api(talk.stack.user("Bob")) as api:
        assert keep(talk, api, note="Mine.").status_code == 403
