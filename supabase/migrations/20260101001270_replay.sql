-- What begin_turn returns for a request that a turn answered before: the same reply again, as it
-- reads now, or that it was deleted: by a person, or what belongs to it by the retention.
create function private.replay(p_turn public.turns) returns jsonb
language sql stable set search_path = '' as $$
  select case when r.reply is null or (p_turn).result is null then jsonb_build_object('outcome', 'reply_deleted')
    else jsonb_build_object('outcome', 'replayed', 'result', (p_turn).result, 'reply', r.reply) end
  from (
    select coalesce((select m.content from shared.messages m where m.id = (p_turn).reply_message_id),
                    (select d.content from private.turn_replies d where d.turn_id = (p_turn).id)) as reply) r
$$;
revoke execute on function private.replay(public.turns) from public, anon, authenticated;
