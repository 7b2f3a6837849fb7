/** Who gets in, and what they get: peers that say by hand what no honest one would. */
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import type { KeyPair } from '../../core/index.ts'
import { openDevice } from '../../index.ts'
import { encodeFrame } from '../../multiwriter/channels/message.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'
import type { Space } from '../../multiwriter/index.ts'
import { connect, openTwoDevices, tempFolder, until, type TwoDevices } from '../support/devices.ts'
import { withStore } from '../support/folder.ts'
import { helloOf, logsOf, RawPeer } from '../support/raw-peer.ts'
import { within } from '../support/within.ts'

const membershipKeyOf = (space: Space) => decodeTicket(space.ticket).membershipKey
const discoveryKeyOf = (space: Space) => space.wire.cores()[0]?.discoveryKey ?? b4a.alloc(32)
const keyNumber = (n: number) => b4a.concat([b4a.from([n >> 8, n & 255]), b4a.alloc(30, 1)])

/** One law over two fresh devices, the first of which has written something. */
function law(title: string, body: (two: TwoDevices) => Promise<void>): void {
  test(title, async () => {
    const two = await openTwoDevices()
    const failures: unknown[] = []
    const onfailure = (error: unknown) => failures.push(error)
    process.on('unhandledRejection', onfailure)
    await two.spaceA.db.put('secret', 1)
    await within(15_000, body(two))
    await two.close()
    process.off('unhandledRejection', onfailure)
    assert.equal(failures, [])
  })
}

async function isRefused(space: Space, peer: RawPeer, reason = 'peer-proof'): Promise<void> {
  await until(() => space.refusals().length > 0)
  const [refusal] = space.refusals()
  assert.is(refusal?.reason, reason)
  assert.is(refusal?.count, 1)
  assert.equal(space.peers(), [])
  assert.not.ok(await peer.asksFor(discoveryKeyOf(space)), 'no log is opened')
  assert.equal(peer.offered, [], 'no log is offered')
}

law('a forged proof is refused and counted, and opens no log', async ({ spaceA }) => {
  const peer = new RawPeer(spaceA)
  const greeting = await peer.greet(membershipKeyOf(spaceA), () => helloOf(b4a.alloc(32, 7)))
  await isRefused(spaceA, peer)
  await until(() => greeting.isClosed)
  peer.close()
})

law('a reflected proof is refused', async ({ spaceA }) => {
  const peer = new RawPeer(spaceA)
  await peer.answer(membershipKeyOf(spaceA), (theirs) => theirs)
  await isRefused(spaceA, peer)
  peer.close()
})

/** The keys of a device that a space has let in, and that is closed. */
async function keysOfMember(space: Space): Promise<KeyPair> {
  const folder = await tempFolder()
  const device = await openDevice({ storage: folder.path })
  const theirs = await device.openSpace(space.ticket)
  await space.addWriter(theirs.writer)
  const cut = connect(space, theirs)
  await until(() => space.members.list().length === 2)
  cut()
  await device.close()
  const keyPair = await withStore(folder.path, (store) => Promise.resolve(store.keyPair))
  const kept = { publicKey: b4a.from(keyPair.publicKey), secretKey: b4a.from(keyPair.secretKey) }
  await folder.remove()
  return kept
}

law(
  'who has not proven to be a member says nothing on channels, nor who was not let in; who was, does',
  async ({ spaceA }) => {
    const keyPair = await keysOfMember(spaceA)
    const key = membershipKeyOf(spaceA)
    const chat = spaceA.channel('chat')
    const said: string[] = []
    chat.on('message', (bytes) => said.push(b4a.toString(bytes)))
    const opening = encodeFrame({ type: 'open', id: 0, name: 'chat' })
    const saying = (text: string) =>
      encodeFrame({ type: 'piece', to: 0, isLast: true, bytes: b4a.from(text) })
    const stranger = new RawPeer(spaceA)
    const forged = await stranger.greet(key, () => helloOf(b4a.alloc(32, 7)))
    for (const frame of [opening, saying('stranger')]) forged.sayChannels(frame)
    await until(() => forged.isClosed)
    const bearer = new RawPeer(spaceA)
    const unknown = await bearer.greet(key, () => helloOf(bearer.proof(key)))
    for (const frame of [opening, saying('bearer')]) unknown.sayChannels(frame)
    await until(() => spaceA.peers().length === 1)
    const member = new RawPeer(spaceA, true, keyPair)
    const greeting = await member.greet(key, () => helloOf(member.proof(key)))
    for (const frame of [opening, saying('member')]) greeting.sayChannels(frame)
    await until(() => said.length > 0)
    assert.equal(said, ['member'])
    assert.equal(chat.peers(), [z32.encode(keyPair.publicKey)])
    greeting.sayChannels(b4a.from([1, 9]))
    await until(() => spaceA.refusals().some(({ reason }) => reason === 'channel-malformed'))
    assert.equal([chat.peers(), spaceA.peers().length], [[], 2], 'it is heard no more, on channels')
    stranger.close()
    bearer.close()
    member.close()
  }
)

