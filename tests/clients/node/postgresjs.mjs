// postgres.js: it describes every statement before it runs it, pipelines, and reads arrays' types from pg_type.
import assert from 'node:assert/strict'
import postgres from 'postgres'
import { check, runChecks } from './checks.mjs'

const { PGHOST: host, PGPORT: port, PGUSER: username, PGDATABASE: database } = process.env
const sql = postgres({ host, port: Number(port), username, database, max: 6, onnotice() {} })
await sql`DROP SCHEMA IF EXISTS node_js CASCADE`
await sql`CREATE SCHEMA node_js`

check('parameters and types', async () => {
  const now = new Date('2024-02-29T12:34:56.789Z')
  const [row] = await sql`SELECT ${7}::int AS i, ${'x'}::text AS t, ${now}::timestamptz AS d, ${true}::bool AS b, ${null}::text AS n,
    ${sql.json({ a: [1] })}::jsonb AS j, ${Buffer.from([1, 2])}::bytea AS y, ${'9007199254740993'}::int8 AS big`
  assert.deepEqual({ ...row }, { i: 7, t: 'x', d: now, b: true, n: null, j: { a: [1] }, y: Buffer.from([1, 2]), big: '9007199254740993' })
})
check('arrays, whose types are fetched from pg_type', async () => {
  const [row] = await sql`SELECT ${[1, 2]}::int[] AS i, ${['a,b', 'c']}::text[] AS t, ${sql.array(['x', 'y'])} AS u`
  assert.deepEqual({ ...row }, { i: [1, 2], t: ['a,b', 'c'], u: ['x', 'y'] })
})
check('an inserted list, RETURNING, an upsert', async () => {
  await sql`CREATE TABLE node_js.users (id serial PRIMARY KEY, name text UNIQUE, tags text[], data jsonb)`
  const rows = [{ name: 'a', tags: ['t'], data: sql.json({ n: 1 }) }, { name: 'b', tags: [], data: null }]
  assert.deepEqual((await sql`INSERT INTO node_js.users ${sql(rows, 'name', 'tags', 'data')} RETURNING id`).map((r) => r.id), [1, 2])
  const [u] = await sql`INSERT INTO node_js.users (name) VALUES ('a') ON CONFLICT (name) DO UPDATE SET tags = ${['u']} RETURNING id, tags, data`
  assert.deepEqual({ ...u }, { id: 1, tags: ['u'], data: { n: 1 } })
  const change = { name: 'c' }
  assert.equal((await sql`UPDATE node_js.users SET ${sql(change)} WHERE id IN ${sql([2, 3])}`).count, 1)
})
check('transactions and savepoints', async () => {
  await sql`CREATE TABLE node_js.tx (a int)`
  await assert.rejects(sql.begin(async (tx) => {
    await tx`INSERT INTO node_js.tx VALUES (1)`
    await tx.savepoint((s) => s`INSERT INTO node_js.tx VALUES ('x')`).catch((e) => assert.equal(e.code, '22P02'))
    await tx`INSERT INTO node_js.tx VALUES (2)`
    assert.equal((await tx`SELECT count(*)::int AS n FROM node_js.tx`)[0].n, 2)
    throw new Error('on purpose')
  }), { message: 'on purpose' })
  assert.equal((await sql`SELECT count(*)::int AS n FROM node_js.tx`)[0].n, 0)
  await sql.begin('isolation level serializable', (tx) => [tx`INSERT INTO node_js.tx VALUES (1)`, tx`INSERT INTO node_js.tx VALUES (2)`])
  assert.equal((await sql`SELECT count(*)::int AS n FROM node_js.tx`)[0].n, 2)
})
check('cursor and forEach', async () => {
  let sum = 0
  const sizes = []
  await sql`SELECT i FROM generate_series(1, 100) i`.cursor(30, (rows) => {
    sizes.push(rows.length)
    rows.forEach((r) => { sum += r.i })
  })
  assert.deepEqual([sum, sizes], [5050, [30, 30, 30, 10]])
  let seen = 0
  await sql`SELECT i FROM generate_series(1, 100) i`.forEach(() => { seen += 1 })
  assert.equal(seen, 100)
})
check('describe', async () => {
  const described = await sql`SELECT id, name FROM node_js.users WHERE id = ${1}`.describe()
  assert.deepEqual([described.types, described.columns.map((c) => [c.name, c.type])], [[23], [['id', 23], ['name', 25]]])
})
check('COPY both ways', async () => {
  await sql`CREATE TABLE node_js.copied (a int, b text)`
  const into = await sql`COPY node_js.copied FROM STDIN`.writable()
  await new Promise((resolve, reject) => {
    into.on('error', reject).on('finish', resolve)
    into.write('1\tone\n')
    into.end('2\ttwo\n')
  })
  let text = ''
  for await (const chunk of await sql`COPY (SELECT * FROM node_js.copied ORDER BY a) TO STDOUT`.readable()) text += chunk
  assert.equal(text, '1\tone\n2\ttwo\n')
})
check('listen and notify', async () => {
  let heard
  const first = new Promise((resolve) => { heard = resolve })
  const { unlisten } = await sql.listen('node_js', heard)
  await sql.notify('node_js', 'hello')
  assert.equal(await first, 'hello')
  await unlisten()
})
check('cancel', async () => {
  const query = sql`SELECT pg_sleep(30)`
  const refused = assert.rejects(query.execute(), { code: '57014' })
  await new Promise((resolve) => setTimeout(resolve, 200))
  query.cancel()
  await refused
})
check('an error has its fields', async () => {
  await assert.rejects(sql`INSERT INTO node_js.users (name) VALUES ('a')`, {
    code: '23505', constraint_name: 'users_name_key', table_name: 'users', schema_name: 'node_js', severity_local: 'ERROR' })
})
check('simple protocol: several statements', async () => {
  const result = await sql`SELECT 1 AS a; SELECT 2 AS b`.simple()
  assert.deepEqual(result.map((r) => ({ ...r[0] })), [{ a: 1 }, { b: 2 }])
})
check('a reserved connection keeps its session', async () => {
  const own = await sql.reserve()
  await own`CREATE TEMP TABLE mine (a int)`
  await own`INSERT INTO mine VALUES (1)`
  assert.equal((await own`SELECT count(*)::int AS n FROM mine`)[0].n, 1)
  own.release()
})
check('500 queries pipelined over six connections', async () => {
  const rows = await Promise.all(Array.from({ length: 500 }, (_, i) => sql`SELECT ${i}::int AS i`))
  assert.deepEqual(rows.map((r) => r[0].i), Array.from({ length: 500 }, (_, i) => i))
})
await runChecks('postgres.js', () => sql.end({ timeout: 1 }))
