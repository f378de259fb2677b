"""How servers that speak the OpenAI dialect frame, end and mark their streams.

Facts, with where they are from. Every one runs through the reader, the filters or a whole turn:
tests/unit/test_servers_streams.py and tests/integration/test_servers_streams.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

REPLY = "Sit down. The tide is late 🌊, and so are you."
"""The reply in each stream. Its emoji is where servers split characters."""
PIECES = ("Sit", " down.", " The tide", " is late 🌊,", " and so", " are you.")

Headers = Mapping[str, str]
EVENT_STREAM = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True)
class Shape:
    """How a server frames a stream."""

    server: str
    source: str
    body: bytes
    headers: Headers = field(default_factory=lambda: EVENT_STREAM)


def chunk(content: Any = None, finish: Any = None, **delta: Any) -> dict[str, Any]:
    """A chat.completion.chunk."""
    choice = {"index": 0, "delta": {"content": content} | delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}


def usage() -> dict[str, Any]:
    """The last chunk, with the usage and no choice."""
    return {
        "id": "chatcmpl-1",
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 8},
    }


def chunks(pieces: Sequence[Any] = PIECES, *, each: Any = None, last: Any = "stop") -> list[str]:
    """The chunks of a whole reply as JSON; `each` is the finish reason before the end."""
    return [
        json.dumps(one, ensure_ascii=False)
        for one in (*(chunk(piece, each) for piece in pieces), chunk("", last), usage())
    ]


def framed(
    *data: str, between: str = "\n\n", end: str | None = None, before: str = "data: "
) -> bytes:
    """Events with `between` after each of them; `end` after the last one."""
    text = "".join(f"{before}{one}{between}" for one in data)
    return (text if end is None else text.removesuffix(between) + end).encode()


WHOLE = chunks()
DONE = "[DONE]"
# "🌊" is U+1F30A, in two halves as JSON escapes it, and in bytes.
ESCAPED = [line.replace("🌊", "\\ud83c\\udf0a") for line in WHOLE]
HALVES = [
    *(json.dumps(chunk(piece)) for piece in PIECES[:3]),
    json.dumps(chunk(" is late @")).replace("@", "\\ud83c"),
    json.dumps(chunk("@,")).replace("@", "\\udf0a"),
    *(json.dumps(chunk(piece)) for piece in PIECES[4:]),
    json.dumps(chunk("", "stop")),
]
_WAVE = "🌊".encode()
BYTES = b"".join(
    b"data: " + part + b"\n\n"
    for part in (
        *(json.dumps(chunk(piece)).encode() for piece in PIECES[:3]),
        json.dumps(chunk(" is late @")).encode().replace(b"@", _WAVE[:2]),
        json.dumps(chunk("@,")).encode().replace(b"@", _WAVE[2:]),
        *(json.dumps(chunk(piece)).encode() for piece in PIECES[4:]),
        json.dumps(chunk("", "stop")).encode(),
        b"[DONE]",
    )
)
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}
    ],
}
THINKING: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "They are late."}]}
]

SHAPES: dict[str, Shape] = {
    "as-the-standard-has-it": Shape("vLLM", "vLLM's OpenAI server", framed(*WHOLE, DONE)),
    "one-newline-between-events": Shape(
        "gateways of GLM and Kimi models",
        "github.com/rexxars/eventsource-parser/pull/31",
        framed(*WHOLE, DONE, between="\n"),
    ),
    "one-newline-with-event-names": Shape(
        "a proxy that drops blank lines",
        "the same, with the names of events",
        framed(*WHOLE, DONE, between="\n", before="event: message\ndata: "),
    ),
    "one-carriage-return-between-events": Shape(
        "a proxy that drops blank lines", "the same", framed(*WHOLE, DONE, between="\r\n")
    ),
    "done-on-the-next-line": Shape(
        "KoboldCpp",
        "github.com/LostRuins/koboldcpp/issues/697",
        framed(*WHOLE, end="\ndata: [DONE]\n\n"),
    ),
    "done-glued-to-the-last-event": Shape(
        "a gateway",
        "github.com/decolua/9router/issues/3492",
        framed(*WHOLE, end="data: [DONE]\n\n"),
    ),
    "done-without-its-field": Shape("a gateway", "the same", framed(*WHOLE, end="[DONE]\n\n")),
    "done-on-a-line-of-its-own": Shape(
        "a gateway", "the same", framed(*WHOLE, end="\n\n[DONE]\n\n")
    ),
    "done-with-spaces": Shape("a gateway", "the same", framed(*WHOLE, " [DONE] ")),
    "two-events-on-one-line": Shape(
        "a gateway", "the same", framed(*WHOLE, DONE).replace(b"}\n\ndata: {", b"}data: {", 2)
    ),
    "last-event-without-its-blank-line": Shape(
        "a server that closes at once",
        "github.com/openresponses/openresponses/issues/56",
        framed(*WHOLE, end="\n"),
    ),
    "last-event-without-its-newline": Shape(
        "a server that closes at once", "the same", framed(*WHOLE[:-1], end="")
    ),
    "last-event-done-without-its-newline": Shape(
        "a server that closes at once", "the same", framed(*WHOLE, DONE, end="")
    ),
    "text-plain": Shape(
        "RamaLama's RAG proxy",
        "github.com/containers/ramalama/pull/2902",
        framed(*WHOLE, DONE),
        {"Content-Type": "text/plain; charset=utf-8"},
    ),
    "json-type": Shape(
        "a proxy that sets one type",
        "github.com/haibbo/cf-openai-azure-proxy/issues/56",
        framed(*WHOLE, DONE),
        {"Content-Type": "application/json"},
    ),
    "no-type": Shape("a proxy that sets none", "the same", framed(*WHOLE, DONE), {}),
    "octets": Shape(
        "a proxy that knows no type",
        "the same",
        framed(*WHOLE, DONE),
        {"Content-Type": "application/octet-stream"},
    ),
    "type-in-another-case": Shape(
        "servers of other frameworks",
        "media types have no case (RFC 9110, 8.3.1)",
        framed(*WHOLE, DONE),
        {"content-type": "Text/Event-Stream;Charset=UTF-8"},
    ),
    "keep-alives-first-under-json": Shape(
        "OpenRouter behind a proxy",
        "OpenRouter's documentation of comments",
        b": OPENROUTER PROCESSING\n\n" * 2 + framed(*WHOLE, DONE),
        {"Content-Type": "application/json"},
    ),
    "document-under-event-stream": Shape(
        "9router",
        "github.com/decolua/9router/issues/3492",
        json.dumps(COMPLETION, indent=1).encode(),
    ),
    "document-and-done": Shape(
        "9router", "the same", json.dumps(COMPLETION).encode() + b"data: [DONE]\n\n"
    ),
    "document-after-a-byte-order-mark": Shape(
        "servers of other frameworks",
        "the same",
        b"\xef\xbb\xbf\n" + json.dumps(COMPLETION).encode(),
        {"Content-Type": "application/json"},
    ),
    "lines-of-json": Shape(
        "a gateway in front of Ollama",
        "Ollama's own protocol has lines of JSON",
        "\n".join(WHOLE).encode(),
        {"Content-Type": "application/x-ndjson"},
    ),
    "emoji-escaped": Shape("many", "JSON (RFC 8259, 7)", framed(*ESCAPED, DONE)),
    "emoji-in-two-halves": Shape(
        "servers in languages with 16-bit text",
        "github.com/elizaOS/eliza/issues/30904",
        framed(*HALVES, DONE),
    ),
    "emoji-in-two-parts-of-its-bytes": Shape(
        "servers that pass on the bytes of each token", "the same", BYTES
    ),
    "reason-null-as-text-on-every-chunk": Shape(
        "KoboldCpp",
        "github.com/PowerShell/AIShell/issues/350",
        framed(*chunks(each="null"), DONE),
    ),
    "reason-empty-on-every-chunk": Shape(
        "Ollama", "github.com/ollama/ollama/issues/4357", framed(*chunks(each=""), DONE)
    ),
    "reason-unspecified-on-every-chunk": Shape(
        "Gemini's gateway",
        "Vertex AI's documentation: an unspecified reason means that it goes on",
        framed(*chunks(each="FINISH_REASON_UNSPECIFIED"), DONE),
    ),
    "reason-as-an-object": Shape(
        "SGLang", "its own protocol", framed(*chunks(last={"type": "stop", "matched": 2}), DONE)
    ),
    "parts-that-are-strings": Shape(
        "a gateway", "the same as OpenAI's parts", framed(*chunks([[one] for one in PIECES]), DONE)
    ),
    "a-part-without-its-list": Shape(
        "a gateway",
        "the same",
        framed(*chunks([{"type": "text", "text": one} for one in PIECES]), DONE),
    ),
    "parts-of-thinking": Shape(
        "Mistral",
        "github.com/NousResearch/hermes-agent/pull/4748",
        framed(*chunks([THINKING, [{"type": "text", "text": PIECES[0]}], *PIECES[1:]]), DONE),
    ),
    "thinking-beside-the-text": Shape(
        "Ollama",
        "vLLM and Ollama name the field `reasoning`, llama.cpp `reasoning_content`",
        framed(json.dumps(chunk("", thinking="Late.")), *WHOLE, DONE),
    ),
    "whole-message-in-the-last-chunk": Shape(
        "Perplexity",
        "its chunks have `message` with the text so far beside `delta`",
        framed(
            *WHOLE[:-2],
            json.dumps({"choices": [{**COMPLETION["choices"][0], "delta": {}}]}),
            DONE,
        ),
    ),
}

_MEMORY = {"code": 500, "message": "CUDA out of memory", "type": "server_error"}
_LONG = {
    "code": 400,
    "message": "the request exceeds the available context size. try increasing the context size",
    "type": "invalid_request_error",
}
_DECLINED = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
OLD_LLAMA = "github.com/ggml-org/llama.cpp/pull/16109"

FAILURES: dict[str, tuple[Shape, str]] = {
    # name: a stream with status 200 that fails before its first word, and the error policy
    "error-in-a-field-of-its-own": (
        Shape("llama.cpp until 2025", OLD_LLAMA, framed(json.dumps(_LONG), before="error: ")),
        "context_too_long",
    ),
    "error-in-a-field-of-its-own-and-done": (
        Shape(
            "llama.cpp until 2025",
            "github.com/coddy-project/coddy-agent/pull/106",
            framed(json.dumps(_MEMORY), before="error: ") + framed(DONE),
        ),
        "worker_out_of_memory",
    ),
    "error-as-an-event-of-its-name": (
        Shape(
            "servers with named events",
            "Anthropic's events have names",
            framed(json.dumps(_MEMORY), before="event: error\ndata: "),
        ),
        "worker_out_of_memory",
    ),
    "error-without-a-field": (
        Shape(
            "a proxy whose server failed",
            "the body of an error behind the headers of a stream",
            b": ping\n\n" + framed(json.dumps({"error": _MEMORY}), before=""),
        ),
        "worker_out_of_memory",
    ),
    "error-as-text": (
        Shape("a proxy whose server failed", "the same", framed("Error: CUDA out of memory")),
        "worker_out_of_memory",
    ),
    "refusal-beside-the-text": (
        Shape(
            "OpenAI",
            "github.com/langchain4j/langchain4j/issues/5813",
            framed(json.dumps({"choices": [{"delta": _DECLINED}]}), json.dumps(chunk("", "stop"))),
        ),
        "refused_by_model",
    ),
    "refusal-of-a-document": (
        Shape(
            "OpenAI",
            "github.com/openclaw/openclaw/pull/102334",
            json.dumps({"choices": [{"message": _DECLINED, "finish_reason": "stop"}]}).encode(),
        ),
        "refused_by_model",
    ),
    "refusal-as-a-part": (
        Shape(
            "OpenAI",
            "OpenAI's reference of messages",
            framed(
                json.dumps(chunk([{"type": "refusal", "refusal": "No."}])),
                json.dumps(chunk("", "stop")),
            ),
        ),
        "refused_by_model",
    ),
}

Meaning = Literal["whole", "length", "refused", "failed", "unfinished", "cut_off"]


@dataclass(frozen=True)
class Reason:
    """A finish reason, and what it means."""

    word: str
    meaning: Meaning
    source: str


_WORDS: tuple[tuple[Meaning, str, str], ...] = (
    ("whole", "OpenAI, vLLM, llama.cpp and others", "stop tool_calls function_call"),
    ("whole", "TGI", "eos_token stop_sequence"),
    ("whole", "gateways, by docs.rs/openai-interface", "eos"),
    ("whole", "Anthropic behind a gateway", "end_turn tool_use"),
    ("whole", "Gemini", "STOP FINISH_REASON_STOP FinishReason.STOP"),
    ("whole", "Cohere", "COMPLETE STOP_SEQUENCE"),
    ("whole", "LM Studio", "eosFound stopStringFound toolCalls"),
    ("whole", "llama.cpp's own protocol", "word"),
    ("length", "OpenAI and others", "length"),
    ("length", "Anthropic behind a gateway", "max_tokens model_context_window_exceeded"),
    ("length", "Gemini", "MAX_TOKENS FINISH_REASON_MAX_TOKENS FinishReason.MAX_TOKENS"),
    ("length", "Mistral", "model_length"),
    ("length", "LM Studio", "maxPredictedTokensReached contextLengthReached"),
    ("length", "llama.cpp's own protocol", "limit"),
    ("length", "Cohere", "ERROR_LIMIT"),
    ("length", "others", "max_length max_new_tokens max_output_tokens"),
    ("refused", "OpenAI, Azure, DeepSeek", "content_filter"),
    (
        "refused",
        "Gemini",
        "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR",
    ),
    ("refused", "Gemini's gateway", "content_filter:SAFETY"),
    ("refused", "GLM", "sensitive"),
    ("refused", "Anthropic, Bedrock", "refusal guardrail_intervened"),
    ("refused", "Cohere", "ERROR_TOXIC"),
    ("failed", "OpenRouter, Mistral", "error ERROR"),
    ("unfinished", "KoboldCpp", "null"),
    ("unfinished", "Gemini", "FINISH_REASON_UNSPECIFIED"),
    ("unfinished", "a client's absent value as text", "None undefined"),
    ("cut_off", "vLLM (github.com/vllm-project/vllm/issues/57082), SGLang", "abort"),
    ("cut_off", "DeepSeek", "insufficient_system_resource"),
    ("cut_off", "GLM", "network_error"),
    ("cut_off", "gateways", "cancelled canceled timeout aborted incomplete interrupted"),
    ("cut_off", "Gemini", "OTHER MALFORMED_FUNCTION_CALL"),
    ("cut_off", "LM Studio", "userStopped modelUnloaded failed"),
    ("cut_off", "Cohere", "USER_CANCEL"),
)
"""What finish reasons mean, with where they are from."""
REASONS = tuple(
    Reason(word, meaning, source) for meaning, source, words in _WORDS for word in words.split()
)

REASONING: dict[str, tuple[str, str]] = {
    # family: what stands before and after reasoning in the text of its models
    "DeepSeek R1, Qwen 3, GLM, MiniMax": ("<think>", "</think>"),
    "Claude's style": ("<thinking>", "</thinking>"),
    "EXAONE, Gemini's gateway": ("<thought>", "</thought>"),
    "finetunes: thoughts": ("<thoughts>", "</thoughts>"),
    "finetunes: reasoning": ("<reasoning>", "</reasoning>"),
    "finetunes: analysis": ("<analysis>", "</analysis>"),
    "finetunes: scratchpad": ("<scratchpad>", "</scratchpad>"),
    "finetunes: monologue": ("<inner_monologue>", "</inner_monologue>"),
    "Seed": ("<seed:think>", "</seed:think>"),
    "with attributes": ('<thinking budget="3" lang=en>', "</thinking >"),
    "Mistral": ("[THINK]", "[/THINK]"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Cohere": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    "OpenThinker": (
        "<|begin_of_thought|>",
        "<|end_of_thought|>\n\n<|begin_of_solution|>",
    ),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "GPT-OSS": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "GPT-OSS, without the message token": ("<|channel|>analysis", "<|channel|>final"),
    "GPT-OSS, with a comment": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>commentary<|message|>So."
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "MedGemma": ("<unused94>thought\n", "<unused95>"),
    "Hunyuan": ("<think>\n", "\n</think>\n<answer>\n"),
    "Reflection": ("<thinking>a <reflection>b</reflection> c", "</thinking>\n<output>"),
}
"""Tokens from the models' templates, and from the reasoning parsers that docs.vllm.ai documents."""

