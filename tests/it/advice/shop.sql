-- Enough for every row of the tables with indexes on expressions, so that another ANALYZE finds the same.
set default_statistics_target = 250;
create extension pg_trgm;
create table customers (
    id bigint primary key, email text not null, name text collate "en-x-icu" not null, city text not null, remark text not null,
    phone text not null, deleted_at timestamptz, joined_at timestamptz not null
);
insert into customers
select i, 'User' || i || '@Example.com', 'Name ' || md5(i::text), 'city ' || i % 400, md5((i * 7)::text) || ' ' || md5((i * 13)::text),
    '+49' || i::bigint * 7919 % 60000, case when i % 10 = 0 then timestamptz '2024-01-01' end,
    timestamptz '2024-01-01' + i * interval '5 minutes'
from generate_series(1, 60000) as i;
create view reachable as select id, email, phone from customers where deleted_at is null;
create table orders (
    id bigint primary key, customer_id bigint not null, status text not null, priority integer not null, placed_at timestamptz not null,
    total numeric(10, 2) not null, invoice integer not null, parcel integer not null, note text not null
);
insert into orders
select i, i::bigint * 7919 % 60000 + 1, case when i % 1000 = 0 then 'lost' when i % 3 = 0 then 'new' else 'paid' end, i * 31 % 7,
    timestamptz '2024-01-01' + (i::bigint * 4001 % 120000) * interval '4 minutes', i % 977 + 0.5, i::bigint * 17 % 120000,
    i::bigint * 23 % 120000, repeat('x', i % 60)
from generate_series(1, 120000) as i;
create table jobs (
    id bigint primary key, state text not null, queued_at timestamptz not null, external_id integer not null, attempts integer not null,
    payload text not null
);
insert into jobs
select i, case when i % 400 = 0 then 'failed' when i % 5 = 0 then 'waiting' else 'done' end,
    timestamptz '2024-01-01' + (i::bigint * 4001 % 100000) * interval '1 minute', i::bigint * 19 % 100000, 0, repeat('p', i % 80)
from generate_series(1, 100000) as i;
create table payments (id bigint primary key, account_id integer not null, amount numeric(10, 2) not null, memo text not null);
insert into payments
select i, i::bigint * 7919 % 211, i % 977 + 0.25, repeat('m', 40 + i % 60) from generate_series(1, 120000) as i;
create table players (id bigint primary key, score integer not null, alias text not null);
insert into players select i, i::bigint * 7919 % 1000003, 'alias ' || i from generate_series(1, 60000) as i;
create table posts (id bigint primary key, tags text[] not null, doc jsonb not null, facts jsonb not null, body text not null);
alter table posts alter column facts set statistics 1000;
insert into posts
select i, array['t' || i % 700, 'u' || i % 900], jsonb_build_object('kind', i % 3000, 'lang', 'l' || i % 5),
    jsonb_build_object('level', hashint4(i) & 511, 'name', 'n' || i), repeat('b', 100)
from generate_series(1, 60000) as i;
create table bookings (id bigint primary key, room integer not null, during tstzrange not null);
insert into bookings
select i, i % 90, tstzrange(timestamptz '2024-01-01' + (i::bigint * 4001 % 60000) * interval '30 minutes',
    timestamptz '2024-01-01' + (i::bigint * 4001 % 60000) * interval '30 minutes' + interval '2 hours')
from generate_series(1, 60000) as i;
create table readings (
    id bigint primary key, device integer not null, sensor integer not null, taken_at timestamptz not null, value double precision not null,
    unit text not null
);
insert into readings
select i, i::bigint * 7919 % 307, i::bigint * 4001 % 1009, timestamptz '2024-01-01' + i * interval '1 minute', i % 977, 'celsius'
from generate_series(1, 120000) as i;
create table archive (like readings);
create table stock (sku text not null, warehouse integer not null, quantity integer not null, label text not null);
insert into stock select 'sku' || i::bigint * 7919 % 100000, i % 9, i % 100, repeat('l', i % 50) from generate_series(1, 100000) as i;
create table deliveries (sku text not null, quantity integer not null);
insert into deliveries select 'sku' || i * 37, i from generate_series(1, 30) as i;
create table pages (id bigint primary key, url text not null, title text not null);
insert into pages select i, 'https://example.com/' || repeat(md5(i::text), 5), 'title ' || i from generate_series(1, 40000) as i;
create table events (id bigint not null, at timestamptz not null, kind integer not null, payload text not null) partition by range (at);
create table events_2023 partition of events for values from ('2023-01-01') to ('2024-01-01');
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
insert into events
select i, timestamptz '2023-01-01' + (i::bigint * 7919 % 100000) * interval '10 minutes', i::bigint * 7919 % 1499, repeat('e', i % 70)
from generate_series(1, 100000) as i;
create table log (id bigint not null, at timestamptz not null, line text not null);
insert into log select i, timestamptz '2024-01-01' + i * interval '1 minute', repeat('l', 700) from generate_series(1, 115000) as i;
create schema "Odd Name";
create table "Odd Name"."Big ""Table""" (id bigint primary key, "Select" integer not null, "order by" text not null);
insert into "Odd Name"."Big ""Table""" select i, i::bigint * 7919 % 20011, 'text ' || i from generate_series(1, 60000) as i;
vacuum (freeze, analyze);
