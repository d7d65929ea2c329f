-- Question: who is connected to this database?
-- Views:    pg_stat_activity
-- Oldest:   14
-- Odd:      background workers without a client count too: a parallel worker or an autovacuum keeps a template busy.
select /* pgload */
    a.pid::int4 as pid,
    coalesce(a.usename, a.backend_type, '')::text as who,
    coalesce(a.application_name, '')::text as application,
    coalesce(a.state, '')::text as state
from pg_catalog.pg_stat_activity a
where a.datname = $1 and a.pid <> pg_catalog.pg_backend_pid()
order by a.backend_start
