-- Question: which invalid copies did interrupted concurrent rebuilds of this index leave, and is someone building on the table now?
-- Views:    pg_class, pg_index, pg_stat_progress_create_index, pg_locks
-- Oldest:   14
-- Odd:      the server names the copy after the index, cut to fit, with _ccnew and a number where taken (_ccold while the
--           old one goes). As for interrupted_index.sql, the progress view and pg_locks together answer for every role.
-- $1 text index, as SQL spells it
select /* pgload */
    n.nspname::text as schema_name,
    copy.relname::text as index_name,
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
from pg_catalog.pg_class original
join pg_catalog.pg_index oi on oi.indexrelid = original.oid
join pg_catalog.pg_index i on i.indrelid = oi.indrelid and not i.indisvalid and i.indexrelid <> oi.indexrelid
join pg_catalog.pg_class copy on copy.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = copy.relnamespace
cross join lateral (select pg_catalog.regexp_replace(copy.relname, '_cc(new|old)[0-9]*$', '') as stem) s
where
    original.oid = pg_catalog.to_regclass($1)
    and copy.relname ~ '_cc(new|old)[0-9]*$'
    and (
        s.stem = original.relname
        or (pg_catalog.octet_length(original.relname) > 55 and pg_catalog.starts_with(original.relname, s.stem))
    )
order by copy.relname
