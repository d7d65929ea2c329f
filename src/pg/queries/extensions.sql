-- Question: which extensions are installed, and where?
-- Views:    pg_extension
-- Oldest:   14
select /* pgload */
    e.extname::text as name,
    e.extversion as version,
    n.nspname::text as schema
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
order by e.extname
