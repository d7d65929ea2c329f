-- Question: which server and database is this, and since when does it count?
-- Views:    pg_stat_database, pg_postmaster_start_time()
-- Oldest:   14
select
    pg_catalog.current_setting('server_version_num')::int4 as version_num,
    pg_catalog.current_database()::text as database,
    session_user::text as role,
    pg_catalog.pg_is_in_recovery() as in_recovery,
    pg_catalog.now() as taken_at,
    pg_catalog.pg_postmaster_start_time() as started_at,
    (select d.stats_reset from pg_catalog.pg_stat_database d where d.datname = pg_catalog.current_database()) as stats_reset_at,
    case
        when pg_catalog.has_database_privilege(pg_catalog.current_database(), 'connect')
            then pg_catalog.pg_database_size(pg_catalog.current_database())
    end::int8 as database_bytes,
    pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'usage') as reads_all_stats
