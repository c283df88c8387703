-- Views whose rows are those of a table, CHECK OPTION and INSTEAD OF triggers.
CREATE TABLE shop (id int PRIMARY KEY, name text NOT NULL DEFAULT 'none', price int, extra int DEFAULT 7,
  twice int GENERATED ALWAYS AS (price * 2) STORED);
INSERT INTO shop VALUES (1, 'pen', 3), (2, 'book', 20), (3, 'desk', 300);
CREATE VIEW cheap AS SELECT id AS k, name, price AS cost, upper(name) AS loud FROM shop WHERE price < 100;
INSERT INTO cheap (k, cost) VALUES (4, 5) RETURNING *;
INSERT INTO cheap VALUES (5, 'cup') RETURNING k, name, cost, loud;
INSERT INTO cheap VALUES (6, 'x', 1, 'X');
INSERT INTO cheap (k, name) VALUES (6, DEFAULT), (7, 'jar') RETURNING *;
UPDATE cheap SET cost = cost + 1 WHERE loud LIKE 'P%' RETURNING *;
UPDATE cheap c SET name = c.name || '!' FROM shop s WHERE s.id = c.k AND s.price = 20 RETURNING c.*, s.name;
UPDATE cheap SET loud = 'a';
UPDATE cheap SET cost = 1 WHERE k = 3;
UPDATE cheap SET cost = (SELECT max(s.price) FROM shop s WHERE s.id < cheap.k) WHERE k = 4 RETURNING *;
DELETE FROM cheap WHERE k IN (3, 5) RETURNING k;
DELETE FROM cheap USING shop s WHERE s.id = cheap.k AND s.name = 'jar' RETURNING cheap.*;
SELECT * FROM shop ORDER BY id;
INSERT INTO cheap (k, name, cost) VALUES (1, 'pencil', 2) ON CONFLICT (k) DO UPDATE
  SET name = excluded.name, cost = cheap.cost + excluded.cost WHERE cheap.loud = 'PEN' RETURNING *;
INSERT INTO cheap (k, name) VALUES (2, 'y') ON CONFLICT DO NOTHING;
INSERT INTO cheap (k, name) VALUES (2, 'y') ON CONFLICT (cost) DO NOTHING;
-- views on views
CREATE VIEW level1 AS SELECT id, name, price FROM shop WHERE price > 0;
CREATE VIEW level2 AS SELECT price AS p, id AS i FROM level1 WHERE price < 50 WITH LOCAL CHECK OPTION;
CREATE VIEW level3 AS SELECT i, p FROM level2 WHERE i < 100 WITH CASCADED CHECK OPTION;
INSERT INTO level2 VALUES (60, 10);
INSERT INTO level2 VALUES (-1, 10);
INSERT INTO level2 VALUES (NULL, 11);
INSERT INTO level3 VALUES (12, -1);
INSERT INTO level3 VALUES (12, 60);
INSERT INTO level3 VALUES (120, 6);
INSERT INTO level3 VALUES (12, 6) RETURNING *;
UPDATE level3 SET p = 99 WHERE i = 12;
UPDATE level3 SET i = i + 1, p = 7 WHERE i = 12 RETURNING *;
DELETE FROM level3 WHERE i = 13;
SELECT * FROM level3 ORDER BY i;
ALTER VIEW level3 RESET (check_option);
INSERT INTO level3 VALUES (120, 6);
-- what isn't simple
CREATE VIEW v1 AS SELECT DISTINCT name FROM shop;
CREATE VIEW v2 AS SELECT count(*) AS n FROM shop;
CREATE VIEW v3 AS SELECT name, count(*) AS n FROM shop GROUP BY name;
CREATE VIEW v4 AS SELECT id FROM shop UNION SELECT 1;
CREATE VIEW v5 AS SELECT id FROM shop LIMIT 1;
CREATE VIEW v6 AS SELECT s.id FROM shop s, shop t;
CREATE VIEW v7 AS SELECT id, row_number() OVER () AS r FROM shop;
CREATE VIEW v8 AS SELECT id, generate_series(1, 2) AS g FROM shop;
CREATE VIEW v9 AS WITH x AS (SELECT 1) SELECT id FROM shop;
CREATE VIEW v10 AS SELECT id + 1 AS j, shop AS whole, tableoid AS t FROM shop;
CREATE VIEW v11 AS SELECT 1 AS one;
CREATE VIEW v12 AS SELECT id, id AS again, tableoid AS t, shop AS whole FROM shop;
INSERT INTO v1 VALUES ('a');
UPDATE v2 SET n = 1;
DELETE FROM v3;
INSERT INTO v4 VALUES (1);
UPDATE v5 SET id = 1;
DELETE FROM v6;
INSERT INTO v7 VALUES (1, 2);
UPDATE v8 SET id = 1;
DELETE FROM v9;
INSERT INTO v10 VALUES (1);
UPDATE v10 SET j = 1;
DELETE FROM v11;
INSERT INTO v12 (id, again) VALUES (1, 1);
UPDATE v12 SET id = 1, again = 2;
UPDATE v12 SET t = 1;
UPDATE v12 SET whole = NULL;
CREATE VIEW v13 AS SELECT DISTINCT name FROM shop WITH CHECK OPTION;
CREATE VIEW v14 WITH (check_option = sometimes) AS SELECT name FROM shop;
MERGE INTO cheap USING shop s ON s.id = cheap.k WHEN MATCHED THEN DELETE;
SELECT table_name, is_insertable_into FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1;
SELECT table_name, check_option, is_updatable, is_insertable_into, is_trigger_updatable, is_trigger_deletable,
  is_trigger_insertable_into FROM information_schema.views WHERE table_schema = 'public' ORDER BY 1;
