/**
 * Writers that know each other write offline, then meet: all connect to the first (in this process), which passes on what it
 * gets. Over when every device shows the last key of every writer; then (outside the clock) each is scanned and must show all.
 * The floor is the same meeting of raw logs: what is passed on is n (n - 1) logs over n - 1 connections, whoever reads them.
 */
import b4a from 'b4a'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { join } from 'node:path'
import { openDevice, type Device, type Space } from '../../index.ts'
import { appendAll, joinStar, openBases, showsAll, type Base } from '../bases.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import {
  Corestore,
  lengthOf,
  ours,
  pairAt,
  type Core,
  type Database,
  type Pair,
  type Store
} from '../peers.ts'
import type { Plot, Series } from '../plot.ts'
import { atLeast, atMost, sharesOf, times, type Row, type RowContext } from './row.ts'

/** Seconds of processor time after which Autobase is given up on. */
const PATIENCE = 300

/** How each writer writes: all at once (Autobase: 100 per block), or one by one, which gives a block each. */
const SHAPES = { together: 100, single: 1 } as const

/** What we pack into a block of writes that are put together. */
const WRITES_PER_BLOCK = 250

const PAIR_BYTES = pairAt(0).key.byteLength + pairAt(0).value.byteLength

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
    notes: floorOf(tables),
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
    coreMeeting(coreName(shape), place(`core-${shape}`), shape, shares),
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

const coreName = (shape: Shape): string =>
  `raw hypercore, ${shape === 'single' ? '1 write' : `${WRITES_PER_BLOCK} writes`} per block`

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
  /** How many writes it has, read one by one. */
  readonly count: (member: T) => Promise<number>
  readonly close: (member: T) => Promise<void>
}

function meeting<T>(
  name: string,
  folder: string,
  shares: readonly (readonly Pair[])[],
  once: boolean,
  { open, write, join: joinAll, hasAll, count, close }: Meeting<T>
): Competitor {
  const lastKeys = shares.map((share) => share.at(-1)!.key)
  const total = shares.reduce((sum, share) => sum + share.length, 0)
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
      const over = new AbortController()
      try {
        // Beside the waiting, not in it: one `update` of an Autobase can take all the minutes there are.
        await Promise.race([giveUp(over.signal), waitForAll()])
      } finally {
        over.abort()
      }
      haveAll = true
    },
    async teardown() {
      cut()
      try {
        // Who was given up on would go on merging for minutes before it answers.
        if (!haveAll) return
        for (const member of members) checkCount(await count(member), total)
      } finally {
        for (const member of members) await close(member)
        // Some hundred MB that the next competitor's collector would have to walk through.
        members = []
        cut = () => {}
      }
    }
  }
}

async function giveUp(signal: AbortSignal): Promise<never> {
  const before = process.cpuUsage()
  for (;;) {
    await setTimeout(500, undefined, { signal })
    const { user, system } = process.cpuUsage(before)
    if (user + system > PATIENCE * 1e6) throw new Error(`not there after ${PATIENCE} s`)
  }
}

function checkCount(seen: number, total: number): void {
  if (seen !== total) throw new Error(`a device shows ${seen} of ${total} keys`)
}

export interface Member {
  readonly space: Space
  readonly db: Database
}

/** @param open gives so many devices of one space, which know each other and are not connected any more */
export function ourMeeting(
  name: string,
  folder: string,
  shape: Shape,
  shares: readonly (readonly Pair[])[],
  open: (folder: string, count: number) => Promise<readonly Member[]> = openMembers
): Competitor {
  return meeting<Member>(name, folder, shares, shape === 'single', {
    open: (place) => open(place, shares.length),
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
    count: ({ db }) => db.scan(),
    close: ({ db }) => db.close()
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

export const memberOf = (device: Device, space: Space): Member => ({
  space,
  db: ours(device, space)
})

interface CoreMember {
  readonly store: Store
  readonly own: Core
  /** Of every writer, the own one included. */
  readonly cores: readonly Core[]
}

/** The floor: as many logs of as many blocks, which nobody reads. */
function coreMeeting(
  name: string,
  folder: string,
  shape: Shape,
  shares: readonly (readonly Pair[])[]
): Competitor {
  const writesPerBlock = shape === 'single' ? 1 : WRITES_PER_BLOCK
  const blockCounts = shares.map(({ length }) => Math.ceil(length / writesPerBlock))
  return meeting<CoreMember>(name, folder, shares, shape === 'single', {
    open: (place) => openCores(place, shares.length),
    write: async ({ own }, share) => {
      for (let i = 0; i < share.length; i += writesPerBlock) {
        const some = share.slice(i, i + writesPerBlock)
        await own.append(b4a.concat(some.flatMap(({ key, value }) => [key, value])))
      }
    },
    join: (members) => {
      for (const { cores } of members)
        for (const core of cores) core.download({ start: 0, end: -1 })
      return joinStar(members.map(({ store }) => store))
    },
    hasAll: async ({ cores }) =>
      cores.every(({ contiguousLength }, i) => contiguousLength >= blockCounts[i]!),
    count: async ({ cores }) => cores.reduce((sum, core) => sum + core.byteLength, 0) / PAIR_BYTES,
    close: ({ store }) => store.close()
  })
}

async function openCores(folder: string, count: number): Promise<readonly CoreMember[]> {
  const stores = Array.from({ length: count }, (_, i) => new Corestore(`${folder}-${i}`))
  const own = stores.map((store) => store.get({ name: 'bench' }))
  await Promise.all(own.map((core) => core.ready()))
  const members: CoreMember[] = []
  for (const [i, store] of stores.entries()) {
    const cores = own.map((core, j) => (i === j ? core : store.get({ key: core.key })))
    await Promise.all(cores.map((core) => core.ready()))
    members.push({ store, own: own[i]!, cores })
  }
  return members
}

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
    count: ({ db }) => db.scan(),
    close: ({ db }) => db.close()
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
        // It was given up on: it takes longer than this, nobody knows how much.
        const bound = (PATIENCE * rateOf(table, ourName(shape))) / writes
        return { ...atLeast(what, bound, 10, times), measured: `over ${times(bound)}` }
      })
  )
  const n = mostOf(tables)
  const ratio = growthOf(tables, ourName('together'))
  return [...against, atMost(`cost of a delivery, ${n} writers against 2`, ratio, 1.5, times)]
}

/** What the same logs cost more for as many, though nobody reads them. */
function floorOf(tables: ReadonlyMap<number, Table>): string[] {
  const growth = times(growthOf(tables, coreName('together')))
  const n = mostOf(tables)
  return [`the floor: cost of a delivery of raw hypercores, ${n} writers against 2: ${growth}`]
}

const mostOf = (tables: ReadonlyMap<number, Table>): number => Math.max(...tables.keys())

/** How many times what a delivery costs with 2 writers it costs with the most. */
function growthOf(tables: ReadonlyMap<number, Table>, name: string): number {
  const costs = [2, mostOf(tables)].map((writers) => costOf(tables.get(writers)!, name, writers))
  return costs[1]! / costs[0]!
}

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
