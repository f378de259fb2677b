-- Hourly and daily sums of usage_events (UTC). They are kept after the events are deleted.

create table public.usage_hourly (
  hour timestamptz not null,
  provider text not null,
  model_key text not null,
  outcome text not null,
  calls integer not null,
  -- Number of turns that made these calls, in the hour of the first one. A turn whose calls private.rolled_up separates
  -- counts twice.
  turns integer not null,
  -- Of these, the ones whose first call of this model, and of any model, is counted here. So each turn counts once in
  -- the sum of a model's outcomes, and of all rows.
  turns_of_model integer not null default 0,
  turns_of_all integer not null default 0,
  prompt_tokens bigint not null,
  -- Of these, the ones known to come from a cache.
  cached_tokens bigint not null default 0,
  completion_tokens bigint not null,
  -- Sum of the known costs; null if no cost is known.
  cost_usd numeric(24, 8),
  -- Calls whose cost is unknown, and calls whose tokens we counted ourselves.
  cost_unknown integer not null default 0,
  estimated integer not null default 0,
  -- Median and 95th percentile in milliseconds, rounded to two digits. Null: not measured.
  first_token_p50_ms integer,
  first_token_p95_ms integer,
  duration_p50_ms integer not null,
  duration_p95_ms integer not null,
  primary key (hour, provider, model_key, outcome)
);

create table public.usage_daily (
  day date not null,
  like public.usage_hourly including defaults,
  -- How many calls took how many milliseconds: {"<ms, rounded to two digits>": calls}. Unlike percentiles, these add up.
  first_token_ms jsonb not null default '{}',
  duration_ms jsonb not null default '{}',
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

-- Sums of the first events of days that may still get some. They are not added up again: more of them in a day would
-- make each roll-up slower, until it takes longer than a call may.
create table private.rolled_up (
  hour timestamptz not null,
  provider text not null,
  model_key text not null,
  outcome text not null,
  calls bigint not null,
  turns bigint not null,
  turns_of_model bigint not null,
  turns_of_all bigint not null,
  prompt_tokens bigint not null,
  cached_tokens bigint not null,
  completion_tokens bigint not null,
  cost_usd numeric,
  cost_unknown bigint not null,
  estimated bigint not null,
  first_token_ms jsonb not null,
  duration_ms jsonb not null,
  primary key (hour, provider, model_key, outcome)
);
-- These days, and the time of the first event that is not in private.rolled_up.
create table private.rolled_up_days (
  day date primary key,
  upto timestamptz not null
);
alter table private.rolled_up enable row level security;
alter table private.rolled_up_days enable row level security;
revoke all on private.rolled_up, private.rolled_up_days from public, anon, authenticated;

-- Sums the events in [p_from, p_to) by hour, provider, model and outcome. A turn counts in the hour of its first call.
create function private.usage_sums(p_from timestamptz, p_to timestamptz) returns setof private.rolled_up
language sql stable set search_path = '' as $$
  with events as materialized (
    select date_trunc('hour', u.created_at, 'UTC') as hour, u.provider, u.model_key, u.outcome,
           u.prompt_tokens, u.cached_tokens, u.completion_tokens, u.cost_usd, u.is_estimated,
           round(u.first_token_ms, 2 - length(u.first_token_ms::text))::integer as first_token_ms,
           round(u.duration_ms, 2 - length(u.duration_ms::text))::integer as duration_ms,
           u.turn_id is not null and 1 = row_number() over (
             partition by u.turn_id, u.provider, u.model_key, u.outcome order by u.created_at) as is_first,
           u.turn_id is not null and 1 = row_number() over (
             partition by u.turn_id, u.provider, u.model_key order by u.created_at, u.outcome) as is_first_of_model,
           u.turn_id is not null and 1 = row_number() over (
             partition by u.turn_id order by u.created_at, u.provider, u.model_key, u.outcome) as is_first_of_all
    from public.usage_events u
    where u.created_at >= p_from and u.created_at < p_to),
  -- By each time that a call took. Not joins of the sums with the counts of times: the planner takes the groups for few.
  timed as (
    select e.hour, e.provider, e.model_key, e.outcome, e.duration_ms, null::integer as first_token_ms, count(*) as calls,
           count(*) filter (where e.is_first) as turns, count(*) filter (where e.is_first_of_model) as turns_of_model,
           count(*) filter (where e.is_first_of_all) as turns_of_all, sum(e.prompt_tokens) as prompt_tokens,
           sum(e.cached_tokens) as cached_tokens, sum(e.completion_tokens) as completion_tokens,
           sum(e.cost_usd) as cost_usd, count(*) filter (where e.cost_usd is null) as cost_unknown,
           count(*) filter (where e.is_estimated) as estimated
    from events e group by 1, 2, 3, 4, 5
    union all
    select e.hour, e.provider, e.model_key, e.outcome, null, e.first_token_ms, count(*),
           null, null, null, null, null, null, null, null, null
    from events e where e.first_token_ms is not null group by 1, 2, 3, 4, 6)
  select t.hour, t.provider, t.model_key, t.outcome, sum(t.calls) filter (where t.duration_ms is not null), sum(t.turns),
         sum(t.turns_of_model), sum(t.turns_of_all), coalesce(sum(t.prompt_tokens), 0), coalesce(sum(t.cached_tokens), 0),
         coalesce(sum(t.completion_tokens), 0), sum(t.cost_usd), sum(t.cost_unknown), sum(t.estimated),
         coalesce(jsonb_object_agg(t.first_token_ms, t.calls) filter (where t.first_token_ms is not null), '{}'),
         jsonb_object_agg(t.duration_ms, t.calls) filter (where t.duration_ms is not null)
  from timed t group by 1, 2, 3, 4
$$;

create function private.sum_counts(p_counts jsonb[]) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(s.key, s.calls), '{}')
  from (
    select e.key, sum(e.value::bigint) as calls from unnest(p_counts) c (counts), jsonb_each_text(c.counts) e
    group by e.key) s
