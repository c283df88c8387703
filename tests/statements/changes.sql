-- INSERT (multi-row, SELECT, RETURNING, ON CONFLICT), UPDATE, DELETE.
create table account (id int primary key, owner text, balance int not null default 0);
insert into account select g, 'o' || g, g * 10 from generate_series(1, 5) g;
insert into account values (6, default, default) returning id, owner is null as nobody, balance;
insert into account values (1, 'x', 0) on conflict do nothing;
insert into account values (1, 'new', 5), (7, 'seven', 7) on conflict (id) do update set balance = account.balance + excluded.balance, owner = excluded.owner returning *;
insert into account values (2, 'y', 1) on conflict (id) do update set balance = 0 where account.balance > 100;
insert into account values (8, 'z', 1), (8, 'z', 2) on conflict (id) do update set balance = 3;
update account set balance = balance * 2 where id between 2 and 3 returning id, balance;
update account set (owner, balance) = ('both', -1) where id = 4;
update account a set balance = s.n from (select count(*)::int as n from account) s where a.id = 5 returning a.*;
update account set id = id + 100 where id = 6;
update account set id = 1 where id = 2;
delete from account where balance < 0 returning *;
delete from account a using (values (106), (7)) v(id) where a.id = v.id;
select * from account order by id;
with gone as (delete from account where id <= 2 returning *) select count(*), sum(balance) from gone;
select * from account order by id;
drop table account;
