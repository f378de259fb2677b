-- Prompt templates by use case and content tier. A row for a model family takes precedence over the
-- general row (model_family null).

create table public.prompt_templates (
  id uuid primary key default gen_random_uuid(),
  name text not null unique check (char_length(name) <= 200),
  use_case text not null check (use_case in ('roleplay', 'storytelling', 'prompt_enhancement')),
  content_tier text not null check (content_tier in ('sfw', 'nsfw')),
  model_family text check (char_length(model_family) <= 200),
  system_prompt text not null check (char_length(system_prompt) between 1 and 20000),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index prompt_templates_one_active
  on public.prompt_templates (use_case, content_tier, coalesce(model_family, '')) where is_active;
create trigger prompt_templates_touch before update on public.prompt_templates
  for each row execute function private.touch_updated_at();

alter table public.prompt_templates enable row level security;
revoke all on public.prompt_templates from anon, authenticated;
grant select on public.prompt_templates to authenticated;
create policy prompt_templates_select on public.prompt_templates for select to authenticated
  using ((select private.is_admin()));
