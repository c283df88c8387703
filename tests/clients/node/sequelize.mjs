// Sequelize: sync({ force, alter }), associations, hooks on transactions, introspection by its query interface.
import assert from 'node:assert/strict'
import { DataTypes, Op, QueryTypes, Sequelize, Transaction, UniqueConstraintError, ForeignKeyConstraintError } from 'sequelize'
import { check, runChecks } from './checks.mjs'

const { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database } = process.env
const sequelize = new Sequelize(database, user, '', { host, port: Number(port), dialect: 'postgres', logging: false, schema: 'node_sequelize', pool: { max: 5 } })
await sequelize.query('DROP SCHEMA IF EXISTS node_sequelize CASCADE')
await sequelize.createSchema('node_sequelize')
const User = sequelize.define('User', {
  name: { type: DataTypes.STRING(60), allowNull: false, unique: true },
  age: { type: DataTypes.SMALLINT, validate: { min: 0 } },
  credit: { type: DataTypes.DECIMAL(10, 2), defaultValue: 0 },
  tags: DataTypes.ARRAY(DataTypes.TEXT),
  data: DataTypes.JSONB,
  key: { type: DataTypes.UUID, defaultValue: DataTypes.UUIDV4 },
  kind: DataTypes.ENUM('admin', 'guest'),
  born: DataTypes.DATEONLY,
  blob: DataTypes.BLOB,
}, { indexes: [{ fields: ['age', { name: 'name', order: 'DESC' }] }] })
const Post = sequelize.define('Post', { title: DataTypes.STRING, body: DataTypes.TEXT }, { paranoid: true })
const Tag = sequelize.define('Tag', { name: { type: DataTypes.STRING, primaryKey: true } }, { timestamps: false })
User.hasMany(Post, { as: 'posts', foreignKey: { name: 'authorId', allowNull: false }, onDelete: 'CASCADE' })
Post.belongsTo(User, { as: 'author', foreignKey: 'authorId' })
Post.belongsToMany(Tag, { through: 'PostTags' })
Tag.belongsToMany(Post, { through: 'PostTags' })

