-- One row of operator settings, for admins and the functions. The table is private, so that only
-- functions change it:
--   chatWorkerUrl     address of the team's own worker, null while there is none
--   chatWorker        {"protocol", "model", "context_tokens", "priority", "slots", "is_draining",
--                     "input_defaults", "wake"}; wake is {"url", "secret_name"}. Further workers are
--                     rows of private.workers
--   workerHealthCache {"<name>": health record}, written by health_check
--   allowLocalWorkers true lets a worker be registered on http and private hosts: local work only
--   healthCheckUrl    where the database itself calls health_check, if it does
--   limits            {"default": {...}, "<role>": what differs for it, "project": {...}}; see
--                     private.limits_for
--   retention         {"usage_days", "result_days", "prompt_days", "deleted_days"}: how long rows are
--                     kept; see public.apply_retention and public.purge_conversations

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
  "workerHealthCache": {},
  "allowLocalWorkers": false,
  "limits": {
    "default": {"turns_per_minute": 20, "turns_per_day": 500, "running": 3, "usd_per_day": null},
    "admin": {"turns_per_minute": 60, "turns_per_day": null, "running": 10},
    "project": {"usd_per_day": null}
  },
  "retention": {"usage_days": 90, "result_days": 30}
}');
