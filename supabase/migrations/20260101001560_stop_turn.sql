-- Stopping a turn that another instance runs: the request is noted in the turn's row, which the
-- running instance checks from time to time.

-- Requests that a turn stop. Has the limits of actions. Returns {"outcome": "done", "running"}, or
-- turn_not_found if the user has no such turn, or the result of private.count_use. Repeating it changes
-- nothing.
create function public.stop_turn(p_user_id uuid, p_turn_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  -- Counted by itself: other actions lock their counter until they end, and a turn can be stopped meanwhile.
  v_blocked constant jsonb := private.count_use(p_user_id, 'stops', private.limits_for(p_user_id), 'actions');
  v_status text;
begin
  if v_blocked is not null then
    return v_blocked;
  end if;
  select t.status into v_status from public.turns t where t.id = p_turn_id and t.user_id = p_user_id;
  if not found then
    return jsonb_build_object('outcome', 'turn_not_found');
  end if;
  update public.turns t set stop_requested = true
  where t.id = p_turn_id and t.status = 'running' and not t.stop_requested;
  return jsonb_build_object('outcome', 'done', 'running', v_status = 'running');
end $$;
revoke execute on function public.stop_turn(uuid, uuid) from public, anon, authenticated;
grant execute on function public.stop_turn(uuid, uuid) to service_role;

-- Whether somebody asked to stop this turn.
create function public.is_stop_requested(p_turn_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.turns t where t.id = p_turn_id and t.stop_requested)
$$;
revoke execute on function public.is_stop_requested(uuid) from public, anon, authenticated;
grant execute on function public.is_stop_requested(uuid) to service_role;
