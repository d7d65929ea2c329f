-- name: interval literal
select count(*) from events where at > now() - interval '7 days';
-- name: interval with unit
select count(*) from events where at > now() - interval '7' day;
-- name: interval day to second
select count(*) from events where at > now() - interval '1 02:03:04' day to second;
-- name: interval by cast
select count(*) from events where at > now() - '7 days'::interval;
-- name: date literal
select * from events where day >= date '2024-01-01' and day < date '2024-02-01';
-- name: timestamp literal
select * from events where at >= timestamp '2024-01-01 00:00';
-- name: timestamptz literal
select * from events where at >= timestamptz '2024-01-01 00:00+00';
-- name: timestamp with time zone literal
select * from events where at >= timestamp with time zone '2024-01-01 00:00+00';
-- name: time literal
select * from events where at::time > time '12:00' and at::time < time without time zone '13:00';
-- name: date minus days
select count(*) from events where day >= current_date - 30;
-- name: date plus interval
select count(*) from events where day < date '2024-01-01' + interval '1 year';
-- name: between dates and days
select count(*) from events where day between current_date - 7 and current_date + 1;
-- name: extract epoch
select extract(epoch from at) from events where extract(year from at) = 2024;
-- name: date_part
select date_part('hour', at), count(*) from events group by 1;
-- name: date_trunc grouped by number
select date_trunc('day', at), count(*) from events group by 1 order by 1;
-- name: date_trunc grouped by expression
select date_trunc('day', at) as day, count(*) from events where at > now() - interval '30 days' group by date_trunc('day', at) order by date_trunc('day', at) desc;
-- name: at time zone
select * from events where (at at time zone 'Europe/Berlin')::date = '2024-01-01';
-- name: to_char
select to_char(at, 'YYYY-MM'), count(*) from events group by to_char(at, 'YYYY-MM');
-- name: make_interval
select * from events where at > now() - make_interval(days => 3);
-- name: interval times a number
select * from events where at > now() - 3 * interval '1 hour';
-- name: age
select * from users where age(created_at) > interval '1 year' or age(now(), created_at) > '2 years';
-- name: overlaps
select * from events where (at, at) overlaps (timestamptz '2024-01-01', interval '1 day');
-- name: generate_series of numbers
select n from generate_series(1, 10) n;
-- name: generate_series of days
select d, count(e.id) from generate_series(date '2024-01-01', date '2024-01-31', interval '1 day') d left join events e on e.day = d::date group by d;
-- name: generate_series of days up to today
select d::date from generate_series(current_date - 30, current_date, '1 day'::interval) d;
-- name: values
values (1, 'a'), (2, 'b');
-- name: join with values
select u.* from users u join (values (1, 'a'), (2, 'b')) v(id, name) on v.id = u.id and v.name = u.name;
-- name: update from values
update users set name = v.name, balance = v.balance from (values (1, 'a', 1.5), (2, 'b', 2.5)) as v(id, name, balance) where users.id = v.id;
-- name: values in a common table expression
with wanted (id, state) as (values (1, 'new'), (2, 'paid')) select o.* from orders o join wanted w on w.id = o.id and w.state = o.state::text;
-- name: any array of numbers
select * from users where id = any(array[1, 2, 3]);
-- name: any array literal
select * from users where id = any('{1,2,3}');
-- name: any array of uuids
select * from users where token = any(array['00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002']::uuid[]);
-- name: array contains
select * from users where tags @> array['a', 'b'];
-- name: varchar array contains
select * from users where labels @> array['a', 'b']::varchar[];
-- name: array overlaps
select * from users where tags && array['a'] and 'b' = any(tags);
-- name: in list
select * from orders where user_id in (1, 2, 3, 4, 5) and state in ('new', 'paid');
-- name: row in list
select * from orders where (user_id, id) in ((1, 2), (3, 4));
-- name: row comparison
select * from orders where (placed_at, id) < ('2024-01-01', 100) order by placed_at desc, id desc limit 20;
-- name: concat
select concat(name, ' <', email, '>'), concat_ws(', ', name, 'x') from users;
-- name: format
select format('%s: %s', name, 'x') from users where id = 1;
-- name: jsonb_build_object
select jsonb_build_object('id', id, 'kind', 'user', 'n', 1) from users where id = 1;
-- name: json_build_array and to_jsonb
select json_build_array(1, 'a', id), to_jsonb('x'::text) from users;
-- name: jsonb operators
select data -> 'a' ->> 'b' from events where data @> '{"kind": "x"}' and data ? 'k' and data ->> 'kind' = 'x';
-- name: jsonb cast
select * from events where (data ->> 'n')::int = 5 and (data #>> '{a,b}') = 'x';
-- name: jsonb path
select * from events where data @? '$.a[*] ? (@ > 1)' or jsonb_path_exists(data, '$.b');
-- name: jsonb_set
update events set data = jsonb_set(data, '{a}', '"x"') where id = 5;
-- name: position and substring
select position('a' in name), substring(name from 2 for 3), substring(name, 1, 2) from users;
-- name: overlay and trim
select overlay(name placing 'x' from 2 for 1), trim(both ' ' from name), lpad(name, 10, '0') from users;
-- name: like and ilike
select * from users where name like 'a%' and email ilike '%x%' and name not like 'b_' escape '\';
-- name: similar and regular expression
select * from users where name similar to 'a%' or name ~ '^a' or name ~* 'b$';
-- name: like any
select * from users where name like any(array['a%', 'b%']);
-- name: collate
select * from users where name > 'a' collate "C" order by name collate "C";
-- name: lower
select * from users where lower(email) = lower('X@y.z') or lower(email) = 'x@y.z';
-- name: case
select sum(case when state = 'paid' then 1 else 0 end), count(case when state = 'new' then 1 end), avg(case when state = 'new' then 1.0 else 0 end) from orders;
-- name: filter
select count(*) filter (where state = 'paid' and placed_at > now() - interval '1 day'), round(100.0 * count(*) / 7, 2) from orders;
-- name: many sums of cases
select user_id, sum(case when state = 'new' then 1 else 0 end) a, sum(case when state = 'paid' then 1 else 0 end) b, sum(case when state = 'sent' then total else 0 end) c, sum(case when total > 10 then 1 else 0 end) d from orders group by user_id;
-- name: coalesce and nullif
select coalesce(balance, 0), coalesce(sum(balance), 0), nullif(name, '') from users group by 1, 3;
-- name: comparison with a coalesce of constants
select * from users where id = coalesce(null, 5);
-- name: greatest
select greatest(balance, 0, 5), least(1, 2) from users;
-- name: arithmetic of constants
select 1 + 1, -5, 2 * 3 from users where balance > 10 * 1.19 and id % 2 = 0 limit 10 + 5;
-- name: optional filter
select * from users where (null is null or name = 'x') and ('a' is null or email = 'a');
-- name: limit and offset
select * from users order by id limit 10 offset 20;
-- name: fetch first
select * from users order by id offset 5 rows fetch first 10 rows only;
-- name: exists
select * from users u where exists (select 1 from orders o where o.user_id = u.id and o.total > 100);
-- name: union with constants
select 'user' as kind, id, null as note from users union all select 'order', id, 'x' from orders;
-- name: union of three
select 0, 'all' union all select 1, 'one' union all select id, name from users;
-- name: recursive counter
with recursive n(i) as (values (1) union all select i + 1 from n where i < 10) select i from n;
-- name: recursive tree
with recursive tree as (select id, parent_id, 0 as depth from users where parent_id is null union all select u.id, u.parent_id, t.depth + 1 from users u join tree t on t.id = u.parent_id where t.depth < 5) select * from tree;
-- name: insert values
insert into users (id, name, email, balance, tags) values (1001, 'a', 'b', 1.5, array['x']), (1002, 'b', 'c', 2, '{}');
-- name: insert on conflict
insert into users (id, name) values (1003, 'a') on conflict (id) do update set name = excluded.name, balance = users.balance + 1;
-- name: insert select
insert into orders (id, user_id, state, total, placed_at) select 2000 + n, 1, 'new', 10, now() - interval '1 day' from generate_series(1, 3) n;
-- name: insert select distinct
insert into orders (id, user_id, state) select distinct 3000, 1, 'new'::order_state from users;
-- name: insert unnest
insert into users (id, name) select * from unnest(array[2001, 2002], array['a', 'b']);
-- name: unnest joined
select u.* from users u join unnest(array[1, 2], array['a', 'b']) as w(id, name) on w.id = u.id;
-- name: update arithmetic
update users set balance = balance - 10, updated_at = now() - interval '1 hour' where id = 7;
-- name: update case
update orders set state = case when total > 10 then 'paid'::order_state else 'new' end, total = case id when 1 then 5 when 2 then 6 end where id in (1, 2);
-- name: delete
delete from events where at < now() - interval '90 days' and kind = 'x';
-- name: delete using
delete from events e using users u where u.id = e.user_id and u.email = 'x' and e.at < '2024-01-01';
-- name: window
select id, row_number() over (partition by user_id order by placed_at desc), lag(total, 1, 0) over (order by id), ntile(4) over (order by id) from orders;
-- name: window range of an interval
select sum(total) over (order by placed_at range between interval '7 days' preceding and current row) from orders;
-- name: percentile
select percentile_cont(0.5) within group (order by total), percentile_cont(array[0.5, 0.9]) within group (order by total) from orders;
-- name: string_agg and array_agg
select string_agg(name, ', ' order by name), array_agg('x'::text), count(1), jsonb_agg('a'::text) from users;
-- name: array functions
select array_length(tags, 1), array_to_string(tags, ','), array_position(tags, 'a'), cardinality(array[1, 2]) from users;
-- name: string_to_array
select * from users where id = any(string_to_array('1,2', ',')::bigint[]) and name = split_part('a,b', ',', 1);
-- name: full text
select * from users where to_tsvector('english', name) @@ plainto_tsquery('english', 'x y') or to_tsvector('simple', name) @@ to_tsquery('a & b');
-- name: ranges
select * from users where tstzrange(created_at, updated_at) && tstzrange('2024-01-01', '2024-02-01') and int8range(1, 10) @> id;
-- name: inet
select * from events where address << inet '10.0.0.0/8' or address = '10.0.0.1';
-- name: other types before their constants
select * from events where data = jsonb '{}' or amount > numeric '1.5' or amount < double precision '2.5' or flag = bool 'true';
-- name: enum
select * from orders where state = 'paid' and state <> all(array['new', 'sent']::order_state[]);
-- name: enum any
select * from orders where state = any(array['new', 'sent']::order_state[]);
-- name: is distinct from
select * from users where parent_id is distinct from 5 and balance is not distinct from 0;
-- name: between symmetric
select * from orders where total between symmetric 10 and 5 and placed_at not between '2024-01-01' and '2024-02-01';
-- name: tablesample
select * from orders tablesample bernoulli (10) repeatable (1) where total > 5;
-- name: distinct on
select distinct on (date_trunc('day', placed_at)) * from orders order by date_trunc('day', placed_at), total desc;
-- name: group by case
select case when total > 100 then 'big' else 'small' end, count(*) from orders group by case when total > 100 then 'big' else 'small' end;
-- name: group by arithmetic
select id / 10 as bucket, count(*) from orders group by id / 10 having count(*) > 5 order by id / 10;
-- name: having
select user_id, sum(total) from orders group by user_id having sum(total) > 100 and max(placed_at) < now() - interval '1 day';
-- name: lateral top
select u.id, o.* from users u cross join lateral (select * from orders o where o.user_id = u.id order by placed_at desc limit 3) o where u.id = 5;
-- name: scalar subquery
select (select count(*) from orders o where o.user_id = u.id and o.state = 'paid') from users u where u.id in (select user_id from orders where total > 5);
-- name: time spans compared
select * from orders o join events e on e.user_id = o.user_id and e.at between o.placed_at - interval '1 hour' and o.placed_at + interval '1 hour';
-- name: subtraction of time stamps
select * from events where now() - at > interval '1 day' and extract(epoch from now() - at) > 3600;
-- name: for update skip locked
select * from orders where state = 'new' order by id limit 1 for update skip locked;
-- name: grouping sets
select user_id, state, count(*) from orders where total > 1 group by grouping sets ((user_id), (state), ()) order by 1;
-- name: md5 and encode
select md5('x'), encode(sha256('x'::bytea), 'hex'), length('abc'), upper('x') from users where id = 1;
-- name: date_bin
select date_bin('15 minutes', at, timestamptz '2001-01-01'), count(*) from events group by 1;
-- name: width_bucket and round
select width_bucket(total, 0, 100, 10), round(total / 3, 2), round(1.234, 2), total::numeric(10, 2) from orders;
-- name: bit operations
select * from users where id & 4 = 4 and id # 1 > 2 and (id << 1) > 2;
-- name: boolean constants
select * from events where flag = true and flag is not false and true;
-- name: merge
merge into users u using (values (1, 'a')) s(id, name) on u.id = s.id when matched then update set name = s.name when not matched then insert (id, name) values (s.id, s.name);
-- name: no space before a constant
select * from events where at > now() - interval'7 days' and kind like'x%'and day>=date'2024-01-01';
-- name: cursor
declare c cursor for select * from events where at > now() - interval '1 day' and kind = 'x';
