/** Keys that change with the members, with whole devices. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { openDevice } from '../../index.ts'
import { encodeRecord } from '../../acl/index.ts'
import { sealTo } from '../../core/index.ts'
import { openStore } from '../../core/native/index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { encryptionOf } from '../support/encryption.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0

test.after(() => folder.remove())

const place = () => join(folder.path, `device-${count++}`)

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

interface Party {
  readonly storage: string
  readonly device: Device
  readonly space: Space
}

async function enter(ticket: string | null): Promise<Party> {
  const storage = place()
  const device = await openDevice({ storage })
  const space = ticket === null ? await device.createSpace() : await device.openSpace(ticket)
  return { storage, device, space }
}

/** The first founds, the others write; all have met, and nobody is connected. */
async function party(size: 2 | 3): Promise<readonly [Party, Party, Party]> {
  const founder = await enter(null)
  const all = [founder]
  while (all.length < size) all.push(await enter(founder.space.ticket))
  for (const { space } of all.slice(1)) await founder.space.addWriter(space.writer)
  const cut = meet(...all)
  for (const { space } of all) await until(() => rolesOf(space).length === size && allHave(space))
  await cut()
  const [first, second = founder, third = founder] = all
  return [first ?? founder, second, third]
}

const allHave = (space: Space): boolean =>
  space.members.list().every(({ devices }) => devices.every(({ hasKey }) => hasKey))

/** @returns cuts them off again, and waits until all have noticed */
function meet(...parties: readonly Party[]): () => Promise<void> {
  const cuts = parties.flatMap((one, i) =>
    parties.slice(i + 1).map((other) => connect(one.space, other.space))
  )
  return async () => {
    for (const cut of cuts) cut()
    for (const { space } of parties) await until(() => space.peers().length === 0)
  }
}

async function closeAll(...parties: readonly Party[]): Promise<void> {
  for (const { device } of parties) await device.close()
}

/** What a space writes under. */
const current = (space: Space): string | undefined =>
  space.members.keys().find(({ isCurrent }) => isCurrent)?.id

const rolesOf = (space: Space) => space.members.list().map(({ role }) => role)

async function reads(space: Space, key: string, value: unknown): Promise<void> {
  await until(async () => (await valueIn(space, key)) === value)
}

/** Everything of a log, from one store into another, as somebody would who asks nobody. Both devices are closed. */
async function smuggle(writer: string, from: Party, to: Party): Promise<void> {
  const stores = [await openStore(from.storage), await openStore(to.storage)] as const
  const key = z32.decode(writer)
  const [source, target] = [
    await stores[0].remoteLog(key, null),
    await stores[1].remoteLog(key, null)
  ]
  const cut = connect(source, target)
  await until(() => target.length === source.length)
  for (let seq = 0; seq < source.length; seq++) await target.get(seq)
  cut()
  for (const store of stores) await store.close()
}

test('a space is founded with a key, and whoever is let in is given it', async () => {
  const [alice, bob] = await party(2)
  const [key, ...others] = alice.space.members.keys()
  assert.equal(others, [])
  assert.equal(new Set(key?.devices), new Set([alice.device.id, bob.device.id]))
  assert.equal([key?.generation, key?.isCurrent, key?.isHere, key?.unusable], [1, true, true, null])
  assert.equal(bob.space.members.keys(), alice.space.members.keys())
  await closeAll(alice, bob)
})

test('who was removed gets the blocks, and cannot read what was written after', async () => {
  const [alice, bob, carol] = await party(3)
  await alice.space.db.put('before', 1)
  let cut = meet(alice, bob, carol)
  for (const { space } of [bob, carol]) await reads(space, 'before', 1)
  await cut()
  await alice.space.members.revoke(bob.device.id)
  await alice.space.db.put('after', 2)
  cut = meet(alice, carol)
  await reads(carol.space, 'after', 2)
  await carol.space.db.put('by carol', 3)
  await reads(alice.space, 'by carol', 3)
  assert.is(current(alice.space), current(carol.space))
  await cut()
  cut = meet(alice, bob)
  await until(() => bob.space.members.keys().length === 2)
  await cut()
  const { writer } = alice.space
  await closeAll(alice, bob)
  await smuggle(writer, alice, bob)
  const again = await openDevice({ storage: bob.storage })
  const space = await again.openSpace(bob.space.address)
  assert.is(await valueIn(space, 'before'), 1)
  assert.is(await valueIn(space, 'after'), undefined)
  const log = space.syncState().logs.find((each) => each.writer === writer)
  assert.equal([log?.here, log?.known, log?.behind], [2, 2, 'NO_EPOCH_KEY'])
  assert.is(space.members.keys()[0]?.isHere, false)
  await again.close()
  await closeAll(carol)
})

