// Prisma's migrate, db push and db pull. The schema engine that Prisma 7 fetches is no registry's package; the last of version 6 brings it
// along in WebAssembly, with queries sent by node-postgres (but for shadow databases, which that version can't drop, on PostgreSQL either).
// `run` puts it into a directory of its own.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { check, runChecks } from './checks.mjs'

const { PGHOST, PGPORT, PGUSER } = process.env
const database = 'node_prisma_migrate'
const directory = process.env.PRISMA_MIGRATE
const migrations = path.join(directory, 'migrations')
const none = '/bin/true'
const environment = {
  ...process.env,
  DATABASE_URL: `postgresql://${PGUSER}@${PGHOST}:${PGPORT}/${database}`,
  // Engines that it would fetch, and that are not used.
  PRISMA_SCHEMA_ENGINE_BINARY: none,
  PRISMA_QUERY_ENGINE_LIBRARY: none,
  CHECKPOINT_DISABLE: '1',
}

function prisma(schema, ...words) {
  // Some commands do not end by themselves when all is done: a connection of the adapter's pool stays open.
  const done = spawnSync(process.execPath, ['node_modules/prisma/build/index.js', ...words], {
    cwd: directory, env: { ...environment, PRISMA_SCHEMA: schema }, encoding: 'utf8', timeout: 12_000, killSignal: 'SIGKILL',
  })
  return { code: done.status, text: done.stdout, all: done.stdout + done.stderr }
}
const DONE = /in sync with your Prisma schema|successfully applied|reset successful/
function succeeds(schema, ...words) {
  const done = prisma(schema, ...words)
  assert.ok(done.code === 0 || (done.code === null && DONE.test(done.text)), done.all)
  return done.text
}
function migration(name, sql) {
  fs.mkdirSync(path.join(migrations, name), { recursive: true })
  fs.writeFileSync(path.join(migrations, name, 'migration.sql'), sql)
}
// What the database has, as Prisma reads it, is what the schema says.
function isAs(schema) {
  fs.copyFileSync(path.join(directory, schema), path.join(directory, 'pulled.prisma'))
  succeeds('pulled.prisma', 'db', 'pull', '--force')
  const diff = prisma(schema, 'migrate', 'diff', '--from-schema-datamodel', 'pulled.prisma', '--to-schema-datamodel', schema, '--exit-code')
  assert.equal(diff.code, 0, diff.all)
}
const run = async (client, sql) => (await client.query(sql)).rows
async function within(body) {
  const client = new pg.Client({ database })
  await client.connect()
  try {
    return await body(client)
  } finally {
    await client.end()
  }
}

check('migrate deploy: the first migration', async () => {
  migration('1_first', succeeds('first.prisma', 'migrate', 'diff', '--from-empty', '--to-schema-datamodel', 'first.prisma', '--script'))
  fs.writeFileSync(path.join(migrations, 'migration_lock.toml'), 'provider = "postgresql"\n')
  succeeds('first.prisma', 'migrate', 'deploy')
  assert.match(succeeds('first.prisma', 'migrate', 'status'), /up to date/)
  isAs('first.prisma')
})
check('migrate diff between schemas, and its migration', async () => {
  await within((client) => run(client, `INSERT INTO "User" (email, name) VALUES ('a@b', 'a'), ('c@d', 'c')`))
  const sql = succeeds('second.prisma', 'migrate', 'diff', '--from-schema-datamodel', 'first.prisma', '--to-schema-datamodel', 'second.prisma', '--script')
  assert.match(sql, /ADD VALUE 'GUEST'/)
  migration('2_second', sql)
  assert.notEqual(prisma('second.prisma', 'migrate', 'status').code, 0)
  succeeds('second.prisma', 'migrate', 'deploy')
  isAs('second.prisma')
  assert.deepEqual(await within((client) => run(client, `SELECT email, name, age FROM "User" ORDER BY email`)), [
    { email: 'a@b', name: 'a', age: 0 }, { email: 'c@d', name: 'c', age: 0 },
  ])
})
check('db push back to the first schema', async () => {
  const refused = prisma('first.prisma', 'db', 'push', '--skip-generate')
  assert.notEqual(refused.code, 0, 'data would be lost')
  succeeds('first.prisma', 'db', 'push', '--skip-generate', '--accept-data-loss')
  isAs('first.prisma')
})
check('db execute and migrate reset', async () => {
  fs.writeFileSync(path.join(directory, 'some.sql'), 'CREATE TABLE "Left" (a int); INSERT INTO "Left" VALUES (1);')
  succeeds('second.prisma', 'db', 'execute', '--schema', 'second.prisma', '--file', 'some.sql')
  succeeds('second.prisma', 'migrate', 'reset', '--force', '--skip-generate')
  const tables = await within((client) => run(client, `SELECT count(*)::int AS left FROM pg_class WHERE relname = 'Left'`))
  assert.equal(tables[0].left, 0)
})

fs.rmSync(migrations, { recursive: true, force: true })
const admin = new pg.Client()
await admin.connect()
await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
await admin.query(`CREATE DATABASE ${database}`)
await admin.end()
await runChecks('Prisma migrate')
