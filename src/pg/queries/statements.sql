-- Question: which statements ran in this database, and what did they cost?
-- Views:    pg_stat_statements
-- Oldest:   14 (extension 1.9)
-- Odd:      {schema} is the extension's own schema, quoted; "-- from N" is the extension's version here, 1.11 as 10011.
with /* pgload */ session_default as materialized (
    select p.reset_val as search_path from pg_catalog.pg_settings p where p.name = 'search_path'
)
select
    s.queryid::text as query_id,
    coalesce(r.rolname::text, s.userid::text) as role,
    s.query,
    s.toplevel as top_level,
    s.calls,
    s.rows,
    s.total_exec_time as exec_ms_total,
    s.mean_exec_time as exec_ms_mean,
    s.min_exec_time as exec_ms_min,
    s.max_exec_time as exec_ms_max,
    s.stddev_exec_time as exec_ms_deviation,
    s.shared_blks_hit as shared_blocks_hit,
    s.shared_blks_read as shared_blocks_read,
    s.temp_blks_read as temp_blocks_read,
    s.temp_blks_written as temp_blocks_written,
    least(s.wal_bytes, 9223372036854775807)::int8 as wal_bytes,
    s.stats_since, -- from 10011
    null::timestamptz as stats_since, -- before 10011
    coalesce(
        (select pg_catalog.substr(o.setting, 13) from pg_catalog.unnest(both_set.setconfig) as o (setting) where o.setting like 'search_path=%'),
        (select pg_catalog.substr(o.setting, 13) from pg_catalog.unnest(role_set.setconfig) as o (setting) where o.setting like 'search_path=%'),
        (select pg_catalog.substr(o.setting, 13) from pg_catalog.unnest(base_set.setconfig) as o (setting) where o.setting like 'search_path=%'),
        (select f.search_path from session_default f)
    ) as search_path
from {schema}.pg_stat_statements s
join pg_catalog.pg_database d on d.oid = s.dbid
left join pg_catalog.pg_roles r on r.oid = s.userid
left join pg_catalog.pg_db_role_setting both_set on both_set.setdatabase = s.dbid and both_set.setrole = s.userid
left join pg_catalog.pg_db_role_setting role_set on role_set.setdatabase = 0 and role_set.setrole = s.userid
left join pg_catalog.pg_db_role_setting base_set on base_set.setdatabase = s.dbid and base_set.setrole = 0
where d.datname = pg_catalog.current_database()
order by s.total_exec_time desc, s.queryid, s.toplevel
