// Drizzle: its query builder and relational queries, migrations made and run by drizzle-kit's API, push and introspection.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import pg from 'pg'
import { and, count, desc, eq, ilike, relations, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, check as checked, index, integer, jsonb, numeric, pgSchema, serial, text, timestamp, unique, uuid, varchar } from 'drizzle-orm/pg-core'
import { check, runChecks } from './checks.mjs'

const kit = createRequire(import.meta.url)('drizzle-kit/api')
const pool = new pg.Pool({ max: 5 })
await pool.query('DROP SCHEMA IF EXISTS node_drizzle CASCADE')
const schema = pgSchema('node_drizzle')
const kind = schema.enum('kind', ['admin', 'guest'])
const users = schema.table('users', {
  id: integer('id').primaryKey().generatedAlwaysAsIdentity(), name: varchar('name', { length: 50 }).notNull().unique(), age: integer('age'),
  tags: text('tags').array(), data: jsonb('data'), kind: kind('kind').default('guest').notNull(), credit: numeric('credit', { precision: 10, scale: 2 }).default('0'),
  active: boolean('active').default(true), made: timestamp('made', { withTimezone: true }).defaultNow(),
}, (t) => [index('users_age').on(t.age.desc(), t.name), checked('age_positive', sql`${t.age} >= 0`)])
const posts = schema.table('posts', {
  id: uuid('id').primaryKey().defaultRandom(), author: integer('author').notNull().references(() => users.id, { onDelete: 'cascade' }), title: text('title').notNull(), n: serial('n'),
}, (t) => [unique('posts_title').on(t.author, t.title)])
const tables = { schema, kind, users, posts }
const userRelations = relations(users, ({ many }) => ({ posts: many(posts) }))
const postRelations = relations(posts, ({ one }) => ({ author: one(users, { fields: [posts.author], references: [users.id] }) }))
const db = drizzle(pool, { schema: { ...tables, userRelations, postRelations } })

check('a generated migration runs', async () => {
  const statements = await kit.generateMigration(kit.generateDrizzleJson({}), kit.generateDrizzleJson(tables))
  assert.ok(statements.length >= 5)
  await db.transaction(async (t) => { for (const statement of statements) await t.execute(sql.raw(statement)) })
})
check('push: introspects, and finds nothing to do', async () => {
  const { statementsToExecute } = await kit.pushSchema(tables, db, ['node_drizzle'])
  assert.deepEqual(statementsToExecute, [])
})
check('push: finds a dropped column and index', async () => {
  await pool.query('ALTER TABLE node_drizzle.users DROP COLUMN credit')
  await pool.query('DROP INDEX node_drizzle.users_age')
  const { statementsToExecute, apply } = await kit.pushSchema(tables, db, ['node_drizzle'])
  assert.equal(statementsToExecute.length, 2)
  await apply()
  assert.deepEqual((await kit.pushSchema(tables, db, ['node_drizzle'])).statementsToExecute, [])
})
check('insert, select, update, upsert, delete', async () => {
  const [a] = await db.insert(users).values([{ name: 'a', age: 3, tags: ['x', 'y'], data: { a: 1 }, kind: 'admin' }, { name: 'b', age: 20 }]).returning()
  assert.deepEqual([a.id, a.tags, a.data, a.kind, a.credit, a.active], [1, ['x', 'y'], { a: 1 }, 'admin', '0.00', true])
  await db.insert(users).values({ name: 'a', age: 9 }).onConflictDoUpdate({ target: users.name, set: { age: sql`excluded.age` } })
  await db.insert(users).values({ name: 'a' }).onConflictDoNothing()
  assert.deepEqual(await db.select({ age: users.age }).from(users).where(and(ilike(users.name, 'A'), eq(users.active, true))), [{ age: 9 }])
})
check('relational queries', async () => {
  await db.insert(posts).values([{ author: 1, title: 'one' }, { author: 1, title: 'two' }])
  const found = await db.query.users.findMany({ columns: { name: true }, with: { posts: { columns: { title: true }, orderBy: desc(posts.title), limit: 1, with: { author: { columns: { id: true } } } } }, orderBy: users.id })
  assert.deepEqual(found, [{ name: 'a', posts: [{ title: 'two', author: { id: 1 } }] }, { name: 'b', posts: [] }])
})
check('joins, groups, CTE, prepared', async () => {
  const counted = db.$with('counted').as(db.select({ author: posts.author, n: count().as('n') }).from(posts).groupBy(posts.author))
  assert.deepEqual(await db.with(counted).select({ name: users.name, n: counted.n }).from(users).innerJoin(counted, eq(counted.author, users.id)), [{ name: 'a', n: 2 }])
  const prepared = db.select().from(users).where(eq(users.name, sql.placeholder('name'))).prepare('by_name')
  assert.equal((await prepared.execute({ name: 'b' }))[0].age, 20)
  assert.equal((await prepared.execute({ name: 'a' }))[0].age, 9)
})
check('transactions, locks, errors', async () => {
  await assert.rejects(db.transaction(async (t) => {
    await t.select().from(users).where(eq(users.id, 1)).for('update')
    assert.deepEqual((await db.select({ id: users.id }).from(users).for('update', { skipLocked: true })), [{ id: 2 }])
    await t.transaction((s) => s.insert(users).values({ name: 'a' })).catch((e) => assert.equal(e.cause.code, '23505'))
    t.rollback()
  }, { isolationLevel: 'serializable' }), { message: 'Rollback' })
  await assert.rejects(db.insert(users).values({ name: 'z', age: -1 }), (e) => e.cause.code === '23514' && e.cause.constraint === 'age_positive')
})
await runChecks('drizzle', () => pool.end())
