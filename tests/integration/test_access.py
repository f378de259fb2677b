"""Nobody reads, writes or spends what is not theirs, and these lists are complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import Rollback

from edge.addresses import _NOT_PUBLIC, AddressRejected, check_address, is_public
from tests.support import addresses, patient
from tests.support.answers import error, reply, text, worker_healthy
from tests.support.data_api import refused
from tests.support.gateway import PUBLISHABLE_KEY, SECRET_KEY
from tests.support.postgres import Connection
from tests.support.stack import DEMO_CHARACTER, HEALTH_CHECK_SECRET, Stack, User
from tests.support.upstream import Upstream, running_upstream

# Who may select, insert, update and delete a row of its owner. The admin is another user with the
# role admin; service is the secret key.
MATRIX = """
                        anon  owner other admin service
account                 ----  s-u-  ----  ----  ----
age_verifications       ----  ----  ----  s---  ----
api_keys                ----  s---  ----  ----  ----
api_models              ----  s---  s---  siud  siud
api_models, inactive    ----  ----  ----  siud  siud
api_models, classifier  ----  s---  s---  s---  siud
api_providers           ----  s---  s---  si-d  siud
api_providers, inactive ----  ----  ----  siud  siud
api_providers, same key ----  s---  s---  s--d  siud
api_providers, waiting  ----  ----  ----  si-d  siud
blocked_authors         ----  s--d  ----  ----  siud
character_cards         ----  ----  ----  ----  siud
character_portraits     ----  s--d  ----  ----  siud
character_reports       ----  s---  ----  ----  siud
character_tags          ----  si-d  ----  ----  siud
character_take_downs    ----  ----  ----  s---  ----
characters              ----  siud  ----  ----  siud
characters, public      ----  siud  s---  s---  siud
characters, adult       ----  siud  ----  ----  siud
chat_worker_health      ----  s---  s---  s---  ----
companions              ----  s---  ----  ----  ----
conversation_entries    ----  siu-  ----  ----  siud
conversation_memory     ----  s-u-  ----  ----  ----
conversation_settings   ----  siud  ----  ----  siud
conversation_summaries  ----  siud  ----  ----  siud
conversations           ----  siud  ----  ----  siud
conversation_characters ----  siud  ----  ----  siud
declared_ages           ----  ----  ----  s-u-  ----
health_check_steps      ----  ----  ----  s---  siud
hidden_messages         ----  s---  ----  ----  siud
limit_settings          ----  ----  ----  s---  ----
lorebooks               ----  siud  ----  ----  siud
lorebooks, of everybody ----  ----  ----  siud  siud
memories                ----  si-d  ----  ----  siud
memory_facts            ----  siud  ----  ----  siud
messages                ----  si--  ----  ----  siud
model_cooldowns         ----  ----  ----  s---  siud
model_catalog           ----  ----  ----  s---  ----
my_characters           ----  siud  -i--  -i--  ----
models_on_cooldown      ----  s---  s---  s---  ----
own_take_downs          ----  s---  ----  ----  ----
profiles                ----  siu-  ----  s---  siud
prompt_templates        ----  ----  ----  s---  siud
provider_settings       ----  ----  ----  s---  ----
report_queue            ----  ----  ----  s---  ----
system_config           ----  ----  ----  s---  s---
token_calibrations      ----  ----  ----  s---  siud
turn_prompts            ----  s---  ----  ----  siud
turn_reports            ----  ----  ----  s---  ----
turns                   ----  s---  ----  s---  siud
usage_daily             ----  ----  ----  s---  siud
usage_events            ----  s---  ----  s---  siud
usage_hourly            ----  ----  ----  s---  siud
user_roles              ----  s---  ----  s---  siud
worker_settings         ----  ----  ----  s---  ----
"""
_HEAD, *_LINES = MATRIX.strip().splitlines()
ROLES = _HEAD.split()
EXPECTED = {
    " ".join(line.split()[: -len(ROLES)]): dict(
        zip(ROLES, line.split()[-len(ROLES) :], strict=True)
    )
    for line in _LINES
}

PRIVATE = {
    *("counters", "forgotten_facts", "given_secrets", "known_repairs", "model_repairs"),
    *("registered_workers", "summary_versions", "system_settings", "turn_replies", "workers"),
    *("message_variables", "portraits_to_remove", "take_downs", "catalogue", "leaving_users"),
    *(
        "conversation_personas",
        "conversation_versions",
        "fact_repeats",
        "memory_locks",
        "spent_by_person",
        "spent_daily",
        "token_ratios",
    ),
    "api_keys",
}
"""The relations that the Data API does not know."""

GRANTS = """
account: select
account: update(display_name)
age_verifications: select
api_keys: select
limit_settings: select
model_catalog: select
turn_reports: select
api_models: delete, insert, select, update
api_providers: delete
api_providers: insert(auth_header_name, auth_scheme, base_url, display_name, is_active, name,
    secret_name)
api_providers: select(display_name, id, is_active, name)
api_providers: update(display_name, is_active)
character_portraits: delete, select
blocked_authors: delete, select
character_reports: select(character_id, closed_at, created_at, details, id, outcome, reason,
    user_id)
