-- An existing product's database as its migrations of January 2026 leave it. Runs as postgres on
-- tests/support/supabase.sql. What is wrong here is wrong there: do not mend it.

create type public.app_role as enum ('admin', 'moderator', 'premium_user', 'basic_user', 'guest');

-- Tables -------------------------------------------------------------------------------------
-- Supabase's default privileges give ALL on each of them to anon, authenticated and service_role.

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  username text unique,
  subscription_status text default 'inactive'
    check (subscription_status in ('inactive', 'starter', 'pro', 'creator')),
  token_balance integer default 100,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  age_verified boolean default false,
  birth_date date,
  age_verification_date timestamptz,
  default_user_character_id uuid  -- references characters, below
);

create table public.user_roles (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  role public.app_role not null,
  created_at timestamptz default now(),
  unique (user_id, role)
);

create table public.api_providers (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  name text not null unique,
  display_name text not null,
  base_url text,
  docs_url text,
  auth_scheme text not null default 'bearer',
  auth_header_name text default 'Authorization',
  secret_name text,
  rate_limits jsonb not null default '{}',
  is_active boolean not null default true
);

create table public.api_models (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  created_by uuid references public.profiles (id) on delete set null,
  provider_id uuid not null references public.api_providers (id) on delete cascade,
  model_key text not null unique,
  version text,
  display_name text not null,
  modality text not null
    constraint api_models_modality_valid check (modality in ('image', 'video', 'chat', 'prompt', 'audio', 'embedding', 'roleplay')),
  task text not null
    constraint api_models_task_valid check (task in ('generation', 'enhancement', 'moderation', 'style_transfer',
      'upscale', 'roleplay', 'tts', 'stt', 'chat', 'embedding')),
  model_family text,
  endpoint_path text,
  input_defaults jsonb not null default '{}',
  capabilities jsonb not null default '{}',
  pricing jsonb not null default '{}',
  output_format text,
  is_active boolean not null default true,
  is_default boolean not null default false,
  priority integer not null default 0
);
create unique index api_models_key_and_version on public.api_models (provider_id, model_key, coalesce(version, ''));
create unique index api_models_default_of_task on public.api_models (modality, task) where is_default;

-- One row by habit.
create table public.system_config (
  id bigint primary key default 1,
  config jsonb not null default '{}',
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table public.characters (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references public.profiles (id) on delete cascade,
  name text not null,
  description text not null,
  traits text,
  appearance_tags text[],
  image_url text,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  persona text,
  system_prompt text,
  voice_tone varchar(50),
  mood varchar(50),
  creator_id uuid references public.profiles (id),
  likes_count integer default 0,
  interaction_count integer default 0,
  reference_image_url text,
  is_public boolean default true,
  gender text default 'unspecified' check (gender in ('male', 'female', 'non-binary', 'unspecified')),
  content_rating varchar(10) not null default 'sfw' check (content_rating in ('sfw', 'nsfw')),
  role text default 'ai' check (role in ('ai', 'user', 'narrator')),
  consistency_method text,
  seed_locked integer,
  base_prompt text,
  preview_image_url text,
  quick_start boolean,
  -- Made by hand.
  voice_examples text[],
  forbidden_phrases text[],
  scene_behavior_rules jsonb
);
alter table public.profiles add foreign key (default_user_character_id) references public.characters (id);

create table public.projects (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references public.profiles (id) on delete cascade,
  title text,
  created_at timestamptz not null default now()
);

create table public.jobs (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  status text not null default 'queued',
  created_at timestamptz not null default now()
);

create table public.workspace_assets (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  job_id uuid references public.jobs (id),
  created_at timestamptz not null default now()
);

-- user_id has no foreign key, and a character with conversations cannot be deleted.
create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  project_id uuid references public.projects (id) on delete set null,
  title text not null default 'New Conversation',
  conversation_type text not null default 'general',
  status text not null default 'active',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  character_id uuid references public.characters (id),
  user_character_id uuid references public.characters (id),
  memory_tier text default 'conversation',
  memory_data jsonb default '{}'
);

-- No index but the primary key.
create table public.messages (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  sender text not null check (sender in ('user', 'assistant')),
  content text not null,
  message_type text not null default 'text',
  created_at timestamptz not null default now()
);

create table public.prompt_templates (
  id uuid primary key default gen_random_uuid(),
  enhancer_model varchar not null,
  use_case varchar not null,
  content_mode varchar not null default 'nsfw',
  template_name varchar not null,
  system_prompt text not null,
  token_limit integer default 512,
  is_active boolean default true,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  created_by uuid,
  version integer default 1,
  metadata jsonb default '{}',
  job_type text,
  target_model text,
  description text,
  comment text,
  unique (enhancer_model, use_case, content_mode, template_name)
);

create table public.character_scenes (
  id uuid primary key default gen_random_uuid(),
  character_id uuid references public.characters (id) on delete cascade,
  conversation_id uuid references public.conversations (id) on delete cascade,
  image_url text,
  scene_prompt text not null,
  generation_metadata jsonb default '{}',
  job_id uuid references public.jobs (id),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  -- Made by hand.
  priority integer,
  scene_rules text,
  scene_starters text[],
  system_prompt text
);

