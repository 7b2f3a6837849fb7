/**
 * A device that knows only the ticket meets one that has all: until one key is read (sparse), and until everything is here, in
 * the index, and counted. By wall clock: somebody waits. Bytes are those of the encrypted stream, both ways, handshake included.
 */
import { setTimeout } from 'node:timers/promises'
import { join as joinPath } from 'node:path'
import { openDevice, type Device, type Space } from '../../index.ts'
import { fillBase, openBase, type Base } from '../bases.ts'
import { race, rateOf, type Competitor, type Goal, type Table } from '../harness.ts'
import {
  fillFromWriters,
  join2,
  lengthOf,
  ours,
  pairAt,
  type Bytes,
  type Database,
  type Joined
} from '../peers.ts'
import { atMost, sharesOf, type Row, type RowContext } from './row.ts'

const WRITERS = [1, 2]

const AMOUNTS = ['one key', 'everything'] as const

type Amount = (typeof AMOUNTS)[number]

const GOALS: Record<Amount, { readonly bytes: number; readonly ms: number }> = {
  'one key': { bytes: 80_000, ms: 300 },
  everything: { bytes: 1_800_000, ms: 1000 }
}

export const join: Row = async (context) => {
  const bytes: ByteCounts = new Map()
  const tables: Table[] = []
  for (const amount of AMOUNTS) tables.push(await raceFor(amount, context, bytes))
  const goals = AMOUNTS.flatMap((amount, i) => goalsOf(amount, tables[i]!, bytes))
  return { tables, goals }
}

/** By the name of the competitor, of the last run. */
type ByteCounts = Map<string, number>

/** Who has all. */
interface Host {
  readonly name: string
  /** Opens somebody new in a folder, who knows where to ask and nothing else. */
  openGuest(folder: string): Promise<Guest>
  close(): Promise<void>
}

interface Guest {
  /** Connects. @returns what is there to read, and whether it is all that the host has */
  meet(): Promise<{
    readonly joined: Joined
    readonly db: Database
    readonly hasAll: () => boolean
  }>
  close(): Promise<void>
}

async function raceFor(
  amount: Amount,
  { folder, quick }: RowContext,
  bytes: ByteCounts
): Promise<Table> {
  const keys = quick ? 1000 : 10_000
  const place = joinPath(folder, amount.replace(' ', '-'))
  const hosts: Host[] = []
  try {
    for (const writers of WRITERS) {
      hosts.push(await ourHost(`${place}-${writers}`, amount, keys, writers))
    }
    hosts.push(await baseHost(`${place}-base`, keys))
    return await race(
      `cold join of a space of ${keys} keys: ${amount}`,
      hosts.map((host, i) => joiner(host, `${place}-guest-${i}`, amount, keys, bytes)),
      { baseline: AUTOBASE, units: 1, unit: 'joins', rounds: quick ? 3 : 5, by: 'wall' }
    )
  } finally {
    for (const host of hosts) await host.close()
  }
}

function joiner(
  host: Host,
  folder: string,
  amount: Amount,
  keys: number,
  bytes: ByteCounts
): Competitor {
  let round = 0
  let guest: Guest | undefined
  const times: number[] = []
  return {
    name: host.name,
    setup: async () => void (guest = await host.openGuest(`${folder}-${round++}`)),
    async run() {
      const before = performance.now()
      const { joined, db, hasAll } = await guest!.meet()
      if (amount === 'one key') await untilFound(db, pairAt(keys >> 1).key)
      else await untilCounted(db, hasAll, keys)
      bytes.set(host.name, joined.bytes())
      times.push(performance.now() - before)
      for (const stream of joined.streams) stream.destroy()
    },
    teardown: () => guest?.close(),
    note: () => `${medianOf(times.slice(1)).toFixed(0)} ms, ${kilobytes(bytes.get(host.name) ?? 0)}`
  }
}

/** Seconds after which a competitor is given up on. */
const PATIENCE = 60

function untilFound(db: Database, key: Uint8Array): Promise<void> {
  return until(async () => (await db.get(key)) !== null)
}

function untilCounted(db: Database, hasAll: () => boolean, keys: number): Promise<void> {
  return until(async () => hasAll() && (await db.scan()) === keys)
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE * 1e3
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not there after ${PATIENCE} s`)
    await setTimeout(1)
  }
}

async function ourHost(
  folder: string,
  amount: Amount,
  keys: number,
  writers: number
): Promise<Host> {
  const fills = sharesOf(keys, writers).map((share) => (db: Database) => db.putAll(share))
  await fillFromWriters(folder, fills, { open: true })
  const device = await openDevice({ storage: folder })
  const space = await device.openSpace(device.spaces()[0]!.address, { mode: 'stream' })
  const sparse = amount === 'one key'
  return {
    name: ourName(amount, writers),
    async openGuest(place) {
      const guest = await openDevice({ storage: place })
      return { meet: () => meet(guest, space, sparse), close: () => guest.close() }
    },
    close: () => device.close()
  }
}

const ourName = (amount: Amount, writers: number): string =>
  `manyhands, ${amount === 'one key' ? 'sparse' : 'everything'}, written by ${writers}`

async function meet(guest: Device, theirs: Space, sparse: boolean) {
  const mode = sparse ? 'stream' : 'index'
  const space = await guest.openSpace(theirs.ticket, { mode, sparse })
  const joined = join2(theirs.replicate(true) as Bytes, space.replicate(false) as Bytes)
  const hasAll = (): boolean =>
    theirs.writers().every(({ writer, length }) => lengthOf(space, writer) === length)
  return { joined, db: ours(guest, space), hasAll }
}

const AUTOBASE = 'autobase, 100 per block, written by 2'

async function baseHost(folder: string, keys: number): Promise<Host> {
  const { base, db } = await openBase(await fillBase(folder, sharesOf(keys, 2), 100), null)
  return {
    name: AUTOBASE,
    async openGuest(place) {
      const guest = await openBase(place, base.key)
      return { meet: () => meetBase(guest, base), close: () => guest.db.close() }
    },
    close: () => db.close()
  }
}

function meetBase(guest: Base, theirs: Base['base']) {
  const joined = join2(theirs.replicate(true), guest.base.replicate(false))
  const db: Database = {
    ...guest.db,
    async get(key) {
      await guest.base.update()
      return guest.db.get(key)
    },
    async scan() {
      await guest.base.update()
      return guest.db.scan()
    }
  }
  return Promise.resolve({ joined, db, hasAll: () => true })
}

function goalsOf(amount: Amount, table: Table, bytes: ByteCounts): Goal[] {
  const { bytes: most, ms } = GOALS[amount]
  return WRITERS.flatMap((writers) => {
    const name = ourName(amount, writers)
    const what = `cold join, ${amount}, written by ${writers}`
    return [
      atMost(`${what}, bytes`, bytes.get(name) ?? Number.NaN, most, kilobytes),
      atMost(
        `${what}, wall clock`,
        1e3 / rateOf(table, name),
        ms,
        (time) => `${time.toFixed(0)} ms`
      )
    ]
  })
}

const kilobytes = (count: number): string => `${(count / 1e3).toFixed(count < 1e5 ? 1 : 0)} KB`

function medianOf(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN
}
