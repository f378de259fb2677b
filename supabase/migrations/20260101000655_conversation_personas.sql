-- Whom the user played in a conversation, and from which message on: they may play somebody else later.

create table private.conversation_personas (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  -- The first message written as this persona; 0 for the oldest record.
  position bigint not null,
  -- Null: as themselves. No foreign key: otherwise messages of a deleted persona would count as somebody else's.
  persona_id uuid,
  primary key (conversation_id, position)
);
alter table private.conversation_personas enable row level security;
revoke all on private.conversation_personas from public, anon, authenticated;

-- Records that a message was written as a persona, or as the user themselves. Later messages keep their persona. The
-- first record of a conversation also says who wrote the messages before it: the persona of the turn before, else the
-- conversation's.
create function private.record_persona(p_conversation shared.conversations, p_message_id uuid, p_persona_id uuid)
returns void
language plpgsql set search_path = '' as $$
declare
  v_position bigint;
  v_known_id uuid;
  v_next bigint;
begin
  select m.position into v_position from shared.messages m where m.id = p_message_id;
  select c.persona_id into v_known_id from private.conversation_personas c
  where c.conversation_id = p_conversation.id and c.position <= coalesce(v_position, 0)
  order by c.position desc limit 1;
  if not found then
    v_known_id := p_persona_id;
    if exists (
        select from shared.messages m
        where m.conversation_id = p_conversation.id and m.sender = 'user' and m.position < v_position) then
      select t.user_character_id into v_known_id from public.turns t
      where t.conversation_id = p_conversation.id and t.user_message_id is not null
      order by t.created_at desc limit 1;
      if not found then
        v_known_id := p_conversation.user_character_id;
      end if;
    end if;
    insert into private.conversation_personas (conversation_id, position, persona_id)
    values (p_conversation.id, 0, v_known_id);
  end if;
  if v_position is null or v_known_id is not distinct from p_persona_id then
    return;
  end if;
  select min(m.position) into v_next from shared.messages m
  where m.conversation_id = p_conversation.id and m.position > v_position;
  if v_next is not null then
    insert into private.conversation_personas (conversation_id, position, persona_id)
    values (p_conversation.id, v_next, v_known_id)
    on conflict do nothing;
  end if;
  insert into private.conversation_personas as c (conversation_id, position, persona_id)
  values (p_conversation.id, v_position, p_persona_id)
  on conflict (conversation_id, position) do update set persona_id = excluded.persona_id;
end $$;

-- The personas as whom the user wrote the messages of a conversation: [{"from": first position, "name"}], oldest first.
-- The name is null for p_persona_id, whom the user plays now. Null if there is no other persona.
create function private.personas_of(p_conversation_id uuid, p_persona_id uuid, p_own_name text) returns json
language plpgsql stable set search_path = '' as $$
declare
  c_most constant integer := 1000;
  v_ids uuid[];
  v_positions bigint[];
begin
  select array_agg(c.persona_id order by c.position), array_agg(c.position order by c.position)
  into v_ids, v_positions
  from (
    select * from private.conversation_personas c
    where c.conversation_id = p_conversation_id order by c.position desc limit c_most) c;
  if v_ids is null or cardinality(v_ids) = 1 and v_ids[1] is not distinct from p_persona_id then
    return null;
  end if;
  return (
    select json_agg(json_build_object('from', named.position, 'name', named.name) order by named.position)
    from (
      select p.position, case
        when p.id is not distinct from p_persona_id then null
        when p.id is null then coalesce(p_own_name, 'the user')
        -- The character is deleted.
        else coalesce(ch.name, 'Somebody') end as name
      from unnest(v_positions, v_ids) p (position, id) left join shared.characters ch on ch.id = p.id
      union all
      -- There may be older ones.
      select 0, 'Somebody' where cardinality(v_ids) = c_most and v_positions[1] > 0) named);
end $$;

-- Copies them to a branch, up to its last message.
create function private.branch_personas(p_parent_id uuid, p_branch_id uuid, p_position bigint) returns void
language sql set search_path = '' as $$
  insert into private.conversation_personas (conversation_id, position, persona_id)
  select p_branch_id, c.position, c.persona_id from private.conversation_personas c
  where c.conversation_id = p_parent_id and c.position <= p_position
$$;
revoke execute on function private.record_persona(shared.conversations, uuid, uuid),
  private.personas_of(uuid, uuid, text), private.branch_personas(uuid, uuid, bigint) from public, anon, authenticated;
