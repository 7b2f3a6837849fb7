/**
 * Peers that write, hear of each other in pieces, acknowledge, prune and start again, beside twins that do the same and never
 * prune. After each step one of them shows what its twin shows at the same writes, and what its slow twin makes of its logs.
 * Lengths differ between the worlds, so they are compared by how many writes of each log count.
 */
import b4a from 'b4a'
import * as assert from 'uvu/assert'
import { stampToText } from '../../clock/index.ts'
import type { Value } from '../../crdt/index.ts'
import type { MultiBee, ReadMode } from '../../multiwriter/index.ts'
import { ACKNOWLEDGED_KEY, heardLengths } from '../../multiwriter/log-section.ts'
import { PruningWorld, type PruningPeer } from '../support/pruning-world.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'

const STEPS = 120
const MODES: readonly ReadMode[] = ['stream', 'index', 'auto']
const VALUES: readonly Value[] = [1, 2, 'x', { x: 1 }, { x: 2, y: { z: 1 } }, {}]

type Write = (db: MultiBee) => Promise<unknown>

/** What happened in all simulations of this process: to see that it did. */
export const seen = { pruned: 0, fallen: 0, restored: 0 }

class Simulation {
  readonly #random: SeededRandom
  readonly #world: PruningWorld
  readonly #twins: PruningWorld
  /** Per peer, where its writes end in both worlds. */
  readonly #ends: (readonly [number, number])[][]
  /** Per peer and log, the most that it has acknowledged. */
  readonly #acknowledged = new Map<string, number>()
  readonly #anySeal: boolean
  #now = 1000

  static async open(seed: number, anySeal: boolean): Promise<Simulation> {
    const random = seededRandom(seed)
    const modes = Array.from(
      { length: 2 + random.below(3) },
      () => MODES[random.below(3)] ?? 'auto'
    )
    const world = await PruningWorld.open(modes)
    return new Simulation(
      random,
      world,
      await PruningWorld.open(modes.map(() => 'stream')),
      anySeal
    )
  }

  private constructor(
    random: SeededRandom,
    world: PruningWorld,
    twins: PruningWorld,
    anySeal: boolean
  ) {
    this.#random = random
    this.#world = world
    this.#twins = twins
    this.#anySeal = anySeal
    this.#ends = world.peers.map(() => [])
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.#world.now = this.#twins.now = this.#now += 10
      await this.#step()
      await this.#check(this.#random.below(this.#world.peers.length))
    }
    if (!this.#anySeal) await this.#settle()
  }

  async close(): Promise<void> {
    await this.#world.close()
    await this.#twins.close()
  }

  async #step(): Promise<void> {
    const i = this.#random.below(this.#world.peers.length)
    const peer = this.#peer(i)
    const choice = this.#random.below(20)
    if (choice < 8) await this.#write(i)
    else if (choice < 12) this.#deliver(peer)
    else if (choice < 14) for (const each of this.#world.peers) this.#deliverAll(each)
    else if (choice < 18) await this.#prune(peer)
    else if (choice < 19) this.#fall(peer)
    else await peer.reopen()
  }

  /** The same call in both worlds, at the same writes of the others. */
  async #write(i: number): Promise<void> {
    const peer = this.#peer(i)
    const before = peer.core.length
    await peer.mend()
    if (peer.core.length > before) seen.restored++
    const twin = await this.#evenTwin(i)
    const write = this.#anyWrite()
    const lengths = [peer.core.length, twin.core.length]
    await write(peer.db)
    await write(twin.db)
    const isWritten = twin.core.length > (lengths[1] ?? 0)
    const isAlike = peer.core.length > (lengths[0] ?? 0) === isWritten
    // Where a seal took away what all had acknowledged, a deletion that was forgotten may be made anew.
    assert.ok(isAlike || this.#anySeal, 'both write, or none does')
    if (isWritten || !isAlike) this.#ends[i]?.push([peer.core.length, twin.core.length])
  }

