-- What there is to know of a product's database before anything is adopted, as one JSON object: names,
-- counts and states, nobody's words. It reads only, and may be run by hand in the SQL editor.

with shared_tables (name) as (
  values ('api_models'), ('api_providers'), ('characters'), ('conversations'), ('messages'), ('profiles'),
         ('prompt_templates'), ('system_config'), ('user_roles')),
columns as (
  select c.relname as name, jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) as columns
  from shared_tables s
  join pg_class c on c.relname = s.name and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  group by 1),
long as (
  select m.conversation_id, count(*) as messages, count(*) - count(distinct m.created_at) as equal_times,
         max(char_length(m.content)) as longest
  from public.messages m group by 1)
select jsonb_build_object(
  'server_version', current_setting('server_version_num')::integer,
  'role', current_user,
  'columns', (select coalesce(jsonb_object_agg(name, columns), '{}') from columns),
  'not_owned', (
    select coalesce(jsonb_agg(s.name order by s.name), '[]') from shared_tables s
    join pg_class c on c.relname = s.name and c.relnamespace = 'public'::regnamespace
    where not pg_has_role(current_user, c.relowner, 'usage')),
  'relations', (
    select coalesce(jsonb_agg(c.relname order by c.relname), '[]') from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')),
  'functions', (
    select coalesce(jsonb_agg(distinct p.proname), '[]') from pg_proc p where p.pronamespace = 'public'::regnamespace),
  'row_level_security', (
    select coalesce(jsonb_object_agg(c.relname, c.relrowsecurity), '{}')
    from shared_tables s join pg_class c on c.relname = s.name and c.relnamespace = 'public'::regnamespace),
  'extensions', (select jsonb_agg(extname order by extname) from pg_extension),
  'realtime', (
    select coalesce(jsonb_agg(t.tablename order by t.tablename), '[]') from pg_publication_tables t
    where t.pubname = 'supabase_realtime' and t.schemaname = 'public'),
  'triggers_on_users', (
    select coalesce(jsonb_agg(t.tgname order by t.tgname), '[]') from pg_trigger t
    where t.tgrelid = 'auth.users'::regclass and not t.tgisinternal),
  'size_bytes', (
    select jsonb_object_agg(s.name, pg_total_relation_size(format('public.%I', s.name))) from shared_tables s
    where to_regclass(format('public.%I', s.name)) is not null),
  'people', (select count(*) from auth.users),
  'people_without_profile', (
    select count(*) from auth.users u where not exists (select from public.profiles p where p.id = u.id)),
  'people_verified', (select count(*) from public.profiles p where p.age_verified),
  'roles', (
    select coalesce(jsonb_object_agg(r.role, r.people), '{}')
    from (select role::text, count(*) as people from public.user_roles group by 1) r),
  'characters', (
    select coalesce(jsonb_agg(to_jsonb(c)), '[]') from (
      select to_jsonb(ch) ->> 'role' as role, ch.content_rating, coalesce(ch.is_public, false) as is_public,
             ch.user_id is null as is_house, count(*) as characters,
             count(*) filter (where char_length(ch.description) > 20000 or char_length(ch.system_prompt) > 20000) as too_long
      from public.characters ch group by 1, 2, 3, 4 order by 5 desc) c),
  'conversations', (
    select jsonb_build_object(
      'all', count(*),
      'of_nobody', count(*) filter (where not exists (select from auth.users u where u.id = c.user_id)),
      'without_character', count(*) filter (where c.character_id is null),
      'with_key_facts', count(*) filter (where c.memory_data ? 'key_facts'),
      'with_nsfw_character', count(*) filter (where exists (
        select from public.characters ch where ch.id = c.character_id and ch.content_rating = 'nsfw')),
      'longest_title', max(char_length(c.title)))
    from public.conversations c),
  'messages', (
    select coalesce(jsonb_agg(to_jsonb(m)), '[]') from (
      select sender, message_type, count(*) as messages from public.messages group by 1, 2 order by 3 desc limit 50) m),
  'long_conversations', (select count(*) from long where messages > 100),
  'most_messages', (select coalesce(max(messages), 0) from long),
  'equal_times', (select coalesce(sum(equal_times), 0) from long),
  'longest_message', (select coalesce(max(longest), 0) from long),
  'models', (
    select coalesce(jsonb_agg(to_jsonb(m)), '[]') from (
      select p.name as provider, m.modality, to_jsonb(m) ->> 'task' as task, to_jsonb(m) -> 'tasks' as tasks,
             count(*) as models, count(*) filter (where m.is_active) as active,
             count(*) filter (where m.is_default or to_jsonb(m) -> 'default_for_tasks' ? 'roleplay') as defaults
      from public.api_models m join public.api_providers p on p.id = m.provider_id
      group by 1, 2, 3, 4 order by 1, 2 limit 200) m),
  'providers', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'name', p.name, 'is_active', p.is_active, 'has_address', p.base_url is not null,
      'has_key_name', p.secret_name is not null) order by p.name), '[]')
    from public.api_providers p),
  'templates', (
    select coalesce(jsonb_agg(to_jsonb(t)), '[]') from (
      select t.content_mode as content_tier, t.target_model is null as is_general, count(*) as active
      from public.prompt_templates t
      where t.use_case = 'character_roleplay' and t.is_active group by 1, 2 order by 1, 2) t),
  'settings', (
    select coalesce(jsonb_agg(distinct k.key), '[]')
    from public.system_config s, jsonb_object_keys(case jsonb_typeof(s.config) when 'object' then s.config else '{}' end) k (key)),
  'settings_rows', (select count(*) from public.system_config),
  'settings_are_first', exists (select from public.system_config s where s.id = 1),
  'worker_host', (
    select substring(s.config ->> 'chatWorkerUrl' from '^https?://([^/:?#@]+)') from public.system_config s where s.id = 1)
) as report;
