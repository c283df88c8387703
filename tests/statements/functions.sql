-- Functions, procedures, PL/pgSQL, triggers, MERGE, window functions.
CREATE SCHEMA functions;
SET search_path = functions;
create function add1(a int, b int default 5) returns int language sql as 'select a + b';
select add1(1), add1(1,2), add1(b => 7, a => 1);
create function two(out x int, out y text) language sql as $$ select 1, 'a'::text $$;
select * from two();
select (two()).y;
create function gs(n int) returns setof int language sql as 'select * from generate_series(1, n)';
select * from gs(3);
select gs(2);
create function vsum(variadic a int[]) returns int language sql as 'select sum(x)::int from unnest(a) x';
select vsum(1,2,3);
create function ident(anyelement) returns anyelement language sql as 'select $1';
select ident(5), ident('a'::text);
create function ret(i int) returns int return i * 2;
select ret(4);
create table t (id int primary key, v text);
create function ins(i int, w text) returns void language sql as 'insert into t values (i, w)';
select ins(1, 'x');
select * from t;
create function fac(n int) returns numeric language plpgsql as $$
declare r numeric := 1;
begin
  for i in 1..n loop
    r := r * i;
  end loop;
  return r;
end $$;
select fac(20);
create function rec(n int) returns int language plpgsql as $$
begin
  if n <= 1 then return 1; else return n * rec(n - 1); end if;
end $$;
select rec(10);
create function exc(a int) returns text language plpgsql as $$
declare s text;
begin
  begin
    insert into t values (a, 'e');
    insert into t values (1, 'dup');
  exception when unique_violation then
    get stacked diagnostics s = message_text;
    return 'caught ' || sqlstate || ' ' || s;
  end;
  return 'ok';
end $$;
select exc(2);
select * from t;
create function q() returns table(a int, b text) language plpgsql as $$
declare r record;
begin
  for r in select * from t order by id loop
    a := r.id; b := r.v || '!';
    return next;
  end loop;
  return query select 100, 'hundred'::text;
  return;
end $$;
select * from q();
create function sel(i int) returns text language plpgsql as $$
declare x t%rowtype; y t.v%type;
begin
  select * into strict x from t where id = i;
  y := x.v;
  return y;
end $$;
select sel(1);
select sel(99);
do $$ declare a int[] := '{1,2,3}'; s int := 0; e int; begin
 foreach e in array a loop s := s + e; end loop;
 a[2] := 20; a[5] := 50;
 raise notice 'sum % arr %', s, a;
 case s when 6 then raise notice 'six'; else raise notice 'other'; end case;
 execute 'select count(*) from t where id = $1' into s using 1;
 raise notice 'count %', s;
 perform 1;
 if found then raise notice 'found'; end if;
 raise exception 'bad % thing', 42 using hint = 'a hint', errcode = '22012';
end $$;
create procedure p(a int, inout b int) language plpgsql as $$ begin b := a * 2; end $$;
call p(4, null);
do $$ declare z int; begin call p(7, z); raise notice 'z=%', z; end $$;
create function trg() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then new.v := upper(new.v); raise notice '% % %', tg_name, tg_when, new.id; return new;
  elsif tg_op = 'UPDATE' then raise notice 'upd % -> %', old.v, new.v; return new;
  else raise notice 'del %', old.id; return old; end if;
end $$;
create trigger b1 before insert or update or delete on t for each row execute function trg();
create trigger a1 after insert on t for each statement execute function trg2();
create function aft() returns trigger language plpgsql as $$ begin raise notice 'after %: %', tg_op, (select count(*) from t); return null; end $$;
create trigger a1 after insert or delete on t for each statement execute function aft();
create trigger a2 after update of v on t for each row when (old.v is distinct from new.v) execute function aft();
insert into t values (10, 'abc'), (11, 'def');
update t set v = 'zzz' where id = 10;
update t set v = 'zzz' where id = 10;
delete from t where id = 11;
alter table t disable trigger all;
insert into t values (12, 'low');
select * from t;
select exc2();
drop function trg();
create function curs() returns setof int language plpgsql as $$
declare c cursor (k int) for select id from t where id >= k order by id; x int; rc refcursor;
begin
  open c(2);
  loop fetch c into x; exit when not found; return next x; end loop;
  close c;
  for r in c(10) loop return next r.id * 100; end loop;
