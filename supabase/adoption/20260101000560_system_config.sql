-- The product's public.system_config stays its own: one object that several programs read, change and
-- write back whole. Ours is private.system_settings. Of theirs only chatWorkerUrl is read; health
-- records are copied into it.

create function private.host_of(p_url text) returns text
language sql immutable set search_path = '' as $$
  select substring(lower(p_url) from '^https?://(\[[^\]]*\]|[^/:]+)')
$$;

-- Whether the product's registered worker may be called. Anybody with the public key may register one,
-- so its host must be named in workerHosts of our settings: "gpu.example.com", or "*.example.com" for
-- every host below it.
create function private.is_worker_allowed(p_url text, p_config jsonb) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return (
    select p_url is not null
      and private.why_address_rejected(p_url, p_config -> 'allowLocalWorkers' = 'true') is null
      and exists (
        select from jsonb_array_elements_text(
          case jsonb_typeof(p_config -> 'workerHosts') when 'array' then p_config -> 'workerHosts' else '[]' end) h (host)
        where case when h.host like '*.%'
            then right(private.host_of(p_url), char_length(h.host) - 1) = lower(substr(h.host, 2))
            else private.host_of(p_url) = lower(h.host) end));
end $$;

-- workerRefused is the address that is registered and not allowed.
create view shared.system_config as
select s.id,
       case
         when private.is_worker_allowed(t.url, s.config)
           then s.config || jsonb_build_object('chatWorkerUrl', rtrim(t.url, '/'))
         when t.url is not null and t.url is distinct from s.config ->> 'chatWorkerUrl'
           then s.config || jsonb_build_object('workerRefused', left(t.url, 200))
         else s.config
       end as config,
       s.updated_at
from private.system_settings s
left join lateral (
  select nullif(c.config ->> 'chatWorkerUrl', '') as url from public.system_config c where c.id = 1) t on true;

-- A program that writes an old copy of the object back does not overwrite a newer health record. Times
-- are compared as text, as in private.newer_health; a record dated in the future does not block newer ones.
create function private.keep_health() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_worker text;
  v_known jsonb;
  v_new jsonb;
  v_soon text := to_char((clock_timestamp() + interval '1 minute') at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US');
begin
  if jsonb_typeof(new.config) <> 'object' or jsonb_typeof(old.config -> 'workerHealthCache') is distinct from 'object' then
    return new;
  end if;
  for v_worker, v_known in select e.key, e.value from jsonb_each(old.config -> 'workerHealthCache') e loop
    v_new := new.config #> array['workerHealthCache', v_worker];
    if coalesce((v_known ->> 'lastChecked') collate "C" <= v_soon, v_new is null)
        and (jsonb_typeof(v_new -> 'lastChecked') is distinct from 'string'
             or (v_new ->> 'lastChecked') collate "C" < (v_known ->> 'lastChecked') collate "C") then
      new.config := jsonb_set(
        new.config, '{workerHealthCache}',
        case jsonb_typeof(new.config -> 'workerHealthCache') when 'object' then new.config -> 'workerHealthCache' else '{}' end
          || jsonb_build_object(v_worker, v_known));
    end if;
  end loop;
  return new;
end $$;
create trigger a_keep_health before update on public.system_config
  for each row execute function private.keep_health();

-- Copies what our health check recorded, and a worker that was registered with us, into the product's
-- object: key by key, so that nothing else in it is written.
create function private.copy_to_system_config() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.system_config c
  set config = c.config
    || jsonb_build_object('workerHealthCache',
         case jsonb_typeof(c.config -> 'workerHealthCache') when 'object' then c.config -> 'workerHealthCache' else '{}' end
         || case jsonb_typeof(new.config -> 'workerHealthCache') when 'object' then new.config -> 'workerHealthCache' else '{}' end)
    || case when new.config -> 'chatWorkerUrl' is distinct from old.config -> 'chatWorkerUrl'
         then jsonb_build_object('chatWorkerUrl', new.config -> 'chatWorkerUrl') else '{}' end
  where c.id = 1 and jsonb_typeof(c.config) = 'object';
  return null;
end $$;
create trigger system_settings_copy after update on private.system_settings
  for each row when (new.config -> 'workerHealthCache' is distinct from old.config -> 'workerHealthCache'
                     or new.config -> 'chatWorkerUrl' is distinct from old.config -> 'chatWorkerUrl')
  execute function private.copy_to_system_config();
revoke execute on function private.is_worker_allowed(text, jsonb), private.host_of(text), private.keep_health(),
  private.copy_to_system_config() from public, anon, authenticated;
