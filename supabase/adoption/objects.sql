-- What there is in the schemas of a database, each with the relation that it belongs to.

with spaces as (
  select n.oid, n.nspname from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'),
relations as (
  select c.oid, c.relkind, c.oid::regclass::text as name from pg_class c join spaces s on s.oid = c.relnamespace)
select 'schema' as kind, format('%I', s.nspname) as name, null as parent from spaces s
union all
select case r.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end, r.name, null
from relations r where r.relkind in ('r', 'p', 'f', 'v', 'm')
union all
select 'sequence', r.name, (
  select d.refobjid::regclass::text from pg_depend d
  where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype in ('a', 'i')
    and d.refclassid = 'pg_class'::regclass limit 1)
from relations r where r.relkind = 'S'
union all
select 'index', r.name, i.indrelid::regclass::text from relations r join pg_index i on i.indexrelid = r.oid
union all
select 'function', p.oid::regprocedure::text, null from pg_proc p join spaces s on s.oid = p.pronamespace
union all
select 'type', t.oid::regtype::text, null from pg_type t join spaces s on s.oid = t.typnamespace
where t.typtype in ('e', 'd')
union all
select 'column', format('%s.%I', r.name, a.attname), r.name
from relations r join pg_attribute a on a.attrelid = r.oid
where r.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
union all
select 'default', format('%s.%I', r.name, a.attname), r.name
from relations r join pg_attrdef d on d.adrelid = r.oid
join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
union all
select 'trigger', format('%I on %s', g.tgname, r.name), r.name
from relations r join pg_trigger g on g.tgrelid = r.oid where not g.tgisinternal
union all
select 'policy', format('%I on %s', p.polname, r.name), r.name
from relations r join pg_policy p on p.polrelid = r.oid
union all
select 'constraint', format('%I on %s', k.conname, r.name), r.name
from relations r join pg_constraint k on k.conrelid = r.oid where k.contype <> 'n'
