-- Question: which tables have an index on an expression of which the planner knows nothing yet?
-- Views:    pg_index, pg_statistic (through pg_stats)
-- Oldest:   14
-- Odd:      an empty table's index has no statistics either, and is named each time.
select /* pgload */ distinct (pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname))::text as table_name
from pg_catalog.pg_index i
    join pg_catalog.pg_class t on t.oid = i.indrelid
    join pg_catalog.pg_namespace n on n.oid = t.relnamespace
    join pg_catalog.pg_class x on x.oid = i.indexrelid
where i.indexprs is not null
    and n.nspname not in ('pg_catalog', 'information_schema')
    and not exists (select from pg_catalog.pg_stats s where s.schemaname = n.nspname and s.tablename = x.relname)
