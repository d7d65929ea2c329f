-- Question: which columns do these relations have, and of which types?
-- Views:    pg_attribute, pg_type, pg_attrdef, pg_collation, pg_opclass
-- Oldest:   14
-- Odd:      a domain is judged by its base type, also through domains over domains.
-- $1 oid[] tables
with /* pgload */ recursive base as (
    select t.oid, t.oid as base_oid
    from pg_catalog.pg_type t
    where t.oid in (select distinct a.atttypid from pg_catalog.pg_attribute a where a.attrelid = any ($1::oid[]) and a.attnum > 0)
    union all
    select base.oid, t.typbasetype
    from base
    join pg_catalog.pg_type t on t.oid = base.base_oid
    where t.typtype = 'd'
),
column_type as materialized (
    select
        base.oid,
        b.typcategory::text as category,
        exists (
            select 1
            from pg_catalog.pg_opclass o
            where
                o.opcmethod = (select am.oid from pg_catalog.pg_am am where am.amname = 'btree')
                and o.opcdefault
                and (
                    o.opcintype = b.oid
                    or (b.typtype = 'e' and o.opcintype = 'pg_catalog.anyenum'::pg_catalog.regtype)
                    or (b.typtype = 'r' and o.opcintype = 'pg_catalog.anyrange'::pg_catalog.regtype)
                    or (b.typtype = 'm' and o.opcintype = 'pg_catalog.anymultirange'::pg_catalog.regtype)
                    or (b.typtype = 'c' and o.opcintype = 'pg_catalog.record'::pg_catalog.regtype)
                    or (b.typcategory = 'A' and o.opcintype = 'pg_catalog.anyarray'::pg_catalog.regtype)
                    or exists (
                        select 1
                        from pg_catalog.pg_cast k
                        where k.castsource = b.oid and k.casttarget = o.opcintype and k.castmethod = 'b' and k.castcontext = 'i'
                    )
                )
        ) as btree
    from base
    join pg_catalog.pg_type b on b.oid = base.base_oid
    where b.typtype <> 'd'
)
select
    a.attrelid as table_oid,
    a.attnum as number,
    a.attname::text as name,
    pg_catalog.format_type(a.atttypid, a.atttypmod) as type_name,
    coalesce(t.category, 'U') as type_category,
    a.attlen as type_length,
    a.attalign::text as type_alignment,
    coalesce(t.btree, false) as btree,
    a.attnotnull as not_null,
    case
        when l.oid <> 'pg_catalog."default"'::pg_catalog.regcollation
            then case when l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace then '' else pg_catalog.quote_ident(ln.nspname) || '.' end
                || pg_catalog.quote_ident(l.collname)
    end as collation,
    pg_catalog.pg_get_expr(d.adbin, d.adrelid) as default_expression,
    a.attgenerated <> '' as generated,
    a.attgenerated = 'v' as generated_virtual,
    a.attidentity <> '' as identity
from pg_catalog.pg_attribute a
left join column_type t on t.oid = a.atttypid
left join pg_catalog.pg_collation l on l.oid = a.attcollation
left join pg_catalog.pg_namespace ln on ln.oid = l.collnamespace
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where
    a.attrelid = any ($1::oid[])
    and a.attnum > 0
    and not a.attisdropped
order by a.attrelid, a.attnum
