-- Question: how large is this database, and where does the server keep it?
-- Views:    pg_database, pg_settings
-- Oldest:   14
-- Odd:      data_directory is missing for roles without pg_read_all_settings.
select /* pgload */
    pg_catalog.pg_database_size(d.oid)::int8 as size_bytes,
    pg_catalog.current_setting('server_version_num')::int4 as version_num,
    (select s.setting from pg_catalog.pg_settings s where s.name = 'data_directory') as data_directory
from pg_catalog.pg_database d
where d.datname = $1
