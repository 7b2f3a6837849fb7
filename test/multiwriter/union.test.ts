import b4a from 'b4a'
import type Hypercore from 'hypercore'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { decodeEntry, encodeEntry, MAX_SEEN, type Position } from '../../crdt/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { openMultiBee, WriterList, type MultiBee } from '../../multiwriter/index.ts'
import { viewSlowly } from '../oracle/view.ts'
import { until } from '../support/devices.ts'
import { exportDatabase, exportSlowly } from '../support/export.ts'
import { openLogStore, type LogStore } from '../support/tree.ts'
import { within } from '../support/within.ts'

interface Peer {
  readonly name: string
  readonly core: Hypercore
  readonly writers: WriterList
  readonly db: MultiBee
}

/** Several databases over the logs of one store: whatever one appends, the others see if they list its core. */
class Peers {
  readonly #store: LogStore
  readonly #open: Peer[] = []
  time = 1000

  constructor(store: LogStore) {
    this.#store = store
  }

  async open(name: string, known: readonly Hypercore[] = []): Promise<Peer> {
    const core = await this.#store.own(name)
    const session = await this.#store.own(name)
    const writers = new WriterList([core.key, ...known.map(({ key }) => key)])
    const db = await this.#openDatabase(writers, session)
    const peer = { name, core, writers, db }
    this.#open.push(peer)
    return peer
  }

  async reader(writers: WriterList): Promise<MultiBee> {
    return this.#openDatabase(writers)
  }

  /** A log that is written by hand. */
  raw(name: string): Promise<Hypercore> {
    return this.#store.own(name)
  }

  async close(): Promise<void> {
    for (const { db } of this.#open) await db.close()
    await this.#store.close()
  }

  #openDatabase(writers: WriterList, own?: Hypercore): Promise<MultiBee> {
    return openMultiBee({
      writers,
      open: (key) => this.#store.corestore.get({ key }),
      ...(own === undefined ? {} : { own, now: () => this.time++ })
    })
  }
}

async function withPeers(body: (peers: Peers) => Promise<void>): Promise<void> {
  const peers = new Peers(await openLogStore())
  try {
    await within(15_000, body(peers))
  } finally {
    await peers.close()
  }
}

function inPeers(title: string, body: (peers: Peers) => Promise<void>): void {
  test(title, () => withPeers(body))
}

async function valueOf(db: MultiBee, key: string): Promise<unknown> {
  return (await db.get(key))?.value ?? null
}

/** What the newest entry of `key` in a core has seen. */
async function seenIn(core: Hypercore, key: string): Promise<readonly Position[]> {
  const bytes = b4a.concat([b4a.from([0x10, 0]), b4a.from(key)])
  const entry = await new TreeWriter(core).snapshot().get(bytes)
  const decoded = entry === null ? null : decodeEntry(entry.value, core.key)
  assert.ok(decoded?.ok)
  return decoded.entry.register.seen
}

function named(positions: readonly Position[]): readonly string[] {
  return positions.map(({ core, seq }) => `${z32.encode(core)} ${seq}`).sort()
}

function at(core: Hypercore, seq: number): string {
  return `${z32.encode(core.key)} ${seq}`
}

inPeers('union: a put is visible to its writer at once', async (peers) => {
  const { db } = await peers.open('a')
  for (let i = 0; i < 50; i++) {
    await db.put(`key ${i % 3}`, i)
    assert.is(await valueOf(db, `key ${i % 3}`), i)
  }
})

inPeers('union: a put that is issued as soon as another resolves is not lost', async (peers) => {
  const { db, core } = await peers.open('a')
  // At each distance, in turns of the event loop's innermost queue, from the end of a group.
  for (let turns = 0; turns < 12; turns++) {
    await db.put('key', turns)
    for (let i = 0; i < turns; i++) await Promise.resolve()
    await db.put('key', -turns)
  }
  assert.is(core.length, 24)
})

inPeers(
  'union: puts issued together land in few blocks, each with the same stamp',
  async (peers) => {
    const { db, core } = await peers.open('a')
    await Promise.all(Array.from({ length: 500 }, (_, i) => db.put(`key ${i}`, i)))
    assert.ok(core.length < 20, `${core.length} blocks`)
    const stamps = new Set<number>()
    for await (const { stamp } of db.createReadStream())
      stamps.add(stamp.ms * 2 ** 16 + stamp.counter)
    assert.is(stamps.size, 1)
  }
)

