/** Values that merge, through the whole stack: what devices write apart comes together, and nothing is lost without a word. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { defineMergeType, encodeEntry, encodeValue } from '../../crdt/index.ts'
import type { Entry, MultiBee } from '../../multiwriter/index.ts'
import type { Value } from '../../index.ts'
import { OwnLog } from '../../core/index.ts'
import { collect } from '../support/collect.ts'
import { cpuTime } from '../support/cpu-time.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { Peers, type Peer } from '../support/peers.ts'
import { rejectsWith } from '../support/rejects.ts'
import { within } from '../support/within.ts'

const NO_GUARD = {
  before() {},
  after: async () => {},
  beforeClear: async () => {},
  explain: async (error: unknown) => error
}

function inPeers(count: number, title: string, run: (peers: Peers) => Promise<void>): void {
  test(title, () => Peers.with(count, (peers) => within(30_000, run(peers))))
}

/** Runs with neither seeing what the other writes from now on; then they see it. */
async function apart(one: Peer, other: Peer, run: () => Promise<unknown>): Promise<void> {
  one.writers.seal(other.core.key, other.core.length)
  other.writers.seal(one.core.key, one.core.length)
  await run()
  one.show(other)
  other.show(one)
}

async function same(peers: readonly Peer[], key: string): Promise<Entry<string, Value> | null> {
  const [first, ...rest] = await Promise.all(peers.map(({ db }) => db.get(key)))
  for (const entry of rest) assert.equal(entry, first)
  return first ?? null
}

inPeers(2, 'fields: two devices that edit different fields both win', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.put('ann', { phone: '1', city: 'Ulm', address: { street: 'A', zip: '1' } })
  await apart(one, other, async () => {
    await one.db.put('ann', { phone: '2', city: 'Ulm', address: { street: 'A', zip: '2' } })
    await other.db.patch('ann', { city: 'Rome', address: { street: 'B' }, age: 7 })
  })
  const entry = await same([one, other], 'ann')
  assert.equal(entry?.value, {
    phone: '2',
    city: 'Rome',
    address: { street: 'B', zip: '2' },
    age: 7
  })
  assert.equal(entry?.conflicts, [])
})

inPeers(
  2,
  'fields: one field written twice shows one value, and the other as its conflict',
  async (peers) => {
    const [one, other] = [peers.at(0), peers.at(1)]
    await one.db.put('ann', { phone: '1', city: 'Ulm' })
    await apart(one, other, async () => {
      await one.db.patch('ann', { phone: '2' })
      await other.db.patch('ann', { phone: '3', city: 'Rome' })
    })
    const entry = await same([one, other], 'ann')
    assert.equal(entry?.value, { phone: '3', city: 'Rome' })
    const [conflict, ...more] = entry?.conflicts ?? []
    assert.equal([conflict?.path, conflict?.value, conflict?.deleted], [['phone'], '2', false])
    assert.equal([conflict?.writer, more.length], [z32.encode(one.core.key), 0])
    assert.equal(
      (await collect(one.db.conflicts())).map(({ key }) => key),
      ['ann']
    )

    await one.db.resolve('ann', { phone: '3', city: 'Rome' })
    assert.equal((await same([one, other], 'ann'))?.conflicts, [])
  }
)

inPeers(
  2,
  'fields: a field deleted by one and edited by the other is kept, or by choice is not',
  async (peers) => {
    const [one, other] = [peers.at(0), peers.at(1)]
    const strict = (peer: Peer) => peer.db.sub('strict', { deletes: 'delete-wins' })
    for (const database of [(peer: Peer): MultiBee => peer.db, strict]) {
      await database(one).put('k', { a: 1, b: 1 })
      await apart(one, other, async () => {
        await database(other).patch('k', { a: 2 })
        await database(one).patch('k', { a: undefined })
      })
    }
    const kept = await same([one, other], 'k')
    assert.equal(kept?.value, { a: 2, b: 1 })
    assert.equal(
      kept?.conflicts.map(({ path, deleted }) => [path, deleted]),
      [[['a'], true]]
    )
    for (const peer of [one, other]) {
      const gone = await strict(peer).get('k')
      assert.equal(gone?.value, { b: 1 })
      assert.equal(
        gone?.conflicts.map(({ path, value }) => [path, value]),
        [[['a'], 2]]
      )
      assert.is((await strict(peer).why('k')).fields[0]?.rule, 'deletion-beats-edit')
    }
  }
)

