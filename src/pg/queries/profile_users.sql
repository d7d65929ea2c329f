-- Question: what are the roles called?
-- Views:    pg_roles
-- Oldest:   13
select /* pgload */
    r.oid as user_oid,
    r.rolname::text as name
from pg_catalog.pg_roles r
