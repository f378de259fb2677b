-- Purges conversations that their owners deleted retention.deleted_days ago (default 30); null: never.
-- One in which somebody has written since no longer counts as deleted. At most p_limit at a time, and none after
-- those that had p_messages together: else a few long ones take longer than a call may, and nothing is ever purged.
-- Returns how many it has processed.
create function public.purge_conversations(p_limit integer default 20, p_messages integer default 10000) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_days numeric;
  v_id uuid;
  v_count integer := 0;
  v_messages bigint := 0;
begin
  select case when s.config -> 'retention' ? 'deleted_days' then (s.config #>> '{retention,deleted_days}')::numeric
              else 30 end
  into v_days from private.system_settings s;
  for v_id in
    select e.conversation_id from public.conversation_entries e join auth.users u on u.id = e.user_id
    where e.is_deleted and e.deleted_at < now() - make_interval(secs => v_days * 86400)
    order by e.deleted_at limit p_limit
    -- Nor those of an account that is being deleted.
    for update of e skip locked for key share of u skip locked
  loop
    exit when v_messages >= p_messages;
    v_count := v_count + 1;
    v_messages := v_messages + (select count(*) from shared.messages m where m.conversation_id = v_id);
    if not private.stays_deleted(v_id, (select e.deleted_at from public.conversation_entries e where e.conversation_id = v_id)) then
      update public.conversation_entries e set is_deleted = false where e.conversation_id = v_id;
    elsif not shared.delete_conversation(v_id) then
      -- Retried later, after the others.
      update public.conversation_entries e set deleted_at = now() where e.conversation_id = v_id;
    end if;
  end loop;
  return v_count;
end $$;
revoke execute on function public.purge_conversations(integer, integer) from public, anon, authenticated;
grant execute on function public.purge_conversations(integer, integer) to service_role;
