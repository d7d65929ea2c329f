-- Question: which server is this, what may this role see of it, and where does it count statements?
-- Views:    pg_extension, pg_namespace, pg_database, settings
-- Oldest:   13
-- Odd:      the extension can exist without its library being loaded; its view then raises 55000.
select /* pgload */
    pg_catalog.current_setting('server_version') as version,
    pg_catalog.current_setting('server_version_num')::int4 as version_num,
    d.datname::text as database,
    d.oid as database_oid,
    current_user::text as role,
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage') as reads_all_stats,
    pg_catalog.current_setting('track_io_timing')::bool as times_io,
    case
        when pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'usage')
        then pg_catalog.current_setting('shared_preload_libraries')
    end as preloaded,
    e.extversion as statements_version,
    n.nspname::text as statements_schema
from pg_catalog.pg_database d
left join pg_catalog.pg_extension e on e.extname = 'pg_stat_statements'
left join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where d.datname = pg_catalog.current_database()