$$;

-- The same sums with one row for each hour (or day), provider, model and outcome.
create function private.added_up(p_sums private.rolled_up[], p_bucket text default 'hour')
returns setof private.rolled_up
language sql stable set search_path = '' as $$
  select date_trunc(p_bucket, s.hour, 'UTC'), s.provider, s.model_key, s.outcome, sum(s.calls), sum(s.turns),
         sum(s.turns_of_model), sum(s.turns_of_all), sum(s.prompt_tokens), sum(s.cached_tokens),
         sum(s.completion_tokens), sum(s.cost_usd), sum(s.cost_unknown), sum(s.estimated),
         private.sum_counts(array_agg(s.first_token_ms)), private.sum_counts(array_agg(s.duration_ms))
  from unnest(p_sums) s
  group by 1, 2, 3, 4
$$;

-- A percentile of times that were counted; null of none.
create function private.percentile_of(p_counts jsonb, p_fraction numeric) returns integer
language sql immutable set search_path = '' as $$
  select min(c.ms) filter (where c.upto >= p_fraction * c.calls)
  from (
    select e.key::integer as ms, sum(e.value::bigint) over (order by e.key::integer) as upto,
           sum(e.value::bigint) over () as calls
    from jsonb_each_text(p_counts) e) c
$$;

create function private.usage_rows(p_sums private.rolled_up[]) returns setof public.usage_hourly
language sql immutable set search_path = '' as $$
  select s.hour, s.provider, s.model_key, s.outcome, s.calls, s.turns, s.turns_of_model, s.turns_of_all,
         s.prompt_tokens, s.cached_tokens, s.completion_tokens, s.cost_usd, s.cost_unknown, s.estimated,
         private.percentile_of(s.first_token_ms, 0.5), private.percentile_of(s.first_token_ms, 0.95),
         private.percentile_of(s.duration_ms, 0.5), private.percentile_of(s.duration_ms, 0.95)
  from unnest(p_sums) s
$$;

