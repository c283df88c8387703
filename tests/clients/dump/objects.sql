-- One of every kind of object that docs/sql.md lists, with data: what pg_dump must carry from a Serin database to Serin and to PostgreSQL.
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'the application''s';
CREATE SCHEMA "Mixed Case";
SET search_path = public;

-- Tables: keys, defaults, checks, identity, serial, generated columns, comments, storage parameters.
CREATE TABLE app.customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name varchar(80) NOT NULL,
    joined date DEFAULT '2024-01-01'::date NOT NULL,
    credit numeric(12,2) DEFAULT 0 NOT NULL,
    active boolean DEFAULT true,
    CONSTRAINT credit_positive CHECK (credit >= 0)
);
COMMENT ON TABLE app.customers IS 'Who buys';
COMMENT ON COLUMN app.customers.email IS 'unique, "lower case"';
COMMENT ON CONSTRAINT credit_positive ON app.customers IS 'no debts';
CREATE TABLE app.orders (
    customer integer NOT NULL,
    number bigserial,
    placed timestamptz DEFAULT now(),
    amount numeric NOT NULL,
    tax numeric GENERATED ALWAYS AS (amount * 0.19) STORED,
    note char(10),
    CONSTRAINT orders_pk PRIMARY KEY (customer, number),
    CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES app.customers (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE TABLE app.lines (
    customer integer,
    number bigint,
    line smallint CHECK (line > 0),
    article uuid,
    quantity integer DEFAULT 1,
    PRIMARY KEY (customer, number, line),
    FOREIGN KEY (customer, number) REFERENCES app.orders ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (article, customer) DEFERRABLE
);
CREATE TABLE "Mixed Case"."Weird ""Table""" ("Column One" int, "select" text DEFAULT 'it''s', "ünï" text);
CREATE TABLE public.kinds (
    b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(6,3), t text, v varchar(20), c char(4),
    by bytea, d date, ti time, ts timestamp, tz timestamptz(3), iv interval, u uuid, ia integer[], ta text[], o oid, r regclass, nm name, ti0 time(0)
);
CREATE TABLE public.no_columns ();
CREATE UNLOGGED TABLE public.unlogged_one (a int);
CREATE TABLE public.tree (id int PRIMARY KEY, parent int REFERENCES public.tree (id) ON DELETE SET NULL, label text);
CREATE TABLE public.dropped_columns (a int, gone text, b text, gone2 int, c int DEFAULT 7);
ALTER TABLE public.dropped_columns DROP COLUMN gone, DROP COLUMN gone2;
ALTER TABLE public.dropped_columns ADD COLUMN d text DEFAULT 'late' NOT NULL;
ALTER TABLE public.dropped_columns ADD CONSTRAINT later CHECK (a > 0) NOT VALID;

-- Sequences
CREATE SEQUENCE app.plain;
CREATE SEQUENCE app.fancy AS integer START 100 INCREMENT -5 MINVALUE -1000 MAXVALUE 1000 CACHE 3 CYCLE;
CREATE SEQUENCE app.owned OWNED BY app.customers.credit;
COMMENT ON SEQUENCE app.fancy IS 'downwards';

-- Indexes
CREATE INDEX orders_placed ON app.orders (placed DESC NULLS LAST);
CREATE INDEX customers_lower ON app.customers (lower(email));
CREATE INDEX customers_active ON app.customers (name) WHERE active;
CREATE UNIQUE INDEX kinds_i4_include ON public.kinds (i4) INCLUDE (t, i8);
CREATE INDEX kinds_two ON public.kinds (i2 NULLS FIRST, ((i4 + 1)) DESC);
COMMENT ON INDEX app.orders_placed IS 'newest first';

-- Views, materialized views
CREATE VIEW app.totals AS
  SELECT c.id, c.name, count(o.number) AS orders, COALESCE(sum(o.amount), 0::numeric) AS total
  FROM app.customers c LEFT JOIN app.orders o ON o.customer = c.id GROUP BY c.id, c.name;
CREATE VIEW public.recursive_view AS
  WITH RECURSIVE down AS (SELECT id, parent, 1 AS depth FROM public.tree WHERE parent IS NULL
    UNION ALL SELECT t.id, t.parent, d.depth + 1 FROM public.tree t JOIN down d ON t.parent = d.id)
  SELECT id, depth FROM down;
CREATE VIEW public.windows AS SELECT id, row_number() OVER (PARTITION BY parent ORDER BY id DESC) AS n,
  CASE WHEN label LIKE 'a%' THEN 'a' ELSE upper(label) END AS kind FROM public.tree WHERE id IN (1, 2, 3, 4) OR label IS NULL;
COMMENT ON VIEW app.totals IS 'per customer';
CREATE MATERIALIZED VIEW app.big AS SELECT id, total FROM app.totals WHERE total > 10 WITH DATA;
CREATE UNIQUE INDEX big_id ON app.big (id);
CREATE MATERIALIZED VIEW app.empty AS SELECT 1 AS one WITH NO DATA;

-- Routines and triggers
CREATE FUNCTION app.add(a integer, b integer DEFAULT 2) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT a + b $$;
CREATE FUNCTION app.standard(a integer) RETURNS integer LANGUAGE sql RETURN a * 2;
CREATE FUNCTION app.rows_of(VARIADIC ids integer[]) RETURNS TABLE (id integer, label text) LANGUAGE sql STABLE ROWS 5 AS
  'SELECT id, label FROM public.tree WHERE id = ANY (ids)';
CREATE FUNCTION app.out_args(IN x integer, OUT y integer, INOUT z text) LANGUAGE plpgsql COST 10 AS $body$
BEGIN
  y := x + 1;
  z := z || '$$';
END
$body$;
CREATE FUNCTION app.secure() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO 'app', 'public' AS $$ BEGIN RETURN current_schema(); END $$;
CREATE PROCEDURE app.proc(INOUT n integer) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN NEW.note := 'changed'; END IF;
  RETURN NEW;
END $$;
COMMENT ON FUNCTION app.add(integer, integer) IS 'adds';
CREATE TRIGGER orders_touch BEFORE UPDATE OF amount ON app.orders FOR EACH ROW WHEN (old.amount IS DISTINCT FROM new.amount) EXECUTE FUNCTION app.touch();
CREATE TRIGGER customers_stmt AFTER INSERT OR DELETE ON app.customers FOR EACH STATEMENT EXECUTE FUNCTION app.touch('one', '2');
CREATE TRIGGER disabled BEFORE INSERT ON public.tree FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE public.tree DISABLE TRIGGER disabled;
COMMENT ON TRIGGER orders_touch ON app.orders IS 'touches';

-- Types, a sequence that a default takes from, inheritance, partitions
CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE app.pair AS (a integer, b text);
CREATE DOMAIN app.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above CHECK (VALUE > 0);
COMMENT ON TYPE app.mood IS 'how it goes';
CREATE SEQUENCE app.zz_numbers START 5;
CREATE TABLE app.aa_numbered (id bigint DEFAULT nextval('app.zz_numbers') PRIMARY KEY, mood app.mood DEFAULT 'happy', of_two app.pair, p app.positive, moods app.mood[]);
CREATE TABLE app.parent (a integer CHECK (a > 0), b text);
CREATE TABLE app.child (c date) INHERITS (app.parent);
CREATE TABLE app.events (at date NOT NULL, kind text DEFAULT 'a', n integer) PARTITION BY RANGE (at);
CREATE TABLE app.events_old PARTITION OF app.events FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE app.events_new PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) PARTITION BY LIST (kind);
CREATE TABLE app.events_a PARTITION OF app.events_new FOR VALUES IN ('a', NULL);
CREATE TABLE app.events_rest PARTITION OF app.events_new DEFAULT;
CREATE INDEX events_n ON app.events (n);

-- Views that can be written to; INSTEAD OF, constraint and transition triggers
CREATE VIEW app.active WITH (security_barrier='true') AS SELECT id, name FROM app.customers WHERE active WITH CASCADED CHECK OPTION;
ALTER VIEW app.active ALTER COLUMN name SET DEFAULT 'nobody';
CREATE TRIGGER totals_write INSTEAD OF INSERT OR UPDATE OR DELETE ON app.totals FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE CONSTRAINT TRIGGER orders_later AFTER INSERT ON app.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.amount > 0 AND new.note IS NOT NULL) EXECUTE FUNCTION app.touch();
CREATE TRIGGER orders_seen AFTER UPDATE ON app.orders REFERENCING OLD TABLE AS was NEW TABLE AS "Is" FOR EACH STATEMENT EXECUTE FUNCTION app.touch();
CREATE TRIGGER events_each AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.orders ENABLE ALWAYS TRIGGER orders_seen;
ALTER TABLE app.orders ENABLE REPLICA TRIGGER orders_later;

