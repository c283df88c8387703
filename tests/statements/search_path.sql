-- What a table or view keeps as text means the same by any search path.
create schema s; create sequence s.sq; create function s.f() returns int language sql as 'select 7'; create type s.e as enum ('x');
create function public.inc(int) returns int language plpgsql immutable as 'begin return $1 + 1; end';
set search_path = s, public;
create table public.tq (i int default nextval('sq'), j int default f(), k e default 'x', l int check (l > f()), m text default 'sq'::regclass::text);
create domain dm as int default f() check (value < f() + 100);
create table g (a int, b int generated always as (inc(a)) stored, c text default 'x'::e, d e[] default '{x}'::e[], r regclass default 'tq', t text default E'f\'()');
create index gi on g ((inc(a))) where inc(a) > 0;
create table par (a int) partition by list ((inc(a))); create table par1 partition of par for values in (2);
create view v as select f() as q, 'x'::e as k, s.f() + f() as twice, (select max(x) from generate_series(1, f()) x) as m, tq.i from tq where l > f();
create materialized view mv as select f() as q from g;
set search_path = public;
insert into tq (l) values (8) returning *; insert into tq (l) values (7);
\d tq
set search_path = pg_catalog;
insert into s.g (a) values (3) returning *; select * from s.v; select 5::s.dm; select 107::s.dm;
create table public.h (x s.dm); insert into public.h default values returning *;
insert into s.par values (1) returning tableoid::regclass, *; refresh materialized view s.mv; select * from s.mv;
select pg_get_indexdef('s.gi'::regclass);
-- A function found first by somebody's path is not the one that the table means.
create schema mine; create function mine.f() returns int language sql as 'select 1000'; set search_path = mine, public, s;
insert into tq (l) values (9) returning j, l;
-- The default of a sequence's next value follows it, and keeps it.
alter function s.f() rename to f2; alter type s.e rename to e2; alter type s.e2 set schema public; insert into public.tq (l) values (8) returning *; insert into public.tq (l) values (7); select * from s.v order by i limit 1; insert into public.h default values returning *;
\d public.tq
alter schema s rename to other; insert into public.tq (l) values (8) returning *; insert into other.g (a) values (3) returning *; select * from other.v order by i limit 1; insert into public.h default values returning *; alter function other.f2() set schema public; insert into public.tq (l) values (8) returning *; alter schema other rename to s; alter function public.f2() set schema s;
alter sequence s.sq rename to sq2; insert into public.tq (l) values (8) returning i; alter table public.tq alter m drop default; drop sequence s.sq2; alter sequence s.sq2 set schema public; insert into public.tq (l) values (8) returning i;
drop sequence public.sq2 cascade; insert into public.tq (l) values (8) returning i;
-- One notice tells what goes with a DROP.
set search_path = public;
create table a (i int primary key, j text); create view va as select * from a; create view vva as select * from va; create table b (i int references a, k a); create function fa(a) returns int language sql as 'select 1'; create materialized view ma as select i from a;
drop table a cascade; drop table b;
create table p1 (i int primary key); create view vp1 as select * from p1; create table p2 (i int); create view vp2 as select p2.i from p2, p1;
drop table p1, p2; drop table p1, p2 cascade;
create table tc (i int, j int); create view vtc as select i from tc; create view vvtc as select * from vtc; alter table tc drop column i cascade;
create function trf() returns trigger language plpgsql as 'begin return new; end'; create trigger tr1 before insert on tc for each row execute function trf(); create trigger tr2 before update on tc for each row execute function trf(); drop function trf() cascade;
create table inh (i int); create table inh1 () inherits (inh); create table inh2 () inherits (inh1); drop table inh; drop table inh cascade;
create schema t; create table t.t (i int primary key); create view v_out as select * from t.t; drop schema t cascade; select * from v_out;
