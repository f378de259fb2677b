-- The team's workers. One is in the settings (chatWorkerUrl, chatWorker) and is called chat_worker; the
-- others are rows of private.workers, each with a name and a key of its own. A worker registers its
-- address at health_check with this key, for a lease that it renews. The database has only the key's hash.

create table private.workers (
  -- Part of model_used and of cooldown keys: "chat_worker:<name>".
  name text primary key check (name ~ '^[a-z][a-z0-9_-]{0,39}$' and name <> 'chat_worker'),
  -- SHA-256 of the key, in hexadecimal; null: it cannot register itself.
  key_hash text check (key_hash ~ '^[0-9a-f]{64}$'),

  -- What operators decide. Of two workers the one with the lower priority is asked first.
  priority integer not null default 100 check (priority between 0 and 1000),
  -- The environment variable with the key that is sent to the worker.
  secret_name text check (secret_name ~ '^[A-Za-z][A-Za-z0-9_]*_API_KEY$'),
  is_draining boolean not null default false,
  -- As chatWorker in the settings: {"input_defaults", "timeouts", "stop", "memory", "wake",
  -- "display_name", ...}. Replaces what the worker reports about itself.
  options jsonb not null default '{}' check (jsonb_typeof(options) = 'object'),

  -- What the worker reports about itself.
  url text check (private.why_address_rejected(url, true) is null),
  protocol text not null default 'openai' check (protocol in ('chat_worker', 'openai')),
  model text check (char_length(model) <= 300),
  context_tokens integer check (context_tokens > 0),
  -- How many turns it answers at the same time; null: any number.
  slots integer check (slots > 0),
  -- How many it was answering at its last report, for anybody.
  reported_running integer check (reported_running >= 0),
  reported_at timestamptz,
  wants_to_drain boolean not null default false,
  -- Null: set by an operator, without a lease.
  lease_expires_at timestamptz,
  -- The times of its last calls within a minute.
  calls timestamptz[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- Every turn reads it, and parsers limit size and depth.
  constraint workers_size check (octet_length(options::text) <= 65536),
  constraint workers_depth check (not jsonb_path_exists(options, '$.**{40}'))
);
create trigger workers_touch before update on private.workers
  for each row execute function private.touch_updated_at();
alter table private.workers enable row level security;
revoke all on private.workers from public, anon, authenticated;

-- Every worker that has an address. `config` has the keys of chatWorker in the settings, which may have any
-- shape; `health_key` is the worker's key in workerHealthCache; `is_open`: it may get new turns, as far as
-- its lease and its draining go. Calls no functions of ours, because every turn reads it.
create view private.registered_workers as
-- Extracted from the settings once, not for each worker: with many workers they are long.
with health as materialized (select s.config -> 'workerHealthCache' as records from private.system_settings s)
select w.*, not w.is_draining and coalesce(w.lease_expires_at > now(), true) as is_open
from (
  select 'chat_worker' as name, 'chatWorker' as health_key, s.config ->> 'chatWorkerUrl' as url,
         s.config -> 'chatWorker' as config, null as secret_name,
         case when jsonb_typeof(s.config #> '{chatWorker,priority}') = 'number'
           then least(greatest((s.config #>> '{chatWorker,priority}')::numeric, 0), 1000) else 100 end::integer as priority,
         case when jsonb_typeof(s.config #> '{chatWorker,slots}') = 'number' and (s.config #>> '{chatWorker,slots}')::numeric >= 1
           then least((s.config #>> '{chatWorker,slots}')::numeric, 1000000) end::integer as slots,
         coalesce(s.config #> '{chatWorker,is_draining}' = 'true', false) as is_draining,
         null::timestamptz as lease_expires_at, null::integer as reported_running, null::timestamptz as reported_at,
         s.config #> '{workerHealthCache,chatWorker}' as health
  from shared.system_config s
  where jsonb_typeof(s.config -> 'chatWorkerUrl') = 'string' and s.config ->> 'chatWorkerUrl' <> ''
  union all
  select w.name, w.name, w.url,
         jsonb_strip_nulls(jsonb_build_object(
           'protocol', w.protocol, 'model', w.model, 'context_tokens', w.context_tokens)) || w.options,
         w.secret_name, w.priority, w.slots, w.is_draining or w.wants_to_drain, w.lease_expires_at, w.reported_running,
         w.reported_at, h.records -> w.name
  from private.workers w, health h
  where w.url is not null) w;
revoke all on private.registered_workers from public, anon, authenticated;

-- The workers' health without addresses or errors. The records may have any shape; a worker that was not
-- checked yet is left out. Runs with its owner's rights, because views call functions with their user's.
create function private.shown_workers()
returns table (name text, display_name text, is_healthy boolean, checked_at text, response_ms jsonb)
language sql stable security definer set search_path = '' as $$
  select w.name,
         coalesce(left(w.config ->> 'display_name', 100),
                  case when w.name = 'chat_worker' then 'Local model' else 'Local model ' || w.name end),
         w.health -> 'isHealthy' = 'true',
         coalesce(w.health ->> 'lastChecked', w.health ->> 'lastCheck'),
         coalesce(w.health -> 'responseTimeMs', w.health -> 'responseTime')
  from private.registered_workers w
  where jsonb_typeof(w.health) = 'object' and w.is_open
$$;
revoke execute on function private.shown_workers() from public, anon;
grant execute on function private.shown_workers() to authenticated;

-- The workers' health for users.
create view public.chat_worker_health with (security_barrier = true) as
select w.name, w.display_name, w.is_healthy, w.checked_at, w.response_ms from private.shown_workers() w;
revoke all on public.chat_worker_health from public, anon, authenticated, service_role;
grant select on public.chat_worker_health to authenticated;

-- Every worker that has an address, for health_check and `make verify`.
create function public.read_workers() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(w) || jsonb_build_object(
    'is_expired', coalesce(w.lease_expires_at <= now(), false)) order by w.name), '[]')
  from private.registered_workers w
$$;

revoke execute on function public.read_workers() from public, anon, authenticated;
grant execute on function public.read_workers() to service_role;
