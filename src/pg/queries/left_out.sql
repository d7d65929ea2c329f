-- Question: what bears on plans and is not in a snapshot?
-- Views:    pg_class, pg_inherits, pg_tablespace
-- Oldest:   14
select /* pgload */
    (
        select pg_catalog.array_agg(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) order by n.nspname, c.relname)
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'f' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    ) as foreign_tables,
    (
        select pg_catalog.array_agg(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) order by n.nspname, c.relname)
        from (select h.inhrelid from pg_catalog.pg_inherits h group by h.inhrelid having pg_catalog.count(*) > 1) as many
        join pg_catalog.pg_class c on c.oid = many.inhrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'f')
    ) as several_parents,
    (
        select pg_catalog.array_agg(s.spcname || ' (' || pg_catalog.array_to_string(s.spcoptions, ', ') || ')' order by s.spcname)
        from pg_catalog.pg_tablespace s
        where
            s.spcoptions is not null
            and exists (select 1 from pg_catalog.pg_class c where c.reltablespace = s.oid)
    ) as tablespaces
