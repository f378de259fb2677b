-- A person's remaining limits and budget, for a page that shows them before a request is refused.

-- When a limit per minute lets one more through: as soon as enough of these times are older than a minute. Null if
-- nothing is counted.
create function private.minute_over(p_times timestamptz[], p_limit numeric) returns timestamptz
language sql immutable set search_path = '' as $$
  select p_times[greatest(1, cardinality(p_times) - least(ceil(p_limit), 1000)::integer + 1)] + interval '1 minute'
$$;

-- Uses of each limit by now, without those of turns: {"name", "used", "resets_at"}.
create function private.counted_uses(p_user_id uuid, p_limits jsonb, p_now timestamptz)
returns table (name text, used numeric, resets_at timestamptz)
language sql stable set search_path = '' as $$
  with kinds (kind, plural) as (
    values ('actions', 'actions'), ('imports', 'imports'), ('exports', 'exports'), ('branched bytes', 'branched_bytes'),
           ('reports', 'reports'), ('api_turns', 'api_turns'), ('api_lists', 'api_lists')),
  counted as (
    select k.plural, date_trunc('day', p_now, 'UTC') + interval '24 hours' as tomorrow,
           case when c.day = (p_now at time zone 'utc')::date then c.on_day else 0 end as on_day,
           array(select r from unnest(c.recent) r where r > p_now - interval '1 minute' order by r) as recent
    from kinds k left join private.counters c on c.user_id = p_user_id and c.kind = k.kind)
  select c.plural || '_per_minute', cardinality(c.recent),
         private.minute_over(c.recent, (p_limits ->> (c.plural || '_per_minute'))::numeric)
  from counted c
  union all
  select c.plural || '_per_day', c.on_day, c.tomorrow from counted c
$$;

-- Uses of the limits of turns by now, as private.reached_limit and private.is_spent count them. Not in SQL: before
-- Postgres 18, such a function is planned without knowing how few turns the last minute has.
create function private.used_turns(p_user_id uuid, p_limits jsonb, p_now timestamptz)
returns table (name text, used numeric, resets_at timestamptz)
language plpgsql stable set search_path = '' as $$
declare
  v_tomorrow constant timestamptz := date_trunc('day', p_now, 'UTC') + interval '24 hours';
  v_recent constant timestamptz[] := array(
    select t.created_at from public.turns t
    where t.user_id = p_user_id and t.created_at > p_now - interval '1 minute'
    order by t.created_at);
begin
  return query values
    ('turns_per_minute', cardinality(v_recent)::numeric,
     private.minute_over(v_recent, (p_limits ->> 'turns_per_minute')::numeric)),
    ('turns_per_day', private.turns_begun(p_user_id, p_now), v_tomorrow),
    ('running', private.turns_running(p_user_id, p_now), null),
    ('usd_per_day', private.spent_by(p_user_id, p_now), v_tomorrow);
end $$;

-- For the signed-in person:
--   now          the time of this answer
--   limits       [{"name", "limit", "used", "left", "resets_at"}], named as in private.limits_for; only those
--                that limit something. resets_at: when a reached limit lets one more through; of days, when
--                the next one begins; null where it is not known
--   free_only    a budget of today, the person's or the project's, is spent: only free models answer
--   tokens_today {"prompt", "completion"} of all model calls since the day began, limited by nothing
-- Null for an account that is blocked.
create function public.read_limits() returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object(
    'now', a.now,
    'limits', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'name', u.name, 'limit', l.most, 'used', u.used, 'left', greatest(0, l.most - u.used),
               'resets_at', u.resets_at) order by u.name), '[]')
      from (
        select * from private.used_turns(a.user_id, a.limits, a.now)
        union all
        select * from private.counted_uses(a.user_id, a.limits, a.now)) u
      cross join lateral (select (a.limits ->> u.name)::numeric as most) l
      where l.most is not null),
    'free_only', private.is_spent(a.user_id, a.now),
    'tokens_today', private.tokens_of(a.user_id, a.now))
  from (select (select auth.uid()) as user_id, private.limits_for((select auth.uid())) as limits,
               statement_timestamp() as now) a
  where private.why_account_blocked(a.user_id) is null
$$;

revoke execute on function private.minute_over(timestamptz[], numeric), private.counted_uses(uuid, jsonb, timestamptz),
  private.used_turns(uuid, jsonb, timestamptz), public.read_limits() from public, anon, authenticated, service_role;
grant execute on function public.read_limits() to authenticated;