character_tags: delete, select
character_tags: insert(character_id, tag)
character_take_downs: select
characters: delete, insert, select, update
chat_worker_health: select
companions: select
conversation_entries: insert(conversation_id, is_deleted, is_pinned, title)
conversation_entries: select
conversation_entries: update(conversation_id, is_deleted, is_pinned, title)
conversation_summaries: delete, select
conversation_summaries: insert(conversation_id, person_content, seen_position)
conversation_summaries: update(conversation_id, person_content, seen_position)
conversation_memory: select
conversation_memory: update(remembers)
conversation_settings: delete, select
conversation_settings: insert(conversation_id, note, note_depth, note_role, sampling)
conversation_settings: update(conversation_id, note, note_depth, note_role, sampling)
conversations: delete, select
conversations: insert(character_id, content_tier, id, remembers, title, user_character_id, user_id)
conversations: update(content_tier, remembers, title, user_character_id)
conversation_characters: delete, select
conversation_characters: insert(character_id, conversation_id, position)
conversation_characters: update(position)
declared_ages: select
declared_ages: update(age)
health_check_steps: select
hidden_messages: select
lorebooks: delete, select
lorebooks: insert(content, conversation_id, id, is_enabled, name, persona_id, user_id)
lorebooks: update(content, conversation_id, is_enabled, name, persona_id)
memories: delete, select
memories: insert(character_id, conversation_id, id, tier, user_id)
memories: update(character_id, conversation_id, id, tier, user_id)
memory_facts: delete, select
memory_facts: insert(content, id, importance, is_active, memory_id, pinned)
memory_facts: update(content, id, importance, is_active, memory_id, pinned)
messages: insert(content, conversation_id, id, message_type, sender)
messages: select
model_cooldowns: select
models_on_cooldown: select
own_take_downs: select
profiles: insert(display_name, id)
profiles: select
profiles: update(display_name)
my_characters: delete, select
my_characters: insert(age, alternate_greetings, character_book, content_rating, depth_prompt,
    depth_prompt_depth, depth_prompt_role, description, example_messages, first_message,
    group_only_greetings, id, is_public, name, nickname, personality, post_history_instructions,
    pronouns, scenario, system_prompt, talkativeness)
my_characters: update(age, alternate_greetings, character_book, content_rating, depth_prompt,
    depth_prompt_depth, depth_prompt_role, description, example_messages, first_message,
    group_only_greetings, is_public, name, nickname, personality, post_history_instructions,
    pronouns, scenario, system_prompt, talkativeness)
