-- Question: which indexes are there, and how large are they?
-- Views:    pg_class, pg_namespace
-- Oldest:   14
-- Odd:      indexes of the server itself are left out.
select /* pgload */
    (n.nspname || '.' || c.relname)::text as name,
    pg_catalog.pg_relation_size(c.oid)::int8 as size_bytes
from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'i' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_toast%'
order by 1
