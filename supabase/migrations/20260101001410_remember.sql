-- Saves what a model wrote down for later: a summary of the messages up to a position, and facts.
-- p_memory is null or has
--   wait_seconds   no other summary of this conversation is begun for so long; absent: at once
--   summary        absent: nothing was written, only the wait counts
--   from, to       the positions between which the messages lie that the summary adds
--   digest         SHA-256 of their texts, joined by newlines, in hex
--   facts          [{"tier", "content"}]
-- A summary is saved only while it continues the one that is there and what it was made of still
-- stands. Returns whether anything changed.
create function private.remember(p_turn public.turns, p_memory jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  -- Per memory. Pinned facts and users' own facts are never dropped.
  c_most_facts constant integer := 50;
  v_conversation shared.conversations;
  -- The speaker of the turn keeps it.
  v_character_id uuid;
  v_covered bigint;
  v_tier text;
  v_memories uuid[];
begin
  if p_memory is null then
    return false;
  end if;
  select * into v_conversation from shared.conversations c where c.id = p_turn.conversation_id;
  if not found then
    return false;
  end if;
  v_character_id := coalesce(p_turn.character_id, v_conversation.character_id);

  insert into public.conversation_summaries as s (conversation_id, not_before)
  values (v_conversation.id, now() + make_interval(secs => (p_memory ->> 'wait_seconds')::double precision))
  on conflict (conversation_id) do update set not_before = excluded.not_before
  returning s.covers_position into v_covered;
  if coalesce(btrim(p_memory ->> 'summary'), '') = '' or not v_conversation.remembers
     or v_covered <> (p_memory ->> 'from')::bigint
     or (p_memory ->> 'digest') is distinct from (
       select encode(sha256(convert_to(string_agg(m.content, E'\n' order by m.position), 'UTF8')), 'hex')
       from shared.messages m
       where m.conversation_id = v_conversation.id and m.is_active and m.is_speech
         and m.position > v_covered and m.position <= (p_memory ->> 'to')::bigint) then
    return false;
  end if;

  v_tier := case when p_turn.content_tier = 'nsfw' then 'nsfw' else private.tier_of(v_conversation.id) end;
  update public.conversation_summaries s
  set content = p_memory ->> 'summary', covers_position = (p_memory ->> 'to')::bigint, content_tier = v_tier
  where s.conversation_id = v_conversation.id;

  with noted as (
    -- The last of several duplicates.
    select distinct on (f.tier, md5(private.normalised(f.content)))
           f.tier, f.content, md5(private.normalised(f.content)) as digest
    from rows from (jsonb_to_recordset(p_memory -> 'facts') as (tier text, content text))
         with ordinality as f (tier, content, number)
    where f.tier = 'conversation' or f.tier = 'profile'
       or f.tier = 'character' and v_character_id is not null
    order by f.tier, md5(private.normalised(f.content)), f.number desc),
  reached as (
    insert into public.memories as m (user_id, tier, conversation_id, character_id)
    select distinct v_conversation.user_id, n.tier,
           case n.tier when 'conversation' then v_conversation.id end,
           case n.tier when 'character' then v_character_id end
    from noted n
    on conflict (user_id, tier, conversation_id, character_id) do update set tier = excluded.tier
    returning m.id, m.tier),
  written as (
    insert into public.memory_facts as f (memory_id, content, written_by, content_tier)
    select r.id, n.content, 'model', v_tier
    from noted n join reached r on r.tier = n.tier
    where not exists (
      select 1 from private.forgotten_facts g where g.user_id = v_conversation.user_id and g.digest = n.digest)
    on conflict (memory_id, digest) do update
    set content = excluded.content, created_at = now(),
        content_tier = case when f.content_tier = 'nsfw' then 'nsfw' else excluded.content_tier end
    where f.written_by = 'model' and not f.pinned)
  select array_agg(r.id) into v_memories from reached r;

  delete from public.memory_facts f
  using (
    select o.id, row_number() over (
      partition by o.memory_id
      order by o.pinned or o.written_by = 'person' desc, o.created_at desc, o.id) as place
    from public.memory_facts o where o.memory_id = any (v_memories)) ranked
  where f.id = ranked.id and ranked.place > c_most_facts and f.written_by = 'model' and not f.pinned;
  return true;
end $$;

-- The same, but an error in the memory never prevents saving the reply.
create function private.remember_safely(p_turn public.turns, p_memory jsonb) returns boolean
language plpgsql set search_path = '' as $$
begin
  return private.remember(p_turn, p_memory);
exception when others then
  raise warning 'memory of turn % not saved: %', p_turn.id, sqlstate;
  return false;
end $$;

revoke execute on function private.remember(public.turns, jsonb),
  private.remember_safely(public.turns, jsonb) from public, anon, authenticated;

-- Saves what was written down after the reply was saved: p_memory as private.remember takes it,
-- p_usage rows of usage_events. Called again it changes nothing. Returns whether anything changed.
create function public.remember(p_turn_id uuid, p_memory jsonb, p_usage jsonb default '[]') returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_turn public.turns;
begin
  -- As in begin_turn: one call at a time per user.
  perform pg_advisory_xact_lock(hashtextextended(t.user_id::text, 0)) from public.turns t where t.id = p_turn_id;
  select * into v_turn from public.turns t where t.id = p_turn_id;
  perform private.record_usage(p_turn_id, v_turn, p_usage);
  if v_turn.id is null then
    return false;
  end if;
  perform private.remember_repairs(p_usage);
  return private.remember_safely(v_turn, p_memory);
end $$;
revoke execute on function public.remember(uuid, jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.remember(uuid, jsonb, jsonb) to service_role;
