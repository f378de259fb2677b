-- One row per model call: usage and outcome, never texts.

create table public.usage_events (
  id uuid primary key default gen_random_uuid(),
  -- No foreign key: turns are deleted with their person, and the ids that stay here still tell how many there were.
  turn_id uuid,
  user_id uuid references auth.users (id) on delete set null,
  provider text not null,
  model_key text not null,
  -- The purpose of the call: reply, memory, moderation, or embedding.
  purpose text not null default 'reply' check (purpose in ('reply', 'memory', 'moderation', 'embedding')),
  -- 'ok', or the kind of failure.
  outcome text not null,
  prompt_tokens integer,
  -- Of these, the ones that came from the provider's cache. Null: not reported.
  cached_tokens integer,
  completion_tokens integer,
  -- The provider did not report the tokens: tokens and cost are our estimate.
  is_estimated boolean not null default false,
  -- Null: unknown.
  cost_usd numeric(14, 8),
  first_token_ms integer,
  duration_ms integer not null,
  created_at timestamptz not null default now()
);
create index usage_events_by_user on public.usage_events (user_id, created_at desc);
create index usage_events_by_turn on public.usage_events (turn_id);
create index usage_events_by_time on public.usage_events (created_at);

alter table public.usage_events enable row level security;
revoke all on public.usage_events from anon, authenticated;
grant select on public.usage_events to authenticated;
create policy usage_events_select on public.usage_events for select to authenticated
  using (user_id = (select auth.uid()) or (select private.is_admin()));
