/** Points in the history of a space: named, read for ever, found by time, compared. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { compareStamps, decodeVersion, encodeVersion, type Version } from '../../clock/index.ts'
import type { Hypercore } from '../../core/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { encryptionOf } from '../support/encryption.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { exportDatabase, exportSpace } from '../support/export.ts'
import { dbKey, entryOf } from '../support/forge.ts'
import { seededRandom } from '../support/random.ts'
import { rejectsWith } from '../support/rejects.ts'
import { serve } from '../support/serve.ts'
import { openLogStore } from '../support/tree.ts'
import { haveMet } from '../support/shown.ts'
import { within } from '../support/within.ts'

/** A wall clock that the test sets. */
function wall(start = 1_000_000) {
  const clock = { ms: start, now: () => clock.ms }
  return clock
}

const decoded = (text: string): Version => {
  const version = decodeVersion(text)
  if (version === null) throw new Error('no version')
  return version
}

const encoded = (version: Version, change: Partial<Version>) =>
  encodeVersion({ ...version, ...change })

test('version: names what is read now, the same on every device that reads the same', async () => {
  const two = await openTwoDevices()
  const empty = await two.spaceA.version()
  assert.equal(decoded(empty).data, [])
  await two.spaceA.db.put('a', 1)
  await two.spaceB.db.put('b', 2)
  assert.is.not(await two.spaceA.version(), await two.spaceB.version())
  two.connect()
  await haveMet(two)
  // What the two have granted and acknowledged arrives by itself.
  await until(async () => (await two.spaceA.version()) === (await two.spaceB.version()))
  const version = await two.spaceA.version()
  assert.is(await two.spaceA.db.version(), version)
  const lengths = decoded(version).data.map(({ core, length }) => [z32.encode(core), length])
  assert.equal(
    new Map(lengths as [string, number][]),
    new Map(two.spaceA.writers().map(({ writer, length }) => [writer, length]))
  )
  await two.close()
})

test('checkout: reads what was there, and never changes, whatever is written, arrives or joins', async () => {
  const two = await openTwoDevices()
  two.connect()
  await two.spaceA.db.put('k', 'old')
  await two.spaceB.db.put('b', 'old')
  await haveMet(two)
  const then = await two.spaceA.version()
  const before = two.spaceA.checkout(then)
  const expected = await exportSpace(two.spaceA)
  assert.is(before.version, then)
  assert.is(await exportDatabase(before.db), expected)
  await two.spaceA.db.put('k', 'new')
  await two.spaceB.db.del('b')
  await two.spaceB.db.put('c', 'new')
  await haveMet(two)
  assert.is(await exportDatabase(before.db), expected)
  for (const space of [two.spaceA, two.spaceB]) {
    assert.is(await exportDatabase(space.checkout(then).db), expected)
  }
  assert.is(await before.db.version(), then)
  await rejectsWith('READ_ONLY', () => before.db.put('k', 1))
  await before.db.close()
  assert.is((await two.spaceA.db.get('k'))?.value, 'new', 'the space is still open')
  await two.close()
})

test('checkout: of the version with nothing is empty', async () => {
  const two = await openTwoDevices()
  const empty = await two.spaceA.version()
  await two.spaceA.db.put('a', 1)
  assert.equal(await collect(two.spaceA.checkout(empty).db.createReadStream()), [])
  await two.close()
})

test('checkout: VERSION_INVALID, VERSION_FOREIGN at once; VERSION_UNAVAILABLE names the log that is missing', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  await spaceA.db.put('a', 1)
  await spaceB.db.put('b', 1)
  const version = await spaceA.version()
  const readsNot = (text: string, message: RegExp) =>
    rejectsWith('VERSION_UNAVAILABLE', () => spaceA.checkout(text).db.get('a'), message)

  for (const text of ['', 'garbage', version.slice(1), version + 'y', spaceA.ticket]) {
    await rejectsWith('VERSION_INVALID', () => spaceA.checkout(text))
  }
  await rejectsWith('INVALID_ARGUMENT', () => spaceA.checkout(5 as unknown as string))
  const other = await two.a.createSpace()
  await other.db.put('a', 1)
  const theirs = await other.version()
  await rejectsWith('VERSION_FOREIGN', () => spaceA.checkout(theirs))

  await readsNot(await spaceB.version(), new RegExp(spaceB.writer))
  const [own] = decoded(version).data
  const future = { core: own?.core ?? b4a.alloc(32), length: 1000 }
  await readsNot(encoded(decoded(version), { data: [future] }), new RegExp(spaceA.writer))
  await two.close()
})

