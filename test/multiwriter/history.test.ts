/** History: every write once, each writer's in its own order, those of different writers by time. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Value } from '../../index.ts'
import { LogReader } from '../../core/index.ts'
import { iterate, WriterList, type HistoryEntry, type MultiBee } from '../../multiwriter/index.ts'
import { History } from '../../multiwriter/history.ts'
import { Refusals } from '../../multiwriter/refusals.ts'
import { Union } from '../../multiwriter/union.ts'
import { stampToText } from '../../clock/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { historySlowly, type SlowWrite } from '../oracle/history.ts'
import { collect } from '../support/collect.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { dbKey, entryOf, forgeBlock, forgeLeaf } from '../support/forge.ts'
import { Peers, type Peer } from '../support/peers.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

type Written = HistoryEntry<string, Value>

function inPeers(count: number, title: string, run: (peers: Peers) => Promise<void>): void {
  test(title, () => Peers.with(count, (peers) => within(30_000, run(peers))))
}

function textOf({ type, key, value, seq, writer, stamp }: Omit<Written, 'paths'>): string {
  return `${type} ${key}=${JSON.stringify(value)} ${writer} ${seq} ${stampToText(stamp)}`
}

function slowText({ deleted, key, value, seq, writer, stamp }: SlowWrite): string {
  return textOf({ type: deleted ? 'del' : 'put', key, value, seq, writer, stamp })
}

function short(entries: readonly Written[]): readonly string[] {
  return entries.map(({ type, key, value }) =>
    type === 'del'
      ? `-${key}`
      : `${key}${typeof value === 'string' ? value : JSON.stringify(value)}`
  )
}

async function shortHistory(db: MultiBee, options = {}): Promise<readonly string[]> {
  return short(await collect(db.createHistoryStream(options)))
}

inPeers(1, 'history: puts and deletions in the order they were written', async (peers) => {
  const { db } = peers.at(0)
  await db.put('b', 1)
  await db.put('a', 2)
  await db.del('b')
  await db.batch().put('d', 4).put('c', 3).flush()
  assert.equal(await shortHistory(db), ['b1', 'a2', '-b', 'c3', 'd4'])
  assert.equal(await shortHistory(db, { reverse: true }), ['d4', 'c3', '-b', 'a2', 'b1'])
  const [first] = await collect(db.createHistoryStream({ limit: 1 }))
  assert.equal(Object.keys(first ?? {}).sort(), [
    'key',
    'paths',
    'seq',
    'stamp',
    'type',
    'value',
    'writer'
  ])
})

inPeers(2, 'history: a writer keeps its own order, whatever its clock shows', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  peers.time = 5000
  await one.db.put('k', 1)
  one.hide(other)
  other.hide(one)
  peers.time = 1000
  await other.db.put('early', 1)
  peers.time = 9000
  await other.db.put('late', 1)
  one.show(other)
  assert.equal(await shortHistory(one.db), ['early1', 'k1', 'late1'])
})

inPeers(3, 'history: equals its slow twin on random histories', async (peers) => {
  for (let seed = 1; seed <= 5; seed++) await compareWithTwin(peers, seed)
})

async function compareWithTwin(peers: Peers, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const { db } = peers.at(0)
  for (let step = 0; step < 15; step++) await writeSomething(peers, random)
  const since = await db.version()
  const starts = new Map(peers.all.map(({ core }) => [core, core.length]))
  for (let step = 0; step < 15; step++) await writeSomething(peers, random)
  for (const reverse of [false, true]) {
    const all = peers.all.map(({ core }) => ({ core, start: 0, end: core.length }))
    const whole = await collect(db.createHistoryStream({ reverse }))
    const slow = await historySlowly(all, reverse)
    assert.equal(whole.map(textOf), slow.map(slowText), `seed ${seed}`)
    const late = all.map((each) => ({ ...each, start: starts.get(each.core) ?? 0 }))
    const [gte, lt, limit] = [`${random.below(8)}`, `${8 + random.below(2)}`, 1 + random.below(20)]
    const part = await collect(db.createHistoryStream({ reverse, since, gte, lt, limit }))
    const slowPart = (await historySlowly(late, reverse)).filter(
      ({ key }) => key >= gte && key < lt
    )
    assert.equal(part.map(textOf), slowPart.slice(0, limit).map(slowText), `seed ${seed}`)
  }
}

/** Clocks jump about: own stamps then rise by the counter only, others' lie before and behind. */
async function writeSomething(peers: Peers, random: SeededRandom): Promise<void> {
  const { db } = peers.at(random.below(peers.all.length))
  peers.time = 1000 + random.below(3) * 1000
  const count = [1, 1, 3, 30][random.below(4)] ?? 1
  const batch = db.batch()
  for (let i = 0; i < count; i++) {
    const key = `${random.below(10)} ${random.below(20)}`
    if (random.below(5) === 0) batch.del(key)
    else batch.put(key, random.below(10) === 0 ? 'x'.repeat(2000) : random.below(100))
  }
  await batch.flush()
}

