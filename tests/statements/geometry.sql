-- Geometric types, as PostgreSQL 15 has them. (Its regression files point, lseg, line, box, path, polygon, circle and geometry say more.)
-- Text.
SELECT point '(1,2)', point ' 1 , 2 ', point '( -1.5e3 , +0.25 )', point '(inf,-Infinity)', point '(NaN,1e-300)';
SELECT lseg '[(1,2),(3,4)]', lseg '(1,2),(3,4)', lseg '((1,2),(3,4))', lseg '1,2,3,4', lseg '[1,2,3,4]';
SELECT line '{1,-1,2}', line '(1,1),(2,3)', line '[(1,1),(1,3)]', line '1,5,2,5', line ' { 0 , 3 , 6 } ';
SELECT box '(1,2),(3,4)', box '((3,2),(1,4))', box '1,2,3,4', box '(1,2,3,4)', box '(NaN,1),(2,3)';
SELECT path '[(1,2),(3,4)]', path '((1,2),(3,4))', path '(1,2),(3,4)', path '1,2,3,4', path '(1,2,3,4)', path '[1,2,3,4]', path '(0,0)';
SELECT polygon '((1,2),(3,4),(5,0))', polygon '(1,2),(3,4)', polygon '1,2,3,4', polygon '(0,0)';
SELECT circle '<(1,2),3>', circle '((1,2),3)', circle '(1,2),3', circle '1,2,3', circle '<(1,2),NaN>', circle ' < ( 1 , 2 ) , 0 > ';
SET extra_float_digits = -3;
SELECT point(1/3.0::float8, 2/3.0::float8), circle(point(pi(), 0), sqrt(2));
RESET extra_float_digits;
SELECT point '(1,2';
SELECT point '(1,2)x';
SELECT point '1';
SELECT point '(1,)';
SELECT point '';
SELECT point '(1,1e400)';
SELECT point '(1,1e-400)';
SELECT lseg '[(1,2),(3,4)';
SELECT lseg '(1,2)';
SELECT line '{0,0,1}';
SELECT line '{1,2}';
SELECT line '(1,1),(1,1)';
SELECT box '[(1,2),(3,4)]';
SELECT path '(1,2),(3,4';
SELECT path '1,2,3';
SELECT path '';
SELECT polygon '[(1,2),(3,4)]';
SELECT polygon '(1,2,3)';
SELECT circle '<(1,2),-1>';
SELECT circle '<(1,2)>';
-- Arrays; boxes have semicolons between them.
SELECT ARRAY[point(1,2), NULL], '{"(1,2)","(3,4)"}'::point[], '{(1,2),(3,4);(5,6),(7,8)}'::box[], '{"<(1,2),3>"}'::circle[];
SELECT '{(1,2),(3,4)}'::box[], '{(1,2),(3,4),}'::box[];
SELECT ('{(1,2),(3,4);(5,6),(7,8)}'::box[])[2], array_length('{(1,2),(3,4);(5,6),(7,8)}'::box[], 1);
-- Parts.
SELECT (point '(1,2)')[0], (point '(1,2)')[1], (point '(1,2)')[2], (point '(1,2)')[-1], (point '(1,2)')[0][0];
SELECT (lseg '[(1,2),(3,4)]')[0], (box '(1,2),(3,4)')[1], (line '{1,2,3}')[2], (box '(1,2),(3,4)')[0][1], ((box '(1,2),(3,4)')[0])[1];
SELECT (point '(1,2)')[0:1];
SELECT (circle '<(1,2),3>')[0];
CREATE TABLE shapes (id int PRIMARY KEY, p point, b box, l lseg, c circle, g polygon, w path, i line);
INSERT INTO shapes VALUES (1, '(1,2)', '(1,2),(3,4)', '[(0,0),(1,1)]', '<(0,0),1>', '((0,0),(2,0),(1,2))', '[(0,0),(1,1)]', '{1,2,3}');
INSERT INTO shapes (id) VALUES (2);
UPDATE shapes SET p[0] = 10, b[1] = '(-1,-1)', l[0] = point(5,5);
SELECT * FROM shapes ORDER BY id;
UPDATE shapes SET p[2] = 10;
UPDATE shapes SET p[0] = NULL;

