"""The OpenAI-compatible API in the API description."""

from dev.docs.openapi.errors import but_for_other_methods, failure_responses
from dev.docs.openapi.parts import ID, REQUEST_ID, Schema, answered, generated, object_schema, ref
from roleplay_chat.api import Answer, ChatRequest, ModelChoice
from roleplay_chat.openai_api.answers import Answers, model
from roleplay_chat.openai_api.completions import Completion, CompletionBody


def schemas() -> dict[str, Schema]:
    """The schemas of requests, answers and errors in OpenAI's form."""
    request = generated([CompletionBody], "validation")
    body = request["CompletionBody"]
    body["properties"]["messages"]["description"] = (
        "What was said so far. Leading system messages are directions for the scene, later ones are"
        " the person's words. With a conversation, only the person's words since the last reply"
        " count."
    )
    error: Schema = {
        "type": "object",
        "properties": {
            "message": {"type": "string", "description": "A sentence for the person."},
            "type": {"type": "string"},
            "param": _TEXT_OR_NULL,
            "code": {"type": "string", "pattern": "^[a-z_]+$"},
        },
        "required": ["message", "type", "param", "code"],
    }
    failed = object_schema("The body of every error in OpenAI's form.", {"error": error})
    return request | {"OpenAiError": failed} | _model_schemas() | _reply_schemas()


def _model_schemas() -> dict[str, Schema]:
    return {
        "Model": object_schema(
            "A character.",
            {
                "id": {"type": "string", "description": "Stays valid when the name changes."},
                "object": {"const": "model"},
                "created": {"type": "integer"},
                "owned_by": {"enum": ["you", "public"]},
                "name": {"type": "string"},
            },
        ),
        "Models": object_schema(
            "The characters with whom the caller may begin to talk: their own, then public ones.",
            {"object": {"const": "list"}, "data": {"type": "array", "items": ref("Model")}},
        ),
    }


def _reply_schemas() -> dict[str, Schema]:
    return {
        "CompletionUsage": object_schema(
            "Tokens of the reply.",
            {
                "prompt_tokens": {"type": "integer"},
                "completion_tokens": {"type": "integer"},
                "total_tokens": {"type": "integer"},
                "prompt_tokens_details": object_schema("", {"cached_tokens": {"type": "integer"}}),
            },
        ),
        "CompletionTurn": object_schema(
            "Facts about the turn that OpenAI's form does not have.",
            {
                name: {"type": "boolean"} if isinstance(value, bool) else _TEXT_OR_NULL
                for name, value in _completion_example()["roleplay_chat"].items()
            },
        ),
        "ChatCompletion": object_schema(
            "A reply.",
            {
                **_completion_common("chat.completion"),
                "choices": {"type": "array", "items": _choice("message", _MESSAGE, _REASON)},
                "usage": ref("CompletionUsage"),
                "roleplay_chat": ref("CompletionTurn"),
            },
        ),
        "ChatCompletionChunk": object_schema(
            "A piece of a streamed reply. With `stream_options.include_usage` every chunk has"
            " `usage`, and the last one has numbers and no choice.",
            {
                **_completion_common("chat.completion.chunk"),
                "choices": {
                    "type": "array",
                    "items": _choice("delta", _DELTA, {"anyOf": [_REASON, {"type": "null"}]}),
                },
            },
            {
                "usage": {"anyOf": [ref("CompletionUsage"), {"type": "null"}]},
                "roleplay_chat": ref("CompletionTurn"),
            },
        ),
    }


_TEXT_OR_NULL: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_REASON: Schema = {"enum": ["stop", "length"]}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "role": {"const": "assistant"},
        "content": {"type": "string"},
        "refusal": {"type": "null"},
    },
    "required": ["role", "content", "refusal"],
}
_DELTA: Schema = {
    "type": "object",
    "properties": {"role": {"const": "assistant"}, "content": {"type": "string"}},
}


def _choice(name: str, content: Schema, reason: Schema) -> Schema:
    told = {"index": {"const": 0}, name: content, "logprobs": {"type": "null"}}
    return object_schema("", told | {"finish_reason": reason})


def _completion_common(kind: str) -> Schema:
    return {
        "id": {"type": "string"},
        "object": {"const": kind},
        "created": {"type": "integer", "description": "In Unix time."},
        "model": {"type": "string"},
    }


def _completion_example() -> Schema:
    chosen = ModelChoice("chat_worker")
    answer = Answer("I am Mara Voss.", chosen, ID, REQUEST_ID, 1_200, "sfw", "stop")
    completion = Completion(ChatRequest(), f"mara-voss-{ID}", stream=False, include_usage=False)
    return Answers(completion, ID, created=1_767_225_600).whole(answer.to_json())


def completions_path() -> Schema:
    """What can be done at the address for replies."""
    example = {
        "model": f"mara-voss-{ID}",
        "messages": [{"role": "user", "content": "Hello, who are you?"}],
    }
    body = {"schema": ref("CompletionBody"), "examples": {"hello": {"value": example}}}
    headers = {
        "X-Conversation-Id": "The conversation in which the turn is stored. Without one, nothing is"
        " stored but usage.",
        "X-Client-Message-Id": "A request repeated with the same id is answered once. Only with a"
        " conversation.",
    }
    chunks = {
        "schema": {
            "description": "Chunks as `data:` lines; the last line is `data: [DONE]`, or an error.",
            "type": "string",
            "contentSchema": {"anyOf": [ref("ChatCompletionChunk"), ref("OpenAiError")]},
        }
    }
    reply = {"schema": ref("ChatCompletion"), "example": _completion_example()}
    return {
        "post": {
            "operationId": "create_chat_completion",
            "summary": "Talk with a character, in the form of OpenAI's API",
            "security": [{"user": []}, {"api_key": []}],
            "parameters": [
                {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}
                for name, words in headers.items()
            ],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "responses": {
                "200": answered(
                    "The reply.", {"application/json": reply, "text/event-stream": chunks}
                ),
                **_completion_failures(),
            },
        }
    }


def models_path(schema: str) -> Schema:
    """What can be done at the addresses for characters. `schema` is Model or Models."""
    row = {"id": ID, "name": "Mara Voss", "is_own": False, "created": 1_767_225_600}
    one = model(row)
    example = one if schema == "Model" else {"object": "list", "data": [one]}
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "get": {
            "operationId": "read_model" if schema == "Model" else "list_models",
            "summary": "Read one character" if schema == "Model" else "List the characters",
            "security": [{"user": []}, {"api_key": []}],
            **({"parameters": [name]} if schema == "Model" else {}),
            "responses": {
                "200": answered(
                    "As models.",
                    {"application/json": {"schema": ref(schema), "example": example}},
                ),
                **_completion_failures(),
            },
        }
    }


def _completion_failures() -> dict[str, Schema]:
    """The errors of a turn in OpenAI's form."""
    failures = but_for_other_methods(failure_responses("_shared", "roleplay_chat"))
    for failure in failures.values():
        failure["content"] = {"application/json": {"schema": ref("OpenAiError")}}
        failure.get("headers", {}).get("Retry-After", {}).pop("required", None)
    return failures
