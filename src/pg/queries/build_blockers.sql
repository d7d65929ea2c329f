-- Question: which transactions may a concurrent index build wait for?
-- Views:    pg_stat_activity
-- Oldest:   14
-- Odd:      backend_xmin of other roles' sessions is null unless the reader has pg_read_all_stats. Short statements are
--           left out: they end before anyone could read of them.
select /* pgload */
    a.pid,
    coalesce(a.usename::text, '') as user_name,
    coalesce(a.application_name, '') as application,
    coalesce(a.state, '') as state,
    coalesce(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start), 0)::bigint as open_s
from pg_catalog.pg_stat_activity a
where
    a.datname = pg_catalog.current_database()
    and a.pid <> pg_catalog.pg_backend_pid()
    and a.backend_type = 'client backend'
    and (a.backend_xmin is not null or a.backend_xid is not null)
    and (a.state like 'idle in transaction%' or pg_catalog.clock_timestamp() - a.xact_start >= interval '1 second')
order by a.xact_start, a.pid
