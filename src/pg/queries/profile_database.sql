-- Question: what has this database counted so far?
-- Views:    pg_stat_database
-- Oldest:   13
-- Odd:      sessions report up to a second late.
select /* pgload */
    s.xact_commit as commits,
    s.xact_rollback as rollbacks,
    s.blks_hit as blocks_hit,
    s.blks_read as blocks_read,
    s.temp_files,
    s.temp_bytes,
    s.deadlocks,
    s.stats_reset as reset_at
from pg_catalog.pg_stat_database s
where s.datid = $1