law('a proof replayed from another connection is refused', async ({ spaceA, spaceB }) => {
  const key = membershipKeyOf(spaceA)
  const first = new RawPeer(spaceB, false)
  let heard: Uint8Array | null = null
  await first.answer(key, (theirs) => (heard = theirs))
  await until(() => heard !== null)
  first.close()
  const second = new RawPeer(spaceA, true)
  await second.greet(key, () => heard ?? b4a.alloc(33))
  await isRefused(spaceA, second)
  second.close()
})

law('another version is refused as such', async ({ spaceA }) => {
  const key = membershipKeyOf(spaceA)
  const peer = new RawPeer(spaceA)
  await peer.greet(key, () => helloOf(peer.proof(key), 9))
  await isRefused(spaceA, peer, 'peer-version')
  peer.close()
})

law('who was refused and comes again on the same connection is not heard', async ({ spaceA }) => {
  const key = membershipKeyOf(spaceA)
  const peer = new RawPeer(spaceA)
  const greeting = await peer.greet(key, () => helloOf(b4a.alloc(32)))
  await until(() => greeting.isClosed)
  const again = await peer.greet(key, () => helloOf(peer.proof(key)))
  await until(() => again.isClosed)
  await isRefused(spaceA, peer)
  peer.close()
})

law(
  'a proof lets its bearer in: the logs of this space, and of no other of the device',
  async (two) => {
    const other = await two.a.createSpace({ open: true })
    await other.db.put('other', 1)
    const key = membershipKeyOf(two.spaceA)
    const peer = new RawPeer(two.a)
    assert.not.ok(await peer.asksFor(discoveryKeyOf(two.spaceA)), 'nothing before the proof')
    await peer.greet(key, () => helloOf(peer.proof(key)))
    await until(() => two.spaceA.peers().length === 1)
    await until(() => peer.offered.length === 2)
    const { wire } = two.spaceA
    const logs = [...wire.memberLogs(), ...wire.cores()]
    assert.equal(
      peer.offered,
      logs.map((core) => b4a.toString(core.discoveryKey, 'hex'))
    )
    assert.not.ok(await peer.asksFor(discoveryKeyOf(other)), 'not the logs of another space')
    assert.ok(await peer.asksFor(discoveryKeyOf(two.spaceA)))
    peer.close()
    await until(() => two.spaceA.peers().length === 0)
  }
)

law(
  'an open space takes the logs a member names, but not a message of more than 4096',
  async ({ spaceA }) => {
    const key = membershipKeyOf(spaceA)
    const peer = new RawPeer(spaceA)
    const greeting = await peer.greet(key, () => helloOf(peer.proof(key)))
    await until(() => spaceA.peers().length === 1)
    greeting.sayLogs(logsOf(Array.from({ length: 4097 }, (_, n) => keyNumber(n))))
    greeting.sayLogs(logsOf([keyNumber(1), keyNumber(2), keyNumber(1)]))
    await until(() => spaceA.writers().length > 1)
    assert.is(spaceA.writers().length, 3)
    peer.close()
  }
)

for (const [title, bytes] of [
  ['keys cut short', logsOf([keyNumber(1)]).subarray(0, 20)],
  ['a count without keys', b4a.from([0xfd, 0xff, 0x0f])],
  ['a count beyond all bounds', b4a.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0])],
  ['nothing', b4a.alloc(0)]
] as const) {
  law(
    `a logs message of ${title} ends the connection, with an event, and nothing else`,
    async (two) => {
      const errors: Error[] = []
      two.a.on('connection-error', (error) => errors.push(error))
      two.connect()
      await until(() => two.spaceA.peers().length === 1)
      const key = membershipKeyOf(two.spaceA)
      const peer = new RawPeer(two.spaceA)
      const greeting = await peer.greet(key, () => helloOf(peer.proof(key)))
      await until(() => two.spaceA.peers().length === 2)
      greeting.sayLogs(bytes)
      await until(() => peer.isClosed && errors.length === 1)
      await two.spaceA.db.put('after', 1)
      await until(async () => (await two.spaceB.db.get('after')) !== null)
    }
  )
}

law('a space closed before the stream is open is not offered', async ({ a, spaceA }) => {
  const key = membershipKeyOf(spaceA)
  const peer = new RawPeer(a)
  await spaceA.close()
  const greeting = await peer.greet(key, () => helloOf(b4a.alloc(32)))
  await until(() => greeting.isClosed)
  peer.close()
})

test.run()