check('sync with force, twice', async () => {
  await sequelize.sync({ force: true })
  await sequelize.sync({ force: true })
})
check('sync with alter', async () => {
  await sequelize.sync({ alter: true })
  User.rawAttributes.nick = { type: DataTypes.STRING, field: 'nick', fieldName: 'nick', Model: User, _modelAttribute: true }
  User.refreshAttributes()
  await User.sync({ alter: true })
  assert.ok((await sequelize.getQueryInterface().describeTable({ tableName: 'Users', schema: 'node_sequelize' })).nick)
})
check('create and find, every type', async () => {
  const made = await User.create({ name: 'a', age: 3, credit: '1.50', tags: ['x', 'y'], data: { a: { b: 1 } }, kind: 'admin', born: '2000-02-29', blob: Buffer.from('hi') })
  const found = await User.findByPk(made.id)
  assert.deepEqual([found.credit, found.tags, found.data, found.kind, found.born, found.blob.toString(), found.key === made.key],
    ['1.50', ['x', 'y'], { a: { b: 1 } }, 'admin', '2000-02-29', 'hi', true])
  await User.bulkCreate([{ name: 'b', age: 10 }, { name: 'c', age: 20, tags: ['y'] }])
})
check('operators', async () => {
  assert.equal(await User.count({ where: { age: { [Op.between]: [5, 30] }, name: { [Op.iLike]: '%B%' } } }), 1)
  assert.equal(await User.count({ where: { tags: { [Op.contains]: ['y'] } } }), 2)
  assert.equal(await User.count({ where: { tags: { [Op.overlap]: ['x', 'z'] } } }), 1)
  assert.equal(await User.count({ where: { 'data.a.b': 1 } }), 1)
  assert.equal(await User.count({ where: { data: { [Op.contains]: { a: {} } } } }), 1)
  assert.equal(await User.count({ where: { name: { [Op.regexp]: '^[ab]$' }, kind: { [Op.or]: ['admin', null] } } }), 2)
})
check('associations, eager loading, through', async () => {
  const user = await User.findOne({ where: { name: 'a' } })
  const post = await user.createPost({ title: 't1', body: 'x' })
  await user.createPost({ title: 't2' })
  await Tag.bulkCreate([{ name: 'one' }, { name: 'two' }])
  await post.setTags(['one', 'two'])
  const loaded = await User.findAll({ include: [{ model: Post, as: 'posts', include: [Tag] }], order: ['name', [{ model: Post, as: 'posts' }, 'title', 'ASC']], limit: 2 })
  assert.deepEqual(loaded.map((u) => u.posts.map((p) => p.Tags.length)), [[2, 0], []])
  await post.destroy()
  assert.equal(await user.countPosts(), 1)
  await post.restore()
  assert.equal(await user.countPosts(), 2)
})
check('upsert, increment, findOrCreate', async () => {
  await User.upsert({ name: 'a', age: 4 }, { conflictFields: ['name'] })
  const a = await User.findOne({ where: { name: 'a' } })
  await a.increment('age', { by: 2 })
  assert.equal((await a.reload()).age, 6)
  const [, created] = await User.findOrCreate({ where: { name: 'd' }, defaults: { age: 1 } })
  const [, again] = await User.findOrCreate({ where: { name: 'd' } })
  assert.deepEqual([created, again], [true, false])
})
check('transactions and row locks', async () => {
  await assert.rejects(sequelize.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ }, async (transaction) => {
    await User.findAll({ where: { name: 'a' }, lock: transaction.LOCK.UPDATE, transaction })
    const others = await sequelize.transaction((t) => User.findAll({ lock: true, skipLocked: true, transaction: t }))
    assert.equal(others.length, 3)
    await User.create({ name: 'e' }, { transaction })
    throw new Error('on purpose')
  }), { message: 'on purpose' })
  assert.equal(await User.count({ where: { name: 'e' } }), 0)
})
check('errors', async () => {
  await assert.rejects(User.create({ name: 'a' }), (e) => e instanceof UniqueConstraintError && 'name' in e.fields)
  await assert.rejects(Post.create({ authorId: 999 }), (e) => e instanceof ForeignKeyConstraintError && e.table === 'Posts')
})
check('introspection', async () => {
  const q = sequelize.getQueryInterface()
  assert.deepEqual((await q.showAllTables({ schema: 'node_sequelize' })).map((t) => t.tableName ?? t).sort(), ['PostTags', 'Posts', 'Tags', 'Users'])
  const users = await q.describeTable({ tableName: 'Users', schema: 'node_sequelize' })
  assert.deepEqual([users.id.primaryKey, users.name.type, users.kind.special, users.age.allowNull], [true, 'CHARACTER VARYING(60)', ['admin', 'guest'], true])
  const indexes = await q.showIndex({ tableName: 'Users', schema: 'node_sequelize' })
  // alter adds a unique constraint each time: Sequelize 6 does so on PostgreSQL too.
  const shown = new Set(indexes.map((i) => `${i.primary} ${i.unique} ${i.fields.map((f) => f.attribute)}`))
  assert.deepEqual([...shown].sort(), ['false false age,name', 'false true name', 'true true id'])
  const keys = await q.getForeignKeyReferencesForTable({ tableName: 'Posts', schema: 'node_sequelize' })
  assert.deepEqual([keys[0].columnName, keys[0].referencedTableName, keys[0].referencedColumnName], ['authorId', 'Users', 'id'])
})
check('raw queries with replacements and binds', async () => {
  const rows = await sequelize.query('SELECT $1::int + :n AS v'.replace('$1::int', '2'), { replacements: { n: 3 }, type: QueryTypes.SELECT })
  assert.deepEqual(rows, [{ v: 5 }])
})
await runChecks('sequelize', () => sequelize.close())
