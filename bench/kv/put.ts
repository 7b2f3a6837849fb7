/**
 * Puts over keys that are there already, until they can be read: the last put is read back inside the measured time, so that
 * whatever is brought up to date at a read, an index or a view, is paid for. "Known" writers have written every key before.
 */
import { join } from 'node:path'
import { autobase } from '../bases.ts'
import { formatRate, race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import {
  fillFromWriters,
  manyhandsIn,
  pairs,
  type Database,
  type Mode,
  type OpenDatabase,
  type Pair
} from '../peers.ts'
import { putter, type Kind } from '../write.ts'
import { atLeast, MODES, ALL_MODES, times, type Row, type RowContext } from './row.ts'

const KNOWN = [0, 2, 8]

const AUTOBASE = 'autobase'

export const put: Row = async (context) => {
  const keys = context.quick ? 1000 : 10_000
  const kinds = await openAll(keys, context)
  try {
    const awaited = await raceAwaited(kinds, keys, context)
    const together = await raceTogether(kinds, keys, context)
    return { tables: [awaited, together], goals: goalsOf(awaited, together) }
  } finally {
    for (const { db } of kinds) await db.close()
  }
}

async function openAll(keys: number, context: RowContext): Promise<Kind[]> {
  const kinds: Kind[] = []
  const open = async (name: string, how: OpenDatabase): Promise<void> => {
    const db = await how(join(context.folder, name.replaceAll(/\W+/g, '-')))
    await db.putAll(pairs(0, keys))
    await db.scan()
    kinds.push({ name, db })
  }
  for (const mode of ALL_MODES) {
    for (const known of KNOWN) await open(nameOf(mode, known), besides(mode, known, keys))
  }
  await open(AUTOBASE, autobase)
  return kinds
}

const nameOf = (mode: Mode, known: number): string =>
  `manyhands, ${MODES[mode]}, ${known === 0 ? 'alone' : `${known} known`}`

/** Ours, beside others that have written every key. */
function besides(mode: Mode, known: number, keys: number): OpenDatabase {
  return async (folder) => {
    const fills = Array.from({ length: known }, () => (db: Database) => db.putAll(pairs(0, keys)))
    if (known > 0) await fillFromWriters(folder, fills)
    return manyhandsIn(mode)(folder)
  }
}

function raceAwaited(kinds: readonly Kind[], keys: number, { quick }: RowContext): Promise<Table> {
  const units = quick ? 100 : 300
  const competitors = readers(kinds, units, keys, async (db, some) => {
    for (const pair of some) await db.put(pair)
  })
  return race('put, awaited one by one (autobase: 1 per block)', competitors, {
    baseline: AUTOBASE,
    units,
    unit: 'puts',
    rounds: quick ? 3 : 7
  })
}

function raceTogether(kinds: readonly Kind[], keys: number, { quick }: RowContext): Promise<Table> {
  const units = quick ? 1000 : 5000
  const competitors = readers(kinds, units, keys, (db, some) => db.putAll(some))
  return race('puts issued together (autobase: 100 per block)', competitors, {
    baseline: AUTOBASE,
    units,
    unit: 'puts',
    rounds: quick ? 3 : 7
  })
}

function readers(
  kinds: readonly Kind[],
  units: number,
  keys: number,
  write: (db: Database, some: readonly Pair[]) => Promise<void>
): Competitor[] {
  return kinds.map((kind) =>
    putter(kind, units, keys, async (db, some) => {
      await write(db, some)
      if ((await db.get(some.at(-1)!.key)) === null) throw new Error('what was put is not there')
    })
  )
}

function goalsOf(awaited: Table, together: Table): Goal[] {
  return KNOWN.flatMap((known) => {
    const name = nameOf('index', known)
    const who = known === 0 ? 'alone' : `${known} writers known`
    return [
      atLeast(
        `put, awaited, with index, ${who}, against Autobase`,
        rateOf(awaited, name) / rateOf(awaited, AUTOBASE),
        4,
        times
      ),
      atLeast(
        `puts issued together, with index, ${who}`,
        rateOf(together, name),
        30_000,
        (value) => `${formatRate(value)}/s`
      )
    ]
  })
}
