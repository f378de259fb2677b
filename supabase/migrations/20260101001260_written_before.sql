-- Finds the message of a turn if the client has already inserted it itself, so that it is not
-- stored twice: the newest unanswered message with this text, or null.
--
-- The last message of the conversation matches at any age. An earlier one was inserted while turns
-- were running or other programs wrote; it matches if it is recent and no turn has used it. However
-- many were written after it, it is found: all recent messages are looked through, up to 1,000.
create function private.written_before(p_conversation_id uuid, p_message text) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_recent constant timestamptz := now() - interval '10 minutes';
  v_said record;
  v_next_id uuid;
  v_next_sender text;
  v_position bigint := 9223372036854775807;
  v_created_at timestamptz;
begin
  for v_page in 1..21 loop
    -- Of a page only messages with this text and the last one come here, with the ones after them.
    for v_said in
      select p.* from (
        select m.*, lag(m.id, 1, v_next_id) over newest as next_id,
               lag(m.sender, 1, v_next_sender) over newest as next_sender, lead(m.id) over newest is null as is_last
        from (
          select m.id, m.sender, m.created_at, m.position,
                 m.sender = 'user' and btrim(m.content) = btrim(p_message) as is_same
          from shared.messages m
          where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position < v_position
          -- Mostly the first few tell that none is recent.
          order by m.position desc limit case v_page when 1 then 8 else 50 end) m
        window newest as (order by m.position desc)) p
      where p.is_same or p.is_last
      order by p.position desc
    loop
      -- The queries are in a condition of their own: as a part of this one they would be prepared each time.
      if v_said.is_same then
        if not exists (
              select from public.hidden_messages h
              where h.conversation_id = p_conversation_id and h.position = v_said.position)
            and (v_said.next_id is null or v_said.created_at > v_recent
              and not exists (select from public.turns t where t.user_message_id = v_said.id)
              and not exists (
                select from shared.messages reply
                where reply.conversation_id = p_conversation_id and reply.position > v_said.position
                  and reply.parent_id = v_said.id)
              -- The message after it is its answer, unless a turn recorded that it answers another, or
              -- nobody knows which one.
              and (v_said.next_sender = 'user'
                   or exists (select from public.turns t where t.reply_message_id = v_said.next_id)
                   or shared.may_answer_another(v_said.next_id))) then
          return v_said.id;
        end if;
      end if;
      v_next_id := v_said.id;
      v_next_sender := v_said.sender;
      v_position := v_said.position;
      v_created_at := v_said.created_at;
    end loop;
    exit when not found or v_created_at <= v_recent;
  end loop;
  return null;
end $$;
revoke execute on function private.written_before(uuid, text) from public, anon, authenticated;
