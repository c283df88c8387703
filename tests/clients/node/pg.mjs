// node-postgres with pg-cursor and pg-copy-streams.
import assert from 'node:assert/strict'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { check, runChecks } from './checks.mjs'

const pool = new pg.Pool({ max: 8 })
const one = async (text, values) => (await pool.query(text, values)).rows[0]
await pool.query('DROP SCHEMA IF EXISTS node_pg CASCADE')
await pool.query('CREATE SCHEMA node_pg')

for (const [name, sql, value, wanted = value] of [
  ['boolean', '$1::bool', true],
  ['smallint', '$1::int2', -32768],
  ['integer', '$1::int', 2147483647],
  ['bigint is text', '$1::int8', '9223372036854775807'],
  ['numeric is text', '$1::numeric', '123.4500'],
  ['real', '$1::real', 1.5],
  ['double', '$1::float8', 1e300],
  ['NaN', '$1::float8', 'NaN', NaN],
  ['text', '$1::text', 'ünï\n"quotes" \\'],
  ['empty text', '$1::text', ''],
  ['null', '$1::text', null],
  ['bytea', '$1::bytea', Buffer.from([0, 1, 255])],
  ['uuid', '$1::uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['json', '$1::json', { a: [1, { b: null }], ä: 'x' }],
  ['jsonb', '$1::jsonb', { a: [1, { b: null }], c: 1.5 }],
  ['json array', '$1::jsonb', '[1, "two", null]', [1, 'two', null]],
  ['timestamptz', '$1::timestamptz', new Date('2024-02-29T12:34:56.789Z')],
  ['timestamp', '$1::timestamp', new Date(2024, 1, 29, 12, 34, 56, 789)],
  ['date', '$1::date', '2024-02-29', new Date(2024, 1, 29)],
  ['time', '$1::time', '23:59:59.5'],
  ['integer[]', '$1::int[]', [1, null, 3]],
  ['text[]', '$1::text[]', ['a,b', '"q"', null, 'NULL', '', '\\', '{}']],
  ['text[][]', '$1::text[]', [['a', 'b'], ['c', 'd']]],
  ['bigint[]', '$1::int8[]', ['1', '2']],
  ['boolean[]', '$1::bool[]', [true, false]],
  ['float8[]', '$1::float8[]', [1.5, -0.25]],
  ['uuid[]', '$1::uuid[]', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
  ['timestamptz[]', '$1::timestamptz[]', [new Date('2024-01-01T00:00:00Z')]],
  ['jsonb[]', '$1::jsonb[]', ['{"a": 1}'], [{ a: 1 }]],
  ['point', '$1::point', '(1,2)', { x: 1, y: 2 }],
  ['inet', '$1::inet', '10.0.0.1/8'],
]) {
  check(`type ${name}`, async () => {
    assert.deepEqual((await one(`SELECT ${sql} AS v`, [value])).v, wanted)
  })
}
check('interval', async () => {
  const { v } = await one("SELECT interval '1 year 2 mons 3 days 04:05:06.5' AS v")
  assert.deepEqual({ ...v }, { years: 1, months: 2, days: 3, hours: 4, minutes: 5, seconds: 6, milliseconds: 500 })
})
check('fields describe the columns', async () => {
  await pool.query('CREATE TABLE node_pg.described (id int PRIMARY KEY, name varchar(20))')
  const { fields, rowCount, command } = await pool.query('SELECT id, name, 1::int8 AS n FROM node_pg.described')
  assert.deepEqual(fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.columnID]),
    [['id', 23, 4, -1, 1], ['name', 1043, -1, 24, 2], ['n', 20, 8, -1, 0]])
  assert.equal(rowCount, 0)
  assert.equal(command, 'SELECT')
})
check('rows as arrays', async () => {
  const { rows } = await pool.query({ text: 'SELECT 1 AS a, 2 AS a', rowMode: 'array' })
  assert.deepEqual(rows, [[1, 2]])
})
check('several statements in one query', async () => {
  const results = await pool.query('SELECT 1 AS a; SELECT 2 AS b; CREATE TABLE node_pg.multi (a int)')
  assert.deepEqual(results.map((r) => r.command), ['SELECT', 'SELECT', 'CREATE'])
})
check('named prepared statement, over a change of the table', async () => {
  const client = await pool.connect()
  try {
    await client.query('CREATE TABLE node_pg.prepared (a int)')
    const query = { name: 'by-a', text: 'SELECT count(*)::int AS n FROM node_pg.prepared WHERE a = $1' }
    assert.equal((await client.query({ ...query, values: [1] })).rows[0].n, 0)
    await client.query('INSERT INTO node_pg.prepared VALUES (1), (1), (2)')
    assert.equal((await client.query({ ...query, values: [1] })).rows[0].n, 2)
    await client.query('CREATE INDEX ON node_pg.prepared (a)')
    assert.equal((await client.query({ ...query, values: [2] })).rows[0].n, 1)
  } finally {
    client.release()
  }
})
check('transaction is rolled back', async () => {
  await pool.query('CREATE TABLE node_pg.tx (a int)')
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query('INSERT INTO node_pg.tx VALUES (1)')
  await client.query('SAVEPOINT s')
  await assert.rejects(client.query('SELECT 1/0'), { code: '22012' })
  await assert.rejects(client.query('SELECT 1'), { code: '25P02' })
  await client.query('ROLLBACK TO s')
  assert.equal((await client.query('SELECT count(*)::int AS n FROM node_pg.tx')).rows[0].n, 1)
  await client.query('ROLLBACK')
  client.release()
  assert.equal((await one('SELECT count(*)::int AS n FROM node_pg.tx')).n, 0)
})
check('pool of 8 does 400 increments', async () => {
  await pool.query('CREATE TABLE node_pg.counter (id int PRIMARY KEY, n int)')
  await pool.query('INSERT INTO node_pg.counter VALUES (1, 0)')
  await Promise.all(Array.from({ length: 400 }, () => pool.query('UPDATE node_pg.counter SET n = n + 1 WHERE id = $1', [1])))
  assert.equal((await one('SELECT n FROM node_pg.counter')).n, 400)
})
check("an error's fields: unique", async () => {
  await pool.query('CREATE TABLE node_pg.errors (id int PRIMARY KEY, name text NOT NULL, CONSTRAINT positive CHECK (id > 0))')
  await pool.query("INSERT INTO node_pg.errors VALUES (1, 'a')")
  await assert.rejects(pool.query("INSERT INTO node_pg.errors VALUES (1, 'b')"), {
    severity: 'ERROR', code: '23505', schema: 'node_pg', table: 'errors', constraint: 'errors_pkey',
    detail: 'Key (id)=(1) already exists.', message: 'duplicate key value violates unique constraint "errors_pkey"' })
})
check("an error's fields: not null, check, position, hint", async () => {
  await assert.rejects(pool.query('INSERT INTO node_pg.errors VALUES (2, NULL)'), { code: '23502', table: 'errors', column: 'name' })
  await assert.rejects(pool.query("INSERT INTO node_pg.errors VALUES (-1, 'x')"), { code: '23514', constraint: 'positive' })
  await assert.rejects(pool.query('SELECT nam FROM node_pg.errors'), {
    code: '42703', position: '8', hint: 'Perhaps you meant to reference the column "errors.name".' })
  await assert.rejects(pool.query('SELEC 1'), { code: '42601', position: '1' })
  await assert.rejects(pool.query('SELECT $1::int', ['x']), { code: '22P02' })
})
check('cursor reads in pieces and closes early', async () => {
  const client = await pool.connect()
  const cursor = client.query(new Cursor('SELECT i FROM generate_series(1, $1) i', [1000]))
  assert.equal((await cursor.read(10)).length, 10)
  const next = await cursor.read(500)
  assert.deepEqual([next[0].i, next.length], [11, 500])
  await cursor.close()
  assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1)
  const whole = client.query(new Cursor('SELECT i FROM generate_series(1, 3) i'))
  assert.equal((await whole.read(10)).length, 3)
  assert.equal((await whole.read(10)).length, 0)
  await whole.close()
  client.release()
})
check('COPY from and to streams', async () => {
  await pool.query('CREATE TABLE node_pg.copied (a int, b text)')
  const client = await pool.connect()
  function* lines() {
    for (let i = 0; i < 5000; i += 1) yield `${i}\tline ${i}\n`
  }
  const into = client.query(copyFrom('COPY node_pg.copied FROM STDIN'))
  await pipeline(Readable.from(lines()), into)
  assert.equal(into.rowCount, 5000)
  const chunks = []
  const out = client.query(copyTo('COPY (SELECT * FROM node_pg.copied ORDER BY a) TO STDOUT (FORMAT csv, HEADER)'))
  for await (const chunk of out) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  assert.equal(text.split('\n').length, 5002)
  assert.ok(text.startsWith('a,b\n0,line 0\n'))
  client.release()
})
check('COPY that fails reports and leaves nothing', async () => {
  const client = await pool.connect()
  const into = client.query(copyFrom('COPY node_pg.copied FROM STDIN'))
  await assert.rejects(pipeline(Readable.from(['1\tgood\n', 'bad\tx\n']), into), { code: '22P02' })
  assert.equal((await client.query("SELECT count(*)::int AS n FROM node_pg.copied WHERE b = 'good'")).rows[0].n, 0)
  client.release()
})
check('LISTEN and NOTIFY', async () => {
  const client = await pool.connect()
  await client.query('LISTEN "node channel"')
  const heard = new Promise((resolve) => client.on('notification', resolve))
  await pool.query("SELECT pg_notify('node channel', $1)", ['payload'])
  const { channel, payload } = await heard
  assert.deepEqual([channel, payload], ['node channel', 'payload'])
  await client.query('UNLISTEN *')
  client.release(true)
})
check('notices', async () => {
  const client = await pool.connect()
  const notices = []
  client.on('notice', (notice) => notices.push([notice.severity, notice.code, notice.message]))
  await client.query("DO $$ BEGIN RAISE NOTICE 'hello %', 1; END $$")
  assert.deepEqual(notices, [['NOTICE', '00000', 'hello 1']])
  client.release(true)
})
check('cancel a query from another connection', async () => {
  const client = await pool.connect()
  const running = client.query('SELECT pg_sleep(30)')
  const refused = assert.rejects(running, { code: '57014' })
  for (;;) {
    await pool.query('SELECT pg_cancel_backend($1)', [client.processID])
    const done = await Promise.race([refused.then(() => true), new Promise((r) => setTimeout(() => r(false), 20))])
    if (done) break
  }
  assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1)
  client.release()
})
check('statement_timeout', async () => {
  const client = new pg.Client({ statement_timeout: 50 })
  await client.connect()
  await assert.rejects(client.query('SELECT pg_sleep(30)'), { code: '57014' })
  await client.end()
})
check('a terminated backend', async () => {
  const client = new pg.Client({ application_name: 'victim' })
  await client.connect()
  const ended = new Promise((resolve) => client.on('error', resolve))
  assert.equal((await one('SELECT pg_terminate_backend(pid) AS t FROM pg_stat_activity WHERE application_name = $1', ['victim'])).t, true)
  assert.equal((await ended).code, '57P01')
})
check('startup options and settings', async () => {
  const client = new pg.Client({ options: '-c search_path=node_pg -c TimeZone=Europe/Berlin', application_name: 'ünï' })
  await client.connect()
  const { rows } = await client.query("SELECT current_schema() AS s, current_setting('TimeZone') AS z")
  assert.deepEqual(rows[0], { s: 'node_pg', z: 'Europe/Berlin' })
  await client.end()
})
check('65,535 parameters', async () => {
  const values = Array.from({ length: 65_535 }, (_, i) => i)
  const list = values.map((i) => `$${i + 1}::int`).join(',')
  assert.equal((await one(`SELECT cardinality(ARRAY[${list}]) AS n`, values)).n, 65_535)
})
await runChecks('pg', () => pool.end())
