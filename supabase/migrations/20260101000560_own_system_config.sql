-- The operator settings for admins.

-- Runs with its owner's rights on purpose (the default for views).
create view public.system_config with (security_barrier = true) as
select s.id, s.config, s.updated_at
from private.system_settings s
where current_user not in ('anon', 'authenticated') or (select private.is_admin());
revoke all on public.system_config from public, anon, authenticated, service_role;
grant select on public.system_config to authenticated, service_role;