/** Alice's only device is lost; another takes its place, which knows the space by this ticket of Bob's, and has met him. */
async function comesBack(alice: Party, bob: Party, ticket: string): Promise<Party> {
  const storage = place()
  const device = await openDevice({ storage })
  await device.identity.recover(alice.device.identity.phrase())
  const space = await device.openSpace(ticket)
  const found = { storage, device, space }
  const cut = meet(found, bob)
  await until(() => rolesOf(space).length === 2)
  await device.recover(space.address)
  await until(() => current(bob.space) === current(space))
  await cut()
  return found
}

test('who comes back by the phrase makes a key at once, and the lost device cannot read what is written after', async () => {
  const [alice, bob] = await party(2)
  const old = current(bob.space)
  const found = await comesBack(alice, bob, bob.space.ticket)
  assert.is.not(current(found.space), old)
  const [key] = found.space.members.keys()
  assert.equal(new Set(key?.devices), new Set([found.device.id, bob.device.id]))
  await found.space.db.put('after', 1)
  const cut = meet(alice, bob)
  await until(() => alice.space.members.keys().length === 2)
  await cut()
  const { writer } = found.space
  await closeAll(alice, found)
  await smuggle(writer, found, alice)
  const thief = await openDevice({ storage: alice.storage })
  const space = await thief.openSpace(alice.space.address)
  assert.is(await valueIn(space, 'after'), undefined)
  const log = space.syncState().logs.find((each) => each.writer === writer)
  assert.equal([log?.here, log?.known, log?.behind], [1, 1, 'NO_EPOCH_KEY'])
  await thief.close()
  await closeAll(bob)
})

test('who comes back without any key ends the lost logs where they end, and is given what it takes to read them', async () => {
  const [alice, bob] = await party(2)
  await alice.space.db.put('before', 1)
  const cut = meet(alice, bob)
  await reads(bob.space, 'before', 1)
  await cut()
  const found = await comesBack(alice, bob, bob.space.mirrorTicket)
  const back = meet(found, bob)
  await reads(found.space, 'before', 1)
  await found.space.db.put('after', 2)
  await reads(bob.space, 'after', 2)
  assert.is(await valueIn(bob.space, 'before'), 1)
  await back()
  await closeAll(alice, bob, found)
})

test('who has not heard of a removal writes on under the old key, and under the new one once it has', async () => {
  const [alice, bob, carol] = await party(3)
  const old = current(carol.space)
  await alice.space.members.revoke(bob.device.id)
  const next = current(alice.space)
  assert.is.not(next, old)
  await carol.space.db.put('early', 1)
  assert.is(current(carol.space), old)
  const cut = meet(alice, carol)
  await reads(alice.space, 'early', 1)
  await until(() => current(carol.space) === next)
  await carol.space.db.put('late', 2)
  await reads(alice.space, 'late', 2)
  await cut()
  await closeAll(alice, bob, carol)
})