inPeers(2, 'put: only what differs from its base is written', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.put('k', { a: 1, b: 1, c: 1 })
  const base = (await one.db.get('k'))?.value ?? null
  await other.db.patch('k', { b: 2 })
  // The form was opened before the other device wrote, and saved after.
  await one.db.put('k', { a: 9, b: 1 }, { base })
  const entry = await same([one, other], 'k')
  assert.equal([entry?.value, entry?.conflicts], [{ a: 9, b: 2 }, []])
  await one.db.put('k', { a: 9 })
  assert.equal((await same([one, other], 'k'))?.value, { a: 9 })
})

inPeers(2, 'update: reads and writes in one go, whatever is issued around it', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  const plusOne = (value: Value | null) => (typeof value === 'number' ? value : 0) + 1
  await Promise.all(Array.from({ length: 50 }, () => one.db.update('n', plusOne)))
  assert.is((await other.db.get('n'))?.value, 50)
  assert.is(await one.db.update('n', () => undefined), false)
  assert.is((await one.db.get('n'))?.value, 50)
  await rejectsWith('INVALID_ARGUMENT', () => one.db.update('n', 3 as never))
  const fails = one.db.update('n', () => {
    throw new RangeError('no')
  })
  assert.instance(await fails.catch((error: unknown) => error), RangeError)
  assert.is(await one.db.update('n', plusOne), true)
})

inPeers(
  3,
  'counter: nobody loses an increment, and a deletion takes what it had seen',
  async (peers) => {
    const all = [peers.at(0), peers.at(1), peers.at(2)]
    const [one, other, third] = all as [Peer, Peer, Peer]
    await one.db.counter('n').add(3)
    await apart(one, other, async () => {
      await one.db.counter('n').add()
      await other.db.counter('n').add(10)
    })
    await third.db.counter('n').add(-4)
    for (const { db } of all) assert.is(await db.counter('n').get(), 10)
    assert.is((await one.db.get('n'))?.value, 10)
    await apart(one, other, async () => {
      await one.db.del('n')
      await other.db.counter('n').add(5)
    })
    for (const { db } of all) assert.is(await db.counter('n').get(), 5)
    await rejectsWith('INVALID_ARGUMENT', () => one.db.counter('n').add(NaN))
    assert.is(await one.db.counter('never').get(), 0)
  }
)

inPeers(2, 'set: an addition outlives a removal that had not seen it', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  const tags = (peer: Peer) => peer.db.set<string>('tags')
  await tags(one).add('a')
  await tags(one).add('b')
  await apart(one, other, async () => {
    await tags(one).delete('a')
    await tags(one).delete('b')
    await tags(other).add('a')
    await tags(other).add('c')
  })
  for (const peer of [one, other]) {
    assert.equal([...(await tags(peer).values())].sort(), ['a', 'c'])
    assert.is(await tags(peer).has('a'), true)
    assert.is(await tags(peer).has('b'), false)
  }
  await rejectsWith('VALUE_INVALID', () => tags(one).add((() => 1) as never))
})

inPeers(2, 'flag, max and min: enabling wins, the extremes of all stay', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.flag('on').enable()
  await apart(one, other, async () => {
    await one.db.flag('on').disable()
    await other.db.flag('on').enable()
    await one.db.max('high').add(3)
    await other.db.max('high').add(7)
    await one.db.min('low').add(3)
    await other.db.min('low').add(7)
  })
  for (const { db } of [one, other]) {
    assert.is(await db.flag('on').get(), true)
    assert.is(await db.max('high').get(), 7)
    assert.is(await db.min('low').get(), 3)
    assert.is(await db.max('none').get(), null)
  }
  await one.db.flag('on').disable()
  assert.is(await other.db.flag('on').get(), false)
})

