// Kysely: migrator (advisory lock), introspection, the query builder.
import assert from 'node:assert/strict'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { Kysely, Migrator, PostgresDialect, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { check, runChecks } from './checks.mjs'

const root = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ max: 5 }), cursor: Cursor }) })
await sql`DROP SCHEMA IF EXISTS node_kysely CASCADE`.execute(root)
const db = root.withSchema('node_kysely')
const migrations = {
  a: {
    up: async (k) => {
      const s = k.schema.withSchema('node_kysely')
      await s.createTable('person').addColumn('id', 'integer', (c) => c.primaryKey().generatedAlwaysAsIdentity())
        .addColumn('name', 'varchar(50)', (c) => c.notNull().unique()).addColumn('data', 'jsonb').addColumn('tags', sql`text[]`)
        .addColumn('made', 'timestamptz', (c) => c.defaultTo(sql`now()`).notNull()).execute()
      await s.createTable('pet').addColumn('id', 'serial', (c) => c.primaryKey())
        .addColumn('owner', 'integer', (c) => c.references('person.id').onDelete('cascade').notNull())
        .addColumn('name', 'text').addUniqueConstraint('pet_name', ['owner', 'name']).execute()
      await s.createIndex('pet_owner').on('pet').column('owner').execute()
      await s.createView('owners').as(k.withSchema('node_kysely').selectFrom('person').select('name')).execute()
    },
    down: async (k) => {
      await k.schema.withSchema('node_kysely').dropView('owners').execute()
      await k.schema.withSchema('node_kysely').dropTable('pet').execute()
      await k.schema.withSchema('node_kysely').dropTable('person').execute()
    },
  },
  b: {
    up: (k) => k.schema.withSchema('node_kysely').alterTable('pet').addColumn('age', 'int2', (c) => c.defaultTo(0).notNull())
      .alterColumn('name', (c) => c.setNotNull()).execute(),
    down: (k) => k.schema.withSchema('node_kysely').alterTable('pet').dropColumn('age').execute(),
  },
}
const migrator = new Migrator({ db: root, provider: { getMigrations: async () => migrations }, migrationTableSchema: 'node_kysely' })
const went = ({ error, results }) => {
  if (error) throw error
  return results.map((r) => r.status)
}
check('migrate up, down, up; two at once', async () => {
  const both = await Promise.all([migrator.migrateToLatest(), migrator.migrateToLatest()])
  assert.deepEqual(both.flatMap(went), ['Success', 'Success'])
  assert.deepEqual(went(await migrator.migrateDown()), ['Success'])
  assert.deepEqual(went(await migrator.migrateToLatest()), ['Success'])
})
check('introspection', async () => {
  const tables = (await root.introspection.getTables()).filter((t) => t.schema === 'node_kysely')
  assert.deepEqual(tables.map((t) => [t.name, t.isView]).sort(), [['owners', true], ['person', false], ['pet', false]])
  const person = tables.find((t) => t.name === 'person')
  assert.deepEqual(person.columns.map((c) => [c.name, c.dataType, c.isNullable, c.hasDefaultValue, c.isAutoIncrementing]), [
    ['id', 'int4', false, false, true], ['name', 'varchar', false, false, false], ['data', 'jsonb', true, false, false],
    ['tags', '_text', true, false, false], ['made', 'timestamptz', false, true, false]])
})
check('insert, upsert, update, delete with RETURNING', async () => {
  const [a] = await db.insertInto('person').values([{ name: 'a', data: '{"n":1}', tags: ['x'] }, { name: 'b' }]).returning(['id', 'data']).execute()
  assert.deepEqual(a, { id: 1, data: { n: 1 } })
  const up = await db.insertInto('person').values({ name: 'a' }).onConflict((c) => c.column('name').doUpdateSet((e) => ({ tags: e.ref('excluded.tags') }))).returningAll().executeTakeFirst()
  assert.deepEqual([up.id, up.tags], [1, null])
  await db.insertInto('pet').values([{ owner: 1, name: 'p', age: 3 }, { owner: 1, name: 'q' }, { owner: 2, name: 'r' }]).execute()
  assert.equal((await db.updateTable('pet').from('person').whereRef('person.id', '=', 'pet.owner').where('person.name', '=', 'b').set({ age: 9 }).executeTakeFirst()).numUpdatedRows, 1n)
})
check('joins, JSON of relations, CTE, window', async () => {
  const rows = await db.selectFrom('person').select((e) => ['name', jsonArrayFrom(e.selectFrom('pet').select(['pet.name', 'age']).whereRef('owner', '=', 'person.id').orderBy('pet.name')).as('pets')]).orderBy('name').execute()
  assert.deepEqual(rows, [{ name: 'a', pets: [{ name: 'p', age: 3 }, { name: 'q', age: 0 }] }, { name: 'b', pets: [{ name: 'r', age: 9 }] }])
  const ranked = await db.with('r', (k) => k.selectFrom('pet').select((e) => ['name', e.fn.agg('rank').over((o) => o.orderBy('age', 'desc')).as('n')])).selectFrom('r').selectAll().where('n', '=', '1').execute()
  assert.deepEqual(ranked, [{ name: 'r', n: '1' }])
})
check('transactions, locks, errors, streams', async () => {
  await assert.rejects(db.transaction().setIsolationLevel('repeatable read').execute(async (t) => {
    await t.selectFrom('person').selectAll().where('id', '=', 1).forUpdate().execute()
    assert.equal((await db.selectFrom('person').select('id').forUpdate().skipLocked().execute()).length, 1)
    await t.insertInto('person').values({ name: 'a' }).execute()
  }), { code: '23505', constraint: 'person_name_key' })
  const seen = []
  for await (const row of db.selectFrom('pet').select('name').orderBy('name').stream(2)) seen.push(row.name)
  assert.deepEqual(seen, ['p', 'q', 'r'])
})
check('MERGE', async () => {
  await db.mergeInto('pet as t').using('node_kysely.person as s', 's.id', 't.owner').whenMatchedAnd('t.name', '=', 'q').thenDelete()
    .whenMatched().thenUpdateSet({ age: 1 }).execute()
  assert.equal((await db.selectFrom('pet').select('id').where('age', '=', 1).execute()).length, 2)
})
await runChecks('kysely', () => root.destroy())
