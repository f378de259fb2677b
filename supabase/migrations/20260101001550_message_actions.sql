-- Message actions: changes to a conversation outside of turns. They take the user's lock, like
-- turns, and are blocked while a turn is running in the conversation. Repeating one changes nothing.
--
-- Every call counts as an action, successful or not. The result is {"outcome": "done", ...}, or one
-- of unknown_user, banned_user, message_not_found, in_progress (with retry_after_seconds), the
-- result of private.count_use, and the outcomes named at each function.

-- Takes the user's lock, counts the action, and returns why it is blocked, {"outcome": ...}, or
-- null.
create function private.why_action_blocked(p_user_id uuid, p_message_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_blocked jsonb;
  v_conversation_id uuid;
begin
  perform private.hold_person(p_user_id);
  v_blocked := private.count_use(p_user_id, 'actions', private.limits_for(p_user_id), 'actions');
  if v_blocked is not null then
    return v_blocked;
  end if;
  select c.id into v_conversation_id
  from shared.messages m join shared.conversations c on c.id = m.conversation_id
  where m.id = p_message_id and c.user_id = p_user_id;
  -- Not deleted before the change is there.
  if not found or not shared.hold_conversation(v_conversation_id) then
    return jsonb_build_object('outcome', 'message_not_found');
  end if;

  -- A turn whose lease has expired could still be saved. Prevent that, because its messages are
  -- about to change.
  update public.turns t
  set status = 'failed', error_code = 'superseded', finished_at = coalesce(t.finished_at, clock_timestamp())
  where t.conversation_id = v_conversation_id and t.lease_expires_at <= clock_timestamp()
    and (t.status = 'running' or t.error_code = 'lease_expired')
    and t.created_at > now() - interval '1 hour';

  return (
    select jsonb_build_object(
      'outcome', 'in_progress',
      -- Most turns end long before their lease expires.
      'retry_after_seconds', greatest(1, least(5, extract(epoch from t.lease_expires_at - clock_timestamp()))))
    from public.turns t
    where t.conversation_id = v_conversation_id and t.status = 'running'
      and t.lease_expires_at > clock_timestamp());
end $$;
revoke execute on function private.why_action_blocked(uuid, uuid) from public, anon, authenticated;

-- Makes a version of a reply the active one. Returns conversation_id, or no_variant if the message
-- is not a reply.
create function public.choose_variant(p_user_id uuid, p_message_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb := private.why_action_blocked(p_user_id, p_message_id);
  v_message shared.messages;
begin
  if v_blocked is not null then
    return v_blocked;
  end if;
  select * into v_message from shared.messages m where m.id = p_message_id;
  if v_message.sender <> 'character' or not v_message.is_speech then
    return jsonb_build_object('outcome', 'no_variant');
  end if;

  update shared.messages m set is_active = false
  where m.conversation_id = v_message.conversation_id and m.position = v_message.position
    and m.is_active and m.is_speech and m.id <> p_message_id;
  update shared.messages m set is_active = true where m.id = p_message_id and not m.is_active;
  return jsonb_build_object('outcome', 'done', 'conversation_id', v_message.conversation_id);
end $$;

-- Replaces the text of a message without keeping the old one. Returns conversation_id and edited_at,
-- or message_too_long if the user's own message would have more than p_max_chars characters.
create function public.edit_message(p_user_id uuid, p_message_id uuid, p_content text, p_max_chars integer)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb := private.why_action_blocked(p_user_id, p_message_id);
  v_message shared.messages;
begin
  if v_blocked is not null then
    return v_blocked;
  end if;
  select * into v_message from shared.messages m where m.id = p_message_id;
  -- A message refused by the content policy cannot be changed.
  if not v_message.is_speech or v_message.sender = 'user' and not v_message.is_active then
    return jsonb_build_object('outcome', 'message_not_found');
  elsif v_message.sender = 'user' and char_length(p_content) > p_max_chars then
    return jsonb_build_object('outcome', 'message_too_long');
  end if;
  if v_message.content <> p_content then
    update shared.messages m set content = p_content, edited_at = clock_timestamp()
    where m.id = p_message_id
    returning * into v_message;
  end if;
  return jsonb_build_object('outcome', 'done', 'conversation_id', v_message.conversation_id,
                            'edited_at', v_message.edited_at);
end $$;

-- Deletes a message with all its versions, and all later messages if p_onwards is true. Returns
-- deleted, the number of rows. Deleting a missing message succeeds.
create function public.delete_messages(p_user_id uuid, p_message_id uuid, p_onwards boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb := private.why_action_blocked(p_user_id, p_message_id);
  v_message shared.messages;
  v_deleted integer;
begin
  select * into v_message from shared.messages m where m.id = p_message_id;
  if v_message.id is null and v_blocked ->> 'outcome' = 'message_not_found' then
    return jsonb_build_object('outcome', 'done', 'deleted', 0);
  elsif v_blocked is not null then
    return v_blocked;
  end if;
  v_deleted := shared.delete_messages(v_message.conversation_id, v_message.position, p_onwards);
  delete from public.hidden_messages h
  where h.conversation_id = v_message.conversation_id
    and (h.position = v_message.position or p_onwards and h.position > v_message.position);
  return jsonb_build_object('outcome', 'done', 'deleted', v_deleted);
end $$;

-- Hides a message with all its versions from models, or shows it again. What was drawn from it is
-- forgotten, as after a change; when it is shown again, a new summary is written with it. Returns
-- conversation_id.
create function public.hide_message(p_user_id uuid, p_message_id uuid, p_hidden boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb := private.why_action_blocked(p_user_id, p_message_id);
  v_message shared.messages;
begin
  if v_blocked is not null then
    return v_blocked;
  end if;
  select * into v_message from shared.messages m where m.id = p_message_id;
  -- A message refused by the content policy is in no prompt.
  if not v_message.is_speech or v_message.sender = 'user' and not v_message.is_active then
    return jsonb_build_object('outcome', 'message_not_found');
  elsif p_hidden then
    insert into public.hidden_messages (conversation_id, position)
    values (v_message.conversation_id, v_message.position)
    on conflict do nothing;
  else
    delete from public.hidden_messages h
    where h.conversation_id = v_message.conversation_id and h.position = v_message.position;
  end if;
  if found then
    perform private.lock_memory(p_user_id);
    perform private.forget_summary_from(v_message.conversation_id, v_message.position);
    perform private.forget_facts_of(v_message.conversation_id, v_message.position);
    if p_hidden then
      perform private.uncover_newest(v_message.conversation_id);
    end if;
    perform private.drop_replaced(v_message.conversation_id);
  end if;
  return jsonb_build_object('outcome', 'done', 'conversation_id', v_message.conversation_id);
end $$;

-- The copies of a message and of those before it, for a branch. The messages that they answer are joined by their
-- hashes: the planner expects few messages, and then compares each with all others.
create function private.messages_to_branch(p_branch_id uuid, p_message shared.messages) returns shared.messages[]
language plpgsql volatile set search_path = '' set enable_nestloop = off as $$
begin
  return (
    with copied as materialized (
      select m.*, gen_random_uuid() as copy_id from shared.messages m
      where m.conversation_id = p_message.conversation_id and m.position <= p_message.position
        -- The branch may end in a version that is not active.
        and case m.position when p_message.position then m.id = p_message.id else m.is_active end)
    select array_agg(row(m.copy_id, p_branch_id, m.position, m.sender, m.character_id, m.content, m.message_type,
                         parent.copy_id, null, true, m.created_at, m.edited_at, m.is_speech)::shared.messages
                     order by m.position)
    from copied m left join copied parent on parent.id = m.parent_id);
end $$;

-- Copies a conversation up to and including a message. Returns conversation_id of the new one, or
-- rate_limited (with limit, retry_after_seconds): the limits of turns apply to branches as well, and
-- a limit of the bytes that they copy per day.
--
-- The copies keep their positions, and so the anchors of the history. What is remembered of them is
-- copied: private.branch_memory. So are its lorebooks, while the user may have more of them:
-- private.branch_lorebooks.
create function public.branch_conversation(p_user_id uuid, p_message_id uuid, p_client_message_id text)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb := private.why_action_blocked(p_user_id, p_message_id);
  v_message shared.messages;
  v_limited jsonb;
  v_branch_id uuid;
begin
  select c.id into v_branch_id from shared.conversations c
  where c.user_id = p_user_id and c.client_message_id = p_client_message_id;
  if found and coalesce(v_blocked ->> 'outcome', '') not in ('unknown_user', 'banned_user') then
    return jsonb_build_object('outcome', 'done', 'conversation_id', v_branch_id);
  elsif v_blocked is not null then
    return v_blocked;
  end if;
  select * into v_message from shared.messages m where m.id = p_message_id;
  -- A message refused by the content policy is never copied.
  if v_message.sender = 'user' and not v_message.is_active then
    return jsonb_build_object('outcome', 'message_not_found');
  end if;
  v_limited := private.count_use(p_user_id, 'branches', private.limits_for(p_user_id), 'turns');
  if v_limited is null then
    -- 200 bytes for each row, so that short messages count too.
    select private.count_use(p_user_id, 'branched bytes', private.limits_for(p_user_id), 'branched_bytes',
                             coalesce(sum(octet_length(m.content) + 200), 0)::bigint
                             + (select coalesce(sum(b.bytes), 0)::bigint
                                from private.lorebooks_to_branch(v_message.conversation_id) b))
    into v_limited from shared.messages m
    where m.conversation_id = v_message.conversation_id and m.position <= v_message.position and m.is_active;
  end if;
  if v_limited is not null then
    return v_limited;
  end if;

  insert into shared.conversations (user_id, character_id, user_character_id, title, content_tier, always_sfw, remembers,
                                    parent_conversation_id, branched_from, client_message_id)
  select c.user_id, c.character_id, c.user_character_id, c.title, c.content_tier, c.always_sfw, c.remembers,
         c.id, p_message_id, p_client_message_id
  from shared.conversations c where c.id = v_message.conversation_id
  returning id into v_branch_id;

  perform shared.import_messages(private.messages_to_branch(v_branch_id, v_message));
  insert into public.conversation_characters (conversation_id, character_id, position)
  select v_branch_id, c.character_id, c.position from public.conversation_characters c
  where c.conversation_id = v_message.conversation_id;
  insert into public.hidden_messages (conversation_id, position)
  select v_branch_id, h.position from public.hidden_messages h
  where h.conversation_id = v_message.conversation_id and h.position <= v_message.position;
  insert into public.conversation_settings (conversation_id, note, note_depth, note_role, sampling)
  select v_branch_id, s.note, s.note_depth, s.note_role, s.sampling from public.conversation_settings s
  where s.conversation_id = v_message.conversation_id;
  perform private.branch_personas(v_message.conversation_id, v_branch_id, v_message.position);
  perform private.branch_lorebooks(v_message.conversation_id, v_branch_id);
  perform private.branch_variables(v_message.conversation_id, v_branch_id, p_message_id, v_message.position);
  -- The memory of its position is about the active version.
  perform private.branch_memory(
    v_message.conversation_id, v_branch_id, v_message.position - (not v_message.is_active)::integer);
  return jsonb_build_object('outcome', 'done', 'conversation_id', v_branch_id);
end $$;

revoke execute on function public.choose_variant(uuid, uuid),
  public.edit_message(uuid, uuid, text, integer), public.delete_messages(uuid, uuid, boolean),
  public.hide_message(uuid, uuid, boolean), public.branch_conversation(uuid, uuid, text),
  private.messages_to_branch(uuid, shared.messages) from public, anon, authenticated;
grant execute on function public.choose_variant(uuid, uuid),
  public.edit_message(uuid, uuid, text, integer), public.delete_messages(uuid, uuid, boolean),
  public.hide_message(uuid, uuid, boolean), public.branch_conversation(uuid, uuid, text) to service_role;
