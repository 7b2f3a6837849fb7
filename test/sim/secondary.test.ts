/**
 * Several databases over the logs of one store, each with seals of its own that go up and down, each reading in a way of its own, and
 * values that come from few: after each step each index of each of them shows what its slow twin finds by reading everything.
 */
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import { openIndexStore } from '../../core/native/index.ts'
import type { Value } from '../../index.ts'
import {
  openMultiBee,
  WriterList,
  type Indexable,
  type MultiBee,
  type Range,
  type ReadMode
} from '../../multiwriter/index.ts'
import { indexSlowly, type SlowOptions } from '../oracle/secondary.ts'
import { collect } from '../support/collect.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'
import { range, testSeeds } from './seeds.ts'

const STEPS = 40
const INDEX = ['x', 'list[]', 'inner.x', 'items[].x']

interface Peer {
  readonly name: string
  readonly core: Hypercore
  readonly writers: WriterList
  readonly mode: ReadMode
  root: MultiBee
  db: MultiBee
}

async function simulateIndexes(seed: number): Promise<void> {
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
      await stepOf(peer, other, random)
      if (random.below(8) === 0) await reopen(store, peer, random)
      for (const each of peers) await check(each, random)
    }
  } finally {
    for (const { root } of peers) await root.close()
    await store.close()
  }
}

async function openPeer(store: LogStore, name: string, random: SeededRandom): Promise<Peer> {
  const core = await store.own(name)
  const writers = new WriterList([core.key])
  const mode = (['stream', 'index', 'index', 'auto'] as const)[random.below(4)] ?? 'index'
  const parts = { name, core, writers, mode }
  return { ...parts, ...(await openDatabase(store, parts, random)) }
}

async function openDatabase(
  store: LogStore,
  { name, writers, mode }: Omit<Peer, 'root' | 'db'>,
  random: SeededRandom
): Promise<Pick<Peer, 'root' | 'db'>> {
  const root = await openMultiBee({
    writers,
    open: (key) => store.corestore.get({ key }),
    own: await store.own(name),
    now: () => random.below(50) * 1000,
    mode,
    ...(mode === 'stream' ? {} : { index: await openIndexStore(join(store.path, 'index', name)) })
  })
  return { root, db: root.sub('people', { index: INDEX }) }
}

/** While an index is built, as often as not. */
async function reopen(store: LogStore, peer: Peer, random: SeededRandom): Promise<void> {
  const reading = peer.db
    .by('x')
    .get(0)
    .catch(() => null) // may be closed before it is answered
  if (random.below(2) === 0) await reading
  await peer.root.close()
  await reading
  Object.assign(peer, await openDatabase(store, peer, random))
}

async function stepOf(peer: Peer, other: Peer, random: SeededRandom): Promise<void> {
  if (random.below(10) < 6) return write(peer, random)
  if (peer === other) return
  if (!peer.writers.has(other.core.key)) peer.writers.add(other.core.key)
  else changeSeal(peer, other, random)
}

/** Elsewhere too: it must not show. */
async function write({ db, root }: Peer, random: SeededRandom): Promise<void> {
  const batch = db.batch()
  for (let i = random.below(8); i >= 0; i--) {
    const key = `${random.below(12)}`
    if (random.below(4) === 0) batch.del(key)
    else batch.put(key, valueOf(random))
  }
  await Promise.all([batch.flush(), root.put(`${random.below(4)}`, valueOf(random))])
}

const SCALARS = [null, false, true, -1, 0, 7, '', 'a', 'a\0', 'ab', new Uint8Array([0])] as const

function scalarOf(random: SeededRandom): Indexable {
  return SCALARS[random.below(SCALARS.length)] ?? null
}

function valueOf(random: SeededRandom): Value {
  const scalar = () => scalarOf(random)
  const list = () => Array.from({ length: random.below(4) }, scalar)
  switch (random.below(6)) {
    case 0:
      return scalar()
    case 1:
      return { x: scalar(), list: list() }
    case 2:
      return { x: { x: scalar() }, inner: { x: scalar() } }
    case 3:
      return { list: scalar(), items: list().map((x) => ({ x })) }
    case 4:
      return { x: scalar(), inner: list(), items: [scalar(), { x: scalar() }, {}] }
    default:
      return { list: [list(), scalar(), { x: 1 }] }
  }
}

function changeSeal({ writers, db }: Peer, { core }: Peer, random: SeededRandom): void {
  const times = 1 + random.below(3)
  for (let i = 0; i < times; i++) {
    writers.seal(core.key, random.below(4) === 0 ? Infinity : random.below(core.length + 2))
    // Its outcome is checked below; here it only is in the way of what follows.
    if (random.below(2) === 0)
      db.by('x')
        .get(0)
        .catch(() => {}) // may be closed before it is answered
  }
}

async function check({ db }: Peer, random: SeededRandom): Promise<void> {
  // Not all of them from the beginning: an index is built when it is first read.
  for (const path of INDEX.filter(() => random.below(3) > 0)) {
    for (const options of [{}, optionsOf(random)]) {
      const hits = await indexSlowly(db, path, options)
      const slow = hits.map(({ indexed, entry }) => ({ ...entry, indexed }))
      const fast = await collect(db.by(path).createReadStream(options))
      if (isDeepStrictEqual(fast, slow)) continue
      const show = (all: typeof fast) => all.map(({ indexed, key }) => [indexed, key])
      const texts = [show(fast), show(slow)].map((all) => JSON.stringify(all))
      throw new Error(
        `By ${path} ${JSON.stringify(options)}:\n${texts[0]}\nbut its slow twin\n${texts[1]}`
      )
    }
  }
}

function optionsOf(random: SeededRandom): SlowOptions {
  const lower: Range<Indexable>[] = [{}, { gt: scalarOf(random) }, { gte: scalarOf(random) }]
  const upper: Range<Indexable>[] = [{}, { lt: scalarOf(random) }, { lte: scalarOf(random) }]
  return {
    ...lower[random.below(3)],
    ...upper[random.below(3)],
    reverse: random.below(2) === 0,
    limit: random.below(2) === 0 ? Infinity : random.below(6)
  }
}

testSeeds(
  'simulation: an index equals its slow twin at any seals, however it is read',
  'test/sim/secondary.test.ts',
  range(1, 6),
  simulateIndexes
)

test.run()
