/** Spaces and their membership logs: who is let in, by whom, and who reads whom. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EventEmitter } from 'eventemitter3'
import { openDevice } from '../../index.ts'
import type { Device, Sealed, Space } from '../../multiwriter/index.ts'
import { ACKNOWLEDGE_AFTER_MS, Acknowledging } from '../../multiwriter/members/acknowledging.ts'
import type { Union } from '../../multiwriter/union.ts'
import { connect, openTwoDevices, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'
import { SteppedWire } from '../support/stepped.ts'

const folder = await tempFolder()
let count = 0
const fresh = () => openDevice({ storage: join(folder.path, `device-${count++}`) })

test.after(() => folder.remove())

const rolesIn = (space: Space) =>
  space.members
    .list()
    .flatMap(({ role, devices }) => devices.map(({ device }) => `${device} ${role ?? '-'}`))

/** Several devices in one space that is not open, the first its founder. */
async function withDevices(
  number: number,
  run: (spaces: readonly Space[], devices: readonly Device[]) => Promise<void>
): Promise<void> {
  const devices = await Promise.all(Array.from({ length: number }, fresh))
  const [founder, ...others] = devices as [Device, ...Device[]]
  const space = await founder.createSpace()
  const joined = await Promise.all(others.map((device) => device.openSpace(space.ticket)))
  try {
    await run([space, ...joined], devices)
  } finally {
    for (const device of devices) await device.close()
  }
}

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

test('members: who makes a space is its owner, also after it was opened again', async () => {
  const storage = join(folder.path, 'again')
  const first = await openDevice({ storage })
  const space = await first.createSpace()
  const [owner, ...rest] = space.members.list()
  assert.is(owner?.role, 'owner')
  assert.ok(owner?.isOwn)
  assert.equal(rest, [])
  const devices = (of: Space) =>
    of.members.list()[0]?.devices.map(({ device, role, writers }) => ({ device, role, writers }))
  const expected = [{ device: first.id, role: 'owner', writers: [space.writer] }]
  assert.equal(devices(space), expected)
  await first.close()
  const again = await openDevice({ storage })
  assert.equal(devices(await again.openSpace(space.address)), expected)
  await again.close()
})

test('members: who was added by the founder is a writer for everybody, and reads everybody', () =>
  withDevices(3, async ([a, b, c], [one, two, three]) => {
    if (!a || !b || !c || !one || !two || !three) return assert.unreachable()
    for (const each of [b, c]) await a.addWriter(each.writer)
    for (const [space, value] of [
      [a, 1],
      [b, 2],
      [c, 3]
    ] as const)
      await space.db.put(`${value}`, value)
    connect(a, b)
    await until(() => a.members.list().length === 2)
    connect(b, c) // and so a and c never meet
    await until(async () => (await valueIn(a, '3')) === 3 && (await valueIn(c, '1')) === 1)
    const roles = [`${one.id} owner`, `${two.id} writer`, `${three.id} writer`]
    for (const space of [a, b, c]) assert.equal(rolesIn(space).toSorted(), roles.toSorted())
  }))

test('members: nobody lets others in who is only a writer; it reads them by itself', () =>
  withDevices(3, async ([a, b, c]) => {
    if (!a || !b || !c) return assert.unreachable()
    await a.addWriter(b.writer)
    connect(a, b)
    await until(() => b.members.list().length === 2)
    await c.db.put('k', 'from c')
    await b.addWriter(c.writer)
    connect(b, c)
    await until(async () => (await valueIn(b, 'k')) === 'from c')
    assert.is(b.members.list().length, 2)
    assert.is(await valueIn(a, 'k'), undefined)
    await a.addWriter(c.writer)
    await until(async () => (await valueIn(a, 'k')) === 'from c')
    await until(() => c.members.list().length === 3)
  }))

test('members: in an open space the founder lets in whoever connects', async () => {
  const two = await openTwoDevices()
  two.connect()
  await until(() => two.spaceB.members.list().length === 2)
  assert.equal(rolesIn(two.spaceA), [`${two.a.id} owner`, `${two.b.id} writer`])
  assert.equal(two.spaceA.refusals(), [])
  await two.close()
})

