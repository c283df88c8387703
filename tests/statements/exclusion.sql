-- EXCLUDE constraints, as PostgreSQL 15 has them.
CREATE EXTENSION btree_gist;

CREATE TABLE booking (id int PRIMARY KEY, room int, during tsrange, note text,
  EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO booking VALUES (1, 101, '[2024-01-01 09:00, 2024-01-01 11:00)', 'a');
INSERT INTO booking VALUES (2, 101, '[2024-01-01 11:00, 2024-01-01 12:00)', 'b');
INSERT INTO booking VALUES (3, 102, '[2024-01-01 10:00, 2024-01-01 12:00)', 'c');
INSERT INTO booking VALUES (4, 101, '[2024-01-01 10:00, 2024-01-01 10:30)', 'd');
INSERT INTO booking VALUES (5, NULL, '[2024-01-01 10:00, 2024-01-01 12:00)', 'e');
INSERT INTO booking VALUES (6, 101, NULL, 'f');
INSERT INTO booking VALUES (7, 101, 'empty', 'g');
INSERT INTO booking VALUES (8, 101, 'empty', 'h');
-- An update of the row itself is no conflict.
UPDATE booking SET during = '[2024-01-01 09:30, 2024-01-01 10:30)' WHERE id = 1;
UPDATE booking SET note = 'z' WHERE id = 1;
UPDATE booking SET during = '[2024-01-01 09:30, 2024-01-01 11:30)' WHERE id = 1;
UPDATE booking SET id = 11 WHERE id = 1;
UPDATE booking SET room = 102 WHERE id = 11;
DELETE FROM booking WHERE id = 2;
UPDATE booking SET during = '[2024-01-01 09:30, 2024-01-01 11:30)' WHERE id = 11;
-- Rows of one statement are compared one after the other.
UPDATE booking SET during = tsrange(lower(during) + '1 hour', upper(during) + '1 hour') WHERE room = 101 AND NOT isempty(during);
INSERT INTO booking VALUES (20, 200, '[2024-01-01 09:00, 2024-01-01 11:00)'), (21, 200, '[2024-01-01 10:00, 2024-01-01 11:00)');
SELECT id, room, during, note FROM booking ORDER BY id;

-- ON CONFLICT
INSERT INTO booking VALUES (30, 101, '[2024-01-01 09:00, 2024-01-01 11:00)') ON CONFLICT DO NOTHING RETURNING id;
INSERT INTO booking VALUES (31, 101, '[2024-01-01 09:00, 2024-01-01 11:00)')
  ON CONFLICT ON CONSTRAINT booking_room_during_excl DO NOTHING RETURNING id;
INSERT INTO booking VALUES (31, 101, '[2025-01-01 09:00, 2025-01-01 11:00)')
  ON CONFLICT ON CONSTRAINT booking_room_during_excl DO NOTHING RETURNING id;
INSERT INTO booking VALUES (31, 101, '[2024-01-01 09:00, 2024-01-01 11:00)') ON CONFLICT (id) DO NOTHING RETURNING id;
INSERT INTO booking VALUES (32, 101, '[2024-01-01 09:00, 2024-01-01 11:00)') ON CONFLICT (id) DO NOTHING RETURNING id;
INSERT INTO booking VALUES (33, 101, '[2024-01-01 09:00, 2024-01-01 11:00)')
  ON CONFLICT ON CONSTRAINT booking_room_during_excl DO UPDATE SET note = 'x';
INSERT INTO booking VALUES (33, 101, '[2024-01-01 09:00, 2024-01-01 11:00)') ON CONFLICT (room, during) DO NOTHING;
INSERT INTO booking VALUES (33, 101, '[2024-01-01 09:00, 2024-01-01 11:00)') ON CONFLICT (id) DO UPDATE SET note = 'x';
INSERT INTO booking VALUES (31, 101, '[2024-01-01 09:00, 2024-01-01 11:00)') ON CONFLICT (id) DO UPDATE SET note = 'x' RETURNING id, note;
INSERT INTO booking VALUES (40, 300, '[2024-01-01,2024-01-02)'), (41, 300, '[2024-01-01,2024-01-03)'), (42, 301, '[2024-01-01,2024-01-03)')
  ON CONFLICT DO NOTHING RETURNING id;

-- Definitions.
SELECT conname, contype, condeferrable, condeferred, conkey,
  (SELECT string_agg(oprname, ' ' ORDER BY n) FROM unnest(conexclop) WITH ORDINALITY AS u(oid, n) JOIN pg_operator USING (oid)) AS operators,
  pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'booking'::regclass ORDER BY conname;
SELECT indexrelid::regclass, indisunique, indisexclusion, indimmediate, pg_get_indexdef(indexrelid)
  FROM pg_index WHERE indrelid = 'booking'::regclass ORDER BY 1;
\d booking
SELECT constraint_name, constraint_type FROM information_schema.table_constraints
  WHERE table_name = 'booking' AND constraint_name NOT LIKE '%not_null' ORDER BY 1;
CREATE TABLE copy (LIKE booking INCLUDING ALL);
\d copy
INSERT INTO copy VALUES (1, 1, '[2024-01-01,2024-01-03)'), (2, 1, '[2024-01-02,2024-01-04)');
DROP TABLE copy;
ALTER TABLE booking RENAME CONSTRAINT booking_room_during_excl TO no_double;
INSERT INTO booking VALUES (50, 300, '[2024-01-01,2024-01-02)');
DROP INDEX no_double;
ALTER TABLE booking DROP CONSTRAINT no_double;
INSERT INTO booking VALUES (50, 300, '[2024-01-01,2024-01-02)');
ALTER TABLE booking ADD CONSTRAINT again EXCLUDE USING gist (room WITH =, during WITH &&);
DELETE FROM booking WHERE id = 50;
ALTER TABLE booking ADD CONSTRAINT again EXCLUDE USING gist (room WITH =, during WITH &&) INCLUDE (note) WHERE (note <> 'free');
\d booking
INSERT INTO booking VALUES (51, 300, '[2024-01-01,2024-01-02)', 'free');
UPDATE booking SET note = 'taken' WHERE id = 51;
INSERT INTO booking VALUES (52, 300, '[2024-01-01,2024-01-02)', 'taken');
ALTER TABLE booking DROP COLUMN room;
\d booking

-- Expressions, other methods and operators.
CREATE TABLE circles (a int, b int, EXCLUDE USING gist (int4range(a, b) WITH &&));
INSERT INTO circles VALUES (1, 10), (10, 12);
INSERT INTO circles VALUES (5, 6);
\d circles
CREATE TABLE names (name text, EXCLUDE (lower(name) WITH =));
INSERT INTO names VALUES ('Anna'), ('Bert');
INSERT INTO names VALUES ('ANNA');
INSERT INTO names VALUES ('ANNA') ON CONFLICT DO NOTHING;
\d names
CREATE TABLE zoo (cage int, animal text, EXCLUDE USING gist (cage WITH =, animal WITH <>));
INSERT INTO zoo VALUES (1, 'zebra'), (1, 'zebra');
INSERT INTO zoo VALUES (1, 'lion');
INSERT INTO zoo VALUES (2, 'lion');
UPDATE zoo SET animal = 'lion' WHERE cage = 1;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'zoo'::regclass;
CREATE TABLE nets (n inet, EXCLUDE USING gist (n inet_ops WITH &&));
INSERT INTO nets VALUES ('10.0.0.0/8'), ('192.168.1.0/24');
INSERT INTO nets VALUES ('10.1.0.0/16');
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'nets'::regclass;

-- Deferrable ones.
CREATE TABLE shift (id int PRIMARY KEY, during int4range,
  CONSTRAINT apart EXCLUDE USING gist (during WITH &&) DEFERRABLE);
INSERT INTO shift VALUES (1, '[1,3)'), (2, '[3,5)'), (3, '[5,7)');
UPDATE shift SET during = int4range(lower(during) + 1, upper(during) + 1);
SELECT * FROM shift ORDER BY id;
INSERT INTO shift VALUES (4, '[1,100)');
BEGIN;
SET CONSTRAINTS apart DEFERRED;
INSERT INTO shift VALUES (4, '[1,100)');
UPDATE shift SET during = '[200,300)' WHERE id = 4;
COMMIT;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO shift VALUES (5, '[1,100)');
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO shift VALUES (5, '[1,100)');
COMMIT;
INSERT INTO shift VALUES (5, '[1,100)') ON CONFLICT DO NOTHING;
INSERT INTO shift VALUES (5, '[1,100)') ON CONFLICT ON CONSTRAINT apart DO NOTHING;
\d shift
SELECT * FROM shift ORDER BY id;

-- New types of columns are compared anew.
CREATE TABLE typed (t text, CONSTRAINT typed_excl EXCLUDE (t WITH =));
INSERT INTO typed VALUES ('1'), ('01');
ALTER TABLE typed ALTER t TYPE int USING t::int;
DELETE FROM typed WHERE t = '01';
ALTER TABLE typed ALTER t TYPE int USING t::int;
INSERT INTO typed VALUES (1);

-- COPY and many rows.
CREATE TABLE many (r int4range, EXCLUDE USING gist (r WITH &&));
INSERT INTO many SELECT int4range(i * 10, i * 10 + 10) FROM generate_series(1, 6000) i;
SELECT count(*) FROM many;
INSERT INTO many SELECT int4range(i * 10, i * 10 + 11) FROM generate_series(7000, 12000) i;
COPY many FROM stdin;
[100000,100001)
[100000,100002)
\.
SELECT count(*) FROM many;

-- What can't be.
CREATE TABLE bad (a int, b int4range, EXCLUDE USING gist (a WITH <));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING btree (a WITH <>));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING btree (b WITH &&));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING gist (b WITH @>));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING gist (b WITH ===));
CREATE TABLE bad (a int[], b int4range, EXCLUDE USING gin (a WITH &&));
CREATE TABLE bad (a int[], b int4range, EXCLUDE USING nothing (a WITH =));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING gist (c WITH &&));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING gist (a DESC WITH =));
CREATE TABLE bad (a int, b int4range, EXCLUDE USING gist (a WITH =) WHERE (a > random()));
CREATE TABLE bad (a json, EXCLUDE USING gist (a WITH =));
CREATE TABLE parted (a int, b int4range, EXCLUDE USING gist (b WITH &&)) PARTITION BY LIST (a);
CREATE TABLE parted (a int, b int4range) PARTITION BY LIST (a);
ALTER TABLE parted ADD EXCLUDE USING gist (b WITH &&);
CREATE TABLE part1 PARTITION OF parted (EXCLUDE USING gist (b WITH &&)) FOR VALUES IN (1);
INSERT INTO parted VALUES (1, '[1,3)');
INSERT INTO parted VALUES (1, '[2,3)');
INSERT INTO parted VALUES (1, '[2,3)') ON CONFLICT DO NOTHING;
SELECT * FROM parted;
