"""The filters that leave only the character's words, for text in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.continuation import joined
from roleplay_chat.messages import Cast
from roleplay_chat.reply.filters import Reply, Thinking
from roleplay_chat.reply.truncation import trim_unfinished_sentence

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
     "<|im_end|>", "Sit.", " ", "*", "User:", "**", "a", "灯"]
)  # fmt: skip


@given(st.lists(fragments | st.text(max_size=5)), st.sampled_from(["tagged", "leading"]))
def test_streaming_equals_not_streaming(pieces: list[str], thinking: Thinking) -> None:
    whole = "".join(pieces)
    once = shown(whole, thinking=thinking)
    assert shown(*pieces, thinking=thinking) == once
    assert shown(*whole, thinking=thinking) == once


@given(st.text(st.characters(codec="utf-8", exclude_characters="<[:\r\n\x00")).map(str.strip))
def test_ordinary_text_is_kept_byte_for_byte(text: str) -> None:
    assert shown(*text) == text


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
    assert joined(beginning, continuation) == whole