test('members: offline, nothing is known of another but its log', async () => {
  const two = await openTwoDevices({ open: false })
  await two.spaceA.addWriter(two.spaceB.writer)
  assert.is(two.spaceA.members.list().length, 1)
  assert.equal(two.spaceB.members.list(), [])
  await two.close()
})

/** A founder with two writers; all have met, and nobody is connected. */
async function withMembers(
  run: (spaces: [Space, Space, Space], devices: [Device, Device, Device]) => Promise<void>
): Promise<void> {
  await withDevices(3, async (spaces, devices) => {
    const [a, b, c] = spaces as [Space, Space, Space]
    for (const each of [b, c]) await a.addWriter(each.writer)
    await b.db.put('early', 'by b')
    const cuts = [connect(a, b), connect(a, c), connect(b, c)]
    for (const space of [a, b, c]) {
      await until(() => space.members.list().length === 3)
      await until(async () => (await valueIn(space, 'early')) === 'by b')
    }
    for (const cut of cuts) cut()
    for (const space of [a, b, c]) await until(() => space.peers().length === 0)
    await run([a, b, c], devices as [Device, Device, Device])
  })
}

test('members: what a removed writer writes late counts nowhere, is listed, and can be brought back', () =>
  withMembers(async ([a, b, c], [, two]) => {
    await a.members.revoke(two.id)
    await b.db.put('late', 'before it heard')
    const cut = connect(b, c)
    await until(async () => (await valueIn(c, 'late')) === 'before it heard')
    const left = new Promise<Sealed>((resolve) => c.once('sealed', resolve))
    connect(a, c)
    assert.equal(await left, {
      writers: [b.writer],
      left: [{ key: 'db/late', value: 'before it heard' }],
      documents: []
    })
    for (const space of [b, c])
      await until(async () => (await valueIn(space, 'late')) === undefined)
    for (const space of [a, b, c]) assert.is(await valueIn(space, 'early'), 'by b')
    await rejectsWith('NOT_ALLOWED', () => b.db.put('more', 1))
    assert.is(a.members.list().find(({ devices }) => devices[0]?.device === two.id)?.role, null)
    await until(async () => (await a.members.excluded()).length === 1)
    for (const space of [a, b, c]) {
      const [work] = await space.members.excluded()
      assert.is(work?.writer, b.writer)
      assert.equal(work?.entries, [{ key: 'db/late', value: 'before it heard' }])
    }
    await a.members.restore(two.id)
    for (const space of [a, b, c]) {
      await until(async () => (await valueIn(space, 'late')) === 'before it heard')
      assert.equal(await space.members.excluded(), [])
    }
    await rejectsWith('NOT_ALLOWED', () => b.db.put('more', 1))
    cut()
  }))

test('members: restoring who was not removed changes nothing', () =>
  withMembers(async ([a, b], [, two]) => {
    await a.members.restore(two.id)
    connect(a, b)
    await b.db.put('later', 1)
    await until(async () => (await valueIn(a, 'later')) === 1)
    assert.equal(await a.members.excluded(), [])
  }))

test('members: a seal holds from the first moment after the space was opened again', () =>
  withMembers(async ([a, b, c], [one, two, three]) => {
    await b.db.put('late', 1)
    const cut = connect(b, c)
    await until(async () => (await valueIn(c, 'late')) === 1)
    await a.members.revoke(two.id)
    connect(a, c)
    await until(async () => (await valueIn(c, 'late')) === undefined)
    cut()
    const { address } = c
    await c.close()
    for (const mode of ['stream', 'index'] as const) {
      const again = await three.openSpace(address, { mode })
      assert.is(await valueIn(again, 'late'), undefined, mode)
      assert.is(await valueIn(again, 'early'), 'by b', mode)
      await again.close()
    }
    assert.is.not(one.id, two.id)
  }))

test('members: nobody acts on who ranks above, nor on whom nobody knows', () =>
  withMembers(async ([a, b], [one, two, three]) => {
    await rejectsWith('NOT_ALLOWED', () => b.members.revoke(one.id))
    await rejectsWith('NOT_ALLOWED', () => b.members.revoke(three.id))
    await rejectsWith('NOT_ALLOWED', () => a.members.revoke(one.id))
    await rejectsWith('INVALID_ARGUMENT', () => a.members.revoke('nobody'))
    await rejectsWith('INVALID_ARGUMENT', () => a.members.restore(`${two.id}y`))
    await b.db.put('k', 1)
  }))

