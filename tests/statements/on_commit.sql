-- ON COMMIT of temporary tables.
create temp table d(a int primary key) on commit drop; select * from d;
begin; create temp table d(a serial primary key, b text) on commit drop; insert into d(b) values ('x'); table d; commit; table d;
create temp table r(a int) on commit delete rows; insert into r values (1); table r;
begin; insert into r values (1); table r; savepoint s; insert into r values (2); rollback to s; table r; commit; table r;
begin; insert into r values (3); rollback; table r;
create temp table p(a int) on commit preserve rows; insert into p values (1); table p;
create table np(a int) on commit drop;
begin; create temp table c on commit drop as select 1 as x; table c; commit; table c;
begin; create temp table d(a int) on commit drop; rollback; create temp table d(a int); insert into d values (1); begin; commit; table d;
do $$ begin create temp table dd(a int) on commit drop; insert into dd values (1); raise notice '%', (select count(*) from dd); commit; create temp table dd(a int) on commit drop; insert into r values (1); commit; raise notice 'r %', (select count(*) from r); end $$;
begin; create temp table x1(a int) on commit drop; drop table x1; commit;
begin; create temp table x2(a int primary key deferrable initially deferred) on commit drop; insert into x2 values (1),(1); commit;
create schema if not exists public; create table if not exists np2(a int); create table if not exists np2(a int); 
