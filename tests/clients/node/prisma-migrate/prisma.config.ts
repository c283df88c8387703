import { defineConfig } from 'prisma/config'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
// This version of the adapter does not know the types name and "char", which the schema engine's queries of the catalog return: they are text to it.
const asText: Record<number, number> = { 18: 25, 19: 25, 1002: 1009, 1003: 1009 }
const result = (pg as any).Result.prototype
const addFields = result.addFields
result.addFields = function (fields: { dataTypeID: number }[]) {
  for (const field of fields) field.dataTypeID = asText[field.dataTypeID] ?? field.dataTypeID
  return addFields.call(this, fields)
}
export default defineConfig({
  experimental: { adapter: true },
  engine: 'js',
  schema: process.env.PRISMA_SCHEMA ?? 'first.prisma',
  migrations: { path: 'migrations' },
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 100 }),
})
