// Prisma with its driver adapter: queries are compiled in WebAssembly and sent by node-postgres. Its schema engine (migrate, db push,
// db pull) is a binary that no registry has: the tables are made with the SQL that it writes for prisma.schema.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { check, runChecks } from './checks.mjs'

const { PrismaClient, Prisma } = createRequire(import.meta.url)('./prisma-client/index.js')

const schema = 'node_prisma'
const sql = `
  DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}; SET search_path = ${schema};
  CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN');
  CREATE TABLE "User" ("id" SERIAL NOT NULL, "email" TEXT NOT NULL, "name" TEXT, "role" "Role" NOT NULL DEFAULT 'USER',
    "made" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
  CREATE TABLE "Profile" ("id" SERIAL NOT NULL, "bio" JSONB NOT NULL, "userId" INTEGER NOT NULL, CONSTRAINT "Profile_pkey" PRIMARY KEY ("id"));
  CREATE TABLE "Post" ("id" UUID NOT NULL DEFAULT gen_random_uuid(), "title" VARCHAR(200) NOT NULL, "published" BOOLEAN NOT NULL DEFAULT false,
    "views" BIGINT NOT NULL DEFAULT 0, "rating" DECIMAL(5,2), "tags" TEXT[], "authorId" INTEGER NOT NULL, CONSTRAINT "Post_pkey" PRIMARY KEY ("id"));
  CREATE TABLE "Topic" ("id" SERIAL NOT NULL, "name" TEXT NOT NULL, CONSTRAINT "Topic_pkey" PRIMARY KEY ("id"));
  CREATE TABLE "_PostToTopic" ("A" UUID NOT NULL, "B" INTEGER NOT NULL, CONSTRAINT "_PostToTopic_AB_pkey" PRIMARY KEY ("A","B"));
  CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
  CREATE UNIQUE INDEX "Profile_userId_key" ON "Profile"("userId");
  CREATE INDEX "Post_authorId_published_idx" ON "Post"("authorId", "published");
  CREATE UNIQUE INDEX "Topic_name_key" ON "Topic"("name");
  CREATE INDEX "_PostToTopic_B_index" ON "_PostToTopic"("B");
  ALTER TABLE "Profile" ADD CONSTRAINT "Profile_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
  ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
  ALTER TABLE "_PostToTopic" ADD CONSTRAINT "_PostToTopic_A_fkey" FOREIGN KEY ("A") REFERENCES "Post"("id") ON DELETE CASCADE ON UPDATE CASCADE;
  ALTER TABLE "_PostToTopic" ADD CONSTRAINT "_PostToTopic_B_fkey" FOREIGN KEY ("B") REFERENCES "Topic"("id") ON DELETE CASCADE ON UPDATE CASCADE;
`
const { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database } = process.env
const prisma = new PrismaClient({ adapter: new PrismaPg({ host, port: Number(port), user, database }, { schema }) })

check('tables', async () => {
  const client = new pg.Client()
  await client.connect()
  await client.query(sql)
  await client.end()
})

check('create with relations, types both ways', async () => {
  const made = await prisma.user.create({
    data: {
      email: 'a@x', name: 'Ann', role: 'ADMIN', profile: { create: { bio: { lines: [1, null, 'é'] } } },
      posts: {
        create: [
          { title: 'first', tags: ['a,b', '"q"'], rating: new Prisma.Decimal('12.50'), views: 9007199254740993n, topics: { create: { name: 'sql' } } },
          { title: 'second', published: true, topics: { connectOrCreate: { where: { name: 'sql' }, create: { name: 'sql' } } } },
        ],
      },
    },
    include: { profile: true, posts: { orderBy: { title: 'asc' }, include: { topics: true } } },
  })
  assert.equal(made.role, 'ADMIN')
  assert.ok(made.made instanceof Date)
  assert.deepEqual(made.profile.bio, { lines: [1, null, 'é'] })
  assert.equal(made.posts[0].views, 9007199254740993n)
  assert.equal(made.posts[0].rating.toFixed(2), '12.50')
  assert.deepEqual(made.posts[0].tags, ['a,b', '"q"'])
  assert.deepEqual(made.posts.map((post) => post.topics[0].name), ['sql', 'sql'])
})

