-- Cooldowns, shared by all instances.

create table public.model_cooldowns (
  -- model: "<provider>:<model_key>" or "chat_worker:<name of the worker>"; provider: its name; account:
  -- "<provider>:free" or "<provider>". "chat_worker" alone is all workers, in any scope.
  scope text not null check (scope in ('model', 'provider', 'account')),
  key text not null check (char_length(key) between 1 and 300),
  until timestamptz not null,
  reason text not null check (char_length(reason) <= 200),
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

-- Deletes cooldowns that ended some time ago; until then they make the next one longer. Returns the
-- number.
create function public.clear_passed_cooldowns() returns integer
language sql security definer set search_path = '' as $$
  with gone as (
    delete from public.model_cooldowns where (scope, key) in (
      select c.scope, c.key from public.model_cooldowns c where c.until < now() - interval '10 minutes'
      -- One that a turn holds is not over. Waiting for it could also end in a deadlock.
      for update skip locked)
    returning 1)
  select count(*)::integer from gone
$$;
revoke execute on function public.clear_passed_cooldowns() from public, anon, authenticated;
grant execute on function public.clear_passed_cooldowns() to service_role;

-- When the cooldowns of workers end, by the worker's name.
create function private.workers_on_cooldown() returns table (worker text, until timestamptz)
language sql stable security definer set search_path = '' as $$
  select w.name, max(c.until)
  from private.registered_workers w
  join public.model_cooldowns c on c.until > now() and c.key in ('chat_worker', 'chat_worker:' || w.name)
  group by w.name
$$;
revoke execute on function private.workers_on_cooldown() from public, anon;
grant execute on function private.workers_on_cooldown() to authenticated;

-- For users: when the cooldown of a model or a worker ends, without its reason or the address.
-- generation/routing.py has the same rules for what a cooldown covers.
create view public.models_on_cooldown with (security_barrier = true) as
select m.id as model_id, null as worker, max(c.until) as until
from shared.api_models m
join shared.api_providers p on p.id = m.provider_id
join public.model_cooldowns c on c.until > now() and case c.scope
    when 'model' then c.key = p.name || ':' || m.model_key
    when 'provider' then c.key = p.name
    else c.key = p.name or c.key = p.name || ':free' and m.model_key like '%:free' end
where m.is_active and p.is_active and m.task <> 'moderation'
group by m.id
union all
select null, w.worker, w.until from private.workers_on_cooldown() w;
revoke all on public.models_on_cooldown from public, anon, authenticated, service_role;
grant select on public.models_on_cooldown to authenticated;