  #anyWrite(): Write {
    const random = this.#random
    const key = ['a', 'b', 'c'][random.below(3)] ?? 'a'
    const value = VALUES[random.below(VALUES.length)] ?? null
    const number = random.below(4)
    const writes: readonly Write[] = [
      (db) => db.put(key, value),
      (db) => db.put(key, value),
      (db) => db.patch(key, { [`f${number}`]: number === 0 ? undefined : value }),
      (db) => db.del(key),
      (db) => db.del(key),
      (db) => db.counter('n').add(number + 1),
      (db) => db.set<number>('s').add(number),
      (db) => db.set<number>('s').delete(number),
      (db) => db.del(number > 1 ? 'n' : 's')
    ]
    return writes[random.below(writes.length)] ?? ((db) => db.del(key))
  }

  #deliver(peer: PruningPeer): void {
    const other = this.#peer(this.#random.below(this.#world.peers.length))
    if (other === peer) return
    const held = sealOf(peer, other)
    const more = this.#random.below(other.core.length - held + 1)
    peer.writers.seal(other.core.key, held + more)
  }

  #deliverAll(peer: PruningPeer): void {
    for (const other of this.#world.peers)
      if (other !== peer) peer.writers.seal(other.core.key, other.core.length)
  }

  /** A seal falls: not below what all have acknowledged, or anywhere. */
  #fall(peer: PruningPeer): void {
    const other = this.#peer(this.#random.below(this.#world.peers.length))
    if (other === peer) return
    const floor = this.#anySeal ? 0 : this.#floorOf(other)
    const held = sealOf(peer, other)
    if (held <= floor) return
    seen.fallen++
    peer.writers.seal(other.core.key, floor + this.#random.below(held - floor))
  }

  #floorOf(peer: PruningPeer): number {
    const others = this.#world.peers.filter((each) => each !== peer)
    return Math.min(
      ...others.map((each) => this.#acknowledged.get(`${each.name} ${peer.name}`) ?? 0)
    )
  }

  async #prune(peer: PruningPeer): Promise<void> {
    seen.pruned += await peer.prune()
    const entry = await peer.own.tree.snapshot().get(ACKNOWLEDGED_KEY)
    const said = entry === null ? [] : (heardLengths(entry.value, peer.core.key) ?? [])
    for (const other of this.#world.peers) {
      const length = said.find(({ core }) => b4a.equals(core, other.core.key))?.length ?? 0
      const id = `${peer.name} ${other.name}`
      this.#acknowledged.set(id, Math.max(length, this.#acknowledged.get(id) ?? 0))
    }
  }

  async #check(i: number): Promise<void> {
    const peer = this.#peer(i)
    const twin = await this.#evenTwin(i)
    const [shown, expected] = [await shownBy(peer.db), await shownBy(twin.db)]
    if (this.#anySeal) {
      const gone = [...expected.keys()].filter((key) => !shown.has(key))
      assert.equal(gone, [], 'no key vanishes')
    } else assert.equal([...shown.values()], [...expected.values()])
    await peer.check()
  }

  /** The twin, reading as many writes of each log as the peer does. */
  async #evenTwin(i: number): Promise<PruningPeer> {
    const twin = this.#twins.peers[i]
    if (twin === undefined) throw new Error('no twin')
    const view = await this.#peer(i).union.view()
    this.#world.peers.forEach(({ core }, of) => {
      const length = view.admitted(core.key)
      const ends = this.#ends[of]?.filter(([end]) => end <= length) ?? []
      const isAll = of === i && ends.length === this.#ends[of]?.length
      twin.writers.seal(core.key, isAll ? Infinity : (ends.at(-1)?.[1] ?? 0))
    })
    return twin
  }

  /** Everybody hears of everything until there is nothing more to do: then all show the same, and it ends. */
  async #settle(): Promise<void> {
    for (let round = 0; ; round++) {
      assert.ok(round < 30, 'acknowledging and pruning end')
      const before = this.#world.peers.map(({ core }) => core.length).join()
      for (const peer of this.#world.peers) {
        this.#deliverAll(peer)
        await this.#prune(peer)
      }
      for (const [i] of this.#world.peers.entries()) await this.#check(i)
      if (this.#world.peers.map(({ core }) => core.length).join() === before) break
    }
  }

  #peer(i: number): PruningPeer {
    const peer = this.#world.peers[i]
    if (peer === undefined) throw new Error('no peer')
    return peer
  }
}

function sealOf({ writers }: PruningPeer, { core }: PruningPeer): number {
  return writers.list().find((each) => b4a.equals(each.core, core.key))?.seal ?? 0
}

/** By key, what shows, whoever wrote it and when, with its conflicts; not those that are deletions. */
async function shownBy(db: MultiBee): Promise<Map<string, string>> {
  const shown = new Map<string, string>()
  for await (const { key, value, writer, stamp, conflicts } of db.createReadStream()) {
    const others = conflicts
      .filter(({ deleted }) => !deleted)
      .map((each) => JSON.stringify([each.path, each.value, each.writer, stampToText(each.stamp)]))
    shown.set(key, JSON.stringify([key, value, writer, stampToText(stamp), others.sort()]))
  }
  return shown
}

/** @param anySeal seals fall anywhere, not only as far as all have acknowledged: then no key may vanish, and that is all */
export async function simulatePruning(seed: number, anySeal: boolean): Promise<void> {
  const simulation = await Simulation.open(seed, anySeal)
  try {
    await simulation.run()
  } finally {
    await simulation.close()
  }
}