test('after two removals that had not heard of each other, the next writer makes a key that neither has', async () => {
  const [alice, bob, carol] = await party(3)
  const dave = await enter(alice.space.ticket)
  await alice.space.addWriter(dave.space.writer)
  await alice.space.members.setRole(bob.device.id, 'admin')
  let cut = meet(alice, bob, carol, dave)
  for (const { space } of [alice, bob, carol, dave])
    await until(() => rolesOf(space).join() === 'owner,admin,writer,writer' && allHave(space))
  await cut()
  await alice.space.members.revoke(carol.device.id)
  await bob.space.members.revoke(dave.device.id)
  cut = meet(alice, bob)
  for (const { space } of [alice, bob])
    await until(() => space.members.keys().filter(({ isHere }) => isHere).length === 3)
  assert.equal(
    alice.space.members.keys().map(({ unusable }) => unusable),
    ['held-outside', 'held-outside', 'held-outside']
  )
  await bob.space.db.put('k', 1)
  await reads(alice.space, 'k', 1)
  const [key] = alice.space.members.keys()
  assert.equal([key?.generation, key?.isCurrent, key?.unusable], [3, true, null])
  assert.equal(new Set(key?.devices), new Set([alice.device.id, bob.device.id]))
  await cut()
  await closeAll(alice, bob, carol, dave)
})

test('after somebody left, the next writer makes a new key', async () => {
  const [alice, bob] = await party(2)
  const old = current(alice.space)
  await bob.space.members.leave()
  const cut = meet(alice, bob)
  await until(() => rolesOf(alice.space).includes(null))
  await cut()
  await alice.space.db.put('k', 1)
  assert.is.not(current(alice.space), old)
  assert.equal(
    alice.space.members.keys().map(({ devices }) => devices.length),
    [1, 2]
  )
  await closeAll(alice, bob)
})

test('keys are there again after a restart, without anybody else', async () => {
  const [alice, bob, carol] = await party(3)
  await alice.space.db.put('old', 1)
  await alice.space.members.revoke(carol.device.id)
  await alice.space.db.put('new', 2)
  const cut = meet(alice, bob)
  await reads(bob.space, 'new', 2)
  await cut()
  const key = current(bob.space)
  await closeAll(alice, bob, carol)
  for (const { storage, space } of [alice, bob]) {
    const device = await openDevice({ storage })
    const again = await device.openSpace(space.address)
    assert.equal([await valueIn(again, 'old'), await valueIn(again, 'new')], [1, 2])
    assert.is(current(again), key)
    await again.db.put('more', 3)
    await device.close()
  }
})

test('who goes on under new logs makes a new key, which gives the old one', async () => {
  const [alice, bob] = await party(2)
  await bob.space.db.put('old', 1)
  const before = current(bob.space)
  const space = await bob.device.rotate(bob.space.address)
  assert.is.not(current(space), before)
  await space.db.put('new', 2)
  const cut = connect(alice.space, space)
  await reads(alice.space, 'new', 2)
  assert.is(await valueIn(alice.space, 'old'), 1)
  assert.is(current(alice.space), current(space))
  cut()
  await closeAll(alice, bob)
})

test('who joins late, without a key, is given one and reads everything from the beginning', async () => {
  const [alice, bob, carol] = await party(3)
  await bob.space.db.put('one', 1)
  let cut = meet(alice, bob, carol)
  for (const { space } of [alice, carol]) await reads(space, 'one', 1)
  await cut()
  await alice.space.members.revoke(bob.device.id)
  await alice.space.db.put('two', 2)
  await carol.space.db.put('three', 3)
  const late = await enter(alice.space.mirrorTicket)
  cut = meet(alice, carol, late)
  await until(() => late.space.members.list().length === 3)
  assert.equal([await valueIn(late.space, 'two'), current(late.space)], [undefined, undefined])
  await alice.space.addWriter(late.space.writer)
  for (const [key, value] of [
    ['one', 1],
    ['two', 2],
    ['three', 3]
  ] as const)
    await reads(late.space, key, value)
  assert.ok(late.space.members.keys().every(({ isHere }) => isHere))
  const shares = late.space.members.keys().filter(({ devices }) => devices.includes(late.device.id))
  assert.is(shares.length, 1)
  await cut()
  await closeAll(alice, bob, carol, late)
})

test('who was removed and let in again reads what was written meanwhile', async () => {
  const [alice, bob, carol] = await party(3)
  await alice.space.members.revoke(bob.device.id)
  await alice.space.db.put('meanwhile', 1)
  await bob.space.leave()
  const space = await bob.device.openSpace(alice.space.mirrorTicket)
  const cut = connect(alice.space, space)
  await until(() => alice.space.members.asking().length === 1)
  await alice.space.members.admit(space.writer, 'writer')
  await reads(space, 'meanwhile', 1)
  assert.is(current(space), current(alice.space))
  cut()
  await closeAll(alice, bob, carol)
})

