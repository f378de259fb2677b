-- What health_check reads of the shared tables.

-- The operator settings: private.system_settings, and the address at which a worker is registered.
create function public.read_settings() returns jsonb
language sql stable security definer set search_path = '' as $$
  select s.config from shared.system_config s
$$;

-- All providers: the columns of shared.api_providers.
create function public.read_providers() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(p) order by p.name), '[]') from shared.api_providers p
$$;

-- The models of a provider: the columns of shared.api_models.
create function public.read_models(p_provider_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(to_jsonb(m) order by m.model_key, m.task), '[]')
  from shared.api_models m
  -- Catalogs list models that write.
  where m.provider_id = p_provider_id and m.task <> 'embedding'
$$;

revoke execute on function public.read_settings(), public.read_providers(), public.read_models(uuid)
  from public, anon, authenticated;
grant execute on function public.read_settings(), public.read_providers(), public.read_models(uuid)
  to service_role;
