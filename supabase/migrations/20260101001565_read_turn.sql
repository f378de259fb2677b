-- The state of a turn, for a reader who comes back to its stream: the result of begin_turn for the same
-- request: in_progress, replayed or reply_deleted; turn_not_found if the user has no such turn; failed,
-- with error_code and the content policy's finding, if it has no reply.
create function public.read_turn(p_user_id uuid, p_turn_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_blocked constant jsonb := private.why_account_blocked(p_user_id);
  v_turn public.turns;
begin
  if v_blocked is not null then
    return v_blocked;
  end if;
  select * into v_turn from public.turns t where t.id = p_turn_id and t.user_id = p_user_id;
  return case
    when v_turn.id is null then jsonb_build_object('outcome', 'turn_not_found')
    when v_turn.status = 'running' and v_turn.lease_expires_at > clock_timestamp() then
      jsonb_build_object('outcome', 'in_progress')
    when v_turn.status in ('running', 'failed') then
      jsonb_build_object('outcome', 'failed', 'error_code', v_turn.error_code, 'refused', v_turn.result -> 'refused')
    else private.replay(v_turn) end;
end $$;
revoke execute on function public.read_turn(uuid, uuid) from public, anon, authenticated;
grant execute on function public.read_turn(uuid, uuid) to service_role;
