-- Accepting a turn, the first half of begin_turn: whether the request may run, who speaks, and which
-- message it is about.

-- Which messages a new request is about. `refused` is the outcome of begin_turn for a request that
-- cannot run, or that was answered before.
create function private.place_request(
  p_user_id uuid, p_action text, p_conversation_id uuid, p_message text, p_client_message_id text,
  p_message_id uuid, p_now timestamptz,
  out refused jsonb, out user_message_id uuid, out replaces_message_id uuid)
language plpgsql set search_path = '' as $$
declare
  v_newest shared.messages;
  v_answered public.turns;
begin
  if p_action in ('regenerate', 'continue') then
    v_newest := private.reply_at(p_conversation_id, p_message_id);
    if v_newest.id is null and p_message_id is not null then
      refused := jsonb_build_object('outcome', 'message_not_found');
      return;
    end if;
  end if;

  if p_action = 'send' then
    -- The same request failed before: its message is already stored. With other words it is a message of its
    -- own, unless the stored one was edited since.
    select m.id into user_message_id
    from public.turns t join shared.messages m on m.id = t.user_message_id
    where t.user_id = p_user_id and t.client_message_id = p_client_message_id
      and t.status = 'failed' and t.conversation_id = p_conversation_id
      and (btrim(m.content) = btrim(p_message) or m.edited_at is not null)
    order by t.created_at desc limit 1;
    if user_message_id is not null then
      -- It may have been answered since, if the client repeated it with another id.
      select * into v_answered from public.turns t
      where t.user_message_id = place_request.user_message_id and t.reply_message_id is not null
      order by t.created_at desc limit 1;
      if found then
        refused := private.replay(v_answered);
        return;
      end if;
    end if;

    user_message_id := coalesce(user_message_id, private.written_before(p_conversation_id, p_message));
    if user_message_id is null then
      insert into shared.messages (conversation_id, sender, content, created_at)
      values (p_conversation_id, 'user', p_message, p_now)
      returning id into user_message_id;
    end if;
  elsif p_action = 'continue'
      and (v_newest.sender is distinct from 'character' or exists (
        select from public.hidden_messages h
        where h.conversation_id = p_conversation_id and h.position = v_newest.position)) then
    refused := jsonb_build_object('outcome', 'nothing_to_continue');
  elsif p_action = 'continue' and char_length(v_newest.content) > 65136 then
    -- A message has at most 65,536 characters. For the few that are left no model has to be asked.
    refused := jsonb_build_object('outcome', 'reply_too_long');
  elsif p_action = 'regenerate' and (v_newest.id is null or v_newest.sender = 'user' and p_message_id is not null) then
    refused := jsonb_build_object('outcome', 'nothing_to_regenerate');
  elsif p_action = 'regenerate' and v_newest.sender = 'user' then
    user_message_id := v_newest.id;
  elsif p_action in ('continue', 'regenerate') then
    replaces_message_id := v_newest.id;
    user_message_id := v_newest.parent_id;
  end if;
end $$;

-- Accepts a turn with begin_turn's arguments and writes its row, or finds the row where this very
-- call was made before. `refused` is begin_turn's outcome for a request that does not run.
create function private.accept_turn(
  p_turn_id uuid, p_user_id uuid, p_task text, p_action text, p_conversation_id uuid, p_character_id uuid,
  p_user_character_id uuid, p_message text, p_client_message_id text, p_message_id uuid, p_lease_seconds integer,
  p_worker text,
  out refused jsonb, out accepted public.turns, out started_at timestamptz, out profile shared.profiles,
  out conversation shared.conversations, out members uuid[], out speaker shared.characters,
  out persona shared.characters, out limits jsonb)
language plpgsql set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
  v_speaker_id uuid;
  v_placed record;
  v_begun bigint;
  v_done text;  -- as in finish_turn
