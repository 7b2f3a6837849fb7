/** MultiBee as its user meets it: one device, and two that agree. */
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice, type Value } from '../../index.ts'
import type { MultiBee, StreamOptions } from '../../multiwriter/index.ts'
import { collect, collectKeys, ownLength } from '../support/collect.ts'
import { countCursors } from '../support/cursors.ts'
import { openTwoDevices, tempFolder, until, type TwoDevices } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
const device = await openDevice({ storage: join(folder.path, 'one'), name: 'One' })
const space = await device.createSpace({ name: 'Test' })
let count = 0
/** A fresh database for each test. */
const fresh = (): MultiBee => space.db.sub(`test-${count++}`)

test.after(async () => {
  await device.close()
  await folder.remove()
})

async function withTwo(run: (two: TwoDevices) => Promise<void>): Promise<void> {
  const two = await openTwoDevices()
  try {
    await run(two)
  } finally {
    await two.close()
  }
}

/** Both devices have read all that the other wrote. */
async function converged({ spaceA, spaceB }: TwoDevices): Promise<void> {
  const lengths = (of: TwoDevices['spaceA']) =>
    JSON.stringify(
      of
        .writers()
        .map(({ writer, length }) => `${writer} ${length}`)
        .sort()
    )
  await until(() => spaceA.writers().length === 2 && lengths(spaceA) === lengths(spaceB))
}

test('get: a miss is null, and so is what was deleted', async () => {
  const db = fresh()
  assert.is(await db.get('a'), null)
  await db.put('a', 1)
  await db.del('a')
  assert.is(await db.get('a'), null)
  assert.is(await db.peek(), null)
  assert.equal(await collect(db.createReadStream()), [])
})

test('get: a stored null is an entry, not a miss', async () => {
  const db = fresh()
  await db.put('a', null)
  const entry = await db.get('a')
  assert.is.not(entry, null)
  assert.is(entry?.value, null)
  assert.equal(await collectKeys(db.createReadStream()), ['a'])
})

test('get: an entry tells key, value, writer, block, stamp and conflicts', async () => {
  const db = fresh()
  const before = Date.now()
  await db.put('ann', { phone: '1' })
  const entry = await db.get('ann')
  assert.ok(entry)
  assert.equal(Object.keys(entry).sort(), ['conflicts', 'key', 'seq', 'stamp', 'value', 'writer'])
  assert.is(entry.key, 'ann')
  assert.equal(entry.value, { phone: '1' })
  assert.is(entry.writer, space.writer)
  assert.is(entry.seq, ownLength(space) - 1)
  assert.ok(entry.stamp.ms >= before && entry.stamp.ms <= Date.now())
  assert.equal(entry.conflicts, [])
})

test('every way to read gives the same entry', async () => {
  const db = fresh()
  await db.put('a', { deep: [1, 'x', null] })
  const got = await db.get('a')
  assert.equal(await db.peek(), got)
  assert.equal(await db.peek({ reverse: true }), got)
  assert.equal(await collect(db.createReadStream()), [got])
})

const VALUES: Record<string, Value> = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  negative: -1,
  fraction: 0.1,
  'largest safe integer': Number.MAX_SAFE_INTEGER,
  'smallest safe integer': Number.MIN_SAFE_INTEGER,
  'integer beyond the safe ones': 2 ** 53,
  'integer beyond 64 bits': 2 ** 64,
  'large number': 1.7976931348623157e308,
  'tiny number': 5e-324,
  'empty string': '',
  'string with NUL': 'a\0b',
  emoji: '👪🏽',
  'empty bytes': new Uint8Array(0),
  bytes: new Uint8Array([0, 1, 255]),
  'empty array': [],
  'empty object': {},
  nested: { a: [{ b: { c: [new Uint8Array([1]), null, ''] } }], '': 'empty name' },
  'odd field names': { constructor: 1, toString: 2, hasOwnProperty: 3, length: 4, 'a.b': 5 }
}

for (const [kind, value] of Object.entries(VALUES)) {
  test(`values: ${kind} comes back as it was put`, async () => {
    const db = fresh()
    await db.put('key', value)
    const entry = await db.get('key')
    assert.ok(entry)
    assert.equal(plain(entry.value), plain(value))
  })
}

