-- The additional characters of a conversation; the first one is conversations.character_id.

create table public.conversation_characters (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  character_id uuid not null references public.characters (id) on delete cascade,
  -- The order in which they take turns. A prompt introduces at most eight.
  position integer not null check (position between 0 and 7),
  created_at timestamptz not null default now(),
  primary key (conversation_id, character_id),
  unique (conversation_id, position) deferrable initially deferred
);
create index conversation_characters_by_character on public.conversation_characters (character_id);

-- Whether a character is an additional one in one of the user's conversations. Reads the state
-- before the current statement.
create function private.is_member(p_conversation_id uuid, p_character_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select 1 from public.conversation_characters m join shared.conversations c on c.id = m.conversation_id
    where m.conversation_id = p_conversation_id and m.character_id = p_character_id
      and c.user_id = (select auth.uid()))
$$;
revoke execute on function private.is_member(uuid, uuid) from public, anon, authenticated;
grant execute on function private.is_member(uuid, uuid) to authenticated;

alter table public.conversation_characters enable row level security;
revoke all on public.conversation_characters from anon, authenticated;
grant select, delete on public.conversation_characters to authenticated;
grant insert (conversation_id, character_id, position), update (position)
  on public.conversation_characters to authenticated;
create policy conversation_characters_all on public.conversation_characters for all to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())))
  with check ((private.may_meet(character_id) or private.is_member(conversation_id, character_id))
              and exists (select 1 from public.conversations c
                          where c.id = conversation_id and c.user_id = (select auth.uid())));
