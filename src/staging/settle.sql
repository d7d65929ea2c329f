-- Brings a seeded database to the state of one that has been up for a while: visibility maps set, statistics fresh,
-- and none of the seeding's own scans in the counters an audit reads.
-- Three statements, each sent by itself and outside a transaction. A semicolon at the end of a line ends a statement.
-- Server: 15 or newer.

-- The session's own counters wait up to a second before they are shared; sent later they would survive the reset.
select pg_catalog.pg_stat_force_next_flush();

-- Before the vacuum, since it also forgets when a table was analysed. A role without the right keeps its counters: a
-- where clause would not do, since the right is checked before the first row is.
do $$ begin perform pg_catalog.pg_stat_reset(); exception when insufficient_privilege then null; end $$;

vacuum (analyze);
