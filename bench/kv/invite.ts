/**
 * A new device comes into a space by an invite, over a swarm on this machine whose DHT both know: until it is let in and knows so, until
 * everything is here, and until a key is read. By wall clock: somebody waits.
 */
import { setTimeout } from 'node:timers/promises'
import { join as joinPath } from 'node:path'
import createTestnet from 'hyperdht/testnet.js'
import { openDevice, swarm, type Device, type Space } from '../../index.ts'
import { race } from '../harness.ts'
import { fillFromWriters, lengthOf, ours, pairAt, type Database } from '../peers.ts'
import { atMost, sharesOf, type Row } from './row.ts'

const GOAL_MS = 2000
const NAME = 'manyhands, by an invite over a swarm'

/** What one run took, in ms. */
interface Times {
  readonly pairing: number
  readonly replication: number
  readonly read: number
}

export const invite: Row = async ({ folder, quick }) => {
  const keys = quick ? 1000 : 10_000
  const host = '127.0.0.1'
  const testnet = await createTestnet(3, { host })
  const transport = swarm({ bootstrap: testnet.bootstrap, host, firewalled: false })
  const place = joinPath(folder, 'host')
  const fills = sharesOf(keys, 1).map((share) => (db: Database) => db.putAll(share))
  await fillFromWriters(place, fills)
  const device = await openDevice({ storage: place, transport })
  const space = await device.openSpace(device.spaces()[0]!.address)
  const runs: Times[] = []
  let round = 0
  let guest: Device | undefined
  let link = ''
  const table = await race(
    `joining by an invite, to the first read of a space of ${keys} keys`,
    [
      {
        name: NAME,
        async setup() {
          guest = await openDevice({ storage: joinPath(folder, `guest-${round++}`), transport })
          ;({ link } = await space.invite())
        },
        run: async () => void runs.push(await joinAndRead(guest!, link, space, keys)),
        teardown: () => guest?.close(),
        note: () => notes(runs.slice(1))
      }
    ],
    { baseline: NAME, units: 1, unit: 'joins', rounds: quick ? 3 : 5, by: 'wall' }
  )
  await device.close()
  await testnet.destroy()
  const all = medianOf(
    runs.slice(1),
    ({ pairing, replication, read }) => pairing + replication + read
  )
  return {
    tables: [table],
    goals: [atMost('invite to first read', all, GOAL_MS, (ms) => `${ms.toFixed(0)} ms`)]
  }
}

async function joinAndRead(
  guest: Device,
  link: string,
  theirs: Space,
  keys: number
): Promise<Times> {
  const start = performance.now()
  const space = await guest.join(link)
  const paired = performance.now()
  const hasAll = () =>
    theirs.writers().every(({ writer, length }) => lengthOf(space, writer) === length)
  while (!hasAll()) await setTimeout(1)
  const replicated = performance.now()
  const db = ours(guest, space)
  while ((await db.get(pairAt(keys >> 1).key)) === null) await setTimeout(1)
  const read = performance.now()
  return { pairing: paired - start, replication: replicated - paired, read: read - replicated }
}

function notes(runs: readonly Times[]): string {
  const ms = (of: (times: Times) => number) => `${medianOf(runs, of).toFixed(0)} ms`
  return [
    `pairing ${ms((run) => run.pairing)}`,
    `replication ${ms((run) => run.replication)}`,
    `read ${ms((run) => run.read)}`
  ].join(', ')
}

function medianOf(runs: readonly Times[], of: (times: Times) => number): number {
  return runs.map(of).sort((a, b) => a - b)[runs.length >> 1] ?? Number.NaN
}
