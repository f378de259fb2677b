"""Recognises errors about the form of a request: its roles, or a parameter.

Chat templates raise these sentences, and servers pass them on with any status: 400 (vLLM, SGLang,
LM Studio), 422 (TGI), 500 (llama.cpp), 404 (proxies). Texts are in lower case.
"""

import re
from collections.abc import Iterable
from functools import cache

from edge.patterns import compiled_later
from roleplay_chat.generation.error_wordings import plain
from roleplay_chat.messages import Roles

_NO_SYSTEM = (
    r"\b(system|developer)\W? (messages?|roles?|prompts?|instructions?)"
    r"( (is|are))?( currently)?( not|n't)"
    r" (supported|enabled|allowed|permitted|accepted|available)\b"
    r"(?! (after|between|in the middle))",
    r"\bincompatible with (system|developer) (messages?|prompts?|instructions?)",
    r"\b(does not|doesn't|do not|don't|cannot|can't) (support|allow|accept|take|use)"
    r"( an?| any| the)? ?\W?(system|developer)\W? ?"
    r"(with this model|messages?|roles?|prompts?|instructions?)",
    r"\b(unknown|invalid|unsupported|unexpected|unrecognized) (message )?role\W{1,4}(roleenum\.)?"
    r"(system|developer)\b(?!\W{1,3}after\b)",
    r"\brole \W?(system|developer)\W? (is )?not (supported|allowed|permitted|accepted|valid)",
    r"\b(system|developer)[^\w\s]{1,3} ?is not (one of|an? (valid|supported|allowed)|supported"
    r"|allowed)",
    r"\buse a valid role: user, model",
    r"\binput should be \W?user\W? or \W?(assistant|model)\b",
    r"\broles?\W{1,3}(must|should) be (either |one of |in )?\W{0,2}user\W{0,2}( or |, ?)\W?"
    r"(assistant|model)\b(?!.{0,20}\bsystem\b)",
)
_ALTERNATE = (
    # "Conversation roles must alternate user/assistant/user/assistant/..." and its relatives.
    r"\b(roles?|messages?(\(s\))?|requests?|conversation|turns?)\b[^.]{0,60}"
    r"\balternat(e|es|ing)\b(?! (model|provider|endpoint))",
    # About a role that is not in the list, or not allowed here. We send no others, so it is
    # "system".
    r"\bonly \W?user\W?,? (\W?(system|assistant|model|tool)\W?,? ){0,3}and"
    r" \W?(assistant|model|tool)\W? (roles|messages) are (supported|allowed|accepted)",
    r"\b(unknown|unexpected|unrecognized) (message )?role\b"
    r"(?!\W{1,4}(roleenum\.)?(system|developer))",
    r"\bonly one system message is (allowed|supported)\b|\bsystem message after (user|assistant)\b",
    r"\brole \W?system\W{0,2} must (come|be) (the )?first\b",
    r"\bfirst non-system message must be\b",
    r"\bmessages?(\[0\]\.role| at index 0)[^.]{0,20}\bmust (be|have role) \W?user\b",
    r"\bexpected \W?user\W? but got \W?(assistant|system)\b",
    r"\bcontents is not specified\b",
    r"messages 参数非法",  # Zhipu, for example of a last message by the assistant
    r"\bsystem\W? (messages?|roles?|prompts?)\b[^.]{0,20}\b(must|should|has to|have to|can only"
    r"|may only|only (allowed|supported))\b[^.]{0,20}\b(beginning|begin|start|first)\b",
    r"\bonly the first message (can|may|is allowed)\b",
    r"\bonly (one|a single) (initial )?system (message|prompt)\b",
    r"\bsystem\W? (messages?|roles?|prompts?) (is |are )?not allowed (after|between|in the)\b",
    r"\bsystem\W? (messages?|roles?|prompts?)\b[^.]{0,30}\b(in the middle|non-?(first|initial))\b",
    r"\bnon-?(leading|initial|first) system (message|prompt)",
    r"\bunexpected role .{1,20} after role\b",
    r"\bexpected last role\b",
    r"\bexpect(ed|ing|s) (an? )?(role )?\W?user\W? (role|turn|message|but)\b",
    r"\bcannot continue from (an|the) assistant\b",
    r"\b(last|final) (message|turn|role)\b[^.]{0,60}\b(must|should|has to|to)\b[^.]{0,30}\buser\b",
    r"\bfirst (message|turn|role)\b.{0,20}\b(must|should|has to|to)\b[^.]{0,40}\buser\b",
    r"\bmessages?(\W{1,2}\d{1,4}\W{0,2}(role\W?)?| at (index|position) \d{1,4})"
    r" (must|should|has to) (be|have) [^.]{0,20}\buser\b(?!\W{0,2}( or |, ?)\W?(assistant|model))",
    r"\b(must|should|has to|that \w+( \w+)?) (always )?(start|starts|begin|begins|end|ends) with"
    r" (an?|the)? ?\W?(role\W{1,5})?user\b",
    r"\b(user|assistant|system)\W? (messages?|turns?|roles?) (must|should|can|may|cannot|can't)"
    r"( not| only)?( be)? (follow|followed|preceded)\b",
    r"\brole \W?(user|assistant|system)\W? (must|should|may|can|cannot|can't)( not| only)?( be)?"
    r" (follow|followed|preceded)\b",
    r"\b(user|assistant|system)\W? (messages?|turns?|roles?) in a row\b",
    r"\b(successive|consecutive) (user|assistant|system|messages|roles?)\b",
    r"\bmessages?\b[^.]{0,40}\bsame role\b",
    r"\brole of (the )?messages? with (an )?(odd|even) index\b",
    r"\b(invalid|wrong) (message role|role|message) order\b",
    r"\bmultiple \W?(user|assistant|system)\W? (roles|messages)\b",
    r"\bno user query found\b",
    r"\bwhen the last message is from the assistant\b",
    r"\b(assistant (message|response) )?prefill (is )?(not supported|incompatible)",
    r"\bdoes not support assistant message prefill",
    r"\bassistant messages at the end of the list\b",
)

