-- Question: which indexes do these tables have, and are they used?
-- Views:    pg_index, pg_class, pg_am, pg_opclass, pg_collation, pg_constraint, pg_stat_progress_create_index
-- Oldest:   14
-- Odd:      a line that ends in "-- from N" or "-- before N" is there only for server_version_num >= N or < N.
-- $1 oid[] tables
select /* pgload */
    i.indexrelid as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    i.indrelid as table_oid,
    am.amname::text as access_method,
    keys.columns as key_columns,
    keys.definitions as key_definitions,
    keys.opclasses as key_opclasses,
    keys.opclass_defaults as key_opclass_defaults,
    keys.collations as key_collations,
    keys.descending as key_descending,
    keys.nulls_first as key_nulls_first,
    keys.included,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) as predicate,
    i.indisunique as is_unique,
    i.indnullsnotdistinct as nulls_not_distinct, -- from 150000
    false as nulls_not_distinct, -- before 150000
    i.indisprimary as is_primary,
    i.indisexclusion as is_exclusion,
    (
        select k.conname::text
        from pg_catalog.pg_constraint k
        where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x') and k.conrelid = i.indrelid
        limit 1
    ) as constraint_name,
    exists (select 1 from pg_catalog.pg_constraint k where k.conindid = i.indexrelid and k.contype = 'f') as referenced,
    i.indisvalid as valid,
    i.indisready as ready,
    i.indislive as live,
    -- Without pg_read_all_stats another role's build shows no relation: better to hold an invalid index for one being built.
    exists (
        select 1
        from pg_catalog.pg_stat_progress_create_index p
        where
            p.index_relid = i.indexrelid
            or (p.relid is null and not i.indisvalid and p.datname = pg_catalog.current_database())
    ) as building,
    -- An index has no grants of its own: only its owner and pg_read_all_data see the statistics of its expressions.
    pg_catalog.has_table_privilege(i.indexrelid, 'select') as statistics_readable,
    i.indisclustered as clustered,
    i.indisreplident as replica_identity,
    (
        select e.extname::text
        from pg_catalog.pg_depend d
        join pg_catalog.pg_extension e on e.oid = d.refobjid
        where
            d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.objid = i.indexrelid
            and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            and d.deptype = 'e'
        limit 1
    ) as extension,
    (select h.inhparent from pg_catalog.pg_inherits h where h.inhrelid = i.indexrelid limit 1) as parent,
    pg_catalog.pg_relation_size(i.indexrelid) as size_bytes,
    c.relpages::int8 as pages,
    c.reltuples::float8 as rows,
    pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
    c.reloptions as options,
    pg_catalog.pg_stat_get_numscans(i.indexrelid) as scans,
    pg_catalog.pg_stat_get_tuples_returned(i.indexrelid) as entries_read,
    pg_catalog.pg_stat_get_tuples_fetched(i.indexrelid) as rows_fetched,
    pg_catalog.pg_stat_get_lastscan(i.indexrelid) as last_scan_at -- from 160000
    null::timestamptz as last_scan_at -- before 160000
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_am am on am.oid = c.relam
cross join lateral (
    select
        pg_catalog.array_agg(a.attname::text order by k.position) filter (where k.position <= i.indnkeyatts) as columns,
        pg_catalog.array_agg(
            case when k.attnum = 0 then pg_catalog.pg_get_indexdef(i.indexrelid, k.position::int4, true) end order by k.position
        ) filter (where k.position <= i.indnkeyatts) as definitions,
        pg_catalog.array_agg(
            case when o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace then '' else pg_catalog.quote_ident(s.nspname) || '.' end
            || pg_catalog.quote_ident(o.opcname)
            order by k.position
        ) filter (where k.position <= i.indnkeyatts) as opclasses,
        pg_catalog.array_agg(o.opcdefault order by k.position) filter (where k.position <= i.indnkeyatts) as opclass_defaults,
        pg_catalog.array_agg(
            case
                when l.oid <> 'pg_catalog."default"'::pg_catalog.regcollation
                    then case when l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace then '' else pg_catalog.quote_ident(ln.nspname) || '.' end
                        || pg_catalog.quote_ident(l.collname)
            end
            order by k.position
        ) filter (where k.position <= i.indnkeyatts) as collations,
        pg_catalog.array_agg((i.indoption[k.position - 1] & 1) = 1 order by k.position)
            filter (where k.position <= i.indnkeyatts) as descending,
        pg_catalog.array_agg((i.indoption[k.position - 1] & 2) = 2 order by k.position)
            filter (where k.position <= i.indnkeyatts) as nulls_first,
        pg_catalog.array_agg(a.attname::text order by k.position) filter (where k.position > i.indnkeyatts) as included
    from pg_catalog.unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
    left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum <> 0
    left join pg_catalog.pg_opclass o on o.oid = i.indclass[k.position - 1]
    left join pg_catalog.pg_namespace s on s.oid = o.opcnamespace
    left join pg_catalog.pg_collation l on l.oid = i.indcollation[k.position - 1]
    left join pg_catalog.pg_namespace ln on ln.oid = l.collnamespace
) as keys
where i.indrelid = any ($1::oid[])
order by n.nspname, c.relname
