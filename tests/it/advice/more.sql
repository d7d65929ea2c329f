create table papers (id bigint primary key, title text not null, words tsvector not null);
insert into papers select i, 'title ' || i, to_tsvector('simple', 'a' || i % 700 || ' b' || i % 900 || ' c' || i % 5) from generate_series(1, 40000) as i;
create table tickets (id bigint primary key, owner integer not null, label text, opened_at timestamp not null, closed_at timestamp);
insert into tickets
select i, i::bigint * 7919 % 701, case when i % 3 = 0 then 'label ' || i % 800 end,
    timestamp '2024-01-01' + (i::bigint * 4001 % 60000) * interval '10 minutes',
    case when i % 100 > 0 then timestamp '2024-01-02' + (i::bigint * 4001 % 60000) * interval '10 minutes' end
from generate_series(1, 60000) as i;
create table places (id bigint primary key, spot point not null, name text not null);
insert into places select i, point(i::bigint * 7919 % 1009, i::bigint * 4001 % 1013), 'place ' || i from generate_series(1, 40000) as i;
create table people (id bigint primary key, first text not null, last text not null);
insert into people select i, 'first ' || i % 211, 'last ' || i % 307 from generate_series(1, 60000) as i;
create table nodes (id bigint primary key, parent bigint, name text not null);
insert into nodes select i, i / 4, repeat('n', i % 60) from generate_series(1, 60000) as i;
create type mood as enum ('good', 'bad', 'odd');
create domain code as varchar(12) check (length(value) > 2);
create table typed (id bigint primary key, mood mood not null, code code not null, note text not null);
insert into typed
select i, (array['good', 'bad', 'odd'])[1 + i % 3]::mood, 'code' || i % 997, repeat('t', i % 60) from generate_series(1, 60000) as i;
vacuum (freeze, analyze)
