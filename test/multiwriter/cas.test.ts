/** Compare-and-set: decided in its turn against what this device sees, and told when it loses after all. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { stampToText, type Value } from '../../index.ts'
import type { Entry, MultiBee } from '../../multiwriter/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { MAX_WATCHED_WRITES } from '../../multiwriter/cas-losses.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { until } from '../support/devices.ts'
import { dbKey, entryOf } from '../support/forge.ts'
import { Peers, type Peer } from '../support/peers.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'

type Previous = Entry<string, Value> | null

const peers = await Peers.open(2)
const [a, b] = [peers.at(0), peers.at(1)]
let count = 0
const fresh = (): MultiBee => a.db.sub(`cas-${count++}`)

test.after(() => peers.close())

const absent = (previous: Previous) => previous === null
const yes = () => true
const no = () => false

async function valueOf(db: MultiBee, key: string): Promise<Value | undefined> {
  return (await db.get(key))?.value
}

test('cas: a put is written when it says yes, and not when it says no', async () => {
  const db = fresh()
  assert.is(await db.put('k', 1, { cas: absent }), true)
  const { length } = a.core
  assert.is(await db.put('k', 2, { cas: absent }), false)
  assert.is(await valueOf(db, 'k'), 1)
  assert.is(a.core.length, length, 'nothing was appended')
})

test('cas: without one, put and del say true', async () => {
  const db = fresh()
  assert.is(await db.put('k', 1), true)
  assert.is(await db.del('k'), true)
  assert.is(await db.del('k'), true)
})

test('cas: it is shown the whole entry, and what would be written', async () => {
  const db = fresh()
  await db.put('k', 1)
  const there = await db.get('k')
  const seen: unknown[] = []
  const look = (...shown: unknown[]) => seen.push(...shown) > 0
  await db.put('k', 2, { cas: look })
  assert.equal(seen.splice(0), [there, { type: 'put', key: 'k', value: 2 }])
  await db.del('k', { cas: look })
  assert.equal(seen[1], { type: 'del', key: 'k', value: null })
})

test('cas: a deletion may be refused too', async () => {
  const db = fresh()
  await db.put('k', 1)
  assert.is(await db.del('k', { cas: no }), false)
  assert.is(await valueOf(db, 'k'), 1)
  assert.is(await db.del('k', { cas: (previous) => previous?.value === 1 }), true)
  assert.is(await db.get('k'), null)
  assert.is(await db.del('k', { cas: (previous) => previous !== null }), false)
})

test('cas: it sees what was put before it in the same turn', async () => {
  const db = fresh()
  const outcomes = await Promise.all([
    db.put('k', 1),
    db.put('k', 2, { cas: (previous) => previous?.value === 1 }),
    db.put('k', 3, { cas: (previous) => previous?.value === 1 }),
    db.del('k', { cas: (previous) => previous?.value === 2 }),
    db.put('k', 4, { cas: absent })
  ])
  assert.equal(outcomes, [true, true, false, true, true])
  assert.is(await valueOf(db, 'k'), 4)
})

test('cas: an entry of the same turn is the one that is then written', async () => {
  const db = fresh()
  let shown: Previous = null
  const cas = (previous: Previous) => {
    shown = previous
    return false
  }
  await Promise.all([db.put('k', 1), db.put('k', 2, { cas })])
  assert.equal(plain(shown), plain(await db.get('k')))
})

/** Stamps as text: their tags may be Buffers. */
function plain(entry: Previous): unknown {
  return entry === null ? null : { ...entry, stamp: stampToText(entry.stamp) }
}

test('cas: of many who put if absent in one turn, one does', async () => {
  const db = fresh()
  const puts = Array.from({ length: 50 }, (_, i) => db.put('lock', i, { cas: absent }))
  assert.equal((await Promise.all(puts)).filter(Boolean).length, 1)
  assert.is(await valueOf(db, 'lock'), 0)
})

test('cas: optimistic increments lose none', async () => {
  const db = fresh()
  await db.put('n', 0)
  await Promise.all(Array.from({ length: 20 }, () => increment(db)))
  assert.is(await valueOf(db, 'n'), 20)
})

