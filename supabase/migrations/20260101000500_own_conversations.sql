-- Conversations and their messages. messages contains only what a user or a character said: no
-- placeholders and no error texts.

create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  -- The first character; the others are in conversation_characters.
  character_id uuid references public.characters (id) on delete set null,
  -- The user's persona, if any.
  user_character_id uuid references public.characters (id) on delete set null,
  title text not null default '' check (char_length(title) <= 200),
  -- 'sfw' forces the tier regardless of the request; null does not.
  content_tier text check (content_tier in ('sfw', 'nsfw')),
  -- True: a participant had a declared age below 18, or a speaker that kept the adult tier closed
  -- was deleted. The conversation stays 'sfw'. Users cannot write it.
  always_sfw boolean not null default false,
  -- False: no new summaries and facts. Existing ones stay until they are deleted.
  remembers boolean not null default true,
  -- The conversation it was branched from, and the client's id of that request: a repeated request
  -- creates one branch.
  parent_conversation_id uuid references public.conversations (id) on delete set null,
  client_message_id text check (char_length(client_message_id) between 1 and 128),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index conversations_by_user on public.conversations (user_id, updated_at desc, id desc);
create index conversations_by_character on public.conversations (character_id);
create index conversations_by_persona on public.conversations (user_character_id) where user_character_id is not null;
create index conversations_by_parent on public.conversations (parent_conversation_id)
  where parent_conversation_id is not null;
create unique index conversations_once on public.conversations (user_id, client_message_id);
-- What a person changes moves a conversation up in their list. What an author does to its character does not.
create trigger conversations_touch before update of title, user_character_id, content_tier, remembers
  on public.conversations
  for each row execute function private.touch_updated_at();

create table public.messages (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  -- The order of messages. All versions of a reply have the same position.
  position bigint not null generated always as identity,
  sender text not null check (sender in ('user', 'character')),
  -- The speaking character; null: the first character, or the user. No foreign key: without the id, messages of a
  -- deleted character would count as the first character's.
  character_id uuid,
  content text not null check (char_length(content) <= 65536),
  -- Only 'text' is speech; other types belong to clients.
  message_type text not null default 'text' check (message_type ~ '^[a-z][a-z0-9_]{0,31}$'),
  -- The message that a reply answers; the reply of which this is another version.
  parent_id uuid references public.messages (id) on delete set null,
  variant_of uuid references public.messages (id) on delete set null,
  -- False: an inactive version, never in a prompt.
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  edited_at timestamptz
);
-- One version of a reply is active.
create unique index messages_newest on public.messages (conversation_id, position desc)
  where is_active and message_type = 'text';
create index messages_by_term on public.messages
  using gin (private.search_terms(conversation_id, position, content)) with (fastupdate = off)
  where is_active;
create index messages_in_order on public.messages (conversation_id, created_at);
-- Partial indexes: most messages have none of these references.
create index messages_by_parent on public.messages (parent_id) where parent_id is not null;
create index messages_by_character on public.messages (character_id) where character_id is not null;
create index messages_by_variant on public.messages (variant_of) where variant_of is not null;

-- The last message that a branch has in common with its parent, in the parent.
alter table public.conversations
  add column branched_from uuid references public.messages (id) on delete set null;
create index conversations_by_branching on public.conversations (branched_from) where branched_from is not null;

alter table public.conversations enable row level security;
revoke all on public.conversations from anon, authenticated;
grant select, delete on public.conversations to authenticated;
grant insert (id, user_id, character_id, user_character_id, title, content_tier, remembers),
      update (title, user_character_id, content_tier, remembers) on public.conversations to authenticated;
create policy conversations_select on public.conversations for select to authenticated
  using (user_id = (select auth.uid()));
create policy conversations_insert on public.conversations for insert to authenticated
  with check (user_id = (select auth.uid())
              and private.may_meet(character_id) and private.may_meet(user_character_id));
create policy conversations_update on public.conversations for update to authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid())
              and (private.may_meet(user_character_id) or private.is_played(id, user_character_id)));
create policy conversations_delete on public.conversations for delete to authenticated
  using (user_id = (select auth.uid()));

alter table public.messages enable row level security;
revoke all on public.messages from anon, authenticated;
revoke all on sequence public.messages_position_seq from anon, authenticated;
grant select on public.messages to authenticated;
grant insert (id, conversation_id, sender, content, message_type) on public.messages to authenticated;
create policy messages_select on public.messages for select to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())));
create policy messages_insert on public.messages for insert to authenticated
  with check (sender = 'user'
              and exists (select 1 from public.conversations c
                          where c.id = conversation_id and c.user_id = (select auth.uid())));