inPeers('union: of several puts of one key issued together the last stands', async (peers) => {
  const { db, core } = await peers.open('a')
  await Promise.all([db.put('key', 1), db.put('key', 2), db.del('key'), db.put('key', 3)])
  assert.is(await valueOf(db, 'key'), 3)
  assert.is(core.length, 1)
  await Promise.all([db.put('key', 4), db.del('key')])
  assert.is(await db.get('key'), null)
})

inPeers(
  'union: a writer that is added live is read, what it had written and what it writes',
  async (peers) => {
    const b = await peers.open('b')
    await b.db.put('old', 1)
    const a = await peers.open('a')
    const changes = a.db.watch()
    const first = changes.next()
    assert.is(await a.db.get('old'), null)
    a.writers.add(b.core.key)
    assert.is(await valueOf(a.db, 'old'), 1)
    assert.is((await first).value?.key, 'old')
    await b.db.put('new', 2)
    await until(async () => (await valueOf(a.db, 'new')) === 2)
  }
)

inPeers('union: a view that is being made while a writer comes does not stay', async (peers) => {
  const others = await Promise.all(Array.from({ length: 8 }, (_, i) => peers.open(`other ${i}`)))
  for (const [i, { db }] of others.entries()) await db.put(`key ${i}`, i)
  const a = await peers.open('a')
  for (const [i, { core }] of others.entries()) {
    const early = [a.db.get('x'), a.db.get('y')]
    a.writers.add(core.key)
    const late = a.db.get(`key ${i}`)
    await Promise.all(early)
    assert.is((await late)?.value, i)
    assert.is(await valueOf(a.db, `key ${i}`), i)
  }
})

inPeers('union: a seal counts a log up to a length, down and up again', async (peers) => {
  const a = await peers.open('a')
  const b = await peers.open('b', [a.core])
  await a.db.put('key', 1)
  await a.db.put('key', 2)
  await a.db.put('other', 3)
  for (const [seal, key, other] of [
    [Infinity, 2, 3],
    [1, 1, null],
    [0, null, null],
    [2, 2, null],
    [3, 2, 3],
    [100, 2, 3]
  ] as const) {
    b.writers.seal(a.core.key, seal)
    assert.equal([await valueOf(b.db, 'key'), await valueOf(b.db, 'other')], [key, other])
  }
})

inPeers('union: the last of several seals set at once holds', async (peers) => {
  const a = await peers.open('a')
  const b = await peers.open('b', [a.core])
  for (let i = 1; i <= 6; i++) await a.db.put('key', i)
  for (let round = 0; round < 30; round++) {
    const reads: Promise<unknown>[] = []
    for (const seal of [6, 1, 4, 2 + (round % 4)]) {
      b.writers.seal(a.core.key, seal)
      reads.push(b.db.get('key'))
      for (let i = 0; i < round % 7; i++) await Promise.resolve()
    }
    await Promise.all(reads)
    assert.is(await valueOf(b.db, 'key'), 2 + (round % 4))
  }
})

inPeers('union: a seal inside a batch shows the batch before, whole', async (peers) => {
  const a = await peers.open('a')
  const b = await peers.open('b', [a.core])
  await a.db.put('first', 0)
  const before = a.core.length
  const batch = a.db.batch()
  for (let i = 0; i < 3000; i++) batch.put(`key ${i}`, `${i}`.repeat(100))
  await batch.flush()
  const after = a.core.length
  assert.ok(after > before + 3, `${after} blocks`)
  const sealed = { core: a.core, seal: 0 }
  for (let seal = before; seal <= after; seal++) {
    b.writers.seal(a.core.key, seal)
    const slow = await viewSlowly([{ ...sealed, seal }])
    assert.is(slow.length, seal === after ? 3001 : 1)
    assert.is(await exportDatabase(b.db), exportSlowly(slow))
  }
})

inPeers('union: a change of a seal is shown to who watches', async (peers) => {
  const a = await peers.open('a')
  const b = await peers.open('b', [a.core])
  await a.db.put('key', 1)
  await a.db.put('key', 2)
  assert.is(await valueOf(b.db, 'key'), 2)
  const changes = b.db.watch()
  const next = changes.next()
  await b.db.get('key') // so the watcher has its first view
  b.writers.seal(a.core.key, 1)
  const change = (await next).value
  assert.equal([change?.previous?.value, change?.current?.value], [2, 1])
})

