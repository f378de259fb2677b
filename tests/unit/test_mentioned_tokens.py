"""Tokens that a text mentions stay; those that a server left in it do not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleplay_chat.messages import Cast
from roleplay_chat.reply.filters import Reply, Thinking
from tests.support.pieces import shown_in_any_pieces
from tests.support.servers_streams import END_TOKENS

CAST = Cast("Mara", ["Ada"])
TOKENS = [
    *("<think>", "</think>", "</s>", "<s>", "[INST]", "[/INST]", "<|im_end|>", "<|user|>"),
    *("<reasoning>", "<end_of_turn>", "<eos>", "[THINK]", "<|start|>", "</answer>"),
]


def show(pieces: list[str], thinking: Thinking = "tagged") -> str:
    reply = Reply(CAST, thinking=thinking)
    return "".join(reply.feed(piece) for piece in pieces) + reply.flush()


def shown(text: str) -> str:
    return shown_in_any_pieces(show, text)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Write `{}` here.", id="code"),
        pytest.param("`{} x`", id="begins-code"),
        pytest.param("Then ``a ` {}`` too.", id="code-with-a-backtick"),
        pytest.param("See:\n```\n{}x\n{}\n```\nDone.", id="code-block"),
        pytest.param("See:\n  ~~~ text\nx{}\n~~~\nDone.", id="code-block-of-tildes"),
        pytest.param("See:\n```\nx {}", id="code-block-that-is-open"),
        pytest.param("The sign {} opens it, she says.", id="explained"),
        pytest.param("Look for {}, then stop.", id="before-a-comma"),
        pytest.param("It ends with {}.", id="at-the-end-of-a-sentence"),
        pytest.param('She says "{}" aloud.', id="quoted"),
        pytest.param("She says “{}” aloud.", id="curly-quotes"),
        pytest.param("A sign ({}) in brackets.", id="in-brackets"),
        pytest.param("A sign, **{}**, in bold.", id="in-bold"),
        pytest.param("- {}: a sign", id="listed"),
        pytest.param("Модель пишет {} перед ответом.", id="russian"),
        pytest.param("這個「{}」是記號。", id="chinese-quotes"),
        pytest.param("모델은 {} 라고 쓴다.", id="korean"),
        pytest.param("يكتب {} في النص.", id="arabic"),
        pytest.param("The first is {}, the second is {}.", id="twice"),
    ],
)
def test_mentioned_token_stays(token: str, text: str) -> None:
    said = text.replace("{}", token)
    assert shown(said) == said


@pytest.mark.parametrize(
    "text",
    [
        "The tag <think> opens a thought, and </think> closes it, she says.",
        "Tokens: <s>, </s>, [INST], [/INST] and <|im_end|>.",
        "```\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n```\nSo.",
        "他写下</s>表示结束。",
        "She is <s>late</s> early.",
        "She is <s>late and tired</s>, early.",
    ],
)
def test_explained_tokens_stay(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        pytest.param("Sit.</s>", "Sit.", id="glued"),
        pytest.param("Sit. </s>", "Sit.", id="after-a-space"),
        pytest.param("Sit </s>", "Sit", id="after-a-word"),
        pytest.param("Sit. </s> [INST] hm [/INST]", "Sit.", id="another-turn"),
        pytest.param("Sit.\n</s> and more", "Sit.", id="on-a-line-of-its-own"),
        pytest.param("坐下。</s>好的", "坐下。", id="chinese"),
        pytest.param("Tôi ở lạ</s>ấm", "Tôi ở lạ", id="vietnamese"),
        pytest.param("She writes `x`.<|im_end|>\nuser", "She writes `x`.", id="after-code"),
        pytest.param("The sign <s> is it.</s>x", "The sign <s> is it.", id="after-a-mention"),
        pytest.param("```\nx\n```\n<|im_end|>y", "```\nx\n```", id="after-a-code-block"),
        pytest.param("Sit. <think>Well, tea?</think>Tea?", "Sit. Tea?", id="reasoning"),
        pytest.param("<think>I see ```\nx</think>Sit.", "Sit.", id="reasoning-with-open-code"),
        pytest.param("<think>End with `</think>`.</think>Sit.", "Sit.", id="reasons-about-a-tag"),
        pytest.param("<think>The tag </think> ends it.", "ends it.", id="reasoning-has-an-end"),
        pytest.param('<think>"Yes"</think>"Yes," she says.', '"Yes," she says.', id="quotes"),
    ],
)
def test_token_that_a_server_left_does_not_stay(text: str, reply: str) -> None:
    assert shown(text) == reply


def test_reasoning_without_an_opening_tag_ends_at_its_closing_tag() -> None:
    for text in ("So I open with <x> and end </think> sit.", "I write `</think>`.</think>sit."):
        assert shown_in_any_pieces(lambda pieces: show(pieces, "leading"), text) == "sit."


PARTS = st.sampled_from(
    [*TOKENS, "`", "``", "```", "\n", "~~~", " ", "a", "A", "word ", ".", ",", '"', "“", "(", "字"]
) | st.sampled_from(" ".join(END_TOKENS.values()).split())


@given(st.lists(PARTS, max_size=14), st.integers(1, 9), st.sampled_from(["tagged", "leading"]))
@settings(max_examples=400)
def test_result_does_not_depend_on_the_pieces(
    parts: list[str], size: int, thinking: Thinking
) -> None:
    text = "".join(parts)
    whole = show([text], thinking)
    assert show(list(text), thinking) == whole
    assert show([text[at : at + size] for at in range(0, len(text), size)], thinking) == whole