test('checkout: a version that is not here yet is read once it has arrived', async () => {
  const two = await openTwoDevices()
  await two.spaceB.db.put('b', 1)
  const { db } = two.spaceA.checkout(await two.spaceB.version())
  await rejectsWith('VERSION_UNAVAILABLE', () => db.get('b'))
  two.connect()
  await haveMet(two)
  assert.is((await db.get('b'))?.value, 1)
  await two.close()
})

test('checkout: a length inside a batch is no version of any log', async () => {
  const two = await openTwoDevices()
  const batch = two.spaceA.db.batch()
  for (let i = 0; i < 500; i++) batch.put(`k${i}`, 'x'.repeat(100))
  await batch.flush()
  const version = decoded(await two.spaceA.version())
  const [log] = version.data
  assert.ok(log !== undefined && log.length > 1)
  for (let length = 1; length < log.length; length++) {
    const { db } = two.spaceA.checkout(encoded(version, { data: [{ ...log, length }] }))
    await rejectsWith('VERSION_UNAVAILABLE', () => db.get('k1'))
  }
  await two.close()
})

test('checkout: of a log whose writer then signed two histories, reads what was there', async () => {
  const two = await openTwoDevices()
  const stores = [await openLogStore(8), await openLogStore(8)] as const
  const { data } = encryptionOf(two.spaceA)
  const cores = [await stores[0].own('data', data), await stores[1].own('data', data)] as const
  const put = (core: Hypercore, name: string) =>
    new TreeWriter(core).append([{ key: dbKey(name), value: entryOf(name) }])
  for (const n of [0, 1]) await put(cores[0], `one-${n}`)
  for (const n of [0, 1, 2, 3]) await put(cores[1], `other-${n}`)
  await two.spaceA.addWriter(cores[0].key)
  const honest = await serve(two.spaceA, cores[0])
  await until(async () => (await two.spaceA.db.get('one-1')) !== null)
  const version = await two.spaceA.version()
  const copy = two.spaceA.wire.cores().find(({ key }) => b4a.equals(key, cores[0].key))
  const conflict = new Promise((resolve) => copy?.once('conflict', resolve))
  const forked = await serve(two.spaceA, cores[1])
  await within(5000, conflict)
  const { db } = two.spaceA.checkout(version)
  assert.equal(await collectKeys(db.createReadStream()), ['one-0', 'one-1'])
  assert.is(two.spaceA.refusals()[0]?.reason, 'conflict')
  honest.close()
  forked.close()
  for (const store of stores) await store.close()
  await two.close()
})

test('at: all that was stamped up to a time, in every log', async () => {
  const clock = wall()
  const two = await openTwoDevices({ device: { now: clock.now } })
  two.connect()
  for (const [ms, space, key] of [
    [1000, two.spaceA, 'a1'],
    [2000, two.spaceB, 'b1'],
    [3000, two.spaceA, 'a2'],
    [3000, two.spaceB, 'b2']
  ] as const) {
    clock.ms = 1_000_000 + ms
    await space.db.put(key, ms)
  }
  await haveMet(two)
  const keysAt = async (ms: number) => {
    const time = ms % 2 === 0 ? 1_000_000 + ms : new Date(1_000_000 + ms)
    const { db } = two.spaceA.checkout(await two.spaceA.at(time))
    return (await collectKeys(db.createReadStream())).join()
  }
  assert.is(await keysAt(-1), '')
  assert.is(await keysAt(999), '')
  assert.is(await keysAt(1000), 'a1')
  assert.is(await keysAt(1001), 'a1')
  assert.is(await keysAt(2000), 'a1,b1')
  assert.is(await keysAt(2999), 'a1,b1')
  assert.is(await keysAt(3000), 'a1,a2,b1,b2')
  assert.is(await two.spaceA.at(Date.now()), await two.spaceA.version(), 'the future is now')
  assert.is(await two.spaceB.at(1_002_000), await two.spaceA.at(1_002_000))
  await two.close()
})

