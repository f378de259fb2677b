-- Whom the user played in a conversation, and from which message on: they may play somebody else later.

create table private.conversation_personas (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  -- The first message written as this persona. 0: nobody knows of an earlier one.
  position bigint not null,
  -- Null: as themselves. No foreign key: without a row of its own, what a deleted persona said would be
  -- somebody else's.
  persona_id uuid,
  primary key (conversation_id, position)
);
alter table private.conversation_personas enable row level security;
revoke all on private.conversation_personas from public, anon, authenticated;

-- Records that a message was written as a persona, or as the user themselves.
create function private.record_persona(p_conversation_id uuid, p_message_id uuid, p_persona_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  v_persona_id uuid;
begin
  select c.persona_id into v_persona_id from private.conversation_personas c
  where c.conversation_id = p_conversation_id order by c.position desc limit 1;
  if not found then
    insert into private.conversation_personas (conversation_id, position, persona_id)
    values (p_conversation_id, 0, p_persona_id);
  elsif v_persona_id is distinct from p_persona_id then
    insert into private.conversation_personas as c (conversation_id, position, persona_id)
    select m.conversation_id, m.position, p_persona_id from shared.messages m where m.id = p_message_id
    on conflict (conversation_id, position) do update set persona_id = excluded.persona_id;
  end if;
end $$;

-- The names of those whom the user played in a conversation, the newest 50, oldest first: [{"from": position,
-- "name"}]. Null if it was always the same one. A name is null if its character is deleted.
create function private.personas_of(p_conversation_id uuid, p_own_name text) returns json
language plpgsql stable set search_path = '' as $$
declare
  v_ids uuid[];
  v_positions bigint[];
begin
  select array_agg(c.persona_id order by c.position), array_agg(c.position order by c.position)
  into v_ids, v_positions
  from (
    select * from private.conversation_personas c
    where c.conversation_id = p_conversation_id order by c.position desc limit 50) c;
  if cardinality(v_ids) > 1 then
    return (
      select json_agg(json_build_object(
        'from', p.position, 'name', case when p.id is null then p_own_name else ch.name end) order by p.position)
      from unnest(v_positions, v_ids) p (position, id)
      left join shared.characters ch on ch.id = p.id);
  end if;
  return null;
end $$;

-- Copies them to a branch, up to its last message.
create function private.branch_personas(p_parent_id uuid, p_branch_id uuid, p_position bigint) returns void
language sql set search_path = '' as $$
  insert into private.conversation_personas (conversation_id, position, persona_id)
  select p_branch_id, c.position, c.persona_id from private.conversation_personas c
  where c.conversation_id = p_parent_id and c.position <= p_position
$$;
revoke execute on function private.record_persona(uuid, uuid, uuid), private.personas_of(uuid, text),
  private.branch_personas(uuid, uuid, bigint) from public, anon, authenticated;