-- Rolls up one day (UTC), at most p_limit of its events, and returns the day to go on with: the same one if more of
-- it is left, the next day that has events, or null. Calling it until it returns null catches up after any pause.
-- Repeated and concurrent calls are safe.
--
-- By default it takes the last day that was rolled up, but no later day than it was an hour ago,
-- because events may arrive shortly after midnight.
--
-- The newest events of a day, at most p_limit, are added up again each time, with any that came late. If there are more,
-- the first of them are not read again, once they are so old that whatever was written at their time is committed. If
-- they are not, what comes after them waits. Once a later day is begun, the sums of a day stay as they are, also when
-- its events are deleted.
create function public.roll_up_usage(p_day date default null, p_limit integer default 100000) returns date
language plpgsql security definer set search_path = '' as $$
declare
  c_in_flight constant interval := '5 minutes';
  v_hour_ago constant date := ((now() - interval '1 hour') at time zone 'utc')::date;
  v_day date;
  v_midnight timestamptz;
  v_end timestamptz;
  v_from timestamptz;
  v_hour timestamptz;
  v_rest timestamptz;
  v_is_final boolean;
  v_sums private.rolled_up[];
begin
  perform pg_advisory_xact_lock(hashtextextended('roll_up_usage', 0));
  v_day := coalesce(p_day, least(
    coalesce((select max(d.day) from public.usage_daily d),
             (select (min(u.created_at) at time zone 'utc')::date from public.usage_events u)),
    v_hour_ago));
  v_midnight := v_day::timestamp at time zone 'utc';
  -- Not a day, which has 23 or 25 hours in a session of a time zone with summer time.
  v_end := v_midnight + interval '24 hours';

  delete from private.rolled_up_days d where d.day < least(v_day, v_hour_ago);
  delete from private.rolled_up r where r.hour < least(v_day, v_hour_ago)::timestamp at time zone 'utc';
  insert into private.rolled_up_days (day, upto)
  select v_day, v_midnight
  where not exists (select from public.usage_daily d where d.day = v_day)
    and exists (select from public.usage_events u where u.created_at >= v_midnight and u.created_at < v_end)
  on conflict (day) do nothing;
  select d.upto into v_from from private.rolled_up_days d where d.day = v_day;

  if found then
    select greatest(u.created_at, v_from + interval '1 microsecond') into v_rest
    from public.usage_events u where u.created_at >= v_from and u.created_at < v_end
    order by u.created_at offset p_limit limit 1;
    v_is_final := v_rest <= now() - c_in_flight;
    v_hour := date_trunc('hour', v_from, 'UTC');
    v_sums := array(select s from private.usage_sums(v_from, coalesce(v_rest, v_end)) s);
    -- Of the hour in which they begin, some may be added up already.
    v_sums := array(select s from private.added_up(
      v_sums || array(select r from private.rolled_up r where r.hour = v_hour)) s);
    if v_is_final then
      delete from private.rolled_up r where r.hour = v_hour;
      insert into private.rolled_up select * from unnest(v_sums);
      update private.rolled_up_days d set upto = v_rest where d.day = v_day;
    end if;

    delete from public.usage_hourly h where h.hour >= v_hour and h.hour < v_end;
    insert into public.usage_hourly select * from private.usage_rows(v_sums);
    v_sums := array(select s from private.added_up(
      v_sums || array(select r from private.rolled_up r where r.hour >= v_midnight and r.hour < v_hour), 'day') s);
    delete from public.usage_daily d where d.day = v_day;
    insert into public.usage_daily
    select v_day, u.provider, u.model_key, u.outcome, u.calls, u.turns, u.turns_of_model, u.turns_of_all,
           u.prompt_tokens, u.cached_tokens, u.completion_tokens, u.cost_usd, u.cost_unknown, u.estimated,
           u.first_token_p50_ms, u.first_token_p95_ms, u.duration_p50_ms, u.duration_p95_ms,
           s.first_token_ms, s.duration_ms
    from unnest(v_sums) s cross join lateral private.usage_rows(array[s]) u;
  end if;

  if v_rest is not null then
    return case when v_is_final then v_day end;
  end if;
  return (select (min(u.created_at) at time zone 'utc')::date from public.usage_events u where u.created_at >= v_end);
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

revoke execute on function private.usage_sums(timestamptz, timestamptz), private.sum_counts(jsonb[]),
  private.added_up(private.rolled_up[], text), private.percentile_of(jsonb, numeric), private.usage_rows(private.rolled_up[]),
  public.roll_up_usage(date, integer), public.apply_retention(integer) from public, anon, authenticated;
grant execute on function public.roll_up_usage(date, integer), public.apply_retention(integer) to service_role;
