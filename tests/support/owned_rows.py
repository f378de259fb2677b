"""A row of each table and view that belongs to a person, and what a client sends to write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from tests.support.stack import DEMO_CHARACTER, Stack, User


@dataclass(frozen=True)
class Row:
    """A row of the owner: how to insert it, how to find it, and what a client sends."""

    make: Callable[[Stack, User], dict[str, Any]]
    """Inserts a row and returns the columns that identify it."""
    body: Callable[[Stack, User], dict[str, Any]]
    """A new row as its owner would send it."""
    change: dict[str, Any]


def inserted(stack: Stack, table: str, **columns: Any) -> dict[str, Any]:
    return {"id": stack.insert(table, **columns)}


def provider(**more: Any) -> dict[str, Any]:
    name = f"p{uuid4().hex}"
    row = {"name": name, "display_name": "P", "base_url": "https://p.example"}
    return row | {"secret_name": f"{name.upper()}_API_KEY"} | more


def model(stack: Stack, **more: Any) -> dict[str, Any]:
    (its_provider, *_) = stack.all("select id from api_providers where name = 'openrouter'")
    row = {"provider_id": str(its_provider["id"]), "model_key": uuid4().hex, "display_name": "M"}
    return row | {"modality": "roleplay", "task": "roleplay"} | more


ADULT = {"content_rating": "nsfw", "age": 30}


def character(owner: User, **more: Any) -> dict[str, Any]:
    return {"user_id": str(owner.id), "name": "Vera"} | more


def checked(stack: Stack, *_: object) -> dict[str, Any]:
    stack.register_worker()
    stack.worker_health()
    return {"is_healthy": True}


def worker(stack: Stack, *_: object) -> dict[str, Any]:
    name = f"gpu-{uuid4().hex[:8]}"
    stack.add_worker(name)
    return {"name": name}


def blocked(stack: Stack, owner: User) -> dict[str, Any]:
    author = stack.user()
    row = {"user_id": str(owner.id), "author_id": str(author.id)}
    return row | {"character_name": "Vera"}


def reported(stack: Stack, owner: User) -> dict[str, Any]:
    vera = stack.insert("characters", **character(stack.user(), is_public=True))
    return {"user_id": str(owner.id), "character_id": str(vera), "reason": "spam"}


def report(stack: Stack, owner: User) -> dict[str, Any]:
    return inserted(stack, "character_reports", **reported(stack, owner))


def queued(stack: Stack, owner: User) -> dict[str, Any]:
    row = reported(stack, owner)
    stack.insert("character_reports", **row)
    return {"character_id": UUID(row["character_id"])}


def tagged(stack: Stack, owner: User) -> dict[str, Any]:
    vera = stack.insert("characters", **character(owner))
    return {"character_id": str(vera), "tag": "harbour"}


def taken_down(stack: Stack, owner: User) -> dict[str, Any]:
    vera = stack.insert("characters", **character(owner))
    stack.insert(
        "private.take_downs",
        **{"character_id": vera, "character_name": "Vera"},
        **{"author_id": owner.id, "reason": "Spam."},
    )
    return {"character_id": vera}


def card(stack: Stack, owner: User) -> dict[str, Any]:
    return {"character_id": str(stack.insert("characters", **character(owner))), "card": {}}


def imported(stack: Stack, owner: User) -> dict[str, Any]:
    row = card(stack, owner)
    stack.db.execute(
        "insert into character_cards (character_id, card) values (%s, '{}')",
        (row["character_id"],),
    )
    return {"character_id": row["character_id"]}


def portrait(stack: Stack, owner: User) -> dict[str, Any]:
    character_id = str(stack.insert("characters", **character(owner)))
    return {"character_id": character_id, "path": f"{owner.id}/{character_id}/1.webp"}


def pictured(stack: Stack, owner: User) -> dict[str, Any]:
    row = portrait(stack, owner)
    stack.db.execute(
        "insert into character_portraits (character_id, path) values (%s, %s)",
        (row["character_id"], row["path"]),
    )
    return {"character_id": row["character_id"]}


def turn(stack: Stack, owner: User) -> dict[str, Any]:
    row = {"user_id": str(owner.id), "conversation_id": str(stack.conversation(owner))}
    row |= {"task": "roleplay", "action": "send", "status": "failed"}
    return row | {"lease_expires_at": "2026-01-01", "finished_at": "2026-01-01"}


def verified(stack: Stack, owner: User) -> dict[str, Any]:
    stack.db.execute("update profiles set age_verified = true where id = %s", (owner.id,))
    return {"user_id": owner.id}


def composed(stack: Stack, owner: User) -> dict[str, Any]:
    turn_id = stack.insert("turns", **turn(stack, owner))
    return {"turn_id": str(turn_id), "composition": {"tokens": 1}}


def described(stack: Stack, owner: User) -> dict[str, Any]:
    row = composed(stack, owner)
    stack.db.execute(
        "insert into turn_prompts (turn_id, composition) values (%s, '{}')", (row["turn_id"],)
    )
    return {"turn_id": row["turn_id"]}


def usage(owner: User) -> dict[str, Any]:
    row = {"user_id": str(owner.id), "provider": "p", "model_key": "m"}
    return row | {"outcome": "ok", "duration_ms": 1}


def summed(*bucket: str) -> Callable[..., dict[str, Any]]:
    """A row of a roll-up in the bucket of this name and time."""

    def row(*_: object) -> dict[str, Any]:
        counts = dict.fromkeys(("calls", "turns", "prompt_tokens", "completion_tokens"), 1)
        times = {"duration_p50_ms": 1, "duration_p95_ms": 1}
        named = {"provider": "p", "model_key": uuid4().hex, "outcome": "ok"}
        return {bucket[0]: bucket[1]} | named | counts | times

    return row


def stored(table: str, row: Callable[..., dict[str, Any]], key: str) -> Callable[..., Any]:
    """Inserts a row into a table without an id."""

    def make(stack: Stack, owner: User) -> dict[str, Any]:
        columns = row(stack, owner)
        stack.db.execute(
            f"insert into {table} ({', '.join(columns)}) "  # noqa: S608
            f"values ({', '.join(['%s'] * len(columns))})".encode(),
            list(columns.values()),
        )
        return {key: columns[key]}

    return make


def step(*_: object) -> dict[str, Any]:
    return {"step": uuid4().hex, "begun_at": "2026-01-01"}


HOURLY, DAILY = summed("hour", "2026-01-01T05:00:00Z"), summed("day", "2026-01-01")


def template() -> dict[str, Any]:
    row = {"name": uuid4().hex, "use_case": "roleplay", "content_tier": "sfw"}
    return row | {"system_prompt": "Be kind.", "is_active": False}


def memory(stack: Stack, owner: User) -> dict[str, Any]:
    conversation = str(stack.conversation(owner))
    return {"user_id": str(owner.id), "tier": "conversation", "conversation_id": conversation}


def fact(stack: Stack, owner: User) -> dict[str, Any]:
    return {"memory_id": str(stack.insert("memories", **memory(stack, owner))), "content": "Cats."}


def lorebook(**more: Any) -> dict[str, Any]:
    return {"content": {"entries": []}, "user_id": None} | more


def summary(stack: Stack, owner: User) -> dict[str, Any]:
    return {"conversation_id": str(stack.conversation(owner)), "person_content": "They met."}


def settings(stack: Stack, owner: User) -> dict[str, Any]:
    return {"conversation_id": str(stack.conversation(owner)), "note": "It rains."}


def entry(stack: Stack, owner: User) -> dict[str, Any]:
    return {"conversation_id": str(stack.conversation(owner)), "title": "Rain."}


def hidden(stack: Stack, owner: User) -> dict[str, Any]:
    return {"conversation_id": str(stack.conversation(owner)), "position": 1}


def summarised(stack: Stack, owner: User) -> dict[str, Any]:
    row = summary(stack, owner)
    stack.db.execute(
        "insert into conversation_summaries (conversation_id, person_content) values (%s, %s)",
        list(row.values()),
    )
    return {"conversation_id": UUID(row["conversation_id"])}


def member(stack: Stack, owner: User) -> dict[str, Any]:
    conversation = str(stack.conversation(owner))
    vera = str(stack.insert("characters", **character(owner)))
    return {"conversation_id": conversation, "character_id": vera, "position": 1}


def joined(stack: Stack, owner: User) -> dict[str, Any]:
    row = member(stack, owner)
    stack.db.execute(
        "insert into conversation_characters (conversation_id, character_id, position)"
        " values (%s, %s, %s)",
        list(row.values()),
    )
    return {"character_id": row["character_id"]}


def message(stack: Stack, owner: User) -> dict[str, Any]:
    conversation = str(stack.conversation(owner))
    return {"conversation_id": conversation, "sender": "user", "content": "Hello."}


def cooldown(stack: Stack, **more: Any) -> dict[str, Any]:
    row = {"scope": "model", "key": uuid4().hex, "until": "2027-01-01", "reason": "r"}
    return row | more


def cooldown_written(stack: Stack, owner: User) -> dict[str, Any]:
    row = cooldown(stack)
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason) values (%s, %s, %s, %s)",
        list(row.values()),
    )
    return {"key": row["key"]}


def model_on_cooldown(stack: Stack, *_: object) -> dict[str, Any]:
    chosen = model(stack)
    row = cooldown(stack, key=f"openrouter:{chosen['model_key']}")
    stack.db.execute(
        "insert into model_cooldowns (scope, key, until, reason) values (%s, %s, %s, %s)",
        list(row.values()),
    )
    return {"model_id": stack.insert("api_models", **chosen)}


def calibrated(stack: Stack, owner: User) -> dict[str, Any]:
    row = calibration()
    stack.db.execute(
        "insert into token_calibrations (provider, model_key, script, ratio)"
        " values (%s, %s, %s, %s)",
        list(row.values()),
    )
    return {"model_key": row["model_key"]}


def calibration() -> dict[str, Any]:
    return {"provider": "p", "model_key": uuid4().hex, "script": "latin", "ratio": 1}


def promoted(stack: Stack, owner: User) -> dict[str, Any]:
    stack.db.execute("insert into user_roles (user_id, role) values (%s, 'admin')", (owner.id,))
    return {"user_id": owner.id}


def without_profile(stack: Stack, owner: User) -> dict[str, Any]:
    stack.db.execute("delete from profiles where id = %s", (owner.id,))
    return {"id": str(owner.id), "display_name": "Ann"}


ROWS = {
    "account": Row(
        lambda s, o: {"id": o.id},
        lambda s, o: {"id": str(o.id), "display_name": "Ann"},
        {"display_name": "Ann"},
    ),
    "age_verifications": Row(
        verified,
        lambda s, o: {"user_id": str(o.id), "display_name": "Ann"},
        {"display_name": "Ann"},
    ),
    "api_keys": Row(
        lambda s, o: inserted(
            s, "private.api_keys", user_id=o.id, name="A", prefix="rpk_", key_hash=uuid4().hex
        ),
        lambda s, o: {"name": "A", "prefix": "rpk_"},
        {"name": "B"},
    ),
    "limit_settings": Row(
        lambda s, o: {"role": "default"}, lambda s, o: {"role": "guest"}, {"limits": {}}
    ),
    "model_catalog": Row(
        lambda s, o: inserted(s, "api_models", **model(s)),
        lambda s, o: model(s),
        {"is_active": False},
    ),
    "my_characters": Row(
        lambda s, o: inserted(s, "characters", **character(o)),
        lambda s, o: {"name": "Vera"},
        {"name": "Mina"},
    ),
    "turn_reports": Row(
        lambda s, o: inserted(s, "turns", **turn(s, o)), turn, {"task": "storytelling"}
    ),
    "api_models": Row(
        lambda s, o: inserted(s, "api_models", **model(s)),
        lambda s, o: model(s),
        {"priority": 0},
    ),
    "api_models, inactive": Row(
        lambda s, o: inserted(s, "api_models", **model(s, is_active=False)),
        lambda s, o: model(s, is_active=False),
        {"is_active": True},
    ),
    "api_models, classifier": Row(
        lambda s, o: inserted(s, "api_models", **model(s, task="moderation")),
        lambda s, o: model(s, task="moderation"),
        {"is_active": False},
    ),
    "api_providers": Row(
        lambda s, o: inserted(s, "api_providers", **provider()),
        lambda s, o: provider(),
        {"base_url": "https://elsewhere.example"},
    ),
    "api_providers, inactive": Row(
        lambda s, o: inserted(s, "api_providers", **provider(is_active=False)),
        lambda s, o: provider(is_active=False),
        {"is_active": True},
    ),
    "character_cards": Row(imported, card, {"card": {"name": "Mina"}}),
    "character_portraits": Row(pictured, portrait, {"path": "elsewhere"}),
    "api_providers, same key": Row(
        lambda s, o: inserted(s, "api_providers", **provider()),
        lambda s, o: provider(secret_name="OpenRouter_Roleplay_API_KEY"),
        {"secret_name": "OpenRouter_Roleplay_API_KEY"},
    ),
    "api_providers, waiting": Row(
        lambda s, o: inserted(s, "api_providers", **provider(is_approved=False)),
        lambda s, o: provider(),
        {"is_approved": True},
    ),
    "blocked_authors": Row(
        stored("blocked_authors", blocked, "author_id"), blocked, {"character_name": "Mina"}
    ),
    "character_reports": Row(report, reported, {"details": "Again."}),
    "character_tags": Row(
        stored("character_tags", tagged, "character_id"), tagged, {"tag": "pier"}
    ),
    "character_take_downs": Row(taken_down, lambda s, o: {"reason": "Spam."}, {"reason": "Sorry."}),
    "own_take_downs": Row(taken_down, lambda s, o: {"reason": "Spam."}, {"reason": "Sorry."}),
    "report_queue": Row(queued, lambda s, o: {"name": "Vera"}, {"name": "Mina"}),
    "characters": Row(
        lambda s, o: inserted(s, "characters", **character(o)),
        lambda s, o: character(o),
        {"name": "Mina"},
    ),
    "characters, public": Row(
        lambda s, o: inserted(s, "characters", **character(o, is_public=True)),
        lambda s, o: character(o, is_public=True),
        {"name": "Mina"},
    ),
    "characters, adult": Row(
        lambda s, o: inserted(s, "characters", **character(o, is_public=True, **ADULT)),
        lambda s, o: character(o, is_public=True, **ADULT),
        {"name": "Mina"},
    ),
    "companions": Row(
        joined,
        lambda s, o: {"conversation_id": str(s.conversation(o)), "name": "Vera"},
        {"name": "Mina"},
    ),
    "declared_ages": Row(
        lambda s, o: inserted(s, "characters", **character(o, is_public=True)),
        lambda s, o: {"name": "Vera", "age": 30},
        {"age": 31},
    ),
    "chat_worker_health": Row(checked, lambda s, o: {"is_healthy": True}, {"is_healthy": False}),
    "conversation_entries": Row(
        stored("conversation_entries", entry, "conversation_id"), entry, {"title": "Fog."}
    ),
    "conversation_memory": Row(
        lambda s, o: {"conversation_id": s.conversation(o)},
        lambda s, o: {"conversation_id": str(s.conversation(o)), "remembers": False},
        {"remembers": False},
    ),
    "conversation_settings": Row(
        stored("conversation_settings", settings, "conversation_id"), settings, {"note": "Fog."}
    ),
    "conversation_summaries": Row(summarised, summary, {"person_content": "They never met."}),
    "conversations": Row(
        lambda s, o: {"id": s.conversation(o)},
        lambda s, o: {"user_id": str(o.id), "character_id": str(DEMO_CHARACTER)},
        {"title": "Fog"},
    ),
    "conversation_characters": Row(joined, member, {"position": 2}),
    "health_check_steps": Row(
        stored("health_check_steps", step, "step"), step, {"begun_at": "2027-01-01"}
    ),
    "hidden_messages": Row(
        stored("hidden_messages", hidden, "conversation_id"), hidden, {"position": 2}
    ),
    "lorebooks": Row(
        lambda s, o: inserted(s, "lorebooks", **lorebook(user_id=str(o.id))),
        lambda s, o: lorebook(user_id=str(o.id), conversation_id=str(s.conversation(o))),
        {"name": "Harbour"},
    ),
    "lorebooks, of everybody": Row(
        lambda s, o: inserted(s, "lorebooks", **lorebook()),
        lambda s, o: lorebook(),
        {"name": "Harbour"},
    ),
    "memories": Row(
        lambda s, o: inserted(s, "memories", **memory(s, o)),
        memory,
        {"interaction_count": 5},
    ),
    "memory_facts": Row(
        lambda s, o: inserted(s, "memory_facts", **fact(s, o)), fact, {"content": "Dogs."}
    ),
    "messages": Row(
        lambda s, o: inserted(s, "messages", **message(s, o)), message, {"content": "Bye."}
    ),
    "model_cooldowns": Row(cooldown_written, lambda s, o: cooldown(s), {"until": "2026-01-01"}),
    "models_on_cooldown": Row(
        model_on_cooldown,
        lambda s, o: {"model_id": str(uuid4()), "until": "2027-01-01"},
        {"until": "2026-01-01"},
    ),
    "profiles": Row(lambda s, o: {"id": o.id}, without_profile, {"display_name": "Bob"}),
    "prompt_templates": Row(
        lambda s, o: inserted(s, "prompt_templates", **template()),
        lambda s, o: template(),
        {"system_prompt": "Be rude."},
    ),
    "provider_settings": Row(
        lambda s, o: inserted(s, "api_providers", **provider()),
        lambda s, o: provider(),
        {"base_url": "https://elsewhere.example"},
    ),
    "system_config": Row(
        lambda s, o: {"id": 1}, lambda s, o: {"id": 2}, {"updated_at": "2026-01-01"}
    ),
    "token_calibrations": Row(calibrated, lambda s, o: calibration(), {"ratio": 2}),
    "turn_prompts": Row(described, composed, {"composition": {"tokens": 2}}),
    "turns": Row(lambda s, o: inserted(s, "turns", **turn(s, o)), turn, {"task": "storytelling"}),
    "usage_events": Row(
        lambda s, o: inserted(s, "usage_events", **usage(o)), lambda s, o: usage(o), {"cost_usd": 0}
    ),
    "usage_hourly": Row(stored("usage_hourly", HOURLY, "model_key"), HOURLY, {"calls": 2}),
    "usage_daily": Row(stored("usage_daily", DAILY, "model_key"), DAILY, {"calls": 2}),
    "user_roles": Row(
        promoted,
        lambda s, o: {"user_id": str(o.id), "role": "admin"},
        {"created_at": "2026-01-01"},
    ),
    "worker_settings": Row(worker, lambda s, o: {"name": "gpu-2"}, {"priority": 1}),
}
BEHIND = {
    "account": "shared.profiles",
    "age_verifications": "(select id as user_id, display_name from shared.profiles) p",
    "limit_settings": "(select 'default' as role, config -> 'limits' as limits"
    " from private.system_settings) l",
    "model_catalog": "shared.api_models",
    "my_characters": "shared.characters",
    "turn_reports": "public.turns",
    "character_take_downs": "private.take_downs",
    "api_keys": "private.api_keys",
    "companions": "public.conversation_characters",
    "conversation_memory": "(select id as conversation_id, remembers from conversations) c",
    "declared_ages": "public.characters",
    "own_take_downs": "private.take_downs",
    "provider_settings": "public.api_providers",
    "report_queue": "public.character_reports",
    "worker_settings": "private.workers",
}
"""Where the rows of a view are that shows nothing to the owner of the database."""
VIEWS = {
    "chat_worker_health",
    "companions",
    "models_on_cooldown",
    "system_config",
    *BEHIND,
}