prompt_templates: select
provider_settings: select
report_queue: select
system_config: select
token_calibrations: select
turn_prompts: select
turns: select
usage_daily: select
usage_events: select
usage_hourly: select
user_roles: select
worker_settings: select
"""
"""What people who are signed in were granted. Everybody else: nothing."""

POLICIES = """
api_models_select api_models_insert api_models_update api_models_delete
api_providers_select api_providers_insert api_providers_update api_providers_delete
character_portraits_select character_portraits_delete
blocked_authors_select blocked_authors_delete
character_reports_select
character_tags_all
characters_select characters_insert characters_update characters_delete
conversation_entries_all
conversation_settings_all
conversation_summaries_all
conversations_select conversations_insert conversations_update conversations_delete
conversation_characters_all
health_check_steps_select
hidden_messages_select
lorebooks_all
memories_select memories_insert memories_update memories_delete
memory_facts_all
messages_select messages_insert
model_cooldowns_select
profiles_select profiles_insert profiles_update
prompt_templates_select
token_calibrations_select
turn_prompts_select
turns_select
usage_daily_select
usage_events_select
usage_hourly_select
user_roles_select
"""

STORAGE_POLICIES = "character_portraits_read character_portraits_upload"
"""Our policies on the files of Storage."""

SHARED = """
api_models api_providers characters conversations messages profiles prompt_templates system_config
user_roles
"""
"""The views through which functions reach the tables that an existing product may have."""

FUNCTIONS = {
    "service_role": """
        public.add_worker public.find_person public.record_age_verification
        public.begin_turn_with_key public.list_chat_characters public.read_turn
        public.apply_retention public.begin_step public.begin_turn public.branch_conversation
        public.choose_variant public.clear_passed_cooldowns public.close_abandoned_turns
        public.begin_account_deletion public.begin_admin_action public.model_to_test
        public.count_action public.declare_age public.delete_messages public.drain_worker
        public.edit_message public.export_chat public.hide_message public.import_chat
        public.purge_conversations
        public.embed_messages public.record_query
        public.end_step public.make_worker public.read_worker_keys public.read_workers
        public.register_worker public.remove_worker
        public.is_stop_requested public.stop_turn
        public.export_character public.fail_step public.finish_turn public.import_character
        public.import_lorebook public.keep_portrait public.portraits_removed
        public.portraits_to_remove public.reserve_portrait
        public.read_models public.read_providers public.read_settings
        public.record_catalog public.record_worker_health public.remember public.roll_up_usage
        public.schedule_health_check public.set_chat_worker_url public.unschedule_health_check
        public.usage_by_day public.usage_by_model public.usage_by_user public.verify_installation
    """,
    "authenticated": """
        public.set_limits public.turn_report private.own_profile private.verified_people
        public.create_api_key public.revoke_api_key
        private.my_characters
        private.all_workers private.are_prices private.is_age_verified private.is_member
        private.is_played private.is_taken_down private.is_unused_secret private.may_meet
        private.may_upload_portrait private.owns_character private.reported_texts
        private.shown_workers private.workers_on_cooldown public.account_contents
        public.block_author public.catalogue_tags public.dismiss_reports public.download_account
        public.list_conversations public.read_limits public.report_character
        public.restore_character public.search_catalogue public.search_conversations
        public.set_default_model public.take_down_character public.undo_take_down
        shared.has_our_policies
    """,
    "authenticated service_role": """
        private.is_admin private.is_blank private.plain_words private.search_terms
        private.without_marks
    """,
    # Called by other functions, triggers and constraints.
    "": """
        private.given_name private.name_new_person private.admit_api_key
        private.note_truncation
        private.active_caller private.raise_if_blocked
        private.conversation_title private.listed private.one_line
        private.any_of private.lexemes private.more_terms private.search_hashes
        private.search_messages private.search_pattern
        private.search_query private.snippet private.stays_deleted
        private.terms_in private.text_language private.without_accents
        private.without_katakana
        private.write_conversation_entry
        shared.delete_conversation shared.given_title
        private.write_my_character shared.edit_character shared.delete_character
        private.count_of private.normalised private.keep_choice private.plain_gist
        private.write_account
        shared.set_display_name
        private.accept_turn private.any_minor private.are_limits private.bounded
        private.count_before private.has_counting_entries
        private.best_workers
        private.branch_embeddings private.branch_memory private.branch_personas
        private.messages_to_branch private.drop_facts
        private.forget_embedding private.forget_facts_of private.forget_message
        private.forget_messages private.lock_memory
        private.has_portraits private.install_portraits private.remove_portrait
        private.has_embeddings private.install_embeddings private.nearest
        private.embedding_at private.models_for_embedding private.vector_space
        private.recall_by_words
        private.account_contents private.forget_leaving_user
        private.account_messages private.account_profile private.account_rows
        private.account_sections
        private.character_of_others private.check_my_character private.check_tag
        private.close_reports private.count_own_use
        private.counted_uses private.deciding_admin private.is_found private.may_answer
        private.minute_over private.tags_of private.take_tags private.used_turns
        private.forget_summary_versions private.keep_version private.note_fact
        private.note_for_listeners private.with_noted
        private.goes_on private.hide_too private.is_later private.place_in
        private.check_facts private.check_memory private.narrow_fact private.restore_facts
        private.count_facts private.keep_memory private.is_list_or_object private.read_own_facts
        private.forget_seen_position
        private.shape_fact
        private.absorb_fact private.lock_facts private.unite_facts
        private.take_person_summary
        private.forget_prompt private.keep_prompt private.keep_variables
        private.forget_variables
        private.variables_before private.branch_variables
        private.check_sampling private.hidden_positions private.may_use private.own_named
        private.settings_of private.write_chat
        private.calibrate private.used_ratio private.call_health_check private.cast_facts
        private.catalog_prices
        private.character_facts private.check_account private.check_own_characters
        private.check_own_message private.guard_writes
        private.cool_down private.count_row private.count_use private.backlog
        private.forget_summary_from private.history private.history_bytes private.review_facts
        private.uncover_newest private.move_sources private.forget_conversation
        private.is_public_host private.is_retention
        private.is_spent private.is_worker_healthy private.keep_settings
        private.keep_sfw_of_deleted private.keep_sfw_with
        private.keep_sfw_with_age private.keep_sfw_with_members private.keep_sfw_with_minors
        private.branch_lorebooks private.check_lorebooks private.lorebooks_for
        private.lorebooks_to_branch
        private.limits_for private.members private.models_for private.most_history_bytes
        private.named_at private.named_member private.orphan_turn private.others
        private.personas_of private.place_request private.preferred_worker private.reached_limit
        private.recall private.record_persona
        private.record_given_secret private.record_interaction private.record_usage
        private.remember private.remember_repairs private.remember_safely private.remembered
        private.replay private.reply_at private.running_on private.speaker private.spent_by_all
        private.newer_health private.spent_by private.turns_begun private.turns_running
        private.spoken_language
        private.tier_of private.changed_since private.note_change private.note_spending
        private.touch_fact private.touch_updated_at private.turn_context
        private.workers_for
        private.hold_account private.hold_person private.watch_messages private.watched
        private.usage_grouped private.usage_sums private.why_account_blocked
        private.why_action_blocked private.why_address_rejected private.write_conversation_memory
        private.write_declared_age private.written_before
        shared.forget_conversations shared.hold_character shared.hold_conversation
        shared.import_messages shared.installation shared.is_ours shared.most_imported
        shared.lock_ages shared.may_answer_another shared.next_position
    """,
}
"""All functions, by the roles that may execute them."""


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


class Trial:
    """One role tries all four operations on rows of the owner."""

    def __init__(self, stack: Stack, name: str, role: str) -> None:
        self.stack = stack
        self.table = name.partition(",")[0]
        self.row = ROWS[name]
        self.role = role

    def allowed(self) -> str:
        """The letters of the allowed operations, as in the matrix."""
        tries = {"s": self.select, "i": self.insert, "u": self.update, "d": self.delete}
        return "".join(letter if allowed() else "-" for letter, allowed in tries.items())

    def select(self) -> bool:
        with self._acting() as (owner, api):
            key = self.row.make(self.stack, owner)
            columns = {"select": next(iter(key))}
            answer = api.get(f"/{self.table}", params=columns | self._filter(key))
            return bool(answer.is_success and answer.json()) or self._refused(answer)

    def insert(self) -> bool:
        with self._acting() as (owner, api):
            answer = api.post(f"/{self.table}", json=self.row.body(self.stack, owner))
            return answer.status_code == 201 or self._refused(answer)

    def update(self) -> bool:
        with self._acting() as (owner, api):
            key = self.row.make(self.stack, owner)
            before = self._stored(key)
            answer = api.patch(f"/{self.table}", params=self._filter(key), json=self.row.change)
            return self._stored(key) != before or self._refused(answer)

    def delete(self) -> bool:
        with self._acting() as (owner, api):
            key = self.row.make(self.stack, owner)
            answer = api.delete(f"/{self.table}", params=self._filter(key))
            return not self._stored(key) or self._refused(answer)

    @contextmanager
    def _acting(self) -> Iterator[tuple[User, httpx.Client]]:
        """A new owner, and a client of the Data API with the role."""
        owner = self.stack.user()
        actor = {"owner": owner, "other": self.stack.user(), "admin": self.stack.user()}
        promoted(self.stack, actor["admin"])
        key = SECRET_KEY if self.role == "service" else PUBLISHABLE_KEY
        with self.stack.data_api(actor.get(self.role), key=key) as api:
            yield owner, api

    def _filter(self, key: dict[str, Any]) -> dict[str, str]:
        return {column: f"eq.{value}" for column, value in key.items()}

    def _stored(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        ((column, value),) = key.items()
        table = BEHIND.get(self.table, f"public.{self.table}")
        return self.stack.all(f"select * from {table} where {column} = %s", value)  # noqa: S608

    def _refused(self, answer: httpx.Response) -> bool:
        """False, after checking that only the missing permission was the reason."""
        if answer.is_error and self.table not in VIEWS:
            assert refused(answer), answer.text
        elif answer.is_error:  # Not every operation is possible on a view.
            assert answer.status_code in (400, 401, 403, 405, 500), answer.text
        return False


CONSOLE = pytest.mark.own_tables("its admin pages are its own: tests/existing/test_adopted.py")
THEIRS = pytest.mark.own_tables("its policies are its own, and stay: tests/existing/test_facts.py")
OF_A_PRODUCT = {
    *("api_models", "api_providers", "characters", "conversations", "messages", "profiles"),
    *("prompt_templates", "provider_settings", "system_config", "user_roles"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=THEIRS if name.partition(",")[0] in OF_A_PRODUCT else ())
        for name in EXPECTED
    ],
)
def test_policy_matrix(stack: Stack, name: str) -> None:
    assert {role: Trial(stack, name, role).allowed() for role in ROLES} == EXPECTED[name]


@pytest.mark.own_tables("what is added there: tests/existing/test_adopted.py")
class TestNothingIsLeftOut:
    """New tables, policies, functions and grants have to be added above."""

    def test_every_table_and_view_is_in_the_list(self, stack: Stack) -> None:
        rows = stack.all("""
            select relnamespace::regnamespace::text as schema, relname as name from pg_class
            where relnamespace::regnamespace::text in ('public', 'private', 'shared')
              and relkind in ('r', 'p', 'v', 'm', 'f')""")
        found = {(row["schema"], row["name"]) for row in rows}
        listed = {("public", name.partition(",")[0]) for name in EXPECTED}
        seam = {("shared", name) for name in SHARED.split()}
        assert found == listed | {("private", name) for name in PRIVATE} | seam
        assert set(ROWS) == set(EXPECTED)

    def test_every_grant_is_in_the_list(self, stack: Stack) -> None:
        rows = stack.all("""
            with granted as (
              select c.relname as name, lower(a.privilege_type) as right, null as column, a.grantee
              from pg_class c, aclexplode(c.relacl) a
              where c.relnamespace::regnamespace::text in ('public', 'private', 'shared')
              union all
              select c.relname, lower(a.privilege_type), t.attname, a.grantee
              from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
              where c.relnamespace::regnamespace::text in ('public', 'private', 'shared'))
            select g.name, g.right, coalesce(r.rolname, 'public') as role,
                   string_agg(g.column, ', ' order by g.column) as columns
            from granted g left join pg_roles r on r.oid = g.grantee
            where coalesce(r.rolname, 'public') in ('public', 'anon', 'authenticated')
            group by 1, 2, 3 order by 1, 2""")
        assert {row["role"] for row in rows} == {"authenticated"}
        whole: dict[str, list[str]] = {}
        for row in rows:
            if row["columns"] is None:
                whole.setdefault(row["name"], []).append(row["right"])
        found = {f"{name}: {', '.join(rights)}" for name, rights in whole.items()}
        found |= {f"{r['name']}: {r['right']}({r['columns']})" for r in rows if r["columns"]}
        assert found == set(GRANTS.replace("\n    ", " ").strip().splitlines())

    def test_every_policy_is_in_the_list(self, stack: Stack) -> None:
        found = stack.all("select * from pg_policies where schemaname not in ('auth', 'vault')")
        assert {tuple(row["roles"]) for row in found} == {("authenticated",)}
        stored = {row["policyname"] for row in found if row["schemaname"] == "storage"}
        assert stored == set(STORAGE_POLICIES.split())
        rows = [row for row in found if row["schemaname"] != "storage"]
        assert {row["policyname"] for row in rows} == set(POLICIES.split())
        assert all(row["policyname"] == f"{row['tablename']}_{row['cmd'].lower()}" for row in rows)

    def test_every_function_is_in_the_list(self, stack: Stack) -> None:
        rows = stack.all("""
            select pronamespace::regnamespace || '.' || proname as name,
                   array_to_string(array(
                     select role from unnest(array['anon', 'authenticated', 'service_role']) role
                     where has_function_privilege(role, oid, 'execute')), ' ') as who
            from pg_proc
            where pronamespace::regnamespace::text in ('public', 'private', 'shared')""")
        listed = {name: who for who, names in FUNCTIONS.items() for name in names.split()}
        assert {row["name"]: row["who"] for row in rows} == listed

    def test_every_table_that_people_insert_into_has_a_quota(self, stack: Stack) -> None:
        granted = stack.all("""
            select relname as name from pg_class c
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
              and has_any_column_privilege('authenticated', c.oid, 'insert')""")
        counted = stack.all("""
            select c.relname as name, pg_get_triggerdef(t.oid) as trigger
            from pg_trigger t join pg_class c on c.oid = tgrelid
            where tgfoid = 'private.count_row'::regproc and tgenabled = 'O'""")
        assert {row["name"] for row in counted} == {row["name"] for row in granted}
        for row in counted:
            assert "BEFORE INSERT" in row["trigger"]
            assert "FOR EACH ROW" in row["trigger"]

    def test_every_table_that_people_write_asks_for_their_account(self, stack: Stack) -> None:
        granted = stack.all("""
            select relname as name from pg_class c
            where relnamespace = 'public'::regnamespace
              and (has_any_column_privilege('authenticated', c.oid, 'insert, update')
                   or has_table_privilege('authenticated', c.oid, 'delete'))""")
        asked = stack.all("""
            select c.relname as name, pg_get_triggerdef(t.oid) as trigger
            from pg_trigger t join pg_class c on c.oid = tgrelid
            where tgfoid = 'private.check_account'::regproc and tgenabled = 'O'""")
        assert {row["name"] for row in asked} == {row["name"] for row in granted}
        for row in asked:
            # Of a statement: also one that finds no row says nothing else.
            assert "BEFORE INSERT OR DELETE OR UPDATE ON" in row["trigger"]
            assert "FOR EACH STATEMENT" in row["trigger"]

    def test_no_other_schema_is_open(self, stack: Stack) -> None:
        rows = stack.all("""
            select nspname from pg_namespace
            where has_schema_privilege('authenticated', oid, 'usage')
              and nspname not in (
                'pg_catalog', 'information_schema', 'auth', 'extensions', 'storage')""")
        assert {row["nspname"] for row in rows} == {"public", "private"}


@CONSOLE
class TestDefaultModel:
    """One call changes the default model; only admins may call it."""

    def default(self, stack: Stack) -> UUID:
        row = stack.one("select id from api_models where task = 'roleplay' and is_default")
        return UUID(str(row["id"]))

    def choose(self, stack: Stack, user: User, model_id: UUID) -> httpx.Response:
        with stack.data_api(user) as api:
            return api.post("/rpc/set_default_model", json={"p_model_id": str(model_id)})

    def test_admin_sets_the_default_model(self, stack: Stack) -> None:
        admin = stack.user()
        promoted(stack, admin)
        other = stack.insert("api_models", **model(stack))
        assert self.choose(stack, admin, other).is_success
        assert self.default(stack) == other

    def test_others_cannot_set_the_default_model(self, stack: Stack) -> None:
        before, other = self.default(stack), stack.insert("api_models", **model(stack))
        assert refused(self.choose(stack, stack.user(), other))
        assert self.default(stack) == before

    @pytest.mark.parametrize("of", [{"is_active": False}, {"task": "moderation"}])
    def test_what_cannot_answer_is_not_chosen(self, stack: Stack, of: dict[str, Any]) -> None:
        admin = stack.user()
        promoted(stack, admin)
        before, other = self.default(stack), stack.insert("api_models", **model(stack, **of))
        assert self.choose(stack, admin, other).status_code == 400
        assert self.default(stack) == before


@CONSOLE
class TestProvidersThatGo:
    """An admin removes a provider; its key cannot be sent elsewhere."""

    @pytest.fixture
    def api(self, stack: Stack) -> Iterator[httpx.Client]:
        admin = stack.user()
        promoted(stack, admin)
        with stack.data_api(admin) as api:
            yield api

    def test_its_key_is_not_given_again(self, stack: Stack, api: httpx.Client) -> None:
        row = provider()
        assert api.post("/api_providers", json=row).is_success
        assert api.delete("/api_providers", params={"name": f"eq.{row['name']}"}).is_success
        assert stack.all("select from api_providers where name = %s", row["name"]) == []
        again = row | {"base_url": "https://elsewhere.example"}
        assert refused(api.post("/api_providers", json=again))

    def test_a_key_that_was_replaced_is_not_given_either(
        self, stack: Stack, api: httpx.Client
    ) -> None:
        row = provider()
        stack.insert("api_providers", **row)
        other = {"secret_name": f"OTHER_{row['secret_name']}"}
        stack.db.execute(
            "update api_providers set secret_name = %s where name = %s",
            (other["secret_name"], row["name"]),
        )
        for name in (row["secret_name"], other["secret_name"]):
            assert refused(api.post("/api_providers", json=provider(secret_name=name)))

    def test_one_with_models_stays(self, stack: Stack, api: httpx.Client) -> None:
        answer = api.delete("/api_providers", params={"name": "eq.openrouter"})
        assert answer.status_code == 409
        assert answer.json()["code"] == "23503"
        assert stack.all("select from api_providers where name = 'openrouter'")


@CONSOLE
class TestProvidersFromABrowser:
    """A provider that an admin adds gets no keys and prompts until an operator approves it."""

    @pytest.fixture
    def elsewhere(self) -> Iterator[Upstream]:
        """The admin's own host."""
        with running_upstream() as server:
            server.always(text("From elsewhere."))
            yield server

    @pytest.fixture
    def api(self, stack: Stack) -> Iterator[httpx.Client]:
        admin = stack.user()
        promoted(stack, admin)
        with stack.data_api(admin) as api:
            yield api

    def add(
        self, stack: Stack, api: httpx.Client, url: str, task: str = "roleplay", **more: Any
    ) -> str:
        """Adds a provider with a model, the default for everybody; returns the model's key."""
        row = provider(base_url=url, **more)
        assert api.post("/api_providers", json=row).is_success
        found = stack.one("select id from api_providers where name = %s", row["name"])
        free = {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}
        capable = {"nsfw": True, "memory": True}
        own = model(stack, provider_id=str(found["id"]), pricing=free, capabilities=capable)
        own |= {"task": task, "priority": 0}
        assert api.post("/api_models", json=own).is_success
        new = stack.one("select id from api_models where model_key = %s", own["model_key"])
        call = {"p_model_id": str(new["id"])}
        assert api.post("/rpc/set_default_model", json=call).is_success
        return str(own["model_key"])

    @pytest.mark.parametrize(
        "more",
        [
            {"auth_scheme": "none", "secret_name": None},
            {"secret_name": "Spare_API_KEY"},
            {"secret_name": "Spare_API_KEY", "auth_scheme": "header", "auth_header_name": "X-Key"},
            {"secret_name": "Second_API_KEY"},
            {"secret_name": "Pods_API_KEY"},
        ],
        ids=["no-key", "unused-key", "in-a-header", "key-of-a-worker", "key-of-a-wake-hook"],
    )
    @pytest.mark.parametrize("task", ["roleplay", "storytelling", "prompt_enhancement"])
    def test_gets_neither_prompts_nor_keys(
        self, stack: Stack, api: httpx.Client, elsewhere: Upstream, task: str, more: dict[str, Any]
    ) -> None:
        hook = {"url": "https://pods.example", "secret_name": "Pods_API_KEY"}
        second = {"secret_name": "Second_API_KEY", "options": {"wake": hook}}
        stack.add_worker("second", "https://second.example", **second)
        own = self.add(stack, api, elsewhere.url, task, **more)
        user = stack.user()
        where = {"conversation_id": str(stack.conversation(user))} if task == "roleplay" else {}
        stack.upstream.always(text("From OpenRouter."))
        keys = dict.fromkeys(("Spare_API_KEY", "Second_API_KEY", "Pods_API_KEY"), "canary")

        with stack.serving(**keys) as url:
            for chosen in (own, None):
                body = {"task": task, "message": "Hello", "model_provider": chosen} | where
                assert stack.chat(user, url=url, **body).json()["response"] == "From OpenRouter."
        with stack.serving("health_check", **keys) as url:
            assert patient.get(
                url, headers={"X-Health-Check-Secret": HEALTH_CHECK_SECRET}
            ).is_success

        assert elsewhere.calls == []
        assert elsewhere.connections == 0

    def test_is_not_offered_and_not_approved_by_an_admin(
        self, stack: Stack, api: httpx.Client, elsewhere: Upstream
    ) -> None:
        self.add(stack, api, elsewhere.url)
        ask = {"select": "base_url,is_approved", "is_approved": "eq.false"}
        assert api.get("/provider_settings", params=ask).json() == [
            {"base_url": elsewhere.url, "is_approved": False}
        ]
        waiting = {"base_url": f"eq.{elsewhere.url}"}
        assert refused(api.patch("/api_providers", params=waiting, json={"is_approved": True}))
        assert refused(api.post("/api_providers", json=provider(is_approved=True)))
        with stack.data_api(stack.user()) as person:
            listed = person.get("/api_providers", params={"select": "name"}).json()
        assert listed == [{"name": "openrouter"}]

    def test_approved_provider_gets_requests(
        self, stack: Stack, api: httpx.Client, elsewhere: Upstream
    ) -> None:
        self.add(stack, api, elsewhere.url, secret_name="Spare_API_KEY")
        with stack.data_api(key=SECRET_KEY) as operator:
            waiting = {"base_url": f"eq.{elsewhere.url}"}
            change = {"is_approved": True}
            assert operator.patch("/api_providers", params=waiting, json=change).is_success
        user = stack.user()
        body = {"conversation_id": str(stack.conversation(user)), "message": "Hello"}
        with stack.serving(Spare_API_KEY="spare") as url:
            assert stack.chat(user, url=url, **body).json()["response"] == "From elsewhere."
        [call] = elsewhere.calls
        assert call.headers["authorization"] == "Bearer spare"


