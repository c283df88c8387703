ALTER TABLE posts ADD COLUMN published BOOLEAN NOT NULL DEFAULT FALSE;
CREATE TABLE post_likes (
    post_id BIGINT NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (post_id, user_id)
);
COMMENT ON TABLE post_likes IS 'who likes what';
