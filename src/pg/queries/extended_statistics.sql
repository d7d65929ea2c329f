-- Question: which extended statistics have these tables, and what did ANALYZE find?
-- Views:    pg_statistic_ext, pg_stats_ext (it shows only those of tables whose owner's rights this role has)
-- Oldest:   14
-- Odd:      the combinations are an array of two dimensions: read flat, with the width of a row. From 15 on there may be two
--           rows, without children and with them: the latter matter where there is nothing else, in a partitioned table.
-- $1 oid[] tables
select /* pgload */
    s.oid,
    n.nspname::text as schema,
    s.stxname::text as name,
    s.stxrelid as table_oid,
    pg_catalog.pg_get_statisticsobjdef(s.oid) as definition,
    (
        select pg_catalog.array_agg(a.attname::text order by k.position)
        from pg_catalog.unnest(s.stxkeys::int2[]) with ordinality as k (attnum, position)
        join pg_catalog.pg_attribute a on a.attrelid = s.stxrelid and a.attnum = k.attnum
    ) as columns,
    pg_catalog.pg_get_statisticsobjdef_expressions(s.oid) as expressions,
    o.rolname::text as owner,
    coalesce(o.rolsuper, true) as owner_is_superuser,
    pg_catalog.pg_has_role(c.relowner, 'usage') and not pg_catalog.row_security_active(c.oid) as readable,
    f.statistics_name is not null as found,
    coalesce(f.inherited, false) as inherited,
    f.n_distinct::text as distinct_counts,
    f.dependencies::text as dependencies,
    pg_catalog.array_length(f.most_common_vals, 2) as row_width,
    array(select v.value from pg_catalog.unnest(f.most_common_vals) with ordinality as v (value, position) order by v.position) as common_values,
    f.most_common_freqs::float8[] as common_frequencies,
    f.most_common_base_freqs::float8[] as common_base_frequencies
from pg_catalog.pg_statistic_ext s
join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
join pg_catalog.pg_class c on c.oid = s.stxrelid
left join pg_catalog.pg_roles o on o.oid = c.relowner
left join lateral (
    select
        e.statistics_name,
        e.inherited, -- from 150000
        c.relkind = 'p' as inherited, -- before 150000
        e.n_distinct,
        e.dependencies,
        e.most_common_vals,
        e.most_common_freqs,
        e.most_common_base_freqs
    from pg_catalog.pg_stats_ext e
    where e.statistics_schemaname = n.nspname and e.statistics_name = s.stxname
    order by 2
    limit 1
) as f on true
where s.stxrelid = any ($1::oid[])
order by n.nspname, s.stxname
