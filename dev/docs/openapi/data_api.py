"""The part of the Data API that a client needs, for docs/openapi.json.

Tables are described as in a new installation: rows of a product that was adopted may have other
columns. A test compares the columns with the database, and answers with the schemas.
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
TEXT: Schema = {"type": "string"}
YES_OR_NO: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TIER: Schema = {"enum": ["sfw", "nsfw"]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _row(description: str, columns: Mapping[str, Schema]) -> Schema:
    properties = dict(columns)
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


ROWS: Mapping[str, tuple[str, Schema]] = {
    "CharacterRow": (
        "characters",
        _row(
            "A character with whom the caller may talk: their own, or a public one.",
            {
                "id": UUID,
                "user_id": _or_null(UUID),
                "name": TEXT,
                "nickname": _or_null(TEXT),
                "description": TEXT,
                "personality": TEXT,
                "scenario": TEXT,
                "first_message": TEXT,
                "alternate_greetings": TEXTS,
                "group_only_greetings": TEXTS,
                "example_messages": TEXT,
                "system_prompt": TEXT,
                "post_history_instructions": TEXT,
                "depth_prompt": TEXT,
                "depth_prompt_depth": WHOLE,
                "depth_prompt_role": {"enum": ["system", "user", "assistant"]},
                "character_book": _or_null({"type": "object"}),
                "talkativeness": _or_null(NUMBER),
                "pronouns": _or_null(TEXT),
                "age": _or_null(WHOLE),
                "content_rating": TIER,
                "is_public": YES_OR_NO,
                "created_at": TIME,
                "updated_at": TIME,
            },
        ),
    ),
    "ConversationRow": (
        "conversations",
        _row(
            "A conversation of the caller.",
            {
                "id": UUID,
                "user_id": UUID,
                "character_id": _or_null(UUID),
                "user_character_id": _or_null(UUID),
                "title": TEXT,
                "content_tier": _or_null(TIER),
                "always_sfw": YES_OR_NO,
                "remembers": YES_OR_NO,
                "parent_conversation_id": _or_null(UUID),
                "branched_from": _or_null(UUID),
                "client_message_id": _or_null(TEXT),
                "created_at": TIME,
                "updated_at": TIME,
            },
        ),
    ),
    "MessageRow": (
        "messages",
        _row(
            "A message of a conversation. Versions of a reply have the same position, and one of"
            " them is active.",
            {
                "id": UUID,
                "conversation_id": UUID,
                "position": WHOLE,
                "sender": {"enum": ["user", "character"]},
                "character_id": _or_null(UUID),
                "content": TEXT,
                "message_type": TEXT,
                "parent_id": _or_null(UUID),
                "variant_of": _or_null(UUID),
                "is_active": YES_OR_NO,
                "created_at": TIME,
                "edited_at": _or_null(TIME),
            },
        ),
    ),
    "TurnRow": (
        "turns",
        _row(
            "A turn: one request for a reply. It shows whether a reply is being written, and how"
            " the turn ended.",
            {
                "id": UUID,
                "user_id": UUID,
                "conversation_id": _or_null(UUID),
                "is_orphaned": YES_OR_NO,
                "task": {"enum": ["roleplay", "storytelling", "prompt_enhancement"]},
                "action": {"enum": ["send", "kickoff", "regenerate", "continue", "impersonate"]},
                "client_message_id": _or_null(TEXT),
                "status": {"enum": ["running", "complete", "incomplete", "failed", "stopped"]},
                "lease_expires_at": TIME,
                "stop_requested": YES_OR_NO,
                "character_id": _or_null(UUID),
                "user_character_id": _or_null(UUID),
                "worker": _or_null(TEXT),
                "user_message_id": _or_null(UUID),
                "replaces_message_id": _or_null(UUID),
                "reply_message_id": _or_null(UUID),
                "result": _or_null({"type": "object"}),
                "content_tier": _or_null(TIER),
                "model_used": _or_null(TEXT),
                "finish_reason": _or_null(TEXT),
                "error_code": _or_null(TEXT),
                "prompt_tokens": _or_null(WHOLE),
                "completion_tokens": _or_null(WHOLE),
                "cost_usd": _or_null(NUMBER),
                "duration_ms": _or_null(WHOLE),
                "request_id": _or_null(TEXT),
                "created_at": TIME,
                "number_of_day": _or_null(WHOLE),
                "finished_at": _or_null(TIME),
            },
        ),
    ),
    "ApiKeyRow": (
        "api_keys",
        _row(
            "An API key of the caller, without the secret.",
            {
                "id": UUID,
                "name": TEXT,
                "prefix": TEXT,
                "turns_per_day": _or_null(WHOLE),
                "created_at": TIME,
                "expires_at": _or_null(TIME),
                "last_used_at": _or_null(TIME),
            },
        ),
    ),
}
"""The rows of tables and views: the name of the schema, the table, the columns."""

_LISTED = _row(
    "A conversation in the list.",
    {
        "id": UUID,
        "title": _or_null(TEXT),
        "character_id": _or_null(UUID),
        "character_name": _or_null(TEXT),
        "user_character_id": _or_null(UUID),
        "is_branch": YES_OR_NO,
        "is_pinned": YES_OR_NO,
        "deleted_at": _or_null(TIME),
        "updated_at": _or_null(TIME),
        "last_sender": _or_null(TEXT),
        "other_names": TEXTS,
        "last_line": _or_null(TEXT),
    },
)
_FOUND = _row(
    "A public character.",
    {
        "id": UUID,
        "name": TEXT,
        "description": TEXT,
        "tags": TEXTS,
        "portrait": _or_null(TEXT),
        "content_rating": TIER,
        "author_id": _or_null(UUID),
        "is_own": YES_OR_NO,
        "created_at": TIME,
    },
)
_LIMIT = _row(
    "The rest of a limit.",
    {
        "name": TEXT,
        "limit": NUMBER,
        "used": NUMBER,
        "left": NUMBER,
        "resets_at": _or_null(TIME),
    },
)


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


CALLS: Mapping[str, tuple[str, Schema, list[str], Schema]] = {
    "list_conversations": (
        "A page of the caller's conversations, pinned ones first, then the newest",
        {"p_limit": WHOLE, "p_after": _or_null({"type": "object"}), "p_deleted": YES_OR_NO},
        [],
        _row(
            "`next` is `p_after` of the next page; null on the last one.",
            {"conversations": _list(_LISTED), "next": _or_null({"type": "object"})},
        ),
    ),
    "search_catalogue": (
        "A page of the public characters, the newest first",
        {
            "p_search": TEXT,
            "p_tags": TEXTS,
            "p_after": _or_null({"type": "object"}),
            "p_limit": WHOLE,
        },
        [],
        _row(
            "`next` is `p_after` of the next page; null on the last one.",
            {"characters": _list(_FOUND), "next": _or_null({"type": "object"})},
        ),
    ),
    "read_limits": (
        "The caller's remaining limits and budget",
        {},
        [],
        _row(
            "Limits that limit something. With `free_only` a budget is spent, and only free models"
            " answer.",
            {
                "now": TIME,
                "limits": _list(_LIMIT),
                "free_only": YES_OR_NO,
                "tokens_today": _row(
                    "Tokens of all model calls today.", {"prompt": WHOLE, "completion": WHOLE}
                ),
            },
        ),
    ),
    "create_api_key": (
        "Make an API key",
        {"p_name": TEXT, "p_days": _or_null(WHOLE), "p_turns_per_day": _or_null(WHOLE)},
        ["p_name"],
        _row(
            "The key is shown only this once.",
            {"id": UUID, "key": TEXT, "prefix": TEXT, "expires_at": _or_null(TIME)},
        ),
    ),
    "revoke_api_key": (
        "Make an API key void, at once",
        {"p_id": UUID},
        ["p_id"],
        {**YES_OR_NO, "description": "Whether there was such a key."},
    ),
}
"""Functions: what they do, their parameters and which are required, and what they return."""


def schemas() -> dict[str, Schema]:
    """The rows and results, by name."""
    error = _row(
        "An error of the Data API. `message` of codes that begin with PT is written for people.",
        {
            "code": TEXT,
            "message": TEXT,
            "details": _or_null(TEXT),
            "hint": _or_null(TEXT),
        },
    )
    results = {_result(name): call[3] for name, call in CALLS.items()}
    return {name: row for name, (_, row) in ROWS.items()} | results | {"DataApiError": error}


def paths() -> dict[str, Schema]:
    """The paths of tables and functions, below the address of the Supabase project."""
    tables = {f"/rest/v1/{table}": _table(table, name) for name, (table, _) in ROWS.items()}
    calls = {f"/rest/v1/rpc/{name}": _call(name) for name in CALLS}
    return {path: {"servers": [_SERVER], **item} for path, item in (tables | calls).items()}


_SERVER: Schema = {
    "url": "{supabase}",
    "variables": {
        "supabase": {
            "default": "http://127.0.0.1:8787",
            "description": "The address of the Supabase project.",
        }
    },
}


def _table(table: str, schema: str) -> Schema:
    parameter = {"in": "query", "schema": TEXT}
    asked = [
        {"name": "select", "description": "Columns, such as `id,name`.", **parameter},
        {"name": "order", "description": "Such as `created_at.desc`.", **parameter},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0}},
        {
            "name": "id",
            "description": "A filter, such as `eq.<id>`. Each column has one.",
            **parameter,
        },
    ]
    rows = _list({"$ref": f"#/components/schemas/{schema}"})
    return {
        "get": {
            "operationId": f"read_{table}",
            "summary": f"Read rows of {table}",
            "security": [{"user": [], "publishable": []}],
            "parameters": asked,
            "responses": {"200": _answered("The rows that the caller may see.", rows), **_FAILED},
        }
    }


def _call(name: str) -> Schema:
    summary, parameters, required, _ = CALLS[name]
    body = {"type": "object", "properties": parameters, "required": required}
    result = {"$ref": f"#/components/schemas/{_result(name)}"}
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "security": [{"user": [], "publishable": []}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {"200": _answered("The result.", result), **_FAILED},
        }
    }


def _result(name: str) -> str:
    return f"{name.title().replace('_', '')}Result"


def _answered(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_FAILED: Schema = {
    "4XX": _answered(
        "Not allowed, not valid, or too much at once.",
        {"$ref": "#/components/schemas/DataApiError"},
    )
}