inPeers('union: what a seal hides of a writer no longer covers', async (peers) => {
  const a = await peers.open('a')
  const b = await peers.open('b', [a.core])
  await a.db.put('key', 'first')
  await b.db.put('key', 'over it')
  a.writers.add(b.core.key)
  await a.db.put('key', 'over both')
  assert.is(await valueOf(b.db, 'key'), 'over both')
  b.writers.seal(a.core.key, 1)
  assert.is(await valueOf(b.db, 'key'), 'over it')
})

inPeers('union: a write names what others last said at its key', async (peers) => {
  const [a, b] = [await peers.open('a'), await peers.open('b')]
  const c = await peers.open('c', [a.core, b.core])
  await a.db.put('other', 0)
  await a.db.put('key', 1)
  await b.db.put('key', 2)
  await c.db.put('key', 3)
  assert.equal(named(await seenIn(c.core, 'key')), [at(a.core, 1), at(b.core, 0)].sort())
  await c.db.put('new', 4)
  assert.equal(await seenIn(c.core, 'new'), [])
})

inPeers(
  'union: a write names covered registers too, and takes over what those had seen',
  async (peers) => {
    const a = await peers.open('a')
    const b = await peers.open('b', [a.core])
    await a.db.put('key', 1)
    await b.db.put('key', 2)
    // C does not read A's log, and yet names it.
    const c = await peers.open('c', [b.core])
    await c.db.put('key', 3)
    assert.equal(named(await seenIn(c.core, 'key')), [at(a.core, 0), at(b.core, 0)].sort())
    // D reads all three, of which two are covered.
    await a.db.put('elsewhere', 0)
    const d = await peers.open('d', [a.core, b.core, c.core])
    await d.db.put('key', 4)
    const all = [at(a.core, 0), at(b.core, 0), at(c.core, 0)].sort()
    assert.equal(named(await seenIn(d.core, 'key')), all)
  }
)

inPeers(
  'union: a write takes over what the own write before it had seen, per core the greatest',
  async (peers) => {
    const a = await peers.open('a')
    const b = await peers.open('b', [a.core])
    await a.db.put('key', 1)
    await b.db.put('key', 2)
    b.writers.seal(a.core.key, 0)
    await b.db.put('key', 3)
    assert.equal(named(await seenIn(b.core, 'key')), [at(a.core, 0)])
    await a.db.put('key', 4)
    b.writers.seal(a.core.key, Infinity)
    await b.db.put('key', 5)
    assert.equal(named(await seenIn(b.core, 'key')), [at(a.core, 1)])
  }
)

inPeers(
  'union: a deletion names what it had seen, and is not written where nothing is left',
  async (peers) => {
    const a = await peers.open('a')
    const b = await peers.open('b', [a.core])
    await a.db.put('key', 1)
    await b.db.del('key')
    assert.equal(named(await seenIn(b.core, 'key')), [at(a.core, 0)])
    await b.db.del('key')
    await b.db.del('never there')
    assert.is(b.core.length, 1)
  }
)

inPeers(
  'union: a write names at most MAX_SEEN cores, those known at first hand before others',
  async (peers) => {
    const stamp = { ms: 1, counter: 0, tag: new Uint8Array(8) }
    const numbered = (n: number) => b4a.alloc(32, b4a.from([n >> 8, n & 255]))
    const seen = Array.from({ length: MAX_SEEN }, (_, i) => ({ core: numbered(i), seq: i }))
    const raw = await peers.raw('raw')
    const key = b4a.from([0x10, 0, 0x6b])
    const value = encodeEntry({ position: null, stamp, seen, value: b4a.from([1]) })
    await new TreeWriter(raw).append([{ key, value }])
    const a = await peers.open('a')
    await a.db.put('k', 1)
    const b = await peers.open('b', [raw, a.core])
    await b.db.put('k', 2)
    const written = await seenIn(b.core, 'k')
    assert.is(written.length, MAX_SEEN)
    const names = named(written)
    // Its entry is too large to stand beside its key, which comes in the block behind.
    assert.ok(names.includes(at(raw, 1)) && names.includes(at(a.core, 0)))
    assert.is(await valueOf(b.db, 'k'), 2)
  }
)

inPeers(
  'union: an open reader follows what is appended, and reads nothing after close',
  async (peers) => {
    const a = await peers.open('a')
    const reader = await peers.reader(new WriterList([a.core.key]))
    assert.is(await reader.get('key'), null)
    await a.db.put('key', 1)
    await until(async () => (await valueOf(reader, 'key')) === 1)
    await reader.close()
    await reader.get('key').then(
      () => assert.unreachable('read after close'),
      (error: unknown) => assert.match(String(error), /closed/)
    )
  }
)

test.run()
