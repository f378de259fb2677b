"""Who may do what: by table and view, grant, policy and function. A test demands all of them."""

from __future__ import annotations

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
        "rolled_up",
        "rolled_up_days",
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
        private.any_of private.hashed_lexemes private.lexemes private.more_terms
        private.search_messages private.search_pattern
        private.search_query private.snippet private.stays_deleted
        private.terms_in private.terms_of_part private.text_language
        private.without_accents private.without_katakana
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
        private.forget_embeddings private.forget_facts_of private.forget_drawn
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
        private.forget_summary_versions private.first_uncovered
        private.keep_version private.note_fact
        private.read_note private.reach private.as_shaped private.repeat_fact
        private.was_replaced private.place_among private.take_place
        private.note_for_listeners private.note_for_all private.keeper private.with_noted
        private.without_replaced private.drop_replaced
        private.goes_on private.hide_too private.holds_instead private.is_later private.place_in
        private.check_facts private.check_memory private.narrow_fact private.restore_facts
        private.count_facts private.keep_memory private.is_list_or_object private.read_own_facts
        private.forget_seen_position
        private.shape_fact private.keep_rating
        private.absorb_fact private.lock_facts private.unite_facts
        private.take_person_summary
        private.forget_prompt private.keep_prompt private.keep_variables
        private.forget_variables
        private.variables_before private.branch_variables
        private.check_sampling private.hidden_positions private.hidden_ranges private.may_use
        private.own_named
        private.settings_of private.write_chat
        private.calibrate private.used_ratio private.call_health_check private.delete_old_runs
        private.cast_facts
        private.catalog_prices
        private.character_facts private.check_account private.check_own_characters
        private.check_own_message private.guard_writes
        private.cool_down private.count_row private.count_use private.backlog
        private.forget_summary_from private.history private.history_bytes private.review_facts
        private.uncover_newest private.summary_at private.move_sources private.forget_conversation
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
        private.known_before private.remember private.remember_repairs private.remember_safely
        private.remembered
        private.replay private.reply_at private.running_on private.speaker private.spent_by_all
        private.newer_health private.spent_by private.tokens_of private.turns_begun
        private.turns_running
        private.spoken_language
        private.tier_of private.changed_since private.note_change private.note_spending
        private.touch_fact private.touch_updated_at private.turn_context
        private.workers_for
        private.hold_account private.hold_person private.take_waiting_place private.raise_busy
        private.wait_for_person private.wait_for_account private.take_writing_place
        private.wait_for_counter private.watch_messages private.watched
        private.usage_summed private.usage_sums private.sum_counts private.added_up
        private.percentile_of private.usage_rows private.why_account_blocked
        private.why_action_blocked private.why_address_rejected private.write_conversation_memory
        private.write_declared_age private.written_before
        shared.forget_conversations shared.hold_character shared.hold_conversation
        shared.delete_messages shared.import_messages shared.installation shared.is_ours
        shared.most_imported shared.wait_for_character
        shared.lock_ages shared.may_answer_another shared.next_position
    """,
}
"""All functions, by the roles that may execute them."""
