-- Brings a seeded database to the state of one that has been up for a while: visibility maps set, statistics fresh,
-- and none of the seeding's own scans in the counters an audit reads.
-- Three statements, each sent by itself and outside a transaction. Server: 15 or newer.

-- The session's own counters wait up to a second before they are shared; sent later they would survive the reset.
select pg_catalog.pg_stat_force_next_flush();

-- Before the vacuum, since it also forgets when a table was analysed. Skipped without the right to do it.
select pg_catalog.pg_stat_reset() where has_function_privilege('pg_catalog.pg_stat_reset()', 'execute');

vacuum (analyze);
