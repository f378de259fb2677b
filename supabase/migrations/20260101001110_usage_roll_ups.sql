-- Hourly and daily sums of usage_events (UTC). They are kept after the events are deleted.

create table public.usage_hourly (
  hour timestamptz not null,
  provider text not null,
  model_key text not null,
  outcome text not null,
  calls integer not null,
  -- Number of turns that made these calls.
  turns integer not null,
  prompt_tokens bigint not null,
  -- Of these, the ones known to come from a cache.
  cached_tokens bigint not null default 0,
  completion_tokens bigint not null,
  -- Sum of the known costs; null if no cost is known.
  cost_usd numeric(24, 8),
  -- Median and 95th percentile in milliseconds. Null: not measured.
  first_token_p50_ms integer,
  first_token_p95_ms integer,
  duration_p50_ms integer not null,
  duration_p95_ms integer not null,
  primary key (hour, provider, model_key, outcome)
);

create table public.usage_daily (
  day date not null,
  like public.usage_hourly including defaults,
  primary key (day, provider, model_key, outcome)
);
-- The table is new, so nothing can depend on this column.
-- squawk-ignore ban-drop-column
alter table public.usage_daily drop column hour;

alter table public.usage_hourly enable row level security;
alter table public.usage_daily enable row level security;
revoke all on public.usage_hourly, public.usage_daily from anon, authenticated;
grant select on public.usage_hourly, public.usage_daily to authenticated;
create policy usage_hourly_select on public.usage_hourly for select to authenticated
  using ((select private.is_admin()));
create policy usage_daily_select on public.usage_daily for select to authenticated
  using ((select private.is_admin()));

-- Sums the events in [p_from, p_to) by bucket ('hour' or 'day'), provider, model and outcome.
create function private.usage_sums(p_bucket text, p_from timestamptz, p_to timestamptz)
returns setof public.usage_hourly
language sql stable set search_path = '' as $$
  select date_trunc(p_bucket, u.created_at, 'UTC'), u.provider, u.model_key, u.outcome,
         count(*), count(distinct u.turn_id),
         coalesce(sum(u.prompt_tokens), 0), coalesce(sum(u.cached_tokens), 0),
         coalesce(sum(u.completion_tokens), 0), sum(u.cost_usd),
         percentile_disc(0.5) within group (order by u.first_token_ms),
         percentile_disc(0.95) within group (order by u.first_token_ms),
         percentile_disc(0.5) within group (order by u.duration_ms),
         percentile_disc(0.95) within group (order by u.duration_ms)
  from public.usage_events u
  where u.created_at >= p_from and u.created_at < p_to
  group by 1, 2, 3, 4
$$;

-- Rebuilds the roll-ups of one day (UTC) from its events. Repeated and concurrent calls are safe. A day of which
-- events were deleted since keeps its roll-ups: they are all that is left of it.
--
-- By default it takes the last day that was rolled up, but no later day than it was an hour ago,
-- because events may arrive shortly after midnight. Returns the next day that has events, or null.
-- Calling it until it returns null catches up after any pause.
create function public.roll_up_usage(p_day date default null) returns date
language plpgsql security definer set search_path = '' as $$
declare
  v_day date;
  v_from timestamptz;
  v_to timestamptz;
begin
  perform pg_advisory_xact_lock(hashtextextended('roll_up_usage', 0));
  v_day := coalesce(p_day, least(
    coalesce((select max(d.day) from public.usage_daily d),
             (select (min(u.created_at) at time zone 'utc')::date from public.usage_events u)),
    ((now() - interval '1 hour') at time zone 'utc')::date));
  v_from := v_day::timestamp at time zone 'utc';
  -- Not a day, which has 23 or 25 hours in a session of a time zone with summer time.
  v_to := v_from + interval '24 hours';

  if (select count(*) from public.usage_events u where u.created_at >= v_from and u.created_at < v_to)
     >= (select coalesce(sum(d.calls), 0) from public.usage_daily d where d.day = v_day) then
    delete from public.usage_hourly h where h.hour >= v_from and h.hour < v_to;
    insert into public.usage_hourly select * from private.usage_sums('hour', v_from, v_to);
    delete from public.usage_daily d where d.day = v_day;
    insert into public.usage_daily
    select v_day, s.provider, s.model_key, s.outcome, s.calls, s.turns, s.prompt_tokens, s.cached_tokens,
           s.completion_tokens, s.cost_usd, s.first_token_p50_ms, s.first_token_p95_ms,
           s.duration_p50_ms, s.duration_p95_ms
    from private.usage_sums('day', v_from, v_to) s;
  end if;

  return (select (min(u.created_at) at time zone 'utc')::date from public.usage_events u where u.created_at >= v_to);
