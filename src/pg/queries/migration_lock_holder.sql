-- Question: which session holds this advisory lock in this database?
-- Views:    pg_locks
-- Oldest:   14
-- Odd:      a 64-bit key is shown in two halves, with objsubid 1.
-- $1 int8 key
select /* pgload */ l.pid
from pg_catalog.pg_locks l
join pg_catalog.pg_database d on d.oid = l.database
where
    d.datname = pg_catalog.current_database()
    and l.locktype = 'advisory'
    and l.granted
    and l.objsubid = 1
    and ((l.classid::bigint << 32) | l.objid::bigint) = $1
