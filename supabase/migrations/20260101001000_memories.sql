-- What is remembered, and for how far it reaches: one conversation, everything with one
-- character, or everything of the person (profile).

create table public.memories (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  tier text not null check (tier in ('conversation', 'character', 'profile')),
  conversation_id uuid references public.conversations (id) on delete cascade,
  character_id uuid references public.characters (id) on delete cascade,
  interaction_count integer not null default 0,
  last_interaction_at timestamptz,
  created_at timestamptz not null default now(),
  constraint memories_reach check (
    (conversation_id is not null) = (tier = 'conversation')
    and (character_id is not null) = (tier = 'character')),
  unique nulls not distinct (user_id, tier, conversation_id, character_id)
);
create index memories_by_conversation on public.memories (conversation_id);
create index memories_by_character on public.memories (character_id);

create table public.memory_facts (
  id uuid primary key default gen_random_uuid(),
  memory_id uuid not null references public.memories (id) on delete cascade,
  content text not null check (char_length(content) between 1 and 2000),
  pinned boolean not null default false,
  created_at timestamptz not null default now()
);
create index memory_facts_newest on public.memory_facts (memory_id, pinned desc, created_at desc);

alter table public.memories enable row level security;
revoke all on public.memories from anon, authenticated;
grant select, delete on public.memories to authenticated;
grant insert (id, user_id, tier, conversation_id, character_id) on public.memories to authenticated;
create policy memories_select on public.memories for select to authenticated
  using (user_id = (select auth.uid()));
create policy memories_insert on public.memories for insert to authenticated
  with check (user_id = (select auth.uid())
              and private.may_meet(character_id)
              and (conversation_id is null
                   or exists (select 1 from public.conversations c
                              where c.id = conversation_id and c.user_id = (select auth.uid()))));
create policy memories_delete on public.memories for delete to authenticated
  using (user_id = (select auth.uid()));

alter table public.memory_facts enable row level security;
revoke all on public.memory_facts from anon, authenticated;
grant select, delete on public.memory_facts to authenticated;
grant insert (id, memory_id, content, pinned), update (content, pinned) on public.memory_facts to authenticated;
create policy memory_facts_all on public.memory_facts for all to authenticated
  using (exists (select 1 from public.memories m
                 where m.id = memory_id and m.user_id = (select auth.uid())))
  with check (exists (select 1 from public.memories m
                      where m.id = memory_id and m.user_id = (select auth.uid())));
