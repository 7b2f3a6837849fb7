/**
 * What a put of one value must know: not what its own last entry there had seen. Peers write, hear of each other in pieces, lose some of
 * it again and prune; after each step the entry that one of them would write at each key is the same whether it looked at
 * everybody's or only at what it had not seen.
 */
import b4a from 'b4a'
import * as assert from 'uvu/assert'
import { test } from 'uvu'
import { encodeValue, packEntry, writeEntry } from '../../crdt/index.ts'
import type { MultiBee, ReadMode } from '../../multiwriter/index.ts'
import type { SaidByAll } from '../../multiwriter/view.ts'
import { dbKey } from '../support/forge.ts'
import { PruningWorld, type PruningPeer } from '../support/pruning-world.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { range, testSeeds } from './seeds.ts'

const STEPS = 100
const KEYS = ['a', 'b', 'c']
const MODES: readonly ReadMode[] = ['stream', 'index', 'index']

/** Entries in all simulations that were left out, and keys that were compared. */
const seen = { leftOut: 0, compared: 0 }

testSeeds('a put that looks at less writes the same', import.meta.filename, range(1, 6), run)

async function run(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const world = await PruningWorld.open(MODES)
  try {
    for (let step = 0; step < STEPS; step++) {
      world.now += 10
      const peer = world.peers[random.below(world.peers.length)]
      if (peer === undefined) return
      await takeStep(peer, world, random)
      await compare(peer)
    }
    for (const peer of world.peers) await peer.check()
  } finally {
    await world.close()
  }
}

async function takeStep(peer: PruningPeer, { peers }: PruningWorld, random: SeededRandom) {
  const choice = random.below(20)
  if (choice < 11) return write(peer.db, random)
  const other = peers[random.below(peers.length)]
  if (other === undefined || other === peer) return
  if (choice === 19) return void (await peer.prune())
  // Mostly it hears more, and now and then less.
  const length = choice < 17 ? other.core.length : random.below(other.core.length + 1)
  peer.writers.seal(other.core.key, length)
  await peer.union.ready()
}

async function write(db: MultiBee, random: SeededRandom): Promise<void> {
  const key = KEYS[random.below(KEYS.length)] ?? 'a'
  const number = random.below(9)
  const writes: readonly (() => Promise<unknown>)[] = [
    () => db.put(key, number),
    () => db.put(key, number),
    () => Promise.all([db.put(key, number), db.put(key, 'twice')]),
    () => db.put(key, { x: number }),
    () => db.patch(key, { y: number }),
    () => db.counter(key).add(number),
    () => db.del(key)
  ]
  const one = writes[random.below(random.below(3) === 0 ? writes.length : 3)]
  await one?.()
}

async function compare({ union, core }: PruningPeer): Promise<void> {
  const view = await union.view({ wait: false })
  const entryAfter = ({ entries }: SaidByAll) => {
    const own = entries.find(({ isOwn }) => isOwn) ?? null
    const others = entries.filter(({ isOwn }) => !isOwn)
    const position = { core: core.key, seq: core.length }
    const stamp = { ms: 1_000_000, counter: 0, tag: core.key.subarray(0, 8) }
    const put = { do: 'put-whole', bytes: encodeValue('new') } as const
    const entry = writeEntry(own, others, put, { ...position, stamp, admitted: view.admitted })
    assert.ok(entry !== null)
    return b4a.toString(packEntry(entry, core.key, core.length), 'hex')
  }
  for (const name of KEYS) {
    const key = dbKey(name)
    const all = await view.saidHere(key)
    const some = await view.saidHere(key, true)
    seen.leftOut += all.entries.length - some.entries.length
    seen.compared++
    assert.is(entryAfter(some), entryAfter(all), `${name}, ${all.entries.length} entries`)
  }
}

test('the simulations left out entries', () => {
  assert.ok(seen.leftOut > seen.compared / 10, JSON.stringify(seen))
})

test.run()
