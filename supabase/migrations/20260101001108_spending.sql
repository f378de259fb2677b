-- What calls cost on a day (UTC), for the budgets of the project and of each person, and the tokens of each person.
-- Adding up the day's events would make turns slower with every turn of the day.

-- A day's sum is divided among rows, so that turns do not wait for each other: each transaction adds to a row that no
-- other one holds. There are 32 as long as no more than 32 transactions add at the same time.
create table private.spent_daily (
  day date,
  part integer check (part >= 0),
  cost_usd numeric not null,
  primary key (day, part)
) with (fillfactor = 50);
alter table private.spent_daily enable row level security;
revoke all on private.spent_daily from public, anon, authenticated;

-- The same for each person, in the same parts: a transaction that holds a part of the project's sum may add to that
-- part of any person's.
create table private.spent_by_person (
  user_id uuid references auth.users (id) on delete cascade,
  day date,
  part integer check (part >= 0),
  cost_usd numeric not null,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  primary key (user_id, day, part)
) with (fillfactor = 50);
-- For the retention.
create index spent_by_person_by_day on private.spent_by_person (day);
alter table private.spent_by_person enable row level security;
revoke all on private.spent_by_person from public, anon, authenticated;

-- A trigger of events with a cost or tokens. What was spent stays spent: deleting an event takes nothing back.
create function private.note_spending() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  -- Connections begin at different rows and mostly keep to them. If all 32 are held, a connection makes a row of its
  -- own: no other one has its process id.
  v_own constant integer := pg_backend_pid();
  v_part integer := v_own + 32;
  v_day constant date := (new.created_at at time zone 'utc')::date;
begin
  for v_try in 0..31 loop
    -- Not a lock of the row: where it does not exist yet, an insert would wait for another transaction's.
    if pg_try_advisory_xact_lock(hashtext('spent_daily'), (v_own + v_try) % 32) then
      v_part := (v_own + v_try) % 32;
      exit;
    end if;
  end loop;
  if new.cost_usd > 0 then
    insert into private.spent_daily as s (day, part, cost_usd)
    values (v_day, v_part, new.cost_usd)
    on conflict (day, part) do update set cost_usd = s.cost_usd + excluded.cost_usd;
  end if;
  if new.user_id is not null then
    insert into private.spent_by_person as s (user_id, day, part, cost_usd, prompt_tokens, completion_tokens)
    values (new.user_id, v_day, v_part, coalesce(new.cost_usd, 0), coalesce(new.prompt_tokens, 0),
            coalesce(new.completion_tokens, 0))
    on conflict (user_id, day, part) do update
    set cost_usd = s.cost_usd + excluded.cost_usd, prompt_tokens = s.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = s.completion_tokens + excluded.completion_tokens;
  end if;
  return null;
end $$;
revoke execute on function private.note_spending() from public, anon, authenticated;
create trigger usage_events_note_spending after insert on public.usage_events
  for each row when (new.cost_usd > 0 or new.prompt_tokens > 0 or new.completion_tokens > 0)
  execute function private.note_spending();

-- What was spent by all people on the day of p_now.
create function private.spent_by_all(p_now timestamptz) returns numeric
language sql stable set search_path = '' as $$
  select coalesce(sum(s.cost_usd), 0) from private.spent_daily s
  where s.day = (p_now at time zone 'utc')::date
$$;

-- What was spent by one person on the day of p_now.
create function private.spent_by(p_user_id uuid, p_now timestamptz) returns numeric
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(sum(s.cost_usd), 0) from private.spent_by_person s
    where s.user_id = p_user_id and s.day = (p_now at time zone 'utc')::date);
end $$;

-- {"prompt", "completion"}: the tokens of one person's calls on the day of p_now.
create function private.tokens_of(p_user_id uuid, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_build_object('prompt', coalesce(sum(s.prompt_tokens), 0),
                              'completion', coalesce(sum(s.completion_tokens), 0))
    from private.spent_by_person s
    where s.user_id = p_user_id and s.day = (p_now at time zone 'utc')::date);
end $$;

revoke execute on function private.spent_by_all(timestamptz), private.spent_by(uuid, timestamptz),
  private.tokens_of(uuid, timestamptz)
  from public, anon, authenticated;