test('members: who was removed gets nothing more, and learns why', () =>
  withMembers(async ([a, b, c], [one, two]) => {
    const gone = new Promise<string>((resolve) => a.once('peer-remove', resolve))
    connect(a, b)
    await until(() => a.peers().length === 1 && b.peers().length === 1)
    await a.members.revoke(two.id)
    assert.is(await gone, two.id)
    assert.equal(a.peers(), [])
    await until(() => b.members.list().find(({ isOwn }) => isOwn)?.role === null)
    await a.db.put('secret', 1)
    connect(a, c)
    await until(async () => (await valueIn(c, 'secret')) === 1)
    connect(b, c) // who knows by now as well
    await until(() => c.refusals().some(({ reason }) => reason === 'peer-removed'))
    assert.equal(c.peers(), [one.id])
    assert.is(await valueIn(b, 'secret'), undefined)
    assert.ok(
      a.refusals().some(({ writer, reason }) => writer === two.id && reason === 'peer-removed')
    )
  }))

test('members: who was made an admin lets others in, and removes those below', () =>
  withMembers(async ([a, b, c], [one, two, three]) => {
    await rejectsWith('NOT_ALLOWED', () => b.members.setRole(three.id, 'admin'))
    await rejectsWith('INVALID_ARGUMENT', () => a.members.setRole(two.id, 'writer'))
    await a.members.setRole(two.id, 'admin')
    connect(a, b)
    connect(b, c)
    await until(() => rolesIn(c)[1] === `${two.id} admin`)
    await rejectsWith('NOT_ALLOWED', () => b.members.revoke(one.id))
    await b.members.revoke(three.id)
    for (const space of [a, c]) await until(() => rolesIn(space).includes(`${three.id} -`))
    await rejectsWith('NOT_ALLOWED', () => c.db.put('k', 1))
  }))

test('members: owners are made and removed by votes of more than half of them', () =>
  withMembers(async ([a, b, c], [one, two, three]) => {
    connect(a, b)
    connect(b, c)
    await a.members.setRole(two.id, 'owner') // one of one
    await until(() => rolesIn(c)[1] === `${two.id} owner`)
    await a.members.setRole(three.id, 'owner') // one of two
    await until(() => b.members.ballots().length === 1)
    const [ballot] = b.members.ballots()
    assert.equal([ballot?.change, ballot?.votes, ballot?.needed], ['add', 1, 2])
    await rejectsWith('NOT_ALLOWED', () => b.members.revoke(one.id), /pending/)
    await b.members.setRole(three.id, 'owner')
    await until(() => rolesIn(c)[2] === `${three.id} owner`)
    assert.equal(c.members.ballots(), [])
    for (const each of [a, b]) {
      await until(() => rolesIn(each)[2] === `${three.id} owner`)
      await each.members.revoke(three.id)
    }
    await until(() => rolesIn(c).includes(`${three.id} -`))
    await rejectsWith('NOT_ALLOWED', () => c.db.put('k', 1))
  }))

test('members: what was acknowledged by who ranks above cannot be sealed away, and everybody sees who holds what', () =>
  withMembers(async ([a, b, c], [one, two, three]) => {
    assert.ok(await a.members.acknowledge())
    assert.not(await a.members.acknowledge(), 'nothing new')
    const lengthOf = (space: Space) =>
      space.writers().find(({ writer }) => writer === b.writer)?.length ?? 0
    connect(a, c)
    await until(() => c.members.seenBy(b.writer).some(({ length }) => length > 0))
    assert.equal(c.members.seenBy(b.writer), [
      { device: one.id, length: lengthOf(a) },
      { device: three.id, length: 0 }
    ])
    await a.members.setRole(three.id, 'admin')
    await until(() => rolesIn(c).includes(`${three.id} admin`))
    await c.members.revoke(two.id)
    await until(() => rolesIn(a).includes(`${two.id} -`))
    assert.is(await valueIn(a, 'early'), 'by b')
    assert.ok(await a.members.acknowledge(), 'a removal is news')
    // The keys that the removal made anew come a moment later, and are news as well.
    const isQuiet = async () => !(await c.members.acknowledge()) && !(await a.members.acknowledge())
    await until(isQuiet)
    await sleep(200) // what was said has arrived
    assert.ok(await isQuiet(), 'an acknowledgement is none')
  }))

