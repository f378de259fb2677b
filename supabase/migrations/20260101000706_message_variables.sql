-- The variables of a conversation, which macros in authors' texts set: {"name": "text"}. Each version of a
-- reply stores the variables after it, so that a regenerated reply starts from those before it, and a
-- branch from those at its end.

create table private.message_variables (
  -- No foreign key: a version that is not shown may be in another table.
  message_id uuid primary key,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  position bigint not null,
  variables jsonb not null check (jsonb_typeof(variables) = 'object' and pg_column_size(variables) <= 65536)
);
create index message_variables_in_order on private.message_variables (conversation_id, position desc);
alter table private.message_variables enable row level security;
revoke all on private.message_variables from public, anon, authenticated;

-- Forgets the variables after messages, if they were deleted.
create function private.forget_variables(p_message_ids uuid[]) returns void
language sql set search_path = '' as $$
  delete from private.message_variables v
  where v.message_id = any (p_message_ids) and not exists (select from shared.messages m where m.id = v.message_id)
$$;

-- The variables of the newest reply before a position. For a conversation without any, this reads the
-- index once.
create function private.variables_before(p_conversation_id uuid, p_position bigint) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce((
      select v.variables from private.message_variables v
      join shared.messages m on m.id = v.message_id and m.is_active
      where v.conversation_id = p_conversation_id and v.position < p_position
      order by v.position desc limit 1), '{}'));
end $$;

-- Stores the variables after a reply. Values that violate the table's constraints are left out, because
-- the reply is saved in the same transaction.
create function private.keep_variables(p_message_id uuid, p_variables jsonb) returns void
language sql set search_path = '' as $$
  insert into private.message_variables (message_id, conversation_id, position, variables)
  select m.id, m.conversation_id, m.position, p_variables from shared.messages m
  where m.id = p_message_id and jsonb_typeof(p_variables) = 'object' and pg_column_size(p_variables) <= 65536
$$;

-- Copies the variables to a branch, which already has its messages, at the same positions.
create function private.branch_variables(p_parent_id uuid, p_branch_id uuid, p_message_id uuid, p_position bigint)
returns void
language sql set search_path = '' as $$
  insert into private.message_variables (message_id, conversation_id, position, variables)
  select copy.id, p_branch_id, v.position, v.variables
  from private.message_variables v
  join shared.messages m on m.id = v.message_id
  join shared.messages copy on copy.conversation_id = p_branch_id and copy.position = v.position
  where v.conversation_id = p_parent_id and v.position <= p_position
    and case v.position when p_position then v.message_id = p_message_id else m.is_active end
$$;
revoke execute on function private.forget_variables(uuid[]), private.variables_before(uuid, bigint), private.keep_variables(uuid, jsonb),
  private.branch_variables(uuid, uuid, uuid, bigint) from public, anon, authenticated;
