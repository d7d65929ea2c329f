-- Question: which tables are there, how large, and how are they used?
-- Views:    pg_class, pg_stat_user_tables (as functions), pg_inherits, pg_depend
-- Oldest:   14
-- Odd:      a partitioned table comes with its partitions, wherever they are.
-- $1 text[] schemas, $2 text[] tables (as name or schema.name); empty for all
with /* pgload */ recursive chosen as (
    select c.oid
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where
        c.relkind in ('r', 'p', 'm')
        and c.relpersistence <> 't'
        and n.nspname <> 'information_schema'
        and n.nspname !~ '^pg_'
        and (pg_catalog.cardinality($1::text[]) = 0 or n.nspname = any ($1::text[]))
        and (
            pg_catalog.cardinality($2::text[]) = 0
            or c.relname = any ($2::text[])
            or n.nspname || '.' || c.relname = any ($2::text[])
        )
    union
    select i.inhrelid
    from chosen
    join pg_catalog.pg_inherits i on i.inhparent = chosen.oid
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    where c.relkind in ('r', 'p') and c.relispartition
)
select
    c.oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    c.relispartition as is_partition,
    (select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = c.oid order by i.inhseqno limit 1) as parent,
    c.reltuples::float8 as rows,
    c.relpages::int8 as pages,
    c.relallvisible::int8 as pages_all_visible,
    -- A relation dropped since this transaction's snapshot has no size any more: null.
    pg_catalog.pg_relation_size(c.oid) as heap_bytes,
    pg_catalog.pg_total_relation_size(c.oid) as total_bytes,
    c.relpersistence::text as persistence,
    c.reloptions as options,
    c.relreplident::text as replica_identity,
    c.relrowsecurity as row_security,
    pg_catalog.pg_get_partkeydef(c.oid) as partition_key,
    pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_bound,
    -- pg_stats shows a column to those who may select it, and none of a table whose row security applies to them.
    case
        when pg_catalog.row_security_active(c.oid) then 'row security'
        when not (
            pg_catalog.has_table_privilege(c.oid, 'select')
            or (
                select pg_catalog.bool_and(pg_catalog.has_column_privilege(c.oid, a.attnum, 'select'))
                from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            )
        ) then 'privilege'
    end as statistics_hidden_by,
    (
        select e.extname::text
        from pg_catalog.pg_depend d
        join pg_catalog.pg_extension e on e.oid = d.refobjid
        where
            d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            and d.objid = c.oid
            and d.objsubid = 0
            and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            and d.deptype = 'e'
        limit 1
    ) as extension,
    pg_catalog.pg_stat_get_numscans(c.oid) as seq_scans,
    pg_catalog.pg_stat_get_tuples_returned(c.oid) as seq_rows_read,
    (select pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid)) from pg_catalog.pg_index i where i.indrelid = c.oid)::int8 as index_scans,
    (
        coalesce((select pg_catalog.sum(pg_catalog.pg_stat_get_tuples_fetched(i.indexrelid)) from pg_catalog.pg_index i where i.indrelid = c.oid), 0)
        + pg_catalog.pg_stat_get_tuples_fetched(c.oid)
    )::int8 as index_rows_fetched,
    pg_catalog.pg_stat_get_tuples_inserted(c.oid) as rows_inserted,
    pg_catalog.pg_stat_get_tuples_updated(c.oid) as rows_updated,
    pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) as rows_hot_updated,
    pg_catalog.pg_stat_get_tuples_deleted(c.oid) as rows_deleted,
    pg_catalog.pg_stat_get_live_tuples(c.oid) as live_rows,
    pg_catalog.pg_stat_get_dead_tuples(c.oid) as dead_rows,
    pg_catalog.pg_stat_get_mod_since_analyze(c.oid) as modified_since_analyze,
    greatest(pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) as last_vacuum_at,
    greatest(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)) as last_analyze_at,
    (pg_catalog.pg_stat_get_blocks_fetched(c.oid) - pg_catalog.pg_stat_get_blocks_hit(c.oid)) as heap_blocks_read,
    pg_catalog.pg_stat_get_blocks_hit(c.oid) as heap_blocks_hit
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid in (select chosen.oid from chosen)
order by n.nspname, c.relname