/** Node reads bytes as Buffers, which are Uint8Arrays. */
function plain(value: Value): unknown {
  if (value instanceof Uint8Array) return { bytes: [...value] }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

test('values: -0 is stored as 0', async () => {
  const db = fresh()
  await db.put('key', -0)
  assert.ok(Object.is((await db.get('key'))?.value, 0))
})

test('values: what is changed after put returned is not what was put', async () => {
  const db = fresh()
  const value = { list: [1], bytes: new Uint8Array([1]) }
  const putting = db.put('key', value)
  value.list.push(2)
  value.bytes[0] = 9
  await putting
  const entry = await db.get('key')
  assert.equal(plain(entry?.value ?? null), { list: [1], bytes: { bytes: [1] } })
})

test('values: up to the limit of 4 MiB, with its neighbours', async () => {
  const db = fresh()
  const big = new Uint8Array(4 * 1024 * 1024 - 5).fill(7)
  await db.batch().put('a', 1).put('b', big).put('c', 2).flush()
  await rejectsWith('VALUE_TOO_LARGE', () => db.put('b', new Uint8Array(big.byteLength + 1)))
  const { value } = (await db.get('b')) ?? {}
  assert.ok(value instanceof Uint8Array && value.byteLength === big.byteLength)
  assert.ok(value.every((byte) => byte === 7))
  assert.equal(await collectKeys(db.createReadStream()), ['a', 'b', 'c'])
})

test('put: the same value again is written again', async () => {
  const db = fresh()
  await db.put('a', 1)
  const first = await db.get('a')
  await db.put('a', 1)
  const second = await db.get('a')
  assert.ok(first && second && second.seq > first.seq)
  assert.equal(await collectKeys(db.createReadStream()), ['a'])
})

test('del: a missing key, twice deleted keys and an empty batch write nothing', async () => {
  const db = fresh()
  await db.put('a', 1)
  await db.del('a')
  const before = ownLength(space)
  await db.del('a')
  await db.del('never there')
  await db.batch().flush()
  await db.batch().del('a').del('b').flush()
  await db.batch().put('b', 1).del('b').flush()
  assert.is(ownLength(space), before)
  assert.is(await db.get('b'), null)
})

test('put: those issued together are written together', async () => {
  const db = fresh()
  const before = ownLength(space)
  await Promise.all(Array.from({ length: 200 }, (_, i) => db.put(`k${i}`, i)))
  assert.ok(ownLength(space) - before < 10)
  assert.is((await collect(db.createReadStream())).length, 200)
})

test('put: of several on one key, issued together, the last stands', async () => {
  const db = fresh()
  await Promise.all([db.put('a', 1), db.del('a'), db.put('a', 2), db.put('b', 1), db.del('b')])
  assert.is((await db.get('a'))?.value, 2)
  assert.is(await db.get('b'), null)
})

test('put: who puts as soon as the last put resolved is never left waiting', async () => {
  const db = fresh()
  const worker = async (name: string) => {
    for (let i = 0; i < 30; i++) await db.put(`${name}${i}`, i)
  }
  await Promise.all(['a', 'b', 'c'].map(worker))
  assert.is((await collect(db.createReadStream())).length, 90)
})

test('batch: is seen whole, in one block, under one stamp', async () => {
  const db = fresh()
  await db.put('c', 0)
  const batch = db.batch().put('a', 1).put('b', 2).del('c')
  assert.equal(await collectKeys(db.createReadStream()), ['c'])
  await batch.flush()
  const entries = await collect(db.createReadStream())
  assert.equal(
    entries.map(({ key, value }) => [key, value]),
    [
      ['a', 1],
      ['b', 2]
    ]
  )
  assert.equal(entries[0]?.stamp, entries[1]?.stamp)
})

test('batch: of several operations on one key the last stands', async () => {
  const db = fresh()
  await db.put('b', 0)
  await db.batch().put('a', 1).put('a', 2).put('b', 1).del('b').del('c').put('c', 3).flush()
  const entries = await collect(db.createReadStream())
  assert.equal(
    entries.map(({ key, value }) => `${key}=${JSON.stringify(value)}`),
    ['a=2', 'c=3']
  )
})

test('batch: is flushed once; used again after flush or close, it refuses', async () => {
  const db = fresh()
  const batch = db.batch().put('a', 1)
  await batch.flush()
  await rejectsWith('INVALID_ARGUMENT', () => batch.put('b', 2), /flushed or closed/)
  await rejectsWith('INVALID_ARGUMENT', () => batch.flush())
  const closed = db.batch().put('c', 3)
  closed.close()
  closed.close()
  await rejectsWith('INVALID_ARGUMENT', () => closed.flush())
  assert.equal(await collectKeys(db.createReadStream()), ['a'])
})

test('batch: thousands of operations are one batch', async () => {
  const db = fresh()
  const batch = db.batch()
  for (let i = 0; i < 5000; i++) batch.put(`k${String(i).padStart(4, '0')}`, i)
  await batch.flush()
  const entries = await collect(db.createReadStream())
  assert.is(entries.length, 5000)
  assert.ok(
    entries.every(({ value, stamp }, i) => value === i && stamp.ms === entries[0]?.stamp.ms)
  )
})

test('keys: utf-8 keys are ordered by code point, not by UTF-16 unit', async () => {
  const db = fresh()
  const keys = ['a', 'a\0', 'a\0b', 'aa', 'é', 'z', '\uffee', '😀', '\u{10ffff}', 'Z', '\u0001']
  keys.sort(byCodePoint)
  await Promise.all(keys.map((key) => db.put(key, key)))
  assert.equal(await collectKeys(db.createReadStream()), keys)
  assert.equal(await collectKeys(db.createReadStream({ reverse: true })), [...keys].reverse())
  for (const key of keys) assert.is((await db.get(key))?.value, key)
})

function byCodePoint(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0)
    if (order !== 0) return order
  }
  return left.length - right.length
}

