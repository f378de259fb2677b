-- Summaries of the messages up to a position, which the prompt then leaves out.

create table public.conversation_summaries (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  -- The model's part. It continues after the user's words.
  content text not null default '' check (char_length(content) <= 8000),
  -- The user's part, which replaces a model's text. No model changes it. A user changes the whole summary at once, so it
  -- has room for what they wrote before and for what a model added.
  person_content text not null default '' check (char_length(person_content) <= 8000),
  -- Lets a client change or delete exactly the words that it has read.
  person_digest text not null generated always as (md5(person_content)) stored,
  -- The last message that these words may tell of: the last one of the summary that they replaced.
  person_covers bigint not null default 0,
  -- The last message it covers; 0: none.
  covers_position bigint not null default 0,
  -- Only in a request of the user's: the covers_position that they saw when they wrote person_content. Null: all of it.
  seen_position bigint,
  -- nsfw: the conversation had turns in the adult tier.
  content_tier text not null default 'sfw' check (content_tier in ('sfw', 'nsfw')),
  -- The earliest time for the next try: a summary is being written, or the last try failed.
  not_before timestamptz,
  -- If models failed to note the messages after covers_position: how many the next try has at most (null: as many as
  -- fit), how often one alone has failed since any was noted, and the last message that was tried.
  most_messages integer,
  failures integer not null default 0,
  tried_to bigint not null default 0,
  -- When the words last changed, and with them the beginning of prompts. Null: it never had any. A try that noted
  -- nothing does not count.
  updated_at timestamptz default now()
);
create trigger conversation_summaries_touch before update on public.conversation_summaries
  for each row when (
    (new.content, new.person_content, new.covers_position, new.content_tier)
    is distinct from (old.content, old.person_content, old.covers_position, old.content_tier))
  execute function private.touch_updated_at();

-- Versions of the summaries, including the current ones: each tells of nothing after its position. A few are kept, most
-- of them near the end.
create table private.summary_versions (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  covers_position bigint not null,
  content text not null,
  content_tier text not null,
  primary key (conversation_id, covers_position)
);
alter table private.summary_versions enable row level security;
revoke all on private.summary_versions from public, anon, authenticated;

-- A user's words replace all that models wrote so far; the messages that it retold stay covered. If the user had seen
-- less of it (seen_position), what a model wrote since goes, too, but the messages that it retold are summarised again.
-- Without words there is no summary, and a new one is written. The same words again, as a client may send them,
-- change nothing.
create function private.take_person_summary() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_seen constant bigint := new.seen_position;
begin
  if tg_op = 'UPDATE' then
    new.seen_position := null;
    if new.conversation_id <> old.conversation_id then
      raise exception 'A summary stays with its conversation.' using errcode = 'PT400', detail = 'conversation_id';
    end if;
  end if;
  if private.is_blank(new.person_content) is not false then
    new.person_content := '';
  elsif private.is_list_or_object(left(new.person_content, 8001)) then
    raise exception 'Your part of a summary is a text.' using errcode = 'PT400', detail = 'person_content';
  elsif char_length(new.person_content) > 8000 then
    raise exception 'Your part of a summary has at most 8000 characters.'
      using errcode = 'PT400', detail = 'person_content';
  end if;
  -- As what a model writes there.
  new.content_tier := private.tier_of(new.conversation_id);
  if tg_op = 'INSERT' or new.person_content <> '' and new.person_content = old.person_content then
    return new;
  end if;
  new.content := '';
  new.most_messages := null;
  new.failures := 0;
  if new.person_content = '' then
    new.covers_position := 0;
    new.person_covers := 0;
    delete from private.summary_versions v where v.conversation_id = new.conversation_id;
  else
    new.covers_position := least(old.covers_position, case when v_seen is not null then greatest(v_seen, 0) end);
    new.person_covers := case
      when v_seen is null then greatest(old.person_covers, old.covers_position)
      else greatest(least(old.person_covers, v_seen), new.covers_position) end;
    if new.covers_position < old.covers_position then
      new.tried_to := 0;
      delete from private.summary_versions v
      where v.conversation_id = new.conversation_id and v.covers_position > new.covers_position;
    end if;
    update private.summary_versions v set content = '' where v.conversation_id = new.conversation_id;
  end if;
  return new;
