/**
 * Random devices that put, prune and put back at the same time, without waiting for one another, and are killed in between. What one
 * had acknowledged is there when it is opened again, and in the end for everybody.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { greatest } from '../support/greatest.ts'
import { PruningWorld, type PruningPeer } from '../support/pruning-world.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { range, testSeeds } from './seeds.ts'

const PEERS = 3
const KEYS = 15
const STEPS = 250

/** By all seeds. */
let pruned = 0

class Session {
  readonly #world: PruningWorld
  readonly #random: SeededRandom
  /** Of each peer, by key, the greatest number that it was told to be stored. */
  readonly #stored = Array.from({ length: PEERS }, () => new Map<string, number>())
  readonly #running: Promise<unknown>[] = []
  #number = 0

  constructor(world: PruningWorld, random: SeededRandom) {
    this.#world = world
    this.#random = random
  }

  async run(): Promise<void> {
    for (const peer of this.#world.peers.slice(1)) this.#deliver(peer, Infinity)
    for (let step = 0; step < STEPS; step++) await this.#step(this.#random.below(PEERS))
    await Promise.all(this.#running)
    for (const peer of this.#world.peers) this.#deliver(peer, Infinity)
    for (const peer of this.#world.peers) await peer.mend()
    for (const peer of this.#world.peers) await peer.prune()
    for (const peer of this.#world.peers) {
      await peer.check()
      for (const stored of this.#stored) await check(peer, stored)
    }
  }

  async #step(i: number): Promise<void> {
    const peer = this.#world.peers[i]
    assert.ok(peer)
    const what = this.#random.below(20)
    if (what === 0 && this.#random.below(3) === 0) return this.#kill(peer, i)
    if (what === 1) return this.#deliver(peer, Infinity)
    if (what < 8) return this.#begin(this.#prune(peer))
    if (what < 11) return new Promise((resolve) => setTimeout(resolve, this.#random.below(4)))
    this.#world.now += 1
    this.#begin(this.#put(peer, i))
    if (what < 14) await peer.settle()
  }

  async #prune(peer: PruningPeer): Promise<void> {
    pruned += await peer.prune()
  }

  /** What is killed fails. */
  #begin(task: Promise<unknown>): void {
    this.#running.push(task.catch(() => {}))
  }

  async #put({ db }: PruningPeer, i: number): Promise<void> {
    const [key, number] = [`key ${this.#random.below(KEYS)}`, ++this.#number]
    const isWritten = await db.put(key, number, {
      cas: (previous) => greatest(previous) < number
    })
    if (isWritten) this.#stored[i]?.set(key, Math.max(this.#stored[i]?.get(key) ?? 0, number))
  }

  /** How much it has of the others. What it once had, it has. */
  #deliver(peer: PruningPeer, length: number): void {
    for (const other of this.#world.peers) {
      const before = peer.writers.list().find(({ core }) => core === other.core.key)?.seal ?? 0
      if (other !== peer) peer.writers.seal(other.core.key, Math.max(before, length))
    }
  }

  async #kill(peer: PruningPeer, i: number): Promise<void> {
    peer.kill()
    await peer.reopen()
    await check(peer, this.#stored[i] ?? new Map())
  }
}

async function check(
  { db, name }: PruningPeer,
  stored: ReadonlyMap<string, number>
): Promise<void> {
  for (const [key, number] of stored) {
    const shown = greatest(await db.get(key))
    assert.ok(shown >= number, `${name}: ${key} is ${shown}, not ${number}`)
  }
}

testSeeds(
  'pruning: what is acknowledged beside it survives a kill',
  'test/sim/pruning-kill.test.ts',
  range(1, 10),
  async (seed) => {
    const world = await PruningWorld.open(['stream', 'index', 'auto'])
    try {
      await new Session(world, seededRandom(seed)).run()
    } finally {
      await world.close()
    }
  }
)

test('pruning: some of these seeds did prune', () => {
  assert.ok(process.env['SIM_SEED'] !== undefined || pruned > 0)
})

test.run()