inPeers(1, 'history: a deletion of nothing, and a refused cas, are no writes', async (peers) => {
  const { db } = peers.at(0)
  await db.del('nothing')
  await db.put('k', 1)
  await db.put('k', 2, { cas: () => false })
  assert.equal(await shortHistory(db), ['k1'])
})

inPeers(1, 'history: of a sub-database, only its own', async (peers) => {
  const { db } = peers.at(0)
  await db.batch().put('a', 1).flush()
  await db.sub('x').put('b', 2)
  assert.equal(await shortHistory(db), ['a1'])
  assert.equal(await shortHistory(db.sub('x')), ['b2'])
})

inPeers(2, 'history: what is past a seal is not shown, and comes with the seal', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await other.db.put('a', 1)
  await other.db.put('b', 2)
  one.writers.seal(other.core.key, 1)
  assert.equal(await shortHistory(one.db), ['a1'])
  one.show(other)
  assert.equal(await shortHistory(one.db), ['a1', 'b2'])
})

inPeers(1, 'history: goes on to the state at the call, and no further', async (peers) => {
  const { db } = peers.at(0)
  await db.put('a', 1)
  const stream = db.createHistoryStream()
  await db.put('b', 2)
  assert.equal(short(await collect(stream)), ['a1'])
  const snapshot = db.snapshot()
  await db.put('c', 3)
  assert.equal(await shortHistory(snapshot), ['a1', 'b2'])
  assert.equal(await shortHistory(snapshot, { since: await snapshot.version() }), [])
})

inPeers(2, 'live: first what was, then each write as it comes, once', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.put('a', 1)
  const live = one.db.createHistoryStream({ live: true })
  const next = async () => short([(await live.next()).value as Written])[0]
  assert.is(await next(), 'a1')
  const waiting = next()
  await other.db.put('b', 2)
  assert.is(await waiting, 'b2')
  await other.db.put('c', 3)
  one.hide(other)
  await one.db.put('d', 4)
  // 'c' was on its way or is hidden; in either case it comes once.
  one.show(other)
  assert.equal(new Set([await next(), await next()]), new Set(['c3', 'd4']))
  await other.db.put('e', 5)
  assert.is(await next(), 'e5')
  await live.return?.()
})

inPeers(1, 'live: a limit ends it, so do return and the end of the database', async (peers) => {
  const { db } = peers.at(0)
  await db.put('a', 1)
  const limited = collect(db.createHistoryStream({ live: true, limit: 2 }))
  await db.put('b', 2)
  assert.equal(short(await limited), ['a1', 'b2'])
  const left = db.createHistoryStream({ live: true, since: await db.version() })
  const pending = left.next()
  await left.return?.()
  assert.is((await pending).done, true)
  const ended = collect(db.createHistoryStream({ live: true }))
  const waiting = collect(db.createHistoryStream({ live: true, since: await db.version() }))
  await new Promise((resolve) => setImmediate(resolve))
  await db.close()
  assert.equal(await waiting, [])
  assert.ok((await ended).length <= 2)
})

inPeers(1, 'live: random writes are shown each once, in the order of the log', async (peers) => {
  const { db } = peers.at(0)
  const live = db.createHistoryStream({ live: true })
  const seen: string[] = []
  const reading = (async () => {
    for await (const { key } of live) {
      seen.push(key)
      if (seen.length === 300) break
    }
  })()
  const keys = Array.from({ length: 300 }, (_, i) => String(i).padStart(4, '0'))
  for (const key of keys) void db.put(key, key)
  await reading
  assert.equal(seen, keys)
})

