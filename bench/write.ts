/**
 * Putting: how long a device takes to store what its user writes. 100-byte values under 16-byte keys.
 *
 * One by one: each put is awaited before the next, so each is an append of its own; the measure is the raw append of the same
 * value. Together: issued in one turn, as an import does. The other writers have written the same keys before, so each of our
 * puts looks up what they said and names it in `seen`, which costs 33 bytes and more per writer.
 */
import { join } from 'node:path'
import { autobase } from './bases.ts'
import {
  formatRate,
  race,
  report,
  type BenchOptions,
  type Competitor,
  type Table
} from './harness.ts'
import {
  fillFromWriters,
  hyperbee,
  hyperbee2,
  inFolder,
  manyhands,
  pairs,
  rawCore,
  type Database,
  type OpenDatabase,
  type Pair
} from './peers.ts'

const RAW = 'raw hypercore append'
const OURS = 'manyhands, alone'

const GOALS = { single: 0.6, together: 30_000 }

/** Each writer's keys; ours go over the same ones again and again, so the tree's size stays the same. */
const KEYS = 10_000

export default async function bench(options: BenchOptions): Promise<void> {
  const tables = await inFolder(async (folder) => {
    const keys = options.quick ? 2000 : KEYS
    const kinds = await openAll(folder, keys)
    try {
      return [await raceSingle(kinds, keys, options), await raceTogether(kinds, keys, options)]
    } finally {
      for (const { db } of kinds) await db.close()
    }
  })
  await report('write', options, {
    tables,
    notes: verdicts(tables),
    packages: ['hypercore', 'hyperbee2', 'hyperbee', 'autobase', 'rocksdb-native']
  })
}

export interface Kind {
  readonly name: string
  readonly db: Database
}

async function openAll(folder: string, keys: number): Promise<Kind[]> {
  const open = async (name: string, how: OpenDatabase): Promise<Kind> => {
    const db = await how(join(folder, name.replaceAll(' ', '-')))
    await db.putAll(pairs(0, keys))
    return { name, db }
  }
  return [
    await open(RAW, rawCore),
    await open(OURS, manyhands),
    await open('manyhands, 2 writers known', amongWriters(2, keys)),
    await open('manyhands, 8 writers known', amongWriters(8, keys)),
    await open('hyperbee2', hyperbee2),
    await open('hyperbee', hyperbee),
    await open('autobase + hyperbee', autobase)
  ]
}

/** Ours, beside others that have written every key. */
function amongWriters(count: number, keys: number): OpenDatabase {
  return async (folder) => {
    const fills = Array.from({ length: count }, () => (db: Database) => db.putAll(pairs(0, keys)))
    await fillFromWriters(folder, fills)
    return manyhands(folder)
  }
}

function raceSingle(kinds: readonly Kind[], keys: number, { quick }: BenchOptions): Promise<Table> {
  const units = quick ? 100 : 300
  return race(
    'put, awaited one by one',
    kinds.map((kind) =>
      putter(kind, units, keys, async (db, some) => {
        for (const pair of some) await db.put(pair)
      })
    ),
    { baseline: RAW, units, unit: 'puts', rounds: quick ? 3 : 5 }
  )
}

function raceTogether(
  kinds: readonly Kind[],
  keys: number,
  { quick }: BenchOptions
): Promise<Table> {
  const units = quick ? 1000 : 5000
  return race(
    'puts issued together (autobase: 100 per block)',
    kinds.map((kind) => putter(kind, units, keys, (db, some) => db.putAll(some))),
    { baseline: 'hyperbee2', units, unit: 'puts', rounds: quick ? 3 : 5 }
  )
}

/** Puts the next keys in each run; each value differs from the one before, or a bee would skip it. */
export function putter(
  { name, db }: Kind,
  units: number,
  keys: number,
  put: (db: Database, some: readonly Pair[]) => Promise<void>
): Competitor {
  let next = 0
  let some: readonly Pair[] = []
  return {
    name,
    setup() {
      const mark = 1 + (Math.floor(next / keys) % 255)
      some = pairs(0, units).map((_, i) => {
        const [pair] = pairs((next + i) % keys, ((next + i) % keys) + 1) as [Pair]
        return { key: pair.key, value: new Uint8Array(100).fill(mark + 7) }
      })
      next += units
    },
    run: () => put(db, some)
  }
}

function verdicts([single, together]: readonly Table[]): string[] {
  const ofSingle = (single?.rows ?? [])
    .filter(({ name }) => name.startsWith('manyhands'))
    .map(({ name, rates }) => {
      const ratio = rates?.ratio ?? 0
      return `goal of ${GOALS.single} x raw append, ${name}: ${verdict(ratio >= GOALS.single)}, ${ratio.toFixed(2)}`
    })
  const ofTogether = (together?.rows ?? [])
    .filter(({ name }) => name.startsWith('manyhands'))
    .map(({ name, rates }) => {
      const median = rates?.median ?? 0
      return `goal of ${formatRate(GOALS.together)} puts/s together, ${name}: ${verdict(median >= GOALS.together)}, ${formatRate(median)}`
    })
  return [...ofSingle, ...ofTogether]
}

const verdict = (isMet: boolean): string => (isMet ? 'met' : 'MISSED')
