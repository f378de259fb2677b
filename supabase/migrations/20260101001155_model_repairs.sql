-- The form that requests to a model need, learned from its errors (generation/request_errors.py) and
-- shared by all instances: {"roles": "alternate" or "no_system", "max_completion_tokens": true,
-- "rejected": {parameter: digest of its value in the row, or null}}.

create table private.model_repairs (
  provider text not null check (char_length(provider) <= 100),
  model_key text not null check (char_length(model_key) <= 300),
  repairs jsonb not null check (jsonb_typeof(repairs) = 'object' and octet_length(repairs::text) <= 1000),
  updated_at timestamptz not null default now(),
  primary key (provider, model_key)
);
alter table private.model_repairs enable row level security;
revoke all on private.model_repairs from public, anon, authenticated;

-- What was learned in the last 30 days. After that it is learned again: another model may answer under
-- the same name. A view, which costs a turn less than a function.
create view private.known_repairs as
select r.provider, r.model_key, r.repairs from private.model_repairs r
where r.updated_at > now() - interval '30 days';
revoke all on private.known_repairs from public, anon, authenticated;

-- Keeps the "repairs" of the calls of one turn that succeeded with them. Most turns have none.
--
-- Turns of all people share these rows. A row is not touched if it says the same already, unless it is older than a
-- day: what is in use does not expire.
create function private.remember_repairs(p_usage jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if not jsonb_path_exists(p_usage, '$[*].repairs') then
    return;
  end if;
  insert into private.model_repairs as r (provider, model_key, repairs)
  select u.provider, u.model_key, u.repairs
  from (
    select distinct on (1, 2) left(u.call ->> 'provider', 100) as provider,
           left(u.call ->> 'model_key', 300) as model_key, u.call -> 'repairs' as repairs
    from jsonb_array_elements(p_usage) with ordinality u (call, place)
    where jsonb_typeof(u.call -> 'repairs') = 'object'
    -- Of two for one model the later.
    order by 1, 2, u.place desc) u
  -- Here, because "do update ... where" locks the rows that it leaves as they are.
  where not exists (
    select from private.model_repairs k
    where k.provider = u.provider and k.model_key = u.model_key and k.repairs || u.repairs = k.repairs
      and k.updated_at > now() - interval '1 day')
  -- Always in the same order, to avoid deadlocks.
  order by 1, 2
  on conflict (provider, model_key) do update
  set repairs = coalesce((
        select k.repairs from private.known_repairs k
        where k.provider = r.provider and k.model_key = r.model_key), '{}') || excluded.repairs,
      updated_at = now();
end $$;
revoke execute on function private.remember_repairs(jsonb) from public, anon, authenticated;
