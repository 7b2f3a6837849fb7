/** Keys that change with the members, with whole devices. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { openDevice } from '../../index.ts'
import { encodeRecord, type AclRecord } from '../../acl/index.ts'
import { epochHash, sealBox, sealTo } from '../../core/index.ts'
import { openStore } from '../../core/native/index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'
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

/** As if a device's logs had been longer: others may hold what it lost. */
async function loseTails(storage: string): Promise<void> {
  const file = join(storage, 'high-water.json')
  const marks = JSON.parse(await readFile(file, 'utf8')) as Record<string, { length: number }>
  const longer = Object.entries(marks).map(([key, { length }]) => [
    key,
    { length: length + 1, treeHash: '0'.repeat(64) }
  ])
  await writeFile(file, JSON.stringify(Object.fromEntries(longer)))
}

test('who waits to name what its new logs go on from, and has no key that may be used, writes on, and tells of its key later', async () => {
  const [alice, bob, carol] = await party(3)
  await carol.space.members.leave()
  let cut = meet(bob, carol)
  await until(() => rolesOf(bob.space).includes(null))
  await cut()
  await bob.space.members.acknowledge()
  await closeAll(bob)
  await loseTails(bob.storage)
  for (const [key, value] of [
    ['one', 1],
    ['two', 2]
  ] as const) {
    const device = await openDevice({ storage: bob.storage })
    const space = await device.openSpace(alice.space.address)
    await space.db.put(key, value)
    assert.is(await valueIn(space, 'one'), 1)
    assert.equal(
      space.members.keys().map(({ unusable }) => unusable),
      ['held-outside'],
      'nothing is told of it yet'
    )
    await device.close()
  }
  const device = await openDevice({ storage: bob.storage })
  const again = { ...bob, device, space: await device.openSpace(alice.space.address) }
  cut = meet(alice, again)
  await reads(alice.space, 'one', 1)
  await reads(alice.space, 'two', 2)
  await until(() => current(alice.space) === current(again.space))
  assert.is(alice.space.members.keys().length, 2)
  await cut()
  await closeAll(alice, again, carol)
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

/** Says something in the membership log of a device, which it would not say by itself. */
async function forge(party: Party, record: AclRecord): Promise<Party> {
  const encryption = encryptionOf(party.space)
  await closeAll(party)
  const store = await openStore(party.storage)
  const [{ salt } = { salt: new Uint8Array(32) }] = store.secrets.spaces
  const acl = await store.ownLog('acl', salt, encryption.acl)
  await acl.appendBlock(encodeRecord(record))
  await acl.close()
  await store.close()
  const device = await openDevice({ storage: party.storage })
  return { ...party, device, space: await device.openSpace(party.space.address) }
}

const keyOf = (party: Party) => Buffer.from(z32.decode(party.device.id)).toString('hex')

function boxFor(party: Party, key: Uint8Array) {
  const box = sealTo(key, z32.decode(party.device.id))
  assert.ok(box)
  return { device: keyOf(party), box }
}

const hashOf = (key: Uint8Array) => Buffer.from(epochHash(key)).toString('hex')

const byDevice = (a: { readonly device: string }, b: { readonly device: string }) =>
  a.device < b.device ? -1 : 1

const mismatches = ({ space }: Party) =>
  space.refusals().filter(({ reason }) => reason === 'epoch-key-mismatch')

test('a hostile minter gives a key that is not the one it names: nobody takes it, it is counted, and others write on', async () => {
  const [alice, bob, carol] = await party(3)
  const old = current(alice.space)
  const shares = [boxFor(alice, new Uint8Array(32).fill(1))]
  const epoch = 'ab'.repeat(32)
  const hostile = await forge(carol, { kind: 'epoch', heads: [], epoch, parents: [], shares })
  const cut = meet(alice, bob, hostile)
  await until(() => mismatches(alice).length === 1)
  assert.is(mismatches(alice)[0]?.count, 1)
  assert.is(current(alice.space), old)
  await alice.space.db.put('k', 1)
  await reads(bob.space, 'k', 1)
  await cut()
  await closeAll(alice, bob, hostile)
})

test('a hostile minter gives one member a box that does not open: it is counted, the member asks, and others give it the key', async () => {
  const [alice, bob, carol] = await party(3)
  const key = new Uint8Array(32).fill(7)
  const before = decodeTicket(carol.space.ticket).epoch
  assert.ok(before)
  const old = current(alice.space)
  const shares = [boxFor(alice, key), boxFor(bob, key.with(0, 0)), boxFor(carol, key)]
  const hostile = await forge(carol, {
    kind: 'epoch',
    heads: [],
    epoch: hashOf(key),
    parents: [{ epoch: hashOf(before), box: sealBox(before, key) }],
    shares: shares.sort(byDevice)
  })
  const cut = meet(alice, bob, hostile)
  await until(() => mismatches(bob).length === 1)
  await until(() => current(alice.space) !== old)
  await alice.space.db.put('k', 1)
  await reads(bob.space, 'k', 1)
  assert.is(current(bob.space), current(alice.space))
  await until(() => bob.space.members.list().every(({ devices }) => devices[0]?.hasKey))
  await cut()
  await closeAll(alice, bob, hostile)
})

test('what was written under a key whose record turns out not to count is read by all members, who ask for it', async () => {
  const [alice, bob, carol] = await party(3)
  const dave = await enter(alice.space.ticket)
  await alice.space.addWriter(dave.space.writer)
  await alice.space.members.setRole(bob.device.id, 'admin')
  let cut = meet(alice, bob, carol, dave)
  for (const { space } of [alice, bob, carol, dave])
    await until(() => rolesOf(space).join() === 'owner,admin,writer,writer' && allHave(space))
  await cut()
  // Bob removes Dave, and Carol writes under the key of that; but Alice has removed Bob before she heard of it.
  await bob.space.members.revoke(dave.device.id)
  const late = current(bob.space)
  cut = meet(bob, carol)
  await until(() => current(carol.space) === late)
  await carol.space.db.put('k', 1)
  await cut()
  await alice.space.members.revoke(bob.device.id)
  cut = meet(alice, carol, dave)
  await reads(alice.space, 'k', 1)
  await reads(dave.space, 'k', 1)
  assert.is(
    dave.space.members.keys().find(({ id }) => id === late),
    undefined
  )
  await carol.space.db.put('l', 2)
  await reads(dave.space, 'l', 2)
  assert.is.not(current(carol.space), late)
  await cut()
  await closeAll(alice, bob, carol, dave)
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
