-- Question: which server is this, and where does it count statements?
-- Views:    pg_extension, pg_namespace, settings
-- Oldest:   14
-- Odd:      the extension can exist without its library being loaded; its view then raises 55000.
select /* pgload */
    pg_catalog.current_setting('server_version') as version,
    pg_catalog.current_setting('server_version_num')::int4 as version_num,
    pg_catalog.current_database()::text as database,
    pg_catalog.current_setting('shared_buffers') as shared_buffers,
    (
        select n.nspname::text
        from pg_catalog.pg_extension e
        join pg_catalog.pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'pg_stat_statements'
    ) as statements_schema
