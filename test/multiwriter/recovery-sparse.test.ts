/** Coming back with the phrase into a space that is opened sparsely: what the lost devices wrote is not here, and counts all the same. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDevice } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { exportSpace } from '../support/export.ts'
import { rejectsWith } from '../support/rejects.ts'

/** Many blocks, of which a sparse reader fetches a few. */
const KEYS = 400

const folder = await tempFolder()
let count = 0
test.after(() => folder.remove())

const storageOf = (name: string) => join(folder.path, `${name}-${count++}`)

/** Devices that are closed at the end of a test. */
async function withDevices(
  body: (open: (name: string, storage?: string) => Promise<Device>) => Promise<void>
): Promise<void> {
  const opened: Device[] = []
  try {
    await body(async (name, storage = storageOf(name)) => {
      const device = await openDevice({ storage, name })
      opened.push(device)
      return device
    })
  } finally {
    for (const device of opened.toReversed()) await device.close()
  }
}

const memberOf = (space: Space, { identity }: Device) =>
  space.members.list().find((member) => member.identity === identity.id)
const roleOf = (space: Space, device: Device) =>
  memberOf(space, device)?.devices.find((each) => each.device === device.id)?.role ?? null
/** A sparse space waits for what a connected device may have: not for ever. */
const valueIn = async (space: Space, key: string) =>
  (await space.db.get(key, { timeout: 5000 }))?.value

async function putMany({ db }: Space, value: string): Promise<void> {
  for (let i = 0; i < KEYS; i++) {
    const written = db.put(`${i}`, `${value} ${i}`)
    if (i % 10 === 9) await written
  }
}

/** But for those of whose rights have ended, and who come all the same. */
const refusedIn = (space: Space) =>
  space.refusals().filter(({ reason }) => reason !== 'peer-removed')

/** As far as the log of a writer is known in a space. */
const knownOf = (space: Space, writer: string) =>
  space.syncState().logs.find((log) => log.writer === writer)?.known

/** Blocks of the log of a writer that a space has. */
const hereOf = (space: Space, writer: string) =>
  space.syncState().logs.find((log) => log.writer === writer)?.here ?? 0

test('recovery, sparse: the lost device is out, all that it wrote counts everywhere, and the office is kept; little of it is fetched', () =>
  withDevices(async (open) => {
    const [old, bob, carol] = [await open('old'), await open('bob'), await open('carol')]
    const lost = await old.createSpace()
    const [bobs, carols] = [await bob.openSpace(lost.ticket), await carol.openSpace(lost.ticket)]
    for (const each of [bobs, carols]) await lost.addWriter(each.writer)
    const cut = connect(lost, bobs)
    await until(() => roleOf(bobs, bob) === 'writer')
    await putMany(lost, 'kept')
    await until(async () => (await exportSpace(bobs)) === (await exportSpace(lost)))
    cut()
    const before = await exportSpace(bobs)
    await lost.db.put('after', 'by a thief')

    const place = storageOf('new')
    const found = await open('new', place)
    await found.identity.recover(old.identity.phrase())
    const space = await found.openSpace(bobs.ticket, { sparse: true })
    const cutBob = connect(space, bobs)
    await until(() => memberOf(space, found) !== undefined)
    assert.is(await found.recover(space.address), space)
    assert.is(roleOf(space, found), 'owner')
    assert.is(roleOf(space, old), null)
    assert.ok(hereOf(space, lost.writer) < hereOf(bobs, lost.writer) / 2, 'it stays sparse')

    connect(bobs, carols)
    for (const each of [bobs, carols]) await until(() => roleOf(each, found) === 'owner')
    connect(lost, carols)
    await until(() => roleOf(lost, old) === null)
    for (const each of [bobs, space, carols]) {
      await until(async () => (await exportSpace(each)) === before)
      assert.is(await valueIn(each, 'after'), undefined)
      assert.equal(refusedIn(each), [])
    }
    await space.members.setRole(bob.id, 'owner')
    await until(() => roleOf(bobs, bob) === 'owner')
    await space.db.put('back', 'again')
    await until(async () => (await valueIn(bobs, 'back')) === 'again')

    // After a restart, alone: it says what it lacks, and goes on when it meets somebody.
    cutBob()
    await found.close()
    const again = await open('new', place)
    const alone = await again.openSpace(space.address)
    assert.is(roleOf(alone, again), 'owner')
    assert.is(await valueIn(alone, 'back'), 'again')
    await alone.db.put('offline', 1)
    connect(alone, bobs)
    await until(async () => (await valueIn(bobs, 'offline')) === 1)
    assert.is(await valueIn(alone, '7'), 'kept 7')
    assert.is(await exportSpace(alone), await exportSpace(bobs))
  }))

