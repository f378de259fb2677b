"""The codes and sentences of servers' errors, as data, each with its error policy.

Servers agree on a few fields and on no sentence. The tables contain documented or reported errors;
tests/support/servers.py has the responses with their sources. All texts are in lower case.
Repetitions in patterns are bounded, and a text is cut before it is searched, so that a search takes
linear time.
"""

from msgspec import Struct

STREAM_STATUS = 502
"""The status of an error in a stream that names none."""

CODES: dict[str, tuple[str, ...]] = {
    "moderated": (
        "bad_input_moderated",
        "blocked_by_content_filter",
        "content_blocked",
        "content_filter",
        "content_filter_error",
        "content_filtered",
        "content_moderation",
        "content_policy",
        "content_policy_violation",
        "content_policy_violation_error",
        "content_restricted",
        "content_violation",
        "data_inspection_failed",
        "guardrail_intervened",
        "hooks_failed",
        "image_safety",
        "input_moderated",
        "input_moderation",
        "input_text_risk_detection",
        "input_text_sensitive_content_detected",
        "moderation_blocked",
        "moderation_error",
        "output_moderated",
        "output_text_sensitive_content_detected",
        "policy_violation",
        "prohibited_content",
        "refusal",
        "responsible_ai_policy_violation",
        "safety",
        "sensitive",
        "sensitive_content",
        "sensitive_content_detected",
        "unsafe_content",
        "unsafe_input",
        "unsafe_output",
        "unsafe_prompt",
        # Zhipu, MiniMax
        "1301",
        "base_resp_1026",
        "base_resp_1027",
    ),
    "context_too_long": (
        "context_length_error",
        "context_length_exceeded",
        "context_limit_exceeded",
        "context_window_exceeded",
        "context_window_exceeded_error",
        "exceed_context_size_error",
        "input_too_long",
        "input_tokens_exceeded",
        "max_context_length_exceeded",
        "model_context_window_exceeded",
        "model_max_prompt_tokens_exceeded",
        "prompt_too_long",
        "request_too_large",
        "string_above_max_length",
        "string_too_long",
        "token_limit_exceeded",
        "tokens_limit_reached",
        # Zhipu, MiniMax
        "1261",
        "base_resp_1039",
    ),
    "reply_too_long": ("max_tokens_exceeded",),
    "key_limit": (
        "billing_hard_limit_reached",
        "budget_exceeded",
        "budget_exceeded_error",
        "spend_limit_exceeded",
        "team_budget_exceeded",
    ),
    "no_credit": (
        "account_overdue_error",
        "arrearage",
        "billing_error",
        "billing_not_active",
        "credit_balance_too_low",
        "credits_error",
        "exceeded_current_quota_error",
        "insufficient_balance",
        "insufficient_balance_error",
        "insufficient_credits",
        "insufficient_funds",
        "insufficient_quota",
        "insufficient_user_quota",
        "not_enough_balance",
        "payment_required",
        "quota_exhausted",
        # Zhipu, MiniMax, SiliconFlow
        "1113",
        "base_resp_1008",
        "30001",
        "30011",
    ),
    "at_capacity": ("capacity_exceeded",),
    "bad_key": (
        "access_token_expired",
        "account_deactivated",
        "api_key_disabled",
        "api_key_expired",
        "api_key_invalid",
        "authentication",
        "authentication_error",
        "authentication_fails",
        "consumer_suspended",
        "expired_api_key",
        "incorrect_api_key",
        "incorrect_api_key_error",
        "invalid_api_key",
        "invalid_authentication",
        "invalid_authentication_error",
        "invalid_iam_token",
        "invalid_subscription_key",
        "missing_api_key",
        "no_api_key",
        "organization_restricted",
        "unauthenticated",
        "unauthorized",
        "unauthorized_error",
        "base_resp_1004",
        "base_resp_2049",
    ),
    "region_restricted": (
        "unsupported_country_region_territory",
        "unsupported_location",
        "region_not_supported",
    ),
    "model_not_loaded": ("model_not_loaded", "no_model_loaded"),
    "model_gone": (
        "deployment_not_found",
        "invalid_endpoint_or_model_not_found",
        "invalid_model",
        "invalid_model_name",
        "key_model_access_denied",
        "model_decommissioned",
        "model_deprecated",
        "model_not_available",
        "model_not_exist",
        "model_not_found",
        "model_not_found_error",
        "model_not_open",
        "model_not_supported",
        "operation_not_supported",
        "team_model_access_denied",
        "unknown_model",
    ),
    "bad_parameters": (
        "extra_forbidden",
        "unknown_parameter",
        "unsupported_parameter",
        "unsupported_params_error",
        "unsupported_value",
        # Zhipu
        "1210",
    ),
}
"""Codes and types that identify an error regardless of the status. Compare them with `plain`."""

