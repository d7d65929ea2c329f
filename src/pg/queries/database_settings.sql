-- Question: which settings does this database bring to its sessions, for all roles (role null) or for one?
-- Views:    pg_db_role_setting, pg_roles
-- Oldest:   14
-- Odd:      a template's settings are not copied with it; each entry is name=value.
select /* pgload */
    (select r.rolname::text from pg_catalog.pg_roles r where r.oid = s.setrole) as role_name,
    entry::text as entry
from pg_catalog.pg_db_role_setting s
    cross join lateral pg_catalog.unnest(s.setconfig) as entry
where s.setdatabase = (select d.oid from pg_catalog.pg_database d where d.datname = $1)
