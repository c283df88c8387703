-- Indexes with several entries for a row: arrays, documents, ranges.
SET enable_seqscan = off;
CREATE TABLE docs (id int PRIMARY KEY, tags text[], body jsonb);
CREATE INDEX docs_tags ON docs USING gin (tags);
CREATE INDEX docs_body ON docs USING gin (body);
CREATE INDEX docs_path ON docs USING gin (body jsonb_path_ops);
INSERT INTO docs SELECT i,
  CASE WHEN i % 17 = 0 THEN NULL WHEN i % 13 = 0 THEN '{}' ELSE ARRAY['t' || i % 5, 't' || i % 7, CASE WHEN i % 11 = 0 THEN NULL ELSE 'x' END] END,
  jsonb_build_object('n', i % 10, 'name', 'name ' || i % 3, 'list', jsonb_build_array(i % 4, 'e' || i % 6, NULL), 'deep', jsonb_build_object('k' || i % 8, true))
  FROM generate_series(1, 300) i;
SELECT count(*) FROM docs WHERE tags @> '{t1}';
SELECT count(*) FROM docs WHERE tags @> '{t1,t2}';
SELECT count(*) FROM docs WHERE tags && '{t3,nothing}';
SELECT count(*) FROM docs WHERE tags <@ '{t0,t1,t2,t3,t4,t5,t6,x}';
SELECT count(*) FROM docs WHERE tags = '{t2,t2,x}';
SELECT count(*) FROM docs WHERE tags @> '{}';
SELECT count(*) FROM docs WHERE tags = '{}';
SELECT count(*) FROM docs WHERE tags @> ARRAY[NULL]::text[];
SELECT count(*) FROM docs WHERE tags @> NULL;
SELECT count(*) FROM docs WHERE 't4' = ANY (tags);
SELECT count(*) FROM docs WHERE tags @> '{t1}' OR tags @> '{t2}';
SELECT count(*) FROM docs WHERE body @> '{"n": 3}';
SELECT count(*) FROM docs WHERE body @> '{"n": 3, "name": "name 0"}';
SELECT count(*) FROM docs WHERE body @> '{"list": ["e5"]}';
SELECT count(*) FROM docs WHERE body @> '{"list": [null]}';
SELECT count(*) FROM docs WHERE body @> '{"deep": {"k3": true}}';
SELECT count(*) FROM docs WHERE body @> '{"deep": {"k3": false}}';
SELECT count(*) FROM docs WHERE body ? 'deep';
SELECT count(*) FROM docs WHERE body ? 'k3';
SELECT count(*) FROM docs WHERE body -> 'deep' ? 'k3';
SELECT count(*) FROM docs WHERE body ?| '{deep,none}';
SELECT count(*) FROM docs WHERE body ?& '{deep,none}';
SELECT count(*) FROM docs WHERE body @? '$.list[*] ? (@ == 2)';
SELECT count(*) FROM docs WHERE body @@ '$.n > 6';
SELECT count(*) FROM docs WHERE body @@ '$.n == 6 && $.name == "name 1"';
SELECT id FROM docs WHERE tags @> '{t1,t2}' AND body @> '{"n": 6}' ORDER BY id;
-- Kept in step with the rows.
UPDATE docs SET tags = tags || 'new'::text WHERE id <= 20;
DELETE FROM docs WHERE id % 2 = 0;
BEGIN;
UPDATE docs SET tags = '{gone}', body = '{"gone": 1}';
SELECT count(*) FROM docs WHERE tags @> '{gone}';
SELECT count(*) FROM docs WHERE body ? 'gone';
ROLLBACK;
SELECT count(*) FROM docs WHERE tags @> '{gone}';
SELECT count(*) FROM docs WHERE tags @> '{new}';
SELECT count(*) FROM docs WHERE body @> '{"n": 3}';
EXPLAIN (COSTS OFF) SELECT * FROM docs WHERE tags @> '{t1}';
SELECT indexdef FROM pg_indexes WHERE tablename = 'docs' ORDER BY 1;
\d docs
ALTER INDEX docs_tags SET (fastupdate = off);
\d docs_tags
ALTER INDEX docs_tags RESET (fastupdate);
ALTER INDEX docs_tags SET (fillfactor = 50);
CREATE UNIQUE INDEX ON docs USING gin (tags);
CREATE INDEX ON docs USING gin (id);
CREATE INDEX ON docs USING gin (tags DESC);
CREATE INDEX ON docs USING gin (tags) INCLUDE (id);
CREATE INDEX ON docs USING gin (tags nothing_ops);
CREATE INDEX ON docs USING gin (tags jsonb_ops);
CREATE INDEX ON docs USING nothing (tags);
-- Partial, of an expression, of several columns.
CREATE INDEX docs_several ON docs USING gin (tags, (body -> 'list')) WHERE id < 100;
SELECT count(*) FROM docs WHERE id < 100 AND tags @> '{t1}' AND body -> 'list' @> '[1]';
DROP INDEX docs_body, docs_path;
REINDEX INDEX docs_tags;
SELECT count(*) FROM docs WHERE tags @> '{new}';
DROP TABLE docs;
-- Ranges.
CREATE TABLE stays (id int PRIMARY KEY, during int4range, rooms int4multirange);
CREATE INDEX stays_during ON stays USING gist (during);
CREATE INDEX stays_rooms ON stays USING gist (rooms);
INSERT INTO stays SELECT i, CASE WHEN i % 19 = 0 THEN 'empty' WHEN i % 23 = 0 THEN NULL WHEN i % 29 = 0 THEN int4range(NULL, i) ELSE int4range(i, i + 1 + i % 50) END,
  int4multirange(int4range(i, i + 2), int4range(i + 10, i + 12)) FROM generate_series(1, 400) i;
