-- One row of operator settings, for admins and the functions. It lives in a private table, so that it
-- is changed through functions alone, and system_config is the view on it:
--   chatWorkerUrl     address of the team's own worker, null while there is none
--   chatWorker        {"protocol", "model", "context_tokens", "input_defaults", "wake"}
--   workers           further workers to probe: {"<name>": {"url", "protocol", "model",
--                     "secret_name", "wake"}}; wake is {"url", "secret_name"}
--   workerHealthCache {"<name>": health record}, written by health_check
--   allowLocalWorkers true lets a worker be registered on http and private hosts: local work only
--   healthCheckUrl    where the database itself calls health_check, if it does
--   limits            {"default": {...}, "<role>": what differs for it, "project": {...}}; see
--                     private.limits_for
--   retention         {"usage_days", "result_days"}: how long rows are kept; see
--                     public.apply_retention

-- Whether limits are valid: non-negative numbers, or null for no limit.
create function private.are_limits(p_limits jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select p_limits is null or case jsonb_typeof(p_limits) when 'object' then not exists (
    select from jsonb_each(p_limits) part
    where case jsonb_typeof(part.value) when 'object' then jsonb_path_exists(
            part.value, 'strict $.* ? (@ != null && (@.type() != "number" || @ < 0))')
          else true end)
    else false end
$$;

-- Whether a retention is valid: at least two days, or null to keep rows forever. Limits and
-- roll-ups read the rows of today and yesterday.
create function private.is_retention(p_retention jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select p_retention is null or jsonb_typeof(p_retention) = 'object' and not jsonb_path_exists(
    p_retention, 'strict $.* ? (@ != null && (@.type() != "number" || @ < 2 || @ > 36500))')
$$;
revoke execute on function private.are_limits(jsonb), private.is_retention(jsonb)
  from public, anon, authenticated;

create table private.system_settings (
  id integer primary key default 1 check (id = 1),
  config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
  updated_at timestamptz not null default now(),
  -- Every turn reads it, and parsers limit size and depth.
  constraint system_settings_size check (octet_length(config::text) <= 1048576),
  constraint system_settings_depth check (not jsonb_path_exists(config, '$.**{40}')),
  constraint system_settings_limits check (private.are_limits(config -> 'limits')),
  constraint system_settings_retention check (private.is_retention(config -> 'retention'))
);
create trigger system_settings_touch before update on private.system_settings
  for each row execute function private.touch_updated_at();

-- Without this row there would be no limits.
create function private.keep_settings() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception 'The settings row cannot be deleted.' using hint = 'Change its column config instead.';
end $$;
revoke execute on function private.keep_settings() from public, anon, authenticated;
create trigger system_settings_stay before delete or truncate on private.system_settings
  for each statement execute function private.keep_settings();

alter table private.system_settings enable row level security;
revoke all on private.system_settings from public, anon, authenticated;

-- The row is part of the schema: the functions below only update it.
insert into private.system_settings (config) values ('{
  "chatWorkerUrl": null,
  "chatWorker": {
    "protocol": "chat_worker",
    "model": "qwen_instruct",
    "context_tokens": 4096,
    "input_defaults": {"max_tokens": 400, "temperature": 0.8, "top_p": 0.9,
                       "frequency_penalty": 0.2, "presence_penalty": 0.1}
  },
  "workers": {},
  "workerHealthCache": {},
  "allowLocalWorkers": false,
  "limits": {
    "default": {"turns_per_minute": 20, "turns_per_day": 500, "running": 3, "usd_per_day": null},
    "admin": {"turns_per_minute": 60, "turns_per_day": null, "running": 10},
    "project": {"usd_per_day": null}
  },
  "retention": {"usage_days": 90, "result_days": 30}
}');

-- Runs with its owner's rights on purpose (the default for views).
create view public.system_config with (security_barrier = true) as
select s.id, s.config, s.updated_at
from private.system_settings s
where current_user not in ('anon', 'authenticated') or (select private.is_admin());
revoke all on public.system_config from public, anon, authenticated, service_role;
grant select on public.system_config to authenticated, service_role;

-- The chat worker's health for users, without its address or errors. No row: the health is unknown.
-- The record may have any shape.
create view public.chat_worker_health with (security_barrier = true) as
select known.record -> 'isHealthy' = 'true' as is_healthy,
       coalesce(known.record ->> 'lastChecked', known.record ->> 'lastCheck') as checked_at,
       coalesce(known.record -> 'responseTimeMs', known.record -> 'responseTime') as response_ms
from (select s.config #> '{workerHealthCache,chatWorker}' as record from private.system_settings s) known
where jsonb_typeof(known.record) = 'object';
revoke all on public.chat_worker_health from public, anon, authenticated, service_role;
grant select on public.chat_worker_health to authenticated;

-- Stores one worker's health record. Only its key is replaced, so overlapping writers never
-- overwrite each other, and an earlier probe does not replace the result of a later one. Times are
-- compared as text: all are UTC in ISO 8601. A time in the future is ignored.
create function public.record_worker_health(p_worker text, p_record jsonb) returns void
language sql security definer set search_path = '' as $$
  update private.system_settings
  set config = jsonb_set(config, '{workerHealthCache}',
                         coalesce(config -> 'workerHealthCache', '{}') || jsonb_build_object(p_worker, p_record))
  where id = 1
    and not coalesce(
      config #>> array['workerHealthCache', p_worker, 'workerUrl'] = p_record ->> 'workerUrl'
      and (config #>> array['workerHealthCache', p_worker, 'lastChecked']) collate "C" > p_record ->> 'lastChecked'
      and (config #>> array['workerHealthCache', p_worker, 'lastChecked']) collate "C"
          <= to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+00:00', false)
$$;
revoke execute on function public.record_worker_health(text, jsonb) from public, anon, authenticated;
grant execute on function public.record_worker_health(text, jsonb) to service_role;

-- Registers (or, with null, removes) the chat worker's address. The health record of the old
-- address is deleted. The server at this address gets the worker's key and the chats, so only https
-- on public hosts is accepted (see allowLocalWorkers).
create function public.set_chat_worker_url(p_url text, p_protocol text default 'chat_worker') returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_rejected text;
begin
  select private.why_address_rejected(p_url, s.config -> 'allowLocalWorkers' = 'true')
  into v_rejected from private.system_settings s;
  if v_rejected is not null then
    raise exception 'the worker''s address %', v_rejected using errcode = '22023';
  end if;
  if p_protocol not in ('chat_worker', 'openai') then
    raise exception 'the worker''s protocol must be chat_worker or openai' using errcode = '22023';
  end if;
  update private.system_settings
  set config = config || jsonb_build_object(
        'chatWorkerUrl', rtrim(p_url, '/'),
        'chatWorker', coalesce(config -> 'chatWorker', '{}') || jsonb_build_object('protocol', p_protocol),
        'workerHealthCache', coalesce(config -> 'workerHealthCache', '{}') - 'chatWorker')
  where id = 1;
end $$;
revoke execute on function public.set_chat_worker_url(text, text) from public, anon, authenticated;
grant execute on function public.set_chat_worker_url(text, text) to service_role;
