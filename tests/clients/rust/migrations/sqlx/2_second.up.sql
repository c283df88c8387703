create view priced as select a.name, b.title, b.price from author a join book b on b.author_id = a.id where b.price is not null;
