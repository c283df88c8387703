-- Transition tables, constraint triggers, and how triggers are shown.
CREATE TABLE stock (item text PRIMARY KEY, n int, note text);
CREATE FUNCTION show_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE seen text;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    SELECT string_agg(o::text, ' ' ORDER BY item) INTO seen FROM old_rows o;
    RAISE NOTICE '% % %: old %', TG_NAME, TG_LEVEL, TG_OP, seen;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    SELECT string_agg(item || '=' || n, ' ' ORDER BY item) INTO seen FROM new_rows WHERE n IS NOT NULL;
    RAISE NOTICE '% % %: new %, % in all', TG_NAME, TG_LEVEL, TG_OP, seen, (SELECT count(*) FROM new_rows);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER a_insert AFTER INSERT ON stock REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
CREATE TRIGGER b_update AFTER UPDATE ON stock REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
CREATE TRIGGER c_delete AFTER DELETE ON stock REFERENCING OLD TABLE old_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
CREATE TRIGGER d_row AFTER UPDATE ON stock REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH ROW WHEN (NEW.n > 10) EXECUTE FUNCTION show_changes();
INSERT INTO stock VALUES ('pen', 1), ('ink', NULL), ('cup', 3);
INSERT INTO stock SELECT 'none', 1 WHERE false;
UPDATE stock SET n = n * 10 WHERE n IS NOT NULL;
UPDATE stock SET n = 0 WHERE item = 'missing';
INSERT INTO stock VALUES ('pen', 7), ('mug', 8) ON CONFLICT (item) DO UPDATE SET n = excluded.n;
WITH moved AS (DELETE FROM stock WHERE item = 'cup' RETURNING *) INSERT INTO stock SELECT 'jar', n FROM moved;
MERGE INTO stock s USING (VALUES ('jar', 5), ('lid', 6), ('mug', NULL)) v(item, n) ON s.item = v.item
  WHEN MATCHED AND v.n IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET n = v.n WHEN NOT MATCHED THEN INSERT VALUES (v.item, v.n);
ALTER TABLE stock DROP COLUMN note;
DELETE FROM stock;
SELECT tgname, tgoldtable, tgnewtable, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'stock'::regclass ORDER BY 1;
-- joined, in loops, not in the functions that are called; not to be written
CREATE FUNCTION outside() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM fresh); EXCEPTION WHEN undefined_table THEN RETURN NULL; END$$;
CREATE FUNCTION joins() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  FOR r IN SELECT f.item, s.n FROM fresh f JOIN stock s USING (item) WHERE EXISTS (SELECT 1 FROM fresh g WHERE g.item > f.item) ORDER BY 1 LOOP
    RAISE NOTICE 'joined %', r;
  END LOOP;
  EXECUTE 'SELECT count(*) FROM fresh' INTO r;
  RAISE NOTICE 'dynamic %', r;
  BEGIN
    DELETE FROM fresh;
  EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% %', SQLSTATE, SQLERRM;
  END;
  RAISE NOTICE 'outside %', outside();
  RETURN NULL;
END $$;
CREATE TRIGGER e_joins AFTER INSERT ON stock REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION joins();
INSERT INTO stock VALUES ('a', 1), ('b', 2), ('c', 3);
DROP TRIGGER e_joins ON stock;
-- where they can't be
CREATE TRIGGER bad BEFORE INSERT ON stock REFERENCING NEW TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER INSERT OR UPDATE ON stock REFERENCING NEW TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER UPDATE OF n ON stock REFERENCING NEW TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER INSERT ON stock REFERENCING OLD TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER DELETE ON stock REFERENCING NEW TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER UPDATE ON stock REFERENCING NEW TABLE AS x OLD TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER TRUNCATE ON stock REFERENCING OLD TABLE AS x FOR EACH STATEMENT EXECUTE FUNCTION joins();
-- partitions: rows have the columns of the table that the statement names
CREATE TABLE parted (item text, n int) PARTITION BY RANGE (n);
CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE high (n int, item text);
ALTER TABLE parted ATTACH PARTITION high FOR VALUES FROM (10) TO (100);
CREATE TRIGGER i AFTER INSERT ON parted REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
CREATE TRIGGER u AFTER UPDATE ON parted REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
CREATE TRIGGER d AFTER DELETE ON parted REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
CREATE TRIGGER own AFTER INSERT ON high REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION show_changes();
INSERT INTO parted VALUES ('a', 1), ('b', 50);
UPDATE parted SET n = n + 9;
INSERT INTO high VALUES (11, 'direct');
DELETE FROM parted;
CREATE TRIGGER bad AFTER INSERT ON parted REFERENCING NEW TABLE AS x FOR EACH ROW EXECUTE FUNCTION joins();
CREATE TRIGGER bad AFTER INSERT ON low REFERENCING NEW TABLE AS x FOR EACH ROW EXECUTE FUNCTION joins();
-- constraint triggers
CREATE TABLE ledger (id int PRIMARY KEY, amount int);
CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '% % %: % -> %', TG_NAME, TG_WHEN, TG_OP, OLD, NEW;
  IF (SELECT sum(amount) FROM ledger) <> 0 THEN
    RAISE EXCEPTION 'not balanced' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balance AFTER INSERT OR UPDATE OR DELETE ON ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION balanced();
