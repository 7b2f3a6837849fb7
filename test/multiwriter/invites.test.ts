/** Inviting and joining: every way it can end, between devices in one process. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MemoryNetwork, openDevice, type OpenDeviceOptions } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0

test.after(() => folder.remove())

const YEAR = 366 * 24 * 60 * 60 * 1000
const HOUR = 60 * 60 * 1000

/** Devices of one test, on one network; closed at its end. */
class World {
  readonly network = new MemoryNetwork()
  readonly #open: Device[] = []

  async device(options: Partial<OpenDeviceOptions> = {}): Promise<Device> {
    const storage = join(folder.path, `device-${count++}`)
    const { transport } = this.network
    const device = await openDevice({ storage, transport, ...options })
    this.#open.push(device)
    return device
  }

  async close(): Promise<void> {
    for (const device of this.#open.toReversed()) await device.close()
  }
}

function law(title: string, run: (world: World) => Promise<void>): void {
  test(`invites: ${title}`, async () => {
    const world = new World()
    try {
      await run(world)
    } finally {
      await world.close()
    }
  })
}

const roleOf = (space: Space, device: Device) =>
  space.members
    .list()
    .flatMap(({ devices }) => devices)
    .find((each) => each.device === device.id)?.role

const isIn = (space: Space, device: Device, role: string) =>
  until(() => roleOf(space, device) === role)

/** What a space writes under. */
const current = (space: Space) => space.members.keys().find(({ isCurrent }) => isCurrent)?.id

const keyWith = (space: Space, key: string | undefined) =>
  space.members.keys().find(({ id }) => id === key)

/** Comes in and has met everybody there is. */
async function comesIn(device: Device, by: Space, role: 'admin' | 'writer' = 'writer') {
  const space = await device.join(await by.invite({ role }))
  await isIn(by, device, role)
  return space
}

law(
  'a device joins by a link, with its role, and both read what the other writes',
  async (world) => {
    const [ann, ben] = [await world.device(), await world.device()]
    const space = await ann.createSpace({ name: 'Family' })
    await space.db.put('before', 1)
    const invite = await space.invite({ expiresIn: '1d' })
    assert.match(invite.link, /^manyhands:\/\/join\/[a-z0-9]{111}$/)
    const same = await ben.join(invite, { name: 'Ours' })
    assert.is(same.name, 'Ours')
    assert.is(roleOf(same, ben), 'writer')
    await until(async () => (await same.db.get('before'))?.value === 1)
    await same.db.put('after', 2)
    await until(async () => (await space.db.get('after'))?.value === 2)
    const [made] = space.invites()
    assert.equal(
      [made?.id, made?.role, made?.uses, made?.devices, made?.state, made?.expires],
      [invite.id, 'writer', 1, [ben.id], 'used', invite.expires]
    )
    await until(() => same.invites().length === 1) // known to all who are in, without its link
    assert.not.ok(JSON.stringify(same.invites()).includes(invite.link.slice(-60)))
  }
)

law('roles and prefixes are those of the invite', async (world) => {
  const [ann, ben, cem] = [await world.device(), await world.device(), await world.device()]
  const space = await ann.createSpace()
  const reading = await ben.join(await space.invite({ role: 'reader' }))
  await rejectsWith('NOT_ALLOWED', () => reading.db.put('a', 1))
  const narrow = await cem.join(await space.invite({ prefixes: ['db:contacts'] }))
  await narrow.db.sub('contacts').put('ann', 1)
  await rejectsWith('NOT_ALLOWED', () => narrow.db.put('a', 1))
  assert.equal(
    space.invites().map(({ role, prefixes }) => [role, prefixes]),
    [
      ['reader', null],
      ['writer', ['db:contacts']]
    ]
  )
})

law(
  'over a stream by hand it is the same; capital letters and white space do no harm',
  async (world) => {
    const [ann, ben] = [await world.device(), await world.device()]
    world.network.cut()
    const space = await ann.createSpace()
    const { link } = await space.invite()
    const cut = connect(ann, ben)
    const same = await ben.join(`  ${link.toUpperCase()}\n`)
    await space.db.put('a', 1)
    await until(async () => (await same.db.get('a'))?.value === 1)
    cut()
  }
)

law('a link that was used by others as often as it may lets in nobody more', async (world) => {
  const [ann, ben, cem, dora] = await devices(world, 4)
  const space = await ann.createSpace()
  const invite = await space.invite({ uses: 2 })
  await Promise.all([ben.join(invite), cem.join(invite)])
  await rejectsWith('INVITE_USED', () => dora.join(invite))
  assert.is(dora.spaces().length, 0)
  assert.is(space.members.list().length, 3)
})

async function devices(world: World, number: 4): Promise<[Device, Device, Device, Device]>
async function devices(world: World, number: 3): Promise<[Device, Device, Device]>
async function devices(world: World, number: number): Promise<Device[]> {
  const all: Device[] = []
  for (let i = 0; i < number; i++) all.push(await world.device())
  return all
}

law('of two who come at once with a link for one, one is let in', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const invite = await space.invite()
  const came = await Promise.allSettled([ben.join(invite), cem.join(invite)])
  assert.equal(came.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  assert.is(space.members.list().length, 2)
})

law(
  'by the clock of who lets in a link expires; that of who comes may be a year off',
  async (world) => {
    let now = Date.now()
    const ann = await world.device({ now: () => now })
    const ben = await world.device({ now: () => Date.now() + YEAR })
    const cem = await world.device({ now: () => Date.now() - YEAR })
    const dora = await world.device()
    const space = await ann.createSpace()
    const invite = await space.invite({ expiresIn: '1h', uses: 3 })
    await ben.join(invite)
    await cem.join(invite)
    now += HOUR
    await rejectsWith('INVITE_EXPIRED', () => dora.join(invite))
    assert.is(space.invites()[0]?.state, 'expired')
    assert.is(dora.spaces().length, 0)
  }
)

law('a link that was revoked lets in nobody, and whom it let in stays', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const invite = await space.invite({ uses: 5 })
  await ben.join(invite)
  await space.revokeInvite(invite.id)
  await space.revokeInvite(invite.id)
  await rejectsWith('INVITE_REVOKED', () => cem.join(invite))
  assert.is(space.invites()[0]?.state, 'revoked')
  assert.is(roleOf(space, ben), 'writer')
})

