-- Usage reports for operators: by day, model and user.

-- Usage of one day, model or user. Times are in milliseconds and of successful calls only.
create type private.usage_row as (
  key text,
  turns bigint,
  people bigint,
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
  duration_ms_p95 integer
);

-- Usage of the last p_days days (UTC, today included), grouped by 'day', 'model' or 'user'.
create function private.usage_grouped(p_by text, p_days integer)
returns setof private.usage_row
language sql stable set search_path = '' as $$
  with events as (
    select case p_by
             when 'day' then to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD')
             when 'model' then u.provider || ':' || u.model_key
             when 'user' then coalesce(u.user_id::text, 'deleted')
           end as key, u.*, u.outcome = 'ok' as is_ok
    from public.usage_events u
    where u.created_at >= date_trunc('day', now(), 'UTC') - make_interval(hours => 24 * (p_days - 1))),
  failed as (
    select f.key, jsonb_object_agg(f.outcome, f.calls) as outcomes
    from (select e.key, e.outcome, count(*) as calls from events e where not e.is_ok group by 1, 2) f
    group by 1)
  select e.key, count(distinct e.turn_id), count(distinct e.user_id), count(*),
         count(*) filter (where not e.is_ok), coalesce(f.outcomes, '{}'),
         coalesce(sum(e.prompt_tokens), 0), coalesce(sum(e.cached_tokens), 0),
         coalesce(sum(e.completion_tokens), 0),
         coalesce(sum(e.cost_usd), 0), count(*) filter (where e.is_ok and e.cost_usd is null),
         count(*) filter (where e.is_estimated),
         percentile_disc(0.5) within group (order by e.first_token_ms) filter (where e.is_ok),
         percentile_disc(0.95) within group (order by e.first_token_ms) filter (where e.is_ok),
         percentile_disc(0.5) within group (order by e.duration_ms) filter (where e.is_ok),
         percentile_disc(0.95) within group (order by e.duration_ms) filter (where e.is_ok)
  from events e left join failed f on f.key = e.key
  group by e.key, f.outcomes
$$;

create function public.usage_by_day(p_days integer default 14)
returns setof private.usage_row
language sql stable security definer set search_path = '' as $$
  select * from private.usage_grouped('day', least(p_days, 400)) u order by u.key
$$;

-- Most frequently called models first.
create function public.usage_by_model(p_days integer default 14)
returns setof private.usage_row
language sql stable security definer set search_path = '' as $$
  select * from private.usage_grouped('model', least(p_days, 400)) u order by u.calls desc, u.key limit 100
$$;

-- Users by cost, then by tokens, highest first.
create function public.usage_by_user(p_days integer default 14)
returns setof private.usage_row
language sql stable security definer set search_path = '' as $$
  select * from private.usage_grouped('user', least(p_days, 400)) u
  order by u.cost_usd desc, u.prompt_tokens + u.completion_tokens desc, u.key limit 20
$$;

revoke execute on function private.usage_grouped(text, integer), public.usage_by_day(integer),
  public.usage_by_model(integer), public.usage_by_user(integer) from public, anon, authenticated;
grant execute on function public.usage_by_day(integer), public.usage_by_model(integer),
  public.usage_by_user(integer) to service_role;