inPeers(2, 'history: the newest few of many cost a few blocks', async (peers) => {
  const { db } = peers.at(0)
  for (let i = 0; i < 200; i++) await db.put(`${i}`, i)
  const read = countBlocks()
  assert.is((await collect(db.createHistoryStream({ reverse: true, limit: 20 }))).length, 20)
  assert.ok(read() <= 64, `${read()} blocks`)
  const one = countBlocks()
  assert.equal(await shortHistory(db, { reverse: true, limit: 1 }), ['199199'])
  assert.ok(one() <= 4, `${one()} blocks`)
})

/** Blocks of logs that history has read since. */
function countBlocks(): () => number {
  let blocks = 0
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const original = LogReader.prototype.written
  LogReader.prototype.written = function counted(start, end, options) {
    blocks += end - start
    return original.call(this, start, end, options)
  }
  return () => blocks
}

inPeers(
  2,
  'history: what is no entry, of a newer version or a bad block is counted and passed over',
  async (peers) => {
    const [one, other] = [peers.at(0), peers.at(1)]
    const bytes = entryOf('new')
    bytes[1] = 9 // the type
    await new TreeWriter(other.core).append([
      { key: dbKey('a'), value: entryOf('sound', { ms: 1 }) },
      { key: dbKey('b'), value: new Uint8Array([7]) },
      { key: dbKey('c'), value: bytes }
    ])
    await other.core.append(new Uint8Array([1, 2, 3]))
    await other.core.append(forgeLeaf(2, ['d']))
    one.hide(other)
    one.show(other)
    await until(async () => (await shortHistory(one.db)).length > 0)
    assert.equal(await shortHistory(one.db), ['asound', 'dforged d'])
  }
)

inPeers(
  2,
  'history: a block that claims to stand inside a batch without beginning does no harm',
  async (peers) => {
    const [one, other] = [peers.at(0), peers.at(1)]
    const keys = [{ key: dbKey('x'), value: entryOf('x') }]
    const nodes = [{ keys: [{ seq: 0 }] }]
    await other.core.append(forgeBlock(0, { keys, nodes, batch: { start: 9, end: 3 } }))
    await one.db.put('k', 1)
    for (const reverse of [false, true])
      assert.ok((await shortHistory(one.db, { reverse })).includes('k1'))
  }
)

inPeers(
  2,
  'history: what no tree of a complete batch leads to is counted and not shown',
  async (peers) => {
    const [one, other] = [peers.at(0), peers.at(1)]
    const key = (name: string) => ({ key: dbKey(name), value: entryOf(name) })
    const leaf = (...at: readonly (readonly [number, number])[]) => ({
      keys: at.map(([seq, offset]) => ({ seq, offset }))
    })
    // Beside what is linked, in a node that the root does not lead to, and in a block without a tree.
    await other.core.append([
      forgeBlock(0, { keys: [key('a'), key('b')], nodes: [leaf([0, 0])] }),
      forgeBlock(1, { keys: [key('c'), key('d')], nodes: [leaf([0, 0], [1, 0]), leaf([1, 1])] }),
      forgeBlock(2, { keys: [key('e')], batch: { start: 0, end: 1 } }),
      forgeBlock(3, { nodes: [leaf([0, 0], [1, 0])], batch: { start: 1, end: 0 } }),
      // It says that it ends where the batch behind it does.
      forgeBlock(4, { keys: [key('f')], batch: { start: 0, end: 1 } }),
      forgeBlock(5, { keys: [key('g')], nodes: [leaf([0, 0], [1, 0], [5, 0])] }),
      // What it hangs it into is not complete.
      forgeBlock(6, { keys: [key('h')], nodes: [leaf([6, 0])], batch: { start: 0, end: 2 } })
    ])
    one.hide(other)
    one.show(other)
    await until(async () => (await shortHistory(one.db)).length > 0)
    assert.equal(await shortHistory(one.db), ['aa', 'cc', 'gg'])
    assert.equal(await shortHistory(one.db, { reverse: true }), ['gg', 'cc', 'aa'])
    assert.equal(
      (await collect(one.db.createReadStream())).map((entry) => entry.key),
      ['a', 'c', 'g']
    )
  }
)

inPeers(2, 'history: stamps that fall in a log do not change its order', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  const log = new TreeWriter(other.core)
  for (const [key, ms] of [
    ['a', 9000],
    ['b', 1000],
    ['c', 9500]
  ] as const) {
    await log.append([{ key: dbKey(key), value: entryOf(key, { ms }) }])
  }
  one.hide(other)
  peers.time = 5000
  await one.db.put('k', 1)
  one.show(other)
  assert.equal(await shortHistory(one.db), ['k1', 'aa', 'bb', 'cc'])
  assert.equal(await shortHistory(one.db, { reverse: true }), ['cc', 'k1', 'bb', 'aa'])
})

