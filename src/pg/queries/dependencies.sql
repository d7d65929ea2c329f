-- Question: which of the user's views, functions and types can only be made after which others?
-- Views:    pg_depend, pg_rewrite, pg_class, pg_constraint, pg_type
-- Oldest:   14
-- Odd:      a view depends on things through its rule, a composite type through its relation, a domain through its checks;
--           an array stands for its element, and a relation's row type for the relation. 16384 is the first oid of a user's.
with /* pgload */ needs as (
    select 'relation' as kind, r.ev_class as oid, d.refclassid as class, d.refobjid as other
    from pg_catalog.pg_depend d
    join pg_catalog.pg_rewrite r on r.oid = d.objid
    where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid >= 16384
    union all
    select 'function', d.objid, d.refclassid, d.refobjid
    from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid >= 16384
    union all
    select 'type', d.objid, d.refclassid, d.refobjid
    from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid >= 16384
    union all
    select 'type', c.reltype, d.refclassid, d.refobjid
    from pg_catalog.pg_depend d
    join pg_catalog.pg_class c on c.oid = d.objid
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid >= 16384 and c.relkind = 'c'
    union all
    select 'type', k.contypid, d.refclassid, d.refobjid
    from pg_catalog.pg_depend d
    join pg_catalog.pg_constraint k on k.oid = d.objid
    where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid >= 16384 and k.contypid <> 0
),
named as (
    select
        needs.kind,
        needs.oid,
        case
            when needs.class = 'pg_catalog.pg_proc'::pg_catalog.regclass then 'function'
            when needs.class = 'pg_catalog.pg_class'::pg_catalog.regclass then case when c.relkind = 'c' then 'type' else 'relation' end
            when b.typrelid <> 0 and bc.relkind <> 'c' then 'relation'
            else 'type'
        end as on_kind,
        case
            when needs.class = 'pg_catalog.pg_proc'::pg_catalog.regclass then needs.other
            when needs.class = 'pg_catalog.pg_class'::pg_catalog.regclass then case when c.relkind = 'c' then c.reltype else needs.other end
            when b.typrelid <> 0 and bc.relkind <> 'c' then b.typrelid
            else b.oid
        end as on_oid
    from needs
    left join pg_catalog.pg_class c on needs.class = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = needs.other
    left join pg_catalog.pg_type t on needs.class = 'pg_catalog.pg_type'::pg_catalog.regclass and t.oid = needs.other
    left join pg_catalog.pg_type b on b.oid = case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end
    left join pg_catalog.pg_class bc on bc.oid = b.typrelid
    where
        needs.other >= 16384
        and needs.class in (
            'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass
        )
)
select distinct
    named.kind,
    named.oid,
    named.on_kind,
    named.on_oid
from named
where
    named.on_oid is not null
    and (named.kind, named.oid) <> (named.on_kind, named.on_oid)
