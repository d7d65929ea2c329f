-- Question: is there a migration history, and of what type are its versions?
-- Views:    pg_attribute
-- Oldest:   14
-- Odd:      no row when there is no history.
select /* pgload */ pg_catalog.format_type(a.atttypid, a.atttypmod) as version_type
from pg_catalog.pg_attribute a
where
    a.attrelid = pg_catalog.to_regclass('refinery_schema_history')
    and a.attname = 'version'
    and not a.attisdropped
