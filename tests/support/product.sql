-- The tables of a product that is already running, as far as its chat function is concerned.

create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  character_id uuid,
  status text not null default 'active',
  created_at timestamptz not null default now());
alter table public.conversations enable row level security;
create policy own on public.conversations using (auth.uid() = user_id);

create table public.messages (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references public.conversations on delete cascade,
  sender text not null check (sender in ('user', 'assistant')),
  content text not null,
  message_type text not null default 'text',
  created_at timestamptz not null default now());
alter table public.messages enable row level security;
create policy own on public.messages for select using (exists (
  select from public.conversations c where c.id = conversation_id and c.user_id = auth.uid()));

create table public.system_config (
  id bigint primary key default 1,
  config jsonb not null default '{}',
  updated_at timestamptz default now());
alter table public.system_config enable row level security;
insert into public.system_config default values;
