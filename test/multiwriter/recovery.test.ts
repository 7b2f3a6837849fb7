/** Coming back with the phrase where devices are lost: they are sealed, and office and vote are kept. */
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

const storage = (name: string) => join(folder.path, `${name}-${count++}`)
const open = (name: string) => openDevice({ storage: storage(name), name })

const memberOf = (space: Space, { identity }: Device) =>
  space.members.list().find((member) => member.identity === identity.id)
const roleOf = (space: Space, device: Device) =>
  memberOf(space, device)?.devices.find((each) => each.device === device.id)?.role ?? null
const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

async function closeAll(devices: readonly Device[]): Promise<void> {
  for (const device of devices) await device.close()
}

test('recovery: a founder whose only device is lost comes back as owner, and the lost device is out', async () => {
  const [old, bob, carol, found] = [
    await open('old'),
    await open('bob'),
    await open('carol'),
    await open('new')
  ]
  try {
    const phrase = old.identity.phrase()
    const lost = await old.createSpace()
    const bobs = await bob.openSpace(lost.ticket)
    const carols = await carol.openSpace(lost.ticket)
    for (const each of [bobs, carols]) await lost.addWriter(each.writer)
    const cut = connect(lost, bobs)
    await until(() => roleOf(bobs, bob) === 'writer')
    await lost.db.put('before', 'kept')
    await until(async () => (await valueIn(bobs, 'before')) === 'kept')
    cut()
    await lost.db.put('after', 'by a thief')

    await found.identity.recover(phrase)
    assert.is(found.identity.id, old.identity.id)
    const ticketFromBob = bobs.ticket
    const space = await found.openSpace(ticketFromBob)
    await rejectsWith('NOT_ALLOWED', () => found.recover(space.address), /no member/)
    connect(space, bobs)
    await until(() => memberOf(space, found) !== undefined)
    assert.is(await found.recover(space.address), space)
    assert.is(roleOf(space, found), 'owner')
    assert.is(roleOf(space, old), null)
    // Carol has met Bob alone, and learns of it from him.
    connect(bobs, carols)
    for (const each of [bobs, carols]) await until(() => roleOf(each, found) === 'owner')
    connect(lost, carols)
    await until(() => roleOf(lost, old) === null)
    await rejectsWith('NOT_ALLOWED', () => lost.db.put('more', 1))
    for (const each of [bobs, carols, space]) {
      await until(async () => (await valueIn(each, 'before')) === 'kept')
      assert.is(await valueIn(each, 'after'), undefined)
    }
    // The office acts, and the vote is given here now.
    await space.members.setRole(bob.id, 'owner')
    await until(() => roleOf(carols, bob) === 'owner')
    // Carol came after the lost device had gone: only who is let in is given the new key.
    await space.addWriter(carols.writer)
    await until(() => roleOf(carols, carol) === 'writer')
    await space.db.put('back', 'again')
    await until(async () => (await valueIn(carols, 'back')) === 'again')
  } finally {
    await closeAll([old, bob, carol, found])
  }
})

test('recovery: it is there after a restart, and who comes later is told', async () => {
  const place = storage('new')
  const [old, bob, late] = [await open('old'), await open('bob'), await open('late')]
  let found = await openDevice({ storage: place })
  try {
    const first = await old.createSpace()
    const bobs = await bob.openSpace(first.ticket)
    await first.addWriter(bobs.writer)
    connect(first, bobs)
    await until(() => roleOf(bobs, bob) === 'writer')
    await found.identity.recover(old.identity.phrase())
    const space = await found.openSpace(bobs.ticket)
    connect(space, bobs)
    await until(() => memberOf(space, found) !== undefined)
    await found.recover(space.address)
    await until(() => roleOf(bobs, found) === 'owner')
    await found.close()
    found = await openDevice({ storage: place })
    const again = await found.openSpace(bobs.ticket)
    assert.is(roleOf(again, found), 'owner')
    await again.db.put('k', 1)
    connect(again, bobs)
    await until(async () => (await valueIn(bobs, 'k')) === 1)
    const lates = await late.openSpace(bobs.ticket)
    connect(lates, bobs)
    await until(() => roleOf(lates, found) === 'owner')
  } finally {
    await closeAll([old, bob, late, found])
  }
})

test('recovery: a later device takes the rights of the lost first one, and goes on with what it wrote', async () => {
  const [first, tablet, laptop] = [await open('first'), await open('tablet'), await open('laptop')]
  try {
    const phrase = first.identity.phrase()
    const lost = await first.createSpace()
    const spaces: Space[] = []
    for (const device of [laptop, tablet]) {
      await device.identity.accept(first.identity.certify(device.identity.request()).answer)
      const space = await device.openSpace(lost.ticket)
      const cut = connect(lost, space)
      await until(() => roleOf(space, device) === 'owner')
      spaces.push(space)
      cut()
    }
    const [laptops, tablets] = spaces
    if (laptops === undefined || tablets === undefined) throw new Error('not opened')
    connect(laptops, tablets)
    await until(() => roleOf(laptops, tablet) === 'owner')
    await laptops.db.counter('n').add(2)
    await laptops.db.put('mine', 'before')
    await laptops.members.acknowledge()
    // RULE 8: among the devices of an identity, the earlier has the higher rank.
    await rejectsWith('NOT_ALLOWED', () => laptops.members.revoke(first.id), /rule 8/)
    await rejectsWith('PHRASE_UNKNOWN', () => laptop.recover(laptops.address))
    await laptop.identity.recover(phrase)
    await rejectsWith('INVALID_ARGUMENT', () =>
      laptop.recover(laptops.address, { keep: ['somebody'] })
    )
    const back = await laptop.recover(laptops.address, { keep: [tablet.id] })
    await laptop.identity.forgetPhrase()
    assert.is.not(back, laptops)
    connect(back, tablets)
    for (const space of [back, tablets]) {
      await until(() => roleOf(space, first) === null)
      assert.is(roleOf(space, laptop), 'owner')
      assert.is(roleOf(space, tablet), 'owner')
    }
    await back.db.counter('n').add(3)
    await back.db.put('mine', 'after')
    await until(async () => (await valueIn(tablets, 'mine')) === 'after')
    assert.equal((await tablets.db.get('mine'))?.conflicts, [])
    assert.is(await tablets.db.counter('n').get(), 5)
  } finally {
    await closeAll([first, tablet, laptop])
  }
})

test('recovery: another person’s phrase gives nothing', async () => {
  const [old, bob, stranger] = [await open('old'), await open('bob'), await open('stranger')]
  try {
    const space = await old.createSpace()
    const theirs = await stranger.openSpace(space.ticket)
    connect(space, theirs)
    await until(() => theirs.members.list().length === 1)
    await stranger.identity.recover(bob.identity.phrase())
    const again = await stranger.openSpace(space.address)
    await rejectsWith('NOT_ALLOWED', () => stranger.recover(again.address))
    await rejectsWith('SPACE_UNKNOWN', () => stranger.recover('nowhere'))
    assert.is(roleOf(space, old), 'owner')
  } finally {
    await closeAll([old, bob, stranger])
  }
})

test.run()
