"""The filters that leave only the character's words, for text in any pieces."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat.messages import Cast
from roleplay_chat.reply.continuation import Continuation
from roleplay_chat.reply.filters import STEP_CHARS, Reply, Thinking
from roleplay_chat.reply.truncation import trim_unfinished_sentence
from roleplay_chat.screening.decision import ReplyScreen
from tests.support.servers_streams import (
    END_TOKENS,
    HEADERS,
    REASONING,
    SPOKEN,
    STORY,
    TURN_HEADINGS,
)

CAST = Cast("Mara Voss", ["Ada"])


def shown(*pieces: str, thinking: Thinking = "tagged", cast: Cast = CAST) -> str:
    reply = Reply(cast, thinking=thinking)
    return "".join(reply.feed(piece) for piece in pieces) + reply.flush()


CASES = [
    pytest.param("Sit.", "Sit.", id="plain"),
    pytest.param("<think>She is wet.</think>\n\nSit.", "Sit.", id="tagged-reasoning"),
    pytest.param("<THINKING>Hm.</THINKING>Sit.", "Sit.", id="other-tag-and-case"),
    pytest.param("Sit.<think>Now what?</think> Tea?", "Sit. Tea?", id="reasoning-in-the-middle"),
    pytest.param("Sit.<think>Now what", "Sit.", id="unterminated-reasoning"),
    pytest.param("<think>a</think><think>b</think>Sit.", "Sit.", id="reasoning-twice"),
    pytest.param("Sit.</think> Tea?", "Sit. Tea?", id="orphan-closing-tag"),
    pytest.param("2 < 3 <thin ice>", "2 < 3 <thin ice>", id="almost-a-tag"),
    pytest.param("Sit <", "Sit <", id="ends-like-a-tag"),
    pytest.param("<think/>Sit.", "Sit.", id="tag-without-content"),
    pytest.param("<think>a</think >Sit.", "Sit.", id="closing-tag-with-a-space"),
    pytest.param("[THINK]a</think>Sit.", "Sit.", id="closed-by-the-tag-of-another-family"),
    pytest.param("<think>a<think>b</think>Sit.", "Sit.", id="opened-twice"),
    pytest.param(
        "<think>a<analysis>b</analysis>c</think>Sit.", "Sit.", id="reasoning-in-reasoning"
    ),
    pytest.param("<think>Write <|im_end|> last.</think>Sit.", "Sit.", id="thinks-of-a-token"),
    pytest.param("<think>a</think><answer>Sit.</answer>", "Sit.", id="reply-in-a-tag-of-its-own"),
    pytest.param(
        "<think>a</think>Sit. <answer>b</answer>", "Sit. <answer>b</answer>", id="tag-in-it"
    ),
    pytest.param(
        "Sit. <thinking about the storm> Tea?",
        "Sit. <thinking about the storm> Tea?",
        id="words-in-angle-brackets",
    ),
    pytest.param('<think effort="low">a</think>Sit.', "Sit.", id="tag-with-an-attribute"),
    pytest.param("<think\n>a</think>Sit.", "Sit.", id="tag-with-a-line-break"),
    pytest.param("<think " + "a" * 300 + ">Sit.", "<think " + "a" * 300 + ">Sit.", id="no-tag"),
    pytest.param("Sit.\n<|im_start|>assistant\nStand.", "Sit.", id="begins-another-turn"),
    pytest.param("<|im_start|>assistant\nMara: Sit.", "Sit.", id="name-after-a-token"),
    pytest.param("<|im_start|>user\nHi", "", id="begins-with-the-persons-turn"),
    pytest.param("Sit.<think>a</think><|im_end|>b", "Sit.", id="token-after-reasoning"),
    pytest.param("Mara Voss: Sit.", "Sit.", id="own-name"),
    pytest.param("Mara: Sit.", "Sit.", id="own-first-name"),
    pytest.param("**Mara Voss:** Sit.", "Sit.", id="own-name-in-bold"),
    pytest.param("Mara Voss sits.", "Mara Voss sits.", id="name-without-colon"),
    pytest.param("Mara", "Mara", id="nothing-but-a-name"),
    pytest.param("Ada: Hello?\nMara Voss: Sit.", "Sit.", id="begins-by-speaking-for-the-person"),
    pytest.param("Sit.\nAda: Thanks.\nMara: Tea?", "Sit.", id="speaks-for-the-person"),
    pytest.param("Sit.\n\n**Ada:** Thanks.", "Sit.", id="speaks-for-the-person-in-bold"),
    pytest.param("Sit.\nUser: Thanks.", "Sit.", id="speaks-for-the-user"),
    pytest.param("Sit.\nAda looks up.", "Sit.\nAda looks up.", id="tells-of-the-person"),
    pytest.param("Sit.\nAd", "Sit.\nAd", id="ends-like-a-name"),
    pytest.param("Sit.<|im_end|>\n<|im_start|>user", "Sit.", id="template-token"),
    pytest.param("*One*\n\n```\n  x\n```", "*One*\n\n```\n  x\n```", id="markdown-and-code"),
]


@pytest.mark.parametrize(("text", "reply"), CASES)
def test_only_the_characters_words_remain(text: str, reply: str) -> None:
    assert shown(text) == reply
    assert shown(*text) == reply


def every_way(text: str) -> list[list[str]]:
    """The text whole, in single characters, and in two parts, cut at each place."""
    return [[text], list(text), *([text[:at], text[at:]] for at in range(1, len(text)))]


@pytest.mark.parametrize("thinking", ["tagged", "leading"])
@pytest.mark.parametrize("family", REASONING)
def test_reasoning_of_a_family_is_taken_out_wherever_it_is_cut(
    family: str, thinking: Thinking
) -> None:
    opening, closing = REASONING[family]
    for pieces in every_way(f"{opening}The tide.{closing}Sit."):
        assert shown(*pieces, thinking=thinking) == "Sit.", pieces
    assert shown(f"{opening}The tide. And then", thinking=thinking) == ""
    assert shown(*f"{opening}The tide. And then", thinking=thinking) == ""


@pytest.mark.parametrize("family", SPOKEN)
def test_reasoning_in_words_is_taken_out_wherever_it_is_cut(family: str) -> None:
    opening, closing = SPOKEN[family]
    for pieces in every_way(f" {opening}The tide.{' ' * 50}It waits.{closing}Sit."):
        assert shown(*pieces) == "Sit.", pieces


@pytest.mark.parametrize(
    "said", ["analysis", "analysis of tea", "an", "Here", "Here is my thought"]
)
def test_words_that_could_begin_reasoning_stay(said: str) -> None:
    for pieces in every_way(said):
        assert shown(*pieces) == said


def test_long_reasoning_in_words_takes_time_in_its_length() -> None:
    def work(times: int) -> int:
        calls = 0

        def profile(_frame: object, event: str, _arg: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            shown(*("analysisWe " + "hum " * times))
        finally:
            sys.setprofile(None)
        return calls

    work(1)
    assert work(5_000) <= work(500) * 11


@pytest.mark.parametrize("family", REASONING)
def test_reasoning_of_a_family_is_taken_out_of_the_middle(family: str) -> None:
    opening, closing = REASONING[family]
    if "answer" not in closing and "output" not in closing and "begin_of" not in closing:
        closing = closing.removesuffix("<|START_RESPONSE|>").removesuffix("<|message|>")
        assert shown(*f"Sit. {opening}The tide.{closing}Tea?") == "Sit. Tea?"


@pytest.mark.parametrize(
    "family", [name for name, (_, end) in REASONING.items() if "<|" not in end]
)
def test_reasoning_whose_opening_tag_is_in_the_template(family: str) -> None:
    for pieces in every_way(f"The tide.{REASONING[family][1]}Sit."):
        assert shown(*pieces, thinking="leading") == "Sit.", pieces


@pytest.mark.parametrize(
    "token", [token for tokens in END_TOKENS.values() for token in tokens.split()]
)
def test_reply_ends_at_a_token_wherever_it_is_cut(token: str) -> None:
    for pieces in every_way(f"Sit.{token}Ada waits.\n<b>"):
        assert shown(*pieces) == "Sit.", pieces
    reply = Reply(CAST)
    reply.feed(f"Sit.{token}A")
    assert reply.ended


@pytest.mark.parametrize("heading", TURN_HEADINGS)
def test_reply_ends_at_a_heading_of_a_template_without_tokens(heading: str) -> None:
    for pieces in every_way(f"Sit.\n\n{heading}\nStand."):
        assert shown(*pieces) == "Sit.", pieces


@pytest.mark.parametrize("thinking", ["tagged", "leading"])
@pytest.mark.parametrize("family", HEADERS)
def test_tokens_that_begin_the_models_turn_are_dropped(family: str, thinking: Thinking) -> None:
    for pieces in every_way(f"{HEADERS[family]}Sit."):
        assert shown(*pieces, thinking=thinking) == "Sit.", pieces
    text = f"{HEADERS[family]}<think>a</think>{HEADERS[family]}Mara: Sit."
    assert shown(*text, thinking=thinking) == "Sit."


@pytest.mark.parametrize("thinking", ["tagged", "leading"])
@pytest.mark.parametrize("text", STORY)
def test_words_of_a_story_stay(text: str, thinking: Thinking) -> None:
    for pieces in every_way(text):
        assert shown(*pieces, thinking=thinking) == text, pieces


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        pytest.param("Hello?", "Hello?", id="plain"),
        pytest.param("Ada: Hello?", "Hello?", id="own-name"),
        pytest.param("User: Hello?", "Hello?", id="as-the-user"),
        pytest.param("Hello?\nAda: Well?", "Hello?\nAda: Well?", id="own-name-later"),
        pytest.param("Hello?\nMara Voss: Sit.", "Hello?", id="speaks-for-the-character"),
        pytest.param("Hello?\n**Mara:** Sit.", "Hello?", id="by-the-first-name-in-bold"),
        pytest.param("Mara: Sit.\nAda: Thanks.", "Thanks.", id="begins-with-the-character"),
        pytest.param("I see Mara: wet.", "I see Mara: wet.", id="tells-of-the-character"),
    ],
)
def test_only_the_persons_words_remain_in_a_draft(text: str, draft: str) -> None:
    cast = Cast("Mara Voss", ["Ada"], impersonates=True)
    assert shown(text, cast=cast) == draft
    assert shown(*text, cast=cast) == draft


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        pytest.param("She is wet. Offer tea.</think>\n\nSit.", "Sit.", id="orphan-closing-tag"),
        pytest.param("<think>Hm.</think>Sit.", "Sit.", id="tagged-after-all"),
        pytest.param("Sit.", "Sit.", id="did-not-think"),
    ],
)
def test_words_of_a_family_that_thinks_first(text: str, reply: str) -> None:
    assert shown(text, thinking="leading") == reply
    assert shown(*text, thinking="leading") == reply


def test_reply_ends_at_the_persons_line() -> None:
    reply = Reply(CAST)
    reply.feed("Sit.\nAda: Th")
    assert reply.ended


@pytest.mark.parametrize("after", ["\nMara:", "\n\n*She n", " " * 600])
def test_reply_is_over_once_it_is_clear_that_the_line_is_the_persons(after: str) -> None:
    reply = Reply(CAST)
    reply.feed("Sit.\nAda: Thanks.")
    assert not reply.is_over
    reply.feed(after + " ")
    assert reply.is_over


def test_reply_that_turns_out_to_have_a_script_has_not_ended() -> None:
    reply = Reply(CAST)
    shown = reply.feed("She plays.\nAda: Who?\n")
    assert reply.ended
    assert shown + reply.feed("Guard: No.") == "She plays.\nAda: Who?\nGuard: No."
    assert not reply.ended


def test_only_what_may_become_a_marker_is_held_back() -> None:
    reply = Reply(CAST)
    assert [reply.feed(piece) for piece in ("Sit", ".\n", "A", "sk <", "b>")] == [
        "Sit",
        ".",
        "",
        "\nAsk",
        " <b>",
    ]


fragments = st.sampled_from(
    ["<think>", "</think>", "<thi", "nk>", "Mara Voss:", "Mara", "\nAda:", "\n", "Ada", ": ",
     "<|im_end|>", "Sit.", " ", "*", "User:", "**", "a", "灯", "<", "<|", "|>", "</", "[", "]", ">",
     "◁", "<|channel|>", "analysis", "final", "<|message|>", "<|start|>", "assistant", "<answer>",
     "</answer>", "<analysis>", "</analysis>", "<s>", "\n###", " Response:", "<｜", "｜>"]
) | st.sampled_from([part for pair in REASONING.values() for part in pair]) | st.sampled_from(
    [*HEADERS.values(), *" ".join(END_TOKENS.values()).split()]
)  # fmt: skip


@given(st.lists(fragments | st.text(max_size=5)), st.sampled_from(["tagged", "leading"]))
@settings(max_examples=500)
def test_streaming_equals_not_streaming(pieces: list[str], thinking: Thinking) -> None:
    whole = "".join(pieces)
    once = shown(whole, thinking=thinking)
    assert shown(*pieces, thinking=thinking) == once
    assert shown(*whole, thinking=thinking) == once


@given(st.text(st.characters(codec="utf-8", exclude_characters="<[◁:\r\n\x00")).map(str.strip))
def test_ordinary_text_is_kept_byte_for_byte(text: str) -> None:
    assert shown(*text) == text


class Noting(ReplyScreen):
    """Notes how much is screened at once."""

    def __init__(self) -> None:
        super().__init__([], "nsfw")
        self.lengths: list[int] = []

    def feed(self, piece: str) -> str:
        self.lengths.append(len(piece))
        return super().feed(piece)


LONG = " ".join(f"She counts {number:x} gulls." for number in range(0xABC, 0xABC + 300))


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        pytest.param(LONG, "leading", id="never-closed"),
        pytest.param(f"{LONG}<think>Hm.", "leading", id="another-is-opened"),
        pytest.param(f"Here's my thought process: {LONG}", "tagged", id="in-words"),
    ],
)
def test_reasoning_that_was_none_is_read_in_steps(text: str, thinking: Thinking) -> None:
    screen = Noting()
    reply = Reply(CAST, thinking=thinking, screen=screen)
    parts = [reply.feed(text[at : at + 100]) for at in range(0, len(text), 100)]
    reply.end_thinking()
    while reply.is_waiting:
        parts.append(reply.feed())
    assert "".join([*parts, reply.flush()]) == text.removesuffix("<think>Hm.").strip()
    assert max(screen.lengths) <= STEP_CHARS + len(" ")  # Held back from the step before.
    assert sum(screen.lengths) >= len(LONG) - 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("She nods. She turns and", "She nods."),
        ("She nods. *She turns and", "She nods."),
        ("*She nods. She waits. Then she", "*She nods. She waits.*"),
        ('She says: "Sit down. Now dr', 'She says: "Sit down."'),
        ("No end at all in these words", "No end at all in these words"),
        ("Yes. And then a very long sentence that never came to its", None),
        ("彼女は頷く。そして彼", "彼女は頷く。"),
        ("**Bold** she nods. Then", "**Bold** she nods."),
    ],
)
def test_cut_sentence_is_trimmed(text: str, kept: str | None) -> None:
    assert trim_unfinished_sentence(text) == (text if kept is None else kept)


@pytest.mark.parametrize(
    ("beginning", "continuation", "whole"),
    [
        ("She nods", "and sits.", "She nods and sits."),
        ("She nods", ", slowly.", "She nods, slowly."),
        ("She nods.\n", "Then", "She nods.\nThen"),
        ("a light-", "house", "a light-house"),
    ],
)
def test_continuation_is_joined(beginning: str, continuation: str, whole: str) -> None:
    join = Continuation(beginning)
    assert beginning + join.feed(continuation) + join.flush() == whole
