/**
 * Several databases over the logs of one store, each with seals of its own that go up and down, inside batches too, with prefixes of its
 * own for each log, and reading in a way of its own: after each step each of them equals its slow twin at exactly those seals and
 * prefixes.
 */
import { join } from 'node:path'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openIndexStore } from '../../core/native/index.ts'
import { openMultiBee, WriterList, type MultiBee, type ReadMode } from '../../multiwriter/index.ts'
import { viewSlowly } from '../oracle/view.ts'
import { exportDatabase, exportSlowly } from '../support/export.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'
import { range, testSeeds } from './seeds.ts'

const STEPS = 40

interface Peer {
  readonly name: string
  readonly core: Hypercore
  readonly writers: WriterList
  readonly mode: ReadMode
  db: MultiBee
}

async function simulateSeals(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const store = await openLogStore()
  const peers: Peer[] = []
  try {
    const count = 2 + random.below(3)
    for (let i = 0; i < count; i++) peers.push(await openPeer(store, `peer ${i}`, random))
    for (let step = 0; step < STEPS; step++) {
      const peer = peers[random.below(count)]
      const other = peers[random.below(count)]
      if (peer === undefined || other === undefined) throw new Error('no peer')
      await stepOf(peer, other, step, random)
      if (random.below(8) === 0) await reopen(store, peer, random)
      for (const each of peers) await check(each, peers)
    }
  } finally {
    for (const { db } of peers) await db.close()
    await store.close()
  }
}

async function openPeer(store: LogStore, name: string, random: SeededRandom): Promise<Peer> {
  const core = await store.own(name)
  const writers = new WriterList([core.key])
  const mode = (['stream', 'index', 'index', 'auto'] as const)[random.below(4)] ?? 'index'
  const parts = { name, core, writers, mode }
  return { ...parts, db: await openDatabase(store, parts, random) }
}

async function openDatabase(
  store: LogStore,
  { name, writers, mode }: Omit<Peer, 'db'>,
  random: SeededRandom
): Promise<MultiBee> {
  return openMultiBee({
    writers,
    open: (key) => store.corestore.get({ key }),
    own: await store.own(name),
    now: () => random.below(50) * 1000,
    mode,
    ...(mode === 'stream' ? {} : { index: await openIndexStore(join(store.path, 'index', name)) })
  })
}

/** While the index is on its way, as often as not. */
async function reopen(store: LogStore, peer: Peer, random: SeededRandom): Promise<void> {
  const reading = peer.db.get('large 1').catch(() => null) // may be closed before it is answered
  if (random.below(2) === 0) await reading
  await peer.db.close()
  await reading
  peer.db = await openDatabase(store, peer, random)
}

async function stepOf(peer: Peer, other: Peer, step: number, random: SeededRandom): Promise<void> {
  const choice = random.below(10)
  if (choice < 2) return largeBatch(peer, step, random)
  if (choice < 6) return smallWrites(peer, step, random)
  if (peer === other) return
  if (!peer.writers.has(other.core.key)) peer.writers.add(other.core.key)
  else if (choice < 8) changeSeal(peer, other, random)
  else peer.writers.narrow(other.core.key, prefixesOf(random))
}

/** Of several blocks, so that a seal can stand inside it. */
async function largeBatch({ db }: Peer, step: number, random: SeededRandom): Promise<void> {
  const batch = db.batch()
  for (let i = 0; i < 40; i++) batch.put(`large ${random.below(60)}`, `${step} `.repeat(200))
  await batch.flush()
}

async function smallWrites({ db }: Peer, step: number, random: SeededRandom): Promise<void> {
  const writes = Array.from({ length: 1 + random.below(3) }, () => {
    const key = `large ${random.below(5)}`
    return random.below(3) === 0 ? db.del(key) : db.put(key, step)
  })
  await Promise.all(writes)
}

/** Several at once sometimes, and reads between them: the last holds. */
function changeSeal({ writers, db }: Peer, { core }: Peer, random: SeededRandom): void {
  const times = 1 + random.below(3)
  for (let i = 0; i < times; i++) {
    const isOff = random.below(4) === 0
    writers.seal(core.key, isOff ? Infinity : random.below(core.length + 2))
    // Its outcome is checked below; here it only is in the way of what follows.
    if (random.below(2) === 0) db.get('large 1').catch(() => {}) // may be closed before it is answered
  }
}

/** Where a writer may write: everywhere, nowhere, or at some of the keys. */
function prefixesOf(random: SeededRandom): readonly Uint8Array[] | null {
  const choices = [null, [], ['large 1'], ['large 2', 'large', 'other'], ['large 3', 'large 4 ']]
  return choices[random.below(5)]?.map((each) => Buffer.from(`\x10\0${each}`)) ?? null
}

async function check({ writers, db }: Peer, peers: readonly Peer[]): Promise<void> {
  const sealed = writers.list().flatMap(({ core, seal, prefixes }) => {
    const found = peers.find((each) => Buffer.compare(each.core.key, core) === 0)
    const below = prefixes?.map((each) => Buffer.from(each).toString('latin1'))
    return found === undefined ? [] : [{ core: found.core, seal, below }]
  })
  const slow = exportSlowly(await viewSlowly(sealed))
  const fast = await exportDatabase(db)
  if (fast !== slow) throw new Error(`The view shows\n${fast}\nbut its slow twin\n${slow}`)
  for await (const entry of db.createReadStream({ limit: 20 })) {
    assert.equal(await db.get(entry.key), entry, 'a lookup and a stream show the same')
  }
}

testSeeds(
  'simulation: a view equals its slow twin at any seals and prefixes, however it is read',
  'test/sim/seals.test.ts',
  range(1, 8),
  simulateSeals
)

test.run()
