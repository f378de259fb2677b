"""SillyTavern's chat files are read leniently, within limits, and written so that it reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ApiError
from roleplay_chat.chats import sillytavern
from roleplay_chat.chats.dates import in_order, parse_time
from roleplay_chat.chats.formats import NO_GREETING
from roleplay_chat.chats.sillytavern import (
    MAX_LINES,
    MAX_NAMES,
    MAX_ROWS,
    MAX_VERSIONS,
    MAX_WARNINGS,
    ChatFile,
    Said,
    read,
    write,
)
from tests.support.chat_files import (
    AGNAI,
    CAI_TOOLS,
    COME_IN,
    HEADER,
    HELLO,
    KOBOLD,
    NOW,
    REPLY,
    RISUAI,
    WEBUI,
    lines,
    row,
    said,
)


def parsed(*rows: Any) -> ChatFile:
    return read(lines(*rows), NOW)


def only(row: dict[str, Any]) -> Said:
    """The message of a line after the header."""
    [said] = parsed(HEADER, row).messages
    return said


class TestFile:
    def test_header_and_messages_become_a_conversation(self) -> None:
        file = parsed(HEADER, HELLO, COME_IN)
        assert [(said.sender, said.name, said.versions) for said in file.messages] == [
            ("user", None, ["Hello"]),
            ("character", None, ["Come in."]),
        ]
        assert (file.settings, file.warnings) == (None, [])

    def test_file_without_a_header_is_read(self) -> None:
        assert len(parsed(HELLO, COME_IN).messages) == 2

    def test_marks_of_editors_and_other_line_ends_do_not_matter(self) -> None:
        raw = b"\xef\xbb\xbf" + lines(HEADER, HELLO, COME_IN).replace(b"\n", b"\r\n\r\n")
        assert len(read(raw, NOW).messages) == 2

    @pytest.mark.parametrize(
        "line",
        [b"{", b"null", b"[]", b'"text"', b"3", b"\xff\xfe", b"[" * 5000, b'{"mes": "cut'],
    )
    def test_line_that_cannot_be_read_costs_itself(self, line: bytes) -> None:
        file = read(lines(HEADER, HELLO) + b"\n" + line + b"\n" + lines(COME_IN), NOW)
        assert [said.versions for said in file.messages] == [["Hello"], ["Come in."]]
        assert file.warnings == ["Line 3: it is not a JSON object and was left out."]

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\n\n",
            b"\x89PNG\r\n",
            lines(HEADER),
            lines({"spec": "chara_card_v2", "data": {}}),
            lines({"entries": {}}),
            lines(HEADER, {"name": "Ada", "mes": "  "}),
        ],
    )
    def test_file_without_messages_is_refused_with_a_sentence(self, raw: bytes) -> None:
        with pytest.raises(ApiError) as refused:
            read(raw, NOW)
        assert "There are no messages" in refused.value.message
        assert (refused.value.status, refused.value.code) == (400, "invalid_chat")

    @pytest.mark.parametrize(
        "raw",
        [
            lines(HELLO) * 2 + b" " * sillytavern.MAX_BYTES,
            b"\n".join([lines(HELLO)] * (MAX_LINES + 2)),
            b"\n" * (3 * MAX_LINES),
        ],
        ids=["bytes", "messages", "lines"],
    )
    def test_file_beyond_a_limit_is_refused(self, raw: bytes) -> None:
        with pytest.raises(ApiError) as refused:
            read(raw, NOW)
        assert (refused.value.status, refused.value.code) == (413, "chat_too_large")

    def test_warnings_are_bounded(self) -> None:
        file = parsed(HEADER, HELLO, *[{"mes": ""}] * 500)
        assert len(file.warnings) == MAX_WARNINGS + 1
        assert file.warnings[-1] == f"{500 - MAX_WARNINGS} more of these."


class TestOtherPrograms:
    @pytest.mark.parametrize(
        ("value", "messages"),
        [
            pytest.param([HEADER, HELLO, REPLY], "uc", id="list-of-sillytavern"),
            pytest.param([HELLO, REPLY], "uc", id="list-without-a-header"),
            pytest.param({"chat": [HEADER, HELLO, REPLY]}, "uc", id="list-in-an-object"),
            pytest.param(AGNAI, "cuc", id="agnai"),
            pytest.param(WEBUI, "cuc", id="text-generation-webui"),
            pytest.param({"data": [["Hello", "Sit."]], "data_visible": []}, "uc", id="older-webui"),
            pytest.param({"data_visible": [["Hello", "Sit."]]}, "uc", id="visible-alone"),
            pytest.param([["Hello", "Sit."], ["", "Well?"]], "ucc", id="pairs"),
            pytest.param(RISUAI, "cuc", id="risuai"),
            pytest.param(RISUAI["data"], "cuc", id="risuai-chat-alone"),
            pytest.param(
                {"type": "risuAllChats", "data": [RISUAI["data"]]}, "cuc", id="risuai-all"
            ),
            pytest.param(CAI_TOOLS, "cu", id="cai-tools"),
            pytest.param(KOBOLD, "cucc", id="koboldai-lite"),
            pytest.param(
                [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
                    {"role": "assistant", "content": "Sit."},
                ],
                "cuc",
                id="messages-of-an-api",
            ),
            pytest.param({"messages": [{"role": "User", "content": "Hello"}]}, "u", id="in-object"),
        ],
    )
    def test_chat_is_read(self, value: Any, messages: str) -> None:
        assert "".join(sender for sender, _ in said(value)) == messages
        if len(messages) > 1:
            assert ("u", "Hello") in said(value) or ("u", "Hello & welcome") in said(value)

    def test_program_is_named(self) -> None:
        file = read(json.dumps(AGNAI).encode(), NOW)
        assert file.warnings == ["The chat was converted from the format of Agnai."]

    def test_versions_and_times_come_along(self) -> None:
        file = read(json.dumps(AGNAI).encode(), NOW)
        assert file.messages[2].versions == ["Sit.", "Stand."]
        time = file.messages[1].said_at
        assert time is not None
        assert time.replace(microsecond=0) == datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)
        file = read(json.dumps(WEBUI).encode(), NOW)
        assert (file.messages[2].versions, file.messages[2].active) == (["Stand.", "Sit."], 1)

    def test_note_and_hidden_messages_come_along(self) -> None:
        file = read(json.dumps(RISUAI).encode(), NOW)
        assert file.settings is not None
        assert file.settings["note"] == "It is autumn."
        assert [one.is_hidden for one in file.messages] == [False, False, True]

    @pytest.mark.parametrize(
        ("places", "hidden"),
        [
            ({}, []),
            ({1: True}, [1]),
            ({1: "allBefore"}, [0, 1]),
            ({0: "allBefore", 2: "allBefore"}, [0, 1, 2]),
            ({1: "allBefore", 3: True}, [0, 1, 3]),
        ],
    )
    def test_message_of_risuai_may_hide_all_before_it(
        self, places: dict[int, Any], hidden: list[int]
    ) -> None:
        rows = [{"role": "user", "data": str(n), "disabled": places.get(n)} for n in range(4)]
        file = read(json.dumps(RISUAI["data"] | {"message": rows}).encode(), NOW)
        assert [n for n, one in enumerate(file.messages) if one.is_hidden] == hidden

    @pytest.mark.parametrize(
        ("fields", "first", "is_named"),
        [
            ({"fmIndex": -1}, "user", True),
            ({"fmIndex": 2}, "user", True),
            ({"fmIndex": -1}, "char", False),
            ({}, "user", False),
        ],
    )
    def test_greeting_that_risuai_has_elsewhere_is_named(
        self, fields: dict[str, Any], first: str, is_named: bool
    ) -> None:
        chat = RISUAI["data"] | fields | {"message": [{"role": first, "data": "Hello"}]}
        file = read(json.dumps(chat).encode(), NOW)
        assert (NO_GREETING in file.warnings) is is_named

    def test_further_chats_are_named(self) -> None:
        file = read(json.dumps(CAI_TOOLS).encode(), NOW)
        assert "The file has 2 chats; the first one was imported." in file.warnings

    def test_chub_wraps_its_texts(self) -> None:
        wrapped = REPLY | {"mes": {"message": "Sit."}, "swipes": [{"message": "Sit."}, "Stand."]}
        file = read(lines(HEADER, HELLO, wrapped | {"swipe_id": 0}), NOW)
        assert file.messages[1].versions == ["Sit.", "Stand."]

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            ({"spec": "chara_card_v2", "data": {"name": "Mara"}}, "a character"),
            ({"name": "Mara", "description": "A keeper."}, "a character"),
            ({"entries": {"0": {"key": ["tide"], "content": "It is high."}}}, "a lorebook"),
            ({"prompts": [], "prompt_order": []}, "a preset of SillyTavern"),
            ({"mainPrompt": ""}, "a preset of RisuAI"),
        ],
    )
    def test_file_that_is_something_else_is_named(self, value: Any, found: str) -> None:
        with pytest.raises(ApiError, match="invalid_chat") as refused:
            read(json.dumps(value).encode(), NOW)
        assert found in refused.value.message

    @pytest.mark.parametrize("value", [AGNAI, WEBUI, RISUAI, CAI_TOOLS, KOBOLD, [HELLO, REPLY]])
    @pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [[]], {"a": None}, [None, 3, "x", []]])
    def test_odd_values_cost_themselves(self, value: Any, odd: Any) -> None:
        for changed in replaced(value, odd):
            try:
                found = any(read(json.dumps(changed).encode(), NOW).messages)
            except ApiError as error:
                found = error.status == 400
            assert found

    def test_value_beyond_a_limit_is_refused(self) -> None:
        with pytest.raises(ApiError, match="chat_too_large"):
            read(b"[" + b"[]," * sillytavern.MAX_VALUES + b"[]]", NOW)
        with pytest.raises(ApiError, match="chat_too_large"):
            read(json.dumps([{"mes": "Hi"}] * (MAX_LINES + 1)).encode(), NOW)
        with pytest.raises(ApiError, match="invalid_chat"):
            read(b"[" * 100_000, NOW)


def replaced(value: Any, other: Any) -> Iterator[Any]:
    """The value with each of its parts replaced."""
    if not isinstance(value, list | dict):
        return
    for place in range(len(value)) if isinstance(value, list) else list(value):
        for inner in (other, *replaced(value[place], other)):
            copied = value.copy()
            copied[place] = inner
            yield copied


class TestMessage:
    @pytest.mark.parametrize("true", [True, 1, 1.0, "true", "True", "1", "yes"])
    def test_flags_of_any_type_are_understood(self, true: object) -> None:
        said = only(HELLO | {"is_user": true, "is_system": true})
        assert (said.sender, said.is_hidden) == ("user", True)

    @pytest.mark.parametrize("false", [False, 0, None, "false", "0", ""])
    def test_flags_that_are_false_are_understood(self, false: object) -> None:
        said = only(COME_IN | {"is_user": false, "is_system": false})
        assert (said.sender, said.is_hidden) == ("character", False)

    @pytest.mark.parametrize("value", [[], {}, "perhaps", 7])
    def test_flag_that_is_neither_counts_as_false_with_a_warning(self, value: object) -> None:
        file = parsed(HEADER, COME_IN | {"is_system": value})
        assert not file.messages[0].is_hidden
        assert file.warnings == [
            "Line 2, is_system: this is neither true nor false; it counts as false."
        ]

    @pytest.mark.parametrize(
        ("mes", "text"), [(42, "42"), (1.5, "1.5"), (True, "true"), ("a\x00b\ud800", "ab")]
    )
    def test_text_of_another_type_is_converted(self, mes: object, text: str) -> None:
        file = parsed(HEADER, HELLO | {"mes": mes})
        assert file.messages[0].versions == [text]
        assert file.warnings[0].startswith("Line 2, mes: ")

    @pytest.mark.parametrize("mes", [[], {}, None, "", " \n"])
    def test_message_without_a_text_costs_itself(self, mes: object) -> None:
        file = parsed(HEADER, HELLO | {"mes": mes}, COME_IN)
        assert len(file.messages) == 1
        assert "Line 2, mes: there is no text, so the message was left out." in file.warnings

    def test_text_that_is_too_long_is_cut(self) -> None:
        file = parsed(HEADER, HELLO | {"mes": "x" * 70_000})
        assert len(file.messages[0].versions[0]) == 65_536
        assert file.warnings == ["Line 2, mes: the text was cut to 65,536 characters."]

    def test_hidden_messages_stay_hidden(self) -> None:
        assert only(COME_IN | {"is_system": True}).is_hidden

    def test_pictures_are_named(self) -> None:
        file = parsed(HEADER, COME_IN | {"extra": {"image": "a.png"}})
        assert file.warnings == ["Line 2, extra: pictures and files were left out."]


class TestVersions:
    def test_swipes_are_versions_and_swipe_id_the_active_one(self) -> None:
        said = only(COME_IN | {"mes": "B", "swipes": ["A", "B", "C"], "swipe_id": 1})
        assert (said.versions, said.active) == (["A", "B", "C"], 1)

    def test_text_that_was_edited_later_is_the_active_version(self) -> None:
        said = only(COME_IN | {"mes": "B, edited", "swipes": ["A", "B", "C"], "swipe_id": 1})
        assert (said.versions, said.active) == (["A", "B, edited", "C"], 1)

    @pytest.mark.parametrize("swipe_id", [7, -1, "x", None, [], 0.5, True, 1e300, 10**400])
    def test_place_that_does_not_exist_keeps_the_shown_text(self, swipe_id: object) -> None:
        said = only(COME_IN | {"mes": "B", "swipes": ["A", "B"], "swipe_id": swipe_id})
        assert (said.versions, said.active) == (["A", "B"], 1)
        said = only(COME_IN | {"mes": "D", "swipes": ["A", "B"], "swipe_id": swipe_id})
        assert (said.versions, said.active) == (["A", "B", "D"], 2)

    @pytest.mark.parametrize("swipe_id", [1, "1", " 1 ", 1.0])
    def test_place_may_be_written_as_text(self, swipe_id: object) -> None:
        assert only(COME_IN | {"mes": "B", "swipes": ["A", "b"], "swipe_id": swipe_id}).active == 1

    @pytest.mark.parametrize("mes", [None, "", []])
    def test_text_of_the_active_version_stands_for_a_missing_one(self, mes: object) -> None:
        said = only(COME_IN | {"mes": mes, "swipes": ["A", "B"], "swipe_id": 0})
        assert (said.versions, said.active) == (["A", "B"], 0)

    def test_blank_and_odd_versions_are_dropped(self) -> None:
        row = COME_IN | {"mes": "C", "swipes": ["", None, {}, 3, " ", "C"], "swipe_id": 5}
        said = only(row)
        assert (said.versions, said.active) == (["3", "C"], 1)

    @pytest.mark.parametrize("swipes", [[], "Come in.", None, {}, 3])
    def test_swipes_that_are_no_list_leave_the_text(self, swipes: object) -> None:
        assert only(COME_IN | {"swipes": swipes, "swipe_id": 0}).versions == ["Come in."]

    def test_messages_of_the_person_have_one_version(self) -> None:
        file = parsed(HEADER, HELLO | {"swipes": ["Hi", "Hello"], "swipe_id": 1})
        assert file.messages[0].versions == ["Hello"]
        assert "only replies have versions" in file.warnings[0]

    def test_versions_of_one_reply_are_bounded_and_the_active_one_stays(self) -> None:
        swipes = [f"Version {number}" for number in range(200)]
        said = only(COME_IN | {"mes": swipes[150], "swipes": swipes, "swipe_id": 150})
        assert len(said.versions) == MAX_VERSIONS
        assert said.versions[said.active] == "Version 150"

    def test_rows_of_one_file_are_bounded_and_every_message_stays(self) -> None:
        many = COME_IN | {"swipes": list("ABCDEFGHIJ"), "swipe_id": 9, "mes": "J"}
        file = parsed(HEADER, *[many] * 2_000)
        assert len(file.messages) == 2_000
        assert sum(len(said.versions) for said in file.messages) <= MAX_ROWS
        assert {said.versions[said.active] for said in file.messages} == {"J"}
        assert file.warnings[-1].startswith("Only 10,000 messages and versions fit")


class TestSpeakers:
    def test_only_character_is_the_chosen_one_whatever_its_name(self) -> None:
        file = parsed(HEADER, HELLO, COME_IN | {"name": "Somebody else"})
        assert [said.name for said in file.messages] == [None, None]

    def test_others_in_a_group_keep_their_names(self) -> None:
        header = {"user_name": "unused", "character_name": "unused", "chat_metadata": {}}
        file = parsed(header, HELLO, COME_IN, COME_IN | {"name": "Inès"})
        assert [said.name for said in file.messages] == [None, "Mara", "Inès"]

    def test_character_of_the_header_is_the_chosen_one(self) -> None:
        file = parsed(HEADER, COME_IN | {"name": "mara"}, COME_IN | {"name": "Inès"})
        assert [said.name for said in file.messages] == [None, "Inès"]

    @pytest.mark.parametrize("name", [None, [], {}, True, " ", "\x00"])
    def test_name_that_is_none_is_nobodys(self, name: object) -> None:
        file = parsed(HEADER, COME_IN | {"name": name}, COME_IN | {"name": "Inès"}, COME_IN)
        assert [said.name for said in file.messages] == [None, "Inès", None]


class TestPersonas:
    def names(self, *names: object) -> list[str | None]:
        file = parsed(HEADER, *(HELLO | {"name": name} for name in names))
        return [said.name for said in file.messages]

    def test_only_one_is_the_person_whatever_the_name(self) -> None:
        assert self.names("Ada", "ada", None) == [None, None, None]

    def test_several_are_told_apart(self) -> None:
        assert self.names("Ada", "Ben", None, "Ada") == ["Ada", "Ben", None, "Ada"]

    @pytest.mark.parametrize("name", ["You", "user", [], "\x00"])
    def test_what_is_no_name_is_the_person(self, name: object) -> None:
        assert self.names(name, "Ada") == [None, None]
        assert self.names(name, "Ada", "Ben") == [None, "Ada", "Ben"]

    def test_names_are_bounded_and_the_newest_are_kept(self) -> None:
        names = [f"Name {number}" for number in range(MAX_NAMES + 1)]
        assert self.names(*names) == [None, *names[1:]]

    def test_person_is_not_taken_for_a_character(self) -> None:
        file = parsed({}, HELLO, HELLO | {"name": "Ben"}, COME_IN, COME_IN | {"name": "Ada"})
        assert [said.name for said in file.messages] == ["Ada", "Ben", "Mara", "Ada"]


class TestTimes:
    @pytest.mark.parametrize(
        "value",
        [
            "2024-05-01T22:20:30.123Z",
            "2024-05-02T00:20:30.123+02:00",
            "2024-05-01 22:20:30.123",
            "2024-5-1 @22h 20m 30s 123ms",
            "2024-05-01@22h20m30s123ms",
            1714602030123,
            "1714602030123",
            1714602030.123,
        ],
    )
    def test_form_is_known(self, value: object) -> None:
        assert parse_time(value) == datetime(2024, 5, 1, 22, 20, 30, 123_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("value", "hour"),
        [("May 1, 2024 10:20pm", 22), ("May 1, 2024 12:20 AM", 0), ("may 1, 2024 12:20pm", 12)],
    )
    def test_spoken_form_is_known(self, value: str, hour: int) -> None:
        assert parse_time(value) == datetime(2024, 5, 1, hour, 20, tzinfo=UTC)

    @pytest.mark.parametrize(
        "value",
        [
            *(None, True, [], {}, "", "yesterday", "2024-13-01T00:00:00Z", "May 99, 2024 1:00pm"),
            *(-1, 0, 1e300, 10**400, float("nan"), float("inf"), "9" * 5000, "0001-01-01"),
            *("Foo 1, 2024 1:00pm", "2024-5-1 @99h 20m 30s"),
        ],
    )
    def test_other_values_are_no_times(self, value: object) -> None:
        assert parse_time(value) is None

    def test_value_that_is_no_time_is_named(self) -> None:
        file = parsed(HEADER, HELLO | {"send_date": "yesterday"})
        assert file.warnings == [
            "Line 2, send_date: this is no time that we can read; it was dropped."
        ]

    def test_unknown_and_future_times_follow_the_message_before(self) -> None:
        known = datetime(2024, 5, 1, tzinfo=UTC)
        later = datetime(2025, 5, 1, tzinfo=UTC)
        step = timedelta(milliseconds=1)
        times = [None, known, None, datetime(2030, 1, 1, tzinfo=UTC), later]
        first, second, *rest, last = in_order(times, NOW)
        assert (first, last) == (known, later)
        assert [second, *rest] == [known + step, known + 2 * step, known + 3 * step]

    @given(
        st.lists(
            st.none() | st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 2)),
            max_size=30,
        )
    )
    def test_times_increase_and_none_is_in_the_future(self, times: list[datetime | None]) -> None:
        ordered = in_order(times, NOW)
        assert len(ordered) == len(times)
        assert all(time <= NOW for time in ordered)
        assert all(a < b for a, b in pairwise(ordered))


NOTE = {"note_prompt": "It rains.", "note_depth": 2, "note_role": 1, "note_position": 1}


class TestNote:
    def settings(self, **metadata: Any) -> Any:
        return parsed(HEADER | {"chat_metadata": metadata}, HELLO).settings

    def test_is_kept_with_depth_and_role(self) -> None:
        expected = {"note": "It rains.", "note_depth": 2, "note_role": "user"}
        assert self.settings(**NOTE) == expected

    @pytest.mark.parametrize(
        ("depth", "kept"),
        [("3", 3), (None, 4), ([], 4), (-5, 0), (5000, 1000), (1e300, 4), (float("nan"), 4)],
    )
    def test_depth_of_any_type_is_within_its_bounds(self, depth: object, kept: int) -> None:
        assert self.settings(**NOTE | {"note_depth": depth})["note_depth"] == kept

    @pytest.mark.parametrize(
        ("role", "kept"), [("2", "assistant"), (9, "system"), ({}, "system"), ("user", "user")]
    )
    def test_role_of_any_type_is_one_of_three(self, role: object, kept: str) -> None:
        assert self.settings(**NOTE | {"note_role": role})["note_role"] == kept

    @pytest.mark.parametrize("note", [None, "", " ", [], {}])
    def test_without_a_text_there_is_none(self, note: object) -> None:
        assert self.settings(**NOTE | {"note_prompt": note}) is None

    def test_that_is_turned_off_is_named(self) -> None:
        file = parsed(HEADER | {"chat_metadata": NOTE | {"note_interval": 0}}, HELLO)
        assert file.settings is None
        assert file.warnings == [
            "Line 1, chat_metadata.note_interval: the author's note was turned off."
        ]

    def test_what_is_not_kept_of_a_header_is_named(self) -> None:
        file = parsed(HEADER | {"chat_metadata": {"variables": {"hp": 3}}}, HELLO)
        assert file.warnings == [
            "Line 1, chat_metadata.variables: it is not used here and was left out."
        ]

    @pytest.mark.parametrize("metadata", [[], "x", 3])
    def test_header_of_another_type_costs_itself(self, metadata: object) -> None:
        file = parsed(HEADER | {"chat_metadata": metadata}, HELLO)
        assert (file.settings, len(file.messages), len(file.warnings)) == (None, 1, 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELDS = ("name", "is_user", "is_system", "mes", "send_date", "swipes", "swipe_id", "extra")


@given(st.sampled_from(FIELDS), JSON)
def test_no_value_of_any_field_costs_more_than_its_line(name: str, value: Any) -> None:
    file = parsed(HEADER, HELLO, COME_IN | {name: value}, HELLO)
    assert 2 <= len(file.messages) <= 3
    for message in file.messages:
        assert 0 <= message.active < len(message.versions)
        json.dumps(message.row(), ensure_ascii=False).encode()


@given(st.sampled_from([*HEADER, "chat_metadata"]), JSON)
def test_no_value_of_the_header_costs_a_message(name: str, value: Any) -> None:
    assert len(parsed(HEADER | {name: value}, HELLO, COME_IN).messages) == 2


FOUND = {
    "user": "Ada",
    "character": "Mara",
    "created_at": "2024-05-01T22:20:30+00:00",
    "settings": {"note": "It rains.", "note_depth": 2, "note_role": "user", "sampling": {}},
    "messages": [
        row(1, "user", "Hello"),
        row(2, "character", "A", is_active=False),
        row(2, "character", "B\u2028\nC"),
        row(3, "character", "Aside.", name="Inès", is_hidden=True),
    ],
}


class TestWriting:
    def test_has_the_fields_that_sillytavern_reads(self) -> None:
        header, hello, reply, aside = map(json.loads, write(FOUND).rstrip("\n").split("\n"))
        assert header["chat_metadata"] == {
            "note_prompt": "It rains.",
            "note_interval": 1,
            "note_position": 1,
            "note_depth": 2,
            "note_role": 1,
        }
        assert (header["user_name"], header["character_name"]) == ("Ada", "Mara")
        assert (hello["name"], hello["is_user"], hello["is_system"]) == ("Ada", True, False)
        assert (reply["mes"], reply["swipe_id"]) == ("B\u2028\nC", 1)
        assert reply["swipes"] == ["A", "B\u2028\nC"]
        assert len(reply["swipe_info"]) == 2
        assert (aside["name"], aside["is_system"]) == ("Inès", True)

    def test_what_is_written_is_read_back(self) -> None:
        file = read(write(FOUND).encode(), NOW)
        assert file.warnings == []
        assert [(said.sender, said.name, said.is_hidden) for said in file.messages] == [
            ("user", None, False),
            ("character", None, False),
            ("character", "Inès", True),
        ]
        assert (file.messages[1].versions, file.messages[1].active) == (["A", "B\u2028\nC"], 1)
        assert file.settings == {"note": "It rains.", "note_depth": 2, "note_role": "user"}

    def test_lost_names_have_a_word(self) -> None:
        header, *_ = write(FOUND | {"user": None, "character": None}).split("\n")
        names = json.loads(header)
        assert (names["user_name"], names["character_name"]) == ("User", "Character")