SPOKEN: dict[str, tuple[str, str]] = {
    # family: the words around reasoning at the beginning of a reply
    "GPT-OSS whose tokens were dropped": ("analysis", "assistantfinal"),
    "Granite 3.2": ("Here is my thought process:", "\n\nHere is my response:"),
    "Granite 3.2, in short": ("Here's my thought process:\n", "\nHere's my response:\n\n"),
}
"""From vllm-project/vllm#32587 and the reasoning parsers that docs.vllm.ai documents."""

END_TOKENS: dict[str, str] = {
    # family: the tokens that end a turn, or that begin the next one
    "ChatML: Qwen, Yi, Dolphin, Hermes": "<|im_end|> <|im_start|>user",
    "Qwen, Phi, Falcon": "<|endoftext|>",
    "Llama 3": "<|eot_id|> <|end_of_text|> <|eom_id|> <|start_header_id|>user<|end_header_id|>",
    "Llama 4": "<|eot|> <|header_start|>user<|header_end|>",
    "Phi 3, 4": "<|end|> <|user|> <|system|>",
    "Gemma 2, 3": "<end_of_turn> <start_of_turn>user <eos>",
    "Gemma 4": "<turn|> <|turn>user",
    "Mistral, Llama 2": "</s> [INST] [/INST] <<SYS>> [SYSTEM_PROMPT] [TOOL_CALLS]",
    "DeepSeek": "<｜end▁of▁sentence｜> <｜User｜> <｜begin▁of▁sentence｜>",
    "Command R": "<|END_OF_TURN_TOKEN|> <|START_OF_TURN_TOKEN|> <|USER_TOKEN|> <|END_RESPONSE|>",
    "Zephyr, StableLM": "<|user|> <|USER|>",
    "Yi": "<|Human|> <|im_sep|>",
    "GLM": "<|user|> <|observation|> <|assistant|> <eop>",
    "GPT-OSS": "<|return|> <|call|> <|start|>user",
    "Granite": "<|start_of_role|>user<|end_of_role|>",
    "Kimi": "<|im_user|>user [EOS]",
    "OpenChat": "<|end_of_turn|>",
    "EXAONE": "[|endofturn|] [|user|]",
    "Idefics, SmolVLM": "<end_of_utterance>",
    "Baichuan": "<reserved_106> <reserved_token_1>",
    "InternLM": "<eoa> <eoh>",
    "Seed": "<seed:eos> <seed:bos>",
    "ERNIE": "<|end_of_sentence|>",
    "MiniMax": "[e~[",
    "Nemotron": "<extra_id_1>User <SPECIAL_12>",
    "Solar": "<|im:end|>",
    "OpenThinker": "<|end_of_solution|>",
}
"""From the models' tokenizers and templates. That servers pass them on:
github.com/unslothai/unsloth/pull/6804, github.com/Blaizzy/mlx-vlm/issues/1932 and
github.com/huggingface/trl/pull/6044."""
TURN_HEADINGS = ("### Instruction:", "### Response:", "### Human:", "### User:")
"""Alpaca and Vicuna."""