check('many, filters, pages, aggregates, groups', async () => {
  const data = Array.from({ length: 300 }, (_, i) => ({ email: `u${i}@x`, name: i % 3 ? `n${i}` : null }))
  assert.equal((await prisma.user.createMany({ data })).count, 300)
  assert.equal((await prisma.user.createMany({ data, skipDuplicates: true })).count, 0)
  assert.equal(await prisma.user.count({ where: { name: null } }), 100)
  const page = await prisma.user.findMany({ where: { email: { startsWith: 'u1' } }, orderBy: { id: 'desc' }, skip: 5, take: 3, select: { email: true } })
  assert.deepEqual(page.map((row) => row.email), ['u194@x', 'u193@x', 'u192@x'])
  const after = await prisma.user.findMany({ cursor: { email: 'u10@x' }, orderBy: { id: 'asc' }, take: 2 })
  assert.deepEqual(after.map((row) => row.email), ['u10@x', 'u11@x'])
  const like = await prisma.user.findMany({ where: { OR: [{ email: { contains: 'A@', mode: 'insensitive' } }, { id: { in: [2, 3] } }], NOT: { role: 'USER' } } })
  assert.equal(like.length, 1)
  const byRole = await prisma.user.groupBy({ by: ['role'], _count: { _all: true }, orderBy: { role: 'asc' } })
  assert.deepEqual(byRole.map((row) => [row.role, row._count._all]), [['USER', 300], ['ADMIN', 1]])
  const figures = await prisma.post.aggregate({ _sum: { views: true }, _avg: { rating: true }, _max: { title: true } })
  assert.deepEqual([figures._sum.views, figures._avg.rating.toFixed(1), figures._max.title], [9007199254740993n, '12.5', 'second'])
})

check('relations in filters, lists, JSON', async () => {
  const authors = await prisma.user.findMany({ where: { posts: { some: { topics: { every: { name: 'sql' } } } } }, include: { _count: { select: { posts: true } } } })
  assert.deepEqual(authors.map((row) => row._count.posts), [2])
  assert.equal(await prisma.post.count({ where: { tags: { has: 'a,b' } } }), 1)
  assert.equal(await prisma.profile.count({ where: { bio: { path: ['lines', '2'], equals: 'é' } } }), 1)
})

check('update, upsert, delete', async () => {
  const changed = await prisma.post.updateMany({ where: { published: false }, data: { views: { increment: 1 }, tags: { push: 'new' } } })
  assert.equal(changed.count, 1)
  const first = await prisma.post.findFirstOrThrow({ where: { title: 'first' } })
  assert.deepEqual([first.views, first.tags.at(-1)], [9007199254740994n, 'new'])
  for (const name of ['one', 'two']) {
    const row = await prisma.user.upsert({ where: { email: 'up@x' }, create: { email: 'up@x', name }, update: { name } })
    assert.equal(row.name, name)
  }
  const topic = await prisma.topic.update({ where: { name: 'sql' }, data: { posts: { disconnect: { id: first.id } } }, include: { posts: true } })
  assert.equal(topic.posts.length, 1)
  assert.equal((await prisma.user.deleteMany({ where: { email: { startsWith: 'u' } } })).count, 301)
})

check('errors by their codes', async () => {
  const code = async (work) => work().then(() => 'none', (error) => error.code)
  assert.equal(await code(() => prisma.user.create({ data: { email: 'a@x' } })), 'P2002')
  assert.equal(await code(() => prisma.profile.create({ data: { bio: {}, userId: 99999 } })), 'P2003')
  assert.equal(await code(() => prisma.user.delete({ where: { email: 'a@x' } })), 'P2003')
  assert.equal(await code(() => prisma.user.update({ where: { id: 99999 }, data: { name: 'x' } })), 'P2025')
})

check('transactions: batches, interactive, isolation', async () => {
  await assert.rejects(prisma.$transaction([prisma.topic.create({ data: { name: 'gone' } }), prisma.topic.create({ data: { name: 'sql' } })]))
  assert.equal(await prisma.topic.count({ where: { name: 'gone' } }), 0)
  const id = await prisma.$transaction(async (tx) => {
    const { id } = await tx.topic.create({ data: { name: 'kept' } })
    await tx.topic.update({ where: { id }, data: { name: 'kept!' } })
    return id
  }, { isolationLevel: 'Serializable' })
  assert.equal((await prisma.topic.findUniqueOrThrow({ where: { id } })).name, 'kept!')
  await assert.rejects(prisma.$transaction(async (tx) => {
    await tx.topic.deleteMany()
    throw new Error('no')
  }))
  assert.equal(await prisma.topic.count(), 2)
})

check('raw SQL', async () => {
  const rows = await prisma.$queryRaw`SELECT ${1}::int AS n, ${'x'} AS s, ARRAY[1, 2] AS a, '{"k": 1}'::jsonb AS j, 10::bigint AS b`
  assert.deepEqual(rows, [{ n: 1, s: 'x', a: [1, 2], j: { k: 1 }, b: 10n }])
  assert.equal(await prisma.$executeRaw`UPDATE node_prisma."Topic" SET name = name || ${'?'}`, 2)
})

await runChecks('prisma', () => prisma.$disconnect())
