-- (relation, line) of everything in the catalog that somebody made. relation is the schema-qualified
-- table that a line belongs to, or null. Not the schema of tests' snapshots. The caller sorts them.
with schemas as (
  select oid, nspname, nspacl, nspowner from pg_namespace
  where nspname !~ '^pg_' and nspname not in ('information_schema', 'snapshot')
), relations as (
  select c.*, n.nspname, format('%s.%s', n.nspname, c.relname) as name
  from pg_class c join schemas n on n.oid = c.relnamespace
), lines (relation, kind, name, text) as (
  select null, 'schema', nspname::text, concat_ws(' ', 'owner', nspowner::regrole, nspacl) from schemas
  union all
  select name, 'relation', name, concat_ws(' ', relkind, 'owner', relowner::regrole, 'grants', relacl,
    'rls', relrowsecurity, relforcerowsecurity, 'identity', relreplident, relpersistence, reloptions)
  from relations where relkind not in ('i', 'I', 'c')
  union all
  -- By the order of what is there: a column that came and went leaves a gap in attnum.
  select r.name, 'column', format('%s.%s', r.name, a.attname), concat_ws(' ',
    row_number() over (partition by r.oid order by a.attnum), format_type(a.atttypid, a.atttypmod),
    case when a.attnotnull then 'not null' end, 'default ' || pg_get_expr(d.adbin, d.adrelid),
    'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''),
    'grants ' || a.attacl::text, 'options ' || a.attoptions::text, 'storage', a.attstorage, a.attcompression,
    'collation', nullif(a.attcollation, t.typcollation)::regcollation, 'statistics', nullif(a.attstattarget, -1))
  from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
  where r.relkind not in ('i', 'I', 'S')
  union all
  select coalesce(r.name, t.typname), 'constraint', concat_ws('.', coalesce(r.name, t.typname), k.conname),
    concat_ws(' ', pg_get_constraintdef(k.oid), case when not k.convalidated then 'not valid' end)
  from pg_constraint k join schemas n on n.oid = k.connamespace
  left join relations r on r.oid = k.conrelid left join pg_type t on t.oid = k.contypid
  union all
  select r.name, 'index', format('%s.%s', r.name, i.indexrelid::regclass),
    concat_ws(' ', pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, i.indisclustered, i.indisreplident)
  from pg_index i join relations r on r.oid = i.indrelid
  union all
  select r.name, 'trigger', format('%s.%s', r.name, t.tgname),
    concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
  from pg_trigger t join relations r on r.oid = t.tgrelid where not t.tgisinternal
  union all
  select r.name, 'policy', format('%s.%s', r.name, p.polname), concat_ws(' ', p.polcmd,
    case when not p.polpermissive then 'restrictive' end, 'to', p.polroles::regrole[],
    'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_policy p join relations r on r.oid = p.polrelid
  union all
  select r.name, 'rule', format('%s.%s', r.name, w.rulename), pg_get_ruledef(w.oid)
  from pg_rewrite w join relations r on r.oid = w.ev_class
  union all
  select r.name, 'sequence', r.name, concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement,
    s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
  from pg_sequence s join relations r on r.oid = s.seqrelid
  union all
  select r.name, 'inheritance', r.name, i.inhparent::regclass::text
  from pg_inherits i join relations r on r.oid = i.inhrelid
  union all
  select r.name, 'statistics', format('%s.%s', r.name, s.stxname), pg_get_statisticsobjdef(s.oid)
  from pg_statistic_ext s join relations r on r.oid = s.stxrelid
  union all
  select null, 'function', f.oid::regprocedure::text, concat_ws(' ', 'owner', f.proowner::regrole,
    'grants', f.proacl, case f.prokind when 'a' then 'aggregate' else pg_get_functiondef(f.oid) end)
  from pg_proc f join schemas n on n.oid = f.pronamespace
  union all
  select null, 'type', t.oid::regtype::text, concat_ws(' ', t.typtype, 'owner', t.typowner::regrole, t.typacl,
    (select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
    t.typbasetype::regtype, t.typdefault)
  from pg_type t join schemas n on n.oid = t.typnamespace where t.typtype in ('e', 'd', 'r')
  union all
  select null, 'publication', pubname, concat_ws(' ', 'owner', pubowner::regrole, puballtables,
    pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot)
  from pg_publication
  union all
  select r.name, 'published', format('%s in %s', r.name, p.pubname),
    concat_ws(' ', pr.prattrs, pg_get_expr(pr.prqual, pr.prrelid))
  from pg_publication_rel pr join pg_publication p on p.oid = pr.prpubid join relations r on r.oid = pr.prrelid
  union all
  select null, 'published', format('schema %s in %s', n.nspname, p.pubname), ''
  from pg_publication_namespace pn join pg_publication p on p.oid = pn.pnpubid join schemas n on n.oid = pn.pnnspid
  union all
  select null, 'default grants', format('%s in %s to %s', d.defaclobjtype, n.nspname, d.defaclrole::regrole),
    d.defaclacl::text
  from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
  union all
  select null, 'extension', extname, concat_ws(' ', extversion, extnamespace::regnamespace) from pg_extension
  union all
  select null, 'event trigger', evtname, concat_ws(' ', evtevent, evtfoid::regproc, evtenabled, evttags)
  from pg_event_trigger
  union all
  select null, 'setting', coalesce(setrole::regrole::text, ''), setconfig::text
  from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())
  union all
  select r.name, 'comment', concat_ws('.', r.name, a.attname), d.description
  from pg_description d join relations r on d.classoid = 'pg_class'::regclass and r.oid = d.objoid
  left join pg_attribute a on a.attrelid = d.objoid and a.attnum = d.objsubid and d.objsubid > 0
  union all
  select null, 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description
  from pg_description d
  where d.classoid <> 'pg_class'::regclass and d.objoid >= 16384
)
select relation, concat_ws(' ', kind, name || ':', text) as line from lines
