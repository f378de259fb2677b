-- What the paid calls of all people cost on a day (UTC), for the budget of the project. Adding up the day's
-- events would make turns slower with every turn of the day.

-- Each connection adds to one of 32 rows of a day, so that turns hardly wait for each other.
create table private.spent_daily (
  day date,
  part integer check (part between 0 and 31),
  cost_usd numeric not null,
  primary key (day, part)
) with (fillfactor = 50);
alter table private.spent_daily enable row level security;
revoke all on private.spent_daily from public, anon, authenticated;

-- A trigger of events with a cost. What was paid stays paid: deleting an event takes nothing back.
create function private.note_spending() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into private.spent_daily as s (day, part, cost_usd)
  values ((new.created_at at time zone 'utc')::date, pg_backend_pid() % 32, new.cost_usd)
  on conflict (day, part) do update set cost_usd = s.cost_usd + excluded.cost_usd;
  return null;
end $$;
revoke execute on function private.note_spending() from public, anon, authenticated;
create trigger usage_events_note_spending after insert on public.usage_events
  for each row when (new.cost_usd > 0) execute function private.note_spending();

-- What was spent by all people on the day of p_now.
create function private.spent_by_all(p_now timestamptz) returns numeric
language sql stable set search_path = '' as $$
  select coalesce(sum(s.cost_usd), 0) from private.spent_daily s
  where s.day = (p_now at time zone 'utc')::date
$$;
revoke execute on function private.spent_by_all(timestamptz) from public, anon, authenticated;