test('at: equals the slow search through every batch, with values of all sizes and clocks that go back', async () => {
  const random = seededRandom(20)
  const theirs = await openLogStore(21)
  const two = await openTwoDevices()
  const core = await theirs.own('data', encryptionOf(two.spaceA).data)
  const writer = new TreeWriter(core)
  const batches: { readonly length: number; readonly ms: number }[] = []
  for (let n = 0; n < 120; n++) {
    const ms = 7 * n + random.below(200)
    const puts = Array.from({ length: 1 + random.below(30) }, (_, i) => ({
      key: dbKey(`${String(i).padStart(3, '0')}`),
      value: entryOf('x'.repeat(random.below(3) === 0 ? 3000 : 10), { ms })
    }))
    batches.push({ length: await writer.append(puts), ms })
  }
  assert.ok(core.length > 300, 'more than is read together')
  await two.spaceA.addWriter(core.key)
  const peer = await serve(two.spaceA, core)
  await until(() => two.spaceA.writers().some(({ length }) => length === core.length))
  for (let ms = 0; ms < 1000; ms += 7) {
    const later = batches.findIndex((batch) => batch.ms > ms)
    const expected = later < 0 ? core.length : (batches[later - 1]?.length ?? 0)
    const { data } = decoded(await two.spaceA.at(ms))
    assert.is(data.find((each) => b4a.equals(each.core, core.key))?.length ?? 0, expected)
  }
  assert.is(two.spaceA.refusals().length, 0)
  peer.close()
  await theirs.close()
  await two.close()
})

test('a clock that jumps between writes: cas sees the last write, history keeps the order, at() shows no hole', async () => {
  const clock = wall()
  const two = await openTwoDevices({ device: { now: clock.now } })
  const { spaceA } = two
  const walls = [5000, 1000, 9000, 0, 9001, 86_400_000, 2000, 2000, 100_000, 1]
  for (const [i, ms] of walls.entries()) {
    clock.ms = 1_000_000 + ms
    const cas = (previous: { readonly value: unknown } | null) =>
      i === 0 ? previous === null : previous?.value === i - 1
    assert.is(await spaceA.db.put('n', i, { cas }), true, `write ${i}`)
    await spaceA.db.put(`write ${i}`, i)
  }
  assert.is(await spaceA.db.put('n', 'lost', { cas: (p) => p?.value !== walls.length - 1 }), false)

  const history = await collect(spaceA.db.createHistoryStream({ gte: 'n', lt: 'o' }))
  assert.equal(
    history.map(({ value }) => value),
    walls.map((_, i) => i)
  )
  const newest = await collect(spaceA.db.createHistoryStream({ gte: 'n', lt: 'o', reverse: true }))
  assert.equal(newest.reverse(), history)
  const stamps = history.map(({ stamp }) => stamp)
  assert.ok(stamps.every((stamp, i) => i === 0 || compareStamps(stamp, stamps[i - 1] ?? stamp) > 0))

  // What is shown at a time is a beginning of what was written, and the longer the later.
  let most = 0
  for (const ms of [0, 1000, 4999, 5000, 8999, 9000, 9001, 86_399_999, 86_400_000]) {
    const { db } = spaceA.checkout(await spaceA.at(1_000_000 + ms))
    const count = (await collectKeys(db.createReadStream({ gte: 'write', lt: 'writf' }))).length
    const value = (await db.get('n'))?.value
    assert.is(value, count === 0 ? undefined : count - 1, `at ${ms}`)
    assert.ok(count >= most, `at ${ms}`)
    most = count
  }
  assert.is(most, walls.length)
  await two.close()
})

test('at: INVALID_ARGUMENT for what is no time', async () => {
  const two = await openTwoDevices()
  for (const time of [NaN, -1, Infinity, new Date('x'), '2026-01-01', null, undefined]) {
    await rejectsWith('INVALID_ARGUMENT', () => two.spaceA.at(time as number), /"time"/)
  }
  await two.close()
})