class TestWordsOfOthers:
    """Admins see turns and their cost, but no texts of users."""

    TABLES = (
        *("turns", "characters", "character_cards", "messages", "conversations", "memories"),
        *("memory_facts", "conversation_summaries", "usage_events", "health_check_steps"),
        *("system_config", "conversation_characters", "token_calibrations", "model_cooldowns"),
        *("turn_prompts", "conversation_settings", "hidden_messages"),
        *("turn_reports", "conversation_entries", "account", "limit_settings"),
    )

    @pytest.mark.own_tables("its admins see all characters")
    def test_texts_of_others_are_in_nothing_that_an_admin_reads(self, stack: Stack) -> None:
        words, ann, admin = "quince-and-vellum", stack.user(), stack.user()
        promoted(stack, admin)
        mine = character(ann, description=words, character_book={"entries": [{"content": words}]})
        vera = str(stack.insert("characters", **mine))
        stack.db.execute(
            "insert into character_cards (character_id, card) values (%s, %s)",
            (vera, f'{{"note": "{words}"}}'),
        )
        memory_id = stack.insert("memories", **memory(stack, ann))
        stack.insert("memory_facts", memory_id=memory_id, content=words)
        conversation = str(stack.conversation(ann, words, character_id=vera, title=words))
        stack.upstream.always(text(f"A reply with {words}."))
        drafts = [
            {"task": "prompt_enhancement", "message": words},
            {"task": "storytelling", "message": words},
            {"conversation_id": conversation, "action": "impersonate"},
        ]
        said = {"conversation_id": conversation, "message": words}
        for number, body in enumerate((*drafts, said)):
            answer = stack.chat(ann, client_message_id=f"{number}", **body).json()
            assert words in answer["response"]
            again = stack.chat(ann, client_message_id=f"{number}", **body).json()
            assert again["response"] == answer["response"]

        with stack.data_api(admin) as api:
            seen = {table: api.get(f"/{table}") for table in self.TABLES}
            ended = api.get("/turns", params={"select": "status,model_used,cost_usd,result"}).json()
        assert [table for table, answer in seen.items() if words in answer.text] == []
        assert len(ended) == 4
        assert {row["status"] for row in ended} == {"complete"}
        assert all(row["result"]["usage"] for row in ended)

    def test_replies_that_are_no_message_go_with_the_results(self, stack: Stack) -> None:
        ann = stack.user()
        stack.upstream.always(text("A quiet harbour."))
        body = {"task": "prompt_enhancement", "message": "A harbour.", "client_message_id": "a"}
        assert stack.chat(ann, **body).status_code == 200
        stack.db.execute("update turns set finished_at = now() - interval '31 days'")
        assert stack.one("select apply_retention() as gone")["gone"]["turn_results"] == 1
        assert stack.all("select from private.turn_replies") == []
        assert stack.chat(ann, **body).json()["code"] == "reply_deleted"