HEADERS: dict[str, str] = {
    # family: what begins the model's own turn
    "ChatML": "<|im_start|>assistant\n",
    "Llama 3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "Llama 4": "<|header_start|>assistant<|header_end|>\n\n",
    "Gemma 3": "<start_of_turn>model\n",
    "Gemma 4": "<|turn>model\n",
    "Phi, Zephyr, GLM": "<|assistant|>\n",
    "DeepSeek": "<｜Assistant｜>",
    "Mistral": "[/INST]",
    "Llama 2": "<s> ",
    "Command R": "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "Granite": "<|start_of_role|>assistant<|end_of_role|>",
    "Kimi": "<|im_assistant|>assistant<|im_middle|>",
    "GPT-OSS": "<|start|>assistant<|message|>",
    "EXAONE": "[|assistant|]",
}

STORY = (
    "I <3 you. 2 < 3, and 5 > 4.",
    "[She waits.] [think] of it [/think], [INSTANT] [end] [eos] [thinks]",
    "<b>bold</b> <i>and</i> <br> <p>text</p>",
    "<thin ice> <thinker> <analyst> <ending> <start> <end> <user> <bo",
    "She types <|> and | and || and <| and |>",
    "The [/path] and a <path/to/it> and <<quoted>> ◁ ▷ ◁thin",
    "## Response\n# User\nThe ### sign",
    "<answer>42</answer> <output>x</output>",
    "Here is my thought process: tea first. Then she said: Here is my response.",
    "She read the analysis. analysisWe are late, assistantfinal said.",
    "< think > and </ story> and <analysis of it",
    "<thinking about the storm> and <reflection of the moon> and <analysis of the map>",
)
"""Words of a story that look like marks and are none."""
