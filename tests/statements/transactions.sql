-- BEGIN, COMMIT, ROLLBACK, SAVEPOINT; row locks; SET, SHOW, RESET; PREPARE; cursors; COPY; VACUUM, ANALYZE.
create table t (a int primary key, b int);
begin;
insert into t values (1, 1);
savepoint s;
insert into t values (2, 2);
insert into t values (1, 1);
select * from t;
rollback to s;
insert into t values (3, 3);
release s;
commit;
select * from t order by a;
begin;
select 1/0;
select 1;
commit;
commit;
begin;
begin;
rollback;
begin isolation level serializable read only;
show transaction_isolation;
insert into t values (9, 9);
rollback;
begin;
select * from t where a = 1 for update;
select * from t order by a for share skip locked;
select * from t where a = 3 for no key update nowait;
commit;
set search_path = public, pg_catalog;
show search_path;
reset search_path;
show search_path;
begin;
set local work_mem = '8MB';
show work_mem;
commit;
show work_mem;
set nonsense = 1;
set work_mem = 'lots';
prepare p(int) as select b from t where a = $1;
execute p(3);
execute p('x');
deallocate p;
execute p(3);
begin;
declare c cursor for select g from generate_series(1, 5) g;
fetch 2 from c;
fetch all from c;
close c;
commit;
copy t from stdin;
10	100
11	\N
\.
copy t (b, a) from stdin with (format csv, header);
b,a
1200,12
"1300",13
\.
copy t from stdin;
14	x
\.
copy t from stdin;
15
\.
copy (select * from t order by a) to stdout;
copy t to stdout with (format csv, header, null 'none');
vacuum t;
analyze t;
begin;
vacuum t;
rollback;
drop table t;
selekt 1;
select 1; select 2;