const votes = defineMergeType({
  name: 'example/votes',
  codec: {
    encode: (vote: string) => new TextEncoder().encode(vote),
    decode: (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  },
  write: (own: string | null, _others, vote: string) => (vote === own ? null : vote),
  fold: (said) => said.map(({ state }) => state).sort()
})

inPeers(2, 'typed: a merge type of the user folds what all devices say', async (peers) => {
  const polls = (peer: Peer) => peer.db.sub('polls', { types: [votes] })
  const [one, other] = [peers.at(0), peers.at(1)]
  await apart(one, other, async () => {
    await polls(one).typed('lunch', votes).apply('pizza')
    await polls(other).typed('lunch', votes).apply('soup')
  })
  for (const peer of [one, other]) {
    assert.equal(await polls(peer).typed('lunch', votes).get(), ['pizza', 'soup'])
    assert.equal((await polls(peer).get('lunch'))?.value, ['pizza', 'soup'])
  }
  await rejectsWith('INVALID_ARGUMENT', () => one.db.typed('lunch', votes).apply('x'))
  await rejectsWith('INVALID_ARGUMENT', () => one.db.sub('polls', { types: [] }), /types/)
})

inPeers(2, 'batch: patches, counters and sets of one batch are written together', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.put('ann', { a: 1 })
  const before = one.core.length
  const batch = one.db.batch()
  batch.patch('ann', { b: 2 }).patch('ann', { c: 3 })
  batch.counter('n').add(2)
  batch.counter('n').add(3)
  batch.set('tags').add('x')
  assert.is(await batch.counter('n').get(), 5)
  assert.equal((await batch.get('ann'))?.value, { a: 1, b: 2, c: 3 })
  assert.is(one.core.length, before)
  await batch.flush()
  assert.equal((await other.db.get('ann'))?.value, { a: 1, b: 2, c: 3 })
  assert.is(await other.db.counter('n').get(), 5)
  const stamps = await Promise.all(['ann', 'n', 'tags'].map((key) => one.db.get(key)))
  assert.is(new Set(stamps.map((entry) => JSON.stringify(entry?.stamp))).size, 1)
})

inPeers(2, 'cas: asks about the merged value, and is told what a patch comes to', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.put('k', { a: 1 })
  await other.db.patch('k', { b: 2 })
  const asked: unknown[] = []
  const written = await one.db.patch(
    'k',
    { a: 3 },
    {
      cas: (previous, next) => {
        asked.push([previous?.value, next.value])
        return true
      }
    }
  )
  assert.ok(written)
  assert.equal(asked, [
    [
      { a: 1, b: 2 },
      { a: 3, b: 2 }
    ]
  ])
  assert.not(await one.db.patch('k', { a: 4 }, { cas: () => false }))
  assert.equal((await other.db.get('k'))?.value, { a: 3, b: 2 })
})

inPeers(2, 'cas-lost: tells the field that lost', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  await one.db.put('k', { a: 1, b: 1 })
  const lost: unknown[] = []
  one.db.events.on('cas-lost', ({ key, path, value }) => lost.push([key, path, value]))
  await apart(one, other, async () => {
    await one.db.patch('k', { a: 2, b: 2 }, { cas: () => true })
    await other.db.patch('k', { a: 3 })
  })
  await until(() => lost.length > 0)
  assert.equal(lost, [['k', ['a'], 2]])
})

inPeers(2, 'conflict: told once per conflict, to who listens', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  const told: unknown[] = []
  await one.db.put('k', { a: 1, b: 1 })
  one.db.events.on('conflict', ({ key, entry }) =>
    told.push([key, entry.conflicts.map(({ path }) => path.join('.'))])
  )
  await one.db.get('k')
  await apart(one, other, async () => {
    await one.db.patch('k', { a: 2 })
    await other.db.patch('k', { a: 3 })
  })
  await until(() => told.length > 0)
  assert.equal(told, [['k', ['a']]])
  await one.db.put('elsewhere', 1)
  await other.db.patch('k', { b: 5 })
  await apart(one, other, async () => {
    await one.db.patch('k', { b: 6 })
    await other.db.patch('k', { b: 7 })
  })
  await until(() => told.length > 1)
  assert.equal(told.slice(1), [['k', ['a', 'b']]])
})

