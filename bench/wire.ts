/**
 * Bytes on the wire: what it costs to bring 100-byte writes (under 16-byte keys) to another device that is connected.
 *
 * Counted are all bytes of the encrypted stream, both ways, from the first write until the other side holds the last one;
 * the handshake before is not. The raw log carries the values alone, without keys: it is the floor that one block per write
 * has; hyperbee2 is the same tree without stamps.
 */
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { openDevice } from '../index.ts'
import { race, report, type BenchOptions, type Competitor, type Table } from './harness.ts'
import {
  Corestore,
  Hyperbee2,
  inFolder,
  join2,
  lengthOf,
  pairs,
  writeBee2,
  type Bytes,
  type Pair,
  type Store
} from './peers.ts'

const GOAL_BYTES = 165

/** Two ends that are connected. */
interface Pipe {
  /** Resolves when the other end holds what was written. */
  write(some: readonly Pair[]): Promise<void>
  bytes(): number
  close(): Promise<void>
}

type OpenPipe = (folder: string) => Promise<Pipe>

export default async function bench(options: BenchOptions): Promise<void> {
  const { quick } = options
  const costs = new Map<string, number>()
  const tables = await inFolder(async (folder) => [
    await raceOver(join(folder, 'a'), quick ? 2000 : 20_000, 'issued together', options, costs, [
      [OURS, manyhandsPipe(false)],
      ['hyperbee2', beePipe(false)],
      [RAW, corePipe(false)]
    ]),
    await raceOver(join(folder, 'b'), quick ? 200 : 2000, 'awaited one by one', options, costs, [
      [OURS, manyhandsPipe(true)],
      ['hyperbee2', beePipe(true)],
      [RAW, corePipe(true)]
    ])
  ])
  const packed = costs.get(`${OURS}, issued together`) ?? Infinity
  await report('wire', options, {
    tables,
    notes: [
      `goal of ${GOAL_BYTES} bytes per packed write: ${packed <= GOAL_BYTES ? 'met' : 'MISSED'}, ${packed.toFixed(1)}`
    ],
    packages: ['hypercore', 'hyperbee2', '@hyperswarm/secret-stream']
  })
}

const OURS = 'manyhands'
const RAW = 'raw hypercore blocks, values only'

async function raceOver(
  folder: string,
  units: number,
  how: string,
  { quick }: BenchOptions,
  costs: Map<string, number>,
  kinds: readonly (readonly [name: string, open: OpenPipe])[]
): Promise<Table> {
  const pipes: Pipe[] = []
  const competitors: Competitor[] = []
  for (const [i, [name, open]] of kinds.entries()) {
    const pipe = await open(join(folder, String(i)))
    pipes.push(pipe)
    competitors.push(writer(name, pipe, units, (bytes) => costs.set(`${name}, ${how}`, bytes)))
  }
  const table = await race(`delivered to a connected device, ${how}`, competitors, {
    baseline: RAW,
    units,
    unit: 'writes',
    rounds: quick ? 3 : 5
  })
  for (const pipe of pipes) await pipe.close()
  return table
}

/** Writes new keys in each run; tells the bytes per write, over all runs. */
function writer(
  name: string,
  pipe: Pipe,
  units: number,
  tell: (bytesPerWrite: number) => void
): Competitor {
  let next = 0
  let some: readonly Pair[] = []
  const before = pipe.bytes()
  return {
    name,
    setup() {
      some = pairs(next, next + units)
      next += units
    },
    run: () => pipe.write(some),
    note() {
      const each = (pipe.bytes() - before) / next
      tell(each)
      return `${each.toFixed(1)} bytes per write`
    }
  }
}

function manyhandsPipe(isAwaited: boolean): OpenPipe {
  return async (folder) => {
    const one = await openDevice({ storage: `${folder}-one` })
    const two = await openDevice({ storage: `${folder}-two` })
    const mine = await one.createSpace()
    const theirs = await two.openSpace(mine.ticket)
    await theirs.addWriter(mine.writer)
    const db = mine.db.sub<Uint8Array, Uint8Array>('bench', {
      keyEncoding: 'binary',
      valueEncoding: 'binary'
    })
    const joined = join2(mine.replicate(true) as Bytes, theirs.replicate(false) as Bytes)
    const arrived = (): boolean => lengthOf(theirs, mine.writer) === lengthOf(mine, mine.writer)
    await db.put(pairs(999_999, 1_000_000)[0]!.key, new Uint8Array(1))
    await waitFor(arrived)
    return {
      async write(some) {
        if (isAwaited) for (const { key, value } of some) await db.put(key, value)
        else await Promise.all(some.map(({ key, value }) => db.put(key, value)))
        await waitFor(arrived)
      },
      bytes: joined.bytes,
      async close() {
        await one.close()
        await two.close()
      }
    }
  }
}

function corePipe(isAwaited: boolean): OpenPipe {
  return async (folder) => {
    const { one, two } = stores(folder)
    const core = one.get({ name: 'bench' })
    await core.ready()
    await core.append(new Uint8Array(1))
    return follow(one, two, core, async (some) => {
      if (isAwaited) for (const { value } of some) await core.append(value)
      else await core.append(some.map(({ value }) => value))
    })
  }
}

function beePipe(isAwaited: boolean): OpenPipe {
  return async (folder) => {
    const { one, two } = stores(folder)
    const bee = new Hyperbee2(one)
    await bee.ready()
    await writeBee2(bee, pairs(999_999, 1_000_000))
    return follow(one, two, bee.core, async (some) => {
      if (isAwaited) for (const pair of some) await writeBee2(bee, [pair])
      else await writeBee2(bee, some)
    })
  }
}

function stores(folder: string): { readonly one: Store; readonly two: Store } {
  return { one: new Corestore(`${folder}-one`), two: new Corestore(`${folder}-two`) }
}

/** The second store follows one core of the first. */
async function follow(
  one: Store,
  two: Store,
  core: ReturnType<Store['get']>,
  write: Pipe['write']
): Promise<Pipe> {
  const copy = two.get({ key: core.key })
  await copy.ready()
  copy.download({ start: 0, end: -1 })
  const joined = join2(one.replicate(true), two.replicate(false))
  const arrived = (): boolean => copy.contiguousLength === core.length
  await waitFor(arrived)
  return {
    async write(some) {
      await write(some)
      await waitFor(arrived)
    },
    bytes: joined.bytes,
    async close() {
      await one.close()
      await two.close()
    }
  }
}

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}