inPeers(1, 'history: a bad block is counted', async (peers) => {
  const { core } = peers.at(0)
  await core.append(new Uint8Array([1, 2, 3]))
  await core.append(forgeLeaf(1, ['d']))
  const refusals = new Refusals()
  const union = new Union({
    writers: new WriterList([core.key]),
    refusals,
    async openLog(key, onchange) {
      const session = peers.store.corestore.get({ key })
      await session.ready()
      return new LogReader(session, onchange)
    }
  })
  const options = { range: {}, since: [], live: false, limit: Infinity, read: {} }
  const history = new History(union, refusals, await union.view(), options)
  assert.is((await collect(iterate(history))).length, 1)
  const counted = refusals.list().map(({ reason, count, seq }) => [reason, count, seq])
  assert.equal(counted, [['malformed-block', 1, 0]])
  await union.close()
})

test('history: a live stream ends with its database, whenever that closes', async () => {
  const moments = ['before its first read', 'while it opens', 'while it waits'] as const
  for (const moment of moments) {
    const two = await openTwoDevices()
    await two.spaceA.db.put('a', 1)
    const stream = two.spaceA.db.createHistoryStream({ live: true })
    if (moment === 'while it waits') assert.is((await stream.next()).value?.key, 'a')
    if (moment === 'before its first read') await two.spaceA.close()
    const next = stream.next()
    await two.spaceA.close()
    const { done } = await within(5000, next)
    if (moment !== 'while it opens') assert.is(done, true, moment)
    else if (done !== true) assert.is((await within(5000, stream.next())).done, true, moment)
    const late = two.spaceA.db.createHistoryStream({ live: true })
    await rejectsWith('BEE_CLOSED', () => late.next())
    await two.close()
  }
})

test('history: what cannot be asked for is refused at once', async () => {
  await Peers.with(1, async (peers) => {
    const { db } = peers.at(0)
    const wrong: [object, RegExp][] = [
      [{ live: 1 }, /live/],
      [{ live: true, reverse: true }, /live/],
      [{ limit: -1 }, /limit/],
      [{ since: 7 }, /version/],
      [{ sinse: 'x' }, /sinse/],
      [{ gt: 'a', gte: 'a' }, /gt/]
    ]
    for (const [options, message] of wrong) {
      await rejectsWith('INVALID_ARGUMENT', () => db.createHistoryStream(options), message)
    }
    await rejectsWith('VERSION_INVALID', () => db.createHistoryStream({ since: 'x' }))
    const live = () => db.snapshot().createHistoryStream({ live: true })
    await rejectsWith('INVALID_ARGUMENT', live, /live/)
    await db.close()
    await rejectsWith('BEE_CLOSED', () => collect(db.createHistoryStream()))
  })
})

test('history: a sparse reader fetches what it shows, and says when it cannot', async () => {
  const two = await openTwoDevices({ sparse: true })
  try {
    const { spaceA, spaceB } = two
    const cut = two.connect()
    for (let i = 0; i < 20; i++) await spaceA.db.put(`${i}`, i)
    await until(async () => (await spaceB.db.get('19')) !== null)
    assert.equal(await shortHistory(spaceB.db, { reverse: true, limit: 2 }), ['1919', '1818'])
    cut()
    await rejectsWith('BLOCK_UNAVAILABLE', () => shortHistory(spaceB.db, { wait: false }))
    await rejectsWith('BLOCK_UNAVAILABLE', () => shortHistory(spaceB.db, { timeout: 20 }))
  } finally {
    await two.close()
  }
})

inPeers(
  1,
  'history: a batch of very many blocks comes in parts, all of it once',
  async (peers: Peers) => {
    const { db }: Peer = peers.at(0)
    const batch = db.batch()
    const names = Array.from({ length: 4200 }, (_, i) => `key ${String(i).padStart(5, '0')}`)
    const value = 'x'.repeat(9000)
    for (const name of names) batch.put(name, value)
    await batch.flush()
    assert.ok(peers.at(0).core.length > 4096, `${peers.at(0).core.length} blocks`)
    const keys = (await collect(db.createHistoryStream())).map(({ key }) => key)
    assert.equal(keys.sort(), names)
  }
)

test.run()
