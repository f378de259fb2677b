"""Chat files of SillyTavern and of other programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from roleplay_chat.chats.sillytavern import read

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)
HEADER = {"user_name": "Ada", "character_name": "Mara", "create_date": "2024-05-01@10h20m30s"}
HELLO = {"name": "Ada", "is_user": True, "is_system": False, "mes": "Hello"}
COME_IN = {"name": "Mara", "is_user": False, "is_system": False, "mes": "Come in."}


def lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


REPLY = {"name": "Mara", "is_user": False, "mes": "Sit."}
AGNAI: dict[str, Any] = {
    "name": "Exported",
    "greeting": "Ahoy.",
    "treeLeafId": "m2",
    "messages": [
        {"_id": "m0", "handle": "Mara", "characterId": "c", "msg": "Ahoy."},
        {"_id": "m1", "userId": "u", "msg": "Hello", "createdAt": "2024-05-01T10:20:30Z"},
        {"_id": "m2", "characterId": "c", "msg": "Sit.", "retries": ["Stand.", ""]},
    ],
}  # fmt: skip
WEBUI: dict[str, Any] = {
    "internal": [["<|BEGIN-VISIBLE-CHAT|>", "Ahoy."], ["Hello & welcome", "Sit."]],
    "visible": [["", "Ahoy."], ["Hello &amp; welcome", "Sit."]],
    "metadata": {
        "user_1": {"timestamp": "2024-05-01T10:20:30Z"},
        "assistant_1": {
            "versions": [{"content": "Stand."}, {"content": "Sit."}],
            "current_version_index": 1,
        },
    },
}
RISUAI: dict[str, Any] = {
    "type": "risuChat",
    "ver": 2,
    "data": {
        "name": "Chat 1",
        "note": "It is autumn.",
        "localLore": [],
        "message": [
            {"role": "char", "data": "Ahoy.", "time": 1714558830000},
            {"role": "user", "data": "Hello"},
            {"role": "char", "data": "Sit.", "disabled": True},
        ],
    },
}
CAI_TOOLS: dict[str, Any] = {
    "info": {"name": "Mara"},
    "histories": {
        "histories": [
            {"msgs": [
                {"src": {"is_human": False, "name": "Mara"}, "text": "Ahoy."},
                {"src": {"is_human": True, "name": "Ada"}, "text": "Hello"},
            ]},
            {"msgs": [{"src": {"is_human": True}, "text": "Once more"}]},
        ]
    },
}  # fmt: skip
KOBOLD: dict[str, Any] = {
    "gamestarted": True,
    "prompt": "{{[OUTPUT]}}Ahoy.",
    "actions": ["\n{{[INPUT]}}\nHello\n{{[OUTPUT]}}\nSit.", "And wait."],
    "savedsettings": {"chatname": "Ada", "chatopponent": "Mara||$||Jo"},
}


def said(value: Any) -> list[tuple[str, str]]:
    """Who said what in a file of one JSON value, the same however it is written."""
    files = [read(json.dumps(value, indent=indent).encode(), NOW) for indent in (None, 2)]
    assert files[0] == files[1]
    return [(one.sender[0], one.versions[one.active]) for one in files[0].messages]


def row(position: int, sender: str, content: str, **more: Any) -> dict[str, Any]:
    return {
        "position": position,
        "sender": sender,
        "name": None,
        "content": content,
        "is_active": True,
        "is_hidden": False,
        "said_at": "2024-05-01T22:20:30+00:00",
    } | more
