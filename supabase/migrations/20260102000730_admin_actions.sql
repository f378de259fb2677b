-- Functions for the actions of admins: who may call them, how often, and which model is meant.

-- Counts an action of an admin before it is carried out, and returns null; {"outcome": "not_admin"}, or the
-- result of private.count_use.
create function public.begin_admin_action(p_user_id uuid) returns jsonb
language sql security definer set search_path = '' as $$
  select case
    when exists (select from shared.user_roles r where r.user_id = p_user_id and r.role = 'admin') then
      private.count_use(p_user_id, 'admin actions',
                        '{"admin_actions_per_minute": 20, "admin_actions_per_day": 1000}', 'admin_actions')
    else coalesce(private.why_account_blocked(p_user_id), '{"outcome": "not_admin"}') end
$$;

-- The model with this id, or else the one of the provider that roleplay turns ask first, also if it is switched off:
-- {"task", "is_approved", "model"}, where "model" has what a call needs of private.models_for. Null: there is none.
create function public.model_to_test(p_model_id uuid, p_provider_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object(
    'task', m.task, 'is_approved', p.is_approved,
    'model', jsonb_build_object(
      'model_key', m.model_key, 'display_name', m.display_name, 'endpoint_path', m.endpoint_path,
      'input_defaults', m.input_defaults, 'capabilities', m.capabilities,
      'repairs', coalesce((
        select k.repairs from private.known_repairs k where k.provider = p.name and k.model_key = m.model_key), '{}'),
      'provider', jsonb_build_object(
        'name', p.name, 'base_url', p.base_url, 'auth_scheme', p.auth_scheme,
        'auth_header_name', p.auth_header_name, 'secret_name', p.secret_name)))
  from shared.api_models m join shared.api_providers p on p.id = m.provider_id
  where case when p_model_id is null then p.id = p_provider_id else m.id = p_model_id end
  order by m.is_active desc, m.task = 'roleplay' desc, m.is_default desc, m.priority, m.model_key, m.task
  limit 1
$$;

revoke execute on function public.begin_admin_action(uuid), public.model_to_test(uuid, uuid)
  from public, anon, authenticated;
grant execute on function public.begin_admin_action(uuid), public.model_to_test(uuid, uuid) to service_role;