end $$;
create trigger conversation_summaries_person
  before insert or update of conversation_id, person_content, seen_position on public.conversation_summaries
  for each row when (current_setting('role', true) = 'authenticated') execute function private.take_person_summary();

-- An after trigger, because an upsert must find the request's value in the row.
create function private.forget_seen_position() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.conversation_summaries s set seen_position = null where s.conversation_id = new.conversation_id;
  return null;
end $$;
revoke execute on function private.take_person_summary(), private.forget_seen_position()
  from public, anon, authenticated;
create trigger conversation_summaries_seen after insert on public.conversation_summaries
  for each row when (new.seen_position is not null) execute function private.forget_seen_position();

-- A summary that a user deletes is forgotten with all its versions. An adult conversation gets a row without words: in
-- a branch nothing else says that its messages are adult. An after trigger, so that the answer contains the deleted
-- row, which shows the client that it was still as it was read.
create function private.forget_summary_versions() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.summary_versions v where v.conversation_id = old.conversation_id;
  if old.content_tier = 'nsfw' and current_setting('role', true) = 'authenticated'
     and exists (select from shared.conversations c where c.id = old.conversation_id) then
    insert into public.conversation_summaries (conversation_id) values (old.conversation_id);
    -- What a user inserts has the tier of the conversation.
    update public.conversation_summaries s set content_tier = 'nsfw' where s.conversation_id = old.conversation_id;
  end if;
  return null;
end $$;
revoke execute on function private.forget_summary_versions() from public, anon, authenticated;
create trigger conversation_summaries_forget after delete on public.conversation_summaries
  for each row execute function private.forget_summary_versions();

alter table public.conversation_summaries enable row level security;
revoke all on public.conversation_summaries from anon, authenticated;
grant select, delete on public.conversation_summaries to authenticated;
grant insert (conversation_id, person_content, seen_position), update (conversation_id, person_content, seen_position)
  on public.conversation_summaries to authenticated;
create policy conversation_summaries_all on public.conversation_summaries for all to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())))
  with check (exists (select 1 from public.conversations c
                      where c.id = conversation_id and c.user_id = (select auth.uid())));

-- nsfw if the conversation, or one it was branched from, had a turn in the adult tier.
create function private.tier_of(p_conversation_id uuid) returns text
language sql stable set search_path = '' as $$
  select case when exists (
      select 1 from public.turns t where t.conversation_id = p_conversation_id and t.content_tier = 'nsfw')
    or exists (
      select 1 from public.conversation_summaries s
      where s.conversation_id = p_conversation_id and s.content_tier = 'nsfw')
    then 'nsfw' else 'sfw' end
$$;

-- The maximum number of bytes of messages that a turn reads (private.history says how a very long one counts): more
-- than most models read.
create function private.most_history_bytes() returns integer
language sql immutable set search_path = '' as 'select 1048576';

-- The oldest messages that are in no summary, for a turn whose history is cut. Some may be in the history,
-- too. `messages` is [{"sender", "content", "position", "character_id": who wrote it}]. p_character_id is the
-- conversation's character, p_hidden is private.hidden_ranges. `speakers` are the characters who wrote the messages.
create function private.backlog(
  p_conversation_id uuid, p_character_id uuid, p_covered bigint, p_hidden int8multirange,
  out messages json, out speakers uuid[])
language plpgsql stable set search_path = '' as $$
begin
  select coalesce(json_agg(json_build_object(
      'sender', m.sender, 'content', m.content, 'position', m.position, 'character_id', m.character_id)
      order by m.position), '[]'),
    array_agg(distinct m.character_id) filter (where m.character_id is not null)
  into messages, speakers
  from (
    select m.*, sum(octet_length(m.content)) over (order by m.position) as bytes
    from (
      select m.sender, m.content, m.position,
             case when m.sender = 'character' then coalesce(m.character_id, p_character_id) end as character_id
      from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position > p_covered
        and not m.position <@ p_hidden
      order by m.position limit 64) m) m
  where m.bytes <= private.most_history_bytes();
end $$;

