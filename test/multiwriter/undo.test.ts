/** Undoing: what comes back, what stays, and that nothing is lost by it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { decodeVersion, encodeVersion } from '../../clock/index.ts'
import { TreeWriter } from '../../core/tree/writer.ts'
import { encryptionOf } from '../support/encryption.ts'
import { collect, ownLength } from '../support/collect.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { dbKey, entryOf } from '../support/forge.ts'
import { rejectsWith } from '../support/rejects.ts'
import { serve } from '../support/serve.ts'
import { openLogStore } from '../support/tree.ts'
import { haveMet, putAll, shown } from '../support/shown.ts'
import { within } from '../support/within.ts'

test('restore: everything shows what it showed at the version, as new entries', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  await putAll(spaceA, { same: 1, changed: 1, deleted: 1 })
  await spaceA.db.sub('sub').put('k', 1)
  const then = await spaceA.version()
  await putAll(spaceA, { changed: 2, deleted: undefined, added: 2 })
  await spaceA.db.sub('sub').put('k', 2)
  const before = await spaceA.version()
  assert.equal(await spaceA.restore(then), { written: 3, deleted: 1, skipped: 0 })
  assert.is(await shown(spaceA), 'changed=1 deleted=1 same=1')
  assert.is(await shown(spaceA, 'sub'), 'k=1')
  assert.equal(await spaceA.restore(then), { written: 0, deleted: 0, skipped: 0 })

  // An undo can be undone: the history holds all of it.
  assert.equal(await spaceA.restore(before), { written: 3, deleted: 1, skipped: 0 })
  assert.is(await shown(spaceA), 'added=2 changed=2 same=1')
  assert.is(await shown(spaceA, 'sub'), 'k=2')
  const history = await collect(spaceA.db.createHistoryStream({ gte: 'changed', lte: 'changed' }))
  assert.equal(
    history.map(({ value }) => value),
    [1, 2, 1, 2]
  )
  await two.close()
})

test('restore: nothing to do writes nothing', async () => {
  const two = await openTwoDevices()
  await putAll(two.spaceA, { a: 1 })
  const then = await two.spaceA.version()
  await putAll(two.spaceA, { b: 1, a: 2 })
  await putAll(two.spaceA, { b: undefined, a: 1 })
  const length = ownLength(two.spaceA)
  assert.equal(await two.spaceA.restore(then), { written: 0, deleted: 0, skipped: 0 })
  assert.is(ownLength(two.spaceA), length)
  await two.close()
})

test('restore: bounds and sub-databases name what is restored, and the rest stays', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  const outer = spaceA.db.sub('outer')
  const fill = async (value: number) => {
    for (const db of [spaceA.db, outer, outer.sub('inner'), spaceA.db.sub('oute')]) {
      await db.put('a', value)
      await db.put('b', value)
    }
  }
  const all = async () => {
    const values: unknown[] = []
    for (const db of [spaceA.db, outer, outer.sub('inner'), spaceA.db.sub('oute')]) {
      for (const { value } of await collect(db.createReadStream())) values.push(value)
    }
    return values.join('')
  }
  await fill(1)
  const then = await spaceA.version()
  const cases: [object, string][] = [
    [{}, '11111111'],
    [{ gte: 'a' }, '11222222'],
    [{ gt: 'a' }, '21222222'],
    [{ lt: new TextEncoder().encode('b') }, '12222222'],
    [{ sub: 'outer' }, '22111122'],
    [{ sub: ['outer'], gte: 'b' }, '22212222'],
    [{ sub: ['outer', 'inner'] }, '22221122'],
    [{ sub: 'oute' }, '22222211'],
    [{ sub: [] }, '11111111'],
    [{ sub: 'nowhere' }, '22222222']
  ]
  for (const [options, expected] of cases) {
    await fill(2)
    await spaceA.restore(then, options)
    assert.is(await all(), expected, JSON.stringify(options))
  }
  await two.close()
})

test('restore: of a conflict, what won then comes back', async () => {
  const two = await openTwoDevices()
  await putAll(two.spaceA, { k: 'a' })
  await putAll(two.spaceB, { k: 'b' })
  two.connect()
  await haveMet(two)
  const winner = await two.spaceA.db.get('k')
  assert.is(winner?.conflicts.length, 1)
  const then = await two.spaceA.version()
  await putAll(two.spaceA, { k: 'c' })
  assert.equal(await two.spaceA.restore(then), { written: 1, deleted: 0, skipped: 0 })
  const restored = await two.spaceA.db.get('k')
  assert.is(restored?.value, winner?.value)
  assert.is(restored?.conflicts.length, 0)
  await haveMet(two)
  await two.close()
})

test('restore: a large space comes back in whole batches, in the middle of writes', async () => {
  const two = await openTwoDevices()
  two.connect()
  const { db } = two.spaceA
  const fill = (value: string) =>
    Promise.all(Array.from({ length: 3000 }, (_, i) => db.put(`k${i}`, value)))
  await fill('old')
  const then = await two.spaceA.version()
  await fill('new')
  const restoring = two.spaceA.restore(then)
  let isDone = false
  void restoring.then(() => (isDone = true))
  const late: Promise<unknown>[] = []
  for (let i = 0; !isDone; i++) {
    late.push(db.put(`late${i}`, 'late'), two.spaceB.db.put(`theirs${i}`, 'late'))
    await Promise.all(late)
  }
  assert.equal(await restoring, { written: 3000, deleted: 0, skipped: 0 })
  await haveMet(two)
  let old = 0
  for await (const { key, value } of two.spaceB.db.createReadStream()) {
    assert.is(value, key.startsWith('k') ? 'old' : 'late')
    if (value === 'old') old++
  }
  assert.is(old, 3000)
  await two.close()
})

test('restore and revert: what cannot be done is told, and nothing is written', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  await putAll(spaceA, { k: 1 })
  await putAll(spaceB, { k: 2 })
  const then = await spaceA.version()
  await putAll(spaceA, { k: 3 })
  const length = ownLength(spaceA)
  const { writer } = spaceA
  const other = await two.a.createSpace()
  const data = decodeVersion(then)?.data.map((each) => ({ ...each, length: 999 })) ?? []
  const future = encodeVersion({
    space: decodeVersion(then)?.space ?? (writer as never),
    acl: [],
    data
  })
  const bad: [() => unknown, Parameters<typeof rejectsWith>[0]][] = [
    [() => spaceA.restore('garbage'), 'VERSION_INVALID'],
    [() => spaceA.restore(undefined as unknown as string), 'INVALID_ARGUMENT'],
    [async () => spaceA.restore(await other.version()), 'VERSION_FOREIGN'],
    [async () => spaceA.restore(await spaceB.version()), 'VERSION_UNAVAILABLE'],
    [() => spaceA.restore(future), 'VERSION_UNAVAILABLE'],
    [() => spaceA.restore(then, { from: 'a' } as {}), 'INVALID_ARGUMENT'],
    [() => spaceA.restore(then, { gt: 'a', gte: 'a' }), 'INVALID_ARGUMENT'],
    [() => spaceA.restore(then, { gt: 5 } as {}), 'KEY_INVALID'],
    [() => spaceA.restore(then, { sub: '' }), 'INVALID_ARGUMENT'],
    [() => spaceA.restore(then, { timeout: -1 }), 'INVALID_ARGUMENT'],
    [() => spaceA.revert({ writer, after: 'garbage' }), 'VERSION_INVALID'],
    [() => spaceA.revert({ writer } as never), 'INVALID_ARGUMENT'],
    [() => spaceA.revert({ after: then } as never), 'INVALID_ARGUMENT'],
    [() => spaceA.revert(undefined as never), 'INVALID_ARGUMENT'],
    [() => spaceA.revert({ writer: spaceB.writer, after: then }), 'INVALID_ARGUMENT'],
    [() => spaceA.revert({ writer: 'y'.repeat(52), after: then }), 'INVALID_ARGUMENT'],
    [async () => spaceA.revert({ writer, after: await other.version() }), 'VERSION_FOREIGN'],
    [() => spaceA.revert({ writer, after: future }), 'VERSION_UNAVAILABLE'],
    [() => spaceA.revert({ writer, after: then, since: 'a' } as never), 'INVALID_ARGUMENT']
  ]
  for (const [task, code] of bad) await rejectsWith(code, task)
  assert.is(ownLength(spaceA), length)
  await two.close()
})

test('restore: what is not on this device is told before anything is written', async () => {
  const two = await openTwoDevices({ sparse: true })
  const fill = (from: number, value: string) =>
    Promise.all(
      Array.from({ length: 3000 }, (_, i) => two.spaceA.db.put(`k${from + i}`, value.repeat(50)))
    )
  await fill(0, 'x')
  const then = await two.spaceA.version()
  await fill(0, 'y')
  await fill(5000, 'z')
  const cut = two.connect()
  await until(async () => (await two.spaceB.db.get('k7999')) !== null)
  cut()
  await until(() => two.spaceB.peers().length === 0)
  await within(
    5000,
    rejectsWith('VERSION_UNAVAILABLE', () => two.spaceB.restore(then, { timeout: 50 }))
  )
  assert.is(ownLength(two.spaceB), 0)
  two.connect()
  const report = await two.spaceB.restore(then, { gte: 'k10', lt: 'k11' })
  assert.equal(report, { written: 111, deleted: 0, skipped: 0 })
  await two.close()
})

test('restore and revert: what only a newer version can read is left alone, and counted', async () => {
  const two = await openTwoDevices()
  const theirs = await openLogStore(9)
  const core = await theirs.own('data', encryptionOf(two.spaceA).data)
  const append = (puts: readonly (readonly [string, Uint8Array])[]) =>
    new TreeWriter(core).append(puts.map(([key, value]) => ({ key: dbKey(key), value })))
  const newer = entryOf('newer')
  newer[1] = 9 // a type that is not known here
  await append([
    ['then', newer],
    ['now', entryOf('old')]
  ])
  await two.spaceA.addWriter(core.key)
  const peer = await serve(two.spaceA, core)
  await until(async () => (await two.spaceA.db.get('now')) !== null)
  const then = await two.spaceA.version()
  await append([
    ['then', entryOf('readable')],
    ['now', newer],
    ['added', entryOf('added')]
  ])
  await until(async () => (await two.spaceA.db.get('added')) !== null)
  const writer = z32.encode(core.key)
  const reverted = await two.spaceA.revert({ writer, after: then, lt: 'added\0' })
  assert.equal(reverted, { written: 0, deleted: 1, skipped: 0, kept: [] })
  assert.is((await two.spaceA.revert({ writer, after: then })).skipped, 2)
  assert.equal(await two.spaceA.restore(then), { written: 0, deleted: 0, skipped: 2 })
  assert.is(await shown(two.spaceA), 'then=readable')
  peer.close()
  await theirs.close()
  await two.close()
})

test("revert: undoes one writer's later work where it shows, and leaves the rest alone", async () => {
  const two = await openTwoDevices()
  two.connect()
  const { spaceA, spaceB } = two
  await putAll(spaceA, { mine: 'a', overwritten: 'a', deleted: 'a', taken: 'a', both: 'a' })
  await haveMet(two)
  await putAll(spaceB, { theirs: 'b' })
  await haveMet(two)
  const after = await spaceA.version()
  await putAll(spaceB, {
    overwritten: 'B',
    deleted: undefined,
    theirs: 'B',
    added: 'B',
    taken: 'B',
    both: 'B'
  })
  await spaceB.db.sub('sub').put('k', 'B')
  await haveMet(two)
  await until(async () => (await spaceA.db.sub('sub').get('k')) !== null)
  await putAll(spaceA, { taken: 'A', late: 'A' })
  const before = await spaceA.version()

  const report = await spaceA.revert({ writer: spaceB.writer, after })
  assert.equal(report, { written: 4, deleted: 2, skipped: 0, kept: ['db/taken'] })
  assert.is(await shown(spaceA), 'both=a deleted=a late=A mine=a overwritten=a taken=A theirs=b')
  assert.is(await shown(spaceA, 'sub'), '')
  await haveMet(two)

  const again = await spaceA.revert({ writer: spaceB.writer, after })
  assert.equal([again.written, again.deleted, again.kept.length], [0, 0, 7])

  // A revert is somebody's work like any other.
  const undone = await spaceB.revert({ writer: spaceA.writer, after: before })
  assert.equal([undone.written, undone.deleted, undone.kept.length], [5, 1, 0])
  assert.is(await shown(spaceB), 'added=B both=B late=A mine=a overwritten=B taken=A theirs=B')
  assert.is(await shown(spaceB, 'sub'), 'k=B')
  await two.close()
})

test('revert: bounds and sub-databases name what is undone', async () => {
  const two = await openTwoDevices()
  const { spaceA } = two
  const after = await spaceA.version()
  await putAll(spaceA, { a: 1, b: 1 })
  await spaceA.db.sub('sub').put('k', 1)
  const undo = async (options: object) => {
    const { deleted } = await spaceA.revert({ writer: spaceA.writer, after, ...options })
    return deleted
  }
  assert.is(await undo({ gt: 'a' }), 1)
  assert.is(await shown(spaceA), 'a=1')
  assert.is(await undo({ sub: 'sub' }), 1)
  assert.is(await undo({}), 1)
  assert.is(await shown(spaceA), '')
  await two.close()
})

test('revert: what a writer writes while it is reverted is undone or stays, never half', async () => {
  const two = await openTwoDevices()
  two.connect()
  const { spaceA, spaceB } = two
  // More than one batch of what is put back.
  const keys = Array.from({ length: 1100 }, (_, i) => `k${i}`)
  await Promise.all(keys.map((key) => spaceA.db.put(key, 'a')))
  await haveMet(two)
  const after = await spaceA.version()
  await Promise.all(keys.map((key) => spaceB.db.put(key, 'b')))
  await haveMet(two)
  const reverting = spaceA.revert({ writer: spaceB.writer, after })
  let isDone = false
  void reverting.then(() => (isDone = true))
  const mine = new Set<string>()
  for (let i = 0; !isDone; i++) {
    const key = keys[(i * 37) % keys.length] ?? ''
    mine.add(key)
    await spaceA.db.put(key, 'mine')
  }
  const { written, kept } = await reverting
  assert.ok(mine.size > 0)
  for (const key of keys) {
    const value = (await spaceA.db.get(key))?.value
    assert.is(value, mine.has(key) ? 'mine' : 'a', 'what this device wrote meanwhile stays')
  }
  assert.is(written + kept.length, keys.length)
  await haveMet(two)
  await two.close()
})

test('revert: two devices that revert at once agree, on the same values', async () => {
  const two = await openTwoDevices()
  let cut = two.connect()
  const { spaceA, spaceB } = two
  await putAll(spaceA, { a: 1, b: 1 })
  await haveMet(two)
  const after = await spaceA.version()
  await putAll(spaceB, { a: 2, c: 2, b: undefined })
  await haveMet(two)
  cut()
  await until(() => spaceA.peers().length === 0)
  const options = { writer: spaceB.writer, after }
  const reports = [await spaceA.revert(options), await spaceB.revert(options)]
  for (const report of reports) {
    assert.equal(report, { written: 2, deleted: 1, skipped: 0, kept: [] })
  }
  cut = two.connect()
  await haveMet(two)
  for (const space of [spaceA, spaceB]) assert.is(await shown(space), 'a=1 b=1')
  await two.close()
})

test.run()