SELECT count(*) FROM stays WHERE during && '[100,110)';
SELECT count(*) FROM stays WHERE during @> 105;
SELECT count(*) FROM stays WHERE during @> '[100,110)'::int4range;
SELECT count(*) FROM stays WHERE during <@ '[100,150)';
SELECT count(*) FROM stays WHERE during << '[50,60)';
SELECT count(*) FROM stays WHERE during >> '[350,360)';
SELECT count(*) FROM stays WHERE during &< '[50,60)';
SELECT count(*) FROM stays WHERE during &> '[350,360)';
SELECT count(*) FROM stays WHERE during -|- '[50,60)';
SELECT count(*) FROM stays WHERE during = '[50,51)';
SELECT count(*) FROM stays WHERE during = 'empty';
SELECT count(*) FROM stays WHERE during <@ 'empty';
SELECT count(*) FROM stays WHERE during @> 'empty'::int4range;
SELECT count(*) FROM stays WHERE rooms && '[100,110)'::int4range;
SELECT count(*) FROM stays WHERE rooms @> 105;
SELECT count(*) FROM stays WHERE rooms && '{[1,5),[300,310)}'::int4multirange;
UPDATE stays SET during = int4range(1000, 1010) WHERE id = 5;
SELECT id FROM stays WHERE during && '[1000,1001)';
EXPLAIN (COSTS OFF) SELECT * FROM stays WHERE during && '[100,110)';
\d stays
DROP TABLE stays;
-- Scalar columns need classes that extensions bring.
CREATE TABLE bookings (room int, during int4range, tags text[]);
CREATE INDEX ON bookings USING gist (room, during);
CREATE EXTENSION btree_gist;
CREATE EXTENSION btree_gin;
CREATE INDEX bookings_room ON bookings USING gist (room, during);
CREATE INDEX bookings_tags ON bookings USING gin (room, tags);
INSERT INTO bookings SELECT i % 7, int4range(i, i + 5), ARRAY['t' || i % 3] FROM generate_series(1, 200) i;
SELECT count(*) FROM bookings WHERE room = 3 AND during && '[50,100)';
SELECT count(*) FROM bookings WHERE room > 3 AND during && '[50,100)';
SELECT count(*) FROM bookings WHERE during && '[50,100)';
SELECT count(*) FROM bookings WHERE room = 3 AND tags @> '{t1}';
SELECT count(*) FROM bookings WHERE room <= 3 AND tags @> '{t1}';
SELECT count(*) FROM bookings WHERE room <= 3;
DROP EXTENSION btree_gin;
DROP EXTENSION btree_gist CASCADE;
SELECT indexname FROM pg_indexes WHERE tablename = 'bookings';
