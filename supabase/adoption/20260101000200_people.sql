-- People of a product that runs already: its public.profiles and public.user_roles, as functions see
-- them. Somebody without a profile is a person too.

-- Values for which the product has no column, or which it cannot store.
create table private.person_details (
  user_id uuid primary key references auth.users (id) on delete cascade,
  display_name text check (char_length(display_name) between 1 and 80),
  age_verified boolean not null default false,
  updated_at timestamptz not null default now()
);
create trigger person_details_touch before update on private.person_details
  for each row execute function private.touch_updated_at();
alter table private.person_details enable row level security;
revoke all on private.person_details from public, anon, authenticated;

-- profiles.username is not a name for addressing people: it is mostly the part of an email before the @.
-- Our pages put the name that somebody gives into the metadata of their sign-up. It is read there, so
-- that nothing of ours runs when the product creates an account.
create view shared.profiles as
select u.id, coalesce(d.display_name, private.given_name(u.raw_user_meta_data)) as display_name,
  coalesce(p.age_verified, false) or coalesce(d.age_verified, false) as age_verified
from auth.users u
left join public.profiles p on p.id = u.id
left join private.person_details d on d.user_id = u.id;

create view shared.user_roles as
select r.user_id, r.role::text as role from public.user_roles r;

-- Records that a person's age was verified elsewhere, or no longer counts as verified here.
create function public.record_age_verification(p_user_id uuid, p_is_verified boolean) returns void
language sql security definer set search_path = '' as $$
  insert into private.person_details (user_id, age_verified) values (p_user_id, p_is_verified)
  on conflict (user_id) do update set age_verified = excluded.age_verified
$$;
revoke execute on function public.record_age_verification(uuid, boolean) from public, anon, authenticated;
grant execute on function public.record_age_verification(uuid, boolean) to service_role;

-- See own_shared.
create function shared.set_display_name(p_user_id uuid, p_name text) returns void
language sql volatile set search_path = '' as $$
  insert into private.person_details (user_id, display_name) values (p_user_id, p_name)
  on conflict (user_id) do update set display_name = excluded.display_name
$$;
revoke execute on function shared.set_display_name(uuid, text) from public, anon, authenticated;
