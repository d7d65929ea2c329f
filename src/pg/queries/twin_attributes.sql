-- Question: by which operators does ANALYZE compare the values of each column and index expression?
-- Views:    pg_attribute, pg_type, pg_opclass, pg_amop, pg_cast, pg_range
-- Oldest:   14
-- Odd:      follows GetDefaultOpClass: the type's own class, else the one of a type it is the same bytes as, preferred types first.
with /* pgload */ recursive base as (
    select t.oid, t.oid as base_oid
    from pg_catalog.pg_type t
    -- Every table has a composite type, and next to no column has one.
    where t.typtype not in ('p', 'c')
    union all
    select base.oid, t.typbasetype
    from base
    join pg_catalog.pg_type t on t.oid = base.base_oid
    where t.typtype = 'd'
),
plain as (
    select base.oid, b.oid as base_oid, b.typtype, b.typcategory, b.typelem
    from base
    join pg_catalog.pg_type b on b.oid = base.base_oid
    where b.typtype <> 'd'
),
class as (
    select distinct on (plain.oid)
        plain.oid, o.opcfamily, o.opcintype
    from plain
    join pg_catalog.pg_opclass o on o.opcmethod = 403 and o.opcdefault
    join pg_catalog.pg_type i on i.oid = o.opcintype
    where
        o.opcintype = plain.base_oid
        or (plain.typtype = 'e' and o.opcintype = 'pg_catalog.anyenum'::pg_catalog.regtype)
        or (plain.typtype = 'r' and o.opcintype = 'pg_catalog.anyrange'::pg_catalog.regtype)
        or (plain.typtype = 'm' and o.opcintype = 'pg_catalog.anymultirange'::pg_catalog.regtype)
        or (plain.typcategory = 'A' and o.opcintype = 'pg_catalog.anyarray'::pg_catalog.regtype)
        or exists (
            select 1
            from pg_catalog.pg_cast k
            where k.castsource = plain.base_oid and k.casttarget = o.opcintype and k.castmethod = 'b' and k.castcontext = 'i'
        )
    order by plain.oid, (o.opcintype = plain.base_oid) desc, i.typispreferred desc, o.oid
),
operators as materialized (
    select
        class.oid,
        max(m.amopopr) filter (where m.amopstrategy = 3) as equal,
        max(m.amopopr) filter (where m.amopstrategy = 1) as less
    from class
    join pg_catalog.pg_amop m
        on m.amopfamily = class.opcfamily and m.amoplefttype = class.opcintype and m.amoprighttype = class.opcintype
    group by class.oid
)
select
    c.oid as relation_oid,
    n.nspname::text as schema,
    c.relname::text as relation,
    a.attname::text as name,
    a.attnum as number,
    a.atttypid as type_oid,
    a.attcollation as collation_oid,
    coalesce(o.equal, 0::oid) as equal,
    coalesce(o.less, 0::oid) as less,
    case
        when plain.typcategory = 'A' then plain.typelem
        when plain.base_oid = 'pg_catalog.tsvector'::pg_catalog.regtype then 'pg_catalog.text'::pg_catalog.regtype::oid
        else 0::oid
    end as element_oid,
    case
        when plain.base_oid = 'pg_catalog.tsvector'::pg_catalog.regtype then 98::oid
        else coalesce(e.equal, 0::oid)
    end as element_equal,
    case when plain.base_oid = 'pg_catalog.tsvector'::pg_catalog.regtype then 100::oid else a.attcollation end as element_collation,
    coalesce((select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = plain.base_oid), a.atttypid) as range_oid
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join plain on plain.oid = a.atttypid
left join operators o on o.oid = a.atttypid
left join operators e on e.oid = plain.typelem and plain.typcategory = 'A'
where
    c.relkind in ('r', 'p', 'i', 'I')
    and n.nspname <> 'information_schema'
    and n.nspname !~ '^pg_'