end $$;
select * from curs();
create function div(a int, b int) returns int language plpgsql as $$ begin return a / b; end $$;
select div(1, 0);
select count(*) from generate_series(1, 10) g where fac(g) > 100;

create table tgt (tid int primary key, bal int); create table src (sid int, delta int);
insert into tgt values (1,10),(2,20),(3,30); insert into src values (1, 5), (2, -20), (4, 40);
merge into tgt t using src s on t.tid = s.sid
 when matched and t.bal + s.delta = 0 then delete
 when matched then update set bal = t.bal + s.delta
 when not matched then insert values (s.sid, s.delta);
select * from tgt order by 1;
insert into src values (1, 1);
merge into tgt t using src s on t.tid = s.sid when matched then update set bal = 0;
merge into tgt t using (select * from src where sid = 4) s on t.tid = s.sid when matched then do nothing;
merge into tgt using src on tid = sid when not matched and sid > 100 then insert (tid) values (sid) when not matched then do nothing;
create function tf() returns trigger language plpgsql as $$ begin raise notice '% % %', tg_when, tg_op, tg_level; return null; end $$;
create trigger s1 before insert or update or delete on tgt execute function tf();
create trigger s2 after insert or update or delete on tgt execute function tf();
merge into tgt t using (values (1), (77)) s(x) on t.tid = s.x when matched then update set bal = 1 when not matched then insert values (x, 0);
select * from tgt order by 1;
\d tgt
select pg_get_functiondef('tf'::regproc);
\df tf

create table emp (dep text, id int, sal int, d date);
insert into emp values ('a',1,100,'2020-01-01'),('a',2,200,'2020-01-05'),('a',3,200,'2020-02-01'),('b',4,50,'2020-01-01'),('b',5,null,'2020-03-01'),('c',6,70,null);
select dep, id, row_number() over w, rank() over w, dense_rank() over w, percent_rank() over w, cume_dist() over w, ntile(2) over w from emp window w as (partition by dep order by sal) order by dep, id;
select id, sum(sal) over (order by id), avg(sal) over (partition by dep), count(*) over () from emp order by id;
select id, lag(sal) over (order by id), lead(sal, 2, -1) over (order by id), first_value(id) over (partition by dep order by id), last_value(id) over (partition by dep order by id), nth_value(id, 2) over (partition by dep order by id rows between unbounded preceding and unbounded following) from emp order by id;
select id, sum(id) over (order by id rows between 1 preceding and 1 following), sum(id) over (order by id rows between 2 following and 3 following), sum(id) over (order by id rows between 1 preceding and 1 following exclude current row), array_agg(id) over (order by sal nulls first groups between 1 preceding and current row exclude ties) from emp order by id;
select id, sal, sum(sal) over (order by sal range between 50 preceding and 50 following), count(*) over (order by d range between '10 days' preceding and '1 month' following), count(*) over (order by sal desc range between 100 preceding and current row) from emp order by id;
select dep, sum(sal), rank() over (order by sum(sal) desc), sum(sum(sal)) over () from emp group by dep order by dep;
select sum(sal) filter (where id > 2) over (order by id) from emp order by id;
select id from emp where row_number() over () > 1;
select row_number() from emp;
select sum(row_number() over ()) over () from emp;
select * from (select id, row_number() over (order by id desc) rn from emp) s where rn <= 2;
select ntile(0) over () from emp;
select sum(id) over (order by id rows between -1 preceding and current row) from emp;
select lower('A') over ();
select sum(id) over w from emp;
select sum(id) over (w rows 1 preceding) from emp window w as (order by id) order by 1;
select string_agg(dep, ',') over (order by id) from emp order by id;
select id, max(sal) over (partition by dep order by id rows 1 preceding), min(sal) over (partition by dep) from emp order by id;
select dep, id, rank() over (partition by dep order by sal) from emp;

SET client_min_messages = warning;
DROP SCHEMA functions CASCADE;
RESET client_min_messages;
RESET search_path;
