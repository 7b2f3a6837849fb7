/**
 * Merging by field: what it costs to keep the fields of a contact apart, against keeping it as one value. A store of 10,000 contacts
 * with five fields each; puts that change two of the fields, and patches of one, each issued in one turn, as an import does.
 */
import { join } from 'node:path'
import { openDevice, type MultiBee } from '../index.ts'
import { race, report, type BenchOptions, type Competitor, type Table } from './harness.ts'
import { inFolder } from './peers.ts'

const WHOLE = 'one value (type: register)'
const FIELDS = 'field by field'

const GOAL = 0.7

const CONTACTS = 10_000

type Contact = Readonly<Record<'name' | 'phone' | 'email' | 'city' | 'note', string>>

export default async function bench(options: BenchOptions): Promise<void> {
  const tables = await inFolder(async (folder) => {
    const contacts = options.quick ? 2000 : CONTACTS
    await using device = await openDevice({ storage: join(folder, 'device') })
    const { db } = await device.createSpace({ name: 'contacts' })
    const kinds = [
      { name: WHOLE, db: db.sub<string, Contact>('whole', { type: 'register' }) },
      { name: FIELDS, db: db.sub<string, Contact>('fields') }
    ]
    for (const kind of kinds) await putAll(kind.db, 0, contacts, 0)
    return [
      await raceOf('puts that change two of five fields', kinds, contacts, options, putAll),
      await raceOf('patches of one of five fields', kinds, contacts, options, patchAll)
    ]
  })
  await report('fields', options, { tables, notes: tables.map(verdict), packages: ['hyperbee2'] })
}

type Write = (
  db: MultiBee<string, Contact>,
  from: number,
  count: number,
  turn: number
) => Promise<unknown>

interface Kind {
  readonly name: string
  readonly db: MultiBee<string, Contact>
}

function raceOf(
  title: string,
  kinds: readonly Kind[],
  contacts: number,
  { quick }: BenchOptions,
  write: Write
): Promise<Table> {
  const units = quick ? 1000 : 5000
  const competitors = kinds.map(({ name, db }): Competitor => {
    let next = 0
    return {
      name,
      setup() {
        next += units
      },
      run: async () => {
        await write(db, next % contacts, Math.min(units, contacts), next)
      }
    }
  })
  return race(title, competitors, { baseline: WHOLE, units, unit: 'writes', rounds: quick ? 5 : 9 })
}

const keyOf = (i: number) => `contact/${String(i).padStart(8, '0')}`

function contactOf(i: number, turn: number): Contact {
  return {
    name: `Ann the ${i}th`,
    phone: `0123 ${i} ${turn}`,
    email: `ann.${i}@example.org`,
    city: 'Rome',
    note: `seen at ${turn}`
  }
}

function putAll(db: MultiBee<string, Contact>, from: number, count: number, turn: number) {
  return Promise.all(
    Array.from({ length: count }, (_, i) => db.put(keyOf(from + i), contactOf(from + i, turn)))
  )
}

function patchAll(db: MultiBee<string, Contact>, from: number, count: number, turn: number) {
  return Promise.all(
    Array.from({ length: count }, (_, i) => db.patch(keyOf(from + i), { note: `met at ${turn}` }))
  )
}

function verdict({ title, rows }: Table): string {
  const ratio = rows.find(({ name }) => name === FIELDS)?.rates?.ratio ?? 0
  return `goal of ${GOAL} x one value, ${title}: ${ratio >= GOAL ? 'met' : 'MISSED'}, ${ratio.toFixed(2)}`
}
