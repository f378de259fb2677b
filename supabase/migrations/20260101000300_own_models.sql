-- Providers and their models.

create table public.api_providers (
  id uuid primary key default gen_random_uuid(),
  -- Not chat_worker: names of workers begin with it.
  name text not null unique check (name ~ '^[a-z0-9_-]{1,64}$' and name <> 'chat_worker'),
  display_name text not null check (char_length(display_name) <= 200),
  base_url text not null check (char_length(base_url) between 1 and 2000),
  -- bearer: "<header>: Bearer <key>"; header: "<header>: <key>"; none: no credentials.
  auth_scheme text not null default 'bearer' check (auth_scheme in ('bearer', 'header', 'none')),
  auth_header_name text not null default 'Authorization'
    check (auth_header_name ~ '^[A-Za-z][A-Za-z0-9-]{0,63}$'),
  -- The environment variable that holds the key. Narrow on purpose: a row must not be able to name
  -- another secret. KEY_ORIGINS in the functions' environment lists where a key may be sent.
  secret_name text check (secret_name ~ '^[A-Za-z][A-Za-z0-9_]*_API_KEY$'
                          and secret_name !~* '^SUPABASE_'),
  rate_limits jsonb not null default '{}' check (jsonb_typeof(rate_limits) = 'object'),
  is_active boolean not null default true,
  -- False: added from an admin's browser. The provider gets no requests and no key until it is
  -- approved with the secret key.
  is_approved boolean not null default (current_user not in ('anon', 'authenticated')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint api_providers_secret check (auth_scheme = 'none' or secret_name is not null)
);
create trigger api_providers_touch before update on public.api_providers
  for each row execute function private.touch_updated_at();

create table public.api_models (
  id uuid primary key default gen_random_uuid(),
  provider_id uuid not null references public.api_providers (id),
  model_key text not null check (char_length(model_key) between 1 and 200),
  -- Every turn reads all models, so lengths are limited.
  display_name text not null check (char_length(display_name) <= 200),
  description text check (char_length(description) <= 4000),
  modality text not null check (char_length(modality) <= 100),
  task text not null check (char_length(task) <= 100),
  model_family text check (char_length(model_family) <= 200),
  -- Appended to the provider's base_url; null means /chat/completions.
  endpoint_path text check (endpoint_path ~ '^/[A-Za-z0-9/_.-]*$'),
  -- Sampling parameters, sent to the provider unchanged, e.g. {"temperature": 0.9}.
  input_defaults jsonb not null default '{}'
    check (jsonb_typeof(input_defaults) = 'object' and octet_length(input_defaults::text) <= 16384),
  -- Capabilities and timeouts of the model; see docs/configuration.md.
  capabilities jsonb not null default '{}'
    check (jsonb_typeof(capabilities) = 'object' and octet_length(capabilities::text) <= 16384),
  -- {"prompt_usd_per_1k": n, "completion_usd_per_1k": n}; absent means unknown. The length is
  -- limited because a JSON number can have any number of digits.
  pricing jsonb not null default '{}'
    check (jsonb_typeof(pricing) = 'object' and octet_length(pricing::text) <= 4000),
  is_active boolean not null default true,
  is_default boolean not null default false,
  priority integer not null default 100,
  -- The result of the last check of the provider's catalog, written by health_check
  -- (record_catalog):
  --   listed    as configured            changed   another price, or less context than configured
  --   expiring  listed, until a date     not_free  configured as free, and costs money
  --   renamed   listed under a new name  missing   not listed, to be confirmed
  --   gone      not listed: turns leave it out until it is listed again
  -- Null: not looked up yet.
  catalog_status text check (catalog_status in
    ('listed', 'changed', 'expiring', 'not_free', 'renamed', 'missing', 'gone')),
  catalog_checked_at timestamptz,
  -- {"context_length", "prompt_usd_per_1k", "completion_usd_per_1k", "expires_on", "listed_as"}
  catalog jsonb not null default '{}'
    check (jsonb_typeof(catalog) = 'object' and octet_length(catalog::text) <= 4000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (provider_id, model_key, task),
  -- Parsers limit the nesting depth, and every turn reads all models.
  constraint api_models_depth check (
    not jsonb_path_exists(jsonb_build_array(input_defaults, capabilities, pricing, catalog), '$.**{40}'))
);
create unique index api_models_one_default on public.api_models (modality, task) where is_default;
create index api_models_by_task on public.api_models (task, priority);
create trigger api_models_touch before update on public.api_models
  for each row execute function private.touch_updated_at();

alter table public.api_providers enable row level security;
revoke all on public.api_providers from anon, authenticated;
grant select (id, name, display_name, is_active) on public.api_providers to authenticated;
create policy api_providers_select on public.api_providers for select to authenticated
  using (is_active and is_approved or (select private.is_admin()));

alter table public.api_models enable row level security;
revoke all on public.api_models from anon, authenticated;
grant select on public.api_models to authenticated;
create policy api_models_select on public.api_models for select to authenticated
  using (is_active or (select private.is_admin()));