STATUSES: dict[int, tuple[str, ...]] = {
    400: (
        "bad_request",
        "bad_request_error",
        "failed_precondition",
        "invalid_argument",
        "invalid_parameter",
        "invalid_parameter_error",
        "invalid_request",
        "invalid_request_error",
        "unprocessable_entity_error",
        "validation",
        "validation_error",
        "value_error",
    ),
    403: ("forbidden", "permission_denied", "permission_denied_error", "permission_error"),
    404: ("not_found", "not_found_error"),
    413: ("payload_too_large",),
    429: (
        "concurrency_limit_exceeded",
        "rate_limit",
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_exceeded_error",
        "rate_limit_reached_error",
        "rate_limited",
        "requests",
        "resource_exhausted",
        "throttling",
        "throttling_exception",
        "throttling_rate_quota",
        "tokens",
        "too_many_requests",
        "too_many_requests_error",
        "1302",
        "1303",
        "1305",
        "base_resp_1002",
    ),
    504: ("deadline_exceeded", "request_timeout", "timeout", "timeout_error"),
}
"""Codes and types that mean no more than a status. They replace it in a stream."""


def plain(code: str) -> str:
    """A code without case and punctuation: "DataInspectionFailed" is "data_inspection_failed"."""
    return "".join(filter(str.isalnum, code.lower()))


class Wording(Struct, frozen=True):
    """Sentences with the same meaning; they apply if the status is one of `statuses`."""

    policy: str
    statuses: frozenset[int]
    sentences: tuple[str, ...]
    """Regular expressions."""
    unless: str = ""
    """A regular expression: if it matches the text, the wording does not apply."""

    @property
    def pattern(self) -> str:
        """One pattern for all sentences."""
        return "|".join(f"(?:{sentence})" for sentence in self.sentences)


_SERVER = frozenset(range(500, 600))
_ANY = frozenset(range(100, 600))

