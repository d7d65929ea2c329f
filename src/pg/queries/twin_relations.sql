-- Question: which relations are there, and where are their files?
-- Views:    pg_class, pg_am, pg_inherits
-- Oldest:   14
select /* pgload */
    c.oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    coalesce(m.amname::text, '') as access_method,
    pg_catalog.pg_relation_filepath(c.oid)::text as path,
    (select i.indrelid from pg_catalog.pg_index i where i.indexrelid = c.oid) as table_oid,
    (select h.inhparent from pg_catalog.pg_inherits h where h.inhrelid = c.oid order by h.inhseqno limit 1) as parent
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_am m on m.oid = c.relam
where
    c.relkind in ('r', 'p', 'i', 'I')
    and n.nspname <> 'information_schema'
    and n.nspname !~ '^pg_'