-- Privileges
GRANT SELECT ON app.customers TO PUBLIC;
GRANT USAGE ON SCHEMA app TO PUBLIC;
REVOKE EXECUTE ON FUNCTION app.secure() FROM PUBLIC;

-- Data
INSERT INTO app.customers (email, name, credit, active) VALUES ('a@example.org', 'Ä', 10.50, true), ('b@example.org', E'tab\there', 0, false), ('c@example.org', E'back\\slash\nline', 99.99, NULL);
INSERT INTO app.orders (customer, placed, amount, note) SELECT 1 + i % 3, '2024-02-29 12:00:00+00'::timestamptz + i * interval '1 hour', i * 1.5, CASE WHEN i % 2 = 0 THEN 'even' END FROM generate_series(1, 30) i;
INSERT INTO app.lines SELECT customer, number, 1, ('00000000-0000-0000-0000-' || lpad(number::text, 12, '0'))::uuid FROM app.orders;
INSERT INTO "Mixed Case"."Weird ""Table""" VALUES (1, DEFAULT, 'ß'), (NULL, NULL, NULL), (2, '\N', '');
INSERT INTO public.kinds VALUES
  (true, 1, 2, 3, 1.5, 'NaN', '123456789012345678901234567890.123456789', 1.235, E'\001', 'v', 'c', '\xdeadbeef00', '2000-02-29', '23:59:59.999999', 'infinity', '2024-06-01 12:00:00.123456+02', '1 year 2 days 03:04:05.6', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{{1,2},{3,NULL}}', '{"a,b","\"q\"",NULL,"NULL",""}', 42, 'app.customers', 'some name', '12:00:00'),
  (false, -1, -2147483648, -9223372036854775808, 'Infinity', '-Infinity', 'NaN', NULL, '', '', '', '', '4713-01-01 BC', '24:00:00', '-infinity', '0001-01-01 00:00:00+00 BC', '-1 mons +2 days -00:00:01', NULL, '{}', '[2:3]={x,y}', 0, NULL, '', NULL);
INSERT INTO public.tree VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 1, 'b'), (4, 3, NULL);
INSERT INTO public.dropped_columns VALUES (1, 'x', 7, 'late'), (2, 'y', 8, 'z');
INSERT INTO public.unlogged_one VALUES (1);
INSERT INTO app.aa_numbered (of_two, p, moods) VALUES (ROW(1, 'x,"y"'), 3, '{sad,"it''s ok"}'), (NULL, 4, NULL);
INSERT INTO app.parent VALUES (1, 'one'); INSERT INTO app.child VALUES (2, 'two', '2024-05-06');
INSERT INTO app.events VALUES ('2023-05-05', 'z', 1), ('2024-05-05', 'a', 2), ('2024-06-05', NULL, 3), ('2025-05-05', 'q', 4);
SELECT nextval('app.fancy'), nextval('app.fancy'), setval('app.plain', 41, false);
REFRESH MATERIALIZED VIEW app.big;
