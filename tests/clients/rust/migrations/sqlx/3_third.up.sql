-- no-transaction
create index concurrently if not exists book_price on book (price);
