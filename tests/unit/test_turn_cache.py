"""How much an instance keeps of histories, and for whom."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from edge.json_text import dumps
from roleplay_chat.api import ChatRequest, Task
from roleplay_chat.rows import BegunTurn, MessageRow
from roleplay_chat.turn_cache import (
    MAX_BYTES,
    MAX_BYTES_EACH,
    SECONDS,
    CachedTurn,
    Part,
    TurnCache,
    complete,
    most_bytes,
)

TASK: Task = "roleplay"
ADA, BEN = UUID(int=1), UUID(int=2)
MARA, TOM, GONE = UUID(int=3), UUID(int=4), UUID(int=5)
STAMP = {"change": "a", "newest_id": "b", "upto": 100, "is_cut": False, "most": 1000}


def row(position: int, content: str = "Hello.", **more: Any) -> dict[str, Any]:
    return {"sender": "user", "content": content, "position": position} | more


def message(position: int, content: str = "Hello.", **more: Any) -> MessageRow:
    return MessageRow(**row(position, content, **more))


def copy_of(*contents: str) -> CachedTurn:
    rows = [message(number, content) for number, content in enumerate(contents, 1)]
    return CachedTurn(rows, STAMP)


def rows(copies: TurnCache, user: UUID, conversation: UUID | None) -> int:
    """How many messages of a conversation are kept."""
    return len(copies.find(user, conversation, TASK).rows)


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Messages as begin_turn returns them."""
    lists: dict[str, Any] = {
        name: [one[name] for one in rows] for name in (rows[0] if rows else ())
    }
    if rows:
        lists |= {"sender": "".join(one["sender"][0] for one in rows)}
        lists |= {"character_id": [one.get("character_id") for one in rows]}
    return lists


