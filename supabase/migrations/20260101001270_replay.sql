-- The result of begin_turn for a request that was answered before: the same reply with its current
-- text, or reply_deleted if the user deleted it or its result is past its retention period.
create function private.replay(p_turn public.turns) returns jsonb
language sql stable set search_path = '' as $$
  select case when r.reply is null or (p_turn).result is null then jsonb_build_object('outcome', 'reply_deleted')
    else jsonb_build_object('outcome', 'replayed', 'result', (p_turn).result, 'reply', r.reply) end
  from (
    select coalesce((select m.content from shared.messages m where m.id = (p_turn).reply_message_id),
                    (select d.content from private.turn_replies d where d.turn_id = (p_turn).id)) as reply) r
$$;
revoke execute on function private.replay(public.turns) from public, anon, authenticated;
