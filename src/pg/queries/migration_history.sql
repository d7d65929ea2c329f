-- Question: which migrations were applied?
-- Views:    refinery_schema_history, a table, found along the search path as refinery itself finds it
-- Oldest:   14
-- Odd:      version is int4 where a refinery without int8-versions made the table.
select /* pgload */
    h.version::bigint as version,
    coalesce(h.name, '') as name,
    coalesce(h.applied_on, '') as applied_on,
    coalesce(h.checksum, '') as checksum
from refinery_schema_history h
order by h.version
