-- Question: which server and database is this, and since when does it count?
-- Views:    pg_database, pg_stat_database, pg_postmaster_start_time()
-- Oldest:   14
select /* pgload */
    pg_catalog.current_database()::text as database,
    session_user::text as role,
    pg_catalog.pg_is_in_recovery() as in_recovery,
    pg_catalog.now() as taken_at,
    pg_catalog.pg_postmaster_start_time() as started_at,
    (select s.stats_reset from pg_catalog.pg_stat_database s where s.datname = d.datname) as stats_reset_at,
    d.datcollate::text as collate,
    d.datctype::text as ctype,
    pg_catalog.pg_encoding_to_char(d.encoding)::text as encoding,
    d.datlocprovider::text as locale_provider, -- from 150000
    'c' as locale_provider, -- before 150000
    d.datlocale as locale, -- from 170000
    d.daticulocale as locale, -- from 150000 before 170000
    null::text as locale, -- before 150000
    case
        when pg_catalog.has_database_privilege(pg_catalog.current_database(), 'connect')
            then pg_catalog.pg_database_size(pg_catalog.current_database())
    end::int8 as database_bytes,
    pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'usage') as reads_all_stats
from pg_catalog.pg_database d
where d.datname = pg_catalog.current_database()