-- Casts.
SELECT point '(1,2)'::box, lseg '[(0,0),(2,4)]'::point, path '((0,0),(1,0),(1,1))'::polygon, box '(0,0),(2,2)'::point,
  box '(0,0),(2,2)'::lseg, box '(0,0),(2,2)'::polygon, box '(0,0),(2,2)'::circle;
SELECT polygon '((0,0),(2,0),(1,3))'::point, polygon '((0,0),(2,0),(1,3))'::path, polygon '((0,0),(2,0),(1,3))'::box,
  polygon '((0,0),(2,0),(1,3))'::circle, circle '<(1,2),3>'::point, circle '<(1,2),2>'::box;
SELECT point '(1,2)'::text, '(1,2)'::text::point, circle '<(1,2),3>'::lseg;
SELECT path '[(0,0),(1,0)]'::polygon;
-- Operators between values of all kinds.
WITH p(p) AS (VALUES (point '(0,0)'), ('(1,2)'), ('(-3,4)'), ('(NaN,1)'), ('(inf,0)'))
SELECT a.p, b.p, a.p + b.p AS sum, a.p - b.p AS minus, a.p * b.p AS times, a.p <-> b.p AS dist, a.p ~= b.p AS same, a.p << b.p AS l, a.p >> b.p AS r,
  a.p <<| b.p AS below, a.p |>> b.p AS above, a.p ?- b.p AS h, a.p ?| b.p AS v, slope(a.p, b.p)
FROM p a, p b ORDER BY a.p::text, b.p::text;
SELECT point '(1,2)' / point '(3,4)', box '(1,1),(2,2)' * point '(0,1)', circle '<(1,1),2>' * point '(0,2)', path '[(1,1),(2,2)]' + point '(1,1)',
  path '[(1,1)]' + path '[(2,2)]', path '((1,1))' + path '[(2,2)]';
SELECT point '(1,2)' / point '(0,0)';
SELECT point '(1e300,1)' * point '(1e300,1)';
SELECT point '(1e-300,0)' * point '(1e-300,0)';
WITH b(b) AS (VALUES (box '(0,0),(2,2)'), ('(1,1),(3,3)'), ('(5,5),(6,7)'), ('(2.0000005,0),(4,2)'))
SELECT a.b, b.b, a.b && b.b AS o, a.b @> b.b AS c, a.b <@ b.b AS i, a.b << b.b AS l, a.b &< b.b AS ol, a.b >> b.b AS r, a.b &> b.b AS r2, a.b <<| b.b AS u,
  a.b |>> b.b AS a, a.b ~= b.b AS s, a.b = b.b AS e, a.b < b.b AS lt, a.b # b.b AS x, a.b <-> b.b AS d, a.b ?# b.b AS h, bound_box(a.b, b.b)
FROM b a, b b ORDER BY a.b::text, b.b::text;
WITH g(g) AS (VALUES (polygon '((0,0),(4,0),(4,4),(0,4))'), ('((1,1),(2,1),(2,2))'), ('((4,4),(0,4),(0,0),(4,0))'), ('((10,10),(12,10),(11,13))'),
  ('((2,0),(4,2),(2,4),(0,2))'))
SELECT a.g, b.g, a.g && b.g AS o, a.g @> b.g AS c, a.g <@ b.g AS i, a.g << b.g AS l, a.g &< b.g AS ol, a.g ~= b.g AS s, a.g <-> b.g AS d
FROM g a, g b ORDER BY a.g::text, b.g::text;
WITH c(c) AS (VALUES (circle '<(0,0),2>'), ('<(1,0),1>'), ('<(5,5),1>'))
SELECT a.c, b.c, a.c && b.c AS o, a.c @> b.c AS c, a.c <@ b.c AS i, a.c << b.c AS l, a.c &< b.c AS ol, a.c |>> b.c AS a, a.c ~= b.c AS s, a.c = b.c AS e,
  a.c < b.c AS lt, a.c <> b.c AS ne, a.c <-> b.c AS d
