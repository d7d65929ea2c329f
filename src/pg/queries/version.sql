-- Question: which version is the server?
-- Views:    settings
-- Oldest:   9.6
select /* pgload */ pg_catalog.current_setting('server_version_num')::int4 as version_num
