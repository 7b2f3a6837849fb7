/** A second device by a link; a lost one ended everywhere; coming back to all spaces by what was printed. */
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { attestFirst, deriveKeyPair, attestNext } from '../../core/index.ts'
import { MemoryNetwork, openDevice, type OpenDeviceOptions } from '../../index.ts'
import type { Device, Space } from '../../multiwriter/index.ts'
import { signedRequest } from '../../multiwriter/identity/certifying.ts'
import type { DeviceInvite } from '../../multiwriter/identity/device-invite.ts'
import {
  codeOf,
  commitmentTo,
  decodeDeviceLink,
  encodeChallenge,
  encodeDeviceLink,
  encodeLinkRequest,
  encodeWelcome,
  newDeviceLink,
  newNonce,
  openChallenge,
  openLinkRequest,
  openWelcome,
  topicOfLink
} from '../../multiwriter/identity/device-link.ts'
import {
  decodeSpaces,
  encodeSpaces,
  openList,
  sealLists
} from '../../multiwriter/identity/space-list.ts'
import { tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'

const folder = await tempFolder()
let count = 0
test.after(() => folder.remove())

/** Devices of one test, on one network; closed at its end. */
class World {
  readonly network = new MemoryNetwork()
  readonly #open: Device[] = []

  async device(name: string, options: Partial<OpenDeviceOptions> = {}): Promise<Device> {
    const storage = join(folder.path, `${name}-${count++}`)
    const { transport } = this.network
    const device = await openDevice({ storage, name, transport, ...options })
    this.#open.push(device)
    return device
  }

  async close(): Promise<void> {
    for (const device of this.#open.toReversed()) await device.close()
  }
}

function law(title: string, run: (world: World) => Promise<void>): void {
  test(title, async () => {
    const world = new World()
    try {
      await run(world)
    } finally {
      await world.close()
    }
  })
}

const roleOf = (space: Space, { id }: Device) =>
  space.members
    .list()
    .flatMap(({ devices }) => devices)
    .find(({ device }) => device === id)?.role ?? null

const valueIn = async (space: Space, key: string) => (await space.db.get(key))?.value

/** Its person confirms whatever device comes. */
function confirming(invite: DeviceInvite): DeviceInvite {
  void invite.asking.then((asking) => asking?.confirm())
  return invite
}

const open = (device: Device, { address }: Space) => device.openSpace(address)

law(
  'device link: a phone comes by it, and into all spaces, as what its person is there',
  async (world) => {
    const [ann, laptop, phone] = [
      await world.device('Ann'),
      await world.device('Laptop'),
      await world.device('Phone')
    ]
    const own = await laptop.createSpace({ name: 'Mine' })
    const anns = await ann.createSpace({ name: 'Ann’s' })
    const same = await laptop.join(await anns.invite({ role: 'reader' }), { name: 'Theirs' })
    await own.db.put('before', 1)
    const invite = confirming(laptop.identity.invite())
    assert.match(invite.link, /^manyhands:\/\/device\/[a-z0-9]{85}$/)
    const spaces = await phone.identity.join(invite.link)
    assert.is(phone.identity.id, laptop.identity.id)
    assert.is(phone.identity.hasPhrase, false)
    assert.equal(await invite.joined, { device: phone.id, name: 'Phone' })
    assert.equal(
      spaces.map(({ name, isLetIn }) => [name, isLetIn]),
      [
        ['Mine', true],
        ['Theirs', true]
      ]
    )
    const [mine, theirs] = [await open(phone, own), await open(phone, same)]
    assert.is(roleOf(mine, phone), 'owner')
    assert.is(roleOf(theirs, phone), 'reader')
    await until(async () => (await valueIn(mine, 'before')) === 1)
    await mine.db.put('after', 2)
    await until(async () => (await valueIn(own, 'after')) === 2)
    await until(() => roleOf(anns, phone) === 'reader')
    assert.is(anns.members.list().length, 2)
  }
)

law(
  'device link: it works once, for the device that came first, and not after its time',
  async (world) => {
    let now = Date.now()
    const laptop = await world.device('Laptop', { now: () => now })
    const [phone, thief] = [await world.device('Phone'), await world.device('Thief')]
    const invite = confirming(laptop.identity.invite({ expiresIn: '30m' }))
    assert.is(invite.expires, now + 1_800_000)
    await phone.identity.join(invite.link.toUpperCase())
    await rejectsWith('DEVICE_LINK_USED', () => thief.identity.join(invite.link))
    // Who was confirmed, and stopped before it had the answer, asks again; nobody is asked twice.
    assert.equal(await phone.identity.join(invite.link), [])
    const late = laptop.identity.invite({ expiresIn: 1000 })
    now += 1000
    await rejectsWith('DEVICE_LINK_EXPIRED', () => thief.identity.join(late.link))
    assert.is(await late.joined, null)
    const ended = laptop.identity.invite()
    ended.end()
    await rejectsWith('DEVICE_LINK_EXPIRED', () => thief.identity.join(ended.link))
    assert.is(thief.identity.hasPhrase, true)
    assert.is.not(thief.identity.id, laptop.identity.id)
  }
)

law(
  'device link: nobody there, a wrong text, and a device that is somebody else’s change nothing',
  async (world) => {
    const [laptop, phone] = [await world.device('Laptop'), await world.device('Phone')]
    const { link } = laptop.identity.invite()
    const before = phone.identity.id
    await laptop.close()
    const timeout = 200
    await rejectsWith('DEVICE_LINK_UNANSWERED', () => phone.identity.join(link, { timeout }))
    const mistyped = link.replace(/.$/, (last) => (last === 'y' ? 'b' : 'y'))
    for (const text of [link.slice(0, -1), mistyped, 'manyhands://join/yyyy', ''])
      await rejectsWith('DEVICE_LINK_INVALID', () => phone.identity.join(text))
    const abort = new AbortController()
    const joining = phone.identity.join(link, { signal: abort.signal })
    abort.abort(new Error('called off'))
    await joining.then(
      () => assert.unreachable(),
      (error: Error) => assert.is(error.message, 'called off')
    )
    const other = await world.device('Other')
    await phone.createSpace()
    await rejectsWith('IDENTITY_IN_USE', () => phone.identity.join(other.identity.invite().link))
    assert.is(phone.identity.id, before)
    for (const options of [{ expiresIn: 0 }, { expiresIn: '2d' }, { expiresIn: 'soon' }])
      await rejectsWith('INVALID_ARGUMENT', () => other.identity.invite(options))
  }
)

law(
  'device link: both show one code, and nothing is changed before somebody has confirmed it',
  async (world) => {
    const [laptop, phone] = [await world.device('Laptop'), await world.device('Phone')]
    const space = await laptop.createSpace()
    const invite = laptop.identity.invite()
    let shown = ''
    let isIn = false
    const joining = phone.identity.join(invite.link, { oncode: (code) => (shown = code) })
    void joining.then(() => (isIn = true))
    const asking = await invite.asking
    assert.match(asking?.code ?? '', /^\d{3} \d{3}$/)
    await until(() => shown !== '')
    assert.is(shown, asking?.code)
    assert.equal([asking?.device, asking?.name], [phone.id, 'Phone'])
    assert.equal(
      laptop.identity.asking().map(({ code }) => code),
      [shown]
    )
    // Longer than it takes to ask again.
    await new Promise((resolve) => setTimeout(resolve, 2500))
    assert.not(isIn)
    assert.is.not(phone.identity.id, laptop.identity.id)
    assert.is(roleOf(space, phone), null)
    asking?.confirm()
    asking?.refuse() // too late: it is theirs
    assert.equal(laptop.identity.asking(), [])
    assert.equal(await invite.joined, { device: phone.id, name: 'Phone' })
    assert.equal(
      (await joining).map(({ isLetIn }) => isLetIn),
      [true]
    )
  }
)

law(
  'device link: who caught the link and comes first shows another code, is refused, and ends it',
  async (world) => {
    const laptop = await world.device('Laptop')
    const [phone, thief] = [await world.device('Phone'), await world.device('Phone')]
    const space = await laptop.createSpace()
    const invite = laptop.identity.invite()
    const codes: string[] = []
    const stealing = thief.identity.join(invite.link, { oncode: (code) => codes.push(code) })
    const refused = rejectsWith('DEVICE_LINK_REFUSED', () => stealing)
    const asking = await invite.asking
    // The phone gets no code to compare, and its person is told.
    const oncode = () => assert.unreachable()
    await rejectsWith('DEVICE_LINK_USED', () => phone.identity.join(invite.link, { oncode }))
    assert.equal(codes, [asking?.code])
    asking?.refuse()
    await refused
    assert.is(await invite.joined, null)
    assert.throws(() => asking?.confirm(), /ended/)
    await rejectsWith('DEVICE_LINK_REFUSED', () => thief.identity.join(invite.link))
    await rejectsWith('DEVICE_LINK_USED', () => phone.identity.join(invite.link))
    for (const device of [phone, thief]) {
      assert.is.not(device.identity.id, laptop.identity.id)
      assert.is(roleOf(space, device), null)
    }
  }
)

law(
  'device link: nobody has a second guess: who comes anew shows no second code',
  async (world) => {
    const [laptop, phone] = [await world.device('Laptop'), await world.device('Phone')]
    const invite = laptop.identity.invite()
    const abort = new AbortController()
    const { signal } = abort
    const joining = phone.identity.join(invite.link, { signal })
    const asking = await invite.asking
    abort.abort(new Error('called off'))
    await joining.catch(() => {})
    await rejectsWith('DEVICE_LINK_USED', () => phone.identity.join(invite.link))
    assert.equal(
      laptop.identity.asking().map(({ code }) => code),
      [asking?.code]
    )
  }
)

law(
  'device link: who reveals something else than it had committed to, having heard the other, is not answered',
  async (world) => {
    const laptop = await world.device('Laptop')
    const invite = laptop.identity.invite()
    const link = decodeDeviceLink(invite.link)
    const thief = deriveKeyPair(b4a.alloc(32, 7), 'test/thief')
    const [committed, better] = [newNonce(), newNonce()]
    const say = (step: 'commit' | 'reveal', value: Uint8Array) => {
      const request = encodeLinkRequest(link, { step, value }, signedRequest(thief, 'Phone'))
      return invite.meeting.answer(request, thief.publicKey)
    }
    assert.ok(await say('commit', commitmentTo(committed)))
    assert.is(await say('reveal', better), null)
    assert.is(invite.refused, 1)
    assert.equal(laptop.identity.asking(), [])
    const answer = say('reveal', committed)
    const asking = await invite.asking
    asking?.refuse()
    assert.ok(await answer)
  }
)

interface Golden {
  readonly seed: string
  readonly secret: string
  readonly link: string
  readonly topic: string
  /** The new device's, and the other's. */
  readonly nonces: readonly [string, string]
  readonly commit: string
  readonly reveal: string
  readonly challenge: string
  readonly code: string
  readonly spaces: string
  readonly answer: string
  readonly list: string
}

test('device link: links, requests, answers and lists are the bytes that docs/FORMAT.md tells', () => {
  const golden = JSON.parse(
    readFileSync(new URL('../vectors/device-link.json', import.meta.url), 'utf8')
  ) as Golden
  const bytes = (text: string) => b4a.from(text, 'hex')
  const pair = (name: string) => deriveKeyPair(bytes(golden.seed), `test/${name}`)
  const phone = pair('phone')
  const link = decodeDeviceLink(golden.link)
  assert.equal(link, { identity: pair('identity').publicKey, secret: bytes(golden.secret) })
  assert.is(encodeDeviceLink(link), golden.link)
  assert.equal(topicOfLink(link), bytes(golden.topic))
  const [nonce, theirs] = golden.nonces.map(bytes)
  if (!nonce || !theirs) throw new Error('no nonces')
  const commitment = commitmentTo(nonce)
  for (const [step, value] of [
    ['commit', commitment],
    ['reveal', nonce]
  ] as const) {
    const request = encodeLinkRequest(link, { step, value }, signedRequest(phone, 'Phone'))
    assert.is(b4a.toString(request, 'hex'), golden[step])
  }
  const laptop = pair('laptop')
  const attestation = attestFirst(pair('identity'), laptop.publicKey)
  const said = { device: phone.publicKey, commitment }
  const challenge = encodeChallenge(laptop, attestation, said, theirs)
  assert.is(b4a.toString(challenge, 'hex'), golden.challenge)
  const opened = openChallenge(link, said, challenge.subarray(2))
  assert.equal(opened, { by: laptop.publicKey, nonce: theirs })
  assert.is(opened && codeOf(opened, phone.publicKey, nonce), golden.code)
  const spaces = decodeSpaces(bytes(golden.spaces)) ?? []
  assert.equal(
    spaces.map(({ name, entrance }) => [name, entrance.open, entrance.epoch !== null]),
    [
      ['Family', false, false],
      ['Ännchens', true, true]
    ]
  )
  assert.is(b4a.toString(encodeSpaces(spaces), 'hex'), golden.spaces)
  // What is sealed is another each time: these were written once.
  const welcome = openWelcome(phone, link, laptop.publicKey, bytes(golden.answer).subarray(2))
  assert.equal(welcome?.spaces, spaces)
  assert.equal(openList(pair('identity'), golden.list), spaces)
})

test('device link: a request and an answer count from whom they must come, and no other', () => {
  const seed = b4a.alloc(32, 1)
  const [identity, laptop, phone, thief] = ['identity', 'laptop', 'phone', 'thief'].map((name) =>
    deriveKeyPair(seed, name)
  )
  if (!identity || !laptop || !phone || !thief) throw new Error('no keys')
  const link = newDeviceLink(identity.publicKey)
  assert.equal(decodeDeviceLink(encodeDeviceLink(link)), link)
  const reveal = { step: 'reveal', value: newNonce() } as const
  const request = encodeLinkRequest(link, reveal, signedRequest(phone, 'Phone'))
  assert.is(openLinkRequest(link, request)?.name, 'Phone')
  assert.is(openLinkRequest(newDeviceLink(identity.publicKey), request), null)
  for (let at = 0; at < request.byteLength; at++) {
    const bent = b4a.from(request)
    bent[at] = (bent[at] ?? 0) ^ 1
    assert.is(openLinkRequest(link, bent), null, `byte ${at}`)
    assert.is(openLinkRequest(link, request.subarray(0, at)), null, `cut at ${at}`)
  }

  const first = attestFirst(identity, laptop.publicKey)
  const said = { device: phone.publicKey, commitment: commitmentTo(reveal.value) }
  const challenge = (by: typeof laptop, to = said) =>
    encodeChallenge(by, first, to, newNonce()).subarray(2)
  const sound = challenge(laptop)
  assert.ok(openChallenge(link, said, sound))
  for (let at = 0; at < sound.byteLength; at++) {
    const bent = b4a.from(sound)
    bent[at] = (bent[at] ?? 0) ^ 1
    assert.is(openChallenge(link, said, bent), null, `byte ${at}`)
    assert.is(openChallenge(link, said, sound.subarray(0, at)), null, `cut at ${at}`)
  }
  // Not by a device of that person; of another person; to another device.
  assert.is(openChallenge(link, said, challenge(thief)), null)
  assert.is(openChallenge(newDeviceLink(thief.publicKey), said, sound), null)
  const other = { ...said, device: thief.publicKey }
  assert.is(openChallenge(link, said, challenge(laptop, other)), null)
  assert.is(openChallenge(link, { ...said, commitment: newNonce() }, sound), null)
  const attestation = attestNext(laptop, first, phone.publicKey)
  const spaces = [
    {
      address: b4a.alloc(32, 2),
      name: 'Mine',
      entrance: { membershipKey: b4a.alloc(32, 3), epoch: null, open: false, encrypted: true }
    }
  ]
  const sealed = (by: typeof laptop, welcome = { attestation, spaces }) =>
    encodeWelcome(by, phone.publicKey, welcome)?.subarray(2) ?? new Uint8Array(0)
  assert.equal(openWelcome(phone, link, laptop.publicKey, sealed(laptop)), { attestation, spaces })
  // By another than the one of which the code was made; not sealed to it; of another person's device; by the phrase alone; signed by who did not attest.
  assert.is(openWelcome(phone, link, thief.publicKey, sealed(laptop)), null)
  assert.is(openWelcome(thief, link, laptop.publicKey, sealed(laptop)), null)
  assert.is(
    openWelcome(phone, newDeviceLink(thief.publicKey), laptop.publicKey, sealed(laptop)),
    null
  )
  const alone = attestFirst(identity, phone.publicKey)
  assert.is(
    openWelcome(phone, link, laptop.publicKey, sealed(laptop, { attestation: alone, spaces })),
    null
  )
  assert.is(openWelcome(phone, link, laptop.publicKey, sealed(thief)), null)
  assert.is(openWelcome(phone, link, laptop.publicKey, sealed(laptop).subarray(1)), null)
})

test('space list: spaces with the longest names are on sheets of their own, none of which is too long for a code', () => {
  const spaces = Array.from({ length: 9 }, (_, i) => ({
    address: b4a.alloc(32, i),
    name: '字'.repeat(255),
    entrance: { membershipKey: b4a.alloc(32, i), epoch: null, open: true, encrypted: true }
  }))
  const identity = deriveKeyPair(b4a.alloc(32, 1), 'identity')
  const lists = sealLists(identity.publicKey, spaces)
  assert.is(lists.length, 9)
  assert.equal(
    lists.flatMap((list) => openList(identity, list)),
    spaces
  )
  // As many capital letters and digits as a code has room for.
  for (const list of lists) assert.ok(list.length < 4296)
})

test('space list: what is cut off, or names what no space can have, is none', () => {
  const entrance = {
    membershipKey: b4a.alloc(32, 3),
    epoch: b4a.alloc(32, 4),
    open: true,
    encrypted: true
  }
  const known = { address: b4a.alloc(32, 2), name: 'Family', entrance }
  const bytes = encodeSpaces([known])
  assert.equal(decodeSpaces(bytes), [known])
  assert.equal(decodeSpaces(new Uint8Array(0)), [])
  for (let at = 1; at < bytes.byteLength; at++)
    assert.is(decodeSpaces(bytes.subarray(0, at)), null, `cut at ${at}`)
  assert.is(decodeSpaces(encodeSpaces([{ ...known, name: '' }])), null)
  assert.is(decodeSpaces(encodeSpaces([{ ...known, name: 'n'.repeat(256) }])), null)
})

law(
  'revoke: a lost phone is ended in all spaces with one call, which tells what came of it in each',
  async (world) => {
    const [ann, laptop, phone] = [
      await world.device('Ann'),
      await world.device('Laptop'),
      await world.device('Phone')
    ]
    const one = await laptop.createSpace({ name: 'One' })
    const anns = await ann.createSpace()
    const two = await laptop.join(await anns.invite(), { name: 'Two' })
    await phone.identity.join(confirming(laptop.identity.invite()).link)
    const three = await laptop.createSpace({ name: 'Three' })
    for (const space of [one, two, anns]) await until(() => roleOf(space, phone) !== null)
    await rejectsWith('INVALID_ARGUMENT', () => laptop.identity.revoke(laptop.id))
    await rejectsWith('INVALID_ARGUMENT', () => laptop.identity.revoke('phone'))
    // The phone came later: it does not end the laptop.
    const outcomes = (list: Awaited<ReturnType<typeof laptop.identity.revoke>>) =>
      list.map(({ name, outcome, error }) => [name, outcome ?? error?.code])
    assert.equal(outcomes(await phone.identity.revoke(laptop.id)), [
      ['One', 'NOT_ALLOWED'],
      ['Two', 'NOT_ALLOWED']
    ])
    assert.equal(outcomes(await laptop.identity.revoke(phone.id)), [
      ['One', 'revoked'],
      ['Two', 'revoked'],
      ['Three', 'barred']
    ])
    assert.equal(outcomes(await laptop.identity.revoke(phone.id)), [
      ['One', 'absent'],
      ['Two', 'absent'],
      ['Three', 'absent']
    ])
    for (const space of [one, two, anns, three]) await until(() => roleOf(space, phone) === null)
    assert.ok(roleOf(anns, laptop))
  }
)

law(
  'revoke: a device that was certified and let in nowhere is let in by nobody when it comes, nor what it certifies',
  async (world) => {
    const [laptop, desktop] = [await world.device('Laptop'), await world.device('Desktop')]
    const [phone, tablet] = [await world.device('Phone'), await world.device('Tablet')]
    const before = await laptop.createSpace({ name: 'Before' })
    await desktop.identity.join(confirming(laptop.identity.invite()).link)
    for (const [one, other] of [
      [laptop, phone],
      [phone, tablet]
    ] as const)
      await other.identity.accept(one.identity.certify(other.identity.request()).answer)
    assert.is(phone.identity.id, laptop.identity.id)
    const outcomes = await laptop.identity.revoke(phone.id)
    assert.equal(
      outcomes.map(({ name, outcome }) => [name, outcome]),
      [['Before', 'barred']]
    )
    const after = await laptop.createSpace({ name: 'After' })
    for (const space of [before, after]) {
      const theirs = await desktop.openSpace(space.ticket)
      await until(() => roleOf(theirs, desktop) !== null)
      for (const lost of [phone, tablet]) {
        const late = await lost.openSpace(space.ticket)
        for (const at of [space, theirs])
          await until(() => at.members.asking().some(({ device }) => device === lost.id))
        await late.db.put('lost', lost.name)
      }
      // Both devices of its person have heard of it by then, and answered everything they were asked.
      await space.db.put('last', 1)
      await until(async () => (await valueIn(theirs, 'last')) === 1)
      for (const at of [space, theirs]) {
        for (const lost of [phone, tablet]) assert.is(roleOf(at, lost), null)
        assert.is(await valueIn(at, 'lost'), undefined)
      }
    }
  }
)

law(
  'revoke: which devices were ended outlives a restart, and holds in spaces that others made, and by hand it is taken back',
  async (world) => {
    const [ann, phone] = [await world.device('Ann'), await world.device('Phone')]
    const storage = join(folder.path, `restarted-${count++}`)
    const { transport } = world.network
    const first = await openDevice({ storage, transport })
    await phone.identity.accept(first.identity.certify(phone.identity.request()).answer)
    assert.equal(await first.identity.revoke(phone.id), [])
    await first.close()
    const laptop = await world.device('Laptop', { storage })
    const anns = await ann.createSpace()
    const mine = await laptop.join(await anns.invite())
    const theirs = await phone.openSpace(anns.ticket)
    const asks = () => mine.members.asking().find(({ device }) => device === phone.id)
    await until(() => asks() !== undefined)
    await mine.db.put('last', 1)
    await until(async () => (await valueIn(theirs, 'last')) === 1)
    assert.is(roleOf(mine, phone), null)
    await mine.members.admit(asks()?.writer ?? '', 'writer')
    await until(() => roleOf(anns, phone) === 'writer')
    await theirs.db.put('found', 1)
    await until(async () => (await valueIn(anns, 'found')) === 1)
  }
)

law(
  'recovery: what was printed brings all spaces back at once, and the lost device reads nothing new',
  async (world) => {
    const [lost, ben, found] = [
      await world.device('Lost'),
      await world.device('Ben'),
      await world.device('Found')
    ]
    const phrase = lost.identity.phrase()
    const one = await lost.createSpace({ name: 'One' })
    const bens = await ben.join(await one.invite())
    const other = await ben.createSpace({ name: 'Two' })
    const two = await lost.join(await other.invite(), { name: 'Two' })
    await lost.createSpace({ name: 'Alone' })
    await one.db.put('mine', 1)
    await two.db.put('mine', 2)
    for (const [space, value] of [
      [bens, 1],
      [other, 2]
    ] as const)
      await until(async () => (await valueIn(space, 'mine')) === value)
    await lost.identity.forgetPhrase()
    const lists = lost.identity.spaceLists()
    assert.is(lists.length, 1)
    assert.match(lost.identity.kit('Ann', phrase), /<pre class="small">mhl1[a-z0-9]{300,}</)
    await lost.close()
    // After it was printed the key changes: what the paper has does not open the newest blocks.
    await bens.db.put('later', 3)

    await rejectsWith('SPACE_LIST_INVALID', () =>
      found.identity.recover(phrase, { spaces: [(lists[0] ?? '').slice(0, -2)] })
    )
    await rejectsWith('SPACE_LIST_INVALID', () =>
      found.identity.recover(phrase, { spaces: ben.identity.spaceLists() })
    )
    assert.is.not(found.identity.id, lost.identity.id)
    await rejectsWith('PHRASE_UNKNOWN', async () => {
      const second = await world.device('Second')
      await second.identity.forgetPhrase()
      await second.recoverSpaces()
    })
    await found.identity.recover(phrase, { spaces: lists })
    assert.equal(
      found.spaces().map(({ name }) => name),
      ['One', 'Two', 'Alone']
    )
    const mistyped = { timeout: 1500, keep: [ben.id] }
    await rejectsWith('INVALID_ARGUMENT', () => found.recoverSpaces(mistyped))
    assert.ok(roleOf(bens, lost))
    const came = await found.recoverSpaces({ timeout: 4000 })
    assert.equal(
      came.map(({ name, outcome, error }) => [name, outcome ?? error?.code]),
      [
        ['One', 'recovered'],
        ['Two', 'recovered'],
        ['Alone', 'NOT_ALLOWED'] // nobody else has it
      ]
    )
    const [back, again] = [await open(found, one), await open(found, two)]
    assert.is(roleOf(back, found), 'owner')
    assert.is(roleOf(again, found), 'writer')
    for (const [space, value] of [
      [back, 1],
      [again, 2]
    ] as const)
      await until(async () => (await valueIn(space, 'mine')) === value)
    for (const space of [bens, other]) await until(() => roleOf(space, lost) === null)
    for (const space of [back, again]) {
      const [key] = space.members.keys()
      assert.ok(key?.isCurrent)
      assert.not(key?.devices.includes(lost.id))
    }
    const unchanged = await found.recoverSpaces({ timeout: 1000 })
    assert.equal(
      unchanged.map(({ outcome }) => outcome),
      ['unchanged', 'unchanged', null]
    )
  }
)

test.run()