law('any admin lets in who comes with the link of another, who may be away', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const same = await comesIn(ben, space, 'admin')
  const invite = await space.invite()
  await until(() => same.invites().some(({ id }) => id === invite.id))
  await ann.close()
  await cem.join(invite)
  assert.is(roleOf(same, cem), 'writer')
})

law('who may not let in may not invite, nor answer, nor revoke', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const same = await comesIn(ben, space)
  await rejectsWith('NOT_ALLOWED', () => same.invite())
  const invite = await space.invite()
  await until(() => same.invites().some(({ id }) => id === invite.id))
  await rejectsWith('NOT_ALLOWED', () => same.revokeInvite(invite.id))
  await ann.close()
  await rejectsWith('INVITE_UNANSWERED', () => cem.join(invite, { timeout: 300 }))
  assert.is(cem.spaces().length, 0)
})

law('an admin invites admins, and nobody can invite owners', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const same = await comesIn(ben, space, 'admin')
  await cem.join(await same.invite({ role: 'admin' }))
  await isIn(space, cem, 'admin')
  // @ts-expect-error no role of a first day
  await rejectsWith('INVALID_ARGUMENT', () => space.invite({ role: 'owner' }))
})

law('the invites of who was demoted or removed meanwhile let in nobody', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const same = await comesIn(ben, space, 'admin')
  const invite = await same.invite({ uses: 3 })
  await until(() => space.invites().some(({ id }) => id === invite.id))
  await space.members.revoke(ben.id)
  await until(() => roleOf(same, ben) === null)
  await rejectsWith('INVITE_REVOKED', () => cem.join(invite))
  assert.is(space.invites().find(({ id }) => id === invite.id)?.state, 'revoked')
  assert.is(cem.spaces().length, 0)
})

law('who was removed does not come in again by an invite; who left does', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const invite = await space.invite({ uses: 9 })
  const [bens, cems] = [await ben.join(invite), await cem.join(invite)]
  await Promise.all([isIn(space, ben, 'writer'), isIn(space, cem, 'writer')])
  await rejectsWith('SPACE_JOINED', () => ben.join(invite))
  await space.members.revoke(ben.id)
  await bens.leave()
  await rejectsWith('INVITE_REMOVED', () => ben.join(invite))
  assert.is(ben.spaces().length, 0)
  await cems.members.leave()
  await until(() => roleOf(space, cem) === null)
  await cems.leave()
  const again = await cem.join(invite)
  await again.db.put('again', 1)
  await until(async () => (await space.db.get('again'))?.value === 1)
  assert.is(roleOf(space, ben), null)
})