@pytest.mark.installations
class TestPrivateSchema:
    @pytest.fixture
    def database(self, stack: Stack) -> Iterator[Connection]:
        """A block in which a role can be set; it is reset at the end."""
        with stack.db.transaction():
            yield stack.db
            raise Rollback

    @pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
    @pytest.mark.parametrize(
        "query",
        [
            "select * from private.system_settings",
            "update private.system_settings set config = '{}'",
            "select private.models_for('roleplay')",
            "select private.remembered(gen_random_uuid(), 'profile', null, null)",
            "select private.limits_for(gen_random_uuid())",
            "select private.forget_summary_from(gen_random_uuid(), 0)",
            "select * from private.forgotten_facts",
            pytest.param("select * from private.given_secrets", marks=CONSOLE),
            "select * from private.turn_replies",
            "select private.why_account_blocked(gen_random_uuid())",
        ],
    )
    def test_private_schema_is_closed(self, database: Connection, role: str, query: str) -> None:
        database.execute(f"set local role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute(query.encode())

    def test_private_schema_is_not_served(self, stack: Stack) -> None:
        with stack.data_api(stack.user()) as api:
            answer = api.get("/system_settings", headers={"Accept-Profile": "private"})
            assert answer.status_code == 406
            answer = api.post("/rpc/is_admin", headers={"Content-Profile": "private"}, json={})
            assert answer.status_code == 406


@pytest.mark.installations
class TestCharactersOfOthers:
    """A row must not refer to a character that its owner cannot see."""

    @pytest.fixture(params=["other", "admin"])
    def api(self, stack: Stack, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
        """The Data API as another user, who may be an admin and see all characters."""
        self.me = stack.user()
        if request.param == "admin":
            promoted(stack, self.me)
        with stack.data_api(self.me) as api:
            yield api

    @pytest.fixture
    def hidden(self, stack: Stack) -> str:
        return str(stack.insert("characters", user_id=stack.user().id, name="Private"))

    @pytest.fixture(params=["mine", "public"])
    def visible(self, stack: Stack, api: httpx.Client, request: pytest.FixtureRequest) -> str:
        if request.param == "public":
            return str(DEMO_CHARACTER)
        return str(stack.insert("characters", user_id=self.me.id, name="Mine"))

    @THEIRS
    @pytest.mark.parametrize("column", ["character_id", "user_character_id"])
    def test_conversation_with_a_hidden_character_is_rejected(
        self, api: httpx.Client, hidden: str, column: str
    ) -> None:
        assert refused(api.post("/conversations", json=self.mine({column: hidden})))

    @pytest.mark.parametrize("column", ["character_id", "user_character_id"])
    def test_visible_ones_may_be(self, api: httpx.Client, visible: str, column: str) -> None:
        assert api.post("/conversations", json=self.mine({column: visible})).status_code == 201

    @THEIRS
    def test_as_a_persona_later(self, stack: Stack, api: httpx.Client, hidden: str) -> None:
        mine = {"id": f"eq.{stack.conversation(self.me)}"}
        change = {"user_character_id": hidden}
        assert refused(api.patch("/conversations", params=mine, json=change))
        change = {"user_character_id": str(DEMO_CHARACTER)}
        assert api.patch("/conversations", params=mine, json=change).is_success

    def test_memory_of_a_hidden_character_is_rejected(self, api: httpx.Client, hidden: str) -> None:
        row = self.mine({"tier": "character", "character_id": hidden})
        assert refused(api.post("/memories", json=row))

    def test_visible_ones_may_be_remembered(self, api: httpx.Client, visible: str) -> None:
        row = self.mine({"tier": "character", "character_id": visible})
        assert api.post("/memories", json=row).status_code == 201

    def test_conversation_of_somebody_else_is_not_remembered(
        self, stack: Stack, api: httpx.Client
    ) -> None:
        theirs = str(stack.conversation(stack.user()))
        row = self.mine({"tier": "conversation", "conversation_id": theirs})
        assert refused(api.post("/memories", json=row))

    def mine(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"user_id": str(self.me.id)} | row


class TestWorkerAddress:
    """The server at the registered address gets the worker's key and the chats."""

    @pytest.fixture(autouse=True)
    def deployed(self, stack: Stack) -> None:
        stack.configure(allowLocalWorkers=False)

    def register(self, stack: Stack, url: str) -> None:
        stack.db.execute("select set_chat_worker_url(%s)", (url,))

    def registered(self, stack: Stack) -> str | None:
        url = stack.one("select config ->> 'chatWorkerUrl' as url from system_config")["url"]
        return None if url is None else str(url)

    @pytest.mark.parametrize("url", addresses.PUBLIC)
    def test_public_https_address_is_taken(self, stack: Stack, url: str) -> None:
        self.register(stack, url)
        assert self.registered(stack) == url

    @pytest.mark.parametrize(
        "url",
        [
            *addresses.LOCAL,
            *addresses.DISGUISED,
            *addresses.NO_ADDRESS,
            "https://worker.example?x=1",
            "https://worker.example#x",
            "https://worker.example/a b",
            "https://worker.example/\\evil.example",
            "https://worker.example:0",
            "https://[2606:4700::1111]evil.example",
            "https://[2606:4700::zzzz]",
            "https://256.1.1.1",
            "https://010.1.1.1",
            "https://worker.example\n",
            f"https://worker.example/{'a' * 2000}",
        ],
    )
    def test_every_other_address_is_refused(self, stack: Stack, url: str) -> None:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="the worker's address"):
            self.register(stack, url)
        assert self.registered(stack) is None

    @pytest.mark.parametrize("url", addresses.LOCAL)
    def test_local_work_may_allow_local_addresses(self, stack: Stack, url: str) -> None:
        stack.configure(allowLocalWorkers=True)
        self.register(stack, url)
        assert self.registered(stack) == url

    @pytest.mark.parametrize("url", addresses.NO_ADDRESS)
    def test_local_work_does_not_allow_everything(self, stack: Stack, url: str) -> None:
        stack.configure(allowLocalWorkers=True)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            self.register(stack, url)

    @pytest.mark.parametrize("setting", ["true", 1, None])
    def test_nothing_but_true_allows_local_addresses(self, stack: Stack, setting: object) -> None:
        stack.configure(allowLocalWorkers=setting)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            self.register(stack, "http://127.0.0.1:8788")

    @pytest.mark.own_tables("there system_config is the product's, and settings are private")
    def test_service_key_cannot_allow_them(self, stack: Stack) -> None:
        with stack.data_api(key=SECRET_KEY) as operator:
            config = {"config": {"allowLocalWorkers": True}}
            assert operator.patch("/system_config", params={"id": "eq.1"}, json=config).is_error
            call = {"p_url": "https://169.254.169.254/latest"}
            answer = operator.post("/rpc/set_chat_worker_url", json=call)
        assert (answer.status_code, answer.json()["code"]) == (400, "22023")

    def test_functions_and_database_know_the_same_addresses(self, stack: Stack) -> None:
        random = Random(5)  # noqa: S311 - the same every time
        edges = [
            ip_address(int(end) + step)
            for network in _NOT_PUBLIC
            for end in (network.network_address, network.broadcast_address)
            for step in (-1, 0, 1)
            if 0 <= int(end) + step < 2**network.max_prefixlen
        ]
        edges = [ip if ip.version == 4 or int(ip) >= 2**32 else ip_address("::1") for ip in edges]
        some = [IPv4Address(random.getrandbits(32)) for _ in range(500)]
        some += [IPv6Address(random.getrandbits(128)) for _ in range(200)]
        some += [IPv6Address(2**125 + random.getrandbits(125)) for _ in range(500)]
        known = [ip_address(one) for one in (*addresses.NOT_PUBLIC, *addresses.ARE_PUBLIC)]
        asked = {f"[{ip}]" if ip.version == 6 else str(ip) for ip in (*edges, *some, *known)}
        rows = stack.all(
            "select host, private.is_public_host(host) as public"
            " from unnest(%s::text[]) as h (host)",
            sorted(asked),
        )
        assert len(rows) > 1_000
        assert [
            row["host"] for row in rows if row["public"] != is_public(row["host"].strip("[]"))
        ] == []

    def test_functions_and_database_know_the_same_names(self, stack: Stack) -> None:
        label = "a" * 63
        long = ".".join([label] * 3)
        urls = [
            *(addresses.PUBLIC + addresses.LOCAL + addresses.DISGUISED + addresses.NO_ADDRESS),
            *(
                f"https://{label}.example",
                f"https://{label}a.example",
                f"https://{long}.{'a' * 61}",
            ),
            *(f"https://{long}.{'a' * 62}", "https://a_b.example", "https://a.example.."),
            *("https://a.1", "https://a.b1", "https://1.b", "https://a.-b", "https://a.b-"),
        ]
        for url in urls:
            row = stack.one("select private.why_address_rejected(%s, false) is null as taken", url)
            assert row["taken"] == is_taken(url), url

    def test_new_address_begins_without_health(self, stack: Stack) -> None:
        self.register(stack, "https://a.example")
        stack.worker_health(workerUrl="https://a.example")
        self.register(stack, "https://b.example")
        config = stack.one("select config from system_config")["config"]
        assert config["workerHealthCache"] == {}


def is_taken(url: str) -> bool:
    try:
        check_address(url, allow_local=False)
    except AddressRejected:
        return False
    return True


class TestKeysStayWhereTheyBelong:
    @pytest.fixture
    def elsewhere(self) -> Iterator[Upstream]:
        """A host that is not registered."""
        with running_upstream() as server:
            server.always(reply(200, {"success": True, "response": "Gotcha."}))
            yield server

    def talk(self, stack: Stack, **body: Any) -> dict[str, Any]:
        user = stack.user()
        conversation = str(stack.conversation(user))
        answer = stack.chat(user, conversation_id=conversation, message="Hello", **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_worker_that_redirects_is_not_followed(
        self, stack: Stack, elsewhere: Upstream, status: int
    ) -> None:
        stack.register_worker()
        stack.worker_health()
        stack.worker.always(reply(status, "", {"Location": f"{elsewhere.url}/chat"}))
        stack.upstream.enqueue(text("From OpenRouter."))

        body = self.talk(stack, model_provider="chat_worker")
        stack.health_check()

        assert body["response"] == "From OpenRouter."
        assert elsewhere.calls == []

    def test_provider_that_redirects_is_not_followed(
        self, stack: Stack, elsewhere: Upstream
    ) -> None:
        stack.register_worker()
        stack.worker_health()
        stack.upstream.always(reply(307, "", {"Location": f"{elsewhere.url}/chat/completions"}))
        stack.worker.enqueue(reply(200, {"success": True, "response": "From the worker."}))

        assert self.talk(stack)["response"] == "From the worker."
        assert elsewhere.calls == []

    def test_address_that_was_replaced_gets_nothing_more(
        self, stack: Stack, elsewhere: Upstream
    ) -> None:
        stack.register_worker(elsewhere.url)
        stack.register_worker()
        stack.worker.enqueue(worker_healthy(), to="/health")
        stack.worker.enqueue(reply(200, {"success": True, "response": "Here."}), to="/chat")

        stack.health_check()
        assert self.talk(stack, model_provider="chat_worker")["response"] == "Here."

        assert elsewhere.calls == []

    def test_cookies_of_an_upstream_are_not_sent_back(self, stack: Stack) -> None:
        cookie = {"Set-Cookie": "who=me; Path=/"}
        stack.upstream.enqueue(error(404, "", cookie), text("Yes."))
        self.talk(stack)
        assert [call.headers.get("cookie") for call in stack.upstream.calls] == [None, None]

    def test_provider_without_https_gets_no_key(self, stack: Stack) -> None:
        with stack.serving(ALLOW_LOCAL_UPSTREAMS="false") as url:
            user = stack.user()
            conversation = str(stack.conversation(user))
            answer = stack.chat(user, url=url, conversation_id=conversation, message="Hello")
        assert answer.status_code == 503
        assert stack.upstream.connections == 0 or stack.upstream.calls == []

    @pytest.mark.parametrize(
        "name",
        ["SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", "SUPABASE_X_API_KEY", "supabase_API_KEY"],
    )
    def test_row_cannot_name_a_secret_of_the_function(self, stack: Stack, name: str) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            stack.db.execute("update api_providers set secret_name = %s", (name,))

    def test_row_that_names_the_workers_key_is_not_given_it(self, stack: Stack) -> None:
        stack.db.execute("update api_providers set secret_name = 'CHAT_WORKER_API_KEY'")
        user = stack.user()
        conversation = str(stack.conversation(user))
        answer = stack.chat(user, conversation_id=conversation, message="Hello")
        assert answer.status_code == 503
        assert stack.upstream.calls == []


def test_usage_of_others_is_not_readable(stack: Stack) -> None:
    ann, bob = stack.user(), stack.user()
    conversation: UUID = stack.conversation(ann)
    stack.upstream.enqueue(text("Yes."))
    stack.chat(ann, conversation_id=str(conversation), message="Hello")

    with stack.data_api(ann) as hers, stack.data_api(bob) as his:
        for table in (
            "turns",
            "turn_prompts",
            "usage_events",
            "messages",
            "memories",
            "conversations",
        ):
            assert len(hers.get(f"/{table}").json()) >= 1, table
            assert his.get(f"/{table}").json() == [], table
