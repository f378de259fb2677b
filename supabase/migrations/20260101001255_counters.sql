-- Counts of users' recent actions other than turns. Deleting the created rows does not change them;
-- deleting the user does.

create table private.counters (
  user_id uuid not null references auth.users (id) on delete cascade,
  kind text not null,
  -- Times in the last minute, oldest first; at most the newest 1,000.
  recent timestamptz[] not null default '{}',
  -- The last day (UTC) of an action, and the count on that day.
  day date not null default '-infinity',
  on_day bigint not null default 0,
  primary key (user_id, kind)
);
create index counters_by_day on private.counters (day);
alter table private.counters enable row level security;
revoke all on private.counters from public, anon, authenticated;

-- A user's counter, which is made where there is none, and locked. Waits as private.wait_for_person does.
create function private.wait_for_counter(p_user_id uuid, p_kind text) returns private.counters
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
declare
  v_counter private.counters;
begin
  -- Places of its own: those who wait for the person must not be in the way of the call that they wait for.
  perform private.take_waiting_place(md5(p_user_id || p_kind)::uuid);
  insert into private.counters as c (user_id, kind) values (p_user_id, p_kind)
  on conflict (user_id, kind) do update set kind = excluded.kind
  returning * into v_counter;
  return v_counter;
exception when lock_not_available then
  perform private.raise_busy();
end $$;

-- Counts one action of some amount and returns null. If a limit in p_limits is reached, it is not counted, and the
-- result is {"outcome": "rate_limited", "limit", "retry_after_seconds"}, where limit is
-- "<p_plural>_per_minute" or "<p_plural>_per_day". For blocked accounts, the result of
-- private.why_account_blocked. A minute counts actions, a day their amounts. The limit per minute is
-- at most 1,000. Concurrent calls wait for each other, for a bounded time: PT429.
create function private.count_use(
  p_user_id uuid, p_kind text, p_limits jsonb, p_plural text, p_amount bigint default 1) returns jsonb
language plpgsql set search_path = '' as $$
declare
  v_per_minute numeric := p_limits ->> (p_plural || '_per_minute');
  v_per_day numeric := p_limits ->> (p_plural || '_per_day');
  v_blocked jsonb;
  v_counter private.counters;
  v_now timestamptz;
  v_today date;
  v_on_day bigint;
  v_recent timestamptz[];
begin
  perform private.hold_account(p_user_id);
  v_blocked := private.why_account_blocked(p_user_id);
  if v_blocked is not null then
    return v_blocked;
  end if;
  select * into v_counter from private.counters c
  where c.user_id = p_user_id and c.kind = p_kind for no key update skip locked;
  if not found then
    v_counter := private.wait_for_counter(p_user_id, p_kind);
  end if;
  v_now := clock_timestamp();  -- now() is from before the wait
  v_today := (v_now at time zone 'utc')::date;
  v_on_day := case when v_counter.day = v_today then v_counter.on_day else 0 end + p_amount;
  v_recent := array(select r from unnest(v_counter.recent) r where r > v_now - interval '1 minute' order by r);

  if v_on_day - 1 >= v_per_day then
    return jsonb_build_object(
      'outcome', 'rate_limited', 'limit', p_plural || '_per_day',
      'retry_after_seconds', extract(epoch from ((v_today + 1)::timestamp at time zone 'utc') - v_now));
  elsif v_per_minute is not null and cardinality(v_recent) >= least(v_per_minute, 1000) then
    return jsonb_build_object(
      'outcome', 'rate_limited', 'limit', p_plural || '_per_minute',
      -- The time until enough actions are older than a minute for a new one to be allowed.
      'retry_after_seconds', coalesce(extract(epoch from
        v_recent[cardinality(v_recent) - least(ceil(v_per_minute), 1000)::integer + 1] + interval '1 minute' - v_now), 60));
  end if;
  update private.counters c
  set recent = (v_recent || v_now)[greatest(cardinality(v_recent) - 998, 1):], day = v_today, on_day = v_on_day
  where c.user_id = p_user_id and c.kind = p_kind;
  return null;
end $$;

-- Counts an action that is not a turn, before it is carried out. Returns the result of
-- private.count_use.
create function public.count_action(p_user_id uuid, p_action text) returns jsonb
language sql security definer set search_path = '' as $$
  select private.count_use(p_user_id, k.kind, private.limits_for(p_user_id), k.kind)
  from (select 
    case when p_action in ('import_card', 'import_chat', 'set_portrait') then 'imports'
         when p_action in ('export_card', 'export_chat') then 'exports' else 'actions' end) k (kind)
