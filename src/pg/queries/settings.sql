-- Question: how does the planner count costs, and how does the server keep statistics?
-- Views:    pg_settings
-- Oldest:   14
-- Odd:      asked before this session sets anything for itself, so that values are those of the role and database.
select /* pgload */
    s.name,
    s.setting as value,
    s.unit,
    s.source
from pg_catalog.pg_settings s
where
    s.category like 'Query Tuning%'
    or s.category like 'Autovacuum%'
    or s.category like '%Autovacuum'
    or s.name in (
        'shared_buffers', 'work_mem', 'maintenance_work_mem', 'max_connections', 'block_size', 'track_counts',
        'track_io_timing', 'track_activities', 'compute_query_id', 'max_wal_size', 'fsync', 'full_page_writes',
        'synchronous_commit', 'shared_preload_libraries', 'lc_collate', 'server_encoding', 'hash_mem_multiplier',
        'max_parallel_workers_per_gather', 'parallel_leader_participation', 'effective_io_concurrency', 'row_security',
        'max_parallel_workers', 'max_worker_processes', 'pg_stat_statements.max', 'pg_stat_statements.track',
        'pg_stat_statements.track_utility', 'autovacuum', 'pgload.environment'
    )
order by s.name