async function increment(db: MultiBee): Promise<void> {
  for (;;) {
    const there = await db.get('n')
    const cas = (previous: Previous) => previous?.value === there?.value
    if (await db.put('n', Number(there?.value) + 1, { cas })) return
  }
}

test('cas: a callback that throws rejects its own call only', async () => {
  const db = fresh()
  const fail = () => {
    throw new RangeError('mine')
  }
  const [before, failed, after] = await Promise.allSettled([
    db.put('a', 1),
    db.put('b', 1, { cas: fail }),
    db.put('c', 1, { cas: absent })
  ])
  assert.equal([before.status, failed.status, after.status], ['fulfilled', 'rejected', 'fulfilled'])
  assert.instance(failed.status === 'rejected' && failed.reason, RangeError)
  assert.equal(await collectKeys(db.createReadStream()), ['a', 'c'])
})

test('cas: an answer that is no boolean is refused, a promise above all', async () => {
  const db = fresh()
  const late = (() => Promise.resolve(false)) as unknown as () => boolean
  await rejectsWith('INVALID_ARGUMENT', () => db.put('k', 1, { cas: late }), /cas/)
  await rejectsWith('INVALID_ARGUMENT', () => db.put('k', 1, { cas: true as never }), /cas/)
  await rejectsWith('INVALID_ARGUMENT', () => db.put('k', 1, { case: yes } as never), /case/)
  assert.is(await db.get('k'), null)
})

test('cas: it is asked in the encodings of its database', async () => {
  const db = fresh().sub('codes', {
    valueEncoding: {
      encode: (value: number) => `#${value}`,
      decode: (value) => Number(typeof value === 'string' ? value.slice(1) : NaN)
    }
  })
  await db.put('k', 41)
  assert.ok(
    await db.put('k', 42, { cas: (previous, next) => next.value === Number(previous?.value) + 1 })
  )
  assert.is((await db.get('k'))?.value, 42)
})

test('cas: what only a newer version can read is not taken for absent', async () => {
  await Peers.with(2, async (own) => {
    const entry = entryOf('new')
    entry[1] = 9 // the type
    await new TreeWriter(own.at(1).core).append([{ key: dbKey('k'), value: entry }])
    const { db } = own.at(0)
    await until(async () => (await db.get('k').catch(() => 'unsupported')) !== null)
    await rejectsWith('ENTRY_UNSUPPORTED', () => db.put('k', 1, { cas: absent }))
  })
})

test('cas: when the group cannot be written, nobody is told of a refusal that rests on it', async () => {
  await Peers.with(1, async (own) => {
    const { db, own: session } = own.at(0)
    await db.put('other', 1)
    await session.close()
    const outcomes = await Promise.allSettled([db.put('k', 1), db.put('k', 2, { cas: absent })])
    assert.equal(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected']
    )
  })
})

test('batch: one refused cas refuses all of it', async () => {
  const db = fresh()
  await db.put('full', 10)
  const { length } = a.core
  const enough = (previous: Previous) => Number(previous?.value) >= 20
  const transfer = db.batch().put('full', 0, { cas: enough }).put('empty', 20)
  assert.is(await transfer.flush(), false)
  assert.is(a.core.length, length)
  assert.equal(await collectKeys(db.createReadStream()), ['full'])
})

test('batch: its operations see those before them, and not those of a refused batch', async () => {
  const db = fresh()
  const refused = db.batch().put('k', 1).put('k', 2, { cas: absent })
  const taken = db
    .batch()
    .put('k', 3, { cas: absent })
    .put('k', 4, { cas: (previous) => previous?.value === 3 })
    .del('j', { cas: absent })
  assert.equal(await Promise.all([refused.flush(), taken.flush()]), [false, true])
  assert.is(await valueOf(db, 'k'), 4)
  assert.is(await db.batch().flush(), true, 'an empty one')
})

test('cas: random groups give what one after the other would', async () => {
  for (let seed = 1; seed <= 30; seed++) await compareWithModel(fresh(), seed)
})