test("keys: '__proto__' and its like are keys as any", async () => {
  const db = fresh()
  const keys = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'length']
  await Promise.all(keys.map((key) => db.put(key, { was: key })))
  for (const key of keys) assert.equal((await db.get(key))?.value, { was: key })
  assert.equal(await collectKeys(db.createReadStream()), [...keys].sort())
  assert.is(Reflect.get({}, 'was'), undefined)
})

test('createReadStream: bounds, direction and limit agree with a sorted array', async () => {
  const db = fresh()
  const keys = 'abcdefghijklmnopqrstuvwxyz'
    .split('')
    .flatMap((each) => [each, `${each}\0`, `${each}m`])
  await Promise.all(keys.map((key) => db.put(key, key)))
  await db.batch().del('c').del('cm').del('m\0').flush()
  const live = keys.filter((key) => !['c', 'cm', 'm\0'].includes(key)).sort()
  const bound = fc.constantFrom('', 'a', 'c', 'cm', 'd\0', 'k', 'kz', 'm\0', 'zm', '~')
  const lower = fc.oneof(fc.record({ gt: bound }), fc.record({ gte: bound }), fc.constant({}))
  const upper = fc.oneof(fc.record({ lt: bound }), fc.record({ lte: bound }), fc.constant({}))
  const way = fc.record({ reverse: fc.boolean(), limit: fc.nat(80) }, { requiredKeys: [] })
  const options = fc
    .tuple(lower, upper, way)
    .map(([above, below, how]): StreamOptions<string> => ({ ...above, ...below, ...how }))
  await fc.assert(
    fc.asyncProperty(options, async (given) => {
      const expected = rangeOf(live, given)
      assert.equal(await collectKeys(db.createReadStream(given)), expected)
      const { limit: _, ...range } = given
      const first = await db.peek(range)
      assert.is(first?.key, rangeOf(live, range)[0])
    }),
    { numRuns: 200 }
  )
})

test('createReadStream: two bounds on one side are refused', async () => {
  const db = fresh()
  assert.throws(() => db.createReadStream({ gt: 'a', gte: 'a' }), /no gte beside it/)
  assert.throws(() => db.createReadStream({ lt: 'a', lte: 'a' }), /no lte beside it/)
})

function rangeOf(keys: readonly string[], options: StreamOptions<string>): string[] {
  const { gt, gte, lt, lte, reverse = false, limit = Infinity } = options
  const found = keys.filter(
    (key) =>
      (gt !== undefined ? key > gt : gte === undefined || key >= gte) &&
      (lt !== undefined ? key < lt : lte === undefined || key <= lte)
  )
  return (reverse ? found.reverse() : found).slice(0, limit)
}