_NO_MAX_TOKENS = compiled_later(
    r"\buse \W{0,2}max_completion_tokens\b"
    r"|\bmax_completion_tokens\W{0,2} instead\b"
    r"|\bunsupported parameter\W{1,4}max_tokens\b"
)

_SAMPLING = compiled_later(
    r"\b(temperature|top[ _-]?[apkn]|min[ _-]?p|typical[ _-]?p|tfs(_z)?|mirostat\w{0,6}|n_?sigma"
    r"|penalty|\w{2,20}_?penalty|logit_?bias|(top_?)?logprobs?|seed|stop[ _]?(sequences?|strings?)"
    r"|(dry|xtc)_\w{2,20}|chat_template_kwargs|session_id|plugins|metadata|service_tier"
    r"|(enable_)?thinking(_\w{2,20})?|reasoning(_effort)?|verbosity)\b"
    r"|[`'\"](stop|user|n|seed|reasoning)[`'\"]|\b(parameter|argument) \W?(stop|user|n)\b"
    r"|\bstop parameter\b"
)
"""Parameters that a reply can do without. Words of everyday language count in quotes alone."""
_QUOTED = compiled_later(
    r"[`'\"\[(,] ?\W?([a-z]\w{0,39})\\?[`'\"\])]"  # 'top_k', ["top_k"], (parameter top_k)
    r"|\b([a-z]{1,20}(?:_[a-z0-9]{1,20}){1,3})\b"
    r"|\b(?:parameters?|arguments?|fields?|key|property|supplied|invalid)[: ] ?\W?([a-z]\w{0,39})"
    r"|\b([a-z]\w{0,39})(?: parameter\b|: extra inputs|: (?:range|must|is|only|not|does)\b)"
    r"|\b(temperature)\b|: ([a-z]\w{0,39})\.?$"
)
_MOST_NAMES = 100


def names_sampling(texts: Iterable[str]) -> bool:
    """Whether the texts are about a parameter that a reply does not need."""
    return any(map(_SAMPLING.search, texts))


def named_parameters(texts: Iterable[str]) -> frozenset[str]:
    """Words in the texts that may be names of parameters, without case and punctuation."""
    found: set[str] = set()
    for text in texts:
        for match, _ in zip(_QUOTED.finditer(text), range(_MOST_NAMES), strict=False):
            found.update(plain(name) for name in match.groups() if name)
    return frozenset(found)


def wanted_roles(texts: Iterable[str]) -> Roles | None:
    """The form of the messages that the texts ask for; None if they are about something else.

    The last sentence counts: servers that quote the template say why it failed at the end.
    """
    found = [match for text in texts for match in _sentences().finditer(text)]
    if not found:
        return None
    return "no_system" if found[-1]["no_system"] else "alternate"


@cache
def _sentences() -> re.Pattern[str]:
    """Compiled at the first error: it would take some milliseconds of a cold start."""
    return re.compile(
        f"(?P<no_system>{'|'.join(_NO_SYSTEM)})|(?P<alternate>{'|'.join(_ALTERNATE)})"
    )


def wants_completion_tokens(texts: Iterable[str]) -> bool:
    """Whether the texts ask for max_completion_tokens instead of max_tokens."""
    return any(map(_NO_MAX_TOKENS.search, texts))
