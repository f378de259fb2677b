-- What changed until April 2026: runs on january.sql. Its migrations do not build this state; what
-- was made by hand is known from the client's row types.

-- api_models: several tasks a model, several defaults.
create function public.check_valid_tasks(tasks text[]) returns boolean language sql immutable as $$
  select tasks <@ array['t2i', 'i2i', 'i2i_multi', 't2v', 'i2v', 'extend', 'multi', 'upscale', 'roleplay',
                        'reasoning', 'enhancement', 'embedding', 'vision']
    and cardinality(tasks) > 0
$$;
drop index public.api_models_default_of_task;
alter table public.api_models
  drop column task,
  add column tasks text[] not null default '{}',
  add column default_for_tasks text[] not null default '{}',
  add column avg_generation_time numeric,
  add column cost_per_use numeric,
  drop constraint api_models_modality_valid,
  add constraint api_models_modality_valid check (modality in ('image', 'video', 'chat')),
  add constraint api_models_tasks_valid check (public.check_valid_tasks(tasks)),
  add constraint api_models_default_for_tasks_valid check (default_for_tasks <@ tasks);

alter table public.characters
  alter column voice_tone type text,
  alter column mood type text,
  add column first_message text,
  add column alternate_greetings jsonb default '[]',
  add column default_presets jsonb,
  add column portrait_count integer default 0,
  add column scene_count integer default 0,
  add column style_preset text,
  add column locked_traits text[],
  add column media_defaults jsonb,
  add column personality_traits jsonb default '{}',
  add column physical_traits jsonb default '{}',
  add column outfit_defaults jsonb,
  add column clothing_tags text[],
  -- Made by hand.
  add column avoid_traits text[],
  add column backstory text,
  add column bio text,
  add column canon_spec jsonb,
  add column lighting text,
  add column rendering_rules jsonb,
  add column signature_items text,
  add column tagline text;

alter table public.conversations
  add column current_location text,
  add column last_scene_image text;

alter table public.prompt_templates add column provider text;

alter table public.character_scenes
  add column scene_name text,
  add column scene_description text,
  add column scene_type text,
  add column generation_mode text,
  add column previous_scene_id uuid references public.character_scenes (id),
  add column previous_scene_image_url text;

create function public.update_conversation_location() returns trigger language plpgsql as $$
begin
  update public.conversations set current_location = new.generation_metadata ->> 'setting'
  where id = new.conversation_id and new.generation_metadata ? 'setting';
  return new;
end $$;
create trigger update_conversation_location after insert on public.character_scenes
  for each row execute function public.update_conversation_location();

-- Templates of scenes; the client sends their texts with each request.
drop table public.scenes;
create table public.scenes (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  description text not null,
  scene_prompt text,
  scene_starters text[],
  preview_image_url text,
  creator_id uuid references public.profiles (id),
  is_public boolean default true,
  content_rating text default 'sfw',
  tags text[],
  scenario_type text,
  usage_count integer default 0,
  default_clothing text,
  character_clothing_overrides jsonb,
  scene_focus text,
  narrative_style text,
  visual_priority text,
  perspective_hint text,
  max_words integer,
  created_at timestamptz default now()
);

-- Known by their names alone: the images of a character, a person's library.
create table public.character_anchors (
  id uuid primary key default gen_random_uuid(),
  character_id uuid not null references public.characters (id) on delete cascade,
  image_url text,
  created_at timestamptz not null default now()
);
create table public.user_library (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  created_at timestamptz not null default now()
);

-- Usage. user_id names a profile: a person without one has none here.
create table public.api_usage_logs (
  id uuid primary key default gen_random_uuid(),
  provider_id uuid not null references public.api_providers (id) on delete cascade,
  model_id uuid references public.api_models (id) on delete set null,
  user_id uuid references public.profiles (id) on delete set null,
  request_type text not null check (request_type in ('chat', 'image', 'video')),
  endpoint_path text,
  request_payload jsonb,
  tokens_input integer,
  tokens_output integer,
  tokens_total integer,
  tokens_cached integer,
  cost_usd numeric(10, 6),
  cost_credits numeric(10, 6),
  response_status integer,
  response_time_ms integer not null,
  response_payload jsonb,
  error_message text,
  provider_metadata jsonb,
  created_at timestamptz not null default now()
);

