-- Question: what did these statements do for this role in this database so far?
-- Views:    pg_stat_statements
-- Oldest:   14 (extension 1.9)
-- Odd:      {schema} is the extension's own schema, quoted; two rows of one statement differ in toplevel.
select /* pgload */
    s.queryid as query_id,
    sum(s.calls)::int8 as calls,
    sum(s.rows)::int8 as rows,
    sum(s.shared_blks_hit + s.shared_blks_read)::int8 as blocks,
    sum(s.temp_blks_read + s.temp_blks_written)::int8 as temp_blocks,
    sum(s.wal_records)::int8 as wal_records,
    sum(s.wal_bytes)::int8 as wal_bytes
from {schema}.pg_stat_statements s
where s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
    and s.userid = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
    and s.queryid = any ($1)
group by s.queryid
