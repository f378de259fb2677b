-- Usage reports for operators: by day, model and user.

-- Usage of one day, model or user. Times are in milliseconds and of successful calls only.
create type private.usage_row as (
  key text,
  turns bigint,
  calls bigint,
  errors bigint,
  outcomes jsonb,  -- {"<kind of failure>": calls}
  prompt_tokens bigint,
  cached_tokens bigint,  -- of the prompt tokens, those known to come from a provider's cache
  completion_tokens bigint,
  cost_usd numeric,
  cost_unknown bigint,  -- successful calls with unknown cost
  estimated bigint,  -- calls whose tokens we counted ourselves
  first_token_ms_p50 integer,
  first_token_ms_p95 integer,
  duration_ms_p50 integer,
  duration_ms_p95 integer,
  since timestamptz  -- the calls before this time are not counted; null: all calls of the period are
);

-- Usage of the last p_days days (UTC, today included), grouped by 'day' or 'model', from the sums of roll_up_usage: the
-- events of so many days take longer to read than a call may. A turn with calls on both sides of midnight is one of
-- each day.
create function private.usage_summed(p_by text, p_days integer)
returns setof private.usage_row
language sql stable set search_path = '' as $$
  with sums as (
    select case p_by when 'day' then d.day::text when 'model' then d.provider || ':' || d.model_key end as key,
           case p_by when 'day' then d.turns_of_all when 'model' then d.turns_of_model end as turns_once,
           d.*, d.outcome = 'ok' as is_ok
    from public.usage_daily d where d.day > (now() at time zone 'utc')::date - p_days),
  failed as (
    select f.key, jsonb_object_agg(f.outcome, f.calls) as outcomes
    from (select s.key, s.outcome, sum(s.calls) as calls from sums s where not s.is_ok group by 1, 2) f
    group by 1),
  keys as (
    select s.key, sum(s.turns_once) as turns, sum(s.calls) as calls, sum(s.calls) filter (where not s.is_ok) as errors,
           sum(s.prompt_tokens) as prompt_tokens, sum(s.cached_tokens) as cached_tokens,
           sum(s.completion_tokens) as completion_tokens, sum(s.cost_usd) as cost_usd,
           sum(s.cost_unknown) filter (where s.is_ok) as cost_unknown, sum(s.estimated) as estimated,
           private.sum_counts(array_agg(s.first_token_ms) filter (where s.is_ok)) as first_token_ms,
           private.sum_counts(array_agg(s.duration_ms) filter (where s.is_ok)) as duration_ms
    from sums s group by 1)
  select k.key, k.turns, k.calls, coalesce(k.errors, 0), coalesce(f.outcomes, '{}'), k.prompt_tokens, k.cached_tokens,
         k.completion_tokens, coalesce(k.cost_usd, 0), coalesce(k.cost_unknown, 0), k.estimated,
         private.percentile_of(k.first_token_ms, 0.5), private.percentile_of(k.first_token_ms, 0.95),
         private.percentile_of(k.duration_ms, 0.5), private.percentile_of(k.duration_ms, 0.95), null::timestamptz
  from keys k left join failed f on f.key = k.key
$$;

create function public.usage_by_day(p_days integer default 14)
returns setof private.usage_row
language sql stable security definer set search_path = '' as $$
  select * from private.usage_summed('day', least(p_days, 400)) u order by u.key
$$;

-- Most frequently called models first.
create function public.usage_by_model(p_days integer default 14)
returns setof private.usage_row
language sql stable security definer set search_path = '' as $$
  select * from private.usage_summed('model', least(p_days, 400)) u order by u.calls desc, u.key limit 100
$$;

-- Users by cost, then by tokens, highest first. No sums are kept of people: this reads events, the newest p_most.
create function public.usage_by_user(p_days integer default 14, p_most integer default 200000)
returns setof private.usage_row
language plpgsql stable security definer set search_path = '' as $$
declare
  v_from timestamptz := date_trunc('day', now(), 'UTC') - make_interval(hours => 24 * (least(p_days, 400) - 1));
  v_since timestamptz;
begin
  select u.created_at + interval '1 microsecond' into v_since
  from public.usage_events u where u.created_at >= v_from
  order by u.created_at desc offset p_most limit 1;
  return query
  with events as (
    select coalesce(u.user_id::text, 'deleted') as key, u.*, u.outcome = 'ok' as is_ok
    from public.usage_events u where u.created_at >= coalesce(v_since, v_from)),
  failed as (
    select f.key, jsonb_object_agg(f.outcome, f.calls) as outcomes
    from (select e.key, e.outcome, count(*) as calls from events e where not e.is_ok group by 1, 2) f
    group by 1)
  select e.key, count(distinct e.turn_id), count(*), count(*) filter (where not e.is_ok), coalesce(f.outcomes, '{}'),
         coalesce(sum(e.prompt_tokens), 0), coalesce(sum(e.cached_tokens), 0),
         coalesce(sum(e.completion_tokens), 0),
         coalesce(sum(e.cost_usd), 0), count(*) filter (where e.is_ok and e.cost_usd is null),
         count(*) filter (where e.is_estimated),
         percentile_disc(0.5) within group (order by e.first_token_ms) filter (where e.is_ok),
         percentile_disc(0.95) within group (order by e.first_token_ms) filter (where e.is_ok),
         percentile_disc(0.5) within group (order by e.duration_ms) filter (where e.is_ok),
         percentile_disc(0.95) within group (order by e.duration_ms) filter (where e.is_ok), v_since
  from events e left join failed f on f.key = e.key
  group by e.key, f.outcomes
  order by coalesce(sum(e.cost_usd), 0) desc,
           coalesce(sum(e.prompt_tokens), 0) + coalesce(sum(e.completion_tokens), 0) desc, e.key
  limit 20;
end $$;

revoke execute on function private.usage_summed(text, integer), public.usage_by_day(integer),
  public.usage_by_model(integer), public.usage_by_user(integer, integer) from public, anon, authenticated;
grant execute on function public.usage_by_day(integer), public.usage_by_model(integer),
  public.usage_by_user(integer, integer) to service_role;
