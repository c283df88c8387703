\pset null null
SET client_min_messages = warning;
-- tsvector: text
SELECT '1'::tsvector, '1 '::tsvector, ' 1'::tsvector, ' 1 '::tsvector, ''::tsvector;
SELECT '1 2'::tsvector, '''1 2'''::tsvector, E'''1 \\''2'''::tsvector, E'''1 \\''2''3'::tsvector, E'''1 \\''2'' 3'::tsvector, E'''1 \\''2'' '' 3'' 4 '::tsvector;
SELECT $$'\\as' ab\c ab\\c AB\\\c ab\\\\c$$::tsvector, '''w'':4A,3B,2C,1D,5 a:8'::tsvector, 'a:3A b:2a'::tsvector || 'ba:1234 a:1B';
SELECT 'a:1 a:1A b:3,2,2B c d:99999 c:4'::tsvector, 'B a Ab aB ä é:2'::tsvector, ':a a:1b,2* x'::tsvector;
SELECT ''' '' a '''''::tsvector;
SELECT $$''$$::tsvector;
SELECT 'a:'::tsvector;
SELECT 'a:0'::tsvector;
SELECT 'a:1AB'::tsvector;
SELECT 'a:1,'::tsvector;
SELECT 'a:1x'::tsvector;
SELECT 'a\'::tsvector;
SELECT repeat('x', 2048)::tsvector;
SELECT length(string_agg(repeat('x', 2000) || n, ' ')::tsvector) FROM generate_series(1, 500) n;
SELECT length(string_agg(repeat('x', 2000) || n, ' ')::tsvector) FROM generate_series(1, 600) n;
SELECT left(string_agg('a:' || n, ' ')::tsvector::text, 30), right(string_agg('a:' || n, ' ')::tsvector::text, 30) FROM generate_series(1, 600) n;
-- tsquery: text
SELECT q, q::tsquery FROM unnest(ARRAY['', '1', '1 ', '''1 2''', '!1', '1|2', '1|!2', '!1|!2', '!(1|2)', '!(!1|!2)', '1&2|3', '1|2&3', '1&(2|3)',
  '!!a & b', '1|2|3', '(1|2)|3', '1|(2|3)', '1&2&3', '1&(2&3)', 'a <-> b <2> c', 'a <-> (b <-> c)', '(a|b) <-> !c', 'a <0> b', 'a <16384> b',
  'a:* & b:bA & c:*d', '1&(''2''&('' 4''&(\|5 | ''6 \'''' !|&'')))', 'a<->b', 'it''s & a''b', '!(a & b) <-> c', '  a  ', '1 & !(2 | 3)']) q;
