/** Stories of attacks and accidents that need the whole stack. The table in docs/MEMBERSHIP.md names these tests. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0

test.after(() => folder.remove())

interface Met {
  readonly spaces: readonly [Space, Space, Space]
  readonly devices: readonly [Device, Device, Device]
  /** Connects all of them. @returns how to cut that */
  readonly meet: () => () => void
}

/** Alice founds, Bob and Carol write; all have met, and nobody is connected. @param bobsClock what Bob's device takes for the time */
async function withMembers(
  run: (met: Met) => Promise<void>,
  bobsClock: () => number = Date.now
): Promise<void> {
  const open = (now: () => number) =>
    openDevice({ storage: join(folder.path, `device-${count++}`), now })
  const devices = [await open(Date.now), await open(bobsClock), await open(Date.now)] as const
  const alice = await devices[0].createSpace()
  const bob = await devices[1].openSpace(alice.ticket)
  const carol = await devices[2].openSpace(alice.ticket)
  const spaces = [alice, bob, carol] as const
  const meet = () => {
    const cuts = [connect(alice, bob), connect(alice, carol), connect(bob, carol)]
    return () => cuts.forEach((cut) => cut())
  }
  try {
    for (const each of [bob, carol]) await alice.addWriter(each.writer)
    const cut = meet()
    for (const space of spaces) await until(() => space.members.list().length === 3)
    await cutAll(spaces, cut)
    await run({ spaces, devices, meet })
  } finally {
    for (const device of devices) await device.close()
  }
}

async function cutAll(spaces: readonly Space[], cut: () => void): Promise<void> {
  cut()
  for (const space of spaces) await until(() => space.peers().length === 0)
}

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

const DAY = 24 * 60 * 60 * 1000

test('story: a removed writer writes offline with honest, past and future stamps', async () => {
  let shift = 0
  await withMembers(
    async ({ spaces, devices, meet }) => {
      const [alice, bob, carol] = spaces
      await alice.members.revoke(devices[1].id)
      await alice.db.put('k', 'by alice')
      for (const [key, days] of [
        ['honest', 0],
        ['past', -400],
        ['k', 400]
      ] as const) {
        shift = days * DAY
        await bob.db.put(key, 'late')
      }
      meet()
      for (const space of spaces) {
        const left = async () => (await space.members.excluded())[0]?.entries.map(({ key }) => key)
        await until(async () => (await left())?.join() === 'db/honest,db/k,db/past')
        for (const key of ['honest', 'past']) assert.is(await valueIn(space, key), undefined)
        // A removed device gets no data any more, and what it gets of who has not heard yet it cannot read.
        const shown = space === bob ? undefined : 'by alice'
        await until(async () => (await valueIn(space, 'k')) === shown)
      }
      await carol.db.put('k', 'by carol')
      await until(async () => (await valueIn(alice, 'k')) === 'by carol')
    },
    () => Date.now() + shift
  )
})

test('story: restore after garbage collection', () =>
  withMembers(async ({ spaces, devices, meet }) => {
    const [alice, bob, carol] = spaces
    await alice.db.put('k', 'by alice')
    const cut = meet()
    await until(async () => (await valueIn(bob, 'k')) === 'by alice')
    await cutAll(spaces, cut)
    await alice.members.revoke(devices[1].id)
    await bob.db.put('k', 'late')
    await bob.db.put('more', 'late')
    const again = meet()
    for (const space of spaces)
      await until(async () => (await space.members.excluded()).length === 1)
    await cutAll(spaces, again)
    await devices[1].close() // and its store is gone for good
    for (const space of [alice, carol]) {
      for (let round = 0; round < 2; round++) await space.compact()
      assert.is(await valueIn(space, 'k'), 'by alice')
    }
    await alice.members.restore(devices[1].id)
    connect(alice, carol)
    for (const space of [alice, carol]) {
      await until(async () => (await valueIn(space, 'k')) === 'late')
      assert.is(await valueIn(space, 'more'), 'late')
      assert.equal(await space.members.excluded(), [])
    }
  }))

test('story: pruning followed by a seal', () =>
  withMembers(async ({ spaces, devices, meet }) => {
    const [alice, bob, carol] = spaces
    await alice.db.put('k', 'by alice')
    const cut = meet()
    await until(async () => (await valueIn(bob, 'k')) === 'by alice')
    await bob.db.put('k', 'by bob')
    const said = async () => (await alice.db.why('k'))?.entries.map(({ writer }) => writer)
    await until(async () => {
      for (const space of spaces) await space.compact()
      return (await said())?.join() === bob.writer
    })
    await cutAll(spaces, cut)
    await alice.members.revoke(devices[1].id)
    await bob.db.put('k', 'late')
    meet()
    for (const space of spaces) {
      await until(async () => (await space.members.excluded()).length === 1)
      assert.is(await valueIn(space, 'k'), 'by bob', 'what was relied on counts')
    }
    assert.equal(await said(), [bob.writer])
    await rejectsWith('NOT_ALLOWED', () => bob.db.put('k', 'later'))
    assert.is(await valueIn(carol, 'k'), 'by bob')
  }))

test('story: a removed writer comes in again under fresh logs, with less than before', () =>
  withMembers(async ({ spaces: [alice, bob, carol], devices, meet }) => {
    await bob.db.put('before', 1)
    let cut = meet()
    await until(async () => (await valueIn(carol, 'before')) === 1)
    await alice.members.revoke(devices[1].id)
    await until(() => bob.members.list().some(({ isOwn, role }) => isOwn && role === null))
    await rejectsWith('NOT_ALLOWED', () => devices[1].rotate(alice.address))
    await cutAll([alice, carol], cut)
    await devices[1].leaveSpace(alice.address)
    const again = await devices[1].openSpace(alice.ticket)
    cut = connect(alice, again)
    await until(() => alice.members.asking().length === 1)
    const [asking] = alice.members.asking()
    assert.is(asking?.writer, again.writer)
    await alice.members.admit(asking?.writer ?? '', 'reader')
    await until(async () => (await valueIn(again, 'before')) === 1)
    await rejectsWith('NOT_ALLOWED', () => again.db.put('after', 2))
    const own = alice.members
      .list()
      .find(({ devices: [device] }) => device?.device === devices[1].id)
    assert.is(own?.role, 'reader')
    cut()
  }))

test.run()
