-- Other views for admins in the console, in any installation.

-- Configured models, and the results of their catalog checks; see api_models.catalog_status.
create view public.model_catalog with (security_barrier = true) as
select m.id, p.name as provider, m.model_key, m.display_name, m.task, m.is_active, m.catalog_status,
       m.catalog_checked_at, m.catalog ->> 'expires_on' as expires_on, m.catalog ->> 'listed_as' as listed_as
from shared.api_models m join shared.api_providers p on p.id = m.provider_id
where (select private.is_admin());
revoke all on public.model_catalog from public, anon, authenticated, service_role;
grant select on public.model_catalog to authenticated;

-- People whose age counts as verified. A function, because views of a product's tables call some that
-- people may not.
create function private.verified_people() returns setof shared.profiles
language sql stable security definer set search_path = '' as $$
  select p.* from shared.profiles p where p.age_verified and private.is_admin()
$$;
revoke execute on function private.verified_people() from public, anon, authenticated;
grant execute on function private.verified_people() to authenticated;

create view public.age_verifications with (security_barrier = true) as
select p.id as user_id, p.display_name from private.verified_people() p;
revoke all on public.age_verifications from public, anon, authenticated, service_role;
grant select on public.age_verifications to authenticated;

-- The limits of everybody ("default"), of roles, and of the whole project ("project").
create view public.limit_settings with (security_barrier = true) as
select l.key as role, l.value as limits
from private.system_settings s, jsonb_each(s.config -> 'limits') l
where (select private.is_admin());
revoke all on public.limit_settings from public, anon, authenticated, service_role;
grant select on public.limit_settings to authenticated;

-- Replaces the limits of a role, of "default" or of "project", as an admin; null removes those of a role. Names
-- and meanings: private.limits_for. p_before: the limits that the caller saw, {} if none; null replaces any.
-- Errors: 42501, PT400, PT409 if they have changed.
create function public.set_limits(p_role text, p_limits jsonb, p_before jsonb default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
  c_names constant text[] := array['turns_per_minute', 'turns_per_day', 'running', 'usd_per_day',
    'actions_per_minute', 'actions_per_day', 'imports_per_minute', 'imports_per_day', 'exports_per_minute',
    'exports_per_day', 'branched_bytes_per_day', 'reports_per_minute', 'reports_per_day', 'rows_per_minute',
    'rows_per_day', 'api_keys', 'api_turns_per_minute', 'api_turns_per_day', 'api_lists_per_minute'];
  v_wrong text;
begin
  if not private.is_admin() then
    raise exception 'only admins change limits' using errcode = '42501';
  elsif p_role is null or char_length(p_role) not between 1 and 40 then
    raise exception 'Name a role, default or project.' using errcode = 'PT400';
  elsif p_limits is null and p_role in ('default', 'project') then
    raise exception 'The limits of everybody and of the project can be changed, but not removed.'
      using errcode = 'PT400';
  elsif jsonb_typeof(p_limits) <> 'object' then
    raise exception 'Limits are an object of numbers.' using errcode = 'PT400';
  end if;
  select min(l.key) into v_wrong
  from jsonb_each(p_limits) l
  where l.key <> all (case p_role when 'project' then '{usd_per_day}' else c_names end)
    or jsonb_typeof(l.value) not in ('number', 'null') or case jsonb_typeof(l.value) when 'number' then l.value::numeric < 0 end;
  if v_wrong is not null then
    raise exception 'There is no such limit, or it is no number: %', left(v_wrong, 40) using errcode = 'PT400';
  end if;
  update private.system_settings s
  set config = case
    when p_limits is null then s.config #- array['limits', p_role]
    else s.config || jsonb_build_object(
      'limits', coalesce(s.config -> 'limits', '{}') || jsonb_build_object(p_role, p_limits)) end
  where p_before is null or p_before = coalesce(s.config #> array['limits', p_role], '{}');
  if not found and p_before is not null then
    raise exception 'Somebody else changed these limits meanwhile. Read them again.' using errcode = 'PT409';
  end if;
end $$;
revoke execute on function public.set_limits(text, jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.set_limits(text, jsonb, jsonb) to authenticated;