interface Step {
  readonly key: string
  readonly value: number | null
  /** What it expects to find; undefined: anything. */
  readonly expected: Value | undefined
}

async function compareWithModel(db: MultiBee, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const model = new Map<string, number>()
  for (let round = 0; round < 5; round++) {
    const calls = Array.from({ length: 8 }, () =>
      Array.from({ length: 1 + random.below(3) }, (): Step => {
        const key = 'abc'[random.below(3)] ?? ''
        const value = random.below(4) === 0 ? null : random.below(4)
        const expected = [undefined, undefined, null, 0, 1, 2][random.below(6)]
        return { key, value, expected }
      })
    )
    const outcomes = await Promise.all(calls.map((steps) => flush(db, steps)))
    assert.equal(
      outcomes,
      calls.map((steps) => applyTo(model, steps)),
      `seed ${seed}`
    )
    const entries = await collect(db.createReadStream())
    assert.equal(
      entries.map(({ key, value }) => [key, value]),
      [...model].sort(([one], [other]) => (one < other ? -1 : 1)),
      `seed ${seed}`
    )
  }
}

function flush(db: MultiBee, steps: readonly Step[]): Promise<boolean> {
  const batch = db.batch()
  for (const { key, value, expected } of steps) {
    const cas = (previous: Previous) => (previous?.value ?? null) === expected
    const options = expected === undefined ? {} : { cas }
    if (value === null) batch.del(key, options)
    else batch.put(key, value, options)
  }
  return batch.flush()
}

function applyTo(model: Map<string, number>, steps: readonly Step[]): boolean {
  const draft = new Map(model)
  for (const { key, value, expected } of steps) {
    if (expected !== undefined && (draft.get(key) ?? null) !== expected) return false
    if (value === null) draft.delete(key)
    else draft.set(key, value)
  }
  model.clear()
  for (const [key, value] of draft) model.set(key, value)
  return true
}

test('batch: it reads as it would be written', async () => {
  const db = fresh()
  await Promise.all([db.put('a', 1), db.put('b', 2), db.put('d', 4)])
  const batch = db.batch().put('b', 20).del('a').put('c', 30).put('d', 40, { cas: no })
  assert.is(batch.length, 4)
  assert.is((await batch.get('b'))?.value, 20)
  assert.is(await batch.get('a'), null)
  assert.is((await batch.get('d'))?.value, 4, 'what its cas refuses is passed over')
  const values = async (options = {}) =>
    (await collect(batch.createReadStream(options))).map(
      ({ key, value }) => `${key}${JSON.stringify(value)}`
    )
  assert.equal(await values(), ['b20', 'c30', 'd4'])
  assert.equal(await values({ reverse: true, lt: 'd', limit: 1 }), ['c30'])
  assert.is((await batch.peek({ gt: 'b' }))?.value, 30)
  assert.equal(await collectKeys(db.createReadStream()), ['a', 'b', 'd'], 'nothing is written yet')
  batch.close()
  assert.is((await batch.get('a'))?.value, 1, 'closed, it reads the database')
})

test('cas: conflicts are shown, and a write settles them', async () => {
  await inConflict(async (key) => {
    const entry = await a.db.get(key)
    assert.is(entry?.conflicts.length, 1)
    const isSame = (previous: Previous) => previous?.conflicts.length === entry?.conflicts.length
    assert.ok(await a.db.put(key, 'settled', { cas: isSame }))
    assert.equal((await a.db.get(key))?.conflicts, [])
  })
})

async function inConflict(run: (key: string) => Promise<void>): Promise<void> {
  const key = `conflict ${count++}`
  apart()
  await a.db.put(key, 'a')
  await b.db.put(key, 'b')
  together()
  await run(key)
}

function apart(): void {
  a.hide(b)
  b.hide(a)
}

function together(): void {
  a.show(b)
  b.show(a)
}

interface Loss {
  readonly key: string
  readonly value: Value | null
  readonly winner: Entry<string, Value> | null
}

