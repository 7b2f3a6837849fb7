/**
 * Everything in key order, after a reopen: nothing in memory, the index on the disk as the last run left it. The measure of the
 * index is a raw scan of its own store: the same rows, not decoded. Each competitor has a process of its own, as a database has where
 * somebody uses it: the collector would charge each with what the heaps of all others hold.
 */
import { execFile, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import type { Series } from '../plot.ts'
import {
  atLeast,
  autobaseName,
  ALL_MODES,
  ourName,
  times,
  type Row,
  type RowContext
} from './row.ts'
import type { Answer, Step, What } from './scan-process.ts'

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
  const scanned: Scanned[] = []
  for (const writers of WRITERS) scanned.push(...(await fillAll(keys, writers, context)))
  const children = scanned.map(({ what, folder }) => fork(SCAN, [what, folder]))
  try {
    return await race(
      `scan of ${keys} keys after reopening`,
      scanned.map(({ name }, i) => scanner(name, children[i]!, keys)),
      {
        baseline: autobaseName(2, 100),
        units: keys,
        unit: 'keys',
        rounds: context.quick ? 3 : keys > JUDGED_FROM ? 5 : 9
      }
    )
  } finally {
    for (const child of children) child.disconnect()
  }
}

/** What is on the disk, to be scanned. */
interface Scanned {
  readonly name: string
  readonly what: What
  readonly folder: string
}

async function fillAll(keys: number, writers: number, context: RowContext): Promise<Scanned[]> {
  const { folder, quick } = context
  const ours = await fillApart('ours', folder, keys, writers)
  const index = await copyIndex(ours, join(folder, `raw-${keys}-${writers}`))
  const scanned: Scanned[] = [
    ...ALL_MODES.map((mode) => ({ name: ourName(mode, writers), what: mode, folder: ours })),
    { name: rawName(writers), what: 'raw', folder: index }
  ]
  // One per block takes too long to fill for more; the view that is scanned is alike.
  const modes = keys === (quick ? 500 : JUDGED_FROM) && writers === 2 ? [100, 1] : [100]
  for (const perBlock of modes) {
    const name = autobaseName(writers, perBlock)
    const place = join(folder, `autobase-${keys}-${writers}-${perBlock}`)
    const filled = await fillApart('autobase', place, keys, writers, perBlock)
    scanned.push({ name, what: 'autobase', folder: filled })
  }
  return scanned
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

const SCAN = fileURLToPath(new URL('scan-process.ts', import.meta.url))

/** Scans in the process of `child` (scan-process.ts). */
function scanner(name: string, child: ChildProcess, keys: number): Competitor {
  const ended = once(child, 'exit').then((): Answer[] => [{ error: 'its process has ended' }])
  const ask = async (step: Step): Promise<Answer> => {
    child.send(step)
    const [answer]: Answer[] = await Promise.race([once(child, 'message'), ended])
    if (answer?.error !== undefined) throw new Error(answer.error)
    return answer ?? {}
  }
  return {
    name,
    setup: async () => void (await ask('open')),
    async run() {
      const { seen = 0, run } = await ask('scan')
      // The index's own store has a few rows more: its header and cursors.
      if (seen < keys) throw new Error(`saw ${seen} of ${keys} keys`)
      return run
    },
    teardown: async () => void (await ask('close'))
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
