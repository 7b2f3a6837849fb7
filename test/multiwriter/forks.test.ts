/** Stores that were copied and wrote on, in a space: found by whoever sees both, and ended the same way everywhere. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../support/devices.ts'
import {
  ALL,
  contentsOf,
  EDGES,
  MESH,
  nameOf,
  openWorld,
  ordersOf,
  pause,
  play,
  untilAgreed,
  valueIn,
  type Name
} from '../support/fork-world.ts'
import { rejectsWith } from '../support/rejects.ts'

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))

test.after(() => assert.equal(failures, []))

test('forks: of two copies of a store, the history counts that the higher-ranking device has', async () => {
  const world = await openWorld()
  await world.space('one').db.put('of-one', 1)
  await world.space('two').db.put('of-two', 2)
  world.connect(['founder', 'one'], ['other', 'two'])
  await until(async () => (await valueIn(world.space('founder'), 'of-one')) === 1)
  await until(async () => (await valueIn(world.space('other'), 'of-two')) === 2)
  await world.space('other').db.put('of-other', 3)
  world.connect(['founder', 'other'])
  await untilAgreed(world)
  const expected = { common: 'before the copy', 'of-one': 1, 'of-other': 3 }
  assert.equal(await contentsOf(world.space('two')), expected)
  const [fork] = world.space('two').members.forks()
  assert.is(fork?.writer, world.space('one').writer)
  assert.is(fork?.use, 'data')
  assert.is(fork?.device, world.device('one').id)
  for (const copy of ['one', 'two'] as const)
    await rejectsWith('NOT_ALLOWED', () => world.space(copy).db.put('more', 1), /two histories/)
  // Everybody else goes on, also after a restart.
  world.cut()
  await world.open(...ALL)
  for (const name of ALL) assert.equal(await contentsOf(world.space(name)), expected, name)
  await world.space('founder').db.put('later', 4)
  world.connect(...MESH)
  for (const name of ALL) await until(async () => (await valueIn(world.space(name), 'later')) === 4)
  await world.close()
})

test('forks: a device whose log has two histories goes on under new logs, with which it is let in again', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 'one')
  await world.space('two').db.put('a', 'two')
  world.connect(...MESH)
  await untilAgreed(world)
  world.cut()
  const founder = world.space('founder')
  await world.rotate('one')
  const space = world.space('one')
  await space.db.put('b', 'written on')
  world.connect(['founder', 'one'])
  await until(() => founder.members.asking().length > 0)
  const [asking] = founder.members.asking()
  await founder.members.admit(asking?.writer ?? '', 'writer')
  await until(async () => (await valueIn(founder, 'b')) === 'written on')
  assert.is(space.members.forks().length, 1)
  await world.close()
})

// Every eighth order; forks.slow.ts has them all.
for (const [i, order] of ordersOf(EDGES).entries()) {
  if (i % 8 > 0) continue
  const meeting = { order, isEqual: i % 16 === 0, restarts: i % 3 === 0 }
  test(`forks: whoever meets whom first, all agree in the end: ${nameOf(meeting)}`, () =>
    play(meeting))
}

test('forks: two histories of equal length that nobody has touched since are found when two devices meet', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 'one')
  await world.space('two').db.put('a', 'two')
  world.connect(['founder', 'one'], ['other', 'two'])
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 'one')
  await until(async () => (await valueIn(world.space('other'), 'a')) === 'two')
  world.cut()
  await world.closeOne('one')
  await world.closeOne('two')
  world.connect(['founder', 'other'])
  await untilAgreed(world, ['founder', 'other'])
  assert.is(await valueIn(world.space('other'), 'a'), 'one')
  await world.close()
})

test('forks: what documents, watchers and indexes show changes to the chosen history while they are open', async () => {
  const world = await openWorld()
  const [one, two] = [world.space('one'), world.space('two')]
  for (const [space, text] of [
    [one, 'of one'],
    [two, 'of two, which is longer']
  ] as const) {
    const document = await space.documents.open('notes')
    document.doc.getText('text').insert(0, text)
    await document.flush()
    await document.close()
    await space.db.put('a', text)
  }
  world.connect(['founder', 'one'], ['other', 'two'])
  const other = world.space('other')
  const shown = await other.documents.open('notes')
  const textOf = () => shown.doc.getText('text').toJSON()
  await until(async () => (await valueIn(other, 'a')) === 'of two, which is longer')
  await until(() => textOf() === 'of two, which is longer')
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 'of one')
  const seen: unknown[] = []
  const watcher = other.db.watch()
  const watching = (async () => {
    for await (const { current } of watcher) seen.push(current?.value)
  })()
  await pause(50)
  world.connect(['founder', 'other'])
  await untilAgreed(world)
  await until(() => seen.at(-1) === 'of one')
  await until(() => textOf() === 'of one')
  for (const name of ALL) assert.equal(await world.space(name).check(), [], name)
  await watcher.return?.()
  await watching
  await shown.close()
  await world.close()
})

test('forks: a device that comes later reads the chosen history, though nobody has the log itself any more', async () => {
  const world = await openWorld()
  await world.space('one').db.put('a', 'one')
  await world.space('two').db.put('a', 'two')
  world.connect(['founder', 'one'], ['other', 'two'])
  await until(async () => (await valueIn(world.space('founder'), 'a')) === 'one')
  await until(async () => (await valueIn(world.space('other'), 'a')) === 'two')
  world.connect(['founder', 'other'])
  await untilAgreed(world)
  world.cut()
  await world.closeOne('founder')
  await world.closeOne('one')
  await world.closeOne('two')
  await world.open('late')
  world.connect(['other', 'late'])
  await until(async () => (await valueIn(world.space('late'), 'a')) === 'one')
  await world.close()
})

test('forks: a founder that shows each half of the space another membership log is read the same by both', async () => {
  const world = await openWorld('founder')
  const [one, two] = [world.space('one'), world.space('two')]
  assert.is(one.address, two.address)
  await one.members.revoke(world.device('other').id)
  await two.members.setRole(world.device('other').id, 'admin')
  world.connect(['founder', 'one'], ['other', 'two'])
  const roleIn = (name: Name, of: Name) =>
    world
      .space(name)
      .members.list()
      .find(({ devices }) => devices.some(({ device }) => device === world.device(of).id))?.role
  await until(() => roleIn('founder', 'other') === null)
  await until(() => roleIn('other', 'other') === 'admin')
  for (const name of ['founder', 'other'] as const) await world.space(name).members.acknowledge()
  world.connect(['founder', 'other'])
  await untilAgreed(world)
  assert.is(world.space('founder').members.forks()[0]?.use, 'membership')
  const roles = ALL.map((name) => roleIn(name, 'other'))
  assert.is(new Set(roles).size, 1)
  world.cut()
  await world.open(...ALL)
  assert.equal(
    ALL.map((name) => roleIn(name, 'other')),
    roles
  )
  await world.close()
})

test.run()
