-- A little of everything a snapshot reads; {from 15} … lines are for that major version and later.
create extension btree_gist;
create schema shop;
create type shop.mood as enum ('sad', 'ok', 'happy');
create domain shop.email as text check (value like '%@%');
create domain shop.work_email as shop.email;
create table shop.customers (
    id bigint generated always as identity primary key,
    email shop.work_email not null,
    mood shop.mood default 'ok',
    tags text[],
    name varchar(40) collate "C",
    name_length int generated always as (length(name)) stored,
    dropped int,
    place point
);
alter table shop.customers drop column dropped;
create table shop."Order Lines" (
    "Line No" int not null,
    customer bigint references shop.customers on delete cascade on update set null,
    during tstzrange,
    note text,
    check ("Line No" > 0),
    exclude using gist (customer with =, during with &&)
) with (fillfactor = 80);
create table shop.events (id bigint, at date not null, kind text, primary key (id, at)) partition by range (at);
create table shop.events_2024 partition of shop.events for values from ('2024-01-01') to ('2025-01-01');
create table shop.events_rest partition of shop.events default;
create index events_kind on shop.events (kind);
create unlogged table shop.scratch (a int, b int);
create view shop.happy as select * from shop.customers where mood = 'happy';
create materialized view shop.moods as select mood, count(*) as many from shop.customers group by mood;
create index customers_lower on shop.customers (lower(email), id);
create index customers_partial on shop.customers (name desc nulls last) include (mood) where mood = 'happy';
create index customers_tags on shop.customers using gin (tags);
create index customers_name_hash on shop.customers using hash (name);
create index customers_pattern on shop.customers (name text_pattern_ops) with (fillfactor = 70);
create unique index scratch_nulls on shop.scratch (b) nulls not distinct; -- from 15
insert into shop.customers (email, mood, tags, name)
    select 'c' || n || '@example.org', (array['sad', 'ok', 'happy'])[1 + n % 3]::shop.mood,
        case when n % 10 > 0 then array['t' || n % 5, 'all, "quoted"'] end, 'name ' || n % 50
    from generate_series(1, 1000) n;
insert into shop.events select n, date '2024-06-01' + n % 400, 'k' || n % 4 from generate_series(1, 500) n;
insert into shop.scratch select 1, n from generate_series(1, 10) n;
refresh materialized view shop.moods;
analyze;
