-- What begin_turn returns for a request that a turn answered before: the same reply again.
create function private.replay(p_turn public.turns) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'outcome', 'replayed',
    'result', (p_turn).result,
    'reply', coalesce((select m.content from public.messages m where m.id = (p_turn).reply_message_id),
                      (p_turn).result ->> 'response'))
$$;
revoke execute on function private.replay(public.turns) from public, anon, authenticated;
