-- Question: which tables does this session keep others from, and does it wait itself?
-- Views:    pg_locks, pg_class, pg_namespace
-- Oldest:   14
-- Odd:      only locks that conflict with writes (ShareLock) or more; catalogs are left out.
select /* pgload */
    (n.nspname || '.' || c.relname)::text as relation,
    l.mode::text as mode,
    l.granted as granted
from pg_catalog.pg_locks l
    left join pg_catalog.pg_class c on c.oid = l.relation and l.locktype = 'relation'
    left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where l.pid = $1
    and (not l.granted
        or (l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            and c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_toast%'))