test('members: acknowledging waits a while, and is called off with the space', () => {
  const changes: Union['events'] = new EventEmitter()
  const waiting: (() => void)[] = []
  let said = 0
  const acknowledging = new Acknowledging({
    acts: { acknowledge: () => Promise.resolve(++said > 0) },
    changes,
    timers: {
      after: (ms, run) => {
        assert.is(ms, ACKNOWLEDGE_AFTER_MS)
        waiting.push(run)
        return () => waiting.splice(waiting.indexOf(run), 1)
      }
    }
  })
  for (let i = 0; i < 3; i++) changes.emit('change')
  assert.equal([waiting.length, said], [1, 0])
  waiting.shift()?.()
  assert.is(said, 1)
  changes.emit('change')
  acknowledging.close()
  changes.emit('change')
  assert.equal([waiting.length, said], [0, 1])
})

test('members: in an open space who was removed does not come in again by connecting', async () => {
  const two = await openTwoDevices()
  const { spaceA, spaceB } = two
  two.connect()
  await until(() => spaceB.members.list().length === 2)
  const changed = new Promise<void>((resolve) => spaceB.once('members', resolve))
  await spaceA.members.revoke(two.b.id)
  await changed
  two.connect()
  await rejectsWith('NOT_ALLOWED', () => spaceB.db.put('k', 1))
  assert.is(spaceA.members.list()[1]?.role, null)
  await two.close()
})

test('members: a reader reads everything, and what it writes is refused here and counts nowhere', () =>
  withDevices(2, async ([a, b], [, two]) => {
    if (!a || !b || !two) return assert.unreachable()
    await a.db.put('k', 1)
    await b.db.put('early', 1) // before anybody had let it in
    assert.equal(a.members.asking(), [])
    connect(a, b)
    await until(() => a.members.asking().length === 1)
    const [asking] = a.members.asking()
    assert.equal([asking?.device, asking?.writer], [two.id, b.writer])
    await rejectsWith('NOT_ALLOWED', () => b.members.admit(b.writer, 'writer'))
    await rejectsWith('INVALID_ARGUMENT', () => a.members.admit(a.writer, 'reader'))
    await rejectsWith('INVALID_ARGUMENT', () => a.members.admit(b.writer, 'owner' as 'admin'))
    await a.members.admit(b.writer, 'reader')
    await until(() => rolesIn(b).includes(`${two.id} reader`))
    await until(async () => (await valueIn(b, 'k')) === 1)
    await rejectsWith('NOT_ALLOWED', () => b.db.put('k', 2), /it is a reader/)
    assert.is(await valueIn(a, 'early'), undefined)
    assert.equal(a.members.asking(), [])
    await a.members.setRole(two.id, 'writer')
    await until(async () => (await valueIn(a, 'early')) === 1)
    await b.db.put('k', 2)
    await until(async () => (await valueIn(a, 'k')) === 2)
  }))

test('members: a mirror gets everything and passes it on, and what it writes counts nowhere', () =>
  withDevices(3, async ([a, mirror, c]) => {
    if (!a || !mirror || !c) return assert.unreachable()
    await mirror.db.put('own', 'by the mirror')
    await a.db.put('k', 'by a')
    const cut = connect(a, mirror)
    await until(() => a.members.asking().length === 1)
    await a.members.admit(mirror.writer, 'mirror')
    await until(async () => (await valueIn(mirror, 'k')) === 'by a')
    await rejectsWith('NOT_ALLOWED', () => mirror.db.put('more', 1), /it is a mirror/)
    cut()
    await c.addWriter(a.writer)
    connect(mirror, c)
    await until(async () => (await valueIn(c, 'k')) === 'by a')
    for (const space of [a, mirror, c]) assert.is(await valueIn(space, 'own'), undefined)
  }))

