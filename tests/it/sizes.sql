-- A table with one column of each kind that sizes depend on; values come from arithmetic, so that runs are alike.
create table orders (
    id bigint not null,
    customer integer not null,
    status text not null,
    email varchar(80) not null,
    amount numeric(10, 2) not null,
    token uuid not null,
    created_at timestamptz not null,
    pair integer not null,
    few integer not null,
    deleted_at timestamptz,
    city text not null,
    country text not null,
    note text not null,
    tags text[] not null,
    numbers integer[] not null,
    words tsvector not null,
    doc jsonb not null,
    during tstzrange not null,
    place point not null
);
insert into orders
select
    i,
    (hashint8(i) & 2147483647) % 5000,
    case when i % 100 < 3 then 'failed' when i % 100 < 20 then 'open' else 'done' end,
    'user' || (hashint8(i) & 2147483647) || '@example' || i % 50 || '.com',
    ((hashint8(i + 1) & 2147483647) % 1000000) / 100.0,
    md5(i::text)::uuid,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '97 seconds',
    i / 2,
    (hashint8(i * 3) & 2147483647) % 40000,
    case when i % 10 = 0 then timestamptz '2025-01-01 00:00:00+00' + i * interval '1 minute' end,
    'city ' || (hashint8(i * 7) & 2147483647) % 800,
    'country ' || ((hashint8(i * 7) & 2147483647) % 800) / 20,
    repeat(md5(i::text), 3),
    array['tag' || (hashint8(i) & 2147483647) % 50, 'tag' || (hashint8(i + 5) & 2147483647) % 400, 'kind' || i % 7],
    array[(hashint8(i) & 2147483647) % 3000, (hashint8(i + 9) & 2147483647) % 3000],
    to_tsvector('simple', 'order ' || i % 1000 || ' word' || (hashint8(i) & 2147483647) % 5000 || ' text' || (hashint8(i + 3) & 2147483647) % 300),
    jsonb_build_object('user', (hashint8(i) & 2147483647) % 5000, 'plan', 'p' || i % 5, 'source', 's' || (hashint8(i + 4) & 2147483647) % 200),
    tstzrange(timestamptz '2024-01-01 00:00:00+00' + (hashint8(i) & 2147483647) % 1000000 * interval '1 minute', timestamptz '2027-01-01 00:00:00+00'),
    point((hashint8(i) & 2147483647) % 100000, (hashint8(i + 1) & 2147483647) % 100000)
from generate_series(1, 100000) as i;
