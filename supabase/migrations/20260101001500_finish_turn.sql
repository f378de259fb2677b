-- The second of a turn's two round trips: saves the reply, the turn's end, usage, memory and
-- cooldowns, all or nothing.
--
-- A repeated call changes nothing. A late call still saves a turn that was closed after its lease
-- expired, unless another turn has started in the conversation or its messages have changed.
--
-- Values from upstreams are cut to what the columns hold, so that a turn can always end.
--
-- Returns {"outcome": "saved", "message_id", "memory_updated"}, or {"outcome": "lost"} if another
-- turn or a change took its place, or its conversation or user was deleted. Usage is always
-- recorded.
create function public.finish_turn(
  p_turn_id uuid,
  -- complete, incomplete, failed or stopped
  p_status text,
  p_reply text default null,
  -- content_tier, model_used, finish_reason, error_code, prompt_tokens, completion_tokens,
  -- cost_usd, duration_ms, request_id: the columns of turns; variables: private.message_variables, if there are any
  p_turn jsonb default '{}',
  p_result jsonb default null,
  p_memory_tier text default 'conversation',
  -- rows of usage_events, "estimate" of their prompts: private.calibrate, and "repairs":
  -- private.remember_repairs
  p_usage jsonb default '[]',
  -- [{"scope", "key", "until", "reason"}]
  p_cooldowns jsonb default '[]',
  -- what private.remember takes; null: nothing to remember
  p_memory jsonb default null,
  -- turn_prompts.composition; null: no model wrote the reply
  p_prompt jsonb default null
) returns jsonb
language plpgsql security definer set search_path = ''
-- Planned once per connection: planning the same queries again took a tenth of the time.
set plan_cache_mode = force_generic_plan as $$
declare
  v_conversation_id uuid;
  v_character_id uuid;
  -- For results that nobody needs: calling a function in an assignment starts no query, as `perform` would.
  v_done text;
  v_turn public.turns;
  v_replaced shared.messages;
  v_message_id uuid;
  v_memory_updated boolean := false;
  v_is_draft boolean;
