-- Question: what has each statement of the server counted so far?
-- Views:    pg_stat_statements, by its function, which leaves the file of texts alone
-- Oldest:   13 (extension 1.8)
-- Odd:      {schema} is the extension's own schema, quoted; "-- from N" is the extension's version here, 1.11 as 10011.
--           A null query_id is a statement of a role that this one may not look at.
select /* pgload */
    s.dbid as database_oid,
    s.userid as user_oid,
    s.queryid as query_id,
    s.toplevel as top_level, -- from 10009
    true as top_level, -- before 10009
    s.calls,
    s.rows,
    s.total_exec_time as exec_ms_total,
    s.shared_blks_hit as shared_blocks_hit,
    s.shared_blks_read as shared_blocks_read,
    s.shared_blks_dirtied as shared_blocks_dirtied,
    s.shared_blks_written as shared_blocks_written,
    s.temp_blks_read as temp_blocks_read,
    s.temp_blks_written as temp_blocks_written,
    least(s.wal_bytes, 9223372036854775807)::int8 as wal_bytes,
    s.blk_read_time + s.blk_write_time as io_ms_total, -- before 10010
    s.blk_read_time + s.blk_write_time + s.temp_blk_read_time + s.temp_blk_write_time as io_ms_total, -- from 10010 before 10011
    s.shared_blk_read_time + s.shared_blk_write_time + s.local_blk_read_time + s.local_blk_write_time -- from 10011
        + s.temp_blk_read_time + s.temp_blk_write_time as io_ms_total, -- from 10011
    s.stats_since -- from 10011
    null::timestamptz as stats_since -- before 10011
from {schema}.pg_stat_statements(false) s
