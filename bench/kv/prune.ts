/**
 * A scan of keys that another device has written over, all of them, before and after pruning: what an entry costs that nobody
 * sees any more. The same device is filled twice; the second has pruned.
 */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { race, rateOf, type Competitor, type Table } from '../harness.ts'
import {
  join2,
  lengthOf,
  manyhandsIn,
  ours,
  pairs,
  type Bytes,
  type Database,
  type Mode
} from '../peers.ts'
import { ALL_MODES, atLeast, MODES, times, type Row } from './row.ts'

const nameOf = (mode: Mode, isPruned: boolean): string =>
  `${MODES[mode]}, ${isPruned ? 'after' : 'before'} pruning`

export const prune: Row = async ({ folder, quick }) => {
  const keys = quick ? 500 : 10_000
  const kinds = [false, true].map((isPruned) => ({
    isPruned,
    place: join(folder, isPruned ? 'pruned' : 'unpruned')
  }))
  for (const { place, isPruned } of kinds) await fill(place, keys, isPruned)
  const competitors = ALL_MODES.flatMap((mode) =>
    kinds.map(({ place, isPruned }) => scanner(nameOf(mode, isPruned), place, mode, keys))
  )
  const table = await race(`scan of ${keys} keys that another device wrote over`, competitors, {
    baseline: nameOf('stream', false),
    units: keys,
    unit: 'keys',
    rounds: quick ? 3 : 7
  })
  return { tables: [table], goals: ALL_MODES.map((mode) => goalOf(mode, table)) }
}

function goalOf(mode: Mode, table: Table) {
  const gain = rateOf(table, nameOf(mode, true)) / rateOf(table, nameOf(mode, false))
  return atLeast(`scan after pruning against before, ${MODES[mode]}`, gain, 2, times)
}

async function fill(place: string, keys: number, isPruned: boolean): Promise<void> {
  const [a, b] = [await openDevice({ storage: place }), await openDevice({ storage: `${place}-b` })]
  const spaceA = await a.createSpace({ mode: 'stream', open: true })
  const spaceB = await b.openSpace(spaceA.ticket, { mode: 'stream' })
  const { streams } = join2(spaceA.replicate(true) as Bytes, spaceB.replicate(false) as Bytes)
  await ours(a, spaceA).putAll(pairs(0, keys))
  await inStep(spaceA, spaceB)
  await ours(b, spaceB).putAll(pairs(0, keys))
  await inStep(spaceB, spaceA)
  if (isPruned) {
    await spaceB.compact()
    await inStep(spaceB, spaceA)
    const { pruned } = await spaceA.compact()
    if (pruned !== keys) throw new Error(`pruned ${pruned} of ${keys} keys`)
  }
  for (const stream of streams) stream.destroy()
  await a.close()
  await b.close()
}

async function inStep(from: Space, to: Space): Promise<void> {
  const { writer } = from
  while (lengthOf(to, writer) === 0 || lengthOf(to, writer) < lengthOf(from, writer))
    await setTimeout(1)
}

function scanner(name: string, folder: string, mode: Mode, keys: number): Competitor {
  let db: Database | undefined
  return {
    name,
    async setup() {
      db = await manyhandsIn(mode)(folder)
      // The index stands, the trees are in memory: what is measured is the merge.
      await db.scan()
    },
    async run() {
      const seen = await db?.scan()
      if (seen !== keys) throw new Error(`saw ${seen} of ${keys} keys`)
    },
    teardown: () => db?.close()
  }
}