test('createReadStream: shows the database as of the call', async () => {
  const db = fresh()
  await db.put('a', 1)
  const stream = db.createReadStream()
  await db.batch().put('a', 2).put('b', 1).flush()
  assert.equal(
    (await collect(stream)).map(({ key, value }) => [key, value]),
    [['a', 1]]
  )
})

test('createReadStream: what is written while it is read does not show', async () => {
  const db = fresh()
  const keys = Array.from({ length: 300 }, (_, i) => `k${String(i).padStart(3, '0')}`)
  await Promise.all(keys.map((key) => db.put(key, 0)))
  const seen: unknown[] = []
  for await (const { key, value } of db.createReadStream()) {
    seen.push(value)
    if (seen.length % 50 === 1) await db.batch().put(`${key}x`, 1).put('k299', 1).flush()
  }
  assert.equal(seen, Array(300).fill(0))
})

test('createReadStream: skips long runs of deleted keys', async () => {
  const db = fresh()
  const keys = Array.from({ length: 600 }, (_, i) => `k${String(i).padStart(3, '0')}`)
  await Promise.all(keys.map((key) => db.put(key, 0)))
  await Promise.all(keys.slice(1, -1).map((key) => db.del(key)))
  assert.equal(await collectKeys(db.createReadStream()), ['k000', 'k599'])
  assert.equal(await collectKeys(db.createReadStream({ limit: 2 })), ['k000', 'k599'])
  assert.is((await db.peek({ gt: 'k000' }))?.key, 'k599')
})

test('createReadStream: leaving the loop, at any moment, closes every cursor', async () => {
  const { db } = await device.createSpace({ mode: 'stream' })
  await Promise.all(Array.from({ length: 500 }, (_, i) => db.put(`k${i}`, i)))
  const before = countCursors()
  for (const stop of [1, 16, 17, 499, 500]) {
    let seen = 0
    for await (const _ of db.createReadStream()) if (++seen === stop) break
    assert.is(countCursors().open, before.open, `left after ${stop}`)
  }
  await leaveByThrowing(db)
  await db.createReadStream().return?.()
  const pending = db.createReadStream()
  const reading = pending.next()
  await pending.return?.()
  await reading
  await db.peek()
  await collect(db.createReadStream({ limit: 3 }))
  assert.is(countCursors().open, before.open)
  assert.ok(countCursors().opened > before.opened)
})

async function leaveByThrowing(db: MultiBee): Promise<void> {
  try {
    for await (const _ of db.createReadStream()) throw new Error('mine')
    assert.unreachable()
  } catch (error) {
    assert.is(error instanceof Error && error.message, 'mine')
  }
}

test('createReadStream: calls of next without waiting come in order', async () => {
  const db = fresh()
  await Promise.all(['a', 'b', 'c'].map((key) => db.put(key, key)))
  const stream = db.createReadStream()
  const results = await Promise.all([stream.next(), stream.next(), stream.next(), stream.next()])
  assert.equal(
    results.map(({ value }) => value?.key),
    ['a', 'b', 'c', undefined]
  )
})

test('sub: databases do not see each other, whatever their names and keys', async () => {
  const db = fresh()
  const paths = [
    [],
    ['a'],
    ['ab'],
    ['a', 'b'],
    ['a', 'b', 'c'],
    ['\0'],
    ['\u0001a'],
    ['a\0'],
    ['__proto__'],
    ['😀'],
    ['x'.repeat(255)]
  ]
  const subs = paths.map((path) => path.reduce((parent: MultiBee, name) => parent.sub(name), db))
  const keys = ['a', 'b', '\0', '\u0001a\0a', '\u0001a\u0001b\0a', 'ab', '\u{10ffff}']
  await Promise.all(subs.flatMap((sub, i) => keys.map((key) => sub.put(key, i))))
  for (const [i, sub] of subs.entries()) {
    const entries = await collect(sub.createReadStream())
    assert.equal(
      entries.map(({ key }) => key).sort(),
      [...keys].sort(),
      `keys of ${paths[i]?.join()}`
    )
    assert.ok(entries.every(({ value }) => value === i))
    assert.is((await sub.peek({ reverse: true }))?.key, '\u{10ffff}')
  }
  await subs[1]?.del('a')
  for (const [i, sub] of subs.entries()) assert.is((await sub.get('a')) === null, i === 1)
})

