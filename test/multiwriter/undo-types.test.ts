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

test('revert: takes back the fields that one device wrote, and leaves those of others', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.put('ann', { a: 1, b: 1, c: 1 })
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.patch('ann', { a: 2, b: 2 })
    await haveMet(two)
    await spaceA.db.patch('ann', { b: 3, d: 4 })
    await spaceA.revert({ writer: spaceB.writer, after })
    assert.equal((await spaceA.db.get('ann'))?.value, { a: 1, b: 3, c: 1, d: 4 })
  }))

test('revert: a counter loses what one device added since, once, whatever others add meanwhile', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    const count = () => spaceA.db.counter('n').get()
    await spaceA.db.counter('n').add(1)
    await spaceB.db.counter('n').add(20)
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.counter('n').add(300)
    await spaceB.db.counter('new').add(7)
    await haveMet(two)
    await spaceA.db.counter('n').add(4000)
    const report = await spaceA.revert({ writer: spaceB.writer, after })
    assert.equal(report, { written: 1, deleted: 1, skipped: 0, kept: [] })
    assert.is(await count(), 4021)
    assert.is(await spaceA.db.counter('new').get(), 0)
    for (const space of [spaceA, spaceB]) {
      await haveMet(two)
      const again = await space.revert({ writer: spaceB.writer, after })
      assert.equal([again.written, again.deleted], [0, 0])
    }
    // What it goes on to add counts, and can be taken back again.
    await spaceB.db.counter('n').add(500)
    await haveMet(two)
    assert.is(await count(), 4521)
    await spaceB.revert({ writer: spaceB.writer, after })
    await haveMet(two)
    assert.is(await count(), 4021)
  }))

test('revert: of a counter, the later work of the device that reverts goes as well', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.counter('n').add(1)
    await spaceB.db.counter('n').add(2)
    await haveMet(two)
    const after = await spaceA.version()
    await spaceA.db.counter('n').add(10)
    for (let times = 0; times < 2; times++) {
      await spaceA.revert({ writer: spaceA.writer, after })
      assert.is(await spaceA.db.counter('n').get(), 3)
    }
    await spaceA.db.counter('n').add(10)
    await haveMet(two)
    assert.is(await spaceB.db.counter('n').get(), 13)
  }))

test('revert: a counter that this device has deleted since counts again what it counted, once', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.counter('n').add(5)
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.del('n')
    await spaceB.db.counter('n').add(1)
    await haveMet(two)
    for (let times = 0; times < 2; times++) {
      await spaceA.revert({ writer: spaceB.writer, after })
      assert.is(await spaceA.db.counter('n').get(), 5)
    }
    await haveMet(two)
    await spaceB.db.counter('n').add(2)
    await haveMet(two)
    await spaceA.revert({ writer: spaceB.writer, after })
    assert.is(await spaceA.db.counter('n').get(), 5)
  }))

test('revert: a counter that has become a text is left alone, and told of', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.counter('n').add(5)
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.put('n', 'text')
    await haveMet(two)
    const report = await spaceA.revert({ writer: spaceB.writer, after })
    assert.equal(report, { written: 0, deleted: 0, skipped: 0, kept: ['db/n'] })
  }))

test('revert: of sets and flags, what one device added goes, what it took away comes back, and the rest stays', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    for (const element of ['kept', 'taken', 'taken by both'])
      await spaceA.db.set('tags').add(element)
    await spaceA.db.flag('on').enable()
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.set('tags').add('added')
    await spaceB.db.set('tags').add('added by both')
    await spaceB.db.set('tags').delete('taken')
    await spaceB.db.set('only taken').add('x')
    await spaceB.db.set('only taken').delete('x')
    await spaceB.db.flag('on').disable()
    await spaceB.db.flag('off').enable()
    await haveMet(two)
    await spaceA.db.set('tags').add('added by both')
    await spaceA.db.set('tags').delete('taken by both')
    for (let times = 0; times < 2; times++) {
      await spaceA.revert({ writer: spaceB.writer, after })
      assert.equal(await spaceA.db.set('tags').values(), ['kept', 'taken', 'added by both'])
      assert.is(await spaceA.db.flag('on').get(), true)
      assert.is(await spaceA.db.flag('off').get(), false)
    }
  }))

test('revert: a maximum that one device raised is what the others say again', () =>
  withTwo(async (two) => {
    const { spaceA, spaceB } = two
    await spaceA.db.max('high').add(3)
    await haveMet(two)
    const after = await spaceA.version()
    await spaceB.db.max('high').add(9)
    await haveMet(two)
    await spaceA.db.max('high').add(5)
    await spaceA.revert({ writer: spaceB.writer, after })
    assert.is(await spaceA.db.max('high').get(), 5)
  }))

test.run()
