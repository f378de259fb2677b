-- The further characters of a conversation, beside conversations.character_id, who is the first.

create table public.conversation_characters (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  character_id uuid not null references public.characters (id) on delete cascade,
  -- The order in which they take turns. Eight are as many as one prompt introduces.
  position integer not null check (position between 0 and 7),
  created_at timestamptz not null default now(),
  primary key (conversation_id, character_id),
  unique (conversation_id, position) deferrable initially deferred
);
create index conversation_characters_by_character on public.conversation_characters (character_id);

alter table public.conversation_characters enable row level security;
revoke all on public.conversation_characters from anon, authenticated;
grant select, delete on public.conversation_characters to authenticated;
grant insert (conversation_id, character_id, position), update (position)
  on public.conversation_characters to authenticated;
create policy conversation_characters_all on public.conversation_characters for all to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())))
  with check (private.may_meet(character_id)
              and exists (select 1 from public.conversations c
                          where c.id = conversation_id and c.user_id = (select auth.uid())));
