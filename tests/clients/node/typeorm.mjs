// TypeORM: synchronize, migrations, relations, trees of queries, locks; entities by EntitySchema (no decorators to compile).
import 'reflect-metadata'
import assert from 'node:assert/strict'
import typeorm from 'typeorm'
import { check, runChecks } from './checks.mjs'

const { DataSource, EntitySchema, In, ILike, MoreThan, QueryFailedError } = typeorm
const { PGHOST: host, PGPORT: port, PGUSER: username, PGDATABASE: database } = process.env
const id = { type: 'int', primary: true, generated: 'increment' }
const User = new EntitySchema({
  name: 'User', tableName: 'users',
  columns: {
    id, name: { type: 'varchar', length: 50, unique: true }, age: { type: 'smallint', nullable: true }, tags: { type: 'text', array: true, nullable: true },
    data: { type: 'jsonb', nullable: true }, kind: { type: 'enum', enum: ['admin', 'guest'], default: 'guest' }, credit: { type: 'numeric', precision: 10, scale: 2, default: 0 },
    made: { type: 'timestamptz', createDate: true }, changed: { type: 'timestamptz', updateDate: true }, version: { type: 'int', version: true },
  },
  relations: { posts: { type: 'one-to-many', target: 'Post', inverseSide: 'author' } },
  indices: [{ columns: ['age', 'name'] }, { columns: ['kind'], where: '"age" > 10' }],
  checks: [{ expression: '"age" >= 0' }],
})
const Post = new EntitySchema({
  name: 'Post', tableName: 'posts',
  columns: { id: { type: 'uuid', primary: true, generated: 'uuid', default: undefined }, title: { type: 'text' }, gone: { type: 'timestamp', deleteDate: true } },
  relations: {
    author: { type: 'many-to-one', target: 'User', inverseSide: 'posts', onDelete: 'CASCADE', nullable: false },
    tags: { type: 'many-to-many', target: 'Tag', joinTable: true },
  },
})
const Tag = new EntitySchema({ name: 'Tag', tableName: 'tags', columns: { name: { type: 'varchar', primary: true } } })
class First1700000000000 {
  name = 'First1700000000000'
  async up(q) { await q.query('CREATE TABLE node_typeorm.migrated (a int)') }
  async down(q) { await q.query('DROP TABLE node_typeorm.migrated') }
}
const options = { type: 'postgres', host, port: Number(port), username, database, schema: 'node_typeorm', uuidExtension: 'pgcrypto', installExtensions: false,
  entities: [User, Post, Tag], migrations: [First1700000000000], logging: false, extra: { max: 5 } }
const source = new DataSource(options)
await source.initialize()
await source.query('DROP SCHEMA IF EXISTS node_typeorm CASCADE')
await source.query('CREATE SCHEMA node_typeorm')

check('synchronize, and again without changes', async () => {
  await source.synchronize()
  const { upQueries } = await source.driver.createSchemaBuilder().log()
  assert.deepEqual(upQueries.map((q) => q.query), [])
})
check('migrations', async () => {
  assert.equal((await source.runMigrations()).length, 1)
  await source.undoLastMigration()
  assert.equal((await source.runMigrations()).length, 1)
  assert.equal(await source.showMigrations(), false)
})
check('save, find, version, update', async () => {
  const users = source.getRepository(User)
  const a = await users.save({ name: 'a', age: 3, tags: ['x', 'y'], data: { a: [1] }, kind: 'admin', credit: '1.50' })
  await users.save([{ name: 'b', age: 20 }, { name: 'c' }])
  const found = await users.findOneByOrFail({ id: a.id })
  assert.deepEqual([found.tags, found.data, found.kind, found.credit, found.version], [['x', 'y'], { a: [1] }, 'admin', '1.50', 1])
  found.age = 4
  assert.equal((await users.save(found)).version, 2)
  assert.equal(await users.countBy({ name: ILike('%A%'), age: MoreThan(3), kind: In(['admin', 'guest']) }), 1)
})
check('relations', async () => {
  const author = await source.getRepository(User).findOneByOrFail({ name: 'a' })
  const tags = await source.getRepository(Tag).save([{ name: 't1' }, { name: 't2' }])
  const posts = source.getRepository(Post)
  await posts.save([{ title: 'one', author, tags }, { title: 'two', author, tags: [] }])
  const [loaded] = await source.getRepository(User).find({ relations: { posts: { tags: true } }, where: { posts: { tags: { name: 't1' } } }, take: 1 })
  assert.deepEqual(loaded.posts.map((p) => p.tags.map((t) => t.name)), [['t1']])
  const rows = await posts.createQueryBuilder('p').leftJoin('p.author', 'u').select('u.name', 'name').addSelect('count(*)', 'n').groupBy('u.name').getRawMany()
  assert.deepEqual(rows, [{ name: 'a', n: '2' }])
  await posts.softDelete({ title: 'two' })
  assert.deepEqual([await posts.count(), await posts.count({ withDeleted: true })], [1, 2])
})
check('upsert, increment, delete that cascades', async () => {
  const users = source.getRepository(User)
  await users.upsert([{ name: 'a', age: 7 }, { name: 'd', age: 8 }], ['name'])
  await users.increment({ name: 'd' }, 'age', 5)
  assert.equal((await users.findOneByOrFail({ name: 'd' })).age, 13)
  await users.delete({ name: 'a' })
  assert.equal(await source.getRepository(Post).count({ withDeleted: true }), 0)
})
check('transactions and locks', async () => {
  await assert.rejects(source.transaction('SERIALIZABLE', async (m) => {
    await m.findOneOrFail(User, { where: { name: 'b' }, lock: { mode: 'pessimistic_write' } })
    const others = await source.transaction((o) => o.createQueryBuilder(User, 'u').setLock('pessimistic_write').setOnLocked('skip_locked').getMany())
    assert.ok(others.every((u) => u.name !== 'b') && others.length === 2)
    await m.save(User, { name: 'e' })
    throw new Error('on purpose')
  }), { message: 'on purpose' })
  assert.equal(await source.getRepository(User).countBy({ name: 'e' }), 0)
})
check('errors', async () => {
  await assert.rejects(source.getRepository(User).insert({ name: 'b' }), (e) => e instanceof QueryFailedError && e.driverError.code === '23505')
  await assert.rejects(source.getRepository(User).insert({ name: 'y', age: -1 }), (e) => e.driverError.code === '23514')
})
check('introspection and a change of the schema', async () => {
  const runner = source.createQueryRunner()
  const table = await runner.getTable('node_typeorm.users')
  assert.deepEqual([table.columns.length, table.indices.length, table.uniques.length, table.checks.length], [10, 2, 1, 1])
  assert.deepEqual((await runner.getTable('node_typeorm.posts')).foreignKeys.map((k) => [k.columnNames, k.referencedTableName, k.onDelete]), [[['authorId'], 'node_typeorm.users', 'CASCADE']])
  await runner.query('ALTER TABLE node_typeorm.users DROP COLUMN credit')
  await runner.query('DROP INDEX node_typeorm."' + table.indices[0].name + '"')
  await source.synchronize()
  assert.equal((await runner.getTable('node_typeorm.users')).columns.length, 10)
  await runner.release()
})
await runChecks('typeorm', () => source.destroy())
