-- The old chat function beside ours, day by day (UTC), for the days after the switch. A conversation
-- counts for ours on a day on which it had a turn of ours, else for the old function.

create function public.compare_functions(p_days integer default 14)
returns table (
  day date, side text, conversations bigint, said bigint, replies bigint, failed bigint, fallbacks bigint,
  duration_ms_p50 integer, cost_usd numeric)
language plpgsql stable security definer set search_path = '' as $$
declare
  v_from timestamptz := date_trunc('day', now(), 'UTC') - make_interval(hours => 24 * (least(p_days, 400) - 1));
begin
  return query
  with ours as (
    select (t.created_at at time zone 'utc')::date as day, t.conversation_id, t.status,
           t.result -> 'usedFallback' = 'true' as used_fallback, t.duration_ms, t.cost_usd
    from public.turns t where t.created_at >= v_from),
  spoken as (
    select m.conversation_id, (m.created_at at time zone 'utc')::date as day,
           count(*) filter (where m.sender = 'user') as said, count(*) filter (where m.sender <> 'user') as replies
    from public.messages m
    where m.created_at >= v_from
      and (m.message_type in ('text', 'roleplay_chat', 'scene_kickoff') or m.message_type is null)
    group by 1, 2),
  sided as (
    select s.*, case when exists (
        select from ours o where o.conversation_id = s.conversation_id and o.day = s.day) then 'new' else 'old' end as side
    from spoken s),
  counted as (
    select s.day, s.side, count(*) as conversations, sum(s.said)::bigint as said, sum(s.replies)::bigint as replies
    from sided s group by 1, 2),
  ended as (
    select o.day, count(*) filter (where o.status = 'failed') as failed,
           count(*) filter (where o.used_fallback) as fallbacks,
           percentile_disc(0.5) within group (order by o.duration_ms) as duration_ms, sum(o.cost_usd) as cost_usd
    from ours o group by 1),
  logged as (select * from private.logged_by_the_old_function(v_from))
  select c.day, c.side, c.conversations, c.said, c.replies,
         case c.side when 'new' then coalesce(e.failed, 0) else l.failed end,
         case c.side when 'new' then coalesce(e.fallbacks, 0) end,
         case c.side when 'new' then e.duration_ms else l.duration_ms end,
         case c.side when 'new' then e.cost_usd else l.cost_usd end
  from counted c
  left join ended e on e.day = c.day
  left join logged l on l.day = c.day
  order by c.day, c.side;
end $$;

-- What the product's log has of chat calls that are not ours, by day. No rows where it keeps none.
create function private.logged_by_the_old_function(p_from timestamptz)
returns table (day date, failed bigint, duration_ms integer, cost_usd numeric)
language plpgsql stable set search_path = '' as $$
begin
  if to_regclass('public.api_usage_logs') is null then
    return;
  end if;
  return query
  select (l.created_at at time zone 'utc')::date, count(*) filter (where l.response_status >= 400),
         percentile_disc(0.5) within group (order by l.response_time_ms), sum(l.cost_usd)
  from public.api_usage_logs l
  where l.created_at >= p_from and l.request_type = 'chat'
    and l.provider_metadata ->> 'written_by' is distinct from 'roleplay_chat'
  group by 1;
end $$;

revoke execute on function public.compare_functions(integer), private.logged_by_the_old_function(timestamptz)
  from public, anon, authenticated;
grant execute on function public.compare_functions(integer) to service_role;
