-- Finds the message of a turn if the client has already inserted it itself, so that it is not
-- stored twice: the newest unanswered message with this text, or null.
--
-- The last message of the conversation matches at any age. An earlier one was inserted on another
-- device while turns were running; it matches if it is recent and no turn has used it.
create function private.written_before(p_conversation_id uuid, p_message text) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_same record;
begin
  for v_same in
    select m.id, m.created_at, m.position, m.next_id, m.next_sender
    from (
      select m.id, m.sender, m.content, m.created_at, m.position,
             lead(m.id) over said as next_id, lead(m.sender) over said as next_sender
      from (
        select * from shared.messages m
        where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
        order by m.position desc limit 50) m
      window said as (order by m.position)) m
    where m.sender = 'user' and btrim(m.content) = btrim(p_message)
    order by m.position desc
  loop
    if v_same.next_id is null then
      return v_same.id;
    elsif v_same.created_at > now() - interval '10 minutes'
        and not exists (select from public.turns t where t.user_message_id = v_same.id)
        and not exists (
          select from shared.messages reply
          where reply.conversation_id = p_conversation_id and reply.position > v_same.position
            and reply.parent_id = v_same.id)
        -- The message after it is its answer, unless a turn recorded that it answers another, or
        -- nobody knows which one.
        and (v_same.next_sender = 'user'
             or exists (select from public.turns t where t.reply_message_id = v_same.next_id)
             or shared.may_answer_another(v_same.next_id, v_same.created_at)) then
      return v_same.id;
    end if;
  end loop;
  return null;
end $$;
revoke execute on function private.written_before(uuid, text) from public, anon, authenticated;
