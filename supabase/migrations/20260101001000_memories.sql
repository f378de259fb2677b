-- Memories by scope: one conversation, all conversations with one character, or all of the user's
-- (profile).

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

-- The normalised text by which duplicate facts are found: without case, punctuation and spaces.
-- Text of punctuation only is unchanged.
create function private.normalised(p_content text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(
    nullif(btrim(regexp_replace(lower(normalize(p_content, nfkc)), '[[:punct:][:space:]]+', ' ', 'g')), ''),
    p_content)
$$;
revoke execute on function private.normalised(text) from public, anon, authenticated;
grant execute on function private.normalised(text) to authenticated, service_role;

create table public.memory_facts (
  id uuid primary key default gen_random_uuid(),
  memory_id uuid not null references public.memories (id) on delete cascade,
  content text not null check (char_length(content) between 1 and 2000),
  digest text not null generated always as (md5(private.normalised(content))) stored,
  pinned boolean not null default false,
  -- Who wrote the current text. Models never overwrite or drop a user's text.
  written_by text not null default 'person' check (written_by in ('person', 'model')),
  -- nsfw: from a conversation that had turns in the adult tier.
  content_tier text not null default 'sfw' check (content_tier in ('sfw', 'nsfw')),
  -- When a model last stored it.
  created_at timestamptz not null default now(),
  unique (memory_id, digest)
);
create index memory_facts_newest on public.memory_facts (memory_id, pinned desc, created_at desc);

-- Digests of facts that a user deleted or reworded: models do not store them again.
create table private.forgotten_facts (
  user_id uuid not null references auth.users (id) on delete cascade,
  digest text not null,
  primary key (user_id, digest)
);
alter table private.forgotten_facts enable row level security;
revoke all on private.forgotten_facts from public, anon, authenticated;

-- Changes of a fact by a user (new.digest is not computed yet here). Facts deleted with their
-- memory do not count as deleted by the user.
create function private.touch_fact() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if current_setting('role', true) = 'authenticated' then
    if tg_op = 'UPDATE' then
      new.written_by := 'person';
    end if;
    if tg_op = 'DELETE' or md5(private.normalised(new.content)) <> old.digest then
      insert into private.forgotten_facts (user_id, digest)
      select m.user_id, old.digest from public.memories m where m.id = old.memory_id
      on conflict do nothing;
    end if;
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;
revoke execute on function private.touch_fact() from public, anon, authenticated;
create trigger memory_facts_touch before update of content or delete on public.memory_facts
  for each row execute function private.touch_fact();

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
