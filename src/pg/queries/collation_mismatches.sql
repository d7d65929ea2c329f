-- Question: which collations may sort otherwise now than when indexes were built with them?
-- Views:    pg_collation, pg_index, pg_database
-- Oldest:   14
-- Odd:      only collations that indexes of the user's rely on, and the database's own (15 and later), which has no name here.
select /* pgload */
    case when l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace then '' else pg_catalog.quote_ident(n.nspname) || '.' end
        || pg_catalog.quote_ident(l.collname) as collation,
    l.collversion as recorded,
    pg_catalog.pg_collation_actual_version(l.oid) as actual
from pg_catalog.pg_collation l
join pg_catalog.pg_namespace n on n.oid = l.collnamespace
where
    l.oid in (
        select pg_catalog.unnest(i.indcollation::oid[])
        from pg_catalog.pg_index i
        where i.indexrelid >= 16384
    )
    and l.collversion <> pg_catalog.pg_collation_actual_version(l.oid)
union all -- from 150000
select null, d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid) -- from 150000
from pg_catalog.pg_database d -- from 150000
where -- from 150000
    d.datname = pg_catalog.current_database() -- from 150000
    and d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid) -- from 150000
order by 1
