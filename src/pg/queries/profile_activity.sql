-- Question: who is active in this database now, and what does each wait for?
-- Views:    pg_stat_activity
-- Oldest:   13
-- Odd:      "-- from N" is the server's version. The text is read only where there is no number to know a statement by. The
--           server's own processes have no database and no state; those that wait for work (class Activity) are idle.
select /* pgload */
    a.pid,
    a.datid is null as background,
    a.usesysid as user_oid,
    a.query_id, -- from 140000
    null::int8 as query_id, -- before 140000
    a.wait_event_type,
    a.wait_event,
    a.backend_type,
    case when a.query_id is null and a.datid is not null then a.query end as query, -- from 140000
    case when a.datid is not null then a.query end as query, -- before 140000
    coalesce(a.query = '<insufficient privilege>', false) as hidden
from pg_catalog.pg_stat_activity a
where a.pid <> pg_catalog.pg_backend_pid()
    and a.application_name is distinct from 'pgload profile'
    and (a.datid = $1 or a.datid is null)
    and a.wait_event_type is distinct from 'Activity'
    and (
        a.state in ('active', 'fastpath function call')
        or (a.state is null and a.datid is null and a.backend_type is not null)
        or (a.query = '<insufficient privilege>' and a.datid is not null)
    )
