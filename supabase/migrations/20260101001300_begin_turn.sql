-- The first of a turn's two round trips: accepts the request or gives the reason why not, stores
-- the user's message, and returns everything the turn needs.
--
-- Returns {"outcome": ...}:
--   started               with turn, user, conversation, character (who speaks; is_own), others
--                         (further characters who are there), persona, cast (declared ages and
--                         ratings of all characters who are there, are named or spoke), history,
--                         memory, facts, templates, models, moderators, worker, cooldowns, now,
--                         and free_only: the day's money is spent
--   replayed              the same request was answered before: result, reply
--   in_progress           a turn is running here: retry_after_seconds, same_request
--   rate_limited          the person has had enough for now: limit, retry_after_seconds
--   reply_deleted         it was answered before, and the answer is gone
--   unknown_user, banned_user, conversation_not_found, character_not_found, persona_not_found,
--   message_not_found, nothing_to_regenerate, nothing_to_continue
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
  p_history_limit integer default 100
) returns jsonb
language plpgsql security definer set search_path = ''
-- Planned once per connection: planning the same queries again took a tenth of the time.
set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz;
  v_conversation shared.conversations;
  v_character shared.characters;
  v_persona shared.characters;
  v_profile shared.profiles;
  v_newest shared.messages;
  v_turn public.turns;
  v_blocked jsonb;
  v_limit jsonb;
  v_user_message_id uuid;
  v_replaces_id uuid;
  v_before bigint;
  v_history jsonb;
  v_is_cut boolean;
  v_speakers uuid[];
  v_cast jsonb;
