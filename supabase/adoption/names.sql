-- Of the objects that are `listed`, those in schemas that are not Postgres's own: kind, name, and the
-- relation that each belongs to. Each is looked up by its number, for a step makes few of all there are.

with spaces as (
  select n.oid, n.nspname from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema')
select o.kind, o.name, o.parent
from listed l
cross join lateral (
  select 'schema' as kind, format('%I', s.nspname) as name, null as parent
  from spaces s
  where l.catalog = 'pg_namespace'::regclass and s.oid = l.id
  union all
  select
    case c.relkind
      when 'v' then 'view'
      when 'm' then 'materialized view'
      when 'S' then 'sequence'
      when 'i' then 'index'
      when 'I' then 'index'
      else 'table'
    end,
    c.oid::regclass::text,
    case
      when c.relkind in ('i', 'I') then (
        select i.indrelid::regclass::text from pg_index i where i.indexrelid = c.oid)
      when c.relkind = 'S' then (
        select d.refobjid::regclass::text from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
          and d.refclassid = 'pg_class'::regclass limit 1)
    end
  from pg_class c join spaces s on s.oid = c.relnamespace
  where l.catalog = 'pg_class'::regclass and c.oid = l.id
    and c.relkind in ('r', 'p', 'f', 'v', 'm', 'S', 'i', 'I')
  union all
  select 'function', p.oid::regprocedure::text, null
  from pg_proc p join spaces s on s.oid = p.pronamespace
  where l.catalog = 'pg_proc'::regclass and p.oid = l.id
  union all
  select 'type', t.oid::regtype::text, null
  from pg_type t join spaces s on s.oid = t.typnamespace
  where l.catalog = 'pg_type'::regclass and t.oid = l.id and t.typtype in ('e', 'd')
  union all
  select case when l.catalog = 'pg_attribute'::regclass then 'column' else 'default' end,
    format('%s.%I', c.oid::regclass, a.attname), c.oid::regclass::text
  from pg_attribute a join pg_class c on c.oid = a.attrelid join spaces s on s.oid = c.relnamespace
  where l.catalog in ('pg_attribute'::regclass, 'pg_attrdef'::regclass)
    and a.attrelid = l.id and a.attnum = l.place and not a.attisdropped
    and (c.relkind in ('r', 'p', 'f') or l.catalog = 'pg_attrdef'::regclass)
  union all
  select 'trigger', format('%I on %s', g.tgname, c.oid::regclass), c.oid::regclass::text
  from pg_trigger g join pg_class c on c.oid = g.tgrelid join spaces s on s.oid = c.relnamespace
  where l.catalog = 'pg_trigger'::regclass and g.oid = l.id
  union all
  select 'policy', format('%I on %s', p.polname, c.oid::regclass), c.oid::regclass::text
  from pg_policy p join pg_class c on c.oid = p.polrelid join spaces s on s.oid = c.relnamespace
  where l.catalog = 'pg_policy'::regclass and p.oid = l.id
  union all
  select 'constraint', format('%I on %s', k.conname, c.oid::regclass), c.oid::regclass::text
  from pg_constraint k join pg_class c on c.oid = k.conrelid join spaces s on s.oid = c.relnamespace
  where l.catalog = 'pg_constraint'::regclass and k.oid = l.id
) o
