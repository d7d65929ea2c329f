-- Question: how often did these statements run for this role in this database, and how many shared blocks did they touch?
-- Views:    pg_stat_statements
-- Oldest:   14 (extension 1.9)
-- Odd:      {schema} is the extension's own schema, quoted; two rows of one statement differ in toplevel.
select /* pgload */
    s.queryid as query_id,
    sum(s.calls)::int8 as calls,
    sum(s.shared_blks_hit)::int8 as hit,
    sum(s.shared_blks_read)::int8 as read
from {schema}.pg_stat_statements s
where s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
    and s.userid = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
    and s.queryid = any ($1)
group by s.queryid
