-- Question: how far have the index builds in this database come?
-- Views:    pg_stat_progress_create_index
-- Oldest:   14
-- Odd:      each phase counts what it can: lockers waited for, blocks scanned, or rows sorted.
select /* pgload */
    p.pid,
    p.relid::pg_catalog.regclass::text as table_name,
    coalesce(p.phase, '') as phase,
    coalesce(case when p.lockers_total > 0 then p.lockers_done when p.blocks_total > 0 then p.blocks_done else p.tuples_done end, 0) as done,
    coalesce(case when p.lockers_total > 0 then p.lockers_total when p.blocks_total > 0 then p.blocks_total else p.tuples_total end, 0) as of_all
from pg_catalog.pg_stat_progress_create_index p
where p.datname = pg_catalog.current_database()
order by p.pid
