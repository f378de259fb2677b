-- The first of a turn's two round trips: accepts the request or gives the reason why not, stores
-- the user's message, and returns everything the turn needs.
--
-- Returns {"outcome": ...}:
--   started               with turn, user, conversation, settings, character (who speaks; is_own), others
--                         (further characters who are there), persona, lorebooks (see
--                         private.lorebooks_for), cast (declared ages and
--                         ratings of all characters who are there, are named or spoke), history, kept, copy and is_cut
--                         (see private.history), most_bytes (see private.history_bytes), preceding (how many messages
--                         come before the history, if a lorebook counts them: private.count_before), recalled (see
--                         private.recall), names (of the characters who wrote messages: {id: name}), personas (see
--                         private.personas_of), memory, summary_texts, facts, variables,
--                         templates, models, moderation_models, embedding_models, workers, worker_states (what changes
--                         all the time), cooldowns, now, and free_only: the day's money is spent. scene, task_config,
--                         notes, macros and worker_set are digests: what one of them stands for (turn_cache.py) is
--                         null if p_known has it
--   replayed              the same request was answered before: result, reply
--   in_progress           a turn is running here: retry_after_seconds, same_request
--   rate_limited          the person has had enough for now: limit, retry_after_seconds
--   client_message_id_used  a request for another conversation had the same client_message_id
--   reply_deleted         it was answered before, and the answer is gone
--   unknown_user, banned_user, conversation_not_found, character_not_found, persona_not_found,
--   message_not_found, nothing_to_regenerate, nothing_to_continue, reply_too_long
--
-- json, not jsonb: most of it is the texts of messages, which jsonb would take apart and build again
-- at each level.
create function public.begin_turn(
  -- Chosen by the caller: a call repeated with the same id resumes the turn.
  p_turn_id uuid,
  p_user_id uuid,
  p_task text,
  p_action text,
  p_conversation_id uuid default null,
  p_character_id uuid default null,
  p_user_character_id uuid default null,
  p_message text default null,
  p_client_message_id text default null,
  -- Any version of the reply to regenerate or continue; null: the newest reply.
  p_message_id uuid default null,
  p_memory_tier text default 'conversation',
  p_lease_seconds integer default 150,
  -- Which worker the turn asks first: '*' for any, or the name of one; null: none.
  p_worker text default null,
  -- The embedding of p_message: {"model", "embedding"}, in the format of private.nearest.
  p_embedding jsonb default null,
  -- What the caller has: the digests, and of the history the columns of private.known_history.
  p_known jsonb default null
) returns json
language plpgsql security definer set search_path = ''
-- Planned once per connection: planning the same queries again took a tenth of the time.
set plan_cache_mode = force_generic_plan
-- It reads a few messages in the order of an index. A plan for a conversation of usual length would
-- read and sort all of a long one.
set enable_bitmapscan = off as $$
declare
  v_begun record;
begin
  v_begun := private.accept_turn(
    p_turn_id, p_user_id, p_task, p_action, p_conversation_id, p_character_id, p_user_character_id, p_message,
    p_client_message_id, p_message_id, p_lease_seconds, p_worker);
  if v_begun.refused is not null then
    return v_begun.refused::json;
  end if;
  return private.turn_context(
    v_begun.accepted, v_begun.profile, v_begun.conversation, v_begun.members, v_begun.speaker, v_begun.persona,
    v_begun.started_at, v_begun.limits, p_character_id, p_message, p_memory_tier, p_worker, p_embedding, p_known);
end $$;
revoke execute on function public.begin_turn(uuid, uuid, text, text, uuid, uuid, uuid, text, text, uuid, text, integer, text, jsonb, jsonb)
  from public, anon, authenticated;
grant execute on function public.begin_turn(uuid, uuid, text, text, uuid, uuid, uuid, text, text, uuid, text, integer, text, jsonb, jsonb)
  to service_role;
