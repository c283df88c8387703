DROP TABLE post_likes; ALTER TABLE posts DROP COLUMN published;
