-- The state of an installation, for `make verify`, which has only the project's secret key. It
-- contains names, states and times, but no secrets and no text of users.
--   now                 the database's clock
--   installation        what kind it is: shared.installation
--   migrations          versions recorded by the Supabase CLI; null if there is no record
--   open_tables         tables without row level security
--   policies            existing policies, as "schema.table policy"
--   providers, models   rows, without request defaults, capabilities and prices
--   workers             every worker with an address, as read_workers returns them, without options
--   steps               periodic steps of health_check by name, with their last result
--   is_watched          whether every change of messages is noticed: private.watched
--   turns_overdue       number of turns that health_check should have closed minutes ago
--   cooldowns_overdue   number of ended cooldowns that it should have deleted minutes ago
create function public.verify_installation() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_migrations jsonb;
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select coalesce(jsonb_agg(version order by version), ''[]'')
             from supabase_migrations.schema_migrations' into v_migrations;
  end if;
  return (
    select jsonb_build_object(
      'now', now(),
      'installation', shared.installation(),
      'migrations', v_migrations,
      'open_tables', (
        select coalesce(jsonb_agg(c.oid::regclass::text order by c.oid::regclass::text), '[]')
        from pg_catalog.pg_class c
        where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
          and c.relkind in ('r', 'p') and not c.relrowsecurity and shared.is_ours(c.oid)),
      'policies', (
        select coalesce(jsonb_agg(p.schemaname || '.' || p.tablename || ' ' || p.policyname), '[]')
        from pg_catalog.pg_policies p
        where p.schemaname in ('public', 'private')
          and shared.is_ours(format('%I.%I', p.schemaname, p.tablename)::regclass)),
      'providers', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'name', p.name, 'base_url', p.base_url, 'auth_scheme', p.auth_scheme,
          'secret_name', p.secret_name, 'is_active', p.is_active, 'is_approved', p.is_approved) order by p.name), '[]')
        from shared.api_providers p),
      'models', (
        -- Whole rows, so that columns added later are included.
        select coalesce(jsonb_agg(
          to_jsonb(m) - '{id,provider_id,description,input_defaults,capabilities}'::text[]
            || jsonb_build_object('provider', p.name, 'provider_is_active', p.is_active and p.is_approved)
          order by m.task, m.priority, m.model_key), '[]')
        from shared.api_models m join shared.api_providers p on p.id = m.provider_id),
      'workers', (
        select coalesce(jsonb_agg(w - '{config,reported_running,reported_at}'::text[]), '[]')
        from jsonb_array_elements(public.read_workers()) w),
      'steps', (
        select coalesce(jsonb_object_agg(h.step, to_jsonb(h) - 'step'), '{}')
        from public.health_check_steps h where h.step not like 'wake:%'),
      'is_watched', private.watched() is not null,
      'turns_overdue', (
        select count(*) from public.turns t
        where t.status = 'running' and t.lease_expires_at < now() - interval '3 minutes'),
      'cooldowns_overdue', (
        select count(*) from public.model_cooldowns c where c.until < now() - interval '13 minutes')));
end $$;
revoke execute on function public.verify_installation() from public, anon, authenticated;
grant execute on function public.verify_installation() to service_role;
