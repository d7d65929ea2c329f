-- Question: what did ANALYZE find in the columns of these tables and the expressions of their indexes?
-- Views:    pg_stats (it shows only columns this role may select)
-- Oldest:   14
-- Odd:      anyarray columns are read through text, which every element type has. A table with children has two rows a column,
--           a partitioned one only the inherited. Only expressions say their type: columns have theirs elsewhere.
-- $1 oid[] tables and indexes
select /* pgload */
    a.attrelid as relation_oid,
    a.attnum as number,
    s.inherited,
    case when c.relkind in ('i', 'I') then pg_catalog.format_type(a.atttypid, a.atttypmod) end as type_name,
    s.null_frac::float8 as null_fraction,
    s.avg_width as width,
    s.n_distinct::float8 as distinct_values,
    s.most_common_vals::text::text[] as common_values,
    s.most_common_freqs::float8[] as common_frequencies,
    s.histogram_bounds::text::text[] as histogram,
    s.correlation::float8 as correlation,
    s.most_common_elems::text::text[] as element_common_values,
    s.most_common_elem_freqs::float8[] as element_common_frequencies,
    s.elem_count_histogram::float8[] as element_count_histogram,
    s.range_length_histogram::text::float8[] as range_lengths, -- from 170000
    s.range_empty_frac::float8 as range_empty_fraction, -- from 170000
    s.range_bounds_histogram::text::text[] as range_bounds -- from 170000
    null::float8[] as range_lengths, -- before 170000
    null::float8 as range_empty_fraction, -- before 170000
    null::text[] as range_bounds -- before 170000
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = s.attname
where c.oid = any ($1::oid[])
order by a.attrelid, a.attnum, s.inherited
