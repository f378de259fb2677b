"""What servers that speak the OpenAI dialect send, as data: facts, each with where it is from.

`ERRORS` are error responses by server. Sources are the documentation of the server, its source, or
a public report ("owner/repository#number").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.upstream import JSON


@dataclass(frozen=True)
class ServerError:
    """An error response, and the error policy that it must find."""

    server: str
    situation: str
    status: int
    body: Any
    """JSON, or a text."""
    policy: str
    source: str
    limit: int | None = None
    """The limit in it, where the request was too long."""
    status_decides: bool = False
    """Whether only its status says what happened, so that it means nothing inside a stream."""

    @property
    def id(self) -> str:
        """A name for tests."""
        return f"{self.server}-{self.situation}".replace(" ", "-")


def _error(message: str, **more: Any) -> JSON:
    """`{"error": {"message": ...}}`, as most do."""
    return {"error": {"message": message, **more}}


def _flat(message: Any, **more: Any) -> JSON:
    """`{"object": "error", "message": ...}`, as vLLM did, and many after it."""
    return {"object": "error", "message": message, "param": None, **more}


_TOO_LONG, _MODERATED = "context_too_long", "moderated"
_INVALID = "invalid_request_error"

TOO_LONG = (
    ServerError(
        "OpenAI", "too long", 400,
        _error("This model's maximum context length is 2000 tokens. However, your messages resulted"
               " in 4294 tokens. Please reduce the length of the messages.",
               type=_INVALID, param="messages", code="context_length_exceeded"),
        _TOO_LONG, "chathub-dev/chathub#126", 2000),
    ServerError(
        "OpenAI", "too long for the window", 400,
        _error("Your input exceeds the context window of this model. Please adjust your input and"
               " try again.", type=_INVALID, code="context_length_exceeded"),
        _TOO_LONG, "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "OpenAI", "text too long", 400,
        _error("Invalid 'messages[1].content': string too long. Expected a string with maximum"
               " length 1048576, but got a string with length 1500000 instead.",
               type=_INVALID, code="string_above_max_length"),
        _TOO_LONG, "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "OpenAI", "too long for the minute", 429,
        _error("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit"
               " 2000, Requested 12000. The input or output tokens must be reduced in order to run"
               " successfully.", type="tokens", code="rate_limit_exceeded"),
        _TOO_LONG, "platform.openai.com/docs/guides/rate-limits", 2000, status_decides=True),
    ServerError(
        "vLLM", "too long", 400,
        _flat("This model's maximum context length is 2000 tokens. However, you requested 19591"
              " tokens (9591 in the messages, 10000 in the completion). Please reduce the length of"
              " the messages or completion.", type="BadRequestError", code=400),
        _TOO_LONG, "vllm-project/vllm#20409", 2000),
    ServerError(
        "vLLM", "too long, decoder prompt", 400,
        _error("The decoder prompt (length 9000) is longer than the maximum model length of 2000."
               " Make sure that `max_model_len` is no smaller than the number of text tokens.",
               type="BadRequestError", param=None, code=400),
        _TOO_LONG, "vllm-project/vllm: v1/engine/processor.py", 2000),
    ServerError(
        "vLLM", "too long, total length", 400,
        _flat("The prompt (total length 25938) is too long to fit into the model (context length"
              " 2000). Make sure that `max_model_len` is no smaller than the number of text tokens"
              " plus multimodal tokens.", type="BadRequestError", code=400),
        _TOO_LONG, "vllm-project/vllm#12165", 2000),
    ServerError(
        "vLLM", "too long, output tokens", 400,
        _error("You passed 8193 input tokens and requested 0 output tokens. However, the model's"
               " context length is only 2000, resulting in a maximum input length of 2000. Please"
               " reduce the length of the input prompt. (parameter=input_tokens, value=8193)",
               type="BadRequestError", param="input_tokens", code=400),
        _TOO_LONG, "vllm-project/vllm#36197", 2000),
    ServerError(
        "vLLM", "reply and prompt too long", 400,
        _error("'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum"
               " context length is 2000 tokens and your request has 1200 input tokens (5000 >"
               " 2000 - 1200).", type="BadRequestError", code=400),
        _TOO_LONG, "vllm-project/vllm: entrypoints/renderer.py", 2000),
    ServerError(
        "SGLang", "too long", 400,
        _flat("The input (61709 tokens) is longer than the model's context length (2000 tokens).",
              type="BadRequestError", code=400),
        _TOO_LONG, "QwenLM/Qwen3#1321", 2000),
    ServerError(
        "SGLang", "too long with the reply", 400,
        _flat("Requested token count exceeds the model's maximum context length of 2000 tokens. You"
              " requested a total of 9000 tokens: 8600 tokens from the input messages and 400"
              " tokens for the completion.", type="BadRequestError", code=400),
        _TOO_LONG, "sgl-project/sglang: managers/tokenizer_manager.py", 2000),
    ServerError(
        "llama.cpp", "too long", 400,
        _error("the request exceeds the available context size. try increasing the context size or"
               " enable context shift", code=400, type="exceed_context_size_error",
               n_prompt_tokens=14429, n_ctx=2000),
        _TOO_LONG, "oobabooga/textgen#7257", 2000),
    ServerError(
        "llama.cpp", "too long as 500", 500,
        _error("request (9000 tokens) exceeds the available context size (2000 tokens), try"
               " increasing it", code=500, type="server_error"),
        _TOO_LONG, "ggml-org/llama.cpp#15780", 2000),
    ServerError(
        "llama.cpp", "context full", 500,
        _error("Context size has been exceeded.", code=500, type="server_error"),
        _TOO_LONG, "ggml-org/llama.cpp: tools/server"),
    ServerError(
        "llama-cpp-python", "too long", 500,
        _error("Requested tokens (2285) exceed context window of 2000",
               type="internal_server_error", param=None, code=None),
        _TOO_LONG, "fedora-copr/logdetective-website#193", 2000),
    ServerError(
        "Ollama", "too long", 400,
        {"error": "the input length exceeds the context length"},
        _TOO_LONG, "ollama/ollama: server/routes.go"),
    ServerError(
        "Ollama", "prompt too long", 400,
        _error("prompt too long; exceeded max context length by 500 tokens",
               type=_INVALID, param=None, code=None),
        _TOO_LONG, "ollama/ollama: runner"),
    ServerError(
        "LM Studio", "too long", 400,
        {"error": "The number of tokens to keep from the initial prompt is greater than the context"
                  " length (n_keep: 13055>= n_ctx: 2000). Try to load the model with a larger"
                  " context length, or provide a shorter input."},
        _TOO_LONG, "Gitlawb/openclaude#353", 2000),
    ServerError(
        "LM Studio", "too long to keep", 400,
        {"error": "Trying to keep the first 6547 tokens when context the overflows. However, the"
                  " model is loaded with context length of only 2000 tokens, which is not enough."
                  " Try to load the model with a larger context length, or provide a shorter"
                  " input."},
        _TOO_LONG, "lmstudio-ai/lmstudio-bug-tracker#546", 2000),
    ServerError(
        "TabbyAPI", "too long", 400,
        {"detail": "Prompt length 9000 is greater than max_seq_len 2000"},
        _TOO_LONG, "theroyallab/tabbyAPI: backends/exllamav2", 2000),
    ServerError(
        "TabbyAPI", "too long with the reply", 400,
        _error("Request length 1800 + 400 is greater than max_seq_len 2000", trace=None),
        _TOO_LONG, "SillyTavern/SillyTavern#3543", 2000),
    ServerError(
        "TabbyAPI", "too long until 2024", 400,
        _error("Context length 9000 is greater than max_seq_len 2000", trace=None),
        _TOO_LONG, "theroyallab/tabbyAPI: backends/exllamav2", 2000),
    ServerError(
        "TGI", "too long", 422,
        {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2000."
                  " Given: 1800 `inputs` tokens and 400 `max_new_tokens`",
         "error_type": "validation"},
        _TOO_LONG, "huggingface/chat-ui#340", 2000),
    ServerError(
        "TGI", "inputs too long", 422,
        {"error": "Input validation error: `inputs` must have less than 2000 tokens. Given: 2872",
         "error_type": "validation"},
        _TOO_LONG, "huggingface/text-generation-inference#695", 2000),
    ServerError(
        "LiteLLM", "too long", 400,
        _error("litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException -"
               " Error code: 400 - {'object': 'error', 'message': 'too long', 'code': 400}."
               " Received Model Group=x\nAvailable Model Group Fallbacks=None",
               type=None, param=None, code="400"),
        _TOO_LONG, "docs.litellm.ai/docs/exception_mapping"),
    ServerError(
        "Azure", "too long", 400,
        _error("This model's maximum context length is 2000 tokens, however you requested 4226"
               " tokens (4176 in your prompt; 50 for the completion). Please reduce your prompt; or"
               " completion length.", type=_INVALID, param=None, code=None),
        _TOO_LONG, "langchain-ai/langchain#11001", 2000),
    ServerError(
        "GitHub Models", "too long", 413,
        _error("Request body too large for gpt-4o model. Max size: 2000 tokens.",
               code="tokens_limit_reached", details="x"),
        _TOO_LONG, "docs.github.com/github-models", 2000),
    ServerError(
        "Copilot", "too long", 400,
        _error("prompt token count of 70000 exceeds the limit of 2000",
               code="model_max_prompt_tokens_exceeded"),
        _TOO_LONG, "zhy0216/pigo: overflow.ts", 2000),
    ServerError(
        "Mistral", "too long", 400,
        _flat("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 2000"
              " maximum context length", type=_INVALID, code="3051"),
        _TOO_LONG, "docs.mistral.ai/api", 2000),
    ServerError(
        "Gemini", "too long", 400,
        [_error("The input token count (1200000) exceeds the maximum number of tokens allowed"
                " (2000).", code=400, status="INVALID_ARGUMENT")],
        _TOO_LONG, "ai.google.dev/gemini-api/docs/troubleshooting", 2000),
    ServerError(
        "Vertex", "too long", 400,
        _error("Unable to submit request because the input token count is 9000 but model only"
               " supports up to 2000. Reduce the input token count and try again.",
               code=400, status="INVALID_ARGUMENT"),
        _TOO_LONG, "cloud.google.com/vertex-ai/generative-ai/docs", 2000),
    ServerError(
        "Anthropic", "too long", 400,
        {"type": "error", "error": {"type": _INVALID,
         "message": "prompt is too long: 208310 tokens > 2000 maximum"}},
        _TOO_LONG, "stackblitz/bolt.new#2449", 2000),
    ServerError(
        "Anthropic", "too long with the reply", 400,
        {"type": "error", "error": {"type": _INVALID, "message": "input length and `max_tokens`"
         " exceed context limit: 1900 + 400 > 2000, decrease input length or `max_tokens` and try"
         " again"}},
        _TOO_LONG, "docs.anthropic.com/en/api/errors", 2000),
    ServerError(
        "Bedrock", "too long", 400,
        {"message": "Input is too long for requested model."},
        _TOO_LONG, "docs.aws.amazon.com/bedrock"),
    ServerError(
        "DeepSeek", "too long", 400,
        _error("This model's maximum context length is 2000 tokens. However, you requested 69648"
               " tokens (69648 in the messages, 0 in the completion). Please reduce the length of"
               " the messages or completion.", type=_INVALID, param=None, code=_INVALID),
        _TOO_LONG, "RooCodeInc/Roo-Code#1767", 2000),
    ServerError(
        "Groq", "too long", 400,
        _error("Please reduce the length of the messages or completion.", type=_INVALID,
               param="messages", code="context_length_exceeded"),
        _TOO_LONG, "console.groq.com/docs/errors"),
    ServerError(
        "Groq", "too long for the minute", 413,
        _error("Request too large for model `x` in organization `org_x` service tier `on_demand` on"
               " tokens per minute (TPM): Limit 2000, Requested 9000, please reduce your message"
               " size and try again.", type="tokens", code="rate_limit_exceeded"),
        _TOO_LONG, "console.groq.com/docs/rate-limits", 2000, status_decides=True),
    ServerError(
        "Cerebras", "too long", 400,
        {"message": "Please reduce the length of the messages or completion. Current length is"
                    " 69553 while limit is 2000", "type": _INVALID, "param": "messages",
         "code": "context_length_exceeded"},
        _TOO_LONG, "anomalyco/opencode#1551", 2000),
    ServerError(
        "Together", "too long", 422,
        _error("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2000. Given:"
               " 9000 `inputs` tokens and 400 `max_new_tokens`", type=_INVALID, param=None,
               code=None),
        _TOO_LONG, "docs.together.ai/docs/error-codes", 2000),
    ServerError(
        "Fireworks", "too long", 400,
        {"error": {"object": "error", "type": _INVALID, "message": "The prompt is too long: 139386,"
         " model maximum context length: 2000"}},
        _TOO_LONG, "docs.fireworks.ai", 2000),
    ServerError(
        "xAI", "too long", 400,
        {"code": "Client specified an invalid argument",
         "error": "This model's maximum prompt length is 2000 but the request contains 537812"
                  " tokens."},
        _TOO_LONG, "docs.x.ai", 2000),
    ServerError(
        "Moonshot", "too long", 400,
        _error("Invalid request: Your request exceeded model token limit: 2000 (requested: 9000)",
               type=_INVALID),
        _TOO_LONG, "platform.moonshot.ai/docs", 2000),
    ServerError(
        "DashScope", "too long", 400,
        _error("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1,"
               " 2000]", code="invalid_parameter_error", param=None, type=_INVALID),
        _TOO_LONG, "help.aliyun.com/model-studio/error-code", 2000),
    ServerError(
        "Zhipu", "too long", 400,
        {"error": {"code": "1261", "message": "Prompt 超长"}},
        _TOO_LONG, "open.bigmodel.cn/dev/api/error-code"),
    ServerError(
        "MiniMax", "too long", 200,
        {"choices": None, "base_resp": {"status_code": 2013,
         "status_msg": "invalid params, context window exceeds limit"}},
        _TOO_LONG, "zhy0216/pigo: overflow.ts"),
    ServerError(
        "Cohere", "too long", 400,
        {"message": "too many tokens: total number of tokens in the prompt cannot exceed 2000 -"
                    " received 4292."},
        _TOO_LONG, "docs.cohere.com/reference/errors", 2000),
    ServerError(
        "Cloudflare", "too long", 413,
        {"errors": [{"message": "AiError: The estimated number of input and maximum output tokens"
                                " (9000) exceeded this model context window limit (2000).",
                     "code": 5021}], "success": False, "result": {}, "messages": []},
        _TOO_LONG, "developers.cloudflare.com/workers-ai", 2000),
    ServerError(
        "MLX", "too long", 400,
        {"detail": "Prompt exceeds maximum context length"},
        _TOO_LONG, "ddalcu/mlx-serve#66"),
    ServerError(
        "nginx", "too large", 413,
        "<html><head><title>413 Request Entity Too Large</title></head></html>",
        _TOO_LONG, "nginx.org/en/docs/http/ngx_http_core_module.html", status_decides=True),
    ServerError(
        "vLLM", "no room left", 400,
        _error("max_tokens must be at least 1, got -7584. (parameter=max_tokens, value=-7584)",
               type="BadRequestError", param="max_tokens", code=400),
        _TOO_LONG, "vllm-project/vllm#36789"),
    ServerError(
        "vLLM", "too long, input length", 400,
        _error("Input length (11680) exceeds model's maximum context length (2000).",
               type="BadRequestError", param=None, code=400),
        _TOO_LONG, "vllm-project/vllm#36789", 2000),
    ServerError(
        "TabbyAPI", "too long for the cache", 400,
        {"detail": "Prompt length 9000 exceeds the available cache size of 2000 tokens"},
        _TOO_LONG, "theroyallab/tabbyAPI: backends/exllamav3", 2000),
    ServerError(
        "SiliconFlow", "too long", 400,
        {"code": 20015, "message": "length of prompt_tokens (9000) must be less than max_seq_len"
         " (2000).", "data": None},
        _TOO_LONG, "docs.siliconflow.cn", 2000),
    ServerError(
        "LiteLLM", "too long before the call", 400,
        _error("litellm.ContextWindowExceededError: Max Input Tokens=2000, Got=301450",
               type=None, param=None, code="400"),
        _TOO_LONG, "BerriAI/litellm#38368", 2000),
)  # fmt: skip

REPLY_TOO_LONG = (
    ServerError(
        "OpenAI", "reply too long", 400,
        _error("max_tokens is too large: 400. This model supports at most 200 completion tokens,"
               " whereas you provided 400.", type=_INVALID, param="max_tokens",
               code="invalid_value"),
        "reply_too_long", "platform.openai.com/docs/guides/error-codes", 200),
    ServerError(
        "Groq", "reply too long", 400,
        _error("`max_tokens` must be less than or equal to `200`, the maximum value for"
               " `max_tokens` is less than the `context_window` for this model", type=_INVALID),
        "reply_too_long", "console.groq.com/docs/errors", 200),
    ServerError(
        "Anthropic", "reply too long", 400,
        {"type": "error", "error": {"type": _INVALID, "message": "max_tokens: 400 > 200, which is"
         " the maximum allowed number of output tokens for x"}},
        "reply_too_long", "docs.anthropic.com/en/api/errors", 200),
    ServerError(
        "DeepSeek", "reply too long", 400,
        _error("Invalid max_tokens value, the valid range of max_tokens is [1, 200]",
               type=_INVALID, code=_INVALID),
        "reply_too_long", "api-docs.deepseek.com", 200),
    ServerError(
        "TGI", "reply too long", 422,
        {"error": "Input validation error: `max_new_tokens` must be <= 200. Given: 400",
         "error_type": "validation"},
        "reply_too_long", "huggingface/transformers#28523", 200),
    ServerError(
        "Bedrock", "reply too long", 400,
        {"message": "The maximum tokens you requested exceeds the model limit of 200. Try again"
                    " with a maximum tokens value that is lower than 200."},
        "reply_too_long", "charmbracelet/crush#946", 200),
)  # fmt: skip

CONTENT = (
    ServerError(
        "OpenAI", "content", 400,
        _error("Your request was rejected as a result of our safety system.", type=_INVALID,
               code="content_policy_violation"),
        _MODERATED, "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "OpenAI", "content by sentence", 400,
        _error("Invalid prompt: we've limited access to this content for safety reasons.",
               type=_INVALID, code="invalid_prompt"),
        _MODERATED, "microsoft/PyRIT#1463"),
    ServerError(
        "Azure", "content", 400,
        _error("The response was filtered due to the prompt triggering Azure OpenAI's content"
               " management policy. Please modify your prompt and retry.", type=None,
               param="prompt", code="content_filter", status=400,
               innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}),
        _MODERATED, "learn.microsoft.com/azure/ai-services/openai/concepts/content-filter"),
    ServerError(
        "Azure", "content of a reply as 400", 400,
        {"id": "x", "object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": ""},
             "finish_reason": "content_filter"}]},
        _MODERATED, "experientiallabs/experiential#967"),
    ServerError(
        "DashScope", "content", 400,
        _error("Input data may contain inappropriate content.", type="data_inspection_failed",
               param=None, code="data_inspection_failed"),
        _MODERATED, "help.aliyun.com/model-studio/error-code"),
    ServerError(
        "DashScope", "content in its own form", 400,
        {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate"
         " content.", "request_id": "x"},
        _MODERATED, "help.aliyun.com/model-studio/error-code"),
    ServerError(
        "DeepSeek", "content", 400,
        _error("Content Exists Risk", type=_INVALID, param=None, code=_INVALID),
        _MODERATED, "api-docs.deepseek.com/quick_start/error_codes"),
    ServerError(
        "Moonshot", "content", 400,
        _error("The request was rejected because it was considered high risk",
               type="content_filter"),
        _MODERATED, "platform.moonshot.ai/docs"),
    ServerError(
        "Zhipu", "content", 400,
        {"contentFilter": [{"level": 1, "role": "user"}],
         "error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}},
        _MODERATED, "open.bigmodel.cn/dev/api/error-code"),
    ServerError(
        "MiniMax", "content", 200,
        {"choices": None, "base_resp": {"status_code": 1027, "status_msg": "output sensitive"}},
        _MODERATED, "platform.minimaxi.com/document/error"),
    ServerError(
        "Gemini", "content", 400,
        [_error("The request was blocked.", code=400, status="INVALID_ARGUMENT",
                details=[{"reason": "SAFETY"}])],
        _MODERATED, "ai.google.dev/gemini-api/docs/safety-settings"),
    ServerError(
        "Gemini", "content of the prompt", 200,
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}},
        _MODERATED, "BerriAI/litellm#20105"),
    ServerError(
        "xAI", "content", 403,
        {"code": "The caller does not have permission to execute the specified operation",
         "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_X"},
        _MODERATED, "docs.x.ai"),
    ServerError(
        "LiteLLM", "content", 400,
        _error("litellm.ContentPolicyViolationError: AzureException - filtered. Received Model"
               " Group=x", type=None, param=None, code="400"),
        _MODERATED, "docs.litellm.ai/docs/exception_mapping"),
    ServerError(
        "LiteLLM", "content nested", 500,
        _error("Error code: 400 - {'error': {'code': 'content_filter', 'message': 'no'}}",
               type=None, param=None, code="500"),
        _MODERATED, "BerriAI/litellm#8953"),
    ServerError(
        "Bedrock", "content", 400,
        {"message": "Guardrail was enabled and input is in violation of guardrail policy.",
         "code": "guardrail_intervened"},
        _MODERATED, "docs.aws.amazon.com/bedrock"),
    ServerError(
        "Volcengine", "content", 400,
        _error("The request failed because the input text may contain sensitive information.",
               type="BadRequest", code="InputTextSensitiveContentDetected"),
        _MODERATED, "volcengine.com/docs/82379"),
    ServerError(
        "Portkey", "content", 446,
        _error("The guardrail checks defined in the config failed.", type="hooks_failed",
               param=None, code=None),
        _MODERATED, "portkey.ai/docs/product/guardrails"),
)  # fmt: skip

CREDIT = (
    ServerError(
        "OpenAI", "no credit", 429,
        _error("You exceeded your current quota, please check your plan and billing details.",
               type="insufficient_quota", param=None, code="insufficient_quota"),
        "no_credit", "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "OpenAI", "billing limit", 400,
        _error("Billing hard limit has been reached", type=_INVALID,
               code="billing_hard_limit_reached"),
        "key_limit", "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "DeepSeek", "no credit", 402,
        _error("Insufficient Balance", type="unknown_error", param=None, code=_INVALID),
        "no_credit", "api-docs.deepseek.com/quick_start/error_codes"),
    ServerError(
        "Anthropic", "no credit", 400,
        {"type": "error", "error": {"type": _INVALID, "message": "Your credit balance is too low to"
         " access the Anthropic API. Please go to Plans & Billing."}},
        "no_credit", "docs.anthropic.com/en/api/errors"),
    ServerError(
        "Moonshot", "no credit", 429,
        _error("Your account is suspended due to insufficient balance, please recharge your"
               " account", type="exceeded_current_quota_error"),
        "no_credit", "platform.moonshot.ai/docs"),
    ServerError(
        "Zhipu", "no credit", 429,
        {"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}},
        "no_credit", "zhayujie/CowAgent#2910"),
    ServerError(
        "DashScope", "no credit", 400,
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good"
         " standing.", "request_id": "x"},
        "no_credit", "help.aliyun.com/model-studio/error-code"),
    ServerError(
        "SiliconFlow", "no credit", 403,
        {"code": 30011, "message": "The selected model requires paid balance. Your paid balance is"
         " insufficient. Please top up and try again.", "data": None},
        "no_credit", "FoundationAgents/OpenManus#438"),
    ServerError(
        "OpenCode", "no credit", 401,
        _error("Insufficient balance. Manage your billing here", type="CreditsError", param="",
               code=None),
        "no_credit", "TiaraBasori/OpenCode2API#5"),
    ServerError(
        "LiteLLM", "budget", 400,
        _error("Budget has been exceeded! Current cost: 0.3759, Max budget: 0.35",
               type="budget_exceeded", param=None, code="400"),
        "key_limit", "open-webui/open-webui#5469"),
    ServerError(
        "xAI", "no credit", 429,
        {"code": "Some resource has been exhausted", "error": "Your team has either used all"
         " available credits or reached its monthly spending limit."},
        "key_limit", "docs.x.ai"),
    ServerError(
        "Hugging Face", "no credit", 402,
        {"error": "You have exceeded your monthly included credits for Inference Providers."},
        "no_credit", "huggingface.co/docs/inference-providers"),
    ServerError(
        "Anthropic", "spending limit", 400,
        {"type": "error", "error": {"type": _INVALID, "message": "You have reached your specified"
         " API usage limits. You will regain access on 2026-01-01 at 00:00 UTC."}},
        "key_limit", "docs.anthropic.com/en/api/rate-limits"),
    ServerError(
        "Azure", "quota", 403,
        _error("Out of call volume quota. Quota will be replenished in 13:45:12.", code="403"),
        "key_limit", "learn.microsoft.com/azure/api-management", status_decides=True),
    ServerError(
        "Mistral", "no credit", 401,
        {"message": "Inactive subscription or usage limit reached", "request_id": "x"},
        "no_credit", "docs.mistral.ai/api"),
    ServerError(
        "Fireworks", "no credit", 412,
        _error("Account x is suspended, possibly due to reaching the monthly spending limit or"
               " failure to pay past invoices.", object="error", type=_INVALID,
               code="PRECONDITION_FAILED"),
        "no_credit", "docs.fireworks.ai", status_decides=True),
)  # fmt: skip

KEYS = (
    ServerError(
        "OpenAI", "bad key", 401,
        _error("Incorrect API key provided: sk-x.", type=_INVALID, param=None,
               code="invalid_api_key"),
        "bad_key", "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "Gemini", "bad key", 400,
        [_error("API key not valid. Please pass a valid API key.", code=400,
                status="INVALID_ARGUMENT", details=[
                    {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                     "reason": "API_KEY_INVALID", "domain": "googleapis.com"}])],
        "bad_key", "continuedev/continue#9330"),
    ServerError(
        "Gemini", "bad key nested", 400,
        _error('{\n "error": {\n "code": 400,\n "message": "API key not valid. Please pass a valid'
               ' API key.",\n "details": [{"reason": "API_KEY_INVALID"}]}}', code=400,
               status="Bad Request"),
        "bad_key", "continuedev/continue#10290"),
    ServerError(
        "Azure", "bad key", 401,
        _error("Access denied due to invalid subscription key or wrong API endpoint.", code="401"),
        "bad_key", "learn.microsoft.com/azure/ai-services/openai"),
    ServerError(
        "llama.cpp", "bad key", 401,
        _error("Invalid API Key", type="authentication_error", code=401),
        "bad_key", "ggml-org/llama.cpp: tools/server"),
    ServerError("vLLM", "bad key", 401, {"error": "Unauthorized"}, "bad_key",
                "docs.vllm.ai/serving/openai_compatible_server", status_decides=True),
    ServerError(
        "Anthropic", "bad key", 401,
        {"type": "error",
         "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
        "bad_key", "docs.anthropic.com/en/api/errors"),
    ServerError("Mistral", "bad key", 401, {"message": "Unauthorized", "request_id": "x"},
                "bad_key", "docs.mistral.ai/api", status_decides=True),
    ServerError(
        "DeepSeek", "bad key", 401,
        _error("Authentication Fails, Your api key: ****x is invalid", type="authentication_error",
               param=None, code=_INVALID),
        "bad_key", "api-docs.deepseek.com/quick_start/error_codes"),
    ServerError(
        "LiteLLM", "bad key", 401,
        _error("Authentication Error, Invalid proxy server token passed.", type="auth_error",
               param="None", code="401"),
        "bad_key", "docs.litellm.ai/docs/proxy", status_decides=True),
    ServerError(
        "DashScope", "bad key", 401,
        {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "x"},
        "bad_key", "help.aliyun.com/model-studio/error-code"),
    ServerError(
        "xAI", "bad key", 400,
        {"code": "Client specified an invalid argument",
         "error": "Incorrect API key provided: x***y."},
        "bad_key", "docs.x.ai"),
    ServerError(
        "Gemini", "leaked key", 403,
        [_error("Your API key was reported as leaked. Please use another API key.", code=403,
                status="PERMISSION_DENIED")],
        "bad_key", "ai.google.dev/gemini-api/docs/troubleshooting"),
    ServerError(
        "Bedrock", "expired key", 403, {"Message": "Bearer Token has expired"},
        "bad_key", "docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html"),
    ServerError(
        "Groq", "restricted", 400,
        _error("Organization has been restricted.", type=_INVALID, code="organization_restricted"),
        "bad_key", "console.groq.com/docs/errors"),
)  # fmt: skip

LIMITED = (
    ServerError(
        "OpenAI", "rate limit", 429,
        _error("Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3.",
               type="requests", param=None, code="rate_limit_exceeded"),
        "rate_limited", "platform.openai.com/docs/guides/rate-limits"),
    ServerError(
        "Anthropic", "rate limit", 429,
        {"type": "error", "error": {"type": "rate_limit_error", "message": "Number of request"
         " tokens has exceeded your per-minute rate limit"}},
        "rate_limited", "docs.anthropic.com/en/api/errors"),
    ServerError(
        "Gemini", "rate limit", 429,
        [_error("You exceeded your current quota, please check your plan and billing details.",
                code=429, status="RESOURCE_EXHAUSTED")],
        "rate_limited", "ai.google.dev/gemini-api/docs/rate-limits"),
    ServerError("Mistral", "rate limit", 429, {"message": "Requests rate limit exceeded"},
                "rate_limited", "docs.mistral.ai/api"),
    ServerError(
        "Azure", "rate limit", 429,
        _error("Requests to the ChatCompletions_Create Operation have exceeded call rate limit of"
               " your current pricing tier.", code="429"),
        "rate_limited", "learn.microsoft.com/azure/ai-services/openai"),
    ServerError(
        "Groq", "rate limit", 429,
        _error("Rate limit reached for model `x` on tokens per minute (TPM): Limit 6000, Used 5000,"
               " Requested 2000.", type="tokens", code="rate_limit_exceeded"),
        "rate_limited", "console.groq.com/docs/rate-limits"),
    ServerError("TGI", "overloaded", 429, {"error": "Model is overloaded",
                                           "error_type": "overloaded"},
                "rate_limited", "huggingface/text-generation-inference: router",
                status_decides=True),
)  # fmt: skip

MACHINES = (
    ServerError(
        "vLLM", "out of memory", 500,
        _flat("CUDA out of memory. Tried to allocate 2.00 GiB.", type="InternalServerError",
              code=500),
        "worker_out_of_memory", "docs.vllm.ai/usage/troubleshooting"),
    ServerError(
        "Ollama", "out of memory", 500,
        _error("model requires more system memory (5.3 GiB) than is available (3.3 GiB)",
               type="api_error", param=None, code=None),
        "worker_out_of_memory", "ollama/ollama#13556"),
    ServerError(
        "Ollama", "GPU out of memory", 500,
        {"error": "llama runner process has terminated: cudaMalloc failed: out of memory"},
        "worker_out_of_memory", "ollama/ollama: llm/server.go"),
    ServerError(
        "llama.cpp", "out of memory", 500,
        _error("vk::Device::allocateMemory: ErrorOutOfDeviceMemory", type="server_error", code=500),
        "worker_out_of_memory", "ggml-org/llama.cpp: ggml-vulkan"),
    ServerError(
        "LM Studio", "out of memory", 500,
        {"error": "Model loading was stopped due to insufficient system resources."},
        "worker_out_of_memory", "lmstudio.ai/docs"),
    ServerError(
        "TGI", "out of memory", 424,
        {"error": "Request failed during generation: Server error: CUDA out of memory.",
         "error_type": "generation"},
        "worker_out_of_memory", "huggingface/text-generation-inference: router"),
    ServerError(
        "transformers", "inf or nan", 500,
        {"detail": "probability tensor contains either `inf`, `nan` or element < 0"},
        "worker_broken_context", "huggingface/transformers"),
    ServerError(
        "vLLM", "nan", 500,
        _error("Out of range float values are not JSON compliant: nan", type="InternalServerError",
               code=500),
        "worker_broken_context", "vllm-project/vllm"),
    ServerError(
        "LM Studio", "out of memory as 404", 404,
        _error('Failed to load model "x". Error: Model loading was stopped due to insufficient'
               " system resources.", type=_INVALID, param="model", code="model_not_found"),
        "worker_out_of_memory", "lmstudio.ai/docs"),
    ServerError(
        "Ollama", "resources", 500,
        _error("model failed to load, this may be due to resource limitations or an internal"
               " error, check ollama server logs for details", type="api_error"),
        "worker_out_of_memory", "ollama/ollama: llm/server.go"),
)  # fmt: skip

MODELS = (
    ServerError(
        "OpenAI", "no such model", 404,
        _error("The model `x` does not exist or you do not have access to it.", type=_INVALID,
               param=None, code="model_not_found"),
        "model_gone", "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "vLLM", "no such model", 404,
        _flat("The model `x` does not exist.", type="NotFoundError", code=404),
        "model_gone", "docs.vllm.ai/serving/openai_compatible_server"),
    ServerError(
        "Ollama", "no such model", 404,
        _error('model "x" not found, try pulling it first', type="api_error", param=None,
               code=None),
        "model_not_loaded", "ollama/ollama: openai/openai.go"),
    ServerError(
        "LM Studio", "no model loaded", 404,
        _error("No models loaded. Please load a model in the developer page or use the `lms load`"
               " command.", type=_INVALID, param="model", code="model_not_found"),
        "model_not_loaded", "lmstudio.ai/docs"),
    ServerError(
        "Mistral", "no such model", 400,
        _flat("Invalid model: x", type="invalid_model", code="1500"),
        "model_gone", "docs.mistral.ai/api"),
    ServerError(
        "DeepSeek", "no such model", 400,
        _error("Model Not Exist", type=_INVALID, param=None, code=_INVALID),
        "model_gone", "api-docs.deepseek.com"),
    ServerError(
        "Groq", "no such model", 400,
        _error("The model `x` has been decommissioned and is no longer supported.", type=_INVALID,
               code="model_decommissioned"),
        "model_gone", "console.groq.com/docs/deprecations"),
    ServerError(
        "Azure", "no such model", 404,
        _error("The API deployment for this resource does not exist.", code="DeploymentNotFound"),
        "model_gone", "learn.microsoft.com/azure/ai-services/openai"),
    ServerError(
        "LiteLLM", "no such model", 400,
        _error("/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view"
               " available models for your key.", type="None", param="None", code="400"),
        "model_gone", "docs.litellm.ai/docs/proxy"),
    ServerError(
        "Gemini", "wrong region", 400,
        [_error("User location is not supported for the API use.", code=400,
                status="FAILED_PRECONDITION")],
        "region_restricted", "ai.google.dev/gemini-api/docs/available-regions"),
    ServerError(
        "OpenAI", "wrong region", 403,
        _error("Country, region, or territory not supported", type="request_forbidden", param=None,
               code="unsupported_country_region_territory"),
        "region_restricted", "platform.openai.com/docs/supported-countries"),
    ServerError(
        "LiteLLM", "model not for this key", 401,
        _error("key not allowed to access model. This key can only access models=['x'].",
               type="key_model_access_denied", param="model", code="401"),
        "model_gone", "docs.litellm.ai/docs/proxy"),
    ServerError(
        "OpenAI", "not a chat model", 404,
        _error("This is not a chat model and thus not supported in the v1/chat/completions"
               " endpoint.", type=_INVALID, param="model", code=None),
        "model_gone", "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "OpenAI", "not verified", 403,
        _error("Your organization must be verified to stream this model.", type=_INVALID,
               param="stream", code="unsupported_value"),
        "forbidden", "help.openai.com/en/articles/10910291", status_decides=True),
    ServerError(
        "Azure", "model that does not chat", 400,
        _error("The chatCompletion operation does not work with the specified model, x.",
               code="OperationNotSupported"),
        "model_gone", "learn.microsoft.com/azure/ai-services/openai"),
    ServerError(
        "Bedrock", "needs a profile", 400,
        {"message": "Invocation of model ID x with on-demand throughput isn\u2019t supported."
                    " Retry your request with the ID or ARN of an inference profile."},
        "model_gone", "terricain/aioboto3#352"),
    ServerError(
        "Bedrock", "no access", 403,
        {"message": "You don't have access to the model with the specified model ID."},
        "model_gone", "docs.aws.amazon.com/bedrock", status_decides=True),
    ServerError(
        "LM Studio", "crashed", 400, {"error": "The model has crashed without additional"
         " information. (Exit code: 18446744072635812000)"},
        "model_not_loaded", "lmstudio-ai/lmstudio-bug-tracker"),
    ServerError(
        "LM Studio", "unloaded", 400, {"error": "Model unloaded."},
        "model_not_loaded", "lmstudio-ai/lmstudio-bug-tracker"),
    ServerError(
        "LM Studio", "crashed while it answered", 400, {"error": "Channel Error"},
        "model_not_loaded", "lmstudio-ai/lmstudio-bug-tracker#1347"),
    ServerError(
        "KoboldCpp", "no model loaded", 503,
        {"detail": {"msg": "No text model loaded", "type": "service_unavailable"}},
        "model_not_loaded", "LostRuins/koboldcpp: koboldcpp.py"),
)  # fmt: skip

ADDRESSES = (
    ServerError(
        "LM Studio", "wrong address", 200,
        {"error": "Unexpected endpoint or method. (POST /chat/completions)"},
        "not_found", "lmstudio-ai/lmstudio-bug-tracker#1680"),
    ServerError(
        "OpenAI", "wrong address", 404,
        _error("Invalid URL (POST /v1/chat)", type=_INVALID, param=None, code=None),
        "not_found", "platform.openai.com/docs"),
    ServerError("vLLM", "wrong address", 404, {"detail": "Not Found"}, "not_found",
                "docs.vllm.ai/serving/openai_compatible_server", status_decides=True),
    ServerError("vLLM", "wrong method", 405, {"detail": "Method Not Allowed"}, "not_found",
                "fastapi.tiangolo.com"),
    ServerError("Ollama", "wrong address", 404, "404 page not found", "not_found",
                "ollama/ollama: gin", status_decides=True),
    ServerError(
        "Azure", "wrong address", 404, _error("Resource not found", code="404"),
        "not_found", "learn.microsoft.com/azure/ai-services/openai"),
    ServerError("nginx", "wrong address", 404,
                "<html><head><title>404 Not Found</title></head></html>", "not_found",
                "nginx.org", status_decides=True),
    ServerError("nginx", "http for https", 400,
                "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title>",
                "not_found", "nginx.org", status_decides=True),
    ServerError("Go", "http for https", 400, "Client sent an HTTP request to an HTTPS server.\n",
                "not_found", "go.dev/src/net/http/server.go", status_decides=True),
    *(
        ServerError("any", f"redirect {status}", status, "<html>Moved</html>", "redirected",
                    "RFC 9110", status_decides=True)
        for status in (301, 302, 303, 307, 308)
    ),
    ServerError("any", "not implemented", 501, {"error": "Not Implemented"}, "not_found",
                "RFC 9110", status_decides=True),
)  # fmt: skip

BUSY = (
    ServerError(
        "KoboldCpp", "busy", 503,
        {"detail": {"msg": "Server is busy; please try again later.",
                    "type": "service_unavailable"}},
        "overloaded", "LostRuins/koboldcpp#1189"),
    ServerError(
        "llama.cpp", "loading", 503,
        _error("Loading model", type="unavailable_error", code=503),
        "overloaded", "ggml-org/llama.cpp: tools/server"),
    ServerError(
        "Anthropic", "busy", 529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "overloaded", "docs.anthropic.com/en/api/errors"),
    ServerError(
        "Gemini", "busy", 503,
        [_error("The model is overloaded. Please try again later.", code=503,
                status="UNAVAILABLE")],
        "overloaded", "ai.google.dev/gemini-api/docs/troubleshooting"),
)  # fmt: skip

_PARAMETER = "bad_parameters"
_PYDANTIC = [{"type": "extra_forbidden", "loc": ["body", "top_k"],
              "msg": "Extra inputs are not permitted", "input": 40}]  # fmt: skip

PARAMETERS = (
    # All of them reject `top_k`, which the tests' row sends.
    ServerError("Mistral", "parameter", 422,
                _flat({"detail": _PYDANTIC}, type=_INVALID, code=None),
                _PARAMETER, "editor-code-assistant/eca#231"),
    ServerError("Mistral", "parameter as text", 422,
                _flat(json.dumps({"detail": _PYDANTIC}), type="internal_error_proxy", code="1000"),
                _PARAMETER, "mistralai/platform-docs-public#7"),
    ServerError("vLLM", "parameter", 400,
                _flat(str(_PYDANTIC), type="BadRequestError", code=400),
                _PARAMETER, "1Panel-dev/MaxKB#2912"),
    ServerError(
        "NIM", "parameter", 422,
        {"type": "urn:inference-service:problem-details:unprocessable-entity", "status": 422,
         "title": "Unprocessable Entity",
         "detail": "body -> top_k\n  Extra inputs are not permitted (type=extra_forbidden)"},
        _PARAMETER, "NVIDIA/garak#748"),
    ServerError(
        "Gemini", "parameter", 400,
        [_error('Invalid JSON payload received. Unknown name "top_k": Cannot find field.', code=400,
                status="INVALID_ARGUMENT", details=[{"fieldViolations": [{"description": "x"}]}])],
        _PARAMETER, "n4ze3m/page-assist#418"),
    ServerError(
        "OpenAI", "parameter", 400,
        _error("Unrecognized request argument supplied: top_k", type=_INVALID, param=None,
               code=None),
        _PARAMETER, "platform.openai.com/docs/guides/error-codes"),
    ServerError(
        "OpenAI", "value", 400,
        _error("Unsupported value: 'top_k' does not support 40 with this model. Only the default"
               " (1) value is supported.", type=_INVALID, param="top_k", code="unsupported_value"),
        _PARAMETER, "owndev/Open-WebUI-Functions#98"),
    ServerError("Groq", "parameter", 400, _error("property 'top_k' is unsupported", type=_INVALID),
                _PARAMETER, "console.groq.com/docs/openai"),
    ServerError("Cerebras", "parameter", 400,
                {"message": "property 'top_k' is unsupported", "type": _INVALID,
                 "code": "wrong_api_format"}, _PARAMETER, "inference-docs.cerebras.ai"),
    ServerError("Cohere", "parameter", 422,
                {"message": "unknown field: parameter 'top_k' is not a valid field"},
                _PARAMETER, "docs.cohere.com/reference/errors", status_decides=True),
    ServerError("Fireworks", "parameter", 400,
                _error("Extra inputs are not permitted, field: 'top_k', value: 40", object="error",
                       type=_INVALID), _PARAMETER, "docs.fireworks.ai"),
    ServerError("Anthropic", "parameter", 400,
                {"type": "error", "error": {"type": _INVALID,
                 "message": "top_k: Extra inputs are not permitted"}},
                _PARAMETER, "docs.anthropic.com/en/api/errors"),
    ServerError("Bedrock", "parameter", 400,
                {"message": "Malformed input request: #: extraneous key [top_k] is not permitted,"
                            " please reformat your input and try again."},
                _PARAMETER, "pingcap/autoflow#574", status_decides=True),
    ServerError("LiteLLM", "parameter", 400,
                _error("litellm.UnsupportedParamsError: openai does not support parameters:"
                       " ['top_k'], for model=x. To drop these, set `litellm.drop_params=True`",
                       type=None, param=None, code="400"),
                _PARAMETER, "docs.litellm.ai/docs/completion/drop_params"),
    ServerError("xAI", "parameter", 400,
                {"code": "Client specified an invalid argument",
                 "error": "Argument not supported on this model: topK"}, _PARAMETER, "docs.x.ai",
                status_decides=True),
    ServerError("TGI", "value", 422,
                {"error": "Input validation error: `top_k` must be strictly positive",
                 "error_type": "validation"},
                _PARAMETER, "huggingface/text-generation-inference: router"),
    ServerError("DashScope", "value", 400,
                _error("<400> InternalError.Algo.InvalidParameter: Range of top_k should be"
                       " [0, 20]", code="invalid_parameter_error", type=_INVALID),
                _PARAMETER, "help.aliyun.com/model-studio/error-code"),
    ServerError("DeepSeek", "value", 400,
                _error("Invalid top_k value, the valid range of top_k is [0, 20]", type=_INVALID,
                       code=_INVALID), _PARAMETER, "api-docs.deepseek.com"),
    ServerError("Moonshot", "value", 400,
                _error("invalid top_k: only 1 is allowed for this model", type=_INVALID),
                _PARAMETER, "platform.moonshot.ai/docs"),
)  # fmt: skip

ERRORS = (
    *TOO_LONG,
    *REPLY_TOO_LONG,
    *CONTENT,
    *CREDIT,
    *KEYS,
    *LIMITED,
    *MACHINES,
    *MODELS,
    *ADDRESSES,
    *BUSY,
    *PARAMETERS,
)
