-- What is on the remote server.
DROP SCHEMA IF EXISTS fdw_app CASCADE;
CREATE SCHEMA fdw_app;
CREATE TYPE fdw_app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE fdw_app.people (id int PRIMARY KEY, name text NOT NULL, born date, score numeric(8,2) DEFAULT 1.5, tags text[], data jsonb, seen timestamptz, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE fdw_app.visits (person int REFERENCES fdw_app.people ON DELETE CASCADE, at timestamp, note varchar(20), PRIMARY KEY (person, at));
CREATE VIEW fdw_app.young AS SELECT id, name FROM fdw_app.people WHERE born > '2000-01-01';
CREATE TABLE fdw_app.parts (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE fdw_app.parts1 PARTITION OF fdw_app.parts FOR VALUES FROM (0) TO (100);
INSERT INTO fdw_app.people SELECT g, 'p' || g, date '1990-01-01' + g * 100, g * 1.25, ARRAY['t' || g, NULL], jsonb_build_object('n', g), timestamptz '2024-01-01 00:00:00+00' + g * interval '1 hour' FROM generate_series(1, 60) g;
INSERT INTO fdw_app.visits SELECT g % 60 + 1, timestamp '2024-02-01' + g * interval '1 minute', 'n' || g FROM generate_series(1, 200) g;