law(
  'two admins, offline, let in two by a link for one: everywhere the same one counts',
  async (world) => {
    const [ann, ben, cem, dora] = await devices(world, 4)
    const space = await ann.createSpace()
    const same = await comesIn(ben, space, 'admin')
    const invite = await same.invite()
    await until(() => space.invites().some(({ id }) => id === invite.id))
    world.network.cut()
    const cut = [connect(ben, cem), connect(ann, dora)]
    const [cems, doras] = await Promise.all([cem.join(invite), dora.join(invite)])
    assert.equal([roleOf(same, cem), roleOf(space, dora)], ['writer', 'writer'])
    await cems.db.put('of', 'cem')
    for (const each of cut) each()
    world.network.heal()
    const spaces = [space, same, cems, doras]
    // Ann ranks above Ben: whom she let in stays in.
    await until(() => spaces.every((each) => roleOf(each, dora) === 'writer'))
    await until(() => spaces.every((each) => roleOf(each, cem) === undefined))
    assert.equal(space.invites().find(({ id }) => id === invite.id)?.devices, [dora.id])
    // The other waits like anybody who asks, and can be let in by hand.
    await until(() => space.members.asking().length === 1)
    await space.members.admit(cems.writer, 'writer')
    await until(() => spaces.every((each) => roleOf(each, cem) === 'writer'))
  }
)

law(
  'a connection that breaks while a device is let in is made again, and counts as one use',
  async (world) => {
    const ann = await world.device()
    const space = await ann.createSpace()
    const invite = await space.invite()
    const ben = await world.device()
    const joining = ben.join(invite)
    await until(() => roleOf(space, ben) === 'writer')
    world.network.cut() // perhaps before the answer has left
    world.network.heal()
    const same = await joining
    await until(() => roleOf(same, ben) === 'writer')
    assert.is(space.invites()[0]?.devices.length, 1)
  }
)

law('two admins who let in the same device at once come to one use', async (world) => {
  const [ann, ben, cem, dora] = await devices(world, 4)
  const space = await ann.createSpace()
  const same = await comesIn(ben, space, 'admin')
  const invite = await space.invite({ uses: 2 })
  await until(() => same.invites().some(({ id }) => id === invite.id))
  world.network.cut()
  const cut = [connect(ann, cem), connect(ben, cem)]
  await cem.join(invite)
  await until(() => [space, same].every((each) => roleOf(each, cem) === 'writer'))
  for (const each of cut) each()
  world.network.heal()
  const usesOf = (each: Space) => each.invites().find(({ id }) => id === invite.id)?.devices
  await until(() => usesOf(space)?.length === 1 && usesOf(same)?.length === 1)
  await dora.join(invite)
  assert.equal(new Set(usesOf(space)), new Set([cem.id, dora.id]))
})

law(
  'of two devices let in by one use the one that falls has been given the key, which nobody writes under once that is known',
  async (world) => {
    const [ann, ben, cem, dora] = await devices(world, 4)
    const space = await ann.createSpace()
    const same = await comesIn(ben, space, 'admin')
    const invite = await space.invite()
    await until(() => same.invites().some(({ id }) => id === invite.id))
    await until(() => current(same) === current(space))
    world.network.cut()
    const cut = [connect(ann, cem), connect(ben, dora)]
    const [, doras] = [await cem.join(invite), await dora.join(invite)]
    await until(() => current(doras) === current(space))
    const given = current(space)
    for (const each of cut) each()
    const met = connect(ann, ben)
    await until(() => roleOf(same, cem) === 'writer' && roleOf(same, dora) !== 'writer')
    for (const each of [space, same])
      await until(() => keyWith(each, given)?.unusable === 'held-outside')
    await same.db.put('after', 1)
    await until(async () => (await space.db.get('after'))?.value === 1)
    const next = current(space)
    assert.is.not(next, given)
    met()
    world.network.heal()
    await until(() => roleOf(doras, dora) !== 'writer' && keyWith(doras, next) !== undefined)
    assert.is(keyWith(doras, next)?.isHere, false)
    assert.is(await doras.db.get('after'), null)
  }
)

law('an admin who has not heard of an invite yet lets in by it once it has', async (world) => {
  const [ann, ben, cem] = await devices(world, 3)
  const space = await ann.createSpace()
  const same = await comesIn(ben, space, 'admin')
  world.network.cut()
  const invite = await space.invite()
  const cut = connect(ben, cem)
  const joining = cem.join(invite)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.is(roleOf(same, cem), undefined)
  const met = connect(ann, ben)
  await joining
  assert.is(roleOf(same, cem), 'writer')
  cut()
  met()
})

