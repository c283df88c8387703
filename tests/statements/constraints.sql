-- foreign keys: every action, both sides' messages
create table author (id int primary key, email text unique, name text not null);
create table book (
  id int generated always as identity primary key,
  author int references author on delete cascade on update cascade,
  editor int constraint book_editor references author (id) on delete set null,
  contact text references author (email) on update cascade deferrable initially deferred,
  title text check (title <> ''));
insert into author values (1, 'a@x', 'Ann'), (2, 'b@x', 'Bob'), (3, 'c@x', 'Cat');
insert into book (author, editor, contact, title) values (1, 2, 'a@x', 'One'), (1, 3, 'b@x', 'Two'), (2, 3, null, 'Three');
insert into book (author) values (9);
update book set editor = 8 where id = 1;
update author set id = 10 where id = 1;
select id, author, editor from book order by id;
delete from author where id = 3;
select id, author, editor from book order by id;
update author set email = 'z@x' where id = 2;
select id, contact from book order by id;
delete from author where email = 'z@x';
begin;
insert into book (contact) values ('later@x');
insert into author values (4, 'later@x', 'Dan');
commit;
begin;
insert into book (contact) values ('never@x');
commit;
begin;
insert into book (contact) values ('never@x');
set constraints all immediate;
rollback;
begin;
set constraints book_contact_fkey immediate;
insert into book (contact) values ('never@x');
rollback;
begin;
savepoint s;
insert into book (contact) values ('never@x');
rollback to s;
commit;
set constraints nowhere deferred;
\d author
\d book
-- composite keys, MATCH FULL, self references
create table place (country text, city text, primary key (country, city));
create table trip (
  id int primary key, country text, city text, prior int references trip,
  constraint trip_place foreign key (country, city) references place match full on delete set default);
insert into place values ('de', 'berlin'), ('fr', 'paris');
insert into trip values (1, 'de', 'berlin', null), (2, 'fr', 'paris', 1);
insert into trip values (3, 'de', null, null);
insert into trip values (3, null, null, 3);
insert into trip values (5, null, null, 4), (4, null, null, 5);
delete from trip where id = 1;
delete from place where city = 'paris';
select * from trip order by id;
select conname, contype, condeferrable, condeferred, convalidated, confupdtype, confdeltype, confmatchtype, conkey, confkey,
  pg_get_constraintdef(oid)
from pg_constraint where conrelid in ('book'::regclass, 'trip'::regclass) order by conrelid::regclass::text, conname;
select constraint_name, unique_constraint_name, match_option, update_rule, delete_rule
from information_schema.referential_constraints where constraint_name like 'trip%' or constraint_name like 'book%' order by 1;
select constraint_name, column_name, ordinal_position, position_in_unique_constraint
from information_schema.key_column_usage where table_name = 'trip' order by 1, 3;
select constraint_name, table_name, column_name
from information_schema.constraint_column_usage where constraint_name like 'trip%' order by 1, 2, 3;
select constraint_name, constraint_type, is_deferrable, initially_deferred
from information_schema.table_constraints where table_name = 'book' and constraint_type <> 'CHECK' order by 1;
-- definitions that fail
create table bad (a int references author (name));
create table bad (a int references nowhere);
create table bad (a text references author);
create table bad (a int, foreign key (b) references author);
create table bad (a int, foreign key (a) references place);
create table bad (a int references author on update set null (a));
create table bad (a int references author on delete set null (b));
-- dependencies
drop table author;
alter table author drop constraint author_pkey;
alter table place drop column city;
truncate author;
truncate author cascade;
drop table author cascade;
\d book
-- NOT VALID
create table parent (id bigint primary key);
insert into parent values (1);
create table child (p int);
insert into child values (1), (2);
alter table child add constraint child_p foreign key (p) references parent;
alter table child add constraint child_p foreign key (p) references parent not valid;
\d child
alter table child validate constraint child_p;
delete from child where p = 2;
alter table child validate constraint child_p;
alter table child alter constraint child_p deferrable initially deferred;
\d child
alter table child alter constraint child_p not valid;
alter table child rename constraint child_p to child_parent;
alter table child drop constraint child_parent;
alter table child drop constraint child_parent;
alter table child drop constraint if exists child_parent;
-- deferrable unique
create table slot (n int unique deferrable, id int constraint slot_id primary key deferrable initially deferred);
insert into slot values (1, 1), (2, 2), (3, 3);
update slot set n = n + 1, id = 4 - id;
select * from slot order by n;
insert into slot values (2, 9);
begin;
insert into slot values (9, 2);
select count(*) from slot where id = 2;
commit;
begin;
set constraints slot_n_key deferred;
update slot set n = 2;
set constraints slot_n_key immediate;
rollback;
insert into slot values (2, 2) on conflict do nothing;
insert into slot values (2, 2) on conflict (n) do nothing;
create table slot_child (id int references slot);
\d slot
-- indexes
create table item (id int primary key, name text, price numeric, sold boolean not null default false);
create index item_name on item (lower(name));
create unique index item_open on item (name) include (price) where not sold;
create index on item (price desc nulls last, (id + 1));
create index concurrently item_price on item (price) where price > 10 and sold;
insert into item values (1, 'Pen', 1.5), (2, 'Ink', 20), (3, 'Pen', 2);
insert into item values (1, 'Pen', 1.5, true), (2, 'Ink', 20), (3, 'Pen', 2);
insert into item values (4, 'Pen', 3);
insert into item values (4, 'Pen', 3) on conflict (name) do nothing;
insert into item values (4, 'Pen', 3) on conflict (name) where not sold do update set price = excluded.price;
select * from item order by id;
update item set sold = false where id = 1;
select id from item where lower(name) = 'pen' order by id;
select id from item where name = 'Ink' and not sold;
\d item
create index on item (now());
create index on item (price) where random() < 0.5;
create index on item (nothing);
reindex index item_name;
reindex table item;
drop index item_open, item_name;
drop index item_pkey;
-- ALTER TABLE
drop index item_price, item_price_expr_idx;
alter table item alter column price type text using price::text || ' EUR';
select * from item order by id;
alter table item alter column price set default 'free', alter column name set not null, alter column sold drop not null;
alter table item alter column name set statistics 100, alter column name set storage external;
alter table item rename column name to label;
alter table item rename to article;
alter table article add column total int generated always as (id * 2) stored;
alter table article alter column total drop expression;
alter table article add constraint label_length check (length(label) < 5) not valid;
alter table article validate constraint label_length;
insert into article (id, label) values (7, 'toolong');
create index on article (lower(label)) where not sold and (id > 5 or total is null);
alter table article add constraint sane check (id between 1 and 1000 and label in ('Pen', 'Ink', 'Cap') or label like 'x%');
create table copy_of (like article including all);
\d copy_of
create table plain_copy (like article);
\d plain_copy
create unique index article_label on article (label, id);
alter table article add constraint article_label_id unique using index article_label;
\d article
create table counter (id int generated by default as identity, n int);
alter table counter alter column id set generated always set increment by 10 restart with 5;
insert into counter (n) values (1), (2);
select * from counter;
alter table counter alter column n set generated always;
alter table counter alter column n restart;
alter table counter alter column id drop identity;
alter table counter alter column id drop identity;
alter table counter alter column id drop identity if exists;
comment on constraint label_length on article is 'short labels';
select obj_description(oid, 'pg_constraint') from pg_constraint where conname = 'label_length';
