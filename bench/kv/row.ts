/** What the rows of the kv bench share: their shape, the data, and how a goal is judged. */
import { join } from 'node:path'
import type { Goal, Table } from '../harness.ts'
import {
  fillFromWriters,
  manyhandsIn,
  pairAt,
  type Database,
  type Mode,
  type OpenDatabase,
  type Pair
} from '../peers.ts'
import type { Plot } from '../plot.ts'

export interface RowContext {
  /** For this row alone. */
  readonly folder: string
  readonly quick: boolean
  /** An editing trace, where one was given. */
  readonly trace?: string
}

export interface RowResult {
  readonly tables: readonly Table[]
  readonly goals: readonly Goal[]
  readonly plots?: readonly Plot[]
  readonly notes?: readonly string[]
}

export type Row = (context: RowContext) => Promise<RowResult>

/** A database on the disk, to be opened. */
export interface Kind {
  readonly name: string
  readonly folder: string
  readonly open: OpenDatabase
}

/** Keys 0 to `count`, dealt to the writers in turn: neighbours in key order are of different writers. */
export function sharesOf(count: number, writers: number): Pair[][] {
  return Array.from({ length: writers }, (_, writer) => {
    const share: Pair[] = []
    for (let i = writer; i < count; i += writers) share.push(pairAt(i))
    return share
  })
}

export async function fillOurs(folder: string, keys: number, writers: number): Promise<string> {
  const place = join(folder, `ours-${keys}-${writers}`)
  const fills = sharesOf(keys, writers).map((share) => (db: Database) => db.putAll(share))
  await fillFromWriters(place, fills)
  return place
}

/** How a mode is called in tables. */
export const MODES = { index: 'indexed', stream: 'streaming' } as const

export const ALL_MODES: readonly Mode[] = ['index', 'stream']

export function ourKind(folder: string, mode: Mode, writers: number): Kind {
  return { name: ourName(mode, writers), folder, open: manyhandsIn(mode) }
}

export const ourName = (mode: Mode, writers: number): string =>
  `manyhands, ${MODES[mode]}, ${writers} writers`

export const autobaseName = (writers: number, opsPerBlock: number): string =>
  `autobase, ${opsPerBlock} per block, ${writers} writers`

/** A goal for a number; NaN, for what could not be measured, reaches none. */
export function atLeast(
  what: string,
  value: number,
  goal: number,
  format: (value: number) => string
): Goal {
  return {
    what,
    goal: `at least ${format(goal)}`,
    measured: formatOr(value, format),
    isMet: value >= goal
  }
}

export function atMost(
  what: string,
  value: number,
  goal: number,
  format: (value: number) => string
): Goal {
  return {
    what,
    goal: `at most ${format(goal)}`,
    measured: formatOr(value, format),
    isMet: value <= goal
  }
}

const formatOr = (value: number, format: (value: number) => string): string =>
  Number.isNaN(value) ? 'nothing to compare with' : format(value)

/** 12.3x */
export const times = (value: number): string =>
  `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))}x`
