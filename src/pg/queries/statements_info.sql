-- Question: how complete is pg_stat_statements, and since when?
-- Views:    pg_stat_statements_info
-- Oldest:   14 (extension 1.9)
-- Odd:      {schema} is the extension's own schema, quoted.
select /* pgload */
    i.dealloc as evicted,
    i.stats_reset as reset_at
from {schema}.pg_stat_statements_info i