FROM c a, c b ORDER BY a.c::text, b.c::text;
WITH l(l) AS (VALUES (lseg '[(0,0),(2,2)]'), ('[(0,2),(2,0)]'), ('[(3,3),(4,4)]'), ('[(5,0),(5,3)]'))
SELECT a.l, b.l, a.l ?# b.l AS x, a.l # b.l AS at, a.l ?|| b.l AS para, a.l ?-| b.l AS perp, a.l = b.l AS e, a.l < b.l AS lt, a.l <-> b.l AS d, a.l ## b.l AS c
FROM l a, l b ORDER BY a.l::text, b.l::text;
WITH i(i) AS (VALUES (line '{1,-1,0}'), ('{1,1,-2}'), ('{2,-2,4}'), ('{1,0,-5}'), ('{0,1,-5}'))
SELECT a.i, b.i, a.i ?# b.i AS x, a.i # b.i AS at, a.i ?|| b.i AS para, a.i ?-| b.i AS perp, a.i = b.i AS e, a.i <-> b.i AS d
FROM i a, i b ORDER BY a.i::text, b.i::text;
WITH w(w) AS (VALUES (path '[(0,0),(2,2),(4,0)]'), ('((0,0),(2,2),(4,0))'), ('[(0,2),(4,2)]'), ('[(1,1)]'))
SELECT a.w, b.w, a.w ?# b.w AS x, a.w <-> b.w AS d, a.w = b.w AS e, a.w < b.w AS lt, area(a.w), length(a.w), @-@ a.w AS len, # a.w AS n, isopen(a.w), pclose(a.w)
FROM w a, w b ORDER BY a.w::text, b.w::text;
SELECT point '(1,1)' <@ box '(0,0),(2,2)', point '(1,1)' <@ path '((0,0),(2,0),(2,2))', point '(1,0)' <@ path '[(0,0),(2,0)]', point '(1,1)' <@ polygon '((0,0),(2,0),(2,2))',
  point '(1,1)' <@ circle '<(0,0),1>', point '(1,1)' <@ lseg '[(0,0),(2,2)]', point '(1,1)' <@ line '{1,-1,0}', lseg '[(0,0),(1,1)]' <@ line '{1,-1,0}',
  lseg '[(0,0),(1,1)]' <@ box '(0,0),(2,2)', polygon '((0,0),(2,0),(2,2))' @> point '(3,3)', circle '<(0,0),1>' @> point '(0,1)';
SELECT point '(5,1)' <-> lseg '[(0,0),(2,0)]', point '(5,1)' <-> line '{0,1,0}', point '(5,1)' <-> box '(0,0),(2,2)', point '(5,1)' <-> path '((0,0),(2,0),(2,2))',
  point '(5,1)' <-> polygon '((0,0),(2,0),(2,2))', point '(5,1)' <-> circle '<(0,0),1>', lseg '[(0,3),(4,3)]' <-> box '(0,0),(2,2)',
  lseg '[(0,3),(4,3)]' <-> line '{0,1,0}', circle '<(9,9),1>' <-> polygon '((0,0),(2,0),(2,2))', circle '<(9,9),1>' <-> point '(0,0)';
SELECT point '(5,1)' ## lseg '[(0,0),(2,0)]', point '(5,1)' ## line '{1,-1,0}', point '(5,1)' ## box '(0,0),(2,2)', lseg '[(0,3),(4,3)]' ## box '(0,0),(2,2)',
  line '{1,-1,9}' ## lseg '[(0,3),(4,3)]', lseg '[(0,0),(1,1)]' ## lseg '[(1,1),(2,2)]';
SELECT ?- lseg '[(0,0),(1,0)]', ?| lseg '[(0,0),(1,0)]', ?- line '{0,1,2}', ?| line '{1,0,2}', @@ box '(0,0),(2,2)', @@ lseg '[(0,0),(2,2)]', @@ circle '<(1,2),3>',
  @@ polygon '((0,0),(2,0),(1,3))', # polygon '((0,0),(2,0),(1,3))', lseg '[(0,0),(1,1)]' ?# line '{1,1,-1}', lseg '[(0,0),(1,1)]' ?# box '(0,0),(2,2)', line '{1,1,-1}' ?# box '(0,0),(2,2)';