SELECT '1 2'::tsquery;
SELECT 'a &'::tsquery;
SELECT '& a'::tsquery;
SELECT '(a'::tsquery;
SELECT 'a)'::tsquery;
SELECT ':a'::tsquery;
SELECT 'a <-> '::tsquery;
SELECT 'a <20000> b'::tsquery;
SELECT 'a <x> b'::tsquery;
SELECT '!'::tsquery;
SELECT '()'::tsquery;
SELECT repeat('x', 2048)::tsquery;
SELECT (repeat('!', 33) || 'a')::tsquery;
SELECT ''''::tsquery;
-- comparisons
SELECT a < b AS lt, a <= b AS le, a = b AS eq, a >= b AS ge, a > b AS gt, a <> b AS ne
  FROM (VALUES ('a'::tsvector, 'b'::tsvector), ('a:1', 'a'), ('a:1', 'a:1'), ('a:1', 'a:1A'), ('a:1', 'a:2'), ('a:1,2', 'a:3'), ('a b', 'ab'), ('', 'a')) v(a, b);
SELECT a < b AS lt, a <= b AS le, a = b AS eq, a >= b AS ge, a > b AS gt, a <> b AS ne
  FROM (VALUES ('a'::tsquery, 'b'::tsquery), ('a', 'b & c'), ('a & b', 'a | b'), ('a:A', 'a:B'), ('a:*', 'a'), ('!a', '!b'), ('a <-> b', 'a <2> b'), ('f', 'ff'), ('', 'a')) v(a, b);
SELECT v FROM unnest(ARRAY['b', 'a:1', 'a', 'a b', 'a:1A', 'a:2', 'aa', '', 'c:1,2', 'a:1,2']::tsvector[]) v ORDER BY v;
SELECT v, count(*) FROM unnest(ARRAY['b a', 'a b', 'a:1', 'a']::tsvector[]) v GROUP BY v ORDER BY v;
SELECT q FROM unnest(ARRAY['b', 'a & b', 'a', 'a | b', '!a', 'a <-> b', 'c & !d', 'zz', '']::tsquery[]) q ORDER BY q;
CREATE TABLE tsv (v tsvector PRIMARY KEY, q tsquery UNIQUE);
INSERT INTO tsv VALUES ('a:1 b:2', 'a & b'), ('c', 'd:*A');
INSERT INTO tsv VALUES ('b:2 a:1', 'x');
SELECT * FROM tsv WHERE v = 'b:2 a:1';
DROP TABLE tsv;
-- operators and functions of queries
SELECT numnode('new'::tsquery), numnode('new & york'::tsquery), numnode('new & york | qwery'::tsquery), numnode(''::tsquery);
SELECT 'foo & bar'::tsquery && 'asd', 'foo & bar'::tsquery || 'asd & fg', 'foo & bar'::tsquery || !!'asd & fg'::tsquery, 'foo & bar'::tsquery && 'asd | fg';
SELECT 'a' <-> 'b & d'::tsquery, 'a & g' <-> 'b & d'::tsquery, 'a & g' <-> 'b | d'::tsquery, 'a & g' <-> 'b <-> d'::tsquery, tsquery_phrase('a <3> g', 'b & d', 10), ''::tsquery && 'a', 'a' || ''::tsquery, !!''::tsquery;
SELECT tsquery_phrase('a', 'b', -1);
SELECT q, querytree(q::tsquery) FROM unnest(ARRAY['', 'a', '!a', 'a & !b', 'a | !b', '!(a & b) & c', 'a <-> !b', 'a & (b | !c)']) q;
SELECT 'a & b'::tsquery @> 'a', 'a' @> 'a & b'::tsquery, 'a | b' <@ 'b & c & a'::tsquery, 'a' <@ ''::tsquery;
-- matches
SELECT q, 'a b:89 ca:23A,64b d:34c'::tsvector @@ q::tsquery AS matches FROM unnest(ARRAY['d:AC & ca', 'd:AC & ca:B', 'd:AC & ca:A', 'd:AC & ca:C', 'd:AC & ca:CB',
  'd:AC & c:*C', 'd:AC & c:*CB', 'd:AC & c:*B', '!x', '!a', 'a:A', 'b:A', 'x | b', '']) q;
SELECT v, q, v::tsvector @@ q::tsquery AS matches, q::tsquery @@ v::tsvector AS commuted FROM (VALUES
  ('a:1 b:2', 'a <-> b'), ('a:1 b:2', 'a <0> b'), ('a:1 b:2', 'a <1> b'), ('a:1 b:2', 'a <2> b'), ('a:1 b:3', 'a <-> b'), ('a:1 b:3', 'a <2> b'),
  ('a:1 b:3', 'a <3> b'), ('a:1 b:3', 'a <0> a:*'), ('a:1 b:3 a:4', 'a <-> b'), ('a b', 'a <-> b'), ('a b', 'a & b'), ('a:1 b:2 c:3', 'a <-> b <-> c'),
  ('a:1 b:2 c:3', 'a <-> (b <-> c)'), ('a:1 b:2 c:3', 'a <2> c'), ('a:1 b:2 c:3', '(a <-> b) <-> c'), ('a:1 b:2 c:3', 'a <-> !c'), ('a:1 b:2 c:3', 'a <-> !b'),
  ('a:1 b:2 c:3', '!a <-> c'), ('a:1 b:2 c:3', '!(a <-> b) & c'), ('a:1 b:2 c:3', 'a <-> (b & !c)'), ('a:1 b:2 c:3', '(a | x) <-> b'), ('a:1 b:2 c:3', '(!a | b) <-> c'),
  ('a:1 b:2 c:3', '!x <-> !y'), ('a:1 b:2 c:3', '!a <-> a'), ('a:1 b:2 a:3', '!a <-> a'), ('q:2 w:1', 'q <-> w'), ('wa:1D wb:2A', 'w:*D & w:*A'), ('wa:1D wb:2A', 'w:*D <-> w:*A'),
  ('wa:1A wb:2D', 'w:*D <-> w:*A'), ('a:1 b', 'a <-> b'), ('a:1 b', 'a <-> !b'), ('a b', '!(a <-> b)'), ('a:1 d:2 c:3', '(a <-> d) <-> (d <-> c)'), ('', '!a')) v(v, q);
-- functions of tsvector
SELECT length('a b:2 c:3'::tsvector), strip('w:12B ww:1,3 a'::tsvector), setweight('w:12B w:13* w:12,5,6 a:1,3* a:3 w asd:1dc asd zxc:81,567,222A'::tsvector, 'c'),
  setweight('a asd w:5,6,12B,13A zxc:81,222A,567'::tsvector, 'c', '{a,zxc,x,null}');
SELECT setweight('a:1', 'x');
SELECT ts_delete('base hidden rebel spaceship strike'::tsvector, 'hide'), ts_delete('base:7 hidden:6 rebel:1', 'hidden'), ts_delete('base hidden rebel', ARRAY['base', 'rebel', 'base', null, '']);
SELECT ts_filter('base:7A empir:17 evil:15 first:11 galact:16 hidden:6A,8 x', '{a}'), ts_filter('base:7A hidden:6A,8', '{a,d}');
SELECT ts_filter('base:7A', '{x}');
SELECT ts_filter('base:7A', '{a,null}');
SELECT tsvector_to_array('b:1 a c'), tsvector_to_array(''), array_to_tsvector('{b,a,b}'), array_to_tsvector('{}');
SELECT array_to_tsvector('{b,null}');
SELECT array_to_tsvector('{b,""}');
SELECT * FROM unnest('base:7 hidden:6A,8C rebel'::tsvector);
SELECT 'a:1 b:2'::tsvector || 'a:1 c:16383', ''::tsvector || 'a', 'a'::tsvector || 'b:1', 'a:16383' || 'a:1'::tsvector;
SELECT ARRAY['a b'::tsvector, 'c:1'], ARRAY['a & b'::tsquery], '{"''a'' b:1"}'::tsvector[], pg_typeof('a'::tsvector), 'a:1'::tsvector::text, 'a & b'::tsquery::text::varchar;
-- GIN
CREATE TABLE documents (id int PRIMARY KEY, v tsvector);
INSERT INTO documents SELECT n, ('w' || n % 7 || ':1A x' || n % 10 || ':2 all:3')::tsvector FROM generate_series(1, 500) n;
INSERT INTO documents VALUES (501, ''), (502, NULL), (503, repeat('long', 500)::tsvector);
CREATE INDEX documents_v ON documents USING gin (v);
SET enable_seqscan = off;
SELECT q, (SELECT count(*) FROM documents WHERE v @@ q::tsquery), (SELECT sum(id) FROM documents WHERE q::tsquery @@ v)
  FROM unnest(ARRAY['w1', 'w1 & x1', 'w1 | x1', 'w1 <-> x1', 'w1 <2> x1', 'w1:B', 'w1:A', 'w:*', '!w1', 'w1 & !x1', 'w1 | !x1', '!(w1 | x1)', '', 'none', 'none | w2', 'lo:*', '(w1 | w2) & (x1 | x2) & !x3', 'w1 & x1 | w2 & x2', '!none']) q;
EXPLAIN (COSTS OFF) SELECT * FROM documents WHERE v @@ 'w1 & x1';
INSERT INTO documents VALUES (504, 'fresh:1');
UPDATE documents SET v = 'changed' WHERE v @@ 'w3 & x3';
DELETE FROM documents WHERE v @@ 'w4';
SELECT count(*) FROM documents WHERE v @@ 'w4 | w3 & x3';
SELECT id FROM documents WHERE v @@ 'fresh';
SELECT count(*) FROM documents WHERE v @@ 'changed';
DROP TABLE documents;
