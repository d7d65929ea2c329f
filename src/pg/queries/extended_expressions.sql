-- Question: what did ANALYZE find in the expressions of extended statistics?
-- Views:    pg_stats_ext_exprs (it shows only those of tables whose owner's rights this role has)
-- Oldest:   14
-- Odd:      anyarray columns are read through text. Expressions are told apart by their text, which pg_stats_ext_exprs gives
--           as pg_get_statisticsobjdef_expressions prints it.
-- $1 oid[] tables
select /* pgload */
    s.oid as statistics_oid,
    e.expr as expression,
    e.inherited, -- from 150000
    false as inherited, -- before 150000
    null::text as type_name,
    coalesce(e.null_frac, 0)::float8 as null_fraction,
    coalesce(e.avg_width, 0) as width,
    coalesce(e.n_distinct, 0)::float8 as distinct_values,
    e.most_common_vals::text::text[] as common_values,
    e.most_common_freqs::float8[] as common_frequencies,
    e.histogram_bounds::text::text[] as histogram,
    e.correlation::float8 as correlation,
    e.most_common_elems::text::text[] as element_common_values,
    e.most_common_elem_freqs::float8[] as element_common_frequencies,
    e.elem_count_histogram::float8[] as element_count_histogram,
    null::float8[] as range_lengths,
    null::float8 as range_empty_fraction,
    null::text[] as range_bounds
from pg_catalog.pg_statistic_ext s
join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
join pg_catalog.pg_stats_ext_exprs e on e.statistics_schemaname = n.nspname and e.statistics_name = s.stxname
where
    s.stxrelid = any ($1::oid[])
    and e.null_frac is not null
order by s.oid, 3 desc
