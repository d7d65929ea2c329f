-- Question: what are the texts of these statements, which are running now?
-- Views:    pg_stat_activity
-- Oldest:   14
-- Odd:      these texts hold the values that were sent; the caller takes them out.
select /* pgload */ distinct on (a.usesysid, a.query_id)
    a.usesysid as user_oid,
    a.query_id,
    a.query
from pg_catalog.pg_stat_activity a
where a.datid = $1
    and a.query_id = any ($2)
    and a.query is not null
order by a.usesysid, a.query_id
