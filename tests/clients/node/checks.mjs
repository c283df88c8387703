// A list of named checks, run in order; each may throw. The last line is what docs/clients.md counts.
import { AssertionError } from 'node:assert'

const checks = []
export const check = (name, body) => checks.push({ name, body })

export async function runChecks(client, finish = async () => {}) {
  let passed = 0
  for (const { name, body } of checks) {
    let timer
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('took longer than 60 s')), 60_000)
      })
      await Promise.race([body(), late])
      passed += 1
    } catch (error) {
      const where = error instanceof AssertionError ? '' : ` ${error.code ?? ''}`
      const statement = error.sql ?? error.query ?? error.parent?.sql ?? ''
      console.log(`${client}: FAILED ${name}:${where} ${String(error.message).split('\n').slice(0, 6).join(' ')}`)
      if (error.cause) console.log(`    because: ${error.cause.code ?? ''} ${error.cause.message}`)
      if (statement) console.log(`    ${String(statement).slice(0, 600)}`)
      if (process.env.STACK) console.log(error.stack)
    } finally {
      clearTimeout(timer)
    }
  }
  console.log(`${client}: ${passed}/${checks.length}`)
  await Promise.race([finish(), new Promise((resolve) => setTimeout(resolve, 5000))]).catch(() => {})
  process.exit(passed === checks.length ? 0 : 1)
}
