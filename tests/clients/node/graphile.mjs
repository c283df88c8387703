// graphile-worker: PL/pgSQL functions and triggers, LISTEN/NOTIFY, SKIP LOCKED, composite types, enums.
import assert from 'node:assert/strict'
import pg from 'pg'
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker'
import { check, runChecks } from './checks.mjs'

const pool = new pg.Pool({ max: 20 })
const schema = 'node_worker'
const logger = new Logger(() => (level, message) => { if (level === 'error' && process.env.STACK) console.log(message) })
await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
const until = async (what, condition) => {
  for (const end = Date.now() + 50_000; !(await condition());) {
    if (Date.now() > end) throw new Error(`${what} did not happen`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
let utils
const runners = []
const seen = []
const attempts = new Map()
const serial = []
let inQueue = 0
const taskList = {
  count: async ({ n }) => { seen.push(n) },
  fails: async (_, { job }) => {
    attempts.set(job.id, job.attempts)
    if (job.attempts < 2) throw new Error('on purpose')
  },
  serial: async ({ n }) => {
    inQueue += 1
    assert.equal(inQueue, 1)
    await new Promise((resolve) => setTimeout(resolve, 2))
    serial.push(n)
    inQueue -= 1
  },
}
const left = async () => Number((await pool.query(`SELECT count(*) AS n FROM ${schema}._private_jobs`)).rows[0].n)

check('migrations', async () => {
  await runMigrations({ pgPool: pool, schema, logger })
  await runMigrations({ pgPool: pool, schema, logger })
  utils = await makeWorkerUtils({ pgPool: pool, schema, logger })
})
check('300 jobs, three workers of five, each job once', async () => {
  for (let at = 0; at < 3; at += 1) {
    runners.push(await run({ pgPool: pool, schema, logger, taskList, concurrency: 5, noHandleSignals: true, pollInterval: 500 }))
  }
  await Promise.all(Array.from({ length: 200 }, (_, n) => utils.addJob('count', { n })))
  await pool.query(`SELECT ${schema}.add_job('count', json_build_object('n', n)) FROM generate_series(200, 299) n`)
  await until('300 jobs', async () => seen.length >= 300 && (await left()) === 0)
  assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 300 }, (_, n) => n))
})
check('a failing job is put off with an error', async () => {
  const job = await utils.addJob('fails', {})
  await until('first failure', async () => attempts.get(job.id) === 1)
  const failed = async () => (await pool.query(`SELECT last_error, run_at > now() AS later, attempts FROM ${schema}.jobs WHERE id = $1`, [job.id])).rows[0]
  await until('its record', async () => (await failed())?.last_error)
  assert.match((await failed()).last_error, /on purpose/)
  await utils.rescheduleJobs([job.id], { runAt: new Date() })
  await until('success', async () => (await left()) === 0)
  assert.equal(attempts.get(job.id), 2)
})
check('a queue runs one at a time and in order', async () => {
  for (let n = 0; n < 20; n += 1) await utils.addJob('serial', { n }, { queueName: 'q' })
  await until('20 jobs', async () => serial.length === 20)
  assert.deepEqual(serial, Array.from({ length: 20 }, (_, n) => n))
})
check('job keys replace; scheduled jobs wait', async () => {
  const runAt = new Date(Date.now() + 3_600_000)
  const first = await utils.addJob('count', { n: 1000 }, { jobKey: 'k', runAt })
  const second = await utils.addJob('count', { n: 1001 }, { jobKey: 'k', runAt })
  assert.equal(first.id, second.id)
  await utils.addJob('count', { n: 1002 }, { jobKey: 'k', runAt: new Date(Date.now() + 1000) })
  await until('the replaced job', async () => seen.includes(1002))
  assert.ok(!seen.includes(1000) && !seen.includes(1001))
})
check('completeJobs, permanentlyFailJobs, cleanup', async () => {
  const runAt = new Date(Date.now() + 3_600_000)
  const [a, b] = [await utils.addJob('count', { n: 1 }, { runAt }), await utils.addJob('count', { n: 2 }, { runAt })]
  assert.equal((await utils.permanentlyFailJobs([a.id], 'no')).length, 1)
  assert.equal((await utils.completeJobs([b.id])).length, 1)
  await utils.cleanup({ tasks: ['GC_TASK_IDENTIFIERS', 'GC_JOB_QUEUES', 'DELETE_PERMAFAILED_JOBS'] })
  assert.equal(await left(), 0)
})
await runChecks('graphile-worker', async () => {
  await Promise.all(runners.map((runner) => runner.stop()))
  await utils.release()
})
