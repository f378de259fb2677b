-- What is not to be asked for a while, shared by all running instances.

create table public.model_cooldowns (
  -- model: "<provider>:<model_key>"; provider: its name; account: "<provider>:free" or "<provider>".
  scope text not null check (scope in ('model', 'provider', 'account')),
  key text not null check (char_length(key) between 1 and 300),
  until timestamptz not null,
  reason text not null,
  failures integer not null default 1,
  updated_at timestamptz not null default now(),
  primary key (scope, key)
);
create index model_cooldowns_until on public.model_cooldowns (until);

alter table public.model_cooldowns enable row level security;
revoke all on public.model_cooldowns from anon, authenticated;
grant select on public.model_cooldowns to authenticated;
create policy model_cooldowns_select on public.model_cooldowns for select to authenticated
  using ((select private.is_admin()));

-- Forgets what passed some time ago; until then it counts towards a longer rest. Returns how many.
create function public.clear_passed_cooldowns() returns integer
language sql security definer set search_path = '' as $$
  with gone as (
    delete from public.model_cooldowns where until < now() - interval '10 minutes' returning 1)
  select count(*)::integer from gone
$$;
revoke execute on function public.clear_passed_cooldowns() from public, anon, authenticated;
grant execute on function public.clear_passed_cooldowns() to service_role;
