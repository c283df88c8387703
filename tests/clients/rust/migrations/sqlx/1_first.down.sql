drop table book;
drop table author;
drop type mood;
