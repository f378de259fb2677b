-- Messages that people see but models do not: they are in no prompt, summary or fact.
--
-- By position, so that all versions of a reply are hidden together, and a version that becomes active
-- is hidden too. Rows are written by public.hide_message and public.import_chat.

create table public.hidden_messages (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  position bigint not null,
  created_at timestamptz not null default now(),
  primary key (conversation_id, position)
);

alter table public.hidden_messages enable row level security;
revoke all on public.hidden_messages from anon, authenticated;
grant select on public.hidden_messages to authenticated;
create policy hidden_messages_select on public.hidden_messages for select to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())));

-- The positions of the hidden messages of a conversation; {} without any.
create function private.hidden_positions(p_conversation_id uuid) returns bigint[]
language plpgsql stable set search_path = '' as $$
begin
  return (
    select array(select h.position from public.hidden_messages h where h.conversation_id = p_conversation_id));
end $$;

-- The same as ranges, in which a position is found quickly: people hide thousands of old messages. Empty without any.
create function private.hidden_ranges(p_conversation_id uuid) returns int8multirange
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(range_agg(int8range(h.position, h.position, '[]')), '{}') from public.hidden_messages h
    where h.conversation_id = p_conversation_id);
end $$;
revoke execute on function private.hidden_positions(uuid), private.hidden_ranges(uuid) from public, anon, authenticated;
