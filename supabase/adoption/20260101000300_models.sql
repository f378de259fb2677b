-- Providers and models of a product that runs already, as functions see them. Its admins may change
-- addresses and key names in its own tables; ours come from provider_keys, which takes the secret key.

-- Where a provider is called and with which key. A provider without a row gets no requests: where it
-- has chat models, it waits to be approved.
create table private.provider_keys (
  provider_id uuid primary key references public.api_providers (id) on delete cascade,
  base_url text not null check (char_length(base_url) between 1 and 2000),
  auth_scheme text not null default 'bearer' check (auth_scheme in ('bearer', 'header', 'none')),
  auth_header_name text not null default 'Authorization'
    check (auth_header_name ~ '^[A-Za-z][A-Za-z0-9-]{0,63}$'),
  secret_name text check (secret_name ~ '^[A-Za-z][A-Za-z0-9_]*_API_KEY$' and secret_name !~* '^SUPABASE_'),
  constraint provider_keys_secret check (auth_scheme = 'none' or secret_name is not null)
);
alter table private.provider_keys enable row level security;
revoke all on private.provider_keys from public, anon, authenticated;

insert into private.provider_keys (provider_id, base_url, secret_name)
select p.id, 'https://openrouter.ai/api/v1', 'OpenRouter_Roleplay_API_KEY'
from public.api_providers p where p.name = 'openrouter';

-- Facts about a chat model that the product's rows do not have, and the results of its catalog
-- check.
create table private.model_details (
  model_id uuid primary key references public.api_models (id) on delete cascade,
  context_tokens integer check (context_tokens > 0),
  pricing jsonb check (jsonb_typeof(pricing) = 'object' and octet_length(pricing::text) <= 4000),
  catalog_status text check (catalog_status in
    ('listed', 'changed', 'expiring', 'not_free', 'renamed', 'missing', 'gone')),
  catalog_checked_at timestamptz,
  catalog jsonb not null default '{}'
    check (jsonb_typeof(catalog) = 'object' and octet_length(catalog::text) <= 4000)
);
alter table private.model_details enable row level security;
revoke all on private.model_details from public, anon, authenticated;

-- Classifiers, which the product has none of: the columns of shared.api_models that they need.
create table private.moderation_models (
  id uuid primary key default gen_random_uuid(),
  provider_id uuid not null references public.api_providers (id) on delete cascade,
  model_key text not null check (char_length(model_key) between 1 and 200),
  display_name text not null check (char_length(display_name) <= 200),
  input_defaults jsonb not null default '{}'
    check (jsonb_typeof(input_defaults) = 'object' and octet_length(input_defaults::text) <= 16384),
  capabilities jsonb not null default '{}'
    check (jsonb_typeof(capabilities) = 'object' and octet_length(capabilities::text) <= 16384),
  pricing jsonb not null default '{}'
    check (jsonb_typeof(pricing) = 'object' and octet_length(pricing::text) <= 4000),
  is_active boolean not null default true,
  is_default boolean not null default false,
  priority integer not null default 100,
  catalog_status text check (catalog_status in
    ('listed', 'changed', 'expiring', 'not_free', 'renamed', 'missing', 'gone')),
  catalog_checked_at timestamptz,
  catalog jsonb not null default '{}'
    check (jsonb_typeof(catalog) = 'object' and octet_length(catalog::text) <= 4000)
);
alter table private.moderation_models enable row level security;
revoke all on private.moderation_models from public, anon, authenticated;

-- Embeddings models for finding messages by what they mean: the product's own are for something else.
create table private.embedding_models (
  like private.moderation_models including all,
  foreign key (provider_id) references public.api_providers (id) on delete cascade
);
alter table private.embedding_models enable row level security;
revoke all on private.embedding_models from public, anon, authenticated;

