-- User profiles. auth.users holds the sign-in; this table holds what a turn needs.

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  display_name text check (char_length(display_name) between 1 and 80),
  -- Set by the age check with the service key, never by the user.
  age_verified boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create trigger profiles_touch before update on public.profiles
  for each row execute function private.touch_updated_at();

create table public.user_roles (
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('admin')),
  created_at timestamptz not null default now(),
  primary key (user_id, role)
);

create function private.is_admin() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select 1 from public.user_roles r
    where r.user_id = (select auth.uid()) and r.role = 'admin')
$$;
revoke execute on function private.is_admin() from public, anon, authenticated;
grant execute on function private.is_admin() to authenticated, service_role;

create function private.is_age_verified() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select 1 from public.profiles p
    where p.id = (select auth.uid()) and p.age_verified)
$$;
revoke execute on function private.is_age_verified() from public, anon, authenticated;
grant execute on function private.is_age_verified() to authenticated;

-- Why an account is blocked although its token is still valid: {"outcome": "unknown_user"} or
-- {"outcome": "banned_user"}; null if it is not. Read as JSON because some Auth servers lack one of
-- the columns.
create function private.why_account_blocked(p_user_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select case
    when u.id is null or u.facts ->> 'deleted_at' is not null then '{"outcome": "unknown_user"}'::jsonb
    when (u.facts ->> 'banned_until')::timestamptz > clock_timestamp() then '{"outcome": "banned_user"}'::jsonb
  end
  from (values (p_user_id)) asked (id)
  left join (select a.id, to_jsonb(a) as facts from auth.users a) u on u.id = asked.id
$$;
revoke execute on function private.why_account_blocked(uuid) from public, anon, authenticated;

alter table public.profiles enable row level security;
revoke all on public.profiles from anon, authenticated;
grant select on public.profiles to authenticated;
grant insert (id, display_name), update (display_name) on public.profiles to authenticated;
create policy profiles_select on public.profiles for select to authenticated
  using (id = (select auth.uid()) or (select private.is_admin()));
create policy profiles_insert on public.profiles for insert to authenticated
  with check (id = (select auth.uid()));
create policy profiles_update on public.profiles for update to authenticated
  using (id = (select auth.uid())) with check (id = (select auth.uid()));

alter table public.user_roles enable row level security;
revoke all on public.user_roles from anon, authenticated;
grant select on public.user_roles to authenticated;
create policy user_roles_select on public.user_roles for select to authenticated
  using (user_id = (select auth.uid()) or (select private.is_admin()));
