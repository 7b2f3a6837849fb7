/** People with several devices: certified by each other, let in by themselves, lost and revoked without an admin. */
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

const open = (name: string) =>
  openDevice({ storage: join(folder.path, `${name}-${count++}`), name })

/** Makes a device one of the person whose other device this is. */
async function becomeOf(device: Device, other: Device): Promise<void> {
  const { answer } = other.identity.certify(device.identity.request())
  await device.identity.accept(answer)
}

interface People {
  readonly alice: Device
  readonly laptop: Device
  readonly phone: Device
  /** The same space, in this order. */
  readonly spaces: readonly [Space, Space, Space]
  /** Connects all of them. @returns how to cut that */
  readonly meet: () => () => Promise<void>
}

/** Alice founds a closed space; Bob writes with his laptop, and with a phone that nobody but the laptop let in. */
async function withPeople(run: (people: People) => Promise<void>): Promise<void> {
  const [alice, laptop, phone] = [await open('alice'), await open('laptop'), await open('phone')]
  try {
    const home = await alice.createSpace()
    const bobs = await laptop.openSpace(home.ticket)
    await home.addWriter(bobs.writer)
    await becomeOf(phone, laptop)
    const spaces = [home, bobs, await phone.openSpace(home.ticket)] as const
    const meet = () => {
      const [a, b, c] = spaces
      const cuts = [connect(a, b), connect(b, c), connect(a, c)]
      return async () => {
        for (const cut of cuts) cut()
        await until(() => spaces.every((space) => space.peers().length === 0))
      }
    }
    await run({ alice, laptop, phone, spaces, meet })
  } finally {
    for (const device of [alice, laptop, phone]) await device.close()
  }
}

const devicesOf = (space: Space, { identity }: Device) =>
  space.members.list().find((member) => member.identity === identity.id)?.devices ?? []

const isIn = (space: Space, device: Device) =>
  devicesOf(space, device).some((each) => each.device === device.id && each.role !== null)

test('identity: a certified device is let in by the person’s other device, without an admin', () =>
  withPeople(async ({ alice, laptop, phone, spaces, meet }) => {
    assert.is(phone.identity.id, laptop.identity.id)
    assert.is.not(phone.identity.id, alice.identity.id)
    const cut = meet()
    await until(() => spaces.every((space) => isIn(space, phone)))
    for (const space of spaces) {
      assert.is(space.members.list().length, 2)
      assert.equal(
        devicesOf(space, laptop).map(({ device, role }) => [device, role]),
        [
          [laptop.id, 'writer'],
          [phone.id, 'writer']
        ]
      )
    }
    await spaces[2].db.put('from', 'phone')
    await until(async () => (await spaces[0].db.get('from'))?.value === 'phone')
    await cut()
  }))

test('identity: a founder’s second device is an owner’s, and acts as one', async () => {
  const [laptop, phone, guest] = [await open('laptop'), await open('phone'), await open('guest')]
  try {
    const space = await laptop.createSpace()
    await becomeOf(phone, laptop)
    const same = await phone.openSpace(space.ticket)
    const cut = connect(space, same)
    await until(() => isIn(same, phone))
    assert.equal(
      devicesOf(same, phone).map(({ role }) => role),
      ['owner', 'owner']
    )
    cut()
    const theirs = await guest.openSpace(space.ticket)
    connect(same, theirs)
    await until(() => same.members.asking().length === 1)
    await same.members.admit(theirs.writer, 'admin')
    await until(() => theirs.members.list().some(({ isOwn, role }) => isOwn && role === 'admin'))
  } finally {
    for (const device of [laptop, phone, guest]) await device.close()
  }
})

test('story: a phone is lost, and the laptop of its owner, no admin, takes its rights', () =>
  withPeople(async ({ laptop, phone, spaces, meet }) => {
    const [home, bobs, lost] = spaces
    const cut = meet()
    await until(() => spaces.every((space) => isIn(space, phone)))
    await lost.db.put('before', 'kept')
    await until(async () => (await bobs.db.get('before')) !== null)
    await cut()
    await lost.db.put('after', 'by a thief')
    await bobs.members.revoke(phone.id)
    meet()
    await until(() => spaces.every((space) => !isIn(space, phone)))
    assert.is((await home.db.get('before'))?.value, 'kept')
    assert.is(await home.db.get('after'), null)
    assert.ok(isIn(home, laptop))
    await rejectsWith('NOT_ALLOWED', () => lost.db.put('more', 1))
  }))

test('story: two devices of one person revoke each other, and the earlier one stays', () =>
  withPeople(async ({ laptop, phone, spaces, meet }) => {
    const [, bobs, other] = spaces
    const cut = meet()
    await until(() => spaces.every((space) => isIn(space, phone)))
    await cut()
    // By its own device it does not even get so far; what a forged record would come to is RULE 8's test.
    await rejectsWith('NOT_ALLOWED', () => other.members.revoke(laptop.id), /rule 8/)
    await bobs.members.revoke(phone.id)
    meet()
    await until(() => spaces.every((space) => !isIn(space, phone) && isIn(space, laptop)))
  }))

