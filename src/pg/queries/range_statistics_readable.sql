-- Question: may this role read what ANALYZE found where no view shows it?
-- Views:    rights
-- Oldest:   9.0
select /* pgload */ pg_catalog.has_table_privilege('pg_catalog.pg_statistic', 'select') as readable
