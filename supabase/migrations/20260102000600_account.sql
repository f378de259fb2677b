-- A person's account, which they read and change here in any installation.

-- Their profile. A function, because views of a product's tables call some that people may not.
create function private.own_profile() returns shared.profiles
language sql stable security definer set search_path = '' as $$
  select p.* from shared.profiles p where p.id = auth.uid()
$$;
revoke execute on function private.own_profile() from public, anon, authenticated;
grant execute on function private.own_profile() to authenticated;

create view public.account with (security_barrier = true) as
select u.id, u.email, u.created_at, p.display_name, coalesce(p.age_verified, false) as age_verified,
       (select private.is_admin()) as is_admin
from auth.users u cross join private.own_profile() p
where u.id = (select auth.uid());
revoke all on public.account from public, anon, authenticated, service_role;
grant select, update (display_name) on public.account to authenticated;

create function private.write_account() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_name constant text := nullif(private.one_line(new.display_name, 80), '');
begin
  perform shared.set_display_name(old.id, v_name);
  new.display_name := v_name;
  return new;
end $$;
revoke execute on function private.write_account() from public, anon, authenticated;
select private.guard_writes('public.account', null);
create trigger account_write instead of update on public.account
  for each row execute function private.write_account();
