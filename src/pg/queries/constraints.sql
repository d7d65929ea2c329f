-- Question: which constraints do these tables have?
-- Views:    pg_constraint
-- Oldest:   14
-- Odd:      18 has NOT NULL constraints of their own kind ('n'); columns carry that already.
-- $1 oid[] tables
select /* pgload */
    k.oid,
    k.conname::text as name,
    k.conrelid as table_oid,
    k.contype::text as kind,
    (
        select pg_catalog.array_agg(a.attname::text order by u.position)
        from pg_catalog.unnest(k.conkey) with ordinality as u (attnum, position)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum
    ) as columns,
    pg_catalog.pg_get_constraintdef(k.oid) as definition,
    nullif(k.conparentid, 0) as parent,
    nullif(k.confrelid, 0) as foreign_oid,
    fn.nspname::text as foreign_schema,
    f.relname::text as foreign_table,
    (
        select pg_catalog.array_agg(a.attname::text order by u.position)
        from pg_catalog.unnest(k.confkey) with ordinality as u (attnum, position)
        join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum
    ) as foreign_columns,
    k.confdeltype::text as on_delete,
    k.confupdtype::text as on_update
from pg_catalog.pg_constraint k
left join pg_catalog.pg_class f on f.oid = k.confrelid
left join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
where
    k.conrelid = any ($1::oid[])
    and k.contype in ('p', 'u', 'f', 'x', 'c')
order by k.conrelid, k.conname
