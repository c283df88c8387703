-- Literals, casts, output and errors of each type.
select true, 'f'::boolean, not null::boolean, 'maybe'::boolean;
select 32767::smallint + 1::smallint;
select 2147483647 + 1;
select 9223372036854775807 + 1;
select 7 / 2, -7 / 2, 7 % -3, 7.0 / 2, 2 ^ 10, 1 / 0;
select 7 / 2, -7 / 2, 7 % -3, 7.0 / 2, 2 ^ 10, @ -5, |/ 16;
select 0.1 + 0.2, 0.1::float8 + 0.2::float8, 1e20::float8, 1.0::real / 3, 'NaN'::float8 = 'NaN'::float8, 1.10 = 1.1;
select 123.456::numeric(5,1), 1e10::numeric, 12345678901234567890 * 10, round(2.5), round(2.567, 2), trunc(-2.5);
select 123456::numeric(5,1);
select 'abc'::char(5) || '|', 'abc'::char(5) = 'abc', 'abcdef'::varchar(3), length('häß'), upper('häß');
select 'x'::int;
select '99999999999'::int;
select 'it''s', E'tab\there', $$dollar$$, 'a' 'b';
select 'con'
'tinued', U&'d\0061t';
select '\xdeadbeef'::bytea, 'a\\b'::bytea, length('\x00ff'::bytea);
select date '2024-02-29' + 1, date '2024-03-01' - date '2024-02-01', '2024-02-30'::date;
select date '2024-02-29' + 1, date '2024-03-01' - date '2024-02-01', date 'infinity';
select time '23:59:59.5' + interval '1 second', timestamp '2024-01-31 10:00' + interval '1 month', timestamp '2024-03-10 12:00' - timestamp '2024-03-09 13:30';
set timezone = 'UTC';
select timestamptz '2024-07-01 12:00+02', timestamptz '2024-07-01 12:00+02' at time zone 'Europe/Berlin';
select interval '1 year 2 mons 3 days 04:05:06.7', interval '90 minutes' * 2, justify_hours(interval '30 hours');
select extract(year from date '2024-05-06'), date_trunc('hour', timestamp '2024-05-06 07:08:09'), age(timestamp '2024-05-06', timestamp '2023-01-01');
select 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, 'no'::uuid;
select 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid;
select 1 < 2.5, 'a' < 'B', null = null, null is not distinct from null, 1 between 0 and 2, 3 in (1, 2, null);
select 'abc' like 'a%', 'abc' ilike 'AB_', 'abc' ~ '^a.c$', 'abc' similar to '(a|b)%', 'a%c' like 'a\%c';
select substring('hello' from 2 for 3), position('l' in 'hello'), trim(both 'x' from 'xxaxx'), replace('abc', 'b', 'XX'), split_part('a,b,c', ',', 2), lpad('7', 3, '0');
select array[1,2,3], '{a,"b c",NULL}'::text[], (array[10,20])[2], 2 = any(array[1,2]), array_length(array[1,2,3], 1);
select pg_typeof(1), pg_typeof(1.5), pg_typeof('x'), pg_typeof(now()), pg_typeof(array[1]);
select 1 + 'a';
select 1 || 2;
select foo(1);
select -2 ^ 2, 2 + 3 * 4, not false and false, 5 > 3 = true;

-- Integers narrower than an OID become one in every row, not only as constants.
SELECT i::oid, i::regtype, i::regnamespace FROM (VALUES (16::int2), (11::int2)) AS v (i);
-- A strict function that returns a set has no row for a null.
SELECT jsonb_path_query(NULL, '$[*] ? (@ > $x)', vars => '{"x": 1}');
SELECT 1, jsonb_array_elements(NULL::jsonb);
-- Vectors are elements, not dimensions.
SELECT ARRAY['11 22'::int2vector, '33'], unnest(ARRAY['11 22'::int2vector, '33']);
SELECT ARRAY[ARRAY['11 22'::oidvector], ARRAY['33'::oidvector]], array_dims(ARRAY[ARRAY['11 22'::oidvector]]);
SELECT unnest(ARRAY(SELECT '11 22'::int2vector FROM generate_series(1, 2)));

-- A table's row is a value of its row type; two nulls in it are equal, as they are not field by field.
create table tab (a int, b text); insert into tab values (1, 'x'), (2, null);
create view tab_view as select a, b, a + 1 as c from tab;
select pg_typeof(tab), pg_typeof(tab_view), pg_typeof(s) from tab, tab_view, (select 1) s limit 1;
select tab from tab \gdesc
select tab_view from tab_view \gdesc
select s from (select tab from tab) s \gdesc
select x from tab x (c, d) \gdesc
select to_json(x), row_to_json(x) from tab x (c, d) order by x.c;
select pg_typeof(array_agg(tab)), array_agg(tab order by a) from tab;
select t1.a, t2.a, t1 = t2, t1 <> t2, t1 < t2 from tab t1, tab t2 order by 1, 2; select nullif(tab, tab) from tab;
select a, tab = row(1, 'x'::text), row(1, 'x'::text) = tab, row(1, 'x')::tab = tab from tab order by a;
select row(1, null) = row(1, null), row(1, null)::tab = row(1, null)::tab;
select a, (a, b) = (1, 'x'), (a, b) in ((1, 'x'), (3, 'y')), tab in (select tab from tab) from tab order by a;
select t1.a from tab t1 join tab t2 on t1 = t2 order by 1; select t1.a from tab t1 join tab t2 using (a, b); select tab = any(array[tab]) from tab;
select tab is distinct from tab from tab; select a, case tab when row(1, 'x')::tab then 1 end from tab order by a;
select t1, t2 from tab t1 left join tab t2 on t2.a = t1.a + 1 order by t1.a; select (t2).a, t2 is null from tab t1 left join tab t2 on t2.a = t1.a + 1 order by 1;
alter table tab add column z date; create table copies as select tab from tab; \d copies
select (tab).a from copies order by 1; select (tab).nosuch from copies;
drop table copies; drop view tab_view; drop table tab;
