-- The workers' health records and the chat worker's address.

-- The records to store: those of unknown workers, of new addresses, or of later probes. Times are compared as text: all
-- are UTC in ISO 8601. A known time in the future is ignored.
create function private.newer_health(p_known jsonb, p_records jsonb) returns jsonb
language sql volatile set search_path = '' as $$
  select coalesce(jsonb_object_agg(r.worker, r.record), '{}')
  from jsonb_each(p_records) r (worker, record)
  cross join lateral (select p_known -> r.worker as record) known
  where not coalesce(
    known.record ->> 'workerUrl' = r.record ->> 'workerUrl'
    and (known.record ->> 'lastChecked') collate "C" > r.record ->> 'lastChecked'
    and (known.record ->> 'lastChecked') collate "C"
        <= to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+00:00', false)
$$;

-- Stores health records, {"<worker>": record}. Each call writes a new version of the settings row, which every turn
-- reads, so health_check stores many records with one call. Only the keys of these workers are replaced, so overlapping
-- writers never overwrite each other, and an earlier probe does not replace the result of a later one.
create function public.record_worker_health(p_records jsonb) returns void
language sql security definer set search_path = '' as $$
  update private.system_settings s
  set config = jsonb_set(
    s.config, '{workerHealthCache}',
    coalesce(s.config -> 'workerHealthCache', '{}')
      || private.newer_health(s.config -> 'workerHealthCache', p_records))
  where s.id = 1 and private.newer_health(s.config -> 'workerHealthCache', p_records) <> '{}'
$$;
revoke execute on function private.newer_health(jsonb, jsonb), public.record_worker_health(jsonb)
  from public, anon, authenticated;
grant execute on function public.record_worker_health(jsonb) to service_role;

-- Registers (or, with null, removes) the chat worker's address. The health record of the old
-- address is deleted. The server at this address gets the worker's key and the chats, so only https
-- on public hosts is accepted (see allowLocalWorkers).
create function public.set_chat_worker_url(p_url text, p_protocol text default 'chat_worker') returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_rejected text;
begin
  select private.why_address_rejected(p_url, s.config -> 'allowLocalWorkers' = 'true')
  into v_rejected from private.system_settings s;
  if v_rejected is not null then
    raise exception 'the worker''s address %', v_rejected using errcode = '22023';
  end if;
  if p_protocol not in ('chat_worker', 'openai') then
    raise exception 'the worker''s protocol must be chat_worker or openai' using errcode = '22023';
  end if;
  update private.system_settings
  set config = config || jsonb_build_object(
        'chatWorkerUrl', rtrim(p_url, '/'),
        'chatWorker', coalesce(config -> 'chatWorker', '{}') || jsonb_build_object('protocol', p_protocol),
        'workerHealthCache', coalesce(config -> 'workerHealthCache', '{}') - 'chatWorker')
  where id = 1;
end $$;
revoke execute on function public.set_chat_worker_url(text, text) from public, anon, authenticated;
grant execute on function public.set_chat_worker_url(text, text) to service_role;