test('story: a thief certifies a device of its own with the phone, and nobody lets that in', () =>
  withPeople(async ({ phone, spaces, meet }) => {
    const [home, bobs, lost] = spaces
    const cut = meet()
    await until(() => spaces.every((space) => isIn(space, phone)))
    await cut()
    await bobs.members.revoke(phone.id)
    const thief = await open('thief')
    try {
      await becomeOf(thief, phone)
      assert.is(thief.identity.id, phone.identity.id)
      const theirs = await thief.openSpace(home.ticket)
      connect(theirs, bobs)
      await until(() => bobs.members.asking().some(({ device }) => device === thief.id))
      connect(bobs, home)
      await until(() => home.members.asking().some(({ device }) => device === thief.id))
      assert.not(isIn(bobs, thief))
      assert.not(isIn(home, thief))
    } finally {
      await thief.close()
    }
    assert.ok(lost.isOpen === false)
  }))

test('identity: it outlives a restart, with its phrase where that is', async () => {
  const storage = join(folder.path, 'restarted')
  const first = await openDevice({ storage })
  const other = await open('other')
  try {
    const { id } = first.identity
    const phrase = first.identity.phrase()
    await becomeOf(other, first)
    assert.not(other.identity.hasPhrase)
    await rejectsWith('PHRASE_UNKNOWN', async () => other.identity.phrase())
    await first.close()
    const second = await openDevice({ storage })
    assert.equal([second.identity.id, second.identity.phrase()], [id, phrase])
    assert.ok(await second.identity.verify(phrase))
    await second.identity.forgetPhrase()
    await second.close()
    const third = await openDevice({ storage })
    assert.equal([third.identity.id, third.identity.hasPhrase], [id, false])
    assert.ok(await third.identity.verify(phrase))
    // Certifying goes on without the phrase.
    const more = await open('more')
    await becomeOf(more, third)
    assert.is(more.identity.id, id)
    await more.close()
    await third.close()
  } finally {
    await other.close()
    await first.close()
  }
})

test('identity: a phrase of somebody else is told from one’s own', async () => {
  const [one, other] = [await open('one'), await open('other')]
  try {
    assert.not(await one.identity.verify(other.identity.phrase()))
    await rejectsWith('PHRASE_INVALID', () => one.identity.verify('art art art'))
  } finally {
    for (const device of [one, other]) await device.close()
  }
})

test('identity: requests and answers that are cut, bent or for another device change nothing', async () => {
  const [laptop, phone, other] = [await open('laptop'), await open('phone'), await open('other')]
  try {
    const request = phone.identity.request()
    const { answer, device, name } = laptop.identity.certify(request)
    assert.equal([device, name], [phone.id, 'phone'])
    const { id } = other.identity
    for (let i = 0; i < request.length; i++)
      await rejectsWith('REQUEST_INVALID', async () => laptop.identity.certify(bent(request, i)))
    for (let i = 0; i < answer.length; i++) {
      await rejectsWith('REQUEST_INVALID', () => phone.identity.accept(bent(answer, i)))
      await rejectsWith('REQUEST_INVALID', () => phone.identity.accept(answer.slice(0, i)))
    }
    await rejectsWith('REQUEST_INVALID', () => other.identity.accept(answer), /another device/)
    await rejectsWith('REQUEST_INVALID', () => phone.identity.accept(request))
    await rejectsWith('REQUEST_INVALID', async () => laptop.identity.certify(answer))
    await rejectsWith('INVALID_ARGUMENT', async () =>
      laptop.identity.certify(laptop.identity.request())
    )
    assert.is(other.identity.id, id)
    // As people copy: with line breaks and spaces.
    await phone.identity.accept(` ${answer.slice(0, 40)}\n ${answer.slice(40)} `)
    assert.is(phone.identity.id, laptop.identity.id)
  } finally {
    for (const each of [laptop, phone, other]) await each.close()
  }
})

function bent(text: string, at: number): string {
  return text.slice(0, at) + (text[at] === 'y' ? 'b' : 'y') + text.slice(at + 1)
}

test('identity: who was let into a space as one person does not become another', async () => {
  const [laptop, phone] = [await open('laptop'), await open('phone')]
  try {
    const space = await phone.createSpace()
    const { answer } = laptop.identity.certify(phone.identity.request())
    await rejectsWith('IDENTITY_IN_USE', () => phone.identity.accept(answer))
    await rejectsWith('IDENTITY_IN_USE', () => phone.identity.recover(laptop.identity.phrase()))
    assert.is.not(phone.identity.id, laptop.identity.id)
    await space.db.put('still', 'open')
    await phone.leaveSpace(space.address)
    await phone.identity.accept(answer)
    assert.is(phone.identity.id, laptop.identity.id)
  } finally {
    for (const device of [laptop, phone]) await device.close()
  }
})

test.run()
