-- Clients may write the person's message themselves before they ask for the reply. This finds
-- it, so that it is not written a second time: the newest message with this text that nobody
-- has answered. Null when there is none.
--
-- The conversation's last word is taken whatever its age. What lies further back was written on
-- another device while turns ran; it is taken when it is fresh and no turn was ever about it.
create function private.written_before(p_conversation_id uuid, p_message text) returns uuid
language sql stable set search_path = '' as $$
  select m.id
  from (
    select m.id, m.sender, m.content, m.created_at, m.position,
           lead(m.id) over said as next_id, lead(m.sender) over said as next_sender
    from (
      select * from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.message_type = 'text'
      order by m.position desc limit 50) m
    window said as (order by m.position)) m
  where m.sender = 'user' and btrim(m.content) = btrim(p_message)
    and (m.next_id is null
         or m.created_at > now() - interval '10 minutes'
            and not exists (select 1 from public.turns t where t.user_message_id = m.id)
            and not exists (select 1 from shared.messages reply where reply.parent_id = m.id)
            -- What follows is an answer to it too, unless a turn says that it answers another.
            and (m.next_sender = 'user'
                 or exists (select 1 from public.turns t where t.reply_message_id = m.next_id)))
  order by m.position desc limit 1
$$;
revoke execute on function private.written_before(uuid, text) from public, anon, authenticated;
