-- Two columns and a trigger on the product's messages: the order of messages, which their times alone
-- do not give, and when one was edited. Adding them changes the catalog only. `make adopt` gives the
-- messages that are there their positions, a batch at a time.

alter table public.messages add column position bigint, add column edited_at timestamptz;

-- Existing messages are numbered from 1 in each conversation, new ones from here.
create sequence private.message_positions start 1000000000;

-- Only our functions set or change a position, even if a policy of the product lets people change messages.
create function private.place_message() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' then
    if current_setting('role', true) in ('anon', 'authenticated') then
      new.position := old.position;
      new.edited_at := old.edited_at;
    end if;
  elsif new.position is null or current_setting('role', true) in ('anon', 'authenticated') then
    new.position := nextval('private.message_positions');
    new.edited_at := null;
  end if;
  return new;
end $$;
revoke execute on function private.place_message() from public, anon, authenticated;
create trigger a_place_message before insert or update of position, edited_at on public.messages
  for each row execute function private.place_message();
-- Also while a dump is loaded, which turns other triggers off.
alter table public.messages enable always trigger a_place_message;

-- How many messages have no position: old ones, and those that were loaded with this trigger off too.
-- None of them is in a prompt. Looked up by conversation in the index messages_by_position, for the
-- table may be large.
create function private.messages_without_position() returns bigint
language sql stable set search_path = '' as $$
  select count(*)
  from public.conversations c
  cross join lateral (
    select from public.messages m where m.conversation_id = c.id and m.position is null offset 0) waiting
$$;

-- Gives messages without a position theirs, in the order of their times; of equal times the person's
-- comes first. Ends after p_messages of them, and returns how many; 0: all have one.
create function private.place_old_messages(p_messages integer) returns integer
language plpgsql set search_path = '' as $$
declare
  v_placed integer := 0;
  v_conversation_id uuid := '00000000-0000-0000-0000-000000000000';
  v_since timestamptz;
  v_last bigint;
  v_next timestamptz;
  v_count integer;
begin
  while v_placed < p_messages loop
    -- The index messages_without_position has this order.
    select m.conversation_id, m.created_at into v_conversation_id, v_since
    from public.messages m
    where m.position is null and m.conversation_id >= v_conversation_id
    order by m.conversation_id, m.created_at, (m.sender = 'assistant'), m.id limit 1;
    exit when not found;
    v_since := coalesce(v_since, 'infinity');  -- a message without a time is the last one
    v_last := coalesce((
      select max(m.position) from public.messages m
      where m.conversation_id = v_conversation_id and m.position < 1000000000), 0);
    v_next := coalesce((
      select m.created_at from public.messages m
      where m.conversation_id = v_conversation_id and m.position >= 1000000000
      order by m.position limit 1), 'infinity');
    if v_next < v_since or exists (
      select from public.messages m
      where m.conversation_id = v_conversation_id and m.position = v_last and m.created_at > v_since)
    then
      v_count := private.place_among_others(v_conversation_id, v_since);
    else
      perform private.forget_summary_from(v_conversation_id, v_last + 1);
      with ordered as (
        select m.id, row_number() over (order by m.created_at, (m.sender = 'assistant'), m.id) as place
        from public.messages m
        where m.position is null and m.conversation_id = v_conversation_id
          and (m.created_at <= v_next or v_next = 'infinity')
        order by m.created_at, (m.sender = 'assistant'), m.id limit p_messages - v_placed)
      update public.messages m set position = v_last + o.place from ordered o where o.id = m.id;
      get diagnostics v_count = row_count;
    end if;
    v_placed := v_placed + v_count;
  end loop;
  return v_placed;
end $$;

-- Messages without a position that were written before others that have one: they, and all that
-- follows, get new positions. Versions of replies that are not shown go with the one that is, and so does all that
-- is known of a message by its position. Embeddings are made again; what a prompt had is forgotten.
create function private.place_among_others(p_conversation_id uuid, p_since timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
  v_first constant bigint := (
    select min(m.position) from public.messages m
    where m.conversation_id = p_conversation_id and coalesce(m.created_at, 'infinity') >= p_since);
  v_count integer;
begin
  perform private.forget_summary_from(p_conversation_id, v_first);
  perform private.forget_embeddings(array(
    select m.id from public.messages m
    where m.conversation_id = p_conversation_id and coalesce(m.created_at, 'infinity') >= p_since));
  delete from public.turn_prompts p using public.turns t
  where t.id = p.turn_id and t.conversation_id = p_conversation_id;
  with moved as materialized (
    select o.id, o.position, nextval('private.message_positions') as new_position
    from (
      select m.id, m.position from public.messages m
      where m.conversation_id = p_conversation_id and coalesce(m.created_at, 'infinity') >= p_since
      order by m.created_at, m.position, (m.sender = 'assistant'), m.id) o),
  aside as (
    update private.set_aside_messages s set position = v.new_position
    from moved v where s.conversation_id = p_conversation_id and s.position = v.position),
  hidden as (
    update public.hidden_messages h set position = v.new_position
    from moved v where h.conversation_id = p_conversation_id and h.position = v.position),
  personas as (
    update private.conversation_personas c set position = v.new_position
    from moved v where c.conversation_id = p_conversation_id and c.position = v.position),
  variables as (
    update private.message_variables r set position = v.new_position
    from moved v where r.conversation_id = p_conversation_id and r.position = v.position),
  words as (
    update public.conversation_summaries s set person_covers = v.new_position
    from (select max(m.new_position) as new_position from moved m join public.conversation_summaries o
            on o.conversation_id = p_conversation_id and m.position <= o.person_covers) v
    where s.conversation_id = p_conversation_id and v.new_position is not null),
  repeats as (
    update private.fact_repeats r set position = v.new_position
    from moved v where r.conversation_id = p_conversation_id and r.position = v.position),
  facts as (
    update public.memory_facts f
    set source_from = coalesce(v.source_from, f.source_from), source_to = coalesce(v.source_to, f.source_to),
        repeated_to = coalesce(v.repeated_to, f.repeated_to)
    from (
      select s.id, max(m.new_position) filter (where m.position <= s.source_to) as source_to,
             min(m.new_position) filter (where s.source_from >= v_first and m.position <= s.source_to) as source_from,
             max(m.new_position) filter (where m.position = s.repeated_to) as repeated_to
      from public.memory_facts s
      join moved m on m.position between s.source_from and s.source_to or m.position = s.repeated_to
      where s.source_conversation_id = p_conversation_id
      group by s.id) v
    where f.id = v.id)
  update public.messages m set position = v.new_position from moved v where v.id = m.id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
revoke execute on function private.messages_without_position(), private.place_old_messages(integer),
  private.place_among_others(uuid, timestamptz) from public, anon, authenticated;