def begun_with(*new: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A result of begin_turn."""
    more = {"recalled": [], **more}
    more["recalled"] = columns(more["recalled"])
    parts: dict[str, list[Any]] = {
        name: [] for name in ("templates", "models", "moderation_models", "embedding_models")
    }
    return {"history": columns(new), "copy": dict(STAMP), **parts, **more}


def kept(**more: Any) -> dict[str, Any]:
    return {"after": 0, "before": 100, "without": None, "most": 1000} | more


def whole(copy: CachedTurn, *new: dict[str, Any], **changed: Any) -> list[int]:
    """The positions of the history that a turn has."""
    begun = begun_with(*new, kept=kept(**changed))
    complete(begun, copy)
    return [one.position for one in begun["history"]]


class TestKeeping:
    def test_the_least_recently_used_goes_first(self) -> None:
        copies = TurnCache(3 * copy_of("a" * 1000).size)
        first, second, third, fourth = (uuid4() for _ in range(4))
        for conversation in (first, second, third):
            copies.keep(ADA, conversation, TASK, copy_of("a" * 1000))
        assert rows(copies, ADA, first)
        copies.keep(ADA, fourth, TASK, copy_of("a" * 1000))
        found = [rows(copies, ADA, one) for one in (first, second, third, fourth)]
        assert found == [1, 0, 1, 1]

    def test_somebody_else_s_is_not_found(self) -> None:
        copies, conversation = TurnCache(), uuid4()
        copies.keep(ADA, conversation, TASK, copy_of("a"))
        assert rows(copies, BEN, conversation) == 0

    def test_what_is_too_long_is_not_kept_nor_what_was_there_before(self) -> None:
        copies, conversation = TurnCache(), uuid4()
        copies.keep(ADA, conversation, TASK, copy_of("a"))
        copies.keep(ADA, conversation, TASK, copy_of("a" * MAX_BYTES_EACH))
        assert rows(copies, ADA, conversation) == 0

    @pytest.mark.parametrize("content", ["Hello. ", "déjà vu ", "Слово ", "日本語", "😀"])
    def test_a_text_takes_the_same_memory_before_and_after_it_is_sent(self, content: str) -> None:
        copy = copy_of(content * 1000)
        (row,) = copy.rows
        before = copy.size
        dumps(row.content)  # makes the UTF-8
        assert copy_of(row.content).size == before
        assert before == pytest.approx(sys.getsizeof(row.content), abs=1000)

    @pytest.mark.parametrize("max_bytes", [0, 100])
    def test_an_instance_without_memory_keeps_nothing(self, max_bytes: int) -> None:
        copies, conversation = TurnCache(max_bytes), uuid4()
        copies.keep(ADA, conversation, TASK, copy_of("a"))
        assert rows(copies, ADA, conversation) == 0

    @pytest.mark.parametrize(
        ("megabytes", "expected"),
        [(128, 0), (192, 0), (256, 4 * 2**20), (512, MAX_BYTES), (None, MAX_BYTES)],
    )
    def test_the_less_memory_an_instance_has_the_less_it_keeps(
        self, megabytes: int | None, expected: int
    ) -> None:
        assert most_bytes(megabytes and megabytes * 2**20) == expected

    def test_it_is_forgotten_after_a_while(self) -> None:
        now = [0.0]
        copies, conversation = TurnCache(clock=lambda: now[0]), uuid4()
        copies.keep(ADA, conversation, TASK, copy_of("a"))
        now[0] = SECONDS - 1
        assert rows(copies, ADA, conversation)
        now[0] = SECONDS + 1
        assert rows(copies, ADA, conversation) == 0

    def test_a_turn_without_a_conversation_keeps_nothing(self) -> None:
        copies = TurnCache()
        copies.keep(ADA, None, TASK, copy_of("a"))
        assert rows(copies, ADA, None) == 0


class TestCompleting:
    def test_what_is_kept_comes_before_what_is_new(self) -> None:
        assert whole(copy_of("a", "b"), row(8), row(9)) == [1, 2, 8, 9]

    def test_what_is_kept_is_taken_as_it_is_and_cannot_be_changed(self) -> None:
        copy = copy_of("a")
        begun = begun_with(row(9), kept=kept())
        next_copy = complete(begun, copy)
        more = {"now": datetime.now(UTC), "turn": {"id": ADA}, "user": {}}
        read = BegunTurn.model_validate(begun | more).history
        assert [one.content for one in read] == ["a", "Hello."]
        assert read[0] is copy.rows[0] is next_copy.rows[0]
        with pytest.raises(FrozenInstanceError):
            read[0].content = "b"  # type: ignore[misc]

    def test_only_what_holds_is_used(self) -> None:
        copy = copy_of("a", "b", "c", "d", "e")
        assert whole(copy, row(9), after=1, before=5, without=3) == [2, 4, 9]

    @pytest.mark.parametrize(
        ("most", "positions"), [(14, [1, 2, 3, 9]), (10, [2, 3, 9]), (7, [3, 9]), (1, [9])]
    )
    def test_the_oldest_is_left_out_that_has_no_room(self, most: int, positions: list[int]) -> None:
        assert whole(copy_of("aaaa", "ä", "bb"), row(9, "cccccc"), most=most) == positions

    @pytest.mark.parametrize("longest", range(4))
    def test_the_longest_leaves_half_of_the_room_to_others(self, longest: int) -> None:
        texts = ["aa"] * 4
        texts[longest] = "a" * 100
        assert whole(copy_of(*texts), most=12) == [1, 2, 3, 4]
        assert whole(copy_of("bb", *texts), most=12) == [2, 3, 4, 5]

    def test_what_is_left_out_is_counted_before_the_history(self) -> None:
        senders = ("character", "user", "character", "user")
        rows = [message(place, sender=sender) for place, sender in enumerate(senders, 1)]
        begun = begun_with(row(9), kept=kept(most=12), preceding={"messages": 7, "replies": 3})
        complete(begun, CachedTurn(rows, STAMP))
        assert [one.position for one in begun["history"]] == [4, 9]
        assert begun["preceding"] == {"messages": 10, "replies": 5}

    def test_speakers_have_the_names_of_today(self) -> None:
        copy = CachedTurn([message(1, character_id=MARA, speaker="Mara"), message(2)], STAMP)
        begun = begun_with(kept=kept(), names={str(MARA): "Mira"})
        complete(begun, copy)
        assert [one.speaker for one in begun["history"]] == ["Mira", None]
        assert copy.rows[0].speaker == "Mara"

    def test_what_is_recalled_of_the_copy_has_its_text(self) -> None:
        recalled = [row(2, score=1.5) | {"content": None}, row(50, "far", score=1)]
        begun = begun_with(kept=kept(), recalled=recalled)
        complete(begun, copy_of("a", "b"))
        assert begun["recalled"] == [row(2, "b", score=1.5), row(50, "far", score=1)]

    def test_characters_are_named_who_wrote_messages(self) -> None:
        said = [
            row(1),
            row(2, sender="character"),
            row(3, sender="character", character_id=str(TOM)),
            row(4, sender="character", character_id=str(GONE)),
        ]
        names = {str(MARA): "Mara", str(TOM): "Tom"}
        begun = begun_with(*said, names=names, conversation={"character_id": str(MARA)})
        complete(begun, CachedTurn())
        assert begun["history"] == [
            message(1),
            message(2, sender="character", character_id=MARA, speaker="Mara"),
            message(3, sender="character", character_id=TOM, speaker="Tom"),
            message(4, sender="character", character_id=GONE, speaker="Somebody"),
        ]

    PERSONAS: ClassVar = [
        {"from": 3, "name": "Ben\nLind"},
        {"from": 5, "name": None},
        {"from": 7, "name": "Cleo"},
    ]

    def test_what_the_person_said_as_somebody_else_has_that_name(self) -> None:
        said = [row(place) for place in (1, 4, 5, 7)] + [row(8, sender="character")]
        begun = begun_with(
            *said[2:],
            kept=kept(before=5),
            turn={"position": 9},
            personas=self.PERSONAS,
            recalled=[row(8, sender="character", score=1), row(4, score=1)],
            memory={"backlog": [row(4)]},
        )
        copy = CachedTurn([MessageRow(**one) for one in said[:2]], STAMP)
        next_rows = complete(begun, copy).rows
        named = {one.position: one.speaker for one in begun["history"] if one.speaker}
        # Before all that is known it was the first one.
        assert named == {1: "Ben Lind", 4: "Ben Lind", 7: "Cleo"}
        assert [one.get("speaker") for one in begun["recalled"]] == [None, "Ben Lind"]
        assert begun["memory"]["backlog"][0].speaker == "Ben Lind"
        assert begun["turn"]["speaker"] == "Cleo"
        assert not any(one.speaker for one in next_rows)

    def test_messages_without_a_summary_have_their_speakers(self) -> None:
        tom = str(TOM)
        backlog = [row(1, character_id=None), row(2, sender="character", character_id=tom)]
        begun = begun_with(row(3), names={tom: "Tom"}, memory={"backlog": backlog})
        next_copy = complete(begun, CachedTurn())
        assert (next_copy.known["backlog"], next_copy.known["backlog_speakers"]) == (2, [tom])
        assert [one.speaker for one in begun["memory"]["backlog"]] == [None, "Tom"]
        again = begun_with(names={tom: "Tim"}, memory={"backlog": None})
        complete(again, next_copy)
        assert [one.speaker for one in again["memory"]["backlog"]] == [None, "Tim"]

    def test_messages_that_may_change_without_notice_are_not_kept(self) -> None:
        begun = begun_with(row(1), row(101), memory={"backlog": [row(1), row(2), row(101)]})
        copy = complete(begun, CachedTurn())
        assert [one.position for one in copy.rows] == [1]
        assert [one.position for one in copy.backlog] == [1, 2]
        assert complete(begun_with(row(1), copy=None), CachedTurn()).rows == ()

    def test_parts_that_are_the_same_are_left_out_and_put_back(self) -> None:
        scene: dict[str, Any] = {
            "character": {"name": "Mara"},
            "others": [],
            "persona": None,
            "lorebooks": [],
        }
        first = complete(begun_with(scene="a", **scene), CachedTurn())
        assert first.known["scene"] == "a"
        begun = begun_with(scene="a", **dict.fromkeys(scene))
        assert complete(begun, first).parts == first.parts
        assert {name: begun[name] for name in scene} == scene

    def test_parts_that_changed_are_the_new_ones(self) -> None:
        known = CachedTurn(parts={"scene": Part("a", b'{"character": 1}')})
        new = {"character": 2, "others": [], "persona": None, "lorebooks": []}
        begun = begun_with(scene="b", **new)
        assert complete(begun, known).known == {"scene": "b"}
        assert begun["character"] == 2

    def test_a_summary_that_is_the_same_is_put_back_beside_what_changes(self) -> None:
        texts = {"summary": "They met.", "person_summary": ""}
        notes = {"facts": [{"content": "A."}], "settings": None, "summary_texts": texts}
        memory = {"may_write": True, "backlog": []}
        first = complete(begun_with(notes="a", memory=dict(memory), **notes), CachedTurn())
        begun = begun_with(notes="a", memory={**memory, "may_write": False})
        assert complete(begun, first).known["notes"] == "a"
        assert (begun["facts"], begun["settings"]) == ([{"content": "A."}], None)
        assert begun["memory"] == {"may_write": False, "backlog": [], **texts}

    def test_a_part_without_a_digest_is_not_kept(self) -> None:
        known = CachedTurn(parts={"macros": Part("a", b'{"variables": {"a": "1"}}')})
        begun = begun_with(macros=None, variables={})
        assert complete(begun, known).parts == {}
        assert begun["variables"] == {}

    def test_workers_are_as_they_are_now(self) -> None:
        busy, idle = {"running": 2, "health": None}, {"running": 0, "health": {"isHealthy": True}}
        workers = [{"name": "a"}, {"name": "b"}]
        first = begun_with(worker_set="a", workers=workers, worker_states=[busy, idle])
        copy = complete(first, CachedTurn())
        begun = begun_with(worker_set="a", workers=None, worker_states=[idle, busy])
        assert complete(begun, copy).parts == copy.parts
        assert begun["workers"] == [{"name": "a", **idle}, {"name": "b", **busy}]

    def test_every_part_counts_as_memory(self) -> None:
        parts = {"scene": Part("a", b"1" * 1000), "notes": Part("a", b"2" * 1000)}
        assert CachedTurn(parts=parts).size >= CachedTurn().size + 2000
        copies = TurnCache(MAX_BYTES)
        long = {"notes": Part("a", b"1" * MAX_BYTES_EACH)}
        copies.keep(ADA, conversation := uuid4(), TASK, CachedTurn(parts=long))
        assert copies.find(ADA, conversation, TASK).known == {}

    def test_models_have_the_ratios_of_today(self) -> None:
        models = [{"model_key": "a", "token_ratios": {}}, {"model_key": "b", "token_ratios": {}}]
        first = complete(begun_with(task_config="a", models=models), CachedTurn())
        begun = begun_with(task_config="a", models=None, token_ratios=[{"latin": 1}, {}])
        complete(begun, first)
        assert begun["models"] == [{"model_key": "a", "token_ratios": {"latin": 1}}, models[1]]

    def test_the_catalogue_is_known_in_every_conversation(self) -> None:
        copies = TurnCache()
        copies.keep(ADA, uuid4(), TASK, CachedTurn(task_config=Part("a", b"{}")))
        assert copies.find(BEN, uuid4(), TASK).known == {"task_config": "a"}
        assert copies.find(BEN, uuid4(), "storytelling").known == {}


class TestSpare:
    """What an instance knows of the room that a history has in its prompts."""

    @staticmethod
    def noted(tokens: int) -> tuple[TurnCache, UUID]:
        copies, conversation = TurnCache(), uuid4()
        copies.keep(ADA, conversation, TASK, copy_of("a" * 100, "b" * 100))
        copies.note_spare(ADA, conversation, TASK, tokens)
        return copies, conversation

    def test_a_history_may_grow_by_what_its_prompt_has_left(self) -> None:
        copies, conversation = self.noted(1_000)
        assert copies.find(ADA, conversation, TASK).known["short"] == 200 + 2 * 5 + 1_000

    def test_it_is_not_known_before_there_was_a_prompt(self) -> None:
        copies, conversation = self.noted(1_000)
        copies.keep(ADA, conversation, TASK, copy_of("a" * 100))
        assert "short" not in copies.find(ADA, conversation, TASK).known

    def test_prompts_of_another_task_may_have_less(self) -> None:
        copies, conversation = self.noted(1_000)
        assert "short" not in copies.find(ADA, conversation, "prompt_enhancement").known

    def test_nothing_is_noted_of_a_turn_that_is_not_kept(self) -> None:
        copies, conversation = TurnCache(), uuid4()
        copies.note_spare(ADA, conversation, TASK, 1_000)
        copies.note_spare(ADA, None, TASK, 1_000)
        assert copies.find(ADA, conversation, TASK).known == {}

    @pytest.mark.parametrize(("tokens", "has_room"), [(0, False), (2_012, False), (2_013, True)])
    def test_a_message_has_room_beside_a_long_reply(self, tokens: int, has_room: bool) -> None:
        copies, conversation = self.noted(tokens)
        asks = ChatRequest(message="Hello.", conversation_id=conversation)
        assert copies.has_room(ADA, asks) == has_room
        assert not copies.has_room(BEN, asks)