-- Removes the message at p_position, and later ones, from the summary: the newest version that
-- covers neither replaces it. The rest is summarised again in steps. A summary that is being written
-- meanwhile is refused by private.remember.
create function private.forget_summary_from(p_conversation_id uuid, p_position bigint) returns void
language plpgsql set search_path = '' as $$
declare
  v_version private.summary_versions;
begin
  -- Its row first, as wherever a person writes or deletes it.
  perform from public.conversation_summaries s where s.conversation_id = p_conversation_id for update;
  delete from private.summary_versions v
  where v.conversation_id = p_conversation_id and v.covers_position >= p_position;
  select * into v_version from private.summary_versions v
  where v.conversation_id = p_conversation_id order by v.covers_position desc limit 1;
  -- The tier stays: the messages that made it adult may still be there.
  update public.conversation_summaries s
  set content = coalesce(v_version.content, ''), covers_position = coalesce(v_version.covers_position, 0),
      most_messages = null, failures = 0, tried_to = 0
  where s.conversation_id = p_conversation_id and s.covers_position >= p_position;
  -- Perhaps it was the one that no model could note.
  update public.conversation_summaries s set most_messages = null, failures = 0, tried_to = 0
  where s.conversation_id = p_conversation_id and s.tried_to >= p_position;
end $$;

-- The first of the newest four messages up to p_position. They are in no summary, because they may be written again or
-- continued.
create function private.first_uncovered(p_conversation_id uuid, p_position bigint default 9223372036854775807)
returns bigint
language plpgsql stable set search_path = '' as $$
declare
  v_hidden constant int8multirange := private.hidden_ranges(p_conversation_id);
begin
  return coalesce((
    select m.position from shared.messages m
    where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position <= p_position
      and not m.position <@ v_hidden
    order by m.position desc offset 3 limit 1), 1);
end $$;

