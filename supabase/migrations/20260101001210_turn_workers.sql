-- Which workers a turn may use, and how busy they are. generation/workers.py decides; here are only its
-- inputs, and a copy of its first choice, so that turns in progress can be counted for each worker
-- without another round trip. A test compares the two.

-- The number of turns that a worker is answering, without p_turn_id: the number that it reported within
-- the last minute, plus the turns that began since; otherwise all turns that are meant for it. Null for a
-- worker without slots.
create function private.running_on(p_worker private.registered_workers, p_turn_id uuid, p_now timestamptz)
returns integer
language sql stable set search_path = '' as $$
  select case when (p_worker).slots is not null then (
    select case when said.is_fresh then (p_worker).reported_running else 0 end + count(t.id)::integer
    from (select coalesce((p_worker).reported_running is not null and (p_worker).reported_at > p_now - interval '1 minute',
                          false)) said (is_fresh)
    left join public.turns t
      on t.status = 'running' and t.worker = (p_worker).name and t.lease_expires_at > p_now
      and t.id is distinct from p_turn_id
      and (not said.is_fresh or t.created_at > (p_worker).reported_at)
    group by said.is_fresh) end
$$;

-- Whether a worker's record says that it is healthy, as edge/worker_health.py reads it. Times are compared
-- as text, because a record may have any shape: all are UTC in ISO 8601.
create function private.is_worker_healthy(p_url text, p_record jsonb, p_now timestamptz) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(
    p_record -> 'isHealthy' = 'true' and coalesce(p_record ->> 'workerUrl', p_url) = p_url
    and (coalesce(p_record ->> 'lastChecked', p_record ->> 'lastCheck') collate "C") between
      to_char((p_now - interval '2 minutes') at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US')
      and to_char((p_now + interval '2 minutes') at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US'), false)
$$;

-- The worker that a turn is asked of first. p_asked is '*' for any, or the name of one. p_key identifies the conversation.
create function private.preferred_worker(p_asked text, p_key text, p_turn_id uuid, p_now timestamptz) returns text
language plpgsql stable set search_path = '' as $$
begin
  return (
    select r.name
    from (
      select l.name, l.priority, l.affinity, l.load, l.load >= 1 as is_full,
             first_value(l.load >= 1) over (partition by l.priority order by l.affinity desc) as is_passed_over
      from (
        select w.name, w.priority, sha256(convert_to(w.name || ' ' || p_key, 'UTF8')) as affinity,
               case when w.slots is not null and (w.reported_running > 0 or exists (
                   select from public.turns t where t.status = 'running' and t.worker = w.name))
                 then private.running_on(w, p_turn_id, p_now)::float / w.slots else 0 end as load
        from private.registered_workers w
        where w.is_open and private.is_worker_healthy(w.url, w.health, p_now)
          and not exists (
            select from public.model_cooldowns c
            where c.until > p_now and c.key in ('chat_worker', 'chat_worker:' || w.name))
        offset 0) l) r
    where not r.is_full
    order by r.name = p_asked desc, r.priority, case when r.is_passed_over then r.load else 0 end, r.affinity desc
    limit 1);
end $$;

-- The workers that a turn may use, if there are many: the best four, and the best four that may write summaries. In the
-- order of generation/workers.py, which ranks them again.
create function private.best_workers(p_asked text, p_key text, p_turn_id uuid, p_now timestamptz) returns text[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select b.name
    from (
      select r.name, row_number() over (
        partition by r.is_unwilling
        order by r.name = p_asked desc nulls last, r.is_away,
                 -- The one whose turn it is, if it is full, shows that load decides between the others.
                 r.load >= 1 and not (r.is_first and r.has_room), r.priority, not r.is_first,
                 case when r.is_passed_over then r.load else 0 end, r.affinity desc) as place
      from (
        select l.*, row_number() over by_affinity = 1 as is_first, first_value(l.load >= 1) over by_affinity as is_passed_over,
               min(l.load) over (partition by l.is_away, l.priority) < 1 as has_room
        from (
          select w.name, w.priority, coalesce(w.config -> 'memory' = 'false', false) as is_unwilling,
                 sha256(convert_to(w.name || ' ' || p_key, 'UTF8')) as affinity,
                 case when w.slots is not null and (w.reported_running > 0 or exists (
                     select from public.turns t where t.status = 'running' and t.worker = w.name))
                   then private.running_on(w, p_turn_id, p_now)::float / w.slots else 0 end as load,
                 not private.is_worker_healthy(w.url, w.health, p_now) or exists (
                   select from public.model_cooldowns c
                   where c.until > p_now and c.key in ('chat_worker', 'chat_worker:' || w.name)) as is_away
          from private.registered_workers w
          where w.is_open
          offset 0) l
        window by_affinity as (partition by l.is_away, l.priority order by l.affinity desc)) r) b
    where b.place <= 4);
end $$;

-- The open workers for begin_turn; of more than eight, those of private.best_workers. Health records, which may have
-- any shape, are reduced to what a turn reads. In plpgsql, which keeps its plan from turn to turn.
create function private.workers_for(p_turn_id uuid, p_asked text, p_key text, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'name', w.name, 'url', w.url, 'config', w.config, 'secret_name', w.secret_name,
      'health', case when jsonb_typeof(w.health) = 'object' then jsonb_strip_nulls(jsonb_build_object(
        'isHealthy', w.health -> 'isHealthy' = 'true',
        'lastChecked', coalesce(w.health ->> 'lastChecked', w.health ->> 'lastCheck'),
        -- Only another address than today's.
        'workerUrl', nullif(rtrim(w.health ->> 'workerUrl', '/'), rtrim(w.url, '/')))) end,
      'priority', w.priority, 'slots', w.slots,
      'running', case when w.slots is not null then private.running_on(w, p_turn_id, p_now) end,
      'token_ratios', coalesce((
        select r.ratios from private.token_ratios r where r.provider = 'chat_worker' and r.model_key = m.model_key), '{}'),
      'repairs', coalesce((
        select k.repairs from private.known_repairs k where k.provider = 'chat_worker' and k.model_key = m.model_key), '{}'))
      order by w.name), '[]')
    from private.registered_workers w
    cross join lateral (select coalesce(w.config ->> 'model', 'qwen_instruct') as model_key) m
    where w.is_open
      -- The second part is not evaluated where there are few.
      and ((select count(*) from private.workers) < 8
           or w.name = any ((select private.best_workers(p_asked, p_key, p_turn_id, p_now))::text[])));
