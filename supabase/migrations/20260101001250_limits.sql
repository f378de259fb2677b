-- Limits per user and for the whole project. The database counts, so that they hold across
-- instances. Days are UTC.

-- The limits of a user: limits.default in the settings, overridden by the limits of their roles.
-- Null means no limit. Limits that limits.default does not mention have the values in this function,
-- if any. Without limits.default, only the limits of roles apply.
--   turns_per_minute, turns_per_day   turns started, successful or not; as many branches again
--   running                           turns at the same time, in all conversations
--   usd_per_day                       cost of the user's model calls
--   actions_per_minute                choose, edit, hide, delete, branch, delete_account; as many again for stop elsewhere
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

-- How many turns a person has begun on the day of p_now (UTC): the number of the newest one. Turns without a number
-- were stored in another way; the day's are counted until the next one has a number.
create function private.turns_begun(p_user_id uuid, p_now timestamptz) returns bigint
language plpgsql stable set search_path = '' as $$
declare
  v_today constant timestamptz := date_trunc('day', p_now, 'UTC');
  v_number bigint;
begin
  select t.number_of_day into v_number from public.turns t
  where t.user_id = p_user_id and t.created_at >= v_today and t.created_at < v_today + interval '24 hours'
  order by t.created_at desc limit 1;
  if not found then
    return 0;
  elsif v_number is not null then
    return v_number;
  end if;
  return (
    select count(*) from public.turns t
    where t.user_id = p_user_id and t.created_at >= v_today and t.created_at < v_today + interval '24 hours');
end $$;

-- How many turns of a person are in progress, in all conversations.
create function private.turns_running(p_user_id uuid, p_now timestamptz) returns bigint
language plpgsql stable set search_path = '' as $$
begin
  return (
    select count(*) from public.turns t
    where t.user_id = p_user_id and t.status = 'running' and t.lease_expires_at > p_now);
end $$;

-- The limit that blocks a new turn, {"limit", "retry_after_seconds"}, or null. p_begun: private.turns_begun; p_limits:
-- private.limits_for, if the caller has read it. The rows that it reads do not become more with the turns of the day.
create function private.reached_limit(
  p_user_id uuid, p_now timestamptz, p_begun bigint, p_limits jsonb default null) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  v_limits constant jsonb := coalesce(p_limits, private.limits_for(p_user_id));
  v_per_minute constant numeric := v_limits ->> 'turns_per_minute';
  v_running constant numeric := v_limits ->> 'running';
  v_oldest timestamptz;
begin
  if p_begun >= (v_limits ->> 'turns_per_day')::numeric then
    return jsonb_build_object(
      'limit', 'turns_per_day',
      'retry_after_seconds', extract(epoch from date_trunc('day', p_now, 'UTC') + interval '24 hours' - p_now));
  end if;

  if v_per_minute is not null then
    -- When this one is older than a minute, a new one is allowed.
    select t.created_at into v_oldest from public.turns t
    where t.user_id = p_user_id and t.created_at > p_now - interval '1 minute'
    order by t.created_at desc offset greatest(least(ceil(v_per_minute), 1000000) - 1, 0)::integer limit 1;
    if v_oldest is not null or v_per_minute <= 0 then
      return jsonb_build_object(
        'limit', 'turns_per_minute',
        'retry_after_seconds', case when v_per_minute > 0
          then extract(epoch from v_oldest + interval '1 minute' - p_now) else 60 end);
    end if;
  end if;

  if v_running is not null then
    if private.turns_running(p_user_id, p_now) >= v_running then
      -- Most turns end long before their lease expires.
      return jsonb_build_object('limit', 'running', 'retry_after_seconds', 5);
    end if;
  end if;
  return null;
end $$;

-- Whether the daily budget of the user or the project is spent; then only free models are used.
-- Running turns are not counted, so their cost may exceed the budget. p_limits: private.limits_for, if the caller has
-- read it.
create function private.is_spent(p_user_id uuid, p_now timestamptz, p_limits jsonb default null) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(case when l.own is not null then l.own <= private.spent_by(p_user_id, p_now) end, false)
        or coalesce(case when l.project is not null then l.project <= private.spent_by_all(p_now) end, false)
    from (
      select (coalesce(p_limits, private.limits_for(p_user_id)) ->> 'usd_per_day')::numeric as own,
             (s.config #>> '{limits,project,usd_per_day}')::numeric as project
      from private.system_settings s) l);
end $$;

revoke execute on function private.limits_for(uuid), private.turns_begun(uuid, timestamptz),
  private.turns_running(uuid, timestamptz), private.reached_limit(uuid, timestamptz, bigint, jsonb),
  private.is_spent(uuid, timestamptz, jsonb)
  from public, anon, authenticated;
