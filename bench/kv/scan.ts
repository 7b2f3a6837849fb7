/**
 * Everything in key order, after a reopen: nothing in memory, the index on the disk as the last run left it. The measure of the
 * index is a raw scan of its own store: the same rows, not decoded.
 */
import { ClassicLevel } from 'classic-level'
import { execFile } from 'node:child_process'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { autobase } from '../bases.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import type { Database, OpenDatabase } from '../peers.ts'
import type { Series } from '../plot.ts'
import {
  atLeast,
  autobaseName,
  ALL_MODES,
  ourKind,
  ourName,
  times,
  type Kind,
  type Row,
  type RowContext
} from './row.ts'

const WRITERS = [2, 8]

/** The goals are for these; the smaller sizes are for the plot. */
const JUDGED_FROM = 10_000

export const scan: Row = async (context) => {
  const tables = new Map<number, Table>()
  for (const keys of context.quick ? [500, 2000] : [1000, 10_000, 100_000]) {
    tables.set(keys, await raceAt(keys, context))
  }
  const judged = [...tables].filter(([keys]) => context.quick || keys >= JUDGED_FROM)
  return {
    tables: [...tables.values()],
    goals: judged.flatMap(([keys, table]) => goalsOf(keys, table)),
    notes: judged.flatMap(([keys, table]) => floorsOf(keys, table)),
    plots: [
      {
        file: 'kv-scan.svg',
        title: 'Full scan after reopening',
        x: 'keys',
        y: 'keys per second of processor time',
        series: seriesOf(tables)
      }
    ]
  }
}

async function raceAt(keys: number, context: RowContext): Promise<Table> {
  const kinds: Kind[] = []
  for (const writers of WRITERS) kinds.push(...(await fillAll(keys, writers, context)))
  return race(
    `scan of ${keys} keys after reopening`,
    kinds.map((kind) => scanner(kind, keys)),
    {
      baseline: autobaseName(2, 100),
      units: keys,
      unit: 'keys',
      rounds: context.quick ? 3 : 5
    }
  )
}

async function fillAll(keys: number, writers: number, context: RowContext): Promise<Kind[]> {
  const { folder, quick } = context
  const ours = await fillApart('ours', folder, keys, writers)
  const kinds = ALL_MODES.map((mode) => ourKind(ours, mode, writers))
  const copy = await copyIndex(ours, join(folder, `raw-${keys}-${writers}`))
  kinds.push({ name: rawName(writers), folder: copy, open: rawIndex })
  // One per block takes too long to fill for more; the view that is scanned is alike.
  const modes = keys === (quick ? 500 : JUDGED_FROM) && writers === 2 ? [100, 1] : [100]
  for (const perBlock of modes) {
    const name = autobaseName(writers, perBlock)
    const place = join(folder, `autobase-${keys}-${writers}-${perBlock}`)
    const filled = await fillApart('autobase', place, keys, writers, perBlock)
    kinds.push({ name, folder: filled, open: autobase })
  }
  return kinds
}

const rawName = (writers: number): string => `raw scan of the index, ${writers} writers`

const FILL = fileURLToPath(new URL('fill-process.ts', import.meta.url))

/** @returns where the database is */
async function fillApart(...what: readonly (string | number)[]): Promise<string> {
  const args = [...process.execArgv, FILL, ...what.map(String)]
  return (await promisify(execFile)(process.execPath, args)).stdout
}

/** A copy of the index's store. */
async function copyIndex(ours: string, copy: string): Promise<string> {
  const [space] = await readdir(join(ours, 'index'))
  await cp(join(ours, 'index', space!), copy, { recursive: true })
  return copy
}

const rawIndex: OpenDatabase = async (folder) => {
  const level = new ClassicLevel<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view'
  })
  await level.open()
  const notMeasured = (): never => {
    throw new Error('Only its scan is measured')
  }
  return {
    put: notMeasured,
    putAll: notMeasured,
    get: notMeasured,
    async scan() {
      const iterator = level.iterator({ highWaterMarkBytes: 256 * 1024 })
      let count = 0
      for (;;) {
        const rows = await iterator.nextv(1000)
        if (rows.length === 0) break
        count += rows.length
      }
      await iterator.close()
      return count
    },
    close: () => level.close()
  }
}

function scanner({ name, folder, open }: Kind, keys: number): Competitor {
  let db: Database | undefined
  return {
    name,
    setup: async () => void (db = await open(folder)),
    async run() {
      const seen = await db?.scan()
      // The index's own store has a few rows more: its header and cursors.
      if (seen === undefined || seen < keys) throw new Error(`saw ${seen} of ${keys} keys`)
    },
    teardown: async () => db?.close()
  }
}

function goalsOf(keys: number, table: Table): Goal[] {
  return WRITERS.flatMap((writers) => {
    const indexed = rateOf(table, ourName('index', writers))
    const what = `scan of ${keys} keys, indexed, ${writers} writers`
    const peer = rateOf(table, autobaseName(writers, 100))
    return [
      atLeast(`${what}, against Autobase`, indexed / peer, 10, times),
      atLeast(`${what}, against its store`, indexed / rateOf(table, rawName(writers)), 0.5, times)
    ]
  })
}

/** What the store alone allows: a scan by the index cannot be faster than reading its rows. */
function floorsOf(keys: number, table: Table): string[] {
  return WRITERS.map((writers) => {
    const raw = rateOf(table, rawName(writers)) / rateOf(table, autobaseName(writers, 100))
    return `the floor, of ${keys} keys, ${writers} writers: the rows unread against Autobase: ${times(raw)}`
  })
}

function seriesOf(tables: ReadonlyMap<number, Table>): Series[] {
  const names = [
    ...WRITERS.flatMap((writers) => [ourName('index', writers), ourName('stream', writers)]),
    ...WRITERS.map((writers) => autobaseName(writers, 100)),
    rawName(2)
  ]
  return names.flatMap((name) => {
    const points = [...tables]
      .map(([keys, table]) => [keys, rateOf(table, name)] as const)
      .filter(([, rate]) => !Number.isNaN(rate))
    const isPeer = !name.startsWith('manyhands')
    return points.length === 0 ? [] : [{ name, points, isPeer }]
  })
}