SELECT table_name, column_name, is_updatable FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position;
SELECT relname, pg_relation_is_updatable(oid, false) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'r') ORDER BY 1;
SELECT relname, reloptions FROM pg_class WHERE relname LIKE 'level%' ORDER BY 1;
-- defaults of the view
ALTER VIEW cheap ALTER COLUMN name SET DEFAULT 'from the view';
INSERT INTO cheap (k) VALUES (21) RETURNING *;
INSERT INTO cheap (k, name) VALUES (22, DEFAULT) RETURNING *;
-- INSTEAD OF triggers
CREATE VIEW pairs AS SELECT a.id, a.name, b.price FROM shop a JOIN shop b ON a.id = b.id;
CREATE FUNCTION on_pairs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '% % % %: % -> %', TG_NAME, TG_WHEN, TG_OP, TG_LEVEL, OLD, NEW;
  IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.id < 0 THEN RETURN NULL; END IF;
    NEW.name := coalesce(NEW.name, 'unnamed');
    INSERT INTO shop (id, name, price) VALUES (NEW.id, NEW.name, NEW.price);
    RETURN NEW;
  ELSIF TG_OP = 'UPDATE' THEN
    UPDATE shop SET name = NEW.name, price = NEW.price WHERE id = OLD.id;
    RETURN NEW;
  ELSE
    DELETE FROM shop WHERE id = OLD.id;
    RETURN OLD;
  END IF;
END $$;
INSERT INTO pairs VALUES (30, 'a', 1);
CREATE TRIGGER t INSTEAD OF INSERT OR UPDATE OR DELETE ON pairs FOR EACH ROW EXECUTE FUNCTION on_pairs();
CREATE TRIGGER s BEFORE UPDATE ON pairs FOR EACH STATEMENT EXECUTE FUNCTION on_pairs();
CREATE TRIGGER z AFTER UPDATE ON pairs FOR EACH STATEMENT EXECUTE FUNCTION on_pairs();
INSERT INTO pairs VALUES (30, 'a', 1), (-1, 'b', 2), (31, NULL, 3) RETURNING *;
UPDATE pairs SET price = price * 10 WHERE id = 30 RETURNING id, price;
UPDATE pairs SET price = price * 10 WHERE id = 31;
DELETE FROM pairs WHERE id = 30 RETURNING *;
CREATE VIEW over_pairs AS SELECT price AS p, id AS i FROM pairs WHERE price > 10 WITH CHECK OPTION;
UPDATE over_pairs SET p = p + 1 WHERE i = 31 RETURNING *;
UPDATE over_pairs SET p = 0 WHERE i = 31;
DELETE FROM over_pairs WHERE i = 31;
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'pairs'::regclass ORDER BY tgname;
CREATE TRIGGER bad INSTEAD OF INSERT ON shop FOR EACH ROW EXECUTE FUNCTION on_pairs();
CREATE TRIGGER bad INSTEAD OF INSERT ON pairs FOR EACH STATEMENT EXECUTE FUNCTION on_pairs();
CREATE TRIGGER bad INSTEAD OF UPDATE ON pairs FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION on_pairs();
CREATE TRIGGER bad INSTEAD OF UPDATE OF id ON pairs FOR EACH ROW EXECUTE FUNCTION on_pairs();
CREATE TRIGGER bad BEFORE UPDATE ON pairs FOR EACH ROW EXECUTE FUNCTION on_pairs();
CREATE TRIGGER bad BEFORE TRUNCATE ON pairs FOR EACH STATEMENT EXECUTE FUNCTION on_pairs();
-- partitions and children through a view
CREATE TABLE parts (a int, b text) PARTITION BY LIST (a);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts2 (b text, a int);
ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES IN (2);
CREATE VIEW of_parts AS SELECT b AS x, a AS y FROM parts WHERE a < 3 WITH CHECK OPTION;
INSERT INTO of_parts VALUES ('one', 1), ('two', 2) RETURNING *;
UPDATE of_parts SET y = 2 WHERE y = 1 RETURNING *;
SELECT tableoid::regclass, * FROM parts ORDER BY b;
-- privileges
CREATE ROLE view_owner;
CREATE ROLE view_user;
GRANT USAGE, CREATE ON SCHEMA public TO view_owner, view_user;
GRANT INSERT, UPDATE, SELECT ON shop TO view_owner;
SET ROLE view_owner;
CREATE VIEW owned AS SELECT id, name FROM shop;
GRANT INSERT, DELETE ON owned TO view_user;
SET ROLE view_user;
INSERT INTO owned VALUES (40, 'granted');
INSERT INTO owned VALUES (41, 'granted') RETURNING id;
UPDATE owned SET name = 'x';
DELETE FROM owned;
RESET ROLE;
GRANT SELECT, UPDATE (name) ON owned TO view_user;
SET ROLE view_user;
UPDATE owned SET name = 'updated' WHERE id = 40 RETURNING id, name;
UPDATE owned SET id = 1 WHERE id = 40;
RESET ROLE;
ALTER VIEW owned SET (security_invoker);
SET ROLE view_user;
UPDATE owned SET name = 'again' WHERE id = 40;
RESET ROLE;
DROP VIEW owned;
REVOKE ALL ON shop FROM view_owner;
REVOKE ALL ON SCHEMA public FROM view_owner, view_user;
DROP ROLE view_owner, view_user;
-- security barrier
CREATE FUNCTION leak(text) RETURNS bool COST 0.0000001 LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'sees %', $1; RETURN true; END$$;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, name FROM shop WHERE id <= 2;
UPDATE guarded SET name = name WHERE leak(name);
DELETE FROM guarded WHERE leak(name) AND id = 2 RETURNING *;
