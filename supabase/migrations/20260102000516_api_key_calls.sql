-- Calls of the OpenAI-compatible API: roleplay_chat makes them with a person's id, which it has from
-- their token, or with the hash of an API key.

-- The owner of a key that may be used now. `refused`: the outcome of a call without such a key, of a blocked account,
-- or, for a turn, with a key whose daily limit is reached. `is_known`: this call is a repetition, and the first one has
-- begun the turn.
create function private.admit_api_key(
  p_key_hash text, p_turn_id uuid, out key_id uuid, out user_id uuid, out refused jsonb, out is_known boolean)
language plpgsql set search_path = '' as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_today constant date := (v_now at time zone 'utc')::date;
  v_key private.api_keys;
begin
  if p_turn_id is null then
    perform private.hold_account(k.user_id) from private.api_keys k where k.key_hash = p_key_hash;
  else
    -- Turns that begin at the same time must count each other. So this takes the person's lock, as begin_turn does, and
    -- the wait for it is bounded.
    perform private.hold_person(k.user_id) from private.api_keys k where k.key_hash = p_key_hash;
  end if;
  select * into v_key from private.api_keys k
  where k.key_hash = p_key_hash and (k.expires_at is null or k.expires_at > v_now);
  if not found then
    refused := jsonb_build_object('outcome', 'unknown_api_key');
    return;
  end if;
  key_id := v_key.id;
  user_id := v_key.user_id;
  is_known := p_turn_id is not null
    and exists (select from public.turns t where t.id = p_turn_id and t.user_id = v_key.user_id);
  if is_known then
    return;
  end if;
  if p_turn_id is not null and v_key.day = v_today and v_key.on_day >= v_key.turns_per_day then
    refused := jsonb_build_object(
      'outcome', 'rate_limited', 'limit', 'api_key_turns_per_day',
      'retry_after_seconds', extract(epoch from ((v_today + 1)::timestamp at time zone 'utc') - v_now));
    return;
  end if;
  refused := private.count_use(
    user_id, case when p_turn_id is null then 'api_lists' else 'api_turns' end, private.limits_for(user_id),
    case when p_turn_id is null then 'api_lists' else 'api_turns' end);
  if refused is null then
    -- Another call that uses the key writes the same time, or almost.
    update private.api_keys k set last_used_at = v_now
    where k.id = (select u.id from private.api_keys u where u.id = v_key.id for no key update skip locked);
  end if;
end $$;

-- begin_turn for the owner of a key: {"user_id", "begun": its result}, or the outcome of a key that may
-- not be used. p_turn has begin_turn's arguments by name, but for p_user_id.
create function public.begin_turn_with_key(p_key_hash text, p_turn jsonb) returns json
language plpgsql security definer set search_path = '' as $$
declare
  v_turn_id constant uuid := (p_turn ->> 'p_turn_id')::uuid;
  v_today constant date := (clock_timestamp() at time zone 'utc')::date;
  v_admitted record;
  v_begun json;
begin
  select * into v_admitted from private.admit_api_key(p_key_hash, v_turn_id);
  if v_admitted.refused is not null then
    return v_admitted.refused::json;
  end if;
  v_begun := public.begin_turn(
    p_turn_id => v_turn_id,
    p_user_id => v_admitted.user_id,
    p_task => p_turn ->> 'p_task',
    p_action => p_turn ->> 'p_action',
    p_conversation_id => (p_turn ->> 'p_conversation_id')::uuid,
    p_character_id => (p_turn ->> 'p_character_id')::uuid,
    p_user_character_id => (p_turn ->> 'p_user_character_id')::uuid,
    p_message => p_turn ->> 'p_message',
    p_client_message_id => p_turn ->> 'p_client_message_id',
    p_message_id => (p_turn ->> 'p_message_id')::uuid,
    p_memory_tier => p_turn ->> 'p_memory_tier',
    p_lease_seconds => (p_turn ->> 'p_lease_seconds')::integer,
    p_worker => p_turn ->> 'p_worker',
    p_embedding => p_turn -> 'p_embedding');
  -- A request that begins no turn does not use up the key.
  if not v_admitted.is_known and exists (select from public.turns t where t.id = v_turn_id) then
    update private.api_keys k
    set day = v_today, on_day = case when k.day = v_today then k.on_day else 0 end + 1
    where k.id = v_admitted.key_id;
  end if;
  return json_build_object('user_id', v_admitted.user_id, 'begun', v_begun);
end $$;

-- The characters that a person may begin to talk with, their own first, then the newest, at most 1,000;
-- p_character_id: that one alone. The caller has p_user_id or the hash of a key. Returns {"outcome":
-- "listed", "characters": [{"id", "name", "is_own", "created": Unix time}]}, or why not.
create function public.list_chat_characters(
  p_user_id uuid default null, p_key_hash text default null, p_character_id uuid default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id uuid := p_user_id;
  v_refused jsonb;
begin
  if p_key_hash is null then
    v_refused := private.count_use(v_user_id, 'api_lists', private.limits_for(v_user_id), 'api_lists');
  else
    select a.user_id, a.refused into v_user_id, v_refused from private.admit_api_key(p_key_hash, null) a;
  end if;
  if v_refused is not null then
    return v_refused;
  end if;
  return jsonb_build_object('outcome', 'listed', 'characters', (
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', c.id, 'name', c.name, 'is_own', c.is_own,
        'created', case when c.created_at between '1970-01-01' and '9999-01-01' then
          floor(extract(epoch from c.created_at)) else 0 end)
      order by c.is_own desc, c.created_at desc, c.id), '[]')
    from (
      select ch.id, ch.name, coalesce(ch.user_id = v_user_id, false) as is_own, ch.created_at
      from shared.characters ch
      where (p_character_id is null or ch.id = p_character_id)
        and (ch.user_id = v_user_id or ch.is_public and (
          ch.content_rating = 'sfw'
          or exists (select from shared.profiles p where p.id = v_user_id and p.age_verified)))
        and private.may_answer(v_user_id, ch.id, ch.user_id, now())
      order by is_own desc, ch.created_at desc, ch.id limit 1000) c));
end $$;

revoke execute on function private.admit_api_key(text, uuid), public.begin_turn_with_key(text, jsonb),
  public.list_chat_characters(uuid, text, uuid) from public, anon, authenticated, service_role;
grant execute on function public.begin_turn_with_key(text, jsonb), public.list_chat_characters(uuid, text, uuid)
  to service_role;
