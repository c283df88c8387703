// Knex: migrations with its lock table, the schema builder, transactions, row locks, upserts.
import assert from 'node:assert/strict'
import knexLibrary from 'knex'
import { check, runChecks } from './checks.mjs'

const { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database } = process.env
const knex = knexLibrary({ client: 'pg', connection: { host, port: Number(port), user, database }, searchPath: ['node_knex', 'public'], pool: { min: 0, max: 5 } })
await knex.raw('DROP SCHEMA IF EXISTS node_knex CASCADE')
await knex.raw('CREATE SCHEMA node_knex')
const steps = {
  '001_users': {
    up: (k) => k.schema.createTable('users', (t) => {
      t.increments('id')
      t.string('name', 50).notNullable().unique()
      t.boolean('active').defaultTo(true)
      t.decimal('credit', 10, 2).defaultTo(0)
      t.jsonb('data')
      t.enu('kind', ['a', 'b']).defaultTo('a')
      t.timestamps(true, true)
      t.comment('people')
    }),
    down: (k) => k.schema.dropTable('users'),
  },
  '002_posts': {
    up: (k) => k.schema.createTable('posts', (t) => {
      t.uuid('id').primary().defaultTo(k.raw('gen_random_uuid()'))
      t.integer('user_id').unsigned().references('id').inTable('users').onDelete('CASCADE').index()
      t.text('title').notNullable()
      t.specificType('tags', 'text[]')
      t.unique(['user_id', 'title'])
    }),
    down: (k) => k.schema.dropTable('posts'),
  },
  '003_alter': {
    up: (k) => k.schema.alterTable('posts', (t) => {
      t.integer('likes').notNullable().defaultTo(0)
      t.string('title', 200).notNullable().alter({ alterNullable: false })
      t.renameColumn('title', 'headline')
      t.check('likes >= 0', undefined, 'likes_positive')
    }),
    down: (k) => k.schema.alterTable('posts', (t) => {
      t.dropChecks('likes_positive')
      t.renameColumn('headline', 'title')
      t.dropColumn('likes')
    }),
  },
}
const migrationSource = {
  getMigrations: async () => Object.keys(steps),
  getMigrationName: (name) => name,
  getMigration: async (name) => steps[name],
}
check('migrate, roll back, migrate', async () => {
  await knex.migrate.latest({ migrationSource })
  assert.equal((await knex.migrate.list({ migrationSource }))[0].length, 3)
  await knex.migrate.down({ migrationSource })
  assert.equal(await knex.schema.hasColumn('posts', 'likes'), false)
  await knex.migrate.rollback({ migrationSource }, true)
  assert.equal(await knex.schema.hasTable('users'), false)
  await knex.migrate.latest({ migrationSource })
  assert.equal(await knex.schema.hasTable('posts'), true)
})
check('columnInfo', async () => {
  const info = await knex('users').columnInfo()
  assert.deepEqual([info.name.type, info.name.maxLength, info.name.nullable, info.data.type], ['character varying', 50, false, 'jsonb'])
})
check('insert, select, update, delete', async () => {
  const [{ id }] = await knex('users').insert({ name: 'a', data: { x: [1] } }).returning('id')
  await knex('users').insert([{ name: 'b', credit: '1.50' }, { name: 'c', active: false }])
  const row = await knex('users').where({ id }).first()
  assert.deepEqual([row.name, row.credit, row.data, row.kind], ['a', '0.00', { x: [1] }, 'a'])
  assert.equal(await knex('users').where('name', 'in', ['b', 'c']).update({ credit: knex.raw('credit + 1') }), 2)
  assert.equal(await knex('users').whereRaw("data->>'x' = ?", ['[1]']).delete(), 1)
})
check('upserts', async () => {
  await knex('users').insert({ name: 'b', credit: 9 }).onConflict('name').merge(['credit'])
  await knex('users').insert({ name: 'b', credit: 1 }).onConflict('name').ignore()
  assert.equal((await knex('users').where({ name: 'b' }).first()).credit, '9.00')
})
check('joins, groups, windows, CTEs, unions', async () => {
  const { id } = await knex('users').where({ name: 'b' }).first('id')
  await knex('posts').insert([{ user_id: id, headline: 'one', tags: ['x', 'y'] }, { user_id: id, headline: 'two', likes: 3 }])
  const rows = await knex('users as u').leftJoin('posts as p', 'p.user_id', 'u.id').groupBy('u.id').orderBy('u.name')
    .select('u.name').count('p.id as n').sum('p.likes as likes').havingRaw('count(*) > 0')
  assert.deepEqual(rows.map((r) => ({ ...r })), [{ name: 'b', n: '2', likes: '3' }, { name: 'c', n: '0', likes: null }])
  const ranked = await knex.with('r', knex('posts').select('headline').rowNumber('n', (w) => w.orderBy('likes', 'desc').partitionBy('user_id')))
    .select('*').from('r').where('n', 1)
  assert.deepEqual(ranked.map((r) => r.headline), ['two'])
  assert.equal((await knex('users').select('name').union([knex('posts').select('headline')])).length, 4)
})
check('transactions, savepoints, row locks', async () => {
  await assert.rejects(knex.transaction(async (t) => {
    const locked = await t('users').where({ name: 'b' }).forUpdate().first()
    const skipped = await knex('users').where({ name: 'b' }).forUpdate().skipLocked()
    assert.deepEqual([locked.name, skipped.length], ['b', 0])
    await assert.rejects(knex('users').where({ name: 'b' }).forUpdate().noWait(), { code: '55P03' })
    await t.transaction((s) => s('users').insert({ name: 'b' })).catch((e) => assert.equal(e.code, '23505'))
    await t('users').insert({ name: 'd' })
    throw new Error('on purpose')
  }), { message: 'on purpose' })
  assert.equal(await knex('users').where({ name: 'd' }).first(), undefined)
  await knex.transaction((t) => t('users').count(), { isolationLevel: 'serializable' })
})
check('errors', async () => {
  await assert.rejects(knex('users').insert({ name: 'z', kind: 'q' }), { code: '23514', constraint: 'users_kind_check' })
  await assert.rejects(knex('posts').insert({ user_id: -1, headline: 'x' }), { code: '23503', constraint: 'posts_user_id_foreign' })
})
check('batch insert, view', async () => {
  await knex.batchInsert('users', Array.from({ length: 300 }, (_, i) => ({ name: `u${i}` })), 50)
  await knex.schema.createView('active_users', (v) => { v.columns(['name']); v.as(knex('users').select('name').where({ active: true })) })
  assert.equal((await knex('active_users').count())[0].count, '301')
})
await runChecks('knex', () => knex.destroy())