test('recovery, sparse: where nobody who is in has all of the lost device’s log, all of it counts, and what is nowhere says so', () =>
  withDevices(async (open) => {
    const [old, bob, found] = [await open('old'), await open('bob'), await open('new')]
    const lost = await old.createSpace()
    const bobs = await bob.openSpace(lost.ticket, { sparse: true })
    await lost.addWriter(bobs.writer)
    const cut = connect(lost, bobs)
    await until(() => roleOf(bobs, bob) === 'writer')
    await putMany(lost, 'kept')
    const { length } = lost.writers().find(({ writer }) => writer === lost.writer) ?? {}
    await until(() => knownOf(bobs, lost.writer) === length)
    await bobs.members.acknowledge()
    cut()
    await found.identity.recover(old.identity.phrase())
    const space = await found.openSpace(bobs.ticket, { sparse: true })
    connect(space, bobs)
    await until(() => memberOf(space, found) !== undefined)
    await found.recover(space.address)
    assert.is(roleOf(space, old), null)
    const readAll = async () => {
      for (let i = 0; i < KEYS; i++) await space.db.get(`${i}`, { timeout: 100 })
    }
    await rejectsWith('BLOCK_UNAVAILABLE', readAll)
    assert.is(knownOf(space, lost.writer), length)
    // Nobody needs it to write.
    await space.db.put('mine', 1)
    await until(() => (knownOf(bobs, space.writer) ?? 0) > 0)
  }))

test('recovery, sparse: a later device takes the rights of the lost first one, and goes on with what it wrote', () =>
  withDevices(async (open) => {
    const [first, bob, laptop] = [await open('first'), await open('bob'), await open('laptop')]
    const phrase = first.identity.phrase()
    const lost = await first.createSpace()
    await laptop.identity.accept(first.identity.certify(laptop.identity.request()).answer)
    const laptops = await laptop.openSpace(lost.ticket, { sparse: true })
    const bobs = await bob.openSpace(lost.ticket)
    await lost.addWriter(bobs.writer)
    const cuts = [connect(lost, laptops), connect(lost, bobs)]
    await until(() => roleOf(laptops, laptop) === 'owner')
    await until(() => roleOf(bobs, bob) === 'writer')
    await putMany(lost, 'kept')
    await laptops.db.counter('n').add(2)
    await laptops.db.put('mine', 'before')
    await until(async () => (await valueIn(bobs, 'mine')) === 'before')
    await until(async () => (await valueIn(bobs, `${KEYS - 1}`)) === `kept ${KEYS - 1}`)
    for (const cut of cuts) cut()

    connect(laptops, bobs)
    await laptop.identity.recover(phrase)
    const back = await laptop.recover(laptops.address)
    assert.is(roleOf(back, laptop), 'owner')
    assert.is(roleOf(back, first), null)
    connect(back, bobs)
    await until(() => roleOf(bobs, first) === null)
    await back.db.counter('n').add(3)
    await back.db.put('mine', 'after')
    await until(async () => (await valueIn(bobs, 'mine')) === 'after')
    assert.is(await bobs.db.counter('n').get(), 5)
    assert.is(await valueIn(back, '7'), 'kept 7')
    assert.is(await exportSpace(back), await exportSpace(bobs))
    for (const space of [back, bobs]) {
      assert.equal((await space.db.get('mine'))?.conflicts, [])
      assert.equal(refusedIn(space), [])
    }
  }))

test('members, sparse: who has read nothing acknowledges, gives roles, removes and restores like anybody, and loses nothing that it knows of', () =>
  withDevices(async (open) => {
    const [ann, ben, cid] = [await open('ann'), await open('ben'), await open('cid')]
    const anns = await ann.createSpace()
    const bens = await ben.openSpace(anns.ticket, { sparse: true })
    const cids = await cid.openSpace(anns.ticket)
    for (const each of [bens, cids]) await anns.addWriter(each.writer)
    const [cutBen, cutCid] = [connect(anns, bens), connect(anns, cids)]
    await until(() => roleOf(bens, ben) === 'writer' && roleOf(cids, cid) === 'writer')
    await anns.members.setRole(ben.id, 'admin')
    await until(() => roleOf(bens, ben) === 'admin')
    await putMany(cids, 'known')
    const { length = 0 } = cids.writers().find(({ writer }) => writer === cids.writer) ?? {}
    await until(() => knownOf(bens, cids.writer) === length)
    await until(async () => (await valueIn(anns, '399')) === 'known 399')
    cutCid()
    await cids.db.put('late', 'unknown')
    assert.ok(hereOf(bens, cids.writer) < length / 2)

    await bens.members.acknowledge()
    await bens.members.revoke(cid.id)
    assert.equal(await bens.members.excluded(), [])
    await until(() => roleOf(anns, cid) === null)
    assert.is(await valueIn(anns, '399'), 'known 399')
    assert.is(await valueIn(bens, '399'), 'known 399')
    cutBen()
    // Alone, too: what its log holds further is not here, so there is nothing to show, and nothing hangs.
    assert.equal(await bens.members.excluded(), [])
  }))

test.run()
