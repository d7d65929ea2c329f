-- Question: which views are there, and what do they show?
-- Views:    pg_class, pg_attribute, pg_depend
-- Oldest:   14
-- Odd:      pg_get_viewdef waits for who holds the view or what it reads exclusively.
select /* pgload */
    c.oid,
    n.nspname::text as schema,
    c.relname::text as name,
    (
        select pg_catalog.array_agg(a.attname::text order by a.attnum)
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns,
    pg_catalog.pg_get_viewdef(c.oid) as definition,
    c.reloptions as options,
    (
        select e.extname::text
        from pg_catalog.pg_depend d
        join pg_catalog.pg_extension e on e.oid = d.refobjid
        where
            d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.objid = c.oid
            and d.objsubid = 0
            and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            and d.deptype = 'e'
        limit 1
    ) as extension
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where
    c.relkind = 'v'
    and c.relpersistence <> 't'
    and n.nspname <> 'information_schema'
    and n.nspname !~ '^pg_'
order by c.oid