test('at: in a sparse space that is alone, says what it lacks within the time given', async () => {
  const two = await openTwoDevices({ sparse: true })
  const cut = two.connect()
  await Promise.all(
    Array.from({ length: 3000 }, (_, i) => two.spaceA.db.put(`k${i}`, 'x'.repeat(50)))
  )
  await until(async () => (await two.spaceB.db.get('k1')) !== null)
  cut()
  await until(() => two.spaceB.peers().length === 0)
  await rejectsWith('BLOCK_UNAVAILABLE', () => two.spaceB.at(Date.now(), { wait: false }))
  await within(
    5000,
    rejectsWith('BLOCK_UNAVAILABLE', () => two.spaceB.at(Date.now(), { timeout: 50 }))
  )
  await two.close()
})

const textOf = (entry: { readonly value: unknown } | null) =>
  entry === null ? '-' : JSON.stringify(entry.value)

test('at: says how far it is, and ends with the reason of its signal', async () => {
  const two = await openTwoDevices()
  const puts = Array.from({ length: 300 }, (_, i) => () => two.spaceA.db.put(`k${i}`, i))
  for (const put of puts) await put()
  const [log] = two.spaceA.writers()
  const seen: number[] = []
  const onprogress = ({ done, total }: { readonly done: number; readonly total?: number }) => {
    assert.is(total, log?.length)
    seen.push(done)
  }
  const version = await two.spaceA.at(Date.now(), { onprogress })
  assert.is(version, await two.spaceA.version())
  assert.is(seen.at(-1), log?.length)
  assert.ok(seen.length > 2 && seen.every((done, i) => done > (seen[i - 1] ?? 0)), seen.join())
  await two.spaceA.at(0, { onprogress })
  assert.is(seen.at(-1), log?.length, 'what need not be read counts as read')

  const abort = new AbortController()
  const reason = new Error('enough')
  let calls = 0
  const stop = () => {
    calls++
    abort.abort(reason)
  }
  const ended = two.spaceA.at(Date.now(), { signal: abort.signal, onprogress: stop })
  assert.is(await ended.catch((error: unknown) => error), reason)
  assert.is(calls, 1)
  const given = { signal: 1 } as unknown as { signal: AbortSignal }
  await rejectsWith('INVALID_ARGUMENT', () => two.spaceA.at(0, given), /"signal"/)
  await two.close()
})

test('diff: what differs between two versions, in key order, either way round, within a range', async () => {
  const two = await openTwoDevices()
  const { db } = two.spaceA
  for (const key of ['same', 'changed', 'deleted']) await db.put(key, 1)
  const before = await two.spaceA.version()
  await db.put('changed', 2)
  await db.put('new', 2)
  await db.del('deleted')
  await db.sub('sub').put('k', 1)
  const after = await two.spaceA.version()
  const shown = async (left: string, right: string, range = {}) =>
    (await collect(two.spaceA.diff(left, right, range))).map(
      ({ key, left, right }) => `${key} ${textOf(left)} ${textOf(right)}`
    )
  assert.equal(await shown(before, after), ['changed 1 2', 'deleted 1 -', 'new - 2'])
  assert.equal(await shown(after, before), ['changed 2 1', 'deleted - 1', 'new 2 -'])
  assert.equal(await shown(before, after, { gt: 'changed', limit: 1 }), ['deleted 1 -'])
  assert.equal(await shown(after, after), [])
  await rejectsWith('VERSION_INVALID', () => two.spaceA.diff('x', after))
  await rejectsWith('VERSION_INVALID', () => two.spaceA.diff(after, 'x'))
  await rejectsWith('INVALID_ARGUMENT', () => two.spaceA.diff(before, after, { from: 'a' } as {}))
  await two.close()
})

test('after close, versions are refused with SPACE_CLOSED, and checkouts with BEE_CLOSED', async () => {
  const two = await openTwoDevices()
  await two.spaceA.db.put('a', 1)
  const version = await two.spaceA.version()
  const { db } = two.spaceA.checkout(version)
  await two.spaceA.close()
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.version())
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.checkout(version))
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.at(0))
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.diff(version, version))
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.link())
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.openLink('manyhands://'))
  await rejectsWith('SPACE_CLOSED', () => two.spaceA.restore(version))
  await rejectsWith('SPACE_CLOSED', () =>
    two.spaceA.revert({ writer: two.spaceA.writer, after: version })
  )
  await rejectsWith('BEE_CLOSED', () => db.get('a'))
  await two.close()
})

test.run()
