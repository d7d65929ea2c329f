-- Question: which rows do the policies of these tables show to whom?
-- Views:    pg_policy, pg_roles
-- Oldest:   14
-- Odd:      role 0 is everybody: no name.
-- $1 oid[] tables
select /* pgload */
    p.polrelid as table_oid,
    p.polname::text as name,
    p.polpermissive as permissive,
    p.polcmd::text as command,
    (
        select pg_catalog.array_agg(r.rolname::text order by r.rolname)
        from pg_catalog.pg_roles r
        where r.oid = any (p.polroles)
    ) as roles,
    pg_catalog.pg_get_expr(p.polqual, p.polrelid) as using_expression,
    pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) as check_expression
from pg_catalog.pg_policy p
where p.polrelid = any ($1::oid[])
order by p.polrelid, p.polname
