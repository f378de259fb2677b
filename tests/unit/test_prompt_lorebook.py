"""Lorebook entries in the prompt, within their share of the budget."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.cards.model import Card
from roleplay_chat.messages import Message
from roleplay_chat.prompt.budget import LORE_SHARE
from roleplay_chat.prompt.builder import build
from roleplay_chat.prompt.composition import compose
from roleplay_chat.prompt.system_message import HOUSE_RULES
from roleplay_chat.rows import BegunTurn, CharacterRow, MessageRow, TemplateRow, TurnRow, UserRow
from roleplay_chat.tokens import TOKENS_PER_MESSAGE, UNCALIBRATED
from tests.support.cards import card
from tests.support.prompts import spec

TEMPLATE = TemplateRow(content_tier="sfw", system_prompt="You are {{char}}, talking with {{user}}.")


def character(name: str, **changes: Any) -> CharacterRow:
    """The character of an imported card, as begin_turn returns it."""
    return CharacterRow(id=uuid4(), **(Card.parse(card(name)).columns() | changes))


def with_book(*entries: dict[str, Any], **book: Any) -> CharacterRow:
    written = [{"keys": [], "constant": True} | entry for entry in entries]
    return character("keeper_v1", character_book={"entries": written} | book)


def said(*contents: str) -> list[MessageRow]:
    """Messages that alternate between user and character."""
    return [
        MessageRow(sender="character" if number % 2 else "user", content=content)
        for number, content in enumerate(contents)
    ]


def built(
    who: CharacterRow, message: str | None, *history: str, context_tokens: int = 8192
) -> list[Message]:
    begun = BegunTurn(
        now=datetime(2026, 1, 3, tzinfo=UTC),
        turn=TurnRow(id=uuid4(), message=message),
        user=UserRow(name="Ada"),
        character=who,
        templates=[TEMPLATE],
        history=said(*history),
    )
    return build(spec(begun, context_tokens=context_tokens))


def test_whole_prompt_with_entries_around_the_description() -> None:
    messages = built(
        character("detective_v2"), "Who signed for the crate?", "Hello.", "You are early."
    )
    assert messages == [
        {
            "role": "system",
            "content": "You are Inès Marchetti, talking with Ada.\n\n"
            "Inès Marchetti never names the culprit before the evidence is on the table.\n\n"
            "## The world\n"
            "Saint-Brieuc is a harbour of slate roofs and long tides. It is 1954.\n\n"
            "## About Inès Marchetti\n"
            "Inès Marchetti is a private detective of forty-four in the harbour town of "
            "Saint-Brieuc. She was a customs officer until she opened the wrong crate.\n\n"
            "Inès Marchetti is 44 years old. Inès Marchetti's pronouns: she/her.\n\n"
            "## Inès Marchetti's personality\n"
            "Dry, attentive, never in a hurry. Asks short questions and waits.\n\n"
            "## Scenario\n"
            "Ada has come to her office above the chandlery with a case.\n\n"
            "## More of the world\n"
            "The crate carried church bells on its papers and lead on its floor. "
            "Captain Le Goff signed for it.\n\n"
            "Captain Le Goff limps when he lies.\n\n"
            "## How Inès Marchetti speaks\n"
            "<START>\nAda: Do you trust him?\n"
            "Inès Marchetti: I trust his shoes. They have not been where he says he was.",
        },
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "You are early."},
        {"role": "system", "content": "End with a question to Ada."},
        {"role": "user", "content": "Who signed for the crate?"},
    ]


def test_whole_prompt_with_an_entry_among_the_messages() -> None:
    who = character("cook_v3", personality="", scenario="")
    assert built(who, "A storm! Where is the nutmeg?", "Hello.", "Hold this ladle.") == [
        {
            "role": "system",
            "content": "You are Bram, talking with Ada.\n\n"
            "## The world\nThe nutmeg is locked in the captain's own chest.\n\n"
            "## About Bartholomew Kettle\n"
            "Bram has cooked on the barque Persistence for thirty of his fifty-eight years. "
            "He measures in handfuls and swears by nutmeg.",
        },
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hold this ladle."},
        {"role": "system", "content": "In a storm Bram lashes the pots and sings."},
        {"role": "user", "content": "A storm! Where is the nutmeg?"},
    ]


def test_cards_own_system_prompt_cannot_leave_out_the_tier() -> None:
    own = character("keeper_v1", system_prompt="Anything goes.")
    framed = character("keeper_v1", system_prompt="{{ Original }} Be brief.")
    assert built(own, "Hello")[0]["content"].startswith(
        f"{HOUSE_RULES['sfw']}\n\nAnything goes.\n\n## About"
    )
    assert HOUSE_RULES["sfw"] not in built(framed, "Hello")[0]["content"]


def test_depth_counts_messages_from_the_end() -> None:
    entries = [{"content": f"@@depth {depth}\nAt {depth}."} for depth in (0, 1, 2, 9)]
    messages = built(with_book(*entries), "Three", "One", "Two")
    assert [(m["role"], m["content"]) for m in messages[1:]] == [
        ("system", "At 9."),
        ("user", "One"),
        ("system", "At 2."),
        ("assistant", "Two"),
        ("system", "At 1."),
        ("user", "Three"),
        ("system", "At 0."),
    ]


def test_entry_may_speak_for_somebody_but_not_begin_the_reply() -> None:
    entries = [
        {"content": "@@depth 1\n@@role user\nMine."},
        {"content": "@@depth 0\n@@role assistant\nLast."},
    ]
    messages = built(with_book(*entries), "Hello")
    assert [(m["role"], m["content"]) for m in messages[1:]] == [
        ("user", "Mine.\n\nHello"),
        ("system", "Last."),
    ]


def test_entries_at_the_same_depth_keep_their_order() -> None:
    entries = [
        {"content": "@@depth 1\nB.", "insertion_order": 2},
        {"content": "@@depth 1\nA.", "insertion_order": 1},
    ]
    assert built(with_book(*entries), "Hello")[1]["content"] == "A.\n\nB."


def test_only_the_newest_messages_bring_entries_up() -> None:
    who = with_book({"content": "Wide.", "constant": False, "keys": ["sea"]}, scan_depth=2)
    assert "Wide." in whole(built(who, "Yes", "x", "the sea"))
    assert "Wide." not in whole(built(who, "Yes", "the sea", "x", "y", "z"))
    assert "Wide." in whole(built(who, None, "the sea"))


SEA = {"content": "Wide.", "constant": False, "keys": ["sea"]}
SOMETIMES = [
    pytest.param({}, id="keys"),
    pytest.param({"position": "elsewhere"}, id="unknown-position"),
    pytest.param({"constant": True, "extensions": {"probability": 99.99}}, id="chance"),
    pytest.param({"constant": True, "extensions": {"group": "a"}}, id="group"),
    pytest.param({"constant": True, "extensions": {"triggers": ["normal"]}}, id="triggers"),
    pytest.param({"constant": True, "extensions": {"cooldown": 1}}, id="cooldown"),
    pytest.param({"constant": True, "content": "@@activate_only_every 1\nWide."}, id="every"),
]


class TestEntryThatComesAndGoes:
    """It stands near the end if its author chose no place, so the prompt before it stays cached."""

    @pytest.mark.parametrize("entry", SOMETIMES)
    def test_without_a_position_stands_after_the_messages(self, entry: dict[str, Any]) -> None:
        who = with_book({**SEA, **entry}, {**SEA, "content": "Deep."})
        without = built(with_book(), "The sea?", "Hello.", "Aye.")
        title = "[More of the world, as far as it bears on the next message:]"
        assert built(who, "The sea?", "Hello.", "Aye.") == [
            *without[:-1],
            {"role": "system", "content": f"{title}\nWide.\n\nDeep."},
            without[-1],
        ]

    @pytest.mark.parametrize(
        "entry",
        [
            pytest.param({"position": "after_char"}, id="card"),
            pytest.param({"extensions": {"position": 1}}, id="sillytavern"),
            pytest.param({"content": "@@position after_desc\nWide."}, id="decorator"),
            pytest.param({"constant": True}, id="constant"),
            pytest.param({"content": "@@activate\nWide."}, id="activated"),
        ],
    )
    def test_keeps_the_place_that_was_chosen_and_constant_ones_stay(
        self, entry: dict[str, Any]
    ) -> None:
        messages = built(with_book({**SEA, **entry}), "The sea?", "Hello.", "Aye.")
        assert "## More of the world\nWide." in messages[0]["content"]
        assert len(messages) == 4

    def test_stands_before_what_is_asked_last(self) -> None:
        who = with_book(SEA).model_copy(update={"post_history_instructions": "Be brief."})
        *_, asked, said = built(who, "The sea?", "Hello.")
        assert asked["content"].endswith("Wide.\n\nBe brief.")
        assert said["content"] == "The sea?"

    @pytest.mark.parametrize("roles", ["alternate", "no_system"])
    def test_is_with_the_message_where_templates_are_strict(self, roles: Any) -> None:
        begun = BegunTurn(
            now=datetime(2026, 1, 3, tzinfo=UTC),
            turn=TurnRow(id=uuid4(), message="The sea?"),
            user=UserRow(name="Ada"),
            character=with_book(SEA),
            history=said("Hello.", "Aye."),
        )
        prompt = build(spec(begun, roles=roles, context_tokens=8192))
        assert prompt[-1]["content"].startswith("The sea?\n\n[[More of the world")
        assert ["Wide." in passage.text for passage in prompt.passages].count(True) == 1

    def test_counts_with_the_entries_and_not_with_the_history(self) -> None:
        begun = BegunTurn(
            now=datetime(2026, 1, 3, tzinfo=UTC),
            turn=TurnRow(id=uuid4(), message="The sea?"),
            user=UserRow(name="Ada"),
            character=with_book({**SEA, "content": "Wide. " * 60}),
            history=said("Hello.", "Aye."),
        )
        prompt = build(spec(begun, context_tokens=8192))
        assert prompt.ingredients is not None
        total = sum(UNCALIBRATED.count(m["content"]) + TOKENS_PER_MESSAGE for m in prompt)
        parts = {
            part["part"]: part["tokens"] for part in compose(prompt.ingredients, total)["parts"]
        }
        assert parts["lore"] == pytest.approx(UNCALIBRATED.count("Wide. " * 60) + 26, abs=12)
        assert parts["history"] == pytest.approx(
            sum(map(UNCALIBRATED.count, ("Hello.", "Aye."))) + 8, abs=4
        )


def whole(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def test_macros_are_expanded_in_entries() -> None:
    who = with_book({"content": "{{user}} and {{char}}: {{lastMessage}}{{mood}} {{odd}}."})
    content = built(who, "Hello")[0]["content"]
    assert "Ada and Tobias Wren: Hello ." in content


def test_macros_in_messages_are_left_alone() -> None:
    who = with_book({"content": "Found.", "constant": False, "keys": ["Tobias Wren"]})
    messages = built(who, "{{char}}")
    assert messages[-1]["content"] == "{{char}}"
    assert "Found." not in messages[0]["content"]


def test_book_gets_a_part_of_the_budget_and_the_best_ranked_use_it() -> None:
    entries = [
        {"content": f"Entry {number}: " + "x" * 300, "priority": number} for number in range(100)
    ]
    content = built(with_book(*entries), "Hello", context_tokens=4096)[0]["content"]
    kept = [number for number in range(100) if f"Entry {number}:" in content]
    assert kept == list(range(100 - len(kept), 100))
    assert 0.8 < len(kept) * 104 / ((4096 - 400) * LORE_SHARE) <= 1


def test_book_pushes_out_nothing_that_is_always_said() -> None:
    who = with_book({"content": "lore " * 150}).model_copy(update={"example_messages": "Mine." * 9})
    long = who.model_copy(update={"description": "long " * 1000})
    assert "lore" in built(who, "Hello", context_tokens=2048)[0]["content"]
    system = built(long, "Hello", context_tokens=2048)[0]["content"]
    assert "lore" not in system
    assert system.count("long") > 300


def with_note(text: str, depth: int = 4, role: str = "system", **more: Any) -> CharacterRow:
    note = {"depth_prompt": text, "depth_prompt_depth": depth, "depth_prompt_role": role}
    return character("keeper_v1", **note, **more)


class TestDepthPrompt:
    def test_stands_at_its_depth_with_its_role(self) -> None:
        history = ("One", "Two", "Three", "Four")
        for depth in range(5):
            said = built(with_note("Note.", depth), "Five", *history)[1:]
            places = [one["content"] for one in said].index("Note.")
            assert (places, said[places]["role"]) == (5 - depth, "system")
        assert built(with_note("Note.", 9), "Five", *history)[1]["content"] == "Note."
        spoken = built(with_note("Note.", 1, "assistant"), "Hello", "One")
        assert (spoken[2]["role"], spoken[2]["content"]) == ("assistant", "Note.")

    def test_macros_in_it_are_expanded(self) -> None:
        who = with_note("{{char}}, {{user}}, {{description}}: {{personality}}", 0)
        assert built(who, "Hello")[-1]["content"].startswith("Tobias Wren, Ada, ")

    def test_cannot_begin_the_reply(self) -> None:
        assert built(with_note("Note.", 0, "assistant"), "Hello")[-1]["role"] == "system"

    def test_stands_beside_entries_of_the_book(self) -> None:
        entry = {"keys": [], "constant": True, "content": "@@depth 1\nEntry."}
        who = with_note("Note.", 1, character_book={"entries": [entry]})
        assert built(who, "Hello")[1]["content"] == "Entry.\n\nNote."

    def test_long_one_is_cut_and_the_message_stays_whole(self) -> None:
        who = with_note("note " * 1_500, 1)
        *_, note, message = built(who, "Hello. " * 100, context_tokens=2048)
        assert message["content"] == "Hello. " * 100
        assert 50 < note["content"].count("note") < 200

    def test_blank_one_is_none(self) -> None:
        assert [m["role"] for m in built(with_note("{{// nothing}} "), "Hello")] == [
            "system",
            "user",
        ]


contents = st.text(max_size=600)


@given(
    entries=st.lists(
        st.fixed_dictionaries(
            {"content": contents, "constant": st.just(True)},
            optional={
                "extensions": st.fixed_dictionaries(
                    {"position": st.integers(0, 4), "depth": st.integers(0, 9)}
                )
            },
        ),
        max_size=12,
    ),
    description=st.text(max_size=6000),
    message=st.text(max_size=900),
    history=st.lists(contents, max_size=12),
    note=st.text(max_size=8_000),
    context_tokens=st.integers(2048, 8192),
)
def test_prompt_with_a_book_never_exceeds_its_budget(
    entries: list[dict[str, Any]],
    description: str,
    message: str,
    history: list[str],
    note: str,
    context_tokens: int,
) -> None:
    book = {"entries": entries}
    who = with_note(note, description=description, character_book=book)
    messages = built(who, message, *history, context_tokens=context_tokens)
    spent = sum(UNCALIBRATED.count(message["content"]) for message in messages)
    assert spent <= context_tokens - 400