INSERT INTO ledger VALUES (1, 10);
BEGIN;
INSERT INTO ledger VALUES (1, 10);
INSERT INTO ledger VALUES (2, -10);
COMMIT;
BEGIN;
UPDATE ledger SET amount = 5 WHERE id = 1;
SAVEPOINT s;
DELETE FROM ledger WHERE id = 2;
ROLLBACK TO s;
UPDATE ledger SET amount = -5 WHERE id = 2;
SET CONSTRAINTS balance IMMEDIATE;
INSERT INTO ledger VALUES (3, 0);
INSERT INTO ledger VALUES (4, 1);
COMMIT;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE ledger SET amount = 1 WHERE id = 1;
ROLLBACK;
BEGIN;
UPDATE ledger SET amount = amount WHERE id = 1;
ALTER TABLE ledger ADD COLUMN x int;
ROLLBACK;
DROP TRIGGER balance ON ledger;
CREATE CONSTRAINT TRIGGER balance AFTER UPDATE OF amount ON ledger DEFERRABLE FOR EACH ROW WHEN (OLD.amount IS DISTINCT FROM NEW.amount AND NEW.id > 0) EXECUTE FUNCTION balanced('x', 'y''z');
CREATE CONSTRAINT TRIGGER plain AFTER INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION balanced();
UPDATE ledger SET amount = 1 WHERE id = 1;
BEGIN;
SET CONSTRAINTS balance DEFERRED;
UPDATE ledger SET amount = 1 WHERE id = 1;
UPDATE ledger SET amount = amount;
UPDATE ledger SET amount = -1 WHERE id = 2;
COMMIT;
SET CONSTRAINTS plain DEFERRED;
SET CONSTRAINTS nothing DEFERRED;
SELECT tgname, tgdeferrable, tginitdeferred, tgconstraint <> 0 AS is_constraint, pg_get_triggerdef(oid), pg_get_triggerdef(oid, true) FROM pg_trigger WHERE tgrelid = 'ledger'::regclass ORDER BY 1;
SELECT conname, contype, condeferrable, condeferred, conrelid::regclass FROM pg_constraint WHERE conrelid = 'ledger'::regclass ORDER BY 1;
\d ledger
CREATE CONSTRAINT TRIGGER bad BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION balanced();
CREATE CONSTRAINT TRIGGER bad AFTER INSERT ON ledger FOR EACH STATEMENT EXECUTE FUNCTION balanced();
-- WHEN, as it is shown
CREATE TABLE shown (a int, b text, c boolean);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', TG_NAME; RETURN NULL; END$$;
CREATE TRIGGER w1 AFTER UPDATE ON shown FOR EACH ROW WHEN (NEW.c) EXECUTE FUNCTION nothing();
CREATE TRIGGER w2 AFTER UPDATE ON shown FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION nothing();
CREATE TRIGGER w3 AFTER UPDATE ON shown FOR EACH ROW WHEN (NEW.a > 1 OR (OLD.b = 'x' AND NOT NEW.c)) EXECUTE FUNCTION nothing();
CREATE TRIGGER w4 AFTER UPDATE OF b, a ON shown FOR EACH ROW WHEN ((((NEW.a + 1) IN (1, 2)))) EXECUTE FUNCTION nothing();
CREATE TRIGGER w5 AFTER TRUNCATE OR INSERT ON shown WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION nothing();
SELECT pg_get_triggerdef(oid), pg_get_triggerdef(oid, true) FROM pg_trigger WHERE tgrelid = 'shown'::regclass ORDER BY tgname;
ALTER TABLE shown DISABLE TRIGGER w1;
ALTER TABLE shown ENABLE ALWAYS TRIGGER w2;
ALTER TABLE shown ENABLE REPLICA TRIGGER w3;
\d shown
INSERT INTO shown VALUES (1, 'x', true);
UPDATE shown SET a = 2;
ALTER TABLE shown DISABLE TRIGGER ALL;
UPDATE shown SET a = 3;
ALTER TABLE shown ENABLE TRIGGER USER;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'shown'::regclass ORDER BY 1;
SET session_replication_role = replica;
UPDATE shown SET a = 4;
ALTER TABLE shown ENABLE REPLICA TRIGGER w3;
ALTER TABLE shown ENABLE ALWAYS TRIGGER w2;
UPDATE shown SET a = 5;
RESET session_replication_role;
UPDATE shown SET a = 6;