$$;

-- Raises what blocks a use, the result of private.count_use or private.why_account_blocked; nothing if
-- that is null. The Data API answers 401, 403 or 429.
create function private.raise_if_blocked(
  p_blocked jsonb, p_too_often text default 'You are adding or changing too much at once. Please wait a moment.')
returns void
language plpgsql set search_path = '' as $$
begin
  case p_blocked ->> 'outcome'
    when 'unknown_user' then raise exception 'This account no longer exists.' using errcode = 'PT401';
    when 'banned_user' then raise exception 'This account is suspended.' using errcode = 'PT403';
    when 'rate_limited' then
      raise exception '%', p_too_often using
        errcode = 'PT429', detail = p_blocked ->> 'limit',
        hint = format('Try again in %s seconds.', ceil((p_blocked ->> 'retry_after_seconds')::numeric));
    else null;
  end case;
end $$;

-- Who calls, for functions that people call themselves. Raises for a blocked account, whose token is
-- still valid for a while.
create function private.active_caller() returns uuid
language plpgsql stable security definer set search_path = '' as $$
begin
  perform private.raise_if_blocked(private.why_account_blocked(auth.uid()));
  return auth.uid();
end $$;

-- At most four writes of a person through the Data API go on at once, because any may wait for a row that another call
-- has locked. These have places of their own, as in private.wait_for_counter. A call takes one place for all its
-- statements, including those by which foreign keys delete. Raises PT429 after a moment.
create function private.take_writing_place(p_user_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  if current_setting('roleplay.writes', true) = p_user_id::text then
    return;
  end if;
  perform private.take_waiting_place(md5(p_user_id || ' writes')::uuid);
  perform set_config('roleplay.writes', p_user_id::text, true);
exception when lock_not_available then
  perform private.raise_busy();
end $$;

-- Rejects every write through the Data API for a blocked account. Here no row of the statement is locked yet.
create function private.check_account() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.take_writing_place(auth.uid());
  perform private.hold_account(auth.uid());
  perform private.active_caller();
  return null;
end $$;

-- Counts rows that users insert through the Data API, and updates of rows that can be large or
-- leave traces elsewhere, since one request can update all of a user's rows. Inserts and updates
-- have the same limits but separate counters. Rows that the functions write are not counted. The
-- Data API answers 429.
create function private.count_row() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id uuid := (select auth.uid());
  v_kind text := tg_table_name || case tg_op when 'UPDATE' then ' changes' else ' rows' end;
begin
  perform private.raise_if_blocked(private.count_use(v_user_id, v_kind, private.limits_for(v_user_id), 'rows'));
  return new;
end $$;

-- Puts both checks on a table that users can write. p_counted: which writes are counted, such as
-- 'insert or update of content'; null: none.
create function private.guard_writes(p_table regclass, p_counted text) returns void
language plpgsql set search_path = '' as $$
declare
  v_name text := (select c.relname from pg_catalog.pg_class c where c.oid = p_table);
begin
  execute format(
    'create trigger %I before insert or update or delete on %s for each statement
     when (current_setting(''role'', true) = ''authenticated'') execute function private.check_account()',
    v_name || '_account', p_table);
  if p_counted is not null then
    execute format(
      'create trigger %I before %s on %s for each row
       when (current_setting(''role'', true) = ''authenticated'') execute function private.count_row()',
      v_name || '_quota', p_counted, p_table);
  end if;
end $$;

revoke execute on function private.wait_for_counter(uuid, text),
  private.count_use(uuid, text, jsonb, text, bigint), public.count_action(uuid, text),
  private.raise_if_blocked(jsonb, text), private.active_caller(), private.take_writing_place(uuid),
  private.check_account(), private.count_row(),
  private.guard_writes(regclass, text)
  from public, anon, authenticated;
grant execute on function public.count_action(uuid, text) to service_role;

select private.guard_writes('public.conversation_characters', 'insert'),
       private.guard_writes('public.conversation_settings', 'insert or update'),
       private.guard_writes('public.conversation_summaries', 'insert or update of person_content'),
       private.guard_writes('public.memories', 'insert'),
       private.guard_writes('public.memory_facts', 'insert or update of content'),
       private.guard_writes('public.lorebooks', 'insert or update of content');