function losses({ db }: { readonly db: MultiBee }): Loss[] {
  const seen: Loss[] = []
  db.events.on('cas-lost', (loss) => seen.push(loss))
  return seen
}

/** Everything that a change leads to has been done. */
async function settled({ db }: Peer): Promise<void> {
  // Two writes with cas: each is looked at after what came before it.
  for (let i = 0; i < 2; i++) await db.put('settled', i, { cas: yes })
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

test('cas-lost: told once, with the winner, when a write that had not seen ours wins', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    const lost = losses(one)
    one.hide(other)
    other.hide(one)
    await one.db.put('k', 'mine', { cas: absent })
    await other.db.put('k', 'later')
    one.show(other)
    await until(() => lost.length > 0)
    assert.equal(lost, [{ key: 'k', path: [], value: 'mine', winner: await one.db.get('k') }])
    assert.is(lost[0]?.winner?.value, 'later')
    await other.db.put('k', 'again')
    await settled(one)
    assert.is(lost.length, 1)
  })
})

test('cas-lost: not told to the winner, nor of a plain put', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    const [mine, theirs] = [losses(one), losses(other)]
    one.hide(other)
    other.hide(one)
    await one.db.put('k', 1, { cas: yes })
    await one.db.put('plain', 1)
    await other.db.put('plain', 2)
    await other.db.put('k', 2, { cas: yes })
    one.show(other)
    other.show(one)
    await until(() => mine.length > 0)
    await settled(other)
    assert.equal([mine.map(({ key }) => key), theirs], [['k'], []])
  })
})

test('cas-lost: not told when a write that has seen ours replaces it', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    const lost = losses(one)
    await one.db.put('k', 1, { cas: absent })
    assert.is(await valueOf(other.db, 'k'), 1)
    await other.db.put('k', 2)
    await until(async () => (await valueOf(one.db, 'k')) === 2)
    await settled(one)
    assert.equal(lost, [])
  })
})

test('cas-lost: not told of a write that we had replaced ourselves before the other came', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    const lost = losses(one)
    one.hide(other)
    other.hide(one)
    await one.db.put('k', 1, { cas: absent })
    await one.db.put('k', 2)
    await other.db.put('k', 3)
    one.show(other)
    await until(async () => (await valueOf(one.db, 'k')) === 3)
    await settled(one)
    assert.equal(lost, [])
  })
})

test('cas-lost: a deletion loses against a put that had not seen it', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    await one.db.put('k', 1)
    assert.is(await valueOf(other.db, 'k'), 1)
    const lost = losses(one)
    one.hide(other)
    other.hide(one)
    await other.db.put('k', 2)
    await one.db.del('k', { cas: yes })
    one.show(other)
    await until(() => lost.length > 0)
    assert.is(lost[0]?.value, null)
    assert.is(lost[0]?.winner?.value, 2)
  })
})

test('cas-lost: told to the database whose key it is, in its encodings', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    const [outer, inner] = [losses(one), losses({ db: one.db.sub('x') })]
    one.hide(other)
    other.hide(one)
    await one.db.sub('x').put('k', 1, { cas: yes })
    await other.db.sub('x').put('k', 2)
    one.show(other)
    await until(() => inner.length > 0)
    assert.equal([outer.length, inner[0]?.key, inner[0]?.value], [0, 'k', 1])
  })
})

test('cas-lost: beyond 10,000 watched writes the oldest are forgotten', async () => {
  await Peers.with(2, async (own) => {
    const [one, other] = [own.at(0), own.at(1)]
    const lost = losses(one)
    one.hide(other)
    other.hide(one)
    const names = Array.from({ length: MAX_WATCHED_WRITES + 1 }, (_, i) => `key ${i}`)
    for (const name of names) void one.db.put(name, 1, { cas: yes })
    await one.db.put('last', 1)
    await Promise.all([other.db.put('key 0', 2), other.db.put('key 1', 2)])
    one.show(other)
    await until(() => lost.length > 0)
    await settled(one)
    assert.equal(
      lost.map(({ key }) => key),
      ['key 1']
    )
  })
})

test.run()