law(
  'who was let in and was stopped before it kept that comes again by the same link',
  async (world) => {
    const ann = await world.device()
    const space = await ann.createSpace()
    const invite = await space.invite()
    const storage = join(folder.path, `device-${count++}`)
    const before = await openDevice({ storage, transport: world.network.transport })
    const { id } = before
    const stopped = before.join(invite).catch(() => null)
    await until(() => space.members.list().length === 2)
    await before.close()
    await stopped
    const ben = await world.device({ storage })
    assert.is(ben.id, id)
    const [kept] = ben.spaces()
    const same = kept === undefined ? await ben.join(invite) : await ben.openSpace(kept.address)
    await same.db.put('a', 1)
    await until(async () => (await space.db.get('a'))?.value === 1)
    assert.equal(space.invites()[0]?.devices, [ben.id])
  }
)

law('while nobody is there it waits, and goes on when somebody comes', async (world) => {
  const storage = join(folder.path, `device-${count++}`)
  const { transport } = world.network
  const first = await openDevice({ storage, transport })
  const space = await first.createSpace()
  const invite = await space.invite()
  await first.close()
  const ben = await world.device()
  const joining = ben.join(invite)
  const ann = await world.device({ storage })
  const again = await ann.openSpace(space.address)
  const same = await joining
  await isIn(again, ben, 'writer')
  assert.is(same.address, space.address)
})

law('it is called off by a signal, by closing the device, and by the time', async (world) => {
  const [ann, ben] = [await world.device(), await world.device()]
  const invite = await (await ann.createSpace()).invite()
  await ann.close()
  await rejectsWith('INVITE_UNANSWERED', () => ben.join(invite, { timeout: 50 }))
  const aborted = new AbortController()
  const joining = ben.join(invite, { signal: aborted.signal })
  aborted.abort(new Error('enough'))
  assert.match(String(await joining.catch((error: unknown) => error)), /enough/)
  const closing = ben.join(invite).catch((error: unknown) => error)
  await ben.close()
  await rejectsWith('DEVICE_CLOSED', async () => {
    throw await closing
  })
})

law('one that is asked for twice at once joins once', async (world) => {
  const [ann, ben] = [await world.device(), await world.device()]
  const space = await ann.createSpace()
  const invite = await space.invite()
  const [one, other] = await Promise.all([ben.join(invite), ben.join(invite)])
  assert.is(one, other)
  assert.is(ben.spaces().length, 1)
})

law(
  'a link that is cut, mistyped or of something else is named, and nothing is written',
  async (world) => {
    const [ann, ben] = [await world.device(), await world.device()]
    const space = await ann.createSpace()
    const { link } = await space.invite()
    const wrong = [
      link.slice(0, -1),
      `${link}y`,
      link.slice(0, 40),
      'manyhands://join/',
      link.replace(/.$/, (last) => (last === 'y' ? 'b' : 'y')),
      link.replace(/(?<=join\/.{20})./, (each) => (each === 'a' ? 'b' : 'a')),
      link.replace('join', 'joint'),
      space.ticket,
      await space.link(),
      ''
    ]
    for (const each of wrong) await rejectsWith('INVITE_INVALID', () => ben.join(each))
    // @ts-expect-error no text
    await rejectsWith('INVITE_INVALID', () => ben.join(7))
    // @ts-expect-error nothing at all
    await rejectsWith('INVITE_INVALID', () => ben.join())
    await rejectsWith('LINK_INVALID', () => ben.openLink(link), /invite/)
    assert.equal(ben.spaces(), [])
  }
)

law('wrong options are named', async (world) => {
  const ann = await world.device()
  const space = await ann.createSpace()
  const wrong: readonly object[] = [
    { uses: 0 },
    { uses: 1.5 },
    { uses: 1001 },
    { expiresIn: 0 },
    { expiresIn: '1y' },
    { expiresIn: '' },
    { expiresIn: '999999w' },
    { role: 'king' },
    { role: 'reader', prefixes: ['db'] },
    { paths: ['db'] }
  ]
  for (const each of wrong) await rejectsWith('INVALID_ARGUMENT', () => space.invite(each))
  assert.equal(space.invites(), [])
  await rejectsWith('INVALID_ARGUMENT', () => space.revokeInvite('y'.repeat(52)))
  await rejectsWith('INVALID_ARGUMENT', () => ann.join('', { timeout: -1 }))
})

law('a space that is open is joined as one', async (world) => {
  const [ann, ben] = [await world.device(), await world.device()]
  const space = await ann.createSpace({ open: true })
  const same = await ben.join(await space.invite())
  assert.ok(same.isOpen)
})

test.run()
