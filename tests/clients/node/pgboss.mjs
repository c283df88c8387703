// pg-boss: partitions, functions that create tables, SKIP LOCKED, ON CONFLICT on partial indexes, advisory locks.
import assert from 'node:assert/strict'
import pg from 'pg'
import PgBoss from 'pg-boss'
import { check, runChecks } from './checks.mjs'

const { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database } = process.env
const options = { host, port: Number(port), user, database, schema: 'node_boss', max: 5, monitorStateIntervalSeconds: 2 }
const pool = new pg.Pool()
await pool.query('DROP SCHEMA IF EXISTS node_boss CASCADE')
const bosses = []
const until = async (what, condition) => {
  for (const end = Date.now() + 50_000; !(await condition());) {
    if (Date.now() > end) throw new Error(`${what} did not happen`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const start = async () => {
  const boss = new PgBoss(options)
  boss.on('error', (error) => console.log(`pg-boss: error event ${error.code ?? ''} ${error.message}`))
  bosses.push(boss)
  return boss.start()
}

check('schema is made, started twice', async () => {
  await start()
  await start()
  await start()
})
check('300 jobs, three instances, each job once', async () => {
  await bosses[0].createQueue('work')
  await bosses[0].insert(Array.from({ length: 200 }, (_, n) => ({ name: 'work', data: { n } })))
  for (let n = 200; n < 300; n += 1) await bosses[0].send('work', { n })
  const seen = []
  for (const boss of bosses) {
    await boss.work('work', { batchSize: 7, pollingIntervalSeconds: 0.5 }, async (jobs) => { seen.push(...jobs.map((job) => job.data.n)) })
  }
  await until('300 jobs', async () => seen.length >= 300)
  const { rows } = await pool.query("SELECT state, count(*)::int AS n FROM node_boss.job WHERE name = 'work' GROUP BY state")
  assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 300 }, (_, n) => n))
  await until('completion', async () => (await pool.query("SELECT 1 FROM node_boss.job WHERE name = 'work' AND state <> 'completed'")).rowCount === 0)
  assert.ok(rows.length > 0)
})
check('a failing job is retried, then dead', async () => {
  await bosses[0].createQueue('dead')
  await bosses[0].createQueue('failing', { retryLimit: 2, deadLetter: 'dead' })
  let tries = 0
  await bosses[1].work('failing', { pollingIntervalSeconds: 0.5 }, async () => {
    tries += 1
    throw new Error('on purpose')
  })
  const id = await bosses[0].send('failing', { a: 1 })
  await until('failure', async () => (await bosses[0].getJobById('failing', id)).state === 'failed')
  assert.equal(tries, 3)
  assert.deepEqual((await bosses[0].fetch('dead'))[0].data, { a: 1 })
})
check('a job for later waits', async () => {
  await bosses[0].createQueue('later')
  await bosses[0].send('later', {}, { startAfter: 3600 })
  const soon = await bosses[0].send('later', {}, { startAfter: 1 })
  assert.equal((await bosses[0].fetch('later')).length, 0)
  let got = []
  await until('the time', async () => (got = await bosses[0].fetch('later')).length > 0)
  assert.equal(got[0].id, soon)
})
check('singleton and throttled jobs', async () => {
  await bosses[0].createQueue('single', { policy: 'short' })
  assert.ok(await bosses[0].send('single', {}))
  assert.equal(await bosses[0].send('single', {}), null)
  await bosses[0].createQueue('throttled')
  assert.ok(await bosses[0].send('throttled', {}, { singletonSeconds: 600 }))
  assert.equal(await bosses[0].send('throttled', {}, { singletonSeconds: 600 }), null)
})
check('cancel, resume, delete, schedule, sizes', async () => {
  await bosses[0].createQueue('misc')
  const id = await bosses[0].send('misc', {})
  await bosses[0].cancel('misc', id)
  assert.equal((await bosses[0].getJobById('misc', id)).state, 'cancelled')
  await bosses[0].resume('misc', id)
  assert.equal(await bosses[0].getQueueSize('misc'), 1)
  await bosses[0].deleteJob('misc', id)
  assert.equal(await bosses[0].getJobById('misc', id), null)
  await bosses[0].schedule('misc', '0 3 * * *', { a: 1 })
  assert.equal((await bosses[0].getSchedules()).length, 1)
  await bosses[0].unschedule('misc')
})
check('publish and subscribe; maintenance', async () => {
  await bosses[0].createQueue('subscriber')
  await bosses[0].subscribe('event', 'subscriber')
  await bosses[0].publish('event', { hello: 1 })
  assert.deepEqual((await bosses[0].fetch('subscriber'))[0].data, { hello: 1 })
  await bosses[0].maintain()
  await bosses[0].purgeQueue('misc')
  await bosses[0].deleteQueue('misc')
})
await runChecks('pg-boss', () => Promise.all(bosses.map((boss) => boss.stop({ graceful: false, wait: false }))))
