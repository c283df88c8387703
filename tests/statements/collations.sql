-- Collations of columns.
create table ct(a text collate "C", b varchar(10) collate pg_catalog."POSIX", c text, d text collate "default", e int);
\d ct
select attname, attcollation from pg_attribute where attrelid='ct'::regclass and attnum>0 order by attnum;
select column_name, collation_catalog is not null, collation_schema, collation_name from information_schema.columns where table_name='ct' order by ordinal_position;
create table x(a int collate "C");
create table x(a text collate "nope");
create table x(a text collate c);
create table ct(a text collate "nope");
create table ct(a nosuchtype);
select 'a' collate "nope"; select 'a' < 'B' collate "C";
\d ct
create table ct2 (like ct); create table ct3() inherits (ct); create index on ct(a); 
\d ct2
\d ct3
select a collate "C" as x from ct order by a collate "POSIX";
create view v as select a from ct; alter table ct alter column a type text;
