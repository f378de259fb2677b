-- Limits per user and for the project. The database counts, so that all instances agree. Days are
-- UTC.

-- The limits in force for a person: the default ones, and what the settings say differently for
-- a role of theirs. Null is no limit. Those of the first three lines have none where the default ones
-- do not name them; where there are no default ones, nothing is limited.
--   turns_per_minute, turns_per_day   turns begun, whatever became of them; branches as many, too
--   running                           turns at the same time, over all conversations
--   usd_per_day                       what their calls to models may cost
--   actions_per_minute                choose, edit, delete and branch together
--   imports_per_minute                cards taken in
--   exports_per_minute                cards given out
--   actions_per_day and so on         the same in a day; none where nothing is said
--   rows_per_minute, rows_per_day     rows that they insert themselves, of each table
create function private.limits_for(p_user_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce('{"actions_per_minute": 60, "imports_per_minute": 10, "exports_per_minute": 20,
                    "rows_per_minute": 60, "rows_per_day": 2000}'
                  || (s.config #> '{limits,default}'), '{}') || coalesce((
    select jsonb_object_agg(own.key, own.value order by r.role)
    from shared.user_roles r, jsonb_each(s.config -> 'limits' -> r.role) own
    where r.user_id = p_user_id), '{}')
  from private.system_settings s
$$;

-- The limit that blocks a new turn, and for how long: {"limit", "retry_after_seconds"}; null if
-- none does.
create function private.reached_limit(p_user_id uuid, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
  with limits as (
    select (l ->> 'turns_per_minute')::numeric as per_minute, (l ->> 'turns_per_day')::numeric as per_day,
           (l ->> 'running')::numeric as running, date_trunc('day', p_now, 'UTC') as today
    from private.limits_for(p_user_id) l),
  -- An hour covers the last minute and the longest lease.
  begun as (
    select t.created_at, t.status = 'running' and t.lease_expires_at > p_now as is_running
    from limits l, public.turns t
    where t.user_id = p_user_id and t.created_at >= least(l.today, p_now - interval '1 hour')),
  counted as (
    select count(*) filter (where b.created_at >= l.today) as day,
           count(*) filter (where b.created_at > p_now - interval '1 minute') as minute,
           count(*) filter (where b.is_running) as running,
           -- When one turn of the last minute more will have passed than has to.
           (array_agg(b.created_at order by b.created_at desc)
              filter (where b.created_at > p_now - interval '1 minute')
           )[least(ceil(l.per_minute), 1000)::integer] + interval '1 minute' as minute_over
    from limits l left join begun b on true
    group by l.today, l.per_minute)
  select case
    when c.day >= l.per_day then jsonb_build_object(
      'limit', 'turns_per_day', 'retry_after_seconds', extract(epoch from l.today + interval '1 day' - p_now))
    when c.minute >= l.per_minute then jsonb_build_object(
      'limit', 'turns_per_minute', 'retry_after_seconds', coalesce(extract(epoch from c.minute_over - p_now), 60))
    -- Most turns end long before their lease expires.
    when c.running >= l.running then jsonb_build_object('limit', 'running', 'retry_after_seconds', 5)
  end
  from counted c, limits l
$$;

-- Whether the user's or the project's daily budget is spent; then only free models are used.
-- Running turns are not counted yet, so the budget may be exceeded by their cost.
create function private.is_spent(p_user_id uuid, p_now timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select coalesce(case when l.own is not null then
           l.own <= (select coalesce(sum(u.cost_usd), 0) from public.usage_events u
                     where u.user_id = p_user_id and u.cost_usd > 0 and u.created_at >= l.today)
         end, false)
      or coalesce(case when l.project is not null then
           l.project <= (select coalesce(sum(u.cost_usd), 0) from public.usage_events u
                         where u.cost_usd > 0 and u.created_at >= l.today)
         end, false)
  from (
    select (private.limits_for(p_user_id) ->> 'usd_per_day')::numeric as own,
           (s.config #>> '{limits,project,usd_per_day}')::numeric as project,
           date_trunc('day', p_now, 'UTC') as today
    from private.system_settings s) l
$$;

revoke execute on function private.limits_for(uuid), private.reached_limit(uuid, timestamptz),
  private.is_spent(uuid, timestamptz) from public, anon, authenticated;
