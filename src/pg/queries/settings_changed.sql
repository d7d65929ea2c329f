-- Question: which settings of this session are not at their defaults?
-- Views:    pg_settings
-- Oldest:   14
-- Odd:      what the client or this session set itself is not the server's doing.
select /* pgload */
    s.name::text as name,
    s.setting::text as setting
from pg_catalog.pg_settings s
where s.source not in ('default', 'override', 'client', 'session', 'environment variable')
order by s.name
