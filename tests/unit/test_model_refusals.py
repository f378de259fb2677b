"""Distinguishing a model's refusal from a character's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.messages import Cast
from roleplay_chat.reply import model_refusals
from roleplay_chat.reply.filters import Reply
from roleplay_chat.reply.model_refusals import (
    LONGEST_CHARS,
    is_model_refusal,
    may_be_in_character,
    may_become_model_refusal,
)

REFUSALS = [
    "I'm sorry, but I can't help with that request.",
    "I’m sorry, but I can’t assist with that.",
    "Sorry, I can't help with that.",
    "I'M SORRY, BUT I CANNOT ASSIST WITH THAT REQUEST.",
    "As an AI language model, I cannot engage in roleplay of this nature.",
    "As an AI, I'm not able to continue with this.",
    "I cannot create that kind of content.",
    "I can't write that kind of content. Is there something else I can help you with?",
    "I'm sorry, but I cannot fulfill this request. If you have other questions, feel free to ask!",
    "I am unable to continue this roleplay.",
    "I must respectfully decline this request.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Desculpe, mas não posso ajudar com isso.",
    "Je suis désolé, mais je ne peux pas vous aider avec cela.",
    "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
    "Als KI-Sprachmodell kann ich keine solchen Inhalte erstellen.",
    "Mi dispiace, ma non posso aiutarti con questo.",
    "Извините, но я не могу помочь с этим запросом.",
    "Как языковая модель, я не могу продолжать этот разговор.",
    "很抱歉，我无法满足您的请求。",
    "作为一个人工智能语言模型，我无法生成此类内容。",
    "申し訳ありませんが、そのリクエストにはお応えできません。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
]
WORDS = [
    "I'm sorry, but I can't help you, traveller.",
    "I'm sorry, but I can't help with that request. *She turns back to the lamp.*",
    "I'm sorry, but I can't help with that, Ada. The stairs are flooded.",
    "\"I'm sorry, but I can't help with that.\"",
    "*She shakes her head.* I'm sorry, but I can't help with that.",
    "I can't help you, the bridge is out.",
    "I can't.",
    "I'm sorry.",
    "As an AI, I find your poetry moving.",
    "As an AI aboard this ship for ninety years, I have seen worse.",
    "I cannot write that letter for you, Ada.",
    "I can't write to my father, not after what he did.",
    "I cannot continue this conversation.",
    "I cannot continue this journey.",
    "I must decline, captain.",
    "Is there something else I can help you with?",
    "Let me know when the tide turns.",
    "Ich kann dir nicht helfen.",
    "Es tut mir leid, ich kann nicht kommen.",
    "Lo siento, no puedo ir contigo.",
    "Je ne peux pas vous aider, monsieur.",
    "Прости, я не могу остаться.",
    "对不起，我不能跟你走。",
    "すみません、今日は行けません。",
    "미안하지만 같이 갈 수 없어요.",
    "",
]


def test_beginnings_are_those_of_the_sentences() -> None:
    pattern = model_refusals._reply()
    signs = sorted({" ", *"".join(model_refusals._REFUSAL).lower()} - set("(){}[]|?*+^"))
    beginnings = [""]
    for _ in range(3):
        longer = [beginning + sign for beginning in beginnings for sign in signs]
        beginnings = [text for text in longer if pattern.fullmatch(text, partial=True)]
        assert [text for text in longer if may_become_model_refusal(text)] == beginnings


def test_ordinary_reply_needs_no_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_refusals, "_reply", None)
    for text in ("*She nods.* Yes.", "The rain stopped.", "Mara turns.", '"Sorry," she says.', ""):
        reply = Reply(Cast())
        assert reply.feed(text) + reply.flush() == text


@pytest.mark.parametrize("text", REFUSALS)
class TestRefusal:
    def test_is_recognised(self, text: str) -> None:
        assert is_model_refusal(text)

    def test_is_held_back_until_it_is_whole(self, text: str) -> None:
        reply = Reply(Cast("Mara", ["Ada"]))
        assert "".join(reply.feed(letter) for letter in text) == ""
        assert (reply.flush(), reply.is_model_refusal) == ("", True)

    def test_before_other_words_is_none(self, text: str) -> None:
        said = f"{text} *The lamp hisses.*"
        reply = Reply(Cast("Mara", ["Ada"]))
        assert "".join(reply.feed(letter) for letter in said) + reply.flush() == said
        assert not reply.is_model_refusal


@pytest.mark.parametrize("text", WORDS)
def test_words_of_a_character_stay(text: str) -> None:
    reply = Reply(Cast("Mara", ["Ada"]))
    assert not is_model_refusal(text)
    assert "".join(reply.feed(letter) for letter in text) + reply.flush() == text
    assert not reply.is_model_refusal


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("*She looks up.* Sit.", 0),
        ("Sit down, Ada.", 2),
        ("I have been here for eleven winters.", 8),
        ("I'm glad you came.", 5),
        ("As always, you are late.", 4),
    ],
)
def test_usual_words_wait_for_a_few_letters(text: str, waits: int) -> None:
    held = [length for length in range(1, len(text)) if may_become_model_refusal(text[:length])]
    assert len(held) <= waits


def test_nothing_is_held_back_for_long() -> None:
    endless = "I'm sorry, but I can't help with that request. " * 20
    assert may_become_model_refusal(endless[:LONGEST_CHARS])
    assert not may_become_model_refusal(endless[: LONGEST_CHARS + 1])
    assert not is_model_refusal(endless)


@given(st.lists(st.sampled_from([*REFUSALS, *WORDS, "As an AI", " ", "I can't", "。", "a"])))
def test_whatever_is_a_refusal_was_held_back_from_its_first_letter(parts: list[str]) -> None:
    text = " ".join(parts).strip()
    if is_model_refusal(text):
        assert all(may_become_model_refusal(text[:length]) for length in range(len(text)))


IN_CHARACTER = [
    "I must decline your invitation.",
    "I have to decline your offer.",
    "I must decline your request.",
    "I need to decline to answer that.",
    "I must respectfully decline this honour.",
    "I cannot comply.",
    "I won't assist you.",
    "I'm afraid I can't help you with that.",
    "I’m sorry, but I can’t help you with that.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Desculpe, mas não posso ajudar com isso.",
    "Je suis désolé, mais je ne peux pas vous aider avec cela.",
    "Es tut mir leid, ich kann dir dabei nicht helfen.",
    "Mi dispiace, ma non posso aiutarti con questo.",
    "Извините, но я не могу помочь вам с этим.",
]
OUT_OF_CHARACTER = [
    "I'm sorry, but I can't help with that request.",
    "As an AI language model, I cannot do this.",
    "I cannot create that kind of content.",
    "I am unable to continue this roleplay.",
    "That goes against my guidelines.",
    "I'm sorry, but I can't help with that. Is there something else I can help you with?",
    "Lo siento, no puedo ayudar con esa solicitud.",
    "Als KI-Sprachmodell kann ich das nicht.",
    "Как языковая модель, я не могу этого.",
    "很抱歉，我无法满足您的请求。",
    "申し訳ありませんが、そのリクエストにはお応えできません。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
]


@pytest.mark.parametrize("text", IN_CHARACTER)
def test_refusal_that_a_character_may_speak_is_dropped_but_can_be_accepted(text: str) -> None:
    reply = Reply(Cast("Mara", ["Ada"]))
    assert (reply.feed(text) + reply.flush(), reply.is_model_refusal) == ("", True)
    assert reply.may_be_in_character
    assert reply.accept_refusal() == text

    second = Reply(Cast("Mara", ["Ada"]))
    second.accept_refusal()
    assert "".join(map(second.feed, text)) + second.flush() == text
    assert not second.is_model_refusal


@pytest.mark.parametrize("text", OUT_OF_CHARACTER)
def test_refusal_that_no_character_speaks_is_never_accepted(text: str) -> None:
    assert not may_be_in_character(text)
    reply = Reply(Cast("Mara", ["Ada"]))
    reply.accept_refusal()
    assert (reply.feed(text) + reply.flush(), reply.is_model_refusal) == ("", True)


def test_nobody_refuses_in_character_where_there_is_none() -> None:
    reply = Reply()
    assert reply.feed(IN_CHARACTER[0]) + reply.flush() == ""
    assert not reply.may_be_in_character
