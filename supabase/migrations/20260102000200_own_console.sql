-- What admins may change from a browser, with their own token: models, and those settings of
-- providers that cannot send keys or prompts to another address. A provider that they add is not
-- used until somebody with the secret key approves it. They set its address and key name once, when
-- they add it, and a key name that was ever used cannot be used again. Changing either, or a
-- moderation model, requires the secret key.

-- The names of all keys ever assigned to a provider. Without this record, an admin could delete a
-- provider and add it again with the same key and another address.
create table private.given_secrets (
  secret_name text primary key
);
alter table private.given_secrets enable row level security;
revoke all on private.given_secrets from public, anon, authenticated;

create function private.record_given_secret() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.secret_name is not null then
    insert into private.given_secrets (secret_name) values (new.secret_name) on conflict do nothing;
  end if;
  return null;
end $$;
create trigger api_providers_secret after insert or update of secret_name on public.api_providers
  for each row execute function private.record_given_secret();

-- Whether this key has never been assigned to a provider.
create function private.is_unused_secret(p_secret_name text) returns boolean
language sql stable security definer set search_path = '' as $$
  select p_secret_name is null
    or not exists (select from private.given_secrets g where g.secret_name = p_secret_name)
$$;
revoke execute on function private.record_given_secret(), private.is_unused_secret(text)
  from public, anon, authenticated;
grant execute on function private.is_unused_secret(text) to authenticated;

grant insert (name, display_name, base_url, auth_scheme, auth_header_name, secret_name, is_active),
      update (display_name, is_active), delete on public.api_providers to authenticated;
create policy api_providers_insert on public.api_providers for insert to authenticated
  with check ((select private.is_admin()) and private.is_unused_secret(secret_name));
create policy api_providers_update on public.api_providers for update to authenticated
  using ((select private.is_admin())) with check ((select private.is_admin()));
-- A foreign key prevents deleting a provider that has models, among them moderation models.
create policy api_providers_delete on public.api_providers for delete to authenticated
  using ((select private.is_admin()));

-- Provider settings for admins, with addresses and key names. Other users can read only four
-- columns of the table.
create view public.provider_settings with (security_barrier = true) as
select p.id, p.name, p.display_name, p.base_url, p.auth_scheme, p.auth_header_name, p.secret_name, p.is_active,
       p.is_approved
from public.api_providers p
where (select private.is_admin());
revoke all on public.provider_settings from public, anon, authenticated, service_role;
grant select on public.provider_settings to authenticated;

-- Whether all prices are valid amounts. Turns treat invalid prices as unknown.
create function private.are_prices(p_pricing jsonb) returns boolean
language sql immutable set search_path = '' as $$
  select not jsonb_path_exists(
    p_pricing, 'strict $.* ? (@ != null && (@.type() != "number" || @ < 0 || @ > 1000000))')
$$;
revoke execute on function private.are_prices(jsonb) from public, anon, authenticated;
grant execute on function private.are_prices(jsonb) to authenticated;

grant insert, update, delete on public.api_models to authenticated;
create policy api_models_insert on public.api_models for insert to authenticated
  with check ((select private.is_admin()) and task <> 'moderation' and private.are_prices(pricing));
create policy api_models_update on public.api_models for update to authenticated
  using ((select private.is_admin()) and task <> 'moderation')
  with check ((select private.is_admin()) and task <> 'moderation' and private.are_prices(pricing));
create policy api_models_delete on public.api_models for delete to authenticated
  using ((select private.is_admin()) and task <> 'moderation');

-- Makes an active model the default of its modality and task. Runs with the caller's rights.
create function public.set_default_model(p_model_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  v_model public.api_models;
begin
  if not private.is_admin() then
    raise exception 'only admins choose the default model' using errcode = '42501';
  end if;
  select * into v_model from public.api_models m
  where m.id = p_model_id and m.is_active and m.task <> 'moderation';
  if not found then
    raise exception 'only an active model can be the default' using errcode = '22023';
  end if;
  update public.api_models m set is_default = false
  where m.modality = v_model.modality and m.task = v_model.task and m.is_default and m.id <> p_model_id;
  update public.api_models m set is_default = true where m.id = p_model_id;
end $$;
revoke execute on function public.set_default_model(uuid) from public, anon, authenticated, service_role;
grant execute on function public.set_default_model(uuid) to authenticated;
