-- Question: which functions are there that a query or an index may call?
-- Views:    pg_proc, pg_language, pg_depend
-- Oldest:   14
-- Odd:      left out: procedures and trigger functions, which no plan calls; aggregates and window functions, which
--           pg_get_functiondef does not print; constructors of ranges, which come with their type. An extension's function in C has an empty definition: only the extension
--           makes it, and there may be thousands.
select /* pgload */
    p.oid,
    n.nspname::text as schema,
    p.proname::text as name,
    pg_catalog.pg_get_function_identity_arguments(p.oid) as arguments,
    l.lanname::text as language,
    p.provolatile::text as volatility,
    case
        when x.extname is not null and l.lanname in ('c', 'internal') then ''
        else pg_catalog.pg_get_functiondef(p.oid)
    end as definition,
    x.extname::text as extension
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
left join lateral (
    select e.extname
    from pg_catalog.pg_depend d
    join pg_catalog.pg_extension e on e.oid = d.refobjid
    where
        d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        and d.objid = p.oid
        and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        and d.deptype = 'e'
    limit 1
) as x on true
where
    p.prokind = 'f'
    and p.prorettype not in ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
    and n.nspname <> 'information_schema'
    and n.nspname !~ '^pg_'
    and not exists (
        select 1
        from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'i'
    )
order by p.oid
