-- Limits per user and for the whole project. The database counts, so that they hold across
-- instances. Days are UTC.

-- The limits of a user: limits.default in the settings, overridden by the limits of their roles.
-- Null means no limit. Limits that limits.default does not mention have the values in this function,
-- if any. Without limits.default, only the limits of roles apply.
--   turns_per_minute, turns_per_day   turns started, successful or not; as many branches again
--   running                           turns at the same time, in all conversations
--   usd_per_day                       cost of the user's model calls
--   actions_per_minute                choose, edit, hide, delete, branch, delete_account, and stop elsewhere
--   actions_per_day                   the same per day; unlimited by default
--   imports_per_minute and _per_day   imported cards and chats
--   exports_per_minute and _per_day   exported cards and chats
--   branched_bytes_per_day            bytes of messages and books that branches copy; as many again for imports
--   rows_per_minute, rows_per_day     rows that the user inserts directly, per table
--   reports_per_minute and _per_day   characters reported
--   api_keys                          API keys that a person has at the same time
--   api_turns_per_minute and _per_day turns begun with API keys, of all that the other limits allow
--   api_lists_per_minute              lists of models through the OpenAI-compatible API
create function private.limits_for(p_user_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce('{"actions_per_minute": 60, "imports_per_minute": 10, "imports_per_day": 200,
                      "exports_per_minute": 20, "exports_per_day": 500, "branched_bytes_per_day": 50000000,
                      "rows_per_minute": 60, "rows_per_day": 2000, "reports_per_minute": 5, "reports_per_day": 20,
                      "api_keys": 10, "api_turns_per_minute": 30, "api_lists_per_minute": 60}'
                    || (s.config #> '{limits,default}'), '{}') || coalesce((
      select jsonb_object_agg(own.key, own.value order by r.role)
      from shared.user_roles r, jsonb_each(s.config -> 'limits' -> r.role) own
      where r.user_id = p_user_id), '{}')
    from private.system_settings s);
end $$;

-- The limit that blocks a new turn, {"limit", "retry_after_seconds"}, or null.
create function private.reached_limit(p_user_id uuid, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    with limits as (
      select (l ->> 'turns_per_minute')::numeric as per_minute, (l ->> 'turns_per_day')::numeric as per_day,
             (l ->> 'running')::numeric as running, date_trunc('day', p_now, 'UTC') as today
      from private.limits_for(p_user_id) l),
    -- One hour covers the last minute and the longest lease.
    begun as (
      select t.created_at, t.status = 'running' and t.lease_expires_at > p_now as is_running
      from limits l, public.turns t
      where t.user_id = p_user_id and t.created_at >= least(l.today, p_now - interval '1 hour')),
    counted as (
      select count(*) filter (where b.created_at >= l.today) as day,
             count(*) filter (where b.created_at > p_now - interval '1 minute') as minute,
             count(*) filter (where b.is_running) as running,
             -- The time at which enough turns are older than a minute for a new one to be allowed.
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
    from counted c, limits l);
end $$;

-- Whether the daily budget of the user or the project is spent; then only free models are used.
-- Running turns are not counted, so their cost may exceed the budget.
create function private.is_spent(p_user_id uuid, p_now timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(case when l.own is not null then
             l.own <= (select coalesce(sum(u.cost_usd), 0) from public.usage_events u
                       where u.user_id = p_user_id and u.cost_usd > 0 and u.created_at >= l.today)
           end, false)
        or coalesce(case when l.project is not null then
             l.project <= private.spent_by_all(p_now)
           end, false)
    from (
      select (private.limits_for(p_user_id) ->> 'usd_per_day')::numeric as own,
             (s.config #>> '{limits,project,usd_per_day}')::numeric as project,
             date_trunc('day', p_now, 'UTC') as today
      from private.system_settings s) l);
end $$;

revoke execute on function private.limits_for(uuid), private.reached_limit(uuid, timestamptz),
  private.is_spent(uuid, timestamptz) from public, anon, authenticated;
