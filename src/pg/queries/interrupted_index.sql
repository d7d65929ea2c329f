-- Question: is there an invalid index of that name on that table, and is someone building on the table now?
-- Views:    pg_class, pg_index, pg_stat_progress_create_index, pg_locks
-- Oldest:   14
-- Odd:      the progress view hides the table of other roles' builds but never their pid, and pg_locks hides nothing:
--           together they answer for every role. A partitioned index (relkind I) is invalid until all its parts are
--           attached, and so is left out.
-- $1 text table, as SQL spells it
-- $2 text index, as the catalog stores it
select /* pgload */
    n.nspname::text as schema_name,
    c.relname::text as index_name,
    (
        select p.pid
        from pg_catalog.pg_stat_progress_create_index p
        join pg_catalog.pg_locks l on l.pid = p.pid
        where
            l.locktype = 'relation'
            and l.relation = i.indrelid
            and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
            and l.granted
            and p.pid <> pg_catalog.pg_backend_pid()
        order by p.pid
        limit 1
    ) as builder
from pg_catalog.pg_class c
join pg_catalog.pg_index i on i.indexrelid = c.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where
    i.indrelid = pg_catalog.to_regclass($1)
    and c.relname = $2::text
    and c.relkind = 'i'
    and not i.indisvalid
