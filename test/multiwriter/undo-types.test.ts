/** Undoing what merges: a counter gets what makes up the difference, an object only the fields that were another's work. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openTwoDevices, type TwoDevices } from '../support/devices.ts'
import { haveMet } from '../support/shown.ts'
import { collect } from '../support/collect.ts'

async function withTwo(run: (two: TwoDevices) => Promise<void>): Promise<void> {
  const two = await openTwoDevices()
  try {
    two.connect()
    await run(two)
  } finally {
    await two.close()
  }
}

test('restore: counters, sets, flags, extremes and objects show what they showed', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    const { db } = spaceA
    await db.counter('n').add(5)
    await haveMet(two)
    await spaceB.db.counter('n').add(2)
    await db.set('tags').add('a')
    await db.set('tags').add('b')
    await db.flag('on').enable()
    await db.max('high').add(3)
    await db.put('ann', { a: 1, b: { c: 2 } })
    await db.put('text', 'old')
    await haveMet(two)
    const before = await collect(db.createReadStream())
    const version = await spaceA.version()

    await spaceB.db.counter('n').add(10)
    await spaceB.db.set('tags').delete('a')
    await spaceB.db.set('tags').add('c')
    await spaceB.db.flag('on').disable()
    await spaceB.db.max('high').add(9)
    await spaceB.db.patch('ann', { a: undefined, b: { d: 3 } })
    await spaceB.db.put('text', { now: 'an object' })
    await spaceB.db.put('new', 1)
    await haveMet(two)
    assert.equal(await spaceA.restore(version), { written: 6, deleted: 1, skipped: 0 })
    await haveMet(two)
    for (const space of [spaceA, spaceB]) {
      const after = await collect(space.db.createReadStream())
      assert.equal(
        after.map(({ key, value, conflicts }) => [key, value, conflicts]),
        before.map(({ key, value }) => [key, value, []])
      )
    }
    await spaceB.db.counter('n').add(1)
    await haveMet(two)
    assert.is(await db.counter('n').get(), 8, 'it counts on from there')
  }))

test('restore: a counter that has become a text counts again', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.counter('n').add(5)
    await haveMet(two)
    await spaceB.db.counter('n').add(2)
    await haveMet(two)
    const version = await spaceA.version()
    await spaceB.db.put('n', 'text')
    await haveMet(two)
    await spaceA.restore(version)
    await haveMet(two)
    for (const { db } of [spaceA, spaceB]) assert.is(await db.counter('n').get(), 7)
  }))

test('revert: takes back the fields that one device wrote, leaves those of others, and counters', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('ann', { a: 1, b: 1, c: 1 })
    await spaceA.db.counter('n').add(1)
    await spaceA.db.set('tags').add('x')
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.patch('ann', { a: 2, b: 2 })
    await spaceB.db.counter('n').add(10)
    await spaceB.db.set('tags').add('y')
    await haveMet(two)
    await spaceA.db.patch('ann', { b: 3, d: 4 })
    await spaceA.db.counter('n').add(100)
    const report = await spaceA.revert({ writer: spaceB.writer, after })
    // To add what makes up for an increment would do so again the next time.
    assert.equal([report.written, report.kept], [2, ['db/n']])
    assert.equal((await spaceA.db.get('ann'))?.value, { a: 1, b: 3, c: 1, d: 4 })
    assert.equal(await spaceA.db.set('tags').values(), ['x'])
    assert.is(await spaceA.db.counter('n').get(), 111)
    const again = await spaceA.revert({ writer: spaceB.writer, after })
    assert.equal([again.written, again.deleted], [0, 0])
  }))

test.run()
