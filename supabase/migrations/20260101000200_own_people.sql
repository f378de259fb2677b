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

-- People who give a name when they sign up get a profile with it, even if they have to confirm
-- their email first and so have no session to write it with.
create function private.name_new_person() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id, display_name)
  select new.id, named from private.given_name(new.raw_user_meta_data) named where named is not null
  on conflict (id) do nothing;
  return null;
end $$;
revoke execute on function private.name_new_person() from public, anon, authenticated;
create trigger name_new_person after insert on auth.users
  for each row when (new.raw_user_meta_data ? 'display_name')
  execute function private.name_new_person();

-- Records that a person's age was verified elsewhere, or no longer counts as verified.
create function public.record_age_verification(p_user_id uuid, p_is_verified boolean) returns void
language sql security definer set search_path = '' as $$
  insert into public.profiles (id, age_verified) values (p_user_id, p_is_verified)
  on conflict (id) do update set age_verified = excluded.age_verified
$$;
revoke execute on function public.record_age_verification(uuid, boolean) from public, anon, authenticated;
grant execute on function public.record_age_verification(uuid, boolean) to service_role;
