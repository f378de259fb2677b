-- A turn is one request for a reply, from acceptance to end.

create table public.turns (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  -- Null for tasks without a conversation, such as prompt enhancement, and after the conversation
  -- was deleted.
  conversation_id uuid references public.conversations (id) on delete set null,
  -- The conversation was deleted; only the numbers for limits and costs are left.
  is_orphaned boolean not null default false,
  task text not null check (task in ('roleplay', 'storytelling', 'prompt_enhancement')),
  action text not null check (action in ('send', 'kickoff', 'regenerate', 'continue', 'impersonate')),
  -- The client's id of the request: a repeated request is answered once.
  client_message_id text check (char_length(client_message_id) between 1 and 128),
  status text not null default 'running'
    check (status in ('running', 'complete', 'incomplete', 'failed', 'stopped')),
  -- After this time the process that ran the turn counts as dead.
  lease_expires_at timestamptz not null,
  -- The person asked to stop it; the instance that runs it checks this.
  stop_requested boolean not null default false,
  -- The speaking character.
  character_id uuid references public.characters (id) on delete set null,
  -- The user's persona.
  user_character_id uuid references public.characters (id) on delete set null,
  -- The worker that was its first choice when it began, for the count of turns in progress.
  worker text,
  user_message_id uuid references public.messages (id) on delete set null,
  replaces_message_id uuid references public.messages (id) on delete set null,
  reply_message_id uuid references public.messages (id) on delete set null,
  -- The response for repeated requests, without any text.
  result jsonb,
  content_tier text check (content_tier in ('sfw', 'nsfw')),
  model_used text,
  finish_reason text,
  error_code text,
  prompt_tokens integer,
  completion_tokens integer,
  cost_usd numeric(14, 8),
  duration_ms integer,
  -- As in responses and logs.
  request_id text,
  created_at timestamptz not null default now(),
  -- Which of the person's turns of its day (UTC) it is, from 1. Null: not counted when it began.
  number_of_day integer,
  finished_at timestamptz,
  constraint turns_end check ((status = 'running') = (finished_at is null))
);
create unique index turns_one_running on public.turns (conversation_id) where status = 'running';
-- Failed turns are excluded: the same request may be sent again.
create unique index turns_once on public.turns (user_id, client_message_id) where status <> 'failed';
-- A request repeated after a failure finds its message.
create index turns_failed on public.turns (user_id, client_message_id) where status = 'failed';
-- For lists by time, newest first: with a brin index they read and sort their whole period. It costs a turn 1 µs more.
create index turns_by_time on public.turns (created_at);
create index turns_by_user on public.turns (user_id, created_at desc);
create index turns_by_conversation on public.turns (conversation_id, created_at desc);
-- For the number of a person's turns in progress. Entries of turns that ended are beyond the range of live leases.
create index turns_running on public.turns (user_id, lease_expires_at) where status = 'running';
-- For the retention.
create index turns_with_result on public.turns (finished_at) where result is not null;
create index turns_orphaned on public.turns (finished_at) where is_orphaned;
create index turns_by_user_message on public.turns (user_message_id);
create index turns_by_character on public.turns (character_id);
create index turns_by_persona on public.turns (user_character_id) where user_character_id is not null;
create index turns_by_reply on public.turns (reply_message_id) where reply_message_id is not null;
create index turns_by_replaced on public.turns (replaces_message_id) where replaces_message_id is not null;

-- Replies that are not messages: drafts and results of tasks without a conversation, for repeated
-- requests. The Data API does not expose them, because admins can read turns.
create table private.turn_replies (
  turn_id uuid primary key references public.turns (id) on delete cascade,
  content text not null
);
alter table private.turn_replies enable row level security;
revoke all on private.turn_replies from public, anon, authenticated;

-- Deleting a conversation removes the texts and client ids of its turns but keeps the rows;
-- otherwise a deletion would reset limits. The foreign key empties conversation_id.
create function private.orphan_turn() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.turn_replies r where r.turn_id = old.id;
  new.is_orphaned := true;
  new.client_message_id := null;
  new.result := null;
  return new;
end $$;
revoke execute on function private.orphan_turn() from public, anon, authenticated;
create trigger turns_orphan before update of conversation_id on public.turns
  for each row when (old.conversation_id is not null and new.conversation_id is null)
  execute function private.orphan_turn();

alter table public.turns enable row level security;
revoke all on public.turns from anon, authenticated;
grant select on public.turns to authenticated;
create policy turns_select on public.turns for select to authenticated
  using (user_id = (select auth.uid()) or (select private.is_admin()));