-- Parts of a project; from April on a table of the same name holds something else.
create table public.scenes (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references public.projects (id) on delete cascade,
  scene_number integer not null,
  description text not null,
  created_at timestamptz not null default now(),
  unique (project_id, scene_number)
);

create table public.user_activity_log (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  action text not null,
  resource_type text,
  resource_id text,
  metadata jsonb default '{}',
  created_at timestamptz not null default now()
);

-- Functions ----------------------------------------------------------------------------------
-- Everybody may execute all of them.

create function public.has_role(_user_id uuid, _role public.app_role) returns boolean
language sql stable security definer set search_path = public as $$
  select exists (select 1 from public.user_roles where user_id = _user_id and role = _role)
$$;

create function public.get_user_role_priority(_user_id uuid) returns integer
language sql stable security definer set search_path = public as $$
  select coalesce(max(case role when 'admin' then 100 when 'moderator' then 80 when 'premium_user' then 60
                                when 'basic_user' then 40 else 20 end), 0)
  from public.user_roles where user_id = _user_id
$$;

create function public.get_safe_profile_view(profile_id uuid) returns jsonb
language sql stable security definer set search_path = public as $$
  select jsonb_build_object('id', id, 'username', username, 'created_at', created_at)
  from public.profiles where id = profile_id
$$;

-- Compares an integer with an interval, so it always raises.
create function public.verify_user_age(birth_date date) returns boolean
language plpgsql set search_path = public as $$
begin
  return extract(year from age(birth_date))::integer >= interval '18 years';
end $$;

create function public.log_user_activity(
  p_user_id uuid, p_action text, p_resource_type text default null, p_resource_id text default null,
  p_metadata jsonb default '{}'
) returns uuid
language sql security definer set search_path = public as $$
  insert into public.user_activity_log (user_id, action, resource_type, resource_id, metadata)
  values (p_user_id, p_action, p_resource_type, p_resource_id, p_metadata) returning id
$$;

create function public.get_system_stats(days integer default 7) returns jsonb
language sql stable security definer set search_path = public as $$
  select jsonb_build_object(
    'people', (select count(*) from public.profiles),
    'messages', (select count(*) from public.messages where created_at > now() - make_interval(days => days)))
$$;

create function public.handle_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at = now();
  return new;
end $$;

create function public.update_updated_at_column() returns trigger language plpgsql as $$
begin
  new.updated_at = now();
  return new;
end $$;

create function public.update_conversation_updated_at() returns trigger language plpgsql as $$
begin
  update public.conversations set updated_at = now() where id = new.conversation_id;
  return new;
end $$;

create function public.update_age_verification() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if new.birth_date is distinct from old.birth_date and new.birth_date is not null then
    new.age_verified := public.verify_user_age(new.birth_date);
    new.age_verification_date := now();
  end if;
  return new;
end $$;

-- Asks auth.uid(), which is null for the service key and in the SQL editor: both are refused.
create function public.validate_profile_security() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if (new.age_verified, new.token_balance, new.subscription_status)
      is distinct from (old.age_verified, old.token_balance, old.subscription_status)
     and not public.has_role(auth.uid(), 'admin')
     and not (new.age_verified and not coalesce(old.age_verified, false) and new.birth_date is not null
              and (new.token_balance, new.subscription_status)
                is not distinct from (old.token_balance, old.subscription_status)) then
    raise exception 'Only administrators can modify these fields';
  end if;
  return new;
end $$;

-- Subtracts jsonb from jsonb, so it raises on every insert and update of profiles.
create function public.audit_profile_access() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  perform public.log_user_activity(new.id, 'profile_' || lower(tg_op), 'profile', new.id::text,
                                   to_jsonb(new) - coalesce(to_jsonb(old), '{}'::jsonb));
  return new;
end $$;

-- For a trigger on auth.users that is in no migration. Swallows all errors, so a person whose
-- profile cannot be written has none.
create function public.handle_new_user() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  begin
    insert into public.profiles (id, username)
    values (new.id, coalesce(new.raw_user_meta_data ->> 'username', split_part(new.email, '@', 1)));
  exception when others then
    raise warning 'profile of % not created: %', new.id, sqlerrm;
  end;
  begin
    insert into public.user_roles (user_id, role) values (new.id, 'basic_user');
  exception when others then
    raise warning 'role of % not created: %', new.id, sqlerrm;
  end;
  return new;
end $$;

-- Triggers -----------------------------------------------------------------------------------

create trigger handle_updated_at before update on public.profiles
  for each row execute function public.handle_updated_at();
create trigger update_age_verification before update on public.profiles
  for each row execute function public.update_age_verification();
create trigger validate_profile_security before update on public.profiles
  for each row execute function public.validate_profile_security();
create trigger audit_profile_access after insert or update on public.profiles
  for each row execute function public.audit_profile_access();
create trigger handle_updated_at before update on public.api_providers
  for each row execute function public.handle_updated_at();
create trigger handle_updated_at before update on public.api_models
  for each row execute function public.handle_updated_at();