end $$;

revoke execute on function private.running_on(private.registered_workers, uuid, timestamptz),
  private.is_worker_healthy(text, jsonb, timestamptz), private.preferred_worker(text, text, uuid, timestamptz),
  private.best_workers(text, text, uuid, timestamptz), private.workers_for(uuid, text, text, timestamptz)
  from public, anon, authenticated;

-- All workers with their addresses, those that never registered too, if an admin asks.
create function private.all_workers()
returns table (name text, health_key text, url text, protocol text, model text, priority integer, slots integer,
               running integer, is_draining boolean, lease_expires_at timestamptz, health jsonb)
language sql stable security definer set search_path = '' as $$
  select n.name, w.health_key, w.url, w.config ->> 'protocol', w.config ->> 'model',
         coalesce(w.priority, own.priority), coalesce(w.slots, own.slots), private.running_on(w, null, now()),
         coalesce(w.is_draining, own.is_draining), w.lease_expires_at, w.health
  from (select r.name from private.registered_workers r union select o.name from private.workers o) n
  left join private.registered_workers w on w.name = n.name
  left join private.workers own on own.name = n.name
  where (select private.is_admin())
$$;
revoke execute on function private.all_workers() from public, anon;
grant execute on function private.all_workers() to authenticated;

-- The workers for the console.
create view public.worker_settings with (security_barrier = true) as
select w.name, w.health_key, w.url, w.protocol, w.model, w.priority, w.slots, w.running, w.is_draining,
       w.lease_expires_at, w.health
from private.all_workers() w;
revoke all on public.worker_settings from public, anon, authenticated, service_role;
grant select on public.worker_settings to authenticated;