begin
  -- One call at a time per user: a repeated or simultaneous request sees the result of this one.
  perform pg_advisory_xact_lock(hashtextextended(p_user_id::text, 0));
  v_now := clock_timestamp();  -- now() is from before the wait

  v_blocked := private.why_account_blocked(p_user_id);
  if v_blocked is not null then
    return v_blocked;
  end if;

  select * into v_profile from shared.profiles p where p.id = p_user_id;

  if p_conversation_id is not null then
    select * into v_conversation from shared.conversations c
    where c.id = p_conversation_id and c.user_id = p_user_id
    for key share;  -- not deleted before the turn is there
    if not found then
      return jsonb_build_object('outcome', 'conversation_not_found');
    end if;
  end if;

  update public.turns t
  set status = 'failed', error_code = 'lease_expired', finished_at = v_now
  where t.user_id = p_user_id and t.status = 'running' and t.lease_expires_at <= v_now;

  -- Most often none; else this very call's, the same request's, or the one that runs here.
  select * into v_turn from public.turns t
  where t.user_id = p_user_id
    and (t.id = p_turn_id
         or t.client_message_id = p_client_message_id and t.status <> 'failed'
         or t.conversation_id = p_conversation_id and t.status = 'running')
  order by t.id = p_turn_id desc, (t.client_message_id = p_client_message_id) desc nulls last
  limit 1;
  if v_turn.status in ('complete', 'incomplete', 'stopped') then
    return private.replay(v_turn);
  elsif v_turn.status = 'failed' or v_turn.id <> p_turn_id then
    return jsonb_build_object(
      'outcome', 'in_progress',
      'same_request', coalesce(v_turn.client_message_id = p_client_message_id, false),
      -- Most turns end long before their lease expires.
      'retry_after_seconds', greatest(1, least(5, extract(epoch from v_turn.lease_expires_at - v_now))));
  elsif v_turn.id is null then
    v_limit := private.reached_limit(p_user_id, v_now);
    if v_limit is not null then
      return jsonb_build_object('outcome', 'rate_limited') || v_limit;
    end if;
  end if;

  if p_task = 'roleplay' then
    select * into v_character from shared.characters ch
    where ch.id = coalesce(v_turn.character_id,
                           private.speaker(v_conversation, p_character_id, p_action, p_message, p_message_id))
      and (ch.user_id = p_user_id
           or ch.is_public and (
             ch.content_rating = 'sfw' or v_profile.age_verified
             -- An existing conversation continues in the tier it may have.
             or exists (select 1 from private.members(v_conversation) m where m.character_id = ch.id)));
    if not found then
      return jsonb_build_object('outcome', 'character_not_found');
    end if;
    if v_conversation.character_id is null then
      update shared.conversations c set character_id = coalesce(
        (select m.character_id from private.members(v_conversation) m order by m.place limit 1), v_character.id)
      where c.id = p_conversation_id;
    end if;
  end if;

  if coalesce(p_user_character_id, v_conversation.user_character_id) is not null then
    select * into v_persona from shared.characters ch
    where ch.id = coalesce(p_user_character_id, v_conversation.user_character_id)
      and (ch.user_id = p_user_id
           or ch.is_public and (
             ch.content_rating = 'sfw' or v_profile.age_verified or ch.id = v_conversation.user_character_id));
    if not found then
      return jsonb_build_object('outcome', 'persona_not_found');
    end if;
  end if;

  if v_turn.id is not null then
    v_user_message_id := v_turn.user_message_id;
    v_replaces_id := v_turn.replaces_message_id;
  elsif p_conversation_id is not null then
    select * into v_newest from shared.messages m
    where m.conversation_id = p_conversation_id and m.is_active and m.message_type = 'text'
    order by m.position desc limit 1;
    if p_message_id is not null and p_action in ('regenerate', 'continue') then
      select m.* into v_newest
      from shared.messages named
      join shared.messages m on m.conversation_id = named.conversation_id and m.position = named.position
      where named.id = p_message_id and named.conversation_id = p_conversation_id
        and m.is_active and m.message_type = 'text';
      if not found then
        return jsonb_build_object('outcome', 'message_not_found');
      end if;
    end if;

    if p_action = 'send' then
      -- The same request failed before: its message is already stored.
      select t.user_message_id into v_user_message_id from public.turns t
      where t.user_id = p_user_id and t.client_message_id = p_client_message_id
        and t.status = 'failed' and t.conversation_id = p_conversation_id
      order by t.created_at desc limit 1;
      -- It may have been answered since, if the client repeated it with another id.
      select * into v_turn from public.turns t
      where t.user_message_id = v_user_message_id and t.reply_message_id is not null
      order by t.created_at desc limit 1;
      if found then
        return private.replay(v_turn);
      end if;

      v_user_message_id := coalesce(v_user_message_id, private.written_before(p_conversation_id, p_message));
      if v_user_message_id is null then
        insert into shared.messages (conversation_id, sender, content, created_at)
        values (p_conversation_id, 'user', p_message, v_now)
        returning id into v_user_message_id;
      end if;
    elsif p_action = 'continue' then
      if v_newest.sender is distinct from 'character' then
        return jsonb_build_object('outcome', 'nothing_to_continue');
      end if;
      v_replaces_id := v_newest.id;
      v_user_message_id := v_newest.parent_id;
    elsif p_action = 'regenerate' then
      if v_newest.id is null or v_newest.sender = 'user' and p_message_id is not null then
        return jsonb_build_object('outcome', 'nothing_to_regenerate');
      elsif v_newest.sender = 'character' then
        v_replaces_id := v_newest.id;
        v_user_message_id := v_newest.parent_id;
      else
        v_user_message_id := v_newest.id;
      end if;
    end if;
  end if;

  insert into public.turns (id, user_id, conversation_id, task, action, client_message_id,
                            lease_expires_at, character_id, user_character_id, user_message_id, replaces_message_id,
                            created_at)
  values (p_turn_id, p_user_id, p_conversation_id, p_task, p_action, p_client_message_id,
          v_now + make_interval(secs => p_lease_seconds), v_character.id, v_persona.id, v_user_message_id,
          v_replaces_id, v_now)
  on conflict (id) do nothing;

  -- Other versions of a reply do not see later messages.
  select m.position + (p_action = 'continue')::integer into v_before
  from shared.messages m where m.id = v_replaces_id;

  select h.messages, h.speakers, h.is_cut into v_history, v_speakers, v_is_cut
  from private.history(
    p_conversation_id,
    case when p_action <> 'continue' then array[v_user_message_id, v_replaces_id] else '{}' end,
    v_before,
    p_history_limit) h;
  v_cast := private.cast_facts(v_conversation, v_speakers || v_character.id || p_character_id);
  if not v_conversation.always_sfw and (v_persona.age < 18 or jsonb_path_exists(v_cast, '$.age ? (@ < 18)')) then
    update shared.conversations c set always_sfw = true where c.id = p_conversation_id;
    v_conversation.always_sfw := true;
  end if;

  return jsonb_build_object(
    'outcome', 'started',
    'now', v_now,
    'free_only', private.is_spent(p_user_id, v_now),
    'turn', jsonb_build_object(
      'id', p_turn_id,
      'user_message_id', v_user_message_id,
      'message', case when p_action not in ('continue', 'impersonate') then
        coalesce((select m.content from shared.messages m where m.id = v_user_message_id), p_message) end,
      'continues', case when p_action = 'continue' then
        (select m.content from shared.messages m where m.id = v_replaces_id) end),
    'user', jsonb_build_object(
      'name', v_profile.display_name, 'age_verified', coalesce(v_profile.age_verified, false)),
    'conversation', case when p_conversation_id is null then null
      else jsonb_build_object('id', v_conversation.id, 'content_tier',
                              case when v_conversation.always_sfw then 'sfw' else v_conversation.content_tier end) end,
    'character', private.character_facts(v_character)
      || jsonb_build_object('is_own', coalesce(v_character.user_id = p_user_id, false)),
    'others', private.others(v_conversation, v_character.id),
    'persona', private.character_facts(v_persona),
    'cast', v_cast,
    'history', v_history,
    'memory', private.summary_of(p_conversation_id, v_before, p_history_limit, v_now, v_is_cut),
    'facts', private.remembered(p_user_id, p_memory_tier, p_conversation_id, v_character.id),
    'templates', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'content_tier', t.content_tier, 'model_family', t.model_family, 'system_prompt', t.system_prompt)), '[]')
      from shared.prompt_templates t where t.use_case = p_task and t.is_active),
    'models', private.models_for(p_task),
    'moderators', private.models_for('moderation'),
    'worker', (
      select jsonb_build_object('url', s.config -> 'chatWorkerUrl', 'config', s.config -> 'chatWorker',
                                'health', s.config #> '{workerHealthCache,chatWorker}',
                                'token_ratios', private.token_ratios(
                                  'chat_worker', coalesce(s.config #>> '{chatWorker,model}', 'qwen_instruct')))
      from shared.system_config s),
    'cooldowns', (
      select coalesce(jsonb_agg(jsonb_build_object(
        -- Also one that somebody entered as 'infinity', which is no time in JSON.
        'scope', d.scope, 'key', d.key, 'until', least(d.until, v_now + interval '1 day'),
        'reason', d.reason)), '[]')
      from public.model_cooldowns d where d.until > v_now));
end $$;
revoke execute on function public.begin_turn(uuid, uuid, text, text, uuid, uuid, uuid, text, text, uuid, text, integer, integer)
  from public, anon, authenticated;
grant execute on function public.begin_turn(uuid, uuid, text, text, uuid, uuid, uuid, text, text, uuid, text, integer, integer)
  to service_role;
