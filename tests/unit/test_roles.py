"""Messages in the forms that strict chat templates take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.api import ChatRequest
from roleplay_chat.memory.batches import Batch
from roleplay_chat.memory.request import INSTRUCTIONS, build_request
from roleplay_chat.messages import Message, Role, Roles
from roleplay_chat.prompt.builder import Prompt, build
from roleplay_chat.prompt.macros import Macros
from roleplay_chat.prompt.passages import Piece, build_passages
from roleplay_chat.prompt.roles import BEGIN, PromptMessage, arranged
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.prompts import spec
from tests.support.situations import MARA, REYES, SITUATIONS, begun
from tests.support.templates import FAMILIES, Family

STRICT: tuple[Roles, ...] = ("alternate", "no_system")
NOTES = [
    {"keys": ["skerry"], "content": f"A note of the {role}.",
     "extensions": {"position": 4, "depth": depth, "role": number}}
    for number, (role, depth) in enumerate((("system", 0), ("user", 2), ("assistant", 1)))
]  # fmt: skip
AUTHORED = MARA | {
    "post_history_instructions": "Answer in two paragraphs.",
    "character_book": {"entries": NOTES},
}
MORE: dict[str, dict[str, Any]] = {
    "after-a-greeting": {"history": [{"sender": "character", "content": "There is tea."}]},
    "first": {"history": []},
    "instructions-and-notes": {"character": AUTHORED, "turn": {"message": "To the skerry?"}},
    "first-with-instructions": {
        "character": AUTHORED,
        "history": [],
        "turn": {"message": "To the skerry?"},
    },
    "impersonate": {
        "character": AUTHORED,
        "turn": {"message": None},
        "request": {"action": "impersonate"},
    },
    "regenerate": {
        "history": [{"sender": "character", "content": "There is tea."}],
        "turn": {"message": None},
        "request": {"action": "regenerate"},
    },
    "two-in-a-row": {
        "history": [{"sender": "user", "content": "One."}, {"sender": "user", "content": "Two."}]
    },
    "story": {"character": None, "history": []},
    "persona-and-group": {
        "persona": REYES,
        "others": [{"id": REYES["id"], "name": "Tomas Lind"}],
        "history": [
            {"sender": "character", "content": "Sit.", "character_id": REYES["id"], "speaker": "T"}
        ],
    },
}
ALL = {**SITUATIONS, **MORE}
CUT = {"long-history", "long-card", "cjk", "worker"}
"""Situations whose texts are cut to fit, in any form."""


def built(situation: dict[str, Any], roles: Roles, **more: Any) -> Prompt:
    request = ChatRequest.model_validate(situation.get("request", {}))
    sizes = {"context_tokens": situation.get("context_tokens", 8192)}
    return build(spec(begun(situation), request=request, roles=roles, **(sizes | more)))


def prompt(name: str, roles: Roles, **more: Any) -> Prompt:
    return built(ALL[name], roles, **more)


def shape(messages: list[Message]) -> list[Role]:
    return [message["role"] for message in messages]


def is_strict(messages: list[Message], roles: Roles) -> bool:
    said = shape(messages)[1:] if roles == "alternate" else shape(messages)
    turns = ["user" if n % 2 == 0 else "assistant" for n in range(len(said))]
    system = roles == "no_system" or messages[0]["role"] == "system"
    return system and said == turns and said[-1] == "user"


class TestPrompt:
    @pytest.mark.parametrize("roles", STRICT)
    @pytest.mark.parametrize("name", ALL)
    def test_every_situation_alternates_from_user_to_user(self, name: str, roles: Roles) -> None:
        assert is_strict(prompt(name, roles), roles)

    @pytest.mark.parametrize("roles", STRICT)
    @pytest.mark.parametrize("name", sorted(set(ALL) - CUT))
    def test_form_loses_no_text(self, name: str, roles: Roles) -> None:
        whole = "\n".join(message["content"] for message in prompt(name, roles))
        for message in prompt(name, "as_is"):
            for part in message["content"].split("\n\n"):
                assert part in whole

    @pytest.mark.parametrize("roles", STRICT)
    @pytest.mark.parametrize("name", ALL)
    def test_form_stays_within_the_budget(self, name: str, roles: Roles) -> None:
        sent = prompt(name, roles)
        spent = sum(UNCALIBRATED.count(m["content"]) + TOKENS_PER_MESSAGE for m in sent)
        assert spent <= ALL[name].get("context_tokens", 8192) - 400

    @pytest.mark.parametrize("roles", ["as_is", *STRICT])
    @pytest.mark.parametrize("name", ALL)
    def test_what_is_screened_is_what_is_sent(self, name: str, roles: Roles) -> None:
        sent = prompt(name, roles)
        whole, place = "\n".join(message["content"] for message in sent), 0
        for passage in sent.passages:
            for line in passage.text.split("\n"):
                place = whole.index(line, place)

    def test_instructions_and_notes_end_the_last_message_in_brackets(self) -> None:
        for roles in STRICT:
            *before, last = prompt("instructions-and-notes", roles)
            said, *asides = last["content"].split("\n\n")
            assert said == "To the skerry?"
            assert sorted(asides) == [
                "[A note of the assistant.]",
                "[A note of the system.]",
                "[A note of the user.]",
                "[Answer in two paragraphs.]",
            ]
            assert not any("A note" in message["content"] for message in before)

    def test_greeting_has_a_line_of_the_person_before_it(self) -> None:
        sent = prompt("after-a-greeting", "alternate")
        assert [m["content"] for m in sent[1:3]] == [BEGIN, "There is tea."]

        first, second, *_ = prompt("after-a-greeting", "no_system")
        assert first["role"] == "user"
        assert first["content"].endswith(f"\n\n{BEGIN}")
        assert second == {"role": "assistant", "content": "There is tea."}

    def test_rule_is_at_the_end_of_the_system_text(self) -> None:
        for roles in STRICT:
            first, *_ = prompt("after-a-greeting", roles, rule="Be kind.")
            assert first["content"].removesuffix(f"\n\n{BEGIN}").endswith("\n\nBe kind.")

    @pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
    @pytest.mark.parametrize("name", ALL)
    def test_every_family_takes_its_form(self, name: str, family: Family) -> None:
        assert family.refusal(prompt(name, family.roles)) is None


@pytest.mark.parametrize("roles", STRICT)
@pytest.mark.parametrize("greets", [True, False])
def test_beginning_stays_the_same_from_turn_to_turn(*, greets: bool, roles: Roles) -> None:
    said = ["To the skerry."] * 12
    before: list[Message] = []
    for count in range(1 if greets else 0, 12, 2):
        first = "character" if greets else "user"
        history = [
            {"sender": first if n % 2 == 0 else "user" if greets else "character", "content": one}
            for n, one in enumerate(said[:count])
        ]
        turn = {"message": f"To the skerry? ({count})"}
        now = built({"character": AUTHORED, "history": history, "turn": turn}, roles)
        assert is_strict(now, roles)
        *same, last = before or now[:1]
        assert now[: len(same)] == same
        if before:
            asked = last["content"].rpartition("To the skerry?")[0]
            assert now[len(same)]["content"].startswith(asked)
        before = list(now)


class TestRequestForNotes:
    @pytest.mark.parametrize("roles", ["as_is", *STRICT])
    def test_is_one_message_where_there_is_no_system_role(self, roles: Roles) -> None:
        turn = begun({})
        batch = Batch(turn.history, 0)
        names = Macros({"user": "Ada", "char": "Mara"})
        request = build_request(batch, turn, names, budget=4000, roles=roles)
        whole = "\n\n".join(message["content"] for message in request)
        assert shape(request) == (["user"] if roles == "no_system" else ["system", "user"])
        assert whole.startswith(INSTRUCTIONS)
        assert request.passages == build_request(batch, turn, names, budget=4000).passages


MESSAGES = st.lists(
    st.builds(
        PromptMessage,
        st.sampled_from(["system", "user", "assistant"]),
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1).map(
            lambda words: Piece.from_text("history", words)
        ),
        st.booleans(),
    )
)


@given(MESSAGES, st.sampled_from(STRICT))
def test_any_messages_alternate_and_lose_nothing(
    messages: list[PromptMessage], roles: Roles
) -> None:
    system = PromptMessage("system", Piece.from_text(None, "Rules."))
    found = arranged([system, *messages], roles)
    sent = Prompt.from_messages(found)
    assert is_strict(sent, roles)
    whole = "\n".join(message["content"] for message in sent)
    assert all(message.content.text in whole for message in messages)
    screened = "".join(passage.text for passage in build_passages([one.content for one in found]))
    assert all(message.content.text in screened for message in messages)


@given(MESSAGES, MESSAGES, st.sampled_from(STRICT))
def test_more_messages_change_only_the_last_one(
    messages: list[PromptMessage], more: list[PromptMessage], roles: Roles
) -> None:
    system = PromptMessage("system", Piece.from_text(None, "Rules."))
    said = [one for one in messages if not one.is_note and one.role != "system"]
    notes = [one for one in messages if one not in said]
    if not said or said[-1].role != "user":
        said.append(PromptMessage("user", Piece.from_text("message", "And now?")))
    reply = PromptMessage("assistant", Piece.from_text("history", "This."))
    before = arranged([system, *said, *notes], roles)
    after = arranged([system, *said, reply, *more], roles)
    assert after[: len(before) - 1] == before[:-1]
