-- Question: which prepared transactions would a concurrent index build wait for?
-- Views:    pg_prepared_xacts
-- Oldest:   14
select /* pgload */
    p.gid,
    p.owner::text as owner,
    extract(epoch from pg_catalog.clock_timestamp() - p.prepared)::bigint as open_s
from pg_catalog.pg_prepared_xacts p
where p.database = pg_catalog.current_database()
order by p.prepared, p.gid
