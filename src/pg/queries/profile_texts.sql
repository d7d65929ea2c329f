-- Question: what are the texts of these statements of this database?
-- Views:    pg_stat_statements
-- Oldest:   13 (extension 1.8)
-- Odd:      {schema} is the extension's own schema, quoted; a null text is one whose file the server lost.
select /* pgload */ distinct on (s.userid, s.queryid)
    s.userid as user_oid,
    s.queryid as query_id,
    s.query
from {schema}.pg_stat_statements(true) s
where s.dbid = $1
    and s.queryid = any ($2)
    and s.query is not null
order by s.userid, s.queryid
