-- Steps of health_check that do not run every minute: last start, last completion, and result.
-- Deliveries may repeat and runs may overlap; each step is still started once.

create table public.health_check_steps (
  step text primary key check (char_length(step) between 1 and 200),
  begun_at timestamptz not null,
  -- Null until it was completed once.
  done_at timestamptz,
  -- The result, such as the remaining credit of a provider's key.
  found jsonb not null default '{}' check (jsonb_typeof(found) = 'object'),
  -- The error of the latest try; null if it succeeded or the error is unknown.
  error text check (char_length(error) <= 1000)
);

alter table public.health_check_steps enable row level security;
revoke all on public.health_check_steps from anon, authenticated;
grant select on public.health_check_steps to authenticated;
create policy health_check_steps_select on public.health_check_steps for select to authenticated
  using ((select private.is_admin()));

-- Starts a step that is due: last completed p_every_seconds ago and not started in the last
-- p_retry_seconds (it may be running or have failed). Returns the last result, or null if the step
-- is not due.
create function public.begin_step(p_step text, p_every_seconds double precision, p_retry_seconds double precision)
returns jsonb
language sql security definer set search_path = '' as $$
  insert into public.health_check_steps as s (step, begun_at) values (p_step, clock_timestamp())
  on conflict (step) do update set begun_at = excluded.begun_at
  where s.begun_at <= excluded.begun_at - make_interval(secs => p_retry_seconds)
    and coalesce(s.done_at <= excluded.begun_at - make_interval(secs => p_every_seconds), true)
  returning found
$$;

create function public.end_step(p_step text, p_found jsonb) returns void
language sql security definer set search_path = '' as $$
  update public.health_check_steps set done_at = clock_timestamp(), found = p_found, error = null
  where step = p_step
$$;

-- Stores a step's error beside its last result.
create function public.fail_step(p_step text, p_error text) returns void
language sql security definer set search_path = '' as $$
  update public.health_check_steps set error = left(p_error, 1000) where step = p_step
$$;

-- The results of a catalog check for configured models: [{"id", "status", "catalog", "pricing"}].
-- Prices replace the configured ones where there are any. Returns how many rows that were.
create function public.record_catalog(p_models jsonb) returns integer
language sql security definer set search_path = '' as $$
  with written as (
    update shared.api_models m
    set catalog_status = c.status, catalog = coalesce(c.catalog, '{}'), catalog_checked_at = now(),
        pricing = m.pricing || coalesce(c.pricing, '{}')
    from jsonb_to_recordset(p_models) as c (id uuid, status text, catalog jsonb, pricing jsonb)
    where m.id = c.id
    returning 1)
  select count(*)::integer from written
$$;

revoke execute on function public.begin_step(text, double precision, double precision),
  public.end_step(text, jsonb), public.fail_step(text, text), public.record_catalog(jsonb) from public, anon, authenticated;
grant execute on function public.begin_step(text, double precision, double precision),
  public.end_step(text, jsonb), public.fail_step(text, text), public.record_catalog(jsonb) to service_role;
