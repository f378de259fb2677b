-- Creating, registering and removing workers: operators create them with the secret key, and workers
-- register themselves through health_check, which has checked their key and address.

-- Creates a worker, or gives it another key. Returns whether it is new.
create function public.make_worker(p_name text, p_key_hash text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_is_new boolean;
begin
  insert into private.workers as w (name, key_hash) values (p_name, p_key_hash)
  on conflict (name) do update set key_hash = excluded.key_hash
  returning xmax = 0 into v_is_new;
  return v_is_new;
end $$;

-- Adds a server that cannot register itself, or replaces it. It has no lease. The functions send it the
-- key in the environment variable p_secret_name, if there is one, and the chats, so only https on public
-- hosts is accepted (see allowLocalWorkers). p_is_private_origin: the address is in PRIVATE_ORIGINS of the
-- environment, which the functions check again before each call.
create function public.add_worker(
  p_name text, p_url text, p_model text, p_context_tokens integer default null, p_secret_name text default null,
  p_priority integer default 100, p_is_private_origin boolean default false) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_rejected text;
begin
  select private.why_address_rejected(p_url, p_is_private_origin or s.config -> 'allowLocalWorkers' = 'true')
  into v_rejected from private.system_settings s;
  if v_rejected is not null then
    raise exception 'The server''s address %.', v_rejected using errcode = 'PT400';
  end if;
  insert into private.workers as w (name, url, model, context_tokens, secret_name, priority)
  values (p_name, rtrim(p_url, '/'), p_model, p_context_tokens, p_secret_name, p_priority)
  on conflict (name) do update set
    url = excluded.url, protocol = 'openai', model = excluded.model, context_tokens = excluded.context_tokens,
    secret_name = excluded.secret_name, priority = excluded.priority, lease_expires_at = null;
  update private.system_settings s
  set config = jsonb_set(s.config, '{workerHealthCache}', coalesce(s.config -> 'workerHealthCache', '{}') - p_name)
  where s.id = 1;
end $$;

-- Changes whether a worker gets new turns. Returns whether there is such a worker.
create function public.drain_worker(p_name text, p_is_draining boolean) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if p_name = 'chat_worker' then
    update private.system_settings s
    set config = s.config || jsonb_build_object(
      'chatWorker', coalesce(s.config -> 'chatWorker', '{}') || jsonb_build_object('is_draining', p_is_draining))
    where s.id = 1;
    return true;
  end if;
  update private.workers w set is_draining = p_is_draining where w.name = p_name;
  return found;
end $$;

-- Removes a worker with its key and its health record. Returns whether there was such a worker.
create function public.remove_worker(p_name text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.workers w where w.name = p_name;
  if not found then
    return false;
  end if;
  update private.system_settings s
  set config = jsonb_set(s.config, '{workerHealthCache}', coalesce(s.config -> 'workerHealthCache', '{}') - p_name)
  where s.id = 1;
  return true;
end $$;

-- The hashes of the workers' keys by name.
create function public.read_worker_keys() returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_object_agg(w.name, w.key_hash), '{}') from private.workers w where w.key_hash is not null
$$;

-- Stores a worker's report about itself, and begins or renews its lease. Omitted values stay unchanged.
-- p_key_hash is the hash of the key that was checked: it may have been replaced since. p_is_private_origin
-- as in add_worker. Returns {"outcome": ...}:
--   registered       with is_moved (it has another address than before), is_draining, lease_expires_at
--   unknown_worker   the worker or the key is gone
--   rate_limited     with retry_after_seconds: more than 30 calls in a minute
--   address_rejected with why
create function public.register_worker(
  p_name text, p_key_hash text, p_lease_seconds integer, p_url text, p_protocol text default null,
  p_model text default null, p_context_tokens integer default null, p_slots integer default null,
  p_running integer default null, p_is_draining boolean default false,
  p_is_private_origin boolean default false) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_worker private.workers;
  v_calls timestamptz[];
  v_rejected text;
begin
  select * into v_worker from private.workers w where w.name = p_name and w.key_hash = p_key_hash for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown_worker');
  end if;
  v_calls := array(select c from unnest(v_worker.calls) c where c > v_now - interval '1 minute' order by c);
  if cardinality(v_calls) >= 30 then
    return jsonb_build_object('outcome', 'rate_limited', 'retry_after_seconds',
                              extract(epoch from v_calls[1] + interval '1 minute' - v_now));
  end if;
  select private.why_address_rejected(p_url, p_is_private_origin or s.config -> 'allowLocalWorkers' = 'true')
  into v_rejected from private.system_settings s;
  if v_rejected is not null then
    return jsonb_build_object('outcome', 'address_rejected', 'why', v_rejected);
  end if;
  update private.workers w
  set url = rtrim(p_url, '/'), protocol = coalesce(p_protocol, w.protocol), model = coalesce(p_model, w.model),
      context_tokens = coalesce(p_context_tokens, w.context_tokens), slots = coalesce(p_slots, w.slots),
      reported_running = p_running, reported_at = case when p_running is not null then v_now end,
      wants_to_drain = p_is_draining, calls = v_calls || v_now,
      lease_expires_at = v_now + make_interval(secs => p_lease_seconds)
  where w.name = p_name;
  return jsonb_build_object(
    'outcome', 'registered',
    'is_moved', v_worker.url is distinct from rtrim(p_url, '/') or coalesce(v_worker.lease_expires_at <= v_now, false),
    'is_draining', v_worker.is_draining or p_is_draining,
    'lease_expires_at', v_now + make_interval(secs => p_lease_seconds));
end $$;

revoke execute on function public.add_worker(text, text, text, integer, text, integer, boolean),
  public.make_worker(text, text), public.drain_worker(text, boolean),
  public.remove_worker(text), public.read_worker_keys(),
  public.register_worker(text, text, integer, text, text, text, integer, integer, integer, boolean, boolean)
  from public, anon, authenticated;
grant execute on function public.add_worker(text, text, text, integer, text, integer, boolean),
  public.make_worker(text, text), public.drain_worker(text, boolean),
  public.remove_worker(text), public.read_worker_keys(),
  public.register_worker(text, text, integer, text, text, text, integer, integer, integer, boolean, boolean)
  to service_role;
