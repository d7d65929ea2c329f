-- Question: which relation does a sample's name mean, how large is it, and which columns has it?
-- Views:    pg_class, pg_namespace, pg_attribute
-- Oldest:   14
-- Odd:      no row when the name means nothing; reltuples is -1 before the first ANALYZE, then the length speaks:
--           100 rows a page is more than most tables hold, so a first draw may be short and is repeated larger.
select /* pgload */
    n.nspname as schema,
    c.relname as name,
    c.relkind::text as kind,
    case
        when c.relkind = 'p' then (
            select coalesce(sum(greatest(p.reltuples, 0)), 0)::float8
            from pg_catalog.pg_partition_tree(c.oid) t
            join pg_catalog.pg_class p on p.oid = t.relid
            where t.isleaf
        )
        when c.reltuples >= 0 then c.reltuples::float8
        when c.relkind in ('r', 'm') then pg_catalog.pg_relation_size(c.oid)::float8 / 8192 * 100
        else 0
    end as rows_estimated,
    array(
        select a.attname::text
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as columns
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = pg_catalog.to_regclass($1)