begin
  -- One call at a time per user: a repeated or simultaneous request sees the result of this one.
  v_done := private.hold_person(p_user_id);
  started_at := clock_timestamp();  -- now() is from before the wait

  refused := private.why_account_blocked(p_user_id);
  if refused is not null then
    return;
  end if;

  select * into profile from shared.profiles p where p.id = p_user_id;

  if p_conversation_id is not null then
    v_done := shared.hold_conversation(p_conversation_id);  -- not deleted before the turn is there
    select * into conversation from shared.conversations c
    where c.id = p_conversation_id and c.user_id = p_user_id;
    if not found then
      refused := jsonb_build_object('outcome', 'conversation_not_found');
      return;
    end if;
  end if;

  update public.turns t
  set status = 'failed', error_code = 'lease_expired', finished_at = started_at
  where t.user_id = p_user_id and t.status = 'running' and t.lease_expires_at <= started_at;

  -- Most often none; else this very call's, the same request's, or the one that runs here.
  -- Looked up one by one: as one condition they were searched for among all turns of the user.
  select * into accepted
  from (
    select * from public.turns t where t.user_id = p_user_id and t.id = p_turn_id
    union all
    select * from public.turns t
    where t.user_id = p_user_id and t.client_message_id = p_client_message_id and t.status <> 'failed'
    union all
    select * from public.turns t
    where t.user_id = p_user_id and t.conversation_id = p_conversation_id and t.status = 'running') t
  order by t.id = p_turn_id desc, (t.client_message_id = p_client_message_id) desc nulls last
  limit 1;
  if accepted.id <> p_turn_id and accepted.client_message_id = p_client_message_id
      and accepted.conversation_id is distinct from p_conversation_id then
    -- Its reply belongs to another story.
    refused := jsonb_build_object('outcome', 'client_message_id_used');
  elsif accepted.status in ('complete', 'incomplete', 'stopped') then
    refused := private.replay(accepted);
  elsif accepted.status = 'failed' or accepted.id <> p_turn_id then
    refused := jsonb_build_object(
      'outcome', 'in_progress',
      'same_request', coalesce(accepted.client_message_id = p_client_message_id, false),
      -- Most turns end long before their lease expires.
      'retry_after_seconds', greatest(1, least(5, extract(epoch from accepted.lease_expires_at - started_at))));
  elsif accepted.id is null then
    v_begun := private.turns_begun(p_user_id, started_at);
    limits := private.limits_for(p_user_id);
    refused := jsonb_build_object('outcome', 'rate_limited')
      || private.reached_limit(p_user_id, started_at, v_begun, limits);
  end if;
  if refused is not null then
    return;
  end if;

  if p_task = 'roleplay' then
    members := array(select m.character_id from private.members(conversation) m order by m.place);
    v_speaker_id := coalesce(
      accepted.character_id,
      private.speaker(conversation, members, p_character_id, p_action, p_message, p_message_id));
    select * into speaker from shared.characters ch
    where ch.id = v_speaker_id
      and private.may_answer(p_user_id, ch.id, ch.user_id, coalesce(conversation.created_at, started_at))
      and (ch.user_id = p_user_id
           or ch.is_public and (
             ch.content_rating = 'sfw' or profile.age_verified
             -- An existing conversation continues in the tier it may have.
             or ch.id = any (members)));
    if not found or not shared.hold_character(speaker.id) then
      refused := jsonb_build_object('outcome', 'character_not_found');
      return;
    end if;
    if conversation.character_id is null then
      update shared.conversations c set character_id = coalesce(members[1], speaker.id)
      where c.id = p_conversation_id
      returning c.character_id into conversation.character_id;
    end if;
  end if;

  if coalesce(p_user_character_id, conversation.user_character_id) is not null then
    select * into persona from shared.characters ch
    where ch.id = coalesce(p_user_character_id, conversation.user_character_id)
      and private.may_answer(p_user_id, ch.id, ch.user_id, coalesce(conversation.created_at, started_at))
      and (ch.user_id = p_user_id
           or ch.is_public and (
             ch.content_rating = 'sfw' or profile.age_verified or ch.id = conversation.user_character_id));
    if not found or not shared.hold_character(persona.id) then
      refused := jsonb_build_object('outcome', 'persona_not_found');
      return;
    end if;
  end if;

  if accepted.id is not null then
    return;
  end if;
  -- The draft of a prompt is screened as a part of the conversation, but it is no message of it.
  if p_conversation_id is not null and not (p_task = 'prompt_enhancement' and p_action = 'send') then
    v_placed := private.place_request(
      p_user_id, p_action, p_conversation_id, p_message, p_client_message_id, p_message_id, started_at);
    refused := v_placed.refused;
    if refused is not null then
      return;
    end if;
    accepted.user_message_id := v_placed.user_message_id;
    accepted.replaces_message_id := v_placed.replaces_message_id;
    if p_action = 'send' or p_action = 'regenerate' and accepted.replaces_message_id is null and not exists (
         select from public.turns t where t.user_message_id = accepted.user_message_id) then
      v_done := private.record_persona(conversation, accepted.user_message_id, persona.id);
    end if;
  end if;
  insert into public.turns (id, user_id, conversation_id, task, action, client_message_id,
                            lease_expires_at, character_id, user_character_id, user_message_id, replaces_message_id,
                            worker, created_at, number_of_day)
  values (p_turn_id, p_user_id, p_conversation_id, p_task, p_action, p_client_message_id,
          started_at + make_interval(secs => p_lease_seconds), speaker.id, persona.id, accepted.user_message_id,
          accepted.replaces_message_id,
          case when p_worker is not null then private.preferred_worker(
            p_worker, coalesce(p_conversation_id, p_turn_id)::text, p_turn_id, started_at) end,
          started_at, v_begun + 1)
  returning * into accepted;
end $$;

revoke execute on function
  private.place_request(uuid, text, uuid, text, text, uuid, timestamptz),
  private.accept_turn(uuid, uuid, text, text, uuid, uuid, uuid, text, text, uuid, integer, text)
  from public, anon, authenticated;