-- Called after messages were removed: a summary that covers any of the newest four is replaced by an older version.
create function private.uncover_newest(p_conversation_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  v_covered constant bigint := (
    select s.covers_position from public.conversation_summaries s where s.conversation_id = p_conversation_id);
  v_first bigint;
begin
  if v_covered > 0 then
    v_first := private.first_uncovered(p_conversation_id);
    if v_covered >= v_first then
      perform private.forget_summary_from(p_conversation_id, v_first);
    end if;
  end if;
end $$;

-- Called after messages that said these facts were removed: updates when each was last said, and which of two
-- contradicting facts holds, if the other one was said later.
create function private.review_facts(p_ids uuid[]) returns void
language plpgsql set search_path = '' as $$
declare
  v_fact public.memory_facts;
  v_later public.memory_facts;
begin
  update public.memory_facts f
  set repeated_to = (
        select max(r.position) from private.fact_repeats r
        where r.fact_id = f.id and r.conversation_id = f.source_conversation_id and r.position > f.source_to),
      said_at = coalesce((
        select max(said.created_at)
        from (
          select m.created_at from shared.messages m
          where m.conversation_id = f.source_conversation_id and m.position between f.source_from and f.source_to
            and m.is_active
          union all
          select m.created_at from private.fact_repeats r
          join shared.messages m on m.conversation_id = r.conversation_id and m.position = r.position and m.is_active
          where r.fact_id = f.id) said
        -- A product's message may have any time, or none.
        where said.created_at between '1970-01-01' and '2500-01-01'), f.said_at)
  where f.id = any (p_ids) and f.written_by = 'model';
  for v_fact in
    select * from public.memory_facts f
    where f.id = any (p_ids) and f.replaced_by is null and f.written_by = 'model' and not f.pinned
  loop
    select * into v_later from public.memory_facts f
    where f.replaced_by = v_fact.id and private.is_later(f, v_fact) and not exists (
      select from public.memory_facts c
      where c.memory_id = f.memory_id and c.plain_digest = f.plain_digest and c.replaced_by is null
        and not c.is_withdrawal)
    order by f.said_at desc, f.id limit 1;
    if found and v_later.memory_id = v_fact.memory_id then
      update public.memory_facts f set replaced_by = v_later.id where f.id = v_fact.id or f.replaced_by = v_fact.id;
      update public.memory_facts f set replaced_by = null, since = f.said_at where f.id = v_later.id;
      perform private.hide_too(array[v_fact.id], v_later.id, false);
    elsif found then
      update public.memory_facts f
      set replaced_by = null, since = f.said_at, hides = array_append(array_remove(f.hides, v_fact.id), v_fact.id)
      where f.id = v_later.id;
    end if;
  end loop;
end $$;

-- Gives facts whose message is removed the newest message of another conversation that says them as their source.
-- Without p_position all messages of the conversation are removed. Returns the ids of these facts; null: none.
create function private.move_sources(p_conversation_id uuid, p_position bigint default null) returns uuid[]
language plpgsql set search_path = '' as $$
declare
  v_moved uuid[];
begin
  with moved as (
    update public.memory_facts f
    set source_conversation_id = s.conversation_id, source_message_id = s.id, source_from = s.position,
        source_to = s.position, repeated_to = (
          select max(r.position) from private.fact_repeats r
          where r.fact_id = f.id and r.conversation_id = s.conversation_id and r.position > s.position)
    from (
      select distinct on (r.fact_id) r.fact_id, m.id, m.conversation_id, m.position
      from public.memory_facts f
      join private.fact_repeats r on r.fact_id = f.id
      join shared.messages m on m.conversation_id = r.conversation_id and m.position = r.position
      where f.source_conversation_id = p_conversation_id
        and (p_position is null or p_position between f.source_from and f.source_to)
        and r.conversation_id <> p_conversation_id and m.is_active and m.is_speech
      order by r.fact_id, m.created_at desc nulls last, m.position desc) s
    where f.id = s.fact_id
    returning f.id, f.source_conversation_id, f.source_to),
  taken as (
    delete from private.fact_repeats r using moved
    where r.fact_id = moved.id and r.conversation_id = moved.source_conversation_id and r.position = moved.source_to)
  select array_agg(m.id) into v_moved from moved m;
  return v_moved;
end $$;

-- Forgets what models noted from a message, and that it said a fact again. What these facts had replaced
-- is current again. Pinned facts and users' own stay, and so does what another conversation said, too. What this
-- one says elsewhere is noted again with the next summary. The caller has locked the memory.
create function private.forget_facts_of(p_conversation_id uuid, p_position bigint) returns void
language plpgsql set search_path = '' as $$
declare
  v_moved uuid[];
  v_unsaid uuid[];
begin
  with unsaid as (
    delete from private.fact_repeats r where r.conversation_id = p_conversation_id and r.position = p_position
    returning r.fact_id)
  select array_agg(u.fact_id) into v_unsaid from unsaid u;
  v_moved := private.move_sources(p_conversation_id, p_position);
  -- Nothing says what the user pinned any longer: it is their own, also when it is pinned no more.
  update public.memory_facts f set written_by = 'person'
  where f.source_conversation_id = p_conversation_id and p_position between f.source_from and f.source_to
    and f.written_by = 'model' and f.pinned and not f.is_withdrawal and f.replaced_by is null;
  delete from public.memory_facts f
  where f.source_conversation_id = p_conversation_id and p_position between f.source_from and f.source_to
    and f.written_by = 'model' and not f.pinned;
  if v_moved || v_unsaid <> '{}' then
    perform private.review_facts(v_moved || v_unsaid);
  end if;
end $$;

-- Forgets what was drawn from messages of a conversation that were changed, set aside or deleted. p_positions are those
-- from which something may have been drawn: nothing is drawn from a version while it is set aside. The caller has
-- locked the conversation and the memory.
create function private.forget_drawn(
  p_conversation_id uuid, p_ids uuid[], p_positions bigint[], p_are_deleted boolean) returns void
language plpgsql set search_path = '' as $$
declare
  v_position bigint;
begin
  perform private.forget_summary_from(p_conversation_id, min(p.position)) from unnest(p_positions) p (position)
  having count(*) > 0;
  -- Most messages are the source of nothing.
  for v_position in
    select distinct p.position
    from unnest(p_positions) p (position)
    join (
      select r.position as first, r.position as last from private.fact_repeats r
      where r.conversation_id = p_conversation_id
      union all
      select f.source_from, f.source_to from public.memory_facts f
      where f.source_conversation_id = p_conversation_id) n on p.position between n.first and n.last
    order by 1
  loop
    perform private.forget_facts_of(p_conversation_id, v_position);
  end loop;
  -- One of a product that is set aside is deleted from its table.
  if p_are_deleted and exists (
      select from unnest(p_ids) i (id) where not exists (select from shared.messages m where m.id = i.id)) then
    perform private.uncover_newest(p_conversation_id);
  end if;
  -- Last, because facts that were replaced may be current again.
  perform private.drop_replaced(p_conversation_id);
  perform private.forget_embeddings(p_ids);
  perform private.forget_variables(p_ids);
-- Messages matter more than the memory of them. But a deadlock is no reason to leave it behind, or a lock that takes
-- too long: then the statement fails, and can be repeated.
exception
  when transaction_rollback or lock_not_available then
    raise;
  when others then
    raise warning 'notes of messages of conversation % not forgotten: %', p_conversation_id, sqlstate;
end $$;

-- A trigger of statements that change, delete or set aside messages, whoever makes them: what was drawn from these is
-- forgotten, and noted again from the present text. `gone` are their rows, `present` the changed ones. If the
-- conversation is deleted, everything is deleted anyway.
create function private.forget_messages() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  -- [{"id", "conversation_id", "position", "was_active", "is_active"}]: a product's table has no versions that are
  -- set aside.
  v_touched jsonb;
  v_conversation_id uuid;
  v_held uuid[] := '{}';
begin
  if tg_op = 'DELETE' then
    select jsonb_agg(jsonb_build_object(
      'id', g.id, 'conversation_id', g.conversation_id, 'position', g.position,
      'was_active', to_jsonb(g) -> 'is_active'))
    into v_touched from gone g;
  else
    select jsonb_agg(jsonb_build_object(
      'id', g.id, 'conversation_id', g.conversation_id, 'position', g.position,
      'was_active', to_jsonb(g) -> 'is_active', 'is_active', to_jsonb(p) -> 'is_active'))
    into v_touched from gone g join present p on p.id = g.id
    where g.content is distinct from p.content or to_jsonb(g) -> 'is_active' is distinct from to_jsonb(p) -> 'is_active';
  end if;
  if v_touched is null then
    return null;
  end if;
  -- All locks first, in the order of private.note_change and private.remember: what is being saved meanwhile would not
  -- be seen, and a statement may touch several conversations.
  for v_conversation_id in
    select distinct t.conversation_id from jsonb_to_recordset(v_touched) t (conversation_id uuid) order by 1
  loop
    if shared.hold_conversation(v_conversation_id) then
      perform from private.conversation_versions v where v.conversation_id = v_conversation_id for update;
      v_held := v_held || v_conversation_id;
    end if;
  end loop;
  perform private.lock_memory(u.user_id)
  from (select distinct c.user_id from shared.conversations c where c.id = any (v_held) order by 1) u;
  perform private.forget_drawn(
    t.conversation_id, array_agg(t.id),
    array_agg(t.position) filter (
      where coalesce(t.was_active, true) or tg_op <> 'DELETE' and coalesce(t.is_active, true)),
    tg_op = 'DELETE')
  from jsonb_to_recordset(v_touched)
    t (id uuid, conversation_id uuid, position bigint, was_active boolean, is_active boolean)
  where t.conversation_id = any (v_held)
  group by t.conversation_id;
  return null;
end $$;

-- A trigger on conversations, for one that anybody deletes: facts that other conversations say, too, go with
-- the messages there. Nothing else changes: what only this one said stays.
create function private.forget_conversation() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.lock_memory(old.user_id);
  perform private.move_sources(old.id);
  return old;
-- As in private.forget_drawn.
exception
  when transaction_rollback or lock_not_available then
    raise;
  when others then
    raise warning 'sources of conversation % not moved: %', old.id, sqlstate;
    return old;
end $$;

revoke execute on function private.most_history_bytes(), private.tier_of(uuid), private.backlog(uuid, uuid, bigint, int8multirange),
  private.forget_summary_from(uuid, bigint), private.first_uncovered(uuid, bigint), private.uncover_newest(uuid),
  private.forget_facts_of(uuid, bigint),
  private.move_sources(uuid, bigint), private.review_facts(uuid[]),
  private.forget_drawn(uuid, uuid[], bigint[], boolean), private.forget_messages(),
  private.forget_conversation() from public, anon, authenticated;