test('sub: the same name is the same database', async () => {
  const db = fresh()
  await db.sub('x').sub('y').put('k', 1)
  assert.is((await db.sub('x').sub('y').get('k'))?.value, 1)
})

test('sub: names are 1 to 255 bytes, all on the way at most 1024', async () => {
  const db = fresh()
  for (const name of ['', 'x'.repeat(256), 'é'.repeat(128), '\ud800']) {
    await rejectsWith('INVALID_ARGUMENT', () => db.sub(name), /"name"/)
  }
  await rejectsWith('INVALID_ARGUMENT', () => {
    let sub = db
    for (let i = 0; i < 5; i++) sub = sub.sub('x'.repeat(250))
  })
})

test('encodings: binary keys are bytes in and out, in byte order', async () => {
  const db = fresh().sub<Uint8Array, string>('binary', {
    keyEncoding: 'binary',
    valueEncoding: 'utf-8'
  })
  const keys = [[0], [0, 0], [0, 255], [128], [255], [255, 0]].map((each) => new Uint8Array(each))
  await Promise.all(keys.map((key) => db.put(key, 'x')))
  const found = await collectKeys(db.createReadStream())
  assert.equal(
    found.map((key) => [...key]),
    keys.map((key) => [...key])
  )
  assert.is((await db.get(new Uint8Array([0, 255])))?.value, 'x')
  await rejectsWith('KEY_INVALID', () => db.put('text' as never, 'x'))
  await rejectsWith('VALUE_INVALID', () => db.put(new Uint8Array([1]), 5 as never))
})

test('encodings: sub-databases inherit them', async () => {
  const parent = fresh().sub<Uint8Array, Uint8Array>('b', {
    keyEncoding: 'binary',
    valueEncoding: 'binary'
  })
  const child = parent.sub('child')
  await child.put(new Uint8Array([1]), new Uint8Array([2]))
  const entry = await child.peek()
  assert.equal([...(entry?.key ?? [])], [1])
  assert.equal([...(entry?.value ?? [])], [2])
})

test('encodings: a codec of ones own for keys and values', async () => {
  const db = fresh().sub<number, Date>('dates', {
    keyEncoding: {
      encode: (key) => new Uint8Array([key >> 8, key & 255]),
      decode: (bytes) => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
    },
    valueEncoding: {
      encode: (date) => date.getTime(),
      decode: (value) => {
        if (typeof value !== 'number') throw new TypeError('no time')
        return new Date(value)
      }
    }
  })
  await db.put(300, new Date(5))
  await db.put(2, new Date(6))
  const entries = await collect(db.createReadStream({ gte: 2, lt: 1000 }))
  assert.equal(
    entries.map(({ key, value }) => [key, value.getTime()]),
    [
      [2, 6],
      [300, 5]
    ]
  )
})

test('encodings: what is not of the encoding it is read with is a counted refusal, never an error', async () => {
  const parent = fresh()
  const json = parent.sub('x')
  await json.put('a', { not: 'bytes' })
  await json.put('b', new Uint8Array([1]))
  const binary = parent.sub<string, Uint8Array>('x', { valueEncoding: 'binary' })
  assert.is(await binary.get('a'), null)
  assert.equal(await collectKeys(binary.createReadStream()), ['b'])
  const refusal = space.refusals().find(({ reason }) => reason === 'encoding-mismatch')
  assert.is(refusal?.writer, space.writer)
  const count = refusal?.count
  await binary.get('a')
  assert.is(space.refusals().find(({ reason }) => reason === 'encoding-mismatch')?.count, count)
})

test('encodings: keys that are no utf-8 are refused, and the rest is read', async () => {
  const parent = fresh()
  const bytes = parent.sub<Uint8Array, Value>('x', { keyEncoding: 'binary' })
  await bytes.put(new Uint8Array([0xff, 0xfe]), 1)
  await bytes.put(new Uint8Array([0x61]), 2)
  assert.equal(await collectKeys(parent.sub('x').createReadStream()), ['a'])
})

