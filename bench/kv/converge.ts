/**
 * Writers that know each other write offline, then meet: all connect to the first (in this process), which passes on what it
 * gets. Over when every device shows the last key of every writer; then (outside the clock) each is scanned and must show all.
 */
import { setImmediate, setTimeout } from 'node:timers/promises'
import { join } from 'node:path'
import { openDevice, type Device, type Space } from '../../index.ts'
import { appendAll, joinStar, openBases, showsAll, type Base } from '../bases.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import { lengthOf, ours, type Database, type Pair } from '../peers.ts'
import type { Plot, Series } from '../plot.ts'
import { atLeast, atMost, sharesOf, times, type Row, type RowContext } from './row.ts'

/** Seconds after which Autobase is given up on. */
const PATIENCE = 60

/** How each writer writes: all at once (Autobase: 100 per block), or one by one, which gives a block each. */
const SHAPES = { together: 100, single: 1 } as const

type Shape = keyof typeof SHAPES

export const converge: Row = async (context) => {
  const writes = context.quick ? 800 : 10_000
  const tables = new Map<number, Table>()
  for (const writers of context.quick ? [2, 8] : [2, 8, 32]) {
    tables.set(writers, await raceAt(writers, writes, context))
  }
  return {
    tables: [...tables.values()],
    goals: goalsOf(tables, writes),
    plots: [plotOf(tables, writes)]
  }
}

function raceAt(writers: number, writes: number, context: RowContext): Promise<Table> {
  const { folder, quick } = context
  const shares = sharesOf(writes, writers)
  const place = (name: string): string => join(folder, `${writers}-${name.replaceAll(/\W+/g, '-')}`)
  // A block per write for 32 would take many minutes.
  const shapes: readonly Shape[] = writers > 8 ? ['together'] : ['together', 'single']
  const competitors = shapes.flatMap((shape) => [
    ourMeeting(ourName(shape), place(`ours-${shape}`), shape, shares),
    baseMeeting(baseName(shape), place(`base-${shape}`), shape, shares, !quick)
  ])
  return race(`convergence of ${writes} offline writes, ${writers} writers`, competitors, {
    baseline: baseName('together'),
    units: writes,
    unit: 'writes',
    rounds: 3
  })
}

const ourName = (shape: Shape): string =>
  `manyhands, indexed, ${shape === 'single' ? 'put one by one' : 'put together'}`

const baseName = (shape: Shape): string => `autobase, ${SHAPES[shape]} per block`

interface Meeting<T> {
  readonly open: (folder: string) => Promise<readonly T[]>
  readonly write: (member: T, share: readonly Pair[]) => Promise<void>
  /** Connects all with the first. */
  readonly join: (members: readonly T[]) => () => void
  /** Whether this one has everything, by the last key of each writer. */
  readonly hasAll: (
    member: T,
    members: readonly T[],
    lastKeys: readonly Uint8Array[]
  ) => Promise<boolean>
  readonly db: (member: T) => Database
}

function meeting<T>(
  name: string,
  folder: string,
  shares: readonly (readonly Pair[])[],
  once: boolean,
  { open, write, join: joinAll, hasAll, db }: Meeting<T>
): Competitor {
  const lastKeys = shares.map((share) => share.at(-1)!.key)
  const count = shares.reduce((sum, share) => sum + share.length, 0)
  let members: readonly T[] = []
  let cut = (): void => {}
  let round = 0
  let haveAll = false
  const waitForAll = async (): Promise<void> => {
    const missing = new Set(members)
    while (missing.size > 0) {
      for (const member of missing) {
        if (await hasAll(member, members, lastKeys)) missing.delete(member)
      }
      await setTimeout(1)
    }
  }
  return {
    name,
    once,
    async setup() {
      haveAll = false
      members = await open(`${folder}-${round++}`)
      for (const [i, share] of shares.entries()) await write(members[i]!, share)
    },
    async run() {
      cut = joinAll(members)
      const timeout = new AbortController()
      // Beside the waiting, not in it: one `update` of an Autobase can take all the minutes there are.
      const patience = setTimeout(PATIENCE * 1e3, undefined, { signal: timeout.signal })
      const giveUp = patience.then(
        () => {
          throw new Error(`not there after ${PATIENCE} s`)
        },
        () => {} // all were in time
      )
      try {
        await Promise.race([giveUp, waitForAll()])
      } finally {
        timeout.abort()
      }
      haveAll = true
    },
    async teardown() {
      cut()
      try {
        // Who was given up on would go on merging for minutes before it answers.
        if (haveAll) await checkAll(members.map(db), count)
      } finally {
        for (const member of members) await db(member).close()
      }
    }
  }
}

async function checkAll(all: readonly Database[], count: number): Promise<void> {
  for (const db of all) {
    const seen = await db.scan()
    if (seen !== count) throw new Error(`a device shows ${seen} of ${count} keys`)
  }
}