create trigger update_system_config_updated_at before update on public.system_config
  for each row execute function public.update_updated_at_column();
create trigger update_characters_updated_at before update on public.characters
  for each row execute function public.update_updated_at_column();
create trigger update_prompt_templates_updated_at before update on public.prompt_templates
  for each row execute function public.update_updated_at_column();
create trigger update_character_scenes_updated_at before update on public.character_scenes
  for each row execute function public.update_updated_at_column();
create trigger update_conversation_updated_at after insert on public.messages
  for each row execute function public.update_conversation_updated_at();

-- Row level security -------------------------------------------------------------------------
-- Permissive, for the role public; the only barrier.

do $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' loop
    execute format('alter table public.%I enable row level security', name);
  end loop;
end $$;

create policy "Admins manage providers" on public.api_providers for all
  using (has_role(auth.uid(), 'admin')) with check (has_role(auth.uid(), 'admin'));
create policy "Signed-in people read active providers" on public.api_providers for select
  using (auth.role() = 'authenticated' and is_active);

create policy "Admins manage models" on public.api_models for all
  using (has_role(auth.uid(), 'admin')) with check (has_role(auth.uid(), 'admin'));
create policy "Signed-in people read active models" on public.api_models for select
  using (auth.role() = 'authenticated' and is_active);

create policy "Admins manage the system config" on public.system_config for all
  using (has_role(auth.uid(), 'admin')) with check (has_role(auth.uid(), 'admin'));

create policy "People manage their characters" on public.characters for all
  using (auth.uid() = user_id) with check (auth.uid() = user_id);
create policy "Admins manage all characters" on public.characters for all
  using (has_role(auth.uid(), 'admin')) with check (has_role(auth.uid(), 'admin'));
create policy "Everybody reads public sfw characters" on public.characters for select
  using (is_public and content_rating = 'sfw');
create policy "Verified people read public nsfw characters" on public.characters for select
  using (is_public and content_rating = 'nsfw'
         and exists (select 1 from public.profiles p where p.id = auth.uid() and p.age_verified));

create policy "People read their conversations" on public.conversations for select
  using (auth.uid() = user_id);
create policy "People create their conversations" on public.conversations for insert
  with check (auth.uid() = user_id);
create policy "People update their conversations" on public.conversations for update
  using (auth.uid() = user_id);
create policy "People delete their conversations" on public.conversations for delete
  using (auth.uid() = user_id);

-- Any sender, any column.
create policy "People read messages of their conversations" on public.messages for select
  using (exists (select 1 from public.conversations c where c.id = conversation_id and c.user_id = auth.uid()));
create policy "People write messages into their conversations" on public.messages for insert
  with check (exists (select 1 from public.conversations c where c.id = conversation_id and c.user_id = auth.uid()));

create policy "People read their profile" on public.profiles for select
  using (auth.uid() = id or has_role(auth.uid(), 'admin'));
create policy "People update their profile" on public.profiles for update
  using (auth.uid() = id or has_role(auth.uid(), 'admin'));
create policy "People create their profile" on public.profiles for insert
  with check (auth.uid() = id);

create policy "People read their roles" on public.user_roles for select
  using (auth.uid() = user_id or has_role(auth.uid(), 'admin'));
create policy "Admins grant roles" on public.user_roles for insert with check (has_role(auth.uid(), 'admin'));
create policy "Admins change roles" on public.user_roles for update using (has_role(auth.uid(), 'admin'));
create policy "Admins revoke roles" on public.user_roles for delete using (has_role(auth.uid(), 'admin'));

create policy "Admins manage templates" on public.prompt_templates for all
  using (has_role(auth.uid(), 'admin')) with check (has_role(auth.uid(), 'admin'));

create policy "People read scenes of their characters" on public.character_scenes for select
  using (has_role(auth.uid(), 'admin')
         or exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()));
create policy "People create scenes of their characters" on public.character_scenes for insert
  with check (has_role(auth.uid(), 'admin')
              or exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()));
create policy "People update scenes of their characters" on public.character_scenes for update
  using (has_role(auth.uid(), 'admin')
         or exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()));
create policy "People delete scenes of their characters" on public.character_scenes for delete
  using (has_role(auth.uid(), 'admin')
         or exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()));

create policy "People manage scenes of their projects" on public.scenes for all
  using (has_role(auth.uid(), 'admin')
         or exists (select 1 from public.projects p where p.id = project_id and p.user_id = auth.uid()));
create policy "People manage their projects" on public.projects for all using (auth.uid() = user_id);
create policy "People manage their jobs" on public.jobs for all using (auth.uid() = user_id);
create policy "People manage their assets" on public.workspace_assets for all using (auth.uid() = user_id);
create policy "People read their activity" on public.user_activity_log for select
  using (auth.uid() = user_id or has_role(auth.uid(), 'admin'));

-- Realtime and the history of migrations -----------------------------------------------------

create publication supabase_realtime;

create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
insert into supabase_migrations.schema_migrations (version, name) values
  ('20250704120000', 'profiles_and_roles'), ('20250829131500', 'characters'),
  ('20251214090000', 'openrouter'), ('20260103101500', 'scenes');
