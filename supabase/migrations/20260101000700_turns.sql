-- A turn is one request for a reply, from its acceptance to its end.

create table public.turns (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  -- Null for tasks that have no conversation, such as prompt enhancement, and when it was deleted.
  conversation_id uuid references public.conversations (id) on delete set null,
  -- Its conversation was deleted: what is left are numbers, which limits and costs are counted from.
  is_orphaned boolean not null default false,
  task text not null check (task in ('roleplay', 'storytelling', 'prompt_enhancement')),
  action text not null check (action in ('send', 'kickoff', 'regenerate', 'continue', 'impersonate')),
  -- The client's own id of the request: sent twice, it is answered once.
  client_message_id text check (char_length(client_message_id) between 1 and 128),
  status text not null default 'running'
    check (status in ('running', 'complete', 'incomplete', 'failed', 'stopped')),
  -- Past this the process that ran the turn is taken for dead.
  lease_expires_at timestamptz not null,
  -- Who speaks.
  character_id uuid references public.characters (id) on delete set null,
  -- Whom the person played.
  user_character_id uuid references public.characters (id) on delete set null,
  user_message_id uuid references public.messages (id) on delete set null,
  replaces_message_id uuid references public.messages (id) on delete set null,
  reply_message_id uuid references public.messages (id) on delete set null,
  -- The answer's fields, without anybody's words, so that a repeated request gets the same.
  result jsonb,
  content_tier text check (content_tier in ('sfw', 'nsfw')),
  model_used text,
  finish_reason text,
  error_code text,
  prompt_tokens integer,
  completion_tokens integer,
  cost_usd numeric(14, 8),
  duration_ms integer,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint turns_end check ((status = 'running') = (finished_at is null))
);
create unique index turns_one_running on public.turns (conversation_id) where status = 'running';
-- A failed turn does not count: the same request may be sent again.
create unique index turns_once on public.turns (user_id, client_message_id) where status <> 'failed';
-- What is sent again after a failure finds the message it wrote.
create index turns_failed on public.turns (user_id, client_message_id) where status = 'failed';
create index turns_by_user on public.turns (user_id, created_at desc);
create index turns_by_conversation on public.turns (conversation_id, created_at desc);
create index turns_lease on public.turns (lease_expires_at) where status = 'running';
-- What the retention looks for.
create index turns_with_result on public.turns (finished_at) where result is not null;
create index turns_orphaned on public.turns (finished_at) where is_orphaned;
create index turns_by_user_message on public.turns (user_message_id);
create index turns_by_character on public.turns (character_id);
create index turns_by_persona on public.turns (user_character_id) where user_character_id is not null;
create index turns_by_reply on public.turns (reply_message_id);
create index turns_by_replaced on public.turns (replaces_message_id);

-- Replies that are no message: drafts, and what tasks without a conversation wrote. A repeated request
-- gets them again; nobody reads them through the Data API, as admins read turns.
create table private.turn_replies (
  turn_id uuid primary key references public.turns (id) on delete cascade,
  content text not null
);
alter table private.turn_replies enable row level security;
revoke all on private.turn_replies from public, anon, authenticated;

-- A conversation that is deleted takes the words of its turns with it, the client's ids too, and
-- leaves the rows: else deleting would give turns and money back.
create function private.orphan_turns() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.turn_replies r using public.turns t
  where t.conversation_id = old.id and r.turn_id = t.id;
  update public.turns t
  set conversation_id = null, is_orphaned = true, client_message_id = null, result = null
  where t.conversation_id = old.id;
  return old;
end $$;
revoke execute on function private.orphan_turns() from public, anon, authenticated;
create trigger conversations_orphan_turns before delete on public.conversations
  for each row execute function private.orphan_turns();

alter table public.turns enable row level security;
revoke all on public.turns from anon, authenticated;
grant select on public.turns to authenticated;
create policy turns_select on public.turns for select to authenticated
  using (user_id = (select auth.uid()) or (select private.is_admin()));
