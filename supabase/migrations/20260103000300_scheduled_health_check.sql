-- Calls health_check from the database every minute, for projects without another scheduler. Off
-- until schedule_health_check is called. Requires pg_cron, pg_net and Vault.

-- Sends one request without waiting for the response. Its result shows in the workers' health
-- records.
create function private.call_health_check() returns bigint
language plpgsql set search_path = '' as $$
declare
  v_secret text;
  v_url text;
begin
  select d.decrypted_secret into v_secret
  from vault.decrypted_secrets d where d.name = 'health_check_secret';
  if v_secret is null then
    raise exception 'Vault has no secret called health_check_secret' using errcode = '55000';
  end if;
  select s.config ->> 'healthCheckUrl' into v_url from private.system_settings s;
  return net.http_post(
    url => v_url,
    headers => jsonb_build_object('X-Health-Check-Secret', v_secret),
    timeout_milliseconds => 55000);
end $$;

-- Deletes the rows of our own jobs that are older than seven days: pg_cron keeps a row of each run and deletes none.
-- Not by the ids of the jobs, which change when the jobs are switched off and on.
create function private.delete_old_runs() returns void
language plpgsql set search_path = '' as $$
begin
  delete from cron.job_run_details d
  where d.command in ('select private.call_health_check()', 'select private.delete_old_runs()')
    and d.database = current_database() and d.username = current_user
    and d.start_time < now() - interval '7 days';
end $$;

-- Starts calling health_check at this address every minute. Calling it again changes the address.
-- Vault must contain the function's HEALTH_CHECK_SECRET under the name health_check_secret:
--   select vault.create_secret('<the secret>', 'health_check_secret');
create function public.schedule_health_check(p_url text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_missing text;
  v_rejected text;
  v_has_secret boolean;
begin
  select string_agg(needed.extension, ', ' order by needed.extension) into v_missing
  from (values
    ('pg_cron', to_regprocedure('cron.schedule(text, text, text)')::oid),
    ('pg_net', to_regproc('net.http_post')::oid),
    ('supabase_vault', to_regclass('vault.decrypted_secrets')::oid)) needed (extension, present)
  where needed.present is null;
  if v_missing is not null then
    raise exception 'the database lacks %', v_missing
      using errcode = '55000', hint = 'Enable them: Database, Extensions.';
  end if;
  select private.why_address_rejected(p_url, s.config -> 'allowLocalWorkers' = 'true')
  into v_rejected from private.system_settings s;
  if p_url is null or v_rejected is not null then
    raise exception 'the health check''s address %', coalesce(v_rejected, 'is missing')
      using errcode = '22023';
  end if;
  select exists (select from vault.decrypted_secrets d where d.name = 'health_check_secret')
  into v_has_secret;
  if not v_has_secret then
    raise exception 'Vault has no secret called health_check_secret' using errcode = '55000',
      hint = 'select vault.create_secret(''<HEALTH_CHECK_SECRET>'', ''health_check_secret'');';
  end if;
  update private.system_settings
  set config = config || jsonb_build_object('healthCheckUrl', p_url) where id = 1;
  perform cron.schedule('health_check', '* * * * *', 'select private.call_health_check()');
  perform cron.schedule('health_check_old_runs', '37 3 * * *', 'select private.delete_old_runs()');
end $$;

-- Stops the calls. Returns whether they were scheduled.
create function public.unschedule_health_check() returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_names text[] := '{}';
begin
  if to_regclass('cron.job') is not null then
    select coalesce(array_agg(j.jobname), '{}') into v_names
    from cron.job j where j.jobname in ('health_check', 'health_check_old_runs');
    perform cron.unschedule(j.name) from unnest(v_names) j (name);
  end if;
  update private.system_settings set config = config - 'healthCheckUrl' where id = 1;
  return 'health_check' = any (v_names);
end $$;

revoke execute on function private.call_health_check(), private.delete_old_runs(), public.schedule_health_check(text),
  public.unschedule_health_check() from public, anon, authenticated;
grant execute on function public.schedule_health_check(text), public.unschedule_health_check()
  to service_role;
