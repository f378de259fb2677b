-- What there is in a database, each by its catalog, its number there and the number of a column. Nothing
-- is joined or named here, because each step of an adoption reads it twice. The numbers of what Postgres
-- itself brings are below 16384, but schemas also have such numbers: public has.

select n.tableoid as catalog, n.oid as id, 0 as place from pg_namespace n
union all
select c.tableoid, c.oid, 0 from pg_class c where c.oid >= 16384
union all
select p.tableoid, p.oid, 0 from pg_proc p where p.oid >= 16384
union all
select t.tableoid, t.oid, 0 from pg_type t where t.oid >= 16384 and t.typtype in ('e', 'd')
union all
select a.tableoid, a.attrelid, a.attnum from pg_attribute a where a.attrelid >= 16384 and a.attnum > 0
union all
select d.tableoid, d.adrelid, d.adnum from pg_attrdef d where d.adrelid >= 16384
union all
select g.tableoid, g.oid, 0 from pg_trigger g where g.oid >= 16384 and not g.tgisinternal
union all
select p.tableoid, p.oid, 0 from pg_policy p where p.oid >= 16384
union all
select k.tableoid, k.oid, 0 from pg_constraint k where k.oid >= 16384 and k.contype <> 'n'
