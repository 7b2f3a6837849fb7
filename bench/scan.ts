/**
 * Reading what several devices wrote: everything in key order after a reopen (nothing in memory), and single keys once they
 * are. 100-byte values under 16-byte keys in scattered order, so that neighbours in the tree were written far apart.
 *
 * Two shapes of the same entries: written together (few large blocks), and put one by one (a block per entry, the worst case).
 * Every competitor opens before the clock starts, in its own folder, and reads to the end.
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
  hyperbee2,
  inFolder,
  manyhands,
  pairAt,
  pairs,
  type Database,
  type OpenDatabase,
  type Pair
} from './peers.ts'

const GOAL = { writers: 8, rate: 60_000 }

const GETS_GOAL = { writers: 8, rate: 10_000 }

type Fill = (db: Database, some: readonly Pair[]) => Promise<void>

const together: Fill = (db, some) => db.putAll(some)

const oneByOne: Fill = async (db, some) => {
  for (const pair of some) await db.put(pair)
}

interface Kind {
  readonly name: string
  readonly folder: string
  readonly open: OpenDatabase
}

export default async function bench(options: BenchOptions): Promise<void> {
  const { quick } = options
  const notes = quick ? [] : [await memoryNote(100_000)]
  const tables = await inFolder(async (folder) => {
    const grouped = await fillAll(join(folder, 'g'), quick ? 4000 : 40_000, together, true)
    const single = await fillAll(join(folder, 's'), quick ? 2000 : 16_000, oneByOne, false)
    return [
      await raceScans(
        'scan after reopen, written together',
        grouped,
        quick ? 4000 : 40_000,
        options
      ),
      await raceScans('scan after reopen, put one by one', single, quick ? 2000 : 16_000, options),
      await raceGets('get, random keys in memory', grouped, quick ? 4000 : 40_000, options)
    ]
  })
  await report('scan', options, {
    tables,
    notes: [...verdicts(tables), ...notes],
    packages: ['hypercore', 'hyperbee2', 'hyperbee', 'autobase', 'rocksdb-native']
  })
}

/** The same entries in every kind of database. @param withAutobase which takes about a minute for 16,000 single writes */
async function fillAll(
  folder: string,
  count: number,
  fill: Fill,
  withAutobase: boolean
): Promise<Kind[]> {
  const kinds: Kind[] = []
  for (const writers of [1, 2, 8]) {
    kinds.push(await fillShared(folder, count, writers, 0, fill))
  }
  kinds.push(await fillShared(folder, count, 8, 0.5, fill))
  kinds.push(await fillOne(folder, 'hyperbee2, one bee', hyperbee2, count, fill))
  if (withAutobase) {
    kinds.push(await fillOne(folder, 'autobase + hyperbee', autobase, count, together))
  }
  return kinds
}

async function fillOne(
  folder: string,
  name: string,
  open: OpenDatabase,
  count: number,
  fill: Fill
): Promise<Kind> {
  const place = `${folder}-${name.replaceAll(/\W+/g, '-')}`
  const db = await open(place)
  await fill(db, pairs(0, count))
  await db.close()
  return { name, folder: place, open }
}

/** @param overlap the share of the keys that a second writer has written too, without knowing of the first */
async function fillShared(
  folder: string,
  count: number,
  writers: number,
  overlap: number,
  fill: Fill
): Promise<Kind> {
  const name = `manyhands, ${writers} writers${overlap > 0 ? ', half of the keys twice' : ''}`
  const place = `${folder}-${writers}-${overlap}`
  const fills = Array.from({ length: writers }, (_, writer) => {
    const some: Pair[] = []
    for (let i = 0; i < count; i++) {
      const isSecond = i < count * overlap && (i + 1) % writers === writer
      if (i % writers === writer || isSecond) some.push(pairAt(i))
    }
    return (db: Database) => fill(db, some)
  })
  await fillFromWriters(place, fills)
  return { name, folder: place, open: manyhands }
}

function raceScans(
  title: string,
  kinds: readonly Kind[],
  count: number,
  { quick }: BenchOptions
): Promise<Table> {
  const competitors = kinds.map(({ name, folder, open }): Competitor => {
    let db: Database | undefined
    return {
      name,
      setup: async () => void (db = await open(folder)),
      async run() {
        const seen = await db?.scan()
        if (seen !== count) throw new Error(`saw ${seen} of ${count} entries`)
      },
      teardown: async () => db?.close()
    }
  })
  return race(title, competitors, {
    baseline: 'hyperbee2, one bee',
    units: count,
    unit: 'entries',
    rounds: quick ? 3 : 7
  })
}

function raceGets(
  title: string,
  kinds: readonly Kind[],
  count: number,
  { quick }: BenchOptions
): Promise<Table> {
  const units = quick ? 500 : 4000
  const competitors = kinds.map(({ name, folder, open }): Competitor => {
    let db: Database | undefined
    return {
      name,
      async setup() {
        db = await open(folder)
        await db.scan()
      },
      async run() {
        for (let i = 0; i < units; i++) {
          const found = await db?.get(pairAt((i * 7907) % count).key)
          if (found === null) throw new Error('a key is missing')
        }
      },
      teardown: async () => db?.close()
    }
  })
  return race(title, competitors, {
    baseline: 'hyperbee2, one bee',
    units,
    unit: 'gets',
    rounds: quick ? 3 : 7
  })
}

/** What a device that has just put so many keys takes. First in the process, so that nothing else is in it. */
async function memoryNote(count: number): Promise<string> {
  return inFolder(async (folder) => {
    const before = process.memoryUsage.rss()
    const db = await manyhands(join(folder, 'memory'))
    await db.putAll(pairs(0, count))
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20
    await db.close()
    return `memory: ${Math.round(grown)} MiB more resident after putting ${formatRate(count)} keys, all issued at once`
  })
}

function verdicts(tables: readonly Table[]): string[] {
  return tables.flatMap(({ title, unit, rows }) =>
    rows
      .filter(({ name }) => name.startsWith(`manyhands, ${GOAL.writers} writers`))
      .map(({ name, rates }) => {
        const goal = unit === 'gets' ? GETS_GOAL.rate : GOAL.rate
        const median = rates?.median ?? 0
        const verdict = median >= goal ? 'met' : 'MISSED'
        return `goal of ${formatRate(goal)} ${unit}/s, ${title}, ${name}: ${verdict}, ${formatRate(median)}`
      })
  )
}