test('members: when each device was last heard of, also of those that were never met, and after a restart', () =>
  withMembers(async ([a, b, c], [one, two, three]) => {
    const seenBy = (space: Space, { id }: Device) => {
      const found = space.members
        .list()
        .flatMap(({ devices }) => devices)
        .find(({ device }) => device === id)
      return [found?.isConnected, found?.lastSeen ?? null] as const
    }
    const [, left] = seenBy(a, two)
    assert.ok(left !== null && left <= Date.now(), 'it was connected')
    const before = Date.now()
    await b.db.put('k', 1)
    const cut = connect(b, c)
    await until(async () => (await valueIn(c, 'k')) === 1)
    assert.is(seenBy(c, two)[0], true)
    connect(a, c) // and a does not meet b
    await until(async () => (await valueIn(a, 'k')) === 1)
    await until(() => (seenBy(a, two)[1] ?? 0) >= before)
    assert.equal([seenBy(a, two)[0], seenBy(a, one)[0]], [false, true])
    cut()
    const { address } = c
    await c.close()
    const again = await three.openSpace(address)
    const [isConnected, written] = seenBy(again, two)
    assert.not(isConnected)
    assert.ok(written !== null && written >= before && written <= Date.now())
    assert.equal(seenBy(again, one), [false, null], 'it has written nothing')
  }))

test('members: who leaves writes no more; what it has written stays; an owner does not leave alone', () =>
  withMembers(async ([a, b, c], [, two]) => {
    connect(a, b)
    connect(a, c)
    const last = b.db.put('last', 1)
    await b.members.leave()
    await last
    await rejectsWith('NOT_ALLOWED', () => b.db.put('k', 1))
    await rejectsWith('NOT_ALLOWED', () => b.members.leave())
    for (const space of [a, c]) {
      await until(() => rolesIn(space).includes(`${two.id} -`))
      await until(async () => (await valueIn(space, 'last')) === 1)
      assert.equal(await space.members.excluded(), [])
    }
    await rejectsWith('NOT_ALLOWED', () => a.members.leave(), /ballot/)
    await a.db.put('k', 1)
  }))

test('members: how many devices have seen an entry, or a version', () =>
  withMembers(async ([a, b, c], [one, two, three]) => {
    await b.db.put('k', 1)
    const entry = await b.db.get('k')
    if (entry === null) return assert.unreachable()
    const version = await b.version()
    assert.equal(b.members.seen(entry), { by: [two.id], of: 3 })
    connect(a, b)
    await until(async () => (await valueIn(a, 'k')) === 1)
    assert.ok(a.members.seen(entry).by.includes(one.id))
    await a.members.acknowledge()
    await until(() => b.members.seen(entry).by.length === 2)
    connect(a, c)
    await until(async () => (await valueIn(c, 'k')) === 1)
    await until(() => c.members.seen(version).by.length === 3)
    assert.not(b.members.seen(version).by.includes(three.id))
    await c.members.acknowledge()
    await until(() => b.members.seen(version).by.length === 3)
    await rejectsWith('VERSION_INVALID', () => b.members.seen('nonsense'))
    await rejectsWith('INVALID_ARGUMENT', () => b.members.seen({ writer: 'x', seq: 0 }))
  }))

/** Until a device that is connected knows that its rights have ended. */
async function roundTripsOfRevoking([a, b]: readonly [Space, Space], who: string) {
  const wire = new SteppedWire(a, b)
  try {
    await until(() => a.peers().length === 1 && b.peers().length === 1)
    await wire.step()
    await a.members.revoke(who)
    const isInForce = () => b.members.list().find(({ isOwn }) => isOwn)?.role === null
    let halves = 0
    for (; !isInForce() && halves < 10; halves++) await wire.half()
    await rejectsWith('NOT_ALLOWED', () => b.db.put('k', 1))
    return halves / 2
  } finally {
    wire.close()
  }
}

test('members: a revocation is in force on a connected device within two round trips', () =>
  withMembers(async ([a, b], [, two]) => {
    await a.members.acknowledge()
    assert.ok((await roundTripsOfRevoking([a, b], two.id)) <= 2)
  }))

test('members: a revocation is in force within two round trips also where there is something to acknowledge', () =>
  withMembers(async ([a, b], [, two]) => {
    const said = () => a.members.seenBy(b.writer).map(({ length }) => length)
    assert.equal(said(), [0, 0])
    assert.ok((await roundTripsOfRevoking([a, b], two.id)) <= 2)
  }))

test.run()