-- An object of the product if it is within our bounds, else an empty one. In plpgsql, which is called
-- faster: every turn does so for each model.
create function private.bounded_object(p_value jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return case when jsonb_typeof(p_value) = 'object' and octet_length(p_value::text) <= 16384
                   and not jsonb_path_exists(p_value, '$.**{40}')
    then p_value else '{}' end;
end $$;
revoke execute on function private.bounded_object(jsonb) from public, anon, authenticated;

create view shared.api_providers as
select p.id, left(p.name, 64) as name, left(p.display_name, 200) as display_name,
       coalesce(k.base_url, left(p.base_url, 2000), '') as base_url,
       coalesce(k.auth_scheme, 'none') as auth_scheme, coalesce(k.auth_header_name, 'Authorization') as auth_header_name,
       k.secret_name, '{}'::jsonb as rate_limits, p.is_active, k.provider_id is not null as is_approved
from public.api_providers p left join private.provider_keys k on k.provider_id = p.id
where k.provider_id is not null
   or exists (select from public.api_models m
              where m.provider_id = p.id and m.modality in ('roleplay', 'chat', 'prompt'));

-- One row for each of our tasks that a model is for. The product's rows are read as JSON: in some
-- states a model has one `task`, in others `tasks` and `default_for_tasks`.
create view shared.api_models as
select m.id, m.provider_id, m.model_key, left(m.display_name, 200) as display_name, null::text as description,
       'chat'::text as modality, t.task,
       case when exists (
         select from public.prompt_templates own
         where own.target_model = m.model_key and own.use_case = 'character_roleplay' and own.is_active)
         then left(m.model_key, 200) else left(m.model_family, 200) end as model_family,
       null::text as endpoint_path,
       '{"max_tokens": 400}' || private.bounded_object(m.input_defaults) as input_defaults,
       jsonb_build_object('context_tokens', coalesce(d.context_tokens, 8192))
         || private.bounded_object(m.capabilities) as capabilities,
       coalesce(d.pricing, private.bounded_object(m.pricing)) as pricing,
       m.is_active,
       case when t.columns ? 'default_for_tasks' then t.columns -> 'default_for_tasks' ? t.theirs
            else m.is_default end as is_default,
       m.priority, d.catalog_status, d.catalog_checked_at, coalesce(d.catalog, '{}') as catalog,
       m.created_at, m.updated_at
from public.api_models m
cross join lateral (
  select ours.task, ours.theirs, known.columns
  -- offset 0: once for a row, and not each time it is looked at.
  from (select to_jsonb(m) as columns offset 0) known
  cross join (values ('roleplay', 'roleplay'), ('storytelling', 'roleplay'), ('prompt_enhancement', 'enhancement'))
    ours (task, theirs)
  where case ours.theirs
      when 'roleplay' then m.modality = 'roleplay' or m.modality = 'chat'
      else m.modality in ('chat', 'prompt') end
    and (m.modality = 'roleplay' or coalesce(known.columns -> 'tasks' ? ours.theirs, false)
         or known.columns ->> 'task' = ours.theirs)) t
left join private.model_details d on d.model_id = m.id
union all
select m.id, m.provider_id, m.model_key, m.display_name, null, 'chat', 'moderation', null, null, m.input_defaults,
       m.capabilities, m.pricing, m.is_active, m.is_default, m.priority, m.catalog_status, m.catalog_checked_at,
       m.catalog, null, null
from private.moderation_models m
union all
select m.id, m.provider_id, m.model_key, m.display_name, null, 'embedding', 'embedding', null, null, m.input_defaults,
       m.capabilities, m.pricing, m.is_active, m.is_default, m.priority, m.catalog_status, m.catalog_checked_at,
       m.catalog, null, null
from private.embedding_models m;

-- Only the results of catalog checks are written. The product's own columns stay, and its prices
-- count until the catalog has others.
create function private.write_model() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.task = 'moderation' then
    update private.moderation_models m
    set pricing = new.pricing, catalog_status = new.catalog_status, catalog_checked_at = new.catalog_checked_at,
        catalog = new.catalog
    where m.id = new.id;
    return new;
  elsif new.task = 'embedding' then
    return new;  -- No catalog lists them.
  end if;
  insert into private.model_details as d (model_id, pricing, catalog_status, catalog_checked_at, catalog)
  values (new.id, case when new.pricing <> old.pricing then new.pricing end, new.catalog_status,
          new.catalog_checked_at, new.catalog)
  on conflict (model_id) do update
  set pricing = coalesce(excluded.pricing, d.pricing), catalog_status = excluded.catalog_status,
      catalog_checked_at = excluded.catalog_checked_at, catalog = excluded.catalog;
  return new;
end $$;
revoke execute on function private.write_model() from public, anon, authenticated;
create trigger api_models_write instead of update on shared.api_models
  for each row execute function private.write_model();
