/** Random keys, one awaited after the other, from databases that have been read once. */
import { join } from 'node:path'
import { autobase, fillBase } from '../bases.ts'
import { formatRate, race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import { pairAt, type Database, type Mode } from '../peers.ts'
import type { Series } from '../plot.ts'
import {
  atLeast,
  autobaseName,
  fillOurs,
  ourKind,
  ourName,
  sharesOf,
  times,
  type Kind,
  type Row,
  type RowContext
} from './row.ts'

const ALL_WRITERS = [2, 8, 32, 50, 200]

const WRITERS: Record<Mode, readonly number[]> = { index: ALL_WRITERS, stream: [2, 8, 32] }

const PEER_WRITERS = [2, 8]

export const get: Row = async (context) => {
  const { quick } = context
  const keys = quick ? 1000 : 10_000
  const kinds = await fillAll(keys, context)
  const table = await raceGets(kinds, keys, quick)
  return {
    tables: [table],
    goals: goalsOf(table, context),
    plots: [
      {
        file: 'kv-get.svg',
        title: `Random get among ${keys} keys`,
        x: 'writers',
        y: 'gets per second of processor time',
        series: seriesOf(table)
      }
    ]
  }
}

async function fillAll(keys: number, { folder, quick }: RowContext): Promise<Kind[]> {
  const kinds: Kind[] = []
  for (const writers of quick ? [2, 8, 32] : ALL_WRITERS) {
    const filled = await fillOurs(folder, keys, writers)
    kinds.push(ourKind(filled, 'index', writers))
    if (WRITERS.stream.includes(writers)) {
      // A folder of its own: both are open at once.
      kinds.push(ourKind(await fillOurs(join(folder, 's'), keys, writers), 'stream', writers))
    }
  }
  for (const writers of PEER_WRITERS) {
    const place = join(folder, `autobase-${writers}`)
    const filled = await fillBase(place, sharesOf(keys, writers), 100)
    kinds.push({ name: autobaseName(writers, 100), folder: filled, open: autobase })
  }
  return kinds
}

async function raceGets(kinds: readonly Kind[], keys: number, quick: boolean): Promise<Table> {
  const opened: Database[] = []
  const units = quick ? 500 : 4000
  const competitors: Competitor[] = []
  try {
    for (const { name, folder, open } of kinds) {
      const db = await open(folder)
      opened.push(db)
      await db.scan()
      competitors.push({ name, run: () => getMany(db, units, keys) })
    }
    return await race(`get of random keys among ${keys}`, competitors, {
      baseline: autobaseName(8, 100),
      units,
      unit: 'gets',
      rounds: quick ? 3 : 7
    })
  } finally {
    for (const db of opened) await db.close()
  }
}

async function getMany(db: Database, units: number, keys: number): Promise<void> {
  for (let i = 0; i < units; i++) {
    const found = await db.get(pairAt((i * 7907) % keys).key)
    if (found === null) throw new Error('a key is missing')
  }
}

function goalsOf(table: Table, { quick }: RowContext): Goal[] {
  const rate = (mode: Mode, writers: number): number => rateOf(table, ourName(mode, writers))
  const against = ALL_WRITERS.slice(0, quick ? 3 : ALL_WRITERS.length).map((writers) => {
    const peer = writers === 2 ? 2 : 8
    return atLeast(
      `random get, indexed, ${writers} writers, against Autobase with ${peer}`,
      rate('index', writers) / rateOf(table, autobaseName(peer, 100)),
      5,
      times
    )
  })
  return [
    ...against,
    atLeast(
      'random get, indexed, 32 writers against 2',
      rate('index', 32) / rate('index', 2),
      0.75,
      times
    ),
    atLeast(
      'random get, streaming, 8 writers, warm',
      rate('stream', 8),
      10_000,
      (value) => `${formatRate(value)}/s`
    )
  ]
}

function seriesOf(table: Table): Series[] {
  const lines: [name: string, writers: readonly number[], nameAt: (writers: number) => string][] = [
    ['manyhands, indexed', WRITERS.index, (writers) => ourName('index', writers)],
    ['manyhands, streaming', WRITERS.stream, (writers) => ourName('stream', writers)],
    ['autobase', PEER_WRITERS, (writers) => autobaseName(writers, 100)]
  ]
  return lines.flatMap(([name, all, nameAt]) => {
    const points = all
      .map((writers) => [writers, rateOf(table, nameAt(writers))] as const)
      .filter(([, rate]) => !Number.isNaN(rate))
    return points.length === 0 ? [] : [{ name, points, isPeer: name === 'autobase' }]
  })
}