end $$;

-- Deletes up to p_limit rows of each kind that are past their retention period, and returns the
-- numbers: {"usage_events", "turn_results"}.
--
-- Events are deleted once their day and a later one are rolled up. Turns only lose their result, but
-- turns of deleted conversations are deleted like events. Compositions of prompts are deleted after
-- prompt_days (default 7), and count as turn_results, too, as do the sums of what people spent on past days. Messages
-- are never deleted.
create function public.apply_retention(p_limit integer default 1000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_usage_days numeric;
  v_result_days numeric;
  v_before timestamptz;
  v_events integer;
  v_results integer;
  v_orphans integer;
  v_prompt_days numeric;
  v_prompts integer;
  v_spent integer;
begin
  select (s.config #>> '{retention,usage_days}')::numeric, (s.config #>> '{retention,result_days}')::numeric,
         case when s.config -> 'retention' ? 'prompt_days' then (s.config #>> '{retention,prompt_days}')::numeric
              else 7 end
  into v_usage_days, v_result_days, v_prompt_days from private.system_settings s;

  if v_usage_days is not null then
    -- Null until a day has been rolled up: then nothing is deleted.
    select case when max(d.day) is not null then least(
             max(d.day)::timestamp at time zone 'utc', now() - make_interval(secs => v_usage_days * 86400)) end
    into v_before from public.usage_daily d;
  end if;
  -- A subquery in `in` may run again for each row, and then p_limit is no limit. An array is made once.
  delete from public.usage_events where id = any (array(
    select u.id from public.usage_events u where u.created_at < v_before
    order by u.created_at limit p_limit
    for update skip locked));
  get diagnostics v_events = row_count;

  with emptied as (
    update public.turns set result = null where id = any (array(
      select t.id from public.turns t
      where t.result is not null and t.finished_at < now() - make_interval(secs => v_result_days * 86400)
      order by t.finished_at limit p_limit
      for update skip locked))
    returning id),
  replies as (
    delete from private.turn_replies r using emptied where r.turn_id = emptied.id)
  select count(*) into v_results from emptied;

  delete from public.turns where id = any (array(
    select t.id from public.turns t where t.is_orphaned and t.finished_at < v_before
    order by t.finished_at limit p_limit - v_results
    for update skip locked));
  get diagnostics v_orphans = row_count;

  delete from public.turn_prompts where turn_id = any (array(
    select p.turn_id from public.turn_prompts p where p.created_at < now() - make_interval(secs => v_prompt_days * 86400)
    order by p.created_at limit p_limit - v_results - v_orphans
    for update skip locked));
  get diagnostics v_prompts = row_count;
  delete from private.spent_daily where day < (now() at time zone 'utc')::date - 1;
  delete from private.spent_by_person where ctid = any (array(
    select s.ctid from private.spent_by_person s where s.day < (now() at time zone 'utc')::date - 1
    order by s.day limit p_limit - v_results - v_orphans - v_prompts
    for update skip locked));
  get diagnostics v_spent = row_count;

  -- Counters of past days no longer limit anything.
  with past as materialized (
    select c.user_id, c.kind from private.counters c
    where c.day < (now() at time zone 'utc')::date - 1
    limit p_limit
    for update skip locked)
  delete from private.counters c using past where (c.user_id, c.kind) = (past.user_id, past.kind);

  return jsonb_build_object('usage_events', v_events, 'turn_results', v_results + v_orphans + v_prompts + v_spent);
end $$;

revoke execute on function private.usage_sums(text, timestamptz, timestamptz), public.roll_up_usage(date),
  public.apply_retention(integer) from public, anon, authenticated;
grant execute on function public.roll_up_usage(date), public.apply_retention(integer) to service_role;