inPeers(2, 'register: objects of such a sub-database do not merge', async (peers) => {
  const [one, other] = [peers.at(0), peers.at(1)]
  const db = (peer: Peer) => peer.db.sub('whole', { type: 'register' })
  await db(one).put('k', { a: 1, b: 1 })
  await apart(one, other, async () => {
    await db(one).put('k', { a: 2, b: 1 })
    await db(other).patch('k', { b: 2 })
  })
  const entry = await db(one).get('k')
  assert.equal(entry?.value, { a: 1, b: 2 })
  assert.equal(
    entry?.conflicts.map(({ path, value }) => [path, value]),
    [[[], { a: 2, b: 1 }]]
  )
  await rejectsWith('INVALID_ARGUMENT', () => db(one).put('k', {}, { base: null }), /base/)
  await rejectsWith('INVALID_ARGUMENT', () => one.db.sub('x', { type: 'set' as never }), /type/)
})

inPeers(
  2,
  'old entries: an object written as one whole reads as it did, and can be patched',
  async (peers) => {
    const stamp = { ms: 1, counter: 0, tag: new Uint8Array(8) }
    const value = encodeValue({ a: 1, b: { c: 2 } })
    const key = new Uint8Array([0x10, 0, 0x6b])
    await new OwnLog(peers.at(0).own, NO_GUARD).append([
      { key, value: encodeEntry({ position: null, stamp, seen: [], value }) }
    ])
    await peers.reopen(0)
    const [one, other] = [peers.at(0), peers.at(1)]
    assert.equal((await same([one, other], 'k'))?.value, { a: 1, b: { c: 2 } })
    await other.db.patch('k', { b: { d: 3 } })
    await one.db.patch('k', { a: 9 })
    const entry = await same([one, other], 'k')
    assert.equal([entry?.value, entry?.conflicts], [{ a: 9, b: { c: 2, d: 3 } }, []])
  }
)

inPeers(1, 'bad input: is told at once, and writes nothing', async (peers) => {
  const { db, core } = peers.at(0)
  await db.put('k', { a: 1 })
  const { length } = core
  await rejectsWith('VALUE_INVALID', () => db.patch('k', 'text' as never))
  await rejectsWith('VALUE_INVALID', () => db.patch('k', { a: (() => 1) as never }))
  await rejectsWith('VALUE_INVALID', () => db.patch('k', new Date() as never))
  await rejectsWith('INVALID_ARGUMENT', () => db.patch('k', {}, { base: 1 } as never))
  await rejectsWith('INVALID_ARGUMENT', () => db.sub('x', { deletes: 'never' as never }))
  await rejectsWith('INVALID_ARGUMENT', () => db.sub('x', { types: 1 as never }))
  const bytes = db.sub('bytes', { valueEncoding: 'binary' })
  await rejectsWith('INVALID_ARGUMENT', () => bytes.patch('k', {} as never))
  await rejectsWith('INVALID_ARGUMENT', () => bytes.counter('k').add(1))
  assert.is(core.length, length)
  const patch = { a: { deep: [1] } }
  const patched = db.patch('k', patch)
  patch.a.deep.push(2)
  await patched
  assert.equal((await db.get('k'))?.value, { a: { deep: [1] } })
})

inPeers(
  2,
  'size: what a key has grown to is refused before readers would refuse the log',
  async (peers) => {
    const [one, other] = [peers.at(0), peers.at(1)]
    const long = 'x'.repeat(3 * 1024 * 1024)
    await one.db.patch('grown', { a: long })
    await one.db.set<string>('set').add(long)
    const issued = [
      rejectsWith('VALUE_TOO_LARGE', () => one.db.patch('grown', { b: long }), /at one key/),
      rejectsWith('VALUE_TOO_LARGE', () => one.db.set<string>('set').add(`${long}!`)),
      // Every field repeats the names around it.
      rejectsWith('VALUE_TOO_LARGE', () => one.db.put('names', { [long]: { a: 1, b: 2, c: 3 } })),
      one.db.put('in the same group', 1)
    ]
    await Promise.all(issued)
    await one.db.put('later', 1)
    assert.equal((await same([one, other], 'later'))?.value, 1)
    assert.equal((await same([one, other], 'in the same group'))?.value, 1)
    assert.equal((await same([one, other], 'grown'))?.value, { a: long })
    assert.is(await one.db.get('names'), null)
  }
)