SELECT area(box '(0,0),(2,3)'), height(box '(0,0),(2,3)'), width(box '(0,0),(2,3)'), center(box '(0,0),(2,3)'), diagonal(box '(0,0),(2,3)'), area(circle '<(0,0),2>'),
  diameter(circle '<(0,0),2>'), radius(circle '<(0,0),2>'), npoints(path '[(0,0),(1,1)]'), popen(path '((0,0),(1,1))'), line(point(0,0), point(1,1)), lseg(point(0,0), point(1,1)),
  box(point(3,1), point(1,2)), polygon(4, circle '<(0,0),1>'), isvertical(point(0,0), point(0,1)), isperp(line '{1,0,0}', line '{0,1,0}');
SELECT line(point(1,1), point(1,1));
SELECT polygon(1, circle '<(0,0),1>');
SELECT polygon(12, circle '<(0,0),0>');
SELECT polygon(2000000000, circle '<(0,0),1>');
SELECT point '(1,2)' = point '(1,2)';
SELECT DISTINCT p FROM shapes;
SELECT c FROM shapes GROUP BY c;
SELECT b FROM shapes UNION SELECT b FROM shapes;
SELECT p FROM shapes ORDER BY p;
SELECT max(p) FROM shapes;
CREATE INDEX ON shapes (p);
CREATE TABLE keyed (p point PRIMARY KEY);
-- GiST.
CREATE TABLE places (id int, p point, b box, g polygon, c circle);
INSERT INTO places SELECT i, point(i % 50, i / 50), box(point(i % 50, i / 50), point(i % 50 + i % 3, i / 50 + i % 5)),
  polygon(box(point(i % 50, i / 50), point(i % 50 + i % 3 + 1, i / 50 + i % 5 + 1))), circle(point(i % 50, i / 50), i % 4 + 1) FROM generate_series(0, 2499) i;
CREATE INDEX ON places USING gist (p);
CREATE INDEX ON places USING gist (b);
CREATE INDEX ON places USING gist (g poly_ops);
CREATE INDEX ON places USING gist (c, id);
CREATE EXTENSION btree_gist;
CREATE INDEX ON places USING gist (c, id);
ANALYZE places;
SET enable_seqscan = off;
SELECT count(*), sum(id) FROM places WHERE p <@ box '(10,10),(12,12)';
SELECT count(*), sum(id) FROM places WHERE box '(10,10),(12,12)' @> p;
SELECT count(*), sum(id) FROM places WHERE p <@ circle '<(20,20),3>';
SELECT count(*), sum(id) FROM places WHERE p <@ polygon '((0,0),(5,0),(0,5))';
SELECT count(*), sum(id) FROM places WHERE p << point '(2,0)';
SELECT count(*), sum(id) FROM places WHERE p |>> point '(0,47)';
SELECT id FROM places WHERE p ~= point '(7,7)';
SELECT count(*), sum(id) FROM places WHERE b && box '(10,10),(12,12)';
SELECT count(*), sum(id) FROM places WHERE b @> box '(10,10),(11,12)';
SELECT count(*), sum(id) FROM places WHERE b <@ box '(10,10),(15,15)';
SELECT count(*), sum(id) FROM places WHERE b &<| box '(10,1),(15,0)';
SELECT count(*), sum(id) FROM places WHERE g && polygon '((10,10),(12,12),(10,12))';
SELECT count(*), sum(id) FROM places WHERE c && circle '<(25,25),2>';
SELECT count(*), sum(id) FROM places WHERE c @> circle '<(25,25),1>' AND id % 2 = 0;
SELECT id FROM places ORDER BY p <-> point '(3.2,7.1)', id LIMIT 3;
SELECT indexdef FROM pg_indexes WHERE tablename = 'places' ORDER BY 1;
CREATE INDEX ON places USING gist (b point_ops);
-- No two circles overlap.
CREATE TABLE apart (c circle, EXCLUDE USING gist (c WITH &&));
INSERT INTO apart VALUES ('<(0,0),1>'), ('<(5,0),1>');
INSERT INTO apart VALUES ('<(4,0.5),1>');
INSERT INTO apart VALUES ('<(4,0.5),1>') ON CONFLICT DO NOTHING;
SELECT * FROM apart ORDER BY c::text;
