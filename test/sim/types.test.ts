/**
 * Several databases over the logs of one store, each with seals of its own that go up and down, each reading in a way of its own:
 * random writes of all types, in two sub-databases of different policies. After each step each of them shows what its slow twin
 * finds by reading every log from its beginning, and `get` shows what a scan does.
 */
import { join } from 'node:path'
import type Hypercore from 'hypercore'
import * as assert from 'uvu/assert'
import { test } from 'uvu'
import { openIndexStore } from '../../core/native/index.ts'
import { openMultiBee, WriterList, type MultiBee, type ReadMode } from '../../multiwriter/index.ts'
import type { Value } from '../../index.ts'
import { viewSlowly } from '../oracle/view.ts'
import { collect } from '../support/collect.ts'
import { exportDatabase, exportSlowly } from '../support/export.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'
import { range, testSeeds } from './seeds.ts'

const STEPS = 45

interface Peer {
  readonly name: string
  readonly core: Hypercore
  readonly writers: WriterList
  readonly mode: ReadMode
  db: MultiBee
}

async function simulateTypes(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const store = await openLogStore()
  const peers: Peer[] = []
  try {
    for (let i = 0; i < 3; i++) peers.push(await openPeer(store, `peer ${i}`, random))
    for (let step = 0; step < STEPS; step++) {
      const peer = pick(peers, random)
      const other = pick(peers, random)
      await stepOf(peer, other, random)
      if (random.below(8) === 0) {
        await peer.db.close()
        peer.db = await openDatabase(store, peer, random)
      }
      await check(peer, peers)
    }
    for (const peer of peers) await check(peer, peers)
  } finally {
    for (const { db } of peers) await db.close()
    await store.close()
  }
}

function pick<T>(items: readonly T[], random: SeededRandom): T {
  const item = items[random.below(items.length)]
  if (item === undefined) throw new Error('nothing to pick')
  return item
}

async function openPeer(store: LogStore, name: string, random: SeededRandom): Promise<Peer> {
  const core = await store.own(name)
  const writers = new WriterList([core.key])
  const parts = { name, core, writers, mode: pick(['stream', 'index', 'auto'] as const, random) }
  return { ...parts, db: await openDatabase(store, parts, random) }
}

async function openDatabase(
  store: LogStore,
  { name, writers, mode }: Omit<Peer, 'db'>,
  random: SeededRandom
): Promise<MultiBee> {
  const db = await openMultiBee({
    writers,
    open: (key) => store.corestore.get({ key }),
    own: await store.own(name),
    now: () => random.below(50) * 1000,
    mode,
    ...(mode === 'stream' ? {} : { index: await openIndexStore(join(store.path, 'index', name)) })
  })
  db.sub('strict', { deletes: 'delete-wins' })
  return db
}

async function stepOf(peer: Peer, other: Peer, random: SeededRandom): Promise<void> {
  if (random.below(10) < 6) return write(peer, random)
  if (peer === other) return
  if (!peer.writers.has(other.core.key)) peer.writers.add(other.core.key)
  else
    peer.writers.seal(
      other.core.key,
      random.below(3) === 0 ? Infinity : random.below(other.core.length + 2)
    )
}

async function write({ db }: Peer, random: SeededRandom): Promise<void> {
  const batch = (random.below(2) === 0 ? db : db.sub('strict')).batch()
  for (let i = random.below(5); i >= 0; i--) {
    const key = `${random.below(6)}`
    switch (random.below(10)) {
      case 0:
        batch.del(key)
        break
      case 1:
      case 2:
        batch.put(key, valueOf(random))
        break
      case 3:
      case 4:
        batch.patch(key, { [fieldOf(random)]: random.below(3) === 0 ? undefined : valueOf(random) })
        break
      case 5:
        batch.counter(key).add(random.below(9) - 4)
        break
      case 6:
        batch.set(key).add(random.below(3))
        break
      case 7:
        batch.set(key).delete(random.below(3))
        break
      case 8:
        if (random.below(2) === 0) batch.flag(key).enable()
        else batch.flag(key).disable()
        break
      default:
        batch.max(key).add(random.below(5))
    }
  }
  await batch.flush()
}

const fieldOf = (random: SeededRandom) => pick(['a', 'b', 'c'], random)

function valueOf(random: SeededRandom, depth = 0): Value {
  if (depth === 2 || random.below(3) === 0) return pick<Value>([null, 1, 'x', [1], {}], random)
  const fields = Array.from({ length: random.below(3) }, () => fieldOf(random))
  return Object.fromEntries(fields.map((name) => [name, valueOf(random, depth + 1)]))
}

async function check({ db, writers }: Peer, peers: readonly Peer[]): Promise<void> {
  const cores = peers.flatMap(({ core }) => {
    const listed = writers.list().find((each) => Buffer.from(each.core).equals(core.key))
    return listed === undefined ? [] : [{ core, seal: listed.seal }]
  })
  const plain = exportSlowly(await viewSlowly(cores))
  const [, strict = ''] = exportSlowly(await viewSlowly(cores, 'delete-wins'), ['strict']).split(
    'sub strict\n'
  )
  const shown = (await exportDatabase(db, ['strict'])).split('\n')
  const slow = [plain, 'sub strict', strict].join('\n').split('\n')
  const at = shown.findIndex((line, i) => line !== slow[i])
  if (at >= 0 || shown.length !== slow.length) {
    throw new Error(`${shown[at]}\nbut its slow twin\n${slow[at]}`)
  }
  for (const each of [db, db.sub('strict')]) {
    for (const entry of await collect(each.createReadStream())) {
      assert.equal(await each.get(entry.key), entry)
    }
  }
}

testSeeds(
  'simulation: values of all types equal their slow twin at any seals, however they are read',
  'test/sim/types.test.ts',
  range(1, 5),
  simulateTypes
)

test.run()