inPeers(1, 'sets: thousands are added and deleted in one batch', async (peers) => {
  const { db } = peers.at(0)
  const batch = db.batch()
  for (let i = 0; i < 4000; i++) batch.set<number>('s').add(i)
  for (let i = 0; i < 4000; i += 2) batch.set<number>('s').delete(i)
  const start = cpuTime()
  await batch.flush()
  // Some 500 ms; with a name for every dot at every step it took more than 15 s.
  const took = cpuTime() - start
  assert.ok(took < 8000, `${took} ms`)
  assert.is((await db.set<number>('s').values()).length, 2000)
})

const plain = {
  name: 'example/plain',
  codec: { encode: (state: Uint8Array) => state, decode: (bytes: Uint8Array) => bytes },
  write: (_own: unknown, _others: unknown, state: Uint8Array) => state,
  fold: () => 1
}

test('merge types: what is none is refused where it is given', async () => {
  for (const name of ['value', 'counter', 'set', 'flag', 'max', 'min', 'named', 'unknown']) {
    await rejectsWith('INVALID_ARGUMENT', () => defineMergeType({ ...plain, name }), /"name"/)
  }
  await Peers.with(1, async (peers) => {
    const { db } = peers.at(0)
    const half = { ...plain, fold: undefined }
    for (const type of [undefined, null, 3, 'text', {}, half]) {
      const types = [type] as unknown as (typeof plain)[]
      await rejectsWith('INVALID_ARGUMENT', () => db.sub('a', { types }))
    }
    const none = undefined as unknown as typeof plain
    await rejectsWith('INVALID_ARGUMENT', () => db.typed('a', none), /"type"/)
  })
})

inPeers(1, 'merge types: a codec that fails refuses its own write alone', async (peers) => {
  const { db } = peers.at(0)
  const text = defineMergeType({
    ...plain,
    name: 'example/text',
    codec: { ...plain.codec, encode: () => 'text' as unknown as Uint8Array }
  })
  const unreadable = defineMergeType({
    ...plain,
    name: 'example/unreadable',
    codec: { ...plain.codec, decode: () => assert.unreachable('cannot be read') }
  })
  const broken = db.sub('broken', { types: [text, unreadable] })
  const before = await db.version()
  const issued = [
    rejectsWith('INVALID_ARGUMENT', () => broken.typed('a', text).apply(new Uint8Array(1))),
    broken
      .typed('b', unreadable)
      .apply(new Uint8Array(1))
      .then(
        () => assert.unreachable('written'),
        (error: unknown) => assert.match(String(error), /cannot be read/)
      )
  ]
  await Promise.all(issued)
  assert.is(await db.version(), before)
  await Promise.all([
    db.put('beside', 1),
    rejectsWith('INVALID_ARGUMENT', () => broken.typed('a', text).apply(new Uint8Array(1)))
  ])
  assert.is((await db.get('beside'))?.value, 1)
})

test('merge types: one that throws when it folds is refused by its name, and the key can be used', async () => {
  const fussy = defineMergeType({
    ...plain,
    name: 'example/fussy',
    fold: (): Value => {
      throw new Error('cannot be folded')
    }
  })
  const two = await openTwoDevices()
  const polls = two.spaceA.db.sub('polls', { types: [fussy] })
  await polls.typed('a', fussy).apply(new Uint8Array(1))
  assert.is(await polls.get('a'), null)
  const told = two.spaceA.refusals().map(({ reason, type, count }) => ({ reason, type, count }))
  assert.equal(told, [{ reason: 'merge-type-refused', type: 'example/fussy', count: 1 }])
  const { entries } = await polls.why('a')
  assert.is(entries[0]?.refusal, 'merge-type-refused')
  await polls.put('a', 'a text')
  assert.is((await polls.get('a'))?.value, 'a text')
  await two.close()
})

test.run()
