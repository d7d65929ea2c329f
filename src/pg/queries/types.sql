-- Question: which enums, domains, composite types and ranges are there?
-- Views:    pg_type, pg_enum, pg_constraint, pg_attribute, pg_range, pg_depend
-- Oldest:   14
-- Odd:      a table's row type is no type of its own.
select /* pgload */
    t.oid,
    n.nspname::text as schema,
    t.typname::text as name,
    t.typtype::text as kind,
    (select pg_catalog.array_agg(e.enumlabel::text order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = t.oid) as labels,
    case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end as base,
    t.typnotnull as not_null,
    case
        when t.typtype = 'd' and t.typcollation <> b.typcollation
            then case when l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace then '' else pg_catalog.quote_ident(ln.nspname) || '.' end
                || pg_catalog.quote_ident(l.collname)
    end as collation,
    (
        select pg_catalog.array_agg(pg_catalog.pg_get_constraintdef(k.oid) order by k.conname)
        from pg_catalog.pg_constraint k
        where k.contypid = t.oid and k.contype = 'c'
    ) as checks,
    attributes.names as attribute_names,
    attributes.types as attribute_types,
    (select pg_catalog.format_type(r.rngsubtype, null) from pg_catalog.pg_range r where r.rngtypid = t.oid) as subtype,
    (
        select e.extname::text
        from pg_catalog.pg_depend d
        join pg_catalog.pg_extension e on e.oid = d.refobjid
        where
            d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
            and d.objid = t.oid
            and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            and d.deptype = 'e'
        limit 1
    ) as extension
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_class c on c.oid = t.typrelid
left join pg_catalog.pg_type b on b.oid = t.typbasetype
left join pg_catalog.pg_collation l on l.oid = t.typcollation
left join pg_catalog.pg_namespace ln on ln.oid = l.collnamespace
left join lateral (
    select
        pg_catalog.array_agg(a.attname::text order by a.attnum) as names,
        pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum) as types
    from pg_catalog.pg_attribute a
    where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
) as attributes on t.typtype = 'c'
where
    (t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c'))
    and n.nspname <> 'information_schema'
    and n.nspname !~ '^pg_'
order by t.oid
