-- What the product's shared tables were like when they were adopted: columns, constraints, triggers,
-- policies, grants and whether they are published. `make verify` says what has changed since.

create function private.shared_signature() returns setof text
language sql stable set search_path = '' as $$
  with shared_tables as (
    select c.oid, c.relname, c.relacl, c.relrowsecurity, c.relowner from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and c.relname in ('api_models', 'api_providers', 'characters', 'conversations', 'messages', 'profiles',
                        'prompt_templates', 'system_config', 'user_roles'))
  select format('table %s: row level security %s, owner %s', t.relname, t.relrowsecurity, t.relowner::regrole)
  from shared_tables t
  union all
  select format('column %s.%s: %s%s%s', t.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                case when a.attnotnull then ' not null' else '' end,
                coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''))
  from shared_tables t
  join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  left join pg_catalog.pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
  union all
  -- Newer servers list what is not null here too.
  select format('constraint %s.%s: %s', t.relname, c.conname, pg_get_constraintdef(c.oid))
  from shared_tables t join pg_catalog.pg_constraint c on c.conrelid = t.oid and c.contype <> 'n'
  union all
  select format('trigger %s.%s: %s (%s)', t.relname, g.tgname, pg_get_triggerdef(g.oid), g.tgenabled)
  from shared_tables t join pg_catalog.pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
  union all
  select format('policy %s.%s: %s %s %s using %s check %s', t.relname, p.policyname, p.permissive, p.cmd, p.roles,
                coalesce(p.qual, '-'), coalesce(p.with_check, '-'))
  from shared_tables t join pg_catalog.pg_policies p on p.schemaname = 'public' and p.tablename = t.relname
  union all
  select format('grant %s: %s to %s', t.relname, string_agg(g.privilege_type, ' ' order by g.privilege_type),
                case g.grantee when 0 then 'public' else g.grantee::regrole::text end)
  from shared_tables t, aclexplode(t.relacl) g group by t.relname, g.grantee
  union all
  select format('publication %s: %s', p.tablename, p.pubname)
  from shared_tables t join pg_catalog.pg_publication_tables p on p.schemaname = 'public' and p.tablename = t.relname
$$;

create table private.adopted_signature (
  line text primary key
);
alter table private.adopted_signature enable row level security;
revoke all on private.adopted_signature from public, anon, authenticated;

-- See own_shared. `changed` are the lines that came ("+ ") or went ("- ") since; `steps` the digests
-- of the adoption's steps, by name; `without_position` how many messages are in no prompt.
create function shared.installation() returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'kind', 'adopted',
    'without_position', private.messages_without_position(),
    'steps', (select coalesce(jsonb_object_agg(s.name, s.digest), '{}') from private.adoption_steps s),
    'changed', (
      select coalesce(jsonb_agg(c.line order by substr(c.line, 3), c.line desc), '[]') from (
        select '- ' || coalesce(was.line, '') as line from private.adopted_signature was
        where was.line not in (select s.line from private.shared_signature() s (line))
        union all
        select '+ ' || s.line from private.shared_signature() s (line)
        where s.line not in (select was.line from private.adopted_signature was)) c)
    )
$$;

create function shared.is_ours(p_table oid) returns boolean
language sql stable set search_path = '' as $$
  select exists (
    select from pg_catalog.pg_class c
    where c.oid = p_table
      and (c.relnamespace = 'private'::regnamespace
           or exists (select from private.adopted_objects o
                      where o.kind = 'table' and c.relnamespace = 'public'::regnamespace
                        and o.name = format('public.%I', c.relname))))
$$;
revoke execute on function private.shared_signature(), shared.installation(), shared.is_ours(oid)
  from public, anon, authenticated;