test('a mirror is given no key', async () => {
  const alice = await enter(null)
  const mirror = await enter(alice.space.mirrorTicket)
  const cut = meet(alice, mirror)
  await until(() => alice.space.members.asking().length === 1)
  await alice.space.members.admit(mirror.space.writer, 'mirror')
  await alice.space.db.put('k', 'secret')
  const here = () =>
    mirror.space.syncState().logs.find(({ writer }) => writer === alice.space.writer)?.here
  await until(() => here() === 1)
  assert.is(await valueIn(mirror.space, 'k'), undefined)
  assert.equal(
    mirror.space.members.keys().map(({ isHere }) => isHere),
    [false]
  )
  await rejectsWith('NOT_ALLOWED', () => mirror.space.db.put('k', 1))
  await cut()
  await closeAll(alice, mirror)
})

test('whom the granter could not give a key gets it from anybody who has it', async () => {
  const [alice, bob, carol] = await party(3)
  await alice.space.members.setRole(bob.device.id, 'admin')
  let cut = meet(alice, bob, carol)
  await until(() => rolesOf(bob.space).includes('admin'))
  await cut()
  await alice.space.members.revoke(carol.device.id)
  await alice.space.db.put('k', 1)
  // Bob has not heard of the new key when he lets Dave in.
  const dave = await enter(bob.space.mirrorTicket)
  await bob.space.addWriter(dave.space.writer)
  cut = meet(bob, dave)
  await until(() => rolesOf(dave.space).length === 4)
  await cut()
  cut = meet(alice, bob, dave)
  await reads(dave.space, 'k', 1)
  await until(() => current(dave.space) === current(alice.space))
  await cut()
  await closeAll(alice, bob, carol, dave)
})

test('a hostile minter gives a key that is not the one it names: nobody takes it, it is counted, and others write on', async () => {
  const [alice, bob, carol] = await party(3)
  const old = current(alice.space)
  const device = Buffer.from(z32.decode(alice.device.id)).toString('hex')
  const encryption = encryptionOf(carol.space)
  await closeAll(carol)
  const store = await openStore(carol.storage)
  const [{ salt } = { salt: new Uint8Array(32) }] = store.secrets.spaces
  const acl = await store.ownLog('acl', salt, encryption.acl)
  const box = sealTo(new Uint8Array(32).fill(1), z32.decode(alice.device.id))
  assert.ok(box)
  await acl.appendBlock(
    encodeRecord({
      kind: 'epoch',
      heads: [],
      epoch: 'ab'.repeat(32),
      parents: [],
      shares: [{ device, box }]
    })
  )
  await acl.close()
  await store.close()
  const again = await openDevice({ storage: carol.storage })
  const hostile = { ...carol, device: again, space: await again.openSpace(carol.space.address) }
  const cut = meet(alice, bob, hostile)
  const mismatches = () =>
    alice.space.refusals().filter(({ reason }) => reason === 'epoch-key-mismatch')
  await until(() => mismatches().length === 1)
  assert.is(mismatches()[0]?.count, 1)
  assert.is(current(alice.space), old)
  await alice.space.db.put('k', 1)
  await reads(bob.space, 'k', 1)
  await cut()
  await closeAll(alice, bob, hostile)
})

test('no key stands in an error, nor in what is told of keys', async () => {
  const alice = await enter(null)
  const told = JSON.stringify([alice.space.members.keys(), alice.space.members.list()])
  await alice.device.close()
  const store = await openStore(alice.storage)
  const [{ epochs } = { epochs: [] }] = store.secrets.spaces
  assert.is(epochs.length, 1)
  for (const key of epochs) {
    assert.not(told.includes(Buffer.from(key).toString('hex')))
    assert.not(told.includes(z32.encode(key)))
  }
  await store.close()
})

test.run()