WORDINGS: tuple[Wording, ...] = (
    # The machine behind the address. First, because it may advise a shorter context.
    Wording(
        "worker_out_of_memory",
        _SERVER | {400, 404, 424},
        (
            r"out of (?:\w{1,12} )?memory|\boom\b|outofmemory|outofdevicememory",
            r"(?:not enough|insufficient) (?:\w{1,12} ){0,2}(?:memory|vram|system resources)",
            r"requires more (?:\w{1,12} )?memory",
            r"(?:malloc|alloc\w{0,8}|allocat\w{1,6}) (?:\w{1,12} ){0,4}failed",
            r"failed to (?:allocate|malloc)|unable to allocate",
            r"failed to load, this may be due to resource limitations",
        ),
    ),
    Wording(
        "worker_broken_context",
        _SERVER | {400, 424},
        (r"probability tensor contains", r"device-side assert"),
    ),
    Wording("worker_broken_context", _SERVER | {424}, (r"\b(?:inf|nan)\b(?!-)",)),
    # Addresses.
    Wording(
        "not_found",
        _ANY,
        (
            r"unexpected endpoint or method",
            r"^invalid url|\bcannot post /|\bpage not found|method not allowed",
            r"http request (?:was sent )?to an? https|sent to https port",
            r"could not route to|no route matched|route [^\n]{0,80}not found",
            r"unknown (?:url|path|route|endpoint)",
        ),
    ),
    # Too long. Some also name the parameter for the reply.
    Wording(
        "context_too_long",
        frozenset({400, 413, 422, 429, 500, STREAM_STATUS}),
        (
            r"request (?:body )?(?:is )?too large (?:for|on)",
            r"reduce (?:the length of the messages|your (?:prompt|message))",
            r"max\w{0,5} context\b|inputs\W{0,4}(?:tokens?|length)\W{1,4}(?:\+|and)",
            r"(?:prompt|inputs?|messages)(?: tokens?| length)? (?:and|plus|\+) \W?"
            r"(?:max_|completion|output|reply|generated)",
            r"(?:exceeds?|exceeded|exceeding) (?:the |this |your |max\w{0,5} |model'?s? "
            r"|available ){0,4}context",
        ),
    ),
    Wording(
        "reply_too_long",
        frozenset({400, 422, 500, STREAM_STATUS}),
        (
            r"\bmax_?(?:completion_|output_|new_)?tokens?\b[^\n]{0,40}"
            r"(?:too (?:large|big|high|many)|(?:must|should) be (?!at least|great|posit|an? )"
            r"|(?:less|greater|larger|more) than (?!0|or equal to 0|zero)|at most|exceeds?|<=|> ?\d"
            r"|cannot|maximum (?:allowed|value))",
            r"range of max_?(?:completion_|output_|new_)?tokens",
            r"(?:at most|maximum of|up to) \d{1,9} (?:completion|output|new) tokens",
            r"maximum tokens you requested exceed",
        ),
        unless=r"context (?:length|size|window|limit)|max_completion_tokens' instead",
    ),
    Wording(
        "context_too_long",
        frozenset({400, 413, 422, 500, STREAM_STATUS}),
        (
            r"\b(?:prompt|input|inputs|request|message|messages|conversation|text)\b[^\n]{0,60}"
            r"\b(?:too (?:long|large|big|many)|longer than|larger than|greater than|exceed\w{0,3}"
            r"|over the|above the|must have less than|does(?: not|n't) fit)[^\n]{0,80}"
            r"(?:token|context|length|limit|model|maximum|n_ctx|window|size|max_)",
            r"\b(?:prompt|input|conversation|context|messages) (?:is |are )?too (?:long|large)",
            r"tokens?\b[^\n]{0,40} only supports? (?:up to )?\d",
            r"prompt 超长|(?:输入|上下文|提示词)[^\n]{0,20}(?:过长|超长|超出|超过)",
            r"context (?:length|size|window|limit)s?\b[^\n]{0,60}"
            r"(?:exceed|only|overflow|not enough|too (?:small|short)|reached|full)",
            r"(?:longer|larger|greater|more) than (?:the |this |model'?s? |its |max\w{0,5} ){0,4}"
            r"(?:context|max_|n_ctx|sequence|model length|input)",
            r"context (?:the )?overflows|too many (?:input )?tokens|token limit exceeded",
            r"exceed\w{0,3} (?:the |this |model'?s? |max\w{0,5} |allowed ){0,4}"
            r"(?:token|input|prompt|sequence|number of tokens|n_ctx)",
            r"maximum (?:prompt|input|sequence|model) length",
            r"range of input length",
            # The prompt left no room: vLLM before 2026.
            r"max_(?:completion_)?tokens must be at least 1, got -\d",
            r"\bprompt_tokens\b[^\n]{0,20} must be less than",
            r"max_total_tokens[^\n]{0,20} must be less than",
            r"total tokens [^\n]{0,40}exceed",
            r"exceeds the available cache size",
            r"string too long",
            r"\d[ -]tokens?\b[^\n]{0,80}(?:\bmax|\blimit|context|window|more than|over the)",
            r"tokens?[^\n]{0,60}(?:exceed\w{0,3}|over) [^\n]{0,40}(?:limit|maximum|context|window)",
        ),
        unless=r"per (?:minute|min|day|hour|second)|rate[ _-]?limit|deadline|timeout|timed out",
    ),
    # What was written.
    Wording(
        "moderated",
        frozenset({400, 403, 406, 422, 446, 451, 500, STREAM_STATUS}),
        (
            r"guardrail (?:check|polic)\w{0,4}[^\n]{0,40} failed|violated guardrail",
            r"content (?:management )?(?:policy|policies|filter\w{0,4}|moderation|guidelines)",
            r"responsible ai|safety (?:system|reason|polic|filter|guideline|setting|check)",
            r"violat\w{1,6} [^\n]{0,60}(?:polic|guideline|terms of)",
            r"(?:inappropriate|harmful|unsafe|prohibited|sensitive|illegal|restricted) "
            r"(?:content|words|information|material)",
            r"(?:considered|deemed|detected as|found to be) (?:unsafe|harmful|inappropriate)",
            r"content exists risk|considered high risk|data inspection",
            r"(?:blocked|rejected|refused|flagged) (?:by|due to|because of|as|for) [^\n]{0,60}"
            r"(?:safety|content\b(?!.type)|polic|prohibited|moderation|guardrail|sensitive|unsafe|filter)",
            r"敏感|违规|不安全内容|内容安全",
        ),
        unless=r"\baccounts?\b|organi[sz]ation|deactivated|parameter|argument",
    ),
    # The account.
    Wording(
        "key_limit",
        frozenset({400, 402, 403, 429, 500, STREAM_STATUS}),
        (
            r"budget has been exceeded|exceededbudget|exceeded (?:\w{1,12} )?budget|over budget",
            r"reached your specified (?:api )?usage limits|out of call volume quota",
            r"(?:monthly|daily|hard) (?:spend\w{0,4}|billing) limit|billing (?:hard )?limit",
        ),
    ),
    Wording(
        "no_credit",
        frozenset({400, 401, 402, 403, 412, 429, 500, STREAM_STATUS}),
        (
            r"insufficient (?:\w{1,12} )?(?:balance|credits?|funds|quota)",
            r"(?:credit|account|paid) balance is (?:too low|insufficient|not enough|negative)",
            r"balance (?:is )?(?:too low|insufficient|not enough)|not enough (?:balance|credits?)",
            r"(?:out of|no|not have any|used all (?:available|your)|exceeded your) "
            r"(?:\w{1,12} ){0,2}credits?\b",
            r"exceeded your current quota, please check your plan|inactive subscription",
            r"spend(?:ing)? limit|payment (?:is )?required|top up|recharge|overdue-payment"
            r"|good standing|余额不足|欠费|充值",
        ),
    ),
    Wording(
        "bad_key",
        frozenset({400, 401, 403, 500, STREAM_STATUS}),
        (
            r"(?:incorrect|invalid|wrong|missing|expired|revoked|unknown|no|without an?) "
            r"(?:x-)?api[ _-]?key",
            r"\bapi[ _-]?key (?:\w{1,12} )?(?:is |was |has )?(?:been )?"
            r"(?:not valid|invalid|expired|missing|required|not found|disabled|revoked|incorrect"
            r"|(?:not |un)authorized)",
            r"invalid (?:authentication|authorization|bearer|subscription key|credentials"
            r"|(?:access|auth|api|proxy server) token)",
            r"(?:bearer|security|access|session) token (?:\w{1,12} ){0,6}(?:expired|invalid)",
            r"api[ _-]?key was reported as leaked|organi[sz]ation has been restricted",
            r"provide an api key|pass a valid api key|authentication (?:fails|failed|required)",
            r"api[ _-]?key (?:不存在|无效|错误)|令牌(?:无效|已过期)",
        ),
    ),
    Wording(
        "region_restricted",
        frozenset({400, 403, 451, STREAM_STATUS}),
        (
            r"location is not supported|(?:country|region)[^\n]{0,30} not supported",
            r"not (?:available|supported) in your (?:country|region)",
        ),
    ),
    # The model.
    Wording(
        "model_not_loaded",
        frozenset({400, 404, 500, STREAM_STATUS, 503}),
        (
            r"no (?:\w{1,12} )?models? (?:is |are )?(?:currently )?loaded"
            r"|model (?:is |was )?not loaded",
            r"try pulling it|model (?:has |was |is )?(?:been )?(?:unloaded|crashed)|load a model",
            r"^channel error\b",
        ),
    ),
    Wording(
        "model_gone",
        frozenset({400, 403, 404, 410, 422, 500, STREAM_STATUS, 503}),
        (
            r"\bmodels?\b[^\n]{0,120}(?:does(?: not|n't) exist|not exist\b|(?:was |is )?not found"
            r"|(?:has been|is|was) (?:deprecated|decommissioned|retired|removed|shut down)"
            r"|no longer (?:available|supported)|not deployed)",
            r"invalid model(?: name passed|:)|(?:unknown|no such|unsupported) model\b",
            r"^model: ",
            r"unable to access model|not a valid model",
            r"no available channels? for (?:the )?model|模型不存在",
            r"(?:deployment|model) [^\n]{0,80}does not exist",
        ),
        unless=r"\b(?:endpoint|url|path|route)\b",
    ),
    Wording(
        "model_gone",
        frozenset({400, 401, 403, 404, STREAM_STATUS}),
        (
            r"\b(?:does(?: not|n't)|do(?: not|n't)) have access to (?:the )?model",
            r"not a chat model|only supported in v1/responses|not in v1/chat/completions",
            r"on-demand throughput isn.t supported|has not activated the model",
            r"could not find (?:real ?model|suitable inference handler)",
        ),
    ),
    Wording("forbidden", frozenset({400, 403}), (r"organi[sz]ation must be verified",)),
    Wording(
        "rate_limited",
        frozenset({400, 403, 500, STREAM_STATUS, 503}),
        (
            r"rate[ _-]?limit(?:ed)?\b|too many requests|(?:requests|tokens) per (?:minute|day)",
            r"throttl|concurrency limit|quota exceeded|请求过于频繁|速率限制",
        ),
    ),
)
"""In order of precedence."""

