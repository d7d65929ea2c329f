-- Question: what are the sessions that put load on this database doing at this moment?
-- Views:    pg_stat_activity
-- Oldest:   14
-- Odd:      no wait event means that the session runs, or wants to run, on a processor; a transaction that waits for its
--           client's next statement is counted as that (Client:ClientRead), a session between calls not at all.
select /* pgload */
    coalesce(a.wait_event_type || ':' || a.wait_event, 'CPU') as event,
    count(*)::int8 as sessions
from pg_catalog.pg_stat_activity a
where a.application_name = $1
    and a.datname = pg_catalog.current_database()
    and a.pid <> pg_catalog.pg_backend_pid()
    and a.state <> 'idle'
group by 1
