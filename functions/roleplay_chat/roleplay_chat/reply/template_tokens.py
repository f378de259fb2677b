"""The tokens with which models mark turns and reasoning, as text.

A server whose template does not fit the model passes them on. They are written here in their
general forms, with the families that use them; tests/support/servers_streams.py has each one.

    end tokens    end a turn or begin another: the reply is over
    headers       begin the model's own turn: dropped before its first word
    reasoning     tags around reasoning, and around the reply after it
    thoughts      words around reasoning at the very beginning of a reply, and nowhere else

No token begins with another one, so it is the same whether it arrives at once or letter by letter.
"""

from functools import cache

import regex
from msgspec import Struct

_END_FORMS = (
    # <|im_end|>, <|eot_id|>, <|end|>, <|endoftext|>, <|END_OF_TURN_TOKEN|>, <|user|>, <|return|>:
    # ChatML (Qwen, Yi), Llama 3 and 4, Phi, GPT-OSS, Cohere, Zephyr, GLM, Granite, Kimi and others.
    r"<\|[^\s<>|](?:[^<>|\n]{0,58}[^\s<>|])?\|>",
    # The same with other bars: DeepSeek, Hunyuan.
    r"<｜[^<>｜\n]{1,60}｜>",
    # With one bar: Gemma 4.
    r"<\|\w{1,30}>|<\w{1,30}\|>",
    # <end_of_turn>, <start_of_turn>, <end_of_utterance>, <eos>, <pad>, <seed:eos>: Gemma, Idefics,
    # ChatGLM, InternLM, Seed.
    r"<(?:start|begin|end)_of_\w{1,20}>|<(?:seed:)?(?:[be]os|pad|[se]op|eo[ahdt]|eosys|eom)>",
    r"<(?:reserved_(?:token_)?|extra_id_|unused|special_)\d{1,5}>",  # Baichuan, Nemotron, MedGemma
    r"</?s>|<</?SYS>>",  # Llama 2, Mistral, Vicuna, Zephyr
    # [INST], [/INST], [SYSTEM_PROMPT], [TOOL_CALLS]: Llama 2, Mistral. [EOS]: Kimi.
    r"\[/?INST\]|(?-i:\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|[BE]OS)\])",
    r"\[\|[\w ]{1,30}\|\]",  # [|endofturn|], [|user|]: EXAONE
    r"\[e~\[",  # MiniMax
)


class SpokenThought(Struct, frozen=True):
    """Reasoning without tokens: the words with which it begins a reply, and those with which it
    ends."""

    opening: str
    closing: str
    is_certain: bool
    """Whether no story begins so: then it is reasoning even if its end is missing."""


SPOKEN_THOUGHTS = (
    # GPT-OSS through a server that drops its tokens: "analysisWe need ...assistantfinalSit."
    SpokenThought(r"analysis(?=[A-Z])", r"assistantfinal\s*", is_certain=True),
    # Granite 3.2
    SpokenThought(
        r"Here(?: i|')s my thought process:", r"\bHere(?: i|')s my response:\s*", is_certain=False
    ),
)
LONGEST_CLOSING = 40
"""Characters of the longest closing words."""

_ROLE = r"(?:assistant|model|bot|chatbot|ai)"
_HEADER = "|".join(
    (
        # <|im_start|>assistant, <|start|>assistant, <|turn>model, <start_of_turn>model.
        rf"<(?:\|im_start\||\|start\||\|turn|start_of_turn)>\s?{_ROLE}",
        # <|start_header_id|>assistant<|end_header_id|>, <|im_assistant|>assistant<|im_middle|>.
        r"<\|(?:start_header_id|header_start|start_of_role|im_assistant)\|>\s?assistant"
        r"<\|(?:end_header_id|header_end|end_of_role|im_middle)\|>",
        rf"[<\[][|｜]{_ROLE}[|｜][>\]]",  # Zephyr, GLM, DeepSeek, EXAONE
        r"<\|(?:message|start_of_turn_token|chatbot_token|start_response|start_text|startoftext"
        r"|begin_of_text|begin_of_solution)\|>",
        r"<｜begin▁of▁sentence｜>|<s>|<bos>|(?-i:\[/INST\])",
    )
)

_TAG = (
    # <think>, </think>, <think/>, <seed:think>, <thinking budget="3">: most families.
    r"<(?P<slash>/\s?)?(?:seed:|mm:|antml:)?(?P<name>think(?:ing)?(?:_process)?"
    r"|thoughts?(?:_process)?|reasoning|reflection|analysis|scratch_?pad|chain_of_thought"
    r"|(?:inner|internal)_(?:thoughts?|monologue|thinking)|antthinking)"
    # Attributes only: a story may have <thinking about the storm>.
    r"(?:\s{1,20}[\w:-]{1,40}\s{0,20}=[^<>]{0,200}|\s{0,20}/?)>"
)
_OPENING = "|".join(
    (
        r"(?-i:\[THINK\])|◁think▷|<unused94>",  # Mistral, Kimi, MedGemma
        # <|START_THINKING|>, <|begin_of_thought|>, <|inner_prefix|>: Cohere, OpenThinker, Apertus.
        r"<\|(?:(?:start_|begin_)(?:of_)?)?(?:think(?:ing)?|thought)\|>|<\|inner_prefix\|>",
        # <|channel|>analysis<|message|>: GPT-OSS. <|channel>thought: Gemma 4.
        r"<\|channel\|?>\s?(?:analysis|commentary|thought|thinking|reasoning|reflection)",
    )
)
_CLOSING = "|".join(
    (
        r"(?-i:\[/THINK\])|◁/\s?think▷|<unused95>",
        r"<\|(?:/|end_(?:of_)?)(?:think(?:ing)?|thought)\|>|<\|inner_suffix\|>",
        r"<\|channel\|>\s?final|<channel\|>",
    )
)
_WRAPPER = r"<(?P<end>/)?(?:answer|response|output|final_?(?:answer|response))>"


@cache
def end_tokens() -> regex.Pattern[str]:
    """Matches a token that ends the reply. Compiled on first use."""
    return regex.compile("|".join(_END_FORMS), regex.IGNORECASE)


@cache
def reasoning_tokens() -> regex.Pattern[str]:
    """Matches a token around reasoning; its group is its kind. Compiled on first use."""
    kinds = {
        "tag": _TAG,
        "closing": _CLOSING,
        "opening": _OPENING,
        "header": _HEADER,
        "wrapper": _WRAPPER,
    }
    return regex.compile(
        "|".join(f"(?P<{kind}>{forms})" for kind, forms in kinds.items()), regex.IGNORECASE
    )


@cache
def spoken_openings() -> tuple[tuple[regex.Pattern[str], SpokenThought], ...]:
    """`SPOKEN_THOUGHTS` with their openings. Compiled on first use."""
    return tuple((regex.compile(thought.opening), thought) for thought in SPOKEN_THOUGHTS)
