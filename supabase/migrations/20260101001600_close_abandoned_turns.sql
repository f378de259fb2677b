-- Closes turns whose lease has expired because their process died. The user's message stays, and
-- the same request may be repeated. Returns the number.
create function public.close_abandoned_turns() returns integer
language sql security definer set search_path = '' as $$
  with closed as (
    update public.turns
    set status = 'failed', error_code = 'lease_expired', finished_at = now()
    where id in (
      select id from public.turns where status = 'running' and lease_expires_at <= now()
      for update skip locked)  -- whoever holds one is about to end it
    returning 1)
  select count(*)::integer from closed
$$;
revoke execute on function public.close_abandoned_turns() from public, anon, authenticated;
grant execute on function public.close_abandoned_turns() to service_role;
