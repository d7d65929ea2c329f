create extension btree_gin;
create schema shop;
create type shop.mood as enum ('sad', 'ok', 'happy');
create domain shop.email as text check (value like '%@%');
create function shop.initial(text) returns text language sql immutable as $$ select left($1, 1) $$;
create table shop.customers (
    id bigint primary key,
    email shop.email not null,
    name varchar(40) collate "C",
    mood shop.mood,
    city text,
    rating numeric(3, 1),
    created_at timestamptz not null,
    deleted_at timestamptz
);
insert into shop.customers
select
    i, 'user' || i || '@example.com', 'Name ' || (i * 7919) % 20000, (array['sad', 'ok', 'ok', 'happy'])[1 + i % 4]::shop.mood,
    'city ' || (i % 97), (i % 97) / 2.0, timestamptz '2024-01-01 00:00+00' + i * interval '17 minutes',
    case when i % 50 = 0 then timestamptz '2024-06-01 00:00+00' end
from generate_series(1, 20000) as i;
create index customers_lower on shop.customers (lower(email));
create index customers_city_mood on shop.customers (city, mood);
create index customers_deleted on shop.customers (deleted_at) where deleted_at is not null;
create table shop.orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references shop.customers (id),
    status text not null,
    total numeric(10, 2) not null,
    placed_at timestamptz not null,
    note text,
    tags text[],
    payload jsonb
) with (fillfactor = 90);
insert into shop.orders (customer_id, status, total, placed_at, note, tags, payload)
select
    1 + (i * 6151) % 20000, (array['new', 'paid', 'paid', 'paid', 'shipped', 'shipped', 'shipped', 'shipped', 'shipped', 'lost'])[1 + i % 10],
    (i % 1000) / 10.0, timestamptz '2024-01-01 00:00+00' + i * interval '3 minutes', repeat('x', i % 60),
    array['t' || i % 20, 't' || i % 7], jsonb_build_object('kind', i % 5, 'ref', i)
from generate_series(1, 200000) as i;
create index orders_customer on shop.orders (customer_id);
create index orders_status_placed on shop.orders (status, placed_at desc);
create index orders_placed on shop.orders (placed_at) include (total);
create index orders_open on shop.orders (placed_at) where status = 'new';
create index orders_tags on shop.orders using gin (tags);
create index orders_payload on shop.orders using gin (payload jsonb_path_ops);
create index orders_brin on shop.orders using brin (id);
create table shop.lines (
    order_id bigint not null references shop.orders (id),
    number int not null,
    sku text not null,
    quantity int,
    primary key (order_id, number)
);
insert into shop.lines select 1 + i / 2, i % 2, 'sku' || (i * 31) % 5000, i % 9 from generate_series(0, 199999) as i;
create index lines_sku on shop.lines using hash (sku);
create index lines_initial on shop.lines (shop.initial(sku));
create table shop.events (at timestamptz not null, kind int not null, zone int not null, body text) partition by range (at);
create table shop.events_2023 partition of shop.events for values from ('2023-01-01 00:00+00') to ('2024-01-01 00:00+00');
create table shop.events_2024 partition of shop.events for values from ('2024-01-01 00:00+00') to ('2025-01-01 00:00+00');
create index events_kind on shop.events (kind, at);
insert into shop.events
select timestamptz '2023-06-01 00:00+00' + i * interval '10 minutes', i % 30, (i % 30) / 3, md5(i::text) from generate_series(1, 60000) as i;
create statistics shop.events_zones (ndistinct, dependencies) on kind, zone from shop.events_2024;
create statistics shop.customers_together on mood, city, rating, name from shop.customers;
create view shop.paid as select id, customer_id, total, placed_at from shop.orders where status = 'paid';
create materialized view shop.per_city as select city, count(*) as customers from shop.customers group by city;
vacuum analyze;
