drop index book_price;
