"""Where a prompt has the entries of lorebooks, and what is searched for their keys."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import pytest

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.builder import Prompt, build
from roleplay_chat.prompt.lore import activated_entries
from roleplay_chat.prompt.macro_variables import Variables
from roleplay_chat.rows import (
    BegunTurn,
    CharacterRow,
    ConversationRow,
    LorebookRow,
    MessageRow,
    SettingsRow,
    TemplateRow,
    TurnRow,
    UserRow,
)
from tests.support.prompts import spec

TEMPLATE = TemplateRow(content_tier="sfw", system_prompt="You are {{char}}.")
EXAMPLES = "Wren: The lamp is lit."


def at(position: int, content: str, **more: Any) -> dict[str, Any]:
    extensions = {"position": position, **more}
    return {"keys": [], "constant": True, "content": content, "extensions": extensions}


def keyed(content: str, *keys: str, **extensions: Any) -> dict[str, Any]:
    return {"keys": list(keys), "content": content, "extensions": extensions}


def turn(
    *entries: dict[str, Any],
    message: str | None = "Hello",
    history: tuple[str, ...] = (),
    continues: str | None = None,
    conversation: int = 1,
    **character: Any,
) -> BegunTurn:
    rows = [
        MessageRow(sender="character" if n % 2 else "user", content=text, position=n + 1)
        for n, text in enumerate(history)
    ]
    who = {"name": "Wren", "description": "A keeper.", "example_messages": EXAMPLES} | character
    return BegunTurn(
        now=datetime(2026, 1, 3, tzinfo=UTC),
        turn=TurnRow(id=UUID(int=9), message=message, continues=continues),
        user=UserRow(name="Ada"),
        conversation=ConversationRow(id=UUID(int=conversation)),
        character=CharacterRow(id=UUID(int=2), character_book={"entries": list(entries)}, **who),
        templates=[TEMPLATE],
        history=rows,
    )


def prompt(begun: BegunTurn) -> Prompt:
    return build(spec(begun))


def system(begun: BegunTurn) -> str:
    return prompt(begun)[0]["content"]


def contents(begun: BegunTurn) -> list[str]:
    return [entry.content for entry in activated_entries(begun, ChatRequest(), Variables())]


class TestPlaces:
    def test_entries_stand_around_the_examples(self) -> None:
        text = system(turn(at(5, "Top."), at(6, "Bottom."), at(1, "After.")))
        assert text.endswith(
            "## More of the world\nAfter.\n\n## How Wren speaks\nTop.\n\n"
            f"## How Wren speaks\n{EXAMPLES}\n\nBottom."
        )

    def test_entries_stand_there_without_examples_too(self) -> None:
        text = system(turn(at(6, "Bottom."), example_messages=""))
        assert text.endswith("## How Wren speaks\nBottom.")

    def test_authors_notes_are_four_messages_from_the_end(self) -> None:
        begun = turn(at(3, "Bottom."), at(2, "Top."), history=("a", "b", "c", "d"))
        assert [message["content"] for message in prompt(begun)[1:]] == [
            *("a", "Top.\n\nBottom.", "b", "c", "d", "Hello"),
        ]

    @pytest.mark.parametrize("depth", [0, 1, 3])
    @pytest.mark.parametrize("role", ["system", "user"])
    def test_entries_stand_around_the_note_of_the_conversation(
        self, depth: int, role: Literal["system", "user"]
    ) -> None:
        entries = at(3, "Bottom."), at(2, "Top."), at(4, "Deep.", depth=depth)
        begun = turn(*entries, history=("a", "b", "c", "d"), depth_prompt="Hums.")
        note = SettingsRow(note="It rains.", note_depth=depth, note_role=role)
        begun = begun.model_copy(update={"settings": note})
        texts = "\n\n".join(message["content"] for message in prompt(begun)[1:]).split("\n\n")
        place = texts.index("Top.")
        assert texts[place : place + 3] == ["Top.", "It rains.", "Bottom."]
        assert texts[place - 1] == "Deep."
        said = ["a", "b", "c", "d", "Hello"]
        assert [text for text in texts[place:] if text in said] == said[len(said) - depth :]

    def test_depth_is_four_where_none_is_given(self) -> None:
        begun = turn(at(4, "Note."), history=("a", "b", "c", "d"))
        assert [message["content"] for message in prompt(begun)][2] == "Note."

    def test_decorator_puts_an_entry_into_a_section(self) -> None:
        entry = {"keys": [], "constant": True, "content": "@@position personality\nMore."}
        assert "## Wren's personality\nDry.\n\nMore." in system(turn(entry, personality="Dry."))
        assert "## More of the world\nMore." in system(turn(entry))

    def test_outlet_stands_where_the_character_names_it(self) -> None:
        entries = [
            at(7, "It {{user}} rains.", outlet_name="weather"),
            at(7, "Nobody names this.", outlet_name="other"),
        ]
        begun = turn(*entries, description="Today: {{outlet::weather}}{{outlet:: weather }}.")
        assert "Today: It Ada rains.." in system(begun)
        assert "Nobody names" not in system(begun)
        assert "Today: ." in system(turn(description="Today: {{ outlet::weather }}."))

    def test_what_an_outlet_quotes_is_not_expanded_again(self) -> None:
        entry = at(7, "Asked: {{lastUserMessage}}", outlet_name="o")
        begun = turn(entry, description="{{outlet::o}}", message="Is it {{char}}?")
        assert "Asked: Is it {{char}}?" in system(begun)

    def test_entries_without_a_character_are_in_no_prompt_but_do_no_harm(self) -> None:
        begun = turn().model_copy(update={"character": None})
        assert prompt(begun)[0]["content"].startswith("You are")

    @pytest.mark.parametrize("position", range(8))
    def test_every_entry_is_screened(self, position: int) -> None:
        begun = turn(
            at(position, "Entry text.", outlet_name="o"), description="A keeper. {{outlet::o}}"
        )
        passages = [one for one in prompt(begun).passages if "Entry text." in one.text]
        assert [one.part for one in passages] == ["character"]


class TestSearched:
    def test_names_of_speakers_are_searched(self) -> None:
        assert contents(turn(keyed("x", "Wren"), history=("Hi", "Yes"))) == ["x"]
        assert contents(turn(keyed("x", "Wren"))) == []
        assert contents(turn(keyed("x", "Ada"))) == ["x"]
        assert contents(turn(keyed("x", "/^Ada: Hello$/m"))) == ["x"]

    def test_names_in_patterns_stand_for_themselves(self) -> None:
        entry = keyed("x", "/the {{char}} here/i")
        assert contents(turn(entry, message="The W(ren here", name="W(ren")) == ["x"]
        assert contents(turn(entry, message="The Wxxn here", name="W.{2}n")) == []

    def test_pattern_finds_what_one_speaker_said(self) -> None:
        entry = keyed("x", r"/\x01{{user}}:[^\x01]*?sea/")
        assert contents(turn(entry, message="The sea", history=("Hi", "Yes"))) == ["x"]
        assert contents(turn(entry, message="Well", history=("Hi", "The sea"))) == []

    def test_turn_without_a_message_searches_the_newest_ones(self) -> None:
        book = turn(keyed("x", "sea", scan_depth=1), message=None, history=("a", "sea"))
        assert contents(book) == ["x"]

    @pytest.mark.parametrize(
        ("field", "character", "key"),
        [
            ("match_character_description", {"description": "{{user}} built a mill."}, "Ada built"),
            ("match_character_personality", {"personality": "Dry as chalk."}, "chalk"),
            ("match_character_depth_prompt", {"depth_prompt": "It is harvest."}, "harvest"),
            ("match_scenario", {"scenario": "On the quay."}, "quay"),
        ],
    )
    def test_texts_of_the_character_are_searched_if_the_entry_says_so(
        self, field: str, character: dict[str, Any], key: str
    ) -> None:
        assert contents(turn(keyed("x", key, **{field: True}), **character)) == ["x"]
        assert contents(turn(keyed("x", key), **character)) == []

    def test_persona_is_searched_if_the_entry_says_so(self) -> None:
        entry = keyed("x", "chalk", match_persona_description=True)
        persona = CharacterRow(id=UUID(int=3), name="Ada", description="Hands of chalk.")
        assert contents(turn(entry).model_copy(update={"persona": persona})) == ["x"]
        assert contents(turn(entry)) == []
        asked = ChatRequest(user_role="A chalk merchant")
        assert activated_entries(turn(entry), asked, Variables())

    def test_searching_a_text_sets_no_variables(self) -> None:
        entry = keyed("x", "chalk", match_character_description=True)
        variables = Variables()
        activated_entries(
            turn(entry, description="{{addvar::n::1}}Chalk."), ChatRequest(), variables
        )
        assert not variables

    @pytest.mark.parametrize(
        ("action", "names"),
        [
            (None, "normal"),
            ("send", "normal"),
            ("regenerate", "swipe"),
            ("regenerate", "regenerate"),
            ("continue", "continue"),
            ("impersonate", "impersonate"),
        ],
    )
    def test_kind_of_turn_is_that_of_the_request(self, action: str | None, names: str) -> None:
        kinds = {"normal", "swipe", "regenerate", "continue", "impersonate"}
        request = ChatRequest(action=action)
        fires = {
            kind
            for kind in kinds
            if activated_entries(turn(keyed("x", "Hello", triggers=[kind])), request, Variables())
        }
        assert names in fires
        assert len(fires) == (2 if action == "regenerate" else 1)

    def test_entry_may_be_for_the_nickname(self) -> None:
        only = {"names": ["Birdie"]}
        entry = keyed("x", "Hello", character_filter=only)
        assert contents(turn(entry, nickname="Birdie")) == ["x"]
        assert contents(turn(entry)) == []


class TestBooks:
    @pytest.fixture
    def begun(self) -> BegunTurn:
        scopes = ("conversation", "persona", "person", "everyone")
        rows = [
            LorebookRow(
                id=UUID(int=number), scope=scope, content={"entries": [at(1, f"Of {scope}.")]}
            )
            for number, scope in enumerate(scopes)
        ]
        return turn(at(1, "Of the card.")).model_copy(update={"lorebooks": rows})

    def test_come_in_their_order(self, begun: BegunTurn) -> None:
        assert contents(begun) == [
            *("Of conversation.", "Of persona.", "Of person.", "Of the card.", "Of everyone."),
        ]

    def test_are_screened_as_what_they_belong_to(self, begun: BegunTurn) -> None:
        passages = prompt(begun).passages
        parts = {
            scope: next(one.part for one in passages if f"Of {scope}." in one.text)
            for scope in ("conversation", "persona", "person", "the card", "everyone")
        }
        assert list(parts.values()) == ["scene", "persona", "persona", "character", "scene"]

    def test_stand_in_the_prompt_without_a_character(self, begun: BegunTurn) -> None:
        text = system(begun.model_copy(update={"character": None}))
        assert "Of conversation." in text
        assert "Of everyone." in text


class TestRepeated:
    CHANCE = tuple(
        keyed(str(number), "a", probability=50, group=f"g{number % 7}", useProbability=True)
        for number in range(40)
    )

    def test_prompt_can_be_repeated_exactly(self) -> None:
        begun = turn(*self.CHANCE, message="a", history=("a", "b"))
        assert prompt(begun) == prompt(begun.model_copy(deep=True))

    def test_continuation_sees_what_the_reply_saw(self) -> None:
        reply = turn(*self.CHANCE, message="a", history=("a", "b"))
        more = turn(*self.CHANCE, message=None, history=("a", "b", "a", "c"), continues="c")
        assert contents(reply) == contents(more)

    def test_other_conversations_and_later_turns_see_something_else(self) -> None:
        first = contents(turn(*self.CHANCE, message="a"))
        assert contents(turn(*self.CHANCE, message="a", conversation=2)) != first
        assert contents(turn(*self.CHANCE, message="a", history=("a", "b"))) != first

    def test_cut_history_changes_nothing(self) -> None:
        whole = turn(*self.CHANCE, message="a", history=("x", "y") * 8)
        cut = whole.model_copy(update={"history": whole.history[6:]})
        assert contents(cut) == contents(whole)
