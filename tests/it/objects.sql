-- Each kind of object a plan may need beside tables and indexes; {from 15} … lines are for that major version and later.
create schema shop;
create schema parts;
create extension pg_trgm;
create type shop.state as enum ('new', 'it''s', 'done');
create type shop.pair as (left_state shop.state, amount numeric(8, 2));
create domain shop.short as varchar(9) collate "C" not null check (length(value) > 0) check (value <> 'x');
create domain shop.shorter as shop.short;
create type shop.span as range (subtype = float8);
create collation shop.plain from "C";
create function shop.twice(n int) returns int language sql immutable as 'select $1 * 2';
create function shop.stepped(n int) returns int language plpgsql stable as 'begin return shop.twice(n); end';
create function shop.touched() returns trigger language plpgsql as 'begin return new; end';
create procedure shop.nothing() language sql as 'select 1';
create aggregate shop.all_of(int) (sfunc = int4pl, stype = int);
create table shop.orders (
    id int primary key,
    state shop.state,
    code shop.shorter,
    word text collate shop.plain,
    twice int generated always as (id * 2) stored,
    during int4range,
    city text,
    country text
);
create view shop.late as select id from shop.orders;
create view shop.early with (security_barrier = true) as select id, twice from shop.orders where state = 'done';
create or replace view shop.late as select id from shop.early;
create materialized view shop.middle as select id from shop.late;
create view shop.aaa as select id from shop.middle;
create statistics shop.places (ndistinct, dependencies, mcv) on city, country from shop.orders;
create statistics shop.lengths on (length(city)), (id % 7) from shop.orders;
create index orders_word on shop.orders using gist (word gist_trgm_ops (siglen = 32));
create index orders_length on shop.orders (length(word), date_trunc('day', '2020-01-01'::timestamp + id * '1 day'::interval));
alter table shop.orders enable row level security;
create role clerk;
create policy own on shop.orders as restrictive for update to clerk using (state <> 'done') with check (id > 0);
create policy seen on shop.orders using (true);
create table shop.events (id int, at date not null, region text) partition by range (at);
create table parts.events_old partition of shop.events for values from (minvalue) to ('2024-01-01');
create table parts.events_new partition of shop.events default partition by list (region);
create table parts.events_new_eu partition of parts.events_new for values in ('EU');
create table parts.events_new_rest partition of parts.events_new default;
create table shop.animals (id int, legs int);
create table shop.dogs () inherits (shop.animals);
create table shop.puppies (toys int) inherits (shop.dogs);
create foreign data wrapper nothing;
create server elsewhere foreign data wrapper nothing;
create foreign table shop.remote (id int) server elsewhere;
create table shop.later (id int, double int generated always as (id * 2) virtual); -- from 18
insert into shop.orders (id, state, code, word, during, city, country)
    select n, (array['new', 'it''s', 'done'])[1 + n % 3]::shop.state, 'c' || n, 'w' || n, int4range(n, n + n % 9),
        case when n % 10 > 0 then 'city' || n % 4 end, 'land' || n % 2
    from generate_series(1, 1000) n;
insert into shop.events select n, date '2023-06-01' + n % 400, case when n % 3 = 0 then 'EU' else 'US' end from generate_series(1, 1000) n;
insert into shop.animals select n, 4 from generate_series(1, 10) n;
insert into shop.dogs select n, 4 from generate_series(1, 500) n;
insert into shop.puppies select n, 3, 1 from generate_series(1, 100) n;
alter database objects set random_page_cost = 1.5;
analyze;
analyze shop.animals;
analyze shop.events;