begin
  -- Locks in the order of whatever deletes one of them: person, character, conversation, turn.
  select t.conversation_id, private.hold_person(t.user_id), t.character_id
  into v_conversation_id, v_done, v_character_id from public.turns t where t.id = p_turn_id;
  v_done := shared.hold_character(v_character_id);
  v_done := shared.hold_conversation(v_conversation_id);
  select * into v_turn from public.turns t where t.id = p_turn_id for update;
  if not found then
    perform private.record_usage(p_turn_id, v_turn, p_usage);
    return jsonb_build_object('outcome', 'lost');
  elsif v_turn.status <> 'running' and coalesce(v_turn.error_code, '') not in ('lease_expired', 'superseded', 'conversation_deleted') then
    -- The same call succeeded before, and only its response was lost.
    return jsonb_build_object('outcome', 'saved', 'message_id', v_turn.reply_message_id,
                              'memory_updated', coalesce((v_turn.result -> 'memory_updated')::boolean, false));
  end if;

  -- Usage and cooldowns count even if the turn is lost.
  v_done := private.record_usage(p_turn_id, v_turn, p_usage);

  if v_turn.is_orphaned then
    update public.turns t
    set status = p_status, finished_at = now(), error_code = 'conversation_deleted',
        content_tier = p_turn ->> 'content_tier', model_used = left(p_turn ->> 'model_used', 300),
        prompt_tokens = private.bounded(p_turn -> 'prompt_tokens', 2147483647),
        completion_tokens = private.bounded(p_turn -> 'completion_tokens', 2147483647),
        cost_usd = private.bounded(p_turn -> 'cost_usd', 999999.99999999),
        duration_ms = private.bounded(p_turn -> 'duration_ms', 2147483647),
        request_id = left(p_turn ->> 'request_id', 64)
    where t.id = v_turn.id;
    perform private.cool_down(p_cooldowns);
    return jsonb_build_object('outcome', 'lost');
  end if;

  if v_turn.status <> 'running' then
    if v_turn.error_code = 'superseded' or exists (
        select 1 from public.turns t
        where t.user_id = v_turn.user_id and t.created_at > v_turn.created_at
          and (t.conversation_id = v_turn.conversation_id or t.client_message_id = v_turn.client_message_id)) then
      perform private.cool_down(p_cooldowns);
      return jsonb_build_object('outcome', 'lost');
    end if;
  end if;

  -- A draft is not said in the conversation.
  v_is_draft := v_turn.action = 'impersonate' or v_turn.task = 'prompt_enhancement';
  if v_turn.conversation_id is not null and not v_is_draft and btrim(p_reply) <> '' then
    if v_turn.replaces_message_id is not null then
      select * into v_replaced from shared.messages m where m.id = v_turn.replaces_message_id;
      update shared.messages m set is_active = false where m.id = v_replaced.id;
    end if;
    -- At the position of the version it replaces, or last.
    insert into shared.messages (conversation_id, position, sender, character_id, content, parent_id, variant_of, created_at)
    overriding system value
    values (v_turn.conversation_id, coalesce(v_replaced.position, shared.next_position()),
            'character', v_turn.character_id, p_reply, v_turn.user_message_id,
            coalesce(v_replaced.variant_of, v_replaced.id), clock_timestamp())
    returning id into v_message_id;
    if p_turn ? 'variables' then
      perform private.keep_variables(v_message_id, p_turn -> 'variables');
    end if;
    update shared.conversations c set updated_at = now() where c.id = v_turn.conversation_id;
    v_done := private.record_interaction(
      v_turn.user_id, p_memory_tier, v_turn.conversation_id, v_turn.character_id);
    v_turn.content_tier := p_turn ->> 'content_tier';
    if p_memory is not null then
      v_memory_updated := private.remember_safely(v_turn, p_memory);
    end if;
  end if;

  -- A message refused by the content policy never enters a prompt again, unless it is answered
  -- later.
  if p_result #>> '{refused,part}' = 'message' or v_message_id is not null and exists (
      select from shared.messages m where m.id = v_turn.user_message_id and not m.is_active) then
    update shared.messages m set is_active = v_message_id is not null where m.id = v_turn.user_message_id;
  end if;

  update public.turns t
  set status = p_status, finished_at = now(), reply_message_id = v_message_id,
      result = coalesce(p_result, '{}')
        || jsonb_build_object('message_id', v_message_id, 'memory_updated', v_memory_updated),
      content_tier = p_turn ->> 'content_tier', model_used = left(p_turn ->> 'model_used', 300),
      finish_reason = left(p_turn ->> 'finish_reason', 100), error_code = left(p_turn ->> 'error_code', 100),
      prompt_tokens = private.bounded(p_turn -> 'prompt_tokens', 2147483647),
      completion_tokens = private.bounded(p_turn -> 'completion_tokens', 2147483647),
      cost_usd = private.bounded(p_turn -> 'cost_usd', 999999.99999999),
      duration_ms = private.bounded(p_turn -> 'duration_ms', 2147483647),
      request_id = left(p_turn ->> 'request_id', 64)
  where t.id = v_turn.id;

  if v_message_id is not null then
    v_done := private.keep_prompt(v_turn.id, p_prompt);
  end if;

  -- Without a conversation, and for a draft, no message stores the text.
  if p_reply is not null and (v_turn.conversation_id is null or v_is_draft) then
    insert into private.turn_replies (turn_id, content) values (v_turn.id, p_reply)
    on conflict (turn_id) do update set content = excluded.content;
  end if;

  -- Last, because turns of other people share these rows and may have to wait for them.
  if p_cooldowns <> '[]' then
    perform private.cool_down(p_cooldowns);
  end if;
  v_done := private.remember_repairs(p_usage);
  v_done := private.calibrate(p_usage);
  return jsonb_build_object('outcome', 'saved', 'message_id', v_message_id, 'memory_updated', v_memory_updated);
end $$;
revoke execute on function public.finish_turn(uuid, text, text, jsonb, jsonb, text, jsonb, jsonb, jsonb, jsonb)
  from public, anon, authenticated;
grant execute on function public.finish_turn(uuid, text, text, jsonb, jsonb, text, jsonb, jsonb, jsonb, jsonb) to service_role;