_N = r"(\d[\d,_]{1,11})"

LIMITS: tuple[str, ...] = (
    # The first number is what was asked for.
    rf"max_?\w{{0,20}}tokens\W{{1,3}}\d{{1,9}}\W{{0,2}} (?:is )?"
    rf"(?:exceeds?|(?:greater|larger|more) than|too large)[^\d]{{1,60}}{_N}",
    rf"n_ctx\W{{1,4}}{_N}",
    rf"(?:greater|larger|longer|more) than max[a-z_]{{0,20}} {_N}",
    rf"\d(?: tokens?)? {{0,2}}[>/] {{0,2}}{_N}",
    rf"between \d{{1,9}} and {_N}",
    rf"\[ {{0,2}}\d{{1,9}} {{0,2}}, {{0,2}}{_N} {{0,2}}\]",
    rf"(?:less than(?: or equal to)?|exceeds|(?:greater|larger|longer|more) than) [a-z_' ]{{1,40}}"
    rf"[('\"=:]{{1,2}} ?{_N}",
    rf"(?:<=|less than(?: or equal to)?|(?:no|not) more than|at most|up to|(?:can)?not exceed|only)"
    rf"(?: supports?)?(?: up to)?[ `'\"(]{{1,3}}{_N}",
    rf"(?:context (?:length|size|window|limit)|token limit|cache size)"
    rf"(?:(?!\bby\b)[^\d;.]){{0,40}}?{_N}",
    rf"max[a-z_ ]{{0,40}}?(?:length|len|tokens?|size|context|window)"
    rf"(?:(?!\bby\b)[^\d;.]){{0,40}}?{_N}",
    rf"{_N}[ -](?:tokens? )?(?:max|context|limit|token (?:limit|context|window))",
    rf"\blimit(?: is| of)?[:= (]{{1,3}}{_N}",
    rf"\bmax(?:imum)?(?: is| of)?[:= (]{{1,3}}{_N}",
)
"""Patterns for the exceeded limit in a sentence, in order of precedence."""

DELAY = (
    r"(?:try again|retry) (?:in|after) (?:about )?(?=\d)"
    r"(?:(?P<h>\d{1,3}) ?h(?:(?:ou)?rs?)?(?:\b ?|(?=\d)))?"
    r"(?:(?P<m>\d{1,4}) ?m(?:in(?:ute)?s?)?(?:\b ?|(?=\d)))?"
    r"(?:(?P<amount>\d{1,6}(?:\.\d{1,9})?) ?(?P<unit>ms|milli|s)\w{0,10}\b)?"
)
"""How long a sentence asks to wait: hours, minutes, then an amount and its unit."""

LIMIT_FIELDS = (
    "n_ctx",
    "max_context_length",
    "context_length",
    "max_model_len",
    "max_prompt_tokens",
)
"""Fields of an error with that limit."""