create table public.api_usage_aggregates (
  id uuid primary key default gen_random_uuid(),
  provider_id uuid not null references public.api_providers (id) on delete cascade,
  model_id uuid references public.api_models (id) on delete cascade,
  date_bucket date not null,
  hour_bucket integer,
  request_count integer default 0,
  success_count integer default 0,
  error_count integer default 0,
  tokens_input_sum bigint default 0,
  tokens_output_sum bigint default 0,
  tokens_total_sum bigint default 0,
  tokens_cached_sum bigint default 0,
  cost_usd_sum numeric(12, 6) default 0,
  cost_credits_sum numeric(12, 6) default 0,
  response_time_avg integer,
  response_time_p95 integer,
  response_time_p99 integer,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (provider_id, model_id, date_bucket, hour_bucket)
);

create table public.api_provider_balances (
  id uuid primary key default gen_random_uuid(),
  provider_id uuid not null unique references public.api_providers (id) on delete cascade,
  balance_usd numeric(10, 4),
  sync_status text check (sync_status in ('success', 'failed', 'pending')),
  sync_method text check (sync_method in ('api', 'manual', 'webhook')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- 13 arguments; their names and types are a guess.
create function public.upsert_usage_aggregate(
  p_provider_id uuid, p_model_id uuid, p_date_bucket date, p_hour_bucket integer,
  p_request_count integer, p_success_count integer, p_error_count integer,
  p_tokens_input bigint, p_tokens_output bigint, p_tokens_total bigint,
  p_cost_usd numeric, p_cost_credits numeric, p_response_time_ms integer
) returns void
language sql security definer set search_path = public as $$
  insert into public.api_usage_aggregates as a (
    provider_id, model_id, date_bucket, hour_bucket, request_count, success_count, error_count,
    tokens_input_sum, tokens_output_sum, tokens_total_sum, cost_usd_sum, cost_credits_sum, response_time_avg)
  values (
    p_provider_id, p_model_id, p_date_bucket, p_hour_bucket, p_request_count, p_success_count, p_error_count,
    p_tokens_input, p_tokens_output, p_tokens_total, p_cost_usd, p_cost_credits, p_response_time_ms)
  on conflict (provider_id, model_id, date_bucket, hour_bucket) do update set
    request_count = a.request_count + excluded.request_count,
    success_count = a.success_count + excluded.success_count,
    error_count = a.error_count + excluded.error_count,
    tokens_input_sum = a.tokens_input_sum + excluded.tokens_input_sum,
    tokens_output_sum = a.tokens_output_sum + excluded.tokens_output_sum,
    tokens_total_sum = a.tokens_total_sum + excluded.tokens_total_sum,
    cost_usd_sum = a.cost_usd_sum + excluded.cost_usd_sum,
    cost_credits_sum = a.cost_credits_sum + excluded.cost_credits_sum,
    response_time_avg = (a.response_time_avg * a.request_count + excluded.response_time_avg * excluded.request_count)
      / greatest(a.request_count + excluded.request_count, 1),
    updated_at = now()
$$;

create function public.backfill_usage_aggregates() returns void
language sql security definer set search_path = public as $$
  insert into public.api_usage_aggregates (provider_id, model_id, date_bucket, hour_bucket, request_count)
  select provider_id, model_id, created_at::date, extract(hour from created_at)::integer, count(*)
  from public.api_usage_logs group by 1, 2, 3, 4
  on conflict do nothing
$$;

alter table public.scenes enable row level security;
alter table public.character_anchors enable row level security;
alter table public.user_library enable row level security;
alter table public.api_usage_logs enable row level security;
alter table public.api_usage_aggregates enable row level security;
alter table public.api_provider_balances enable row level security;

create policy "People read public scenes and their own" on public.scenes for select
  using (is_public or auth.uid() = creator_id or has_role(auth.uid(), 'admin'));
create policy "People manage their scenes" on public.scenes for all
  using (auth.uid() = creator_id or has_role(auth.uid(), 'admin'));
create policy "People manage anchors of their characters" on public.character_anchors for all
  using (exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()));
create policy "People manage their library" on public.user_library for all using (auth.uid() = user_id);
create policy "The service writes usage" on public.api_usage_logs for insert to service_role with check (true);
create policy "People read their usage" on public.api_usage_logs for select
  using (auth.uid() = user_id or has_role(auth.uid(), 'admin'));
create policy "Admins read aggregates" on public.api_usage_aggregates for select
  using (has_role(auth.uid(), 'admin'));
create policy "The service manages aggregates" on public.api_usage_aggregates for all to service_role
  using (true) with check (true);
create policy "Admins read balances" on public.api_provider_balances for select
  using (has_role(auth.uid(), 'admin'));
create policy "The service manages balances" on public.api_provider_balances for all to service_role
  using (true) with check (true);

alter publication supabase_realtime add table public.character_scenes, public.user_library;

insert into supabase_migrations.schema_migrations (version, name) values
  ('20260211160000', 'tasks'), ('20260319083000', 'usage'), ('20260428074500', 'scene_continuity');
