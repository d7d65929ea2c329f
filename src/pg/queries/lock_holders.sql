-- Question: which relations may nobody else read now, and who holds them?
-- Views:    pg_locks, pg_class, pg_stat_activity
-- Oldest:   14
-- Odd:      nothing here opens a relation, so the question itself cannot wait.
select /* pgload */
    n.nspname::text as schema,
    c.relname::text as name,
    l.pid as process_id,
    a.usename::text as role
from pg_catalog.pg_locks l
join pg_catalog.pg_database d on d.oid = l.database
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where
    l.locktype = 'relation'
    and l.mode = 'AccessExclusiveLock'
    and l.granted
    and d.datname = pg_catalog.current_database()
    and n.nspname !~ '^pg_'
order by l.pid, n.nspname, c.relname