interface Member {
  readonly space: Space
  readonly db: Database
}

function ourMeeting(
  name: string,
  folder: string,
  shape: Shape,
  shares: readonly (readonly Pair[])[]
): Competitor {
  return meeting<Member>(name, folder, shares, shape === 'single', {
    open: (place) => openMembers(place, shares.length),
    write: async ({ db }, share) => {
      if (shape === 'together') await db.putAll(share)
      else for (const pair of share) await db.put(pair)
      await db.get(share[0]!.key) // the index has one's own writes before one meets
    },
    join: (members) => joinStar(members.map(({ space }) => space)),
    hasAll: async ({ space, db }, members, lastKeys) => {
      if (members.some((other) => isBehind(space, other.space))) return false
      for (const key of lastKeys) if ((await db.get(key)) === null) return false
      return true
    },
    db: ({ db }) => db
  })
}

const isBehind = (space: Space, other: Space): boolean =>
  lengthOf(space, other.writer) < lengthOf(other, other.writer)

/** One open space on so many devices, which know each other and are not connected any more. */
async function openMembers(folder: string, count: number): Promise<readonly Member[]> {
  const first = await openDevice({ storage: `${folder}-0` })
  const space = await first.createSpace({ mode: 'index', open: true })
  const members = [memberOf(first, space)]
  for (let i = 1; i < count; i++) {
    const device = await openDevice({ storage: `${folder}-${i}` })
    members.push(memberOf(device, await device.openSpace(space.ticket, { mode: 'index' })))
  }
  const cut = joinStar(members.map((member) => member.space))
  while (members.some((member) => member.space.writers().length < count)) await setImmediate()
  cut()
  return members
}

const memberOf = (device: Device, space: Space): Member => ({ space, db: ours(device, space) })

function baseMeeting(
  name: string,
  folder: string,
  shape: Shape,
  shares: readonly (readonly Pair[])[],
  once: boolean
): Competitor {
  return meeting<Base>(name, folder, shares, once, {
    open: (place) => openBases(place, shares.length),
    write: ({ base }, share) => appendAll(base, share, SHAPES[shape]),
    join: (members) => joinStar(members.map(({ base }) => base)),
    hasAll: ({ base }, _, lastKeys) => showsAll(base, lastKeys),
    db: ({ db }) => db
  })
}

function goalsOf(tables: ReadonlyMap<number, Table>, writes: number): Goal[] {
  const against = [...tables].flatMap(([writers, table]) =>
    (['together', 'single'] as const)
      .filter((shape) => !Number.isNaN(rateOf(table, ourName(shape))))
      .map((shape) => {
        const name = `convergence, ${writers} writers, ${shape === 'single' ? 'put one by one' : 'put together'}`
        const what = `${name}, against Autobase, ${SHAPES[shape]} per block`
        const ratio = rateOf(table, ourName(shape)) / rateOf(table, baseName(shape))
        if (!Number.isNaN(ratio)) return atLeast(what, ratio, 10, times)
        // It was given up on: by wall clock it takes longer than this, nobody knows how much.
        const bound = (PATIENCE * wallOf(table, ourName(shape))) / writes
        return { ...atLeast(what, bound, 10, times), measured: `over ${times(bound)}` }
      })
  )
  const least = tables.get(2)
  const most = tables.get(32) ?? tables.get(8)
  if (least === undefined || most === undefined) return against
  const n = tables.has(32) ? 32 : 8
  const ratio = costOf(most, ourName('together'), n) / costOf(least, ourName('together'), 2)
  return [...against, atMost(`cost of a delivery, ${n} writers against 2`, ratio, 1.5, times)]
}

const wallOf = (table: Table, name: string): number =>
  table.rows.find((row) => row.name === name)?.rates?.wall ?? Number.NaN

/** Microseconds of processor time for one write to reach one other device. */
const costOf = (table: Table, name: string, writers: number): number =>
  1e6 / rateOf(table, name) / (writers - 1)

function plotOf(tables: ReadonlyMap<number, Table>, writes: number): Plot {
  const names = [
    ...new Set([...tables.values()].flatMap(({ rows }) => rows.map(({ name }) => name)))
  ]
  const series = names.flatMap((name): Series[] => {
    const points = [...tables]
      .map(([writers, table]) => [writers, costOf(table, name, writers)] as const)
      .filter(([, cost]) => !Number.isNaN(cost))
    return points.length === 0 ? [] : [{ name, points, isPeer: !name.startsWith('manyhands') }]
  })
  return {
    file: 'kv-converge.svg',
    title: `${writes} offline writes meet: cost of bringing one write to one device`,
    x: 'writers',
    y: 'microseconds of processor time',
    series
  }
}