test('conflicts: two devices that wrote apart see the same winner and the same other', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('k', 'from a')
    await spaceB.db.put('k', 'from b')
    await spaceA.db.put('alone', 1)
    two.connect()
    await converged(two)
    const [onA, onB] = [await spaceA.db.get('k'), await spaceB.db.get('k')]
    assert.ok(onA && onB)
    assert.equal(onA, onB)
    assert.is(onA.conflicts.length, 1)
    assert.equal(new Set([onA.value, onA.conflicts[0]?.value]), new Set(['from a', 'from b']))
    assert.is.not(onA.writer, onA.conflicts[0]?.writer)
    assert.is(onA.conflicts[0]?.deleted, false)
    assert.equal(await collectKeys(spaceA.db.conflicts()), ['k'])
    assert.equal(await collect(spaceA.db.conflicts()), [onA])
    assert.equal(await collect(spaceB.db.conflicts({ reverse: true, limit: 1 })), [onA])
    assert.equal(await collect(spaceB.db.conflicts({ gt: 'k' })), [])
    assert.is((await spaceB.db.peek({ gte: 'k' }))?.conflicts.length, 1)
  }))

test('conflicts: the next put settles them, on every device', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await Promise.all([spaceA.db.put('k', 'a'), spaceB.db.put('k', 'b')])
    two.connect()
    await converged(two)
    await spaceB.db.put('k', 'settled')
    await converged(two)
    for (const { db } of [spaceA, spaceB]) {
      const entry = await db.get('k')
      assert.is(entry?.value, 'settled')
      assert.equal(entry?.conflicts, [])
      assert.equal(await collect(db.conflicts()), [])
    }
  }))

test('conflicts: an edit survives a deletion that had not seen it, which shows as its conflict', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('k', 1)
    const cut = two.connect()
    await converged(two)
    cut()
    await until(() => spaceA.peers().length === 0 && spaceB.peers().length === 0)
    await spaceA.db.put('k', 2)
    await spaceB.db.del('k')
    assert.is(await spaceB.db.get('k'), null)
    two.connect()
    await converged(two)
    for (const { db } of [spaceA, spaceB]) {
      const entry = await db.get('k')
      assert.is(entry?.value, 2)
      assert.equal(
        entry?.conflicts.map(({ value, deleted, writer }) => [value, deleted, writer]),
        [[null, true, spaceB.writer]]
      )
    }
  }))

test('conflicts: two deletions that did not know of each other agree', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('k', 1)
    const cut = two.connect()
    await converged(two)
    cut()
    await until(() => spaceA.peers().length === 0 && spaceB.peers().length === 0)
    await Promise.all([spaceA.db.del('k'), spaceB.db.del('k')])
    two.connect()
    await converged(two)
    assert.is(await spaceA.db.get('k'), null)
    assert.equal(await collect(spaceA.db.createReadStream()), [])
    assert.equal(await collect(spaceA.db.conflicts()), [])
    assert.equal(await collect(spaceB.db.conflicts()), [])
  }))

test('del: of a key that only the other device wrote is written, and holds there', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('k', 1)
    two.connect()
    await converged(two)
    await spaceB.db.del('k')
    await converged(two)
    assert.is(await spaceA.db.get('k'), null)
    assert.equal(await collect(spaceA.db.conflicts()), [])
  }))

test('encodings: a value of another device that is not of ours is refused under its writer', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.sub('x').put('k', 'text')
    two.connect()
    await converged(two)
    const binary = spaceB.db.sub<string, Uint8Array>('x', { valueEncoding: 'binary' })
    const told: string[] = []
    spaceB.on('refused', ({ writer, reason }) => told.push(`${writer} ${reason}`))
    assert.is(await binary.get('k'), null)
    assert.equal(await collect(binary.createReadStream()), [])
    assert.equal(told, [`${spaceA.writer} encoding-mismatch`])
    assert.equal(
      spaceB.refusals().map(({ writer, reason, count }) => [writer, reason, count]),
      [[spaceA.writer, 'encoding-mismatch', 1]]
    )
  }))

test('close: entries survive it, and the database is as it was after opening again', async () => {
  const home = await tempFolder()
  const open = () => openDevice({ storage: home.path })
  let laptop = await open()
  const made = await laptop.createSpace()
  await made.db.batch().put('a', { n: 1 }).put('b', 'x').del('c').flush()
  const before = await collect(made.db.createReadStream())
  await laptop.close()
  laptop = await open()
  const again = await laptop.openSpace(made.address)
  assert.equal(await collect(again.db.createReadStream()), before)
  await again.db.put('a', 2)
  assert.equal((await again.db.get('a'))?.conflicts, [])
  await laptop.close()
  await home.remove()
})

test.run()
