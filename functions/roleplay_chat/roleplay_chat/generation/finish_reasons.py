"""Normalises finish reasons: servers have their own words for them."""

import re
from typing import Literal

Meaning = Literal["whole", "length", "refused", "failed", "unfinished", "cut_off"]
"""The reply is complete; it reached the length limit; the provider's content rules ended it; the
provider says that it failed; the reply goes on; it stopped for any other reason."""

_WORDS: dict[Meaning, str] = {
    "whole": "stop stopsequence stopstring stopstringfound stoptoken stopword eos eostoken"
    " eosfound eog eogtoken eot endturn endofturn endoftext endofsequence end ended done complete"
    " completed finish finished success succeeded toolcalls toolcall tooluse functioncall word",
    "length": "length lengthlimit lengthcapped limit maxlength maxtokens maxtoken maxnewtokens"
    " maxoutputtokens maxcompletiontokens maxpredictedtokensreached maxtokensreached modellength"
    " modelcontextwindowexceeded contextlength contextlengthreached contextlengthexceeded"
    " contextwindow tokenlimit tokenslimit errorlimit truncated incompletemaxtokens",
    "refused": "contentfilter contentfiltered contentpolicy contentpolicyviolation safety"
    " imagesafety recitation imagerecitation blocklist prohibitedcontent"
    " imageprohibitedcontent spii sensitive refusal guardrailintervened guardrail guardrails"
    " moderation modelarmor riskcontrol violation errortoxic datainspectionfailed",
    "failed": "error",
    "unfinished": "null none nil undefined unspecified",
}
_MEANINGS: dict[str, Meaning] = {
    word: meaning for meaning, words in _WORDS.items() for word in words.split()
}
_PREFIX = "finishreason"
"""Of the names that an enumeration gives them, such as FINISH_REASON_STOP or FinishReason.STOP."""


def meaning_of(reason: str) -> Meaning:
    """The meaning of a finish reason. Case and punctuation do not matter, nor do details after a
    colon, as in "content_filter: SAFETY"."""
    known = _MEANINGS.get(reason)
    if known:
        return known
    word = re.sub(r"[^a-z]", "", reason.partition(":")[0].lower()).removeprefix(_PREFIX)
    return _MEANINGS.get(word, "cut_off") if reason.strip() else "unfinished"
