-- Personal API keys: for programs that talk as a person through the OpenAI-compatible API of
-- roleplay_chat. They open nothing else. The key itself is shown once; its hash is kept.

create table private.api_keys (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  name text not null check (char_length(name) between 1 and 80),
  -- The first characters of the key, so that its owner recognises it.
  prefix text not null,
  -- SHA-256 of the key, in hexadecimal.
  key_hash text not null unique,
  -- What its owner allows it; null: as much as the owner may have.
  turns_per_day integer check (turns_per_day > 0),
  -- The last day (UTC) of a turn, and the turns begun on that day.
  day date,
  on_day integer not null default 0,
  created_at timestamptz not null default now(),
  -- Null: never.
  expires_at timestamptz,
  last_used_at timestamptz
);
create index api_keys_by_user on private.api_keys (user_id, created_at);
alter table private.api_keys enable row level security;
revoke all on private.api_keys from public, anon, authenticated;

-- A person's own keys, without what opens anything.
create view public.api_keys with (security_barrier = true) as
select k.id, k.name, k.prefix, k.turns_per_day, k.created_at, k.expires_at, k.last_used_at
from private.api_keys k where k.user_id = (select auth.uid());
revoke all on public.api_keys from public, anon, authenticated, service_role;
grant select on public.api_keys to authenticated;

-- Makes a key for the signed-in person, and returns it, the only time: {"id", "key", "prefix",
-- "expires_at"}. Without p_days it never expires.
create function public.create_api_key(
  p_name text, p_days integer default null, p_turns_per_day integer default null) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id constant uuid := private.active_caller();
  v_limits constant jsonb := private.limits_for(v_user_id);
  v_name constant text := private.one_line(p_name, 80);
  -- 244 random bits.
  v_key constant text := 'rpk_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex');
  v_made private.api_keys;
begin
  if nullif(v_name, '') is null then
    raise exception 'Please name the key.' using errcode = 'PT400';
  elsif p_days not between 1 and 3650 then
    raise exception 'A key is valid for 1 to 3650 days.' using errcode = 'PT400';
  elsif p_turns_per_day < 1 then
    raise exception 'A limit is at least one reply per day.' using errcode = 'PT400';
  end if;
  -- One call at a time per user, so that the count is exact.
  perform private.hold_person(v_user_id);
  if (select count(*) from private.api_keys k where k.user_id = v_user_id) >= (v_limits ->> 'api_keys')::numeric then
    raise exception 'You have reached the maximum number of API keys. Please revoke one first.' using errcode = 'PT409';
  end if;
  perform private.raise_if_blocked(private.count_use(v_user_id, 'api_keys rows', v_limits, 'rows'));
  insert into private.api_keys (user_id, name, prefix, key_hash, turns_per_day, expires_at)
  values (v_user_id, v_name, left(v_key, 12), encode(sha256(v_key::bytea), 'hex'), p_turns_per_day,
          now() + make_interval(days => p_days))
  returning * into v_made;
  return jsonb_build_object('id', v_made.id, 'key', v_key, 'prefix', v_made.prefix, 'expires_at', v_made.expires_at);
end $$;

-- Makes one of the person's keys void at once. Returns whether there was such a key.
create function public.revoke_api_key(p_id uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.api_keys k where k.id = p_id and k.user_id = private.active_caller();
  return found;
end $$;

revoke execute on function public.create_api_key(text, integer, integer), public.revoke_api_key(uuid)
  from public, anon, authenticated, service_role;
grant execute on function public.create_api_key(text, integer, integer), public.revoke_api_key(uuid) to authenticated;
